//! `janua explain`: what it says is what the gateway does, asked offline and over the control socket; and it tells no
//! secret.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::support::tools::{Ran, janua};
use crate::support::{
    Config, Gateway, JwksServer, MEDIA, Request, Signer, Site, Upstream, eventually, in_seconds, now,
};

/// A request, told to both in their own way.
struct Case {
    name: &'static str,
    method: &'static str,
    host: &'static str,
    target: String,
    headers: Vec<(&'static str, String)>,
}

fn case(name: &'static str, method: &'static str, target: impl Into<String>) -> Case {
    Case {
        name,
        method,
        host: "video.test",
        target: target.into(),
        headers: Vec::new(),
    }
}

fn get(name: &'static str, target: impl Into<String>) -> Case {
    case(name, "GET", target)
}

impl Case {
    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn bearer(self, token: &str) -> Self {
        self.header("Authorization", format!("Bearer {token}"))
    }

    fn host(mut self, host: &'static str) -> Self {
        self.host = host;
        self
    }

    /// Status and, where the body tells it, the reason.
    fn served(&self, gateway: &Gateway) -> (u16, Option<String>) {
        let request = Request::new(self.method, &self.target).host(self.host);
        let request = self
            .headers
            .iter()
            .fold(request, |request, (name, value)| request.header(name, value));
        let response = gateway.send(request);
        let is_problem = response.header("content-type") == Some("application/problem+json");
        let reason = (is_problem && !response.body.is_empty()).then(|| response.reason());
        (response.status, reason)
    }

    fn explained(&self, site: &Site, more: &[&str]) -> Ran {
        let url = format!("http://{}{}", self.host, self.target);
        let headers = self.headers.iter().map(|(name, value)| format!("{name}: {value}"));
        let headers: Vec<String> = headers.flat_map(|header| ["--header".to_owned(), header]).collect();
        let mut arguments = vec![self.method, &url];
        arguments.extend(headers.iter().map(String::as_str));
        arguments.extend(more);
        explain(site, &arguments)
    }
}

fn explain(site: &Site, arguments: &[&str]) -> Ran {
    let config = site.path("gateway.toml");
    let always = ["explain", "--config", config.to_str().unwrap()];
    janua(always.iter().chain(arguments))
}

fn report(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// Who signs in these tests. `moodle` may say anything, `ilias` little, `stranger` is nobody's.
struct Signers {
    moodle: Signer,
    ilias: Signer,
    stranger: Signer,
}

impl Signers {
    fn new() -> Self {
        Self {
            moodle: Signer::new(),
            ilias: Signer::new().named("i"),
            stranger: Signer::new().named("nobody's"),
        }
    }
}

/// Every kind of route there is.
fn site(signers: &Signers, zoo: &Upstream) -> (Site, Config) {
    let site = Site::with_lecture();
    site.write_keys("moodle.json", &[&signers.moodle]);
    site.write_keys("ilias.json", &[&signers.ilias]);
    let route = |name: &str, path: &str, rest: &str| format!("[[routes]]\nname = {name:?}\npath = {path:?}\n{rest}\n");
    let reply =
        |name: &str, path: &str, rest: &str| route(name, path, &format!("respond = {{ status = 204 }}\n{rest}"));
    let config = Config::new()
        .server("public_urls", r#"["http://video.test", "http://moodle.test"]"#)
        .server("trusted_proxies", r#"["127.0.0.1/32"]"#)
        .issuer("moodle", "moodle.json", "")
        .issuer(
            "ilias",
            "ilias.json",
            "allow_roles = [\"*_Learner\"]\nallow_actions = [\"read\"]\nmax_lifetime = \"1h\"",
        )
        .upstream("zoo", &[zoo.url()], "")
        .section(MEDIA)
        .section("cors = { origins = [\"https://moodle.example.edu\"] }\n")
        .section(&reply(
            "course",
            "/course/{course}/{*rest}",
            r#"allow = [{ role = "{course}_Learner" }]"#,
        ))
        .section(&reply(
            "suspended",
            "/suspended",
            r#"allow = [{ signed_in = true }]
            deny = [{ role = "ROLE_SUSPENDED" }]"#,
        ))
        .section(&reply("open", "/open", "allow = [{ anyone = true }]"))
        .section(&reply(
            "closed here",
            "/closed-here",
            r#"allow = [{ anyone = true }]
            deny = [{ from = ["127.0.0.0/8"], methods = ["GET"] }]"#,
        ))
        .section(&reply(
            "moodle only",
            "/moodle-only",
            r#"issuers = ["moodle"]
            allow = [{ signed_in = true }]"#,
        ))
        .section(&reply("issuer", "/issuer", r#"allow = [{ issuer = "moodle" }]"#))
        .section(&reply("own", "/own/{name}", r#"allow = [{ subject = "{name}" }]"#))
        .section(&reply("inside", "/inside", r#"allow = [{ from = ["10.0.0.0/8"] }]"#))
        .section(&reply(
            "post",
            "/post",
            r#"methods = ["POST"]
            allow = [{ anyone = true }]"#,
        ))
        .section(&reply(
            "moodle host",
            "/here",
            "host = \"moodle.test\"\nallow = [{ anyone = true }]",
        ))
        .section(&reply("course 4", "/course/4/info", "allow = [{ anyone = true }]"))
        .section(&route(
            "up",
            "/up/{*rest}",
            r#"upstream = "zoo"
            strip = "/up"
            limits = { body = "10B" }
            allow = [{ role = "A" }, { grant = "write", series = "s" }]"#,
        ))
        .section(&route(
            "params",
            "/params/{*rest}",
            r#"upstream = "zoo"
            path_params = true
            present = "none"
            allow = [{ anyone = true }]"#,
        ));
    (site, config)
}

fn token(signer: &Signer, more: Value) -> String {
    let mut claims = json!({ "exp": in_seconds(600) });
    claims
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    signer.token(&claims)
}

const LECTURE: &str = "/static/org/player/lecture-1/video.mp4";

fn cases(signers: &Signers) -> Vec<Case> {
    let Signers {
        moodle,
        ilias,
        stranger,
    } = signers;
    let read = moodle.read("lecture-1");
    let expired = token(moodle, json!({ "exp": now() - 100, "oc": { "e:lecture-1": ["read"] } }));
    let a = moodle.roles(&["A"]);
    let (signed, _) = read.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", stranger.read("lecture-1").rsplit_once('.').unwrap().1);
    let media = |name, token: &str| get(name, LECTURE).bearer(token);
    let course = |name, target, token: &str| get(name, target).bearer(token);
    vec![
        media("a granted file", &read),
        get("the token in the query", format!("{LECTURE}?x=1&jwt={read}")),
        get(
            "the token percent-encoded",
            format!("{LECTURE}?%6awt={}", read.replace('.', "%2E")),
        ),
        case("HEAD of a file", "HEAD", LECTURE).bearer(&read),
        media("a range", &read).header("Range", "bytes=0-9"),
        media("a range beyond the end", &read).header("Range", "bytes=5000-"),
        media("a condition that fails", &read).header("If-Match", "\"other\""),
        get("a file that is missing", "/static/org/player/lecture-1/none.mp4").bearer(&read),
        get("another event", "/static/org/player/lecture-2/video.mp4").bearer(&read),
        get("no token", LECTURE),
        media("an expired token", &expired),
        media("expired in the header, good in the query", &expired).target(format!("{LECTURE}?jwt={read}")),
        get("good twice", format!("{LECTURE}?jwt={read}")).bearer(&read),
        media("valid but useless first", &a).target(format!("{LECTURE}?jwt={read}")),
        media("a forged signature", &forged),
        media("an unknown key", &stranger.read("lecture-1")),
        media(
            "not yet valid",
            &token(
                moodle,
                json!({ "nbf": in_seconds(300), "oc": { "e:lecture-1": ["read"] } }),
            ),
        ),
        media("no token at all", "nonsense"),
        media("four parts", "a.b.c.d"),
        media("claims that are none", &moodle.sign(r#"{"alg":"ES256"}"#, "[]")),
        media("no exp", &moodle.token(&json!({ "roles": ["ROLE_ADMIN"] }))),
        media("oc is no object", &token(moodle, json!({ "oc": ["read"] }))),
        media("alg none", &moodle.sign(r#"{"alg":"none"}"#, r#"{"exp":99999999999}"#)),
        media("HMAC", &moodle.sign(r#"{"alg":"HS256"}"#, r#"{"exp":99999999999}"#)),
        media(
            "a critical extension",
            &moodle.sign(r#"{"alg":"ES256","crit":["b64"]}"#, r#"{"exp":99999999999}"#),
        ),
        media(
            "lives too long",
            &token(
                ilias,
                json!({ "exp": in_seconds(7200), "oc": { "e:lecture-1": ["read"] } }),
            ),
        ),
        media(
            "capped action",
            &token(ilias, json!({ "oc": { "e:lecture-1": ["write"] } })),
        ),
        media(
            "a grant as a role",
            &token(moodle, json!({ "roles": ["ROLE_EPISODE_lecture-1_READ"] })),
        ),
        media("an admin", &moodle.roles(&["ROLE_ADMIN"])),
        media(
            "an admin who is capped",
            &token(ilias, json!({ "roles": ["ROLE_ADMIN"] })),
        ),
        get("basic credentials", LECTURE).header("Authorization", "Basic eDp5"),
        course("the role of the course", "/course/5/a", &moodle.roles(&["5_Learner"])),
        course(
            "the role of another course",
            "/course/6/a",
            &moodle.roles(&["5_Learner"]),
        ),
        course("an odd course", "/course/%2A/a", &moodle.roles(&["5_Learner"])),
        get("more specific and open", "/course/4/info"),
        get("suspended", "/suspended").bearer(&moodle.roles(&["ROLE_SUSPENDED"])),
        get("not suspended", "/suspended").bearer(&a),
        get("nobody", "/suspended"),
        get("open", "/open"),
        get("open with nonsense", "/open").bearer("nonsense"),
        get("closed from here", "/closed-here"),
        case("closed for another method", "HEAD", "/closed-here"),
        get("the issuer's", "/moodle-only").bearer(&a),
        get("another issuer's", "/moodle-only").bearer(&token(ilias, json!({}))),
        get("a rule about the issuer", "/issuer").bearer(&token(ilias, json!({}))),
        get("her own", "/own/anna").bearer(&token(moodle, json!({ "sub": "anna" }))),
        get("somebody else's", "/own/berta").bearer(&token(moodle, json!({ "sub": "anna" }))),
        get("from outside", "/inside"),
        get("from inside, says a proxy", "/inside").header("X-Forwarded-For", "10.0.0.7"),
        get("from inside, says somebody", "/inside").header("X-Forwarded-For", "10.0.0.7, 192.0.2.1"),
        get("another method", "/post"),
        case("the method", "POST", "/post"),
        get("nowhere", "/nowhere"),
        get("the other host", "/here").host("moodle.test"),
        get("not at this host", "/here"),
        get("an unknown host", "/open").host("elsewhere.test"),
        get("a host that is none", "/open").host("a b"),
        get("dots in the path", "/course/../open"),
        get("an encoded slash", "/course/4%2finfo"),
        get("parameters where none may be", "/open;x=1"),
        get(
            "parameters on a route of files",
            "/static/org/player/lecture-1/video.mp4;x=1",
        )
        .bearer(&read),
        get("parameters where they may be", "/params/a;x=1/b"),
        get("slashes that are merged", "//open"),
        get("an upstream", "/up/a?x=1").bearer(&a).header("Cookie", "a=1"),
        get("an upstream by a series", "/up/a").bearer(&token(moodle, json!({ "oc": { "s:s": ["write"] } }))),
        get("an upstream, not for him", "/up/a").bearer(&moodle.roles(&["B"])),
        case("a method with a name of its own", "PROPFIND", "/up/a").bearer(&a),
        case("a body too large", "POST", "/up/a")
            .bearer(&a)
            .header("Content-Length", "11"),
        case("TRACE", "TRACE", "/open"),
        case("a preflight", "OPTIONS", LECTURE)
            .header("Origin", "https://moodle.example.edu")
            .header("Access-Control-Request-Method", "GET"),
        case("a preflight of another method", "OPTIONS", LECTURE)
            .header("Origin", "https://moodle.example.edu")
            .header("Access-Control-Request-Method", "DELETE"),
        case("a preflight without a policy", "OPTIONS", "/open")
            .header("Origin", "https://moodle.example.edu")
            .header("Access-Control-Request-Method", "GET"),
    ]
}

impl Case {
    fn target(mut self, target: String) -> Self {
        self.target = target;
        self
    }
}

#[test]
fn both_say_what_the_gateway_does() {
    let (signers, zoo) = (Signers::new(), Upstream::start());
    let (site, config) = site(&signers, &zoo);
    let gateway = site.start(&config);
    let cases = cases(&signers);
    assert!(cases.len() >= 40);
    let mut wrong = Vec::new();
    for case in &cases {
        let (status, reason) = case.served(&gateway);
        for more in [&["--json"][..], &["--json", "--live"]] {
            let ran = case.explained(&site, more);
            let told = report(&ran);
            let says_status = told["status"].as_u64();
            let is_upstream = says_status.is_none() && told["outcome"] == "allow";
            let agrees = if is_upstream {
                status == 200
            } else {
                says_status == Some(u64::from(status))
            };
            let same_reason = reason.is_none() || told["reason"].as_str() == reason.as_deref();
            let code = if told["outcome"] == "allow" { 0 } else { 3 };
            if !agrees || !same_reason || ran.code != Some(code) {
                wrong.push(format!(
                    "{} {more:?}: served {status} {reason:?}, explained {:?} {} {} {}",
                    case.name, ran.code, told["outcome"], told["status"], told["reason"]
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_output_holds_a_signature() {
    let (signers, zoo) = (Signers::new(), Upstream::start());
    let (site, config) = site(&signers, &zoo);
    let gateway = site.start(&config);
    let token = signers.moodle.read("lecture-1");
    let strange = signers.stranger.read("lecture-1");
    let (_, signature) = token.rsplit_once('.').unwrap();
    let odd = format!("bm9uZQ.bm9uZQ.{signature}");
    let places = [
        get("header", LECTURE).bearer(&token),
        get("query", format!("{LECTURE}?jwt={token}")),
        get("not a token", LECTURE).bearer(&odd),
        get("unknown key", LECTURE).bearer(&strange),
        get("path", format!("/open/{token}")),
        get("host", "/open").header("X-Other", format!("x {token}")),
        get("anonymous upstream", format!("/params/a?jwt={token}")).bearer(&token),
        get("elsewhere", format!("/params/{token}?t={token}"))
            .header("X-Other", &*token)
            .header("Cookie", format!("a={token}")),
        get("odd elsewhere", format!("/params/a?t={signature}&jwt={odd}")),
        get("inside the claims", LECTURE).bearer(&self::token(&signers.moodle, json!({ "sub": token }))),
        get("without a scheme", "/params/a").header("Authorization", &*token),
        get("refused", format!("/nowhere?jwt={token}")),
    ];
    for place in &places {
        for more in [&[][..], &["--live"], &["--json"], &["--json", "--live"]] {
            let ran = place.explained(&site, more);
            assert!(matches!(ran.code, Some(0 | 3)), "{}: {ran:?}", place.name);
            for secret in [signature, strange.rsplit_once('.').unwrap().1] {
                let told = [&ran.stdout, &ran.stderr];
                assert!(
                    !told.iter().any(|told| told.contains(secret)),
                    "{} {more:?}: {ran:?}",
                    place.name
                );
            }
        }
    }
    assert!(!gateway.said().contains(signature));
}

#[test]
fn the_upstream_gets_what_was_said() {
    let (signers, zoo) = (Signers::new(), Upstream::start());
    let (site, config) = site(&signers, &zoo);
    let gateway = site.start(&config);
    let asked = get("up", "/up/a%20b?x=1&jwt=stale&y=2")
        .bearer(&signers.moodle.roles(&["A"]))
        .header("Cookie", "a=1; __Host-janua=s")
        .header("X-Run-As-User", "admin")
        .header("X-Forwarded-For", "192.0.2.7")
        .header("Accept", "*/*");
    assert_eq!(asked.served(&gateway).0, 200);
    let seen = zoo.seen("/a%20b");
    let told = report(&asked.explained(&site, &["--json"]));
    let upstream = &told["action"]["upstream"];
    assert_eq!(upstream["target"], seen.target);
    let headers = upstream["headers"].as_array().unwrap();
    let sorted = |names: Vec<&str>| {
        let mut names: Vec<String> = names.into_iter().map(str::to_lowercase).collect();
        names.sort_unstable();
        names
    };
    let said = sorted(headers.iter().map(|pair| pair[0].as_str().unwrap()).collect());
    assert_eq!(
        said,
        sorted(seen.headers.iter().map(|(name, _)| name.as_str()).collect())
    );
    for pair in headers {
        let (name, value) = (pair[0].as_str().unwrap(), pair[1].as_str().unwrap());
        if !["x-request-id", "cookie"].contains(&name) {
            assert_eq!(seen.header(name), Some(value), "{name}");
        }
    }
}

#[test]
fn a_page_for_people_tells_routes_claims_caps_and_rules() {
    let (signers, zoo) = (Signers::new(), Upstream::start());
    let (site, config) = site(&signers, &zoo);
    site.write("gateway.toml", config.text());
    let claims =
        json!({ "exp": now() - 190, "roles": ["5_Learner", "ROLE_ADMIN"], "oc": { "e:lecture-1": ["read", "write"] } });
    let asked = get("page", LECTURE).bearer(&signers.ilias.token(&claims));
    let ran = asked.explained(&site, &[]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    for part in [
        "✗ refused: token_expired (status 401)",
        "✓ media  /static/{org}/{channel}/{event}/{*file}",
        "{event} = \"lecture-1\"",
        "✗ header authorization: token_expired",
        "signed by ES256 kid \"i\" of ilias",
        "exp: expired 3 min ago (",
        "✓ role 5_Learner",
        "✗ role ROLE_ADMIN: dropped",
        "✗ grant write on event \"lecture-1\": dropped",
        "✗ grant = \"read\", event = \"{event}\"",
        "✗ role = \"ROLE_ADMIN\"",
        "✓ ilias: 1 key from ",
    ] {
        assert!(ran.stdout.contains(part), "no {part:?} in\n{}", ran.stdout);
    }
    assert!(!ran.stdout.contains('\u{1b}'), "colour is for terminals");
    let earlier = asked.explained(&site, &["--at", "-5m"]);
    assert_eq!(earlier.code, Some(0), "{earlier:?}");
    assert!(
        earlier.stdout.contains("needs read on event \"lecture-1\""),
        "{}",
        earlier.stdout
    );
}

#[test]
fn urls_and_tokens_may_stand_in_files() {
    let (signers, zoo) = (Signers::new(), Upstream::start());
    let (site, config) = site(&signers, &zoo);
    site.write("gateway.toml", config.text());
    let token = signers.moodle.read("lecture-1");
    let token_file = site.write("token", format!("{token}\n"));
    let url_file = site.write("url", format!("http://video.test{LECTURE}?jwt={token}\n"));
    let with_token = explain(&site, &["GET", LECTURE, "--token-file", token_file.to_str().unwrap()]);
    assert_eq!(with_token.code, Some(0), "{with_token:?}");
    let with_url = explain(&site, &["GET", url_file.to_str().unwrap()]);
    assert_eq!(with_url.code, Some(0), "{with_url:?}");
    let inside = explain(
        &site,
        &[
            "GET",
            "/inside",
            "--from",
            "127.0.0.1",
            "--header",
            "X-Forwarded-For: 10.1.1.1",
        ],
    );
    assert_eq!(inside.code, Some(0), "{inside:?}");
    assert_eq!(explain(&site, &["GET", "/inside", "--from", "10.9.9.9"]).code, Some(0));
    assert_eq!(explain(&site, &["GET", "/inside", "--from", "192.0.2.9"]).code, Some(3));
    let neither = explain(&site, &["GET", "nothing-of-the-kind"]);
    assert_eq!(neither.code, Some(1), "{neither:?}");
    assert!(neither.stderr.contains("neither a URL"), "{}", neither.stderr);
}

#[test]
fn keys_come_from_the_endpoint_or_from_the_gateway() {
    let signer = Signer::new();
    let (site, keys) = (Site::with_lecture(), JwksServer::start(&[&signer]));
    let config = Config::new().issuer("moodle", &keys.url(), "").section(MEDIA);
    let gateway = site.start(&config);
    let asked = get("read", LECTURE).bearer(&signer.read("lecture-1"));
    assert_eq!(asked.served(&gateway).0, 200);
    let offline = report(&asked.explained(&site, &["--json"]));
    assert_eq!(
        (&offline["outcome"], &offline["keys"]["live"]),
        (&json!("allow"), &json!(false))
    );
    keys.fail(500);
    let live = report(&asked.explained(&site, &["--json", "--live"]));
    assert_eq!(
        (&live["outcome"], &live["keys"]["live"]),
        (&json!("allow"), &json!(true))
    );
    assert_eq!(live["keys"]["issuers"][0]["from"], keys.url());
    // A token of an unknown key makes the gateway ask the endpoint once more, as soon as it may.
    let stranger = Signer::new().named("nobody's").read("lecture-1");
    eventually("the gateway notices, and tells", || {
        gateway.get_with(LECTURE, &stranger);
        let told = report(&asked.explained(&site, &["--json", "--live"]));
        assert_eq!(told["outcome"], "allow");
        told["keys"]["issuers"][0]["problem"]
            .as_str()
            .filter(|problem| problem.contains("500"))
            .map(str::to_owned)
    });
    let alone = report(&asked.explained(&site, &["--json"]));
    assert_eq!(alone["reason"], "keys_unavailable");
    let problem = alone["keys"]["issuers"][0]["problem"].as_str().unwrap();
    assert!(problem.contains("500"), "{problem}");
}

#[test]
fn the_control_socket_is_its_owners_alone_and_one_gateways_alone() {
    let signer = Signer::new();
    let site = Site::with_lecture();
    let config = Config::media(&site, &signer);
    let nobody = {
        site.write("gateway.toml", config.text());
        explain(&site, &["GET", LECTURE, "--live"])
    };
    assert_eq!(nobody.code, Some(1));
    assert!(nobody.stderr.contains("no gateway answers"), "{}", nobody.stderr);

    let mut first = site.start(&config);
    let mode = |name: &str| site.path(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("state"), mode("state/control.sock")), (0o700, 0o600));
    let (status, said) = Gateway::fails(&site, &config.text(), None);
    assert_eq!(status.code(), Some(1));
    assert!(
        said.contains("server.control") && said.contains("another running gateway"),
        "{said}"
    );
    // Killed without a chance to tidy up: the next one takes the socket over.
    first.signal("KILL");
    first.ended();
    assert!(site.path("state/control.sock").exists());
    let second = site.start(&config);
    assert_eq!(explain(&site, &["GET", LECTURE, "--live"]).code, Some(3));
    second.stop();
    assert!(!site.path("state/control.sock").exists());
}

#[test]
fn the_control_socket_takes_one_bounded_line_and_nothing_else() {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;
    let signer = Signer::new();
    let site = Site::with_lecture();
    let gateway = site.start(&Config::media(&site, &signer).server("control", r#""ask/here.sock""#));
    let ask = |bytes: &[u8]| {
        let mut stream = UnixStream::connect(site.path("ask/here.sock")).unwrap();
        // The other side may hang up before all is written.
        drop(stream.write_all(bytes));
        drop(stream.shutdown(std::net::Shutdown::Write));
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        String::from_utf8(answer).unwrap()
    };
    for bad in [
        "{}\n",
        "nonsense\n",
        "{\"shutdown\":{}}\n",
        "{\"explain\":{\"method\":\"eyJsecret\"}}\n",
        "\n",
        "{\"explain\"",
    ] {
        let answer = ask(bad.as_bytes());
        assert!(answer.starts_with("{\"error\":"), "{bad:?}: {answer}");
        assert!(!answer.contains("secret"), "{answer}");
    }
    assert!(!ask(&[b'x'; 100_000]).contains("explain"));
    let question = json!({ "explain": { "method": "GET", "target": LECTURE, "headers": [["host", "video.test"]],
        "from": "127.0.0.1", "https": false, "at": null } });
    let answer: Value = serde_json::from_str(&ask(format!("{question}\n").as_bytes())).unwrap();
    assert_eq!(answer["explain"]["reason"], "no_credentials");
    assert_eq!(gateway.get(LECTURE).status, 401);
}
