//! TLS towards clients: certificates that can change while the gateway runs.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use pingora::listeners::tls::Acceptor;
use prometheus::IntGauge;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};
use thiserror::Error;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::config::TlsListener;
use crate::text::without_mark;
use crate::watch_file;

/// Why a certificate cannot be used. The text names the file.
#[derive(Debug, Error)]
pub enum CertificateError {
    #[error("{path} cannot be read: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{path} is no valid PEM file: {what}")]
    Malformed { path: PathBuf, what: &'static str },
    #[error("{path}: no certificate in it (expected PEM blocks `BEGIN CERTIFICATE`)")]
    Empty { path: PathBuf },
    #[error("{path}: its first certificate cannot be read: it is no X.509 certificate of version 3")]
    Odd { path: PathBuf },
    #[error("{path}: no private key in it (expected a PEM block `BEGIN PRIVATE KEY`)")]
    NoKey { path: PathBuf },
    #[error("{path}: the key is encrypted; `openssl pkey -in FILE -out NEW` writes one without a password")]
    Encrypted { path: PathBuf },
    #[error(
        "{path}: no key that TLS takes here: RSA of 2048 to 8192 bits, ECDSA over P-256, P-384 or P-521, or Ed25519"
    )]
    UnfitKey { path: PathBuf },
    #[error("{certificate} and {key} do not fit together: the certificate is for another key")]
    Mismatch { certificate: PathBuf, key: PathBuf },
    #[error("{path} cannot be watched for changes: {source}")]
    Unwatched { path: PathBuf, source: io::Error },
}

/// A certificate chain and its key, read again when the files change, for as long as this lives.
pub struct Certificate {
    current: Arc<ArcSwap<CertifiedKey>>,
    _watches: [watch_file::Guard; 2],
}

impl Certificate {
    /// Reads certificate and key, and follows both files. `expiry` is set when they change.
    pub fn watched(listener: &TlsListener, expiry: &IntGauge) -> Result<Self, CertificateError> {
        let first = load(&listener.certificate, &listener.key)?;
        let current = Arc::new(ArcSwap::from_pointee(first));
        let watches = [
            watch(&listener.certificate, &current, listener, expiry)?,
            watch(&listener.key, &current, listener, expiry)?,
        ];
        Ok(Self {
            current,
            _watches: watches,
        })
    }
}

/// The certificate that a listener shows. A reload may replace it by one of other files.
pub struct Shown {
    certificate: ArcSwap<Certificate>,
    expiry: IntGauge,
}

impl Shown {
    pub fn replace(&self, certificate: Certificate) {
        tell_expiry(&self.expiry, &certificate.current.load());
        self.certificate.store(Arc::new(certificate));
    }
}

/// Tells the metrics when a certificate ends. One that cannot be read leaves what they say.
fn tell_expiry(gauge: &IntGauge, shown: &CertifiedKey) {
    let read = shown.cert.first().and_then(|own| X509Certificate::from_der(own).ok());
    if let Some((_, read)) = read {
        gauge.set(read.validity().not_after.timestamp());
    }
}

impl fmt::Debug for Shown {
    /// rustls wants one; a key must not be in it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Shown(..)")
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.certificate.load().current.load_full())
    }
}

/// Reads certificate and key and holds them against each other.
pub fn load(certificate: &Path, key: &Path) -> Result<CertifiedKey, CertificateError> {
    let text = read(certificate)?;
    let chain = CertificateDer::pem_slice_iter(without_mark(&text)).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| malformed(certificate, &error))?;
    if chain.is_empty() {
        return Err(CertificateError::Empty {
            path: certificate.to_owned(),
        });
    }
    let private = private_key(key)?;
    let signing = aws_lc_rs::default_provider().key_provider.load_private_key(private);
    let signing = signing.map_err(|_| CertificateError::UnfitKey { path: key.to_owned() })?;
    let certified = CertifiedKey::new(chain, signing);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => Err(CertificateError::Mismatch {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        }),
        Err(_) => Err(CertificateError::Odd {
            path: certificate.to_owned(),
        }),
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
    let path = || file.to_owned();
    let text = read(file)?;
    PrivateKeyDer::from_pem_slice(without_mark(&text)).map_err(|error| {
        // In PKCS#8, and as OpenSSL wrote keys before (RFC 1421 section 4.6.1.1).
        let marks = [&b"BEGIN ENCRYPTED PRIVATE KEY"[..], b"Proc-Type: 4,ENCRYPTED"];
        let is_marked = |mark: &[u8]| text.windows(mark.len()).any(|part| part == mark);
        match error {
            _ if marks.into_iter().any(is_marked) => CertificateError::Encrypted { path: path() },
            pem::Error::NoItemsFound => CertificateError::NoKey { path: path() },
            error => malformed(file, &error),
        }
    })
}

fn read(file: &Path) -> Result<Vec<u8>, CertificateError> {
    fs::read(file).map_err(|source| CertificateError::Unreadable {
        path: file.to_owned(),
        source,
    })
}

/// Quotes nothing of the file.
fn malformed(file: &Path, error: &pem::Error) -> CertificateError {
    let what = match error {
        pem::Error::MissingSectionEnd { .. } => "a line `-----END …-----` is missing",
        pem::Error::IllegalSectionStart { .. } => "a line `-----BEGIN …-----` is not whole",
        pem::Error::Base64Decode(_) => "what stands between BEGIN and END is no base64",
        _ => "it cannot be read",
    };
    CertificateError::Malformed {
        path: file.to_owned(),
        what,
    }
}

/// An acceptor for one listener, HTTP/2 preferred, and what to change its certificate by. `expiry` tells when that ends.
pub fn acceptor(listener: &TlsListener, expiry: IntGauge) -> Result<(Arc<Acceptor>, Arc<Shown>), CertificateError> {
    let certificate = Certificate::watched(listener, &expiry)?;
    tell_expiry(&expiry, &certificate.current.load());
    let certificate = ArcSwap::from_pointee(certificate);
    let shown = Arc::new(Shown { certificate, expiry });
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(&shown) as _);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((Arc::new(Acceptor::from_server_config(Arc::new(config))), shown))
}

fn watch(
    path: &Path,
    current: &Arc<ArcSwap<CertifiedKey>>,
    listener: &TlsListener,
    expiry: &IntGauge,
) -> Result<watch_file::Guard, CertificateError> {
    let current = Arc::clone(current);
    let (listener, expiry) = (listener.clone(), expiry.clone());
    let changed = move || match load(&listener.certificate, &listener.key) {
        Ok(fresh) => {
            tell_expiry(&expiry, &fresh);
            current.store(Arc::new(fresh));
            tracing::info!(certificate = %listener.certificate.display(), "certificate reloaded");
        }
        // Certificate and key are two files: between the two writes they do not fit, and the second write comes.
        Err(error) => tracing::warn!(%error, "the new certificate is not used; the one before stays"),
    };
    watch_file::watch(path, changed).map_err(|source| CertificateError::Unwatched {
        path: path.to_owned(),
        source,
    })
}
