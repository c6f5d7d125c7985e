//! `anyone = true`: opens the route on purpose.

use super::{Aspect, At, Checks, Condition, Diagnostic, Facts, List, Params, Table, keys};

keys! {
    /// `true`: opens the route to everyone.
    anyone: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Anyone;

impl Condition for Anyone {
    type Keys = Keys;

    const ABOUT: Aspect = Aspect::Everyone;

    fn check(keys: &Keys, rule: &Table, checks: &mut Checks<'_, '_>) -> Option<Self> {
        let anyone = keys.anyone.given()?;
        if !anyone.value {
            let problem = Diagnostic::error(anyone.at, "`anyone` can only be true");
            checks.report(problem.help("a rule for nobody is no rule: remove it"));
        } else if rule.count() > 1 {
            let problem = Diagnostic::error(anyone.at, "`anyone` beside other conditions");
            checks.report(problem.help("all conditions of a table must hold: remove `anyone`, it adds nothing"));
        }
        Some(Self)
    }

    fn check_list(list: &List<'_>, checks: &mut Checks<'_, '_>) {
        let is_open = |rule: &&At<Table>| rule.value.anyone.anyone.value() == Some(&true);
        // `signed_in` beside it means that people are asked who they are, for the upstream, and let through all the same.
        let asks = |rule: &At<Table>| rule.value.signed_in.signed_in.value() == Some(&true);
        if let Some(open) = list.rules.iter().find(is_open)
            && !list.denies
            && list.rules.len() > 1
            && !list.rules.iter().any(asks)
        {
            let problem = Diagnostic::warning(open.at, "this rule allows everyone, the others beside it mean nothing");
            checks.report(problem.help("any table of `allow` is enough: remove this one, or the others"));
        }
    }

    fn meets(&self, _facts: &Facts<'_>) -> bool {
        true
    }

    fn value(&self, _params: &dyn Params) -> String {
        "true".to_owned()
    }

    fn met(&self, _facts: &Facts<'_>) -> String {
        String::new()
    }
}
