//! Rules without the person they were first asked about: what a watch pass keeps of a decision, and the decision by it.
//!
//! A rule asks about a person (roles, grants, subject …) and about circumstances (method, address). The pass keeps, by
//! fingerprints of the rules, what the person came to; the circumstances are looked at each time. A rule of `deny` that
//! the pass knows nothing about is taken to mean its bearer. A rule of `allow` that was changed since allows no more.
//!
//! A rule that holds by a grant on a playlist holds for each event in it, and for none that is taken out. So its pass carries
//! the grant, and whether the playlist has the event is looked at each time, as with the token itself. It keeps nothing that
//! may be otherwise for another event: a rule of `allow` that asks for such a thing besides earns none.

use super::conditions::AnyCondition;
use super::{Facts, Rule};
use crate::digest::sha256;
use crate::event::Question;
use crate::identity::{Fingerprint, Settled};
use crate::rejection::Reason;

/// More rules than this are not kept, of either list.
const MAX_KEPT: usize = 16;
/// Playlists in one pass.
const MAX_PLAYLISTS: usize = 4;

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

    /// What a pass for the person behind `facts` keeps: rules that hold for the event, or else those that hold by a playlist.
    /// `None` if no rule of `allow` is about that person, or if too many rules would have to be kept.
    pub fn settle(&self, facts: &Facts<'_>) -> Option<Settled> {
        let about_person = |rule: &Rule| {
            let mut conditions = rule.conditions.iter().filter(|condition| condition.is_person());
            conditions.all(|condition| condition.meets(facts))
        };
        let met = self.allow.iter().filter(|(_, rule)| about_person(rule)).take(MAX_KEPT);
        let (by_playlist, by_event): (Vec<_>, Vec<_>) = met.partition(|(_, rule)| is_carried(rule));
        let clear = self
            .deny
            .iter()
            .filter(|(_, rule)| is_settled(rule) && !about_person(rule));
        let mut settled = Settled::default();
        if by_event.is_empty() {
            for (fingerprint, rule) in by_playlist.into_iter().filter(|(_, rule)| holds_anywhere(rule)) {
                settled.held.push(*fingerprint);
                let carried = rule.conditions.iter().flat_map(|condition| condition.carried(facts));
                for grant in carried {
                    if settled.grants.len() < MAX_PLAYLISTS && !settled.grants.contains(&grant) {
                        settled.grants.push(grant);
                    }
                }
            }
            let clear = clear.filter(|(_, rule)| holds_anywhere(rule));
            settled.clear = clear.map(|(fingerprint, _)| *fingerprint).collect();
        } else {
            settled.held = by_event.into_iter().map(|(fingerprint, _)| *fingerprint).collect();
            settled.clear = clear.map(|(fingerprint, _)| *fingerprint).collect();
        }
        (!settled.held.is_empty() && settled.clear.len() <= MAX_KEPT).then_some(settled)
    }

    /// What must be asked before [`decide`](Self::decide) says no for good.
    pub fn open_questions(&self, settled: &Settled, facts: &Facts<'_>) -> Vec<(Question, String)> {
        let mut open = Vec::new();
        for (_, rule) in self
            .allow
            .iter()
            .filter(|(fingerprint, _)| settled.held.contains(fingerprint))
        {
            if rule.circumstances_hold(facts) {
                open.extend(carried(rule).flat_map(|condition| condition.questions(facts)));
            }
        }
        open
    }

    /// The decision about a request that brings a pass. `facts` have the identity that the pass names: no roles, and the
    /// grants that it carries.
    pub fn decide(&self, settled: &Settled, facts: &Facts<'_>) -> Result<(), Reason> {
        let denies = |(fingerprint, rule): &(Fingerprint, Rule)| match is_settled(rule) {
            true => rule.circumstances_hold(facts) && !settled.clear.contains(fingerprint),
            false => rule.holds(facts),
        };
        if self.deny.iter().any(denies) {
            return Err(Reason::DeniedByRule);
        }
        let allows = |(fingerprint, rule): &(Fingerprint, Rule)| {
            settled.held.contains(fingerprint)
                && rule.circumstances_hold(facts)
                && carried(rule).all(|condition| condition.meets(facts))
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

/// What it asks that a pass carries the answer to.
fn carried(rule: &Rule) -> impl Iterator<Item = &AnyCondition> {
    rule.conditions
        .iter()
        .filter(|condition| condition.is_carried_by_pass())
}

/// Does what a pass keeps of it hold at every path of the route, once it holds at one?
fn holds_anywhere(rule: &Rule) -> bool {
    let mut kept = rule.conditions.iter().filter(|condition| condition.is_person());
    kept.all(|condition| condition.is_carried_by_pass() || !condition.depends_on_path())
}

fn is_carried(rule: &Rule) -> bool {
    carried(rule).next().is_some()
}

/// Does it ask what a pass cannot answer?
fn is_settled(rule: &Rule) -> bool {
    rule.conditions.iter().any(AnyCondition::is_kept_by_pass)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::time::SystemTime;

    use http::Method;

    use super::super::conditions::tests::{from, playlist_of, role, subject};
    use super::*;
    use crate::config::pattern::NoParams;
    use crate::event::{Acl, Events, Playlist};
    use crate::identity::{self, GrantKind, Identity};

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
            events: Events::NONE,
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

    /// Settled at the first event and decided at the second one, both in the playlist.
    fn at_the_next_event(roles: &[&str], allow: &[Rule], deny: &[Rule]) -> Option<Result<(), Reason>> {
        let mut with_grant = anna(roles);
        with_grant.grants = vec![identity::Grant {
            kind: GrantKind::Playlist,
            id: "maths".into(),
            action: "read".into(),
        }];
        let mut events = Events::default();
        let list = Playlist::new(Acl::default(), ["one".to_owned(), "two".to_owned()]);
        events.add_playlist("maths".to_owned(), Arc::new(list));
        let (one, two) = (HashMap::from([("event", "one")]), HashMap::from([("event", "two")]));
        let facts = |identity, params| Facts {
            identity: Some(identity),
            params,
            method: &Method::GET,
            path: "/",
            client: IpAddr::from(HOME),
            events: &events,
        };
        let rules = Fingerprinted::new(allow, deny);
        let settled = rules.settle(&facts(&with_grant, &one))?;
        let mut by_pass = anna(&[]);
        by_pass.grants.clone_from(&settled.grants);
        Some(rules.decide(&settled, &facts(&by_pass, &two)))
    }

    #[test]
    fn a_pass_for_a_playlist_keeps_nothing_that_is_about_one_event() {
        let listed = || playlist_of("read", "{event}");
        assert_eq!(at_the_next_event(&[], &[rule(vec![listed()])], &[]), Some(Ok(())));
        let both = [rule(vec![role("A"), listed()])];
        assert_eq!(at_the_next_event(&["A"], &both, &[]), Some(Ok(())));
        assert_eq!(at_the_next_event(&[], &both, &[]), None);
        // What was so at the first event may not be at the second.
        let of_event = [rule(vec![role("{event}_Learner"), listed()])];
        assert_eq!(at_the_next_event(&["one_Learner"], &of_event, &[]), None);
        let allow = [rule(vec![listed()])];
        let denied = |pattern: &str| [rule(vec![role(pattern)])];
        assert_eq!(at_the_next_event(&["A"], &allow, &denied("B")), Some(Ok(())));
        assert_eq!(
            at_the_next_event(&["two_Banned"], &allow, &denied("{event}_Banned")),
            Some(Err(Reason::DeniedByRule))
        );
        // A rule for the event comes first, and its pass is for the event.
        let event_first = [rule(vec![role("A")]), rule(vec![listed()])];
        let settled = at_the_next_event(&["A"], &event_first, &[]);
        assert_eq!(settled, Some(Ok(())), "the role holds for every event here");
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
