//! Certificates of CAs, passwords and signing keys that the configuration names, and whether they can be used. `janua check` tells of all
//! that cannot; the gateway starts with none of them, nor takes them with a reload.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::act::s3;
use crate::client_key::{ClientKey, ClientKeyError};
use crate::config::{Config, JwksLocation};
use crate::key_file::{self, PasswordError};
use crate::moodle::tokens::clearpass;
use crate::opencast::unfit_key;
use crate::trust;
use crate::trust::file::CaFileError;

/// A file that cannot be used, with the setting that names it.
#[derive(Debug, Error)]
#[error("{setting}: {fault}")]
pub struct UnfitFile {
    /// `upstreams.app.ca_file`.
    pub setting: String,
    /// Who cannot be asked without it.
    pub owner: Owner,
    pub fault: Fault,
}

/// What is wrong, with the file and a remedy.
#[derive(Debug, Error)]
pub enum Fault {
    #[error(transparent)]
    Ca(#[from] CaFileError),
    #[error("the password file {0}")]
    Password(#[from] PasswordError),
    #[error(transparent)]
    ClientKey(#[from] ClientKeyError),
    #[error("{0}")]
    Credentials(io::Error),
    #[error("{path}: {error}")]
    SigningKey { path: PathBuf, error: io::Error },
}

/// Whose file it is, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    State,
    /// All who are asked by the proxy.
    Outgoing,
    Statistics,
    Issuer(Arc<str>),
    Upstream(Arc<str>),
    Opencast(String),
    SignIn(Arc<str>),
    Bearer(Arc<str>),
    Lti(Arc<str>),
    Moodle(String),
    SignedUrls(Arc<str>),
}

/// All that cannot be used now.
pub fn unfit(config: &Config) -> Vec<UnfitFile> {
    let mut found = Vec::new();
    let mut look = |setting: String, owner: Owner, looked: Result<(), Fault>| {
        found.extend(looked.err().map(|fault| UnfitFile { setting, owner, fault }));
    };
    let ca = |path: &Path| Ok(trust::file::read(path).map(drop)?);
    let password = |path: &Path| Ok(key_file::password(path).map(drop)?);
    if let Some(valkey) = config.state.valkey() {
        if let Some(path) = &valkey.ca_file {
            look("state.ca_file".to_owned(), Owner::State, ca(path));
        }
        if let Some(path) = &valkey.password_file {
            look("state.password_file".to_owned(), Owner::State, password(path));
        }
    }
    if let Some(path) = config.proxy.as_ref().and_then(|proxy| proxy.password_file.as_ref()) {
        look("outgoing.password_file".to_owned(), Owner::Outgoing, password(path));
    }
    if let Some(told) = &config.statistics {
        let matomo = told.matomo.as_ref();
        if let Some(matomo) = matomo {
            let setting = "statistics.matomo.token_file".to_owned();
            look(setting, Owner::Statistics, password(&matomo.token_file));
        }
        let (matomo, usertracking) = (
            matomo.map(|one| &one.outgoing),
            told.usertracking.as_ref().map(|one| &one.outgoing),
        );
        for (key, outgoing) in [("matomo", matomo), ("usertracking", usertracking)] {
            if let Some(path) = outgoing.and_then(|outgoing| outgoing.ca_file.as_ref()) {
                look(format!("statistics.{key}.ca_file"), Owner::Statistics, ca(path));
            }
        }
    }
    for issuer in &config.jwt.issuers {
        let path = issuer.outgoing.ca_file.as_deref();
        if let Some(path) = path.filter(|_| matches!(issuer.jwks, JwksLocation::Url(_))) {
            let setting = format!("jwt.issuers.{}.ca_file", issuer.name);
            look(setting, Owner::Issuer(Arc::clone(&issuer.name)), ca(path));
        }
    }
    for upstream in &config.upstreams {
        if let Some(path) = &upstream.ca_file {
            let setting = format!("upstreams.{}.ca_file", upstream.name);
            look(setting, Owner::Upstream(Arc::clone(&upstream.name)), ca(path));
        }
        if let Some(s3) = &upstream.s3 {
            let path = s3.credentials_file.clone();
            let read = s3::read(&path, &s3.profile).map(drop);
            let setting = format!("upstreams.{}.s3.credentials_file", upstream.name);
            let owner = Owner::Upstream(Arc::clone(&upstream.name));
            look(setting, owner, read.map_err(Fault::Credentials));
        }
    }
    for (index, opencast) in config.opencasts.iter().enumerate() {
        let setting = format!("opencast.{}.password_file", opencast.name);
        let owner = Owner::Opencast(opencast.name.clone());
        look(setting, owner.clone(), password(&opencast.password_file));
        let signs = config.routes.iter().any(|route| route.opencast_jwt == Some(index));
        let unfit = unfit_key(&opencast.sign_key_file).filter(|_| signs);
        let setting = format!("opencast.{}.sign_key_file", opencast.name);
        let path = opencast.sign_key_file.clone();
        look(
            setting,
            owner,
            unfit.map_or(Ok(()), |error| Err(Fault::SigningKey { path, error })),
        );
    }
    for sign_in in &config.sign_ins {
        let of = |key: &str| format!("sign_in.{}.{}.{key}", sign_in.name, sign_in.provider.key());
        if let Some(path) = sign_in.provider.secret_file() {
            look(
                of("client_secret_file"),
                Owner::SignIn(Arc::clone(&sign_in.name)),
                password(path),
            );
        }
        if let Some(key) = sign_in.provider.client_key() {
            let read = ClientKey::load(key).map(drop).map_err(Fault::from);
            look(of("client_key_file"), Owner::SignIn(Arc::clone(&sign_in.name)), read);
        }
        if let Some(path) = sign_in.provider.ca_file() {
            look(of("ca_file"), Owner::SignIn(Arc::clone(&sign_in.name)), ca(path));
        }
    }
    for bearer in &config.bearers {
        let of = |key: &str| format!("bearer.{}.{}.{key}", bearer.name, bearer.key());
        let owner = || Owner::Bearer(Arc::clone(&bearer.name));
        if let Some(path) = bearer.secret_file() {
            look(of("client_secret_file"), owner(), password(path));
        }
        if let Some(key) = bearer.client_key() {
            let read = ClientKey::load(key).map(drop).map_err(Fault::from);
            look(of("client_key_file"), owner(), read);
        }
        if let Some(path) = bearer.ca_file() {
            look(of("ca_file"), owner(), ca(path));
        }
    }
    for lti in &config.lti {
        let owner = || Owner::Lti(Arc::clone(&lti.name));
        if let Some(key) = lti.signing_key() {
            let read = ClientKey::load_rsa(&key).map(drop).map_err(Fault::from);
            look(format!("lti.{}.key_file", lti.name), owner(), read);
        }
        if let Some(path) = &lti.outgoing.ca_file {
            look(format!("lti.{}.ca_file", lti.name), owner(), ca(path));
        }
    }
    for section in &config.signed_urls {
        for key in &section.keys {
            let setting = format!("signed_urls.{}.keys.{}", section.name, key.id);
            look(
                setting,
                Owner::SignedUrls(Arc::clone(&section.name)),
                password(&key.secret_file),
            );
        }
    }
    for moodle in &config.moodles {
        if let Some(path) = moodle.page.as_ref().and_then(|page| page.outgoing.ca_file.as_deref()) {
            let setting = format!("moodle.{}.page.ca_file", moodle.name);
            look(setting, Owner::Moodle(moodle.name.clone()), ca(path));
        }
        let Some(clearpass) = &moodle.clearpass else { continue };
        let read = clearpass::Key::load(clearpass).map(drop).map_err(Fault::from);
        let setting = format!("moodle.{}.clearpass.key_file", moodle.name);
        look(setting, Owner::Moodle(moodle.name.clone()), read);
    }
    found
}

/// # Errors
/// One cannot be used. The store's are read with each of its connections: those may be put right while the gateway runs.
pub fn all_fit(config: &Config) -> Result<(), UnfitFile> {
    let mut found = unfit(config).into_iter().filter(|file| file.owner != Owner::State);
    found.next().map_or(Ok(()), Err)
}
