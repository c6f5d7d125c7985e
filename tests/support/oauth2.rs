//! A CAS server as an OAuth 2.0 server, as those of different ages answer: 7.2 as it was recorded (FLAT and NESTED profiles), 4 and 5
//! as their clients of that time read them. It is strict about the client, the redirect URI, PKCE, and codes that are
//! good for once.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use url::Url;

use super::double::Double;
use super::http::values;
use super::secrets::{self, Kind};
use super::tokens::base64url;

/// As what a gateway is registered.
pub const CLIENT: &str = "janua";
pub const SECRET: &str = "s3cret of+janua";

/// How a server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// Answers in text; attributes are a list of objects with one member each.
    Cas4,
    /// Answers in text; errors of the profile are lists in JSON.
    Cas5,
    Cas7Flat,
    /// Its default.
    Cas7Nested,
}

pub struct CasOAuth {
    double: Double,
    shared: Arc<Shared>,
}

struct Shared {
    age: Age,
    /// Codes: who, redirect URI, challenge. They go when they are asked about.
    codes: Mutex<HashMap<String, (String, String, String)>>,
    /// Whose each access token is, and the client that it was made for.
    tokens: Mutex<HashMap<String, (String, &'static str)>>,
    /// Access tokens are said to be made for this one.
    client: Mutex<&'static str>,
}

impl CasOAuth {
    pub fn start(age: Age) -> Self {
        secrets::register(Kind::Token, SECRET);
        let shared = Arc::new(Shared {
            age,
            codes: Mutex::default(),
            tokens: Mutex::default(),
            client: Mutex::new(CLIENT),
        });
        let served = Arc::clone(&shared);
        let double = Double::start(move |mut wire| {
            while let Ok((line, headers)) = wire.head() {
                let Ok((body, _)) = wire.body(&headers, false) else {
                    return;
                };
                let (status, kind, text) = served.answer(&line, &values(&headers, "authorization"), &body);
                let head = format!(
                    "HTTP/1.1 {status} So\r\nWWW-Authenticate: Basic realm=\"authentication required\"\r\n\
                     Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
                    text.len()
                );
                if wire.stream.write_all(format!("{head}{text}").as_bytes()).is_err() {
                    return;
                }
            }
        });
        Self { double, shared }
    }

    /// `[sign_in.<name>.oauth2]` knows it by this.
    pub fn server(&self) -> String {
        format!("http://{}/cas", self.double.address)
    }

    /// Tokens from now on are another client's.
    pub fn serve_client(&self, client: &'static str) {
        *self.shared.client.lock().unwrap() = client;
    }

    /// Where a browser is sent back to that comes by this address and is signed in as `who`. Each parameter stands twice, as
    /// Apereo's servers have it where nobody is signed in.
    pub fn authorize(&self, to: &str, who: Option<&str>) -> Url {
        assert!(
            to.starts_with(&format!("{}/oauth2.0/authorize?", self.server())),
            "{to}"
        );
        let url: Url = to.parse().unwrap();
        let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
        let said = |name: &str| asked.get(name).unwrap_or_else(|| panic!("no {name} in {to}")).clone();
        assert_eq!((&*said("response_type"), &*said("client_id")), ("code", CLIENT));
        let mut back: Url = said("redirect_uri").parse().unwrap();
        let state = said("state");
        match who {
            Some(who) => {
                let code = secret("OC-1");
                secrets::register(Kind::Ticket, &code);
                let challenge = said("code_challenge");
                assert_eq!((challenge.len(), &*said("code_challenge_method")), (43, "S256"));
                let grant = (who.to_owned(), said("redirect_uri"), challenge);
                self.shared.codes.lock().unwrap().insert(code.clone(), grant);
                back.query_pairs_mut()
                    .append_pair("code", &code)
                    .append_pair("state", &state)
                    .append_pair("nonce", "");
            }
            None => {
                assert_eq!(said("prompt"), "none", "anybody else sees the form");
                for _ in 0..2 {
                    back.query_pairs_mut()
                        .append_pair("error", "login_required")
                        .append_pair("state", &state);
                }
            }
        }
        back
    }
}

type Answer = (u16, &'static str, String);

impl Shared {
    fn answer(&self, line: &str, authorization: &[&str], body: &[u8]) -> Answer {
        let target = line.split(' ').nth(1).unwrap_or_default();
        match (line.split(' ').next(), target) {
            (Some("POST"), "/cas/oauth2.0/accessToken") => self.token(authorization, body),
            (Some("GET"), "/cas/oauth2.0/profile") => self.profile(authorization),
            _ => (404, "text/html", "<p>not here".to_owned()),
        }
    }

    fn token(&self, authorization: &[&str], body: &[u8]) -> Answer {
        let form: HashMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
        let said = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let basic = authorization.first().and_then(|value| value.strip_prefix("Basic "));
        let basic = basic.map(|pair| String::from_utf8(STANDARD.decode(pair).unwrap()).unwrap());
        let known = match &basic {
            Some(pair) => pair == "janua:s3cret+of%2Bjanua",
            None => (said("client_id"), said("client_secret")) == (CLIENT, SECRET),
        };
        let unauthorized = json!({ "timestamp": "2026-11-29T02:12:13.915+00:00", "status": 401, "error": "Unauthorized",
                                   "message": "No message available", "path": "/cas/oauth2.0/accessToken" });
        if !known {
            return (401, "application/json;charset=UTF-8", unauthorized.to_string());
        }
        let grant = self.codes.lock().unwrap().remove(said("code"));
        let Some((who, redirect_uri, challenge)) = grant.filter(|(_, uri, _)| uri == said("redirect_uri")) else {
            return match self.age {
                Age::Cas4 | Age::Cas5 => (400, "text/plain", "error=invalid_grant".to_owned()),
                _ => (
                    400,
                    "application/json;charset=UTF-8",
                    json!({ "error": "invalid_grant" }).to_string(),
                ),
            };
        };
        assert_eq!(redirect_uri, said("redirect_uri"));
        let verifier = digest(&SHA256, said("code_verifier").as_bytes());
        if base64url(verifier) != challenge {
            return (401, "application/json;charset=UTF-8", unauthorized.to_string());
        }
        let token = secret("AT-1");
        secrets::register(Kind::Token, &token);
        let client = *self.client.lock().unwrap();
        self.tokens.lock().unwrap().insert(token.clone(), (who, client));
        match self.age {
            Age::Cas4 => (200, "text/plain", format!("access_token={token}&expires=7200")),
            Age::Cas5 => (200, "text/plain", format!("access_token={token}&expires_in=28800")),
            _ => (
                200,
                "application/json;charset=UTF-8",
                json!({ "access_token": token, "token_type": "Bearer", "expires_in": 28800 }).to_string(),
            ),
        }
    }

    fn profile(&self, authorization: &[&str]) -> Answer {
        let token = authorization.first().and_then(|value| value.strip_prefix("Bearer "));
        let tokens = self.tokens.lock().unwrap();
        let Some((who, client)) = token.and_then(|token| tokens.get(token)) else {
            let error = match self.age {
                Age::Cas4 | Age::Cas5 => json!({ "error": ["expired_accessToken"] }),
                _ => json!({ "error": "expired_accessToken" }),
            };
            return (401, "application/json;charset=UTF-8", error.to_string());
        };
        let body = match self.age {
            Age::Cas4 => {
                json!({ "id": who, "attributes": [{ "mail": "a@example.edu" }, { "memberOf": ["staff", "all"] }] })
            }
            Age::Cas5 => json!({ "id": who, "attributes": { "mail": "a@example.edu", "memberOf": ["staff", "all"] } }),
            Age::Cas7Nested => {
                json!({ "service": "x", "attributes": of_person(client), "id": who, "client_id": client })
            }
            Age::Cas7Flat => {
                let mut flat = of_person(client);
                flat["id"] = json!(who);
                flat
            }
        };
        (200, "application/json;charset=UTF-8", body.to_string())
    }
}

fn secret(kind: &str) -> String {
    let mut bytes = [0; 18];
    SystemRandom::new().fill(&mut bytes).unwrap();
    format!("{kind}-{}", base64url(bytes))
}

/// The person's attributes, and what 7.2 mixes into them.
fn of_person(client: &str) -> Value {
    json!({
        "mail": ["c.user@example.edu", "casuser@example.edu"], "oauthClientId": client, "client_id": client,
        "eduPersonAffiliation": ["member", "student"], "memberOf": ["staff", "all"], "scope": [], "state": "xyz-1",
        "clientIpAddress": "127.0.0.1", "userAgent": "probe", "isFromNewLogin": true, "nonce": "Oz583JPujjAD",
        "credentialType": "UsernamePasswordCredential", "uid": "casuser", "stateless": false,
    })
}
