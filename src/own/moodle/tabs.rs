//! Cookies of browsers on their way to Moodle, one for each tab: what they are called, and how many of them a browser keeps.

use std::cmp::Reverse;

use http::{HeaderMap, HeaderValue};

use super::cookie;
use crate::moodle::Moodle;
use crate::moodle::launch_flow::is_id;
use crate::moodle::login_flow::COOKIE;
use crate::respond::Reply;
use crate::sign_in::Here;

/// Ways of one browser and Moodle that are kept at once, beside the one that begins: tabs.
const MOST: usize = 11;
/// Bytes of the cookies of all ways of a browser, of every Moodle at this host: a header that is too large is refused.
const MOST_BYTES: usize = 4 << 10;
/// What a cookie's prefix and what stands between two of them add to that.
const BESIDE: usize = 12;
/// `Set-Cookie` lines of one answer that take cookies of others away.
const MOST_REMOVED: usize = 16;

/// What the cookie of a way is called.
pub(super) fn named(moodle: &Moodle, id: &str) -> String {
    format!("{}-{id}", cookie(&moodle.config.name))
}

/// Sets the cookie of a way that begins, and takes those of others away that would be too many beside it.
pub(super) fn begin(
    reply: &mut Reply,
    here: &Here<'_>,
    moodle: &Moodle,
    (headers, cookie): (&HeaderMap, Option<HeaderValue>),
) {
    let length = cookie.as_ref().map_or(0, HeaderValue::len);
    for gone in others(here, moodle, headers, length) {
        reply.set_cookie(here.jar().remove(&gone));
    }
    reply.set_cookie(cookie);
}

/// Cookies of other ways of this browser, to whatever Moodle, that make room for one more of `length`: those that are over, and
/// the oldest ones.
fn others(here: &Here<'_>, moodle: &Moodle, headers: &HeaderMap, length: usize) -> Vec<String> {
    let of_this = named(moodle, "");
    let is_its = |name: &str| name.strip_prefix(&of_this).is_some_and(is_id);
    let known = here.jar().beginning_with(headers, COOKIE).into_iter();
    let known = known.filter_map(|(name, sealed)| {
        let began = match moodle.tokens().began(sealed, here.now) {
            Ok(began) => began,
            // Beside them stand those of tickets, which end soon.
            Err(_) if !is_its(name) => return None,
            Err(_) => None,
        };
        Some((began, name, name.len() + sealed.len() + BESIDE))
    });
    let mut known: Vec<_> = known.collect();
    known.sort_by_key(|(began, ..)| Reverse(*began));
    let (mut kept, mut bytes) = (0, length);
    let mut stays = |began: Option<u64>, length: usize| {
        (kept, bytes) = (kept + 1, bytes + length);
        began.is_some() && kept <= MOST && bytes <= MOST_BYTES
    };
    let gone = known.into_iter().filter(|(began, _, length)| !stays(*began, *length));
    gone.map(|(_, name, _)| name.to_owned()).take(MOST_REMOVED).collect()
}
