//! `subject`: is it this person, as far as the name counts?

use super::{
    Aspect, Checks, Condition, Diagnostic, Facts, List, OneOrMany, Params, Table, filled, keys, list, of_person,
    or_none, values,
};
use crate::config::pattern::Template;
use crate::identity::Identity;

keys! {
    /// The token's `sub`, one or several.
    subject: OneOrMany<Template>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Subject(pub(crate) Vec<Template>);

impl Condition for Subject {
    type Keys = Keys;

    const ABOUT: Aspect = Aspect::Person;
    const KEPT_BY_PASS: bool = false;

    fn check(keys: &Keys, _rule: &Table, checks: &mut Checks<'_, '_>) -> Option<Self> {
        let subjects = checks.one_or_many(&keys.subject, "subject")?;
        for subject in subjects {
            checks.params_exist(subject.at, subject.value.params());
        }
        Some(Self(values(subjects)))
    }

    fn check_list(list: &List<'_>, checks: &mut Checks<'_, '_>) {
        for subject in list.given(|rule| &rule.subject.subject) {
            if list.names_nobody() {
                let problem = Diagnostic::warning(subject.at, "no issuer may name users here: this is never met");
                checks
                    .report(problem.help(
                        "a name counts from an issuer with may_name_users = true, a session, or an access token",
                    ));
            } else if list.denies
                && let Some(issuer) = list.nameless_issuer()
            {
                let text = format!("a token of `{issuer}` names nobody: this never denies it");
                let problem = Diagnostic::warning(subject.at, text);
                checks
                    .report(problem.help("leave that issuer out of the route's `issuers`, or set its may_name_users"));
            }
        }
    }

    fn depends_on_path(&self) -> bool {
        self.0.iter().any(|pattern| pattern.params().next().is_some())
    }

    fn meets(&self, facts: &Facts<'_>) -> bool {
        let subject = facts.identity.and_then(Identity::name);
        subject.is_some_and(|subject| self.0.iter().any(|name| name.matches(subject, facts.params)))
    }

    fn value(&self, params: &dyn Params) -> String {
        list(self.0.iter().map(|name| filled(&name.parts, params)))
    }

    fn met(&self, facts: &Facts<'_>) -> String {
        of_person(facts, |who| {
            let subject = who.subject.as_ref().map(|subject| format!("{subject:?}"));
            let untold = match (&subject, who.named) {
                (Some(_), false) => ", which does not count: its issuer has no `may_name_users`",
                _ => "",
            };
            let subject = or_none(subject.unwrap_or_default());
            format!("needs {}; sub: {subject}{untold}", self.value(facts.params))
        })
    }
}
