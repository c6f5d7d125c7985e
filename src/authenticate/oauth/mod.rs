//! What authorization servers (OAuth 2.0, OpenID Connect) are asked, and how their answers are read: for who signs in there,
//! and for who brings an access token of theirs.

pub mod cached;
pub mod claims;
pub mod client;
pub mod error;
pub mod metadata;

use thiserror::Error;
use url::Url;

pub use self::error::Failed;
use super::token::jws::ServerKeys;
use crate::backchannel::BackchannelError;
use crate::client_key::ClientKeyError;
use crate::key_file::PasswordError;

/// Why a server cannot be asked: a file that the configuration names for it cannot be used.
#[derive(Debug, Error)]
pub enum SetupError {
    #[error(transparent)]
    Backchannel(#[from] BackchannelError),
    #[error(transparent)]
    Secret(#[from] PasswordError),
    #[error(transparent)]
    ClientKey(#[from] ClientKeyError),
}

/// A server's key set. Error: it holds no key that can be used.
pub fn read_keys(document: &[u8], jwks: &Url) -> Result<ServerKeys, Failed> {
    ServerKeys::parse(document).map_err(|why| Failed::Answer(format!("the key set at {jwks}: {why}")))
}
