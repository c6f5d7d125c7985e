//! `sign_in.<name>.people`: whose people sign in by several sign-ins.

use std::sync::Arc;

use super::{Checker, Names};
use crate::config::diagnostics::{Diagnostic, Span};
use crate::config::file;
use crate::config::read::{At, Key};
use crate::config::{BearerBy, Provider, SignIn};

/// Of a sign-in: the index of the one whose people its are, and where that is written.
pub(super) type Named = (usize, Option<Span>);

/// What the names of a sign-in's people are. Those of two kinds may be alike and mean two people.
#[derive(PartialEq)]
enum Kind<'a> {
    /// What people type to sign in.
    Login,
    Mail,
    /// `anna@example.edu`, which need not be an address.
    Scoped,
    /// Unique at its issuer alone (OIDC Core 1.0 section 2).
    Subject(&'a str),
    Other(&'a str),
}

impl Checker<'_> {
    /// Whose people the people of each sign-in are, by index.
    pub(super) fn people(&mut self, sign_ins: &[(At<String>, file::SignIn)], names: &Names) -> Option<Vec<Named>> {
        let mut found = Vec::new();
        for (own, (_, sign_in)) in sign_ins.iter().enumerate() {
            found.push(match &sign_in.people {
                Key::Absent => Some((own, None)),
                Key::Bad => None,
                Key::Given(people) => {
                    let named = self.reference(people, "sign-in", names);
                    named.map(|named| (named, Some(people.at)))
                }
            });
        }
        for (people, at) in found.iter().flatten() {
            let (Some(Some((further, further_at))), Some(at)) = (found.get(*people), at) else {
                continue;
            };
            // A chain would make one person of whoever stands at its ends, which nobody has written.
            if let Some(further_at) = further_at.filter(|_| further != people) {
                let message = "the people of that sign-in are those of another one";
                let problem = Diagnostic::error(*at, message).also(further_at, "of this one");
                let name = names.get(*further).map_or("", |name| name.value.as_str());
                self.report(problem.help(format!("write people = {name:?} here, too")));
            }
        }
        found.into_iter().collect()
    }

    /// The sign-in whose people bring a bearer's tokens; `Some(None)`: none is named.
    pub(super) fn people_of_bearer(
        &mut self,
        people: Key<String>,
        (username, by): (&At<String>, &BearerBy),
        (names, sign_ins): (&Names, &[SignIn]),
    ) -> Option<Option<Arc<str>>> {
        people.checked(|people| {
            let index = self.reference(&people, "sign-in", names)?;
            let name = names.get(index)?.value.as_str();
            // One with a mistake has been told.
            let of = sign_ins.iter().find(|sign_in| *sign_in.name == *name)?;
            if of.people != of.name {
                let problem = Diagnostic::error(people.at, "the people of that sign-in are those of another one");
                self.report(problem.help(format!("write people = {:?} here, too", &*of.people)));
                return None;
            }
            match kind_of_bearer(&username.value, by) {
                Some(here) if here != kind(&of.provider) => self.report(other_kind(people.at, &username.value, of)),
                None if username.written().is_none() => {
                    let message = "the same name may be two people: what `sub` is at this server is not said";
                    let problem = Diagnostic::warning(people.at, message);
                    self.report(problem.help(format!(
                        "write `username` out: what names people as `{}` does, {:?}",
                        of.name,
                        of.provider.username()
                    )));
                }
                _ => {}
            }
            Some(Arc::clone(&of.people))
        })
    }

    /// Writes it into the sign-ins, and tells of names that may not mean the same.
    pub(super) fn share_people(&mut self, sign_ins: &mut [SignIn], people: &[Named]) {
        let names: Vec<Arc<str>> = sign_ins.iter().map(|sign_in| Arc::clone(&sign_in.name)).collect();
        for (own, (named, at)) in people.iter().enumerate() {
            let (Some(sign_in), Some(of)) = (sign_ins.get(own), sign_ins.get(*named)) else {
                continue;
            };
            if let Some(at) = at
                && kind(&sign_in.provider) != kind(&of.provider)
            {
                self.report(other_kind(*at, sign_in.provider.username(), of));
            }
            if let (Some(sign_in), Some(name)) = (sign_ins.get_mut(own), names.get(*named)) {
                sign_in.people = Arc::clone(name);
            }
        }
    }
}

fn kind(provider: &Provider) -> Kind<'_> {
    match (provider, provider.username()) {
        (Provider::Cas(_), "user") | (Provider::OAuth2(_), "id") => Kind::Login,
        (Provider::Oidc(oidc), "sub") => Kind::Subject(&oidc.issuer),
        (_, name) => kind_by_name(name),
    }
}

/// The same of a bearer; `None`: `sub`, of a server that may mean anything by it.
fn kind_of_bearer<'a>(username: &'a str, by: &'a BearerBy) -> Option<Kind<'a>> {
    match (by, username) {
        (BearerBy::Jwks(jwks), "sub") => Some(Kind::Subject(&jwks.issuer)),
        (_, "sub" | "id") => None,
        (_, name) => Some(kind_by_name(name)),
    }
}

fn kind_by_name(username: &str) -> Kind<'_> {
    match username {
        "uid" | "username" | "preferred_username" | "sAMAccountName" => Kind::Login,
        "mail" | "email" => Kind::Mail,
        "upn" | "userPrincipalName" | "eduPersonPrincipalName" | "eppn" => Kind::Scoped,
        other => Kind::Other(other),
    }
}

/// The names here and at that sign-in may be alike and mean two people.
fn other_kind(at: Span, here: &str, of: &SignIn) -> Diagnostic {
    let there = of.provider.username();
    let message = format!(
        "the same name may be two people: `username` is {here:?} here and {there:?} at `{}`",
        of.name
    );
    Diagnostic::warning(at, message).help(
        "whoever has the name of another person here becomes that person: let both name people by the same attribute of the \
         directory",
    )
}
