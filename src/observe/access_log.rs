//! The access log: one line per request, as text or JSON.
//!
//! Formatting is pure and takes borrowed fields; writing is a copy into the sink's buffer. Every text that came from
//! outside is cut to a length, cleared of secrets ([`redact`]) and escaped, so that no request can write a line, or a
//! field, of its own. Values of a query are never logged.

use std::cell::RefCell;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use http::{HeaderValue, Method, Version};

use super::fields::{Fields, name};
use super::sink::Sink;
use crate::config::LogFormat;
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
    format: LogFormat,
    enabled: bool,
}

impl AccessLog {
    pub(super) fn new(sink: Sink, format: LogFormat, enabled: bool) -> Self {
        Self { sink, format, enabled }
    }

    /// Does anyone want entries? Lets a caller save the work of gathering one.
    pub fn is_enabled(&self) -> bool {
        self.enabled
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
                match self.format {
                    LogFormat::Text => entry.text(line),
                    LogFormat::Json => entry.json(line),
                }
                self.sink.push(line.as_bytes());
            });
        }
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
        fields.address(name!("client"), self.client);
        fields.text(name!("method"), Some(self.method.as_str()), 32);
        fields.text(name!("host"), Some(self.host), 256);
        fields.text(name!("path"), Some(&redact::path(self.path)), 2048);
        fields.list(name!("query"), self.query.map(redact::query_names));
        fields.word(name!("protocol"), Some(protocol(self.protocol)));
        fields.number(name!("status"), Some(self.status));
        fields.number(name!("bytes_in"), Some(self.bytes_in));
        fields.number(name!("bytes_out"), Some(self.bytes_out));
        fields.milliseconds(name!("ms"), Some(self.took));
        fields.text(name!("route"), self.route, 256);
        fields.word(
            name!("outcome"),
            Some(if self.outcome == Outcome::Allow {
                "allow"
            } else {
                "deny"
            }),
        );
        fields.word(name!("reason"), self.reason.map(Reason::label));
        fields.text(name!("detail"), self.detail.map(redact::tokens).as_deref(), 512);
        fields.subject(name!("subject"), self.subject);
        fields.text(name!("upstream"), self.upstream, 256);
        fields.milliseconds(name!("upstream_ms"), self.upstream_took);
        let agent = self.user_agent.map(|agent| String::from_utf8_lossy(agent.as_bytes()));
        fields.text(
            name!("user_agent"),
            agent.as_deref().map(redact::tokens).as_deref(),
            256,
        );
        let referer = self.referer.map(|referer| String::from_utf8_lossy(referer.as_bytes()));
        fields.text(
            name!("referer"),
            referer.as_deref().map(redact::referer).as_deref(),
            512,
        );
        fields.text(name!("request_id"), Some(self.request_id), 64);
        fields.text(name!("trace_id"), self.trace_id, 32);
        fields.end();
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/3.0",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::is_unsafe;
    use proptest::prelude::*;

    const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJleHAiOjF9.c2lnbmF0dXJl";

    fn entry() -> Entry<'static> {
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
