//! What a provider answers, in the browser and to the gateway: where it counts, and where it is too much, too late or
//! something else.

use std::time::{Duration, Instant};

use serde_json::json;

use super::campus::{PAGE, Plan, by_double, doubled, doubled_with, leads_to};
use crate::sign_in::campus::target;
use crate::support::OidcDouble;
use crate::support::oidc::Reply;
use crate::support::oidc::double::Endpoint;

const OF_SIGN_IN: [Endpoint; 4] = [Endpoint::Discovery, Endpoint::Keys, Endpoint::Token, Endpoint::Userinfo];

/// All of [`OF_SIGN_IN`] are asked.
fn asking_userinfo() -> Plan {
    Plan {
        oidc: "userinfo = \"always\"".to_owned(),
        ..Plan::default()
    }
}

/// Apereo CAS says each parameter twice when it refuses.
#[test]
fn a_parameter_may_stand_twice_and_say_the_same() {
    let campus = doubled_with("passive = true");
    let visitor = campus.visitor();
    let to = leads_to(&visitor.open("/open/x"));
    let callback = campus.provider.refuse(&to, "login_required");
    let doubled = format!("{callback}&{}", callback.query().unwrap());
    let on = visitor.open(target(&doubled.parse().unwrap())).expect(303);
    assert_eq!(on.header("location"), Some(&*format!("{}/open/x", campus.origin())));
    let visitor = campus.visitor();
    let callback = campus.callback(&visitor, "alice", PAGE);
    let doubled = format!("{callback}&{}", callback.query().unwrap());
    visitor.open(target(&doubled.parse().unwrap())).expect(303);
    assert!(visitor.is_signed_in());
}

#[test]
fn a_parameter_that_says_two_things_says_nothing() {
    let campus = doubled();
    for end in ["&code=other", "&state=other", "&iss=https%3A%2F%2Fevil.test", "&code="] {
        campus.provider.behave().callback_end = end.to_owned();
        let visitor = campus.visitor();
        let callback = campus.callback(&visitor, "alice", PAGE);
        let page = visitor.open(target(&callback));
        assert!(page.status >= 400, "{end}: {page:?}");
        assert!(!visitor.is_signed_in(), "{end}");
    }
    assert_eq!(campus.provider.asked(Endpoint::Token).len(), 0);
}

/// RFC 9207 section 2.4.
#[test]
fn the_issuer_of_an_answer_is_checked() {
    let campus = doubled();
    let issuer = campus.provider.issuer();
    for iss in ["", "https://evil.test", &format!("{issuer}/"), &issuer.to_uppercase()] {
        campus.provider.behave().callback = vec![("iss", iss.to_owned())];
        campus.refuses_somebody("mix_up");
    }
    assert_eq!(campus.provider.asked(Endpoint::Token).len(), 0);
    // An error is refused whosever it is.
    let visitor = campus.visitor();
    let callback = campus.provider.refuse(&leads_to(&visitor.open(PAGE)), "access_denied");
    visitor.open(target(&callback)).expect(403);
    assert!(!visitor.is_signed_in());
}

#[test]
fn an_answer_without_an_issuer_counts_where_none_is_announced() {
    let double = OidcDouble::start();
    let issuer = double.issuer();
    double.behave().discovery["authorization_response_iss_parameter_supported"] = json!(null);
    let campus = by_double(double, Plan::default());
    campus.signs_in("alice");
    campus.provider.behave().callback = vec![("iss", issuer)];
    campus.signs_in("alice");
    campus.provider.behave().callback = vec![("iss", "https://evil.test".to_owned())];
    campus.refuses_somebody("mix_up");
}

#[test]
fn errors_of_the_provider_are_pages() {
    let campus = doubled();
    for (error, outcome) in [
        ("access_denied", "denied"),
        ("server_error", "provider_error"),
        ("temporarily_unavailable", "provider_error"),
        ("invalid_scope", "provider_error"),
        // Nobody is there, and somebody has to be: as if there was no code.
        ("login_required", "no_ticket"),
        ("made_up", "provider_error"),
    ] {
        let before = campus.outcomes(outcome);
        let visitor = campus.visitor();
        let callback = campus.provider.refuse(&leads_to(&visitor.open(PAGE)), error);
        let page = visitor.open(target(&callback));
        assert!([400, 403, 502].contains(&page.status), "{error}: {page:?}");
        assert_eq!(page.header("location"), None, "{error}");
        assert_eq!(
            campus.outcomes(outcome),
            before + 1.0,
            "{error}: {:?}",
            campus.all_outcomes()
        );
        assert!(!visitor.is_signed_in(), "{error}");
        // The page has a way to begin again.
        let text = page.text();
        assert!(
            text.contains("/_janua/sign-in?") || text.contains("<button"),
            "{error}: {text}"
        );
    }
}

#[test]
fn a_passive_sign_in_takes_any_error_for_nobody() {
    let campus = doubled_with("passive = true");
    for error in [
        "login_required",
        "consent_required",
        "interaction_required",
        "server_error",
        "made_up",
    ] {
        let visitor = campus.visitor();
        let callback = campus.provider.refuse(&leads_to(&visitor.open("/open/x")), error);
        let on = visitor.open(target(&callback)).expect(303);
        assert_eq!(
            on.header("location"),
            Some(&*format!("{}/open/x", campus.origin())),
            "{error}"
        );
        visitor.open("/open/x").expect(200);
    }
}

#[test]
fn a_callback_without_anything_is_a_page() {
    let campus = doubled();
    let visitor = campus.visitor();
    visitor.open(PAGE);
    for query in ["", "?", "?code=x", "?error=access_denied", "?state="] {
        let page = visitor
            .open(&format!("{}{query}", campus.endpoint("callback")))
            .expect(400);
        assert_eq!(page.header("location"), None, "{query}");
    }
    // With a state that is good, and neither a code nor an error.
    let to = leads_to(&visitor.open(PAGE));
    let state = super::campus::parameter(&to, "state").unwrap();
    let bare = format!("{}{}?state={state}", campus.origin(), campus.endpoint("callback"));
    campus.refuses(&visitor, &bare.parse().unwrap(), "no_ticket");
}

#[test]
fn an_error_of_the_token_endpoint_counts_whatever_its_status() {
    let campus = doubled();
    for (code, outcome) in [("invalid_grant", "invalid_code"), ("invalid_client", "provider_error")] {
        let error = json!({ "error": code, "error_description": "<b>no</b>" });
        for status in [200, 400, 401, 500] {
            campus.provider.answer(Endpoint::Token, Reply::json(status, &error));
            campus.refuses_somebody(outcome);
            let page = Reply::new(status, "text/html; charset=UTF-8", error.to_string());
            campus.provider.answer(Endpoint::Token, page);
            campus.refuses_somebody(outcome);
        }
    }
    // Beside a token as well.
    campus.provider.set_down(false);
    campus.provider.behave().token = json!({ "error": "invalid_grant" });
    campus.refuses_somebody("invalid_code");
}

#[test]
fn an_answer_of_the_token_endpoint_that_is_none() {
    let campus = doubled();
    for reply in [
        Reply::html(200),
        Reply::html(502),
        Reply::new(200, "application/json", ""),
        Reply::new(200, "application/json", "{"),
        Reply::new(200, "application/json", "[]"),
        Reply::json(200, &json!({})),
        Reply::json(200, &json!({ "access_token": "x", "token_type": "Bearer" })),
        Reply::json(200, &json!({ "id_token": 7 })),
        Reply::new(204, "application/json", ""),
        Reply::new(200, "application/json", "[".repeat(100_000)),
    ] {
        campus.provider.answer(Endpoint::Token, reply);
        campus.refuses_somebody("bad_answer");
    }
}

/// Every answer is bounded: in its size, and in the time that it takes.
#[test]
fn an_answer_of_64_mebibytes_is_too_much() {
    for endpoint in OF_SIGN_IN {
        let double = OidcDouble::start();
        double.answer(endpoint, Reply::huge());
        let campus = by_double(double, asking_userinfo());
        let before = campus.gateway.memory("VmRSS");
        let visitor = campus.visitor();
        let mut page = visitor.open(PAGE);
        if endpoint != Endpoint::Discovery {
            let callback = campus.provider.authorize(&leads_to(&page), "alice");
            page = visitor.open(target(&callback));
        }
        assert!([403, 502].contains(&page.status), "{endpoint:?}: {page:?}");
        assert_eq!(page.header("location"), None, "{endpoint:?}");
        assert!(!visitor.is_signed_in());
        let grown = campus.gateway.memory("VmRSS").saturating_sub(before);
        assert!(grown < 32 << 20, "{endpoint:?}: {grown} bytes");
    }
}

#[test]
fn an_answer_that_does_not_come_is_not_waited_for() {
    for endpoint in OF_SIGN_IN {
        for reply in [Reply::never(), Reply::halfway()] {
            let double = OidcDouble::start();
            double.answer(endpoint, reply);
            let campus = by_double(double, asking_userinfo());
            let visitor = campus.visitor();
            let begun = Instant::now();
            let mut page = visitor.open(PAGE);
            if endpoint != Endpoint::Discovery {
                let callback = campus.provider.authorize(&leads_to(&page), "alice");
                page = visitor.open(target(&callback));
            }
            page = page.expect(502);
            assert_eq!(page.header("location"), None, "{endpoint:?}");
            assert!(begun.elapsed() < Duration::from_secs(20), "{endpoint:?}");
            assert!(!visitor.is_signed_in());
        }
    }
}

#[test]
fn userinfo_of_somebody_else_is_refused() {
    let campus = doubled_with("userinfo = \"always\"");
    campus.signs_in("alice");
    for sub in [json!("bob"), json!(null), json!("Alice"), json!(["alice"])] {
        campus.provider.behave().userinfo = json!({ "sub": sub });
        let visitor = campus.visitor();
        let callback = campus.callback(&visitor, "alice", PAGE);
        let page = visitor.open(target(&callback));
        assert!([403, 502].contains(&page.status), "{sub}: {page:?}");
        assert!(!visitor.is_signed_in(), "{sub}: {:?}", campus.all_outcomes());
    }
}

/// OpenID Connect Core 5.3.2 allows it, and it would have to be verified.
#[test]
fn userinfo_that_is_signed_or_no_object_is_refused() {
    let campus = doubled_with("userinfo = \"always\"");
    for reply in [
        Reply::new(200, "application/jwt", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9."),
        Reply::html(200),
        Reply::json(401, &json!({ "error": "invalid_token" })),
        Reply::json(200, &json!([{ "sub": "alice" }])),
    ] {
        campus.provider.answer(Endpoint::Userinfo, reply);
        let visitor = campus.visitor();
        let callback = campus.callback(&visitor, "alice", PAGE);
        let page = visitor.open(target(&callback));
        assert!([403, 502].contains(&page.status), "{page:?}");
        assert!(!visitor.is_signed_in(), "{:?}", campus.all_outcomes());
    }
}

#[test]
fn userinfo_is_asked_where_the_id_token_says_too_little() {
    for (lines, in_token, asked) in [
        ("", true, false),
        ("", false, true),
        ("userinfo = \"always\"", true, true),
        ("userinfo = \"never\"", true, false),
    ] {
        let campus = doubled_with(lines);
        if !in_token {
            campus.provider.behave().claims = json!({ "groups": null });
        }
        let visitor = campus.signs_in("alice");
        assert_eq!(
            !campus.provider.asked(Endpoint::Userinfo).is_empty(),
            asked,
            "{lines} {in_token}"
        );
        visitor.fetch("/staff/x").expect(200);
    }
}

/// Entra tells more than some 200 groups by a pointer to them: that is not the same as none.
#[test]
fn too_many_groups_are_told_apart_from_none() {
    let campus = doubled_with("userinfo = \"never\"");
    let pointer = json!({
        "groups": null,
        "_claim_names": { "groups": "src1" },
        "_claim_sources": { "src1": { "endpoint": "https://graph.windows.net/x/users/y/getMemberObjects" } },
    });
    campus.provider.behave().claims = pointer;
    campus.refuses_somebody("too_many_groups");
    campus.provider.behave().claims = json!({ "groups": null, "hasgroups": true });
    campus.refuses_somebody("too_many_groups");
    campus.provider.behave().claims = json!({ "groups": null });
    let visitor = campus.signs_in("alice");
    visitor.fetch("/staff/x").expect(403);
    // A pointer to something that is no role here.
    campus.provider.behave().claims = json!({ "_claim_names": { "wids": "src1" } });
    campus.signs_in("alice").fetch("/staff/x").expect(200);
}

#[test]
fn endpoints_that_are_written_out_need_no_discovery() {
    let double = OidcDouble::start();
    double.answer(Endpoint::Discovery, Reply::html(404));
    let url = |endpoint| double.url(endpoint);
    let lines = format!(
        "authorization_endpoint = {:?}\ntoken_endpoint = {:?}\njwks_uri = {:?}\nuserinfo_endpoint = {:?}\n",
        url(Endpoint::Authorize),
        url(Endpoint::Token),
        url(Endpoint::Keys),
        url(Endpoint::Userinfo),
    );
    let campus = by_double(
        double,
        Plan {
            oidc: lines,
            ..Plan::default()
        },
    );
    campus.signs_in("alice");
    assert_eq!(campus.provider.asked(Endpoint::Discovery).len(), 0);
}

#[test]
fn an_endpoint_that_is_written_out_counts_instead_of_what_discovery_says() {
    let double = OidcDouble::start();
    double.behave().discovery["token_endpoint"] = json!("https://evil.test/token");
    let lines = format!("token_endpoint = {:?}", double.url(Endpoint::Token));
    let campus = by_double(
        double,
        Plan {
            oidc: lines,
            ..Plan::default()
        },
    );
    campus.signs_in("alice");
}
