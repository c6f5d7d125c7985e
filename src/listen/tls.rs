//! TLS towards clients: certificates that can change while the gateway runs.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use pingora::listeners::tls::Acceptor;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use thiserror::Error;

use crate::config::TlsListener;
use crate::text::without_mark;
use crate::watch_file;

/// Why a certificate cannot be used. The text names the file.
#[derive(Debug, Error)]
pub enum CertificateError {
    #[error("{path}: {source}")]
    Unreadable { path: PathBuf, source: pem::Error },
    #[error("{path}: no certificate in it (expected PEM blocks `BEGIN CERTIFICATE`)")]
    Empty { path: PathBuf },
    #[error("{certificate} and {key} do not fit together: {source}")]
    Mismatch {
        certificate: PathBuf,
        key: PathBuf,
        source: rustls::Error,
    },
    #[error("{path} cannot be watched for changes: {source}")]
    Unwatched { path: PathBuf, source: io::Error },
}

/// A certificate chain and its key, read again when the files change, for as long as this lives.
pub struct Certificate {
    current: Arc<ArcSwap<CertifiedKey>>,
    _watches: [watch_file::Guard; 2],
}

impl Certificate {
    /// Reads certificate and key, and follows both files.
    pub fn watched(listener: &TlsListener) -> Result<Self, CertificateError> {
        let first = load(&listener.certificate, &listener.key)?;
        let current = Arc::new(ArcSwap::from_pointee(first));
        let watches = [
            watch(&listener.certificate, &current, listener)?,
            watch(&listener.key, &current, listener)?,
        ];
        Ok(Self {
            current,
            _watches: watches,
        })
    }
}

/// The certificate that a listener shows. A reload may replace it by one of other files.
pub struct Shown(ArcSwap<Certificate>);

impl Shown {
    pub fn replace(&self, certificate: Certificate) {
        self.0.store(Arc::new(certificate));
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
        Some(self.0.load().current.load_full())
    }
}

/// Reads certificate and key and holds them against each other.
pub fn load(certificate: &Path, key: &Path) -> Result<CertifiedKey, CertificateError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| CertificateError::Unreadable { path, source }
    };
    let read = |path: &Path| fs::read(path).map_err(|error| unreadable(path)(pem::Error::Io(error)));
    let chain = CertificateDer::pem_slice_iter(without_mark(&read(certificate)?))
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable(certificate))?;
    if chain.is_empty() {
        return Err(CertificateError::Empty {
            path: certificate.to_owned(),
        });
    }
    let private = PrivateKeyDer::from_pem_slice(without_mark(&read(key)?)).map_err(unreadable(key))?;
    CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider()).map_err(|source| {
        CertificateError::Mismatch {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            source,
        }
    })
}

/// An acceptor for one listener, HTTP/2 preferred, and what to change its certificate by.
pub fn acceptor(listener: &TlsListener) -> Result<(Arc<Acceptor>, Arc<Shown>), CertificateError> {
    let shown = Arc::new(Shown(ArcSwap::from_pointee(Certificate::watched(listener)?)));
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
) -> Result<watch_file::Guard, CertificateError> {
    let current = Arc::clone(current);
    let listener = listener.clone();
    let changed = move || match load(&listener.certificate, &listener.key) {
        Ok(fresh) => {
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
