//! What nobody who reads along may learn: codes, tokens, the client's secret and the secrets of sessions stand in no log, at
//! any level, and no upstream gets them. What the provider registers is searched for when the gateway ends.

use serde_json::json;

use super::campus::{PAGE, Plan, by_double, callback, parameter, planned};
use crate::sign_in::campus::target;
use crate::support::cas::query;
use crate::support::oidc::double::Endpoint;
use crate::support::oidc::{CLIENT_SECRET, Reply};
use crate::support::{Config, OidcDouble, Request, secrets};

fn loud() -> Plan {
    Plan {
        config: Config::new().set("log", "level", "\"trace\""),
        ..Plan::default()
    }
}

#[test]
fn neither_log_nor_upstream_sees_codes_or_sessions() {
    let Some(campus) = planned(loud()) else { return };
    let (alice, visitor) = (campus.provider.person("alice"), campus.visitor());
    let callback = callback(&visitor, &alice, PAGE);
    let mut told = vec![parameter(callback.as_str(), "code").unwrap(), CLIENT_SECRET.to_owned()];
    told.extend(visitor.cookies.lock().unwrap().iter().map(|(_, value)| value.clone()));
    visitor.open(target(&callback)).expect(303);
    told.push(visitor.session().unwrap());
    let seen = visitor.open(PAGE).expect(200).text();
    // One that comes too late, in another browser.
    let stale = super::campus::callback(&campus.visitor(), &alice, PAGE);
    told.push(parameter(stale.as_str(), "code").unwrap());
    campus.visitor().open(target(&stale)).expect(400);
    let to = visitor.post("/_janua/sign-out", "everywhere=1").expect(303);
    let hint = parameter(to.header("location").unwrap(), "id_token_hint").unwrap();
    secrets::register_signature(&hint);
    told.push(hint.rsplit('.').next().unwrap().to_owned());
    alice.sign_out();
    campus.gateway.logged(&["backchannel-logout", "status=200"]);
    let said = campus.gateway.said();
    for secret in &told {
        assert!(!said.contains(secret.as_str()), "in the log: {secret}");
        assert!(!seen.contains(secret.as_str()), "at the upstream: {secret}");
    }
}

/// What goes wrong is told in words that quote nothing.
#[test]
fn what_goes_wrong_is_told_without_what_it_went_wrong_with() {
    let campus = by_double(OidcDouble::start(), loud());
    campus.provider.behave().claims = json!({ "nonce": "other", "aud": "other" });
    campus.refuses_somebody("bad_token");
    // A server that quotes what it was sent.
    let quoting = json!({ "error": "invalid_scope", "error_description": "no such code" });
    campus.provider.answer(Endpoint::Token, Reply::json(400, &quoting));
    campus.refuses_somebody("provider_error");
    campus.provider.answer(Endpoint::Token, Reply::html(200));
    campus.refuses_somebody("bad_answer");
    campus.provider.set_down(false);
    let token = campus.provider.logout_token("alice", &json!({ "aud": "other" }));
    campus.gateway.send(
        Request::new("POST", &campus.endpoint("backchannel-logout"))
            .host(&campus.gateway.http().to_string())
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(query(&[("logout_token", &token)])),
    );
    campus.gateway.logged(&["no such code"]);
    assert!(!campus.gateway.said().contains(CLIENT_SECRET));
}
