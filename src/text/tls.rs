//! What a failed TLS handshake with a server means, in words, and what to do about it.
//!
//! rustls' error is known by its text: pingora hands on nothing else.

use std::time::Duration;

use crate::time::in_one_unit;

/// The text of an error of rustls', maybe with others' words around it, as a clause that says what is wrong; a text that is
/// not known comes back without those words.
pub fn in_words(text: &str) -> String {
    // As pingora tells it: `… cause: TEXT, SNI: NAME`.
    let text = text.rsplit_once(", SNI: ").map_or(text, |(text, _)| text);
    let text = text.rsplit_once(" cause: ").map_or(text, |(_, cause)| cause).trim();
    if let Some(alert) = text.strip_prefix("received fatal alert: ") {
        return alerted(alert);
    }
    if let Some((_, names)) = text.split_once("certificate not valid for name ") {
        return misnamed(names);
    }
    let has = |part: &str| text.contains(part);
    let known = match () {
        () if has("certificate expired") || has("Expired") => {
            let ago = seconds(text, " seconds ago)").map_or(String::new(), |ago| format!(" {} ago", span(ago)));
            return format!("its certificate has expired{ago}: renew it there (or is the clock here wrong?)");
        }
        () if has("certificate not valid yet") || has("NotValidYet") => {
            let ahead = seconds(text, " seconds in future)");
            let ahead = ahead.map_or(String::new(), |ahead| format!(", for another {}", span(ahead)));
            return format!("its certificate is not valid yet{ahead}: is the clock right, here and there?");
        }
        () if has("UnknownIssuer") => {
            "its certificate comes from an issuer that is not known here: name the certificate of that CA in `ca_file`, or \
             the server's own if it is self-signed; or let the server send its intermediate certificates too (`fullchain.pem`)"
        }
        () if has("invalid peer certificate: BadSignature") || has("UnsupportedSignatureAlgorithmForPublicKey") => {
            "its certificate is not signed by the CA of that name that is known here, or its key is of a kind or length that \
             is not taken (RSA of less than 2048 bits): name the CA's present certificate in `ca_file`, or the server's own if \
             it is self-signed; or make one with a longer key"
        }
        () if has("CaUsedAsEndEntity") => {
            "its certificate is a self-signed one for a CA, as `openssl req -x509` makes it by default: name this very \
             certificate in `ca_file`, and make it with the server's name (`-addext subjectAltName=DNS:…`)"
        }
        () if has("NotValidForName") => NOT_FOR_NAME,
        () if [
            "InvalidPurpose",
            "extended key usage",
            "ExtendedKeyUsage",
            "RequiredEkuNotFound",
        ]
        .into_iter()
        .any(has) =>
        {
            "its certificate is not one for servers: make one with the extended key usage serverAuth"
        }
        () if has("Revoked") => "its certificate is revoked: it needs another one",
        () if has("invalid peer certificate: BadEncoding") || has("UnsupportedCertVersion") => {
            "its certificate cannot be read: it is no X.509 certificate of version 3"
        }
        () if has("InvalidContentType") || has("received corrupt message") => {
            "no TLS is spoken there: is it an http:// address, or another port?"
        }
        () if has("close_notify") => "it closed the connection early",
        () if has("tls handshake eof") => "it closed the connection: is TLS spoken there at all?",
        () if has("peer is incompatible") => OLD,
        () => match text.strip_prefix("invalid peer certificate: ") {
            Some(why) => {
                let why = why.split([' ', '(', '{']).next().unwrap_or_default();
                return format!("its certificate is not accepted ({why})");
            }
            None => text,
        },
    };
    known.to_owned()
}

/// What to ask of an `http://` address that gives no HTTP.
pub const NOT_HTTP: &str = "; is it an https:// address?";

/// Names of a certificate that are told.
const MOST_NAMES: usize = 5;
const NOT_FOR_NAME: &str = "its certificate is not for the name by which it is called: call it by a name of its certificate, or \
                            give it one with this name (subjectAltName)";
const OLD: &str = "it speaks no version and cipher of TLS that is taken here (1.2 and 1.3)";

/// `"a"; certificate is only valid for DnsName("b") or IpAddress(127.0.0.1)`, as rustls tells it.
fn misnamed(names: &str) -> String {
    let (wanted, others) = names.split_once(';').unwrap_or((names, ""));
    let wanted = wanted.trim_matches('"');
    let others = others.split_once("only valid for ").map(|(_, others)| others);
    let remedy = "call it by a name of its certificate, or give it one with this name (subjectAltName)";
    let Some(others) = others else {
        return format!("its certificate is not for {wanted}, but for no name at all: {remedy}");
    };
    let others: String = ["DnsName(", "IpAddress(", ")", "\""]
        .iter()
        .fold(others.to_owned(), |others, part| others.replace(part, ""));
    // `a`, `a or b`, `a, b or c`.
    let others: Vec<&str> = others.split(", ").flat_map(|names| names.split(" or ")).collect();
    format!(
        "its certificate is not for {wanted}, but for {}: {remedy}",
        some(&others, " or ")
    )
}

/// Names of a certificate, five at most.
pub fn some(names: &[impl AsRef<str>], last: &str) -> String {
    let told: Vec<&str> = names.iter().take(MOST_NAMES).map(AsRef::as_ref).collect();
    match (names.len().saturating_sub(MOST_NAMES), told.split_last()) {
        (0, Some((end, []))) => (*end).to_owned(),
        (0, Some((end, others))) => format!("{}{last}{end}", others.join(", ")),
        (more, _) => format!("{} and {more} more", told.join(", ")),
    }
}

/// The server ended the handshake (RFC 8446 section 6.2).
fn alerted(alert: &str) -> String {
    let meant = match alert {
        "ProtocolVersion" | "InsufficientSecurity" => OLD,
        "HandshakeFailure" => {
            "it refuses the handshake: no version or cipher is common, or it wants a client's certificate"
        }
        "UnrecognisedName" => "it has no site of this name",
        "BadCertificate" | "CertificateRequired" | "AccessDenied" => {
            "it wants a client's certificate, and the gateway shows none"
        }
        other => return format!("it refuses the handshake (TLS alert {other})"),
    };
    meant.to_owned()
}

/// `(4711 seconds ago)`.
fn seconds(text: &str, unit: &str) -> Option<Duration> {
    let (before, _) = text.split_once(unit)?;
    let (_, number) = before.rsplit_once('(')?;
    number.parse().ok().map(Duration::from_secs)
}

fn span(time: Duration) -> String {
    if time < Duration::from_secs(120) {
        return "a minute".to_owned();
    }
    in_one_unit(time, ["seconds", "minutes", "hours", "days"])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::pki_types::{ServerName, UnixTime};
    use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, OtherError, PeerIncompatible};

    use super::*;

    #[test]
    fn every_fault_is_named_with_its_remedy() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let named = |presented: &[&str]| CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("a.test").unwrap(),
            presented: presented.iter().map(|name| (*name).to_owned()).collect(),
        };
        let expired = CertificateError::ExpiredContext {
            time: at(1_000_000),
            not_after: at(200_000),
        };
        let early = CertificateError::NotValidYetContext {
            time: at(0),
            not_before: at(7300),
        };
        let other = |name: &'static str| {
            CertificateError::Other(OtherError(Arc::from(Box::<dyn std::error::Error + Send + Sync>::from(
                name,
            ))))
        };
        for (error, parts) in [
            (CertificateError::Expired.into(), ["has expired: renew", ""]),
            (expired.into(), ["has expired 9 days ago: renew", "clock"]),
            (CertificateError::NotValidYet.into(), ["not valid yet:", "clock"]),
            (early.into(), ["not valid yet, for another 2 hours", "clock"]),
            (CertificateError::UnknownIssuer.into(), ["not known here", "`ca_file`"]),
            (other("CaUsedAsEndEntity").into(), ["self-signed", "`ca_file`"]),
            (
                CertificateError::NotValidForName.into(),
                ["is not for the name", "subjectAltName"],
            ),
            (
                named(&["DnsName(\"b.test\")", "IpAddress(127.0.0.1)"]).into(),
                ["not for a.test, but for b.test or 127.0.0.1:", "subjectAltName"],
            ),
            (named(&[]).into(), ["not for a.test, but for no name", "subjectAltName"]),
            (
                named(&["DnsName(\"b\")", "DnsName(\"c\")", "DnsName(\"d\")"]).into(),
                ["but for b, c or d: ", ""],
            ),
            (
                named(&["DnsName(\"b\")"; 60]).into(),
                ["but for b, b, b, b, b and 55 more: ", ""],
            ),
            (
                CertificateError::InvalidPurpose.into(),
                ["not one for servers", "serverAuth"],
            ),
            (CertificateError::BadEncoding.into(), ["cannot be read", ""]),
            (
                CertificateError::UnhandledCriticalExtension.into(),
                ["is not accepted (UnhandledCriticalExtension)", ""],
            ),
            (
                CertificateError::BadSignature.into(),
                ["not signed by the CA", "RSA of less than 2048 bits"],
            ),
            (
                Error::InvalidMessage(InvalidMessage::InvalidContentType),
                ["no TLS is spoken there", "http://"],
            ),
            (
                Error::AlertReceived(AlertDescription::HandshakeFailure),
                ["refuses the handshake", ""],
            ),
            (
                Error::AlertReceived(AlertDescription::ProtocolVersion),
                ["1.2 and 1.3", ""],
            ),
            (
                Error::AlertReceived(AlertDescription::UnrecognisedName),
                ["no site", ""],
            ),
            (
                PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig.into(),
                ["1.2 and 1.3", ""],
            ),
        ] {
            let error: Error = error;
            let alone = in_words(&error.to_string());
            assert!(parts.iter().all(|part| alone.contains(part)), "{error}: {alone}");
            let within = format!(
                "TLS connect() failed:  TLSHandshakeFailure context: tls connect error cause: {error}, SNI: a.test"
            );
            assert_eq!(in_words(&within), alone);
        }
        let early = "peer closed connection without sending TLS close_notify: https://docs.rs/rustls/latest/rustls/";
        assert_eq!(in_words(early), "it closed the connection early");
        assert_eq!(
            in_words("x cause: Connection reset by peer, SNI: a"),
            "Connection reset by peer"
        );
    }
}
