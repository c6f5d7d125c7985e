//! How the gateway proves to an authorization server which client it is: a secret that both know, or a key of its own.

use std::path::PathBuf;

use crate::config::compile::Checker;
use crate::config::diagnostics::Diagnostic;
use crate::config::read::{At, Key};
use crate::config::section::words;

words! {
    /// How the gateway says at the token endpoint which client it is (OIDC Core 1.0 section 9).
    pub enum ClientAuth {
        Basic = "basic",
        Post = "post",
        PrivateKeyJwt = "private_key_jwt",
    }
}

/// A private key by which the gateway proves which client it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientKey {
    /// PKCS#8 in PEM.
    pub file: PathBuf,
    /// What the server calls the key (`kid`); `None`: it has one alone.
    pub id: Option<String>,
}

/// The keys of a section that concern it, as they are written.
pub(in crate::config) struct Written<'a> {
    pub(in crate::config) auth: &'a At<ClientAuth>,
    pub(in crate::config) secret: Key<String>,
    pub(in crate::config) key: Key<String>,
    pub(in crate::config) id: Key<String>,
}

/// Longest `client_key_id`: it stands in each assertion.
const LONGEST_ID: usize = 256;

impl Checker<'_> {
    pub(in crate::config) fn client_id(&mut self, client_id: Key<String>) -> Option<String> {
        let id = client_id.into_given()?;
        let is_good = !id.value.is_empty() && id.value.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        if !is_good {
            let message = "`client_id` is empty or has characters beyond ASCII";
            self.report(Diagnostic::error(id.at, message));
        }
        is_good.then_some(id.value)
    }

    /// The file of the secret and the key: one of them, or none for a public client.
    pub(in crate::config) fn client_proof(
        &mut self,
        written: Written<'_>,
    ) -> Option<(Option<PathBuf>, Option<ClientKey>)> {
        let Written { auth, secret, key, id } = written;
        let by_key = auth.value == ClientAuth::PrivateKeyJwt;
        if by_key && let Some(secret) = secret.given() {
            let problem = Diagnostic::error(
                secret.at,
                "`client_secret_file` beside a key: one of them proves the client",
            );
            let problem = problem.also(auth.at, "this takes `client_key_file`");
            self.report(problem.help("remove client_secret_file, or client_auth and client_key_file"));
        }
        if by_key && key.is_absent() {
            let problem = Diagnostic::error(auth.at, "there is no key to prove the client by");
            self.report(problem.help("add client_key_file = \"secrets/client.pem\"; `janua keys new` makes one"));
        }
        for (name, given) in [("client_key_file", &key), ("client_key_id", &id)] {
            if let Some(given) = given.given().filter(|_| !by_key) {
                let message = format!("`{name}` means nothing without client_auth = \"private_key_jwt\"");
                self.report(Diagnostic::error(given.at, message).help("add client_auth, or remove this key"));
            }
        }
        let secret = secret.checked(|path| self.existing_file(&path, "client_secret_file"));
        let file = key.checked(|path| self.existing_file(&path, "client_key_file"));
        let id = id.checked(|id| self.client_key_id(id));
        let (secret, file, id) = (secret?, file?, id?);
        Some((secret, file.map(|file| ClientKey { file, id })))
    }

    fn client_key_id(&mut self, id: At<String>) -> Option<String> {
        let is_good = (1..=LONGEST_ID).contains(&id.value.len()) && !id.value.contains(char::is_control);
        if !is_good {
            let message =
                format!("`client_key_id` is empty, longer than {LONGEST_ID} bytes, or has control characters");
            self.report(Diagnostic::error(id.at, message));
        }
        is_good.then_some(id.value)
    }
}
