//! Rules that can never hold, since nobody may say what they ask for.

use super::jwt::is_word;
use super::{Checker, Known};
use crate::config::diagnostics::Diagnostic;
use crate::config::pattern::{Part, RolePattern};
use crate::config::read::{At, Key, Named};
use crate::config::{Credential, file};

/// What tokens of one issuer, or sessions of one sign-in, may say; `None`: it has a mistake, and may say everything.
pub(super) struct Source {
    roles: Option<Vec<RolePattern>>,
    /// Actions of grants.
    actions: Option<Vec<String>>,
}

impl Source {
    /// Of an issuer.
    pub(super) fn of_issuer(issuer: &file::Issuer) -> Self {
        let actions = match &issuer.allow_actions {
            Key::Given(given) => Some(given.value.iter().map(|action| action.value.clone()).collect()),
            Key::Absent => Some(super::jwt::DEFAULT_ACTIONS.map(str::to_owned).to_vec()),
            Key::Bad => None,
        };
        let roles = issuer.allow_roles.value();
        Self {
            roles: roles.map(|roles| roles.iter().map(|role| role.value.clone()).collect()),
            actions,
        }
    }

    /// Of each sign-in, in the order of their indices. Sessions carry no grants.
    pub(super) fn of_sign_ins(sign_ins: &Key<Named<file::SignIn>>) -> Vec<Self> {
        let Some(Named(sign_ins)) = sign_ins.value() else {
            return Vec::new();
        };
        let given = sign_ins.iter().map(|(_, sign_in)| match &sign_in.roles {
            Key::Given(rules) => rules.value.iter().map(|rule| role_of(&rule.value)).collect(),
            Key::Absent => Some(Vec::new()),
            Key::Bad => None,
        });
        given
            .map(|roles| Self {
                roles,
                actions: Some(Vec::new()),
            })
            .collect()
    }
}

/// What `{value}` may be is up to the CAS server.
fn role_of(rule: &file::RoleRule) -> Option<RolePattern> {
    RolePattern::parse(&rule.role.value()?.replace("{value}", "*")).ok()
}

impl Checker<'_> {
    /// Warns of roles and grants in `allow` and `deny` that none of those may say who vouch for people on this route: the
    /// kinds of credential that it looks at, and the issuers and sign-ins, if it names some.
    pub(super) fn said_by_nobody(
        &mut self,
        rules: &[&Key<Vec<At<file::Rule>>>],
        accept: &[Credential],
        (issuers, sign_ins): (Option<&[usize]>, Option<&[usize]>),
        known: &Known,
    ) {
        let listed = |list: Option<&[usize]>, index| list.is_none_or(|list| list.contains(&index));
        let by_token = accept.iter().any(|kind| *kind != Credential::Session);
        let by_session = accept.contains(&Credential::Session);
        let of_tokens = known.caps.iter().enumerate();
        let of_tokens = of_tokens.filter(|(index, _)| by_token && listed(issuers, *index));
        let of_sessions = known.given_roles.iter().enumerate();
        let of_sessions = of_sessions.filter(|(index, _)| by_session && listed(sign_ins, *index));
        let sources: Vec<&Source> = of_tokens.chain(of_sessions).map(|(_, source)| source).collect();
        if sources.is_empty() {
            return; // told elsewhere, with the reason
        }
        for rule in rules.iter().filter_map(|rules| rules.value()).flatten() {
            if let Some(roles) = rule.value.role.given() {
                let mut wanted = roles.value.0.iter();
                let may_hold = wanted.any(|role| sources.iter().any(|source| source.may_give(&role.value)));
                if !may_hold && !roles.value.0.is_empty() {
                    let problem =
                        Diagnostic::warning(roles.at, "nobody can hold this role here: the rule is never met");
                    self.report(problem.help(
                        "a role counts from an issuer whose `allow_roles` has it, or from `roles` of a sign-in that this \
                         route takes sessions of",
                    ));
                }
            }
            if let Some(grant) = rule.value.grant.given().filter(|grant| is_word(&grant.value)) {
                let may_grant = |source: &&Source| {
                    source
                        .actions
                        .as_ref()
                        .is_none_or(|actions| actions.contains(&grant.value))
                };
                if !sources.iter().any(may_grant) {
                    let problem =
                        Diagnostic::warning(grant.at, "nobody can grant this action here: the rule is never met");
                    self.report(problem.help("a grant counts from a token of an issuer whose `allow_actions` has it"));
                }
            }
        }
    }
}

impl Source {
    fn may_give(&self, wanted: &RolePattern) -> bool {
        let Some(roles) = &self.roles else { return true };
        roles.iter().any(|given| meet(given, wanted))
    }
}

/// Is there a role that both patterns match, whatever the parameters of the path are?
fn meet(a: &RolePattern, b: &RolePattern) -> bool {
    let (a, b) = (letters(a), letters(b));
    // `below[j]`: do a[i + 1..] and b[j..] meet? From their ends on, where two empty ones do.
    let mut below = vec![false; b.len() + 1];
    for i in (0..=a.len()).rev() {
        let mut row = vec![false; b.len() + 1];
        for j in (0..=b.len()).rev() {
            let at = |row: &[bool], j: usize| row.get(j).copied().unwrap_or(false);
            let meets = match (a.get(i), b.get(j)) {
                (None, None) => true,
                (Some(Letter::Any), Some(Letter::Any)) => at(&below, j) || at(&row, j + 1),
                // It stands for nothing, or for one letter more of the other.
                (Some(Letter::Any), other) => at(&below, j) || (other.is_some() && at(&row, j + 1)),
                (other, Some(Letter::Any)) => at(&row, j + 1) || (other.is_some() && at(&below, j)),
                (Some(Letter::One(x)), Some(Letter::One(y))) => x == y && at(&below, j + 1),
                _ => false,
            };
            if let Some(place) = row.get_mut(j) {
                *place = meets;
            }
        }
        below = row;
    }
    below.first().copied().unwrap_or(false)
}

enum Letter {
    One(char),
    Any,
}

/// A parameter of the path may be anything.
fn letters(pattern: &RolePattern) -> Vec<Letter> {
    let of = |part: &Part| match part {
        Part::Literal(text) => text.chars().map(Letter::One).collect(),
        Part::Param(_) | Part::Any => vec![Letter::Any],
    };
    pattern.parts.iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::pattern::NoParams;

    fn pattern(text: &str) -> RolePattern {
        RolePattern::parse(text).unwrap()
    }

    #[test]
    fn patterns_meet_where_a_role_fits_both() {
        for (a, b, expected) in [
            ("ROLE_ADMIN", "ROLE_ADMIN", true),
            ("ROLE_ADMIN", "*_Learner", false),
            ("{course}_Instructor", "*_Learner", false),
            ("{course}_Learner", "*_Learner", true),
            ("ROLE_*", "*_UI", true),
            ("*", "x", true),
            ("a*b", "a*c", false),
            ("a*b*c", "*b", false),
            ("a*", "*", true),
            ("ROLE_A", "ROLE_AB", false),
        ] {
            assert_eq!(meet(&pattern(a), &pattern(b)), expected, "{a} {b}");
            assert_eq!(meet(&pattern(b), &pattern(a)), expected, "{b} {a}");
        }
    }

    proptest! {
        /// Patterns that match the same role meet; those that meet with a role itself match it.
        #[test]
        fn meeting_agrees_with_matching(a in "[ab*]{1,5}", b in "[ab*]{1,5}", role in "[ab]{1,6}") {
            let (a, b) = (pattern(&a), pattern(&b));
            let both = a.matches(&role, &NoParams) && b.matches(&role, &NoParams);
            prop_assert!(!both || meet(&a, &b));
            prop_assert_eq!(meet(&a, &pattern(&role)), a.matches(&role, &NoParams));
        }
    }
}
