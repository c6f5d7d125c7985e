//! What an OAuth 2.0 client asks, and the form of the answers. An error in a body counts whatever the status is: there are
//! servers that answer 200 with it.

use std::time::SystemTime;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Map, Value, json};
use url::Url;

use super::error::{Failed, words};
use crate::authenticate::token::json as strict;
use crate::backchannel::{Backchannel, BackchannelError, Reply, authority};
use crate::client_key::ClientKey;
use crate::config::ClientAuth;

/// Longest answer that is read, in bytes.
const LONGEST: usize = 256 << 10;

/// No server has made this one.
const UNKNOWN_CODE: &str = "OC-0-janua-check";
/// As long as RFC 7636 section 4.1 wants one to be.
const UNKNOWN_VERIFIER: &str = "janua-check-janua-check-janua-check-janua-check";

const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What the gateway is at an authorization server.
pub struct Client {
    pub id: String,
    /// Neither this nor a key: a public client.
    pub secret: Option<String>,
    pub key: Option<ClientKey>,
    pub auth: ClientAuth,
    pub backchannel: Backchannel,
}

impl Client {
    /// Redeems a code (RFC 6749 section 4.1.3, RFC 7636 section 4.5). It is spent whatever the answer, which has no `error` in
    /// it.
    pub async fn redeem(
        &self,
        endpoint: &Url,
        code: &str,
        redirect_uri: &str,
        verifier: &str,
    ) -> Result<Map<String, Value>, Failed> {
        let (headers, body) = self.token_request(endpoint, code, redirect_uri, verifier)?;
        let exchange = self
            .backchannel
            .exchange(Method::POST, endpoint, headers, body, LONGEST);
        let reply = exchange.await.map_err(Failed::fetch("answer to a code"))?;
        successful(&reply, endpoint)
    }

    /// Is there a token endpoint that knows this client? It must refuse a code that nobody made, and not for the client's sake.
    pub async fn probe(&self, endpoint: &Url, redirect_uri: &str) -> Result<(), String> {
        const OF_CLIENT: [&str; 3] = ["invalid_client", "unauthorized_client", "Unauthorized"];
        // What Spring says where there is no such endpoint.
        const OF_NOBODY: [&str; 3] = ["Not Found", "Forbidden", "Method Not Allowed"];
        match self
            .redeem(endpoint, UNKNOWN_CODE, redirect_uri, UNKNOWN_VERIFIER)
            .await
        {
            Err(Failed::Refused { code, .. }) if OF_CLIENT.contains(&&*code) => {
                let proof = match self.key {
                    Some(_) => "the key that is registered there",
                    None => "the secret",
                };
                Err(format!(
                    "{endpoint} refuses this client with {code}: look at client_id, {proof} and client_auth"
                ))
            }
            Err(Failed::Refused { code, .. }) if OF_NOBODY.contains(&&*code) => {
                Err(format!("{endpoint} is no token endpoint: it answers {code:?}"))
            }
            Err(Failed::Refused { .. }) => Ok(()),
            Err(failed) => Err(failed.to_string()),
            Ok(_) => Err(format!("{endpoint} takes a code that nobody made")),
        }
    }

    /// What its operator has to register of the key, if there is one.
    pub fn registration(&self) -> Option<String> {
        let key = self.key.as_ref()?;
        let set = json!({ "keys": [key.jwk()] });
        Some(format!(
            "to register there as the client's key set (private_key_jwt): {set}"
        ))
    }

    fn token_request(
        &self,
        endpoint: &Url,
        code: &str,
        redirect_uri: &str,
        verifier: &str,
    ) -> Result<(HeaderMap, Bytes), Failed> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("code_verifier", verifier);
        self.authenticated(endpoint, form)
    }

    fn introspection_request(&self, endpoint: &Url, token: &str) -> Result<(HeaderMap, Bytes), Failed> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("token", token)
            .append_pair("token_type_hint", "access_token");
        self.authenticated(endpoint, form)
    }

    /// A form, with what says which client this is (RFC 6749 section 2.3.1).
    fn authenticated(
        &self,
        endpoint: &Url,
        mut form: form_urlencoded::Serializer<'_, String>,
    ) -> Result<(HeaderMap, Bytes), Failed> {
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, FORM), (ACCEPT, JSON)]);
        match (&self.secret, self.auth) {
            (Some(secret), ClientAuth::Basic) => {
                headers.extend(basic(&self.id, secret).map(|basic| (AUTHORIZATION, basic)));
            }
            (Some(secret), ClientAuth::Post) => {
                form.append_pair("client_id", &self.id)
                    .append_pair("client_secret", secret);
            }
            (Some(_), ClientAuth::PrivateKeyJwt) | (None, _) => {
                form.append_pair("client_id", &self.id);
            }
        }
        if let Some(key) = &self.key {
            let fields = key.fields(&self.id, endpoint, SystemTime::now());
            form.extend_pairs(fields.map_err(|error| Failed::Answer(format!("client_key_file: {error}")))?);
        }
        Ok((headers, form.finish().into()))
    }

    /// What the server says of a token (RFC 7662 section 2.1), as it says it. An `error` in it is one.
    pub async fn introspect(&self, endpoint: &Url, token: &str) -> Result<Map<String, Value>, Failed> {
        let (headers, body) = self.introspection_request(endpoint, token)?;
        let exchange = self
            .backchannel
            .exchange(Method::POST, endpoint, headers, body, LONGEST);
        let reply = exchange.await.map_err(Failed::fetch("answer about a token"))?;
        successful(&reply, endpoint)
    }

    /// What a server says of the person whose access token this is (RFC 6750 section 2.1). A signed answer is refused.
    pub async fn about(&self, endpoint: &Url, access_token: &str) -> Result<Map<String, Value>, Failed> {
        let mut bearer = HeaderValue::try_from(format!("Bearer {access_token}"))
            .map_err(|_| Failed::Answer("the access token has characters that none has".to_owned()))?;
        bearer.set_sensitive(true);
        let headers = HeaderMap::from_iter([(AUTHORIZATION, bearer), (ACCEPT, JSON)]);
        let exchange = self
            .backchannel
            .exchange(Method::GET, endpoint, headers, Bytes::new(), LONGEST);
        let reply = exchange.await.map_err(Failed::fetch("answer about the person"))?;
        let kind = reply.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        if kind.is_some_and(|kind| kind.starts_with(b"application/jwt")) {
            let text = "userinfo is signed: let the provider answer this client in JSON, or set userinfo = \"never\"";
            return Err(Failed::Answer(text.to_owned()));
        }
        let members = members(&reply, endpoint)?;
        let error = members.get("error").and_then(Value::as_str);
        if let Some(error) = error.filter(|error| ["server_error", "temporarily_unavailable"].contains(error)) {
            return Err(Failed::Answer(format!("{} answered {error}", authority(endpoint))));
        }
        match reply.status.is_success() && !members.contains_key("error") {
            true => Ok(members),
            false => Err(status(&reply, endpoint)),
        }
    }
}

/// The answer, which has no `error` in it.
fn successful(reply: &Reply, from: &Url) -> Result<Map<String, Value>, Failed> {
    let members = members(reply, from)?;
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    match text("error") {
        Some(code) => Err(Failed::Refused {
            status: reply.status,
            code: words(code),
            description: words(text("error_description").unwrap_or_default()),
        }),
        None if reply.status.is_success() => Ok(members),
        None => Err(status(reply, from)),
    }
}

/// An answer in JSON; or in the form of a query, as servers wrote it before RFC 6749 was finished (CAS up to 5).
fn members(reply: &Reply, from: &Url) -> Result<Map<String, Value>, Failed> {
    if let Ok(members) = strict::parse_object(&reply.body) {
        return Ok(members);
    }
    let is_form = |name: &str| reply.body.starts_with(name.as_bytes());
    if is_form("access_token=") || is_form("error=") {
        let text = reply.body.trim_ascii();
        let pairs = form_urlencoded::parse(text);
        return Ok(pairs.map(|(name, value)| (name.into_owned(), value.into())).collect());
    }
    Err(match reply.status.is_success() {
        true => Failed::Answer(format!("{} answered without JSON", authority(from))),
        false => status(reply, from),
    })
}

fn status(reply: &Reply, from: &Url) -> Failed {
    let (host, status) = (authority(from), reply.status);
    Failed::fetch("answer")(BackchannelError::Status { host, status })
}

/// RFC 6749 section 2.3.1: both parts are urlencoded first.
fn basic(client_id: &str, secret: &str) -> Option<HeaderValue> {
    let encoded = |part: &str| form_urlencoded::byte_serialize(part.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(client_id), encoded(secret));
    let mut value = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn read(status: u16, body: &'static str) -> Result<Map<String, Value>, Failed> {
        let reply = Reply {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::from_static(body.as_bytes()),
        };
        members(&reply, &Url::parse("https://cas.test/oauth2.0/accessToken").unwrap())
    }

    #[test]
    fn answers_are_json_or_what_came_before_it() {
        for body in [
            r#"{"access_token":"AT-1","expires_in":28800}"#,
            "access_token=AT-1&expires=7200",
            "access_token=AT-1&expires_in=7200\n",
        ] {
            assert_eq!(read(200, body).unwrap()["access_token"], "AT-1", "{body}");
        }
        assert_eq!(read(400, "error=invalid_grant").unwrap()["error"], "invalid_grant");
        assert!(read(200, "<html>access_token=AT-1").is_err());
        assert!(read(500, "").is_err());
    }

    #[test]
    fn both_parts_of_basic_are_urlencoded() {
        let value = basic("a:b", "s c%ret").unwrap();
        assert!(value.is_sensitive());
        let text = BASE64_STANDARD.decode(&value.as_bytes()[6..]).unwrap();
        assert_eq!(text, b"a%3Ab:s+c%25ret");
    }
}
