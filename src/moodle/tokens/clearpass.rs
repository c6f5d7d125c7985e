//! `clearpass`: Apereo's CAS tells the password that the person has just typed, encrypted for the gateway (ClearPass), and
//! `login/token.php` gives a token for it.
//!
//! The password is deciphered where it is sent, once for each sign-in, and kept nowhere. That serves accounts alone whose
//! password Moodle itself checks (manual, LDAP, database): for one of `auth_cas` it answers `invalidlogin` (Moodle 4.4), which
//! counts as a failed login there. So who was refused is not tried again for a while, or sign-ins would lock the account.

use std::time::Duration;

use aws_lc_rs::rsa::{Pkcs1PrivateDecryptingKey, PrivateDecryptingKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use zeroize::Zeroizing;

use super::conversation::location;
use super::site::Finding;
use super::source::{Availability, Person};
use super::{Conversation, TokenError, cas_token};
use crate::client_key::{self, ClientKeyError};
use crate::config;
use crate::moodle::service::NO_STORE;
use crate::moodle::token::Token;
use crate::store::{StoreError, Table};

/// Who is refused is left alone for so long: longer than the half hour in which Moodle counts failed logins (`lockoutwindow`).
const AFTER_REFUSAL: Duration = Duration::from_secs(3600);

const NOT_TAKEN: TokenError = TokenError::Denied(
    "login/token.php does not take the password that CAS tells (invalidlogin): the account is of auth = cas, suspended, locked or \
     missing, or has another password in Moodle. It is not tried again for an hour, so that nobody is locked out by signing in",
);

const UNREADABLE: TokenError = TokenError::Denied(
    "the password that CAS tells cannot be deciphered: the service at the CAS server has another publicKey than that of \
     clearpass.key_file",
);

/// Deciphers passwords. Cannot print itself.
pub struct Key(Pkcs1PrivateDecryptingKey);

impl Key {
    /// Reads a private key, PKCS#8 in PEM: RSA of 2048 to 8192 bits.
    pub fn load(configured: &config::ClearPass) -> Result<Self, ClientKeyError> {
        let path = configured.key_file.as_path();
        let no_rsa = || ClientKeyError::NoRsa { path: path.to_owned() };
        let der = client_key::private_key(path).map_err(|error| match error {
            ClientKeyError::NoKey { .. } => no_rsa(),
            error => error,
        })?;
        let key = PrivateDecryptingKey::from_pkcs8(&der).map_err(|_| no_rsa())?;
        Pkcs1PrivateDecryptingKey::new(key).map(Self).map_err(|_| no_rsa())
    }

    /// What CAS encrypted: base64 of RSA with PKCS#1 v1.5 padding (RFC 8017 section 7.2). Whatever is wrong with it is one
    /// error: which step failed would help to decipher others (Bleichenbacher). No client learns of it: it happens when the
    /// answer is under way.
    fn open(&self, told: &str) -> Option<Zeroizing<Vec<u8>>> {
        // Older servers break the text into lines.
        let told: String = told.split_ascii_whitespace().collect();
        let sealed = STANDARD.decode(told).ok()?;
        let mut room = Zeroizing::new(vec![0; self.0.min_output_size()]);
        let length = self.0.decrypt(&sealed, &mut room).ok()?.len();
        room.truncate(length);
        (!room.is_empty()).then_some(room)
    }
}

pub(super) async fn ask(moodle: &Conversation, person: &Person<'_>) -> Result<Option<Token>, TokenError> {
    let (Some(told), Some(key)) = (person.password, &person.moodle.clearpass) else {
        return Ok(None);
    };
    if is_barred(person).await.map_err(|_| NO_STORE)? {
        return Ok(None);
    }
    let body = {
        let password = key.open(told).ok_or(UNREADABLE)?;
        form(&person.username, &password, moodle.service())
    };
    let kind = "application/x-www-form-urlencoded";
    let reply = moodle
        .post("/login/token.php", kind, Bytes::from_owner(body), &[])
        .await?;
    if reply.status.is_redirection() {
        let text = match location(&reply).starts_with("http:") {
            true => {
                "login/token.php leads to http: $CFG->wwwroot must be the https address, and $CFG->sslproxy = true behind a gateway that ends TLS"
            }
            false => {
                "login/token.php leads elsewhere: compare $CFG->wwwroot with moodle.public_url, $CFG->sslproxy, upstreams.host"
            }
        };
        return Err(TokenError::Misconfigured(text));
    }
    match cas_token::read(&reply) {
        // An account that is missing is the same to Moodle as a wrong password.
        Err(TokenError::NoAccount) => {
            let until = Some(AFTER_REFUSAL);
            let barred = person.store().put(Table::DeadTokens, &bar(person), b"", until).await;
            barred.map_err(|_| NO_STORE)?;
            Err(NOT_TAKEN)
        }
        read => read.map(Some),
    }
}

pub(super) async fn availability(person: &Person<'_>) -> Result<Availability, StoreError> {
    Ok(Availability::Nothing(match is_barred(person).await? {
        true => "Moodle has refused the person's password within this hour, and is not asked again",
        false => "a password is used once, when the person signs in: the next sign-in brings it again",
    }))
}

async fn is_barred(person: &Person<'_>) -> Result<bool, StoreError> {
    let barred = person.store().get(Table::DeadTokens, &bar(person)).await?;
    Ok(barred.is_some())
}

fn bar(person: &Person<'_>) -> String {
    format!("clearpass\n{}", person.key())
}

/// In one piece that is written over when it is dropped: of a text that grows, copies would stay behind.
fn form(username: &str, password: &[u8], service: &str) -> Zeroizing<String> {
    let longest = username.len() + password.len() + service.len();
    let mut form = Zeroizing::new(String::with_capacity(3 * longest + 32));
    for (name, value) in [
        ("username=", username.as_bytes()),
        ("&password=", password),
        ("&service=", service.as_bytes()),
    ] {
        form.push_str(name);
        for piece in form_urlencoded::byte_serialize(value) {
            form.push_str(piece);
        }
    }
    form
}

pub(super) fn finding(moodle: &config::Moodle) -> Finding {
    let attribute = moodle
        .clearpass
        .as_ref()
        .map_or("credential", |clearpass| &clearpass.attribute);
    Finding::Note(format!(
        "the gateway reads the password of everybody who signs in. The CAS server (Apereo's, cas.clearpass.cache-credential=true) must \
         tell it as `{attribute}`; in the definition of the gateway's service: \"attributeReleasePolicy\": {{ \"@class\": \
         \"org.apereo.cas.services.ReturnAllowedAttributeReleasePolicy\", \"authorizedToReleaseCredentialPassword\": true }}, \
         \"publicKey\": {{ \"@class\": \"org.apereo.cas.services.RegisteredServicePublicKeyImpl\", \"location\": \
         \"file:/etc/cas/janua.pub\", \"algorithm\": \"RSA\" }}, made by `openssl pkey -in KEY_FILE -pubout -outform DER -out janua.pub`. \
         Accounts of auth = cas get nothing by it: Moodle answers invalidlogin"
    ))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
    use aws_lc_rs::rsa::{KeySize, Pkcs1PublicEncryptingKey};

    use super::*;

    fn key() -> (Key, Pkcs1PublicEncryptingKey, tempfile::NamedTempFile) {
        let private = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
        let public = Pkcs1PublicEncryptingKey::new(private.public_key()).unwrap();
        let der: Pkcs8V1Der<'static> = private.as_der().unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let text = STANDARD.encode(der.as_ref());
        write!(file, "-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n").unwrap();
        let configured = config::ClearPass {
            key_file: file.path().to_owned(),
            attribute: "credential".to_owned(),
        };
        (Key::load(&configured).unwrap(), public, file)
    }

    fn sealed(public: &Pkcs1PublicEncryptingKey, text: &[u8]) -> String {
        let mut room = vec![0; public.ciphertext_size()];
        STANDARD.encode(public.encrypt(text, &mut room).unwrap())
    }

    #[test]
    fn what_was_encrypted_for_this_key_is_read_and_nothing_else() {
        let ((key, public, _file), (_, other, _other_file)) = (key(), key());
        let told = sealed(&public, "Pässwörd & 1=2".as_bytes());
        assert_eq!(key.open(&told).unwrap().as_slice(), "Pässwörd & 1=2".as_bytes());
        let lines = format!("{}\r\n{}\r\n", &told[..76], &told[76..]);
        assert!(key.open(&lines).is_some());
        for wrong in [
            "",
            "%",
            "cGxhaW4=",
            &told[4..],
            &sealed(&other, b"x"),
            &sealed(&public, b""),
        ] {
            assert!(key.open(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn the_form_is_made_without_growing() {
        let form = form("o'neil", "a&b=c ü%".as_bytes(), "moodle_mobile_app");
        assert_eq!(
            form.as_str(),
            "username=o%27neil&password=a%26b%3Dc+%C3%BC%25&service=moodle_mobile_app"
        );
        let longest = super::form(&"\u{fc}".repeat(90), &[0xff; 245], &"&".repeat(100));
        assert!(longest.len() <= longest.capacity() && longest.capacity() == 3 * (180 + 245 + 100) + 32);
    }

    #[test]
    fn a_key_of_another_kind_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let configured = config::ClearPass {
            key_file: file.path().to_owned(),
            attribute: String::new(),
        };
        let told = Key::load(&configured).err().unwrap().to_string();
        assert!(told.contains("rsa_keygen_bits"), "{told}");
    }
}
