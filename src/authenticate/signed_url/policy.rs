//! The policy of a signed address, as Opencast writes it: JSON, in base64url in the query (`PolicyUtils` and
//! `ResourceRequestUtil` of its module `urlsigning-common`).

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

use crate::authenticate::token::json::parse_object;
use crate::query::values;
use crate::rejection::{Hint, Reason, Rejection};

/// The parameters of a query that sign an address.
pub const PARAMETERS: [&str; 3] = ["policy", "keyId", "signature"];

/// Bytes of the policy as it stands in the query.
const LONGEST_POLICY: usize = 8 << 10;
/// Bytes of the signature in hexadecimal digits: HMAC-SHA-256.
const SIGNATURE: usize = 64;

/// Trailing bits are not looked at: what is signed are the bytes that come out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone),
);

/// What a query says, before anything of it is believed.
pub struct Brought<'a> {
    pub key_id: Cow<'a, str>,
    /// Decoded: these bytes are signed.
    pub policy: Vec<u8>,
    pub signature: [u8; SIGNATURE / 2],
}

/// A policy whose signature is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// A whole address, or its path.
    pub resource: String,
    pub until: SystemTime,
    pub from: Option<SystemTime>,
    /// The one client that it is for.
    pub client: Option<IpAddr>,
}

impl<'a> Brought<'a> {
    /// `None`: the address is not signed. Errors: a parameter is missing, stands twice, or cannot be read.
    pub fn find(query: Option<&'a str>) -> Result<Option<Self>, Rejection> {
        let query = query.unwrap_or_default().as_bytes();
        let mut found = PARAMETERS.map(|name| values(query, name).filter(|value| !value.trim().is_empty()));
        let [policy, key_id, signature] = &mut found;
        let (policy, key_id, signature) = match (policy.next(), key_id.next(), signature.next()) {
            (None, None, None) => return Ok(None),
            (Some(policy), Some(key_id), Some(signature)) => (policy, key_id, signature),
            _ => {
                return Err(malformed(
                    "`policy`, `keyId` and `signature` belong together: one is missing.",
                ));
            }
        };
        if found.iter_mut().any(|more| more.next().is_some()) {
            return Err(malformed("`policy`, `keyId` or `signature` stands there twice."));
        }
        let unreadable = || malformed("The policy is no base64.");
        if policy.len() > LONGEST_POLICY {
            return Err(malformed("The policy is longer than 8 KiB."));
        }
        // Either alphabet, with padding or without, as Opencast decodes it.
        let letters = policy.trim_end_matches('=').chars().map(|letter| match letter {
            '+' => '-',
            '/' => '_',
            other => other,
        });
        let policy: String = letters.collect();
        Ok(Some(Self {
            key_id,
            policy: BASE64.decode(policy).map_err(|_| unreadable())?,
            signature: digits(signature.trim().as_bytes())
                .ok_or_else(|| malformed("The signature is no HMAC-SHA-256 in 64 hexadecimal digits."))?,
        }))
    }
}

fn malformed(fault: &'static str) -> Rejection {
    Rejection::because(Reason::SignedUrlMalformed, fault).with_hint(Hint::Fault(fault))
}

fn digits(text: &[u8]) -> Option<[u8; SIGNATURE / 2]> {
    let mut bytes = [0; SIGNATURE / 2];
    if text.len() != SIGNATURE {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let digit = |index: usize| char::from(*pair.get(index)?).to_digit(16);
        *byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
    }
    Some(bytes)
}

impl Policy {
    /// Reads what was signed. A condition that is not known here could be one that is meant to keep others out: refused.
    pub fn parse(text: &[u8]) -> Result<Self, Rejection> {
        let text = parse_object(text).map_err(|_| malformed("The policy is no JSON object."))?;
        let object = |members: &Map<String, Value>, name| match members.get(name) {
            Some(Value::Object(found)) => Ok(found.clone()),
            _ => Err(malformed("The policy has no Statement with a Condition.")),
        };
        let statement = object(&text, "Statement")?;
        let condition = object(&statement, "Condition")?;
        let known = ["DateLessThan", "DateGreaterThan", "IpAddress"];
        if condition.keys().any(|name| !known.contains(&name.as_str())) {
            return Err(malformed("The policy has a condition that is not known here."));
        }
        let resource = statement.get("Resource").and_then(Value::as_str);
        let resource = resource.filter(|resource| !resource.is_empty());
        let time = |name| match condition.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => milliseconds(value)
                .map(Some)
                .ok_or_else(|| malformed("A date of the policy is no number.")),
        };
        let client = match condition.get("IpAddress") {
            None | Some(Value::Null) => None,
            Some(Value::String(address)) if address.trim().is_empty() => None,
            Some(address) => {
                let address = address.as_str().and_then(|address| address.trim().parse().ok());
                Some(address.ok_or_else(|| malformed("The IpAddress of the policy is none."))?)
            }
        };
        Ok(Self {
            resource: resource
                .ok_or_else(|| malformed("The policy names no Resource."))?
                .to_owned(),
            until: time("DateLessThan")?.ok_or_else(|| malformed("The policy has no DateLessThan."))?,
            from: time("DateGreaterThan")?,
            client,
        })
    }

    /// May it be used by this client now? Clocks may differ by `leeway`.
    pub fn check(&self, client: IpAddr, now: SystemTime, leeway: Duration) -> Result<(), Rejection> {
        if self
            .client
            .is_some_and(|only| only.to_canonical() != client.to_canonical())
        {
            let detail = format!(
                "it was signed for {}",
                self.client.map_or_else(String::new, |only| only.to_string())
            );
            return Err(Rejection::because(Reason::SignedUrlOtherClient, detail));
        }
        if self.until.checked_add(leeway).is_some_and(|until| now > until) {
            return Err(Reason::SignedUrlExpired.into());
        }
        let is_early = |from: SystemTime| now.checked_add(leeway).is_some_and(|now| now < from);
        match self.from {
            Some(from) if is_early(from) => Err(Reason::SignedUrlNotYetValid.into()),
            _ => Ok(()),
        }
    }

    /// As Opencast's `PolicyUtils.toJson` writes it, which it does anew with each policy that it checks: members in this order,
    /// slashes escaped, an IPv6 address in full.
    pub(super) fn text(&self) -> String {
        let milliseconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let mut conditions = Vec::with_capacity(3);
        if let Some(from) = self.from {
            conditions.push(format!("\"DateGreaterThan\":{}", milliseconds(from)));
        }
        conditions.push(format!("\"DateLessThan\":{}", milliseconds(self.until)));
        if let Some(client) = self.client {
            conditions.push(format!("\"IpAddress\":\"{}\"", java_address(client)));
        }
        let resource = escaped(&self.resource);
        format!(
            "{{\"Statement\":{{\"Condition\":{{{}}},\"Resource\":\"{resource}\"}}}}",
            conditions.join(",")
        )
    }
}

/// The policy in the query, encoded.
pub(super) fn encoded(policy: &str) -> String {
    BASE64.encode(policy)
}

/// Milliseconds since 1970: a whole number, or its digits.
fn milliseconds(value: &Value) -> Option<SystemTime> {
    let number = match value {
        Value::String(digits) => digits.parse().ok()?,
        other => other.as_u64()?,
    };
    UNIX_EPOCH.checked_add(Duration::from_millis(number))
}

/// `InetAddress.getHostAddress`: eight groups without leading zeros.
fn java_address(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => address.segments().map(|group| format!("{group:x}")).join(":"),
    }
}

/// `JSONValue.escape` of json-simple.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            '"' | '\\' | '/' => escaped.extend(['\\', letter]),
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2000}'..='\u{20ff}' => {
                // Writing to a String does not fail.
                write!(escaped, "\\u{:04X}", u32::from(letter)).unwrap_or_default();
            }
            other => escaped.push(other),
        }
    }
    escaped
}

/// Query pairs that sign an address, in whatever spelling.
pub fn signs(pair: &str) -> bool {
    PARAMETERS
        .iter()
        .any(|name| crate::query::is_named(pair.as_bytes(), name))
}

/// The query without them; `None` when nothing is left.
pub fn strip_query(query: &str) -> Option<Cow<'_, str>> {
    if !query.split('&').any(signs) {
        return Some(Cow::Borrowed(query));
    }
    let kept: Vec<&str> = query.split('&').filter(|pair| !signs(pair)).collect();
    let kept = kept.join("&");
    (!kept.is_empty()).then_some(Cow::Owned(kept))
}
