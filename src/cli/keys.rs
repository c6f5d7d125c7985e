//! `janua keys`: makes the key pair of a token issuer.
//!
//! The private part goes into one file that only its owner can read, and is never printed.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use p256::SecretKey;
use p256::elliptic_curve::Generate;
use p256::pkcs8::{EncodePrivateKey, LineEnding};
use serde_json::{Value, json};

use super::jwks::elliptic;
use crate::private_file;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a key pair: private.pem for the issuer, public.jwk.json and jwks.json to publish
    New(New),
    /// Make one key set to publish out of keys and key sets
    #[command(after_help = super::jwks::EXAMPLES)]
    Jwks(super::jwks::Args),
}

#[derive(Debug, Args)]
pub struct New {
    /// The folder for the three files; made if missing, nothing in it is overwritten
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The signature algorithm that the key is for
    #[arg(long, value_enum, default_value_t = KeyAlgorithm::Es256)]
    pub alg: KeyAlgorithm,
    /// A name for the key, written into its public part [default: none]
    #[arg(long, value_name = "KID")]
    pub kid: Option<String>,
}

/// What keys can be made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KeyAlgorithm {
    /// ECDSA with P-256 and SHA-256 (RFC 7518 section 3.4)
    #[value(name = "ES256")]
    Es256,
}

/// Why no key pair was made.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error("the system gave no randomness: {0}")]
    Randomness(String),
    #[error("the new key cannot be written as PKCS#8: {0}")]
    Encoding(p256::pkcs8::Error),
    #[error("{0} is there already: nothing is overwritten")]
    Exists(PathBuf),
    #[error("{path} cannot be written: {source}")]
    Write { path: PathBuf, source: io::Error },
}

/// Runs the command and tells where the files are.
pub fn run(command: &Command) -> anyhow::Result<ExitCode> {
    let new = match command {
        Command::New(new) => new,
        Command::Jwks(args) => return super::jwks::run(args),
    };
    let files = write_pair(new)?;
    super::put(&format!(
        "{}  the private key: for the issuer alone\n{}  its public part\n{}  the key set to publish, or to name in `jwks`\n",
        files.private.display(),
        files.public.display(),
        files.jwks.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Where a pair was written to.
pub struct Files {
    pub private: PathBuf,
    pub public: PathBuf,
    pub jwks: PathBuf,
}

/// Makes a pair and writes its three files. The private one gets mode 0600, a new folder 0700.
///
/// Errors: a file of that name exists; then none of the three is touched.
pub fn write_pair(new: &New) -> Result<Files, KeysError> {
    let KeyAlgorithm::Es256 = new.alg;
    let secret = SecretKey::try_generate().map_err(|error| KeysError::Randomness(error.to_string()))?;
    let jwk = public_jwk(&secret, new.kid.as_deref());
    let pem = secret.to_pkcs8_pem(LineEnding::LF).map_err(KeysError::Encoding)?;
    let files = Files {
        private: new.out.join("private.pem"),
        public: new.out.join("public.jwk.json"),
        jwks: new.out.join("jwks.json"),
    };
    for path in [&files.private, &files.public, &files.jwks] {
        if path.symlink_metadata().is_ok() {
            return Err(KeysError::Exists(path.clone()));
        }
    }
    private_file::make_folder(&new.out).map_err(|source| KeysError::Write {
        path: new.out.clone(),
        source,
    })?;
    write_new(&files.private, 0o600, pem.as_bytes())?;
    write_new(&files.public, 0o644, format!("{jwk:#}\n").as_bytes())?;
    write_new(
        &files.jwks,
        0o644,
        format!("{:#}\n", json!({ "keys": [jwk] })).as_bytes(),
    )?;
    Ok(files)
}

/// The public part as a JWK (RFC 7517, RFC 7518 section 6.2.1).
fn public_jwk(secret: &SecretKey, kid: Option<&str>) -> Value {
    let mut jwk = elliptic(&secret.public_key().to_sec1_bytes(), "P-256", "ES256");
    if let (Some(kid), Some(members)) = (kid, jwk.as_object_mut()) {
        members.insert("kid".to_owned(), kid.into());
    }
    jwk
}

/// Writes a file that must not exist yet, on disk when this returns.
pub(super) fn write_new(path: &Path, mode: u32, content: &[u8]) -> Result<(), KeysError> {
    private_file::write_new(path, mode, content).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => KeysError::Exists(path.to_owned()),
        _ => KeysError::Write {
            path: path.to_owned(),
            source,
        },
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use p256::pkcs8::DecodePrivateKey;

    use super::*;

    fn new_in(folder: &Path, kid: Option<&str>) -> New {
        New {
            out: folder.join("keys"),
            alg: KeyAlgorithm::Es256,
            kid: kid.map(str::to_owned),
        }
    }

    #[test]
    fn a_pair_has_three_files_that_belong_together() {
        let folder = tempfile::tempdir().unwrap();
        let files = write_pair(&new_in(folder.path(), Some("k"))).unwrap();
        assert_eq!(files.private.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let secret = SecretKey::from_pkcs8_pem(&fs::read_to_string(&files.private).unwrap()).unwrap();
        let jwk: Value = serde_json::from_slice(&fs::read(&files.public).unwrap()).unwrap();
        assert_eq!(jwk, public_jwk(&secret, Some("k")));
        assert_eq!((&jwk["kid"], jwk.get("d")), (&json!("k"), None));
        assert_eq!(jwk["x"].as_str().map(str::len), Some(43));
        let jwks: Value = serde_json::from_slice(&fs::read(&files.jwks).unwrap()).unwrap();
        assert_eq!(jwks, json!({"keys": [jwk]}));
    }

    #[test]
    fn nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let new = new_in(folder.path(), None);
        let files = write_pair(&new).unwrap();
        fs::remove_file(&files.private).unwrap();
        fs::write(&files.jwks, "mine").unwrap();
        let error = write_pair(&new).err().unwrap();
        assert!(
            matches!(&error, KeysError::Exists(path) if *path == files.public),
            "{error}"
        );
        assert_eq!(fs::read(&files.jwks).unwrap(), b"mine");
        assert!(!files.private.exists());
    }
}
