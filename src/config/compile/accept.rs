//! `routes.accept` and `routes.issuers`: whose credentials a route looks at, and whether anybody has such.

use super::{Checker, Known};
use crate::config::diagnostics::{Diagnostic, Span};
use crate::config::read::{At, Key};
use crate::config::{Action, Credential, file};

impl Checker<'_> {
    /// Basic and Digest are an upstream's to judge; Digest signs the path as the client sends it.
    pub(super) fn upstream_judges(
        &mut self,
        (accept, at): (&[Credential], Span),
        action: Option<&Action>,
        strip: Option<Span>,
        else_ask: Option<Span>,
        buckets: &[usize],
    ) {
        let judged = |kind: &&Credential| matches!(kind, Credential::Basic | Credential::Digest);
        let Some(kind) = accept.iter().find(judged) else { return };
        if action.is_some_and(|action| !matches!(action, Action::Upstream(_))) {
            let problem = Diagnostic::error(at, format!("\"{}\" on a route without an upstream", kind.label()));
            self.report(problem.help("the upstream judges such credentials, nobody here: remove it"));
        }
        if let Some(Action::Upstream(index)) = action
            && buckets.contains(index)
        {
            let problem = Diagnostic::error(at, format!("\"{}\" on a route to a bucket", kind.label()));
            self.report(problem.help("an object store judges nobody here: remove it"));
        }
        if let Some(else_ask) = else_ask {
            let problem = Diagnostic::error(at, format!("\"{}\" beside `else_ask`", kind.label()));
            let help = "the upstream judges such callers already: remove one of the two";
            self.report(
                problem
                    .also(else_ask, "which asks the upstream with the same credentials")
                    .help(help),
            );
        }
        if let Some(strip) = strip.filter(|_| accept.contains(&Credential::Digest)) {
            let problem =
                Diagnostic::error(at, "\"digest\" on a route with `strip`").also(strip, "this changes the path");
            self.report(
                problem.help("Digest signs the path as the client sends it: remove `strip`, or take \"basic\""),
            );
        }
    }

    pub(super) fn accepted_issuers(
        &mut self,
        issuers: Key<Vec<At<String>>>,
        known: &Known,
    ) -> Option<Option<Vec<usize>>> {
        let help = "remove it for all issuers, or name at least one";
        issuers.checked(|issuers| self.references(&issuers, ("issuers", "issuer"), &known.issuers, help))
    }

    /// Routes that ask for somebody whom nobody can vouch for, or whom they never look at.
    pub(super) fn rules_for_nobody(&mut self, routes: &[At<file::Route>], known: &Known) {
        let needs_somebody = |route: &&At<file::Route>| {
            let mut rules = route.value.allow.value().into_iter().flatten();
            rules.any(|rule| rule.value.needs_somebody())
        };
        let takes_others = |route: &At<file::Route>| {
            let mut accept = route.value.accept.value.iter();
            accept.any(|credential| {
                matches!(
                    credential.value,
                    Credential::Session
                        | Credential::Bearer
                        | Credential::SignedUrl
                        | Credential::Basic
                        | Credential::Digest
                ) || credential.value == Credential::Launch && !known.platforms.is_empty()
            })
        };
        let only_tokens = |route: &&At<file::Route>| needs_somebody(route) && !takes_others(route);
        if known.issuers.is_empty()
            && let Some(route) = routes.iter().find(only_tokens)
        {
            let message = "this route asks for a token, but there is no issuer";
            let help = "add [[jwt.issuers]] with name, jwks and allow_roles";
            self.report(Diagnostic::error(route.value.place, message).help(help));
        }
        for route in routes.iter().filter(needs_somebody) {
            let accept = &route.value.accept;
            if accept.value.is_empty() {
                let problem = Diagnostic::error(accept.at, "this route looks at no token, but its rules ask for one");
                self.report(problem.help("remove this key: the default is [\"jwt\"]"));
            }
        }
    }
}
