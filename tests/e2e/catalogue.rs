//! Every reason of the catalogue, reached once: the same word stands in the answer, the log, the metrics, `janua why` and on
//! the page of the admin listener.
//!
//! One test, so that it knows in the end which ones were not reached: those of [`ELSEWHERE`], and no others.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};

use serde_json::json;
use url::Url;

use super::moodle::school::{Browser, SITE_INFO, School, script};
use super::watch::{cookie, with_cookie};
use super::why::report;
use crate::support::double::Double;
use crate::support::http::Response;
use crate::support::opencast::Fault;
use crate::support::secrets::{self, Kind};
use crate::support::tools::janua;
use crate::support::{
    Config, Connection, Gateway, JwksServer, Opencast, Request, Signer, Site, Upstream, Valkey, eventually, in_seconds,
    now,
};

/// What no request of this test gets, and why.
const ELSEWHERE: [(&str, &str); 11] = [
    ("internal", "a defect: nothing that can be sent reaches it"),
    (
        "watch_pass_expired",
        "a pass lives for a minute at least; src/gateway/watch.rs and src/authenticate/watch.rs have it",
    ),
    (
        "moodle_visit_required",
        "moodle/oidc_launch/way.rs: a page of Moodle's that only its provider leads to",
    ),
    ("signed_url_malformed", "signed_urls.rs, as the next six"),
    ("signed_url_unknown_key", "signed_urls.rs"),
    ("signed_url_bad_signature", "signed_urls.rs"),
    ("signed_url_other_resource", "signed_urls.rs"),
    ("signed_url_other_client", "signed_urls.rs"),
    ("signed_url_expired", "signed_urls.rs"),
    ("signed_url_not_yet_valid", "signed_urls.rs"),
    ("launch_stale", "lti/attacks.rs: a platform's message that comes twice"),
];

/// The reasons that were met.
#[derive(Default)]
struct Met(BTreeSet<String>);

impl Met {
    /// Holds one answer: its word stands everywhere.
    #[track_caller]
    fn hold(&mut self, gateway: &Gateway, answer: &Response, reason: &str) {
        assert_eq!(answer.reason(), reason, "{}", answer.text());
        let id = answer.header("x-request-id").unwrap().to_owned();
        self.hold_told(gateway, &id, reason);
    }

    /// The same without an answer that could be read.
    #[track_caller]
    fn hold_told(&mut self, gateway: &Gateway, id: &str, reason: &str) {
        let line = gateway.logged(&[" access: ", &format!("request_id=\"{id}\"")]);
        assert!(line.contains(&format!(" reason={reason} ")), "{line}");
        let told = report(gateway, id);
        assert_eq!(told["reason"], reason, "{told:#}");
        let remedy = told["remedy"][0].as_str().unwrap_or_default();
        assert!(remedy.len() > 30 && !remedy.contains('{'), "{told:#}");
        let page = gateway.admin(&format!("/why/{id}")).expect(200).text();
        assert!(page.contains(reason) && page.contains("what to do"), "{page}");
        let metrics = gateway.admin("/metrics").text();
        let label = format!("reason=\"{reason}\"");
        let mut counted = metrics
            .lines()
            .filter(|line| line.starts_with("janua_decisions_total{"));
        assert!(counted.any(|line| line.contains(&label)), "no {label} in the metrics");
        self.0.insert(reason.to_owned());
    }
}

/// Reaches some. `None`: what it needs is not here, and was named.
type Group = fn(&mut Met) -> Option<()>;

#[test]
fn each_reason_is_one_word_everywhere() {
    let groups: [Group; 10] = [
        the_request,
        tokens,
        access_tokens,
        watch_passes,
        rules,
        files_and_upstreams,
        places,
        sign_ins,
        store,
        moodle,
    ];
    // Each says what it misses, whatever becomes of the others.
    let (mut met, mut is_whole, mut failed) = (BTreeSet::new(), true, 0);
    std::thread::scope(|scope| {
        let run = |group: Group| {
            scope.spawn(move || {
                let mut met = Met::default();
                let is_whole = group(&mut met).is_some();
                (met.0, is_whole)
            })
        };
        for group in groups.map(run) {
            match group.join() {
                Ok((some, whole)) => {
                    met.extend(some);
                    is_whole &= whole;
                }
                Err(_) => failed += 1,
            }
        }
    });
    assert_eq!(failed, 0, "groups have failed, see above");
    if !is_whole {
        return;
    }
    let all: BTreeSet<&str> = janua::rejection::Reason::ALL
        .iter()
        .map(|reason| reason.label())
        .collect();
    let met: BTreeSet<&str> = met.iter().map(String::as_str).collect();
    let missing: Vec<&str> = all.difference(&met).copied().collect();
    let elsewhere: BTreeSet<&str> = ELSEWHERE.iter().map(|(reason, _)| *reason).collect();
    assert_eq!(missing, elsewhere.into_iter().collect::<Vec<_>>());
}

/// What is wrong before anybody is asked who it is.
fn the_request(met: &mut Met) -> Option<()> {
    let (site, zoo) = (Site::new(), Upstream::start());
    let config = Config::new()
        .server("strict_host", "true")
        .server("timeouts", "{ read = \"1s\" }")
        .upstream("zoo", &[zoo.url()], "")
        .open_route()
        .section(
            "[[routes]]\nname = \"up\"\npath = \"/up/{*rest}\"\nupstream = \"zoo\"\nallow = [{ anyone = true }]\n\
             methods = [\"GET\", \"POST\"]\nlimits = { body = \"10B\" }\n\
             [[routes]]\nname = \"rated\"\npath = \"/rated\"\nrespond = { status = 204 }\nallow = [{ anyone = true }]\n\
             limits = { rate = \"1/m\" }\n",
        );
    let gateway = site.start(&config);
    let long = Request::get("/open").header("Cookie", &"c".repeat(40_000));
    let requests = [
        (long, "headers_too_large"),
        (Request::new("TRACE", "/open"), "not_implemented"),
        (Request::get("/a/%2e%2e%2fb"), "bad_path"),
        (Request::get(&"/a".repeat(9 << 10)), "path_too_long"),
        (Request::get("/open").host("other.test"), "unknown_host"),
        (Request::get("/open").without_host(), "bad_request"),
        (Request::get("/nowhere"), "no_route"),
        (Request::new("DELETE", "/up/a"), "method_not_allowed"),
        (
            Request::new("POST", "/up/a").body("more than ten bytes"),
            "body_too_large",
        ),
    ];
    for (request, reason) in requests {
        met.hold(&gateway, &gateway.send(request), reason);
    }
    let mut stalled = Connection::open(gateway.http());
    stalled
        .write("POST /up/zoo/sink HTTP/1.1\r\nHost: video.test\r\nContent-Length: 5\r\n\r\nrec")
        .unwrap();
    met.hold(&gateway, &stalled.response(false).unwrap(), "request_timeout");
    let limited = eventually("the rate is used up", || {
        let answer = gateway.get("/rated");
        (answer.status == 429).then_some(answer)
    });
    met.hold(&gateway, &limited, "rate_limited");
    Some(())
}

const PATH: &str = "/static/org/player/lecture-1/video.mp4";

fn tokens(met: &mut Met) -> Option<()> {
    let (site, signer, strict) = (
        Site::with_lecture(),
        Signer::new().named("plain"),
        Signer::new().named("strict"),
    );
    site.write_keys("strict.json", &[&strict]);
    let endpoint = JwksServer::start(&[&signer]);
    endpoint.fail(500);
    let strict_claims = "iss = \"https://moodle.test\"\naud = \"https://video.test\"\ntyp = \"video\"";
    let config = Config::media(&site, &signer)
        .issuer("strict", "strict.json", strict_claims)
        .section(
            "[[routes]]\nname = \"of-one\"\npath = \"/of-one\"\nrespond = { status = 204 }\nissuers = [\"strict\"]\n\
             allow = [{ role = \"ROLE_ADMIN\" }]\n",
        );
    let gateway = site.start(&config);
    let exp = in_seconds(60);
    let header = |typ: &str| format!(r#"{{"alg":"ES256","kid":"strict","typ":"{typ}"}}"#);
    let strictly = |typ: &str, iss: &str, aud: &str| {
        let claims = json!({ "exp": exp, "iss": iss, "aud": aud });
        strict.sign(&header(typ), &claims.to_string())
    };
    let (iss, aud) = ("https://moodle.test", "https://video.test");
    let good = signer.read("lecture-1");
    let (input, _) = good.rsplit_once('.').unwrap();
    let unsigned = format!("{input}.{}", crate::support::tokens::base64url([1; 64]));
    let requests = [
        ("nonsense".to_owned(), "malformed_token"),
        (Signer::es384().read("lecture-1"), "algorithm_not_allowed"),
        (unsigned, "bad_signature"),
        (Signer::new().named("unheard-of").read("lecture-1"), "unknown_key"),
        (signer.token(&json!({ "exp": now() - 600 })), "token_expired"),
        (
            signer.token(&json!({ "exp": exp, "nbf": in_seconds(50) })),
            "token_not_yet_valid",
        ),
        (
            signer.token(&json!({ "exp": in_seconds(48 * 3600) })),
            "lifetime_too_long",
        ),
        (strictly("video", "https://other.test", aud), "wrong_issuer"),
        (strictly("video", iss, "https://other.test"), "wrong_audience"),
        (strictly("other", iss, aud), "wrong_type"),
    ];
    for (token, reason) in requests {
        met.hold(&gateway, &gateway.get_with(PATH, &token), reason);
    }
    met.hold(&gateway, &gateway.get(PATH), "no_credentials");
    met.hold(&gateway, &gateway.get_with("/of-one", &good), "issuer_not_accepted");

    let without = Config::new()
        .issuer("moodle", &endpoint.url(), "")
        .section(crate::support::MEDIA);
    let without = Site::with_lecture().start(&without);
    met.hold(&without, &without.get_with(PATH, &good), "keys_unavailable");
    Some(())
}

/// A server that is asked about tokens: it knows one that is bound to a key, one of another scope, and fails at one.
fn access_tokens(met: &mut Met) -> Option<()> {
    let [bound, poor, ended, broken] =
        ["bound", "poor", "ended", "broken"].map(|name| format!("AT-{name}-Lm6hxu993HPA8XUL"));
    for token in [&bound, &poor, &ended, &broken] {
        secrets::register(Kind::Token, token);
    }
    let server = Double::start(|mut wire| {
        while let Ok((_, headers)) = wire.head() {
            let Ok((body, _)) = wire.body(&headers, false) else {
                return;
            };
            let body = String::from_utf8_lossy(&body).into_owned();
            let known = |more| {
                let mut said = json!({ "active": true, "sub": "anna", "client_id": "portal", "scope": "openid", "exp": in_seconds(300), "token_type": "Bearer" });
                if more {
                    said["cnf"] = json!({ "jkt": "x" });
                }
                said
            };
            let (status, said) = match () {
                () if body.contains("AT-bound") => (200, known(true)),
                () if body.contains("AT-poor") => (200, known(false)),
                () if body.contains("AT-broken") => (500, json!({})),
                () => (200, json!({ "active": false })),
            };
            let said = said.to_string();
            let head = format!(
                "HTTP/1.1 {status} So\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                said.len()
            );
            if wire.stream.write_all((head + &said).as_bytes()).is_err() {
                return;
            }
        }
    });
    let site = Site::new();
    site.write("secrets/bearer", "s3cret of the gateway");
    let config = Config::new()
        .section(&format!(
            "[bearer.campus]\nclients = [\"portal\"]\n[bearer.campus.introspection]\nendpoint = \"http://{}/introspect\"\n\
             client_id = \"janua\"\nclient_secret_file = \"secrets/bearer\"\n",
            server.address
        ))
        .section(
            "[[routes]]\nname = \"apps\"\npath = \"/apps/{*rest}\"\nrespond = { status = 204 }\naccept = [\"bearer\"]\n\
             allow = [{ scope = \"video\" }]\n",
        );
    let gateway = site.start(&config);
    for (token, reason) in [
        (&bound, "sender_constrained"),
        (&ended, "token_not_active"),
        (&broken, "token_server_unavailable"),
        (&poor, "missing_scope"),
    ] {
        met.hold(&gateway, &gateway.get_with("/apps/a", token), reason);
    }
    Some(())
}

fn watch_passes(met: &mut Met) -> Option<()> {
    let (site, signer) = (super::watch::lectures(), Signer::new());
    let gateway = site.start(&super::watch::config(
        &site,
        &signer,
        "files = \"downloads\"",
        "\"cookie\"",
    ));
    let path = |event: &str| format!("/static/org/player/{event}/a/video.mp4");
    let pass = cookie(
        &gateway
            .get_with(&path("lecture-1"), &signer.read("lecture-1"))
            .expect(200),
    );
    met.hold(
        &gateway,
        &with_cookie(&gateway, &path("lecture-2"), &pass),
        "watch_pass_invalid",
    );
    let file = gateway.site.path("gateway.toml");
    janua(["revoke", "--event", "lecture-1", "--config", file.to_str().unwrap()]).ok();
    met.hold(
        &gateway,
        &with_cookie(&gateway, &path("lecture-1"), &pass),
        "watch_pass_revoked",
    );
    Some(())
}

fn rules(met: &mut Met) -> Option<()> {
    let (site, signer, opencast) = (Site::new(), Signer::new(), Opencast::start());
    site.write_keys("keys.json", &[&signer]);
    site.write("secrets/opencast", "letmein\n");
    let route = |name: &str, rules: &str| {
        format!("[[routes]]\nname = \"{name}\"\npath = \"/{name}/{{event}}\"\nrespond = {{ status = 204 }}\n{rules}\n")
    };
    let config = Config::new()
        .issuer("moodle", "keys.json", "")
        .upstream("opencast", &[opencast.url()], "")
        .section(
            "[opencast.main]\nupstream = \"opencast\"\nusername = \"gateway\"\npassword_file = \"secrets/opencast\"\n",
        )
        .section(&route(
            "denying",
            "allow = [{ role = \"A\" }]\ndeny = [{ role = \"B\" }]",
        ))
        .section(&route("roles", "allow = [{ role = \"A\" }]"))
        .section(&route("grants", "allow = [{ grant = \"read\", event = \"{event}\" }]"))
        .section(&route("inside", "allow = [{ from = [\"192.0.2.0/24\"] }]"))
        .section(&route(
            "listed",
            "allow = [{ event_acl = \"read\", event = \"{event}\" }]",
        ));
    let gateway = site.start(&config);
    let token = signer.roles(&["B"]);
    for (path, reason) in [
        ("/denying/x", "denied_by_rule"),
        ("/roles/x", "missing_role"),
        ("/grants/x", "event_not_granted"),
        ("/inside/x", "not_allowed"),
    ] {
        met.hold(&gateway, &gateway.get_with(path, &token), reason);
    }
    opencast.fault(Fault::Status(503));
    met.hold(&gateway, &gateway.get_with("/listed/x", &token), "acl_unavailable");
    Some(())
}

fn files_and_upstreams(met: &mut Met) -> Option<()> {
    let (site, signer, zoo) = (Site::with_lecture(), Signer::new(), Upstream::start());
    let large = site.write("large/large.mp4", "");
    let file = std::fs::File::options().write(true).open(&large).unwrap();
    file.set_len(256 << 20).unwrap();
    let config = Config::media(&site, &signer)
        .upstream("zoo", &[zoo.url()], "timeouts = { read = \"1s\" }")
        .upstream("away", &["http://127.0.0.1:1".to_owned()], "")
        .section("[[routes]]\nname = \"away\"\npath = \"/away\"\nupstream = \"away\"\nallow = [{ anyone = true }]\n")
        .section(
            "[[routes]]\nname = \"large\"\npath = \"/large/{*file}\"\nfiles = \"large\"\nstrip = \"/large\"\n\
             allow = [{ anyone = true }]\n",
        )
        .open_upstream_route("");
    let gateway = site.start(&config);
    let token = signer.read("lecture-1");
    let file = |name: &str, value: &str| gateway.send(Request::get(PATH).bearer(&token).header(name, value));
    met.hold(
        &gateway,
        &gateway.get_with("/static/org/player/lecture-1/none.mp4", &token),
        "file_not_found",
    );
    met.hold(&gateway, &file("If-Match", "\"another\""), "precondition_failed");
    met.hold(&gateway, &file("Range", "bytes=5000-"), "range_not_satisfiable");
    met.hold(&gateway, &gateway.get("/away"), "upstream_unavailable");
    met.hold(&gateway, &gateway.get("/zoo/garbage"), "upstream_failed");
    met.hold(&gateway, &gateway.get("/zoo/stall"), "upstream_timeout");

    let mut client = std::net::TcpStream::connect(gateway.http()).unwrap();
    client
        .write_all(b"GET /large/large.mp4 HTTP/1.1\r\nHost: video.test\r\n\r\n")
        .unwrap();
    client.read_exact(&mut [0; 4096]).unwrap();
    drop(client);
    let line = gateway.logged(&["large.mp4", "reason=client_gone"]);
    let (_, id) = line.split_once("request_id=\"").unwrap();
    met.hold_told(&gateway, id.split('"').next().unwrap(), "client_gone");
    Some(())
}

/// Behind a proxy each request counts: the second one of an address waits for the first, and not for ever.
fn places(met: &mut Met) -> Option<()> {
    let zoo = Upstream::start();
    let config = Config::new()
        .server("trusted_proxies", "[\"127.0.0.1/32\"]")
        .server("connections", "{ max = 1000, per_address = 1 }")
        .server("timeouts", "{ header = \"300ms\" }")
        .upstream("zoo", &[zoo.url()], "")
        .open_upstream_route("");
    let gateway = Site::new().start(&config);
    let request = |target: &str| Request::get(target).header("X-Forwarded-For", "192.0.2.1").bytes();
    let mut first = Connection::open(gateway.http());
    first.write(request("/zoo/late")).unwrap();
    zoo.arrived("/zoo/late");
    let second = Connection::open(gateway.http()).exchange_raw(request("/a")).unwrap();
    met.hold(&gateway, &second, "overloaded");
    zoo.release();
    first.response(false).unwrap().expect(200);
    Some(())
}

const APP: &str = "[[routes]]\nname = \"app\"\npath = \"/app/{*rest}\"\nrespond = { status = 204 }\naccept = [\"session\"]\n\
                   sign_in = \"campus\"\nallow = [{ signed_in = true }]\n";

/// A CAS server that takes tickets which begin with `ST-good`, refuses `ST-bad`, and says nothing of its protocol to others.
fn cas() -> Double {
    Double::start(|mut wire| {
        while let Ok((line, _)) = wire.head() {
            let outcome = match () {
                () if line.contains("ST-good") => {
                    "<cas:authenticationSuccess><cas:user>alice</cas:user></cas:authenticationSuccess>"
                }
                () if line.contains("ST-bad") => {
                    "<cas:authenticationFailure code=\"INVALID_TICKET\">no</cas:authenticationFailure>"
                }
                () => "<nonsense/>",
            };
            let said = format!(
                "<cas:serviceResponse xmlns:cas=\"http://www.yale.edu/tp/cas\">{outcome}</cas:serviceResponse>"
            );
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", said.len());
            if wire.stream.write_all((head + &said).as_bytes()).is_err() {
                return;
            }
        }
    })
}

/// Where the browser is sent back to, and the cookie that it brings.
fn attempt(gateway: &Gateway) -> (String, String) {
    let page = Request::get("/app/x").header("Sec-Fetch-Mode", "navigate");
    let page = page.header("Sec-Fetch-Dest", "document").header("Accept", "text/html");
    let answer = gateway.send(page).expect(303);
    let login = Url::parse(answer.header("location").unwrap()).unwrap();
    let service = login.query_pairs().find(|(name, _)| name == "service").unwrap().1;
    let service = Url::parse(&service).unwrap();
    let set = answer
        .header("set-cookie")
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    (service[url::Position::BeforePath..].to_owned(), set)
}

fn back(gateway: &Gateway, ticket: &str) -> Response {
    let (callback, cookie) = attempt(gateway);
    gateway.send(Request::get(&format!("{callback}&ticket={ticket}")).header("Cookie", &cookie))
}

fn sign_ins(met: &mut Met) -> Option<()> {
    let cas = cas();
    let section = format!("[sign_in.campus.cas]\nserver = \"http://{}\"\n", cas.address);
    let gateway = Site::new().start(&Config::new().section(&section).section(APP));
    met.hold(&gateway, &back(&gateway, "ST-bad-1"), "sign_in_refused");
    met.hold(&gateway, &back(&gateway, "ST-odd-1"), "sign_in_unavailable");
    // Another browser than the one that was sent away.
    let (callback, _) = attempt(&gateway);
    met.hold(
        &gateway,
        &gateway.get(&format!("{callback}&ticket=ST-good-1")),
        "sign_in_stale",
    );
    let session = session_of(&back(&gateway, "ST-good-2").expect(303));
    let foreign = Request::new("POST", "/app/x")
        .header("Cookie", &session)
        .header("Origin", "https://evil.test");
    let foreign = foreign.header("Sec-Fetch-Site", "cross-site").body("");
    met.hold(&gateway, &gateway.send(foreign), "cross_site");
    Some(())
}

fn session_of(answer: &Response) -> String {
    let all = answer.all("set-cookie");
    let pairs = all.iter().filter_map(|set| set.split(';').next());
    pairs
        .into_iter()
        .find(|pair| pair.starts_with("janua="))
        .unwrap()
        .to_owned()
}

fn store(met: &mut Met) -> Option<()> {
    let mut valkey = Valkey::start()?;
    let cas = cas();
    let site = Site::new();
    let key = site.write("master.key", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n");
    let config = Config::new()
        .set("state", "store", "\"valkey\"")
        .set("state", "url", &format!("{:?}", valkey.url()))
        .set("state", "key_file", &format!("{key:?}"))
        .section(&format!("[sign_in.campus.cas]\nserver = \"http://{}\"\n", cas.address))
        .section(APP);
    let gateway = site.start(&config);
    let session = session_of(&back(&gateway, "ST-good-3").expect(303));
    let app = || gateway.send(Request::get("/app/x").header("Cookie", &session));
    app().expect(204);
    valkey.kill();
    let refused = eventually("the session needs the store", || {
        let answer = app();
        (answer.status != 204).then_some(answer)
    });
    met.hold(&gateway, &refused, "store_unavailable");
    Some(())
}

fn moodle(met: &mut Met) -> Option<()> {
    let school = School::start("[\"cas-launch\"]")?;
    let gateway = &school.gateway;
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    let call = |target: &str| browser.send(script(Request::get(target)));
    browser.sign_in(&alice).expect(200);
    browser.call(SITE_INFO).expect(200);
    met.hold(gateway, &call("/webservice/soap/server.php"), "moodle_endpoint");
    met.hold(gateway, &call(&format!("{SITE_INFO}&wstoken=x")), "token_override");
    let other = "/webservice/rest/server.php?wsfunction=tool_mobile_get_config";
    met.hold(gateway, &call(other), "function_not_allowed");
    for (code, reason) in [
        ("sitepolicynotagreed", "moodle_policy_not_agreed"),
        ("usernotfullysetup", "moodle_profile_incomplete"),
        ("forcepasswordchangenotice", "moodle_password_change"),
        ("nopasswordchangeforced", "moodle_password_unchangeable"),
    ] {
        school.moodle.site().settings.refuses = Some(code);
        met.hold(gateway, &browser.call(SITE_INFO), reason);
        school.moodle.site().settings.refuses = None;
    }
    school.moodle.site().tokens.clear();
    met.hold(gateway, &upload(&browser, 1_000_000), "moodle_token_renewed");
    school.moodle.site().settings.maintenance = true;
    met.hold(gateway, &browser.call(SITE_INFO), "moodle_maintenance");
    school.keeps_its_secrets();

    let school = School::start("[\"cas-launch\"]")?;
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    school.moodle.site().settings.mfa = true;
    browser.open(&alice, "/_janua/sign-in?return=/_janua/me");
    met.hold(&school.gateway, &browser.call(SITE_INFO), "moodle_sign_in_required");
    browser.open(&alice, "/_janua/sign-in?with=campus&moodle=campus&return=/_janua/me");
    met.hold(&school.gateway, &browser.call(SITE_INFO), "moodle_second_factor");

    let school = School::start("[\"cas-launch\"]")?;
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.sign_in(&alice).expect(200);
    browser.call(SITE_INFO).expect(200);
    school.moodle.site().accounts.get_mut("alice").unwrap().suspended = true;
    met.hold(&school.gateway, &browser.call(SITE_INFO), "no_moodle_token");
    Some(())
}

/// A file of so many bytes, into the drafts.
fn upload(browser: &Browser<'_>, size: usize) -> Response {
    let mut body = b"--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\r\n".to_vec();
    body.resize(body.len() + size, b'x');
    body.extend_from_slice(b"\r\n--edge--\r\n");
    let post = Request::new("POST", "/webservice/upload.php?itemid=0");
    let post = post.header("Content-Type", "multipart/form-data; boundary=edge");
    browser.send(script(post).body(body))
}
