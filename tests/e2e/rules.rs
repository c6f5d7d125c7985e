//! Rules: any table of `allow`, all conditions of a table, `deny` above all.

use serde_json::{Value, json};

use crate::support::{Config, Gateway, Request, Signer, Site, in_seconds};

/// A gateway with one route per rule, at `/<name>/…`.
fn gateway(signers: [&Signer; 2], routes: &[(&str, &str, &str)]) -> Gateway {
    let site = Site::new();
    site.write_keys("moodle.json", &[signers[0]]);
    site.write_keys("ilias.json", &[signers[1]]);
    let mut config = Config::new()
        .issuer("moodle", "moodle.json", "may_name_users = true")
        .issuer("ilias", "ilias.json", "");
    for (name, path, rules) in routes {
        config = config.section(&format!(
            "[[routes]]\nname = {name:?}\npath = {path:?}\nrespond = {{ status = 204 }}\n{rules}\n"
        ));
    }
    site.start(&config)
}

fn claims(more: Value) -> Value {
    let mut claims = json!({ "exp": in_seconds(600) });
    claims
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    claims
}

#[test]
fn roles_match_exactly_by_glob_and_by_path() {
    let signers = [&Signer::new(), &Signer::new()];
    let gateway = gateway(
        signers,
        &[
            ("exact", "/exact", r#"allow = [{ role = "ROLE_STUDIO" }]"#),
            ("glob", "/glob", r#"allow = [{ role = "*_Instructor" }]"#),
            ("inner", "/inner", r#"allow = [{ role = "ROLE_*_X" }]"#),
            (
                "param",
                "/course/{course}/{*rest}",
                r#"allow = [{ role = "{course}_Learner" }]"#,
            ),
            ("list", "/list", r#"allow = [{ role = ["A", "B"] }]"#),
        ],
    );
    let status = |path: &str, roles: &[&str]| gateway.get_with(path, &signers[0].roles(roles)).status;
    let cases: [(&str, &[&str], bool); 22] = [
        ("/exact", &["ROLE_STUDIO"], true),
        ("/exact", &["other", "ROLE_STUDIO"], true),
        ("/exact", &["role_studio"], false),
        ("/exact", &["ROLE_STUDIO2", "xROLE_STUDIO", "ROLE_STUDIO "], false),
        ("/exact", &["ROLE_*", "*"], false),
        ("/exact", &["ROLE_ADMIN"], false),
        ("/glob", &["4_Instructor"], true),
        ("/glob", &["_Instructor"], true),
        ("/glob", &["4_Instructor_x", "4_instructor"], false),
        ("/glob", &["*"], false),
        ("/inner", &["ROLE_A_B_X"], true),
        ("/inner", &["ROLE_X"], false),
        ("/course/4/a", &["4_Learner"], true),
        ("/course/4/a", &["44_Learner", "5_Learner", "_Learner"], false),
        ("/course/4/a", &["*_Learner", "{course}_Learner"], false),
        // A path is no pattern either, even where it holds one.
        ("/course/*/a", &["4_Learner"], false),
        ("/course/*/a", &["*_Learner"], true),
        ("/course/%7Bcourse%7D/a", &["4_Learner"], false),
        ("/course/.*/a", &["4_Learner"], false),
        ("/list", &["A"], true),
        ("/list", &["B"], true),
        ("/list", &["C", "AB"], false),
    ];
    for (path, roles, allowed) in cases {
        assert_eq!(status(path, roles), if allowed { 204 } else { 403 }, "{path} {roles:?}");
    }
    gateway
        .get_with("/exact", &signers[0].roles(&["x"]))
        .refused(403, "missing_role");
}

#[test]
fn grants_are_for_one_kind_of_item() {
    let signers = [&Signer::new(), &Signer::new()];
    let gateway = gateway(
        signers,
        &[
            (
                "event",
                "/event/{id}",
                r#"allow = [{ grant = "read", event = "{id}" }]"#,
            ),
            (
                "series",
                "/series/{id}",
                r#"allow = [{ grant = "read", series = "{id}" }]"#,
            ),
            (
                "playlist",
                "/playlist/{id}",
                r#"allow = [{ grant = "write", playlist = "{id}" }]"#,
            ),
            (
                "fixed",
                "/fixed",
                r#"allow = [{ grant = "annotate-admin", event = "a" }]"#,
            ),
        ],
    );
    let status = |path: &str, oc: Value| {
        let token = signers[0].token(&claims(json!({ "oc": oc })));
        gateway.get_with(path, &token).status
    };
    assert_eq!(status("/event/a", json!({ "e:a": ["read"] })), 204);
    assert_eq!(status("/event/a", json!({ "s:a": ["read"], "p:a": ["read"] })), 403);
    assert_eq!(status("/event/b", json!({ "e:a": ["read"] })), 403);
    assert_eq!(status("/event/*", json!({ "e:a": ["read"] })), 403);
    assert_eq!(status("/event/a%20b", json!({ "e:a b": ["read"] })), 204);
    assert_eq!(status("/series/a", json!({ "s:a": ["read"] })), 204);
    assert_eq!(status("/series/a", json!({ "e:a": ["read"] })), 403);
    assert_eq!(status("/playlist/a", json!({ "p:a": ["write"] })), 204);
    assert_eq!(status("/playlist/a", json!({ "p:a": ["read"] })), 403);
    assert_eq!(status("/fixed", json!({ "e:a": ["annotate"] })), 403);
    let token = signers[0].token(&claims(json!({ "roles": ["ROLE_EPISODE_a_READ"] })));
    gateway.get_with("/event/a", &token).expect(204);
    gateway.get_with("/event/b", &token).refused(403, "event_not_granted");
}

#[test]
fn all_conditions_of_a_table_and_any_table_of_the_list() {
    let signers = [&Signer::new(), &Signer::new()];
    let gateway = gateway(
        signers,
        &[
            (
                "both",
                "/both/{event}",
                r#"allow = [{ role = "A", grant = "read", event = "{event}" }, { role = "B" }]"#,
            ),
            (
                "from here",
                "/here",
                r#"allow = [{ role = "A", from = ["127.0.0.0/8", "::1/128"] }]"#,
            ),
            ("from there", "/there", r#"allow = [{ from = ["10.0.0.0/8"] }]"#),
            (
                "methods",
                "/methods",
                r#"allow = [{ role = "A", methods = ["GET", "HEAD"] }, { role = "B" }]
                   methods = ["GET", "POST"]"#,
            ),
            ("subject", "/subject", r#"allow = [{ subject = "anna" }]"#),
            ("own", "/own/{name}", r#"allow = [{ subject = "{name}" }]"#),
            ("issuer", "/issuer", r#"allow = [{ role = "A", issuer = "moodle" }]"#),
            ("signed in", "/signed-in", r#"allow = [{ signed_in = true }]"#),
            ("anyone", "/anyone", r#"allow = [{ anyone = true }]"#),
        ],
    );
    let [moodle, ilias] = signers;
    let with = |path: &str, more: Value| gateway.get_with(path, &moodle.token(&claims(more))).status;

    assert_eq!(
        with("/both/a", json!({ "roles": ["A"], "oc": { "e:a": ["read"] } })),
        204
    );
    assert_eq!(with("/both/a", json!({ "roles": ["A"] })), 403);
    assert_eq!(with("/both/a", json!({ "oc": { "e:a": ["read"] } })), 403);
    assert_eq!(with("/both/a", json!({ "roles": ["B"] })), 204);
    assert_eq!(with("/here", json!({ "roles": ["A"] })), 204);
    assert_eq!(with("/there", json!({ "roles": ["A"] })), 403);
    let post = |roles: &[&str]| {
        let request = Request::new("POST", "/methods").bearer(&moodle.roles(roles)).body("x");
        gateway.send(request).status
    };
    assert_eq!(with("/methods", json!({ "roles": ["A"] })), 204);
    assert_eq!((post(&["A"]), post(&["B"])), (403, 204));
    assert_eq!(with("/subject", json!({ "sub": "anna" })), 204);
    assert_eq!(with("/subject", json!({ "sub": "Anna" })), 403);
    assert_eq!(with("/subject", json!({ "name": "anna" })), 403);
    assert_eq!(with("/own/anna", json!({ "sub": "anna" })), 204);
    assert_eq!(with("/own/*", json!({ "sub": "anna" })), 403);
    assert_eq!(with("/issuer", json!({ "roles": ["A"] })), 204);
    gateway.get_with("/issuer", &ilias.roles(&["A"])).expect(403);
    assert_eq!(with("/signed-in", json!({})), 204);
    assert_eq!(gateway.get("/signed-in").status, 401);
    assert_eq!(gateway.get("/anyone").status, 204);
    assert_eq!(gateway.get_with("/anyone", "nonsense").status, 204);
}

#[test]
fn deny_wins() {
    let signers = [&Signer::new(), &Signer::new()];
    let gateway = gateway(
        signers,
        &[
            (
                "suspended",
                "/suspended",
                r#"allow = [{ role = "A" }, { role = "ROLE_ADMIN" }]
                   deny = [{ role = "ROLE_SUSPENDED" }]"#,
            ),
            (
                "open but",
                "/open-but",
                r#"allow = [{ anyone = true }]
                   deny = [{ from = ["127.0.0.0/8"], methods = ["GET"] }]"#,
            ),
        ],
    );
    let suspended = |roles: &[&str]| gateway.get_with("/suspended", &signers[0].roles(roles));
    suspended(&["A"]).expect(204);
    suspended(&["A", "ROLE_SUSPENDED"]).refused(403, "denied_by_rule");
    suspended(&["ROLE_ADMIN", "ROLE_SUSPENDED"]).refused(403, "denied_by_rule");
    gateway.get("/open-but").refused(403, "denied_by_rule");
    assert_eq!(gateway.send(Request::new("HEAD", "/open-but")).status, 204);
    // A second token cannot undo what the first one is denied.
    let good = signers[0].roles(&["A"]);
    let denied = signers[0].roles(&["ROLE_SUSPENDED"]);
    let request = Request::get(&format!("/suspended?jwt={good}")).bearer(&denied);
    gateway.send(request).refused(403, "denied_by_rule");
}

#[test]
fn a_person_is_source_and_name() {
    let signers = [&Signer::new(), &Signer::new()];
    let gateway = gateway(
        signers,
        &[("annas", "/anna", r#"allow = [{ subject = "anna", issuer = "moodle" }]"#)],
    );
    let anna = claims(json!({ "sub": "anna" }));
    gateway.get_with("/anna", &signers[0].token(&anna)).expect(204);
    gateway.get_with("/anna", &signers[1].token(&anna)).expect(403);
}

#[test]
fn a_name_counts_from_an_issuer_that_may_name_users() {
    let signers = [&Signer::new(), &Signer::new()];
    let gateway = gateway(
        signers,
        &[("own", "/own/{name}", r#"allow = [{ subject = "{name}" }]"#)],
    );
    let anna = claims(json!({ "sub": "anna" }));
    gateway.get_with("/own/anna", &signers[0].token(&anna)).expect(204);
    gateway
        .get_with("/own/anna", &signers[1].token(&anna))
        .refused(403, "not_allowed");
}
