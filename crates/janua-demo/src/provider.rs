//! The OpenID provider of the demo (OpenID Connect Core 1.0, code flow): codes for two public clients, which must prove
//! themselves by PKCE (RFC 7636): the gateway, which gets ID tokens, and a back end, which gets access tokens for the gateway
//! as well (RFC 9068), or for what it names as `resource` (RFC 8707). The key ends with the demo.

use std::net::SocketAddr;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::SET_COOKIE;
use http::{Request, Response, StatusCode};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use p256::SecretKey;
use p256::pkcs8::EncodePrivateKey;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::DemoError;
use super::form::SignedIn;
use super::kept::Kept;
use super::loopback::{PLAIN, parameter, redirect, text};
use super::people::Person;

const STYLE: &str = include_str!("../../../assets/demo/campus.css");
/// The gateway as a client.
const CLIENT: &str = "janua-demo";
/// A back end that calls through the gateway.
const BACK_END: &str = "campus-app";
/// Seconds that a token counts.
const LIFETIME: u64 = 300;

/// What a code stands for. Good once.
#[derive(Clone)]
struct Code {
    person: &'static Person,
    client: &'static str,
    /// What an access token is meant for.
    audience: String,
    redirect_uri: String,
    challenge: String,
    nonce: Option<String>,
}

pub(super) struct Provider {
    issuer: String,
    /// What addresses of the gateway begin with,
    client: String,
    /// and those of the back end.
    back_end: String,
    key: EncodingKey,
    jwks: Value,
    codes: Kept<Code>,
    signed_in: SignedIn,
}

impl Provider {
    /// `origin` is where browsers meet it. Error: there is no key.
    pub(super) fn new(origin: &str, gateway: SocketAddr, back_end: &str) -> Result<Self, DemoError> {
        let (key, jwks) = new_key().ok_or(DemoError::Key)?;
        Ok(Self {
            issuer: format!("{origin}/openid"),
            client: format!("http://{gateway}/"),
            back_end: format!("{back_end}/"),
            key,
            jwks,
            codes: Kept::new(),
            signed_in: SignedIn {
                server: "OpenID provider",
                cookie: "OPENID_SESSION",
                path: "/openid",
                prefix: "",
                sessions: Kept::new(),
            },
        })
    }

    fn metadata(&self) -> Value {
        let below = |path: &str| format!("{}/{path}", self.issuer);
        json!({
            "issuer": self.issuer, "authorization_endpoint": below("authorize"), "token_endpoint": below("token"),
            "jwks_uri": below("jwks"), "end_session_endpoint": below("logout"), "response_types_supported": ["code"],
            "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["ES256"],
            "scopes_supported": ["openid", "profile"], "token_endpoint_auth_methods_supported": ["none"],
            "code_challenge_methods_supported": ["S256"], "authorization_response_iss_parameter_supported": true,
        })
    }

    fn authorize(&self, request: &Request<Bytes>) -> Response<String> {
        let asked = |name: &str| parameter(request, name);
        let client = match asked("client_id").as_deref() {
            Some(CLIENT) => Some((CLIENT, &self.client)),
            Some(BACK_END) => Some((BACK_END, &self.back_end)),
            _ => None,
        };
        let redirect_uri = asked("redirect_uri").unwrap_or_default();
        let Some((client, leads_to)) = client.filter(|(_, origin)| redirect_uri.starts_with(origin.as_str())) else {
            let told = "The OpenID provider of janua demo signs people in for janua demo only.\n";
            return text(StatusCode::FORBIDDEN, PLAIN, told);
        };
        let state = asked("state").unwrap_or_default();
        let back = |answer: (&str, &str)| {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.extend_pairs([answer, ("state", &state), ("iss", &self.issuer)]);
            redirect(&format!("{redirect_uri}?{}", query.finish()))
        };
        let (Some(challenge), Some("S256")) = (asked("code_challenge"), asked("code_challenge_method").as_deref())
        else {
            return back(("error", "invalid_request"));
        };
        let prompt = asked("prompt").unwrap_or_default();
        let by_form = self.signed_in.by_form(request);
        let by_cookie = || self.signed_in.by_cookie(request).filter(|_| prompt != "login");
        let Some(person) = by_form.as_ref().map(|(person, ..)| *person).or_else(by_cookie) else {
            return match prompt.as_str() {
                "none" => back(("error", "login_required")),
                _ => self.signed_in.form(leads_to),
            };
        };
        let gateway = self.client.trim_end_matches('/').to_owned();
        let code = Code {
            person,
            client,
            audience: asked("resource").unwrap_or(gateway),
            challenge,
            nonce: asked("nonce"),
            redirect_uri: redirect_uri.clone(),
        };
        let mut answer = back(("code", &self.codes.keep("", code)));
        answer
            .headers_mut()
            .extend(by_form.map(|(.., session)| (SET_COOKIE, session)));
        answer
    }

    fn token(&self, request: &Request<Bytes>) -> Response<String> {
        let asked = |name: &str| parameter(request, name).unwrap_or_default();
        let code = self.codes.take(&asked("code"));
        let proof = URL_SAFE_NO_PAD.encode(Sha256::digest(asked("code_verifier")));
        let code = code.filter(|code| code.challenge == proof && code.redirect_uri == asked("redirect_uri"));
        let code = code.filter(|code| code.client == asked("client_id"));
        let told = code.and_then(|code| {
            let access_token = match code.client {
                BACK_END => self.access_token(&code)?,
                // The gateway calls nothing with it.
                _ => "none".to_owned(),
            };
            let id_token = self.id_token(&code)?;
            Some(json!({
                "access_token": access_token, "token_type": "Bearer", "expires_in": LIFETIME, "id_token": id_token,
            }))
        });
        match told {
            Some(told) => answer(StatusCode::OK, &told),
            None => answer(StatusCode::BAD_REQUEST, &json!({ "error": "invalid_grant" })),
        }
    }

    /// `None` if it cannot be signed.
    fn id_token(&self, code: &Code) -> Option<String> {
        let now = now()?;
        let claims = json!({
            "iss": self.issuer, "aud": code.client, "sub": code.person.username, "nonce": code.nonce, "iat": now,
            "exp": now + LIFETIME, "auth_time": now, "name": code.person.name(), "affiliation": ["student"],
        });
        jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &self.key).ok()
    }

    /// RFC 9068. `None` if it cannot be signed.
    fn access_token(&self, code: &Code) -> Option<String> {
        let now = now()?;
        let claims = json!({
            "iss": self.issuer, "aud": code.audience, "sub": code.person.username,
            "preferred_username": code.person.username, "client_id": code.client,
            "iat": now, "exp": now + LIFETIME, "jti": format!("{:032x}", rand::random::<u128>()), "scope": "openid",
        });
        let header = Header {
            typ: Some("at+jwt".to_owned()),
            ..Header::new(Algorithm::ES256)
        };
        jsonwebtoken::encode(&header, &claims, &self.key).ok()
    }

    /// OpenID Connect RP-Initiated Logout 1.0.
    fn logout(&self, request: &Request<Bytes>) -> Response<String> {
        let back = parameter(request, "post_logout_redirect_uri").filter(|uri| uri.starts_with(&self.client));
        let state = parameter(request, "state").unwrap_or_default();
        let state: String = form_urlencoded::byte_serialize(state.as_bytes()).collect();
        let answer = match back {
            Some(back) => redirect(&format!("{back}?state={state}")),
            None => text(StatusCode::OK, PLAIN, "Signed out.\n"),
        };
        self.signed_in.end(request, answer)
    }

    /// `None`: the path is not one of the provider's.
    pub(super) fn answer(&self, request: &Request<Bytes>) -> Option<Response<String>> {
        Some(match request.uri().path().strip_prefix("/openid/")? {
            ".well-known/openid-configuration" => answer(StatusCode::OK, &self.metadata()),
            "authorize" => self.authorize(request),
            "token" => self.token(request),
            "jwks" => answer(StatusCode::OK, &self.jwks),
            "logout" => self.logout(request),
            "campus.css" => text(StatusCode::OK, "text/css; charset=utf-8", STYLE),
            _ => return None,
        })
    }
}

/// Seconds since 1970.
fn now() -> Option<u64> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(since.as_secs())
}

/// A key on P-256, and its public part as a key set.
fn new_key() -> Option<(EncodingKey, Value)> {
    // Nearly each 32 bytes are one.
    let secret = (0..8).find_map(|_| SecretKey::from_slice(&rand::random::<[u8; 32]>()).ok())?;
    let der = secret.to_pkcs8_der().ok()?;
    // SEC 1, section 2.3.3: 4, x, y.
    let point = secret.public_key().to_sec1_bytes();
    let (x, y) = point.get(1..)?.split_at_checked(32)?;
    let [x, y] = [x, y].map(|part| URL_SAFE_NO_PAD.encode(part));
    let jwks = json!({ "keys": [{ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "x": x, "y": y }] });
    Some((EncodingKey::from_ec_der(der.as_bytes()), jwks))
}

fn answer(status: StatusCode, told: &Value) -> Response<String> {
    text(status, "application/json", told.to_string())
}

#[cfg(test)]
mod tests {
    use http::header::LOCATION;

    use super::*;

    const HERE: &str = "http://127.0.0.1:8080/callback";
    const VERIFIER: &str = "a-verifier-of-at-least-43-letters-as-it-should-be";

    fn provider() -> Provider {
        Provider::new(
            "http://localhost:9000",
            ([127, 0, 0, 1], 8080).into(),
            "http://127.0.0.1:8081",
        )
        .unwrap()
    }

    fn authorize(provider: &Provider, query: &str, form: &'static str) -> Response<String> {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        let method = if form.is_empty() { "GET" } else { "POST" };
        let target = format!("/openid/authorize?client_id={CLIENT}&state=s&nonce=n&code_challenge={challenge}{query}");
        let asked = Request::builder().method(method).uri(target);
        provider
            .answer(&asked.body(Bytes::from_static(form.as_bytes())).unwrap())
            .unwrap()
    }

    fn code(provider: &Provider) -> String {
        let query = format!("&code_challenge_method=S256&redirect_uri={HERE}");
        let answer = authorize(provider, &query, "username=anna");
        let location = answer.headers()[LOCATION].to_str().unwrap();
        let (_, query) = location.split_once('?').unwrap();
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find(|(name, _)| name == "code").unwrap().1.into_owned()
    }

    fn redeem(provider: &Provider, code: &str, verifier: &str) -> StatusCode {
        let form = format!("client_id={CLIENT}&code={code}&redirect_uri={HERE}&code_verifier={verifier}");
        let asked = Request::post("/openid/token").body(Bytes::from(form)).unwrap();
        provider.answer(&asked).unwrap().status()
    }

    #[test]
    fn a_code_is_good_once_and_for_who_knows_the_verifier() {
        let provider = provider();
        let first = code(&provider);
        assert_eq!(redeem(&provider, &first, VERIFIER), StatusCode::OK);
        assert_eq!(redeem(&provider, &first, VERIFIER), StatusCode::BAD_REQUEST, "spent");
        let second = code(&provider);
        assert_eq!(redeem(&provider, &second, "another"), StatusCode::BAD_REQUEST);
        assert_eq!(redeem(&provider, &second, VERIFIER), StatusCode::BAD_REQUEST, "burnt");
    }

    #[test]
    fn nobody_is_sent_elsewhere_or_without_pkce() {
        let provider = provider();
        for elsewhere in [
            "http://evil.test/",
            "http://127.0.0.1:80801/",
            // The other client's.
            "http://127.0.0.1:8081/",
            "http://127.0.0.1:8080.evil.test/",
        ] {
            let query = format!("&code_challenge_method=S256&redirect_uri={elsewhere}");
            assert_eq!(
                authorize(&provider, &query, "username=anna").status(),
                StatusCode::FORBIDDEN
            );
        }
        let query = format!("&code_challenge_method=plain&redirect_uri={HERE}");
        let answer = authorize(&provider, &query, "username=anna");
        assert!(
            answer.headers()[LOCATION]
                .to_str()
                .unwrap()
                .contains("error=invalid_request")
        );
    }

    #[test]
    fn a_quiet_question_about_nobody_is_answered_with_an_error() {
        let query = format!("&code_challenge_method=S256&prompt=none&redirect_uri={HERE}");
        let answer = authorize(&provider(), &query, "");
        assert!(
            answer.headers()[LOCATION]
                .to_str()
                .unwrap()
                .contains("error=login_required")
        );
    }
}
