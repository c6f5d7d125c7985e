//! Callers whom the upstream knows: HTTP Basic and Digest (RFC 7617, RFC 7616), as capture agents and scripts of Opencast's API have.

use std::net::IpAddr;
use std::time::Instant;

use http::{HeaderMap, HeaderName, header};

use crate::config::Credential;
use crate::headers::{X_REQUESTED_AUTH, at_most_one};
use crate::rate::{Keyed, Rate, address_key};
use crate::rejection::{Reason, Rejection};
use crate::text::starts_in_any_case;

/// Passwords that one address may get wrong on a route: one in ten seconds, ten at once.
pub const WRONG: Rate = Rate {
    per_second: 0.1,
    burst: 10,
};

/// How a caller says who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Basic,
    Digest,
}

/// What a request brings for its upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brought {
    pub scheme: Scheme,
    /// In `Authorization`. Else it only asks for a challenge (`X-Requested-Auth`, as Opencast's clients do).
    pub has_credentials: bool,
}

/// Which schemes a route takes, and who has got passwords wrong there.
pub struct UpstreamAuth {
    schemes: Vec<Scheme>,
    wrong: Keyed<IpAddr>,
}

impl Scheme {
    pub fn label(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Digest => "digest",
        }
    }

    fn of(credential: Credential) -> Option<Self> {
        match credential {
            Credential::Basic => Some(Self::Basic),
            Credential::Digest => Some(Self::Digest),
            Credential::Jwt | Credential::Session | Credential::Bearer | Credential::Launch | Credential::Watch => None,
        }
    }

    fn begins(self, value: &[u8]) -> bool {
        let name = self.label().as_bytes();
        starts_in_any_case(value, name) && value.get(name.len()).is_none_or(|byte| matches!(byte, b' ' | b'\t'))
    }
}

impl UpstreamAuth {
    /// `None`: the route takes none.
    pub fn new(accept: &[Credential]) -> Option<Self> {
        let schemes: Vec<_> = accept.iter().filter_map(|credential| Scheme::of(*credential)).collect();
        (!schemes.is_empty()).then(|| Self {
            schemes,
            wrong: Keyed::new(WRONG),
        })
    }

    /// Errors: two `Authorization`, which two servers could read in two ways.
    pub fn brought(&self, headers: &HeaderMap) -> Result<Option<Brought>, Rejection> {
        let one = |name: HeaderName| {
            let twice = |_| Rejection::because(Reason::BadRequest, format!("{name} stands twice"));
            at_most_one(headers, &name).map_err(twice)
        };
        let (value, has_credentials) = match one(header::AUTHORIZATION)? {
            Some(value) => (Some(value), true),
            None => (one(X_REQUESTED_AUTH)?, false),
        };
        let value = value.map_or(&b""[..], |value| value.as_bytes().trim_ascii());
        let scheme = self.schemes.iter().find(|scheme| scheme.begins(value));
        Ok(scheme.map(|scheme| Brought {
            scheme: *scheme,
            has_credentials,
        }))
    }

    /// May the address try again, or has it got too many wrong?
    pub fn may_try(&self, address: IpAddr, now: Instant) -> bool {
        self.wrong.peek(&address_key(address), now)
    }

    /// The upstream has refused what came from this address.
    pub fn refused(&self, address: IpAddr, now: Instant) {
        self.wrong.spend(address_key(address), 1, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn what_a_request_brings_is_its_one_authorization() {
        let both = UpstreamAuth::new(&[Credential::Jwt, Credential::Basic, Credential::Digest]).unwrap();
        let brought = |fields: &[(&'static str, &'static str)]| {
            let brought = both.brought(&headers(fields)).map_err(|refusal| refusal.reason)?;
            Ok(brought.map(|brought| (brought.scheme.label(), brought.has_credentials)))
        };
        for (fields, expected) in [
            (&[("authorization", "Basic YTpi")][..], Ok(Some(("basic", true)))),
            (&[("authorization", "bASIC\tYTpi")], Ok(Some(("basic", true)))),
            (
                &[("authorization", "Digest username=\"a\"")],
                Ok(Some(("digest", true))),
            ),
            (&[("x-requested-auth", "Digest")], Ok(Some(("digest", false)))),
            (
                &[("x-requested-auth", "Digest"), ("authorization", "Basic YTpi")],
                Ok(Some(("basic", true))),
            ),
            (
                &[("authorization", "Bearer x"), ("x-requested-auth", "Digest")],
                Ok(None),
            ),
            (&[("authorization", "Basicx YTpi")], Ok(None)),
            (&[("x-requested-auth", "NTLM")], Ok(None)),
            (&[], Ok(None)),
            (
                &[("authorization", "Basic YTpi"), ("authorization", "Basic YTpj")],
                Err(Reason::BadRequest),
            ),
        ] {
            assert_eq!(brought(fields), expected, "{fields:?}");
        }
        let digest = UpstreamAuth::new(&[Credential::Digest]).unwrap();
        assert_eq!(
            digest.brought(&headers(&[("authorization", "Basic YTpi")])).ok(),
            Some(None)
        );
        assert!(UpstreamAuth::new(&[Credential::Jwt, Credential::Watch]).is_none());
    }
}
