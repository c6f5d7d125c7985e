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

#[tokio::test]
async fn the_budget_counts_signature_checks() {
    let folder = tempfile::tempdir().unwrap();
    let (signers, stranger) = ([(); 12].map(|()| Signer::new()), Signer::new());
    let keys: Vec<_> = signers.iter().map(|signer| signer.jwk(None)).collect();
    let tokens = trusting(&folder.path().join("keys"), &keys).await;
    for signer in &signers {
        assert!(
            ask(&tokens, &signer.token(&claims(""))).await.is_ok(),
            "good ones are free"
        );
    }
    // Of twenty: twelve checks, then twelve more.
    for (n, expected) in [Reason::BadSignature, Reason::BadSignature, Reason::RateLimited]
        .into_iter()
        .enumerate()
    {
        let bad = stranger.token(&claims(&format!(r#","n":{n}"#)));
        assert_eq!(ask(&tokens, &bad).await.err(), Some(expected), "{n}");
    }
}

/// A stale token in a page that was left open does not use up its address's budget, nor shut out the good one beside it.
#[tokio::test]
async fn a_bad_token_that_comes_again_costs_one_check() {
    let folder = tempfile::tempdir().unwrap();
    let (signers, stranger) = ([(); 15].map(|()| Signer::new()), Signer::new());
    let keys: Vec<_> = signers.iter().map(|signer| signer.jwk(None)).collect();
    let tokens = trusting(&folder.path().join("keys"), &keys).await;
    let (stale, other) = (stranger.token(&claims("")), stranger.token(&claims(r#","n":1"#)));
    // Of twenty: fifteen checks, then one each.
    for _ in 0..3 {
        assert_eq!(ask(&tokens, &stale).await.err(), Some(Reason::BadSignature));
    }
    // Fifteen more are a debt, and the good one behind it counts all the same.
    let good = signers[7].token(&claims(""));
    let both = Carried::of_form([(0, other.clone()), (0, good)]);
    let recent = Recent::default();
    let outcome = tokens.authenticate(&both, None, CLIENT, &recent, now()).await;
    assert!(matches!(outcome, Outcome::Person(_)), "{outcome:?}");
    assert_eq!(ask(&tokens, &other).await.err(), Some(Reason::RateLimited));
    // In debt nothing is checked, whatever stands in front.
    let [junk, fresh] = [stranger.token(&claims(r#","n":2"#)), signers[3].token(&claims(""))];
    let both = Carried::of_form([(0, junk), (0, fresh)]);
    let outcome = tokens.authenticate(&both, None, CLIENT, &recent, now()).await;
    assert!(
        matches!(&outcome, Outcome::Refused(refusal) if refusal.reason == Reason::RateLimited),
        "{outcome:?}"
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

/// What a connection remembers is no more than what would be found anyway: time, issuers, keys and caps count each time.
#[tokio::test]
async fn a_connection_that_remembers_believes_no_longer_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let (signer, next) = (Signer::new(), Signer::new());
    let tokens = trusting(&path, &[signer.jwk(None)]).await;
    let token = signer.token(&claims(r#","roles":["ROLE_X"]"#));
    let recent = Recent::default();
    let over = async |tokens: &Tokens, issuers: Option<&[usize]>, seconds| {
        let now = now() + Duration::from_secs(seconds);
        ask_over(&recent, tokens, &token, issuers, CLIENT, now).await
    };
    for _ in 0..4 {
        assert_eq!(over(&tokens, None, 0).await.unwrap().roles, ["ROLE_X"]);
    }
    assert_eq!(over(&tokens, None, 63).await.err(), Some(Reason::TokenExpired));
    assert_eq!(
        over(&tokens, Some(&[1]), 0).await.err(),
        Some(Reason::IssuerNotAccepted)
    );
    let forged = next.token(&claims(""));
    let refused = ask_over(&recent, &tokens, &forged, None, CLIENT, now()).await;
    assert_eq!(refused.err(), Some(Reason::BadSignature));

    // Another configuration, where this issuer may say less; then one whose keys are others.
    let capped = config(vec![at_file(issuer("moodle", &["ROLE_Y"], &[]), &path)]);
    let capped = super::tokens(&capped).await;
    for _ in 0..4 {
        assert!(over(&capped, None, 0).await.unwrap().roles.is_empty());
    }
    let replaced = trusting(&path, &[next.jwk(None)]).await;
    assert_eq!(over(&replaced, None, 0).await.err(), Some(Reason::BadSignature));
}

/// Is it kept from the upstreams of routes open to everyone?
fn is_ours(tokens: &Tokens, token: &str, client: IpAddr) -> bool {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    tokens.are_ours(&find(&tokens.config.sources, &headers, None), Some(client))
}

const NAMED: &str = r#"{"alg":"ES256","kid":"a"}"#;
const UNKNOWN: &str = r#"{"alg":"ES256","kid":"zz"}"#;

#[tokio::test]
async fn a_token_that_no_key_here_can_have_signed_costs_no_check() {
    let folder = tempfile::tempdir().unwrap();
    let (signer, stranger) = (Signer::new(), Signer::new());
    let tokens = trusting(&folder.path().join("keys"), &[signer.jwk(Some("a"))]).await;
    let foreign =
        |header: &str, n: usize| stranger.sign(header, &claims(&format!(r#","iss":"https://elsewhere.test","n":{n}"#)));
    for n in 0..50 {
        assert!(!is_ours(&tokens, &foreign(UNKNOWN, n), CLIENT), "{n}");
    }
    // Those that a key might have signed have to be checked, which this address may cause twenty times.
    for n in 0..20 {
        let header = [NAMED, r#"{"alg":"ES256"}"#][n % 2];
        assert!(!is_ours(&tokens, &foreign(header, n), CLIENT), "{n}");
    }
    assert_eq!(tokens.metrics.withheld.get(), 0);
    assert!(is_ours(&tokens, &foreign(NAMED, 20), CLIENT), "nobody can tell");
    assert_eq!(tokens.metrics.withheld.get(), 1);
    assert!(!is_ours(&tokens, &foreign(NAMED, 20), OTHER));
    assert!(!is_ours(&tokens, &foreign(UNKNOWN, 50), CLIENT), "it needs no check");
    for header in [NAMED, r#"{"alg":"ES256"}"#] {
        assert!(is_ours(&tokens, &signer.sign(header, &claims("")), OTHER), "{header}");
    }
}

#[tokio::test]
async fn a_token_of_an_issuers_key_that_is_not_here_is_kept_back() {
    let folder = tempfile::tempdir().unwrap();
    let (signer, stranger) = (Signer::new(), Signer::new());
    let path = folder.path().join("keys");
    let complete = trusting(&path, &[signer.jwk(Some("a"))]).await;
    let of = |iss: &str| stranger.sign(UNKNOWN, &claims(iss));
    // A key that the issuer has begun to use a moment ago.
    assert!(is_ours(&complete, &of(r#","iss":"moodle""#), CLIENT));
    assert!(!is_ours(&complete, &of(r#","iss":"https://elsewhere.test""#), CLIENT));
    // Or one of another key under the same name, or under none.
    for header in [NAMED, r#"{"alg":"ES256"}"#] {
        assert!(
            is_ours(&complete, &stranger.sign(header, &claims(r#","iss":"moodle""#)), CLIENT),
            "{header}"
        );
    }
    // The issuer has given its key another name.
    assert!(is_ours(&complete, &signer.sign(UNKNOWN, &claims("")), CLIENT));
    assert!(!is_ours(&complete, &of(""), CLIENT));
    // Another issuer's keys have not come yet.
    let away = all_powerful("away");
    let partial = tokens(&config(vec![at_file(all_powerful("moodle"), &path), away])).await;
    assert!(is_ours(&partial, &of(""), CLIENT));
    assert!(is_ours(&partial, &stranger.sign(NAMED, &claims("")), CLIENT));
    assert!(!is_ours(&partial, &of(r#","iss":"https://elsewhere.test""#), CLIENT));
    // One without a name is tried with every token.
    let nameless = trusting(&path, &[signer.jwk(None)]).await;
    assert!(is_ours(&nameless, &signer.sign(UNKNOWN, &claims("")), CLIENT));
    let both = trusting(&path, &[signer.jwk(Some("a")), stranger.jwk(None)]).await;
    assert!(is_ours(&both, &signer.sign(UNKNOWN, &claims("")), CLIENT));
    let nobodys = tokens(&config(Vec::new())).await;
    assert!(!is_ours(&nobodys, &signer.sign(UNKNOWN, &claims("")), CLIENT));
}
