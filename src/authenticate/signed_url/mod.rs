//! Signed addresses: a query that allows one resource until a time, and maybe one client, with no person behind it. Opencast's
//! stream security makes such ones, and its Apache plugin and Wowza take them.
//!
//! `policy` has what is signed and how it is written, `wowza` the other form. Here are the keys, what they verify and what they
//! sign. Which resource a request asks for is judged by the gateway, which knows its path.

mod policy;
mod wowza;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::hmac;
use thiserror::Error;
use zeroize::Zeroizing;

pub use self::policy::{Brought, PARAMETERS, Policy, signs, strip_query};
use crate::config::{self, SignedUrlForm};
use crate::digest::hex;
use crate::identity::{Access, Identity};
use crate::key_file::{self, PasswordError};
use crate::rejection::{Reason, Rejection};

/// The keys of one `[signed_urls.<name>]`.
pub struct SignedUrls {
    /// `signed_urls.<name>`, for who is allowed by it.
    source: Arc<str>,
    pub name: Arc<str>,
    /// Must scheme and host be the signed ones?
    pub strict: bool,
    pub leeway: Duration,
    form: SignedUrlForm,
    /// Never empty. The first one signs.
    keys: Vec<Key>,
    access: Arc<Access>,
}

struct Key {
    id: String,
    secret: Zeroizing<String>,
    hmac: hmac::Key,
}

/// What an address that the gateway signs allows.
pub struct Signed<'a> {
    /// The whole address, without query.
    pub resource: String,
    /// Its path, decoded.
    pub path: &'a str,
    pub until: SystemTime,
    pub client: Option<IpAddr>,
}

/// A secret cannot be read.
#[derive(Debug, Error)]
#[error("signed_urls.{name}: {source}")]
pub struct SetupError {
    name: Arc<str>,
    source: PasswordError,
}

impl SignedUrls {
    /// All sections. The secrets are read anew: a reload takes others.
    pub fn all(sections: &[config::SignedUrls]) -> Result<Vec<Arc<Self>>, SetupError> {
        let made = sections.iter().map(|section| {
            let named = |source| SetupError {
                name: Arc::clone(&section.name),
                source,
            };
            Self::new(section).map(Arc::new).map_err(named)
        });
        made.collect()
    }

    fn new(config: &config::SignedUrls) -> Result<Self, PasswordError> {
        let key = |key: &config::SignedUrlKey| {
            let secret = Zeroizing::new(key_file::password(&key.secret_file)?);
            Ok(Key {
                id: key.id.clone(),
                hmac: hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()),
                secret,
            })
        };
        Ok(Self {
            source: format!("signed_urls.{}", config.name).into(),
            name: Arc::clone(&config.name),
            strict: config.strict,
            leeway: config.leeway,
            form: config.form,
            keys: config.keys.iter().map(key).collect::<Result<_, _>>()?,
            access: Arc::new(Access {
                signed_url: true,
                ..Access::default()
            }),
        })
    }

    /// Has it a key of this name? `Some(false)`: it has not made the signature.
    fn verifies(&self, brought: &Brought<'_>) -> Option<bool> {
        let mut keys = self.keys.iter().filter(|key| key.id == *brought.key_id).peekable();
        keys.peek()?;
        // In constant time.
        Some(keys.any(|key| hmac::verify(&key.hmac, &brought.policy, &brought.signature).is_ok()))
    }

    /// Nobody, whom an address with this policy allows something.
    pub fn bearer(&self, policy: &Policy) -> Identity {
        Identity {
            issuers: Vec::new(),
            source: Arc::clone(&self.source),
            people: None,
            subject: None,
            named: false,
            roles: Vec::new(),
            grants: Vec::new(),
            expires: policy.until,
            access: Some(Arc::clone(&self.access)),
        }
    }

    /// The query that allows this, to stand behind the address.
    pub fn sign(&self, signed: Signed<'_>) -> Option<String> {
        let key = self.keys.first()?;
        let Signed {
            resource,
            path,
            until,
            client,
        } = signed;
        if self.form == SignedUrlForm::Wowza {
            return Some(wowza::query((&key.id, &key.secret), path, (None, until), client));
        }
        let policy = Policy {
            resource,
            until,
            from: None,
            client,
        };
        let text = policy.text();
        let signature = hmac::sign(&key.hmac, text.as_bytes());
        let id: String = form_urlencoded::byte_serialize(key.id.as_bytes()).collect();
        let policy = policy::encoded(&text);
        Some(format!(
            "policy={policy}&keyId={id}&signature={}",
            hex(signature.as_ref())
        ))
    }

    /// Would a parameter of a client's query be read as a part of the signature?
    pub fn would_sign(&self, pair: &str) -> bool {
        match (self.form, self.keys.first()) {
            (SignedUrlForm::Wowza, Some(key)) => wowza::is_of(pair, &key.id),
            _ => signs(pair),
        }
    }
}

/// Whose key has signed what the query brings, and what it says. `None`: the address is not signed.
pub fn verify<'a>(
    sections: &'a [Arc<SignedUrls>],
    query: Option<&str>,
) -> Result<Option<(&'a SignedUrls, Policy)>, Rejection> {
    let Some(brought) = Brought::find(query)? else {
        return Ok(None);
    };
    let opencast = sections
        .iter()
        .filter(|section| section.form == SignedUrlForm::Opencast);
    let mut refusal = Reason::SignedUrlUnknownKey;
    for section in opencast {
        match section.verifies(&brought) {
            Some(true) => return Ok(Some((section, Policy::parse(&brought.policy)?))),
            Some(false) => refusal = Reason::SignedUrlBadSignature,
            None => {}
        }
    }
    Err(refusal.into())
}

#[cfg(test)]
mod tests;
