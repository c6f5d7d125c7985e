//! Two gateways on one Valkey are one to everybody.

use std::time::{Duration, Instant};

use serde_json::json;

use super::campus::{Campus, PAGE, Plan, by_double, callback, planned, sign_in};
use crate::sign_in::campus::{Visitor, target};
use crate::support::cas::query;
use crate::support::{Config, Gateway, OidcDouble, Request, Site, Valkey};

/// 32 bytes, the same for all.
const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";

const BELIEVED: Duration = Duration::from_secs(5);

fn plan(valkey: &Valkey) -> Plan {
    let site = Site::new();
    let key = site.write("master.key", MASTER_KEY);
    let config = Config::new()
        .set("state", "store", "\"valkey\"")
        .set("state", "url", &format!("{:?}", valkey.url()))
        .set("state", "key_file", &format!("{key:?}"));
    Plan {
        site,
        config,
        ..Plan::default()
    }
}

/// A gateway believes what it knows for five seconds after it has `asked` the store: earlier than that it can only have
/// been told.
fn forgets(visitor: &Visitor, asked: Instant) {
    while visitor.is_signed_in() {
        assert!(asked.elapsed() < BELIEVED, "nobody has told this replica");
    }
}

#[test]
fn signed_in_at_one_is_signed_in_at_the_other_and_signed_out_at_both() {
    let Some(valkey) = Valkey::start() else { return };
    let Some(campus) = planned(plan(&valkey)) else { return };
    let replica = campus.replica();
    let (alice, visitor) = (campus.provider.person("alice"), campus.visitor());
    sign_in(&visitor, &alice, PAGE).expect(303);
    let there = visitor.at(&replica);
    let asked = Instant::now();
    assert!(visitor.is_signed_in() && there.is_signed_in());
    assert_eq!(there.me()["user"], "a.liddell");
    there.post("/_janua/sign-out", "").expect(200);
    forgets(&visitor, asked);

    // Begun here, come back there.
    let here = campus.visitor();
    let back = callback(&here, &alice, PAGE);
    let there = here.at(&replica);
    there.open(target(&back)).expect(303);
    let asked = Instant::now();
    assert!(there.is_signed_in());
    // The provider tells the one that it knows by name.
    alice.sign_out();
    forgets(&there, asked);
}

fn tell(campus: &Campus<OidcDouble>, gateway: &Gateway, token: &str) -> u16 {
    let request = Request::new("POST", &campus.endpoint("backchannel-logout"))
        .host(&campus.gateway.http().to_string())
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(query(&[("logout_token", token)]));
    gateway.send(request).status
}

#[test]
fn what_one_is_told_counts_at_the_other() {
    let Some(valkey) = Valkey::start() else { return };
    let campus = by_double(OidcDouble::start(), plan(&valkey));
    let replica = campus.replica();
    // A logout at one before the session is stored at the other.
    let visitor = campus.visitor();
    let callback = campus.callback(&visitor, "alice", PAGE);
    let token = campus.provider.logout_token("alice", &json!({}));
    assert_eq!(tell(&campus, &replica, &token), 200);
    visitor.open(target(&callback));
    assert!(!visitor.is_signed_in());
    // And a token that one has taken is used up at the other.
    assert_eq!(tell(&campus, &campus.gateway, &token), 400);
}

#[test]
fn a_callback_signs_in_once_at_all_of_them() {
    let Some(valkey) = Valkey::start() else { return };
    let campus = by_double(OidcDouble::start(), plan(&valkey));
    let replica = campus.replica();
    let visitor = campus.visitor();
    let callback = campus.callback(&visitor, "alice", PAGE);
    let thief = visitor.at(&replica);
    visitor.open(target(&callback)).expect(303);
    // The provider takes a code once, whoever brings it.
    let page = thief.open(target(&callback));
    assert!(page.status >= 400, "{page:?}");
    assert!(!thief.is_signed_in());
}
