//! `[sign_in.<name>.oidc]`: its keys, what they mean together, and what the running gateway knows of them.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::client::{self, ClientAuth, ClientKey};
use crate::config::compile::Checker;
use crate::config::diagnostics::Diagnostic;
use crate::config::net::is_loopback;
use crate::config::read::{At, Key};
use crate::config::section::{section, words};
use crate::config::{Algorithm, Outgoing};

/// `[sign_in.<name>.oidc]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oidc {
    /// To the letter, as the provider writes it.
    pub issuer: String,
    pub issuer_url: Url,
    /// Where its metadata is; `None`: every endpoint that is needed is written out.
    pub discovery: Option<Url>,
    /// What counts instead of the metadata.
    pub endpoints: Endpoints,
    pub client_id: String,
    /// Neither this nor a key: a public client.
    pub client_secret_file: Option<PathBuf>,
    pub client_key: Option<ClientKey>,
    pub client_auth: ClientAuth,
    pub scopes: Vec<String>,
    /// The claim that is the person's name.
    pub username: String,
    pub passive: bool,
    pub renew: bool,
    /// Empty: any will do.
    pub acr_values: Vec<String>,
    pub algorithms: Vec<Algorithm>,
    pub leeway: Duration,
    pub userinfo: UseUserinfo,
    pub single_logout: bool,
    pub front_channel_logout: bool,
    pub keep_id_token: bool,
    /// What ID tokens and logout tokens name as their issuer.
    pub id_token_issuer: String,
    pub accept_missing_nonce: bool,
    /// Is the access token of a sign-in for a Moodle's page, besides?
    pub hands_on_access_token: bool,
    /// Further roots for https.
    pub outgoing: Outgoing,
}

/// Endpoints that are written out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Endpoints {
    pub authorization: Option<Url>,
    pub token: Option<Url>,
    pub jwks: Option<Url>,
    pub userinfo: Option<Url>,
    pub end_session: Option<Url>,
}

words! {
    /// When the userinfo endpoint is asked about who signs in.
    pub enum UseUserinfo {
        Auto = "auto",
        Always = "always",
        Never = "never",
    }
}

section! {
    /// `[sign_in.<name>.oidc]`
    struct Written {
        /// The provider's issuer, to the letter: `"https://idp.example.edu/realms/campus"`. `http://` only to this machine.
        #[required = "issuer = \"https://idp.example.edu/realms/campus\""]
        issuer: String,
        /// Address of the provider's metadata. Default: `/.well-known/openid-configuration` below the issuer.
        discovery: String,
        /// Counts instead of what the metadata says; with `token_endpoint` and `jwks_uri` beside it there is no discovery.
        authorization_endpoint: String,
        /// Counts instead of what the metadata says.
        token_endpoint: String,
        /// Counts instead of what the metadata says.
        jwks_uri: String,
        /// Counts instead of what the metadata says.
        userinfo_endpoint: String,
        /// Counts instead of what the metadata says.
        end_session_endpoint: String,
        /// What the gateway is called at the provider.
        #[required = "client_id = \"janua\""]
        client_id: String,
        /// File that holds the client's secret alone. Default: none, a public client.
        client_secret_file: String,
        /// How the secret is sent to the token endpoint: "basic" or "post"; or "private_key_jwt", a key in place of a secret.
        client_auth: At<ClientAuth> = "basic",
        /// File with the private key for "private_key_jwt": PKCS#8 in PEM; P-256, P-384, Ed25519, or RSA from 2048 bits.
        client_key_file: String,
        /// What the provider calls that key (`kid`). Default: nothing, it has one key alone.
        client_key_id: String,
        /// What the provider is asked for; "openid" must be among them.
        scopes: At<Vec<At<String>>> = ["openid", "profile", "email"],
        /// The claim that is the person's name; `a.b` is `b` in the object `a`.
        username: At<String> = "sub",
        /// Signed in if the provider says so (`prompt=none`), else on as nobody?
        passive: At<bool> = false,
        /// Must people authenticate again for each session (`prompt=login`, `max_age=0`)?
        renew: At<bool> = false,
        /// Authentication contexts that are asked for, of which one must be told (`acr`); with none, any will do.
        acr_values: Vec<String> = [],
        /// Algorithms of ID tokens and logout tokens.
        algorithms: At<Vec<At<Algorithm>>> = ["RS256", "PS256", "ES256", "ES384", "EdDSA"],
        /// By how much the provider's clock may differ.
        leeway: Duration = "60s" in "0s"..="10m",
        /// Is the userinfo endpoint asked: "always", "never", or "auto", where the name or a role's claim is missing?
        userinfo: UseUserinfo = "auto",
        /// Does a logout at the provider end the session here, by back channel?
        single_logout: bool = true,
        /// And by a frame in the browser, for a provider without back channel? Whoever knows a `sid` can call it.
        front_channel_logout: bool = false,
        /// Is the ID token kept, sealed, so that signing out at the provider asks no question (`id_token_hint`)?
        keep_id_token: bool = true,
        /// What tokens name as issuer, where that is not `issuer`. Default: `issuer`.
        id_token_issuer: String,
        /// Are ID tokens without a nonce taken? PKCE alone binds the answer to the browser then.
        accept_missing_nonce: At<bool> = false,
        /// PEM file with further roots for https. Default: the system's roots alone.
        ca_file: String,
    }
}

/// May codes and secrets be sent there? Over https, or over http to this machine.
pub fn is_provider_url(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && url.host_str().is_some_and(is_loopback))
}

impl Checker<'_> {
    pub(in crate::config) fn oidc(&mut self, oidc: Written) -> Option<Oidc> {
        let issuer = oidc.issuer.into_given();
        let issuer_url = issuer.as_ref().and_then(|issuer| self.provider_url(issuer, "issuer"));
        let mut url = |key: Key<String>, name| key.checked(|at| self.provider_url(&at, name));
        let [authorization, token, jwks, userinfo, end_session] = [
            (oidc.authorization_endpoint, "authorization_endpoint"),
            (oidc.token_endpoint, "token_endpoint"),
            (oidc.jwks_uri, "jwks_uri"),
            (oidc.userinfo_endpoint, "userinfo_endpoint"),
            (oidc.end_session_endpoint, "end_session_endpoint"),
        ]
        .map(|(key, name)| url(key, name));
        let discovery = url(oidc.discovery, "discovery");
        let client_id = self.client_id(oidc.client_id);
        let proof = self.client_proof(client::Written {
            auth: &oidc.client_auth,
            secret: oidc.client_secret_file,
            key: oidc.client_key_file,
            id: oidc.client_key_id,
        });
        if !oidc.scopes.value.iter().any(|scope| scope.value == "openid") {
            let problem = Diagnostic::error(oidc.scopes.at, "without \"openid\" there is no ID token");
            self.report(problem.help("add \"openid\" to `scopes`"));
        }
        self.passive_or_renew(&oidc.passive, &oidc.renew);
        if oidc.username.value.is_empty() {
            let problem = Diagnostic::error(oidc.username.at, "`username` names no claim");
            self.report(problem.help("write username = \"sub\", or the claim that is meant"));
        }
        if oidc.accept_missing_nonce.value {
            let problem = Diagnostic::warning(oidc.accept_missing_nonce.at, "ID tokens without a nonce are taken");
            self.report(
                problem.help("only for a provider that never writes one: PKCE alone protects the sign-in then"),
            );
        }
        self.not_empty(&oidc.algorithms, "algorithms", "name at least one");
        let ca_file = oidc.ca_file.checked(|path| self.existing_file(&path, "ca_file"));
        let (issuer, issuer_url) = (issuer?.value, issuer_url?);
        let endpoints = Endpoints {
            authorization: authorization?,
            token: token?,
            jwks: jwks?,
            userinfo: userinfo?,
            end_session: end_session?,
        };
        let is_written_out = endpoints.authorization.is_some() && endpoints.token.is_some() && endpoints.jwks.is_some();
        let discovery = match discovery? {
            Some(discovery) => Some(discovery),
            None if is_written_out => None,
            None => Url::parse(&format!(
                "{}/.well-known/openid-configuration",
                issuer.trim_end_matches('/')
            ))
            .ok(),
        };
        let id_token_issuer = oidc.id_token_issuer.into_given().map(|other| {
            let problem = Diagnostic::warning(other.at, "tokens are taken that name another issuer");
            self.report(problem.help("only for a provider whose tokens and metadata disagree"));
            other.value
        });
        let (client_secret_file, client_key) = proof?;
        Some(Oidc {
            id_token_issuer: id_token_issuer.unwrap_or_else(|| issuer.clone()),
            issuer,
            issuer_url,
            discovery,
            endpoints,
            client_id: client_id?,
            client_secret_file,
            client_key,
            client_auth: oidc.client_auth.value,
            scopes: oidc.scopes.value.into_iter().map(|scope| scope.value).collect(),
            username: oidc.username.value,
            passive: oidc.passive.value,
            renew: oidc.renew.value,
            acr_values: oidc.acr_values,
            algorithms: oidc.algorithms.value.into_iter().map(|one| one.value).collect(),
            leeway: oidc.leeway,
            userinfo: oidc.userinfo,
            single_logout: oidc.single_logout,
            front_channel_logout: oidc.front_channel_logout,
            keep_id_token: oidc.keep_id_token,
            accept_missing_nonce: oidc.accept_missing_nonce.value,
            hands_on_access_token: false,
            outgoing: self.outgoing(ca_file?),
        })
    }

    pub(in crate::config) fn passive_or_renew(&mut self, passive: &At<bool>, renew: &At<bool>) {
        if renew.value && passive.value {
            let problem = Diagnostic::error(passive.at, "`passive` never shows a form, `renew` always does");
            self.report(problem.also(renew.at, "because of this").help("keep one of them"));
        }
    }

    /// An address of a provider, for which codes and secrets are meant.
    pub(in crate::config) fn provider_url(&mut self, written: &At<String>, key: &str) -> Option<Url> {
        let problem = |why: &str| Diagnostic::error(written.at, format!("`{key}`: {why}"));
        let refused = match Url::parse(&written.value) {
            Err(why) => problem(&why.to_string()).help("write a whole address: \"https://idp.example.edu/…\""),
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                problem("secrets are never written into this file")
            }
            Ok(url) if url.fragment().is_some() => problem("an address here has no `#` part"),
            Ok(url) if is_provider_url(&url) => return Some(url),
            Ok(url) if url.scheme() == "http" => {
                problem("secrets are not sent over http to other machines").help("use https")
            }
            Ok(_) => problem("this scheme is not supported").help("use https"),
        };
        self.report(refused);
        None
    }
}
