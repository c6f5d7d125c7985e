//! The access log: one line per request, as text or JSON.
//!
//! Formatting is pure and takes borrowed fields; writing is a copy into the sink's buffer. Every text that came from
//! outside is cut to a length, cleared of secrets ([`redact`]) and escaped, so that no request can write a line, or a
//! field, of its own. Values of a query are never logged.

use std::borrow::Cow;
use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderValue, Method, Version};

use super::fields::{Fields, name};
use super::look::{Look, PLAIN, colour_of_status};
use super::sink::Sink;
use super::{combined, mask};
use crate::config::{Log, LogField, LogFormat};
use crate::redact;
use crate::rejection::Reason;

/// What is told of one request. Text is given as it came; it is made harmless here.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// When the answer ended.
    pub time: SystemTime,
    pub request_id: &'a str,
    pub client: IpAddr,
    pub protocol: Version,
    pub method: &'a Method,
    pub host: &'a str,
    /// The path alone; a query that slipped in is cut off.
    pub path: &'a str,
    /// Only the names of its parameters are told.
    pub query: Option<&'a str>,
    /// 0: the client went before the answer.
    pub status: u16,
    /// Body bytes from the client.
    pub bytes_in: u64,
    /// Body bytes to the client.
    pub bytes_out: u64,
    /// From the request's header to the end of the answer.
    pub took: Duration,
    /// Name of the route; `None` if none matched.
    pub route: Option<&'a str>,
    pub outcome: Outcome,
    /// Why the request ended early; also when it was allowed and then failed.
    pub reason: Option<Reason>,
    /// The rejection's detail.
    pub detail: Option<&'a str>,
    /// A person is (source, name).
    pub subject: Option<(&'a str, &'a str)>,
    /// The server that was asked, and the time to the header of its answer.
    pub upstream: Option<&'a str>,
    pub upstream_took: Option<Duration>,
    pub user_agent: Option<&'a HeaderValue>,
    pub referer: Option<&'a HeaderValue>,
    /// Of a well-formed `traceparent`: 32 hex digits.
    pub trace_id: Option<&'a str>,
}

/// The decision about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Allow,
    Deny,
}

/// Writes entries, off the request's way. Cheap to clone.
#[derive(Clone)]
pub struct AccessLog {
    sink: Sink,
    how: How,
    enabled: bool,
}

/// Everything in its usual order, which costs nothing to find out; or as somebody wants it.
#[derive(Clone)]
enum How {
    Text,
    Json,
    Chosen(Arc<Chosen>),
}

/// What `[log]` and the stream that is written to ask for.
struct Chosen {
    format: LogFormat,
    fields: Vec<LogField>,
    look: Look,
}

impl AccessLog {
    pub(super) fn new(sink: Sink, log: &Log, look: Look, enabled: bool) -> Self {
        let is_usual = log.fields.is_none() && log.mask.is_empty() && look.is_plain();
        let how = match log.format {
            LogFormat::Text if is_usual => How::Text,
            LogFormat::Json if is_usual => How::Json,
            format => How::Chosen(Arc::new(Chosen {
                format,
                fields: log.fields.clone().unwrap_or_else(|| LogField::ALL.to_vec()),
                look,
            })),
        };
        Self { sink, how, enabled }
    }

    /// Does anyone want entries? Lets a caller save the work of gathering one.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Opens the log's file anew.
    pub fn reopen(&self) {
        self.sink.reopen();
    }

    /// Writes one line. Never waits.
    pub fn write(&self, entry: &Entry<'_>) {
        thread_local! {
            /// Formatting allocates once per thread, not once per line.
            static LINE: RefCell<String> = RefCell::new(String::with_capacity(1024));
        }
        if self.enabled {
            LINE.with_borrow_mut(|line| {
                line.clear();
                match &self.how {
                    How::Text => entry.text(line),
                    How::Json => entry.json(line),
                    How::Chosen(chosen) => chosen.line(entry, line),
                }
                self.sink.push(line.as_bytes());
            });
        }
    }
}

impl Chosen {
    #[inline(never)]
    fn line(&self, entry: &Entry<'_>, out: &mut String) {
        let subject = entry.subject.map(|(source, subject)| (source, mask::subject(subject)));
        let detail = entry.detail.map(mask::text);
        let entry = Entry {
            client: mask::address(entry.client),
            subject: subject.as_ref().map(|(source, subject)| (*source, &**subject)),
            detail: detail.as_deref(),
            ..entry.clone()
        };
        if self.format == LogFormat::Combined {
            out.push_str(self.look.before(tracing::Level::INFO));
            return combined::line(&entry, out);
        }
        let mut rest = String::new();
        let json = self.format == LogFormat::Json;
        let mut fields = Fields { out: &mut rest, json };
        fields.begin(entry.time);
        for field in &self.fields {
            let is_coloured = self.look.colour && *field == LogField::Status;
            if is_coloured {
                fields.out.push_str(colour_of_status(entry.status));
            }
            entry.field(*field, &mut fields);
            if is_coloured {
                fields.out.push_str(PLAIN);
            }
        }
        fields.end();
        self.look.line(out, tracing::Level::INFO, &rest);
    }
}

impl Entry<'_> {
    /// Appends `time  INFO access: name=value …` and a line feed; what is not known is `-`.
    pub fn text(&self, out: &mut String) {
        self.line(&mut Fields { out, json: false });
    }

    /// Appends one JSON object and a line feed; what is not known is left out.
    pub fn json(&self, out: &mut String) {
        self.line(&mut Fields { out, json: true });
    }

    fn line(&self, fields: &mut Fields<'_>) {
        fields.begin(self.time);
        self.field(LogField::Client, fields);
        self.field(LogField::Method, fields);
        self.field(LogField::Host, fields);
        self.field(LogField::Path, fields);
        self.field(LogField::Query, fields);
        self.field(LogField::Protocol, fields);
        self.field(LogField::Status, fields);
        self.field(LogField::BytesIn, fields);
        self.field(LogField::BytesOut, fields);
        self.field(LogField::Ms, fields);
        self.field(LogField::Route, fields);
        self.field(LogField::Outcome, fields);
        self.field(LogField::Reason, fields);
        self.field(LogField::Detail, fields);
        self.field(LogField::Subject, fields);
        self.field(LogField::Upstream, fields);
        self.field(LogField::UpstreamMs, fields);
        self.field(LogField::UserAgent, fields);
        self.field(LogField::Referer, fields);
        self.field(LogField::RequestId, fields);
        self.field(LogField::TraceId, fields);
        fields.end();
    }

    /// Inlined, so that of a field that is known beforehand its own arm alone is left.
    #[inline(always)]
    fn field(&self, field: LogField, fields: &mut Fields<'_>) {
        match field {
            LogField::Client => fields.address(name!("client"), self.client),
            LogField::Method => fields.text(name!("method"), Some(self.method.as_str()), 32),
            LogField::Host => fields.text(name!("host"), Some(self.host), 256),
            LogField::Path => fields.text(name!("path"), Some(&redact::path(self.path)), 2048),
            LogField::Query => fields.list(name!("query"), self.query.map(redact::query_names)),
            LogField::Protocol => fields.word(name!("protocol"), Some(protocol(self.protocol))),
            LogField::Status => fields.number(name!("status"), Some(self.status)),
            LogField::BytesIn => fields.number(name!("bytes_in"), Some(self.bytes_in)),
            LogField::BytesOut => fields.number(name!("bytes_out"), Some(self.bytes_out)),
            LogField::Ms => fields.milliseconds(name!("ms"), Some(self.took)),
            LogField::Route => fields.text(name!("route"), self.route, 256),
            LogField::Outcome => {
                let is_allowed = self.outcome == Outcome::Allow;
                fields.word(name!("outcome"), Some(if is_allowed { "allow" } else { "deny" }));
            }
            LogField::Reason => fields.word(name!("reason"), self.reason.map(Reason::label)),
            LogField::Detail => fields.text(name!("detail"), self.detail.map(redact::tokens).as_deref(), 512),
            LogField::Subject => fields.subject(name!("subject"), self.subject),
            LogField::Upstream => fields.text(name!("upstream"), self.upstream, 256),
            LogField::UpstreamMs => fields.milliseconds(name!("upstream_ms"), self.upstream_took),
            LogField::UserAgent => {
                let agent = self.user_agent.map(lossy);
                let agent = agent.as_deref().map(redact::tokens);
                fields.text(name!("user_agent"), agent.as_deref(), 256);
            }
            LogField::Referer => {
                let referer = self.referer.map(lossy);
                let referer = referer.as_deref().map(redact::referer);
                fields.text(name!("referer"), referer.as_deref(), 512);
            }
            LogField::RequestId => fields.text(name!("request_id"), Some(self.request_id), 64),
            LogField::TraceId => fields.text(name!("trace_id"), self.trace_id, 32),
        }
    }
}

fn lossy(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}

pub(super) fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/3.0",
    }
}

/// A request that was allowed, for tests.
#[cfg(test)]
pub(super) fn example() -> Entry<'static> {
    Entry {
        time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_794_477_600_123),
        request_id: "4f2a",
        client: IpAddr::from([192, 0, 2, 1]),
        protocol: Version::HTTP_11,
        method: &Method::GET,
        host: "video.example.edu",
        path: "/static/o/c/e/v.mp4",
        query: Some("jwt=secret&t=3"),
        status: 206,
        bytes_in: 0,
        bytes_out: 1_048_576,
        took: Duration::from_micros(3_102),
        route: Some("media"),
        outcome: Outcome::Allow,
        reason: None,
        detail: None,
        subject: Some(("moodle", "anna")),
        upstream: None,
        upstream_took: None,
        user_agent: None,
        referer: None,
        trace_id: None,
    }
}

#[cfg(test)]
mod tests {
    use super::example as entry;
    use super::*;
    use crate::text::is_unsafe;
    use proptest::prelude::*;

    const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJleHAiOjF9.c2lnbmF0dXJl";

    fn text(entry: &Entry<'_>) -> String {
        let mut line = String::new();
        entry.text(&mut line);
        line
    }

    fn json(entry: &Entry<'_>) -> serde_json::Value {
        let mut line = String::new();
        entry.json(&mut line);
        assert_eq!(line.matches('\n').count(), 1);
        serde_json::from_str(&line).unwrap()
    }

    #[test]
    fn a_line_of_text() {
        assert_eq!(
            text(&entry()),
            "2026-11-12T10:00:00.123Z  INFO access: client=192.0.2.1 method=\"GET\" host=\"video.example.edu\" \
             path=\"/static/o/c/e/v.mp4\" query=\"jwt,t\" protocol=HTTP/1.1 status=206 bytes_in=0 bytes_out=1048576 \
             ms=3.102 route=\"media\" outcome=allow reason=- detail=- subject=\"moodle/anna\" upstream=- upstream_ms=- \
             user_agent=- referer=- request_id=\"4f2a\" trace_id=-\n"
        );
    }

    #[test]
    fn a_line_of_json() {
        let refused = Entry {
            outcome: Outcome::Deny,
            reason: Some(Reason::TokenExpired),
            upstream: Some("127.0.0.1:8081"),
            upstream_took: Some(Duration::from_millis(2)),
            trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736"),
            ..entry()
        };
        assert_eq!(
            json(&refused),
            serde_json::json!({
                "timestamp": "2026-11-12T10:00:00.123Z", "level": "INFO", "target": "access",
                "client": "192.0.2.1", "method": "GET", "host": "video.example.edu", "path": "/static/o/c/e/v.mp4",
                "query": "jwt,t", "protocol": "HTTP/1.1", "status": 206, "bytes_in": 0, "bytes_out": 1_048_576,
                "ms": 3.102, "route": "media", "outcome": "deny", "reason": "token_expired",
                "subject": "moodle/anna", "upstream": "127.0.0.1:8081", "upstream_ms": 2.0, "request_id": "4f2a",
                "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
            })
        );
    }

    fn chosen(fields: &[LogField], format: LogFormat, look: Look) -> String {
        let fields = fields.to_vec();
        let mut line = String::new();
        Chosen { format, fields, look }.line(&entry(), &mut line);
        line
    }

    #[test]
    fn the_usual_line_tells_every_field_in_its_order() {
        let plain = Look::default();
        assert_eq!(chosen(LogField::ALL, LogFormat::Text, plain), text(&entry()));
        let mut line = String::new();
        entry().json(&mut line);
        assert_eq!(chosen(LogField::ALL, LogFormat::Json, plain), line);
    }

    #[test]
    fn fields_that_are_chosen_stand_in_their_order() {
        let fields = [LogField::Status, LogField::Client, LogField::Reason];
        assert_eq!(
            chosen(&fields, LogFormat::Text, Look::default()),
            "2026-11-12T10:00:00.123Z  INFO access: status=206 client=192.0.2.1 reason=-\n"
        );
        assert_eq!(
            chosen(
                &fields,
                LogFormat::Json,
                Look {
                    colour: false,
                    priority: true
                }
            ),
            "<6>{\"timestamp\":\"2026-11-12T10:00:00.123Z\",\"level\":\"INFO\",\"target\":\"access\",\"status\":206,\
             \"client\":\"192.0.2.1\"}\n"
        );
        assert_eq!(
            chosen(
                &fields,
                LogFormat::Text,
                Look {
                    colour: true,
                    priority: false
                }
            ),
            "\u{1b}[2m2026-11-12T10:00:00.123Z \u{1b}[0m\u{1b}[32m INFO\u{1b}[0m access:\u{1b}[32m status=206\u{1b}[0m \
             client=192.0.2.1 reason=-\n"
        );
    }

    #[test]
    fn no_secret_reaches_the_line_wherever_it_stands() {
        let path = format!("/static/{TOKEN}/v.mp4?jwt={TOKEN}");
        let query = format!("jwt={TOKEN}&{TOKEN}&wstoken=0123456789abcdef0123456789abcdef");
        let referer = HeaderValue::try_from(format!("https://moodle.example.edu/x?jwt={TOKEN}")).unwrap();
        let agent = HeaderValue::try_from(TOKEN).unwrap();
        let detail = format!("kid of {TOKEN}");
        let entry = Entry {
            path: &path,
            query: Some(&query),
            detail: Some(&detail),
            subject: Some(("moodle", TOKEN)),
            user_agent: Some(&agent),
            referer: Some(&referer),
            ..entry()
        };
        for line in [text(&entry), json(&entry).to_string()] {
            for secret in ["eyJ", "c2ln", "0123456789abcdef"] {
                assert!(!line.contains(secret), "{line}");
            }
            assert!(line.contains("https://moodle.example.edu/x"), "{line}");
        }
    }

    #[test]
    fn long_texts_are_cut() {
        let path = "/ä".repeat(100_000);
        let line = text(&Entry { path: &path, ..entry() });
        assert!(line.len() < 4096 && line.contains("…\""), "{}", line.len());
    }

    proptest! {
        #[test]
        fn no_request_can_forge_a_line_or_a_field(
            path in any::<String>(), host in any::<String>(), agent in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let agent = HeaderValue::from_bytes(&agent).ok();
            let entry = Entry { path: &path, host: &host, user_agent: agent.as_ref(), ..entry() };
            let line = text(&entry);
            prop_assert!(line.ends_with('\n') && !line.trim_end_matches('\n').contains(is_unsafe), "{:?}", line);
            // Outside of quotes stand only the names, once each.
            let mut bare = line.replace("\\\\", "").replace("\\\"", "");
            while let Some(from) = bare.find('"') {
                let to = bare[from + 1..].find('"').unwrap() + from + 1;
                bare.replace_range(from..=to, "");
            }
            prop_assert_eq!(bare.matches('=').count(), 21);
            prop_assert_eq!(json(&entry)["host"].as_str().map(str::len), Some(host.len()).filter(|_| host.len() < 256));
        }
    }
}
