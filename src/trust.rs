//! Whose certificates are believed: those that the system's roots or the ones of a CA file vouch for, and those that stand
//! in that file themselves.

pub mod file;

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// TLS for a client that believes the system's roots and these certificates.
///
/// Errors: one of them is no certificate.
pub fn config(certificates: Vec<CertificateDer<'static>>) -> Result<ClientConfig, Error> {
    let provider = provider();
    let roots = Verifier::new_with_extra_roots(certificates.iter().cloned(), Arc::clone(&provider))?;
    believing(Arc::new(roots), certificates, provider)
}

/// TLS for a client that believes these certificates alone, as roots and as what a server shows.
///
/// Errors: one of them is no certificate.
pub fn listed_only(certificates: Vec<CertificateDer<'static>>) -> Result<ClientConfig, Error> {
    let provider = provider();
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        roots.add(certificate.clone())?;
    }
    let roots = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
    let roots = roots.map_err(|error| Error::General(error.to_string()))?;
    believing(roots, certificates, provider)
}

/// Is this the certificate of a CA, and does it name that server?
pub fn is_ca_that_names(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> bool {
    let is_ca = X509Certificate::from_der(certificate).is_ok_and(|(_, parsed)| parsed.is_ca());
    let names = |parsed: ParsedCertificate<'_>| verify_server_name(&parsed, name).is_ok();
    is_ca && ParsedCertificate::try_from(certificate).is_ok_and(names)
}

fn provider() -> Arc<CryptoProvider> {
    let provider = CryptoProvider::get_default().cloned();
    provider.unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()))
}

fn believing(
    roots: Arc<dyn ServerCertVerifier>,
    certificates: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
) -> Result<ClientConfig, Error> {
    let listed = Listed { roots, certificates };
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(listed));
    Ok(config.with_no_client_auth())
}

/// webpki takes no CA's certificate for a server's, which is what `openssl req -x509` makes. One that is listed needs
/// nobody who vouches for it, so that it is taken all the same: this very one, for its names and in its time.
#[derive(Debug)]
struct Listed {
    roots: Arc<dyn ServerCertVerifier>,
    certificates: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Listed {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if !self.certificates.contains(certificate) {
            return self
                .roots
                .verify_server_cert(certificate, intermediates, name, ocsp, now);
        }
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
        let validity = parsed.validity();
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if now > validity.not_after.timestamp() {
            return Err(CertificateError::Expired.into());
        }
        if now < validity.not_before.timestamp() {
            return Err(CertificateError::NotValidYet.into());
        }
        verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.roots.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.roots.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.roots.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};

    use super::*;

    /// As `openssl req -x509` makes it: its own issuer, and a CA.
    fn self_signed(name: &str, last_year: i32) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(last_year, 1, 1);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn verdict(listed: &CertificateDer<'static>, shown: &CertificateDer<'static>, name: &str) -> Result<(), Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let roots = Verifier::new_with_extra_roots([listed.clone()], provider).unwrap();
        let certificates = vec![listed.clone()];
        let name = ServerName::try_from(name.to_owned()).unwrap();
        // 2026.
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_780_000_000));
        Listed {
            roots: Arc::new(roots),
            certificates,
        }
        .verify_server_cert(shown, &[], &name, &[], now)
        .map(drop)
    }

    #[test]
    fn a_listed_certificate_is_taken_for_its_name_and_in_its_time() {
        let good = self_signed("moodle.test", 2040);
        assert_eq!(verdict(&good, &good, "moodle.test"), Ok(()));
        let odd = |error: Result<(), Error>| match error {
            Err(Error::InvalidCertificate(why)) => why,
            other => panic!("{other:?}"),
        };
        assert!(matches!(
            odd(verdict(&good, &good, "cas.test")),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
        ));
        let old = self_signed("moodle.test", 2021);
        assert_eq!(odd(verdict(&old, &old, "moodle.test")), CertificateError::Expired);
        let another = self_signed("moodle.test", 2040);
        assert!(
            verdict(&good, &another, "moodle.test").is_err(),
            "another of the same name"
        );
    }
}
