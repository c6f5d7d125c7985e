//! May they? A route's rules over what is known of the request.
//!
//! `deny` is looked at first and wins; then any table of `allow` will do; nothing allows by default. What a token or a
//! path brings is compared literally: patterns come from the configuration alone. ROLE_ADMIN is a role like any other.

mod condition;
mod conditions;
pub mod explain;
pub mod settled;
mod words;

use std::net::IpAddr;

use http::Method;

use self::condition::Aspect;
pub use self::condition::Rule;
use self::conditions::AnyCondition;
pub(crate) use self::conditions::Table;
use crate::config::pattern::{Params, Template};
use crate::event::{Events, Question};
use crate::identity::Identity;
use crate::rejection::Reason;

/// All that a condition may look at.
pub struct Facts<'a> {
    pub identity: Option<&'a Identity>,
    pub params: &'a dyn Params,
    pub method: &'a Method,
    /// Decoded, and without `;parameters`.
    pub path: &'a str,
    pub client: IpAddr,
    /// What was asked about events so far: see [`open_questions`].
    pub events: &'a Events,
}

impl Facts<'_> {
    /// The question about the event (or the playlist), unless its answer is known or the path names none.
    fn unknown(&self, question: Question, item: &Template) -> Vec<(Question, String)> {
        let item = item.filled(self.params);
        let unknown = item.filter(|item| !self.events.knows(question, item));
        unknown.map(|item| (question, item)).into_iter().collect()
    }
}

/// Allowed, or the reason why not. Without an identity the reason is never one that only an identity could change:
/// the gateway then tells what was wrong with the credentials instead.
pub fn decide(allow: &[Rule], deny: &[Rule], facts: &Facts<'_>) -> Result<(), Reason> {
    if deny.iter().any(|rule| rule.holds(facts)) {
        return Err(Reason::DeniedByRule);
    }
    if allow.iter().any(|rule| rule.holds(facts)) {
        return Ok(());
    }
    Err(why_not(allow, facts))
}

/// The same for somebody whom another server knows: nobody here, and nothing that `allow` asks about persons counts. A
/// rule that asks nothing else allows.
pub fn decide_without_person(allow: &[Rule], deny: &[Rule], facts: &Facts<'_>) -> Result<(), Reason> {
    if deny.iter().any(|rule| rule.holds(facts)) {
        return Err(Reason::DeniedByRule);
    }
    let allows = |rule: &Rule| !rule.conditions.is_empty() && rule.circumstances_hold(facts);
    if allow.iter().any(allows) {
        return Ok(());
    }
    Err(Reason::NotAllowed)
}

/// What must be known of which event or playlist before the rules of `allow` are judged for good: what is not known yet of
/// rules that hold in all else. A rule whose event is unknown does not hold, so that nothing is ever allowed too early; and
/// where something is allowed already, nothing is open.
pub fn open_questions<'a>(allow: impl IntoIterator<Item = &'a Rule>, facts: &Facts<'_>) -> Vec<(Question, String)> {
    let mut open = Vec::new();
    for rule in allow {
        let mut asked = Vec::new();
        let settled = |condition: &AnyCondition| {
            let questions = condition.questions(facts);
            let holds = !questions.is_empty() || condition.meets(facts);
            asked.extend(questions);
            holds
        };
        if rule.conditions.iter().all(settled) {
            open.append(&mut asked);
        }
    }
    open
}

/// Can any rule come out differently for different people? If not, nobody needs to be asked who they are.
pub fn needs_identity<'a>(rules: impl IntoIterator<Item = &'a Rule>) -> bool {
    let mut conditions = rules.into_iter().flat_map(|rule| &rule.conditions);
    conditions.any(|condition| condition.is_person())
}

/// A scope that an access token lacks, where nothing else keeps it from being allowed: of the first such rule.
pub fn missing_scope<'a>(allow: &'a [Rule], facts: &Facts<'_>) -> Option<&'a str> {
    facts.identity?.access.as_ref().filter(|access| !access.signed_url)?;
    allow.iter().find_map(|rule| rule.missing_scope(facts))
}

/// The reason that helps most: a missing scope where an access token lacks nothing else, or a missing grant where some
/// rule asks for one, a missing role where some rule asks for that, of those rules that only the identity fails.
fn why_not(allow: &[Rule], facts: &Facts<'_>) -> Reason {
    let about = |wanted: &[Aspect]| {
        let reachable = allow.iter().filter(|rule| rule.circumstances_hold(facts));
        let mut conditions = reachable.flat_map(|rule| &rule.conditions);
        conditions.any(|condition| wanted.contains(&condition.about()))
    };
    if missing_scope(allow, facts).is_some() {
        Reason::MissingScope
    } else if about(&[Aspect::Grant]) {
        Reason::EventNotGranted
    } else if about(&[Aspect::Role, Aspect::EventList]) {
        Reason::MissingRole
    } else {
        Reason::NotAllowed
    }
}

#[cfg(test)]
mod tests {
    use super::conditions::tests::{anyone, client, from, grant, issuer, methods, role, scope, signed_in, subject};
    use super::*;
    use crate::identity::{Access, Grant, GrantKind};
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
            people: None,
            subject: Some("anna".into()),
            named: true,
            roles: roles.iter().map(|role| (*role).into()).collect(),
            grants: grants.iter().map(grant).collect(),
            expires: SystemTime::UNIX_EPOCH,
            access: None,
        }
    }

    fn rules<const N: usize>(rules: [Vec<AnyCondition>; N]) -> Vec<Rule> {
        rules.into_iter().map(|conditions| Rule { conditions }).collect()
    }

    const PATH: Path = Path(&[("event", "lecture-1"), ("course", "4")]);

    fn ask(allow: &[Rule], deny: &[Rule], identity: Option<&Identity>) -> Result<(), Reason> {
        let facts = Facts {
            identity,
            params: &PATH,
            method: &Method::GET,
            path: "/",
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
        let allow = rules([vec![anyone()]]);
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
        let by_name = |name: &str| rules([vec![subject(name)]]);
        let by_issuer = |name: &str| rules([vec![issuer(name)]]);
        assert_eq!(ask(&by_name("anna"), &[], Some(&anna)), Ok(()));
        assert_eq!(ask(&by_name("Anna"), &[], Some(&anna)), Err(Reason::NotAllowed));
        assert_eq!(ask(&by_issuer("moodle"), &[], Some(&anna)), Ok(()));
        assert_eq!(ask(&by_issuer("ilias"), &[], Some(&anna)), Err(Reason::NotAllowed));
        assert_eq!(ask(&rules([vec![signed_in(true)]]), &[], Some(&anna)), Ok(()));
        assert_eq!(ask(&rules([vec![signed_in(true)]]), &[], None), Err(Reason::NotAllowed));
        assert_eq!(ask(&rules([vec![signed_in(false)]]), &[], None), Ok(()));
        assert_eq!(
            ask(&rules([vec![methods(Method::POST)]]), &[], None),
            Err(Reason::NotAllowed)
        );
        assert_eq!(ask(&rules([vec![from("192.0.2.0/24")]]), &[], None), Ok(()));
        assert_eq!(
            ask(&rules([vec![from("2001:db8::/32")]]), &[], None),
            Err(Reason::NotAllowed)
        );
    }

    fn by_access_token(subject: Option<&str>, client: &str, scopes: &[&str]) -> Identity {
        Identity {
            subject: subject.map(str::to_owned),
            access: Some(Arc::new(Access {
                client: Some(client.to_owned()),
                scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
                ..Access::default()
            })),
            ..who(&[], &[])
        }
    }

    #[test]
    fn scopes_and_clients_are_those_of_access_tokens_alone() {
        let app = by_access_token(Some("anna"), "portal", &["openid", "video"]);
        let by_scope = |scopes: &[&str]| rules([vec![scope(scopes)]]);
        assert_eq!(ask(&by_scope(&["video"]), &[], Some(&app)), Ok(()));
        assert_eq!(
            ask(&by_scope(&["moodle", "video"]), &[], Some(&app)),
            Ok(()),
            "any of them"
        );
        for other in ["Video", "vide", "openid video", ""] {
            assert_eq!(
                ask(&by_scope(&[other]), &[], Some(&app)),
                Err(Reason::MissingScope),
                "{other}"
            );
        }
        assert_eq!(ask(&rules([vec![client("portal")]]), &[], Some(&app)), Ok(()));
        assert_eq!(
            ask(&rules([vec![client("portal2")]]), &[], Some(&app)),
            Err(Reason::NotAllowed)
        );
        let anna = who(&[], &[]);
        for nobody in [Some(&anna), None] {
            assert_eq!(ask(&by_scope(&["video"]), &[], nobody), Err(Reason::NotAllowed));
            assert_eq!(
                ask(&rules([vec![client("portal")]]), &[], nobody),
                Err(Reason::NotAllowed)
            );
        }
        assert_eq!(
            ask(&by_scope(&["video"]), &rules([vec![client("portal")]]), Some(&app)),
            Err(Reason::DeniedByRule)
        );
    }

    #[test]
    fn a_missing_scope_is_told_where_nothing_else_is_missing() {
        let allow = rules([
            vec![role("A"), scope(&["a"])],
            vec![client("portal"), scope(&["b", "c"])],
        ]);
        let facts = |identity| Facts {
            identity: Some(identity),
            params: &PATH,
            method: &Method::GET,
            path: "/",
            client: IpAddr::from([192, 0, 2, 7]),
            events: Events::NONE,
        };
        let app = by_access_token(None, "portal", &["x"]);
        assert_eq!(ask(&allow, &[], Some(&app)), Err(Reason::MissingScope));
        assert_eq!(missing_scope(&allow, &facts(&app)), Some("b"));
        let other = by_access_token(None, "other", &["x"]);
        assert_eq!(ask(&allow, &[], Some(&other)), Err(Reason::MissingRole));
        assert_eq!(missing_scope(&allow, &facts(&other)), None);
        assert_eq!(
            missing_scope(&allow, &facts(&who(&["A"], &[]))),
            None,
            "it is no access token"
        );
    }

    #[test]
    fn an_access_token_of_no_person_is_nobody() {
        let nobody = by_access_token(None, "portal", &["a"]);
        let anna = by_access_token(Some("anna"), "portal", &["a"]);
        let signed_in = |expected| rules([vec![signed_in(expected)]]);
        assert_eq!(ask(&signed_in(true), &[], Some(&nobody)), Err(Reason::NotAllowed));
        assert_eq!(ask(&signed_in(true), &[], Some(&anna)), Ok(()));
        assert_eq!(
            ask(&rules([vec![anyone()]]), &signed_in(false), Some(&nobody)),
            Err(Reason::DeniedByRule)
        );
    }

    #[test]
    fn identity_is_asked_for_only_where_it_matters() {
        assert!(!needs_identity(&rules([vec![anyone()], vec![from("10.0.0.0/8")]])));
        assert!(needs_identity(&rules([
            vec![from("10.0.0.0/8")],
            vec![role("ROLE_ADMIN")]
        ])));
    }
}
