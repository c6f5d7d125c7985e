//! What an operator can do about a refusal, with the names of the case: how a report ends.

use super::report::{Action, Outcome, Report, Rule};
use crate::rejection::Reason;

/// Rules of which it is told what they lack.
const MOST_RULES: usize = 3;

impl Report {
    /// The remedy of the reason, and what stands in the way of whom. Nothing for a request that nothing is wrong with.
    pub(super) fn advise(&mut self) {
        let reason = self.reason.as_deref().and_then(Reason::of_label);
        self.remedy = match reason {
            Some(reason) => {
                let mut told = vec![self.filled(reason.remedy())];
                if reason.is_by_rules() {
                    told.extend(self.what_rules_want());
                }
                told
            }
            None => self.of_answer().into_iter().collect(),
        };
    }

    /// Nothing was refused here, and the answer is none that somebody wants.
    fn of_answer(&self) -> Option<String> {
        let past = self.past.as_ref()?;
        let status = self.status.filter(|status| *status >= 400)?;
        Some(match (&past.upstream, self.outcome) {
            (Some(upstream), Outcome::Allow) => format!(
                "The gateway let the request pass, and upstream \"{}\" answered {status} itself. Look into its own log at this \
                 time, with this request id (X-Request-Id).",
                upstream.name
            ),
            (None, Outcome::Allow) => self.filled(
                "The gateway let the request pass. This answer is what {route} is set to give (`respond`), or the gateway's own \
                 word below /_janua/: the log has more with this request id.",
            ),
            (_, Outcome::Deny) => "Look for lines of the log with this request id.".to_owned(),
        })
    }

    /// What holds of `deny`; else what the rules of `allow` lack.
    fn what_rules_want(&self) -> Vec<String> {
        let denying = self.deny.iter().enumerate().filter(|(_, rule)| rule.holds);
        let denying: Vec<String> = denying
            .map(|(number, rule)| format!("Rule {} of `deny` holds: {}.", number + 1, conditions(rule, true)))
            .collect();
        if !denying.is_empty() {
            return denying;
        }
        let mut told: Vec<String> = self
            .allow
            .iter()
            .enumerate()
            .filter(|(_, rule)| !rule.holds)
            .take(MOST_RULES)
            .map(|(number, rule)| format!("Rule {} of `allow` lacks: {}.", number + 1, conditions(rule, false)))
            .collect();
        let others = self.allow.len().saturating_sub(MOST_RULES);
        told.extend((others > 0).then(|| format!("{others} more rules are told above.")));
        let dropped = self.credentials.iter().flat_map(|one| {
            let issuers = one.issuers.join(", ");
            let dropped = [("allow_roles", &one.roles), ("allow_actions", &one.grants)];
            dropped
                .into_iter()
                .filter(|(_, capped)| !capped.dropped.is_empty())
                .map(move |(key, capped)| {
                    let items = capped.dropped.join(", ");
                    format!("The token says more, but `{key}` of issuer \"{issuers}\" does not permit it: {items}.")
                })
        });
        told.extend(dropped);
        told
    }

    /// The text with the names of this case in its places.
    fn filled(&self, text: &str) -> String {
        let named = |what: &str, name: Option<&str>, general: &str| {
            name.map_or_else(|| general.to_owned(), |name| format!("{what}\"{name}\""))
        };
        let route = self.routes.iter().rfind(|route| route.won);
        let mut issuers = self.credentials.iter().flat_map(|one| &one.issuers);
        let of_past = self.past.as_ref().and_then(|past| past.upstream.as_ref());
        let upstream = match (&self.action, of_past) {
            (Some(Action::Upstream { name, .. }), _) => Some(name.as_str()),
            (_, of_past) => of_past.map(|upstream| upstream.name.as_str()),
        };
        let moodle = self.moodle.as_ref().map(|moodle| moodle.moodle.as_str());
        let seen = self.request.as_ref();
        let places = [
            (
                "route",
                named("route ", route.map(|route| route.name.as_str()), "the route"),
            ),
            (
                "issuer",
                named("issuer ", issuers.next().map(String::as_str), "the issuer"),
            ),
            ("upstream", named("upstream ", upstream, "the upstream")),
            ("moodle", format!("[moodle.{}]", moodle.unwrap_or("<name>"))),
            (
                "host",
                named(
                    "",
                    seen.map(|seen| seen.host.as_str()).filter(|host| *host != "-"),
                    "this host",
                ),
            ),
            (
                "method",
                seen.map_or("this method", |seen| seen.method.as_str()).to_owned(),
            ),
            (
                "client",
                seen.map_or("the client", |seen| seen.client.as_str()).to_owned(),
            ),
        ];
        let mut filled = String::with_capacity(text.len() + 32);
        let mut rest = text;
        // What is put in is not looked at again: a name may have braces of its own.
        while let Some((before, after)) = rest.split_once('{') {
            let (place, behind) = after.split_once('}').unwrap_or((after, ""));
            filled.push_str(before);
            let known = places.iter().find(|(name, _)| *name == place);
            filled.push_str(known.map_or(place, |(_, name)| name));
            rest = behind;
        }
        filled + rest
    }
}

fn conditions(rule: &Rule, hold: bool) -> String {
    let told = rule.conditions.iter().filter(|one| one.holds == hold);
    let told = told.map(|one| match one.met.as_str() {
        "" => one.condition.clone(),
        met => format!("{} ({met})", one.condition),
    });
    told.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::report::{Capped, Credential, RouteFate, Seen};
    use super::*;
    use crate::authorize::explain::Judged;
    use crate::rejection::PLACES;

    fn report(reason: Reason) -> Report {
        Report {
            reason: Some(reason.label().to_owned()),
            routes: vec![RouteFate {
                name: "{issuer}".to_owned(),
                path: "/a".to_owned(),
                won: true,
                why: None,
            }],
            ..Report::default()
        }
    }

    #[test]
    fn each_reason_ends_with_words_and_no_open_place() {
        for reason in Reason::ALL {
            for mut report in [
                report(*reason),
                Report {
                    routes: Vec::new(),
                    ..report(*reason)
                },
            ] {
                report.advise();
                let text = report.remedy.join(" ");
                let open = |place: &&&str| text.contains(&format!("{{{place}}}"));
                let open: Vec<_> = PLACES.iter().filter(open).filter(|place| **place != "issuer").collect();
                assert!(!text.is_empty() && open.is_empty(), "{reason:?}: {text}");
            }
        }
        let mut nothing = Report::default();
        nothing.advise();
        assert!(nothing.remedy.is_empty());
    }

    #[test]
    fn names_are_those_of_the_case() {
        let judged = |condition: &str, holds: bool, met: &str| Judged {
            condition: condition.to_owned(),
            holds,
            met: met.to_owned(),
        };
        let mut missing = Report {
            request: Some(Seen {
                method: "GET".to_owned(),
                host: "video".to_owned(),
                path: None,
                client: "::1".to_owned(),
                https: true,
            }),
            credentials: vec![Credential {
                issuers: vec!["moodle".to_owned()],
                roles: Capped {
                    kept: Vec::new(),
                    dropped: vec!["ROLE_ADMIN".to_owned()],
                },
                ..Credential::default()
            }],
            allow: vec![Rule {
                holds: false,
                conditions: vec![
                    judged("role = \"A\"", false, "held: B"),
                    judged("methods = \"GET\"", true, ""),
                ],
            }],
            ..report(Reason::MissingRole)
        };
        missing.advise();
        let told = missing.remedy.join("\n");
        assert!(told.contains("`allow` of route \"{issuer}\" names"), "{told}");
        assert!(
            told.contains("`allow_roles` of issuer \"moodle\" does not permit is not held"),
            "{told}"
        );
        assert!(
            told.contains("Rule 1 of `allow` lacks: role = \"A\" (held: B)."),
            "{told}"
        );
        assert!(told.contains("does not permit it: ROLE_ADMIN."), "{told}");
        let mut unknown = Report {
            request: missing.request.clone(),
            ..report(Reason::UnknownHost)
        };
        unknown.advise();
        assert!(
            unknown.remedy[0].starts_with("The gateway does not serve \"video\"."),
            "{:?}",
            unknown.remedy
        );
    }
}
