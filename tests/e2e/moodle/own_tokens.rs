//! Clients with a token of their own, Moodle's app among them, go through the same routes as if no gateway were there; and
//! the site's apps call across origins without a `cors` on each route.

use super::school::{FILE, SITE_INFO, School, script};
use crate::support::{Config, Connection, Request, Site};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const REST: &str = "/webservice/rest/server.php";
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

fn start() -> Option<School> {
    let school = School::start("[\"cas-launch\"]")?;
    school.moodle.site().give(TOKEN, "alice", "moodle_mobile_app");
    Some(school)
}

fn upload(fill: usize) -> Request {
    let mut body = format!("--edge\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\n{TOKEN}\r\n").into_bytes();
    body.extend_from_slice(b"--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\r\n");
    body.resize(body.len() + fill, b'x');
    body.extend_from_slice(b"\r\n--edge--\r\n");
    Request::new("POST", "/webservice/upload.php?itemid=0")
        .header("Content-Type", "multipart/form-data; boundary=edge")
        .body(body)
}

#[test]
fn a_call_with_its_own_token_passes_wherever_the_token_stands() {
    let Some(school) = start() else { return };
    let send = |request: Request| school.gateway.send(request.host(&school.gateway.http().to_string()));
    let named = format!("wsfunction=core_unknown&moodlewsrestformat=json&wstoken={TOKEN}");
    for cookie in ["MoodleSession=x", "janua=ended; MoodleSession=x"] {
        for request in [
            Request::get(&format!("{REST}?{named}")),
            Request::new("POST", REST).header(FORM.0, FORM.1).body(named.clone()),
            Request::new("POST", &format!("{REST}?{named}")),
        ] {
            let told = send(request.header("Cookie", cookie).header("User-Agent", "MoodleMobile"))
                .expect(200)
                .json();
            // It is Moodle that answers.
            assert!(told["exception"].is_string(), "{told}");
        }
    }
    // Larger than what is looked at.
    for fill in [10, 300_000] {
        assert_eq!(send(upload(fill)).expect(200).json()[0]["filename"], "a.bin");
    }
    assert_eq!(
        send(Request::get(&format!("{FILE}?token={TOKEN}"))).expect(404).json()["errorcode"],
        "filenotfound"
    );
    // Moodle says that it knows no such token.
    send(Request::get(&format!("{SITE_INFO}&wstoken=x"))).expect(200);
    send(Request::get(SITE_INFO)).refused(401, "no_credentials");
    send(
        Request::new("POST", REST)
            .header(FORM.0, FORM.1)
            .body("wsfunction=core_x"),
    )
    .refused(401, "no_credentials");
    let passed = "group=\"-\",moodle=\"campus\",outcome=\"own_token\",script=\"rest\"";
    let passed = school.gateway.metric(&format!("janua_moodle_calls_total{{{passed}}}"));
    assert_eq!(passed, Some(7.0));
}

/// The page that calls sees why, as it sees Moodle's answers.
#[test]
fn a_refusal_of_such_a_call_may_be_read_by_the_page_that_calls() {
    let limited = "[[routes]]\nname = \"limited\"\npath = \"/limited/{*rest}\"\nstrip = \"/limited\"\n\
                   upstream = \"moodle\"\npresent = \"moodle-token\"\naccept = [\"session\"]\nsign_in = \"campus\"\n\
                   allow = [{ signed_in = true }]\nlimits = { rate = \"1/m\" }\n";
    let Some(school) = School::at(&Site::new(), Config::new().section(limited), "[\"cas-launch\"]") else {
        return;
    };
    let call = || {
        let named = format!("wstoken={TOKEN}&wsfunction=core_unknown&moodlewsrestformat=json");
        let request = Request::new("POST", &format!("/limited{REST}")).header(FORM.0, FORM.1);
        let request = request.body(named).host(&school.gateway.http().to_string());
        school.gateway.send(request.header("Origin", "https://elsewhere.test"))
    };
    call().expect(200);
    let told = call();
    assert_eq!(told.status, 429);
    assert_eq!(told.header("access-control-allow-origin"), Some("*"));
    assert_eq!(told.header("access-control-allow-credentials"), None);
}

/// Only a script that judges tokens is asked with one: on a page of Moodle's a parameter of that name says nothing.
#[test]
fn a_token_opens_no_other_page() {
    let all = "[[routes]]\nname = \"all\"\npath = \"/all/{*rest}\"\nstrip = \"/all\"\nupstream = \"moodle\"\n\
               present = \"moodle-token\"\naccept = [\"session\"]\nsign_in = \"campus\"\nallow = [{ signed_in = true }]\n";
    let Some(school) = School::at(&Site::new(), Config::new().section(all), "[\"cas-launch\"]") else {
        return;
    };
    let send = |request: Request| school.gateway.send(request.host(&school.gateway.http().to_string()));
    for page in [
        "/admin/index.php",
        "/login/index.php",
        "/",
        "/webservice/soap/simpleserver.php",
    ] {
        for query in ["token=1", "wstoken[]=1"] {
            send(Request::get(&format!("/all{page}?{query}"))).refused(401, "no_credentials");
        }
        let form = Request::new("POST", &format!("/all{page}"))
            .header(FORM.0, FORM.1)
            .body("token=1&x=y");
        send(form).refused(401, "no_credentials");
    }
}

/// A body that comes bit by bit, from a client that waits to be asked for it.
#[test]
fn a_token_is_found_in_a_body_that_comes_slowly() {
    let Some(school) = start() else { return };
    let host = school.gateway.http().to_string();
    let form = format!("wstoken={TOKEN}&wsfunction=core_unknown&moodlewsrestformat=json&x=");
    for fill in [0, 100_000, 400_000] {
        let body = format!("{form}{}", "y".repeat(fill));
        let head = format!(
            "POST {REST} HTTP/1.1\r\nHost: {host}\r\n{}: {}\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
            FORM.0,
            FORM.1,
            body.len()
        );
        let mut connection = Connection::open(school.gateway.http());
        connection.write(head).unwrap();
        let asked = connection.read_until("\r\n\r\n").unwrap();
        assert!(
            asked.starts_with(b"HTTP/1.1 100"),
            "{}",
            String::from_utf8_lossy(&asked)
        );
        let (first, rest) = body.split_at(6);
        for piece in [first, rest] {
            connection.write(piece).unwrap();
        }
        let told = connection.response(false).unwrap().expect(200).json();
        assert!(told["exception"].is_string(), "{told}");
    }
    // In chunks, of which the first has not even the name.
    let head = format!(
        "POST {REST} HTTP/1.1\r\nHost: {host}\r\n{}: {}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}\r\n",
        FORM.0,
        FORM.1,
        &form[..5]
    );
    let mut connection = Connection::open(school.gateway.http());
    connection.write(head).unwrap();
    connection
        .write(format!("{:x}\r\n{}\r\n0\r\n\r\n", form.len() - 5, &form[5..]))
        .unwrap();
    assert!(connection.response(false).unwrap().expect(200).json()["exception"].is_string());
}

#[test]
fn beside_a_session_a_token_of_ones_own_is_refused() {
    let Some(school) = start() else { return };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.sign_in(&alice).expect(200);
    let named = format!("{SITE_INFO}&wstoken={TOKEN}");
    browser.call(&named).refused(400, "token_override");
    let body = format!("wsfunction=core_webservice_get_site_info&wstoken={TOKEN}");
    let form = script(Request::new("POST", REST)).header(FORM.0, FORM.1).body(body);
    browser.send(form).refused(400, "token_override");
}

#[test]
fn the_apps_of_a_sign_in_need_no_cors_on_each_route() {
    const APP: &str = "https://app.test";
    let config = Config::new().section(&format!("[sign_in.campus]\napp_origins = [{APP:?}]\n"));
    let Some(school) = School::at(&Site::new(), config, "[\"cas-launch\"]") else {
        return;
    };
    let send = |request: Request| school.gateway.send(request.host(&school.gateway.http().to_string()));
    let ask = |path: &str, origin: &str| {
        send(
            Request::new("OPTIONS", path)
                .header("Origin", origin)
                .header("Access-Control-Request-Method", "POST")
                .header("Access-Control-Request-Headers", "content-type,x-requested-with"),
        )
    };
    let told = ask("/private/x", APP).expect(204);
    assert_eq!(told.header("access-control-allow-origin"), Some(APP));
    assert_eq!(told.header("access-control-allow-credentials"), Some("true"));
    assert!(
        told.header("access-control-allow-headers")
            .unwrap()
            .contains("x-requested-with")
    );
    assert_eq!(
        ask("/private/x", "https://evil.test")
            .expect(204)
            .header("access-control-allow-origin"),
        None
    );
    let refused = send(Request::get("/private/x").header("Origin", APP));
    assert_eq!(refused.header("access-control-allow-origin"), Some(APP));
    refused.refused(401, "no_credentials");
    // A page that is open to anyone stays as the upstream says it.
    assert_eq!(ask("/course/view.php", APP).header("access-control-allow-origin"), None);
}

/// The same script below other addresses, each with rules of its own.
fn below(prefix: &str, rules: &str) -> String {
    format!(
        "[[routes]]\nname = \"{prefix}\"\npath = \"/{prefix}/{{*rest}}\"\nstrip = \"/{prefix}\"\nupstream = \"moodle\"\n\
         present = \"moodle-token\"\naccept = [\"session\"]\nsign_in = \"campus\"\n{rules}\n"
    )
}

#[test]
fn rules_that_concern_no_person_hold_for_tokens_of_their_own() {
    let config = Config::new()
        .section(&below(
            "here",
            "allow = [{ signed_in = true, from = [\"127.0.0.0/8\"] }]",
        ))
        .section(&below(
            "there",
            "allow = [{ signed_in = true, from = [\"192.0.2.0/24\"] }]",
        ))
        .section(&below(
            "posted",
            "allow = [{ role = \"ROLE_X\", methods = [\"POST\"] }]",
        ))
        .section(&below(
            "denied",
            "allow = [{ signed_in = true }]\ndeny = [{ from = [\"127.0.0.0/8\"] }]",
        ));
    let Some(school) = School::at(&Site::new(), config, "[\"cas-launch\"]") else {
        return;
    };
    school.moodle.site().give(TOKEN, "alice", "moodle_mobile_app");
    let host = school.gateway.http().to_string();
    let call = |method: &str, prefix: &str| {
        let target = format!("/{prefix}{REST}?wsfunction=core_unknown&moodlewsrestformat=json&wstoken={TOKEN}");
        school.gateway.send(Request::new(method, &target).host(&host))
    };
    for (method, prefix) in [("GET", "here"), ("POST", "posted")] {
        let told = call(method, prefix).expect(200).json();
        assert_eq!(
            told["exception"], "dml_missing_record_exception",
            "it is Moodle that answers"
        );
    }
    let asked = school.moodle.site().requests.len();
    call("GET", "there").refused(403, "not_allowed");
    call("GET", "posted").refused(403, "not_allowed");
    call("GET", "denied").refused(403, "denied_by_rule");
    assert_eq!(school.moodle.site().requests.len(), asked);
}

#[test]
fn the_pre_flight_of_a_page_that_is_not_known_here_is_answered_by_moodle() {
    const APP: &str = "https://app.test";
    let config = Config::new()
        .section(&format!("[sign_in.campus]\napp_origins = [{APP:?}]\n"))
        .section(&below(
            "there",
            "allow = [{ signed_in = true, from = [\"192.0.2.0/24\"] }]",
        ))
        .section(&below("posted", "methods = [\"POST\"]\nallow = [{ signed_in = true }]"));
    let Some(school) = School::at(&Site::new(), config, "[\"cas-launch\"]") else {
        return;
    };
    let asked = |path: &str, origin: &str| {
        let before = school.moodle.site().requests.len();
        let request = Request::new("OPTIONS", path)
            .host(&school.gateway.http().to_string())
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST");
        let told = school.gateway.send(request);
        let came = school.moodle.site().requests[before..].to_vec();
        (told, came)
    };
    for path in ["/webservice/upload.php", REST, FILE, "/posted/webservice/upload.php"] {
        let (told, came) = asked(path, "https://third.test");
        assert_eq!(
            told.header("access-control-allow-origin"),
            Some("*"),
            "{path}: {told:?}"
        );
        assert_eq!(told.header("access-control-allow-credentials"), None, "{path}");
        assert!(came.len() == 1 && came[0].0 == "OPTIONS", "{path}: {came:?}");
        assert!(!came[0].1.contains("token"), "nothing is put in: {came:?}");
    }
    // One that is about a call with a session is the gateway's.
    let request = Request::new("OPTIONS", REST)
        .host(&school.gateway.http().to_string())
        .header("Origin", "https://third.test")
        .header("Access-Control-Request-Method", "POST")
        .header("Access-Control-Request-Headers", "content-type, X-Requested-With");
    let before = school.moodle.site().requests.len();
    assert_eq!(school.gateway.send(request).header("access-control-allow-origin"), None);
    assert_eq!(school.moodle.site().requests.len(), before);
    // Of the site's own apps, of other pages, of a network that may not call, it is the gateway's.
    for (path, origin, status, allowed) in [
        ("/webservice/upload.php", APP, 204, Some(APP)),
        ("/webservice/soap/simpleserver.php", "https://third.test", 204, None),
        ("/there/webservice/upload.php", "https://third.test", 403, None),
    ] {
        let (told, came) = asked(path, origin);
        assert_eq!(told.status, status, "{path} {origin}");
        assert_eq!(told.header("access-control-allow-origin"), allowed, "{path} {origin}");
        assert_eq!(came, [], "{path} {origin}");
    }
}

#[test]
fn tokens_of_their_own_are_refused_where_the_operator_says_so() {
    let Some(school) = School::start("[\"cas-launch\"]\nown_tokens = \"refuse\"") else {
        return;
    };
    school.moodle.site().give(TOKEN, "alice", "moodle_mobile_app");
    let host = school.gateway.http().to_string();
    let send = |request: Request| school.gateway.send(request.host(&host));
    let asked = school.moodle.site().requests.len();
    for request in [
        Request::get(&format!("{SITE_INFO}&wstoken={TOKEN}")),
        Request::get(&format!("{FILE}?token={TOKEN}")),
        upload(10),
    ] {
        send(request).refused(401, "no_credentials");
    }
    let first = Request::new("OPTIONS", "/webservice/upload.php").header("Origin", "https://third.test");
    let told = send(first.header("Access-Control-Request-Method", "POST"));
    assert_eq!(told.header("access-control-allow-origin"), None);
    assert_eq!(school.moodle.site().requests.len(), asked);
}

#[test]
fn moodles_own_app_gets_its_token_from_moodle() {
    let Some(school) = start() else { return };
    // The app opens a browser: `typeoflogin` 2.
    school.moodle.site().settings.type_of_login = 2;
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    let launch = "/admin/tool/mobile/launch.php?service=moodle_mobile_app&passport=1234.5&urlscheme=moodlemobile";
    browser.open(&alice, "/course/view.php?id=2").expect(200);
    let answer = browser
        .step(&format!("{}{launch}", school.origin()).parse().unwrap(), "same-origin")
        .expect(302);
    let location = answer.header("location").unwrap();
    assert!(location.starts_with("moodlemobile://token="), "it is for the app");
}
