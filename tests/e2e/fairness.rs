//! One client never takes a service from the others: a stranger floods from one address, and somebody at another one is
//! served as ever.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use url::Url;

use crate::moodle::school::{FILE, SITE_INFO, School};
use crate::support::cas::query;
use crate::support::double::Double;
use crate::support::http::Response;
use crate::support::moodle::HELD;
use crate::support::wait::DEADLINE;
use crate::support::{Config, Connection, Gateway, Held, Request, Signer, Site, in_seconds};

const STRANGER: &str = "203.0.113.1";
const INNOCENT: &str = "203.0.113.2";
/// More than a gateway does of anything at once.
const FLOOD: usize = 100;
/// What one address gets of it.
const SHARE: usize = 16;
/// What one person gets of what is asked of Moodle.
const SHARE_OF_MOODLE: usize = 2;

/// A server that answers what it is asked to hold only when it is let go.
struct Slow {
    double: Double,
    held: Arc<Held>,
    asked: Arc<AtomicUsize>,
}

impl Slow {
    /// `answer` makes status line and body of a target; what `holds` names waits before.
    fn start(
        longest: Option<Duration>,
        holds: impl Fn(&str, &str) -> bool + Send + Sync + 'static,
        answer: impl Fn(&str) -> (&'static str, String) + Send + Sync + 'static,
    ) -> Self {
        let held = Arc::new(Held::for_at_most(longest.unwrap_or(DEADLINE)));
        let asked = Arc::new(AtomicUsize::new(0));
        let (held_there, counted) = (Arc::clone(&held), Arc::clone(&asked));
        let double = Double::start(move |mut wire| {
            while let Ok((first, fields)) = wire.head() {
                let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
                counted.fetch_add(1, Ordering::SeqCst);
                let cookies = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("cookie"));
                if holds(&target, cookies.map_or("", |(_, value)| value)) {
                    held_there.wait();
                }
                let (status, body) = answer(&target);
                let length = body.len();
                let body = if first.starts_with("HEAD ") {
                    String::new()
                } else {
                    body
                };
                let text = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
                if wire.stream.write_all(text.as_bytes()).is_err() {
                    return;
                }
            }
        });
        Self { double, held, asked }
    }

    fn url(&self) -> String {
        format!("http://{}", self.double.address)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.held.let_go();
    }
}

fn behind_a_proxy() -> Config {
    Config::new().server("trusted_proxies", r#"["127.0.0.1/32"]"#)
}

fn at(address: &str, request: Request) -> Request {
    request.header("X-Forwarded-For", address).header("Connection", "close")
}

/// Sends all of the requests at once, and does something while they are on their way. Nobody is asked to explain them: a
/// question would need a place, too.
fn during<T>(gateway: &Gateway, flood: Vec<Request>, then: impl FnOnce() -> T) -> (T, Vec<Response>) {
    std::thread::scope(|scope| {
        let threads: Vec<_> = flood
            .into_iter()
            .map(|request| scope.spawn(move || Connection::open(gateway.http()).exchange_raw(request.bytes()).unwrap()))
            .collect();
        let done = then();
        (done, threads.into_iter().map(|thread| thread.join().unwrap()).collect())
    })
}

// ---- sign-ins ----

const SIGN_IN: &str = r#"
[[routes]]
name     = "app"
path     = "/app/{*rest}"
respond  = { status = 204 }
accept   = ["session"]
sign_in  = "campus"
allow    = [{ signed_in = true }]
"#;

/// A CAS server that takes tickets which begin with `ST-good`, and holds the others.
fn cas(holds: bool) -> Slow {
    Slow::start(
        None,
        move |target, _| holds && !target.contains("ST-good"),
        |target| {
            let outcome = match target.contains("ST-good") {
                true => "<cas:authenticationSuccess><cas:user>alice</cas:user></cas:authenticationSuccess>",
                false => "<cas:authenticationFailure code=\"INVALID_TICKET\">no</cas:authenticationFailure>",
            };
            let answer = format!(
                "<cas:serviceResponse xmlns:cas=\"http://www.yale.edu/tp/cas\">{outcome}</cas:serviceResponse>"
            );
            ("200 OK", answer)
        },
    )
}

fn signing_in(cas: &Slow) -> Gateway {
    let config = behind_a_proxy()
        .section(&format!("[sign_in.campus.cas]\nserver = \"{}\"\n", cas.url()))
        .section(SIGN_IN);
    Site::new().start(&config)
}

/// A browser that has been sent to the CAS server, on its way back.
struct Attempt {
    callback: String,
    cookie: String,
}

impl Attempt {
    fn begin(gateway: &Gateway, address: &str) -> Self {
        let page = Request::get("/app/x").header("Sec-Fetch-Mode", "navigate");
        let page = page.header("Sec-Fetch-Dest", "document").header("Accept", "text/html");
        let answer = gateway.send(at(address, page)).expect(303);
        let login = Url::parse(answer.header("location").unwrap()).unwrap();
        let service = login.query_pairs().find(|(name, _)| name == "service").unwrap().1;
        let service = Url::parse(&service).unwrap();
        Self {
            callback: service[url::Position::BeforePath..].to_owned(),
            cookie: answer
                .header("set-cookie")
                .unwrap()
                .split(';')
                .next()
                .unwrap()
                .to_owned(),
        }
    }

    fn with(&self, address: &str, ticket: &str) -> Request {
        let target = format!("{}&{}", self.callback, query(&[("ticket", ticket)]));
        at(address, Request::get(&target).header("Cookie", &self.cookie))
    }
}

#[test]
fn a_flood_of_tickets_keeps_nobody_else_from_signing_in() {
    let cas = cas(true);
    let gateway = signing_in(&cas);
    let flood = (0..FLOOD).map(|number| Attempt::begin(&gateway, STRANGER).with(STRANGER, &format!("ST-bad-{number}")));
    let flood: Vec<_> = flood.collect();
    let mine = Attempt::begin(&gateway, INNOCENT);
    let (answer, _) = during(&gateway, flood, || {
        cas.held.holds(SHARE);
        let answer = gateway.send(mine.with(INNOCENT, "ST-good-1"));
        cas.held.let_go();
        answer
    });
    answer.expect(303);
    assert_eq!(cas.held.most(), SHARE);
}

#[test]
fn an_attempt_is_good_for_one_ticket() {
    let cas = cas(false);
    let gateway = signing_in(&cas);
    let attempt = Attempt::begin(&gateway, INNOCENT);
    gateway
        .send(attempt.with(INNOCENT, "ST-bad"))
        .refused(403, "sign_in_refused");
    let asked = cas.asked();
    gateway
        .send(attempt.with(INNOCENT, "ST-good-1"))
        .refused(400, "sign_in_stale");
    assert_eq!(cas.asked(), asked, "nobody asks about the second ticket");
    let another = Attempt::begin(&gateway, INNOCENT);
    gateway.send(another.with(INNOCENT, "ST-good-2")).expect(303);
}

#[test]
fn refused_tickets_keep_nobody_at_their_address_from_signing_in() {
    let cas = cas(false);
    let gateway = signing_in(&cas);
    for number in 0..150 {
        let attempt = Attempt::begin(&gateway, STRANGER);
        gateway
            .send(attempt.with(STRANGER, &format!("ST-bad-{number}")))
            .refused(403, "sign_in_refused");
    }
    let attempt = Attempt::begin(&gateway, STRANGER);
    gateway.send(attempt.with(STRANGER, "ST-good")).expect(303);
}

// ---- tickets for Moodle ----

#[test]
fn a_flood_of_tickets_for_moodle_keeps_nobody_else_from_a_token() {
    let Some(school) = School::start("[\"cas-launch\"]") else {
        return;
    };
    let held = Arc::new(Held::for_at_most(DEADLINE));
    school.moodle.site().holds = Some(Arc::clone(&held));
    let (alice, bob) = (school.cas.person("alice"), school.cas.person("bob"));
    let (flooding, quiet) = (school.browser(), school.browser());
    for (person, browser) in [(&alice, &flooding), (&bob, &quiet)] {
        browser.open(person, "/private/x").expect(204);
    }
    let service = flooding.depart(FILE);
    let service = service.query_pairs().find(|(name, _)| name == "service").unwrap().1;
    let landing = Url::parse(&service).unwrap();
    let flood = (0..FLOOD).map(|number| {
        let target = format!(
            "{}&{}",
            &landing[url::Position::BeforePath..],
            query(&[("ticket", &format!("{HELD}{number}"))])
        );
        let request = Request::get(&target).host(&school.gateway.http().to_string());
        request
            .header("Cookie", &flooding.cookies())
            .header("Connection", "close")
    });
    let (answer, _) = during(&school.gateway, flood.collect(), || {
        held.holds(SHARE_OF_MOODLE);
        quiet.open(&bob, FILE);
        let answer = quiet.call(SITE_INFO);
        held.let_go();
        answer
    });
    answer.expect(200);
    assert_eq!(held.most(), SHARE_OF_MOODLE);
}

// ---- events ----

const MEDIA: &str = r#"
[[routes]]
name    = "media"
path    = "/media/{event}"
respond = { status = 204 }
allow   = [{ event_acl = "read", event = "{event}" }]
"#;

/// Well within the time that the gateway gives it.
const IN_TIME: Duration = Duration::from_millis(100);

/// An Opencast that knows events which begin with `known`, and takes `holds` for the others.
fn lectures(opencast: &Slow, signer: &Signer, more: &str) -> Gateway {
    let site = Site::new();
    site.write_keys("keys.json", &[signer]);
    site.write("secrets/opencast", "letmein\n");
    let config = behind_a_proxy()
        .issuer("moodle", "keys.json", "")
        .upstream("opencast", &[opencast.url()], "")
        .section(&format!(
            "[opencast.main]\nupstream = \"opencast\"\nusername = \"gateway\"\npassword_file = \"secrets/opencast\"\n{more}\n",
        ))
        .section(MEDIA);
    site.start(&config)
}

/// Holds what is asked about events that begin with `slow` so long, at most.
fn opencast(slow: Duration) -> Slow {
    Slow::start(
        Some(slow),
        |target, _| target.contains("/slow"),
        |target| match target.contains("/events/known") {
            true => (
                "200 OK",
                r#"[{"allow": true, "action": "read", "role": "ROLE_USER"}]"#.to_owned(),
            ),
            false => ("404 Not Found", String::new()),
        },
    )
}

fn student(signer: &Signer) -> String {
    signer.token(&serde_json::json!({ "exp": in_seconds(600), "roles": ["ROLE_USER"] }))
}

#[test]
fn made_up_events_are_counted_by_address_and_known_people_are_not_at_their_mercy() {
    let (opencast, signer) = (opencast(Duration::ZERO), Signer::new());
    let gateway = lectures(&opencast, &signer, "");
    let unknown = |number: usize| gateway.send(at(STRANGER, Request::get(&format!("/media/unknown-{number}"))));
    let limited = (0..1000).map(unknown).find(|answer| answer.status == 429);
    assert!(limited.unwrap().header("retry-after").is_some());
    let asked = opencast.asked();
    unknown(1001).refused(429, "rate_limited");
    assert_eq!(opencast.asked(), asked);
    // Somebody with a token at the same address, and somebody without one elsewhere.
    let token = student(&signer);
    gateway
        .send(at(STRANGER, Request::get("/media/known-1").bearer(&token)))
        .expect(204);
    gateway.send(at(INNOCENT, Request::get("/media/unknown"))).expect(401);
    // What is remembered needs no question.
    gateway.send(at(STRANGER, Request::get("/media/known-1"))).expect(401);
}

#[test]
fn waiting_for_a_place_is_no_failure_of_opencast() {
    let (opencast, signer) = (opencast(IN_TIME), Signer::new());
    let gateway = lectures(&opencast, &signer, "");
    let token = student(&signer);
    let flood = (0..3 * FLOOD).map(|number| at(STRANGER, Request::get(&format!("/media/slow-{number}"))));
    let (answers, _) = during(&gateway, flood.collect(), || {
        // It answers everybody soon enough, but not all of them at once.
        opencast.held.holds(SHARE);
        let lecture = |number| {
            let request = Request::get(&format!("/media/known-{number}")).bearer(&token);
            gateway.send(at(INNOCENT, request))
        };
        let answers: Vec<_> = (0..10).map(lecture).collect();
        opencast.held.let_go();
        answers
    });
    for answer in answers {
        answer.expect(204);
    }
    assert_eq!(opencast.held.most(), SHARE);
    gateway
        .send(at(INNOCENT, Request::get("/media/known-after").bearer(&token)))
        .expect(204);
}

#[test]
fn an_event_that_opencast_is_slow_to_answer_fails_alone() {
    let (opencast, signer) = (opencast(DEADLINE), Signer::new());
    let gateway = lectures(&opencast, &signer, "");
    let token = student(&signer);
    for number in 0..3 {
        gateway
            .send(at(STRANGER, Request::get(&format!("/media/slow-{number}"))))
            .refused(502, "acl_unavailable");
        let lecture = Request::get(&format!("/media/known-{number}")).bearer(&token);
        gateway.send(at(INNOCENT, lecture)).expect(204);
    }
    gateway.logged(&["no answer within 900ms (`acl_timeout`)"]);
}

#[test]
fn events_that_opencast_does_not_answer_are_counted_by_address() {
    let (opencast, signer) = (opencast(DEADLINE), Signer::new());
    // Fifty times as many at once: one.
    let more = "unknown_events = \"36/h\"\nacl_timeout = \"100ms\"";
    let gateway = lectures(&opencast, &signer, more);
    let slow = |number: usize, address| gateway.send(at(address, Request::get(&format!("/media/slow-{number}"))));
    slow(1, STRANGER).refused(502, "acl_unavailable");
    let asked = opencast.asked();
    slow(2, STRANGER).refused(429, "rate_limited");
    assert_eq!(opencast.asked(), asked);
    slow(3, INNOCENT).refused(502, "acl_unavailable");
}

// ---- else_ask ----

#[test]
fn made_up_sessions_keep_nobody_from_an_upstreams_word() {
    let zoo = Slow::start(
        None,
        |_, cookies| cookies.contains("made-up"),
        |_| ("200 OK", String::new()),
    );
    let site = Site::new();
    let signer = Signer::new();
    site.write_keys("keys.json", &[&signer]);
    let config = behind_a_proxy()
        .issuer("moodle", "keys.json", "")
        .upstream("zoo", &[zoo.url()], "")
        .section(
            "[[routes]]\nname = \"asked\"\npath = \"/asked/{*rest}\"\nrespond = { status = 204 }\n\
             allow = [{ signed_in = true }]\nelse_ask = { upstream = \"zoo\" }\n",
        );
    let gateway = site.start(&config);
    let asked = |address: &str, session: &str| {
        at(
            address,
            Request::get("/asked/x").header("Cookie", &format!("JSESSIONID={session}")),
        )
    };
    let flood = (0..FLOOD).map(|number| asked(STRANGER, &format!("made-up-{number}")));
    let (answer, _) = during(&gateway, flood.collect(), || {
        zoo.held.holds(SHARE);
        let answer = gateway.send(asked(INNOCENT, "good"));
        zoo.held.let_go();
        answer
    });
    answer.expect(204);
    assert_eq!(zoo.held.most(), SHARE);
}
