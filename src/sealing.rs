//! The master key, and the keys derived from it: one for each purpose, so that what is made for one is worth nothing
//! for another.
//!
//! Decides how values are sealed (AES-256-GCM) and signed (HMAC-SHA-256) and in which file the key lives. What is
//! sealed, and how long it counts, is decided by who seals.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use rustix::process::geteuid;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::config::State;
use crate::private_file;

/// Bytes of a master key, and of every key derived from it.
const KEY: usize = 32;
/// Bytes of a key file that are looked at: a hundred keys are more than any rotation leaves behind.
const LONGEST_FILE: u64 = 8 << 10;
/// Bytes that [`Sealer::seal`] adds: a nonce in front, a tag behind.
pub const SEAL: usize = NONCE_LEN + 16;

/// What a derived key is for. The name is for ever: values in stores and cookies depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Values in the state store.
    Store,
    /// What a browser carries from the start of a sign-in to its callback.
    LoginState,
    /// Passes that let a player play on.
    WatchPass,
    /// Names of viewers in statistics.
    Viewers,
    /// Sessions that a browser carries in a cookie.
    SessionCookie,
    /// Sessions that a back end carries in `Authorization`.
    SessionBearer,
    /// Launch sessions that a browser carries in a cookie.
    LaunchCookie,
    /// Digests of people's names in the log.
    LogSubject,
}

impl Purpose {
    fn info(self) -> &'static [u8] {
        match self {
            Self::Store => b"janua store 1",
            Self::LoginState => b"janua login state 1",
            Self::WatchPass => b"janua watch pass 1",
            Self::Viewers => b"janua viewers 1",
            Self::SessionCookie => b"janua session cookie 1",
            Self::SessionBearer => b"janua session bearer 1",
            Self::LaunchCookie => b"janua launch cookie 1",
            Self::LogSubject => b"janua log subject 1",
        }
    }
}

/// Master keys, the newest first: it seals and signs; all open and verify. Never printed.
#[derive(Clone)]
pub struct MasterKeys {
    keys: Arc<[[u8; KEY]]>,
}

/// Why there is no master key. Never quotes the file.
#[derive(Debug, Error)]
pub enum MasterKeyError {
    #[error(
        "the master key {path} is not there: replicas need the same one, so it is not made here; make it once \
         (`head -c 32 /dev/urandom | base64`, mode 0600) and copy it to each"
    )]
    Missing { path: PathBuf },
    #[error("the master key {path} cannot be made: {source}")]
    Make { path: PathBuf, source: io::Error },
    #[error(
        "the master key {path} may not be read by this user (uid {}): run this as the gateway's user, and let that user read \
         it (`chown` the file, `chmod 600` it) and enter its folders",
        geteuid().as_raw()
    )]
    Denied { path: PathBuf },
    #[error("the master key {path} cannot be read: {source}; fix it, or name another `state.key_file`")]
    Read { path: PathBuf, source: io::Error },
    #[error("the master key {path} is no regular file: name one, or one that is not there yet")]
    Irregular { path: PathBuf },
    #[error(
        "the master key {path}, line {line}: not 32 bytes in base64, as `head -c 32 /dev/urandom | base64` makes them"
    )]
    Line { path: PathBuf, line: usize },
    #[error("the master key {path} is empty; put a line from `head -c 32 /dev/urandom | base64` into it")]
    Empty { path: PathBuf },
    #[error("the master key {path} is longer than 8 KiB: remove the oldest lines")]
    TooLong { path: PathBuf },
}

impl MasterKeys {
    /// The keys for a store: those of its key file, made if missing and nobody else
    /// needs the same; of a store that ends with the process, new ones.
    pub fn of(state: &State) -> Result<Self, MasterKeyError> {
        match state.key_file() {
            None => Ok(Self::random()),
            Some(file) => Self::load(file, state.valkey().is_none()),
        }
    }

    /// A key that ends with the process.
    pub fn random() -> Self {
        Self {
            keys: Arc::new([random_key()]),
        }
    }

    /// Reads a key file: one key a line, base64 of 32 bytes, the newest first; empty lines and those with `#` do not
    /// count. A missing file is made (0600; its folder 0700) if `make` says so.
    pub fn load(path: &Path, make: bool) -> Result<Self, MasterKeyError> {
        let at = || path.to_owned();
        let text = match read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && make => {
                self::make(path).map_err(|source| MasterKeyError::Make { path: at(), source })?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(MasterKeyError::Missing { path: at() });
            }
            // Bytes instead of base64.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(MasterKeyError::Line { path: at(), line: 1 });
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(MasterKeyError::Denied { path: at() });
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                return Err(MasterKeyError::Irregular { path: at() });
            }
            Err(source) => return Err(MasterKeyError::Read { path: at(), source }),
        };
        if text.len() as u64 > LONGEST_FILE {
            return Err(MasterKeyError::TooLong { path: at() });
        }
        let mut keys = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let decoded = BASE64_STANDARD_NO_PAD.decode(line.trim_end_matches('='));
            let key = decoded.ok().and_then(|bytes| bytes.try_into().ok());
            keys.push(key.ok_or_else(|| MasterKeyError::Line {
                path: at(),
                line: number + 1,
            })?);
        }
        match keys.is_empty() {
            true => Err(MasterKeyError::Empty { path: at() }),
            false => Ok(Self { keys: keys.into() }),
        }
    }

    /// Seals values for one purpose.
    pub fn sealer(&self, purpose: Purpose) -> Sealer {
        let aead = |key: [u8; KEY]| RandomizedNonceKey::new(&AES_256_GCM, &key).ok();
        Sealer {
            keys: self.derived(purpose).filter_map(aead).collect(),
        }
    }

    /// Signs values for one purpose.
    pub fn mac(&self, purpose: Purpose) -> Mac {
        let key = |key: [u8; KEY]| hmac::Key::new(hmac::HMAC_SHA256, &key);
        Mac {
            keys: self.derived(purpose).map(key).collect(),
        }
    }

    fn derived(&self, purpose: Purpose) -> impl Iterator<Item = [u8; KEY]> {
        self.keys.iter().map(move |key| derive(key, purpose))
    }
}

/// HKDF-SHA-256 (RFC 5869) without salt: the master key is uniform already.
fn derive(master: &[u8; KEY], purpose: Purpose) -> [u8; KEY] {
    struct Length;
    impl KeyType for Length {
        fn len(&self) -> usize {
            KEY
        }
    }
    let mut key = [0; KEY];
    let pseudo_random = Salt::new(HKDF_SHA256, &[]).extract(master);
    let expanded = pseudo_random
        .expand(&[purpose.info()], Length)
        .and_then(|okm| okm.fill(&mut key));
    // Both fail for lengths beyond 8 160 bytes only.
    assert!(expanded.is_ok(), "HKDF of 32 bytes");
    key
}

/// Encrypts and authenticates. Clones share their keys.
#[derive(Clone)]
pub struct Sealer {
    keys: Arc<[RandomizedNonceKey]>,
}

impl Sealer {
    /// `plain` sealed by the newest key, under a random nonce: [`SEAL`] bytes longer. It opens with the same `context`
    /// only: name there where the value belongs, so that it cannot be put elsewhere.
    pub fn seal(&self, context: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(plain.len() + SEAL);
        sealed.extend_from_slice(&[0; NONCE_LEN]);
        sealed.extend_from_slice(plain);
        let Some((nonce, body)) = sealed.split_at_mut_checked(NONCE_LEN) else {
            return Vec::new();
        };
        let newest = self.keys.first();
        let sealing = newest.and_then(|key| key.seal_in_place_separate_tag(Aad::from(context), body).ok());
        let Some((random, tag)) = sealing else {
            return Vec::new(); // opens with nothing; lengths beyond 64 GiB alone lead here
        };
        nonce.copy_from_slice(random.as_ref());
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    /// What was sealed by any of the keys with this very `context`; `None` for everything else.
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        self.open_by(context, sealed).map(|(_, plain)| plain)
    }

    /// The same, with the place of the key that opened it: 0 is the newest.
    pub fn open_by(&self, context: &[u8], sealed: &[u8]) -> Option<(usize, Vec<u8>)> {
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN)?;
        self.keys.iter().enumerate().find_map(|(place, key)| {
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            let mut plain = body.to_vec();
            let length = key.open_in_place(nonce, Aad::from(context), &mut plain).ok()?.len();
            plain.truncate(length);
            Some((place, plain))
        })
    }

    /// `value` as text: letters, digits, `-` and `_`, for what a browser carries.
    pub fn seal_text(&self, context: &[u8], value: &impl Serialize) -> String {
        // Strings and numbers always can be written.
        let plain = serde_json::to_vec(value).unwrap_or_default();
        BASE64_URL_SAFE_NO_PAD.encode(self.seal(context, &plain))
    }

    /// The way back.
    pub fn open_text<T: DeserializeOwned>(&self, context: &[u8], text: &str) -> Option<T> {
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        serde_json::from_slice(&self.open(context, &sealed)?).ok()
    }

    /// Do both seal with the same key?
    pub fn seals_like(&self, other: &Self) -> bool {
        let probe = other.seal(b"probe", b"");
        matches!(self.open_by(b"probe", &probe), Some((0, _)))
    }
}

/// Signs and verifies. Clones share their keys.
#[derive(Clone)]
pub struct Mac {
    keys: Arc<[hmac::Key]>,
}

impl Mac {
    /// The tag of `message` by the newest key.
    pub fn sign(&self, message: &[u8]) -> [u8; KEY] {
        let tag = self.keys.first().map(|key| hmac::sign(key, message));
        let tag = tag.and_then(|tag| tag.as_ref().try_into().ok());
        tag.unwrap_or_else(random_key) // a tag that verifies nothing; there is always a key, and SHA-256 has 32 bytes
    }

    /// The same for a tag of which only the beginning is left, 16 bytes at least.
    pub fn verify_cut(&self, message: &[u8], beginning: &[u8]) -> bool {
        self.keys.iter().any(|key| {
            let tag = hmac::sign(key, message);
            let cut = tag.as_ref().get(..beginning.len());
            beginning.len() >= 16 && cut.is_some_and(|cut| verify_slices_are_equal(cut, beginning).is_ok())
        })
    }

    /// Is `tag` the message's by any of the keys? Takes as long for a wrong tag as for a right one.
    pub fn verify(&self, message: &[u8], tag: &[u8]) -> bool {
        self.keys.iter().any(|key| hmac::verify(key, message, tag).is_ok())
    }
}

/// `N` random bytes of the system's generator.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // aws-lc's generator never fails on Linux after the boot; going on with zeros would be worse than ending.
    assert!(rand::fill(&mut bytes).is_ok(), "the system gives no random numbers");
    bytes
}

fn random_key() -> [u8; KEY] {
    random()
}

fn read(path: &Path) -> io::Result<String> {
    // A FIFO would be waited for.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let mut text = String::new();
    fs::File::open(path)?.take(LONGEST_FILE + 1).read_to_string(&mut text)?;
    Ok(text)
}

fn make(path: &Path) -> io::Result<String> {
    let text = format!("{}\n", BASE64_STANDARD_NO_PAD.encode(random_key()));
    match private_file::make(path, text.as_bytes())? {
        true => Ok(text),
        false => read(path),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_sealed_opens_in_its_place_only() {
        let keys = MasterKeys::random();
        let sealer = keys.sealer(Purpose::Store);
        let sealed = sealer.seal(b"sessions/a", b"a secret");
        assert_eq!(sealed.len(), b"a secret".len() + SEAL);
        assert_eq!(sealer.open(b"sessions/a", &sealed).as_deref(), Some(&b"a secret"[..]));
        assert_eq!(sealer.open(b"sessions/b", &sealed), None);
        assert_eq!(keys.sealer(Purpose::LoginState).open(b"sessions/a", &sealed), None);
        assert_eq!(
            MasterKeys::random().sealer(Purpose::Store).open(b"sessions/a", &sealed),
            None
        );
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert_eq!(sealer.open(b"sessions/a", &changed), None, "byte {place}");
            assert_eq!(sealer.open(b"sessions/a", &sealed[..place]), None, "cut at {place}");
        }
        assert_ne!(sealer.seal(b"sessions/a", b"a secret"), sealed, "a nonce is used once");
    }

    #[test]
    fn a_tag_is_of_one_message_one_purpose_one_key() {
        let keys = MasterKeys::random();
        let mac = keys.mac(Purpose::WatchPass);
        let tag = mac.sign(b"message");
        assert!(mac.verify(b"message", &tag));
        assert!(!mac.verify(b"messages", &tag));
        assert!(!mac.verify(b"message", &tag[..31]));
        assert!(!mac.verify(b"message", b""));
        assert!(mac.verify_cut(b"message", &tag[..16]) && mac.verify_cut(b"message", &tag));
        assert!(!mac.verify_cut(b"messages", &tag[..16]));
        assert!(!mac.verify_cut(b"message", &tag[..15]) && !mac.verify_cut(b"message", b""));
        assert!(!keys.mac(Purpose::Store).verify(b"message", &tag));
        assert!(!MasterKeys::random().mac(Purpose::WatchPass).verify(b"message", &tag));
    }

    #[test]
    fn a_missing_file_is_made_for_its_owner_alone_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/master.key");
        assert!(matches!(
            MasterKeys::load(&path, false),
            Err(MasterKeyError::Missing { .. })
        ));
        let first = MasterKeys::load(&path, true).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let sealed = first.sealer(Purpose::Store).seal(b"", b"kept");
        let second = MasterKeys::load(&path, true).unwrap();
        assert_eq!(
            second.sealer(Purpose::Store).open(b"", &sealed).as_deref(),
            Some(&b"kept"[..])
        );
        assert_eq!(
            fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1,
            "nothing is left beside it"
        );
    }

    #[test]
    fn the_newest_seals_and_all_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let old = MasterKeys::load(&path, true).unwrap();
        let before = old.sealer(Purpose::Store).seal(b"", b"before");
        let tag = old.mac(Purpose::Store).sign(b"before");
        let newest = BASE64_STANDARD_NO_PAD.encode(random_key());
        let text = format!("# rotated\n{newest}=\n\n{}", fs::read_to_string(&path).unwrap());
        fs::write(&path, text).unwrap();
        let both = MasterKeys::load(&path, true).unwrap();
        assert_eq!(
            both.sealer(Purpose::Store).open(b"", &before).as_deref(),
            Some(&b"before"[..])
        );
        assert!(both.mac(Purpose::Store).verify(b"before", &tag));
        let after = both.sealer(Purpose::Store).seal(b"", b"after");
        assert_eq!(old.sealer(Purpose::Store).open(b"", &after), None);
    }

    #[test]
    fn what_is_no_key_is_refused_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let good = BASE64_STANDARD_NO_PAD.encode(random_key());
        for bad in ["c2hvcnQ", "not base64!", &format!("{good}AAAA")] {
            fs::write(&path, format!("{good}\n{bad}\n")).unwrap();
            let error = MasterKeys::load(&path, true).err().unwrap();
            assert!(matches!(error, MasterKeyError::Line { line: 2, .. }), "{error}");
            assert!(!error.to_string().contains(bad), "{error}");
        }
        fs::write(&path, "\n# nothing\n").unwrap();
        assert!(matches!(
            MasterKeys::load(&path, true),
            Err(MasterKeyError::Empty { .. })
        ));
        fs::write(&path, "#".repeat(9000)).unwrap();
        assert!(matches!(
            MasterKeys::load(&path, true),
            Err(MasterKeyError::TooLong { .. })
        ));
    }
}
