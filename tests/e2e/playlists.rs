//! Rules by playlist: a grant on a playlist opens the events in it where a rule says so, as long as they are in it, and the
//! playlist's own list decides about the playlist.

mod passes;

use serde_json::{Map, Value, json};

use crate::support::opencast::{Fault, Playlist};
use crate::support::{Config, Connection, Gateway, Opencast, Request, Signer, Site, eventually, in_seconds};

const ROUTES: &str = r#"
[[routes]]
name   = "media"
path   = "/static/{org}/{channel}/{event}/{*file}"
files  = "downloads"
strip  = "/static"
accept = ["jwt", "watch"]
watch  = { carry = ["cookie", "rewrite"], ttl = "1h" }
allow  = [{ grant = "read", event = "{event}" }, { grant = "read", playlist_of = "{event}" }]

[[routes]]
name     = "lists"
path     = "/playlists/{playlist}.json"
upstream = "opencast"
allow    = [{ playlist_acl = "read", playlist = "{playlist}" }, { grant = "read", playlist = "{playlist}" }]
"#;

const EVENTS: [&str; 4] = ["one", "two", "three", "a b"];

fn config(site: &Site, signer: &Signer, opencast: &Opencast, more: &str) -> Config {
    site.write_keys("keys.json", &[signer]);
    site.write("secrets/opencast", "letmein\n");
    for event in EVENTS {
        site.write(&format!("downloads/org/player/{event}/a.mp4"), "lecture");
    }
    Config::new()
        .issuer("moodle", "keys.json", "")
        .upstream("opencast", &[opencast.url()], "")
        .section(&format!(
            "[opencast.main]\nupstream = \"opencast\"\nusername = \"gateway\"\npassword_file = \"secrets/opencast\"\n{more}\n"
        ))
        .section(ROUTES)
}

fn start(signer: &Signer, opencast: &Opencast, more: &str) -> Gateway {
    let site = Site::new();
    let config = config(&site, signer, opencast, more);
    site.start(&config)
}

fn file(event: &str) -> String {
    format!("/static/org/player/{event}/a.mp4")
}

fn asked(id: &str) -> String {
    format!("/api/playlists/{id}")
}

fn token(signer: &Signer, oc: &Value) -> String {
    signer.token(&json!({ "exp": in_seconds(60), "oc": oc }))
}

#[test]
fn a_grant_on_a_playlist_opens_the_events_in_it() {
    let (opencast, signer) = (Opencast::start(), Signer::new());
    let mut mixed = Playlist::new(&["one", "a b"], &[]);
    mixed.entries.push(("three".to_owned(), "INACCESSIBLE"));
    opencast.site().playlists.insert("maths".to_owned(), mixed);
    opencast.playlist("p/2", &["two"]);
    let gateway = start(&signer, &opencast, "");
    let with = |event: &str, oc: Value| gateway.get_with(&file(event), &token(&signer, &oc));
    with("one", json!({ "p:maths": ["read"] })).expect(200);
    with("a%20b", json!({ "p:maths": "read" })).expect(200);
    with("two", json!({ "p:maths": ["read"], "p:p/2": ["read"] })).expect(200);
    for (event, oc) in [
        ("two", json!({ "p:maths": ["read"] })),
        ("three", json!({ "p:maths": ["read"] })),
        ("one", json!({ "p:maths": ["write"] })),
        ("one", json!({ "s:maths": ["read"], "e:maths": ["read"] })),
        (
            "one",
            json!({ "p:Maths": ["read"], "p:unknown": ["read"], "p:..": ["read"] }),
        ),
        ("one", json!({ "p:maths/": ["read"] })),
    ] {
        with(event, oc.clone()).refused(403, "event_not_granted");
        assert!(gateway.site.path("gateway.toml").exists(), "{oc}");
    }
    gateway.get(&file("one")).refused(401, "no_credentials");
    assert_eq!(opencast.asked(&asked("maths")), 1, "what is known is not asked again");
    assert_eq!(opencast.asked(&asked("p%2F2")), 1, "its id is one segment");
    let before = opencast.site().requests.len();
    with("one", json!({ "e:one": ["read"], "p:other": ["read"] })).expect(200);
    assert_eq!(opencast.site().requests.len(), before, "nobody is asked without need");
}

#[test]
fn an_event_that_is_taken_out_is_closed_when_the_time_is_over() {
    let (opencast, signer) = (Opencast::start(), Signer::new());
    opencast.playlist("maths", &["one", "two"]);
    let gateway = start(&signer, &opencast, "acl_ttl = \"1s\"");
    let token = token(&signer, &json!({ "p:maths": ["read"] }));
    gateway.get_with(&file("one"), &token).expect(200);
    opencast.playlist("maths", &["two"]);
    eventually("it is closed", || {
        (gateway.get_with(&file("one"), &token).status == 403).then_some(())
    });
    gateway.get_with(&file("two"), &token).expect(200);
    opencast.site().playlists.remove("maths");
    eventually("a playlist that is gone has none", || {
        (gateway.get_with(&file("two"), &token).status == 403).then_some(())
    });
}

#[test]
fn known_playlists_serve_on_while_opencast_is_away_and_unknown_ones_fail() {
    let (opencast, signer) = (Opencast::start(), Signer::new());
    opencast.playlist("maths", &["one"]);
    opencast.playlist("physics", &["two"]);
    let gateway = start(&signer, &opencast, "acl_ttl = \"1s\"");
    let maths = token(&signer, &json!({ "p:maths": ["read"] }));
    let both = token(&signer, &json!({ "p:physics": ["read"], "p:maths": ["read"] }));
    gateway.get_with(&file("one"), &maths).expect(200);
    opencast.fault(Fault::Status(503));
    let stale = "janua_opencast_asks_total{opencast=\"main\",result=\"stale\"}";
    eventually("an old answer is used", || {
        gateway.get_with(&file("one"), &maths).expect(200);
        (gateway.metric(stale) > Some(0.0)).then_some(())
    });
    gateway.get_with(&file("one"), &both).expect(200);
    gateway.get_with(&file("two"), &both).refused(502, "acl_unavailable");
    opencast.fault(Fault::None);
    eventually("it recovers by itself", || {
        (gateway.get_with(&file("two"), &both).status == 200).then_some(())
    });
}

#[test]
fn an_answer_that_is_not_whole_decides_nothing() {
    let (opencast, signer) = (Opencast::start(), Signer::new());
    opencast.playlist("maths", &["one"]);
    let gateway = start(&signer, &opencast, "");
    for (number, fault) in [
        Fault::CutOff(60),
        Fault::Body("{}".to_owned()),
        Fault::Body(
            r#"{"id":"other","entries":[{"contentId":"one","type":"EVENT"}],"accessControlEntries":[]}"#.to_owned(),
        ),
        Fault::Body("<html>please log in</html>".to_owned()),
        Fault::Status(302),
        Fault::Status(403),
    ]
    .into_iter()
    .enumerate()
    {
        // Another one each time: a failure is remembered for a moment.
        let id = format!("odd-{number}");
        opencast.playlist(&id, &["one"]);
        opencast.fault(fault.clone());
        let mut oc = Map::new();
        oc.insert(format!("p:{id}"), json!(["read"]));
        let refused = gateway.get_with(&file("one"), &token(&signer, &oc.into()));
        assert_eq!(
            (refused.status, refused.reason()),
            (502, "acl_unavailable".to_owned()),
            "{fault:?}"
        );
    }
    gateway.logged(&["ROLE_API_PLAYLISTS_VIEW"]);
}

/// A token that names hundreds of playlists, for one request: without the question of `explain` beside it.
fn by_itself(gateway: &Gateway, event: &str, token: &str) -> u16 {
    let request = Request::get(&file(event)).bearer(token);
    Connection::open(gateway.http())
        .exchange_raw(request.bytes())
        .unwrap()
        .status
}

#[test]
fn a_token_with_hundreds_of_playlists_has_a_share_and_no_more() {
    let (opencast, signer) = (Opencast::start(), Signer::new());
    for number in 0..200 {
        opencast.playlist(&format!("list-{number:03}"), &["two"]);
    }
    opencast.playlist("z-last", &["one"]);
    let gateway = start(&signer, &opencast, "");
    let all = (0..200).map(|number| (format!("p:list-{number:03}"), json!(["read"])));
    let mut oc: Map<String, Value> = all.collect();
    oc.insert("p:z-last".to_owned(), json!(["read"]));
    let greedy = token(&signer, &oc.into());
    let questions = || {
        opencast
            .site()
            .requests
            .iter()
            .filter(|seen| seen.target.starts_with("/api/"))
            .count()
    };
    assert_eq!(
        by_itself(&gateway, "one", &greedy),
        503,
        "nobody has looked at the others"
    );
    assert_eq!(questions(), 32, "of one request");
    // Who brings one playlist is not in anybody's way; and what is known then counts for all.
    let modest = token(&signer, &json!({ "p:z-last": ["read"] }));
    assert_eq!(by_itself(&gateway, "one", &modest), 200);
    assert_eq!(questions(), 33);
    assert_eq!(by_itself(&gateway, "one", &greedy), 200);
    assert_eq!(questions(), 33, "what is known comes first, and is enough");
}

#[test]
fn the_playlists_own_list_decides_about_the_playlist() {
    let (opencast, signer) = (Opencast::start(), Signer::new());
    let lists = [
        ("maths", Playlist::new(&["one"], &["4_Learner"])),
        ("open", Playlist::new(&[], &["ROLE_ANONYMOUS"])),
    ];
    opencast
        .site()
        .playlists
        .extend(lists.map(|(id, list)| (id.to_owned(), list)));
    let gateway = start(&signer, &opencast, "");
    let list = |id: &str, token: &str| gateway.get_with(&format!("/playlists/{id}.json"), token);
    // Opencast itself, which is shown nobody here, takes everybody for one of them alone.
    list("maths", &signer.roles(&["4_Learner"])).expect(401);
    list("maths", &token(&signer, &json!({ "p:maths": ["read"] }))).expect(401);
    list("maths", &signer.roles(&["5_Learner"])).refused(403, "event_not_granted");
    list(
        "maths",
        &token(&signer, &json!({ "p:other": ["read"], "p:maths": ["write"] })),
    )
    .refused(403, "event_not_granted");
    list("unknown", &signer.roles(&["4_Learner"])).refused(403, "event_not_granted");
    gateway.get("/playlists/maths.json").refused(401, "no_credentials");
    let open = gateway.get("/playlists/open.json").expect(200);
    assert_eq!(open.json()["id"], "open");
    gateway.get("/playlists/open.xml").refused(404, "no_route");
    gateway.get("/playlists/open").refused(404, "no_route");
    gateway.get("/playlists/.json").refused(404, "no_route");
}
