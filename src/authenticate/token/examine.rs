//! What can be told of a request's tokens, for people: what each says, whose key verified it, what the caps of its
//! issuers left of it, and whether it counts.
//!
//! The judgement is that of [`Tokens::authenticate`]; here it is only laid out. A signature is never part of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use serde_json::{Map, Value};

use super::carrier::Carried;
use super::header::too_long;
use super::json;
use super::verify::Unverified;
use super::{IssuerState, Outcome, Payer, Tokens};
use crate::config::JwksLocation;
use crate::identity::{Grant, Identity};
use crate::rate::Rate;
use crate::rejection::Rejection;

/// One token of a request.
#[derive(Debug)]
pub struct Examined {
    /// Index of the source in which it stands.
    pub source: usize,
    /// As far as they can be read; nothing in them is to be believed unless a key verified the token.
    pub header: Option<Map<String, Value>>,
    pub claims: Option<Map<String, Value>>,
    /// The key that verified the signature: `ES256 kid "a"`.
    pub key: Option<String>,
    /// Names of the issuers that publish this key.
    pub issuers: Vec<Arc<str>>,
    pub roles: Capped<String>,
    pub grants: Capped<Grant>,
    /// Whom the token speaks for here, or why it does not count.
    pub verdict: Result<Arc<Identity>, Rejection>,
}

/// What the caps of the issuers left.
#[derive(Debug)]
pub struct Capped<T> {
    pub kept: Vec<T>,
    pub dropped: Vec<T>,
}

impl<T> Default for Capped<T> {
    fn default() -> Self {
        Self {
            kept: Vec::new(),
            dropped: Vec::new(),
        }
    }
}

/// Where an issuer's keys come from, and how they are.
#[derive(Debug)]
pub struct KeySource {
    pub state: IssuerState,
    pub location: JwksLocation,
}

impl Tokens {
    /// Judges the tokens as [`authenticate`](Self::authenticate) does, and lays each of them out. Nothing is
    /// taken from a budget and nothing counted; with a `client`, its budget as it is now is looked at.
    pub async fn examine(
        &self,
        candidates: &Carried<'_>,
        issuers: Option<&[usize]>,
        client: Option<IpAddr>,
        now: SystemTime,
    ) -> (Outcome, Vec<Examined>) {
        let payer = Payer::Nobody(client);
        let outcome = self.first_valid(candidates, issuers, payer, now).await;
        let examined = candidates.with_sources().map(|(source, token)| {
            let verdict = self.judge(token, issuers, now, payer).verdict;
            self.lay_out(source, token, verdict)
        });
        let examined = examined.collect();
        (outcome, examined)
    }

    /// How many bad signatures an address may send, and whether this one has none left now.
    pub fn bad_signatures(&self, client: IpAddr) -> (Rate, bool) {
        (self.bad_signatures.rate(), self.is_spent(client))
    }

    /// Where the keys come from, as they are now.
    pub fn key_sources(&self) -> Vec<KeySource> {
        let locations = self.config.issuers.iter().map(|issuer| issuer.jwks.clone());
        let sources = self.issuers().into_iter().zip(locations);
        sources.map(|(state, location)| KeySource { state, location }).collect()
    }

    /// Fetches every key set once, now, and uses what comes: for a process that serves nobody.
    pub async fn fetch_once(&self) -> Vec<KeySource> {
        join_all(self.refreshers.iter().map(|refresher| refresher.refresh())).await;
        self.key_sources()
    }

    fn lay_out(&self, source: usize, token: &str, verdict: Result<Arc<Identity>, Rejection>) -> Examined {
        let mut examined = Examined {
            source,
            header: None,
            claims: None,
            key: None,
            issuers: Vec::new(),
            roles: Capped::default(),
            grants: Capped::default(),
            verdict,
        };
        if too_long(token, &self.config).is_some() {
            return examined;
        }
        let mut parts = token.split('.').map(read);
        examined.header = parts.next().flatten();
        examined.claims = parts.next().flatten();
        let ring = self.keys.ring();
        let Ok(unverified) = Unverified::read(token, &self.config) else {
            return examined;
        };
        let said = unverified.claims().said();
        let Ok((entry, key)) = unverified.key(&ring, &self.config) else {
            return examined;
        };
        examined.key = Some(key.describe());
        let names = entry.issuers.iter().filter_map(|&index| self.config.issuers.get(index));
        examined.issuers = names.map(|issuer| Arc::clone(&issuer.name)).collect();
        if let Ok(verified) = unverified.verify(&ring, &self.config) {
            examined.roles = capped(said.roles, &verified.identity.roles);
            examined.grants = capped(said.grants, &verified.identity.grants);
        }
        examined
    }
}

/// What was said, parted into what is among the `held` and what is not.
fn capped<T: PartialEq>(said: Vec<T>, held: &[T]) -> Capped<T> {
    let (kept, dropped) = said.into_iter().partition(|one| held.contains(one));
    Capped { kept, dropped }
}

/// A part of a token that is base64url of an object.
fn read(part: &str) -> Option<Map<String, Value>> {
    json::parse_object(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
