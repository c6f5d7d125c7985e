//! The keys of a server: which of them verify, whose are none of its own, and what counts while they cannot be had.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::campus::{By, Plan, by_jwks};
use crate::support::bearer::claims::rfc9068;
use crate::support::bearer::{AuthServer, Endpoint};
use crate::support::double::Double;
use crate::support::oidc::{hs256, unsigned};
use crate::support::tokens::base64url;
use crate::support::{Request, Signer};

#[test]
fn a_token_by_no_key_or_by_a_public_one_is_refused() {
    let campus = by_jwks();
    let issuer = campus.server.issuer();
    let claims = rfc9068(&issuer);
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        for header in [
            json!({ "alg": alg, "typ": "at+jwt" }),
            json!({ "alg": alg, "typ": "at+jwt", "kid": "rsa" }),
        ] {
            campus.refuses(&unsigned(&header, &claims));
        }
    }
    // The public key as the secret of an HMAC, in each form that it is had in.
    let jwk = campus.server.jwk();
    let keys = crate::support::http::Connection::open(host_of(&issuer))
        .exchange(Request::get("/realms/campus/keys").header("Connection", "close"))
        .expect(200)
        .text();
    let n = jwk["n"].as_str().unwrap().to_owned();
    for secret in [keys, jwk.to_string(), n, String::new()] {
        for alg in ["HS256", "RS256", "ES256"] {
            let header = json!({ "alg": alg, "typ": "at+jwt", "kid": "rsa" });
            campus.refuses(&hs256(secret.as_bytes(), &header, &claims));
        }
    }
}

fn host_of(issuer: &str) -> std::net::SocketAddr {
    let host = issuer.strip_prefix("http://").unwrap().split('/').next().unwrap();
    host.parse().unwrap()
}

/// A header may say where the key is; nobody goes there, and nobody takes the key that it brings along.
#[test]
fn a_key_that_a_token_brings_along_is_not_used() {
    let campus = by_jwks();
    let evil = Signer::rs256().named("rsa");
    let asked = Arc::new(AtomicUsize::new(0));
    let (counted, keys) = (Arc::clone(&asked), Signer::jwks(&[&evil]));
    let double = Double::start(move |mut wire| {
        while wire.head().is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
            let length = keys.len();
            let answer =
                format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{keys}");
            if wire.stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    });
    let url = format!("http://{}/keys", double.address);
    let claims = rfc9068(&campus.server.issuer());
    let kids = [
        json!("rsa"),
        json!("evil"),
        json!(""),
        json!(1),
        json!(["rsa"]),
        json!("../../../../dev/null"),
        json!("rsa\u{0}"),
        json!(url),
        json!(null),
    ];
    for kid in kids {
        for more in [
            json!({}),
            json!({ "jku": url, "x5u": url }),
            json!({ "jwk": evil.jwk() }),
            json!({ "x5c": ["MIIB"] }),
        ] {
            let mut header = json!({ "alg": "RS256", "typ": "at+jwt", "kid": kid });
            crate::support::oidc::double::merge(&mut header, &more);
            campus.refuses(&evil.sign(&header.to_string(), &claims.to_string()));
        }
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0, "somebody asked for a key");
    // Unknown names of keys are no way to have the server asked over and over.
    let fetched = campus.server.questions(Endpoint::Keys).len();
    assert!(fetched <= 5, "the keys were fetched {fetched} times");
    campus.get("/app/x", &campus.access_token(&json!({}))).expect(200);
}

/// Keys are taken over while the server is away; a new one is found when a token names it.
#[test]
fn keys_outlive_an_outage_and_new_ones_are_found() {
    let campus = by_jwks();
    campus.get("/app/x", &campus.access_token(&json!({}))).expect(200);
    campus.server.go_down();
    campus
        .get("/app/x", &campus.access_token(&json!({ "sub": "bob" })))
        .expect(200);
    campus.server.recover();
    let old = campus.access_token(&json!({ "sub": "old" }));
    campus.server.rotate(Signer::rs256().named("next"));
    let new = campus.access_token(&json!({ "sub": "new" }));
    crate::support::eventually("the new key is found", || {
        (campus.get("/app/x", &new).status == 200).then_some(())
    });
    // It is not published any more.
    crate::support::eventually("the old key is gone", || {
        (campus.get("/app/x", &old).status == 401).then_some(())
    });
}

/// A gateway starts without the server; tokens are 503 until it is there, and nothing else is.
#[test]
fn without_keys_tokens_wait_and_nothing_else_does() {
    let server = AuthServer::start();
    server.go_down();
    let campus = Plan::by(By::Jwks).with(server);
    let token = campus.access_token(&json!({}));
    let answer = campus.get("/app/x", &token).expect(503);
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    campus.get("/free", &token).expect(204);
    campus.send(Request::get("/app/x")).expect(401);
    campus.server.recover();
    crate::support::eventually("the keys are found", || {
        (campus.get("/app/x", &token).status == 200).then_some(())
    });
}

/// Metadata of another issuer says nothing about this one.
#[test]
fn metadata_of_another_issuer_is_not_believed() {
    let server = AuthServer::start();
    server.discovery(json!({ "issuer": "https://idp.evil.example" }));
    let campus = Plan::by(By::Jwks).with(server);
    let token = campus.access_token(&json!({}));
    let status = campus.get("/app/x", &token).status;
    assert!([401, 503].contains(&status), "{status}");
}

/// A server's key set may hold keys for other uses, and secrets by mistake.
#[test]
fn a_key_for_another_use_verifies_nothing() {
    let server = AuthServer::start();
    let other = Signer::rs256().named("enc");
    let mut published = other.jwk();
    published["use"] = json!("enc");
    let secret =
        json!({ "kty": "oct", "k": base64url("a secret by mistake"), "alg": "HS256", "kid": "oct", "use": "sig" });
    let keys = json!({ "keys": [secret, published, server.jwk()] });
    server.answer(Endpoint::Keys, crate::support::oidc::Reply::json(200, &keys));
    let campus = Plan::by(By::Jwks).with(server);
    let claims = rfc9068(&campus.server.issuer());
    campus.get("/app/x", &campus.access_token(&json!({}))).expect(200);
    let header = json!({ "alg": "HS256", "typ": "at+jwt", "kid": "oct" });
    campus.refuses(&hs256(b"a secret by mistake", &header, &claims));
    let header = json!({ "alg": "RS256", "typ": "at+jwt", "kid": "enc" });
    campus.refuses(&other.sign(&header.to_string(), &claims.to_string()));
    // A key is for its own algorithm.
    let header = json!({ "typ": "at+jwt", "alg": "PS256" });
    campus.refuses(&campus.server.signed(&header, claims, &json!({})));
}

/// Nobody but tokens waits for keys that never come.
#[test]
fn keys_that_never_come_keep_nothing_else_waiting() {
    let server = AuthServer::start();
    server.answer(Endpoint::Keys, crate::support::oidc::Reply::never());
    let campus = Plan::by(By::Jwks).with(server);
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..30)
            .map(|number| {
                let token = campus.access_token(&json!({ "sub": format!("person-{number}") }));
                let gateway = &campus.gateway;
                scope.spawn(move || super::campus::quietly(gateway, Request::get("/app/x").bearer(&token)))
            })
            .collect();
        for _ in 0..20 {
            campus.send(Request::get("/free")).expect(204);
            campus.send(Request::get("/open/x")).expect(200);
        }
        for thread in waiting {
            let answer = thread.join().unwrap().expect(503);
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
        }
    });
    let fetched = campus.server.questions(Endpoint::Keys).len();
    assert!(fetched <= 3, "{fetched} times");
    campus.server.recover();
    crate::support::eventually("the keys are found", || {
        (campus.get("/app/x", &campus.access_token(&json!({}))).status == 200).then_some(())
    });
}
