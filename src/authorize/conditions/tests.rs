//! Conditions for the tests of rules.

use http::Method;

use super::{AnyCondition, anyone, client, from, grant, issuer, item, methods, role, scope, signed_in, subject};
use crate::config::pattern::{RolePattern, Template};

fn template(text: &str) -> Template {
    Template::parse(text).unwrap()
}

pub(in crate::authorize) fn anyone() -> AnyCondition {
    AnyCondition::Anyone(anyone::Anyone)
}

pub(in crate::authorize) fn signed_in(expected: bool) -> AnyCondition {
    AnyCondition::SignedIn(signed_in::SignedIn(expected))
}

pub(in crate::authorize) fn role(pattern: &str) -> AnyCondition {
    AnyCondition::Role(role::Role(vec![RolePattern::parse(pattern).unwrap()]))
}

pub(in crate::authorize) fn grant(action: &str, event: &str) -> AnyCondition {
    AnyCondition::Grant(grant::Grant {
        action: action.to_owned(),
        item: item::Item::Event(template(event)),
    })
}

pub(in crate::authorize) fn playlist_of(action: &str, event: &str) -> AnyCondition {
    AnyCondition::Grant(grant::Grant {
        action: action.to_owned(),
        item: item::Item::PlaylistOf(template(event)),
    })
}

pub(in crate::authorize) fn subject(name: &str) -> AnyCondition {
    AnyCondition::Subject(subject::Subject(vec![template(name)]))
}

pub(in crate::authorize) fn issuer(name: &str) -> AnyCondition {
    AnyCondition::Issuer(issuer::Issuer(vec![name.into()]))
}

pub(in crate::authorize) fn methods(method: Method) -> AnyCondition {
    AnyCondition::Methods(methods::Methods(vec![method]))
}

pub(in crate::authorize) fn from(net: &str) -> AnyCondition {
    AnyCondition::From(from::From(vec![net.parse().unwrap()]))
}

pub(in crate::authorize) fn scope(scopes: &[&str]) -> AnyCondition {
    AnyCondition::Scope(scope::Scope(scopes.iter().map(|scope| (*scope).to_owned()).collect()))
}

pub(in crate::authorize) fn client(name: &str) -> AnyCondition {
    AnyCondition::Client(client::Client(vec![name.to_owned()]))
}
