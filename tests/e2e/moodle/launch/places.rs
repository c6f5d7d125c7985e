//! The cookie by which Moodle leads a browser back goes from where Moodle has put it.

use super::lab::Lab;
use super::way::visit;
use crate::support::http::Response;

const GONE: &str = "tool_mobile_launch=deleted; Max-Age=0; Path=/; Domain=.moodle.test";

#[track_caller]
fn is_gone(answer: &Response) {
    let lines = answer.all("set-cookie");
    let last = lines
        .iter()
        .rposition(|line| line.starts_with("tool_mobile_launch=%7B"));
    let gone = lines.iter().position(|line| *line == GONE);
    assert!(gone.is_some() && gone > last, "{lines:?}");
    assert!(
        lines.contains(&"tool_mobile_launch=deleted; Max-Age=0; Path=/"),
        "{lines:?}"
    );
    let ids = answer.all("x-request-id");
    assert_eq!(ids.len(), 1, "{ids:?}");
}

#[test]
fn whatever_ends_a_way_takes_moodles_cookie_away() {
    let lab = Lab::start(2);
    lab.moodle.site().settings.session_cookie_domain = ".moodle.test".to_owned();
    let alice = lab.browser("alice");
    let form = alice.sign_in().expect(200);
    assert!(form.text().contains("Log in to the site"));
    let first = alice.step(alice.launch().as_str());
    // On the way it stays.
    let lines = first.all("set-cookie");
    assert!(
        lines.iter().any(|line| line.ends_with("domain=.moodle.test")),
        "{lines:?}"
    );
    assert!(!lines.contains(&GONE), "{lines:?}");
    assert_eq!(first.all("x-request-id").len(), 1);
    let launch = alice.launch();
    alice.log_in("bob").expect(403);
    // Somebody else.
    let other = alice.step(launch.as_str()).expect(403);
    is_gone(&other);
    assert!(!visit(&other.text()).is_empty());
    // A failure that Moodle tells itself.
    lab.moodle
        .site()
        .services
        .get_mut("moodle_mobile_app")
        .unwrap()
        .disabled = true;
    let failed = alice.step(launch.as_str()).expect(404);
    assert_eq!(failed.all("x-request-id").len(), 1);
    assert!(
        failed
            .all("set-cookie")
            .iter()
            .any(|line| line.starts_with("tool_mobile_launch=deleted"))
    );
    lab.moodle
        .site()
        .services
        .get_mut("moodle_mobile_app")
        .unwrap()
        .disabled = false;
    // Success.
    alice
        .cookies
        .lock()
        .unwrap()
        .retain(|(name, _)| name != "MoodleSession" && name != "tool_mobile_launch");
    alice.log_in("alice");
    is_gone(&alice.step(launch.as_str()).expect(303));
    alice.is_served_as("alice");
}

#[test]
fn a_page_to_sign_in_once_more_and_a_refusal_take_it_away() {
    let lab = Lab::start(1);
    lab.moodle.site().settings.session_cookie_domain = ".moodle.test".to_owned();
    let alice = lab.browser("alice");
    alice.log_in("alice");
    alice.step("/my/").expect(200);
    let page = alice.sign_in().expect(200);
    assert!(page.text().contains("once more"), "{}", page.text());
    is_gone(&page);
    let launch = alice.launch();
    alice.post("/_janua/sign-out", "");
    let over = alice.step(launch.as_str()).expect(400);
    // Moodle was not asked, and there is a way on.
    assert!(over.text().contains("sign_in_stale"), "{}", over.text());
    let link = format!("href=\"{}/my/\"", lab.origin);
    assert!(over.text().contains(&link), "{}", over.text());
    let lines = over.all("set-cookie");
    assert!(
        lines.contains(&"tool_mobile_launch=deleted; Max-Age=0; Path=/"),
        "{lines:?}"
    );
}
