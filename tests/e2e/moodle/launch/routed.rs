//! Where `launch.php` belongs to a route that does not lead to Moodle as it is.

use super::lab::{Lab, ROUTES};
use crate::support::Request;

/// Somebody gives the path away, to Moodle's very server.
const ELSEWHERE: &str = r#"
[upstreams.second]
servers = ["MOODLE"]

[[routes]]
name     = "administration"
path     = "/admin/{*rest}"
upstream = "second"
allow    = [{ anyone = true }]
"#;

const CLOSED: &str = r#"
[[routes]]
name    = "administration"
path    = "/admin/{*rest}"
respond = { status = 404 }
allow   = [{ anyone = true }]
"#;

fn replace_routes(lab: &Lab, more: &str) {
    let before = std::fs::read_to_string(lab.gateway.site.path("gateway.toml")).unwrap();
    lab.gateway.site.write("gateway.toml", format!("{before}\n{more}"));
    lab.gateway.signal("HUP");
    lab.gateway.logged(&["configuration taken"]);
}

#[test]
fn nobody_is_sent_where_the_answer_would_not_come_by() {
    let lab = Lab::routed(2, "", "", &format!("{ROUTES}{CLOSED}"));
    let alice = lab.browser("alice");
    let told = alice.sign_in().expect(403);
    assert!(told.text().contains("no_moodle_token"), "{}", told.text());
    assert_eq!((lab.launches(), alice.cookies("janua-moodle-campus-").len()), (0, 0));
    lab.gateway
        .logged(&["belongs to the route `administration`", "present = \\\"pass\\\""]);
}

#[test]
fn whoever_is_on_the_way_brings_the_token_to_the_gateway_whatever_the_route() {
    for more in [ELSEWHERE, CLOSED] {
        let lab = Lab::start(2);
        let alice = lab.browser("alice");
        alice.sign_in().expect(200);
        replace_routes(&lab, &more.replace("MOODLE", &lab.moodle.url()));
        alice.log_in("alice").expect(200);
        assert_eq!(alice.last().path(), "/_janua/me");
        alice.is_served_as("alice");
        lab.keeps_its_tokens();
    }
}

#[test]
fn no_other_way_to_ask_brings_it_to_the_browser() {
    let lab = Lab::start(2);
    let alice = lab.browser("alice");
    alice.sign_in().expect(200);
    let launch = alice.launch();
    let asked = lab.launches();
    let target = |url: &url::Url| url[url::Position::BeforePath..].to_owned();
    for method in ["HEAD", "POST"] {
        let told = alice.ask(Request::new(method, &target(&launch)));
        assert_eq!((told.status, told.header("allow")), (405, Some("GET")), "{method}");
    }
    assert_eq!(lab.launches(), asked);
    let (_, passport) = launch.query_pairs().find(|(name, _)| name == "passport").unwrap();
    let target = format!(
        "/admin/tool/mobile/launch.php/x?service=moodle_mobile_app&passport=0.1&+passport={passport}&urlscheme=moodlemobile"
    );
    let told = alice.step(&target).expect(303);
    assert!(told.header("location").unwrap().ends_with("/login/index.php"));
    let requests = lab.moodle.site().requests.clone();
    assert!(
        requests.iter().all(|(_, target, _)| !target.contains("launch.php/x")),
        "{requests:?}"
    );
    alice.log_in("alice").expect(200);
    alice.is_served_as("alice");
    lab.keeps_its_tokens();
}
