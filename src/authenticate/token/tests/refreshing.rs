//! How keys come and go, and the remembered tokens with them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::testing::{Signer, at_url};
use super::*;

#[tokio::test]
async fn without_any_key_tokens_cannot_be_judged() {
    let tokens = tokens(&config(vec![all_powerful("moodle")])).await;
    assert!(!tokens.ready());
    let token = Signer::new().token(&claims(""));
    assert_eq!(ask(&tokens, &token).await.err(), Some(Reason::KeysUnavailable));
    assert_eq!(ask(&tokens, "a.b.c").await.err(), Some(Reason::MalformedToken));
}

#[tokio::test]
async fn a_changed_key_file_counts_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let (old, new) = (Signer::new(), Signer::new());
    let tokens = trusting(&path, &[old.jwk(None)]).await;
    let (by_old, by_new) = (old.token(&claims("")), new.token(&claims("")));
    assert!(ask(&tokens, &by_old).await.is_ok());
    let mut changes = tokens.keys.changes();
    let _refreshing = tokens.spawn_refresh();

    std::fs::write(folder.path().join("tmp"), jwks(&[new.jwk(None)])).unwrap();
    std::fs::rename(folder.path().join("tmp"), &path).unwrap();
    tokio::time::timeout(DEADLINE, changes.changed())
        .await
        .unwrap()
        .unwrap();
    assert!(ask(&tokens, &by_new).await.is_ok());
    assert_eq!(
        ask(&tokens, &by_old).await.err(),
        Some(Reason::BadSignature),
        "a remembered token goes with its key"
    );

    // A file that becomes bad changes nothing.
    std::fs::write(&path, "oops").unwrap();
    let failed = &tokens.refreshers[0];
    failed.prepare(None).await;
    assert!(ask(&tokens, &by_new).await.is_ok());
}

const DEADLINE: Duration = Duration::from_secs(20);

/// A key set endpoint whose answer can be changed.
#[derive(Clone)]
struct Endpoint {
    address: SocketAddr,
    answer: Arc<Mutex<Option<String>>>,
    requests: Arc<AtomicUsize>,
}

impl Endpoint {
    async fn new(keys: &[Value]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Self {
            address: listener.local_addr().unwrap(),
            answer: Arc::new(Mutex::new(Some(jwks(keys)))),
            requests: Arc::default(),
        };
        let serving = endpoint.clone();
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut request = [0; 4096];
                assert_ne!(socket.read(&mut request).await.unwrap(), 0);
                serving.requests.fetch_add(1, Ordering::SeqCst);
                let answer = serving.answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let answer = match answer {
                    Some(body) => format!(
                        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                        body.len()
                    ),
                    None => "HTTP/1.1 500 Oops\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_owned(),
                };
                socket.write_all(answer.as_bytes()).await.ok();
            }
        });
        endpoint
    }

    fn answers(&self, keys: Option<&[Value]>) {
        *self.answer.lock().unwrap() = keys.map(jwks);
    }

    fn config(&self) -> config::Jwt {
        config(vec![at_url(
            all_powerful("tobira"),
            &format!("http://{}/jwks.json", self.address),
        )])
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Until the task has fetched `count` times.
async fn fetched(endpoint: &Endpoint, tokens: &Tokens, count: usize) {
    let fetched = async {
        let mut changes = tokens.keys.changes();
        while endpoint.requests() < count || !tokens.ready() {
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(DEADLINE, fetched).await.unwrap();
}

#[tokio::test]
async fn the_first_requests_wait_for_the_first_keys() {
    let signer = Signer::new();
    let endpoint = Endpoint::new(&[signer.jwk(None)]).await;
    let tokens = tokens(&endpoint.config()).await;
    let _refreshing = tokens.spawn_refresh();
    let token = signer.token(&claims(""));
    // The task begins with a fetch; asking it before that joins this one.
    tokio::task::yield_now().await;
    let all = join_all((0..20).map(|_| ask(&tokens, &token))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(endpoint.requests(), 1, "one fetch for all");
}

#[tokio::test]
async fn an_unknown_key_costs_one_refresh_for_all_who_wait() {
    let (old, new) = (Signer::new(), Signer::new());
    let endpoint = Endpoint::new(&[old.jwk(Some("old"))]).await;
    let tokens = tokens(&endpoint.config()).await;
    let _refreshing = tokens.spawn_refresh();
    fetched(&endpoint, &tokens, 1).await;
    endpoint.answers(Some(&[new.jwk(Some("new"))]));
    let remembered = old.token(&claims(""));
    assert!(ask(&tokens, &remembered).await.is_ok());

    let fresh = new.sign(r#"{"alg":"ES256","kid":"new"}"#, &claims(""));
    let all = join_all((0..20).map(|_| ask(&tokens, &fresh))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(endpoint.requests(), 2);
    assert_eq!(
        ask(&tokens, &remembered).await.err(),
        Some(Reason::BadSignature),
        "its key has left the set"
    );
}

/// Whoever sends made-up names of keys has had fetches for them, and gets no other one soon. Others do.
#[tokio::test]
async fn made_up_keys_of_one_address_keep_nobody_else_from_a_new_key() {
    let (old, new) = (Signer::new(), Signer::new());
    let endpoint = Endpoint::new(&[old.jwk(Some("old"))]).await;
    let tokens = tokens(&endpoint.config()).await;
    let _refreshing = tokens.spawn_refresh();
    fetched(&endpoint, &tokens, 1).await;
    endpoint.answers(Some(&[new.jwk(Some("new"))]));
    tokens.refreshers[0].asked_often(CLIENT);
    let made_up = new.sign(r#"{"alg":"ES256","kid":"made up"}"#, &claims(""));
    assert_eq!(ask(&tokens, &made_up).await.err(), Some(Reason::UnknownKey));
    assert_eq!(endpoint.requests(), 1);
    let fresh = new.sign(r#"{"alg":"ES256","kid":"new"}"#, &claims(""));
    assert!(ask_as(&tokens, &fresh, None, OTHER, now()).await.is_ok());
    assert_eq!(endpoint.requests(), 2);
}

#[tokio::test]
async fn the_last_good_keys_serve_on_also_after_a_restart() {
    let signer = Signer::new();
    let endpoint = Endpoint::new(&[signer.jwk(None)]).await;
    let store = memory();
    let mut config = endpoint.config();
    let first = Tokens::start(&config, &store, &Metrics::new()).await.unwrap();
    assert!(!first.ready(), "nothing was kept yet");
    assert!(first.refreshers[0].refresh_for_test().await);
    endpoint.answers(None);
    assert!(!first.refreshers[0].refresh_for_test().await);
    assert!(ask(&first, &signer.token(&claims(""))).await.is_ok());

    let second = Tokens::start(&config, &store, &Metrics::new()).await.unwrap();
    assert!(second.ready());
    assert!(ask(&second, &signer.token(&claims(""))).await.is_ok());
    // A set without a usable key is a failed fetch, too.
    endpoint.answers(Some(&[json!({"kty":"oct","k":"AAAA"})]));
    assert!(!second.refreshers[0].refresh_for_test().await);
    assert!(second.ready());

    config.keep_stale = Duration::ZERO;
    let third = Tokens::start(&config, &store, &Metrics::new()).await.unwrap();
    assert!(!third.ready(), "too old to start with");
    endpoint.answers(Some(&[signer.jwk(None)]));
    assert!(third.refreshers[0].refresh_for_test().await && third.ready());
    endpoint.answers(None);
    assert!(!third.refreshers[0].refresh_for_test().await);
    assert!(!third.ready(), "too old to serve on");
    assert_eq!(
        ask(&third, &signer.token(&claims(""))).await.err(),
        Some(Reason::KeysUnavailable)
    );

    // Another address under the same name has no claim on the kept keys.
    let elsewhere = Endpoint::new(&[]).await;
    let fourth = Tokens::start(&elsewhere.config(), &store, &Metrics::new())
        .await
        .unwrap();
    assert!(!fourth.ready());
}

#[tokio::test]
async fn a_set_that_is_too_large_names_the_setting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let keys = [Signer::new().jwk(None)];
    std::fs::write(&path, jwks(&keys)).unwrap();
    let mut config = Endpoint::new(&keys).await.config();
    config.issuers.push(at_file(all_powerful("moodle"), &path));
    config.max_key_set = jwks(&keys).len();
    assert_eq!(tokens(&config).await.probe(|_| ()).await.len(), 2);
    config.max_key_set -= 1;
    let tell = |report: &IssuerReport| {
        let error = report.found.as_ref().err().unwrap();
        assert!(error.contains("jwt.max_key_set"), "{error}");
    };
    assert!(tokens(&config).await.probe(tell).await.is_empty());
}

#[tokio::test]
async fn a_probe_says_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    std::fs::write(&path, jwks(&[Signer::new().jwk(Some("k")), json!({"kty":"oct"})])).unwrap();
    let endpoint = Endpoint::new(&[]).await;
    let mut config = endpoint.config();
    config.issuers.push(at_file(all_powerful("moodle"), &path));
    let told = std::cell::RefCell::new(Vec::new());
    let tell = |report: &IssuerReport| told.borrow_mut().extend(report.found.as_ref().err().cloned());
    let found = tokens(&config).await.probe(tell).await;
    let told = told.into_inner();
    assert!(
        matches!(told.as_slice(), [error] if error.contains("no key that can verify")),
        "{told:?}"
    );
    let [found] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(found.usable, ["ES256 kid \"k\""]);
    assert_eq!(found.refused.len(), 1);
}
