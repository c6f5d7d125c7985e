//! What a client says to mislead an upstream does not arrive there: another method, address or host than the one that was
//! judged, cookies and tokens that are the gateway's, a cache that would keep what was private.

use serde_json::json;

use crate::support::{Config, Connection, Gateway, H2, Request, Signer, Site, Upstream, in_seconds};

/// `/open/…` is for everyone, `/token/…` for holders of a token.
fn start(zoo: &Upstream, signer: &Signer) -> Gateway {
    let site = Site::new();
    site.write_keys("keys.json", &[signer]);
    let route = |name: &str, more: &str| {
        format!("[[routes]]\nname = \"{name}\"\npath = \"/{name}/{{*rest}}\"\nupstream = \"zoo\"\n{more}\n")
    };
    let config = Config::new()
        .issuer("moodle", "keys.json", "")
        .jwt(
            "sources",
            r#"[{ header = "Authorization", scheme = "Bearer" }, { header = "X-Tok", scheme = "Tok" }, { query = "jwt" }]"#,
        )
        .upstream("zoo", &[zoo.url()], "")
        .section(&route("open", "allow = [{ anyone = true }]"))
        .section(&route("token", "allow = [{ role = \"ROLE_A\", methods = [\"GET\"] }]"))
        .section(&route("none", "allow = [{ role = \"ROLE_A\" }]\npresent = \"none\""))
        .section(&route("zoo", "allow = [{ role = \"ROLE_A\" }]"));
    site.start(&config)
}

#[test]
fn no_client_says_another_method_address_or_host() {
    let (zoo, signer) = (Upstream::start(), Signer::new());
    let gateway = start(&zoo, &signer);
    let names = [
        "X-HTTP-Method-Override",
        "X_HTTP_Method_Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-Original-Host",
        "X-Host",
        "Client-IP",
        "Client_IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "X-Cluster-Client-IP",
        "Fastly-Client-IP",
        "X-Real-IP",
        "X-Forwarded-Scheme",
        "Proxy",
    ];
    for name in names {
        let path = format!("/open/{name}/");
        gateway.send(Request::get(&path).header(name, "forged")).expect(200);
        let seen = zoo.seen(&path);
        let told: Vec<_> = seen.headers.iter().filter(|(_, value)| value == "forged").collect();
        assert!(told.is_empty(), "{told:?}");
    }
    let token = signer.roles(&["ROLE_A"]);
    for query in [
        "_method=DELETE",
        "a=1&_method=delete",
        "%5fmethod=PUT",
        "_method",
        "a;_method=PUT",
        "_METHOD=PUT",
        "_method[]=PUT",
    ] {
        gateway
            .send(Request::get(&format!("/token/a?{query}")).bearer(&token))
            .refused(400, "bad_request");
    }
    gateway
        .send(Request::get("/token/a?my_method=DELETE&m=_method").bearer(&token))
        .expect(200);
}

#[test]
fn cookies_arrive_in_one_line_and_without_the_gateways_own() {
    let (zoo, signer) = (Upstream::start(), Signer::new());
    let gateway = start(&zoo, &signer);
    let mut client = H2::open(gateway.http());
    let cookies = [
        ("cookie", "campus=1"),
        ("cookie", "__Host-janua=s"),
        ("cookie", "MoodleSession=2"),
        ("cookie", "c=3"),
    ];
    client.request(1, "GET", "/open/h2", &cookies, true).unwrap();
    client.outcome(1);
    // Twice would panic: nginx 1.22 and PHP read the last one alone.
    assert_eq!(
        zoo.seen("/open/h2").header("cookie"),
        Some("campus=1; MoodleSession=2; c=3")
    );
    let odd = Request::get("/open/b").header(
        "Cookie",
        "x=\u{fc}; janua=secret; =janua=secret; a=\"q\"; \"janua\"=secret",
    );
    gateway.send(odd).expect(200);
    assert_eq!(zoo.seen("/open/b").header("cookie"), Some("x=\u{fc}; a=\"q\""));
}

#[test]
fn a_token_of_ours_goes_nowhere_and_a_foreign_one_where_everybody_may() {
    let (zoo, signer, other) = (Upstream::start(), Signer::new(), Signer::new());
    let gateway = start(&zoo, &signer);
    let ours = signer.roles(&["ROLE_A"]);
    let expired = signer.token(&json!({ "exp": in_seconds(0) - 3600, "roles": ["ROLE_A"] }));
    let foreign = other.roles(&["ROLE_A"]);
    let seen = |path: &str, name: &str, value: &str| {
        let path = format!("{path}/{}/", zoo.requests().len());
        gateway.send(Request::get(&path).header(name, value)).expect(200);
        zoo.seen(&path).header(&name.to_ascii_lowercase()).map(str::to_owned)
    };
    for token in [&ours, &expired] {
        assert_eq!(seen("/open/a", "Authorization", &format!("Bearer {token}")), None);
        assert_eq!(seen("/open/a", "X-Tok", &format!("tok {token}")), None);
    }
    for secret in ["Bearer jns_abc", "Bearer\tjns_abc", "jns_abc"] {
        assert_eq!(seen("/open/a", "Authorization", secret), None, "{secret}");
    }
    // Whatever it says: the key is what makes it one of ours.
    let many: Vec<String> = (0..400).map(|role| format!("ROLE_{role}")).collect();
    let unusable = [
        signer.token(&json!({ "exp": in_seconds(60), "roles": many })),
        signer.token(&json!({ "roles": ["ROLE_A"] })),
        signer.token(&json!({ "exp": null })),
        signer.token(&json!({ "exp": in_seconds(60), "x": "x".repeat(17 << 10) })),
        signer.sign(r#"{"alg":"ES256","crit":["x"],"x":1}"#, "{}"),
    ];
    for token in &unusable {
        assert_eq!(
            seen("/open/a", "Authorization", &format!("Bearer {token}")),
            None,
            "{token}"
        );
    }
    assert_eq!(seen("/open/a", "Authorization", &format!("Bearer\t{ours}")), None);
    let several = (0..5).fold(Request::get("/open/several"), |request, junk| {
        request.header("Authorization", &format!("Bearer junk{junk}"))
    });
    gateway
        .send(several.header("Authorization", &format!("Bearer {ours}")))
        .expect(200);
    assert_eq!(zoo.seen("/open/several").header("authorization"), None);
    for value in [
        format!("Bearer {foreign}"),
        "Bearer opaque".to_owned(),
        "Basic eDp5".to_owned(),
    ] {
        assert_eq!(seen("/open/a", "Authorization", &value), Some(value.clone()));
        // A second time, when it is remembered.
        assert_eq!(seen("/open/a", "Authorization", &value), Some(value));
    }
    for path in ["/none/a", "/token/a"] {
        assert_eq!(seen(path, "X-Tok", &format!("Tok {ours}")), None);
    }
    gateway.get(&format!("/open/q?jwt={foreign}&a=1")).expect(200);
    assert_eq!(zoo.seen("/open/q").target, "/open/q?a=1");
}

#[test]
fn what_is_private_is_private_for_every_cache() {
    let (zoo, signer) = (Upstream::start(), Signer::new());
    let gateway = start(&zoo, &signer);
    let says = "cache-control=public&cdn-cache-control=max-age%3D60&cloudflare-cdn-cache-control=max-age%3D60&\
                surrogate-control=max-age%3D60&x-accel-expires=60&x-accel-limit-rate=1&etag=1&\
                x-litespeed-cache-control=public&akamai-cache-control=public&x-reverse-proxy-ttl=60";
    let token = signer.roles(&["ROLE_A"]);
    let told = gateway.get_with(&format!("/zoo/says?{says}"), &token).expect(200);
    for name in [
        "cdn-cache-control",
        "cloudflare-cdn-cache-control",
        "surrogate-control",
        "x-accel-expires",
        "x-accel-limit-rate",
        "x-litespeed-cache-control",
        "akamai-cache-control",
        "x-reverse-proxy-ttl",
    ] {
        assert_eq!(told.header(name), None, "{name}");
    }
    assert_eq!(
        (told.header("cache-control"), told.header("etag")),
        (Some("private"), Some("1"))
    );
}

#[test]
fn an_answer_without_a_body_announces_none() {
    let (zoo, signer) = (Upstream::start(), Signer::new());
    let gateway = start(&zoo, &signer);
    let token = signer.roles(&["ROLE_A"]);
    for status in ["204", "304"] {
        let mut connection = Connection::open(gateway.http());
        for _ in 0..2 {
            // A second request on the connection: nothing of the first answer is left on it.
            let told = connection.exchange(Request::get(&format!("/zoo/bodiless/{status}")).bearer(&token));
            assert_eq!(told.status.to_string(), status);
            assert_eq!(told.header("transfer-encoding"), None);
        }
    }
    let told = gateway.get_with("/zoo/bodiless/204?length", &token).expect(204);
    assert_eq!(told.header("content-length"), None);
}

/// RFC 9112 section 6.1.
#[test]
fn http_1_0_knows_no_chunks() {
    let (zoo, signer) = (Upstream::start(), Signer::new());
    let gateway = start(&zoo, &signer);
    let mut connection = Connection::open(gateway.http());
    let token = signer.roles(&["ROLE_A"]);
    let request = format!("GET /zoo/trailers HTTP/1.0\r\nHost: video.test\r\nAuthorization: Bearer {token}\r\n\r\n");
    let told = connection.exchange_raw(request).unwrap().expect(200);
    assert_eq!(
        (told.header("transfer-encoding"), told.body.len()),
        (None, 4),
        "{told:?}"
    );
}
