//! Routes with `functions`: which of those that they name the Moodle's service does not have. Nobody is asked: what the service
//! of Moodle's app has is known of some releases, and what another has is seen in Moodle only.

use super::Report;
use crate::config::{
    APP_SERVICE, Action, Config, FunctionPattern, KNOWN_VERSIONS, Moodle, Present, Route, known_functions,
};

/// Names that one line tells.
const MOST_TOLD: usize = 20;

pub(super) fn check(config: &Config, report: &Report) {
    for route in config
        .routes
        .iter()
        .filter(|route| route.present == Present::MoodleToken)
    {
        let mut moodles = config.moodles.iter();
        let moodle = moodles.find(|moodle| route.action == Action::Upstream(moodle.upstream));
        if let Some(moodle) = moodle {
            of_route(route, moodle, report);
        }
    }
}

fn of_route(route: &Route, moodle: &Moodle, report: &Report) {
    let rules = route.functions.iter().flatten();
    let named: Vec<&FunctionPattern> = rules
        .flat_map(|rule| rule.names.iter().flat_map(FunctionPattern::each))
        .filter(|name| name.group().is_none())
        .collect();
    if named.is_empty() {
        return;
    }
    let (what, service) = (format!("route {}, functions", route.name), &moodle.service);
    if service != APP_SERVICE {
        let found = format!(
            "what the service {service} has is not seen from outside: External services in Moodle tells, under Functions"
        );
        return report.note(&what, &found);
    }
    let (known, others): (Vec<_>, Vec<_>) = named.into_iter().partition(|name| name.names_known());
    let offered = known_functions().iter().filter(|function| function.in_app);
    let is_missing = |name: &FunctionPattern| !offered.clone().any(|function| name.matches(function.name));
    let count = known.len();
    let missing: Vec<_> = known.into_iter().filter(|name| is_missing(name)).collect();
    match (missing.is_empty(), count) {
        (true, 0) => {}
        (true, _) => report.good(&what, &format!("{service} of {KNOWN_VERSIONS} has what is named")),
        (false, _) => {
            let found = format!("{service} of {KNOWN_VERSIONS} does not have {}", list(&missing));
            report.note(&what, &found);
        }
    }
    if !others.is_empty() {
        let found = format!(
            "{KNOWN_VERSIONS} have no {}: whether a plugin brings it into {service} is not seen from outside",
            list(&others)
        );
        report.note(&what, &found);
    }
}

fn list(names: &[&FunctionPattern]) -> String {
    let told: Vec<String> = names.iter().take(MOST_TOLD).map(ToString::to_string).collect();
    let more = names.len().saturating_sub(MOST_TOLD);
    match more {
        0 => told.join(", "),
        more => format!("{} and {more} more", told.join(", ")),
    }
}
