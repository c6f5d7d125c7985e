//! `routes.launch` and `respond = { launch = true }`: where launch sessions begin, and whether anybody takes them.

use std::sync::Arc;

use http::Method;

use super::{Checker, Known};
use crate::config::diagnostics::{Diagnostic, Span};
use crate::config::read::{At, Key};
use crate::config::{Action, Credential, Launch, Route, RouteHosts, TokenSource, file};

/// The token source that is a form.
pub(super) fn form_source(sources: &[At<file::Source>]) -> Option<Span> {
    sources
        .iter()
        .find(|source| !source.value.form.is_absent())
        .map(|source| source.at)
}

/// What a route has to do with launch sessions.
pub(super) struct Launched {
    /// Their cookie is each host's alone.
    hosts: RouteHosts,
    begins: bool,
    /// `accept` names "launch" here.
    taken: Option<Span>,
}

/// The rest of a route of which `launch` is judged.
pub(super) struct OfRoute<'a> {
    pub(super) place: Span,
    pub(super) hosts: Option<&'a RouteHosts>,
    pub(super) action: Option<&'a Action>,
    pub(super) accept: (&'a [Credential], Span),
    pub(super) methods: Option<(&'a [Method], Span)>,
    /// A rule that only holds for somebody who is known.
    pub(super) personal: Option<Span>,
}

/// The first rule that only holds for somebody.
pub(super) fn personal(route: &file::Route) -> Option<Span> {
    let lists = [route.allow.value(), route.deny.value()];
    let mut rules = lists.into_iter().flatten().flatten();
    rules.find(|rule| rule.value.needs_somebody()).map(|rule| rule.at)
}

impl Checker<'_> {
    /// `Some(None)`: no launch session begins on this route.
    pub(super) fn launch(
        &mut self,
        launch: Key<file::Launch>,
        route: &OfRoute<'_>,
        known: &Known,
        launched: &mut Vec<Launched>,
    ) -> Option<Option<Launch>> {
        let by_form = matches!(route.action, Some(Action::Launch));
        let (accept, accept_at) = route.accept;
        launched.extend(route.hosts.map(|hosts| Launched {
            hosts: hosts.clone(),
            begins: by_form || !launch.is_absent(),
            taken: accept.contains(&Credential::Launch).then_some(accept_at),
        }));
        let at = launch.given().map(|launch| launch.at);
        if launch.is_absent() && !by_form {
            return Some(None);
        }
        let times = launch.or_empty()?;
        match (by_form, at) {
            (true, _) => self.by_form(route, known),
            (false, Some(at)) => self.by_query(at, route, known),
            (false, None) => {}
        }
        let ends = "a launch session ends at `absolute` whatever happens: make `idle` shorter";
        Some(Some(Launch {
            idle: self.idle(&times.idle, times.absolute, ends),
            absolute: times.absolute,
        }))
    }

    /// The form itself is read after the rules have let it in, so that they can know nobody.
    fn by_form(&mut self, route: &OfRoute<'_>, known: &Known) {
        if let Some(at) = route.personal {
            let problem = Diagnostic::error(
                at,
                "nobody is known here: the token stands in a form that is not read yet",
            );
            self.report(
                problem
                    .help("allow = [{ anyone = true }], or by `from`: who may is decided by the rules at the target"),
            );
        }
        if let Some((_, at)) = route.methods.filter(|(methods, _)| *methods != [Method::POST]) {
            let problem = Diagnostic::error(at, "a form is posted");
            self.report(problem.help("remove this key, or set methods = [\"POST\"]"));
        }
        let is_form = |source: &TokenSource| matches!(source, TokenSource::Form { .. });
        if known
            .sources
            .as_ref()
            .is_some_and(|sources| !sources.iter().any(is_form))
        {
            let problem = Diagnostic::error(
                route.place,
                "this route reads a form, but no token is looked for in one",
            );
            self.report(problem.help(
                "add { form = \"jwt\" } to `sources` in [jwt]: sources = [{ header = \"Authorization\", scheme = \
                 \"Bearer\" }, { query = \"jwt\" }, { form = \"jwt\" }]",
            ));
        }
    }

    fn by_query(&mut self, at: Span, route: &OfRoute<'_>, known: &Known) {
        let (accept, accept_at) = route.accept;
        if !accept.contains(&Credential::Launch) {
            let problem = Diagnostic::error(at, "the page that a launch leads to does not take its session");
            let problem = problem.also(accept_at, "by this");
            self.report(problem.help("accept = [\"launch\"], beside what else is accepted here"));
        }
        if let Some(Action::KeySet(_) | Action::OwnKeys | Action::Decide(_)) = route.action {
            let problem = Diagnostic::error(at, "`launch` means nothing here: no browser opens this as a page");
            self.report(problem.help("remove this key"));
        }
        if let Some((_, methods_at)) = route.methods.filter(|(methods, _)| !methods.contains(&Method::GET)) {
            let problem = Diagnostic::error(at, "`launch` means nothing here: a page is opened by GET");
            self.report(
                problem
                    .also(methods_at, "which is none of these")
                    .help("remove this key"),
            );
        }
        let is_query = |source: &TokenSource| matches!(source, TokenSource::Query { .. });
        if known
            .sources
            .as_ref()
            .is_some_and(|sources| !sources.iter().any(is_query))
        {
            let problem = Diagnostic::error(at, "a launch brings its token in the query, where none is looked for");
            self.report(problem.help("add { query = \"jwt\" } to `sources` in [jwt]"));
        }
    }

    /// What no route has a use for, seen over all of them.
    pub(super) fn launches(&mut self, launched: &[Launched], known: &Known) {
        // A platform launches pages of every host.
        let begins = |host: &str| {
            !known.platforms.is_empty() || launched.iter().any(|one| one.begins && one.hosts.rank(host).is_some())
        };
        for (at, hosts) in launched.iter().filter_map(|one| Some((one.taken?, &one.hosts))) {
            if !hosts.names().any(begins) {
                let problem = Diagnostic::error(at, "no launch session begins at this host");
                self.report(problem.help(
                    "add launch = { } to the route of a page that is opened with a token, or a route with \
                     respond = { launch = true }, or [lti.<name>]; or remove \"launch\"",
                ));
            }
        }
    }

    /// A form that nobody reads.
    pub(super) fn unread_form(&mut self, form: Option<Span>, routes: &[Arc<Route>]) {
        let reads = |route: &Arc<Route>| route.action == Action::Launch;
        if let Some(at) = form.filter(|_| !routes.iter().any(reads)) {
            let problem = Diagnostic::warning(at, "no route reads a form");
            self.report(problem.help(
                "add a route with path = \"/redirect/get\" and respond = { launch = true }, or remove this source",
            ));
        }
    }
}
