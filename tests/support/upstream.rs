//! An upstream zoo: a server that tells what it was sent, and misbehaves as the path asks.
//!
//! A path that contains `/zoo/<animal>` asks for that animal (see [`serve`]); any other is echoed.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::sync::{Arc, Condvar, Mutex};

use serde_json::{Value, json};

use super::double::Double;
use super::http::{Wire, values};
use super::wait::DEADLINE;

#[derive(Default)]
struct State {
    requests: Vec<Seen>,
    received: u64,
    released: bool,
    ill: bool,
}

type Shared = Arc<(Mutex<State>, Condvar)>;

/// A request's head as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
}

impl Seen {
    /// The value of a header that must not stand twice.
    pub fn header(&self, name: &str) -> Option<&str> {
        let all = values(&self.headers, name);
        assert!(all.len() < 2, "{name} stands more than once: {all:?}");
        all.first().copied()
    }

    fn json(&self, body: &[u8], trailers: &[(String, String)]) -> Value {
        json!({
            "method": self.method,
            "target": self.target,
            "headers": self.headers,
            "body": String::from_utf8_lossy(body),
            "trailers": trailers,
        })
    }
}

/// The running zoo.
pub struct Upstream {
    double: Double,
    shared: Shared,
}

impl Upstream {
    pub fn start() -> Self {
        Self::named("zoo")
    }

    /// Every answer says `x-zoo: <name>`, so that one of several can be told.
    pub fn named(name: &'static str) -> Self {
        let shared = Shared::default();
        let served = Arc::clone(&shared);
        Self {
            double: Double::start(move |mut wire| while let Ok(true) = serve(&mut wire, name, &served) {}),
            shared,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.double.address)
    }

    /// How many connections were made to it. Health checks by TCP connect count too.
    pub fn connections(&self) -> usize {
        self.double.connections()
    }

    pub fn requests(&self) -> Vec<Seen> {
        self.shared.0.lock().unwrap().requests.clone()
    }

    /// The one request whose target begins so.
    pub fn seen(&self, target: &str) -> Seen {
        let requests = self.requests();
        let mut fitting = requests.iter().filter(|seen| seen.target.starts_with(target));
        let seen = fitting
            .next()
            .unwrap_or_else(|| panic!("no {target} among {requests:?}"));
        assert!(fitting.next().is_none(), "several {target} among {requests:?}");
        seen.clone()
    }

    /// Waits until `/zoo/sink` has received so many body bytes.
    pub fn received(&self, bytes: u64) {
        self.wait(&format!("{bytes} bytes received"), |state| state.received >= bytes);
    }

    /// Waits until a request with such a target has arrived.
    pub fn arrived(&self, target: &str) {
        self.wait(target, |state| {
            state.requests.iter().any(|seen| seen.target.starts_with(target))
        });
    }

    /// Lets `/zoo/gate` go on.
    pub fn release(&self) {
        self.shared.0.lock().unwrap().released = true;
        self.shared.1.notify_all();
    }

    /// From now on `/health` is answered 500, or 200 again.
    pub fn set_ill(&self, ill: bool) {
        self.shared.0.lock().unwrap().ill = ill;
    }

    fn wait(&self, what: &str, done: impl Fn(&State) -> bool) {
        let (state, changed) = &*self.shared;
        let state = state.lock().unwrap();
        let (state, timeout) = changed
            .wait_timeout_while(state, DEADLINE, |state| !done(state))
            .unwrap();
        assert!(
            !timeout.timed_out(),
            "not within {DEADLINE:?}: {what}; {:?}",
            state.requests
        );
    }
}

/// Serves one request. `Ok(true)`: the connection may serve another.
fn serve(wire: &mut Wire, name: &str, (state, changed): &(Mutex<State>, Condvar)) -> io::Result<bool> {
    let (line, headers) = wire.head()?;
    let mut words = line.split(' ').map(str::to_owned);
    let seen = Seen {
        method: words.next().unwrap_or_default(),
        target: words.next().unwrap_or_default(),
        headers,
    };
    let ill = {
        let mut state = state.lock().unwrap();
        state.requests.push(seen.clone());
        state.ill && seen.target == "/health"
    };
    changed.notify_all();
    if ill {
        answer(wire, name, 500, "", "")?;
        return Ok(true);
    }
    let (_, animal) = seen.target.split_once("/zoo/").unwrap_or_default();
    let animal = animal.split('?').next().unwrap_or_default();
    let (animal, number) = animal.split_once('/').unwrap_or((animal, ""));
    let number: u64 = number.parse().unwrap_or_default();
    let expects = !values(&seen.headers, "expect").is_empty();
    if expects && animal != "refuses" {
        wire.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    match animal {
        // Counts the body as it comes.
        "sink" => {
            let mut count = 0;
            wire.body_into(&seen.headers, false, |piece| {
                count += piece.len() as u64;
                state.lock().unwrap().received += piece.len() as u64;
                changed.notify_all();
            })?;
            answer(wire, name, 200, "", &json!({ "received": count }).to_string())?;
        }
        // Sends so many bytes.
        "source" => {
            let head = format!("HTTP/1.1 200 OK\r\nx-zoo: {name}\r\nContent-Length: {number}\r\n\r\n");
            wire.stream.write_all(head.as_bytes())?;
            if seen.method != "HEAD" {
                io::copy(&mut io::repeat(b'j').take(number), &mut wire.stream)?;
            }
        }
        // Sends half of what it announces.
        "cut" => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 2 * number);
            wire.stream.write_all(head.as_bytes())?;
            io::copy(&mut io::repeat(b'j').take(number), &mut wire.stream)?;
            return Ok(false);
        }
        // Sends `first`, and `second` when it is let.
        "gate" => {
            wire.stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nfirst")?;
            let now = state.lock().unwrap();
            let (now, waited) = changed.wait_timeout_while(now, DEADLINE, |state| !state.released).unwrap();
            drop(now);
            if waited.timed_out() {
                // Nobody got far enough to let it: an answer that came whole now would hide that.
                return Ok(false);
            }
            wire.stream.write_all(b"second")?;
        }
        // Takes the whole body and answers when it is let.
        "late" => {
            wire.body_into(&seen.headers, false, |_| {})?;
            let now = state.lock().unwrap();
            let (now, waited) = changed.wait_timeout_while(now, DEADLINE, |state| !state.released).unwrap();
            drop(now);
            if waited.timed_out() {
                return Ok(false);
            }
            answer(wire, name, 200, "", "late")?;
        }
        // Sets cookies with names of the gateway's, and one of its own.
        "cookies" => {
            let names = ["janua", "__Host-janua", "__HOST-janua-login-1", "__Secure-janua-watch", "janua-nobody-x", "theirs"];
            let lines: String = names.map(|name| format!("Set-Cookie: {name}=1; Path=/\r\n")).concat();
            answer(wire, name, 200, &lines, "")?;
        }
        // An interim answer that says what a final one may not.
        "hints" => {
            wire.stream.write_all(
                b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nSet-Cookie: JSESSIONID=1\r\n\
                  Set-Cookie: janua=1\r\nX-Accel-Redirect: /protected/a\r\nConnection: x-a\r\nX-A: 1\r\n\
                  Access-Control-Allow-Origin: *\r\nlink: </b.js>; rel=preload\r\n\r\n",
            )?;
            answer(wire, name, 200, "", "final")?;
        }
        // Trailers after chunks.
        "trailers" => wire.stream.write_all(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-checksum\r\n\r\n4\r\nbody\r\n0\r\nx-checksum: 4f2a\r\n\r\n",
        )?,
        // Refuses an announced body before it is sent.
        "refuses" => {
            answer(wire, name, 417, "Connection: close\r\n", "not that")?;
            return Ok(false);
        }
        // Switches protocols at once and sends back what comes.
        "websocket" => {
            wire.stream.write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            )?;
            let mut piece = [0; 1024];
            loop {
                match wire.read(&mut piece)? {
                    0 => break,
                    count => wire.stream.write_all(&piece[..count])?,
                }
            }
            return Ok(false);
        }
        // Switches to whatever was asked for, or to HTTP/2 if nothing was, as servers with h2c do; and says what it was asked.
        "switches" => {
            let asked = seen.header("upgrade").unwrap_or("h2c").to_owned();
            let head = format!("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {asked}\r\n\r\nthrough");
            wire.stream.write_all(head.as_bytes())?;
            return Ok(false);
        }
        // 204 or 304 that announce a body all the same, as PHP behind some servers does.
        "bodiless" => {
            let length = seen.target.ends_with("?length");
            let says = if length { "Content-Length: 0" } else { "Transfer-Encoding: chunked" };
            let head = format!("HTTP/1.1 {number} Bodiless\r\n{says}\r\nETag: \"1\"\r\n\r\n");
            wire.stream.write_all(head.as_bytes())?;
        }
        // Answers with the headers that the query names, and with a status if one is named.
        "says" => {
            let query = seen.target.split_once('?').unwrap_or_default().1;
            let pairs = form_urlencoded::parse(query.as_bytes());
            let lines: String = pairs.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            answer(wire, name, number.max(200), &lines, "said")?;
        }
        // Never answers.
        "stall" => {
            io::copy(wire, &mut io::sink())?;
            return Ok(false);
        }
        // Hangs up without an answer.
        "hangup" => {
            wire.stream.shutdown(Shutdown::Both)?;
            return Ok(false);
        }
        "garbage" => {
            wire.stream.write_all(b"220 this is no web server\r\n\r\n")?;
            return Ok(false);
        }
        // Any status, with headers that only a front may act on and that name what is nobody's business.
        "status" => {
            let headers = "Location: /elsewhere?a=1\r\nCache-Control: public, max-age=60\r\n";
            answer(wire, name, number, headers, "")?;
        }
        "accel" => {
            let headers = "X-Accel-Redirect: /protected/secret\r\nX-Sendfile: /etc/passwd\r\n";
            answer(wire, name, 200, headers, "from the upstream")?;
        }
        // Names a file below a prefix instead of sending one; what it sends beside must reach nobody.
        "protected" => {
            let (_, file) = seen.target.split_once("/zoo/protected").unwrap_or_default();
            let file = file.split('?').next().unwrap_or_default();
            let cookies = "Set-Cookie: janua=1\r\nSet-Cookie: JSESSIONID=1\r\nSet-Cookie: =janua=1\r\n";
            let headers = format!("X-Accel-Redirect: /protected{file}\r\n{cookies}ETag: 1\r\n");
            answer(wire, name, 200, &headers, "from the upstream")?;
        }
        // 401 with a challenge.
        "login" => answer(wire, name, 401, "WWW-Authenticate: Basic realm=\"Opencast\"\r\n", "")?,
        // Names an ordinary header as hop-by-hop.
        "hops" => {
            let headers = "Connection: x-inner\r\nx-inner: 1\r\nKeep-Alive: timeout=5\r\nx-outer: 1\r\n";
            answer(wire, name, 200, headers, "")?;
        }
        _ => {
            let (body, trailers) = wire.body(&seen.headers, false)?;
            let body = match seen.method.as_str() {
                "HEAD" => String::new(),
                _ => seen.json(&body, &trailers).to_string(),
            };
            answer(wire, name, 200, "Content-Type: application/json\r\n", &body)?;
        }
    }
    Ok(values(&seen.headers, "connection").first() != Some(&"close"))
}

fn answer(wire: &mut Wire, name: &str, status: u64, headers: &str, body: &str) -> io::Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} So\r\nx-zoo: {name}\r\n{headers}Content-Length: {length}\r\n\r\n");
    wire.stream.write_all(format!("{head}{body}").as_bytes())
}
