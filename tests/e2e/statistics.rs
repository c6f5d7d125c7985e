//! `[statistics]`: one event for each view, whatever a player asks for; to a file, to Matomo, to Opencast.

use std::collections::HashSet;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::watch::{cookie, lectures};
use crate::check_machine::{check, told};
use crate::support::double::Double;
use crate::support::http::{Wire, values};
use crate::support::secrets::{self, Kind};
use crate::support::{Config, Connection, Gateway, Request, Signer, Site, eventually, in_seconds};

const EVENT: &str = "/static/org/player/lecture-1";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Recordings for tokens, and some for everybody.
const ROUTES: &str = r#"
[[routes]]
name   = "media"
path   = "/static/{org}/{channel}/{event}/{*file}"
files  = "downloads"
strip  = "/static"
accept = ["jwt", "watch"]
watch  = { carry = ["cookie", "rewrite"], ttl = "1h" }
views  = {}
allow  = [{ grant = "read", event = "{event}" }]

[[routes]]
name   = "open"
path   = "/open/{org}/{channel}/{lecture}/{*file}"
files  = "downloads"
strip  = "/open"
views  = { event = "{org}:{lecture}" }
allow  = [{ anyone = true }]
"#;

fn config(site: &Site, signer: &Signer) -> Config {
    site.write_keys("keys.json", &[signer]);
    Config::new().issuer("moodle", "keys.json", "").section(ROUTES)
}

fn to_file(config: Config) -> Config {
    config.set("statistics", "file", "\"views.jsonl\"")
}

/// What was told by the time that the gateway has ended.
fn told_by(gateway: Gateway) -> Vec<Value> {
    let file = gateway.site.path("views.jsonl");
    let folder = gateway.site.clone();
    gateway.stop();
    let text = std::fs::read_to_string(file).unwrap();
    drop(folder);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn distinct(views: &[Value], key: &str) -> usize {
    let all: HashSet<&str> = views.iter().map(|view| view[key].as_str().unwrap()).collect();
    all.len()
}

/// One of many tokens of an issuer that names nobody, as Moodle makes them.
fn numbered(signer: &Signer, number: usize) -> String {
    signer.token(&json!({ "exp": in_seconds(3600), "jti": number.to_string(), "oc": { "e:lecture-1": ["read"] } }))
}

const VIEWERS: usize = 10_000;

/// Requests of the same viewer race each other on all connections.
#[test]
fn ten_thousand_viewers_are_ten_thousand_views() {
    let (site, signer) = (lectures(), Signer::new());
    let gateway = site.start(&to_file(config(&site, &signer)));
    let tokens: Vec<String> = (0..VIEWERS).map(|number| numbered(&signer, number)).collect();
    let asked = ["/a/main.m3u8", "/a/video.mp4", "/a/video.mp4"];
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let mut connection = Connection::open(gateway.http());
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(token) = tokens.get(number / asked.len()) else {
                        return;
                    };
                    let mut request = Request::get(&format!("{EVENT}{}", asked[number % asked.len()])).bearer(token);
                    if number % asked.len() == 2 {
                        request = request.header("Range", "bytes=2-5");
                    }
                    connection.write(request.bytes()).unwrap();
                    let status = connection.response(false).unwrap().status;
                    assert!([200, 206].contains(&status), "{status}");
                }
            });
        }
    });
    assert_eq!(
        gateway.metric("janua_views_total{route=\"media\"}"),
        Some(VIEWERS as f64)
    );
    assert_eq!(gateway.metric_sum("janua_statistics_dropped_total"), 0.0);
    let views = told_by(gateway);
    assert_eq!(
        (views.len(), distinct(&views, "view"), distinct(&views, "viewer")),
        (VIEWERS, VIEWERS, VIEWERS)
    );
    assert!(
        views
            .iter()
            .all(|view| view["event"] == "lecture-1" && view["route"] == "media")
    );
}

#[test]
fn a_view_is_a_viewer_and_an_event() {
    let (site, signer) = (lectures(), Signer::new());
    for name in ["slide.jpg", "page.html"] {
        site.write(&format!("downloads/org/player/lecture-1/a/{name}"), "x");
    }
    let gateway = site.start(&to_file(config(&site, &signer)));
    let tokens: Vec<String> = (0..3).map(|number| numbered(&signer, number)).collect();
    // None of these is media that was sent.
    for target in ["/s/captions.vtt", "/a/slide.jpg", "/a/page.html"] {
        gateway.get_with(&format!("{EVENT}{target}"), &tokens[0]).expect(200);
    }
    let head = Request::new("HEAD", &format!("{EVENT}/a/video.mp4")).bearer(&tokens[0]);
    gateway.send(head).expect(200);
    gateway.get_with(&format!("{EVENT}/a/none.mp4"), &tokens[0]).expect(404);
    gateway
        .get_with("/static/org/player/lecture-2/a/video.mp4", &tokens[0])
        .expect(403);
    gateway.get(&format!("{EVENT}/a/video.mp4")).expect(401);
    let beyond = Request::get(&format!("{EVENT}/a/video.mp4")).bearer(&tokens[0]);
    gateway.send(beyond.header("Range", "bytes=100-")).expect(416);
    assert_eq!(gateway.metric_sum("janua_views_total"), 0.0);
    // The same token twice is one view, in whatever way it comes; another token is another.
    gateway
        .get_with(&format!("{EVENT}/a/main.m3u8"), &tokens[0])
        .expect(200);
    gateway
        .get(&format!("{EVENT}/a/video.mp4?jwt={}", tokens[0]))
        .expect(200);
    let junk = Request::get(&format!("{EVENT}/a/video.mp4?jwt={}", tokens[0])).bearer("a.b.c");
    gateway.send(junk).expect(200);
    gateway
        .get_with(&format!("{EVENT}/a/video.mp4"), &tokens[1])
        .expect(200);
    let unchanged = Request::get(&format!("{EVENT}/a/video.mp4")).bearer(&tokens[2]);
    gateway.send(unchanged.header("If-None-Match", "*")).expect(304);
    // Without anybody, the address and the browser are the viewer.
    for (lecture, browser) in [
        ("lecture-1", "a"),
        ("lecture-1", "a"),
        ("lecture-1", "b"),
        ("lecture-2", "a"),
    ] {
        let request = Request::get(&format!("/open/org/player/{lecture}/a/video.mp4"));
        gateway.send(request.header("User-Agent", browser)).expect(200);
    }
    let views = told_by(gateway);
    let media: Vec<&Value> = views.iter().filter(|view| view["route"] == "media").collect();
    assert_eq!(media.len(), 3, "{views:#?}");
    assert_eq!((&media[0]["kind"], &media[1]["kind"]), (&json!("hls"), &json!("file")));
    assert_eq!(media[0]["host"], "video.test");
    let open: Vec<(&str, &str)> = views
        .iter()
        .filter(|view| view["route"] == "open")
        .map(|view| (view["event"].as_str().unwrap(), view["viewer"].as_str().unwrap()))
        .collect();
    let events: Vec<&str> = open.iter().map(|(event, _)| *event).collect();
    assert_eq!(events, ["org:lecture-1", "org:lecture-1", "org:lecture-2"]);
    assert!(open[0].1 == open[2].1 && open[0].1 != open[1].1, "{open:?}");
    assert_eq!(distinct(&views, "view"), views.len());
    let text = format!("{views:?}");
    assert!(!text.contains("127.0.0.1"), "{text}");
}

#[test]
fn a_player_that_goes_on_with_a_pass_or_a_new_token_goes_on_with_its_view() {
    let (site, signer) = (lectures(), Signer::new());
    let gateway = site.start(&to_file(config(&site, &signer)));
    // By the cookie.
    let first = gateway
        .get_with(&format!("{EVENT}/a/main.m3u8"), &numbered(&signer, 1))
        .expect(200);
    let pass = cookie(&first);
    let with_pass = |target: &str| Request::get(&format!("{EVENT}{target}")).header("Cookie", &pass);
    gateway.send(with_pass("/a/video.mp4")).expect(200);
    // With another token beside the cookie, as Moodle exchanges them.
    gateway
        .send(with_pass("/a/video.mp4").bearer(&numbered(&signer, 2)))
        .expect(200);
    // By the addresses in the playlist.
    let target = format!("{EVENT}/a/main.m3u8?jwt={}", numbered(&signer, 3));
    let playlist = gateway.get(&target).expect(200).text();
    let rewritten = playlist
        .lines()
        .find(|line| line.starts_with("../a/video.mp4?watch="))
        .unwrap();
    let (_, query) = rewritten.split_once('?').unwrap();
    gateway.get(&format!("{EVENT}/a/video.mp4?{query}")).expect(200);
    let views = told_by(gateway);
    assert_eq!((views.len(), distinct(&views, "view")), (2, 2), "{views:#?}");
}

/// 32 bytes, the same for all.
const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";

#[test]
fn replicas_tell_the_same_view() {
    let signer = Signer::new();
    let replica = || {
        let site = lectures();
        let key = site.write("master.key", MASTER_KEY);
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        let config = to_file(config(&site, &signer)).set("state", "store", "\"embedded\"");
        site.start(&config.set("state", "key_file", &format!("{key:?}")))
    };
    let (here, there) = (replica(), replica());
    let token = numbered(&signer, 1);
    let pass = cookie(&here.get_with(&format!("{EVENT}/a/main.m3u8"), &token).expect(200));
    let request = Request::get(&format!("{EVENT}/a/video.mp4")).header("Cookie", &pass);
    there.send(request).expect(200);
    there.get_with(&format!("{EVENT}/a/video.mp4"), &token).expect(200);
    let (here, there) = (told_by(here), told_by(there));
    assert_eq!((here.len(), there.len()), (1, 1), "{here:?} {there:?}");
    assert_eq!(
        (&here[0]["view"], &here[0]["viewer"]),
        (&there[0]["view"], &there[0]["viewer"])
    );
}

#[test]
fn people_who_are_named_are_told_apart_by_name() {
    let (site, signer) = (lectures(), Signer::new());
    site.write_keys("keys.json", &[&signer]);
    let config = Config::new()
        .issuer("portal", "keys.json", "may_name_users = true")
        .section(ROUTES);
    let gateway = site.start(&to_file(config));
    let grants = json!({ "e:lecture-1": ["read"], "e:lecture-2": ["read"] });
    let token = |name: &str, number: usize| {
        signer.token(&json!({ "exp": in_seconds(600), "sub": name, "jti": number.to_string(), "oc": grants }))
    };
    for (name, number) in [("anna", 1), ("anna", 2), ("bert", 3), ("bert", 3)] {
        gateway
            .get_with(&format!("{EVENT}/a/video.mp4"), &token(name, number))
            .expect(200);
    }
    gateway
        .get_with("/static/org/player/lecture-2/a/video.mp4", &token("anna", 4))
        .expect(200);
    let views = told_by(gateway);
    assert_eq!((views.len(), distinct(&views, "viewer")), (3, 2), "{views:#?}");
    assert!(!format!("{views:?}").contains("anna"));
}

/// Players that go on by a launch session ask with its cookie alone, mostly from behind one address.
#[test]
fn launch_sessions_of_people_who_are_not_named_are_told_apart() {
    let (site, signer) = (Site::new(), Signer::new());
    let launching = to_file(config(&site, &signer)).section(
        "[[routes]]\nname = \"player\"\npath = \"/player\"\nrespond = { status = 204 }\naccept = [\"launch\", \"jwt\"]\n\
         allow = [{ anyone = true }]\nlaunch = {}\n\
         [[routes]]\nname = \"by launch\"\npath = \"/launched/{event}/{*file}\"\nfiles = \"downloads\"\nstrip = \"/launched\"\n\
         accept = [\"launch\", \"jwt\"]\nviews = {}\nallow = [{ grant = \"read\", event = \"{event}\" }]\n",
    );
    site.write("downloads/seen/a.mp4", "0123456789");
    let gateway = site.start(&launching);
    for number in 0..3 {
        let said = json!({ "exp": in_seconds(60), "oc": { "e:seen": ["read"] }, "number": number });
        let page = Request::get(&format!("/player?jwt={}", signer.token(&said)))
            .header("Sec-Fetch-Mode", "navigate")
            .header("Sec-Fetch-Dest", "iframe");
        let launched = gateway.send(page).expect(303);
        let cookie = launched
            .header("set-cookie")
            .unwrap()
            .split(';')
            .next()
            .unwrap()
            .to_owned();
        for again in 0..2 {
            // What stands beside the session, and counts nothing, tells nobody apart.
            let media =
                Request::get(&format!("/launched/seen/a.mp4?jwt=a.b.{number}{again}")).header("Cookie", &cookie);
            gateway.send(media).expect(200);
        }
    }
    let views = told_by(gateway);
    let seen: Vec<_> = views.into_iter().filter(|view| view["event"] == "seen").collect();
    assert_eq!(seen.len(), 3, "{seen:#?}");
    assert_eq!(distinct(&seen, "view"), 3);
}

#[test]
fn one_address_does_not_take_the_room_of_the_others() {
    let (site, signer) = (lectures(), Signer::new());
    let config = to_file(config(&site, &signer))
        .set("statistics", "most_per_address", "100")
        .server("trusted_proxies", "[\"127.0.0.1/32\"]");
    let gateway = site.start(&config);
    let mut connection = Connection::open(gateway.http());
    let mut ask = |number: usize, address: &str| {
        let request = Request::get(&format!("{EVENT}/a/video.mp4")).bearer(&numbered(&signer, number));
        connection
            .write(request.header("X-Forwarded-For", address).bytes())
            .unwrap();
        assert_eq!(connection.response(false).unwrap().status, 200);
    };
    (0..150).for_each(|number| ask(number, "203.0.113.1"));
    (200..210).for_each(|number| ask(number, "203.0.113.2"));
    assert_eq!(
        gateway.metric("janua_statistics_dropped_total{at=\"address\"}"),
        Some(50.0)
    );
    assert_eq!(told_by(gateway).len(), 110);
}

/// nginx asks, and sends the file itself.
#[test]
fn an_allowed_decision_about_media_counts() {
    let (site, signer) = (lectures(), Signer::new());
    let decide = r#"
        [[routes]]
        name = "decide"
        path = "/_decide"
        respond = { decide = { uri = "X-Original-URI", method = "X-Original-Method" } }
        allow = [{ from = ["127.0.0.1/32"] }]"#;
    let config = to_file(config(&site, &signer)).section(decide);
    let gateway = site.start(&config.server("trusted_proxies", "[\"127.0.0.1/32\"]"));
    let ask = |method: &str, token: &str| {
        let request = Request::get("/_decide")
            .header("X-Original-URI", &format!("{EVENT}/a/video.mp4"))
            .header("X-Original-Method", method);
        gateway.send(request.bearer(token)).status
    };
    let token = numbered(&signer, 1);
    assert!(ask("GET", &token) < 300);
    assert!(ask("GET", &token) < 300);
    assert!(ask("HEAD", &numbered(&signer, 2)) < 300);
    assert_eq!(ask("GET", "no.token.atall"), 401);
    let views = told_by(gateway);
    assert_eq!(views.len(), 1, "{views:?}");
}

#[test]
fn the_file_may_be_moved_away() {
    let (site, signer) = (lectures(), Signer::new());
    let gateway = site.start(&to_file(config(&site, &signer)));
    let lines = |name: &str| {
        std::fs::read_to_string(site.path(name))
            .unwrap_or_default()
            .lines()
            .count()
    };
    gateway
        .get_with(&format!("{EVENT}/a/video.mp4"), &numbered(&signer, 1))
        .expect(200);
    eventually("the first line", || (lines("views.jsonl") == 1).then_some(()));
    std::fs::rename(site.path("views.jsonl"), site.path("views.1")).unwrap();
    gateway
        .get_with(&format!("{EVENT}/a/video.mp4"), &numbered(&signer, 2))
        .expect(200);
    eventually("the second line", || (lines("views.jsonl") == 1).then_some(()));
    assert_eq!(lines("views.1"), 1);
}

#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Takes,
    /// Its database is away: the batch is taken back (`Response::outputException`).
    Fails,
    HangsUp,
}

/// What `plugins/BulkTracking` of Matomo does, as strict as it is about a batch, and stricter about the token.
struct Matomo {
    double: Double,
    mood: Arc<Mutex<Mood>>,
    /// The queries of each batch that was taken.
    taken: Arc<Mutex<Vec<Vec<String>>>>,
    asked: Arc<AtomicUsize>,
}

impl Matomo {
    fn start() -> Self {
        secrets::register(Kind::Token, TOKEN);
        let (mood, taken) = (
            Arc::new(Mutex::new(Mood::Takes)),
            Arc::<Mutex<Vec<Vec<String>>>>::default(),
        );
        let asked = Arc::new(AtomicUsize::new(0));
        let (its, kept, counted) = (Arc::clone(&mood), Arc::clone(&taken), Arc::clone(&asked));
        let double = Double::start(move |mut wire| {
            while let Ok((first, fields)) = wire.head() {
                let (body, _) = wire.body(&fields, false).unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                let mood = *its.lock().unwrap();
                if mood == Mood::HangsUp {
                    return;
                }
                let (status, told) = match first.as_str() {
                    "POST /matomo/matomo.php HTTP/1.1" => Self::bulk(&body, mood, &kept),
                    _ => ("404 Not Found", json!("no such page")),
                };
                answer(&mut wire, status, &told.to_string());
            }
        });
        Self {
            double,
            mood,
            taken,
            asked,
        }
    }

    fn bulk(body: &[u8], mood: Mood, taken: &Mutex<Vec<Vec<String>>>) -> (&'static str, Value) {
        let bulk: Value = serde_json::from_slice(body).unwrap();
        let error = json!({ "status": "error", "tracked": 0, "invalid": 0 });
        if bulk["token_auth"] != TOKEN {
            return ("401 Unauthorized", error);
        }
        if mood == Mood::Fails {
            return ("500 Internal Server Error", error);
        }
        let queries: Vec<String> = bulk["requests"]
            .as_array()
            .unwrap()
            .iter()
            .map(|query| query.as_str().unwrap().to_owned())
            .collect();
        let parameter = |query: &str, name: &str| {
            let query = query.strip_prefix('?').unwrap();
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.into_owned())
        };
        let is_bad = |query: &&String| {
            let id = parameter(query, "cid").unwrap_or_default();
            parameter(query, "rec").as_deref() != Some("1")
                || parameter(query, "idsite").as_deref() != Some("7")
                || id.len() != 16
                || !id.bytes().all(|byte| byte.is_ascii_hexdigit())
                || parameter(query, "cip").is_some()
        };
        let invalid = queries.iter().filter(is_bad).count();
        let told = json!({ "status": "success", "tracked": queries.len() - invalid, "invalid": invalid, "invalid_indices": [] });
        taken.lock().unwrap().push(queries);
        ("200 OK", told)
    }

    fn is_in(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn config(&self, site: &Site, config: Config) -> Config {
        site.write("secrets/matomo", format!("{TOKEN}\n"));
        config.section(&format!(
            "[statistics.matomo]\nurl = \"http://{}/matomo/matomo.php\"\nsite = 7\ntoken_file = \"secrets/matomo\"\n",
            self.double.address
        ))
    }

    fn views(&self) -> usize {
        self.taken.lock().unwrap().iter().map(Vec::len).sum()
    }
}

fn answer(wire: &mut Wire, status: &str, body: &str) {
    let length = body.len();
    let text = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
    // The gateway may have ended.
    drop(wire.stream.write_all(text.as_bytes()));
}

fn watch_as(gateway: &Gateway, signer: &Signer, viewers: std::ops::Range<usize>) {
    let mut connection = Connection::open(gateway.http());
    for number in viewers {
        let request = Request::get(&format!("{EVENT}/a/video.mp4")).bearer(&numbered(signer, number));
        connection.write(request.bytes()).unwrap();
        assert_eq!(connection.response(false).unwrap().status, 200);
    }
}

#[test]
fn matomo_is_told_in_batches_and_again_after_it_was_away() {
    let (site, signer, matomo) = (lectures(), Signer::new(), Matomo::start());
    let gateway = site.start(&matomo.config(&site, config(&site, &signer)));
    watch_as(&gateway, &signer, 0..250);
    eventually("all are told", || (matomo.views() == 250).then_some(()));
    let sizes: Vec<usize> = matomo.taken.lock().unwrap().iter().map(Vec::len).collect();
    assert!(sizes.iter().all(|size| *size <= 100), "{sizes:?}");
    let first = matomo.taken.lock().unwrap()[0][0].clone();
    for part in [
        "e_c=video",
        "e_a=view",
        "e_n=lecture-1",
        "url=http%3A%2F%2Fvideo.test%2Fmedia%2Flecture-1",
    ] {
        assert!(first.contains(part), "{part}: {first}");
    }
    for mood in [Mood::Fails, Mood::HangsUp] {
        let (before, told) = (matomo.asked.load(Ordering::SeqCst), matomo.views());
        matomo.is_in(mood);
        watch_as(
            &gateway,
            &signer,
            1000 * (1 + mood as usize)..1000 * (1 + mood as usize) + 3,
        );
        eventually("it was asked in vain, more than once", || {
            (matomo.asked.load(Ordering::SeqCst) >= before + 2).then_some(())
        });
        assert_eq!(matomo.views(), told);
        matomo.is_in(Mood::Takes);
        eventually("they are told", || (matomo.views() == told + 3).then_some(()));
    }
    gateway.logged(&["views cannot be told now", "matomo"]);
    assert_eq!(gateway.metric_sum("janua_statistics_dropped_total"), 0.0);
    // At the end of the process nothing waits for a batch to be full.
    let told = matomo.views();
    watch_as(&gateway, &signer, 5000..5005);
    gateway.stop();
    assert_eq!(matomo.views(), told + 5);
}

#[test]
fn what_matomo_does_not_want_is_dropped_and_counted() {
    let (site, signer, matomo) = (lectures(), Signer::new(), Matomo::start());
    let config = matomo.config(&site, config(&site, &signer));
    site.write("secrets/matomo", "another token of nobody's\n");
    let gateway = site.start(&config);
    watch_as(&gateway, &signer, 0..3);
    eventually("they are dropped", || {
        (gateway.metric("janua_statistics_dropped_total{at=\"matomo\"}") == Some(3.0)).then_some(())
    });
    gateway.logged(&["views were refused", "401"]);
    let said = gateway.said();
    assert!(!said.contains("another token of nobody's"), "{said}");
}

/// Opencast's `UserTrackingRestService`: a form by PUT, 201; the session that it makes for each request is its view.
#[test]
fn opencasts_usertracking_is_told_of_each_view() {
    let (site, signer) = (lectures(), Signer::new());
    let actions = Arc::<Mutex<Vec<String>>>::default();
    let kept = Arc::clone(&actions);
    let opencast = Double::start(move |mut wire| {
        while let Ok((first, fields)) = wire.head() {
            let (body, _) = wire.body(&fields, false).unwrap();
            let is_form = values(&fields, "content-type") == ["application/x-www-form-urlencoded"];
            let is_new = values(&fields, "cookie").is_empty();
            let status = match first == "PUT /usertracking/ HTTP/1.1" && is_form && is_new {
                true => "201 Created\r\nSet-Cookie: JSESSIONID=node0; Path=/; HttpOnly",
                false => "400 Bad Request",
            };
            kept.lock().unwrap().push(String::from_utf8(body).unwrap());
            answer(&mut wire, status, "");
        }
    });
    let config = config(&site, &signer).section(&format!(
        "[statistics.usertracking]\nurl = \"http://{}/usertracking\"\n",
        opencast.address
    ));
    let gateway = site.start(&config);
    watch_as(&gateway, &signer, 0..3);
    eventually("three are told", || (actions.lock().unwrap().len() == 3).then_some(()));
    let expected = "id=lecture-1&type=PLAY&in=0&out=0&playing=true";
    assert!(
        actions.lock().unwrap().iter().all(|form| form == expected),
        "{actions:?}"
    );
    assert_eq!(gateway.metric_sum("janua_statistics_dropped_total"), 0.0);
}

#[test]
fn check_tells_of_views_that_nobody_is_told_of() {
    let (site, signer) = (lectures(), Signer::new());
    let nobody = check(&site, &config(&site, &signer).text(), &["--offline"]);
    assert!(
        nobody.stderr.contains("views are counted here and told to nobody"),
        "{nobody:?}"
    );
    let nowhere = to_file(Config::new().open_route()).text();
    let nowhere = check(&site, &nowhere, &["--offline"]);
    assert!(nowhere.stderr.contains("no route counts views"), "{nowhere:?}");
    let matomo = Matomo::start();
    let sound = matomo.config(&site, to_file(config(&site, &signer))).text();
    site.write("secrets/matomo", "");
    told(
        &check(&site, &sound, &["--offline"]),
        1,
        "BAD  statistics.matomo.token_file",
        &["holds no password"],
    );
}
