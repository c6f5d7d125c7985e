//! What may be asked of the vault and of the master key, and the answers: by the running gateway over its socket, and
//! by the command itself where none runs.
//!
//! A question is bounded by the socket, an answer by the store's own steps: whoever asks goes on with the cursor.

use serde::{Deserialize, Serialize};

use crate::config::{Config, State};
use crate::moodle::tokens::vault::Provided;
use crate::moodle::vault::{self, Shown};
use crate::observe::mask;
use crate::sealing::MasterKeys;
use crate::store::{Store, StoreError};

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    /// Put these, over what stands there.
    Import(Vec<Provided>),
    /// Some entries behind a cursor.
    List { after: Option<String> },
    Remove {
        moodle: String,
        service: String,
        username: String,
    },
    /// Seal some values behind a cursor with the newest key.
    Rotate { after: Option<String> },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Response {
    Imported,
    Listed {
        entries: Vec<Shown>,
        next: Option<String>,
    },
    /// Was there an entry?
    Removed(bool),
    Rotated {
        resealed: u64,
        newest: u64,
        unreadable: u64,
        next: Option<String>,
    },
}

/// Does it, in the store of the gateway that `config` makes. Errors are for people.
pub async fn answer(request: Request, store: &Store, config: &Config) -> Result<Response, String> {
    match request {
        Request::Import(entries) => {
            let unknown = |entry: &&Provided| !config.moodles.iter().any(|known| known.name == entry.moodle);
            if let Some(entry) = entries.iter().find(unknown) {
                return Err(format!(
                    "the running gateway has no [moodle.{}]: reload it first (SIGHUP)",
                    entry.moodle
                ));
            }
            tracing::info!(tokens = entries.len(), "tokens are imported into the vault");
            vault::import(store, &entries).await.map_err(away)?;
            Ok(Response::Imported)
        }
        Request::List { after } => {
            let (entries, next) = vault::list(store, after.as_deref()).await.map_err(away)?;
            Ok(Response::Listed { entries, next })
        }
        Request::Remove {
            moodle,
            service,
            username,
        } => {
            let removed = vault::remove(store, &moodle, &service, &username).await.map_err(away)?;
            let username = mask::subject(&username);
            tracing::info!(
                moodle,
                service,
                username = &*username,
                removed,
                "a token is taken out of the vault"
            );
            Ok(Response::Removed(removed))
        }
        Request::Rotate { after } => rotate(after, store, &config.state).await,
    }
}

async fn rotate(after: Option<String>, store: &Store, state: &State) -> Result<Response, String> {
    let Some(key_file) = state.key_file() else {
        return Err("state.store is \"memory\": nothing is sealed, and nothing outlives a restart".to_owned());
    };
    let written = MasterKeys::load(key_file, false).map_err(|error| error.to_string())?;
    if !store.seals_with(&written) {
        return Err(format!(
            "{}: the first line is another key than the one that the gateway started with: restart it (every replica \
             of it), then rotate",
            key_file.display()
        ));
    }
    let step = store.rotate(after.as_deref()).await.map_err(away)?;
    if step.next.is_none() {
        tracing::info!("the state store is turned over to the newest master key");
    }
    Ok(Response::Rotated {
        resealed: step.resealed,
        newest: step.newest,
        unreadable: step.unreadable,
        next: step.next,
    })
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn away(error: StoreError) -> String {
    format!("{error}; run the command again when the store is back")
}
