//! Where browsers meet Moodle's `launch.php`: the route there must lead to this Moodle as it is, or nobody is sent there.

use std::sync::Arc;

use http::Method;

use super::{Checker, Known};
use crate::config::diagnostics::Diagnostic;
use crate::config::{LAUNCH_SCRIPT, Moodle, MoodleSource, Present, Route};

/// What a segment of a pattern is, the most specific first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Literal,
    Param,
    Rest,
}

impl Checker<'_> {
    /// Warns of Moodles with `launch` to whose `launch.php` no route leads. The others of their sources work.
    pub(super) fn launch_scripts(&mut self, moodles: &[Moodle], routes: &[Arc<Route>], known: &Known) {
        for (moodle, at) in moodles.iter().zip(&known.moodles) {
            let (Some(host), Some(hosts)) = (moodle.public_url.host_str(), &known.hosts) else {
                continue;
            };
            let is_here = hosts.iter().any(|known| known.value == host);
            if !is_here || !moodle.tokens.contains(&MoodleSource::Launch) {
                continue;
            }
            let path = format!("{}{LAUNCH_SCRIPT}", moodle.public_url.path().trim_end_matches('/'));
            let found = most_specific(routes, host, &path);
            let message = match found {
                Some(route) if moodle.is_behind(route) => continue,
                Some(route) => format!(
                    "\"launch\" sends nobody anywhere: the route `{}` has {path}, and does not lead to this Moodle as it is",
                    route.name
                ),
                None => format!("\"launch\" sends nobody anywhere: no route has {path}"),
            };
            let problem = Diagnostic::warning(at.url_at, message);
            self.report(problem.help(format!(
                "add a route on {host} with path = \"{path}\", this Moodle's upstream, present = \"pass\" and \
                 allow = [{{ anyone = true }}], or take \"launch\" out of `tokens`"
            )));
        }
    }
}

/// The route that gets a GET of this path, as the route table finds it.
fn most_specific<'a>(routes: &'a [Arc<Route>], host: &str, path: &str) -> Option<&'a Route> {
    let routes = routes.iter().map(AsRef::as_ref);
    // The path first, then the host.
    let ranked = routes.filter_map(|route: &Route| Some(((ranks(route, path)?, route.hosts.rank(host)?), route)));
    let ranked: Vec<_> = ranked.collect();
    let best = ranked.iter().map(|(ranks, _)| ranks).min()?;
    let there = || {
        ranked
            .iter()
            .filter(|(ranks, _)| ranks == best)
            .map(|(_, route)| *route)
    };
    let names_it = |route: &&Route| {
        route
            .methods
            .as_ref()
            .is_some_and(|methods| methods.contains(&Method::GET))
    };
    let any = |route: &&Route| route.methods.is_none();
    there().find(names_it).or_else(|| there().find(any))
}

/// How specific a route's path is for this one; `None`: it does not match. A rest may be empty, and the slash before it missing.
fn ranks(route: &Route, path: &str) -> Option<Vec<Rank>> {
    let mut segments = path.split('/').skip(1);
    let mut ranks = Vec::new();
    for part in route.path.split('/').skip(1) {
        if part.starts_with("{*") {
            let is_bare = segments.next().is_none();
            ranks.push(Rank::Rest);
            return (!is_bare || route.present != Present::MoodleToken).then_some(ranks);
        }
        let segment = segments.next()?;
        match part.starts_with('{') {
            true if segment.is_empty() => return None,
            true => ranks.push(Rank::Param),
            false if part == segment => ranks.push(Rank::Literal),
            false => return None,
        }
    }
    segments.next().is_none().then_some(ranks)
}
