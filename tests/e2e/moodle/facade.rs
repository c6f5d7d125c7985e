//! People sign in at an OpenID provider, and Moodle, which knows CAS alone, asks the gateway as its CAS server.

use serde_json::json;
use url::Url;

use crate::people::{World, call, start};
use crate::sign_in::campus::target;
use crate::support::Request;
use crate::support::cas::query;

const FACADE: &str = "tokens = [\"cas-facade\"]\nfacade = { path = \"/_janua/cas-facade\", from = [\"127.0.0.1\"], attributes = \
                      [\"email\", \"groups\"] }\nusername = \"{preferred_username}\"";

/// A Moodle that asks the gateway, and people of `campus`.
fn world(more: &str) -> World {
    let world = start("people = \"campus\"", "", &format!("{FACADE}\n{more}"));
    let mut site = world.moodle.site();
    let root = site.settings.wwwroot.clone();
    site.settings.cas = Some(format!("{root}/_janua/cas-facade"));
    site.settings.cas_public = format!("{root}/_janua/cas-facade");
    drop(site);
    world.campus.behave().claims =
        json!({ "preferred_username": "anna", "email": "a&b@example.test", "groups": ["x", "y"] });
    world
}

fn login(world: &World, below: &str, more: &[(&str, &str)]) -> String {
    let service = format!("{}{below}", world.moodle.site().settings.wwwroot);
    let pairs: Vec<(&str, &str)> = [("service", service.as_str())]
        .into_iter()
        .chain(more.iter().copied())
        .collect();
    format!("/_janua/cas-facade/login?{}", query(&pairs))
}

fn ticket(location: &str) -> Option<String> {
    let url = Url::parse(location).unwrap();
    url.query_pairs()
        .find(|(name, _)| name == "ticket")
        .map(|(_, ticket)| ticket.into_owned())
}

#[test]
fn whoever_signed_in_by_openid_connect_gets_a_token_without_a_visit() {
    let world = world("");
    let visitor = world.signs_in("campus", "alice");
    let answer = call(&visitor).expect(200);
    assert_eq!(answer.json()["username"], "anna");
    assert_eq!(call(&visitor).expect(200).json()["username"], "anna");
    assert_eq!(world.moodle.site().made, 1);
}

#[test]
fn a_browser_signs_in_to_moodle_through_the_gateway() {
    let world = world("");
    let visitor = world.signs_in("campus", "alice");
    let page = login(&world, "/login/index.php?authCAS=CAS", &[]);
    let answer = visitor.open(&page).expect(303);
    let location = answer.header("location").unwrap().to_owned();
    let given = ticket(&location).expect("a ticket");
    let service = location.split("&ticket=").next().unwrap().to_owned();
    assert!(service.ends_with("/login/index.php?authCAS=CAS"), "{location}");
    let ask = |version: &str, service: &str, ticket: &str| {
        let path = format!(
            "/_janua/cas-facade/{version}?{}",
            query(&[("service", service), ("ticket", ticket)])
        );
        world.fetch(&path).expect(200).text()
    };
    let told = ask("p3/serviceValidate", &service, &given);
    assert!(told.contains("<cas:user>anna</cas:user>"), "{told}");
    assert!(told.contains("<cas:email>a&amp;b@example.test</cas:email>"), "{told}");
    assert!(
        told.contains("<cas:groups>x</cas:groups><cas:groups>y</cas:groups>"),
        "{told}"
    );
    assert!(
        ask("p3/serviceValidate", &service, &given).contains("INVALID_TICKET"),
        "it is good once"
    );
    assert!(
        ask("serviceValidate", &service, "ST-1-other").contains("INVALID_TICKET"),
        "there is no other server"
    );
    // A ticket for one address of Moodle's is none for another.
    let given = ticket(visitor.open(&page).expect(303).header("location").unwrap()).unwrap();
    let other = service.replace("index.php", "token.php");
    assert!(ask("serviceValidate", &other, &given).contains("INVALID_SERVICE"));
    assert!(
        ask("serviceValidate", &service, &given).contains("INVALID_TICKET"),
        "a wrong service burns it"
    );
}

#[test]
fn nobody_gets_a_ticket_without_a_session_or_for_another_address() {
    let world = world("never = [\"bob\"]");
    let nobody = world.nobody();
    let sent = nobody.open(&login(&world, "/login/index.php", &[])).expect(303);
    let location = sent.header("location").unwrap();
    assert!(location.starts_with(&world.campus.issuer()), "{location}");
    // Moodle asks first whether the browser is known.
    let back = nobody
        .open(&login(&world, "/login/index.php", &[("gateway", "true")]))
        .expect(303);
    let location = back.header("location").unwrap();
    assert!(location.ends_with("/login/index.php"), "{location}");
    let visitor = world.signs_in("campus", "alice");
    for service in [
        "https://evil.test/login/index.php",
        "//evil.test/",
        "javascript:alert(1)",
        "",
    ] {
        let answer = visitor.open(&format!("/_janua/cas-facade/login?{}", query(&[("service", service)])));
        assert_eq!(answer.status, 400, "{service}: {answer:?}");
    }
    // Who is asked for the password again comes back without that wish, and not in a circle.
    let renewed = visitor
        .open(&login(&world, "/login/index.php", &[("renew", "true")]))
        .expect(303);
    assert!(renewed.header("location").unwrap().starts_with(&world.campus.issuer()));
    world.campus.behave().claims = json!({ "preferred_username": "bob" });
    let bob = world.signs_in("campus", "bob");
    // The gateway never becomes somebody in `never`, for nobody.
    assert_eq!(bob.open(&login(&world, "/login/index.php", &[])).status, 403);
    call(&bob).refused(403, "no_moodle_token");
}

#[test]
fn signing_out_of_moodle_asks_what_is_to_end() {
    let world = world("");
    let visitor = world.signs_in("campus", "alice");
    let root = world.moodle.site().settings.wwwroot.clone();
    let page = format!(
        "/_janua/cas-facade/logout?{}",
        query(&[("service", &format!("{root}/"))])
    );
    let answer = visitor.open(&page).expect(303);
    let asked = visitor
        .open(target(&Url::parse(answer.header("location").unwrap()).unwrap()))
        .expect(200);
    assert!(asked.text().contains("Sign out"), "{}", asked.text());
    // With `no-referrer` old browsers would send the form with `Origin: null`, and it would be refused.
    assert_eq!(asked.header("referrer-policy"), Some("strict-origin"));
    visitor.fetch("/either/x").expect(200);
    let elsewhere = format!(
        "/_janua/cas-facade/logout?{}",
        query(&[("service", "https://evil.test/")])
    );
    let answer = visitor.open(&elsewhere).expect(303);
    assert!(!answer.header("location").unwrap().contains("evil"));
}

#[test]
fn a_ticket_is_carried_to_moodle_by_the_browser_that_it_was_made_for_alone() {
    let world = world("");
    let visitor = world.signs_in("campus", "alice");
    let page = login(&world, "/login/index.php?authCAS=CAS", &[]);
    let location = visitor.open(&page).expect(303).header("location").unwrap().to_owned();
    let address = Url::parse(&location).unwrap();
    // Whoever is led there with somebody else's ticket would work in that person's account.
    for other in [world.nobody(), world.signs_in("campus", "bob")] {
        let answer = other.open(target(&address)).expect(303);
        let on = answer.header("location").unwrap();
        assert!(on.ends_with("/login/index.php?authCAS=CAS"), "{on}");
    }
    // The person's own browser goes on to Moodle, for whose pages this world has no route.
    visitor.open(target(&address)).expect(404);
}

#[test]
fn only_a_page_load_signs_in_to_moodle_and_not_endlessly() {
    let world = world("");
    let visitor = world.signs_in("campus", "alice");
    let page = login(&world, "/login/index.php", &[]);
    for (mode, dest) in [("no-cors", "image"), ("cors", "empty"), ("no-cors", "script")] {
        let request = Request::get(&page)
            .header("Sec-Fetch-Mode", mode)
            .header("Sec-Fetch-Dest", dest)
            .header("Sec-Fetch-Site", "same-origin");
        assert_eq!(visitor.send(request).status, 403, "{dest}");
    }
    let statuses: Vec<u16> = (0..30).map(|_| visitor.open(&page).status).collect();
    assert!(statuses.contains(&429), "{statuses:?}");
    assert!(statuses.starts_with(&[303, 303, 303]), "{statuses:?}");
}

#[test]
fn signing_out_takes_the_session_at_moodle_with_it() {
    let world = world("");
    let visitor = world.signs_in("campus", "alice");
    let request = Request::new("POST", "/_janua/sign-out")
        .header("Sec-Fetch-Site", "same-origin")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Cookie", "MoodleSession=abc; MoodleSessionlms=def; other=1");
    let answer = visitor.send(request).expect(200);
    let set: Vec<String> = answer
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"))
        .map(|(_, value)| value.clone())
        .collect();
    for name in ["MoodleSession", "MoodleSessionlms"] {
        let gone = format!("{name}=; Path=/; Max-Age=0");
        assert!(set.iter().any(|line| line.starts_with(&gone)), "{set:?}");
    }
    assert!(!set.iter().any(|line| line.starts_with("other")), "{set:?}");
}
