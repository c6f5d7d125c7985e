//! Other sites' pages send the cookie too, and any site can launch with a token of its own.

use super::{ORIGIN, Stage, launched, page};
use crate::support::Request;

#[test]
fn nothing_is_changed_by_another_sites_page() {
    let stage = Stage::new();
    let launched = stage.launch(&stage.token());
    let post = |more: &[(&str, &str)]| {
        let request = Request::new("POST", "/ingest/addTrack").body("x");
        let request = more
            .iter()
            .fold(request, |request, (name, value)| request.header(name, value));
        stage.gateway.send(launched.asks(request))
    };
    for strange in [
        &[][..],
        &[("Origin", "https://lms.test")],
        &[("Origin", "null")],
        &[("Origin", "http://video.test")],
        &[("Origin", "https://video.test:8443")],
        &[("Sec-Fetch-Site", "cross-site")],
        &[("Sec-Fetch-Site", "same-site")],
        &[("Sec-Fetch-Site", "none")],
    ] {
        post(strange).refused(403, "cross_site");
    }
    for own in [&[("Origin", ORIGIN)][..], &[("Sec-Fetch-Site", "same-origin")]] {
        post(own).expect(200);
    }
    for method in ["PUT", "DELETE", "PATCH"] {
        let request = Request::new(method, "/ingest/x").header("Origin", "https://evil.test");
        stage.gateway.send(launched.asks(request)).refused(403, "cross_site");
    }
    let socket = Request::get("/ingest/x")
        .header("Upgrade", "websocket")
        .header("Connection", "Upgrade")
        .header("Origin", "https://evil.test");
    let refused = crate::support::Connection::open(stage.gateway.http()).exchange(launched.asks(socket));
    refused.refused(403, "cross_site");
    // Reading is harmless: who may not read the answer is for the browser to say.
    stage.gateway.send(launched.asks(page("/studio/"))).expect(200);
}

#[test]
fn made_up_cookies_are_nobodys() {
    let stage = Stage::new();
    let launched = stage.launch(&stage.token());
    let (name, secret) = launched.cookie.split_once('=').unwrap();
    let with = |cookie: &str| stage.gateway.send(Request::get("/ingest/x").header("Cookie", cookie));
    with(&launched.cookie).expect(200);
    with(&format!("{name}=x; {name}={secret}")).expect(200);
    for cookie in [
        format!("{name}="),
        format!("{name}=x"),
        format!("{name}={}", &secret[1..]),
        format!("{name}={secret}A"),
        format!("janua-launch={secret}"),
        format!("__Host-janua={secret}"),
    ] {
        with(&cookie).refused(401, "no_credentials");
    }
    let bearer = Request::get("/ingest/x").bearer(&format!("jns_{secret}"));
    stage.gateway.send(bearer).refused(401, "no_credentials");
}

#[test]
fn an_id_that_somebody_knew_before_is_never_the_new_one() {
    let stage = Stage::new();
    let planted = stage.launch(&stage.lms.token(&super::claims("mallory", &["ROLE_STUDIO"])));
    let answer = stage
        .gateway
        .send(planted.asks(page(&format!("/studio/?jwt={}", stage.token()))));
    let own = launched(&answer);
    assert_ne!(own.cookie, planted.cookie);
    assert_eq!(super::name(&stage.me(&own)), "anna");
    assert_eq!(super::name(&stage.me(&planted)), "anonymous");
}
