//! May they? A route's rules over what is known of the request.
//!
//! `deny` is looked at first and wins; then any table of `allow` will do; nothing allows by default. What a token or a
//! path brings is compared literally: patterns come from the configuration alone. ROLE_ADMIN is a role like any other.

mod address;
pub mod explain;
mod grant;
mod role;
pub mod settled;

use std::net::IpAddr;

use http::Method;

use crate::config::pattern::Params;
use crate::config::{Condition, GrantItem, Rule};
use crate::event::{Events, Question};
use crate::identity::Identity;
use crate::rejection::Reason;

/// All that a condition may look at.
pub struct Facts<'a> {
    pub identity: Option<&'a Identity>,
    pub params: &'a dyn Params,
    pub method: &'a Method,
    pub client: IpAddr,
    /// What was asked about events so far: see [`open_questions`].
    pub events: &'a Events,
}

/// Allowed, or the reason why not. Without an identity the reason is never one that only an identity could change:
/// the gateway then tells what was wrong with the credentials instead.
pub fn decide(allow: &[Rule], deny: &[Rule], facts: &Facts<'_>) -> Result<(), Reason> {
    if deny.iter().any(|rule| holds(rule, facts)) {
        return Err(Reason::DeniedByRule);
    }
    if allow.iter().any(|rule| holds(rule, facts)) {
        return Ok(());
    }
    Err(why_not(allow, facts))
}

/// What must be known of which event before the rules of `allow` are judged for good: what is not known yet of rules
/// that hold in all else. A rule whose event is unknown does not hold, so that nothing is ever allowed too early; and
/// where something is allowed already, nothing is open.
pub fn open_questions(allow: &[Rule], facts: &Facts<'_>) -> Vec<(Question, String)> {
    let mut open = Vec::new();
    for rule in allow {
        let asked: Vec<_> = rule.conditions.iter().filter_map(|one| question(one, facts)).collect();
        let others = rule.conditions.iter().filter(|one| question(one, facts).is_none());
        if !asked.is_empty() && others.into_iter().all(|condition| meets(condition, facts)) {
            open.extend(asked);
        }
    }
    open
}

/// What a condition asks that is not known yet, if the answer could make it hold.
fn question(condition: &Condition, facts: &Facts<'_>) -> Option<(Question, String)> {
    let (question, event) = match condition {
        Condition::EventAcl { event, .. } => (Question::Acl, event),
        Condition::Grant {
            action,
            item: GrantItem::SeriesOf(event),
        } if grant::held_on_any_series(facts.identity?, action) => (Question::Series, event),
        _ => return None,
    };
    let event = event.filled(facts.params)?;
    (!facts.events.knows(question, &event)).then_some((question, event))
}

/// Can any rule come out differently for different people? If not, nobody needs to be asked who they are.
pub fn needs_identity<'a>(rules: impl IntoIterator<Item = &'a Rule>) -> bool {
    let mut conditions = rules.into_iter().flat_map(|rule| &rule.conditions);
    conditions.any(|condition| match condition {
        Condition::SignedIn(_)
        | Condition::Role(_)
        | Condition::Grant { .. }
        | Condition::EventAcl { .. }
        | Condition::Subject(_)
        | Condition::Issuer(_)
        | Condition::SignIn(_) => true,
        Condition::Anyone | Condition::Methods(_) | Condition::From(_) => false,
    })
}

/// The rules of `allow` without what they ask about persons: for somebody whom another server knows. A rule that asks
/// nothing else allows.
pub fn without_persons(allow: &[Rule]) -> Vec<Rule> {
    let stays = |condition: &&Condition| matches!(condition, Condition::Methods(_) | Condition::From(_));
    let one = |rule: &Rule| {
        let conditions: Vec<_> = rule.conditions.iter().filter(stays).cloned().collect();
        match conditions.is_empty() {
            true => vec![Condition::Anyone],
            false => conditions,
        }
    };
    let rules = allow.iter().filter(|rule| !rule.conditions.is_empty());
    rules.map(|rule| Rule { conditions: one(rule) }).collect()
}

fn holds(rule: &Rule, facts: &Facts<'_>) -> bool {
    !rule.conditions.is_empty() && rule.conditions.iter().all(|condition| meets(condition, facts))
}

fn meets(condition: &Condition, facts: &Facts<'_>) -> bool {
    match condition {
        Condition::Anyone => true,
        Condition::SignedIn(expected) => facts.identity.is_some() == *expected,
        Condition::Role(patterns) => facts
            .identity
            .is_some_and(|who| role::held(who, patterns, facts.params)),
        Condition::Grant { action, item } => facts.identity.is_some_and(|who| grant::held(who, action, item, facts)),
        Condition::EventAcl { action, event } => {
            let roles = facts.identity.map_or(&[][..], |who| &who.roles);
            let event = event.filled(facts.params);
            let acl = event.and_then(|event| facts.events.acl(&event));
            acl.is_some_and(|acl| acl.permits(action, roles.iter().map(String::as_str)))
        }
        Condition::Subject(names) => {
            let subject = facts.identity.and_then(Identity::name);
            subject.is_some_and(|subject| names.iter().any(|name| name.matches(subject, facts.params)))
        }
        // No issuer has the name of a sign-in.
        Condition::Issuer(names) | Condition::SignIn(names) => {
            facts.identity.is_some_and(|who| names.contains(&who.source))
        }
        Condition::Methods(methods) => methods.contains(facts.method),
        Condition::From(nets) => address::within(facts.client, nets),
    }
}

/// The reason that helps most: a missing grant where some rule asks for one, a missing role where some rule asks for
/// that, of those rules that only the identity fails.
fn why_not(allow: &[Rule], facts: &Facts<'_>) -> Reason {
    let within_reach = |rule: &&Rule| {
        let circumstances = |condition: &&Condition| matches!(condition, Condition::Methods(_) | Condition::From(_));
        rule.conditions
            .iter()
            .filter(circumstances)
            .all(|condition| meets(condition, facts))
    };
    let reachable = || allow.iter().filter(within_reach).flat_map(|rule| &rule.conditions);
    if reachable().any(|condition| matches!(condition, Condition::Grant { .. })) {
        Reason::EventNotGranted
    } else if reachable().any(|condition| matches!(condition, Condition::Role(_) | Condition::EventAcl { .. })) {
        Reason::MissingRole
    } else {
        Reason::NotAllowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::GrantItem;
    use crate::config::pattern::{RolePattern, Template};
    use crate::identity::{Grant, GrantKind};
    use std::sync::Arc;
    use std::time::SystemTime;

    struct Path(&'static [(&'static str, &'static str)]);

    impl Params for Path {
        fn get(&self, name: &str) -> Option<&str> {
            self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
        }
    }

    fn who(roles: &[&str], grants: &[(GrantKind, &str, &str)]) -> Identity {
        let grant = |(kind, id, action): &(GrantKind, &str, &str)| Grant {
            kind: *kind,
            id: (*id).into(),
            action: (*action).into(),
        };
        Identity {
            issuers: vec![0],
            source: Arc::from("moodle"),
            subject: Some("anna".into()),
            named: true,
            roles: roles.iter().map(|role| (*role).into()).collect(),
            grants: grants.iter().map(grant).collect(),
            expires: SystemTime::UNIX_EPOCH,
        }
    }

    fn role(pattern: &str) -> Condition {
        Condition::Role(vec![RolePattern::parse(pattern).unwrap()])
    }

    fn grant(action: &str, event: &str) -> Condition {
        Condition::Grant {
            action: action.into(),
            item: GrantItem::Event(Template::parse(event).unwrap()),
        }
    }

    fn from(net: &str) -> Condition {
        Condition::From(vec![net.parse().unwrap()])
    }

    fn rules<const N: usize>(rules: [Vec<Condition>; N]) -> Vec<Rule> {
        rules.into_iter().map(|conditions| Rule { conditions }).collect()
    }

    const PATH: Path = Path(&[("event", "lecture-1"), ("course", "4")]);

    fn ask(allow: &[Rule], deny: &[Rule], identity: Option<&Identity>) -> Result<(), Reason> {
        let facts = Facts {
            identity,
            params: &PATH,
            method: &Method::GET,
            client: IpAddr::from([192, 0, 2, 7]),
            events: Events::NONE,
        };
        decide(allow, deny, &facts)
    }

    #[test]
    fn nothing_allows_by_default() {
        let anna = who(&["ROLE_ADMIN"], &[(GrantKind::Event, "lecture-1", "read")]);
        assert_eq!(ask(&[], &[], Some(&anna)), Err(Reason::NotAllowed));
        assert_eq!(ask(&rules([vec![]]), &[], Some(&anna)), Err(Reason::NotAllowed));
        assert_eq!(
            ask(&rules([vec![role("ROLE_OTHER")]]), &[], Some(&anna)),
            Err(Reason::MissingRole)
        );
    }

    #[test]
    fn any_table_allows_and_all_of_its_conditions_must_hold() {
        let allow = rules([
            vec![role("ROLE_ADMIN"), from("10.0.0.0/8")],
            vec![grant("read", "{event}")],
        ]);
        let admin = who(&["ROLE_ADMIN"], &[]);
        assert_eq!(
            ask(&allow, &[], Some(&admin)),
            Err(Reason::EventNotGranted),
            "from elsewhere"
        );
        let granted = who(&[], &[(GrantKind::Event, "lecture-1", "read")]);
        assert_eq!(ask(&allow, &[], Some(&granted)), Ok(()));
    }

    #[test]
    fn a_grant_is_for_this_item_this_kind_and_this_action() {
        let allow = rules([vec![grant("read", "{event}")]]);
        let others = [
            (GrantKind::Event, "lecture-2", "read"),
            (GrantKind::Series, "lecture-1", "read"),
            (GrantKind::Event, "lecture-1", "write"),
            (GrantKind::Event, "LECTURE-1", "read"),
            (GrantKind::Event, "{event}", "read"),
            (GrantKind::Event, "*", "read"),
        ];
        for other in others {
            assert_eq!(
                ask(&allow, &[], Some(&who(&[], &[other]))),
                Err(Reason::EventNotGranted),
                "{other:?}"
            );
        }
    }

    #[test]
    fn deny_wins() {
        let allow = rules([vec![Condition::Anyone]]);
        let deny = rules([vec![role("ROLE_SUSPENDED")]]);
        assert_eq!(
            ask(&allow, &deny, Some(&who(&["ROLE_SUSPENDED"], &[]))),
            Err(Reason::DeniedByRule)
        );
        assert_eq!(ask(&allow, &deny, Some(&who(&[], &[]))), Ok(()));
        assert_eq!(ask(&allow, &deny, None), Ok(()));
    }

    #[test]
    fn what_a_token_brings_is_never_a_pattern() {
        let allow = rules([vec![role("{course}_Learner")], vec![role("ROLE_STUDIO")]]);
        for forged in ["*", "*_Learner", "{course}_Learner", "5_Learner", "ROLE_*"] {
            assert_eq!(
                ask(&allow, &[], Some(&who(&[forged], &[]))),
                Err(Reason::MissingRole),
                "{forged}"
            );
        }
        assert_eq!(ask(&allow, &[], Some(&who(&["4_Learner"], &[]))), Ok(()));
    }

    #[test]
    fn the_other_conditions() {
        let anna = who(&[], &[]);
        let subject = |name: &str| rules([vec![Condition::Subject(vec![Template::parse(name).unwrap()])]]);
        let issuer = |name: &str| rules([vec![Condition::Issuer(vec![Arc::from(name)])]]);
        assert_eq!(ask(&subject("anna"), &[], Some(&anna)), Ok(()));
        assert_eq!(ask(&subject("Anna"), &[], Some(&anna)), Err(Reason::NotAllowed));
        assert_eq!(ask(&issuer("moodle"), &[], Some(&anna)), Ok(()));
        assert_eq!(ask(&issuer("ilias"), &[], Some(&anna)), Err(Reason::NotAllowed));
        assert_eq!(ask(&rules([vec![Condition::SignedIn(true)]]), &[], Some(&anna)), Ok(()));
        assert_eq!(
            ask(&rules([vec![Condition::SignedIn(true)]]), &[], None),
            Err(Reason::NotAllowed)
        );
        assert_eq!(ask(&rules([vec![Condition::SignedIn(false)]]), &[], None), Ok(()));
        assert_eq!(
            ask(&rules([vec![Condition::Methods(vec![Method::POST])]]), &[], None),
            Err(Reason::NotAllowed)
        );
        assert_eq!(ask(&rules([vec![from("192.0.2.0/24")]]), &[], None), Ok(()));
        assert_eq!(
            ask(&rules([vec![from("2001:db8::/32")]]), &[], None),
            Err(Reason::NotAllowed)
        );
    }

    #[test]
    fn identity_is_asked_for_only_where_it_matters() {
        assert!(!needs_identity(&rules([
            vec![Condition::Anyone],
            vec![from("10.0.0.0/8")]
        ])));
        assert!(needs_identity(&rules([
            vec![from("10.0.0.0/8")],
            vec![role("ROLE_ADMIN")]
        ])));
    }
}
