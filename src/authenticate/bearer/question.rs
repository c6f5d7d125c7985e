//! What a server is asked about a token: its introspection endpoint (RFC 7662), or what tells of the token's person.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value};
use url::Url;

use super::SetupError;
use crate::authenticate::oauth::Failed;
use crate::authenticate::oauth::client::Client;
use crate::backchannel::{Backchannel, BackchannelError};
use crate::client_key::ClientKey;
use crate::config::ClientAuth;
use crate::config::bearer::{BearerProfile, Introspection};
use crate::key_file;

/// No server has made this one.
const UNKNOWN_TOKEN: &str = "AT-0-janua-check";

/// A server that is asked about each token.
pub(super) struct Question {
    client: Client,
    endpoint: Url,
    kind: Kind,
    /// How long an answer holds, and how long it holds on while the server is away.
    pub(super) cache: Duration,
    pub(super) serve_stale: Duration,
    /// What answers must name where they name an issuer.
    pub(super) issuer: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Introspection,
    Profile,
}

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Failure {
    /// The server cannot be reached, whatever is asked.
    #[error("{0}")]
    Away(String),
    /// It was reached, and this question had no answer in time.
    #[error("{0}")]
    Unanswered(String),
    #[error("{0}")]
    Odd(String),
}

impl Question {
    pub(super) fn introspection(config: &Introspection) -> Result<Self, SetupError> {
        let secret = config.client_secret_file.as_deref().map(key_file::password);
        let key = config.client_key.as_ref().map(ClientKey::load);
        Ok(Self {
            client: Client {
                id: config.client_id.clone(),
                secret: secret.transpose()?,
                key: key.transpose()?,
                auth: config.client_auth,
                backchannel: Backchannel::for_questions(&config.outgoing)?,
            },
            endpoint: config.endpoint.clone(),
            kind: Kind::Introspection,
            cache: config.cache,
            serve_stale: config.serve_stale,
            issuer: config.issuer.clone(),
        })
    }

    pub(super) fn profile(config: &BearerProfile) -> Result<Self, SetupError> {
        Ok(Self {
            client: Client {
                id: String::new(),
                secret: None,
                key: None,
                auth: ClientAuth::Basic,
                backchannel: Backchannel::for_questions(&config.outgoing)?,
            },
            endpoint: config.endpoint.clone(),
            kind: Kind::Profile,
            cache: config.cache,
            serve_stale: config.serve_stale,
            issuer: None,
        })
    }

    /// What the server says of the token; `None`: it is not active.
    pub(super) async fn ask(&self, token: &str) -> Result<Option<Map<String, Value>>, Failure> {
        match self.kind {
            Kind::Introspection => introspected(self.client.introspect(&self.endpoint, token).await),
            Kind::Profile => told(self.client.about(&self.endpoint, token).await),
        }
    }

    /// Must be told apart from a good one: a token that nobody made.
    pub(super) async fn check(&self) -> Result<String, Failure> {
        let endpoint = &self.endpoint;
        let answer = match self.kind {
            Kind::Introspection => match self.client.introspect(endpoint, UNKNOWN_TOKEN).await {
                // A server that says so of everything knows no token at all.
                Err(Failed::Refused { status, code, .. }) if code == "invalid_request" => {
                    return Err(Failure::Odd(of_error(status, &code)));
                }
                answer => introspected(answer)?,
            },
            Kind::Profile => self.ask(UNKNOWN_TOKEN).await?,
        };
        match answer {
            None => Ok(format!("{endpoint} refuses a made-up token, as it must")),
            Some(_) => Err(Failure::Odd(format!(
                "{endpoint} takes a token that nobody made: is it the right address?"
            ))),
        }
    }

    pub(super) fn registration(&self) -> Option<String> {
        self.client.registration()
    }

    /// Does the server know refresh tokens, too, and call them active? Then it must say what a token is.
    pub(super) fn knows_other_kinds(&self) -> bool {
        self.kind == Kind::Introspection
    }

    pub(super) fn endpoint(&self) -> &Url {
        &self.endpoint
    }
}

/// RFC 7662 section 2.2: a token that is none is no error.
fn introspected(answer: Result<Map<String, Value>, Failed>) -> Result<Option<Map<String, Value>>, Failure> {
    let members = match answer {
        Ok(members) => members,
        // So says panva's oidc-provider of a JWT, which it never takes back.
        Err(Failed::Refused { code, .. }) if code == "unsupported_token_type" => return Ok(None),
        // And others of what is no token of theirs: who brings such has to pay for it.
        Err(Failed::Refused { status, code, .. })
            if status == StatusCode::BAD_REQUEST && ["invalid_request", "invalid_token"].contains(&&*code) =>
        {
            return Ok(None);
        }
        Err(Failed::Refused { status, code, .. }) => return Err(Failure::Odd(of_error(status, &code))),
        Err(failed) => return Err(failure(failed)),
    };
    match members.get("active") {
        Some(Value::Bool(true)) => Ok(Some(members)),
        Some(Value::Bool(false)) => Ok(None),
        _ => Err(Failure::Odd(
            "the answer has no `active`: is this an introspection endpoint?".to_owned(),
        )),
    }
}

/// The description is left out, and what is no code: the token may stand in it.
fn of_error(status: StatusCode, code: &str) -> String {
    const LONGEST: usize = 40;
    let is_code = code.len() <= LONGEST && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let code = if is_code { code } else { "an error" };
    if [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED].contains(&status) {
        return format!(
            "the server answers {}: is `endpoint` the address of its introspection?",
            status.as_u16()
        );
    }
    match code {
        "server_error" | "temporarily_unavailable" => format!("the server answers {code}"),
        code => format!("the server refuses this client with {code}: look at client_id, the secret and client_auth"),
    }
}

/// A person is told of, or the token is refused (RFC 6750 section 3.1; Apereo's servers say 401, older ones 400).
/// There are servers that say 200, and the error in the body: it is not one of the server's own, which is no status.
fn told(answer: Result<Map<String, Value>, Failed>) -> Result<Option<Map<String, Value>>, Failure> {
    match answer {
        Ok(members) => Ok(Some(members)),
        Err(Failed::Fetch(_, error)) if matches!(&*error, BackchannelError::Status { status, .. } if status.is_success() || [400, 401, 403].contains(&status.as_u16())) => {
            Ok(None)
        }
        Err(failed) => Err(failure(failed)),
    }
}

fn failure(failed: Failed) -> Failure {
    let text = failed.to_string();
    match failed {
        Failed::Fetch(_, error) if error.is_unreachable() => Failure::Away(text),
        Failed::Fetch(_, error) if matches!(&*error, BackchannelError::Timeout { .. }) => Failure::Unanswered(text),
        _ => Failure::Odd(text),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn members(value: Value) -> Result<Map<String, Value>, Failed> {
        Ok(value.as_object().unwrap().clone())
    }

    fn status(status: u16) -> Failed {
        Failed::Fetch(
            "answer",
            Arc::new(BackchannelError::Status {
                host: "cas.test".to_owned(),
                status: StatusCode::from_u16(status).unwrap(),
            }),
        )
    }

    #[test]
    fn only_an_answer_that_says_active_is_one() {
        assert!(
            introspected(members(json!({ "active": true, "sub": "anna" })))
                .unwrap()
                .is_some()
        );
        assert!(
            introspected(members(json!({ "active": false, "scope": "CAS", "cnf": {} })))
                .unwrap()
                .is_none()
        );
        for odd in [
            json!({}),
            json!({ "active": "true" }),
            json!({ "active": 1 }),
            json!({ "active": null }),
        ] {
            assert!(matches!(introspected(members(odd)), Err(Failure::Odd(_))));
        }
        let by_status = |status: u16, code: &str| Failed::Refused {
            status: StatusCode::from_u16(status).unwrap(),
            code: code.to_owned(),
            description: String::new(),
        };
        let refused = |code: &str| by_status(400, code);
        for code in ["invalid_request", "invalid_token"] {
            assert!(introspected(Err(by_status(400, code))).unwrap().is_none(), "{code}");
            let of_client = introspected(Err(by_status(401, code)));
            assert!(matches!(of_client, Err(Failure::Odd(_))), "{code}");
        }
        assert!(introspected(Err(refused("unsupported_token_type"))).unwrap().is_none());
        for code in ["invalid_client", "unauthorized_client", "server_error"] {
            assert!(
                matches!(introspected(Err(refused(code))), Err(Failure::Odd(_))),
                "{code}"
            );
        }
        assert!(matches!(introspected(Err(status(503))), Err(Failure::Odd(_))));
        assert!(matches!(introspected(Err(status(401))), Err(Failure::Odd(_))));
    }

    #[test]
    fn what_a_server_says_of_its_error_may_hold_the_token() {
        let of_error = |code| of_error(StatusCode::BAD_REQUEST, code);
        assert!(of_error("invalid_client").contains("invalid_client: look at client_id"));
        assert_eq!(of_error("server_error"), "the server answers server_error");
        assert!(!of_error("no AT-1-Lm6hxu993HPA8XUL here").contains("AT-1"));
        assert!(super::of_error(StatusCode::NOT_FOUND, "Not Found").contains("`endpoint`"));
    }

    #[test]
    fn a_profile_refuses_by_its_status() {
        for refused in [200, 400, 401, 403] {
            assert!(told(Err(status(refused))).unwrap().is_none(), "{refused}");
        }
        for odd in [302, 404, 429, 500, 503] {
            assert!(matches!(told(Err(status(odd))), Err(Failure::Odd(_))), "{odd}");
        }
        assert!(told(members(json!({ "id": "anna" }))).unwrap().is_some());
        let away = |error| told(Err(Failed::Fetch("answer", Arc::new(error))));
        let host = || "cas.test".to_owned();
        assert!(matches!(
            away(BackchannelError::Refused { host: host() }),
            Err(Failure::Away(_))
        ));
        let limit = Duration::from_secs(5);
        assert!(matches!(
            away(BackchannelError::Timeout { host: host(), limit }),
            Err(Failure::Unanswered(_))
        ));
    }
}
