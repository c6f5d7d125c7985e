//! What Opencast's player asks for behind the gateway: its page, `/search/episode.json`, and whatever that answer names. By a
//! launch session, which the token in the page's address begins; and without cookies, by the passes that `watch_urls` puts
//! into the answer.

use serde_json::{Value, json};

use crate::support::http::Response;
use crate::support::{Config, Gateway, Opencast, Request, Signer, Site, in_seconds};

const ROUTES: &str = r#"
[[routes]]
name   = "media"
path   = "/static/{org}/engage-player/{event}/{*file}"
files  = "downloads"
strip  = "/static"
accept = ["launch", "jwt", "watch"]
watch  = { carry = ["cookie", "rewrite"], ttl = "1h" }
allow  = [{ grant = "read", event = "{event}" }, { event_acl = "read", event = "{event}" }, { grant = "read", playlist_of = "{event}" }]

[[routes]]
name     = "player"
path     = "/paella7/ui/{*rest}"
upstream = "opencast"
accept   = ["launch"]
allow    = [{ signed_in = true }]
present  = "opencast-jwt"
launch   = { idle = "2h", absolute = "10h" }

[[routes]]
name     = "search"
path     = "/search/{*rest}"
upstream = "opencast"
accept   = ["launch", "jwt"]
allow    = [{ signed_in = true }, { anyone = true }]
present  = "opencast-jwt"
watch_urls = true
"#;

const FILES: [&str; 6] = [
    "v/video.mp4",
    "h/main.m3u8",
    "c/captions.vtt",
    "p/timeline.png",
    "m/dublincore.xml",
    "s/0.jpg",
];
const SEARCH: &str = "/search/episode.json?id=one";

struct Stage {
    opencast: Opencast,
    signer: Signer,
    gateway: Gateway,
}

fn stage() -> Stage {
    let (opencast, signer, site) = (Opencast::start(), Signer::new(), Site::new());
    site.write_keys("keys.json", &[&signer]);
    site.write("secrets/opencast", "letmein\n");
    for event in ["one", "two"] {
        opencast.event(event, &["4_Learner"]);
        for file in FILES {
            let text = if file.ends_with("m3u8") {
                "#EXTM3U\n#EXTINF:1,\n../v/video.mp4\n"
            } else {
                "lecture"
            };
            site.write(&format!("downloads/mh_default_org/engage-player/{event}/{file}"), text);
        }
    }
    let config = Config::new()
        .issuer("moodle", "keys.json", "")
        .upstream("opencast", &[opencast.url()], "")
        .section(
            "[opencast.main]\nupstream = \"opencast\"\nusername = \"gateway\"\npassword_file = \"secrets/opencast\"\n",
        )
        .section(
            "[[routes]]\nname = \"keys\"\npath = \"/keys\"\nrespond = { jwks = true }\nallow = [{ anyone = true }]\n",
        )
        .section(ROUTES);
    let gateway = site.start(&config);
    opencast.site().jwks = Some(gateway.get("/keys").expect(200).json());
    opencast.site().public = "http://video.test".to_owned();
    Stage {
        opencast,
        signer,
        gateway,
    }
}

impl Stage {
    fn token(&self, oc: &Value) -> String {
        self.signer.token(&json!({ "exp": in_seconds(60), "oc": oc }))
    }

    fn search(&self, more: &str) -> Response {
        self.gateway.get(&format!("{SEARCH}{more}")).expect(200)
    }
}

/// The addresses in the answer, of all kinds of things that it names.
fn addresses(answer: &Value) -> Vec<String> {
    let episode = &answer["result"][0];
    let package = &episode["mediapackage"];
    let tracks = package["media"]["track"]
        .as_array()
        .unwrap()
        .iter()
        .map(|track| &track["url"]);
    let others = [
        &package["attachments"]["attachment"]["url"],
        &package["metadata"]["catalog"]["url"],
        &episode["segments"]["segment"]["previews"]["preview"]["$"],
    ];
    tracks
        .chain(others)
        .map(|url| url.as_str().unwrap().to_owned())
        .collect()
}

/// As a browser would ask for it.
fn target(address: &str) -> &str {
    address.strip_prefix("http://video.test").unwrap()
}

#[test]
fn the_players_page_and_what_it_asks_for_go_by_the_launch_session() {
    let stage = stage();
    let token = stage.token(&json!({ "e:one": ["read"] }));
    let page = Request::get(&format!("/paella7/ui/watch.html?id=one&jwt={token}")).header("Sec-Fetch-Mode", "navigate");
    let launched = stage.gateway.send(page).expect(303);
    assert_eq!(launched.header("location"), Some("/paella7/ui/watch.html?id=one"));
    let session = launched
        .header("set-cookie")
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    // From here on nothing has the token.
    let get = |target: &str| stage.gateway.send(Request::get(target).header("Cookie", &session));
    assert!(
        get("/paella7/ui/watch.html?id=one")
            .expect(200)
            .text()
            .contains("the player")
    );
    let answer = get(SEARCH).expect(200);
    assert!(
        !answer.text().contains("watch="),
        "a session needs no pass: {}",
        answer.text()
    );
    for address in addresses(&answer.json())
        .iter()
        .filter(|address| address.contains("video.test"))
    {
        get(target(address)).expect(200);
    }
    assert_eq!(get("/search/episode.json?id=two").expect(200).json()["total"], 0);
    get("/static/mh_default_org/engage-player/two/v/video.mp4").refused(403, "event_not_granted");
}

#[test]
fn without_cookies_the_answers_addresses_carry_passes() {
    let stage = stage();
    let token = stage.token(&json!({ "e:one": ["read"] }));
    let answer = stage.search(&format!("&jwt={token}"));
    let text = answer.text();
    assert_eq!(
        answer.json()["result"][0]["mediapackage"]["title"],
        "http://video.test/static is no address"
    );
    assert!(text.contains("\"https://stream.example/live.m3u8\""), "{text}");
    assert_eq!(answer.header("cache-control"), Some("private"));
    let all = addresses(&answer.json());
    let ours: Vec<&String> = all.iter().filter(|address| address.contains("video.test")).collect();
    assert_eq!(ours.len(), FILES.len(), "{all:?}");
    for address in ours {
        assert!(address.contains("?watch="), "{address}");
        let played = stage.gateway.get(target(address)).expect(200);
        // And on from there.
        if address.contains("main.m3u8") {
            let next = played
                .text()
                .lines()
                .find(|line| line.contains("video.mp4?watch="))
                .unwrap()
                .to_owned();
            let next = next.trim_start_matches("../");
            stage
                .gateway
                .get(&format!("/static/mh_default_org/engage-player/one/{next}"))
                .expect(200);
        }
    }
    let pass = all[0].split_once('?').unwrap().1;
    stage
        .gateway
        .get(&format!("/static/mh_default_org/engage-player/two/v/video.mp4?{pass}"))
        .refused(403, "watch_pass_invalid");
    assert!(!stage.gateway.said().contains(pass.trim_start_matches("watch=")));
    // The same by the header, compressed or not.
    let by_header = Request::get(SEARCH)
        .bearer(&token)
        .header("Accept-Encoding", "gzip, br");
    assert!(stage.gateway.send(by_header).expect(200).text().contains("?watch="));
    let head = Request::new("HEAD", &format!("{SEARCH}&jwt={token}"));
    assert_eq!(stage.gateway.send(head).expect(200).header("content-length"), None);
}

#[test]
fn what_the_token_does_not_open_stays_as_it_is() {
    let stage = stage();
    // Opencast lets everyone see this one; the gateway's own rules do not know why.
    stage.opencast.event("one", &["ROLE_ANONYMOUS"]);
    let nobody = stage.search("");
    assert_eq!(nobody.json()["total"], 1);
    assert!(!nobody.text().contains("watch="));
    let other = stage.search(&format!(
        "&jwt={}",
        stage.token(&json!({ "e:two": ["read"], "p:maths": ["read"] }))
    ));
    assert!(!other.text().contains("watch="), "the list was not asked for");
    // What is remembered of the event counts, and nothing is asked for an answer's sake.
    let before = stage
        .opencast
        .site()
        .requests
        .iter()
        .filter(|seen| seen.target.starts_with("/api/"))
        .count();
    assert_eq!(before, 0);
    stage.opencast.event("one", &["4_Learner", "ROLE_ANONYMOUS"]);
    let learner = stage.signer.roles(&["4_Learner"]);
    stage
        .gateway
        .get_with("/static/mh_default_org/engage-player/one/v/video.mp4", &learner)
        .expect(200);
    let known = stage.search(&format!("&jwt={learner}"));
    assert!(known.text().contains("?watch="), "{}", known.text());
}

#[test]
fn by_a_grant_on_a_playlist_the_pass_is_the_playlists() {
    let stage = stage();
    // Opencast takes whoever has a token for one of them; the gateway's rules do not.
    stage.opencast.event("one", &["ROLE_USER"]);
    stage.opencast.playlist("maths", &["one", "two"]);
    let token = stage.token(&json!({ "p:maths": ["read"] }));
    stage
        .gateway
        .get_with("/static/mh_default_org/engage-player/one/v/video.mp4", &token)
        .expect(200);
    let answer = stage.search(&format!("&jwt={token}"));
    let all = addresses(&answer.json());
    let pass = all[0].split_once('?').unwrap().1;
    for event in ["one", "two"] {
        let path = format!("/static/mh_default_org/engage-player/{event}/c/captions.vtt?{pass}");
        stage.gateway.get(&path).expect(200);
    }
}
