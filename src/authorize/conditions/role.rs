//! `role`: does the identity hold a role that one of the patterns describes?

use super::{
    Aspect, Checks, Condition, Diagnostic, Facts, List, OneOrMany, Params, Table, filled, keys, list, of_person,
    or_none, values,
};
use crate::config::pattern::RolePattern;

keys! {
    /// A role held, one or several patterns: `"ROLE_ADMIN"`, `"*_Instructor"`, `"{course}_Learner"`.
    role: OneOrMany<RolePattern>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Role(pub(crate) Vec<RolePattern>);

impl Condition for Role {
    type Keys = Keys;

    const ABOUT: Aspect = Aspect::Role;

    fn check(keys: &Keys, _rule: &Table, checks: &mut Checks<'_, '_>) -> Option<Self> {
        let roles = checks.one_or_many(&keys.role, "role")?;
        for role in roles {
            checks.params_exist(role.at, role.value.params());
        }
        Some(Self(values(roles)))
    }

    fn check_list(list: &List<'_>, checks: &mut Checks<'_, '_>) {
        for roles in list.given(|rule| &rule.role.role) {
            let OneOrMany(wanted) = &roles.value;
            if !wanted.is_empty() && !wanted.iter().any(|role| list.may_hold(&role.value)) {
                let problem = Diagnostic::warning(roles.at, "nobody can hold this role here: the rule is never met");
                checks.report(problem.help(
                    "a role counts from an issuer whose `allow_roles` has it, or from `roles` of a sign-in or a bearer that \
                     this route accepts",
                ));
            }
        }
    }

    fn depends_on_path(&self) -> bool {
        self.0.iter().any(|pattern| pattern.params().next().is_some())
    }

    fn meets(&self, facts: &Facts<'_>) -> bool {
        let matches = |role: &String| self.0.iter().any(|pattern| pattern.matches(role, facts.params));
        facts.identity.is_some_and(|who| who.roles.iter().any(matches))
    }

    fn value(&self, params: &dyn Params) -> String {
        list(self.0.iter().map(|pattern| filled(&pattern.parts, params)))
    }

    fn met(&self, facts: &Facts<'_>) -> String {
        of_person(facts, |who| {
            let held = or_none(who.roles.join(", "));
            format!("needs {}; held: {held}", self.value(facts.params))
        })
    }
}
