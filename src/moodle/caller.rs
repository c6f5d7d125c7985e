//! Who calls a Moodle: somebody with a session, or with an access token of the campus.

use crate::authenticate::session::{Attributes, Session};
use crate::identity::Identity;

/// What counts of whoever calls.
#[derive(Clone, Copy)]
pub enum Caller<'a> {
    Session(&'a Session),
    /// By an access token (`[bearer.<name>]`).
    Token {
        identity: &'a Identity,
        /// The token itself, where it may be handed on and a call brings it.
        text: Option<&'a str>,
    },
}

impl<'a> Caller<'a> {
    pub fn identity(self) -> &'a Identity {
        match self {
            Self::Session(session) => &session.identity,
            Self::Token { identity, .. } => identity,
        }
    }

    pub fn session(self) -> Option<&'a Session> {
        match self {
            Self::Session(session) => Some(session),
            Self::Token { .. } => None,
        }
    }

    /// Is it a browser that can be sent to Moodle or to the CAS server? A back end's session and an access token are none.
    pub fn is_browser(self) -> bool {
        self.session().is_some_and(Session::is_by_cookie)
    }

    /// What the sign-in server calls the user; `None`: an access token does not tell, beside the person's name here.
    pub(super) fn user(self) -> Option<&'a str> {
        self.session().map(|session| session.record.user())
    }

    /// The values of an attribute; of an access token those that a Moodle of its people asks for.
    pub(super) fn attribute(self, name: &str) -> &'a [String] {
        let attributes: Option<&Attributes> = match self {
            Self::Session(session) => Some(&session.record.attributes),
            Self::Token { identity, .. } => identity.access.as_deref().map(|access| &access.attributes),
        };
        attributes.map_or(&[], |attributes| attributes.get(name))
    }
}
