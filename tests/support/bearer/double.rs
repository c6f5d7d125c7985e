//! An authorization server that counts what it is asked, and answers as a test wants. It is strict where a real one is: about
//! the client that asks, its secret, and the form of the question.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use serde_json::{Value, json};

use super::super::double::Double;
use super::super::held::Held;
use super::super::http::{Fields, Wire, values};
use super::super::oidc::double::{Asked, is_authenticated, merge, write};
use super::super::oidc::{CLIENT_SECRET, Reply};
use super::super::secrets::{self, Kind};
use super::super::tokens::{Signer, base64url};
use super::super::wait::{DEADLINE, eventually};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    Discovery,
    Keys,
    Introspection,
    Profile,
}

const ENDPOINTS: [(&str, &str, Endpoint); 4] = [
    (
        "GET",
        "/realms/campus/.well-known/openid-configuration",
        Endpoint::Discovery,
    ),
    ("GET", "/realms/campus/keys", Endpoint::Keys),
    ("POST", "/realms/campus/introspect", Endpoint::Introspection),
    ("GET", "/realms/campus/profile", Endpoint::Profile),
];

/// A question that came.
#[derive(Debug, Clone)]
pub struct Question {
    /// `None`: for nothing that is here.
    pub endpoint: Option<Endpoint>,
    pub target: String,
    pub headers: Fields,
    /// Of the form in the body, in order.
    pub form: Vec<(String, String)>,
    /// The token that it is about.
    pub token: Option<String>,
}

/// Some tokens.
type Which = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Which tokens wait, and where.
type Holding = (Arc<Held>, Which);

#[derive(Default)]
struct State {
    /// What introspection or the profile says of a token.
    known: HashMap<String, Value>,
    instead: HashMap<Endpoint, Reply>,
    /// In place of both for such tokens.
    about: Option<(Which, Reply)>,
    holding: Option<Holding>,
    discovery: Value,
    questions: Vec<Question>,
}

struct Shared {
    signer: Mutex<Arc<Signer>>,
    state: Mutex<State>,
    /// Questions about tokens that are being answered, and the most at once.
    now: AtomicUsize,
    most: AtomicUsize,
}

pub struct AuthServer {
    double: Double,
    shared: Arc<Shared>,
}

impl AuthServer {
    /// With an RSA key named `rsa`.
    pub fn start() -> Self {
        Self::signing_by(Signer::rs256().named("rsa"))
    }

    pub fn signing_by(signer: Signer) -> Self {
        secrets::register(Kind::Token, CLIENT_SECRET);
        let shared = Arc::new(Shared {
            signer: Mutex::new(Arc::new(signer)),
            state: Mutex::new(State {
                discovery: json!({}),
                ..State::default()
            }),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        });
        let served = Arc::clone(&shared);
        Self {
            double: Double::start(move |mut wire| while let Ok(true) = served.serve(&mut wire) {}),
            shared,
        }
    }

    pub fn issuer(&self) -> String {
        format!("http://{}/realms/campus", self.double.address)
    }

    pub fn url(&self, endpoint: Endpoint) -> String {
        let (_, path, _) = ENDPOINTS.iter().find(|(.., known)| *known == endpoint).unwrap();
        format!("http://{}{path}", self.double.address)
    }

    /// Members that replace those of the metadata; `null` takes one away.
    pub fn discovery(&self, over: Value) {
        self.state(|state| state.discovery = over);
    }

    /// A new opaque token, of which this is said.
    pub fn issue(&self, answer: Value) -> String {
        let token = opaque();
        self.know(&token, answer);
        token
    }

    /// From now on this is said of a token.
    pub fn know(&self, token: &str, answer: Value) {
        register(token);
        self.state(|state| state.known.insert(token.to_owned(), answer));
    }

    /// It knows nothing of a token any more.
    pub fn revoke(&self, token: &str) {
        self.state(|state| state.known.remove(token));
    }

    /// Says this in place of the usual answer.
    pub fn answer(&self, endpoint: Endpoint, reply: Reply) {
        self.state(|state| state.instead.insert(endpoint, reply));
    }

    /// The same about such tokens alone.
    pub fn answer_about(&self, which: impl Fn(&str) -> bool + Send + Sync + 'static, reply: Reply) {
        self.state(|state| state.about = Some((Arc::new(which), reply)));
    }

    /// Answers as usual again.
    pub fn recover(&self) {
        self.state(|state| {
            state.instead.clear();
            state.about = None;
        });
    }

    /// Nobody is answered any more at any address.
    pub fn go_down(&self) {
        for (.., endpoint) in ENDPOINTS {
            self.answer(endpoint, Reply::hang_up());
        }
    }

    /// Questions about such tokens wait until they are let go.
    pub fn hold(&self, which: impl Fn(&str) -> bool + Send + Sync + 'static) -> Hold {
        self.hold_for(DEADLINE, which)
    }

    /// The same; then they go on by themselves.
    pub fn hold_for(&self, longest: Duration, which: impl Fn(&str) -> bool + Send + Sync + 'static) -> Hold {
        let held = Arc::new(Held::for_at_most(longest));
        self.state(|state| state.holding = Some((Arc::clone(&held), Arc::new(which))));
        Hold(held)
    }

    /// Nothing waits that comes from now on.
    pub fn hold_no_more(&self) {
        self.state(|state| state.holding = None);
    }

    /// All questions to an endpoint.
    pub fn questions(&self, endpoint: Endpoint) -> Vec<Question> {
        self.state(|state| {
            let questions = state.questions.iter();
            questions
                .filter(|question| question.endpoint == Some(endpoint))
                .cloned()
                .collect()
        })
    }

    /// How many questions about tokens came.
    pub fn asked(&self) -> usize {
        self.questions(Endpoint::Introspection).len() + self.questions(Endpoint::Profile).len()
    }

    /// How many came about this one.
    pub fn asked_about(&self, token: &str) -> usize {
        let is_it = |question: &&Question| question.token.as_deref() == Some(token);
        self.state(|state| state.questions.iter().filter(is_it).count())
    }

    /// Waits until so many have come.
    pub fn is_asked(&self, times: usize) {
        eventually(&format!("{times} questions"), || (self.asked() >= times).then_some(()));
    }

    /// The most questions about tokens that it ever had at once.
    pub fn most_at_once(&self) -> usize {
        self.shared.most.load(Ordering::SeqCst)
    }

    /// Signs by this key from now on, and publishes it alone.
    pub fn rotate(&self, signer: Signer) {
        *self.shared.signer.lock().unwrap() = Arc::new(signer);
    }

    /// An access token by RFC 9068; members of `over` replace those of `base`, `null` takes one away.
    pub fn access_token(&self, base: Value, over: &Value) -> String {
        self.signed(&json!({ "typ": "at+jwt" }), base, over)
    }

    /// A token with this in its header besides what is needed to verify it.
    pub fn signed(&self, header: &Value, mut claims: Value, over: &Value) -> String {
        merge(&mut claims, over);
        let signer = Arc::clone(&self.shared.signer.lock().unwrap());
        let jwk = signer.jwk();
        let mut whole = json!({ "alg": jwk["alg"], "kid": jwk["kid"] });
        merge(&mut whole, header);
        let token = signer.sign(&whole.to_string(), &claims.to_string());
        secrets::register_signature(&token);
        token
    }

    /// Its signature below these two texts, whatever they say.
    pub fn sign_text(&self, header: &str, claims: &str) -> String {
        let token = self.shared.signer.lock().unwrap().sign(header, claims);
        secrets::register_signature(&token);
        token
    }

    /// The key by which it signs.
    pub fn jwk(&self) -> Value {
        self.shared.signer.lock().unwrap().jwk()
    }

    fn state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.shared.state.lock().unwrap())
    }
}

/// Questions that wait; let go on drop.
pub struct Hold(pub Arc<Held>);

impl Hold {
    pub fn let_go(&self) {
        self.0.let_go();
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.let_go();
    }
}

/// What looks like any opaque token.
pub fn opaque() -> String {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).unwrap();
    let token = base64url(bytes);
    register(&token);
    token
}

/// Nobody may write it down: its signature if it has one, the whole otherwise.
fn register(token: &str) {
    match token.starts_with("eyJ") {
        true => secrets::register_signature(token),
        false => secrets::register(Kind::Token, token),
    }
}

impl Shared {
    fn serve(&self, wire: &mut Wire) -> io::Result<bool> {
        let (line, headers) = wire.head()?;
        let (body, _) = wire.body(&headers, false)?;
        let mut words = line.split(' ').map(str::to_owned);
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let path = target.split('?').next().unwrap_or_default();
        let place = ENDPOINTS.iter().find(|(known, at, _)| *known == method && *at == path);
        let endpoint = place.map(|(.., endpoint)| *endpoint);
        let form: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
        let bearer = values(&headers, "authorization");
        let bearer = bearer.first().and_then(|value| value.strip_prefix("Bearer "));
        let token = match endpoint {
            Some(Endpoint::Introspection) => {
                let mut form = form.iter();
                form.find(|(name, _)| name == "token").map(|(_, value)| value.clone())
            }
            Some(Endpoint::Profile) => bearer.map(str::to_owned),
            _ => None,
        };
        let question = Question {
            endpoint,
            target: target.clone(),
            headers,
            form,
            token,
        };
        let (holding, instead) = {
            let mut state = self.state.lock().unwrap();
            state.questions.push(question.clone());
            let about = state.about.as_ref().zip(question.token.as_deref());
            let about = about
                .filter(|((which, _), token)| which(token))
                .map(|((_, reply), _)| reply.clone());
            let instead = about.or_else(|| state.instead.get(&endpoint?).cloned());
            (state.holding.clone(), instead)
        };
        let about = question.token.as_deref();
        if about.is_some() {
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
        }
        if let (Some(token), Some((held, which))) = (about, holding)
            && which(token)
        {
            held.wait();
        }
        let origin = format!("http://{}", wire.stream.local_addr()?);
        let reply = instead.unwrap_or_else(|| self.usual(&question, &origin));
        let written = write(wire, &reply);
        if about.is_some() {
            self.now.fetch_sub(1, Ordering::SeqCst);
        }
        written
    }

    fn usual(&self, question: &Question, origin: &str) -> Reply {
        let state = self.state.lock().unwrap();
        let known = question.token.as_ref().and_then(|token| state.known.get(token));
        match question.endpoint {
            Some(Endpoint::Discovery) => {
                let url = |path: &str| format!("{origin}/realms/campus{path}");
                let mut document = json!({
                    "issuer": url(""), "jwks_uri": url("/keys"), "introspection_endpoint": url("/introspect"),
                    "authorization_endpoint": url("/authorize"), "token_endpoint": url("/token"),
                    "userinfo_endpoint": url("/profile"), "response_types_supported": ["code"],
                    "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["none", "RS256"],
                });
                merge(&mut document, &state.discovery);
                Reply::json(200, &document)
            }
            Some(Endpoint::Keys) => {
                let signer = self.signer.lock().unwrap();
                Reply::new(200, "application/json", Signer::jwks(&[&signer]))
            }
            Some(Endpoint::Introspection) => {
                let asked = Asked {
                    endpoint: None,
                    headers: question.headers.clone(),
                    form: question.form.iter().cloned().collect(),
                };
                match is_authenticated(&asked, false) {
                    true => Reply::json(200, known.unwrap_or(&json!({ "active": false }))),
                    false => Reply::json(401, &json!({ "error": "invalid_client" })),
                }
            }
            Some(Endpoint::Profile) => match known {
                Some(profile) => Reply::json(200, profile),
                // Without WWW-Authenticate, as CAS has it.
                None => Reply::json(
                    401,
                    &json!({ "error": "expired_accessToken", "error_description": "Unauthorized" }),
                ),
            },
            None => Reply::html(404),
        }
    }
}
