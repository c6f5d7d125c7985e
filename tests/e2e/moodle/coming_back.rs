//! Refusals that want a browser name an address that works as it is, and leads back to the page that has asked; and an app below
//! a prefix of its own.

use url::Url;

use super::school::{Browser, SITE_INFO, School, script};
use crate::support::cas::Person;
use crate::support::{Config, Request, Site};

/// An origin of the same site, at which nobody listens here.
const APP: &str = "http://127.0.0.1:1";

/// Calls as a script of the page does, whose browser says so.
fn asks(browser: &Browser<'_>, page: &[(&str, &str)]) -> String {
    let mut request = script(Request::get(SITE_INFO));
    for (name, value) in page {
        request = request.header(name, value);
    }
    let told = browser.send(request).expect(401).json();
    told["sign_in"].as_str().unwrap().to_owned()
}

/// Opens an address as it was told, signs in, and arrives somewhere.
fn arrives(browser: &Browser<'_>, person: &Person<'_>, sign_in: &str) -> Url {
    browser.open(person, sign_in);
    browser.visited.lock().unwrap().last().unwrap().clone()
}

fn returns_to(sign_in: &str) -> Vec<String> {
    let url = Url::parse(sign_in).unwrap();
    let pairs = url.query_pairs().filter(|(name, _)| name == "return");
    pairs.map(|(_, value)| value.into_owned()).collect()
}

#[test]
fn the_address_works_as_it_is_and_leads_back_to_the_page() {
    let Some(school) = School::start("[\"cas-launch\"]") else {
        return;
    };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    let page = format!("{}/private/app?course=2&x=%26", school.origin());
    // Nobody is signed in.
    let sign_in = asks(&browser, &[("Referer", &page)]);
    assert!(sign_in.ends_with("&moodle=campus"), "{sign_in}");
    assert_eq!(arrives(&browser, &alice, &sign_in).as_str(), page);
    assert_eq!(browser.call(SITE_INFO).expect(200).json()["username"], "alice");
    // Signed in, and only the browser can bring a ticket.
    let other = school.browser();
    other
        .open(&alice, "/_janua/sign-in?with=campus&return=/private/x")
        .expect(204);
    school.moodle.site().tokens.clear();
    assert_eq!(
        other.call(SITE_INFO).expect(401).json()["reason"],
        "moodle_sign_in_required"
    );
    let sign_in = asks(&other, &[("Referer", &page)]);
    assert!(sign_in.contains("moodle=campus"), "{sign_in}");
    assert_eq!(arrives(&other, &alice, &sign_in).as_str(), page);
    other.call(SITE_INFO).expect(200);
    school.keeps_its_secrets();
}

#[test]
fn only_pages_that_one_may_return_to_are_named() {
    let config = Config::new().section(&format!("[sign_in.campus]\napp_origins = [{APP:?}]\n"));
    let Some(school) = School::at(&Site::new(), config, "[\"cas-launch\"]") else {
        return;
    };
    let (own, browser) = (school.origin(), school.browser());
    let app_page = format!("{APP}/course?id=1");
    let own_page = format!("{own}/private/x");
    for (page, expected) in [
        (vec![("Referer", own_page.as_str())], Some(own_page.clone())),
        (vec![("Referer", &app_page), ("Origin", APP)], Some(app_page.clone())),
        // What browsers tell another origin.
        (
            vec![("Referer", "http://127.0.0.1:1/"), ("Origin", APP)],
            Some(format!("{APP}/")),
        ),
        (vec![("Origin", APP)], Some(format!("{APP}/"))),
        (vec![("Referer", "https://evil.test/x")], None),
        (vec![("Referer", "https://evil.test/x"), ("Origin", APP)], None),
        (vec![("Referer", "http://127.0.0.1:1@evil.test/x")], None),
        (vec![("Referer", "javascript:alert(1)")], None),
        (vec![("Referer", "nonsense")], None),
        (vec![("Origin", "null")], None),
        (vec![("Origin", "https://evil.test")], None),
        (vec![], None),
    ] {
        let sign_in = asks(&browser, &page);
        assert_eq!(returns_to(&sign_in).first(), expected.as_ref(), "{page:?}");
        assert!(sign_in.ends_with("moodle=campus"), "{sign_in}");
    }
    // No page of the gateway's own, where a sign-in would go in circles.
    let of_gateway = format!("{own}/_janua/sign-in?return=/x");
    assert!(returns_to(&asks(&browser, &[("Referer", &of_gateway)])).is_empty());
    let twice = [("Referer", own_page.as_str()), ("Referer", own_page.as_str())];
    assert!(returns_to(&asks(&browser, &twice)).is_empty());
}

#[test]
fn an_app_that_names_its_own_address_comes_back_there() {
    let Some(school) = School::start("[\"cas-launch\"]") else {
        return;
    };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    let page = format!("{}/private/app", school.origin());
    let sign_in = asks(&browser, &[("Referer", &page)]);
    let arrived = arrives(&browser, &alice, &format!("{sign_in}&return=/private/elsewhere"));
    assert_eq!(arrived.path(), "/private/elsewhere");
}

#[test]
fn who_chooses_a_sign_in_goes_on_for_moodle() {
    let config = Config::new().section("[sign_in.guests.cas]\nserver = \"http://127.0.0.1:1/cas\"\n");
    let Some(school) = School::at(&Site::new(), config, "[\"cas-launch\"]") else {
        return;
    };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    let chooser = school.origin() + "/_janua/sign-in?return=/private/x&moodle=campus";
    let page = browser
        .step(&chooser.parse().unwrap(), "same-origin")
        .expect(200)
        .text();
    let link = page
        .split("href=\"")
        .find(|link| link.starts_with("/_janua/sign-in?with=campus"));
    let link = link
        .unwrap_or_else(|| panic!("{page}"))
        .split('"')
        .next()
        .unwrap()
        .replace("&amp;", "&");
    assert_eq!(arrives(&browser, &alice, &link).path(), "/private/x");
    assert_eq!(browser.call(SITE_INFO).expect(200).json()["username"], "alice");
}

/// The app's calls below its own prefix, beside Moodle's own addresses, which stay as they are.
const PREFIXED: &str = r#"
[[routes]]
name         = "campus app"
path         = "/campus-app/webservice/{*rest}"
strip        = "/campus-app"
upstream     = "moodle"
present      = "moodle-token"
accept       = ["session"]
sign_in      = "campus"
allow        = [{ signed_in = true }]
rewrite_urls = true
limits       = { body = "10MB" }

[[routes]]
name    = "page of the campus app"
path    = "/campus-app/{*rest}"
respond = { status = 204 }
allow   = [{ anyone = true }]
"#;

#[test]
fn an_app_below_a_prefix_calls_uploads_and_downloads_there() {
    let Some(school) = School::at(&Site::new(), Config::new().section(PREFIXED), "[\"cas-launch\"]") else {
        return;
    };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    let page = format!("{}/campus-app/courses.html", school.origin());
    let call = |target: &str| {
        let request = script(Request::new("POST", &format!("/campus-app{target}"))).header("Referer", &page);
        browser.send(
            request
                .header("Content-Type", "application/x-www-form-urlencoded")
                .body(""),
        )
    };
    let told = call(SITE_INFO).expect(401).json();
    let sign_in = told["sign_in"].as_str().unwrap();
    assert_eq!(returns_to(sign_in), [page.as_str()]);
    assert_eq!(arrives(&browser, &alice, sign_in).as_str(), page);
    assert_eq!(call(SITE_INFO).expect(200).json()["username"], "alice");
    let got = school.moodle.site().requests.last().unwrap().clone();
    assert!(got.1.starts_with("/webservice/rest/server.php?"), "{got:?}");
    // What Moodle names below its own address is the app's.
    let contents = "/webservice/rest/server.php?wsfunction=core_course_get_contents&courseid=2&moodlewsrestformat=json";
    let told = call(contents).expect(200).json();
    let file = told[0]["modules"][0]["contents"][0]["fileurl"].as_str().unwrap();
    let below = file.strip_prefix(&format!("{}/campus-app/webservice/pluginfile.php/", school.origin()));
    assert!(below.is_some(), "{file}");
    let opened = browser.call(&file[school.origin().len()..]).expect(200);
    assert!(!opened.body.is_empty());
    // Moodle's own way has Moodle's own addresses.
    let told = browser.call(contents).expect(200).json();
    let file = told[0]["modules"][0]["contents"][0]["fileurl"].as_str().unwrap();
    assert!(file.starts_with(&format!("{}/webservice/", school.origin())), "{file}");
    let upload =
        "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nhello\r\n--edge--\r\n";
    let answer = browser.send(
        script(Request::new("POST", "/campus-app/webservice/upload.php?itemid=0"))
            .header("Content-Type", "multipart/form-data; boundary=edge")
            .body(upload),
    );
    assert_eq!(answer.expect(200).json()[0]["filename"], "a.txt");
    school.keeps_its_secrets();
}
