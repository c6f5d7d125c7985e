//! Rules that can never hold, since nobody may say what they ask for.

use super::jwt::is_word;
use super::{Checks, Known};
use crate::config::diagnostics::{Diagnostic, Span};
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
        let actions = issuer.allow_actions.value();
        let roles = issuer.allow_roles.value();
        Self {
            roles: roles.map(|roles| roles.iter().map(|role| role.value.clone()).collect()),
            actions: actions.map(|actions| actions.iter().map(|action| action.value.clone()).collect()),
        }
    }

    /// Of each sign-in, in the order of their indices. Sessions carry no grants.
    pub(super) fn of_sign_ins(Named(sign_ins): &Named<file::SignIn>) -> Vec<Self> {
        let given = sign_ins.iter().map(|(_, sign_in)| sign_in.roles.value());
        given
            .map(|rules| Self {
                roles: roles_of(rules),
                actions: Some(Vec::new()),
            })
            .collect()
    }

    /// Of each bearer, in the order of their indices. Access tokens carry no grants.
    pub(super) fn of_bearers(Named(bearers): &Named<file::Bearer>) -> Vec<Self> {
        let given = bearers.iter().map(|(_, bearer)| bearer.roles.value());
        given
            .map(|rules| Self {
                roles: roles_of(rules),
                actions: Some(Vec::new()),
            })
            .collect()
    }
}

impl Source {
    /// Of each LTI platform. Launches carry no grants.
    pub(super) fn of_platforms(Named(platforms): &Named<file::Lti>) -> Vec<Self> {
        let role =
            |rule: &At<file::LtiRole>| RolePattern::parse(&rule.value.role.value()?.replace("{context_id}", "*")).ok();
        let given = platforms.iter().map(|(_, lti)| lti.roles.value());
        given
            .map(|rules| Self {
                roles: rules.and_then(|rules| rules.iter().map(role).collect()),
                actions: Some(Vec::new()),
            })
            .collect()
    }
}

/// Roles that rules of roles may give; `None`: one has a mistake.
fn roles_of(rules: Option<&Vec<At<file::RoleRule>>>) -> Option<Vec<RolePattern>> {
    rules.and_then(|rules| rules.iter().map(|rule| role_of(&rule.value)).collect())
}

/// What `{value}` may be is up to the CAS server.
fn role_of(rule: &file::RoleRule) -> Option<RolePattern> {
    RolePattern::parse(&rule.role.value()?.replace("{value}", "*")).ok()
}

/// Who vouches for people on a route.
pub(super) struct Vouching<'a> {
    /// Kinds of credential that it looks at.
    pub(super) accept: &'a [Credential],
    /// Indices; `None`: all.
    pub(super) issuers: Option<&'a [usize]>,
    pub(super) sign_ins: Option<&'a [usize]>,
    pub(super) bearers: Option<&'a [usize]>,
    /// Where a `strip` is written.
    pub(super) strip: Option<Span>,
    pub(super) known: &'a Known,
}

impl<'a> Vouching<'a> {
    fn by_session(&self) -> bool {
        self.accept.contains(&Credential::Session)
    }

    fn by_bearer(&self) -> bool {
        self.accept.contains(&Credential::Bearer) && !self.known.bearers.is_empty()
    }

    fn by_token(&self) -> bool {
        let others = [
            Credential::Session,
            Credential::Bearer,
            Credential::SignedUrl,
            Credential::Basic,
            Credential::Digest,
        ];
        self.accept.iter().any(|kind| !others.contains(kind))
    }

    /// Are launches of LTI platforms looked at? They have no issuer.
    fn by_platform(&self) -> bool {
        self.accept.contains(&Credential::Launch) && self.issuers.is_none() && !self.known.platforms.is_empty()
    }

    /// Of each issuer: may it name users, and its name.
    fn naming(&self) -> impl Iterator<Item = (bool, &'a str)> {
        let issuers = self.known.naming.iter().zip(&self.known.issuers).enumerate();
        let listed = issuers.filter(|(index, _)| is_listed(self.issuers, *index));
        listed.map(|(_, (may_name, name))| (*may_name, name.value.as_str()))
    }

    /// Can any of them say this? Yes where there is none: that is told elsewhere, with the reason.
    fn may_say(&self, says: impl Fn(&Source) -> bool) -> bool {
        let tokens = self.known.caps.iter().enumerate();
        let tokens = tokens.filter(|(index, _)| self.by_token() && is_listed(self.issuers, *index));
        let sessions = self.known.given_roles.iter().enumerate();
        let sessions = sessions.filter(|(index, _)| self.by_session() && is_listed(self.sign_ins, *index));
        let bearers = self.known.bearer_roles.iter().enumerate();
        let bearers = bearers.filter(|(index, _)| self.by_bearer() && is_listed(self.bearers, *index));
        let platforms = self.known.platforms.iter().filter(|_| self.by_platform());
        let mut sources = tokens
            .chain(sessions)
            .chain(bearers)
            .map(|(_, source)| source)
            .chain(platforms)
            .peekable();
        sources.peek().is_none() || sources.any(says)
    }
}

fn is_listed(list: Option<&[usize]>, index: usize) -> bool {
    list.is_none_or(|list| list.contains(&index))
}

/// `allow` or `deny` of a route.
pub(crate) struct List<'a> {
    pub(crate) rules: &'a [At<file::Rule>],
    pub(crate) denies: bool,
    pub(super) vouching: &'a Vouching<'a>,
}

impl<'a> List<'a> {
    /// The values of one key, of all rules that have it.
    pub(crate) fn given<T: 'a>(&self, key: fn(&file::Rule) -> &Key<T>) -> impl Iterator<Item = &'a At<T>> {
        self.rules.iter().filter_map(move |rule| key(&rule.value).given())
    }

    /// Could somebody here hold a role that this pattern describes?
    pub(crate) fn may_hold(&self, role: &RolePattern) -> bool {
        self.vouching.may_say(|source| source.may_give(role))
    }

    /// Could somebody here be granted this action? What is no action is told elsewhere.
    pub(crate) fn may_grant(&self, action: &String) -> bool {
        let may = |source: &Source| source.actions.as_ref().is_none_or(|actions| actions.contains(action));
        !is_word(action) || self.vouching.may_say(may)
    }

    /// Are access tokens, which alone tell of scopes and clients, looked at here?
    pub(crate) fn takes_bearers(&self) -> bool {
        self.vouching.accept.contains(&Credential::Bearer)
    }

    /// Are signed addresses looked at here?
    pub(crate) fn takes_signed_urls(&self) -> bool {
        self.vouching.accept.contains(&Credential::SignedUrl)
    }

    /// Does no credential of this route carry a name that counts?
    pub(crate) fn names_nobody(&self) -> bool {
        let vouching = self.vouching;
        let by_token = vouching.by_token() && vouching.naming().any(|(may_name, _)| may_name);
        let by_platform = vouching.by_platform() && vouching.known.platforms_name;
        let by_others = vouching.by_session() || vouching.by_bearer() || by_platform;
        !by_token && !by_others && !vouching.known.issuers.is_empty()
    }

    /// An issuer that may name nobody, beside others here that may: a `deny` by name does not stop its tokens.
    pub(crate) fn nameless_issuer(&self) -> Option<&'a str> {
        let vouching = self.vouching;
        let named = vouching.by_session() || vouching.by_bearer() || vouching.naming().any(|(may_name, _)| may_name);
        let mut nameless = vouching
            .naming()
            .filter(|(may_name, _)| !may_name && named && vouching.by_token());
        nameless.next().map(|(_, name)| name)
    }

    /// Reports `what`, at a place, where the route takes something off the path that an upstream sees.
    pub(crate) fn needs_whole_path(&self, at: Span, what: &str, checks: &mut Checks<'_, '_>) {
        if let Some(strip) = self.vouching.strip {
            let problem = Diagnostic::error(at, format!("{what} on a route with `strip`"));
            let help = "the list is about paths as Opencast sees them: remove `strip`";
            checks.report(problem.also(strip, "this takes a part of them off").help(help));
        }
    }

    /// Reports what asks Opencast about an event in a `deny`: if that cannot be judged, it would have to refuse everybody.
    pub(crate) fn denies_without_asking(&self, at: Span, checks: &mut Checks<'_, '_>) {
        if self.denies {
            let problem = Diagnostic::error(at, "`deny` asks nobody about events");
            checks.report(problem.help("an entry of the event's own list that denies wins over its others already"));
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
