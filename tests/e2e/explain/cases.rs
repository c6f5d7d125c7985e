//! Every kind of route, token and refusal, as requests that gateway and `janua explain` are both asked about.

use serde_json::{Value, json};

use crate::support::tools::{Ran, janua};
use crate::support::{Config, Gateway, MEDIA, Request, Signer, Site, Upstream, in_seconds, now};

/// A request, told to both in their own way.
pub struct Case {
    pub name: &'static str,
    method: &'static str,
    host: &'static str,
    target: String,
    headers: Vec<(&'static str, String)>,
}

pub fn case(name: &'static str, method: &'static str, target: impl Into<String>) -> Case {
    Case {
        name,
        method,
        host: "video.test",
        target: target.into(),
        headers: Vec::new(),
    }
}

pub fn get(name: &'static str, target: impl Into<String>) -> Case {
    case(name, "GET", target)
}

fn decide(name: &'static str, uri: &str) -> Case {
    get(name, "/_decide")
        .header("X-Original-URI", uri)
        .header("X-Original-Method", "GET")
}

impl Case {
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", format!("Bearer {token}"))
    }

    pub fn host(mut self, host: &'static str) -> Self {
        self.host = host;
        self
    }

    /// Status and, where the body tells it, the reason.
    pub fn served(&self, gateway: &Gateway) -> (u16, Option<String>) {
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

    pub fn explained(&self, site: &Site, more: &[&str]) -> Ran {
        let url = format!("http://{}{}", self.host, self.target);
        let headers = self.headers.iter().map(|(name, value)| format!("{name}: {value}"));
        let headers: Vec<String> = headers.flat_map(|header| ["--header".to_owned(), header]).collect();
        let mut arguments = vec![self.method, &url];
        arguments.extend(headers.iter().map(String::as_str));
        arguments.extend(more);
        explain(site, &arguments)
    }
}

pub fn explain(site: &Site, arguments: &[&str]) -> Ran {
    let config = site.path("gateway.toml");
    let always = ["explain", "--config", config.to_str().unwrap()];
    janua(always.iter().chain(arguments))
}

pub fn report(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// Who signs in these tests. `moodle` may say anything, `ilias` little, `stranger` is nobody's.
pub struct Signers {
    pub moodle: Signer,
    pub ilias: Signer,
    pub stranger: Signer,
}

impl Signers {
    pub fn new() -> Self {
        Self {
            moodle: Signer::new(),
            ilias: Signer::new().named("i"),
            stranger: Signer::new().named("nobody's"),
        }
    }
}

/// Every kind of route there is.
pub fn site(signers: &Signers, zoo: &Upstream) -> (Site, Config) {
    let site = Site::with_lecture();
    site.write_keys("moodle.json", &[&signers.moodle]);
    site.write_keys("ilias.json", &[&signers.ilias]);
    let route = |name: &str, path: &str, rest: &str| format!("[[routes]]\nname = {name:?}\npath = {path:?}\n{rest}\n");
    let reply =
        |name: &str, path: &str, rest: &str| route(name, path, &format!("respond = {{ status = 204 }}\n{rest}"));
    let config = Config::new()
        .server("public_urls", r#"["http://video.test", "http://moodle.test"]"#)
        .server("trusted_proxies", r#"["127.0.0.1/32"]"#)
        .issuer("moodle", "moodle.json", "may_name_users = true")
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
        ))
        .section(&route(
            "nginx asks",
            "/_decide",
            r#"respond = { decide = { uri = "X-Original-URI", method = "X-Original-Method" } }
            allow = [{ from = ["127.0.0.1/32"] }]"#,
        ))
        .section(&route(
            "accel",
            "/accel/{event}/{*file}",
            r#"accel = "/protected"
            allow = [{ grant = "read", event = "{event}" }]"#,
        ))
        .section(&route(
            "asked",
            "/asked/{event}",
            r#"upstream = "zoo"
            else_ask = { upstream = "zoo", method = "HEAD" }
            allow = [{ grant = "read", event = "{event}" }]
            deny = [{ role = "ROLE_SUSPENDED" }]"#,
        ));
    (site, config)
}

pub fn token(signer: &Signer, more: Value) -> String {
    let mut claims = json!({ "exp": in_seconds(600) });
    claims
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    signer.token(&claims)
}

pub const LECTURE: &str = "/static/org/player/lecture-1/video.mp4";

pub fn cases(signers: &Signers) -> Vec<Case> {
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
        decide("a decision", LECTURE).bearer(&read),
        decide("a decision without a token", LECTURE),
        decide("a decision by the token of the URI", &format!("{LECTURE}?jwt={read}")),
        decide("a decision about another event", "/static/org/player/lecture-2/a.mp4").bearer(&read),
        decide("a decision about nothing", "/nowhere"),
        decide("a decision about dots", "/a/../open"),
        decide("a decision about a decision", "/_decide"),
        get("a decision about what?", "/_decide"),
        get("a decision for a stranger", "/_decide").header("X-Forwarded-For", "192.0.2.7"),
        get("accel", "/accel/lecture-1/a.mp4").bearer(&read),
        get("accel, another event", "/accel/lecture-2/a.mp4").bearer(&read),
        get("asked, and allowed", "/asked/lecture-2").header("Cookie", "JSESSIONID=1"),
        get("asked for nobody", "/asked/lecture-2"),
        get("not asked after a deny", "/asked/lecture-2")
            .header("Cookie", "JSESSIONID=1")
            .bearer(&moodle.roles(&["ROLE_SUSPENDED"])),
        get("asked with a token that does not help", "/asked/lecture-2").bearer(&expired),
        case("not asked about writing", "POST", "/asked/lecture-2").header("Cookie", "JSESSIONID=1"),
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
    pub fn target(mut self, target: String) -> Self {
        self.target = target;
        self
    }
}
