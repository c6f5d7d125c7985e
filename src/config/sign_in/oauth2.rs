//! `[sign_in.<name>.oauth2]`: its keys, what they mean together, and what the running gateway knows of them.

use std::path::PathBuf;

use url::Url;

use super::client::{self, ClientAuth, ClientKey};
use crate::config::Outgoing;
use crate::config::compile::Checker;
use crate::config::diagnostics::{Diagnostic, Span};
use crate::config::read::{At, Key};
use crate::config::section::section;

/// `[sign_in.<name>.oauth2]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuth2 {
    pub authorization: Url,
    pub token: Url,
    /// What tells of the person.
    pub profile: Url,
    pub end_session: Option<Url>,
    pub client_id: String,
    /// Neither this nor a key: a public client.
    pub client_secret_file: Option<PathBuf>,
    pub client_key: Option<ClientKey>,
    pub client_auth: ClientAuth,
    pub scopes: Vec<String>,
    /// The attribute that is the person's name.
    pub username: String,
    pub passive: bool,
    pub renew: bool,
    /// Is the access token of a sign-in for a Moodle's page, besides?
    pub hands_on_access_token: bool,
    /// Further roots for https.
    pub outgoing: Outgoing,
}

section! {
    /// `[sign_in.<name>.oauth2]`
    struct Written {
        /// A CAS server, `"https://cas.example.edu/cas"`: its endpoints are below it. Default: none, they are written out.
        server: String,
        /// Where people authenticate. Default: `/oauth2.0/authorize` below `server`.
        authorization_endpoint: String,
        /// Where codes are redeemed. Default: `/oauth2.0/accessToken` below `server`.
        token_endpoint: String,
        /// What tells of the person whose access token it is shown. Default: `/oauth2.0/profile` below `server`.
        profile_endpoint: String,
        /// Where people sign out. Default: `/logout` below `server`.
        end_session_endpoint: String,
        /// What the gateway is called at the server.
        #[required = "client_id = \"janua\""]
        client_id: String,
        /// File that holds the client's secret alone. Default: none, a public client.
        client_secret_file: String,
        /// How the secret is sent to the token endpoint: "basic" or "post"; or "private_key_jwt", a key in place of a secret.
        client_auth: At<ClientAuth> = "basic",
        /// File with the private key for "private_key_jwt": PKCS#8 in PEM; P-256, P-384, Ed25519, or RSA from 2048 bits.
        client_key_file: String,
        /// What the server calls that key (`kid`). Default: nothing, it has one key alone.
        client_key_id: String,
        /// What the server is asked for.
        scopes: Vec<String> = [],
        /// The attribute of the profile that is the person's name.
        username: String = "id",
        /// Signed in if the server says so (`prompt=none`), else on as nobody?
        passive: At<bool> = false,
        /// Must people authenticate again for each session (`prompt=login`)?
        renew: At<bool> = false,
        /// PEM file with further roots for https. Default: the system's roots alone.
        ca_file: String,
    }
}

impl Checker<'_> {
    /// `at`: where the section begins.
    pub(in crate::config) fn oauth2(&mut self, oauth2: Written, at: Span) -> Option<OAuth2> {
        let server = oauth2.server.checked(|at| self.provider_url(&at, "server"));
        let below = |path: &str| {
            let mut url = server.clone()??;
            url.set_path(&format!("{}/{path}", url.path().trim_end_matches('/')));
            Some(url)
        };
        let mut url = |key: Key<String>, name, path| {
            let written = key.checked(|at| self.provider_url(&at, name))?;
            Some(written.or_else(|| below(path)))
        };
        let [authorization, token, profile, end_session] = [
            (
                oauth2.authorization_endpoint,
                "authorization_endpoint",
                "oauth2.0/authorize",
            ),
            (oauth2.token_endpoint, "token_endpoint", "oauth2.0/accessToken"),
            (oauth2.profile_endpoint, "profile_endpoint", "oauth2.0/profile"),
            (oauth2.end_session_endpoint, "end_session_endpoint", "logout"),
        ]
        .map(|(key, name, path)| url(key, name, path));
        let is_incomplete = [&authorization, &token, &profile]
            .iter()
            .any(|url| matches!(url, Some(None)));
        if is_incomplete && server.as_ref().is_some_and(Option::is_none) {
            let problem = Diagnostic::error(at, "an endpoint is missing");
            self.report(problem.help(
                "add server = \"https://cas.example.edu/cas\", or authorization_endpoint, token_endpoint and profile_endpoint",
            ));
        }
        let client_id = self.client_id(oauth2.client_id);
        let proof = self.client_proof(client::Written {
            auth: &oauth2.client_auth,
            secret: oauth2.client_secret_file,
            key: oauth2.client_key_file,
            id: oauth2.client_key_id,
        });
        self.passive_or_renew(&oauth2.passive, &oauth2.renew);
        if oauth2.renew.value {
            let message = "by OAuth 2.0 no server proves that somebody authenticated anew";
            let problem = Diagnostic::warning(oauth2.renew.at, message);
            self.report(problem.help("where this must hold, use [sign_in.<name>.oidc] or .cas"));
        }
        let ca_file = oauth2.ca_file.checked(|path| self.existing_file(&path, "ca_file"));
        let (client_secret_file, client_key) = proof?;
        Some(OAuth2 {
            authorization: authorization??,
            token: token??,
            profile: profile??,
            end_session: end_session?,
            client_id: client_id?,
            client_secret_file,
            client_key,
            client_auth: oauth2.client_auth.value,
            scopes: oauth2.scopes,
            username: oauth2.username,
            passive: oauth2.passive.value,
            renew: oauth2.renew.value,
            hands_on_access_token: false,
            outgoing: self.outgoing(ca_file?),
        })
    }
}
