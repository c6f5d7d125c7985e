//! `moodle.username`: what people are called in Moodle.

use super::{Checker, Known};
use crate::config::MoodleUsername;
use crate::config::diagnostics::{Diagnostic, Span};
use crate::config::read::{At, Key};

impl Checker<'_> {
    /// An attribute may be told by every sign-in of the same people.
    pub(super) fn others_attribute(&mut self, at: Span, sign_in: usize, known: &Known) {
        let whose = known.people.get(sign_in);
        let mut others = known.sign_ins.iter().zip(&known.people).enumerate();
        let other = others.find(|(index, (_, people))| *index != sign_in && Some(*people) == whose);
        if let Some((_, (other, _))) = other {
            let message = format!("`{}` tells this attribute of the same people, too", other.value);
            let problem = Diagnostic::warning(at, message).also(other.at, "this one");
            self.report(problem.help(
                "whoever can change it there becomes somebody else in Moodle: let both tell it of the same directory, where \
                 people cannot edit it",
            ));
        }
    }

    pub(super) fn moodle_username(&mut self, username: &At<String>, domain: Key<String>) -> Option<MoodleUsername> {
        let domain = domain.checked(|domain| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
            let is_domain = !domain.value.is_empty() && domain.value.bytes().all(plain);
            if !is_domain {
                let problem = Diagnostic::error(domain.at, "`username_domain`: this cannot be a domain");
                self.report(problem.help("write what stands behind the `@`: \"example.edu\""));
            }
            is_domain.then_some(domain.value)
        });
        let parsed = match MoodleUsername::parse(&username.value, domain.as_ref().and_then(Option::as_deref)) {
            Ok(parsed) => parsed,
            Err(why) => {
                let problem = Diagnostic::error(username.at, format!("`username`: {why}"));
                self.report(problem.help("write \"user\", an attribute, or a pattern such as \"{mail}\""));
                return None;
            }
        };
        if parsed.is_changeable() {
            let message =
                "people may be able to change this at the sign-in server, and to become somebody else in Moodle";
            let problem = Diagnostic::warning(username.at, message);
            self.report(problem.help("name an attribute of your directory that they cannot change"));
        }
        domain.map(|_| parsed)
    }
}
