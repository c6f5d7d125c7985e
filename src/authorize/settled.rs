//! Rules without the person they were first asked about: what a watch pass keeps of a decision, and the decision by it.
//!
//! A rule asks about a person (roles, grants, subject …) and about circumstances (method, address). The pass keeps, by
//! fingerprints of the rules, what the person came to; the circumstances are looked at each time. A rule of `deny` that
//! the pass knows nothing about is taken to mean its bearer. A rule of `allow` that was changed since allows no more.

use super::conditions::AnyCondition;
use super::{Facts, Rule};
use crate::digest::sha256;
use crate::identity::{Fingerprint, Settled};
use crate::rejection::Reason;

/// More rules than this are not kept, of either list.
const MAX_KEPT: usize = 16;

/// The rules of a route with the names by which a pass refers to them.
pub struct Fingerprinted {
    allow: Vec<(Fingerprint, Rule)>,
    deny: Vec<(Fingerprint, Rule)>,
}

impl Fingerprinted {
    pub fn new(allow: &[Rule], deny: &[Rule]) -> Self {
        let named = |rules: &[Rule]| rules.iter().map(|rule| (fingerprint(rule), rule.clone())).collect();
        Self {
            allow: named(allow),
            deny: named(deny),
        }
    }

    /// What a pass for the person behind `facts` keeps. `None` if no rule of `allow` is about that person, or if too many
    /// rules would have to be kept.
    pub fn settle(&self, facts: &Facts<'_>) -> Option<Settled> {
        let about_person = |rule: &Rule| {
            let mut conditions = rule.conditions.iter().filter(|condition| condition.is_person());
            conditions.all(|condition| condition.meets(facts))
        };
        let held = self.allow.iter().filter(|(_, rule)| about_person(rule));
        let held: Vec<_> = held.map(|(fingerprint, _)| *fingerprint).take(MAX_KEPT).collect();
        let clear = self
            .deny
            .iter()
            .filter(|(_, rule)| is_settled(rule) && !about_person(rule));
        let clear: Vec<_> = clear.map(|(fingerprint, _)| *fingerprint).collect();
        (!held.is_empty() && clear.len() <= MAX_KEPT).then_some(Settled { held, clear })
    }

    /// The decision about a request that brings a pass. `facts` have the identity that the pass names: no roles and no
    /// grants.
    pub fn decide(&self, settled: &Settled, facts: &Facts<'_>) -> Result<(), Reason> {
        let denies = |(fingerprint, rule): &(Fingerprint, Rule)| match is_settled(rule) {
            true => rule.circumstances_hold(facts) && !settled.clear.contains(fingerprint),
            false => rule.holds(facts),
        };
        if self.deny.iter().any(denies) {
            return Err(Reason::DeniedByRule);
        }
        let allows = |(fingerprint, rule): &(Fingerprint, Rule)| {
            settled.held.contains(fingerprint) && rule.circumstances_hold(facts)
        };
        match self.allow.iter().any(allows) {
            true => Ok(()),
            false => Err(Reason::NotAllowed),
        }
    }
}

/// The same rule has the same fingerprint on every replica of one version.
fn fingerprint(rule: &Rule) -> Fingerprint {
    let digest = sha256(format!("{rule:?}").as_bytes());
    digest.first_chunk().copied().unwrap_or_default()
}

/// Does it ask what a pass cannot answer?
fn is_settled(rule: &Rule) -> bool {
    rule.conditions.iter().any(AnyCondition::is_kept_by_pass)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::time::SystemTime;

    use http::Method;

    use super::super::conditions::tests::{from, role, subject};
    use super::*;
    use crate::config::pattern::NoParams;
    use crate::identity::Identity;

    fn rule(conditions: Vec<AnyCondition>) -> Rule {
        Rule { conditions }
    }

    fn anna(roles: &[&str]) -> Identity {
        Identity {
            issuers: vec![0],
            source: Arc::from("moodle"),
            people: None,
            subject: Some("anna".into()),
            named: true,
            roles: roles.iter().map(|role| (*role).into()).collect(),
            grants: Vec::new(),
            expires: SystemTime::UNIX_EPOCH,
            access: None,
        }
    }

    /// Settled for anna with these roles by the first rules, decided by the second ones for a request from `client`.
    fn decided(roles: &[&str], first: [&[Rule]; 2], then: [&[Rule]; 2], client: [u8; 4]) -> Option<Result<(), Reason>> {
        let (with_roles, without) = (anna(roles), anna(&[]));
        let facts = |identity| Facts {
            identity: Some(identity),
            params: &NoParams,
            method: &Method::GET,
            path: "/",
            client: IpAddr::from(client),
            events: crate::event::Events::NONE,
        };
        let settled = Fingerprinted::new(first[0], first[1]).settle(&facts(&with_roles))?;
        Some(Fingerprinted::new(then[0], then[1]).decide(&settled, &facts(&without)))
    }

    const HOME: [u8; 4] = [10, 0, 0, 1];
    const AWAY: [u8; 4] = [192, 0, 2, 1];

    #[test]
    fn circumstances_are_looked_at_each_time() {
        let allow = [rule(vec![role("A"), from("10.0.0.0/8")])];
        assert_eq!(decided(&["A"], [&allow, &[]], [&allow, &[]], HOME), Some(Ok(())));
        assert_eq!(
            decided(&["A"], [&allow, &[]], [&allow, &[]], AWAY),
            Some(Err(Reason::NotAllowed))
        );
        assert_eq!(decided(&["B"], [&allow, &[]], [&allow, &[]], HOME), None);
        let deny = [rule(vec![from("192.0.2.0/24")])];
        assert_eq!(
            decided(&["A"], [&allow, &deny], [&allow, &deny], AWAY),
            Some(Err(Reason::DeniedByRule))
        );
    }

    #[test]
    fn a_denial_that_waits_for_its_circumstances_comes() {
        let allow = [rule(vec![role("A")])];
        let deny = [rule(vec![role("B"), from("192.0.2.0/24")])];
        assert_eq!(
            decided(&["A", "B"], [&allow, &deny], [&allow, &deny], HOME),
            Some(Ok(()))
        );
        assert_eq!(
            decided(&["A", "B"], [&allow, &deny], [&allow, &deny], AWAY),
            Some(Err(Reason::DeniedByRule))
        );
        assert_eq!(decided(&["A"], [&allow, &deny], [&allow, &deny], AWAY), Some(Ok(())));
    }

    /// Passes that a gateway before this one has given refer to the same rules by the same text.
    #[test]
    fn a_rule_is_referred_to_by_its_conditions() {
        assert_eq!(
            format!("{:?}", rule(vec![role("A"), from("10.0.0.0/8")])),
            "Rule { conditions: [Role([RolePattern { parts: [Literal(\"A\")] }]), From([10.0.0.0/8])] }"
        );
    }

    #[test]
    fn rules_that_change_are_felt() {
        let allow = [rule(vec![role("A")])];
        let wider = [rule(vec![role("A")]), rule(vec![role("C")])];
        let other = [rule(vec![role("C")])];
        assert_eq!(decided(&["A"], [&allow, &[]], [&wider, &[]], HOME), Some(Ok(())));
        assert_eq!(
            decided(&["A"], [&allow, &[]], [&other, &[]], HOME),
            Some(Err(Reason::NotAllowed))
        );
        // What nobody has asked the person yet is taken for a yes.
        let new_deny = [rule(vec![role("B")])];
        assert_eq!(
            decided(&["A"], [&allow, &[]], [&allow, &new_deny], HOME),
            Some(Err(Reason::DeniedByRule))
        );
        let by_name = |name: &str| [rule(vec![subject(name)])];
        assert_eq!(
            decided(&["A"], [&allow, &[]], [&allow, &by_name("bert")], HOME),
            Some(Ok(()))
        );
        let denied = Some(Err(Reason::DeniedByRule));
        assert_eq!(decided(&["A"], [&allow, &[]], [&allow, &by_name("anna")], HOME), denied);
    }
}
