//! One gateway, several names and several ways to sign in; and what an operator is told of it.

use serde_json::Value;

use super::campus::{PAGE, Plan, by_double, doubled, leads_to, parameter, planned, sign_in, start};
use crate::check_machine::{check, told};
use crate::sign_in::campus::{Visitor, target};
use crate::support::cas::query;
use crate::support::oidc::Reply;
use crate::support::oidc::double::Endpoint;
use crate::support::tools::janua;
use crate::support::{CasServer, OidcDouble, Request};

/// A page for those who came by either.
const EITHER: &str = r#"
[sign_in.guests.cas]
server = "{cas}"

[[routes]]
name     = "either"
path     = "/either/{*rest}"
upstream = "zoo"
accept   = ["session"]
sign_in  = ["campus", "guests"]
allow    = [{ signed_in = true }]
"#;

#[test]
fn a_person_chooses_between_openid_connect_and_cas() {
    let Some(cas) = CasServer::start() else { return };
    let Some(campus) = planned(Plan {
        more: EITHER.replace("{cas}", &cas.url()),
        ..Plan::default()
    }) else {
        return;
    };
    let visitor = campus.visitor();
    let choice = leads_to(&visitor.open("/either/x"));
    let page = visitor
        .open(choice.strip_prefix(&campus.origin()).unwrap())
        .expect(200)
        .text();
    let back = format!("{}/either/x", campus.origin());
    let link = |name: &str| format!("/_janua/sign-in?{}", query(&[("with", name), ("return", &back)]));
    for name in ["campus", "guests"] {
        assert!(page.contains(&link(name).replace('&', "&amp;")), "{page}");
    }
    sign_in(&visitor, &campus.provider.person("alice"), &link("campus")).expect(303);
    assert_eq!(visitor.me()["sign_in"], "campus");
    let before = visitor.session().unwrap();
    // By the other one she is somebody else, and the session before has ended.
    visitor.sign_in(&cas.person("alice"), &link("guests")).expect(303);
    assert_eq!(
        (&visitor.me()["sign_in"], &visitor.me()["user"]),
        (&"guests".into(), &"alice".into())
    );
    visitor.fetch("/app/x").expect(401);
    assert!(!campus.visitor_with(&before).is_signed_in());
}

/// A page at the gateway's other name.
const NAMED: &str = r#"
[[routes]]
name     = "named"
host     = "localhost"
path     = "/app/{*rest}"
upstream = "zoo"
accept   = ["session"]
sign_in  = "campus"
allow    = [{ signed_in = true }]
"#;

#[test]
fn a_callback_counts_at_the_host_where_it_began() {
    let campus = by_double(
        OidcDouble::start(),
        Plan {
            more: NAMED.to_owned(),
            ..Plan::default()
        },
    );
    let visitor = campus.visitor();
    let callback = campus.callback(&visitor, "alice", PAGE);
    let elsewhere = Visitor::called(&campus.gateway, "localhost");
    *elsewhere.cookies.lock().unwrap() = visitor.cookies.lock().unwrap().clone();
    elsewhere.open(target(&callback)).expect(400);
    assert!(!elsewhere.is_signed_in());
    visitor.open(target(&callback)).expect(303);
    // Each has an address of its own to come back to.
    let to = leads_to(&elsewhere.open("/app/x"));
    let back = parameter(&to, "redirect_uri").unwrap();
    assert!(back.starts_with("http://localhost:"), "{back}");
}

/// A provider lets nobody frame its form.
#[test]
fn a_page_in_a_frame_asks_silently_and_then_offers_a_tab() {
    let Some(campus) = start() else { return };
    let framed = |visitor: &Visitor| {
        let request = Request::get(PAGE)
            .header("Sec-Fetch-Mode", "navigate")
            .header("Sec-Fetch-Dest", "iframe")
            .header("Sec-Fetch-Site", "same-site");
        visitor.send(request)
    };
    let (alice, known) = (campus.provider.person("alice"), campus.visitor());
    sign_in(&known, &alice, PAGE).expect(303);
    for (person, status) in [(&alice, 200), (&campus.provider.person("bob"), 401)] {
        let visitor = campus.visitor();
        let to = leads_to(&framed(&visitor));
        assert_eq!(parameter(&to, "prompt").as_deref(), Some("none"), "{to}");
        visitor.open(target(&person.sign_in(&to))).expect(303);
        let page = framed(&visitor).expect(status).text();
        assert_eq!(page.contains("target=\"_blank\""), status == 401, "{page}");
    }
}

#[test]
fn an_explanation_names_the_way_and_no_secret() {
    let campus = doubled();
    let visitor = campus.signs_in("alice");
    let secret = visitor.session().unwrap();
    let config = campus.gateway.site.path("gateway.toml");
    let ask = |path: &str, headers: &[&str]| -> Value {
        let url = format!("{}{path}", campus.origin());
        let mut arguments = vec![
            "explain",
            "--config",
            config.to_str().unwrap(),
            "GET",
            &url,
            "--live",
            "--json",
        ];
        arguments.extend(headers.iter().flat_map(|header| ["--header", header]));
        let ran = janua(arguments);
        assert!(!ran.stdout.contains(&secret), "{ran:?}");
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
    };
    let told = ask("/staff/x", &[&format!("Cookie: janua={secret}")]);
    assert_eq!(told["outcome"], "allow", "{told}");
    let session = &told["credentials"][0]["session"];
    assert_eq!(
        (&session["sign_in"], &session["subject"]),
        (&"campus".into(), &"a.liddell".into())
    );
    let page = [
        "Sec-Fetch-Mode: navigate",
        "Sec-Fetch-Dest: document",
        "Accept: text/html",
    ];
    let told = ask(PAGE, &page);
    assert_eq!(
        (&told["status"], &told["action"]),
        (&303.into(), &"sign_in".into()),
        "{told}"
    );
    for endpoint in [
        "callback?state=x&code=y",
        "frontchannel-logout?iss=x&sid=y",
        "backchannel-logout",
    ] {
        let told = ask(&campus.endpoint(endpoint), &[]);
        assert_eq!(told["action"], "own", "{endpoint}: {told}");
    }
    assert!(visitor.is_signed_in());
}

#[test]
fn check_asks_the_provider_and_tells_what_to_register() {
    let campus = by_double(OidcDouble::start(), Plan::default());
    let site = campus.gateway.site.clone();
    let ask = || check(&site, &campus.config.text(), &[]);
    let ran = ask();
    assert!(ran.stdout.contains("has metadata, keys"), "{ran:?}");
    for endpoint in ["callback", "backchannel-logout"] {
        assert!(ran.stdout.contains(&campus.endpoint(endpoint)), "{endpoint}: {ran:?}");
    }
    campus.provider.answer(Endpoint::Keys, Reply::html(503));
    told(&ask(), 1, "BAD  sign_in campus", &["503"]);
    campus.provider.set_down(false);
    campus.provider.behave().discovery["issuer"] = "https://elsewhere.example".into();
    told(
        &ask(),
        1,
        "BAD  sign_in campus",
        &["https://elsewhere.example", "slashes"],
    );
}
