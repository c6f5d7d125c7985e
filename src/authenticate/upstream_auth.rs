//! Callers whom the upstream knows: HTTP Basic and Digest (RFC 7617, RFC 7616), as capture agents and scripts of Opencast's API have.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, header};

use crate::config::Credential;
use crate::headers::{self, X_REQUESTED_AUTH, at_most_one};
use crate::rate::guesses::Caller;
use crate::rejection::{Reason, Rejection};
use crate::text::starts_in_any_case;

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
    /// In `Authorization`, for counting. `None`: it only asks for a challenge (`X-Requested-Auth`, as Opencast's clients do).
    pub caller: Option<Caller>,
}

/// Which schemes a route takes.
pub struct UpstreamAuth {
    schemes: Vec<Scheme>,
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
            Credential::Jwt
            | Credential::Session
            | Credential::Bearer
            | Credential::Launch
            | Credential::Watch
            | Credential::SignedUrl => None,
        }
    }

    /// The name of whoever calls, as it stands there; all of it where it cannot be read.
    fn name_in(self, value: &[u8]) -> Vec<u8> {
        let rest = value.get(self.label().len()..).unwrap_or_default().trim_ascii();
        let found = match self {
            Self::Basic => STANDARD.decode(rest).ok().and_then(|pair| {
                let colon = pair.iter().position(|byte| *byte == b':')?;
                pair.get(..colon).map(<[u8]>::to_vec)
            }),
            Self::Digest => {
                let begin = memchr::memmem::find(rest, b"username=").map(|at| at + b"username=".len());
                let name = begin
                    .and_then(|at| rest.get(at..))
                    .and_then(|text| text.split(|byte| *byte == b',').next());
                name.map(<[u8]>::to_vec)
            }
        };
        found.unwrap_or_else(|| rest.to_vec())
    }

    /// Does this line of `WWW-Authenticate` ask for it? It may have several challenges (RFC 9110 section 11.6.1).
    pub fn is_asked_by(self, line: &[u8]) -> bool {
        line.split(|byte| *byte == b',')
            .any(|part| self.begins(part.trim_ascii()))
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
        (!schemes.is_empty()).then_some(Self { schemes })
    }

    /// Errors: two `Authorization`, which two servers could read in two ways, or one that `Connection` takes away.
    pub fn brought(&self, headers: &HeaderMap, address: IpAddr) -> Result<Option<Brought>, Rejection> {
        let one = |name: &HeaderName| {
            let twice = |_| Rejection::because(Reason::BadRequest, format!("{name} stands twice"));
            at_most_one(headers, name).map_err(twice)
        };
        let (name, value) = match one(&header::AUTHORIZATION)? {
            Some(value) => (header::AUTHORIZATION, value),
            None => match one(&X_REQUESTED_AUTH)? {
                Some(value) => (X_REQUESTED_AUTH, value),
                None => return Ok(None),
            },
        };
        let value = value.as_bytes().trim_ascii();
        let Some(scheme) = self.schemes.iter().find(|scheme| scheme.begins(value)) else {
            return Ok(None);
        };
        let mut of_this_hop = headers::list(headers, header::CONNECTION);
        if of_this_hop.any(|named| named.eq_ignore_ascii_case(name.as_str().as_bytes())) {
            let detail = format!("{name} is named in Connection, and would go no further");
            return Err(Rejection::because(Reason::BadRequest, detail));
        }
        let caller = (name == header::AUTHORIZATION).then(|| Caller::new(address, &scheme.name_in(value)));
        Ok(Some(Brought {
            scheme: *scheme,
            caller,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn who_calls_is_counted_by_name_and_address() {
        let both = UpstreamAuth::new(&[Credential::Basic, Credential::Digest]).unwrap();
        let caller = |value: &'static str| {
            let brought = both.brought(&headers(&[("authorization", value)]), ADDRESS);
            brought.ok().flatten().unwrap().caller.unwrap()
        };
        // agent:a and agent:b, moodle:a
        assert_eq!(caller("Basic YWdlbnQ6YQ=="), caller("basic YWdlbnQ6Yg=="));
        assert_ne!(caller("Basic YWdlbnQ6YQ=="), caller("Basic bW9vZGxlOmE="));
        let digest = caller("Digest username=\"agent\", nonce=\"1\"");
        assert_eq!(digest, caller("Digest nonce=\"2\", username=\"agent\", uri=\"/\""));
        assert_ne!(caller("Digest"), digest);
    }

    #[test]
    fn a_challenge_is_found_among_others() {
        for (line, expected) in [
            ("Basic realm=\"Opencast\"", true),
            ("Bearer realm=\"a\", error=\"b\", basic realm=\"c\"", true),
            ("Digest realm=\"a\", qop=\"auth\",Basic", true),
            ("Bearer realm=\"Basic\"", false),
            ("Basics", false),
            ("", false),
        ] {
            assert_eq!(Scheme::Basic.is_asked_by(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn what_a_request_brings_is_its_one_authorization() {
        let both = UpstreamAuth::new(&[Credential::Jwt, Credential::Basic, Credential::Digest]).unwrap();
        let brought = |fields: &[(&'static str, &'static str)]| {
            let brought = both
                .brought(&headers(fields), ADDRESS)
                .map_err(|refusal| refusal.reason)?;
            Ok(brought.map(|brought| (brought.scheme.label(), brought.caller.is_some())))
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
            (
                &[("authorization", "Basic YTpi"), ("connection", "close, Authorization")],
                Err(Reason::BadRequest),
            ),
        ] {
            assert_eq!(brought(fields), expected, "{fields:?}");
        }
        let digest = UpstreamAuth::new(&[Credential::Digest]).unwrap();
        assert_eq!(
            digest
                .brought(&headers(&[("authorization", "Basic YTpi")]), ADDRESS)
                .ok(),
            Some(None)
        );
        assert!(UpstreamAuth::new(&[Credential::Jwt, Credential::Watch]).is_none());
    }
}
