//! The proxy by which requests go, as the library knows it.

use std::fs;
use std::sync::Arc;

use super::BackchannelError;
use crate::config::{Outgoing, Proxy};
use crate::key_file;

/// Errors: its password cannot be read.
pub(super) fn of(proxy: &Arc<Proxy>) -> Result<reqwest::Proxy, BackchannelError> {
    let own = Arc::clone(proxy);
    let by = reqwest::Proxy::custom(move |url| own.is_for(url).then(|| own.url.clone()));
    Ok(match (&proxy.username, &proxy.password_file) {
        (Some(username), Some(file)) => by.basic_auth(username, &key_file::password(file)?),
        _ => by,
    })
}

/// The content of the files that belong to a way out: another one makes another client.
#[derive(PartialEq, Eq)]
pub struct Files([Option<Vec<u8>>; 2]);

impl Files {
    pub fn read(outgoing: &Outgoing) -> Self {
        let password = outgoing.proxy.as_ref().and_then(|proxy| proxy.password_file.as_deref());
        Self([outgoing.ca_file.as_deref(), password].map(|path| fs::read(path?).ok()))
    }
}
