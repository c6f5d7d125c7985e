//! What a sign-in may be told to do otherwise: other protocols and names, several to choose from, asking silently,
//! asking for the password again.

use super::campus::{Campus, GUESTS, PAGE, Plan, Visitor, target};
use crate::support::Request;
use crate::support::cas::query;

fn with_cas(lines: &str) -> Option<Campus> {
    Campus::planned(Plan {
        cas: lines.to_owned(),
        ..Plan::default()
    })
}

#[test]
fn older_protocols_tell_who_it_is() {
    for protocol in [1, 2] {
        let Some(campus) = with_cas(&format!("protocol = {protocol}")) else {
            return;
        };
        let visitor = campus.visitor();
        visitor.sign_in(&campus.cas.person("alice"), PAGE).expect(303);
        visitor.open(PAGE).expect(200);
        let me = visitor.me();
        assert_eq!((&me["user"], &me["sign_in"]), (&"alice".into(), &"campus".into()));
    }
}

#[test]
fn an_attribute_may_be_the_name() {
    let Some(campus) = with_cas("username = \"uid\"") else {
        return;
    };
    let visitor = campus.visitor();
    visitor.sign_in(&campus.cas.person("alice"), PAGE).expect(303);
    assert_eq!(visitor.me()["user"], "a.liddell");
    // Whoever has no such attribute is nobody here.
    let callback = campus.visitor().callback(&campus.cas.person("carol"), PAGE);
    let carol = campus.visitor();
    carol.open(target(&callback)).expect(400);
    let refused = carol.sign_in(&campus.cas.person("carol"), PAGE).expect(403);
    assert_eq!(refused.header("location"), None, "no loop");
    assert!(!carol.is_signed_in());
    assert_eq!(
        campus
            .gateway
            .metric("janua_sign_ins_total{outcome=\"no_username\",sign_in=\"campus\"}"),
        Some(1.0)
    );
}

#[test]
fn of_several_sign_ins_a_person_chooses_one() {
    let either = "\n[[routes]]\nname = \"either\"\npath = \"/either/{*rest}\"\nupstream = \"zoo\"\naccept = [\"session\"]\n\
                  sign_in = [\"campus\", \"guests\"]\nallow = [{ signed_in = true }]\n";
    let Some(campus) = Campus::planned(Plan {
        more: format!("{GUESTS}{either}"),
        ..Plan::default()
    }) else {
        return;
    };
    let (alice, visitor) = (campus.cas.person("alice"), campus.visitor());
    let to_choice = visitor.open("/either/x?y=%20").expect(303);
    let choice = to_choice
        .header("location")
        .unwrap()
        .strip_prefix(&campus.origin())
        .unwrap();
    let page = visitor.open(choice).expect(200).text();
    let back = format!("{}/either/x?y=%20", campus.origin());
    for sign_in in ["campus", "guests"] {
        let link = format!("/_janua/sign-in?{}", query(&[("with", sign_in), ("return", &back)]));
        assert!(page.contains(&link.replace('&', "&amp;")), "{link} in {page}");
    }
    let link = format!("/_janua/sign-in?{}", query(&[("with", "guests"), ("return", &back)]));
    let answer = visitor.sign_in(&alice, &link).expect(303);
    assert_eq!(answer.header("location"), Some(&*back));
    visitor.fetch("/either/x").expect(200);
    assert_eq!(visitor.me()["sign_in"], "guests");
    visitor.fetch("/app/x").expect(401);
    // Both are told to who cannot choose.
    let told = campus.visitor().fetch("/either/x").expect(401).json();
    assert_eq!(
        told["sign_in"],
        format!("{}/_janua/sign-in?with=campus&with=guests", campus.origin())
    );
}

/// Open to everybody, and it tells the upstream who it is.
const OPEN: &str = "\n[[routes]]\nname = \"open\"\npath = \"/open/{*rest}\"\nupstream = \"zoo\"\naccept = [\"session\"]\n\
                    sign_in = \"campus\"\nallow = [{ signed_in = true }, { anyone = true }]\n";

#[test]
fn a_passive_sign_in_asks_once_and_goes_on_as_nobody() {
    let Some(campus) = Campus::planned(Plan {
        cas: "passive = true".to_owned(),
        more: OPEN.to_owned(),
        ..Plan::default()
    }) else {
        return;
    };
    let visitor = campus.visitor();
    let stranger = campus.cas.person("alice");
    let to_cas = visitor.open("/open/x?a=%2F").expect(303);
    let to_cas = to_cas.header("location").unwrap();
    assert!(to_cas.contains("gateway=true"), "{to_cas}");
    let back = stranger.look(to_cas).expect(302);
    let callback: url::Url = back.header("location").unwrap().parse().unwrap();
    let on = visitor.open(target(&callback)).expect(303);
    assert_eq!(
        on.header("location"),
        Some(&*format!("{}/open/x?a=%2F", campus.origin()))
    );
    visitor.open("/open/x?a=%2F").expect(200);
    visitor.fetch("/open/x").expect(200);
    assert_eq!(visitor.me()["signed_in"], false);
    // Where nobody may go, the question is not silent any more.
    let to_cas = visitor.open(PAGE).expect(303);
    assert!(!to_cas.header("location").unwrap().contains("gateway="), "{to_cas:?}");
}

#[test]
fn a_passive_sign_in_knows_who_is_known_to_the_server() {
    let Some(campus) = Campus::planned(Plan {
        cas: "passive = true".to_owned(),
        more: OPEN.to_owned(),
        ..Plan::default()
    }) else {
        return;
    };
    let (alice, visitor) = (campus.cas.person("alice"), campus.visitor());
    alice.ticket(&format!("{}/elsewhere", campus.origin()));
    let to_cas = visitor.open("/open/x").expect(303);
    let back = alice.look(to_cas.header("location").unwrap()).expect(302);
    let callback: url::Url = back.header("location").unwrap().parse().unwrap();
    visitor.open(target(&callback)).expect(303);
    visitor.open("/open/x").expect(200);
    assert_eq!(visitor.me()["user"], "alice");
}

#[test]
fn a_sign_in_that_renews_takes_no_ticket_without_a_password() {
    let Some(campus) = with_cas("renew = true") else { return };
    let (alice, visitor) = (campus.cas.person("alice"), campus.visitor());
    visitor.sign_in(&alice, PAGE).expect(303);
    assert!(visitor.is_signed_in());
    // The server knows her by now, and asks again all the same.
    let other = campus.visitor();
    let to_cas = other.open(PAGE).expect(303);
    let login: url::Url = to_cas.header("location").unwrap().parse().unwrap();
    alice.look(login.as_str()).expect(200);
    let service = login.query_pairs().find(|(name, _)| name == "service").unwrap().1;
    let ticket = alice.ticket(&service);
    let callback = format!("{service}&{}", query(&[("ticket", &ticket)]));
    other.open(target(&callback.parse().unwrap())).expect(403);
    assert!(!other.is_signed_in());
}

/// A CAS server lets nobody frame its form.
#[test]
fn a_page_in_a_frame_asks_silently_and_then_offers_a_tab() {
    let Some(campus) = Campus::start() else { return };
    let open = |visitor: &Visitor, site: &str, page: &str| {
        let request = Request::get(page).header("Sec-Fetch-Mode", "navigate");
        let request = request.header("Sec-Fetch-Dest", "iframe");
        visitor.send(request.header("Sec-Fetch-Site", site))
    };
    let framed = |visitor: &Visitor, site: &str| open(visitor, site, PAGE);
    let to_cas = |visitor: &Visitor| -> String {
        let told = framed(visitor, "same-site").expect(303);
        told.header("location").unwrap().to_owned()
    };
    // Whom the server knows comes in without a page.
    let (alice, known) = (campus.cas.person("alice"), campus.visitor());
    known.sign_in(&alice, PAGE).expect(303);
    let known = campus.visitor();
    let back = alice.look(&to_cas(&known)).expect(302);
    let back: url::Url = back.header("location").unwrap().parse().unwrap();
    known.open(target(&back)).expect(303);
    framed(&known, "same-site").expect(200);
    // Whom it does not know gets a button for a tab of its own, and so does a frame of another site.
    let nobody = campus.visitor();
    let back = campus.cas.person("bob").look(&to_cas(&nobody)).expect(302);
    let back: url::Url = back.header("location").unwrap().parse().unwrap();
    nobody.open(target(&back)).expect(303);
    let whole = format!("{}{PAGE}", campus.origin());
    let button = format!("/_janua/sign-in?{}", query(&[("with", "campus"), ("return", &whole)]));
    for (visitor, site) in [(&nobody, "same-site"), (&campus.visitor(), "cross-site")] {
        let page = framed(visitor, site).expect(401).text();
        let link = format!(
            "{}{}\" target=\"_blank\"",
            campus.origin(),
            button.replace('&', "&amp;")
        );
        assert!(page.contains(&link), "{link} in {page}");
        // So does a link to the sign-in itself.
        let page = open(visitor, site, &button).expect(401).text();
        assert!(page.contains(&link), "{link} in {page}");
    }
    let told = open(&campus.visitor(), "same-origin", &button).expect(303);
    assert!(told.header("location").unwrap().contains("gateway=true"));
}
