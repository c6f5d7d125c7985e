//! A page of a course shows several players in frames, each opened with a token for its own event: all of them play.

use serde_json::{Value, json};

use super::{ORIGIN, Stage, claims, page};
use crate::support::http::Response;
use crate::support::{Config, Request, in_seconds};

const PLAYER: &str = r#"
[[routes]]
name    = "player"
path    = "/player/{*rest}"
respond = { status = 204 }
accept  = ["launch", "jwt"]
allow   = [{ anyone = true }]
launch  = { idle = "2h" }

[[routes]]
name    = "lecture"
path    = "/lecture/{event}"
respond = { status = 204 }
accept  = ["launch"]
allow   = [{ grant = "read", event = "{event}" }]

[[routes]]
name    = "lecture of the other"
path    = "/other/{event}"
respond = { status = 204 }
accept  = ["launch"]
issuers = ["other"]
allow   = [{ grant = "read", event = "{event}" }]

[[routes]]
name    = "course"
path    = "/course/{id}"
respond = { status = 204 }
accept  = ["launch"]
allow   = [{ role = "{id}_Learner" }]
"#;

fn stage() -> Stage {
    let config = Config::new()
        .server("public_urls", &format!("[{ORIGIN:?}]"))
        .section(PLAYER);
    Stage::with("", config)
}

/// Of a learner of course 7, as Moodle writes it for a player: it names nobody.
fn of(event: &str) -> Value {
    json!({ "exp": in_seconds(60), "roles": [format!("{event}_Learner")], "oc": { format!("e:{event}"): ["read"] } })
}

/// Cookies as a browser keeps them.
#[derive(Default)]
struct Jar(Vec<(String, String)>);

impl Jar {
    fn asks(&self, request: Request) -> Request {
        let pairs: Vec<_> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        request.header("Cookie", &pairs.join("; "))
    }

    fn takes(&mut self, answer: &Response) {
        for set in answer.all("set-cookie") {
            let (pair, attributes) = set.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            let is_framed = attributes.contains("SameSite=None") && attributes.contains("Partitioned");
            assert_eq!(is_framed, name.contains("launch"), "{set}");
            self.0.retain(|(known, _)| known != name);
            if !attributes.contains("Max-Age=0") {
                self.0.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    fn opens(&mut self, stage: &Stage, token: &str) {
        let answer = stage
            .gateway
            .send(self.asks(page(&format!("/player/watch.html?jwt={token}"))));
        self.takes(&answer.expect(303));
    }

    fn status(&self, stage: &Stage, target: &str) -> u16 {
        stage.gateway.send(self.asks(Request::get(target))).status
    }
}

#[test]
fn frames_that_are_loaded_at_once_do_not_end_each_other() {
    let stage = stage();
    // None of the requests has the cookies of the others yet.
    let answers = ["a", "b", "c"].map(|event| {
        let token = stage.lms.token(&of(event));
        stage
            .gateway
            .send(page(&format!("/player/watch.html?jwt={token}")))
            .expect(303)
    });
    let mut jar = Jar::default();
    answers.iter().for_each(|answer| jar.takes(answer));
    assert_eq!(jar.0.len(), 3);
    for event in ["a", "b", "c"] {
        assert_eq!(jar.status(&stage, &format!("/lecture/{event}")), 204);
    }
    assert_eq!(jar.status(&stage, "/lecture/d"), 403);
    // Roles are those of one token: the last one's.
    let held = ["a", "b", "c"].map(|id| jar.status(&stage, &format!("/course/{id}")));
    assert_eq!(held.iter().filter(|status| **status == 204).count(), 1, "{held:?}");
    // The same player again takes the place of its former session.
    jar.opens(&stage, &stage.lms.token(&of("a")));
    assert_eq!(jar.0.len(), 3);
    let out = Request::new("POST", "/_janua/sign-out")
        .header("Origin", ORIGIN)
        .body("");
    let before = Jar(jar.0.clone());
    jar.takes(&stage.gateway.send(jar.asks(out)).expect(200));
    assert_eq!(jar.0, []);
    for event in ["a", "b", "c"] {
        assert_eq!(before.status(&stage, &format!("/lecture/{event}")), 401);
    }
}

#[test]
fn a_player_does_not_end_the_studio_and_lends_it_no_roles() {
    let stage = stage();
    let mut jar = Jar::default();
    let anna = stage.token();
    let studio = stage.gateway.send(page(&format!("/studio/?jwt={anna}"))).expect(303);
    jar.takes(&studio);
    jar.opens(&stage, &stage.lms.token(&of("a")));
    let me = stage
        .gateway
        .send(jar.asks(Request::get("/info/me.json")))
        .expect(200)
        .json();
    assert_eq!(super::name(&me), "anna");
    assert_eq!(jar.status(&stage, "/lecture/a"), 204);
    assert_eq!(jar.status(&stage, "/course/a"), 403);
    // Somebody else by name takes anna's place, and the player stays.
    let bob = stage.lms.token(&claims("bob", &["ROLE_STUDIO"]));
    let former = Jar(jar.0.clone());
    let studio = stage
        .gateway
        .send(jar.asks(page(&format!("/studio/?jwt={bob}"))))
        .expect(303);
    jar.takes(&studio);
    let name = |jar: &Jar| {
        let me = stage
            .gateway
            .send(jar.asks(Request::get("/info/me.json")))
            .expect(200)
            .json();
        super::name(&me).to_owned()
    };
    assert_eq!(name(&jar), "bob");
    assert_eq!(jar.status(&stage, "/lecture/a"), 204);
    assert_ne!(name(&former), "anna");
}

#[test]
fn what_one_issuer_grants_is_not_lent_to_another() {
    let stage = stage();
    let mut jar = Jar::default();
    jar.opens(&stage, &stage.lms.token(&of("a")));
    jar.opens(&stage, &stage.other.token(&of("b")));
    // The newest counts, with what others of its issuer grant.
    assert_eq!(jar.status(&stage, "/other/b"), 204);
    assert_eq!(jar.status(&stage, "/other/a"), 403);
    assert_eq!(jar.status(&stage, "/lecture/a"), 403);
    jar.opens(&stage, &stage.lms.token(&of("c")));
    assert_eq!(jar.status(&stage, "/lecture/a"), 204);
    assert_eq!(jar.status(&stage, "/lecture/b"), 403);
    // Where one issuer alone is taken, its own session counts.
    assert_eq!(jar.status(&stage, "/other/b"), 204);
    assert_eq!(jar.status(&stage, "/other/a"), 403);
    // One that stands alone, of another issuer, is in nobody's way.
    let alone = stage
        .other
        .token(&json!({ "exp": in_seconds(60), "roles": ["ROLE_STUDIO"] }));
    let studio = stage
        .gateway
        .send(jar.asks(page(&format!("/studio/?jwt={alone}"))))
        .expect(303);
    jar.takes(&studio);
    jar.opens(&stage, &stage.lms.token(&of("e")));
    assert_eq!(jar.status(&stage, "/lecture/e"), 204);
    assert_eq!(jar.status(&stage, "/lecture/a"), 204);
}

#[test]
fn of_many_that_are_loaded_at_once_none_outlives_the_sign_out() {
    let stage = stage();
    let answers: Vec<_> = (0..25)
        .map(|number| {
            let token = stage.lms.token(&of(&format!("event-{number}")));
            stage
                .gateway
                .send(page(&format!("/player/watch.html?jwt={token}")))
                .expect(303)
        })
        .collect();
    let mut jar = Jar::default();
    answers.iter().for_each(|answer| jar.takes(answer));
    for number in 0..25 {
        assert_eq!(jar.status(&stage, &format!("/lecture/event-{number}")), 204);
    }
    let before = Jar(jar.0.clone());
    let out = Request::new("POST", "/_janua/sign-out")
        .header("Origin", ORIGIN)
        .body("");
    jar.takes(&stage.gateway.send(jar.asks(out)).expect(200));
    assert_eq!(jar.0, []);
    for number in 0..25 {
        assert_eq!(before.status(&stage, &format!("/lecture/event-{number}")), 401);
    }
    // Cookies that hold nothing any more go with the next launch.
    let mut jar = before;
    jar.opens(&stage, &stage.lms.token(&of("another")));
    assert_eq!(jar.0.len(), 1);
    assert_eq!(jar.status(&stage, "/lecture/another"), 204);
}

#[test]
fn so_many_stand_beside_each_other_and_the_oldest_ends() {
    let stage = stage();
    let mut jar = Jar::default();
    for number in 0..20 {
        jar.opens(&stage, &stage.lms.token(&of(&format!("event-{number}"))));
    }
    assert_eq!(jar.0.len(), 20);
    assert_eq!(jar.status(&stage, "/lecture/event-0"), 204);
    jar.opens(&stage, &stage.lms.token(&of("one-more")));
    assert_eq!(jar.0.len(), 20);
    assert_eq!(jar.status(&stage, "/lecture/one-more"), 204);
    assert_eq!(jar.status(&stage, "/lecture/event-19"), 204);
    // A name that the gateway never gives is no session's.
    let (_, secret) = jar.0.pop().unwrap();
    for name in [
        "__Host-janua-launch-",
        "__Host-janua-launch-x",
        "__Host-janua-launch-0123456789abX",
    ] {
        let odd = Jar(vec![(name.to_owned(), secret.clone())]);
        assert_eq!(odd.status(&stage, "/lecture/one-more"), 401, "{name}");
    }
}
