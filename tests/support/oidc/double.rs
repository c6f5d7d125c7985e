//! An OpenID provider that does what no real one does, as far as a test asks for it. It is strict where a real one is:
//! client authentication, redirect URI, PKCE, codes that are good for once.
//!
//! Nobody needs a browser for it: [`OidcDouble::authorize`] says where an authorization request leads.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard};

use aws_lc_rs::digest::{SHA256, SHA384, SHA512, digest};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use url::Url;

use super::super::double::Double;
use super::super::http::{Fields, Wire, values};
use super::super::secrets::{self, Kind};
use super::super::tokens::{Signer, base64url, in_seconds, now};
use super::{CLIENT, CLIENT_SECRET, people};

/// Makes an ID token out of its header and claims.
type Forge = Arc<dyn Fn(&Value, &Value) -> String + Send + Sync>;

/// What is asked of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    Discovery,
    Authorize,
    Token,
    Keys,
    Userinfo,
    Logout,
}

/// An answer that stands in place of the usual one.
#[derive(Clone)]
pub struct Reply {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
    pace: Pace,
}

#[derive(Clone, Copy, PartialEq)]
enum Pace {
    AtOnce,
    /// The second half never comes.
    Halfway,
    /// Nothing comes.
    Never,
    HangsUp,
}

/// What is otherwise than usual. Values are objects whose members replace those of the usual answer; `null` takes one away.
pub struct Behaviour {
    pub discovery: Value,
    pub header: Value,
    pub claims: Value,
    pub token: Value,
    pub userinfo: Value,
    /// Of the callback, in place of those with the same name; an empty value takes one away.
    pub callback: Vec<(&'static str, String)>,
    /// What stands behind all of the callback's parameters.
    pub callback_end: String,
    /// The key set, whole.
    pub keys: Option<String>,
    pub forge: Option<Forge>,
    pub instead: HashMap<Endpoint, Reply>,
    /// It takes a client that shows no secret.
    pub takes_public_clients: bool,
    /// It asks for no code verifier.
    pub forgets_pkce: bool,
    /// It says all errors with 200 and as HTML.
    pub errors_are_pages: bool,
    /// Its userinfo reads a header only if it is spelled `Authorization`.
    pub minds_spelling: bool,
    signer: Arc<Signer>,
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub endpoint: Option<Endpoint>,
    pub headers: Fields,
    /// Of the form in the body.
    pub form: HashMap<String, String>,
}

/// What was agreed on when a code was made.
struct Grant {
    who: String,
    nonce: Option<String>,
    redirect_uri: String,
    challenge: String,
}

#[derive(Default)]
struct Given {
    codes: HashMap<String, Grant>,
    /// Access tokens, and whose they are.
    tokens: HashMap<String, String>,
    asked: Vec<Asked>,
}

struct Shared {
    /// Path of the issuer, and of each endpoint.
    base: &'static str,
    place: fn(Endpoint) -> &'static str,
    behaviour: Mutex<Behaviour>,
    given: Mutex<Given>,
}

pub struct OidcDouble {
    double: Double,
    shared: Arc<Shared>,
}

impl Reply {
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            content_type,
            body: body.into(),
            pace: Pace::AtOnce,
        }
    }

    pub fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    pub fn html(status: u16) -> Self {
        Self::new(
            status,
            "text/html",
            "<!DOCTYPE html><title>Maintenance</title><p>Come back later.",
        )
    }

    /// JSON of more than 64 MiB.
    pub fn huge() -> Self {
        Self::json(200, &json!({ "padding": "x".repeat(64 << 20) }))
    }

    /// The connection is taken, and that is all.
    pub fn never() -> Self {
        Self::paced(Pace::Never)
    }

    /// One that never ends.
    pub fn halfway() -> Self {
        Self::paced(Pace::Halfway)
    }

    pub fn hang_up() -> Self {
        Self::paced(Pace::HangsUp)
    }

    fn paced(pace: Pace) -> Self {
        Self {
            pace,
            ..Self::json(200, &json!({ "issuer": "http://127.0.0.1:1", "keys": [] }))
        }
    }
}

impl OidcDouble {
    /// With an RSA key named `rsa`, as most providers have.
    pub fn start() -> Self {
        Self::signing_by(Signer::rs256().named("rsa"))
    }

    pub fn signing_by(signer: Signer) -> Self {
        Self::placed(signer, "/realms/campus", |endpoint| match endpoint {
            Endpoint::Discovery => "/realms/campus/.well-known/openid-configuration",
            Endpoint::Authorize => "/realms/campus/authorize",
            Endpoint::Token => "/realms/campus/token",
            Endpoint::Keys => "/realms/campus/keys",
            Endpoint::Userinfo => "/realms/campus/userinfo",
            Endpoint::Logout => "/realms/campus/logout",
        })
    }

    pub(super) fn placed(signer: Signer, base: &'static str, place: fn(Endpoint) -> &'static str) -> Self {
        secrets::register(Kind::Token, CLIENT_SECRET);
        let shared = Arc::new(Shared {
            base,
            place,
            behaviour: Mutex::new(Behaviour::by(signer)),
            given: Mutex::default(),
        });
        let served = Arc::clone(&shared);
        let double = Double::start(move |mut wire| while let Ok(true) = served.serve(&mut wire) {});
        let double = Self { double, shared };
        double.behave().discovery["issuer"] = json!(double.issuer());
        double
    }

    pub fn origin(&self) -> String {
        format!("http://{}", self.double.address)
    }

    pub fn issuer(&self) -> String {
        format!("{}{}", self.origin(), self.shared.base)
    }

    pub fn url(&self, endpoint: Endpoint) -> String {
        format!("{}{}", self.origin(), (self.shared.place)(endpoint))
    }

    /// What it does from now on.
    pub fn behave(&self) -> MutexGuard<'_, Behaviour> {
        self.shared.behaviour.lock().unwrap()
    }

    /// Says this instead of the usual answer.
    pub fn answer(&self, endpoint: Endpoint, reply: Reply) {
        self.behave().instead.insert(endpoint, reply);
    }

    /// Answers nobody any more, or everybody again.
    pub fn set_down(&self, is_down: bool) {
        use Endpoint::{Discovery, Keys, Token, Userinfo};
        let all = [Discovery, Token, Keys, Userinfo].map(|endpoint| (endpoint, Reply::hang_up()));
        self.behave().instead = if is_down { HashMap::from(all) } else { HashMap::new() };
    }

    /// Signs by this key from now on, and publishes it alone.
    pub fn rotate(&self, signer: Signer) {
        self.behave().signer = Arc::new(signer);
    }

    /// Where an authorization request leads when `who` is signed in.
    pub fn authorize(&self, to: &str, who: &str) -> Url {
        let code = secret("code");
        secrets::register(Kind::Ticket, &code);
        let (grant, state) = self.read_request(to, who);
        let callback = self.callback(&grant.redirect_uri, &[("code", &code), ("state", &state)]);
        self.shared.given.lock().unwrap().codes.insert(code, grant);
        callback
    }

    /// Where it leads when there is no code for it.
    pub fn refuse(&self, to: &str, error: &str) -> Url {
        let (grant, state) = self.read_request(to, "nobody");
        self.callback(&grant.redirect_uri, &[("error", error), ("state", &state)])
    }

    /// What came to an endpoint.
    pub fn asked(&self, endpoint: Endpoint) -> Vec<Asked> {
        let given = self.shared.given.lock().unwrap();
        let asked = given.asked.iter().filter(|asked| asked.endpoint == Some(endpoint));
        asked.cloned().collect()
    }

    /// A logout token of this person's session; `over` as in [`Behaviour`].
    pub fn logout_token(&self, who: &str, over: &Value) -> String {
        let mut claims = self.logout_claims(who);
        merge(&mut claims, over);
        let header = json!({ "typ": "logout+jwt" });
        self.signed(&header, &claims)
    }

    pub fn logout_claims(&self, who: &str) -> Value {
        json!({
            "iss": self.issuer_in_tokens(),
            "aud": CLIENT,
            "iat": now(),
            "exp": in_seconds(120),
            "jti": secret("jti"),
            "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
            "sub": who,
            "sid": session_of(who),
        })
    }

    /// Signed by the current key; the header has what is needed for that besides.
    pub fn signed(&self, header: &Value, claims: &Value) -> String {
        let signer = Arc::clone(&self.behave().signer);
        let token = signed(&signer, header, claims);
        secrets::register_signature(&token);
        token
    }

    /// `iss` of its tokens.
    fn issuer_in_tokens(&self) -> Value {
        let behaviour = self.behave();
        let told = behaviour
            .claims
            .get("iss")
            .or_else(|| behaviour.discovery.get("issuer"));
        told.unwrap().clone()
    }

    /// Holds an authorization request to what has to stand in it.
    fn read_request(&self, to: &str, who: &str) -> (Grant, String) {
        assert!(to.starts_with(&self.url(Endpoint::Authorize)), "{to}");
        let url: Url = to.parse().unwrap();
        let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!(url.query_pairs().count(), asked.len(), "each once: {to}");
        let said = |name: &str| asked.get(name).unwrap_or_else(|| panic!("no {name} in {to}")).clone();
        assert_eq!(
            (said("response_type"), said("client_id")),
            ("code".to_owned(), CLIENT.to_owned())
        );
        assert_eq!(said("code_challenge_method"), "S256");
        assert_eq!(said("code_challenge").len(), 43, "{to}");
        assert!(said("scope").split(' ').any(|scope| scope == "openid"), "{to}");
        assert!(
            !asked.contains_key("response_mode") || said("response_mode") == "query",
            "{to}"
        );
        let grant = Grant {
            who: who.to_owned(),
            nonce: Some(said("nonce")),
            redirect_uri: said("redirect_uri"),
            challenge: said("code_challenge"),
        };
        (grant, said("state"))
    }

    fn callback(&self, redirect_uri: &str, parameters: &[(&str, &str)]) -> Url {
        let behaviour = self.behave();
        let announces = &behaviour.discovery["authorization_response_iss_parameter_supported"];
        let issuer = behaviour.discovery["issuer"].as_str().unwrap_or_default();
        let mut parameters: Vec<(&str, &str)> = parameters.to_vec();
        if *announces != Value::Null {
            parameters.push(("iss", issuer));
        }
        for (name, value) in &behaviour.callback {
            parameters.retain(|(known, _)| known != name);
            if !value.is_empty() {
                parameters.push((name, value));
            }
        }
        let query = super::super::cas::query(&parameters);
        let separator = if redirect_uri.contains('?') { '&' } else { '?' };
        let end = &behaviour.callback_end;
        format!("{redirect_uri}{separator}{query}{end}").parse().unwrap()
    }
}

impl Behaviour {
    fn by(signer: Signer) -> Self {
        Self {
            discovery: json!({ "authorization_response_iss_parameter_supported": true }),
            header: json!({}),
            claims: json!({}),
            token: json!({}),
            userinfo: json!({}),
            callback: Vec::new(),
            callback_end: String::new(),
            keys: None,
            forge: None,
            instead: HashMap::new(),
            takes_public_clients: false,
            forgets_pkce: false,
            errors_are_pages: false,
            minds_spelling: false,
            signer: Arc::new(signer),
        }
    }

    /// The public key that it signs by.
    pub fn jwk(&self) -> Value {
        self.signer.jwk()
    }

    pub fn signer(&self) -> Arc<Signer> {
        Arc::clone(&self.signer)
    }

    /// Makes the ID token otherwise.
    pub fn forge(&mut self, forge: impl Fn(&Value, &Value) -> String + Send + Sync + 'static) {
        self.forge = Some(Arc::new(forge));
    }
}

impl Shared {
    /// Serves one request. `Ok(true)`: the connection may serve another.
    fn serve(&self, wire: &mut Wire) -> io::Result<bool> {
        let (line, headers) = wire.head()?;
        let (body, _) = wire.body(&headers, false)?;
        let target = line.split(' ').nth(1).unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        let all = [
            Endpoint::Discovery,
            Endpoint::Authorize,
            Endpoint::Token,
            Endpoint::Keys,
            Endpoint::Userinfo,
            Endpoint::Logout,
        ];
        let asked = Asked {
            endpoint: all.into_iter().find(|endpoint| (self.place)(*endpoint) == path),
            headers,
            form: form_urlencoded::parse(&body).into_owned().collect(),
        };
        self.given.lock().unwrap().asked.push(asked.clone());
        let instead = asked
            .endpoint
            .and_then(|endpoint| self.behaviour.lock().unwrap().instead.get(&endpoint).cloned());
        let origin = format!("http://{}", wire.stream.local_addr()?);
        let reply = instead.unwrap_or_else(|| self.usual(&asked, &origin));
        write(wire, &reply)
    }

    fn usual(&self, asked: &Asked, origin: &str) -> Reply {
        let behaviour = self.behaviour.lock().unwrap();
        match asked.endpoint {
            Some(Endpoint::Discovery) => {
                let mut document = self.discovery(origin);
                merge(&mut document, &behaviour.discovery);
                Reply::json(200, &document)
            }
            Some(Endpoint::Keys) => {
                let keys = behaviour
                    .keys
                    .clone()
                    .unwrap_or_else(|| Signer::jwks(&[&behaviour.signer]));
                Reply::new(200, "application/json", keys)
            }
            Some(Endpoint::Token) => self.token(&behaviour, asked).unwrap_or_else(|(status, error)| {
                let error = json!({ "error": error, "error_description": "that will not do" });
                match behaviour.errors_are_pages {
                    true if error["error"] == "invalid_grant" => {
                        let error = json!({ "error": "invalid_request", "error_description": "that will not do" });
                        Reply::new(200, "text/html; charset=UTF-8", error.to_string())
                    }
                    true => Reply::new(200, "text/html; charset=UTF-8", error.to_string()),
                    false => Reply::json(status, &error),
                }
            }),
            Some(Endpoint::Userinfo) => self.userinfo(&behaviour, asked),
            Some(Endpoint::Authorize | Endpoint::Logout) | None => Reply::html(404),
        }
    }

    fn discovery(&self, origin: &str) -> Value {
        let url = |endpoint| format!("{origin}{}", (self.place)(endpoint));
        json!({
            "authorization_endpoint": url(Endpoint::Authorize),
            "token_endpoint": url(Endpoint::Token),
            "jwks_uri": url(Endpoint::Keys),
            "userinfo_endpoint": url(Endpoint::Userinfo),
            "end_session_endpoint": url(Endpoint::Logout),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            // As Apereo CAS says it.
            "id_token_signing_alg_values_supported": ["none", "RS256"],
        })
    }

    /// Error: status and code of RFC 6749 section 5.2.
    fn token(&self, behaviour: &Behaviour, asked: &Asked) -> Result<Reply, (u16, &'static str)> {
        let said = |name: &str| asked.form.get(name).cloned().unwrap_or_default();
        if !is_authenticated(asked, behaviour.takes_public_clients) {
            return Err((401, "invalid_client"));
        }
        if said("grant_type") != "authorization_code" {
            return Err((400, "unsupported_grant_type"));
        }
        let mut given = self.given.lock().unwrap();
        let grant = given.codes.remove(&said("code")).ok_or((400, "invalid_grant"))?;
        let challenge = base64url(digest(&SHA256, said("code_verifier").as_bytes()));
        let is_proven = behaviour.forgets_pkce || challenge == grant.challenge;
        if said("redirect_uri") != grant.redirect_uri || !is_proven {
            return Err((400, "invalid_grant"));
        }
        let access = secret("access");
        secrets::register(Kind::Token, &access);
        given.tokens.insert(access.clone(), grant.who.clone());
        let mut claims = id_claims(&behaviour.discovery["issuer"], &grant);
        claims["at_hash"] = json!(at_hash(&behaviour.signer, &access));
        merge(&mut claims, &behaviour.claims);
        let id_token = match &behaviour.forge {
            Some(forge) => forge(&behaviour.header, &claims),
            None => signed(&behaviour.signer, &behaviour.header, &claims),
        };
        secrets::register_signature(&id_token);
        let mut answer = json!({
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": 600,
            "id_token": id_token,
        });
        merge(&mut answer, &behaviour.token);
        Ok(Reply::json(200, &answer))
    }

    fn userinfo(&self, behaviour: &Behaviour, asked: &Asked) -> Reply {
        let given = self.given.lock().unwrap();
        let mut headers = asked.headers.iter();
        let bearer = headers.find_map(|(name, value)| {
            let is_it = match behaviour.minds_spelling {
                true => name == "Authorization",
                false => name.eq_ignore_ascii_case("Authorization"),
            };
            is_it.then(|| value.strip_prefix("Bearer "))?
        });
        let Some(who) = bearer.and_then(|token| given.tokens.get(token)) else {
            return match behaviour.errors_are_pages {
                true => Reply::html(500),
                false => Reply::json(401, &json!({ "error": "invalid_token" })),
            };
        };
        let mut claims = people()[who].clone();
        claims["sub"] = json!(who);
        merge(&mut claims, &behaviour.userinfo);
        Reply::json(200, &claims)
    }
}

/// By the header or by the form, one of them (RFC 6749 section 2.3.1).
pub fn is_authenticated(asked: &Asked, or_public: bool) -> bool {
    let said = |name: &str| asked.form.get(name).map(String::as_str);
    let basic = values(&asked.headers, "authorization").first().and_then(|value| {
        let decoded = STANDARD.decode(value.strip_prefix("Basic ")?).ok()?;
        let decoded = String::from_utf8(decoded).ok()?;
        let (client, secret) = decoded.split_once(':')?;
        // Both are parts of a form.
        let plain = |part: &str| {
            form_urlencoded::parse(format!("x={part}").as_bytes())
                .next()
                .unwrap()
                .1
                .into_owned()
        };
        Some((plain(client), plain(secret)))
    });
    let is_right = |client: &str, secret: &str| client == CLIENT && secret == CLIENT_SECRET;
    match basic {
        Some((client, secret)) => is_right(&client, &secret) && said("client_secret").is_none(),
        None if or_public => said("client_id") == Some(CLIENT) && said("client_secret").is_none(),
        None => is_right(
            said("client_id").unwrap_or_default(),
            said("client_secret").unwrap_or_default(),
        ),
    }
}

/// The left half of a hash by the algorithm of the signature (OpenID Connect Core 3.1.3.6).
fn at_hash(signer: &Signer, access: &str) -> String {
    let algorithm = match signer.jwk()["alg"].as_str() {
        Some("ES384" | "RS384" | "PS384") => &SHA384,
        Some("EdDSA" | "ES512" | "RS512" | "PS512") => &SHA512,
        _ => &SHA256,
    };
    let hash = digest(algorithm, access.as_bytes());
    base64url(&hash.as_ref()[..hash.as_ref().len() / 2])
}

fn id_claims(issuer: &Value, grant: &Grant) -> Value {
    let mut claims = people()[&grant.who].clone();
    merge(
        &mut claims,
        &json!({
            "iss": issuer,
            "sub": grant.who,
            "aud": CLIENT,
            "iat": now(),
            "exp": in_seconds(600),
            "auth_time": now(),
            "nonce": grant.nonce,
            "sid": session_of(&grant.who),
        }),
    );
    claims
}

/// The `sid` of a person's session.
pub fn session_of(who: &str) -> String {
    format!("session-of-{who}")
}

/// Members of `over` replace those of `base`; `null` takes one away.
pub fn merge(base: &mut Value, over: &Value) {
    let Value::Object(base) = base else {
        panic!("{base} is no object")
    };
    for (name, value) in over.as_object().unwrap() {
        match value {
            Value::Null => drop(base.remove(name)),
            value => drop(base.insert(name.clone(), value.clone())),
        }
    }
}

fn signed(signer: &Signer, over: &Value, claims: &Value) -> String {
    let jwk = signer.jwk();
    let mut header = json!({ "alg": jwk["alg"], "kid": jwk["kid"] });
    if header["kid"].is_null() {
        merge(&mut header, &json!({ "kid": null }));
    }
    merge(&mut header, over);
    signer.sign(&header.to_string(), &claims.to_string())
}

fn secret(kind: &str) -> String {
    let mut bytes = [0; 18];
    SystemRandom::new().fill(&mut bytes).unwrap();
    format!("{kind}-{}", base64url(bytes))
}

/// `Ok(true)`: the connection may serve another request.
pub fn write(wire: &mut Wire, reply: &Reply) -> io::Result<bool> {
    let length = reply.body.len();
    let head = format!(
        "HTTP/1.1 {} So\r\nContent-Type: {}\r\nContent-Length: {length}\r\n\r\n",
        reply.status, reply.content_type
    );
    match reply.pace {
        Pace::AtOnce => {
            wire.stream.write_all(head.as_bytes())?;
            wire.stream.write_all(&reply.body)?;
            return Ok(true);
        }
        Pace::Halfway => {
            wire.stream.write_all(head.as_bytes())?;
            wire.stream.write_all(&reply.body[..length / 2])?;
        }
        Pace::Never => {}
        Pace::HangsUp => return Ok(false),
    }
    // Until the other side has had enough.
    io::copy(wire, &mut io::sink())?;
    Ok(false)
}
