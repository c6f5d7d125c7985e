//! What was found out about a request: the shape of `janua explain --json`, and of the control socket's answer.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use crate::authorize::explain::Verdict as Rule;
use crate::redact;
use crate::rejection::Rejection;
use crate::time::{relative, unix_seconds, utc};

/// A shorter text cannot be a signature, and hiding it would only spoil words.
const SHORTEST_SIGNATURE: usize = 16;

/// Members are added, never renamed: scripts read this. By default nothing is known yet: the request is refused until
/// something allows it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Report {
    pub outcome: Outcome,
    /// The word of the refusal, as in answer, log and metrics. Beside `allow`: the rules let the request pass, and it
    /// fails all the same.
    pub reason: Option<String>,
    /// What the client is told of it.
    pub text: Option<String>,
    /// The status that the client would get; absent where an upstream says it.
    pub status: Option<u16>,
    /// The address that has to be opened first, as the answer names it.
    #[serde(default)]
    pub visit: Option<String>,
    /// More about the reason, as the log has it.
    pub detail: Option<String>,
    /// The moment at which the request was judged.
    pub at: Moment,
    pub keys: Keys,
    pub request: Option<Seen>,
    pub routes: Vec<RouteFate>,
    /// Routes whose host or path does not match.
    pub other_routes: usize,
    pub params: Vec<(String, String)>,
    /// The route's rules ask for nobody's identity: credentials are not looked at.
    pub anonymous: bool,
    /// No rule spoke: the upstream of `else_ask` was asked, and its word decided.
    pub else_asked: bool,
    pub credentials: Vec<Credential>,
    pub deny: Vec<Rule>,
    pub allow: Vec<Rule>,
    /// What counts how often; the request was taken from none of them.
    pub budgets: Vec<Budget>,
    pub action: Option<Action>,
    /// Of a route that puts Moodle's tokens into calls.
    #[serde(default)]
    pub moodle: Option<MoodleTokens>,
    /// The request has come and was decided: this is what is kept of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub past: Option<Past>,
    /// What the operator can do, a sentence or two each.
    #[serde(default)]
    pub remedy: Vec<String>,
}

/// Of a request that has come.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Past {
    pub request_id: String,
    /// The names of the query's parameters, with commas.
    pub query: Option<String>,
    /// From its header to the end of the answer.
    pub milliseconds: u64,
    /// As in the access log.
    pub subject: Option<String>,
    /// Which configuration of the process judged it, counted from 1.
    pub generation: u64,
    pub is_in_force: bool,
    /// Who was asked for the answer.
    pub upstream: Option<PastUpstream>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PastUpstream {
    pub name: String,
    /// Absent: none could be chosen.
    pub server: Option<String>,
    /// Milliseconds to the header of its answer; absent if none came.
    pub answered_after: Option<u64>,
}

/// Where the token for a call would come from. No token is told, nor obtained.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MoodleTokens {
    pub moodle: String,
    pub service: String,
    /// The person's name in Moodle; absent if nobody is known who gets tokens.
    pub username: Option<String>,
    /// A token is kept, and no source is asked. Absent if the person is not known.
    pub kept: Option<bool>,
    /// In their order.
    pub sources: Vec<TokenSource>,
    /// Who never gets one.
    pub never: Vec<String>,
    /// What the query calls: the function, and those that it is told to call. Where the person is not known, no role is held.
    #[serde(default)]
    pub functions: Vec<CalledFunction>,
}

/// What a route's `functions` say of one that is called.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CalledFunction {
    pub name: String,
    pub permitted: bool,
    /// The entry that names it, with its file and line; or why there is none.
    pub why: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenSource {
    /// As in gateway.toml.
    pub source: String,
    pub prospect: String,
    /// It would bring the token, if Moodle agrees.
    pub used: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Allow,
    #[default]
    Deny,
}

/// A time, and how far it is away.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Moment {
    pub unix: u64,
    /// `2026-11-21 00:58:12 UTC`
    pub utc: String,
    /// `3 min ago`, `in 2 h`, `now`
    pub words: String,
}

pub(super) fn moment(time: SystemTime, now: SystemTime) -> Moment {
    Moment {
        unix: unix_seconds(time),
        utc: utc(time),
        words: relative(time, now),
    }
}

/// The key sets that tokens were judged by.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Keys {
    /// Those of the running gateway; else they were read or fetched for this answer.
    pub live: bool,
    pub issuers: Vec<KeySet>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeySet {
    pub issuer: String,
    /// File or URL.
    pub from: String,
    pub keys: usize,
    pub fetched: Option<Moment>,
    pub problem: Option<String>,
}

/// The request as the gateway understands it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Seen {
    pub method: String,
    pub host: String,
    /// The one canonical path; absent if there is none.
    pub path: Option<String>,
    pub client: String,
    pub https: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RouteFate {
    pub name: String,
    pub path: String,
    pub won: bool,
    /// Why it lost.
    pub why: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Credential {
    /// `query jwt`, `header authorization`
    pub place: String,
    /// It is valid; the first valid one speaks for the request.
    pub valid: bool,
    /// It is the one that speaks.
    pub counts: bool,
    pub reason: Option<String>,
    pub detail: Option<String>,
    pub header: Option<Map<String, Value>>,
    /// Believed only if `key` is there.
    pub claims: Option<Map<String, Value>>,
    pub times: Vec<(String, Moment)>,
    pub key: Option<String>,
    pub issuers: Vec<String>,
    pub roles: Capped,
    pub grants: Capped,
    /// It is a session, which was looked up instead of verified.
    #[serde(default)]
    pub session: Option<SignedIn>,
    /// It is an access token of an authorization server.
    #[serde(default)]
    pub access: Option<AccessToken>,
}

/// What an access token says, as far as it is known.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AccessToken {
    /// The `[bearer.<name>]` that has judged it.
    pub bearer: Option<String>,
    /// Absent: it is no person's.
    pub subject: Option<String>,
    pub client: Option<String>,
    pub scopes: Vec<String>,
}

/// Who signed in, and until when.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignedIn {
    pub sign_in: String,
    pub subject: String,
    pub created: Moment,
    /// Whatever happens.
    pub expires: Moment,
    /// Seconds after the last request.
    pub idle: u64,
}

/// What the caps of the issuer left of what the token says.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Capped {
    pub kept: Vec<String>,
    pub dropped: Vec<String>,
}

/// How often something may happen.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Budget {
    /// `limits.rate` of the route, `jwt.bad_signatures`, or `moodle.<name>.calls`.
    pub key: String,
    /// Whose it is: `issuer/sub`, or an address.
    pub of: String,
    pub per_second: f64,
    /// So many at once.
    pub burst: u32,
    /// Is nothing left now? Absent without the running gateway, which alone has counted.
    pub spent: Option<bool>,
}

/// What would be done.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// A CORS preflight is answered for everybody.
    Preflight,
    File {
        /// Below the route's folder.
        path: String,
    },
    Reply,
    /// The browser is sent to the sign-in, and comes back.
    #[serde(rename = "sign_in")]
    SignIn,
    /// The browser gets a launch session and goes on, to the address without the token or to the target of the form,
    /// where only the form would tell.
    Launch,
    /// An address of the gateway's own, below `/_janua/`.
    Own,
    /// Answered by the gateway in Moodle's stead, or to Moodle, before any route.
    Aside {
        what: String,
    },
    /// The proxy in front sends the file of this name.
    Accel {
        name: String,
    },
    /// A proxy asked whether the request may pass.
    Decision,
    Upstream {
        name: String,
        /// That the upstream gets: a GET of Moodle's REST script goes on as POST.
        #[serde(default)]
        method: String,
        /// Path and query that the upstream gets.
        target: String,
        /// All headers that it gets; credentials are hidden.
        headers: Vec<(String, String)>,
    },
}

impl Report {
    /// Why the request is refused, or sent elsewhere.
    pub(super) fn because(&mut self, refusal: Option<&Rejection>) {
        self.reason = refusal.map(|refusal| refusal.reason.label().to_owned());
        self.text = refusal.map(|refusal| refusal.reason.public_text().to_owned());
    }

    /// Hides the signatures of these tokens, what else is among them whole, and everything that looks like a token, wherever
    /// it stands.
    pub(super) fn hide(self, tokens: &[String]) -> Self {
        let signatures: Vec<&str> = tokens
            .iter()
            .flat_map(|token| {
                let whole = Some(token.as_str()).filter(|token| !token.starts_with("eyJ"));
                token.rsplit('.').next().into_iter().chain(whole)
            })
            .filter(|signature| signature.len() >= SHORTEST_SIGNATURE)
            .collect();
        let hidden = serde_json::to_value(&self).map(|mut value| {
            hide(&mut value, &signatures);
            value
        });
        let hidden = hidden.and_then(serde_json::from_value);
        hidden.unwrap_or_else(|_| self.bare())
    }

    /// What is left when nothing else can be shown safely.
    fn bare(self) -> Self {
        Self {
            detail: None,
            request: None,
            params: Vec::new(),
            credentials: Vec::new(),
            deny: Vec::new(),
            allow: Vec::new(),
            action: None,
            past: None,
            remedy: Vec::new(),
            ..self
        }
    }
}

fn hide(value: &mut Value, signatures: &[&str]) {
    match value {
        Value::String(text) => *text = hidden(text, signatures),
        Value::Array(items) => items.iter_mut().for_each(|item| hide(item, signatures)),
        Value::Object(members) => {
            let named = std::mem::take(members);
            members.extend(named.into_iter().map(|(name, mut value)| {
                hide(&mut value, signatures);
                (hidden(&name, signatures), value)
            }));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn hidden(text: &str, signatures: &[&str]) -> String {
    let mut text = redact::tokens(text).into_owned();
    for signature in signatures {
        if text.contains(signature) {
            text = text.replace(signature, "***");
        }
    }
    text
}
