//! From the id of a refused request to the whole decision: `janua why`, and the same on the admin listener.

use serde_json::{Value, json};

use crate::support::http::Response;
use crate::support::tools::{Ran, janua};
use crate::support::{Config, Connection, Gateway, Request, Signer, Site, Upstream, eventually, in_seconds};

const PATH: &str = "/static/org/player/lecture-1/video.mp4";

fn why(gateway: &Gateway, arguments: &[&str]) -> Ran {
    let file = gateway.site.path("gateway.toml");
    let always = ["why", "--config", file.to_str().unwrap()];
    janua(always.iter().chain(arguments))
}

/// What is kept of a request, as soon as it is: an entry is made when the answer has ended.
pub fn report(gateway: &Gateway, id: &str) -> Value {
    let told = eventually(&format!("{id} is kept"), || {
        let ran = why(gateway, &[id, "--json"]);
        (ran.code == Some(0)).then_some(ran.stdout)
    });
    serde_json::from_str(&told).unwrap()
}

fn id(answer: &Response) -> String {
    answer.header("x-request-id").unwrap().to_owned()
}

#[test]
fn a_refusal_is_told_from_its_id_with_what_to_do() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let gateway = site.start(&Config::media(&site, &signer));
    let claims = json!({ "exp": in_seconds(60), "sub": "anna", "roles": ["4_Learner", "\u{1b}[2J\u{202e}"] });
    let token = signer.token(&claims);
    let target = format!("{PATH}?jwt={token}&secret=letmein%1b");
    let refused = gateway.get(&target).refused(403, "event_not_granted");
    let id = id(&refused);

    let told = report(&gateway, &id);
    let expected = [
        ("/outcome", json!("deny")),
        ("/reason", json!("event_not_granted")),
        ("/status", json!(403)),
        ("/request/method", json!("GET")),
        ("/request/host", json!("video.test")),
        ("/request/path", json!(PATH)),
        ("/request/client", json!("127.0.0.1")),
        ("/routes/0/name", json!("media")),
        ("/credentials/0/place", json!("token: query jwt")),
        ("/credentials/0/counts", json!(true)),
        ("/credentials/0/issuers", json!(["moodle"])),
        ("/credentials/0/roles/kept/0", json!("4_Learner")),
        ("/allow/0/holds", json!(false)),
        (
            "/allow/0/conditions/0/condition",
            json!("grant = \"read\", event = \"{event}\""),
        ),
        ("/past/request_id", json!(id)),
        ("/past/query", json!("jwt,secret")),
        ("/past/subject", json!("moodle/anna")),
        ("/past/generation", json!(1)),
        ("/past/is_in_force", json!(true)),
    ];
    for (place, value) in expected {
        assert_eq!(told.pointer(place), Some(&value), "{place} of {told:#}");
    }
    // People type less, and in groups.
    let grouped = format!("{}-{}", &id[..4].to_uppercase(), &id[4..9]);
    let text = why(&gateway, &[&grouped]).ok().stdout;
    for part in [
        "✗ refused: event_not_granted (status 403)",
        "✓ token: query jwt: valid, of moodle, speaks for the request",
        "what to do\n",
        "Rule 1 of `allow` lacks: grant = \"read\"",
        "lecture-1",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    let plain = |text: &str| {
        text.lines()
            .all(|line| !line.contains(char::is_control) && !line.contains('\u{202e}'))
    };
    assert!(plain(&text), "{text:?}");
    assert!(
        text.trim_end().lines().last().unwrap().starts_with("  "),
        "it ends with what to do: {text}"
    );

    let page = gateway.admin(&format!("/why/{}", &id[..8])).expect(200);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    let list = gateway.admin("/why").expect(200);
    for page in [page.text(), list.text()] {
        assert!(page.contains("event_not_granted") && !page.contains('\u{1b}'), "{page}");
    }
    assert!(gateway.admin("/").text().contains("href=\"/why\""));
    let told = gateway.admin(&format!("/why/{id}.json")).expect(200);
    assert_eq!(told.json()["reason"], "event_not_granted");
    let secret = &token[token.len() - 20..];
    for text in [text, told.text(), list.text(), gateway.admin("/why.json").text()] {
        for bad in [secret, "letmein", "eyJ"] {
            assert!(!text.contains(bad), "{bad} in {text}");
        }
    }
}

#[test]
fn explain_ends_with_what_to_do_too() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let gateway = site.start(&Config::media(&site, &signer));
    let file = gateway.site.path("gateway.toml");
    let ran = |more: &[&str]| {
        janua(
            ["explain", "GET", PATH, "--config", file.to_str().unwrap()]
                .iter()
                .chain(more),
        )
    };
    let text = ran(&[]).stdout;
    assert!(
        text.contains("what to do\n") && text.contains("give route \"media\" `watch`"),
        "{text}"
    );
    let told: Value = serde_json::from_str(&ran(&["--json", "--live"]).stdout).unwrap();
    assert!(
        told["remedy"][0].as_str().unwrap().contains("route \"media\""),
        "{told:#}"
    );
    let token = gateway.site.write("token", signer.read("lecture-1"));
    let allowed = ran(&["--token-file", token.to_str().unwrap()]).ok().stdout;
    assert!(!allowed.contains("what to do"), "{allowed}");
}

#[test]
fn what_failed_behind_the_rules_is_told_too() {
    let (site, zoo) = (Site::new(), Upstream::start());
    let config = Config::new()
        .upstream("zoo", &[zoo.url()], "")
        .upstream("away", &["http://127.0.0.1:1".to_owned()], "")
        .section("[[routes]]\nname = \"away\"\npath = \"/away\"\nupstream = \"away\"\nallow = [{ anyone = true }]\n")
        .open_upstream_route("");
    let gateway = site.start(&config);
    let failed = report(
        &gateway,
        &id(&gateway.get("/away").refused(502, "upstream_unavailable")),
    );
    assert_eq!(failed["outcome"], "allow");
    assert_eq!(failed["past"]["upstream"]["name"], "away");
    assert!(
        failed["remedy"][0].as_str().unwrap().starts_with("upstream \"away\""),
        "{failed:#}"
    );
    // The upstream's own refusal is not the gateway's.
    let own = report(&gateway, &id(&gateway.get("/zoo/login").expect(401)));
    assert_eq!((&own["reason"], &own["status"]), (&Value::Null, &json!(401)));
    assert!(
        own["remedy"][0].as_str().unwrap().contains("answered 401 itself"),
        "{own:#}"
    );
    let text = why(&gateway, &["--last", "--route", "open"]).ok().stdout;
    assert!(
        text.contains("✓ allowed (status 401)") && text.contains("answered 401 after"),
        "{text}"
    );
}

#[test]
fn what_is_not_kept_is_said_with_how_far_it_reaches() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let gateway = site.start(&Config::media(&site, &signer));
    let allowed = id(&gateway.get_with(PATH, &signer.read("lecture-1")).expect(200));
    let none = why(&gateway, &["--last"]);
    assert_eq!(none.code, Some(1), "{none:?}");
    let refused = id(&gateway.get("/nowhere").refused(404, "no_route"));
    report(&gateway, &refused);
    let unknown = why(&gateway, &[&allowed]);
    assert_eq!(unknown.code, Some(1));
    for part in [
        "1 are kept: every one since the gateway started",
        "that were allowed are not kept",
    ] {
        assert!(unknown.stderr.contains(part), "no {part} in {}", unknown.stderr);
    }
    for bad in ["12345", "zzzzzz", "../../etc"] {
        let ran = why(&gateway, &[bad]);
        assert!(ran.code == Some(1) && ran.stderr.contains("32 hex digits"), "{ran:?}");
    }
    assert_eq!(why(&gateway, &["--last", "--route", "media"]).code, Some(1));
    assert_eq!(why(&gateway, &["--last"]).code, Some(0));
    gateway.admin("/why/123456").expect(404);
    assert!(gateway.admin("/why/123456.json").expect(404).json()["error"].is_string());
    let file = gateway.site.path("gateway.toml");
    let site = gateway.site.clone();
    gateway.stop();
    let ran = janua(["why", "--last", "--config", file.to_str().unwrap()]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    drop(site);
}

#[test]
fn allowed_requests_are_kept_where_they_are_wanted() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let config = Config::media(&site, &signer).server("recent", "{ allowed = 2 }");
    let gateway = site.start(&config);
    let get = || id(&gateway.get_with(PATH, &signer.read("lecture-1")).expect(200));
    let ids: Vec<String> = (0..4).map(|_| get()).collect();
    let told = report(&gateway, &ids[3]);
    assert_eq!((&told["outcome"], &told["reason"]), (&json!("allow"), &Value::Null));
    assert_eq!(told["allow"][0]["holds"], true);
    assert_eq!(why(&gateway, &[&ids[0]]).code, Some(1));
    assert_eq!(why(&gateway, &["--last"]).code, Some(1), "none was refused");
}

#[test]
fn one_client_does_not_push_out_the_others() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let config = Config::media(&site, &signer)
        .server("recent", "{ refusals = 40 }")
        .server("trusted_proxies", "[\"127.0.0.1/32\"]");
    let gateway = site.start(&config);
    let from = |address: &str, path: &str| {
        let request = Request::get(path).header("X-Forwarded-For", address);
        Connection::open(gateway.http())
            .exchange_raw(request.header("Connection", "close").bytes())
            .unwrap()
    };
    let mine = id(&from("192.0.2.1", PATH).refused(401, "no_credentials"));
    for _ in 0..100 {
        from("192.0.2.2", "/nowhere").refused(404, "no_route");
    }
    let last = id(&from("192.0.2.2", "/nowhere").refused(404, "no_route"));
    assert_eq!(report(&gateway, &last)["reason"], "no_route");
    assert_eq!(report(&gateway, &mine)["request"]["client"], "192.0.2.1");
    let all = gateway.admin("/why.json").expect(200).json()["refusals"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(all, 11);
}

/// A reload in between: it is told that the request was judged by another configuration.
#[test]
fn the_configuration_that_judged_is_told() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let config = Config::media(&site, &signer);
    let gateway = site.start(&config);
    let before = id(&gateway.get("/open").refused(404, "no_route"));
    gateway.site.write("gateway.toml", config.open_route().text());
    gateway.signal("HUP");
    eventually("the new route is there", || {
        (gateway.get("/open").status == 204).then_some(())
    });
    let told = report(&gateway, &before);
    assert_eq!(
        (&told["past"]["generation"], &told["past"]["is_in_force"]),
        (&json!(1), &json!(false))
    );
    let text = why(&gateway, &[&before]).ok().stdout;
    assert!(
        text.contains("judged by configuration 1 of this process, another one is in force now"),
        "{text}"
    );
}

#[test]
fn none_are_kept_where_none_are_wanted() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let gateway = site.start(&Config::media(&site, &signer).server("recent", "{ refusals = 0 }"));
    let refused = id(&gateway.get(PATH).refused(401, "no_credentials"));
    gateway.logged(&[&refused, "no_credentials"]);
    assert_eq!(why(&gateway, &[&refused]).code, Some(1));
    assert!(gateway.admin("/why").text().contains("Nothing."));
}
