//! A cookie comes with every request, whoever made the browser send it: what other sites may do with it, and what apps of
//! the site's own may.

use super::campus::{Campus, PAGE, Plan, Visitor, sign_in_to};
use crate::support::Request;
use crate::support::http::Response;

const APP: &str = "https://app.test";

fn start() -> Option<Campus> {
    Campus::planned(Plan {
        sign_in: format!("app_origins = [{APP:?}]"),
        ..Plan::default()
    })
}

fn from(visitor: &Visitor, method: &str, target: &str, origin: &str) -> Response {
    let request = Request::new(method, target)
        .header("Origin", origin)
        .header("Sec-Fetch-Site", "cross-site");
    visitor.send(if method == "POST" { request.body("") } else { request })
}

#[test]
fn apps_of_the_site_may_use_the_cookie_and_no_other_site() {
    let Some(campus) = start() else { return };
    let visitor = campus.visitor();
    visitor.sign_in(&campus.cas.person("alice"), PAGE).expect(303);
    from(&visitor, "POST", "/app/x", APP).expect(200);
    for evil in [
        "https://evil.test",
        "http://app.test",
        "https://app.test:8443",
        "https://app.test.evil.test",
        "null",
    ] {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            from(&visitor, method, "/app/x", evil).refused(403, "cross_site");
        }
    }
    for method in ["GET", "HEAD"] {
        from(&visitor, method, "/app/x", "https://evil.test").expect(200);
    }
    assert!(visitor.is_signed_in());
}

/// Servers that allow whatever `Origin` they are told, with credentials, mean cookies of their own.
#[test]
fn an_upstream_lets_no_other_site_read_with_the_gateways_cookie() {
    const POLICY: &str =
        "/app/zoo/says?access-control-allow-origin=https://evil.test&access-control-allow-credentials=true";
    for sign_in in [String::new(), format!("app_origins = [{APP:?}]")] {
        let plan = Plan {
            sign_in,
            ..Plan::default()
        };
        let Some(campus) = Campus::planned(plan) else { return };
        let visitor = campus.visitor();
        visitor.sign_in(&campus.cas.person("alice"), PAGE).expect(303);
        let told = from(&visitor, "GET", POLICY, "https://evil.test").expect(200);
        assert_eq!(told.header("access-control-allow-credentials"), None);
    }
}

#[test]
fn apps_of_the_site_may_ask_who_it_is_and_no_other_site() {
    let Some(campus) = start() else { return };
    let visitor = campus.visitor();
    visitor.sign_in(&campus.cas.person("alice"), PAGE).expect(303);
    let told = from(&visitor, "GET", "/_janua/me", APP).expect(200);
    assert_eq!(told.json()["user"], "alice");
    assert_eq!(told.header("access-control-allow-origin"), Some(APP));
    assert_eq!(told.header("access-control-allow-credentials"), Some("true"));
    assert!(
        told.header("vary")
            .unwrap_or_default()
            .to_ascii_lowercase()
            .contains("origin")
    );
    let told = from(&visitor, "GET", "/_janua/me", "https://evil.test").expect(200);
    assert_eq!(
        told.header("access-control-allow-origin"),
        None,
        "no script there can read it"
    );
    let preflight = |origin: &str| {
        let request = Request::new("OPTIONS", "/_janua/sign-out").header("Access-Control-Request-Method", "POST");
        campus.visitor().send(request.header("Origin", origin))
    };
    let allowed = preflight(APP);
    assert_eq!(allowed.header("access-control-allow-origin"), Some(APP));
    assert_eq!(
        preflight("https://evil.test").header("access-control-allow-origin"),
        None
    );
    from(&visitor, "POST", "/_janua/sign-out", "https://evil.test").refused(403, "cross_site");
    assert!(visitor.is_signed_in());
    from(&visitor, "POST", "/_janua/sign-out", APP).expect(200);
    assert!(!visitor.is_signed_in());
}

#[test]
fn a_sign_in_may_come_back_to_an_app() {
    let Some(campus) = start() else { return };
    let visitor = campus.visitor();
    let back = format!("{APP}/courses?id=1#top");
    let answer = visitor
        .sign_in(&campus.cas.person("alice"), &sign_in_to(&back))
        .expect(303);
    assert_eq!(answer.header("location"), Some(&*back));
}

#[test]
fn another_site_opens_no_websocket() {
    let Some(campus) = start() else { return };
    let visitor = campus.visitor();
    visitor.sign_in(&campus.cas.person("alice"), PAGE).expect(303);
    let open = |origin: &str| {
        let request = Request::get("/app/socket")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==");
        visitor.send(request.header("Connection", "Upgrade").header("Origin", origin))
    };
    open("https://evil.test").refused(403, "cross_site");
    for allowed in [APP, &campus.origin()] {
        // The upstream speaks no websocket: it answers as to any request.
        open(allowed).expect(200);
    }
}

#[test]
fn another_sites_page_load_and_form_are_what_they_are() {
    let Some(campus) = start() else { return };
    let visitor = campus.visitor();
    visitor.sign_in(&campus.cas.person("alice"), PAGE).expect(303);
    let follow = Request::get("/_janua/sign-out")
        .header("Sec-Fetch-Site", "cross-site")
        .header("Sec-Fetch-Mode", "navigate")
        .header("Sec-Fetch-Dest", "document");
    let page = visitor.send(follow).expect(200);
    assert!(visitor.is_signed_in(), "a link asks, and ends nothing");
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
}
