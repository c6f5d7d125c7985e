//! Tokens before all bearers: claims and answers one by one, and servers that are asked.

mod asking;
mod claims;
mod verifying;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use url::Url;

use super::*;
use crate::config::bearer::{Bearer, BearerBy, BearerJwks, BearerProfile, Introspection};
use crate::config::cas::RoleRule;
use crate::config::{Algorithm, ClientAuth, Outgoing};
use crate::observe::metrics::Metrics;

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
const ISSUER: &str = "https://idp.test";

fn jwks(issuer: &str, jwks_uri: &Url) -> BearerBy {
    BearerBy::Jwks(Box::new(BearerJwks {
        issuer: issuer.to_owned(),
        issuer_url: issuer.parse().unwrap(),
        discovery: None,
        jwks_uri: Some(jwks_uri.clone()),
        types: vec!["at+jwt".to_owned(), "JWT".to_owned()],
        algorithms: vec![Algorithm::Es256],
        leeway: Duration::from_secs(60),
        max_lifetime: Duration::from_secs(3600),
        outgoing: Outgoing::default(),
    }))
}

fn bearer(by: BearerBy) -> Bearer {
    Bearer {
        attributes: Vec::new(),
        name: Arc::from("campus"),
        username: "sub".to_owned(),
        people: None,
        roles: vec![
            RoleRule::new(Some("groups"), "ROLE_{value}").unwrap(),
            RoleRule::new(None, "ROLE_USER").unwrap(),
        ],
        audience: vec!["https://janua.test".to_owned()],
        clients: Vec::new(),
        bad_tokens: Rate {
            per_second: 0.001,
            burst: 20,
        },
        by,
    }
}

fn only(config: &Bearer) -> Bearers {
    let section = Section::new(config, Metrics::new().bearer("campus")).unwrap();
    Bearers::new(vec![Arc::new(section)], 16 << 10)
}

fn profile(endpoint: &Url) -> BearerBy {
    BearerBy::Profile(Box::new(BearerProfile {
        endpoint: endpoint.clone(),
        cache: Duration::from_secs(30),
        serve_stale: Duration::ZERO,
        outgoing: Outgoing::default(),
    }))
}

fn introspection(endpoint: &Url, secret: &std::path::Path, cache: Duration, serve_stale: Duration) -> BearerBy {
    BearerBy::Introspection(Box::new(Introspection {
        endpoint: endpoint.clone(),
        client_id: "janua".to_owned(),
        client_secret_file: Some(secret.to_owned()),
        client_key: None,
        client_auth: ClientAuth::Basic,
        cache,
        serve_stale,
        issuer: None,
        outgoing: Outgoing::default(),
    }))
}

/// A server that answers every request with what `answer` says of its text, and counts them.
struct Server {
    url: Url,
    asked: Arc<AtomicUsize>,
}

impl Server {
    async fn start(answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/asked", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let (counted, answer) = (Arc::clone(&asked), Arc::new(answer));
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let (counted, answer) = (Arc::clone(&counted), Arc::clone(&answer));
                tokio::spawn(async move {
                    let mut text = Vec::new();
                    let mut part = [0; 4096];
                    while !is_whole(&text) {
                        match socket.read(&mut part).await {
                            Ok(read) if read > 0 => text.extend_from_slice(&part[..read]),
                            _ => return,
                        }
                    }
                    counted.fetch_add(1, Ordering::SeqCst);
                    let (status, body) = answer(&String::from_utf8_lossy(&text));
                    let length = body.len();
                    let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
                    socket.write_all((head + &body).as_bytes()).await.ok();
                });
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn is_whole(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
    body.len() >= length.unwrap_or(0)
}

fn refused(outcome: Outcome) -> Reason {
    match outcome {
        Outcome::Refused(refusal) => refusal.reason,
        other => panic!("{other:?}"),
    }
}

fn person(outcome: Outcome) -> Arc<crate::identity::Identity> {
    match outcome {
        Outcome::Person(who) => who,
        other => panic!("{other:?}"),
    }
}

fn active(more: &Value) -> String {
    let mut answer = json!({
        "active": true, "sub": "anna", "client_id": "portal", "aud": "https://janua.test", "scope": "openid video",
        "groups": ["staff"], "token_type": "Bearer",
    });
    for (name, value) in more.as_object().unwrap() {
        answer[name] = value.clone();
    }
    answer.to_string()
}

#[test]
fn a_token_stands_in_the_header_alone_and_alone_there() {
    let found = |values: &[&'static str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        carried(&headers)
            .map(|token| token.map(str::to_owned))
            .map_err(|refusal| refusal.reason)
    };
    assert_eq!(found(&["Bearer AT-1"]), Ok(Some("AT-1".to_owned())));
    assert_eq!(found(&["bearer   a.b.c"]), Ok(Some("a.b.c".to_owned())));
    assert_eq!(found(&["Basic eDp5", "Bearer a"]), Ok(Some("a".to_owned())));
    for nobody in [
        &[][..],
        &["Bearer"],
        &["Basic eDp5"],
        &["DPoP a.b.c"],
        &["Bearer jns_abc"],
    ] {
        assert_eq!(found(nobody), Ok(None), "{nobody:?}");
    }
    assert_eq!(found(&["Bearer a", "Bearer b"]), Err(Reason::MalformedToken));
    let unreadable = |token: &str| Bearers::new(Vec::new(), 8).unreadable(token).is_some();
    assert!(!unreadable("AT-1.~+/") && unreadable("123456789") && unreadable("a b") && unreadable("a,b"));
}

#[test]
fn a_bearer_that_cannot_say_outweighs_one_that_does_not_know() {
    let told = |reasons: &[Reason]| {
        let mut refused = Refused::default();
        reasons.iter().for_each(|reason| refused.add((*reason).into()));
        refused.told(&Shape::Opaque).reason
    };
    let (no, open) = (Reason::TokenNotActive, Reason::TokenServerUnavailable);
    assert_eq!(told(&[no, open, no]), open);
    assert_eq!(told(&[open, no]), open);
    assert_eq!(told(&[no, Reason::WrongAudience]), no, "the first one says it");
    assert_eq!(told(&[]), Reason::MalformedToken);
}
