//! Sign-in by an OpenID provider (OIDC Core 1.0, code flow with PKCE, RFC 7636): who comes back, and how a logout there is told.
//!
//! ```text
//! begin ─ metadata, oauth            complete ─ oauth::code ─ Client::redeem ─ believed ─ id_token ─ Client::about            logout
//! ```
//!
//! No token outlives the sign-in, but the ID token, sealed, for signing out at the provider (`keep_id_token`), and the access
//! token where a Moodle's page is shown it (`forward_bearer_token`). Nonce and verifier are made of the secret in the attempt's cookie: nothing is kept for them, and no other browser has them.

mod check;
mod id_token;
mod logout;
mod metadata;
#[cfg(test)]
mod testing;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use url::Url;

pub use self::id_token::BadToken;
use self::id_token::Expected;
use self::metadata::Metadata;
use super::oauth::{self, authorization_url, derived, verifier};
use super::{Asked, AttemptedBy, Callback, Login, Refusal, SetupError, SignOut};
use crate::authenticate::oauth::cached::Cached;
use crate::authenticate::oauth::client::Client;
use crate::authenticate::oauth::metadata::LONGEST;
use crate::authenticate::oauth::{Failed, claims, read_keys};
use crate::authenticate::session::{Attributes, NewSession, ProviderSession};
use crate::authenticate::token::json;
use crate::authenticate::token::jws::{ServerKeys, Signed, Unbelieved};
use crate::backchannel::Backchannel;
use crate::client_key::ClientKey;
use crate::config::{self, SignIn};
use crate::digest::{hex, sha256};
use crate::fair::Place;
use crate::key_file;

/// How this kind of sign-in is called in addresses.
pub const KIND: &str = "oidc";
/// `/_janua/oidc/<sign-in>/…`
pub const BACK_CHANNEL: &str = "backchannel-logout";
pub const FRONT_CHANNEL: &str = "frontchannel-logout";

/// Metadata and keys are fetched again after so long...
const FRESH: Duration = Duration::from_secs(3600);
/// ...and keys after this already, where a token needs another one.
const FRESH_FOR_NEW_KEY: Duration = Duration::from_secs(5);

/// Proxies before a provider may refuse longer addresses: nginx reads 8 KiB of a header by default.
const LONGEST_ADDRESS: usize = 4 << 10;

/// What the provider publishes.
#[derive(Default)]
struct Fetched {
    metadata: Cached<Metadata>,
    keys: Cached<ServerKeys>,
}

/// A sign-in by an OpenID provider.
pub struct Oidc {
    /// Its sign-in's.
    name: Arc<str>,
    config: config::Oidc,
    client: Client,
    /// The claims that roles are made of, and others that the configuration names.
    attributes: Vec<String>,
    fetched: Arc<Fetched>,
}

impl Oidc {
    /// `wanted`: the attributes that the configuration asks about. What `before` has fetched stays, where it is configured the
    /// same.
    pub fn new(
        sign_in: &SignIn,
        config: &config::Oidc,
        mut wanted: Vec<String>,
        before: Option<&Self>,
    ) -> Result<Self, SetupError> {
        if config.username == "email" {
            wanted.push("email_verified".to_owned());
        }
        let secret = config.client_secret_file.as_deref().map(key_file::password);
        let key = config.client_key.as_ref().map(ClientKey::load);
        Ok(Self {
            name: Arc::clone(&sign_in.name),
            config: config.clone(),
            client: Client {
                id: config.client_id.clone(),
                secret: secret.transpose()?,
                key: key.transpose()?,
                auth: config.client_auth,
                backchannel: Backchannel::new(&config.outgoing)?,
            },
            attributes: wanted,
            fetched: before
                .filter(|before| before.config == *config)
                .map_or_else(Arc::default, |before| Arc::clone(&before.fetched)),
        })
    }

    /// Where a browser authenticates (OIDC Core 1.0 section 3.1.2.1).
    pub async fn begin(&self, callback: Callback<'_>, login: Login, by: AttemptedBy<'_>) -> Result<Url, Refusal> {
        let metadata = self.metadata().await?;
        let (nonce, acr) = (nonce(by), self.config.acr_values.join(" "));
        let mut further = vec![("nonce", &*nonce)];
        match login {
            Login::Usual => {}
            Login::Renew => further.extend([("prompt", "login"), ("max_age", "0")]),
            Login::Passive => further.push(("prompt", "none")),
        }
        further.extend((!acr.is_empty()).then_some(("acr_values", &*acr)));
        let client = (self.client.id.as_str(), self.config.scopes.as_slice());
        Ok(authorization_url(
            &metadata.authorization,
            client,
            callback,
            by,
            &further,
        ))
    }

    /// The authorization endpoint, as the metadata or the configuration says.
    pub async fn authorization(&self) -> Result<Url, Refusal> {
        Ok(self.metadata().await?.authorization.clone())
    }

    /// Who comes back with a code.
    pub async fn complete(
        &self,
        asked: &Asked<'_>,
        callback: Callback<'_>,
        by: AttemptedBy<'_>,
        place: impl Future<Output = Result<Place, Refusal>>,
    ) -> Result<NewSession, Refusal> {
        let metadata = self.metadata().await?;
        let code = oauth::code(asked, Some((&self.config.issuer, metadata.names_itself)))?;
        let place = place.await?;
        let question = self.redeem(asked, &metadata, (&code, callback.url), by);
        asked
            .here
            .people
            .judged(asked.client, &self.name, place, question)
            .await
    }

    async fn redeem(
        &self,
        asked: &Asked<'_>,
        metadata: &Metadata,
        (code, redirect_uri): (&str, &str),
        by: AttemptedBy<'_>,
    ) -> Result<NewSession, Failed> {
        let answer = self
            .client
            .redeem(&metadata.token, code, redirect_uri, &verifier(by))
            .await?;
        let token = |name: &str| answer.get(name).and_then(Value::as_str);
        let id_token = token("id_token").ok_or_else(|| {
            let text = "the token endpoint gave no ID token: is \"openid\" allowed for this client?";
            Failed::Answer(text.to_owned())
        })?;
        let access_token = token("access_token");
        let signed = self.believed(id_token).await?;
        let expected = Expected {
            config: &self.config,
            nonce: &nonce(by),
            access_token,
            began: by.began,
            now: asked.here.now,
        };
        let subject = id_token::subject(&signed, &expected)?;
        let mut attributes = Attributes::default();
        let too_many = |_| Failed::Answer("the sign-in server tells more of this person than is kept".to_owned());
        claims::add(&mut attributes, &signed.claims).map_err(too_many)?;
        let (mut left_out, wanted) = (None, &self.attributes);
        let is_whole = wanted
            .iter()
            .chain([&self.config.username])
            .all(|name| !attributes.get(name).is_empty());
        let asks = match self.config.userinfo {
            config::UseUserinfo::Always => true,
            config::UseUserinfo::Auto => !is_whole,
            config::UseUserinfo::Never => false,
        };
        let userinfo = metadata.userinfo.as_ref().zip(access_token).filter(|_| asks);
        if let Some((endpoint, access_token)) = userinfo {
            let told = self.client.about(endpoint, access_token).await?;
            // OIDC Core 1.0 section 5.3.2.
            if told.get("sub").and_then(json::text).as_ref() != Some(&subject.sub) {
                let text = "userinfo is of somebody else than the ID token (sub)";
                return Err(Failed::Answer(text.to_owned()));
            }
            claims::add(&mut attributes, &told).map_err(too_many)?;
            left_out = wanted.iter().find(|name| claims::is_left_out(&told, name));
        }
        // Whoever may write any address there becomes anybody.
        let confirmed = attributes.get("email_verified");
        if self.config.username == "email" && confirmed.iter().any(|told| told != "true") {
            return Err(Failed::NoUsername("email (its owner has not confirmed it)".to_owned()));
        }
        let left_out = left_out.or_else(|| wanted.iter().find(|name| claims::is_left_out(&signed.claims, name)));
        if let Some(name) = left_out.filter(|name| attributes.get(name).is_empty()) {
            return Err(Failed::TooManyGroups(name.clone()));
        }
        Ok(NewSession {
            subject: claims::username(&attributes, &self.config.username)?,
            user: subject.sub,
            attributes,
            ticket: access_token.filter(|_| subject.sid.is_none()).map(handle),
            provider: Some(ProviderSession {
                sid: subject.sid,
                issued: subject.issued,
            }),
            id_token: self.config.keep_id_token.then(|| id_token.to_owned()),
            once: match self.config.hands_on_access_token {
                true => oauth::told_once(&answer),
                false => Attributes::default(),
            },
        })
    }

    /// Where a browser signs out, too (OIDC RP-Initiated Logout 1.0 section 2).
    pub async fn sign_out(&self, callback: Option<Callback<'_>>, id_token: Option<String>) -> SignOut {
        let metadata = self.metadata().await.ok();
        let Some(action) = metadata.and_then(|metadata| metadata.end_session.clone()) else {
            return SignOut::Nowhere;
        };
        let mut fields = vec![("client_id", self.config.client_id.clone())];
        fields.extend(id_token.map(|id_token| ("id_token_hint", id_token)));
        if let Some(callback) = callback {
            fields.push(("post_logout_redirect_uri", callback.url.to_owned()));
            fields.push(("state", callback.state.to_owned()));
        }
        let mut url = action.clone();
        url.query_pairs_mut().extend_pairs(&fields);
        match url.as_str().len() > LONGEST_ADDRESS {
            true => SignOut::Form { action, fields },
            false => SignOut::At(url),
        }
    }

    async fn fetch_metadata(&self) -> Result<Metadata, Failed> {
        let Some(discovery) = &self.config.discovery else {
            return Metadata::written_out(&self.config);
        };
        let fetched = self.client.backchannel.get(discovery, LONGEST).await;
        let fetched = fetched.map_err(Failed::fetch("metadata"))?;
        Metadata::read(&fetched.body, &self.config)
    }

    async fn fetch_keys(&self, jwks: &Url) -> Result<ServerKeys, Failed> {
        let fetched = self.client.backchannel.get(jwks, LONGEST).await;
        let fetched = fetched.map_err(Failed::fetch("keys"))?;
        read_keys(&fetched.body, jwks)
    }

    async fn metadata(&self) -> Result<Arc<Metadata>, Failed> {
        self.fetched.metadata.get(FRESH, self.fetch_metadata()).await
    }

    /// What a token says whose signature is the provider's. Keys are fetched once more for one that none verifies.
    async fn believed(&self, token: &str) -> Result<Signed, Failed> {
        let metadata = self.metadata().await?;
        let fetch = || self.fetch_keys(&metadata.jwks);
        let keys = self.fetched.keys.get(FRESH, fetch()).await?;
        let algorithms = &self.config.algorithms;
        match keys.verify(token, algorithms) {
            Err(Unbelieved::UnknownKey | Unbelieved::Signature) => {}
            known => return Ok(known?),
        }
        let keys = self.fetched.keys.newer(FRESH_FOR_NEW_KEY, fetch()).await?;
        Ok(keys.verify(token, algorithms)?)
    }
}

/// What a session is found by where the provider has no `sid`, and names its access token when it ends.
fn handle(access_token: &str) -> String {
    format!("access-token {}", hex(&sha256(access_token.as_bytes())))
}

/// OIDC Core 1.0 section 15.5.2: a hash of what the browser's cookie says.
fn nonce(by: AttemptedBy<'_>) -> String {
    derived(b"nonce ", by)
}
