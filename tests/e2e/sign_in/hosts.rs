//! One gateway with two names: each has its own cookie, callback and origin.

use super::campus::{Campus, PAGE, Plan, target};
use crate::support::{Request, eventually};

fn start() -> Option<Campus> {
    let named = r#"
[[routes]]
name     = "named"
host     = "localhost"
path     = "/app/{*rest}"
upstream = "zoo"
accept   = ["session"]
sign_in  = "campus"
allow    = [{ signed_in = true }]
"#;
    Campus::planned(Plan {
        more: named.to_owned(),
        ..Plan::default()
    })
}

#[test]
fn each_host_has_its_own_cookie_and_callback() {
    let Some(campus) = start() else { return };
    let alice = campus.cas.person("alice");
    let (by_number, by_name) = (campus.visitor(), campus.visitor_of_localhost());
    by_number.sign_in(&alice, PAGE).expect(303);
    let named = campus.origin().replace("127.0.0.1", "localhost");
    // No form is filled in for the second one: the server knows her.
    let to_cas = by_name.open(PAGE).expect(303);
    let back = alice.look(to_cas.header("location").unwrap()).expect(302);
    let callback: url::Url = back.header("location").unwrap().parse().unwrap();
    assert_eq!(callback.origin().ascii_serialization(), named);
    let on = by_name.open(target(&callback)).expect(303);
    assert_eq!(on.header("location"), Some(&*format!("{named}{PAGE}")));
    assert!(by_name.is_signed_in() && by_number.is_signed_in());
    assert_ne!(by_name.session(), by_number.session());
    // Signing out at one of them is for that one.
    by_name.post("/_janua/sign-out", "").expect(200);
    assert!(!by_name.is_signed_in());
    assert!(by_number.is_signed_in());
    // At the server it is for both.
    by_name.sign_in(&alice, PAGE).expect(303);
    alice.sign_out();
    eventually("both have ended", || {
        (!by_name.is_signed_in() && !by_number.is_signed_in()).then_some(())
    });
}

#[test]
fn a_callback_counts_at_the_host_where_it_began() {
    let Some(campus) = start() else { return };
    let visitor = campus.visitor();
    let callback = visitor.callback(&campus.cas.person("alice"), PAGE);
    let elsewhere = campus.visitor_of_localhost();
    *elsewhere.cookies.lock().unwrap() = visitor.cookies.lock().unwrap().clone();
    elsewhere.open(target(&callback)).expect(400);
    assert!(!elsewhere.is_signed_in());
    visitor.open(target(&callback)).expect(303);
}

#[test]
fn the_other_host_is_another_origin() {
    let Some(campus) = start() else { return };
    let (visitor, named) = (campus.visitor(), campus.origin().replace("127.0.0.1", "localhost"));
    visitor.sign_in(&campus.cas.person("alice"), PAGE).expect(303);
    let post = |origin: &str| visitor.send(Request::new("POST", "/app/x").header("Origin", origin).body(""));
    post(&campus.origin()).expect(200);
    post(&named).refused(403, "cross_site");
}
