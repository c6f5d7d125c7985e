//! `janua explain` about calls of Moodle: which source of tokens would serve, told without obtaining one.

use serde_json::{Value, json};
use url::Position;

use super::school::{Browser, FILE, SITE_INFO, School};
use crate::support::tools::janua;

const TOKEN: &str = "5ca1ab1e0ddba11c0ffee0d15ea5e000";
pub const SCRIPT: [&str; 4] = [
    "Sec-Fetch-Mode: cors",
    "Sec-Fetch-Dest: empty",
    "Sec-Fetch-Site: same-origin",
    "X-Requested-With: fetch",
];

/// What is said about a GET of this browser's, live or not; in words and as JSON. Neither holds a secret.
pub fn explain(school: &School, browser: &Browser<'_>, target: &str, headers: &[&str], live: bool) -> (String, Value) {
    let config = school.gateway.site.path("gateway.toml");
    let (url, cookies) = (format!("{}{target}", school.origin()), browser.cookies());
    let cookie = format!("Cookie: {cookies}");
    let ask = |more: &[&str]| {
        let mut words = vec![
            "explain",
            "--config",
            config.to_str().unwrap(),
            "GET",
            &url,
            "--header",
            &cookie,
        ];
        words.extend(headers.iter().flat_map(|header| ["--header", header]));
        words.extend(live.then_some("--live"));
        words.extend(more);
        let ran = janua(words);
        let secrets = school.moodle.site().secrets.clone();
        let values = cookies
            .split("; ")
            .filter_map(|pair| Some(pair.split_once('=')?.1.to_owned()));
        for secret in secrets.into_iter().chain(values).filter(|secret| !secret.is_empty()) {
            assert!(
                !ran.stdout.contains(&secret) && !ran.stderr.contains(&secret),
                "a secret is told"
            );
        }
        ran.stdout
    };
    let report = ask(&["--json"]);
    let report = serde_json::from_str(&report).unwrap_or_else(|error| panic!("{error}: {report}"));
    (ask(&[]), report)
}

/// The sources, the one that would be used in brackets.
fn sources(report: &Value) -> Vec<String> {
    let sources = report["moodle"]["sources"].as_array().unwrap().iter();
    let name = |source: &Value| match source["used"] == true {
        true => format!("[{}]", source["source"].as_str().unwrap()),
        false => source["source"].as_str().unwrap().to_owned(),
    };
    sources.map(name).collect()
}

#[test]
fn each_step_to_a_token_is_told_before_it_is_made() {
    let Some(school) = School::start("[\"vault\", \"cas-launch\"]") else {
        return;
    };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser
        .open(&alice, "/_janua/sign-in?with=campus&return=/_janua/me")
        .expect(200);
    let asked = || school.moodle.site().requests.len();
    let before = asked();

    // Another process knows no session, but the order.
    let (words, report) = explain(&school, &browser, SITE_INFO, &SCRIPT, false);
    assert_eq!(
        (sources(&report), &report["moodle"]["kept"]),
        (vec!["vault".into(), "cas-launch".into()], &Value::Null)
    );
    assert!(words.contains("which source serves depends on who asks"), "{words}");

    let (words, report) = explain(&school, &browser, SITE_INFO, &SCRIPT, true);
    assert_eq!(sources(&report), ["vault", "[cas-launch]"]);
    let told = (
        &report["outcome"],
        &report["reason"],
        &report["status"],
        &report["moodle"]["username"],
    );
    assert_eq!(
        told,
        (
            &json!("allow"),
            &json!("moodle_sign_in_required"),
            &json!(401),
            &json!("alice")
        )
    );
    assert!(words.contains("vault: the vault has none for this person"), "{words}");
    assert!(
        words.contains("cas-launch: the browser would be sent to the CAS server"),
        "{words}"
    );
    let page = [
        "Sec-Fetch-Mode: navigate",
        "Sec-Fetch-Dest: document",
        "Sec-Fetch-Site: same-origin",
        "Accept: text/html",
    ];
    let (_, report) = explain(&school, &browser, FILE, &page, true);
    assert_eq!((&report["status"], &report["action"]), (&json!(303), &json!("sign_in")));
    assert_eq!(asked(), before, "Moodle was asked");
    browser.call(SITE_INFO).expect(401);

    school.moodle.site().give(TOKEN, "alice", "moodle_mobile_app");
    let file = school
        .gateway
        .site
        .write("tokens.csv", format!("username,token\nalice,{TOKEN}\n"));
    let config = school.gateway.site.path("gateway.toml");
    let (file, config) = (file.to_str().unwrap(), config.to_str().unwrap());
    janua(["vault", "import", file, "--config", config]).ok();
    let (_, report) = explain(&school, &browser, SITE_INFO, &SCRIPT, true);
    assert_eq!(
        (sources(&report), &report["reason"]),
        (vec!["[vault]".into(), "cas-launch".into()], &Value::Null)
    );
    assert_eq!((&report["moodle"]["kept"], asked()), (&json!(false), before));
    // As Moodle gets it: with the token in the body.
    let upstream = &report["action"]["upstream"];
    let (_, query) = SITE_INFO.split_once('?').unwrap();
    assert_eq!(
        (
            &upstream["method"],
            upstream["target"].as_str().unwrap().split_once('?').unwrap().1
        ),
        (&json!("POST"), query)
    );
    let length = json!(["content-length", ("wstoken=".len() + TOKEN.len()).to_string()]);
    assert!(upstream["headers"].as_array().unwrap().contains(&length), "{upstream}");
    let (words, report) = explain(&school, &browser, FILE, &SCRIPT, true);
    assert_eq!(report["action"]["upstream"]["method"], "GET");
    assert!(words.contains(&format!("GET {FILE}?token=***")), "{words}");

    browser.call(SITE_INFO).expect(200);
    let (words, report) = explain(&school, &browser, SITE_INFO, &SCRIPT, true);
    assert_eq!(
        (sources(&report), &report["moodle"]["kept"]),
        (vec!["vault".into(), "cas-launch".into()], &json!(true))
    );
    assert!(words.contains("a token is kept: no source is asked"), "{words}");

    for (target, reason) in [
        (
            "/webservice/rest/server.php?wsfunction=tool_mobile_get_config",
            "function_not_allowed",
        ),
        ("/webservice/soap/server.php", "moodle_endpoint"),
    ] {
        let (_, report) = explain(&school, &browser, target, &SCRIPT, true);
        assert_eq!((&report["reason"], &report["status"]), (&json!(reason), &json!(403)));
    }
}

#[test]
fn who_never_gets_one_and_whom_the_gateway_vouches_for() {
    let facade =
        "[\"cas-facade\"]\nfacade = { path = \"/_janua/cas-facade\", from = [\"127.0.0.0/8\"] }\nnever = [\"bob\"]";
    let Some(school) = School::start(facade) else { return };
    let at = "/_janua/sign-in?with=campus&return=/_janua/me";
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.open(&alice, at).expect(200);
    let (words, report) = explain(&school, &browser, SITE_INFO, &SCRIPT, true);
    assert_eq!(sources(&report), ["[cas-facade]"]);
    assert!(
        words.contains("the gateway would vouch for the person") && words.contains("never for bob"),
        "{words}"
    );
    let (bob, browser) = (school.cas.person("bob"), school.browser());
    browser.open(&bob, at).expect(200);
    let (_, report) = explain(&school, &browser, SITE_INFO, &SCRIPT, true);
    assert_eq!(
        (&report["reason"], &report["status"]),
        (&json!("no_moodle_token"), &json!(403))
    );
    assert_eq!(school.moodle.site().made, 0);
}

/// Where a ticket comes back, or where Moodle asks the facade, no route decides: that is told, and the ticket is still
/// good afterwards.
#[test]
fn what_is_answered_in_moodles_stead_is_told_and_not_done() {
    let Some(school) = School::start("[\"cas-launch\"]") else {
        return;
    };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser
        .open(&alice, "/_janua/sign-in?with=campus&return=/_janua/me")
        .expect(200);
    let landing = alice.sign_in(browser.depart(FILE).as_str());
    let target = &landing[Position::BeforePath..Position::AfterQuery];
    let asked = school.moodle.site().requests.len();
    for _ in 0..2 {
        let (words, report) = explain(&school, &browser, target, &[], true);
        assert_eq!((&report["outcome"], &report["status"]), (&json!("allow"), &Value::Null));
        assert!(
            words.contains("in Moodle's stead: a token is obtained by the ticket"),
            "{words}"
        );
        assert!(report["action"]["aside"]["what"].is_string(), "{report}");
    }
    // Another browser's ticket is Moodle's own business.
    let (_, report) = explain(&school, &school.browser(), target, &[], true);
    assert_eq!(report["action"]["upstream"]["name"], "moodle");
    assert_eq!(school.moodle.site().requests.len(), asked, "Moodle was asked");
    let back = browser.step(&landing, "cross-site").expect(200);
    assert!(back.header("refresh").unwrap().contains("/webservice/"), "{back:?}");
    browser.call(SITE_INFO).expect(200);
}

#[test]
fn the_facade_is_told_as_it_answers() {
    let facade = "[\"cas-facade\"]\nfacade = { path = \"/_janua/cas-facade\", from = [\"127.0.0.0/8\"] }";
    let Some(school) = School::start(facade) else { return };
    let browser = school.browser();
    let at = |below: &str| format!("/_janua/cas-facade{below}");
    for (below, status, what) in [
        ("/login?service=https://moodle.test/", 302, "sent on to the CAS server"),
        (
            "/serviceValidate?ticket=ST-janua-0&service=x",
            200,
            "which is good once",
        ),
        ("/serviceValidate?ticket=ST-1-x&service=x", 200, "its answer passed on"),
        ("/nothing", 404, "no route"),
    ] {
        let (words, report) = explain(&school, &browser, &at(below), &[], true);
        assert!(words.contains(what), "{below}: {words}");
        let answer = browser.call(&at(below)).expect(status);
        let told = report["status"].as_u64();
        // What the CAS server says is not known before it is asked.
        assert!(
            told == Some(answer.status.into()) || what.contains("passed on"),
            "{below}: {report}"
        );
    }
}
