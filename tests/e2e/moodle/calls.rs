//! What is put into a call, and which calls are refused before Moodle hears of them.

use super::school::{FILE, SITE_INFO, School, script};
use crate::support::Request;

#[test]
fn calls_that_are_not_to_be_made_never_reach_moodle() {
    let Some(school) = School::start("[\"cas-launch\"]") else {
        return;
    };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.sign_in(&alice).expect(200);
    browser.call(SITE_INFO).expect(200);
    let before = school.moodle.site().requests.len();
    let form = |body: &str| {
        script(Request::new("POST", "/webservice/rest/server.php"))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(body.to_owned())
    };
    for (request, status, reason) in [
        (
            script(Request::get("/webservice/soap/server.php")),
            403,
            "moodle_endpoint",
        ),
        (
            script(Request::get(&format!("{SITE_INFO}&wstoken=x"))),
            400,
            "token_override",
        ),
        (
            script(Request::get(&format!("{SITE_INFO}&+ws%74oken[]=x"))),
            400,
            "token_override",
        ),
        (
            script(Request::get(
                "/webservice/rest/server.php?wsfunction=tool_mobile_get_config",
            )),
            403,
            "function_not_allowed",
        ),
        (form("wsfunction=tool_mobile_get_config"), 403, "function_not_allowed"),
        (form("wsfunction=core_x&wstoken=y"), 400, "token_override"),
        (Request::get(SITE_INFO), 403, "cross_site"),
        (
            Request::get(SITE_INFO).header("Sec-Fetch-Site", "cross-site"),
            403,
            "cross_site",
        ),
        (
            Request::get(SITE_INFO).header("Sec-Fetch-Site", "same-site"),
            403,
            "cross_site",
        ),
        (Request::get(SITE_INFO).header("Origin", "null"), 403, "cross_site"),
        (
            Request::get(SITE_INFO).header("Origin", "https://app.test"),
            403,
            "cross_site",
        ),
    ] {
        let told = browser.send(request).expect(status).json();
        assert_eq!(told["reason"], reason);
    }
    assert_eq!(school.moodle.site().requests.len(), before);
}

/// What a page sends for a picture, a link, a frame, a form, a ping or a preload in it.
const MARKUP: [(&str, &str, &str); 7] = [
    ("GET", "no-cors", "image"),
    ("GET", "navigate", "document"),
    ("GET", "navigate", "iframe"),
    ("GET", "no-cors", "style"),
    ("POST", "navigate", "document"),
    ("POST", "no-cors", "empty"),
    ("GET", "cors", "empty"),
];

#[test]
fn what_somebody_writes_into_a_page_of_moodles_calls_nothing() {
    let Some(school) = School::start("[\"cas-launch\"]") else {
        return;
    };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.sign_in(&alice).expect(200);
    browser.call(SITE_INFO).expect(200);
    let before = school.moodle.site().requests.len();
    for (method, mode, dest) in MARKUP {
        for target in [SITE_INFO, "/webservice/upload.php?itemid=0"] {
            let told = browser.send(
                Request::new(method, target)
                    .header("Sec-Fetch-Site", "same-origin")
                    .header("Sec-Fetch-Mode", mode)
                    .header("Sec-Fetch-Dest", dest),
            );
            assert!(told.expect(403).text().contains("cross_site"), "{method} {mode} {dest}");
        }
    }
    let old = |request: Request| browser.send(request.header("Origin", &school.origin()));
    let told = old(Request::new("POST", SITE_INFO)).expect(403).json();
    assert!(told["detail"].as_str().unwrap().contains("X-Requested-With"), "{told}");
    assert_eq!(school.moodle.site().requests.len(), before);
    old(Request::get(SITE_INFO).header("X-Requested-With", "XMLHttpRequest")).expect(200);

    // A file is shown, and opened by its address; a call never is.
    for (site, mode, dest) in [
        ("same-origin", "no-cors", "image"),
        ("same-origin", "navigate", "iframe"),
        ("none", "navigate", "document"),
    ] {
        let open = |target: &str| {
            browser.send(
                Request::get(target)
                    .header("Sec-Fetch-Site", site)
                    .header("Sec-Fetch-Mode", mode)
                    .header("Sec-Fetch-Dest", dest),
            )
        };
        assert_ne!(open(FILE).status, 403, "{site} {dest}");
        assert!(
            open(SITE_INFO).expect(403).text().contains("cross_site"),
            "{site} {dest}"
        );
    }
    let foreign = Request::get(FILE).header("Sec-Fetch-Site", "cross-site");
    browser.send(foreign).refused(403, "cross_site");
}

#[test]
fn a_form_gets_the_token_and_no_client_sees_it() {
    let Some(school) = School::start("[\"cas-launch\"]") else {
        return;
    };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.sign_in(&alice).expect(200);
    let answer = browser.send(
        script(Request::new("POST", "/webservice/rest/server.php"))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body("wsfunction=core_webservice_get_site_info&moodlewsrestformat=json".to_owned()),
    );
    assert_eq!(answer.expect(200).json()["username"], "alice");
    let preflight = browser.send(
        Request::new("OPTIONS", SITE_INFO)
            .header("Origin", "https://evil.test")
            .header("Access-Control-Request-Method", "GET"),
    );
    // Of a call with a token of its own: Moodle's to answer, and no page may use the session by it.
    let told = preflight.expect(200);
    assert_eq!(told.header("access-control-allow-origin"), Some("*"));
    assert_eq!(told.header("access-control-allow-credentials"), None);
    school.keeps_its_secrets();
}

#[test]
fn a_large_upload_passes_in_pieces() {
    let Some(school) = School::start("[\"cas-launch\"]") else {
        return;
    };
    school.moodle.site().settings.post_max_size = 64 << 20;
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.sign_in(&alice).expect(200);
    let mut body = b"--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\
        Content-Type: application/octet-stream\r\n\r\n"
        .to_vec();
    body.resize(body.len() + (8 << 20), b'x');
    body.extend_from_slice(b"\r\n--edge--\r\n");
    let answer = browser.send(
        script(Request::new("POST", "/webservice/upload.php?itemid=0"))
            .header("Content-Type", "multipart/form-data; boundary=edge")
            .body(body),
    );
    assert_eq!(answer.expect(200).json()[0]["filename"], "a.bin");
    school.keeps_its_secrets();
}

#[test]
fn calls_are_counted_by_groups_of_functions() {
    let Some(school) = School::start("[\"cas-launch\"]") else {
        return;
    };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.sign_in(&alice).expect(200);
    browser.call(SITE_INFO).expect(200);
    // Named in the body, which is known later.
    let form = script(Request::new("POST", "/webservice/rest/server.php"))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("courseids[0]=2&wsfunction=mod_assign_get_assignments");
    browser.send(form).expect(200);
    let counted = |group: &str| {
        let labels = format!("group=\"{group}\",moodle=\"campus\",outcome=\"ok\",script=\"rest\"");
        school.gateway.metric(&format!("janua_moodle_calls_total{{{labels}}}"))
    };
    assert_eq!(counted("core"), Some(1.0));
    assert_eq!(counted("mod"), Some(1.0));
    assert_eq!(counted("other"), None);
}
