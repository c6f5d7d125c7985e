//! Who does what is asked of the vault: the running gateway, or, only if none answers, this process in the store itself.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::config::Config;
use crate::control::vault::{Request, Response};
use crate::control::{self, ControlError};
use crate::observe::metrics::Metrics;
use crate::sealing::MasterKeys;
use crate::server;
use crate::store::{Store, StoreError};

pub(super) enum Target<'a> {
    /// Over its control socket.
    Gateway(PathBuf),
    Store(Store, &'a Config),
}

impl<'a> Target<'a> {
    /// Errors: nobody may be asked, or the store cannot be used. No store is made here: it would belong to whoever runs
    /// this command, and the gateway could not open it.
    pub(super) async fn open(config: &'a Config) -> anyhow::Result<Self> {
        let socket = &config.server.control;
        let is_answered = control::is_answered(socket).await;
        match is_answered {
            Ok(true) => return Ok(Self::Gateway(socket.clone())),
            Ok(false) => {}
            Err(error) => return Err(error).context("run this as the user of the gateway, or as root"),
        }
        let Some(key_file) = config.state.key_file() else {
            bail!(
                "{}: no gateway runs, and with state.store = \"memory\" only a running one has anything: start it first",
                socket.display()
            )
        };
        config.state.file().map(there).transpose()?;
        there(key_file)?;
        server::install_crypto();
        let keys = MasterKeys::load(key_file, false)?;
        let store = match Store::open(&config.state, &keys, &Metrics::new()) {
            Err(error @ StoreError::InUse { .. }) => bail!(
                "{error}\nno gateway answers at {}: is it starting or ending, or has it another `server.control`?",
                socket.display()
            ),
            opened => opened?,
        };
        store.healthy().await?;
        Ok(Self::Store(store, config))
    }

    pub(super) async fn ask(&self, asked: Request) -> anyhow::Result<Response> {
        match self {
            Self::Gateway(socket) => match control::vault(socket, asked).await {
                Err(error @ ControlError::NobodyThere { .. }) => Err(error).context("the gateway has ended meanwhile"),
                told => Ok(told?),
            },
            Self::Store(store, config) => {
                let told = control::vault::answer(asked, store, config).await;
                told.map_err(anyhow::Error::msg)
            }
        }
    }
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway(_) => formatter.write_str("by the running gateway"),
            Self::Store(_, config) => match config.state.file() {
                Some(path) => write!(formatter, "in {} itself: no gateway runs", path.display()),
                None => formatter.write_str("in the store itself: no gateway runs here"),
            },
        }
    }
}

fn there(file: &Path) -> anyhow::Result<()> {
    match file.try_exists() {
        Ok(true) => Ok(()),
        Ok(false) => bail!(
            "{} is not there: start the gateway once, it makes its files under its own user",
            file.display()
        ),
        Err(error) => Err(error).with_context(|| format!("{}: run this as the user of the gateway", file.display())),
    }
}
