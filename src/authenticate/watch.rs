//! The watch pass: a value made by the gateway that lets a player go on without the token it began with.
//!
//! ```text
//! base64url( version | issued | expires | issuer | subject | settled rules | [viewer] | grants on playlists | MAC )
//! ```
//!
//! The MAC is over all of it and over what the pass is for: the route's name and the path parameters. Those are not in
//! the pass; who presents it elsewhere presents another one, which does not verify. Of a pass with grants on playlists the
//! parameter that is the event does not count. Whether the rules of the route still
//! let its bearer pass is decided by `authorize::settled`, and whether it was revoked by [`Revocations`].

mod revocations;

use std::time::SystemTime;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::HeaderMap;

pub use self::revocations::{RevocationError, Revocations, Revoked};
use crate::headers::cookies;
use crate::identity::{Grant, GrantKind, Settled, ViewerId};
use crate::query::raw_values;
use crate::sealing::Mac;
use crate::time::{from_unix, unix_seconds};

/// The parameter of a query.
pub const PARAMETER: &str = "watch";
/// The cookie over https, and the one over plain HTTP, where browsers take no `__Secure-` (RFC 6265bis section 4.1.3).
pub const COOKIE: &str = "__Secure-janua-watch";
pub const PLAIN_COOKIE: &str = "janua-watch";

/// For one event: no grants follow.
const VERSION: u8 = 1;
const VERSION_OF_PLAYLISTS: u8 = 2;
/// With a viewer before the grants: only where views are counted, so that a gateway before this one takes all others.
const VERSION_WITH_VIEWER: u8 = 3;
/// With both.
const VERSION_OF_PLAYLISTS_WITH_VIEWER: u8 = 4;
/// Passes for playlists of one request that are tried.
const MAX_OF_PLAYLISTS: usize = 64;
const TAG: usize = 32;
/// Bytes of a pass as text. What would be longer is not made: a cookie has room for 4096 bytes with its path.
const MAX_PASS: usize = 1024;
/// Passes of one request that are looked at.
const MAX_CANDIDATES: usize = 8;

/// What a pass says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// Whole seconds, as the pass knows them.
    pub issued: SystemTime,
    pub expires: SystemTime,
    /// The name of the token's issuer.
    pub issuer: String,
    pub subject: Option<String>,
    /// What was decided of the rules that only the token could answer.
    pub settled: Settled,
    /// By whom views are counted, where they are: the same for all passes of one viewer.
    pub viewer: Option<ViewerId>,
}

/// What a pass is good for.
pub struct Purpose<'a> {
    pub route: &'a str,
    /// Names and values of the path parameters before the rest of the path.
    pub params: &'a [(&'a str, &'a str)],
    /// Which of them is the event, where passes may be for playlists.
    pub event: Option<usize>,
}

/// Why a pass is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    /// Not made by this gateway, or not for this.
    Foreign,
    Expired,
}

impl Pass {
    /// The pass as text: base64url, so it stands for itself in a cookie, a query and XML. `None`: it would be too long.
    pub fn seal(&self, purpose: &Purpose<'_>, mac: &Mac) -> Option<String> {
        let grants = &self.settled.grants;
        let version = match (self.viewer, grants.is_empty()) {
            (Some(_), true) => VERSION_WITH_VIEWER,
            (Some(_), false) => VERSION_OF_PLAYLISTS_WITH_VIEWER,
            (None, false) => VERSION_OF_PLAYLISTS,
            (None, true) => VERSION,
        };
        let mut bytes = vec![version];
        bytes.extend(unix_seconds(self.issued).to_be_bytes());
        bytes.extend(unix_seconds(self.expires).to_be_bytes());
        push(&mut bytes, self.issuer.as_bytes())?;
        bytes.push(u8::from(self.subject.is_some()));
        push(&mut bytes, self.subject.as_deref().unwrap_or_default().as_bytes())?;
        for rules in [&self.settled.held, &self.settled.clear] {
            push(&mut bytes, rules.concat().as_slice())?;
        }
        bytes.extend(self.viewer.iter().flatten());
        for grant in grants.iter().filter(|grant| grant.kind == GrantKind::Playlist) {
            push(&mut bytes, grant.action.as_bytes())?;
            push(&mut bytes, grant.id.as_bytes())?;
        }
        let tag = mac.sign(&message(&bytes, purpose)?);
        bytes.extend(tag);
        let text = BASE64_URL_SAFE_NO_PAD.encode(bytes);
        (text.len() <= MAX_PASS).then_some(text)
    }

    /// The pass that `text` is, if this gateway made it for this purpose and it is not over.
    pub fn open(text: &str, purpose: &Purpose<'_>, mac: &Mac, now: SystemTime) -> Result<Self, Invalid> {
        if text.len() > MAX_PASS {
            return Err(Invalid::Foreign);
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| Invalid::Foreign)?;
        let length = bytes.len().checked_sub(TAG).ok_or(Invalid::Foreign)?;
        let (said, tag) = bytes.split_at_checked(length).ok_or(Invalid::Foreign)?;
        if !mac.verify(&message(said, purpose).ok_or(Invalid::Foreign)?, tag) {
            return Err(Invalid::Foreign);
        }
        let pass = Self::read(said).ok_or(Invalid::Foreign)?;
        if pass.expires <= now {
            return Err(Invalid::Expired);
        }
        Ok(pass)
    }

    fn read(said: &[u8]) -> Option<Self> {
        let mut rest = said;
        let [version @ VERSION..=VERSION_OF_PLAYLISTS_WITH_VIEWER] = *take(&mut rest, 1)? else {
            return None;
        };
        let mut moment = || {
            let bytes = take(&mut rest, 8)?.try_into().ok()?;
            Some(from_unix(u64::from_be_bytes(bytes)))
        };
        let (issued, expires) = (moment()?, moment()?);
        let issuer = String::from_utf8(shift(&mut rest)?.to_vec()).ok()?;
        let has_subject = *take(&mut rest, 1)? == [1];
        let subject = String::from_utf8(shift(&mut rest)?.to_vec()).ok()?;
        let mut rules = || Some(shift(&mut rest)?.as_chunks().0.to_vec());
        let mut settled = Settled {
            held: rules()?,
            clear: rules()?,
            grants: Vec::new(),
        };
        let viewer = match version {
            VERSION_WITH_VIEWER | VERSION_OF_PLAYLISTS_WITH_VIEWER => {
                Some(*take(&mut rest, size_of::<ViewerId>())?.first_chunk()?)
            }
            _ => None,
        };
        let is_of_playlists = matches!(version, VERSION_OF_PLAYLISTS | VERSION_OF_PLAYLISTS_WITH_VIEWER);
        while is_of_playlists && !rest.is_empty() {
            let mut text = || String::from_utf8(shift(&mut rest)?.to_vec()).ok();
            settled.grants.push(Grant {
                kind: GrantKind::Playlist,
                action: text()?,
                id: text()?,
            });
        }
        rest.is_empty().then_some(Self {
            issued,
            expires,
            issuer,
            subject: has_subject.then_some(subject),
            settled,
            viewer,
        })
    }
}

/// The passes in a request's query.
pub fn in_query(query: Option<&str>) -> impl Iterator<Item = &str> {
    raw_values(query.unwrap_or_default(), PARAMETER).take(MAX_CANDIDATES)
}

/// The passes in a request's cookies of this name: a browser sends those of sibling hosts and of wider paths, too, and
/// which is which cannot be told before trying.
pub fn in_cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    cookies::values(headers, name).take(MAX_CANDIDATES)
}

/// The same of passes for playlists, which have cookies of their own: `<name>-<playlists>`.
pub fn of_playlists<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let is_one = move |known: &[u8]| {
        known
            .strip_prefix(name.as_bytes())
            .is_some_and(|rest| rest.starts_with(b"-"))
    };
    let pairs = cookies::pairs(headers).filter(move |(known, _)| is_one(known));
    pairs
        .filter_map(|(_, value)| cookies::text(value))
        .take(MAX_OF_PLAYLISTS)
}

/// What is signed: every part with its length, so that no two messages are alike. `None`: passes for playlists mean nothing
/// here.
fn message(said: &[u8], purpose: &Purpose<'_>) -> Option<Vec<u8>> {
    let left_out = match said.first() {
        Some(&(VERSION_OF_PLAYLISTS | VERSION_OF_PLAYLISTS_WITH_VIEWER)) => Some(purpose.event?),
        _ => None,
    };
    let params = purpose.params.iter().enumerate();
    let params = params.filter(|(index, _)| Some(*index) != left_out);
    let params = params.flat_map(|(_, (name, value))| [*name, *value]);
    let parts = std::iter::once(purpose.route).chain(params).map(str::as_bytes);
    let mut message = Vec::with_capacity(256);
    for part in std::iter::once(said).chain(parts) {
        message.extend((part.len() as u64).to_be_bytes());
        message.extend(part);
    }
    Some(message)
}

fn push(bytes: &mut Vec<u8>, part: &[u8]) -> Option<()> {
    bytes.push(u8::try_from(part.len()).ok()?);
    bytes.extend(part);
    Some(())
}

fn shift<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take(rest, 1)?.first().copied()?;
    take(rest, usize::from(length))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sealing::{self, MasterKeys};

    const PURPOSE: Purpose<'static> = Purpose {
        route: "media",
        params: &[("org", "mh"), ("event", "lecture-1")],
        event: Some(1),
    };

    fn at(seconds: u64) -> SystemTime {
        from_unix(seconds)
    }

    fn pass() -> Pass {
        Pass {
            issued: at(1000),
            expires: at(2000),
            issuer: "moodle".into(),
            subject: Some("anna".into()),
            settled: Settled {
                held: vec![[7; 8]],
                clear: vec![[1; 8], [2; 8]],
                grants: Vec::new(),
            },
            viewer: None,
        }
    }

    fn mac() -> Mac {
        MasterKeys::random().mac(sealing::Purpose::WatchPass)
    }

    #[test]
    fn what_was_sealed_opens_until_it_is_over() {
        let mac = mac();
        for pass in [
            pass(),
            Pass {
                subject: None,
                ..pass()
            },
        ] {
            let text = pass.seal(&PURPOSE, &mac).unwrap();
            assert_eq!(Pass::open(&text, &PURPOSE, &mac, at(1999)).as_ref(), Ok(&pass));
            assert_eq!(Pass::open(&text, &PURPOSE, &mac, at(2000)), Err(Invalid::Expired));
            assert!(text.len() < 200, "{}", text.len());
        }
    }

    #[test]
    fn it_is_good_for_nothing_else() {
        let mac = mac();
        let text = pass().seal(&PURPOSE, &mac).unwrap();
        let params: [&[(&str, &str)]; 6] = [
            &[("org", "mh"), ("event", "lecture-2")],
            &[("org", "mh")],
            &[("org", "mh"), ("event", "lecture-1"), ("x", "")],
            &[("event", "mh"), ("org", "lecture-1")],
            &[("org", "mhe"), ("vent", "lecture-1")],
            &[],
        ];
        for params in params {
            let elsewhere = Purpose { params, ..PURPOSE };
            assert_eq!(Pass::open(&text, &elsewhere, &mac, at(1500)), Err(Invalid::Foreign));
        }
        let route = Purpose {
            route: "medi",
            ..PURPOSE
        };
        assert_eq!(Pass::open(&text, &route, &mac, at(1500)), Err(Invalid::Foreign));
        assert_eq!(
            Pass::open(&text, &PURPOSE, &self::mac(), at(1500)),
            Err(Invalid::Foreign)
        );
    }

    fn for_playlists() -> Pass {
        let grant = |id: &str| Grant {
            kind: GrantKind::Playlist,
            id: id.to_owned(),
            action: "read".to_owned(),
        };
        let mut pass = pass();
        pass.settled.grants = vec![grant("maths"), grant("physics")];
        pass
    }

    #[test]
    fn one_with_grants_on_playlists_is_for_any_event() {
        is_for_any_event(&for_playlists());
        is_for_any_event(&Pass {
            viewer: Some([5; 16]),
            ..for_playlists()
        });
    }

    fn is_for_any_event(pass: &Pass) {
        let mac = mac();
        let text = pass.seal(&PURPOSE, &mac).unwrap();
        let opens = |purpose: &Purpose<'_>| Pass::open(&text, purpose, &mac, at(1500));
        for event in ["lecture-1", "lecture-2"] {
            let params = &[("org", "mh"), ("event", event)][..];
            assert_eq!(opens(&Purpose { params, ..PURPOSE }).as_ref(), Ok(pass));
        }
        let elsewhere = &[("org", "other"), ("event", "lecture-1")][..];
        for purpose in [
            Purpose {
                params: elsewhere,
                ..PURPOSE
            },
            Purpose { event: None, ..PURPOSE },
            Purpose {
                event: Some(0),
                ..PURPOSE
            },
            Purpose {
                route: "other",
                ..PURPOSE
            },
        ] {
            assert_eq!(opens(&purpose), Err(Invalid::Foreign));
        }
        let nowhere = Purpose { event: None, ..PURPOSE };
        assert_eq!(pass.seal(&nowhere, &mac), None);
    }

    #[test]
    fn a_changed_bit_anywhere_spoils_it() {
        a_changed_bit_spoils(&pass());
        a_changed_bit_spoils(&for_playlists());
    }

    fn a_changed_bit_spoils(pass: &Pass) {
        let mac = mac();
        let bytes = BASE64_URL_SAFE_NO_PAD
            .decode(pass.seal(&PURPOSE, &mac).unwrap())
            .unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let text = BASE64_URL_SAFE_NO_PAD.encode(changed);
            assert_eq!(
                Pass::open(&text, &PURPOSE, &mac, at(1500)),
                Err(Invalid::Foreign),
                "{bit}"
            );
        }
    }

    #[test]
    fn what_would_not_fit_is_not_made() {
        let long = Pass {
            subject: Some("x".repeat(256)),
            ..pass()
        };
        assert_eq!(long.seal(&PURPOSE, &mac()), None);
        assert_eq!(
            Pass::open(&"A".repeat(MAX_PASS + 1), &PURPOSE, &mac(), at(0)),
            Err(Invalid::Foreign)
        );
    }

    #[test]
    fn all_cookies_of_the_name_are_tried() {
        let mut headers = HeaderMap::new();
        headers.append(
            "cookie",
            "a=1; janua-watch=x;janua-watch=y; xjanua-watch=z".parse().unwrap(),
        );
        headers.append("cookie", "janua-watch=w".parse().unwrap());
        assert!(in_cookies(&headers, PLAIN_COOKIE).eq(["x", "y", "w"]));
        assert!(in_cookies(&headers, COOKIE).eq([""; 0]));
        assert!(of_playlists(&headers, PLAIN_COOKIE).eq([""; 0]));
        headers.append(
            "cookie",
            "janua-watch-ab=1; xjanua-watch-ab=2; janua-watch-=3".parse().unwrap(),
        );
        assert!(of_playlists(&headers, PLAIN_COOKIE).eq(["1", "3"]));
        assert!(in_cookies(&headers, PLAIN_COOKIE).eq(["x", "y", "w"]));
        assert!(in_query(Some("a=1&watch=x&%77atch=y&watch&xwatch=z")).eq(["x", "y"]));
        assert_eq!(in_query(Some(&"watch=x&".repeat(99))).count(), MAX_CANDIDATES);
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "[A-Za-z0-9_-]{0,200}|.{0,40}") {
            prop_assert_eq!(Pass::open(&text, &PURPOSE, &mac(), at(0)), Err(Invalid::Foreign));
        }

        #[test]
        fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            Pass::read(&bytes);
        }
    }
}
