//! TLS towards clients: certificates that can change while the gateway runs.

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

/// A certificate chain and its key, replaced when the files change.
#[derive(Debug)]
pub struct Certificate {
    current: ArcSwap<CertifiedKey>,
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

/// Reads certificate and key and holds them against each other.
pub fn load(certificate: &Path, key: &Path) -> Result<CertifiedKey, CertificateError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| CertificateError::Unreadable { path, source }
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(unreadable(certificate))?;
    if chain.is_empty() {
        return Err(CertificateError::Empty {
            path: certificate.to_owned(),
        });
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(unreadable(key))?;
    CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider()).map_err(|source| {
        CertificateError::Mismatch {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            source,
        }
    })
}

/// An acceptor for one listener, HTTP/2 preferred, and the guards that keep its certificate fresh.
pub fn acceptor(listener: &TlsListener) -> Result<(Arc<Acceptor>, Vec<watch_file::Guard>), CertificateError> {
    let certificate = Arc::new(Certificate {
        current: ArcSwap::from_pointee(load(&listener.certificate, &listener.key)?),
    });
    let guards = [&listener.certificate, &listener.key].map(|path| watch(path, &certificate, listener));
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = Arc::new(Acceptor::from_server_config(Arc::new(config)));
    Ok((acceptor, guards.into_iter().collect::<Result<_, _>>()?))
}

fn watch(
    path: &Path,
    certificate: &Arc<Certificate>,
    listener: &TlsListener,
) -> Result<watch_file::Guard, CertificateError> {
    let certificate = Arc::clone(certificate);
    let listener = listener.clone();
    let changed = move || match load(&listener.certificate, &listener.key) {
        Ok(fresh) => {
            certificate.current.store(Arc::new(fresh));
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
