//! The one list of conditions: to add one is a file here, its `mod` and its line in the list.

mod anyone;
mod client;
mod event_acl;
mod from;
mod grant;
mod issuer;
mod item;
mod methods;
mod opencast_security;
mod playlist_acl;
mod role;
mod scope;
mod sign_in;
mod signed_in;
mod signed_url;
mod subject;
#[cfg(test)]
pub(super) mod tests;

use std::fmt;

use serde_json::Value;
use toml::Spanned;
use toml::de::DeValue;

use super::Facts;
use super::condition::{Aspect, Condition, conditions};
use super::words::{self, filled, known_by, list, of_access, of_person, or_none};
use crate::config::pattern::Params;
use crate::config::rule::{
    At, Checks, Declared, Diagnostic, Key, Keys, List, OneOrMany, Read, Reader, Span, keys, table_schema, values,
};
use crate::event::Question;
use crate::identity;

// In the order in which their keys are told.
conditions! {
    /// A table of `allow` or `deny`: all conditions in it must hold. `{name}` is a parameter of the route's path.
    role: Role,
    grant: Grant,
    event_acl: EventAcl,
    playlist_acl: PlaylistAcl,
    opencast_security: OpencastSecurity,
    item,
    subject: Subject,
    signed_in: SignedIn,
    signed_url: SignedUrl,
    anyone: Anyone,
    methods: Methods,
    from: From,
    issuer: Issuer,
    sign_in: SignIn,
    scope: Scope,
    client: Client,
}
