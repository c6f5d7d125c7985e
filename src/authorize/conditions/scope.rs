//! `scope`: has the access token one of these scopes?

use super::{
    Aspect, Checks, Condition, Diagnostic, Facts, List, OneOrMany, Params, Table, keys, list, of_access, or_none,
    values,
};

keys! {
    /// A scope of the access token, one or several: any of them is enough.
    scope: OneOrMany<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scope(pub(crate) Vec<String>);

impl Condition for Scope {
    type Keys = Keys;

    const ABOUT: Aspect = Aspect::Scope;

    fn check(keys: &Keys, _rule: &Table, checks: &mut Checks<'_, '_>) -> Option<Self> {
        let scopes = checks.one_or_many(&keys.scope, "scope")?;
        for scope in scopes {
            // RFC 6749 section 3.3: it stands in challenges as it is.
            let is_letter = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
            if scope.value.is_empty() || !scope.value.bytes().all(is_letter) {
                let problem = Diagnostic::error(scope.at, "this is no scope");
                checks.report(problem.help("write one, without spaces; of several, a list: scope = [\"a\", \"b\"]"));
            }
        }
        Some(Self(values(scopes)))
    }

    fn check_list(list: &List<'_>, checks: &mut Checks<'_, '_>) {
        for scope in list.given(|rule| &rule.scope.scope) {
            if !list.takes_bearers() {
                let problem = Diagnostic::warning(scope.at, "no access tokens are looked at here: this is never met");
                checks.report(problem.help("add accept = [\"bearer\"]: scopes are those of access tokens"));
            }
        }
    }

    fn scopes(&self) -> &[String] {
        &self.0
    }

    fn depends_on_path(&self) -> bool {
        false
    }

    fn meets(&self, facts: &Facts<'_>) -> bool {
        let access = facts.identity.and_then(|who| who.access.as_deref());
        access.is_some_and(|access| access.scopes.iter().any(|held| self.0.contains(held)))
    }

    fn value(&self, _params: &dyn Params) -> String {
        list(self.0.iter().cloned())
    }

    fn met(&self, facts: &Facts<'_>) -> String {
        of_access(facts, |access| format!("scopes: {}", or_none(access.scopes.join(" "))))
    }
}
