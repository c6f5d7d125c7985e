//! `[state]`: which store, and the keys that go with it.

use super::Checker;
use crate::config::diagnostics::Diagnostic;
use crate::config::net::is_loopback;
use crate::config::value::Store;
use crate::config::{State, Valkey, file};

impl Checker<'_> {
    pub(super) fn state(&mut self, state: file::State) -> Option<State> {
        let store = *state.store.value()?;
        if store != Store::Valkey && !self.nothing_of_valkey(&state) {
            return None;
        }
        match store {
            Store::Memory => {
                for (key, name) in [(&state.path, "path"), (&state.key_file, "key_file")] {
                    if let Some(at) = key.written() {
                        let message = format!("`{name}` means nothing with store = \"memory\"");
                        self.report(Diagnostic::warning(at, message).help("remove one of the two"));
                    }
                }
                Some(State::Memory)
            }
            Store::Embedded => Some(State::Embedded {
                path: self.file_to_make(&state.path, "path")?,
                key_file: self.file_to_make(&state.key_file, "key_file")?,
            }),
            Store::Valkey => self.valkey(state).map(State::Valkey),
        }
    }

    /// False: a key tells that another store was meant.
    fn nothing_of_valkey(&mut self, state: &file::State) -> bool {
        let url = state.url.given().map(|key| ("url", key.at));
        let text = [
            ("ca_file", &state.ca_file),
            ("username", &state.username),
            ("password_file", &state.password_file),
        ];
        let text = text.into_iter().filter_map(|(name, key)| Some((name, key.given()?.at)));
        let strange: Vec<_> = url.into_iter().chain(text).collect();
        for (name, at) in &strange {
            let message = format!("`{name}` belongs to store = \"valkey\" alone");
            self.report(Diagnostic::error(*at, message).help("add store = \"valkey\" to [state], or remove this key"));
        }
        strange.is_empty()
    }

    fn valkey(&mut self, state: file::State) -> Option<Valkey> {
        if let Some(at) = state.path.written() {
            let problem = Diagnostic::error(at, "`path` belongs to store = \"embedded\" alone");
            self.report(problem.help("remove this key: `url` says where the store is"));
        }
        let example = "url = \"redis://127.0.0.1:6379\" to [state]";
        let url = self.required(state.url, "url", state.place, example)?;
        let key_file = self.file_to_make(&state.key_file, "key_file")?;
        if let Some(ca_file) = state.ca_file.given().filter(|_| !url.value.tls) {
            let problem = Diagnostic::error(ca_file.at, "`ca_file` means nothing without TLS");
            self.report(
                problem
                    .also(url.at, "this is no rediss://")
                    .help("remove one of the two"),
            );
        }
        let far = url.value.nodes.iter().any(|(host, _)| !is_loopback(host));
        if far && !url.value.tls {
            let problem = Diagnostic::warning(url.at, "the way to the store is not encrypted");
            self.report(problem.help("what is stored is sealed, but the password is not: use rediss://"));
        }
        if let Some(username) = state.username.given().filter(|_| state.password_file.given().is_none()) {
            let problem = Diagnostic::error(username.at, "`username` without `password_file`");
            self.report(problem.help("add password_file = \"…\": a file that holds the password alone"));
        }
        Some(Valkey {
            address: url.value,
            ca_file: state.ca_file.checked(|path| self.existing_file(&path, "ca_file"))?,
            username: state.username.into_value(),
            password_file: state
                .password_file
                .checked(|path| self.existing_file(&path, "password_file"))?,
            key_file,
        })
    }
}
