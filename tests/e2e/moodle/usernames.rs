//! What a session's claims make of a name in Moodle, by `moodle.username` and `username_domain`.

use serde_json::{Value, json};

use crate::people::{World, call, start};

const ALICES: &str = "45e8d5226f8d38cf5f15767e0d057351";
const BOBS: &str = "996b812db30ecedd90cedcbaffe95536";

/// Names are addresses at one domain; what `moodle` says besides.
const BY_MAIL: &str = "username = \"{email}\"\nusername_domain = \"example.test\"";

/// Both accounts have a token. `alice` is whoever has this e-mail address.
fn world(moodle: &str) -> World {
    let world = start("", "", moodle);
    for (name, token) in [("alice", ALICES), ("bob", BOBS)] {
        world.moodle.site().give(token, name, "moodle_mobile_app");
        world.import(name, token);
    }
    world
}

/// What Moodle calls who signs in as alice with these claims; `Err`: the gateway's reason.
fn named(world: &World, claims: Value) -> Result<String, String> {
    world.campus.behave().claims = claims;
    let answer = call(&world.signs_in("campus", "alice"));
    match answer.status {
        200 => Ok(answer.json()["username"].as_str().unwrap().to_owned()),
        _ => Err(answer.refused(403, "no_moodle_token").reason()),
    }
}

#[test]
fn an_address_at_the_one_domain_is_a_name_and_no_other_is() {
    let world = world(BY_MAIL);
    for mail in ["alice@example.test", "Alice@Example.Test"] {
        assert_eq!(
            named(&world, json!({ "email": mail })).as_deref(),
            Ok("alice"),
            "{mail}"
        );
    }
    assert_eq!(
        named(&world, json!({ "email": "bob@example.test" })).as_deref(),
        Ok("bob")
    );
    for mail in [
        json!("bob"),
        json!("bob@other.test"),
        json!("bob@sub.example.test"),
        json!("bob@example.test.other.test"),
        json!("bob@other.test@example.test"),
        json!(["bob@example.test", "alice@example.test"]),
    ] {
        assert!(named(&world, json!({ "email": mail })).is_err(), "{mail}");
    }
}

#[test]
fn an_address_that_is_not_its_owners_names_nobody() {
    let world = world(BY_MAIL);
    for confirmed in [json!(false), json!("false"), json!("no")] {
        let claims = json!({ "email": "bob@example.test", "email_verified": confirmed });
        assert!(named(&world, claims).is_err(), "{confirmed}");
    }
}

#[test]
fn who_never_gets_a_token_is_known_by_the_name_in_moodle() {
    let world = world(&format!("{BY_MAIL}\nnever = [\"bob\"]"));
    assert!(named(&world, json!({ "email": "Bob@Example.Test" })).is_err());
    assert_eq!(
        named(&world, json!({ "email": "alice@example.test" })).as_deref(),
        Ok("alice")
    );
}

#[test]
fn what_stands_around_the_braces_is_part_of_the_name() {
    let world = world("username = \"al{number}\"");
    assert_eq!(named(&world, json!({ "number": "ICE" })).as_deref(), Ok("alice"));
    for odd in ["ice ", "ïce", "ice'--", "\u{131}ce"] {
        assert!(named(&world, json!({ "number": odd })).is_err(), "{odd}");
    }
}
