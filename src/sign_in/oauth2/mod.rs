//! Sign-in by an OAuth 2.0 server that has no OpenID Connect: CAS from 4 on, and others with an address that tells of the person
//! whose access token it is shown. The token is dropped then, but where a Moodle's page is shown it. Nobody tells of a logout at the server.

use std::sync::Arc;

use serde_json::{Value, json};
use url::Url;

use super::oauth::{self, authorization_url, verifier};
use super::{Asked, AttemptedBy, Callback, Login, Refusal, SetupError, SignOut, Unfit, register};
use crate::authenticate::oauth::client::Client;
use crate::authenticate::oauth::{Failed, claims};
use crate::authenticate::session::{Attributes, NewSession};
use crate::backchannel::Backchannel;
use crate::client_key::ClientKey;
use crate::config;
use crate::fair::Place;
use crate::key_file;

/// How this kind of sign-in is called in addresses.
pub const KIND: &str = "oauth2";

/// Where Apereo's servers name the client for which the token was made: since 6, and since 7.
const CLIENT: [&str; 2] = ["oauthClientId", "client_id"];

/// A sign-in by an OAuth 2.0 server.
pub struct OAuth2 {
    /// Its sign-in's.
    name: Arc<str>,
    config: config::OAuth2,
    client: Client,
}

impl OAuth2 {
    pub fn new(name: &Arc<str>, config: &config::OAuth2) -> Result<Self, SetupError> {
        let secret = config.client_secret_file.as_deref().map(key_file::password);
        let key = config.client_key.as_ref().map(ClientKey::load);
        Ok(Self {
            name: Arc::clone(name),
            config: config.clone(),
            client: Client {
                id: config.client_id.clone(),
                secret: secret.transpose()?,
                key: key.transpose()?,
                auth: config.client_auth,
                backchannel: Backchannel::new(&config.outgoing)?,
            },
        })
    }

    /// Where a browser authenticates. `prompt` is OpenID Connect's; Apereo's servers take it here, too.
    pub fn begin(&self, callback: Callback<'_>, login: Login, by: AttemptedBy<'_>) -> Url {
        let further: &[(&str, &str)] = match login {
            Login::Usual => &[],
            Login::Renew => &[("prompt", "login")],
            Login::Passive => &[("prompt", "none")],
        };
        let client = (self.client.id.as_str(), self.config.scopes.as_slice());
        authorization_url(&self.config.authorization, client, callback, by, further)
    }

    pub fn authorization(&self) -> Url {
        self.config.authorization.clone()
    }

    /// Who comes back with a code.
    pub async fn complete(
        &self,
        asked: &Asked<'_>,
        callback: Callback<'_>,
        by: AttemptedBy<'_>,
        place: impl Future<Output = Result<Place, Refusal>>,
    ) -> Result<NewSession, Refusal> {
        let code = oauth::code(asked, None)?;
        let place = place.await?;
        let question = self.redeem(&code, callback.url, by);
        asked
            .here
            .people
            .judged(asked.client, &self.name, place, question)
            .await
    }

    async fn redeem(&self, code: &str, redirect_uri: &str, by: AttemptedBy<'_>) -> Result<NewSession, Failed> {
        let answer = self
            .client
            .redeem(&self.config.token, code, redirect_uri, &verifier(by))
            .await?;
        let access_token = answer.get("access_token").and_then(Value::as_str);
        let access_token =
            access_token.ok_or_else(|| Failed::Answer("the token endpoint gave no access token".to_owned()))?;
        let profile = self.client.about(&self.config.profile, access_token).await?;
        let mut attributes = Attributes::default();
        claims::add(&mut attributes, &profile)
            .map_err(|_| Failed::Answer("the sign-in server tells more of this person than is kept".to_owned()))?;
        let is_other = |name: &&str| {
            let named = attributes.get(name);
            !named.is_empty() && named != [self.client.id.as_str()]
        };
        if CLIENT.iter().any(is_other) {
            return Err(Failed::ForeignClient);
        }
        let subject = claims::username(&attributes, &self.config.username)?;
        Ok(NewSession {
            user: subject.clone(),
            subject,
            attributes,
            ticket: None,
            provider: None,
            id_token: None,
            once: match self.config.hands_on_access_token {
                true => oauth::told_once(&answer),
                false => Attributes::default(),
            },
        })
    }

    /// Where a browser signs out, too. It stays there: Apereo's servers come back to services of CAS alone, and show an error
    /// where another address is asked for (403, 7.2).
    pub fn sign_out(&self) -> SignOut {
        self.config.end_session.clone().map_or(SignOut::Nowhere, SignOut::At)
    }

    /// The server must refuse a code that nobody made.
    pub async fn check(&self, callback: &str) -> Result<String, Unfit> {
        let probed = self.client.probe(&self.config.token, callback).await;
        probed.map_err(|text| Unfit {
            cause: text.clone(),
            text,
        })?;
        Ok(format!("{} refuses a made-up code, as it must", self.config.token))
    }

    /// What its operator has to register.
    pub fn registration(&self, origin: &str) -> Vec<String> {
        let callback = format!("{origin}/_janua/{KIND}/{}/callback", self.name);
        let mut told = vec![
            format!("to register at the server as redirect URI: {callback}"),
            "nobody tells of a logout at this server: sessions here end by `session` alone; oidc is told of it"
                .to_owned(),
        ];
        let of_cas = self.config.token.path().contains("/oauth2.0/").then(|| {
            register::apereo(
                "support.oauth.services.OAuthRegisteredService",
                "Janua by OAuth 2.0",
                &callback,
                json!({
                    "clientId": self.config.client_id,
                    "clientSecret": "…",
                    "supportedGrantTypes": ["java.util.HashSet", ["authorization_code"]],
                    "supportedResponseTypes": ["java.util.HashSet", ["code"]],
                    "bypassApprovalPrompt": true,
                }),
            )
        });
        told.extend(of_cas);
        told.extend(self.client.registration());
        told
    }
}
