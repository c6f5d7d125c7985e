//! `present = "opencast-jwt"` between a request and [`crate::opencast`]: whose token goes with it, and the keys by which
//! Opencast checks it.

use std::time::SystemTime;

use http::{HeaderMap, HeaderValue};
use serde_json::json;

use crate::identity::Identity;
use crate::rejection::{Reason, Rejection};
use crate::respond::Reply;
use crate::respond::key_set::KeySet;
use crate::snapshot::{Route, Snapshot};

/// The `Authorization` that Opencast gets; `None` where the route shows no such token, or nobody is there to show.
pub fn authorization(route: &Route, who: Option<&Identity>, now: SystemTime) -> Result<Option<HeaderValue>, Rejection> {
    let who = who.filter(|who| who.is_somebody());
    let (Some(opencast), Some(who)) = (&route.opencast_jwt, who) else {
        return Ok(None);
    };
    opencast.authorization(who, who.named, now).map(Some)
}

/// `respond = { jwks = true }`: all public keys of the gateway's own (RFC 7517 section 5).
pub fn own_keys(snapshot: &Snapshot, request: &HeaderMap) -> Result<Reply, Rejection> {
    let keys = snapshot.opencasts.iter().map(|opencast| opencast.jwk());
    let set = keys.collect::<Result<Vec<_>, _>>().and_then(|keys| {
        let text = json!({ "keys": keys }).to_string();
        KeySet::of(text.as_bytes())
    });
    let set = set.map_err(|error| Rejection::because(Reason::Internal, format!("the gateway's own keys: {error}")))?;
    Ok(set.answer(request))
}
