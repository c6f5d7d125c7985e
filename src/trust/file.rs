//! Files with certificates: every `ca_file`.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};
use thiserror::Error;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::text::without_mark;

/// Bytes of a file. All roots of an operating system have a quarter of a mebibyte.
const LARGEST: u64 = 4 << 20;

/// What stands in a `ca_file`.
pub struct CaFile {
    /// As it was read.
    pub text: Vec<u8>,
    /// Never none, and each of them can be a root.
    pub certificates: Vec<CertificateDer<'static>>,
}

/// Why a `ca_file` cannot be used. The text names the file and a remedy, and quotes nothing of it.
#[derive(Debug, Error)]
#[error("the CA file {path} {fault}")]
pub struct CaFileError {
    path: PathBuf,
    fault: Fault,
}

#[derive(Debug, Error)]
enum Fault {
    #[error("cannot be read ({0}): let the gateway's user read it, or name another file")]
    Unreadable(io::Error),
    #[error("is no regular file: name one")]
    Irregular,
    #[error("is longer than 4 MiB: name one with the certificates that are needed")]
    TooLong,
    #[error(
        "is empty: put the certificate of the CA into it, or the server's own, as PEM (`-----BEGIN CERTIFICATE-----`)"
    )]
    Empty,
    #[error("is binary (DER): `openssl x509 -inform DER -in FILE -out NEW` writes it as PEM")]
    Der,
    #[error("holds a private key and no certificate: name the file of the certificate, and keep the key to its server")]
    Key,
    #[error(
        "holds no certificate: name a PEM file with that of the CA, or the server's own (`-----BEGIN CERTIFICATE-----`)"
    )]
    None,
    #[error("is damaged ({0}): copy it again")]
    Damaged(&'static str),
    #[error("is damaged (certificate {0} in it is no X.509 certificate of version 3): copy it again")]
    Odd(usize),
}

/// Reads the certificates of a PEM file.
///
/// # Errors
/// There are none in it, or one of them cannot be a root.
pub fn read(path: &Path) -> Result<CaFile, CaFileError> {
    contents(path).map_err(|fault| CaFileError {
        path: path.to_owned(),
        fault,
    })
}

fn contents(path: &Path) -> Result<CaFile, Fault> {
    // A FIFO would be waited for.
    if !path.metadata().map_err(Fault::Unreadable)?.is_file() {
        return Err(Fault::Irregular);
    }
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut text));
    if read.map_err(Fault::Unreadable)? as u64 > LARGEST {
        return Err(Fault::TooLong);
    }
    let certificates = CertificateDer::pem_slice_iter(without_mark(&text)).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| Fault::Damaged(damage(&error)))?;
    if certificates.is_empty() {
        return Err(instead(&text));
    }
    let mut roots = RootCertStore::empty();
    for (place, certificate) in certificates.iter().enumerate() {
        roots.add(certificate.clone()).map_err(|_| Fault::Odd(place + 1))?;
    }
    Ok(CaFile { text, certificates })
}

fn damage(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a line `-----END …-----` is missing",
        pem::Error::IllegalSectionStart { .. } => "a line `-----BEGIN …-----` is not whole",
        pem::Error::Base64Decode(_) => "what stands between BEGIN and END is no base64",
        _ => "it is no PEM",
    }
}

/// What stands there in place of certificates.
fn instead(text: &[u8]) -> Fault {
    let has = |part: &[u8]| text.windows(part.len()).any(|found| found == part);
    match () {
        () if without_mark(text).trim_ascii().is_empty() => Fault::Empty,
        () if X509Certificate::from_der(text).is_ok() => Fault::Der,
        () if has(b"PRIVATE KEY-----") => Fault::Key,
        () => Fault::None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    #[test]
    fn what_is_wrong_with_a_file_is_told_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["moodle.test".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let pem = certificate.pem();
        let marked = format!("\u{feff}{}", pem.replace('\n', "\r\n"));
        for good in [pem.clone(), marked, format!("{pem}{}{pem}", key.serialize_pem())] {
            std::fs::write(&path, &good).unwrap();
            let read = read(&path).unwrap();
            assert_eq!((read.text, &read.certificates[0]), (good.into(), certificate.der()));
        }
        let damaged = pem.replacen('M', "*", 1);
        let other = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (text, told) in [
            (&b""[..], "is empty: put"),
            (b"\xef\xbb\xbf\r\n", "is empty: put"),
            (certificate.der(), "is binary (DER): `openssl x509 -inform DER"),
            (key.serialize_pem().as_bytes(), "holds a private key and no certificate"),
            (b"somebody's letter", "holds no certificate: name"),
            (
                &pem.as_bytes()[..pem.len() - 30],
                "(a line `-----END …-----` is missing): copy",
            ),
            (damaged.as_bytes(), "between BEGIN and END is no base64"),
            (format!("{pem}{other}").as_bytes(), "(certificate 2 in it is no X.509"),
            (&vec![b'\n'; 5 << 20], "longer than 4 MiB"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = read(&path).err().unwrap().to_string();
            let begins = format!("the CA file {} ", path.display());
            assert!(error.starts_with(&begins) && error.contains(told), "{told}: {error}");
        }
        for (path, told) in [
            (folder.path().join("none"), "cannot be read (No such file"),
            (folder.path().to_owned(), "is no regular file"),
        ] {
            let error = read(&path).err().unwrap().to_string();
            assert!(error.contains(told), "{told}: {error}");
        }
    }
}
