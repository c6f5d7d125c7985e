//! Single tokens and keys, looked at for people: with the eyes of the gateway, so that both say the same.

use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::refresh::Refresher;
use super::source::Held;
use super::verify::Unverified;
use super::{Payer, Tokens, jwk};
use crate::config;
use crate::identity::Identity;
use crate::observe::metrics::Metrics;
use crate::rejection::Rejection;
use crate::store::Store;

/// Is this a token at all? Its signature and its times are not looked at.
pub fn well_formed(token: &str, config: &config::Jwt) -> Result<(), Rejection> {
    Unverified::read(token, config).map(drop)
}

/// Judges a token by the keys of all issuers of `config`, which are fetched once.
///
/// Errors: the keys cannot be had; the inner one: what a gateway would refuse the token for.
pub async fn judge(
    token: &str,
    config: &config::Jwt,
    now: SystemTime,
) -> anyhow::Result<Result<Arc<Identity>, Rejection>> {
    let tokens = Tokens::start(config, &Store::in_memory(), &Metrics::new()).await?;
    for refresher in &tokens.refreshers {
        load(refresher, now).await?;
    }
    Ok(tokens.judge(token, None, now, Payer::Nobody(None)).verdict)
}

async fn load(refresher: &Refresher, now: SystemTime) -> anyhow::Result<()> {
    let set = refresher.source.fetch().await?.set;
    refresher.hold(Held { set, fetched: now });
    Ok(())
}

/// The thumbprint (RFC 7638, SHA-256, base64url) of a key that can verify tokens, or why it cannot.
pub fn thumbprint(jwk: &Map<String, Value>) -> Result<String, &'static str> {
    jwk::key(jwk).map(|key| URL_SAFE_NO_PAD.encode(key.thumbprint))
}
