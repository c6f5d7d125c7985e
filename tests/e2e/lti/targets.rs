//! Where a launch leads, and what a browser gets that keeps no cookies in a frame.

use super::*;
use crate::support::lti::framed;

#[test]
fn where_the_tool_url_is_the_launch_the_page_is_a_parameter() {
    let stage = Stage::with("target = \"/studio/\"");
    stage.platform.behaviour().target = format!("{TOOL}/launch");
    let leads = |claims: Value| stage.launch_with(&claims);
    assert_eq!(location(&leads(json!({})).expect(303)), "/studio/");
    let custom = |target: &str| leads(json!({ claim("custom"): { "target": target } }));
    assert_eq!(location(&custom("/play/a?b=c#d").expect(303)), "/play/a?b=c#d");
    assert_eq!(location(&custom(&format!("{ORIGIN}/play/")).expect(303)), "/play/");
    assert_eq!(location(&custom("").expect(303)), "/studio/");
    for elsewhere in [
        "https://evil.test/",
        "//evil.test/",
        "/\\evil.test/",
        "https://video.test@evil.test/",
        "javascript:alert(1)",
        "/_janua/sign-out",
        "/_janua/lti/moodle/login",
        "/redirect/get",
        "/search/a",
        "/nothing/there",
        "play",
    ] {
        custom(elsewhere).told_refused(400, "bad_request");
    }
    stage.gateway.logged(&["bad_request", "takes no launch sessions"]);
}

#[test]
fn a_tool_url_that_is_a_page_leads_there() {
    let stage = Stage::new();
    // A parameter takes nobody elsewhere then.
    let launched = stage
        .launch_with(&json!({ claim("custom"): { "target": "/studio/" } }))
        .expect(303);
    assert_eq!(location(&launched), "/play/index.html?id=1");
    for elsewhere in [
        "https://evil.test/",
        "http://video.test/play/",
        "https://video.test:8443/play/",
        "/play/",
    ] {
        stage.platform.behaviour().target = elsewhere.to_owned();
        let answer = stage.launch();
        match elsewhere {
            "/play/" => assert_eq!(location(&answer.expect(303)), "/play/"),
            _ => drop(answer.told_refused(400, "bad_request")),
        }
    }
    stage.platform.behaviour().target = format!("{TOOL}/launch?id=1");
    stage.platform.behaviour().claims = json!({});
    stage.launch().told_refused(400, "bad_request");
    stage.gateway.logged(&["the tool URL names no page"]);
}

#[test]
fn a_browser_that_keeps_no_cookies_in_a_frame_is_offered_a_window() {
    let stage = Stage::new();
    let login = stage.platform.login();
    let first = stage.gateway.send(login.posted()).expect(303);
    let keeps = cookie(&first, "janua-lti-keeps");
    let again = location(&first).strip_prefix(ORIGIN).unwrap().to_owned();
    assert!(again.starts_with("/_janua/lti/moodle/login?iss="), "{again}");
    // With the cookie it goes on.
    let on = stage
        .gateway
        .send(framed(Request::get(&again)).header("Cookie", &keeps))
        .expect(303);
    assert!(location(&on).starts_with(&stage.platform.url("/mod/lti/auth.php?")));
    // Without it the platform is asked nothing: its hints may be good for once.
    let page = stage.gateway.send(framed(Request::get(&again))).expect(200);
    assert!(
        !page
            .header("content-security-policy")
            .unwrap()
            .contains("frame-ancestors")
    );
    let text = page.text();
    let (_, link) = text.split_once("href=\"").unwrap();
    let link = link.split('"').next().unwrap().replace("&amp;", "&");
    assert!(
        text.contains("target=\"_blank\"") && !text.contains("<script"),
        "{text}"
    );
    let in_a_window = Request::get(link.strip_prefix(ORIGIN).unwrap())
        .header("Sec-Fetch-Site", "same-origin")
        .header("Sec-Fetch-Mode", "navigate")
        .header("Sec-Fetch-Dest", "document");
    let begun = stage.gateway.send(in_a_window).expect(303);
    let form = stage.platform.auth(&location(&begun)).unwrap();
    stage
        .gateway
        .send(form.posted().header("Cookie", &cookie(&begun, "janua-lti-")))
        .expect(303);
}

#[test]
fn the_cookies_of_launches_under_way_are_few() {
    let stage = Stage::new();
    let mut held = vec!["__Host-janua-lti-keeps=1".to_owned()];
    for _ in 0..15 {
        let login = stage.platform.login().posted().header("Cookie", &held.join("; "));
        let answer = stage.gateway.send(login).expect(303);
        for line in answer.all("set-cookie") {
            let pair = line.split(';').next().unwrap();
            let name = pair.split('=').next().unwrap();
            held.retain(|known| !known.starts_with(&format!("{name}=")));
            if !line.contains("Max-Age=0") {
                held.push(pair.to_owned());
            }
        }
    }
    assert_eq!(held.len(), 13, "{held:?}");
    assert!(held.contains(&"__Host-janua-lti-keeps=1".to_owned()));
}
