//! Moodle itself, behind the gateway, stays as it is: login by its own CAS client, pages, uploads, files, the way out; and
//! the gateway's landing at Moodle's login address takes no ordinary login for its own, nor the other way round.

use url::Url;

use super::school::{Browser, FILE, SITE_INFO, School};
use crate::support::Request;
use crate::support::cas::query;

const COURSE: &str = "/course/view.php?id=2&section=%201";
/// Signs in at the gateway, and goes no further.
const GATEWAY: &str = "/_janua/sign-in?with=campus&return=/_janua/me";

fn start() -> Option<School> {
    School::start("[\"cas-launch\"]")
}

/// What a link on a page of Moodle's leads to.
fn link(page: &str) -> &str {
    let (_, rest) = page.split_once("href=\"").unwrap();
    rest.split_once('"').unwrap().0
}

fn is_course(browser: &Browser<'_>, page: &crate::support::http::Response) {
    assert!(page.text().contains("Course of alice"), "{}", page.text());
    assert!(
        browser
            .visited
            .lock()
            .unwrap()
            .last()
            .unwrap()
            .as_str()
            .ends_with(COURSE)
    );
}

#[test]
fn pages_uploads_files_and_the_way_out_after_moodles_own_login_by_cas() {
    let Some(school) = start() else { return };
    for multiauth in [false, true] {
        school.moodle.site().settings.multiauth = multiauth;
        let (alice, browser) = (school.cas.person("alice"), school.browser());
        let mut page = browser.open(&alice, COURSE).expect(200);
        if multiauth {
            let login = link(&page.text()).to_owned();
            page = browser.open(&alice, &login).expect(200);
        }
        is_course(&browser, &page);
        // The gateway itself knows nobody, and nobody has a token.
        browser.call(SITE_INFO).refused(401, "no_credentials");
        assert_eq!(school.moodle.site().made, 0);

        let logout = link(&page.text()).to_owned();
        let sesskey = logout.split_once("sesskey=").unwrap().1;
        let clip: Vec<u8> = (0..3_000_000_u32).map(|place| (place % 251) as u8).collect();
        let fields = [("sesskey", sesskey), ("itemid", "77")];
        let sent = browser.send(
            Request::new("POST", "/repository/repository_ajax.php?action=upload")
                .header("Content-Type", "multipart/form-data; boundary=edge")
                .body(form(&fields, "clip.mp4", &clip)),
        );
        let told = sent.expect(200).json();
        assert_eq!((&told["id"], &told["file"]), (&77.into(), &"clip.mp4".into()), "{told}");

        let file = "/pluginfile.php/11/user/draft/77/clip.mp4";
        let get = |name: &str, value: &str| browser.send(Request::get(file).header(name, value));
        let whole = browser.send(Request::get(file)).expect(200);
        assert!(whole.body == clip, "{} bytes came", whole.body.len());
        let part = get("Range", "bytes=1000000-1000009").expect(206);
        assert_eq!(part.body, clip[1_000_000..1_000_010]);
        assert_eq!(part.header("content-range"), Some("bytes 1000000-1000009/3000000"));
        assert_eq!(get("Range", "bytes=-5").expect(206).body, clip[2_999_995..]);
        let parts = get("Range", "bytes=0-0,9-9").expect(206);
        assert!(
            parts
                .header("content-type")
                .unwrap()
                .starts_with("multipart/byteranges")
        );
        get("If-None-Match", whole.header("etag").unwrap()).expect(304);
        let head = browser.send(Request::new("HEAD", file)).expect(200);
        assert_eq!(head.header("content-length"), Some("3000000"));

        let out = browser
            .step(&format!("{}{logout}", school.origin()).parse().unwrap(), "same-origin")
            .expect(302);
        let to = out.header("location").unwrap();
        assert!(to.starts_with(&format!("{}/logout?", school.cas.url())), "{to}");
        alice.sign_out();
        let again = browser
            .step(&format!("{}{COURSE}", school.origin()).parse().unwrap(), "same-origin")
            .expect(303);
        assert!(again.header("location").unwrap().ends_with("/login/index.php"));
    }
    school.keeps_its_secrets();
}

/// A form with a file, as browsers write it.
fn form(fields: &[(&str, &str)], name: &str, content: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in fields {
        body.extend(format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").bytes());
    }
    let head = format!(
        "--edge\r\nContent-Disposition: form-data; name=\"repo_upload_file\"; filename=\"{name}\"\r\nContent-Type: \
         video/mp4\r\n\r\n"
    );
    body.extend(head.bytes());
    body.extend(content);
    body.extend(b"\r\n--edge--\r\n");
    body
}

#[test]
fn an_abandoned_visit_takes_no_login_of_moodles() {
    let Some(school) = start() else { return };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.open(&alice, GATEWAY).expect(200);
    let visit = browser.depart(FILE);
    assert!(browser.has_cookie("janua-moodle-campus"));
    let page = browser.open(&alice, COURSE).expect(200);
    is_course(&browser, &page);
    assert!(!browser.has_cookie("janua-moodle-campus"));
    assert_eq!(school.moodle.site().made, 0);
    // The tab that was left comes back after all: by now it is a login like any other.
    browser.open(&alice, visit.as_str()).expect(200);
    assert_eq!(school.moodle.site().made, 0);
    // And the next visit brings the token, with which there is no such file.
    browser.open(&alice, FILE).expect(404);
    assert_eq!(school.moodle.site().made, 1);
    school.keeps_its_secrets();
}

#[test]
fn a_login_of_moodles_that_takes_its_time_takes_no_visit() {
    let Some(school) = start() else { return };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    let form = browser.depart(COURSE);
    browser.sign_in(&alice).expect(200);
    assert_eq!(browser.call(SITE_INFO).expect(200).json()["username"], "alice");
    let page = browser.open(&alice, form.as_str()).expect(200);
    is_course(&browser, &page);
    assert_eq!(browser.call(SITE_INFO).expect(200).json()["username"], "alice");
    assert_eq!(school.moodle.site().made, 1);
    school.keeps_its_secrets();
}

#[test]
fn a_ticket_for_another_address_of_moodles_is_moodles() {
    let Some(school) = start() else { return };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.open(&alice, GATEWAY).expect(200);
    let visit = browser.depart(FILE);
    // As where CAS is the only way to log in, from a link in a portal.
    let login = format!("{}/login/index.php", school.origin());
    let ticket = alice.ticket(&login);
    let page = browser.open(&alice, &format!("{login}?ticket={ticket}")).expect(200);
    assert!(page.text().contains("Dashboard of alice"), "{}", page.text());
    assert_eq!(school.moodle.site().made, 0);
    browser.open(&alice, visit.as_str()).expect(404);
    assert_eq!(school.moodle.site().made, 1);
    school.keeps_its_secrets();
}

fn logout_request(ticket: &str) -> String {
    format!(
        "<samlp:LogoutRequest xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" ID=\"x\" Version=\"2.0\"><saml:NameID \
         xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\"></saml:NameID><samlp:SessionIndex>{ticket}</samlp:SessionIndex>\
         </samlp:LogoutRequest>"
    )
}

/// What a CAS server posts.
fn post(target: &str, form: &str) -> Request {
    Request::new("POST", target)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(form)
}

#[test]
fn single_logout_at_moodles_login_address_ends_the_session_and_is_kept_from_moodle() {
    const LOGIN: &str = "/login/index.php?authCAS=CAS";
    let Some(school) = start() else { return };
    let alice = school.cas.person("alice");
    for by_browser in [false, true] {
        let browser = school.browser();
        browser.sign_in(&alice).expect(200);
        let ticket = |url: &Url| {
            let mut pairs = url
                .query_pairs()
                .filter(|(name, _)| url.path() == "/login/index.php" && name == "ticket");
            pairs.next().map(|(_, ticket)| ticket.into_owned())
        };
        if by_browser {
            // The token that was kept is used on, without a visit.
            school.moodle.site().tokens.clear();
            browser.call(SITE_INFO).refused(401, "moodle_sign_in_required");
            browser.sign_in(&alice).expect(200);
        }
        let ticket = browser
            .visited
            .lock()
            .unwrap()
            .iter()
            .find_map(ticket)
            .expect("it has landed there");
        let tell = |ticket: &str| {
            let form = query(&[("logoutRequest", &logout_request(ticket))]);
            let stranger = school.browser();
            let told = match by_browser {
                true => stranger.send(Request::get(&format!("{LOGIN}&{form}"))),
                false => stranger.send(post(LOGIN, &form)),
            };
            assert_eq!(told.expect(200).text(), "");
        };
        tell("ST-unknown-to-everybody");
        browser.call(SITE_INFO).expect(200);
        tell(&ticket);
        browser.call(SITE_INFO).refused(401, "no_credentials");
    }
    // The session in Moodle went as well: it makes no token for the next one.
    let browser = school.browser();
    browser.open(&alice, GATEWAY).expect(200);
    browser.call(SITE_INFO).expect(200);
    school.moodle.site().tokens.clear();
    browser.call(SITE_INFO).refused(401, "moodle_sign_in_required");
    let heard = |what: &str| {
        let requests = school.moodle.site().requests.clone();
        requests
            .iter()
            .any(|(_, target, body)| format!("{target}\n{body}").contains(what))
    };
    assert!(!heard("logoutRequest"), "Moodle was told");
    // What is no logout of a CAS server's is Moodle's.
    school
        .browser()
        .send(post(LOGIN, "username=x&password=y&logoutRequest=none"));
    assert!(heard("username=x&password=y&logoutRequest=none"));
    school.keeps_its_secrets();
}

#[test]
fn a_password_form_passes_through_whole() {
    let Some(school) = start() else { return };
    let form = "username=x&password=y&service=moodle_mobile_app";
    school.browser().send(post("/login/token.php", form));
    let seen = school.moodle.site().requests.clone();
    assert!(
        seen.iter()
            .any(|(_, target, body)| target == "/login/token.php" && body == form),
        "{seen:?}"
    );
}
