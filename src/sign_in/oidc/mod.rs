//! Sign-in by an OpenID provider (OIDC Core 1.0, code flow with PKCE, RFC 7636): who comes back, and how a logout there is told.
//!
//! ```text
//! begin ─ metadata            complete ─ token_request ─ keys ─ id_token ─ userinfo ─ claims            logout
//! ```
//!
//! No token outlives the sign-in, but the ID token, sealed, for signing out at the provider (`keep_id_token`). Nonce and
//! verifier are made of the secret in the attempt's cookie: nothing is kept for them, and no other browser has them.

mod cached;
mod claims;
mod error;
mod id_token;
mod logout;
mod metadata;
mod questions;
#[cfg(test)]
mod testing;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::Method;
use url::Url;

use self::cached::Cached;
use self::error::{Failed, words};
use self::id_token::Expected;
use self::metadata::Metadata;
use super::{Asked, AttemptedBy, Callback, Login, Refusal, Retry, SetupError, SignOut, Unfit, is_user};
use crate::authenticate::session::{Attributes, NewSession, ProviderSession};
use crate::authenticate::token::jws::{ServerKeys, Signed, Unbelieved};
use crate::backchannel::Backchannel;
use crate::config::{self, SignIn};
use crate::digest::{hex, sha256, sha256_of_parts};
use crate::fair::Place;
use crate::key_file;
use crate::query;
use crate::rejection::{Reason, Rejection};
use crate::respond::Reply;

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

/// A sign-in by an OpenID provider.
pub struct Oidc {
    /// Its sign-in's.
    name: Arc<str>,
    config: config::Oidc,
    secret: Option<String>,
    /// The claims that roles are made of.
    attributes: Vec<String>,
    backchannel: Backchannel,
    metadata: Cached<Metadata>,
    keys: Cached<ServerKeys>,
}

impl Oidc {
    pub fn new(sign_in: &SignIn, config: &config::Oidc) -> Result<Self, SetupError> {
        let secret = config.client_secret_file.as_deref().map(key_file::password);
        Ok(Self {
            name: Arc::clone(&sign_in.name),
            config: config.clone(),
            secret: secret.transpose()?,
            attributes: sign_in.roles.iter().filter_map(|rule| rule.attribute.clone()).collect(),
            backchannel: Backchannel::new(config.ca_file.as_deref())?,
            metadata: Cached::new(),
            keys: Cached::new(),
        })
    }

    /// Where a browser authenticates (OIDC Core 1.0 section 3.1.2.1).
    pub async fn begin(&self, callback: Callback<'_>, login: Login, by: AttemptedBy<'_>) -> Result<Url, Refusal> {
        let mut url = self.metadata().await?.authorization.clone();
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(sha256(verifier(by).as_bytes()));
        let (scope, acr) = (self.config.scopes.join(" "), self.config.acr_values.join(" "));
        let further: &[(&str, &str)] = match login {
            Login::Usual => &[],
            Login::Renew => &[("prompt", "login"), ("max_age", "0")],
            Login::Passive => &[("prompt", "none")],
        };
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.config.client_id)
            .append_pair("redirect_uri", callback.url)
            .append_pair("scope", &scope)
            .append_pair("state", callback.state)
            .append_pair("nonce", &nonce(by))
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .extend_pairs(further)
            .extend_pairs((!acr.is_empty()).then_some(("acr_values", &acr)));
        Ok(url)
    }

    /// A provider may let the browser post its answer. Cookies that are `SameSite=Lax` do not come along from another site;
    /// they do with the GET that follows.
    pub fn notice(&self, asked: &Asked<'_>) -> Result<Option<Reply>, Rejection> {
        if *asked.method != Method::POST {
            return Ok(None);
        }
        let mut query = form_urlencoded::Serializer::new(String::new());
        for name in ["state", "code", "iss", "error", "error_description"] {
            query.extend_pairs(query::values(&asked.body, name).map(|value| (name, value)));
        }
        let (origin, path) = (asked.here.public.origin(), asked.path);
        Reply::redirect(&format!("{origin}{path}?{}", query.finish())).map(Some)
    }

    pub fn brings_somebody(&self, asked: &Asked<'_>) -> bool {
        asked.in_query("code").is_some_and(|code| !code.is_empty())
    }

    /// What the provider says where nobody comes back. `None`: that somebody would have to authenticate, or nothing.
    pub fn absence(&self, asked: &Asked<'_>) -> Option<Refusal> {
        const NOBODY: [&str; 4] = [
            "login_required",
            "interaction_required",
            "consent_required",
            "account_selection_required",
        ];
        let code = asked.in_query("error").filter(|code| !NOBODY.contains(&&**code))?;
        let (reason, label) = match &*code {
            "access_denied" => (Reason::SignInRefused, "denied"),
            _ => (Reason::SignInUnavailable, "provider_error"),
        };
        let description = asked.in_query("error_description").unwrap_or_default();
        let detail = format!("the provider answered {:?}: {}", words(&code), words(&description));
        Some(Refusal {
            retry: Retry::Again,
            ..(Rejection::because(reason, detail), label).into()
        })
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
        let code = self.code(asked, &metadata)?;
        let place = place.await?;
        let question = self.redeem(asked, &metadata, (&code, callback.url), by);
        asked
            .here
            .people
            .judged(asked.client, &self.name, place, question)
            .await
    }

    /// The code that comes back. There are servers that write each parameter twice; two different values are nobody's.
    fn code(&self, asked: &Asked<'_>, metadata: &Metadata) -> Result<String, Refusal> {
        let query = asked.query.unwrap_or_default().as_bytes();
        let refused = |detail: &str, label| {
            let refusal: Refusal = (Rejection::because(Reason::SignInRefused, detail), label).into();
            Refusal {
                retry: Retry::Again,
                ..refusal
            }
        };
        let one = |name: &str| {
            let mut values = query::values(query, name);
            let first = values.next();
            match values.all(|other| Some(&other) == first.as_ref()) {
                true => Ok(first),
                false => Err(refused("a parameter stands there twice, with two values", "bad_answer")),
            }
        };
        // RFC 9207 section 2.4, against an answer of another provider.
        match one("iss")? {
            Some(issuer) if *issuer == *self.config.issuer => {}
            None if !metadata.names_itself => {}
            _ => return Err(refused("iss is missing or names another issuer", "mix_up")),
        }
        if let (Some(_), Some(error)) = (one("state")?, one("error")?) {
            let detail = format!("a code beside the error {:?}", words(&error));
            return Err(refused(&detail, "bad_answer"));
        }
        let code = one("code")?.unwrap_or_default();
        Ok(code.into_owned())
    }

    async fn redeem(
        &self,
        asked: &Asked<'_>,
        metadata: &Metadata,
        (code, redirect_uri): (&str, &str),
        by: AttemptedBy<'_>,
    ) -> Result<NewSession, Failed> {
        let tokens = self.tokens(metadata, code, redirect_uri, &verifier(by)).await?;
        let signed = self.believed(asked, &tokens.id_token).await?;
        let expected = Expected {
            config: &self.config,
            nonce: &nonce(by),
            access_token: tokens.access_token.as_deref(),
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
        let userinfo = metadata
            .userinfo
            .as_ref()
            .zip(tokens.access_token.as_deref())
            .filter(|_| asks);
        if let Some((endpoint, access_token)) = userinfo {
            let told = self.userinfo(endpoint, access_token, &subject.sub).await?;
            claims::add(&mut attributes, &told).map_err(too_many)?;
            left_out = wanted.iter().find(|name| claims::is_left_out(&told, name));
        }
        let left_out = left_out.or_else(|| wanted.iter().find(|name| claims::is_left_out(&signed.claims, name)));
        if let Some(name) = left_out.filter(|name| attributes.get(name).is_empty()) {
            return Err(Failed::TooManyGroups(name.clone()));
        }
        let username = match attributes.get(&self.config.username) {
            [name] if is_user(name) => name.clone(),
            _ => return Err(Failed::NoUsername(self.config.username.clone())),
        };
        Ok(NewSession {
            subject: username,
            user: subject.sub,
            attributes,
            ticket: tokens
                .access_token
                .filter(|_| subject.sid.is_none())
                .map(|token| handle(&token)),
            provider: Some(ProviderSession {
                sid: subject.sid,
                issued: subject.issued,
            }),
            id_token: Some(tokens.id_token).filter(|_| self.config.keep_id_token),
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

    async fn metadata(&self) -> Result<Arc<Metadata>, Failed> {
        self.metadata.get(FRESH, self.fetch_metadata()).await
    }

    /// What a token says whose signature is the provider's. Keys are fetched once more for one that none verifies.
    async fn believed(&self, asked: &Asked<'_>, token: &str) -> Result<Signed, Failed> {
        let metadata = self.metadata().await?;
        let fetch = || self.fetch_keys(&metadata.jwks);
        let keys = self.keys.get(FRESH, fetch()).await?;
        let algorithms = &self.config.algorithms;
        match keys.verify(token, algorithms) {
            Err(Unbelieved::UnknownKey | Unbelieved::Signature) => {}
            known => return Ok(known?),
        }
        // Fetches are few whoever asks; who waits for one holds a place of its own address.
        let _place = asked.here.people.place_to_judge(asked.client).await;
        let keys = self.keys.newer(FRESH_FOR_NEW_KEY, fetch()).await?;
        Ok(keys.verify(token, algorithms)?)
    }

    /// The provider's metadata and keys must be there.
    pub async fn check(&self) -> Result<String, Unfit> {
        let unfit = |failed: Failed| Unfit {
            cause: match &failed {
                Failed::Fetch(_, error) => error.to_string(),
                other => other.to_string(),
            },
            text: failed.to_string(),
        };
        let metadata = self.fetch_metadata().await.map_err(unfit)?;
        let keys = self.fetch_keys(&metadata.jwks).await.map_err(unfit)?;
        let usable = keys.told(&self.config.algorithms);
        if usable.is_empty() {
            let failed = Failed::Answer(format!("no key at {} is for one of `algorithms`", metadata.jwks));
            return Err(unfit(failed));
        }
        let unknown = self
            .config
            .scopes
            .iter()
            .filter(|scope| !metadata.scopes.contains(scope));
        let unknown: Vec<&str> = unknown
            .filter(|_| !metadata.scopes.is_empty())
            .map(String::as_str)
            .collect();
        let mut told = format!("{} has metadata and keys ({})", self.config.issuer, usable.join(", "));
        if !unknown.is_empty() {
            told += &format!("; it does not tell of the scopes {}", unknown.join(", "));
        }
        if metadata.end_session.is_none() {
            told += "; it tells no end_session_endpoint: whoever signs out here stays signed in there";
        }
        Ok(told)
    }

    /// What its operator has to register.
    pub fn registration(&self, origin: &str) -> Vec<String> {
        let address = |endpoint: &str| format!("{origin}/_janua/{KIND}/{}/{endpoint}", self.name);
        let mut told = vec![format!(
            "to register at the provider, as redirect URI and as post-logout redirect URI: {}",
            address("callback")
        )];
        if self.config.single_logout {
            told.push(format!(
                "to register there for logouts: {} as back-channel logout URI (session required); where there is none, {} as \
                 front-channel logout URI",
                address(BACK_CHANNEL),
                address(FRONT_CHANNEL)
            ));
        }
        if ["preferred_username", "email", "name", "nickname", "upn"].contains(&&*self.config.username) {
            told.push(format!(
                "username = \"{}\": people may be able to change it at the provider, and to become somebody else here",
                self.config.username
            ));
        }
        told
    }
}

/// What a session is found by where the provider has no `sid`, and names its access token when it ends.
fn handle(access_token: &str) -> String {
    format!("access-token {}", hex(&sha256(access_token.as_bytes())))
}

/// RFC 7636 section 4.1: 43 letters that only the browser of the attempt, and the gateway when it comes back, can make.
fn verifier(by: AttemptedBy<'_>) -> String {
    derived(b"pkce verifier ", by)
}

/// OIDC Core 1.0 section 15.5.2: a hash of what the browser's cookie says.
fn nonce(by: AttemptedBy<'_>) -> String {
    derived(b"nonce ", by)
}

fn derived(purpose: &[u8], by: AttemptedBy<'_>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(sha256_of_parts([purpose, by.secret.as_bytes()]))
}
