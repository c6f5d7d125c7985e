//! Signed addresses: whose keys verify and sign them, and what a route signs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::section::words;

words! {
    /// How an address is signed.
    pub enum SignedUrlForm {
        /// Opencast's stream security.
        Opencast = "opencast",
        /// Wowza's SecureToken version 2.
        Wowza = "wowza",
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedUrls {
    pub name: Arc<str>,
    /// Never empty.
    pub keys: Vec<SignedUrlKey>,
    pub strict: bool,
    pub leeway: Duration,
    pub form: SignedUrlForm,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedUrlKey {
    pub id: String,
    pub secret_file: PathBuf,
}

/// What a route signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sign {
    /// Index into [`super::Config::signed_urls`].
    pub by: usize,
    /// Scheme, host and maybe a folder, without a slash at the end.
    pub base: String,
    pub valid: Duration,
    /// For the client's own address alone?
    pub client: bool,
}
