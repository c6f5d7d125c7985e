//! The search for secrets finds what is planted, wherever that is.

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::support::gateway::LOG_FILE;
use crate::support::secrets::{Kind, Secrets, hold, register};
use crate::support::{Config, Gateway, Site};

/// A secret that nobody else has.
fn fresh() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// A folder with room for a log.
fn site() -> Site {
    let site = Site::new();
    std::fs::create_dir_all(site.path(LOG_FILE).parent().unwrap()).unwrap();
    site
}

/// What it panics with.
fn panics(what: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(what)).expect_err("it passes");
    panic.downcast_ref::<String>().expect("a message").clone()
}

#[test]
fn one_secret_among_thousands_is_found_with_its_line_and_not_told() {
    let mut secrets = Secrets::default();
    for _ in 0..5000 {
        secrets.add(Kind::Session, &fresh());
    }
    // Secrets that begin alike, as private tokens of one prefix might.
    secrets.add(Kind::Moodle, "abcdefabcdef0000000000000001");
    secrets.add(Kind::Ticket, "abcdefabcdef0000000000000002");
    let text = |planted: &str| {
        format!(
            "{}a line with {planted} in it\n{}",
            "nothing\n".repeat(5000),
            "é\n".repeat(5000)
        )
    };
    assert_eq!(secrets.find(&text("abcdefabcdef000000000000000"), |_| true), None);
    let planted = text("abcdefabcdef0000000000000002");
    let line = "a line with <<abcd…>> in it".to_owned();
    assert_eq!(secrets.find(&planted, |_| true), Some((Kind::Ticket, line)));
    assert_eq!(secrets.find(&planted, |kind| kind == Kind::Moodle), None);
}

#[test]
fn what_looks_like_a_ticket_is_found_unregistered() {
    let ticket = format!("ST-{}", fresh());
    assert!(panics(|| hold("a text", &format!("path=\"/x\" ticket={ticket}\n"))).contains("a ticket in a text"));
    hold(
        "a text",
        "ST-1 and BEST-practice, PT-boats; LST-0123456789012345678901234567890\n",
    );
}

#[test]
fn a_gateway_that_has_written_a_secret_fails_its_test_at_its_end() {
    let secret = fresh();
    register(Kind::Moodle, &secret);
    let config = || Config::new().open_route().set("log", "file", &format!("{LOG_FILE:?}"));
    let plant = |gateway: &Gateway| {
        let mut log = std::fs::OpenOptions::new()
            .append(true)
            .open(gateway.site.path(LOG_FILE))
            .unwrap();
        writeln!(log, "a careless line: token={secret}").unwrap();
    };
    let gateway = site().start(&config());
    plant(&gateway);
    let told = panics(|| drop(gateway));
    assert!(
        told.contains("(Moodle) in the log") && told.contains("a careless line"),
        "{told}"
    );
    assert!(!told.contains(&secret));
    let gateway = site().start(&config());
    plant(&gateway);
    assert!(panics(|| gateway.stop()).contains("in the log"));
    site().start(&config()).stop();
}

#[test]
fn a_key_of_the_gateways_own_is_a_secret_too() {
    let config =
        Config::new()
            .open_route()
            .set("state", "store", r#""embedded""#)
            .set("log", "file", &format!("{LOG_FILE:?}"));
    let gateway = site().start(&config);
    let key = std::fs::read_to_string(gateway.site.path("state/master.key")).unwrap();
    let mut log = std::fs::OpenOptions::new()
        .append(true)
        .open(gateway.site.path(LOG_FILE))
        .unwrap();
    writeln!(log, "{}", key.trim()).unwrap();
    assert!(panics(|| drop(gateway)).contains("(PrivateKey) in the log"));
}
