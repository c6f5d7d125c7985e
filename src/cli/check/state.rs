//! The state store and its master key: asked or looked at as they are. Nothing is made, neither a file nor a key.

use std::path::Path;

use super::Report;
use super::files::{blocked, dangling, tell};
use super::ports::{is_same_file, may_be_asked_by_others, process_with};
use crate::config::Config;
use crate::control::{self, ControlError};
use crate::observe::metrics::Metrics;
use crate::sealing::MasterKeys;
use crate::store::{Seen, Store, StoreError};

/// What is on this machine.
pub(super) fn files(config: &Config, report: &Report) {
    let Some(key_file) = config.state.key_file() else {
        return;
    };
    if let Some(path) = config.state.file() {
        for (name, link) in [("state.path", path), ("state.key_file", key_file)] {
            if let Some(told) = dangling(link) {
                return report.bad(name, &told);
            }
        }
        let in_the_way = blocked(path);
        tell(in_the_way.as_ref(), "state.path", report);
        if in_the_way.is_none() && !path.exists() {
            report.good(&named(path), "not there yet; the gateway makes it");
        }
        if !key_file.exists() {
            // What is in the way of both is told once.
            let told = in_the_way.map(|blocked| blocked.place);
            let blocked = blocked(key_file).filter(|blocked| told.as_ref() != Some(&blocked.place));
            return tell(blocked.as_ref(), "state.key_file", report);
        }
    }
    if let Err(error) = MasterKeys::load(key_file, false) {
        report.bad("state", &error.to_string());
    }
}

/// What a gateway that starts now would meet. `file` is the configuration's; offline nobody is asked, not even a gateway
/// that runs on this machine.
pub(super) async fn check(config: &Config, file: &Path, offline: bool, metrics: &Metrics, report: &Report) {
    if let Some(path) = config.state.file() {
        check_file(path, config, file, offline, report).await;
    }
    if let Some(valkey) = config.state.valkey().filter(|_| !offline) {
        let what = format!("state {}", valkey.address);
        // That they cannot be read is told with the files.
        let Ok(keys) = MasterKeys::of(&config.state) else {
            return;
        };
        let answer = match Store::open(&config.state, &keys, metrics) {
            Ok(store) => store.healthy().await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(()) => report.good(&what, "answers"),
            Err(error) => report.bad(&what, &error.to_string()),
        }
    }
}

async fn check_file(path: &Path, config: &Config, file: &Path, offline: bool, report: &Report) {
    // Both have been told with the files.
    if !path.exists() || blocked(path).is_some() {
        return;
    }
    let what = named(path);
    match Store::look(path) {
        Ok(Seen::Whole) => report.good(&what, "can be used"),
        Ok(Seen::Unclosed) => {
            report.note(
                &what,
                "was not closed, as after a crash: the gateway repairs it when it starts",
            );
        }
        Err(StoreError::InUse { .. }) if offline => {
            report.note(&what, "in use by another process, as by a gateway that runs");
        }
        Err(StoreError::InUse { .. }) => in_use(path, config, file, &what, report).await,
        Err(error) => {
            let error = error.to_string();
            // It has been named.
            let file = format!("the state file {} ", path.display());
            report.bad(&what, error.strip_prefix(&file).unwrap_or(&error));
        }
    }
}

/// By the gateway that runs with this very file it is used as it should be.
async fn in_use(path: &Path, config: &Config, file: &Path, what: &str, report: &Report) {
    let remedy = "end that one, or name another `state.path`";
    match control::about(&config.server.control).await {
        Ok(about) if is_same_file(&about.config, file) => {
            let process = about.process;
            report.good(
                what,
                &format!("in use by the gateway that runs with this file (process {process})"),
            );
        }
        Ok(about) => {
            let (other, process) = (about.config.display(), about.process);
            let told =
                format!("in use by another process, as by the gateway that runs with {other} (process {process})");
            report.note(what, &format!("{told}: {remedy}"));
        }
        Err(error) if error.is_denied() => {
            report.note(
                what,
                &format!("in use by another process; {}", may_be_asked_by_others(config)),
            );
        }
        Err(ControlError::NobodyThere { .. }) => {
            let who = path
                .canonicalize()
                .ok()
                .and_then(|path| process_with(|link| link == path));
            let who = who.unwrap_or_else(|| "another process (`fuser` names it)".to_owned());
            let control = config.server.control.display();
            report.bad(
                what,
                &format!("in use by {who}, and no gateway answers at {control}: {remedy}"),
            );
        }
        Err(error) => report.note(what, &format!("in use by another process: {error}")),
    }
}

fn named(path: &Path) -> String {
    format!("state {}", path.display())
}
