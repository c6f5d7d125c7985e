//! The certificates that listeners show: do they fit their keys, the public URLs and the calendar?

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::Report;
use crate::config::{Config, PublicUrl};
use crate::listen::tls;
use crate::text::count;
use crate::text::tls::some;
use crate::time::unix_seconds;

/// With less left, somebody should know.
const SOON: Duration = Duration::from_secs(14 * DAY);
const DAY: u64 = 24 * 60 * 60;

pub(super) fn check(config: &Config, report: &Report) {
    let mut shown = Vec::new();
    for listener in &config.server.tls {
        let what = format!("certificate of {}", listener.listen);
        let chain = match tls::load(&listener.certificate, &listener.key) {
            Ok(certified) => certified.cert.clone(),
            Err(error) => {
                report.bad(&what, &error.to_string());
                continue;
            }
        };
        let is_alone = chain.len() == 1;
        let Some(own) = chain.into_iter().next() else { continue };
        match X509Certificate::from_der(&own) {
            Ok((_, read)) => {
                let lifetime = Lifetime::of(&read);
                lifetime.tell(SystemTime::now(), &format!("for {}", names(&own)), &what, report);
                purpose_and_chain(&read, is_alone, &what, report);
            }
            Err(_) => report.bad(&what, "it is no certificate that browsers can read (X.509)"),
        }
        shown.push(own);
    }
    let https = config.server.public_urls.iter().filter(|public| public.https);
    for public in https.filter(|public| !shown.is_empty() && !shown.iter().any(|own| is_for(own, public))) {
        let missing = format!("none is for {} (server.public_urls)", public.host);
        match config.server.trusted_proxies.is_empty() {
            true => report.bad(
                "certificates",
                &format!("{missing}: browsers refuse them there; get one with this name (subjectAltName)"),
            ),
            // Then it is the proxy that takes this certificate or does not.
            false => report.note(
                "certificates",
                &format!("{missing}: fine only if clients meet the certificate of a proxy in front"),
            ),
        }
    }
}

/// Would a browser take it for a server's, and find who signed it?
fn purpose_and_chain(own: &X509Certificate<'_>, is_alone: bool, what: &str, report: &Report) {
    let usage = own.extended_key_usage().ok().flatten().map(|usage| usage.value);
    if usage.is_some_and(|usage| !usage.server_auth && !usage.any) {
        report.bad(
            what,
            "not one for servers: make one with the extended key usage serverAuth",
        );
    }
    if is_alone && own.issuer() != own.subject() {
        let told = "the file has no intermediate certificate: fine only if clients know the CA that signed it themselves; \
                    otherwise name the whole chain (`fullchain.pem`)";
        report.note(what, told);
    }
}

/// Seconds since 1970 at which a certificate begins and ends to count.
struct Lifetime {
    from: i64,
    until: i64,
}

impl Lifetime {
    fn of(certificate: &X509Certificate<'_>) -> Self {
        let validity = certificate.validity();
        Self {
            from: validity.not_before.timestamp(),
            until: validity.not_after.timestamp(),
        }
    }

    fn tell(&self, now: SystemTime, names: &str, what: &str, report: &Report) {
        let now = i64::try_from(unix_seconds(now)).unwrap_or(i64::MAX);
        let days = |seconds: i64| {
            let days = u64::try_from(seconds).unwrap_or(0) / DAY;
            count(usize::try_from(days).unwrap_or(usize::MAX), "day")
        };
        let left = self.until.saturating_sub(now);
        if self.from > now {
            let wait = match self.from - now < i64::try_from(DAY).unwrap_or(i64::MAX) {
                true => "some hours".to_owned(),
                false => days(self.from - now),
            };
            let told = format!("not valid yet, for another {wait}; is the clock right?");
            report.bad(what, &told);
        } else if left < 0 {
            let told = match -left < i64::try_from(DAY).unwrap_or(i64::MAX) {
                true => "expired in the last 24 hours: renew it".to_owned(),
                false => format!("expired {} ago: renew it", days(-left)),
            };
            report.bad(what, &told);
        } else if left < i64::try_from(SOON.as_secs()).unwrap_or(i64::MAX) {
            report.note(
                what,
                &format!("fits its key, {names}, and expires in {}: renew it soon", days(left)),
            );
        } else {
            report.good(what, &format!("fits its key, {names}, valid for {}", days(left)));
        }
    }
}

fn is_for(certificate: &CertificateDer<'_>, public: &PublicUrl) -> bool {
    let host = public.host.trim_matches(['[', ']']).to_owned();
    let (Ok(name), Ok(parsed)) = (ServerName::try_from(host), ParsedCertificate::try_from(certificate)) else {
        return false;
    };
    verify_server_name(&parsed, &name).is_ok()
}

/// The names that count: browsers look at no others.
fn names(certificate: &CertificateDer<'_>) -> String {
    let read = X509Certificate::from_der(certificate).map(|(_, read)| read);
    let extension = read
        .as_ref()
        .ok()
        .and_then(|read| read.subject_alternative_name().ok()?);
    let named = extension.iter().flat_map(|extension| &extension.value.general_names);
    let named: Vec<String> = named
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
            _ => None,
        })
        .collect();
    match named.len() {
        0 => "no name at all (subjectAltName)".to_owned(),
        _ => some(&named, ", "),
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}
