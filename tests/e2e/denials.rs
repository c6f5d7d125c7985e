//! A missing role explains itself: what the rules refused is told to the operator, who held what and what would have let
//! them pass; to nobody else, within bounds, and never with a token.

use serde_json::{Value, json};

use super::watch::{cookie, with_cookie};
use crate::support::browse;
use crate::support::{Config, Connection, Gateway, Opencast, Request, Signer, Site, eventually, in_seconds};

const FILE: &str = "/static/org/player/one/a.mp4";

const ROUTE: &str = r#"
[[routes]]
name  = "media"
path  = "/static/{org}/{channel}/{event}/{*file}"
files = "downloads"
strip = "/static"
allow = [
  { role = "ROLE_BOSS", from = ["127.0.0.0/8"] },
  { grant = "read", event = "{event}" },
  { event_acl = "read", event = "{event}" },
]
deny = [{ role = "ROLE_SUSPENDED" }]
"#;

fn start(signer: &Signer, opencast: &Opencast, server: &[(&str, &str)]) -> Gateway {
    let site = Site::new();
    site.write_keys("keys.json", &[signer]);
    site.write("secrets/opencast", "letmein\n");
    site.write("downloads/org/player/one/a.mp4", "lecture");
    let mut config = Config::new()
        .issuer("moodle", "keys.json", "")
        .upstream("opencast", &[opencast.url()], "")
        .section("[opencast.main]\nupstream = \"opencast\"\nusername = \"gateway\"\npassword_file = \"secrets/opencast\"\n")
        .section(ROUTE)
        .section("[[routes]]\nname = \"inside\"\npath = \"/inside\"\nrespond = { status = 204 }\nallow = [{ from = [\"192.0.2.0/24\"] }]\n");
    for (key, value) in server {
        config = config.server(key, value);
    }
    site.start(&config)
}

fn named(signer: &Signer, subject: &str, roles: &[&str]) -> String {
    signer.token(&json!({ "exp": in_seconds(60), "sub": subject, "roles": roles }))
}

/// The list, as soon as it is as long as that: an entry is made when its answer has ended.
fn told(gateway: &Gateway, length: usize) -> Vec<Value> {
    eventually(&format!("{length} denials"), || {
        let told = gateway.admin("/denials.json").expect(200).json();
        let told = told["denials"].as_array().unwrap().clone();
        (told.len() == length).then_some(told)
    })
}

#[test]
fn list_page_and_log_say_who_held_what_and_what_was_needed() {
    let (opencast, signer) = (Opencast::start(), Signer::new());
    opencast.event("one", &["4_Learner", "4_Instructor"]);
    let gateway = start(&signer, &opencast, &[]);
    let token = named(&signer, "anna", &["5_Learner", "<b>\u{202e}\n"]);
    gateway
        .get_with(FILE, &named(&signer, "bert", &["4_Learner"]))
        .expect(200);
    gateway.get(FILE).refused(401, "no_credentials");
    let refused = gateway
        .get(&format!("{FILE}?jwt={token}&secret=letmein"))
        .refused(403, "event_not_granted");
    let id = refused.header("x-request-id").unwrap();

    let told = told(&gateway, 1);
    let denial = &told[0];
    let expected = [
        ("route", json!("media")),
        ("method", json!("GET")),
        ("path", json!(FILE)),
        ("reason", json!("event_not_granted")),
        ("issuer", json!("moodle")),
        ("subject", json!("anna")),
        ("client", json!("127.0.0.1")),
        ("count", json!(1)),
        ("request_id", json!(id)),
        ("roles", json!(["5_Learner", "<b>\\u202e\\n"])),
        ("grants", json!([])),
        ("denied_by", json!([])),
        (
            "would_allow",
            json!([
                "role = \"ROLE_BOSS\", from = \"127.0.0.0/8\" (met)",
                "grant = \"read\", event = \"one\"",
                "event_acl = \"read\", event = \"one\" (event \"one\" permits read to 4_Instructor, 4_Learner)",
            ]),
        ),
    ];
    for (name, value) in expected {
        assert_eq!(denial[name], value, "{name}");
    }
    let page = gateway.admin("/denials").expect(200);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    assert!(
        page.header("content-security-policy")
            .unwrap()
            .contains("default-src 'none'")
    );
    let page = page.text();
    for part in [
        "moodle/anna from 127.0.0.1",
        "5_Learner<br>&lt;b&gt;",
        "permits read to 4_Instructor, 4_Learner",
    ] {
        assert!(page.contains(part), "no {part} in {page}");
    }
    assert!(gateway.admin("/").text().contains("href=\"/denials\""));

    let line = gateway.logged(&["refused by the rules", id]);
    for part in [
        "moodle/anna",
        "roles=\"5_Learner, <b>",
        "event_not_granted",
        "permits read to 4_Instructor, 4_Learner",
        "ROLE_BOSS",
    ] {
        assert!(line.contains(part), "no {part} in {line}");
    }
    let secret = &token[token.len() - 20..];
    for text in [page, line, serde_json::to_string(&told).unwrap(), gateway.said()] {
        for bad in [secret, "letmein", "<b>\u{202e}"] {
            assert!(!text.contains(bad), "{bad} in {text}");
        }
    }
}

#[test]
fn explain_says_the_same() {
    let (opencast, signer) = (Opencast::start(), Signer::new());
    opencast.event("one", &["4_Learner"]);
    let gateway = start(&signer, &opencast, &[]);
    let token = gateway.site.write("token", named(&signer, "anna", &["5_Learner"]));
    let ran = std::process::Command::new(env!("CARGO_BIN_EXE_janua"))
        .args(["explain", "GET", FILE, "--live", "--token-file"])
        .arg(token)
        .arg("--config")
        .arg(gateway.site.path("gateway.toml"))
        .output()
        .unwrap();
    let told = String::from_utf8(ran.stdout).unwrap();
    assert_eq!(ran.status.code(), Some(3), "{told}");
    for part in [
        "✓ role 5_Learner",
        "✗ role = \"ROLE_BOSS\"  (needs \"ROLE_BOSS\"; held: 5_Learner)",
        "✗ event_acl = \"read\", event = \"{event}\"  (event \"one\" permits read to 4_Learner; held: 5_Learner)",
    ] {
        assert!(told.contains(part), "no {part} in\n{told}");
    }
}

#[test]
fn a_rule_that_denies_is_named() {
    let (opencast, signer) = (Opencast::start(), Signer::new());
    let gateway = start(&signer, &opencast, &[]);
    let token = named(&signer, "anna", &["ROLE_SUSPENDED", "ROLE_BOSS"]);
    gateway.get_with(FILE, &token).refused(403, "denied_by_rule");
    let denial = &told(&gateway, 1)[0];
    assert_eq!(denial["denied_by"], json!(["role = \"ROLE_SUSPENDED\""]));
    assert_eq!(denial["would_allow"], json!([]));
}

/// What a proxy was told, and what a pass met after its rule was changed.
#[test]
fn decisions_for_a_proxy_and_passes_are_told_too() {
    let signer = Signer::new();
    let site = Site::with_lecture();
    let config = |role: &str| {
        Config::media(&site, &signer)
            .server("trusted_proxies", "[\"127.0.0.1/32\"]")
            .section(&format!(
                "[[routes]]\nname = \"watched\"\npath = \"/watched/{{event}}/{{*file}}\"\nfiles = \"downloads/org/player\"\n\
                 strip = \"/watched\"\naccept = [\"jwt\", \"watch\"]\nwatch = {{ ttl = \"1h\" }}\n\
                 allow = [{{ role = {role:?} }}]\n"
            ))
            .section(
                "[[routes]]\nname = \"nginx asks\"\npath = \"/_decide\"\nallow = [{ from = [\"127.0.0.1/32\"] }]\n\
                 respond = { decide = { uri = \"X-Original-URI\", method = \"X-Original-Method\" } }\n",
            )
    };
    let gateway = site.start(&config("4_Learner"));
    let asked = Request::get("/_decide")
        .header("X-Original-URI", "/static/org/player/lecture-1/video.mp4?t=1")
        .header("X-Original-Method", "GET")
        .bearer(&signer.read("lecture-2"));
    gateway.send(asked).refused(403, "event_not_granted");
    let denial = &told(&gateway, 1)[0];
    assert_eq!(
        (&denial["route"], &denial["grants"]),
        (&json!("media"), &json!(["read on event \"lecture-2\""]))
    );
    assert_eq!(denial["path"], "/static/org/player/lecture-1/video.mp4");

    let path = "/watched/lecture-1/video.mp4";
    let pass = cookie(
        &gateway
            .get_with(path, &named(&signer, "anna", &["4_Learner"]))
            .expect(200),
    );
    site.write("gateway.toml", config("5_Learner").text());
    gateway.signal("HUP");
    eventually("the rule is another", || {
        (with_cookie(&gateway, path, &pass).status == 403).then_some(())
    });
    let latest = &told(&gateway, 2)[0];
    assert_eq!((&latest["subject"], &latest["roles"]), (&json!("anna"), &json!([])));
    assert_eq!(latest["would_allow"], json!(["role = \"5_Learner\""]));
    assert!(!gateway.said().contains(&pass["janua-watch=".len()..]));
}

/// A form is posted to one address, and what refuses it are the rules of the page that it leads to.
#[test]
fn a_refused_form_tells_of_the_page_behind_it() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let config = Config::media(&site, &signer)
        .jwt("sources", r#"[{ header = "Authorization", scheme = "Bearer" }, { form = "jwt" }]"#)
        .section(
            "[[routes]]\nname = \"forms\"\npath = \"/redirect/get\"\nrespond = { launch = true }\nallow = [{ anyone = true }]\n\
             [[routes]]\nname = \"studio\"\npath = \"/studio/{page}\"\nrespond = { status = 204 }\naccept = [\"launch\"]\n\
             allow = [{ role = \"ROLE_STUDIO\" }]\n",
        );
    let gateway = site.start(&config);
    let body = format!(
        "target=/studio/index.html&jwt={}",
        named(&signer, "anna", &["ROLE_USER"])
    );
    let form = Request::new("POST", "/redirect/get").header("Content-Type", "application/x-www-form-urlencoded");
    gateway.send(form.body(body)).refused(403, "missing_role");
    let denial = &told(&gateway, 1)[0];
    let expected = [
        ("route", json!("studio")),
        ("method", json!("GET")),
        ("path", json!("/studio/index.html")),
        ("subject", json!("anna")),
        ("roles", json!(["ROLE_USER"])),
        ("would_allow", json!(["role = \"ROLE_STUDIO\""])),
    ];
    for (name, value) in expected {
        assert_eq!(denial[name], value, "{name}");
    }
}

#[test]
fn repeats_are_counted_and_one_person_does_not_flush_out_another() {
    let (opencast, signer) = (Opencast::start(), Signer::new());
    let gateway = start(&signer, &opencast, &[("denials", "20")]);
    let get = |event: &str, token: &str| {
        let path = format!("/static/org/player/{event}/a.mp4");
        gateway.get_with(&path, token).expect(403);
    };
    get("one", &named(&signer, "anna", &["5_Learner"]));
    gateway.get("/inside").refused(403, "not_allowed");
    let mallory = named(&signer, "mallory", &["6_Learner"]);
    for number in 0..30 {
        get(&format!("lecture-{number}"), &mallory);
    }
    // As fast as one connection can: more than are told in the log, unless it took minutes.
    let mut connection = Connection::open(gateway.http());
    for _ in 0..300 {
        let again = connection.exchange_raw(Request::get(FILE).bearer(&mallory).bytes());
        assert_eq!(again.unwrap().status, 403);
    }
    let told = eventually("all are counted", || {
        let told = told(&gateway, 4);
        (told[0]["count"] == 300).then_some(told)
    });
    let subjects: Vec<_> = told.iter().map(|one| one["subject"].as_str()).collect();
    assert_eq!(subjects, [Some("mallory"), Some("mallory"), None, Some("anna")]);
    assert_eq!(told[2]["would_allow"], json!(["from = \"192.0.2.0/24\""]));
    assert_eq!(told[2]["issuer"], Value::Null);
    eventually("every access line", || {
        let said = gateway.said();
        (said.matches(" outcome=deny ").count() == 332).then_some(())
    });
    let lines = gateway.said().matches("refused by the rules").count();
    assert!((20..200).contains(&lines), "{lines}");
}

#[test]
fn only_those_who_may_ask_the_admin_listener_are_told() {
    let (opencast, signer) = (Opencast::start(), Signer::new());
    let gateway = start(&signer, &opencast, &[]);
    gateway.get_with(FILE, &named(&signer, "anna", &[])).expect(403);
    told(&gateway, 1);
    let ask = |request: Request| Connection::open(gateway.admin).exchange(request.header("Connection", "close"));
    let host = gateway.admin.to_string();
    let json = ask(Request::get("/denials")
        .host(&host)
        .header("Accept", "application/json"))
    .expect(200);
    assert_eq!(json.json()["denials"][0]["subject"], "anna");
    assert_eq!(json.header("cache-control"), Some("no-store"));
    for path in ["/denials", "/denials.json"] {
        let strange = ask(Request::get(path).host("evil.test"));
        assert_eq!(strange.status, 421);
        assert!(!strange.text().contains("anna"));
        for method in ["POST", "DELETE"] {
            assert_eq!(ask(Request::new(method, path).host(&host)).status, 405);
        }
        assert_eq!(gateway.get(path).status, 404, "the public listener knows nothing of it");
    }
}

#[test]
fn nothing_is_kept_or_told_where_that_is_wanted() {
    let (opencast, signer) = (Opencast::start(), Signer::new());
    let gateway = start(&signer, &opencast, &[("denials", "0")]);
    let refused = gateway
        .get_with(FILE, &named(&signer, "anna", &["5_Learner"]))
        .expect(403);
    gateway.logged(&["access:", refused.header("x-request-id").unwrap()]);
    // Whatever else would have been written for the first request stands before the second one's line.
    let second = gateway.get("/inside").expect(403);
    gateway.logged(&["access:", second.header("x-request-id").unwrap()]);
    let said = gateway.said();
    assert!(
        !said.contains("refused by the rules") && !said.contains("5_Learner"),
        "{said}"
    );
    told(&gateway, 0);
    assert!(gateway.admin("/denials").text().contains("refused nothing lately"));
}

#[test]
fn the_page_is_readable_on_every_width() {
    let (signer, opencast) = (Signer::new(), Opencast::start());
    opencast.event("one", &["4_Instructor", "4_Learner"]);
    let gateway = start(&signer, &opencast, &[]);
    let token = named(&signer, "anna", &["5_Learner"]);
    gateway
        .get(&format!("{FILE}?jwt={token}"))
        .refused(403, "event_not_granted");
    // A word that stands in two lines has two rectangles.
    let script = r#"
        const seen = [];
        for (const width of [1280, 390]) {
            await page.setViewportSize({ width, height: 900 });
            for (const path of ["/denials", "/"]) {
                await page.goto(args.admin + path);
                seen.push(await page.evaluate(() => {
                    const words = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
                    const broken = [];
                    while (words.nextNode()) {
                        const node = words.currentNode;
                        for (const word of node.data.matchAll(/[^\s/]+/g)) {
                            const range = document.createRange();
                            range.setStart(node, word.index);
                            range.setEnd(node, word.index + word[0].length);
                            if (range.getClientRects().length > 1 && word[0].length < 32) broken.push(word[0]);
                        }
                    }
                    const page = document.documentElement;
                    return { broken, fits: page.scrollWidth <= page.clientWidth };
                }));
            }
        }
        return seen;
    "#;
    let Some(seen) = browse(script, &json!({ "admin": format!("http://{}", gateway.admin) })) else {
        return;
    };
    let good = json!({ "broken": [], "fits": true });
    assert_eq!(seen, json!([good, good, good, good]));
}
