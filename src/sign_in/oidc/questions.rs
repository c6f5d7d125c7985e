//! What a provider is asked, and the form of its answers. An error in a body counts whatever the status is: there are servers
//! that answer 200 with it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Map, Value};
use url::Url;

use super::Oidc;
use super::error::{Failed, words};
use super::metadata::{self, Metadata};
use crate::authenticate::token::json;
use crate::authenticate::token::jws::ServerKeys;
use crate::backchannel::{BackchannelError, Reply, authority};
use crate::config::ClientAuth;

/// Longest answer of the token and userinfo endpoints that is read, in bytes.
const LONGEST: usize = 256 << 10;

const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What the token endpoint gives for a code.
pub(super) struct Tokens {
    pub(super) id_token: String,
    pub(super) access_token: Option<String>,
}

impl Oidc {
    pub(super) async fn fetch_metadata(&self) -> Result<Metadata, Failed> {
        let Some(discovery) = &self.config.discovery else {
            return Metadata::written_out(&self.config);
        };
        let fetched = self.backchannel.get(discovery, metadata::LONGEST).await;
        let fetched = fetched.map_err(Failed::fetch("metadata"))?;
        Metadata::read(&fetched.body, &self.config)
    }

    pub(super) async fn fetch_keys(&self, jwks: &Url) -> Result<ServerKeys, Failed> {
        let fetched = self.backchannel.get(jwks, metadata::LONGEST).await;
        let fetched = fetched.map_err(Failed::fetch("keys"))?;
        ServerKeys::parse(&fetched.body).map_err(|why| Failed::Answer(format!("the key set at {jwks}: {why}")))
    }

    /// Redeems a code (RFC 6749 section 4.1.3, RFC 7636 section 4.5). It is spent whatever the answer.
    pub(super) async fn tokens(
        &self,
        metadata: &Metadata,
        code: &str,
        redirect_uri: &str,
        verifier: &str,
    ) -> Result<Tokens, Failed> {
        let (headers, body) = self.token_request(code, redirect_uri, verifier);
        let exchange = self
            .backchannel
            .exchange(Method::POST, &metadata.token, headers, body, LONGEST);
        let reply = exchange.await.map_err(Failed::fetch("answer to a code"))?;
        let members = members(&reply, &metadata.token)?;
        let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
        if let Some(code) = text("error") {
            return Err(Failed::Refused {
                code: words(&code),
                description: words(&text("error_description").unwrap_or_default()),
            });
        }
        let missing =
            || Failed::Answer("the token endpoint gave no ID token: is \"openid\" allowed for this client?".to_owned());
        Ok(Tokens {
            id_token: text("id_token").ok_or_else(missing)?,
            access_token: text("access_token"),
        })
    }

    fn token_request(&self, code: &str, redirect_uri: &str, verifier: &str) -> (HeaderMap, Bytes) {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("code_verifier", verifier);
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, FORM), (ACCEPT, JSON)]);
        match (&self.secret, self.config.client_auth) {
            (Some(secret), ClientAuth::Basic) => {
                headers.extend(basic(&self.config.client_id, secret).map(|basic| (AUTHORIZATION, basic)));
            }
            (Some(secret), ClientAuth::Post) => {
                form.append_pair("client_id", &self.config.client_id)
                    .append_pair("client_secret", secret);
            }
            (None, _) => {
                form.append_pair("client_id", &self.config.client_id);
            }
        }
        (headers, form.finish().into())
    }

    /// What else the provider says of the person (OIDC Core 1.0 section 5.3). It must be the same one.
    pub(super) async fn userinfo(
        &self,
        endpoint: &Url,
        access_token: &str,
        sub: &str,
    ) -> Result<Map<String, Value>, Failed> {
        let mut bearer = HeaderValue::try_from(format!("Bearer {access_token}"))
            .map_err(|_| Failed::Answer("the access token has characters that none has".to_owned()))?;
        bearer.set_sensitive(true);
        let headers = HeaderMap::from_iter([(AUTHORIZATION, bearer), (ACCEPT, JSON)]);
        let exchange = self
            .backchannel
            .exchange(Method::GET, endpoint, headers, Bytes::new(), LONGEST);
        let reply = exchange.await.map_err(Failed::fetch("userinfo"))?;
        if reply
            .headers
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/jwt"))
        {
            let text = "userinfo is signed: let the provider answer this client in JSON, or set userinfo = \"never\"";
            return Err(Failed::Answer(text.to_owned()));
        }
        let members = members(&reply, endpoint)?;
        if !reply.status.is_success() {
            let (host, status) = (authority(endpoint), reply.status);
            return Err(Failed::fetch("userinfo")(BackchannelError::Status { host, status }));
        }
        let is_same = members
            .get("sub")
            .and_then(json::text)
            .is_some_and(|other| other == sub);
        match is_same {
            true => Ok(members),
            false => Err(Failed::Answer(
                "userinfo is of somebody else than the ID token (sub)".to_owned(),
            )),
        }
    }
}

fn members(reply: &Reply, from: &Url) -> Result<Map<String, Value>, Failed> {
    json::parse_object(&reply.body).map_err(|_| {
        let (host, status) = (authority(from), reply.status);
        match status.is_success() {
            true => Failed::Answer(format!("{host} answered without JSON")),
            false => Failed::fetch("answer")(BackchannelError::Status { host, status }),
        }
    })
}

/// RFC 6749 section 2.3.1: both parts are urlencoded first.
fn basic(client_id: &str, secret: &str) -> Option<HeaderValue> {
    let encoded = |part: &str| form_urlencoded::byte_serialize(part.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(client_id), encoded(secret));
    let mut value = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}
