//! How long a launch session lives: by its own clock, over restarts, reloads and key rotations, until somebody ends it.

use serde_json::json;

use super::{Stage, claims, form, launched, name, page};
use crate::support::tools::janua;
use crate::support::{Config, Request, Signer, eventually, in_seconds};

fn embedded() -> Config {
    let config = Config::new().server("public_urls", "[\"https://video.test\"]");
    config.set("state", "store", "\"embedded\"").jwt("leeway", "\"0s\"")
}

#[test]
fn it_outlives_its_token_and_a_restart() {
    let mut stage = Stage::with("", embedded());
    let mut short = claims("anna", &["ROLE_STUDIO"]);
    short["exp"] = json!(in_seconds(2));
    let token = stage.lms.token(&short);
    let by_form = stage.launch(&token);
    let by_page = launched(&stage.gateway.send(page(&format!("/studio/?jwt={token}"))));
    eventually("the token is over", || {
        (stage.gateway.get_with("/studio/", &token).status == 401).then_some(())
    });
    for launched in [&by_form, &by_page] {
        assert_eq!(name(&stage.me(launched)), "anna");
    }
    stage.gateway.stop();
    // What is kept says nothing to who reads it.
    let kept = std::fs::read(stage.site.path("state/janua.redb")).unwrap();
    let holds = |text: &str| kept.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(!holds("ROLE_STUDIO") && !holds("anna"));
    stage.gateway = stage.site.start(&stage.config);
    for launched in [&by_form, &by_page] {
        assert_eq!(name(&stage.me(launched)), "anna");
    }
}

#[test]
fn it_ends_when_it_is_not_used_and_whatever_happens() {
    let stage = Stage::with("idle = \"1s\"", embedded());
    let launched = stage.launch(&stage.token());
    assert_eq!(name(&stage.me(&launched)), "anna");
    eventually("it is over", || {
        let asked = stage.gateway.send(launched.asks(Request::get("/ingest/x")));
        (asked.status == 401).then_some(())
    });
    let stage = Stage::with("idle = \"10s\", absolute = \"2s\"", embedded());
    let launched = stage.launch(&stage.token());
    eventually("it is over, although it is used", || {
        let asked = stage.gateway.send(launched.asks(Request::get("/ingest/x")));
        (asked.status == 401).then_some(())
    });
}

#[test]
fn an_issuers_new_keys_do_not_end_it() {
    let stage = Stage::new();
    let launched = stage.launch(&stage.token());
    let old = stage.token();
    stage.site.write_keys("lms.json", &[&Signer::new()]);
    eventually("the old key is gone", || {
        (stage.gateway.get_with("/studio/", &old).status == 401).then_some(())
    });
    assert_eq!(name(&stage.me(&launched)), "anna");
}

#[test]
fn a_reload_counts_for_those_that_are_there() {
    let stage = Stage::new();
    let launched = stage.launch(&stage.token());
    let asked = |status: u16| {
        let what = format!("{status}");
        eventually(&what, || {
            let answer = stage.gateway.send(launched.asks(Request::get("/ingest/x")));
            (answer.status == status).then_some(())
        });
    };
    asked(200);
    let text = stage.config.text();
    for (what, status) in [
        (
            text.replace("\"ROLE_STUDIO\", \"ROLE_SUSPENDED\"", "\"ROLE_SUSPENDED\""),
            403,
        ),
        (text.clone(), 200),
        (text.replace("name = \"lms\"", "name = \"moodle\""), 401),
        (text.clone(), 200),
        (text.replace("name    = \"launch\"", "name    = \"launched\""), 401),
        (text.clone(), 200),
    ] {
        stage.site.write("gateway.toml", what);
        asked(status);
    }
}

#[test]
fn revoking_ends_it() {
    let stage = Stage::with("", embedded());
    let token = |subject: &str| {
        let mut said = claims(subject, &["ROLE_STUDIO"]);
        said["oc"] = json!({ format!("e:of-{subject}"): ["read"] });
        stage.lms.token(&said)
    };
    let launch = |subject: &str| stage.launch(&token(subject));
    let (anna, bob, carl) = (launch("anna"), launch("bob"), launch("carl"));
    let revoke = |args: &[&str]| {
        let config = stage.site.path("gateway.toml");
        let config = config.to_str().unwrap();
        let all = [&["revoke"], args, &["--config", config]].concat();
        janua(all).ok()
    };
    revoke(&["--subject", "anna"]);
    assert_eq!(name(&stage.me(&anna)), "anonymous");
    assert_eq!(name(&stage.me(&bob)), "bob");
    revoke(&["--event", "of-bob"]);
    assert_eq!(name(&stage.me(&bob)), "anonymous");
    assert_eq!(name(&stage.me(&carl)), "carl");
    eventually("a new launch begins a new one", || {
        let again = stage.gateway.send(form(&token("anna"), "/studio/"));
        (name(&stage.me(&launched(&again))) == "anna").then_some(())
    });
}
