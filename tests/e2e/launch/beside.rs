//! Launch sessions beside what else there is: sign-ins, replicas, decisions for a proxy, explanations.

use super::{Stage, claims, form, launched, page};
use crate::sign_in::campus::{Campus, PAGE, Plan};
use crate::support::tools::janua;
use crate::support::{Config, Opencast, Request, Signer, Site, Valkey, eventually};

#[test]
fn a_sign_in_is_neither_replaced_nor_lent() {
    let (site, lms, opencast) = (Site::new(), Signer::new(), Opencast::start());
    site.write_keys("lms.json", &[&lms]);
    let route =
        |name: &str, path: &str, more: &str| format!("\n[[routes]]\nname = {name:?}\npath = {path:?}\n{more}\n");
    let more = [
        route(
            "launch",
            "/redirect/get",
            "respond = { launch = true }\nallow = [{ anyone = true }]",
        ),
        route(
            "both",
            "/both/{*rest}",
            "upstream = \"opencast\"\naccept = [\"launch\", \"session\"]\nallow = [{ signed_in = true }]\npresent = \"headers\"",
        ),
        route(
            "studio",
            "/studio/{*rest}",
            "upstream = \"opencast\"\naccept = [\"launch\", \"session\"]\nsign_in = \"campus\"\nallow = [{ role = \"ROLE_STUDIO\" }]\nlaunch = { }",
        ),
    ];
    let config = Config::new()
        .jwt("sources", "[{ query = \"jwt\" }, { form = \"jwt\" }]")
        .issuer("lms", "lms.json", "may_name_users = true")
        .upstream("opencast", &[opencast.url()], "");
    let Some(campus) = Campus::planned(Plan {
        site,
        config,
        more: more.concat(),
        ..Plan::default()
    }) else {
        return;
    };
    let visitor = campus.visitor();
    visitor.sign_in(&campus.cas.person("alice"), PAGE).expect(303);
    let shown = || {
        visitor.fetch("/both/x");
        let site = opencast.site();
        let seen = site.requests.iter().rfind(|seen| seen.target == "/both/x").unwrap();
        assert_eq!(seen.header("cookie"), None);
        seen.header("x-forwarded-user").map(str::to_owned)
    };
    assert_eq!(shown().as_deref(), Some("alice"));
    let session = visitor.session();
    let token = lms.token(&claims("anna", &["ROLE_STUDIO"]));
    visitor.send(form(&token, "/studio/")).expect(303);
    assert_eq!(shown().as_deref(), Some("anna"), "first of the accepted ones");
    assert_eq!(visitor.session(), session);
    let me = visitor.me();
    assert_eq!((&me["user"], &me["sign_in"]), (&"alice".into(), &"campus".into()));
    // A token that is none is told, and not the way to sign in instead.
    let refused = visitor.open("/studio/?jwt=rubbish");
    assert_eq!(refused.status, 401, "{refused:?}");
    let stranger = campus.visitor();
    let sent = stranger.open("/studio/").expect(303);
    assert!(sent.header("location").unwrap().starts_with(&campus.cas.url()));
    let begun = stranger.open(&format!("/studio/?jwt={token}")).expect(303);
    assert_eq!(begun.header("location"), Some("/studio/"));
    assert_eq!(stranger.me()["signed_in"], false);
    // Signing out ends both.
    visitor.post("/_janua/sign-out", "").expect(200);
    assert!(visitor.cookies.lock().unwrap().is_empty());
    assert_eq!(visitor.fetch("/both/x").status, 401);
}

#[test]
fn two_gateways_on_one_store_are_one() {
    let Some(mut valkey) = Valkey::start() else { return };
    let keys = Site::new();
    let key = keys.write("master.key", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n");
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    janua(["keys", "new", "--out", keys.path("made").to_str().unwrap()]).ok();
    let sign_key = keys.path("made/private.pem");
    let config = Config::new()
        .set("state", "store", "\"valkey\"")
        .set("state", "url", &format!("{:?}", valkey.url()))
        .set("state", "key_file", &format!("{key:?}"))
        .server("public_urls", "[\"https://video.test\"]");
    let stage = Stage::with_opencast("", config, &format!("sign_key_file = {sign_key:?}\n"));
    let replica = stage.replica();
    let launch = stage.launch(&stage.token());
    let asked = |gateway: &crate::support::Gateway| {
        gateway
            .send(launch.asks(Request::get("/ingest/x").host("video.test")))
            .status
    };
    assert_eq!((asked(&stage.gateway), asked(&replica)), (200, 200));
    let again = replica.send(launch.asks(form(&stage.token(), "/studio/")));
    launched(&again);
    assert_eq!(asked(&replica), 401);
    eventually("the other one hears of it", || {
        (asked(&stage.gateway) == 401).then_some(())
    });
    valkey.kill();
    let answer = stage.gateway.send(form(&stage.token(), "/studio/"));
    assert_eq!((answer.status, answer.header("set-cookie")), (503, None));
    let by_token = Request::get("/studio/").bearer(&stage.token());
    stage.gateway.send(by_token).expect(200);
}

#[test]
fn a_proxy_that_asks_is_told_and_begins_nothing() {
    let decide = "\n[[routes]]\nname = \"asks\"\npath = \"/_decide\"\nallow = [{ anyone = true }]\n\
        respond = { decide = { uri = \"X-Original-URI\", method = \"X-Original-Method\" } }\n";
    let config = Config::new()
        .server("public_urls", "[\"https://video.test\"]")
        .server("trusted_proxies", "[\"127.0.0.1/32\"]")
        .section(decide);
    let stage = Stage::with("", config);
    let launch = stage.launch(&stage.token());
    let ask = |uri: &str| {
        let request = page("/_decide").header("X-Original-URI", uri);
        request.header("X-Original-Method", "GET")
    };
    let by_token = ask(&format!("/studio/?jwt={}", stage.token()));
    let told = stage.gateway.send(by_token).expect(204);
    assert_eq!(told.header("set-cookie"), None);
    stage.gateway.send(launch.asks(ask("/ingest/x"))).expect(204);
    stage.gateway.send(ask("/ingest/x")).expect(401);
    // Nobody sends a browser on by asking about the address for forms.
    let form = page("/_decide").header("X-Original-URI", "/redirect/get");
    let told = stage.gateway.send(form.header("X-Original-Method", "POST"));
    assert_eq!((told.status, told.header("location")), (204, None));
}

#[test]
fn explanations_tell_who_and_why_and_no_secret() {
    let stage = Stage::new();
    let launch = stage.launch(&stage.token());
    let config = stage.site.path("gateway.toml");
    let explain = |method: &str, url: &str, headers: &[&str], more: &[&str]| {
        let mut arguments = vec!["explain", "--config", config.to_str().unwrap(), method, url];
        arguments.extend(headers.iter().flat_map(|header| ["--header", header]));
        arguments.extend(more);
        janua(arguments)
    };
    let cookie = format!("Cookie: {}", launch.cookie);
    let (_, secret) = launch.cookie.split_once('=').unwrap();
    let url = "https://video.test/ingest/x";
    let live = explain("GET", url, &[&cookie], &["--live"]).stdout;
    for told in [
        "launch session: cookie __Host-janua-launch",
        "lms",
        "anna",
        "role ROLE_STUDIO",
    ] {
        assert!(live.contains(told), "{told}: {live}");
    }
    let offline = explain("GET", url, &[&cookie], &[]).stdout;
    assert!(offline.contains("known to the running gateway only"), "{offline}");
    let frame = ["Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"];
    let page = format!("https://video.test/studio/?jwt={}", stage.token());
    let opened = explain("GET", &page, &frame, &[]).stdout;
    assert!(opened.contains("303: a launch session begins"), "{opened}");
    let posted = explain(
        "POST",
        "https://video.test/redirect/get",
        &["Content-Type: application/x-www-form-urlencoded"],
        &["--live"],
    );
    assert!(posted.stdout.contains("the form tells who is launched"), "{posted:?}");
    for told in [&live, &offline, &opened] {
        assert!(!told.contains(secret), "{told}");
    }
}
