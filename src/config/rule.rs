//! `allow` and `deny` of a route, as they are judged.

use std::sync::Arc;

use http::Method;
use ipnet::IpNet;

use super::pattern::{RolePattern, Template};

/// One table of `allow` or `deny`: all conditions must hold. Never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub conditions: Vec<Condition>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// `anyone = true`: opens the route on purpose.
    Anyone,
    /// `signed_in`: does a person or token stand behind the request?
    SignedIn(bool),
    /// Any of these patterns matches any of the roles.
    Role(Vec<RolePattern>),
    Grant {
        action: String,
        item: GrantItem,
    },
    /// Does the event's own access control list, as Opencast has it, permit the action? Only in `allow`.
    EventAcl {
        action: String,
        event: Template,
    },
    Subject(Vec<Template>),
    /// Names of issuers.
    Issuer(Vec<Arc<str>>),
    /// Names of sign-ins.
    SignIn(Vec<Arc<str>>),
    Methods(Vec<Method>),
    From(Vec<IpNet>),
}

/// What an `oc` grant is about: `e:`, `s:` or `p:` and an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrantItem {
    Event(Template),
    Series(Template),
    Playlist(Template),
    /// The series that an event is in, as Opencast says. Only in `allow`.
    SeriesOf(Template),
}
