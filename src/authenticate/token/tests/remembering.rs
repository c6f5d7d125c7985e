//! What a check costs, and who is spared one: remembered tokens, and the budget for bad signatures.

use super::super::testing::Signer;
use super::*;

#[tokio::test]
async fn a_remembered_token_still_expires() {
    let folder = tempfile::tempdir().unwrap();
    let signer = Signer::new();
    let tokens = trusting(&folder.path().join("keys"), &[signer.jwk(None)]).await;
    let token = signer.token(&claims(""));
    let after = async |seconds| ask_as(&tokens, &token, None, CLIENT, now() + Duration::from_secs(seconds)).await;
    assert!(after(0).await.is_ok());
    assert!(after(62).await.is_ok());
    assert_eq!(after(63).await.err(), Some(Reason::TokenExpired));
}

#[tokio::test]
async fn bad_signatures_have_a_budget() {
    let folder = tempfile::tempdir().unwrap();
    let (signer, stranger) = (Signer::new(), Signer::new());
    let tokens = trusting(&folder.path().join("keys"), &[signer.jwk(None)]).await;
    let known = signer.token(&claims(r#","sub":"known""#));
    assert!(ask(&tokens, &known).await.is_ok());
    // Expired and malformed tokens cost nothing.
    for n in 0..50 {
        let expired = signer.token(&format!(r#"{{"exp":{n}}}"#));
        assert_eq!(ask(&tokens, &expired).await.err(), Some(Reason::TokenExpired));
        assert_eq!(ask(&tokens, "a.b.c").await.err(), Some(Reason::MalformedToken));
    }
    for n in 0..25 {
        let expected = if n < 20 {
            Reason::BadSignature
        } else {
            Reason::RateLimited
        };
        let bad = stranger.token(&claims(&format!(r#","n":{n}"#)));
        assert_eq!(ask(&tokens, &bad).await.err(), Some(expected), "{n}");
    }
    let fresh = signer.token(&claims(r#","sub":"fresh""#));
    assert_eq!(ask(&tokens, &fresh).await.err(), Some(Reason::RateLimited));
    assert!(ask(&tokens, &known).await.is_ok(), "a remembered token needs no check");
    assert!(
        ask_as(&tokens, &fresh, None, OTHER, now()).await.is_ok(),
        "others have their own budget"
    );
}

/// A request whose token must be checked does not hold up those that came with it, whether it gets in or not.
#[tokio::test]
async fn remembered_tokens_go_first() {
    let folder = tempfile::tempdir().unwrap();
    let (signer, stranger) = (Signer::new(), Signer::new());
    let tokens = trusting(&folder.path().join("keys"), &[signer.jwk(None)]).await;
    let known = signer.token(&claims(r#","sub":"known""#));
    assert!(ask(&tokens, &known).await.is_ok());
    let new = signer.token(&claims(r#","sub":"new""#));
    let forged = stranger.token(&claims(r#","sub":"new""#));
    let order = std::sync::Mutex::new(Vec::new());
    let judged = async |name, token| {
        let gets_in = ask(&tokens, token).await.is_ok();
        order.lock().unwrap().push((name, gets_in));
    };
    tokio::join!(judged("new", &new), judged("forged", &forged), judged("known", &known));
    let order = order.into_inner().unwrap();
    assert_eq!(order[0], ("known", true), "{order:?}");
    assert!(
        order.contains(&("new", true)) && order.contains(&("forged", false)),
        "{order:?}"
    );
}
