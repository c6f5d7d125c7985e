//! The whole way of a token, with real keys: what all tests of it share.

mod algorithms;
mod judging;
mod refreshing;
mod remembering;

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde_json::Value;

use super::carrier::find;
use super::testing::{at_file, config, issuer, jwks};
use super::*;
use crate::config::Issuer;

pub(super) const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
pub(super) const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

pub(super) fn memory() -> Store {
    Store::in_memory()
}

pub(super) async fn tokens(config: &config::Jwt) -> Arc<Tokens> {
    Tokens::start(config, &memory(), &Metrics::new()).await.unwrap()
}

/// One issuer `moodle` that may say everything, its keys in a file.
pub(super) async fn trusting(path: &Path, keys: &[Value]) -> Arc<Tokens> {
    std::fs::write(path, jwks(keys)).unwrap();
    tokens(&config(vec![at_file(all_powerful("moodle"), path)])).await
}

pub(super) fn all_powerful(name: &str) -> Issuer {
    issuer(name, &["*"], &["read", "write", "annotate", "annotate-admin"])
}

/// Judges `Authorization: Bearer <token>`.
pub(super) async fn ask(tokens: &Tokens, token: &str) -> Result<Arc<Identity>, Reason> {
    ask_as(tokens, token, None, CLIENT, now()).await
}

pub(super) async fn ask_as(
    tokens: &Tokens,
    token: &str,
    issuers: Option<&[usize]>,
    client: IpAddr,
    now: SystemTime,
) -> Result<Arc<Identity>, Reason> {
    ask_over(&Recent::default(), tokens, token, issuers, client, now).await
}

/// The same over a connection that remembers.
pub(super) async fn ask_over(
    recent: &Recent,
    tokens: &Tokens,
    token: &str,
    issuers: Option<&[usize]>,
    client: IpAddr,
    now: SystemTime,
) -> Result<Arc<Identity>, Reason> {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    let carried = find(&tokens.config.sources, &headers, None);
    match tokens.authenticate(&carried, issuers, client, recent, now).await {
        Outcome::Person(identity) => Ok(identity),
        Outcome::Refused(rejection) => Err(rejection.reason),
        Outcome::Nobody => panic!("the token was not found"),
    }
}

pub(super) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

pub(super) const NOW: u64 = 1_800_000_000;

/// Claims that count at [`now`], with these besides.
pub(super) fn claims(more: &str) -> String {
    format!(r#"{{"exp":{}{more}}}"#, NOW + 60)
}

pub(super) fn event_grant(identity: &Identity, id: &str, action: &str) -> bool {
    identity
        .grants
        .iter()
        .any(|grant| grant.id == id && grant.action == action)
}
