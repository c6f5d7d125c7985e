//! What a client carries to be known: a random id and a tag that only this gateway, or one with the same master key,
//! could make. Ids that were made up are told from real ones without asking the store.
//!
//! A cookie's secret and a bearer's are signed by different keys: a script that got hold of one cannot use it as the
//! other.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::digest::{hex, sha256};
use crate::sealing::{Mac, MasterKeys, Purpose, random};

/// Bytes of the id: 192 random bits.
const ID: usize = 24;
/// Bytes of the tag, cut as RFC 2104 section 5 allows.
const TAG: usize = 16;
/// What a bearer begins with.
const BEARER: &str = "jns_";

/// How a session travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// A cookie, from a browser.
    Cookie,
    /// `Authorization: Bearer jns_…`, from a back end.
    Bearer,
}

/// The name of a session in the store and in memory: a SHA-256 of what the client carries, so that who reads the store
/// cannot take sessions over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionKey([u8; 32]);

impl SessionKey {
    /// Lower-case hex.
    pub fn text(&self) -> String {
        hex(&self.0)
    }

    /// The way back.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let mut key = [0; 32];
        if bytes.len() != 2 * key.len() {
            return None;
        }
        for (byte, pair) in key.iter_mut().zip(bytes.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(key))
    }
}

/// Makes and checks secrets.
pub(super) struct Secrets {
    cookie: Stamp,
    /// None: no back end has such a session.
    bearer: Option<Stamp>,
}

/// Makes and checks ids of one kind, each with the tag of its key.
struct Stamp(Mac);

/// A secret that a client sent, not checked yet. Never printed.
#[derive(Clone, Copy)]
pub struct Carried<'a> {
    pub carrier: Carrier,
    text: &'a str,
}

impl<'a> Carried<'a> {
    /// The value of the session's cookie.
    pub fn cookie(value: &'a str) -> Self {
        Self {
            carrier: Carrier::Cookie,
            text: value,
        }
    }

    /// The token of `Authorization: Bearer`, if it looks like a session; others are somebody else's business.
    pub fn bearer(token: &'a str) -> Option<Self> {
        token.starts_with(BEARER).then_some(Self {
            carrier: Carrier::Bearer,
            text: token,
        })
    }

    /// What must not be seen in what is told of a request.
    pub fn secret(&self) -> &'a str {
        self.text
    }

    /// The name of the session that it would be.
    pub fn key(&self) -> SessionKey {
        key_of(self.text)
    }
}

impl Secrets {
    pub(super) fn new(keys: &MasterKeys, cookie: Purpose, bearer: Option<Purpose>) -> Self {
        Self {
            cookie: Stamp(keys.mac(cookie)),
            bearer: bearer.map(|bearer| Stamp(keys.mac(bearer))),
        }
    }

    /// A new secret and the name of its session.
    pub(super) fn make(&self, carrier: Carrier) -> (String, SessionKey) {
        let text = match (carrier, &self.bearer) {
            (Carrier::Bearer, Some(bearer)) => format!("{BEARER}{}", bearer.make()),
            _ => self.cookie.make(),
        };
        let key = key_of(&text);
        (text, key)
    }

    /// Was this made here, to be carried this way?
    pub(super) fn made(&self, carried: &Carried<'_>) -> bool {
        match carried.carrier {
            Carrier::Cookie => self.cookie.made(carried.text),
            Carrier::Bearer => {
                let text = carried.text.strip_prefix(BEARER);
                text.zip(self.bearer.as_ref())
                    .is_some_and(|(text, bearer)| bearer.made(text))
            }
        }
    }
}

impl Stamp {
    /// A new id with its tag.
    fn make(&self) -> String {
        let id: [u8; ID] = random();
        let tag = self.0.sign(&id);
        let mut bytes = id.to_vec();
        bytes.extend(tag.iter().take(TAG));
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Was this made here, for this?
    fn made(&self, text: &str) -> bool {
        let mut bytes = [0; ID + TAG];
        let Ok(length) = BASE64_URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) else {
            return false;
        };
        let (id, tag) = bytes.split_at(ID);
        length == ID + TAG && self.0.verify_cut(id, tag)
    }
}

/// The name of what a client carries as `text`.
pub(in crate::authenticate) fn key_of(text: &str) -> SessionKey {
    SessionKey(sha256(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(keys: &MasterKeys) -> Secrets {
        Secrets::new(keys, Purpose::SessionCookie, Some(Purpose::SessionBearer))
    }

    #[test]
    fn what_was_made_is_known_and_nothing_else() {
        let secrets = secrets(&MasterKeys::random());
        let (cookie, key) = secrets.make(Carrier::Cookie);
        let (bearer, _) = secrets.make(Carrier::Bearer);
        assert!(secrets.made(&Carried::cookie(&cookie)));
        assert_eq!(Carried::cookie(&cookie).key(), key);
        assert!(secrets.made(&Carried::bearer(&bearer).unwrap()));
        let another = self::secrets(&MasterKeys::random());
        assert!(!another.made(&Carried::cookie(&cookie)), "a cookie from another key");
        for place in 0..cookie.len() {
            let mut changed = cookie.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(!secrets.made(&Carried::cookie(&changed)), "{place}");
            assert!(!secrets.made(&Carried::cookie(&cookie[..place])), "{place}");
        }
        assert!(!secrets.made(&Carried::cookie(&format!("{cookie}A"))));
        assert!(!secrets.made(&Carried::cookie("")));
    }

    #[test]
    fn a_cookie_is_no_bearer_and_a_bearer_no_cookie() {
        let secrets = secrets(&MasterKeys::random());
        let (cookie, _) = secrets.make(Carrier::Cookie);
        let (bearer, _) = secrets.make(Carrier::Bearer);
        assert!(Carried::bearer(&cookie).is_none());
        assert!(!secrets.made(&Carried::bearer(&format!("jns_{cookie}")).unwrap()));
        assert!(!secrets.made(&Carried::cookie(bearer.strip_prefix("jns_").unwrap())));
        assert!(!secrets.made(&Carried::cookie(&bearer)));
    }

    #[test]
    fn where_there_are_no_bearers_none_is_good() {
        let keys = MasterKeys::random();
        let (bearer, _) = secrets(&keys).make(Carrier::Bearer);
        let without = Secrets::new(&keys, Purpose::SessionCookie, None);
        assert!(!without.made(&Carried::bearer(&bearer).unwrap()));
    }

    #[test]
    fn keys_are_read_as_they_are_written() {
        let (_, key) = secrets(&MasterKeys::random()).make(Carrier::Cookie);
        assert_eq!(SessionKey::parse(&key.text()), Some(key));
        for wrong in ["", "ab", &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(SessionKey::parse(wrong), None);
        }
    }
}
