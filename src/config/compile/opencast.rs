//! `[opencast.<name>]`, and which of them a route asks.

use super::jwt::rate;
use super::named::small_text;
use super::{Checker, Known};
use crate::config::diagnostics::{Diagnostic, Span};
use crate::config::opencast_security::{self, BUILTIN};
use crate::config::read::{At, Named};
use crate::config::{Action, ElseAsk, Opencast, Present, Rule, SecurityList, file};

/// For each that may be asked in a second.
const UNKNOWN_AT_ONCE: f64 = 50.0;

impl Checker<'_> {
    /// Opencast's list of who may call what: one that the gateway has, or a file.
    pub(super) fn security_list(&mut self, written: &At<String>) -> Option<SecurityList> {
        if let Some(version) = written.value.strip_prefix(BUILTIN) {
            let list = SecurityList::builtin(version);
            if list.is_none() {
                let known: Vec<_> = SecurityList::versions()
                    .map(|version| format!("\"{BUILTIN}{version}\""))
                    .collect();
                let problem = Diagnostic::error(written.at, "there is no list of this version of Opencast here");
                self.report(problem.help(format!(
                    "there are {}; Opencast's own file is the better one: etc/security/mh_default_org.xml",
                    known.join(" and ")
                )));
            }
            return list;
        }
        let path = self.existing_file(written, "opencast_security")?;
        let read = small_text(&path, opencast_security::LARGEST).and_then(|text| SecurityList::parse(&text));
        let wrong = |why: String| Diagnostic::error(written.at, format!("`opencast_security`: the file {why}"));
        read.map_err(|why| self.report(wrong(why).help("name Opencast's own file: etc/security/mh_default_org.xml")))
            .ok()
    }

    /// The second: their upstreams, as far as they are known, in the order of their indices.
    pub(super) fn opencasts(
        &mut self,
        Named(opencasts): Named<file::Opencast>,
        known: &Known,
    ) -> (Option<Vec<Opencast>>, Vec<Option<usize>>) {
        let upstreams = opencasts.iter().filter_map(|(_, opencast)| opencast.upstream.given());
        self.unique("upstream of an Opencast", upstreams);
        let compiled: Vec<_> = opencasts
            .into_iter()
            .map(|(name, opencast)| self.opencast(&name, opencast, known))
            .collect();
        let upstreams = compiled
            .iter()
            .map(|opencast| Some(opencast.as_ref()?.upstream))
            .collect();
        (compiled.into_iter().collect(), upstreams)
    }

    fn opencast(&mut self, name: &At<String>, opencast: file::Opencast, known: &Known) -> Option<Opencast> {
        let named = self.name(name);
        let upstream = opencast.upstream.given();
        let upstream = upstream.and_then(|upstream| self.reference(upstream, "upstream", &known.upstreams));
        let username = opencast.username.given().and_then(|username| self.basic_user(username));
        let password = opencast.password_file.given();
        let password_file = password.and_then(|path| self.existing_file(path, "password_file"));
        let at_once = opencast.unknown_events.0 * UNKNOWN_AT_ONCE;
        let sign_key_file = self.absolute(&opencast.sign_key_file, "sign_key_file");
        let never = opencast
            .never
            .iter()
            .chain(&username)
            .map(|name| name.to_lowercase())
            .collect();
        named?;
        Some(Opencast {
            name: name.value.clone(),
            upstream: upstream?,
            username: username?,
            password_file: password_file?,
            acl_ttl: opencast.acl_ttl,
            acl_stale: opencast.acl_stale,
            acl_timeout: opencast.acl_timeout,
            // Saturates: what nobody can ask at once is no bound.
            unknown_events: rate(opencast.unknown_events, Some(at_once.ceil() as u32)),
            sign_key_file: sign_key_file?,
            never,
        })
    }

    /// RFC 7617 section 2: a colon ends the name.
    fn basic_user(&mut self, name: &At<String>) -> Option<String> {
        let good =
            !name.value.is_empty() && !name.value.contains([':', '\0']) && !name.value.contains(char::is_control);
        if !good {
            let problem = Diagnostic::error(name.at, "`username`: this cannot be a user's name");
            self.report(problem.help("a name without colon and control characters"));
        }
        good.then(|| name.value.clone())
    }

    /// Whom the rules of a route ask about events: the Opencast of its upstream, or of the one it asks otherwise, or the
    /// only one there is. `Some(None)`: they ask nobody.
    pub(super) fn asked_opencast(
        &mut self,
        allow: &[Rule],
        action: Option<&Action>,
        else_ask: Option<&ElseAsk>,
        place: Span,
        known: &Known,
    ) -> Option<Option<usize>> {
        if allow.iter().flat_map(Rule::asks).next().is_none() {
            return Some(None);
        }
        let of = |upstream: usize| known.opencasts.iter().position(|behind| *behind == Some(upstream));
        let upstream = match action {
            Some(Action::Upstream(upstream)) => of(*upstream),
            _ => None,
        };
        let asked = upstream.or_else(|| of(else_ask?.upstream));
        let only = || (known.opencasts.len() == 1).then_some(0);
        let found = asked.or_else(only);
        if found.is_none() {
            let problem = Diagnostic::error(
                place,
                "the rules of this route ask about events, but nobody is there to ask",
            );
            self.report(problem.help(match known.opencasts.is_empty() {
                true => "add [opencast.main] with upstream, username and password_file",
                false => "there are several [opencast.…]: one of them must have this route's upstream",
            }));
        }
        found.map(Some)
    }

    /// Whose key signs what a route presents: that of the Opencast which its upstream is. `Some(None)`: no token is shown.
    pub(super) fn presenting_opencast(
        &mut self,
        present: &At<Present>,
        action: Option<&Action>,
        known: &Known,
    ) -> Option<Option<usize>> {
        if present.value != Present::OpencastJwt {
            return Some(None);
        }
        let Some(Action::Upstream(upstream)) = action else {
            return None;
        };
        let found = known.opencasts.iter().position(|behind| *behind == Some(*upstream));
        if found.is_none() && !known.opencasts.contains(&None) {
            let problem = Diagnostic::error(present.at, "no Opencast has this route's upstream");
            self.report(problem.help("add [opencast.main] with upstream, username and password_file"));
        }
        found.map(Some)
    }
}
