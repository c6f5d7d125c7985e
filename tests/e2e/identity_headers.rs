//! `present = "headers"`: the upstream learns who it is from the gateway, and from nobody else.

use serde_json::json;

use crate::support::{Config, Gateway, Request, Signer, Site, Upstream, in_seconds};

/// A route that names people, and an open one, to the same upstream.
fn gateway(zoo: &Upstream, signer: &Signer, more: &str) -> Gateway {
    let (config, site) = config(zoo, signer, more);
    site.start(&config)
}

fn config(zoo: &Upstream, signer: &Signer, more: &str) -> (Config, Site) {
    let site = Site::new();
    site.write_keys("keys.json", &[signer]);
    let config = Config::new()
        .issuer("moodle", "keys.json", more)
        .upstream("zoo", &[zoo.url()], "")
        .section(
            "[[routes]]\nname = \"named\"\npath = \"/named/{*rest}\"\nupstream = \"zoo\"\nallow = [{ anyone = true }]\n\
             present = \"headers\"\nheaders = { subject = \"X-Person\", roles = \"X-Person-Roles\" }\n",
        )
        .open_upstream_route("");
    (config, site)
}

fn anna(signer: &Signer) -> String {
    let token = signer.token(&json!({
        "exp": in_seconds(60),
        "sub": "Änna",
        "roles": ["ROLE_USER", "ROLE_A,ROLE_ADMIN", "12_Learner"],
    }));
    format!("Bearer {token}")
}

#[test]
fn the_upstream_learns_who_it_is() {
    let (zoo, signer) = (Upstream::start(), Signer::new());
    let gateway = gateway(&zoo, &signer, "may_name_users = true");
    gateway
        .send(Request::get("/named/a").header("Authorization", &anna(&signer)))
        .expect(200);
    let seen = zoo.seen("/named/a");
    assert_eq!(seen.header("x-person"), Some("Änna"));
    // A role with a comma would be two.
    assert_eq!(seen.header("x-person-roles"), Some("ROLE_USER,12_Learner"));
    assert_eq!(seen.header("authorization"), None);
}

#[test]
fn a_name_counts_where_the_issuer_may_name_users() {
    let (zoo, signer) = (Upstream::start(), Signer::new());
    let gateway = gateway(&zoo, &signer, "");
    gateway
        .send(Request::get("/named/a").header("Authorization", &anna(&signer)))
        .expect(200);
    let seen = zoo.seen("/named/a");
    assert_eq!(seen.header("x-person"), None);
    assert_eq!(seen.header("x-person-roles"), Some("ROLE_USER,12_Learner"));
}

#[test]
fn no_client_says_it_on_any_route() {
    let (zoo, signer) = (Upstream::start(), Signer::new());
    let gateway = gateway(&zoo, &signer, "may_name_users = true");
    for path in ["/named/nobody", "/open"] {
        let names = [
            "X-Person",
            "x_person",
            "X-Person-Roles",
            "X_Person_Roles",
            "X-Person_Roles",
        ];
        let request = names
            .iter()
            .fold(Request::get(path), |request, name| request.header(name, "admin"));
        gateway.send(request).expect(200);
        let seen = zoo.seen(path);
        for name in names {
            assert_eq!(seen.header(name), None, "{name} at {path}");
        }
    }
}

#[test]
fn sessions_go_no_further_and_come_from_no_upstream() {
    let (zoo, signer) = (Upstream::start(), Signer::new());
    let gateway = gateway(&zoo, &signer, "");
    let told = gateway
        .send(
            Request::get("/zoo/cookies")
                .header("Authorization", "bearer  jns_c2VjcmV0")
                .header(
                    "Cookie",
                    "janua=a; theirs=b; __Host-janua=c; __Secure-janua-watch=d; janua-login-1=e",
                ),
        )
        .expect(200);
    let seen = zoo.seen("/zoo/cookies");
    assert_eq!(seen.header("authorization"), None);
    assert_eq!(seen.header("cookie"), Some("theirs=b"));
    let set = told
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    let set: Vec<&str> = set.map(|(_, value)| value.as_str()).collect();
    assert_eq!(
        set,
        ["theirs=1; Path=/"],
        "nobody is given the gateway's cookies by an upstream"
    );
}

#[test]
fn roles_without_room_in_their_header_are_told_of() {
    let (zoo, signer) = (Upstream::start(), Signer::new());
    let (config, site) = config(&zoo, &signer, "may_name_users = true");
    let gateway = site.start(&config.jwt("max_token", "\"24KiB\""));
    let roles: Vec<String> = (0..120).map(|place| format!("{place:04}_{}", "R".repeat(95))).collect();
    let token = signer.token(&json!({ "exp": in_seconds(60), "sub": "anna", "roles": roles }));
    for path in ["/named/a", "/named/b"] {
        gateway
            .send(Request::get(path).header("Authorization", &format!("Bearer {token}")))
            .expect(200);
        assert_eq!(zoo.seen(path).header("x-person-roles"), Some(&*roles[..81].join(",")));
    }
    gateway.logged(&["WARN", "roles are longer than a header may be", "anna", "39"]);
    assert_eq!(gateway.said().matches("roles are longer than").count(), 1);
    assert_eq!(
        gateway.metric("janua_identity_roles_cut_total{route=\"named\"}"),
        Some(2.0)
    );
}
