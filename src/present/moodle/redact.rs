//! What of Moodle's answers never reaches the client: keys that stand in them, cookies, instructions to a file server.
//!
//! `core_webservice_get_site_info` hands out the key by which files can be fetched without a token (facts 1.4); other
//! answers hold the private half of a token. Their values are taken out wherever these names stand, in JSON and XML, as
//! the answer passes. A redacted answer gets shorter: its `Content-Length` must not be kept.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, header};

const KEYS: [&[u8]; 2] = [b"userprivateaccesskey", b"privatetoken"];
/// From a key to its value there is a little punctuation, and white space at most.
const MAX_BETWEEN: usize = 64;
/// Left in a browser, it takes over the next sign-in's target (facts 2.1).
const LAUNCH_COOKIE: &str = "tool_mobile_launch=";

/// Takes an answer piece by piece and gives what may be sent on.
#[derive(Default)]
pub struct Redactor {
    state: State,
    /// What may become a key, or stands between a key and its value.
    pending: Vec<u8>,
}

#[derive(Default, Clone, Copy)]
enum State {
    #[default]
    Text,
    /// Behind a key.
    Between,
    /// In a JSON string that is left out; was the last byte a `\`?
    Json(bool),
    /// In an XML value that is left out.
    Xml,
}

/// What stands between a key and its value.
enum Gap {
    Json,
    Xml,
    /// No secret follows.
    Other,
    Open,
}

impl Redactor {
    /// The next piece of the answer in, what may be sent out.
    pub fn push(&mut self, piece: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(piece.len() + self.pending.len());
        for byte in piece {
            self.take(*byte, &mut out);
        }
        out.freeze()
    }

    /// The end of the answer: what was withheld until it would be clear what it is.
    pub fn finish(&mut self) -> Bytes {
        std::mem::take(&mut self.pending).into()
    }

    fn take(&mut self, byte: u8, out: &mut BytesMut) {
        match self.state {
            State::Text => self.text(byte, out),
            State::Between => {
                self.pending.push(byte);
                let key = KEYS
                    .iter()
                    .find(|key| self.pending.starts_with(key))
                    .map_or(0, |key| key.len());
                self.state = match gap(self.pending.get(key..).unwrap_or_default()) {
                    Gap::Open => return,
                    Gap::Json => State::Json(false),
                    Gap::Xml => State::Xml,
                    Gap::Other => State::Text,
                };
                out.put_slice(&self.pending);
                self.pending.clear();
            }
            State::Json(escaped) => {
                self.state = State::Json(!escaped && byte == b'\\');
                if byte == b'"' && !escaped {
                    out.put_u8(byte);
                    self.state = State::Text;
                }
            }
            State::Xml if byte == b'<' => {
                out.put_u8(byte);
                self.state = State::Text;
            }
            State::Xml => {}
        }
    }

    fn text(&mut self, byte: u8, out: &mut BytesMut) {
        if self.pending.is_empty() && !KEYS.iter().any(|key| key.first() == Some(&byte)) {
            out.put_u8(byte);
            return;
        }
        self.pending.push(byte);
        if KEYS.contains(&self.pending.as_slice()) {
            self.state = State::Between;
            return;
        }
        // The longest end of what is withheld that may still become a key.
        let mut start = 0;
        let mut rest = self.pending.as_slice();
        while !rest.is_empty() && !KEYS.iter().any(|key| key.starts_with(rest)) {
            start += 1;
            rest = rest.get(1..).unwrap_or_default();
        }
        out.extend(self.pending.drain(..start));
    }
}

/// `": "` in JSON, `"><VALUE>` in XML.
fn gap(text: &[u8]) -> Gap {
    let spaceless: Vec<u8> = text
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    let begins = |whole: &[u8]| whole.starts_with(&spaceless);
    match (begins(b"\":\""), begins(b"\"><VALUE>")) {
        (true, _) if spaceless.len() == 3 => Gap::Json,
        (_, true) if spaceless.len() == 9 => Gap::Xml,
        (false, false) => Gap::Other,
        _ if text.len() > MAX_BETWEEN => Gap::Other,
        _ => Gap::Open,
    }
}

/// Headers to remove from an answer to a request with an injected token: Moodle's own policy for other web sites, which
/// the route's replaces, instructions to a file server, and every cookie.
pub fn removals(headers: &HeaderMap) -> Vec<HeaderName> {
    let cors = headers
        .keys()
        .filter(|name| name.as_str().starts_with("access-control-"));
    let mut remove: Vec<HeaderName> = cors.cloned().collect();
    remove.extend([
        HeaderName::from_static("x-sendfile"),
        HeaderName::from_static("x-accel-redirect"),
        header::SET_COOKIE,
    ]);
    remove
}

/// The cookies that an ordinary page of Moodle's may set; `None`: there is nothing to take out.
pub fn cookies_without_launch(headers: &HeaderMap) -> Option<Vec<HeaderValue>> {
    let launch = |cookie: &&HeaderValue| cookie.as_bytes().starts_with(LAUNCH_COOKIE.as_bytes());
    let all = headers.get_all(header::SET_COOKIE);
    all.iter()
        .any(|cookie| launch(&cookie))
        .then(|| all.iter().filter(|cookie| !launch(cookie)).cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn redacted(body: &[u8], cuts: &[usize]) -> String {
        let mut redactor = Redactor::default();
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (body.len() + 1)).collect();
        places.extend([0, body.len()]);
        places.sort_unstable();
        let mut out = Vec::new();
        for ends in places.windows(2) {
            out.extend(redactor.push(&body[ends[0]..ends[1]]));
        }
        out.extend(redactor.finish());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn keys_lose_their_values() {
        let cases = [
            (
                r#"{"a":1,"userprivateaccesskey":"16471f","b":2}"#,
                r#"{"a":1,"userprivateaccesskey":"","b":2}"#,
            ),
            (
                r#"{"userprivateaccesskey" : "a\"b\\","b":2}"#,
                r#"{"userprivateaccesskey" : "","b":2}"#,
            ),
            (
                r#"{"token":"t","privatetoken":"x"}"#,
                r#"{"token":"t","privatetoken":""}"#,
            ),
            (r#"{"privatetoken":null,"b":"c"}"#, r#"{"privatetoken":null,"b":"c"}"#),
            (
                r#"["userprivateaccesskey","secret"]"#,
                r#"["userprivateaccesskey","secret"]"#,
            ),
            (r#"{"t":"\"privatetoken\":\"x\""}"#, r#"{"t":"\"privatetoken\":\"x\""}"#),
            (
                r#"{"puserprivateaccesskey":"16471f"}"#,
                r#"{"puserprivateaccesskey":""}"#,
            ),
            (
                "<KEY name=\"userprivateaccesskey\"><VALUE>1647</VALUE>\n</KEY>",
                "<KEY name=\"userprivateaccesskey\"><VALUE></VALUE>\n</KEY>",
            ),
            ("userprivateaccesske", "userprivateaccesske"),
            ("userprivateaccesskey", "userprivateaccesskey"),
        ];
        for (body, expected) in cases {
            assert_eq!(redacted(body.as_bytes(), &[]), expected);
        }
    }

    #[test]
    fn headers_that_end_here() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("access-control-allow-origin", "*"),
            ("access-control-allow-headers", "range"),
            ("set-cookie", "tool_mobile_launch=%7B; path=/"),
            ("set-cookie", "MoodleSession=x; path=/"),
            ("content-type", "application/json"),
        ] {
            headers.append(name, value.parse().unwrap());
        }
        assert_eq!(
            cookies_without_launch(&headers),
            Some(vec![HeaderValue::from_static("MoodleSession=x; path=/")])
        );
        for name in removals(&headers) {
            headers.remove(name);
        }
        assert_eq!(
            headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(),
            ["content-type"]
        );
        assert_eq!(cookies_without_launch(&headers), None);
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            body in "(p|u|\"|:|\\\\|userprivateaccesskey|\"privatetoken\":\"|\"><VALUE>|user|priv|x|<| ){0,16}",
            cuts in proptest::collection::vec(any::<usize>(), 0..12),
        ) {
            prop_assert_eq!(redacted(body.as_bytes(), &cuts), redacted(body.as_bytes(), &[]));
        }

        #[test]
        fn no_secret_is_left(
            front in "(p|u|user|private|\"a\":1,){0,6}",
            secret in "[0-9]{8,32}",
            cuts in proptest::collection::vec(any::<usize>(), 0..12),
        ) {
            let body = format!("{{{front}\"userprivateaccesskey\":\"{secret}\"}}");
            prop_assert!(!redacted(body.as_bytes(), &cuts).contains(&secret));
        }
    }
}
