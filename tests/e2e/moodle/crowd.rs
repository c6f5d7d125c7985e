//! Many people at once: nobody is ever served by another one's token, and everybody gets exactly one.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::double::Double;
use crate::support::secrets::{Kind, register};
use crate::support::{Config, Gateway, Moodle, Request, Reserved, Site};

use super::school::{SITE_INFO, script};

const ROUTES: &str = r#"
[[routes]]
name     = "calls"
path     = "/webservice/{*rest}"
upstream = "moodle"
present  = "moodle-token"
accept   = ["session"]
sign_in  = "campus"
allow    = [{ signed_in = true }]
"#;

/// A gateway that vouches for everybody, at a CAS server where the ticket says who it is: `ST-<name>-…`.
struct Crowd {
    moodle: Moodle,
    gateway: Gateway,
    address: SocketAddr,
    _port: Reserved,
    _cas: Double,
}

impl Crowd {
    fn start() -> Self {
        let cas = Double::start(|mut wire| {
            let Ok((line, _)) = wire.head() else { return };
            let name = line.split("ticket=ST-").nth(1).and_then(|rest| rest.split('-').next());
            let body = format!(
                "<cas:serviceResponse xmlns:cas=\"http://www.yale.edu/tp/cas\"><cas:authenticationSuccess><cas:user>{}\
                 </cas:user></cas:authenticationSuccess></cas:serviceResponse>",
                name.unwrap_or_default()
            );
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            drop(wire.stream.write_all((head + &body).as_bytes()));
        });
        let moodle = Moodle::start();
        let port = Reserved::new(0).unwrap();
        let address = port.address();
        let origin = format!("http://{address}");
        moodle.site().settings.wwwroot.clone_from(&origin);
        moodle.site().settings.cas = Some(format!("{origin}/_janua/cas-facade"));
        let config = Config::new()
            .server("listen", &format!("[\"{address}\"]"))
            .server("public_urls", &format!("[\"{origin}\"]"))
            .upstream("moodle", &[moodle.url()], "")
            .section(&format!(
                "[sign_in.campus.cas]\nserver = \"http://{}/cas\"\n",
                cas.address
            ))
            .section(&format!(
                "[moodle.campus]\nupstream = \"moodle\"\npublic_url = \"{origin}\"\nsign_in = \"campus\"\n\
                 tokens = [\"cas-facade\"]\nfacade = {{ path = \"/_janua/cas-facade\", from = [\"127.0.0.1\"] }}\n"
            ))
            .section(ROUTES);
        Self {
            gateway: Site::new().start(&config),
            moodle,
            address,
            _port: port,
            _cas: cas,
        }
    }

    /// The cookie of a new session.
    fn sign_in(&self, name: &str) -> String {
        let host = self.address.to_string();
        let begun = self
            .gateway
            .send(Request::get("/_janua/sign-in?with=campus&return=/_janua/me").host(&host));
        let to: url::Url = begun.header("location").unwrap().parse().unwrap();
        let service = to
            .query_pairs()
            .find(|(name, _)| name == "service")
            .unwrap()
            .1
            .into_owned();
        let ticket = format!("ST-{name}-{:016x}", rand::random::<u64>());
        register(Kind::Ticket, &ticket);
        let callback: url::Url = format!("{service}&ticket={ticket}").parse().unwrap();
        let cookie = pair(begun.all("set-cookie")[0]);
        let target = format!("{}?{}", callback.path(), callback.query().unwrap());
        let landed = self
            .gateway
            .send(Request::get(&target).host(&host).header("Cookie", &cookie));
        let all = landed.all("set-cookie");
        let session = all
            .iter()
            .find(|set| set.starts_with("janua="))
            .unwrap_or_else(|| panic!("{}", landed.text()));
        pair(session)
    }

    fn call(&self, cookie: &str) -> (u16, String) {
        let request = script(Request::get(SITE_INFO)).host(&self.address.to_string());
        let answer = self.gateway.send(request.header("Cookie", cookie));
        (answer.status, answer.text())
    }

    fn sign_out(&self, cookie: &str) {
        let request = script(Request::new("POST", "/_janua/sign-out")).host(&self.address.to_string());
        self.gateway.send(request.header("Cookie", cookie).body(""));
    }
}

fn pair(set: &str) -> String {
    set.split(';').next().unwrap().to_owned()
}

/// Does it for every number below `count`, on some threads.
pub fn at_once(count: usize, what: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                while let number @ 0.. = next.fetch_add(1, Ordering::Relaxed)
                    && number < count
                {
                    what(number);
                }
            });
        }
    });
}

#[test]
fn nobody_is_served_by_anothers_token_while_sessions_end_and_tokens_die() {
    const PEOPLE: usize = 200;
    const CALLS: usize = 20;
    const ATTEMPTS: usize = 5;
    let crowd = Crowd::start();
    let (served, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
    at_once(PEOPLE, |number| {
        let name = format!("u{number}x");
        let mut cookie = crowd.sign_in(&name);
        for call in 0..CALLS {
            // A call is made once more with another token; when that one dies on its way too, the app is told so.
            let mut answers = (0..ATTEMPTS).map(|_| crowd.call(&cookie));
            let (_, text) = answers.find(|(status, _)| *status == 200).expect("served in the end");
            assert!(text.contains(&format!("\"username\":\"{name}\"")), "{name} got {text}");
            served.fetch_add(1, Ordering::Relaxed);
            match (number + call) % 7 {
                // Somebody's token dies, whoever's it is.
                0 => {
                    let mut site = crowd.moodle.site();
                    let some = call * 31 % site.tokens.len().max(1);
                    if some < site.tokens.len() {
                        site.tokens.swap_remove(some);
                    }
                }
                3 => {
                    crowd.sign_out(&cookie);
                    assert_eq!(crowd.call(&cookie).0, 401);
                    ended.fetch_add(1, Ordering::Relaxed);
                    cookie = crowd.sign_in(&name);
                }
                _ => {}
            }
        }
    });
    assert_eq!(served.into_inner(), PEOPLE * CALLS);
    assert!(ended.into_inner() > PEOPLE);
    let said = crowd.gateway.said();
    for secret in &crowd.moodle.site().secrets {
        assert!(!said.contains(secret), "a secret in the log");
    }
}

#[test]
fn first_calls_at_once_make_one_token_each() {
    const PEOPLE: usize = 5000;
    let crowd = Crowd::start();
    let cookies: Vec<_> = (0..PEOPLE).map(|_| std::sync::OnceLock::new()).collect();
    at_once(PEOPLE, |number| {
        cookies[number].set(crowd.sign_in(&format!("u{number}x"))).unwrap();
    });
    // Each calls twice, so that two first calls of a person meet.
    at_once(2 * PEOPLE, |number| {
        let (status, text) = crowd.call(cookies[number / 2].get().unwrap());
        assert_eq!(status, 200, "{text}");
        assert!(text.contains(&format!("\"username\":\"u{}x\"", number / 2)), "{text}");
    });
    assert_eq!(crowd.moodle.site().made, PEOPLE);
}
