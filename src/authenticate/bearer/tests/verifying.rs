//! Tokens that are verified by the server's keys.

use std::time::SystemTime;

use parking_lot::Mutex;

use super::*;
use crate::authenticate::token::testing::{Signer, jwks as key_set, unsigned};
use crate::time::unix_seconds;

const HEADER: &str = r#"{"alg":"ES256","typ":"at+jwt","kid":"a"}"#;

fn claims(more: &Value) -> String {
    let now = unix_seconds(SystemTime::now());
    let mut claims = json!({
        "iss": ISSUER, "aud": "https://janua.test", "sub": "anna", "client_id": "portal", "exp": now + 300, "iat": now,
        "scope": "video",
    });
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.to_string()
}

/// A server with these keys, which a test may change.
async fn serving(keys: &Arc<Mutex<Vec<Value>>>) -> Server {
    let keys = Arc::clone(keys);
    Server::start(move |_| (200, key_set(&keys.lock()))).await
}

#[tokio::test]
async fn a_token_of_the_server_counts_and_is_remembered() {
    let signer = Signer::new();
    let keys = Arc::new(Mutex::new(vec![signer.jwk(Some("a"))]));
    let server = serving(&keys).await;
    let bearers = only(&bearer(jwks(ISSUER, &server.url)));
    let token = signer.sign(HEADER, &claims(&json!({})));
    assert_eq!(person(bearers.judge(&token, None, CLIENT).await).name(), Some("anna"));
    assert_eq!(server.asked(), 1);
    let recent = Recent::default();
    assert!(bearers.remembered(&token, None, &recent, SystemTime::now()).is_some());
    let over = SystemTime::now() + Duration::from_secs(365);
    assert_eq!(
        refused(bearers.remembered(&token, None, &recent, over).unwrap()),
        Reason::TokenExpired
    );
    let anew = SystemTime::now() + Duration::from_secs(700);
    assert!(
        bearers.remembered(&token, None, &recent, anew).is_none(),
        "its key may be gone"
    );
    assert!(
        bearers
            .look(&token, None, SystemTime::now(), None)
            .await
            .verdict
            .is_ok()
    );
}

#[tokio::test]
async fn what_its_keys_have_not_signed_counts_nowhere() {
    let (signer, stranger) = (Signer::new(), Signer::new());
    let server = serving(&Arc::new(Mutex::new(vec![signer.jwk(Some("a"))]))).await;
    let bearers = only(&bearer(jwks(ISSUER, &server.url)));
    let good = claims(&json!({}));
    for (token, reason) in [
        (stranger.sign(HEADER, &good), Reason::BadSignature),
        (
            stranger.sign(r#"{"alg":"ES256","typ":"at+jwt","kid":"b"}"#, &good),
            Reason::UnknownKey,
        ),
        (
            format!("{}.", unsigned(r#"{"alg":"none","typ":"at+jwt"}"#, &good)),
            Reason::AlgorithmNotAllowed,
        ),
        (
            format!(
                "{}.c2ln",
                unsigned(r#"{"alg":"HS256","typ":"at+jwt","kid":"a"}"#, &good)
            ),
            Reason::AlgorithmNotAllowed,
        ),
        (
            signer.sign(r#"{"alg":"ES256","typ":"logout+jwt","kid":"a"}"#, &good),
            Reason::WrongType,
        ),
        (signer.sign(r#"{"alg":"ES256","kid":"a"}"#, &good), Reason::WrongType),
        (
            signer.sign(HEADER, &claims(&json!({ "iss": "https://other.test" }))),
            Reason::WrongIssuer,
        ),
        (
            signer.sign(HEADER, &claims(&json!({ "iss": null }))),
            Reason::WrongIssuer,
        ),
        (
            signer.sign(HEADER, &claims(&json!({ "typ": "Refresh" }))),
            Reason::WrongType,
        ),
        ("AT-1-opaque".to_owned(), Reason::MalformedToken),
    ] {
        assert_eq!(refused(bearers.judge(&token, None, CLIENT).await), reason, "{token}");
    }
    for typ in ["application/at+jwt", "AT+JWT", "jwt"] {
        let header = format!(r#"{{"alg":"ES256","typ":"{typ}","kid":"a"}}"#);
        person(bearers.judge(&signer.sign(&header, &good), None, CLIENT).await);
    }
}

#[tokio::test]
async fn bad_tokens_cost_their_address_and_no_other() {
    let (signer, stranger) = (Signer::new(), Signer::new());
    let server = serving(&Arc::new(Mutex::new(vec![signer.jwk(Some("a"))]))).await;
    let bearers = only(&bearer(jwks(ISSUER, &server.url)));
    for number in 0..25 {
        let token = stranger.sign(HEADER, &claims(&json!({ "jti": number.to_string() })));
        bearers.judge(&token, None, CLIENT).await;
    }
    let good = signer.sign(HEADER, &claims(&json!({})));
    assert_eq!(refused(bearers.judge(&good, None, CLIENT).await), Reason::RateLimited);
    person(bearers.judge(&good, None, OTHER).await);
    assert!(
        server.asked() <= 2,
        "keys are fetched again once in five seconds at most"
    );
    let (_, _, spent) = bearers.budgets(None, CLIENT).next().unwrap();
    assert!(spent);
}

#[tokio::test]
async fn a_verified_token_that_was_good_is_no_junk() {
    let (signer, stranger) = (Signer::new(), Signer::new());
    let server = serving(&Arc::new(Mutex::new(vec![signer.jwk(Some("a"))]))).await;
    let bearers = only(&bearer(jwks(ISSUER, &server.url)));
    let good = signer.sign(HEADER, &claims(&json!({})));
    person(bearers.judge(&good, None, CLIENT).await);
    for number in 0..25 {
        let token = stranger.sign(HEADER, &claims(&json!({ "jti": number.to_string() })));
        bearers.judge(&token, None, CLIENT).await;
    }
    let another = signer.sign(HEADER, &claims(&json!({ "jti": "another" })));
    assert_eq!(
        refused(bearers.judge(&another, None, CLIENT).await),
        Reason::RateLimited
    );
    // As after ten minutes.
    person(bearers.judge(&good, None, CLIENT).await);
    let looked = bearers.look(&good, None, SystemTime::now(), Some(CLIENT)).await;
    assert!(looked.verdict.is_ok());
}

#[tokio::test]
async fn without_keys_nothing_can_be_said() {
    let server = Server::start(|_| (500, String::new())).await;
    let bearers = only(&bearer(jwks(ISSUER, &server.url)));
    let token = Signer::new().sign(HEADER, &claims(&json!({})));
    for _ in 0..3 {
        assert_eq!(
            refused(bearers.judge(&token, None, CLIENT).await),
            Reason::KeysUnavailable
        );
    }
    assert_eq!(server.asked(), 1, "a failure is not repeated at once");
}

#[tokio::test]
async fn a_token_is_shown_to_nobody_but_its_server() {
    let signer = Signer::new();
    let keys = serving(&Arc::new(Mutex::new(vec![signer.jwk(Some("a"))]))).await;
    let asked = Server::start(|_| (200, active(&json!({})))).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, "s").unwrap();
    let section = |config: &Bearer| Arc::new(Section::new(config, Metrics::new().bearer("x")).unwrap());
    let verified = bearer(jwks(ISSUER, &keys.url));
    let other = introspection(&asked.url, &path, Duration::from_secs(30), Duration::ZERO);
    let bearers = Bearers::new(vec![section(&verified), section(&bearer(other))], 16 << 10);
    let foreign = Signer::new().sign(HEADER, &claims(&json!({})));
    assert_eq!(
        refused(bearers.judge(&foreign, None, CLIENT).await),
        Reason::BadSignature
    );
    assert_eq!(asked.asked(), 0);
    person(bearers.judge("AT-1", None, CLIENT).await);
    assert_eq!((keys.asked(), asked.asked()), (1, 1));
    // What names no issuer can be of no server whose tokens are verified here.
    let nameless = signer.sign(HEADER, &claims(&json!({ "iss": null })));
    person(bearers.judge(&nameless, None, CLIENT).await);
    assert_eq!((keys.asked(), asked.asked()), (1, 2));
    assert!(bearers.budgets(None, CLIENT).all(|(.., is_spent)| !is_spent));
    assert!(names_no_issuer(&nameless) && !names_no_issuer(&foreign) && !names_no_issuer("AT-1"));
    // On a route that is open to everyone: what may count elsewhere goes no further.
    assert!(bearers.are_theirs("AT-2") && bearers.are_theirs(&foreign));
    let alone = only(&verified);
    assert!(!alone.are_theirs("AT-2") && alone.are_theirs(&foreign));
    let elsewhere = signer.sign(HEADER, &claims(&json!({ "iss": "https://other.test" })));
    assert!(!alone.are_theirs(&elsewhere) && bearers.are_theirs(&elsewhere));
}
