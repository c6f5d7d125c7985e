//! What every answer of a route says of frames, whoever made it, and what becomes of what the upstream says of them.

use crate::support::http::Response;
use crate::support::{Config, Gateway, Request, Site, Upstream};

const ROUTES: &str = r#"
[[routes]]
name     = "framed"
path     = "/framed/{*rest}"
upstream = "zoo"
allow    = [{ anyone = true }]
frame_ancestors = ["https://lms.test", "https://*.ilias.test:8443"]
permissions     = ["camera"]

[[routes]]
name     = "own frames"
path     = "/self/{*rest}"
upstream = "zoo"
allow    = [{ anyone = true }]
frame_ancestors = ["'self'"]

[[routes]]
name     = "shows nothing"
path     = "/none/{*rest}"
upstream = "zoo"
present  = "none"
allow    = [{ anyone = true }]
frame_ancestors = ["https://lms.test"]

[[routes]]
name     = "plain"
path     = "/plain/{*rest}"
upstream = "zoo"
allow    = [{ anyone = true }]

[[routes]]
name     = "away"
path     = "/away/{*rest}"
upstream = "nobody"
allow    = [{ anyone = true }]
frame_ancestors = ["https://lms.test", "https://*.ilias.test:8443"]
permissions     = ["camera"]

[[routes]]
name     = "files"
path     = "/files/{*rest}"
files    = "downloads"
strip    = "/files"
allow    = [{ anyone = true }]
frame_ancestors = ["https://lms.test", "https://*.ilias.test:8443"]
permissions     = ["camera"]

[[routes]]
name     = "closed"
path     = "/closed/{*rest}"
respond  = { status = 204 }
allow    = [{ role = "ROLE_STUDIO" }]
frame_ancestors = ["https://lms.test", "https://*.ilias.test:8443"]
permissions     = ["camera"]
"#;

const ANCESTORS: &str = "frame-ancestors https://lms.test https://*.ilias.test:8443";
const PERMISSIONS: &str = "camera=(self), microphone=(), display-capture=()";

fn start(zoo: &Upstream) -> Gateway {
    let site = Site::with_lecture();
    site.write("downloads/page.html", "<script>");
    site.write_keys("keys.json", &[&crate::support::Signer::new()]);
    let config = Config::new()
        .server("trusted_proxies", r#"["127.0.0.1/32"]"#)
        .issuer("lms", "keys.json", "")
        .upstream("zoo", &[zoo.url()], "")
        .upstream("nobody", &["http://127.0.0.1:1".to_owned()], "");
    site.start(&config.section(ROUTES))
}

/// The zoo answers with these headers; the client came over https.
fn said(gateway: &Gateway, route: &str, headers: &[(&str, &str)]) -> Response {
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(headers)
        .finish();
    let request = Request::get(&format!("/{route}/zoo/says?{query}"));
    gateway.send(request.header("X-Forwarded-Proto", "https")).expect(200)
}

#[test]
fn every_answer_of_the_route_says_it() {
    let zoo = Upstream::start();
    let gateway = start(&zoo);
    let page = |path: &str| {
        Request::get(path)
            .header("Accept", "text/html")
            .header("Sec-Fetch-Mode", "navigate")
    };
    let video = "/files/org/player/lecture-1/video.mp4";
    let answers = [
        (gateway.get("/framed/a"), 200),
        (gateway.get("/framed/zoo/status/500"), 500),
        (gateway.get("/framed/a;b"), 400),
        (gateway.get("/away/a"), 502),
        (gateway.get(video), 200),
        (gateway.send(Request::get(video).header("Range", "bytes=5000-")), 416),
        (gateway.send(Request::new("HEAD", video)), 200),
        (gateway.get("/files/none.mp4"), 404),
        (gateway.get("/closed/a"), 401),
        (gateway.send(page("/closed/a")), 401),
        (gateway.send(page("/away/a")), 502),
    ];
    for (answer, status) in answers {
        assert_eq!(answer.status, status, "{answer:?}");
        let policies = answer.all("content-security-policy");
        let naming: Vec<_> = policies
            .iter()
            .filter(|policy| policy.contains("frame-ancestors"))
            .collect();
        assert_eq!(naming, [&ANCESTORS], "{answer:?}");
        assert_eq!(answer.header("permissions-policy"), Some(PERMISSIONS), "{answer:?}");
    }
    // What the gateway says of its own pages and of files goes on beside it.
    let file = gateway.get("/files/page.html");
    assert!(file.all("content-security-policy").contains(&"sandbox"), "{file:?}");
    for path in ["/plain/a", "/nowhere"] {
        let answer = gateway.get(path);
        assert_eq!(answer.header("permissions-policy"), None);
        assert!(
            !answer
                .all("content-security-policy")
                .concat()
                .contains("frame-ancestors")
        );
    }
}

#[test]
fn the_upstreams_own_word_is_replaced_and_the_rest_of_its_policies_stays() {
    let zoo = Upstream::start();
    let gateway = start(&zoo);
    let own = [
        ("X-Frame-Options", "DENY"),
        (
            "Content-Security-Policy",
            "default-src 'self';  Frame-Ancestors 'none' ;img-src *, frame-ancestors 'self'",
        ),
        ("Content-Security-Policy", "script-src 'nonce-a=='"),
        (
            "Content-Security-Policy",
            "frame-ancestors 'none'; frame-ancestors 'self'",
        ),
        ("Content-Security-Policy-Report-Only", "frame-ancestors 'none'"),
        ("Permissions-Policy", "camera=(), geolocation=()"),
    ];
    let answer = said(&gateway, "framed", &own);
    assert_eq!(
        answer.all("content-security-policy"),
        ["default-src 'self';img-src *", "script-src 'nonce-a=='", ANCESTORS]
    );
    assert_eq!(answer.header("x-frame-options"), None);
    assert_eq!(
        answer.header("content-security-policy-report-only"),
        Some("frame-ancestors 'none'")
    );
    // Of two values for one feature the last one counts (RFC 9651 section 4.2.2).
    let permissions = answer.all("permissions-policy");
    assert_eq!(permissions.last(), Some(&PERMISSIONS));
    let plain = said(&gateway, "plain", &own);
    let policies = own.iter().filter(|(name, _)| *name == "Content-Security-Policy");
    assert_eq!(
        plain.all("content-security-policy"),
        policies.map(|(_, value)| *value).collect::<Vec<_>>()
    );
    assert_eq!(plain.header("x-frame-options"), Some("DENY"));
}

#[test]
fn opencasts_cookies_are_made_for_frames_of_other_sites_and_no_others() {
    let zoo = Upstream::start();
    let gateway = start(&zoo);
    let own = [
        "MoodleSession=1; Path=/; SameSite=Lax",
        "JSESSIONID=node0abc;Path=/",
        "oc-remember-me=x; Expires=Wed, 09 Jun 2027 10:18:14 GMT; Max-Age=1209600; SameSite=Strict; HttpOnly",
        "JSESSIONID=; Path=/; Max-Age=0; secure",
    ];
    let headers = own.map(|cookie| ("Set-Cookie", cookie));
    let framed = said(&gateway, "framed", &headers);
    assert_eq!(
        framed.all("set-cookie"),
        [
            "MoodleSession=1; Path=/; SameSite=Lax",
            "JSESSIONID=node0abc;Path=/; Secure; SameSite=None; Partitioned",
            "oc-remember-me=x; Expires=Wed, 09 Jun 2027 10:18:14 GMT; Max-Age=1209600; HttpOnly; Secure; SameSite=None; Partitioned",
            "JSESSIONID=; Path=/; Max-Age=0; Secure; SameSite=None; Partitioned",
        ]
    );
    for route in ["self", "none", "plain"] {
        assert_eq!(said(&gateway, route, &headers).all("set-cookie"), own, "{route}");
    }
    // Over plain HTTP a browser would throw them away.
    let target = "/framed/zoo/says?Set-Cookie=JSESSIONID%3D1";
    assert_eq!(gateway.get(target).header("set-cookie"), Some("JSESSIONID=1"));
}
