//! `janua explain --live` beside every request: what it says about a request has to be what the gateway does.
//!
//! [`Connection::exchange`](super::http::Connection::exchange) asks for an explanation before and after each request
//! to a gateway, over its control socket. Status and reason are held against the answer; route, outcome, status and
//! reason against the access log when the gateway ends. What a request is judged by may change between the two (a
//! reload, a fetched key, a spent budget), so one of the two explanations has to fit.
//!
//! Not compared, since no explanation can know it:
//! - what becomes of a request that was let through to an upstream: the status of the answer, and a reason that the
//!   log has beside `allow` (the upstream fails, a body outgrows its limit on its way);
//! - faults of the message itself, which `explain` is never given: a header that only bytes can spell, a body;
//! - addresses of the gateway's own where only doing it would tell: a ticket is good for once, who signs out is gone, and
//!   a logout request ends sessions;
//! - what becomes of a launch's form, which is a body;
//! - requests without a typed form: raw bytes, HTTP/2 frames, and those of curl, browsers, players and nginx; and
//!   those larger than the control socket takes;
//! - gateways that put Moodle's tokens into calls: an explanation obtains none, so it cannot know what Moodle says, and
//!   people sign in and tokens die between the two; `moodle/explained.rs` holds these;
//! - gateways in which `else_ask` asks: an explanation would be one more question to the upstream, whose questions
//!   those tests count. `explain/cases.rs` holds these.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use serde_json::{Value, json};

use super::http::{Request, Response};
use super::tokens::now;
use super::wait::{DEADLINE, eventually};

/// By the address of each listener.
static WITNESSES: LazyLock<Mutex<HashMap<SocketAddr, Arc<Witness>>>> = LazyLock::new(Mutex::default);

/// The control socket takes no larger one.
const LARGEST_QUESTION: usize = 64 * 1024;

/// What was said about the requests to one gateway.
pub struct Witness {
    control: PathBuf,
    /// Request id, request, and all that was said about it.
    said: Mutex<Vec<(String, String, Vec<Said>)>>,
}

impl Witness {
    /// For a gateway with this configuration in this folder; `None` if its explanations would disturb.
    pub fn of(folder: &Path, config: &str) -> Option<Arc<Self>> {
        let config: toml::Table = config.parse().ok()?;
        let asks = config
            .get("routes")
            .is_some_and(|routes| routes.to_string().contains("else_ask"))
            || config.contains_key("moodle");
        let control = config.get("server").and_then(|server| server.get("control")?.as_str());
        let witness = Self {
            control: folder.join(control.unwrap_or("state/control.sock")),
            said: Mutex::default(),
        };
        (!asks).then(|| Arc::new(witness))
    }

    pub fn listens_at(self: &Arc<Self>, address: SocketAddr) {
        assert!(self.control.exists(), "{}", self.control.display());
        WITNESSES.lock().unwrap().insert(address, Arc::clone(self));
    }

    /// Who can tell of the gateway behind this address?
    pub fn at(address: SocketAddr) -> Option<Arc<Self>> {
        WITNESSES.lock().unwrap().get(&address).cloned()
    }

    /// The ports may soon be somebody else's.
    pub fn leave(self: &Arc<Self>) {
        WITNESSES
            .lock()
            .unwrap()
            .retain(|_, witness| !Arc::ptr_eq(witness, self));
    }

    /// What is said about a plain request from `from` now; `None` if the gateway answers nobody any more.
    pub fn ask(&self, request: &Request, from: IpAddr) -> Option<Said> {
        self.ask_at(request, from, None)
    }

    /// For a time of its own there are no budgets.
    fn ask_at(&self, request: &Request, from: IpAddr, at: Option<u64>) -> Option<Said> {
        let (method, target, headers) = request.parts();
        let question = json!({ "explain": {
            "method": method, "target": target, "headers": headers, "from": from, "https": false, "at": at,
        } });
        let question = format!("{question}\n");
        if question.len() > LARGEST_QUESTION {
            return None;
        }
        // Errors, and an answer that breaks off: the gateway is ending or has ended.
        let mut stream = UnixStream::connect(&self.control).ok()?;
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(question.as_bytes()).ok()?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).ok()?;
        let answer: Value = serde_json::from_str(line.strip_suffix('\n')?).unwrap();
        Some(Said::by(answer.get("explain").unwrap_or_else(|| panic!("{answer}"))))
    }

    /// Holds an answer against what was said before and after it, and keeps both for [`hold`](Self::hold).
    pub fn answered(&self, request: &Request, from: IpAddr, said: [Said; 2], response: &Response) {
        let (method, target, _) = request.parts();
        let mut said = Vec::from(said);
        if said.iter().all(|said| said.reason == "rate_limited") && response.status != 429 {
            // A budget that was filled up a little between the two, and taken by this request.
            said.extend(self.ask_at(request, from, Some(now())));
        }
        let did = Did::by(response);
        assert!(
            said.iter().any(|said| did.is(said)),
            "explain says otherwise about {method} {target}: {said:#?}\nand it did {did:#?}"
        );
        if let Some(id) = response.header("x-request-id") {
            let mut all = self.said.lock().unwrap();
            all.push((id.to_owned(), format!("{method} {target}"), said));
        }
    }

    /// Holds the access log against all that was said. `log` is asked until it has every line, or `owes` says that
    /// some will never come.
    pub fn hold(&self, log: impl Fn() -> String, mut owes: impl FnMut() -> bool) {
        let said = std::mem::take(&mut *self.said.lock().unwrap());
        if said.is_empty() {
            return;
        }
        let lines = eventually("the access log is complete", || {
            let lines = by_request_id(&log());
            let complete = said.iter().all(|(id, ..)| lines.contains_key(id));
            (complete || owes()).then_some(lines)
        });
        for (id, request, said) in &said {
            let Some(did) = lines.get(id) else { continue };
            assert!(
                said.iter().any(|said| did.is(said)),
                "the log says otherwise than explain about {request}: {said:#?}\nand it did {did:#?}"
            );
        }
    }
}

/// What an explanation says.
#[derive(Debug, Clone)]
pub struct Said {
    outcome: String,
    /// Empty: none. So below.
    route: String,
    reason: String,
    /// `None`: an upstream's, or known by doing it only.
    status: Option<u64>,
    /// A CAS server's ticket, or a sign-out, or the form of a launch.
    by_doing: bool,
}

impl Said {
    /// By the report of `janua explain --json`.
    pub fn by(report: &Value) -> Self {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut routes = report["routes"].as_array().into_iter().flatten();
        let won = routes.rfind(|route| route["won"] == true);
        Self {
            outcome: word(&report["outcome"]),
            route: won.map(|route| word(&route["name"])).unwrap_or_default(),
            reason: word(&report["reason"]),
            status: report["status"].as_u64(),
            by_doing: ["own", "launch"].contains(&report["action"].as_str().unwrap_or_default())
                && report["status"].is_null(),
        }
    }
}

/// What a gateway did with a request; `None` for what is not told where this comes from.
#[derive(Debug)]
pub struct Did {
    status: u64,
    outcome: Option<String>,
    route: Option<String>,
    reason: Option<String>,
}

impl Did {
    fn by(response: &Response) -> Self {
        let is_problem = response.header("content-type") == Some("application/problem+json");
        let problem: Option<Value> = serde_json::from_slice(&response.body).ok().filter(|_| is_problem);
        Self {
            status: response.status.into(),
            outcome: None,
            route: None,
            reason: problem.and_then(|problem| Some(problem["reason"].as_str()?.to_owned())),
        }
    }

    /// Is this what was said?
    pub fn is(&self, said: &Said) -> bool {
        let same = |did: &Option<String>, said: &str| did.as_ref().is_none_or(|did| did == said);
        let is_upstreams = said.status.is_none();
        if said.by_doing {
            return true;
        }
        same(&self.outcome, &said.outcome)
            && same(&self.route, &said.route)
            && (is_upstreams || same(&self.reason, &said.reason) && said.status == Some(self.status))
    }
}

/// Holds what a gateway keeps of refusals, as JSON, against its access log: status, outcome and reason are the same. Requests
/// whose line is not there are passed over.
pub fn hold_kept(kept: &str, log: &str) {
    let Ok(kept) = serde_json::from_str::<Value>(kept) else {
        return; // nobody has answered
    };
    let lines = by_request_id(log);
    for report in kept["refusals"].as_array().unwrap() {
        let Some(did) = report["past"]["request_id"].as_str().and_then(|id| lines.get(id)) else {
            continue;
        };
        let said = Said::by(report);
        let same = |did: &Option<String>, said: &str| did.as_deref().unwrap_or_default() == said;
        assert!(
            same(&did.outcome, &said.outcome)
                && same(&did.reason, &said.reason)
                && did.status == said.status.unwrap_or_default(),
            "`janua why` says otherwise than the log: {report:#}\nand it did {did:#?}"
        );
        let remedy = report["remedy"].as_array().unwrap();
        assert!(!remedy.is_empty(), "nothing is said about what to do: {report:#}");
    }
}

/// What the lines of an access log tell, in text or JSON.
pub fn by_request_id(log: &str) -> HashMap<String, Did> {
    let lines = log.lines().filter_map(|line| {
        let fields = match line.strip_prefix('{') {
            Some(_) => json_fields(line)?,
            None => text_fields(line.split_once("  INFO access: ")?.1),
        };
        let told = |name: &str| fields.get(name).cloned();
        let known = |name: &str| Some(told(name).unwrap_or_default());
        let of_request = Did {
            status: told("status")?.parse().ok()?,
            outcome: Some(told("outcome")?),
            route: known("route"),
            reason: known("reason"),
        };
        Some((told("request_id")?, of_request))
    });
    lines.collect()
}

fn json_fields(line: &str) -> Option<HashMap<String, String>> {
    let line: Value = serde_json::from_str(line).ok()?;
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let fields = line
        .as_object()
        .filter(|line| line.get("target") == Some(&json!("access")))?;
    Some(fields.iter().map(|(name, value)| (name.clone(), text(value))).collect())
}

/// `name=value`, the value bare or a JSON string; `-` is none.
fn text_fields(mut rest: &str) -> HashMap<String, String> {
    let mut fields = HashMap::new();
    while let Some((name, after)) = rest.split_once('=') {
        let mut quoted = serde_json::Deserializer::from_str(after).into_iter::<String>();
        let (value, end) = match quoted.next() {
            Some(Ok(value)) if after.starts_with('"') => (value, quoted.byte_offset()),
            _ => {
                let end = after.find(' ').unwrap_or(after.len());
                (after[..end].to_owned(), end)
            }
        };
        if value != "-" {
            fields.insert(name.to_owned(), value);
        }
        rest = after[end..].trim_start();
    }
    fields
}
