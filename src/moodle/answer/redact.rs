//! What of Moodle's answers never reaches the client: keys that stand in them, cookies, instructions to a file server.
//!
//! `core_webservice_get_site_info` hands out the key by which files can be fetched without a token; notifications hold
//! addresses of `tokenpluginfile.php` with that key in them (`message/lib.php`); other answers hold the private half of a
//! token. The keys are taken out wherever these names stand, as the answer passes: in JSON and XML, in a text within them
//! that is escaped any number of times, and in addresses; so is the token of the call, wherever it stands. A redacted answer
//! gets shorter: its `Content-Length` must not be kept.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, header};

use super::repeated::Repeated;
use crate::moodle::token::Token;

/// Behind these names stands a key.
const NAMES: [&[u8]; 3] = [b"userprivateaccesskey", b"privatetoken", b"tokenpluginfile"];
/// Without slash arguments the key stands in the query of `tokenpluginfile.php`.
const PARAMETER: &[u8] = b"token";
/// Moodle makes keys of 32 digits and more; between a name and its key stand punctuation and shorter words, of an escape, an
/// element or an address.
const SHORTEST_KEY: usize = 32;
/// So much may stand between a name and its key, backslashes aside.
const MAX_BETWEEN: usize = 64;

/// Takes an answer piece by piece and gives what may be sent on.
pub struct Redactor {
    repeated: Repeated,
    keys: Keys,
}

/// Takes out what stands behind the names.
#[derive(Default)]
struct Keys {
    state: State,
    /// What may become a name, or a key.
    pending: Vec<u8>,
}

#[derive(Default, Clone, Copy)]
enum State {
    #[default]
    Text,
    /// Behind a name.
    Between(Between),
    /// In a key that is left out.
    Key,
    /// In the query of an address, or behind a key, where one may begin.
    Query(Query),
}

/// What has come of a query.
#[derive(Default, Clone, Copy)]
struct Query {
    /// A parameter's name has just ended that a key follows.
    named: bool,
    escape: Escape,
}

/// An escape of JSON or of an address, escaped itself any number of times: `\u0026`, `%26`, `%2526`, `\n`.
#[derive(Default, Clone, Copy)]
struct Escape {
    /// The byte before.
    last: u8,
    /// So many digits are to come.
    digits: u8,
}

impl Escape {
    /// Is this byte part of an escape?
    fn takes(&mut self, byte: u8) -> bool {
        let last = std::mem::replace(&mut self.last, byte);
        if self.digits > 0 && byte.is_ascii_hexdigit() {
            self.digits -= 1;
            // An escaped `%` begins an escape in its turn.
            if self.digits == 0 && (last, byte) == (b'2', b'5') {
                self.digits = 2;
            }
            return true;
        }
        self.digits = match (last, byte) {
            (_, b'%') => 2,
            (b'\\', b'u') => 4,
            _ => 0,
        };
        last == b'\\' && b"ubfnrt".contains(&byte)
    }
}

/// What has come behind a name.
#[derive(Default, Clone, Copy)]
struct Between {
    bytes: usize,
    escape: Escape,
    /// An element begins: backslashes aside, the byte before is `<`.
    opens: bool,
    /// `php`, and what may become an escaped `?`.
    script: bool,
}

impl Redactor {
    /// For an answer to a call with this token.
    pub fn new(token: &Token) -> Self {
        Self {
            repeated: Repeated::new(token),
            keys: Keys::default(),
        }
    }

    /// The next piece of the answer in, what may be sent out.
    pub fn push(&mut self, piece: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(piece.len() + self.keys.pending.len());
        let keys = &mut self.keys;
        self.repeated.push(piece, |text| keys.take_all(text, &mut out));
        out.freeze()
    }

    /// The end of the answer: what was withheld until it would be clear what it is.
    pub fn finish(&mut self) -> Bytes {
        let mut out = BytesMut::new();
        self.keys.take_all(&self.repeated.finish(), &mut out);
        self.keys.flush(&mut out);
        out.freeze()
    }
}

impl Keys {
    fn take_all(&mut self, text: &[u8], out: &mut BytesMut) {
        for byte in text {
            self.take(*byte, out);
        }
    }

    fn take(&mut self, byte: u8, out: &mut BytesMut) {
        match self.state {
            State::Text => self.text(byte, out),
            State::Between(between) => self.between(byte, between, out),
            State::Key if of_key(byte) => {}
            State::Key => {
                // The address may have it once more, in its query.
                let query = Query::default();
                self.query(byte, query, out);
            }
            State::Query(query) => self.query(byte, query, out),
        }
    }

    fn text(&mut self, byte: u8, out: &mut BytesMut) {
        if self.pending.is_empty() && !NAMES.iter().any(|name| name.first() == Some(&byte)) {
            out.put_u8(byte);
            return;
        }
        self.pending.push(byte);
        if NAMES.contains(&self.pending.as_slice()) {
            self.state = State::Between(Between::default());
            self.flush(out);
            return;
        }
        // The longest end of what is withheld that may still become a name.
        let mut start = 0;
        let mut rest = self.pending.as_slice();
        while !rest.is_empty() && !NAMES.iter().any(|name| name.starts_with(rest)) {
            start += 1;
            rest = rest.get(1..).unwrap_or_default();
        }
        out.extend(self.pending.drain(..start));
    }

    fn between(&mut self, byte: u8, mut between: Between, out: &mut BytesMut) {
        let last = between.escape.last;
        if between.escape.takes(byte) {
            self.flush(out);
            out.put_u8(byte);
            if between.script && (last, byte.to_ascii_uppercase()) == (b'3', b'F') {
                self.state = State::Query(Query::default());
                return;
            }
        } else if of_key(byte) && byte != b'=' && last != 0 {
            self.pending.push(byte);
            if self.pending.len() >= SHORTEST_KEY {
                self.pending.clear();
                self.state = State::Key;
                return;
            }
        } else {
            let is_script = self.pending == b"php";
            self.flush(out);
            let punctuation = byte.is_ascii_whitespace() || b"\\\"':&;#%/.<>=?".contains(&byte);
            let closes = between.opens && byte == b'/';
            between.opens = byte == b'<' || (between.opens && byte == b'\\');
            if is_script && byte == b'?' {
                out.put_u8(byte);
                self.state = State::Query(Query::default());
                return;
            }
            if !punctuation || closes || between.bytes > MAX_BETWEEN {
                self.state = State::Text;
                self.text(byte, out);
                return;
            }
            between.script = is_script && byte == b'%';
            out.put_u8(byte);
        }
        between.bytes += usize::from(byte != b'\\');
        self.state = State::Between(between);
    }

    /// Up to the end of an address.
    fn query(&mut self, byte: u8, mut query: Query, out: &mut BytesMut) {
        if query.escape.takes(byte) {
            self.flush(out);
            out.put_u8(byte);
        } else if byte.is_ascii_alphanumeric() {
            if query.named {
                self.pending.clear();
                self.state = State::Key;
                return;
            }
            self.pending.push(byte);
            if self.pending.len() > PARAMETER.len() {
                self.flush(out);
            }
        } else {
            query.named = self.pending == PARAMETER && matches!(byte, b'=' | b'%') || query.named && byte == b'\\';
            self.flush(out);
            let ends = byte.is_ascii_whitespace() || b"\"<>,}]".contains(&byte);
            if ends {
                self.state = State::Text;
                self.text(byte, out);
                return;
            }
            out.put_u8(byte);
        }
        self.state = State::Query(query);
    }

    fn flush(&mut self, out: &mut BytesMut) {
        out.put_slice(&self.pending);
        self.pending.clear();
    }
}

fn of_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'=')
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn redacted(body: &[u8], cuts: &[usize]) -> String {
        let mut redactor = Redactor::new(&Token::parse(TOKEN).unwrap());
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

    const KEY: &str = "16471f0cc175b9c0f1b6a831c399e269";
    const TOKEN: &str = "5f15767e0d05735045e8d5226f8d38cf";

    #[test]
    fn the_token_of_the_call_goes_and_hides_no_key() {
        let body = format!(
            r#"{{"a":"{TOKEN}","userprivate{TOKEN}accesskey":"{KEY}","b":"{}"}}"#,
            &TOKEN[..31]
        );
        let without = body.replace(TOKEN, "").replace(KEY, "");
        for cut in 0..body.len() {
            assert_eq!(redacted(body.as_bytes(), &[cut]), without);
        }
    }

    /// Quotes and slashes as JSON escapes them, so many times.
    fn escaped(text: &str, times: usize) -> String {
        (0..times).fold(text.to_owned(), |text, _| {
            text.replace('\\', "\\\\").replace('"', "\\\"").replace('/', "\\/")
        })
    }

    #[test]
    fn keys_lose_their_values() {
        let cases = [
            r#"{"a":1,"userprivateaccesskey":"KEY","b":2}"#,
            r#"{"userprivateaccesskey" : "KEY","b":2}"#,
            r#"{"token":"t","privatetoken":"KEYKEY"}"#,
            r#"{"puserprivateaccesskey":"KEY"}"#,
            r#"{"customdata":{"tokenpluginfile":"KEY"}}"#,
            r#"{"url":"https://m/tokenpluginfile.php/KEY/5/user/icon/boost/f1"}"#,
            r#"{"url":"https://m/tokenpluginfile.php?file=%2F5%2Fprivate%2Fsomething&token=KEY&forcedownload=1"}"#,
            r#"{"url":"https://m/tokenpluginfile.php?token=KEY"}"#,
            r#"{"url":"https%3A%2F%2Fm%2Ftokenpluginfile.php%2FKEY%2F5%2Fuser"}"#,
            r#"{"url":"tokenpluginfile.php%252FKEY%252F5"}"#,
            r#"{"url":"tokenpluginfile.php\u002fKEY\u002f5"}"#,
            r#"{"data":"{\u0022userprivateaccesskey\u0022:\u0022KEY\u0022}"}"#,
            "<ITEM name=\"userprivateaccesskey\"><VALUE>KEY</VALUE>\n</ITEM>",
            "<VALUE>{&quot;userprivateaccesskey&quot;:&quot;KEY&quot;}</VALUE>",
            "<VALUE>{&amp;quot;privatetoken&amp;quot;:&amp;quot;KEY&amp;quot;}</VALUE>",
            r"<VALUE>{\&quot;tokenpluginfile\&quot;:\&quot;KEY\&quot;}</VALUE>",
            "{&#34;userprivateaccesskey&#34;:&#x22;KEY&#34;}",
            "<VALUE>https://m/tokenpluginfile.php?file=/5/x&amp;token=KEY</VALUE>",
            r#"{"url":"https://m/tokenpluginfile.php?file=%2F5%2Fuser\u0026token=KEY"}"#,
            "tokenpluginfile.php%3Ffile%3D%252F5%252Fprivate%252Fx%26token%3DKEY",
            "tokenpluginfile.php%253Ffile%253D%25252F5%2526token%253DKEY",
            r#"{"url":"https://m/tokenpluginfile.php/KEY/5/user/icon?rev=1&token=KEY"}"#,
        ]
        .map(str::to_owned);
        for case in cases {
            for times in 0..5 {
                let case = escaped(&case, times);
                let without = case.replace("KEY", "");
                assert_eq!(redacted(case.replace("KEY", KEY).as_bytes(), &[]), without, "{case}");
            }
        }
    }

    #[test]
    fn everything_else_stays() {
        let cases = [
            r#"{"privatetoken":null,"something":"something"}"#,
            r#"{"privatetoken":"","something":"something"}"#,
            r#"["userprivateaccesskey","something"]"#,
            r#"{"text":"privatetokenization of tokenpluginfile things"}"#,
            r#"{"text":"pluginfile.php/16471f0cc175b9c0f1b6a831c399e269?token=16471f0cc175b9c0f1b6a831c399e269"}"#,
            "<KEY name=\"privatetoken\"><VALUE></VALUE>\n</KEY>\n<KEY name=\"something\">",
            "<KEY name=\"privatetoken\"><VALUE null=\"null\"/></KEY>\n<KEY name=\"something\">",
            r#"{"text":"privatetoken:\nsomething\tprivatetoken: \\something","a":"b"}"#,
            r#"{"text":"tokenpluginfile.php%3Ffile%3Dsomething"}"#,
            "userprivateaccesske",
            "userprivateaccesskey",
            "userprivateaccesskey: ab",
            "https://m/tokenpluginfile.php?file=/5/x&forcedownload=1 something=something token=something",
        ];
        for body in cases {
            for times in 0..3 {
                let body = escaped(body, times);
                assert_eq!(redacted(body.as_bytes(), &[]), body);
            }
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
        for name in removals(&headers) {
            headers.remove(name);
        }
        assert_eq!(
            headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(),
            ["content-type"]
        );
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            body in "(p|u|\"|:|\\\\|/|%2F|\\?|token=|&quot;|userprivateaccesskey|\"privatetoken\":\"|\"><VALUE>|tokenpluginfile.php|user|priv|0123456789|<| ){0,16}",
            cuts in proptest::collection::vec(any::<usize>(), 0..12),
        ) {
            prop_assert_eq!(redacted(body.as_bytes(), &cuts), redacted(body.as_bytes(), &[]));
        }

        #[test]
        fn no_secret_is_left(
            front in "(p|u|t|user|private|\"a\":1,){0,6}",
            name in prop_oneof![
                Just(r#"{"userprivateaccesskey":""#),
                Just(r#"{"u":"https://m/tokenpluginfile.php/"#),
                Just(r#"{"u":"https://m/tokenpluginfile.php?a=b&token="#),
            ],
            secret in "[0-9a-f]{32}",
            times in 0_usize..6,
            cuts in proptest::collection::vec(any::<usize>(), 0..12),
        ) {
            let body = escaped(&format!("{front}{name}{secret}\"}}"), times);
            prop_assert_eq!(redacted(body.as_bytes(), &cuts), body.replace(&secret, ""));
        }
    }
}
