//! `signed_url`: does a signed address allow the request?

use super::{Aspect, Checks, Condition, Diagnostic, Facts, List, Params, Table, keys, of_person};
use crate::identity::Identity;

keys! {
    /// Is the request's address signed for it (`accept = ["signed-url"]`)? Such a request is nobody's.
    signed_url: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SignedUrl(pub(crate) bool);

fn is_signed(who: &Identity) -> bool {
    who.access.as_ref().is_some_and(|access| access.signed_url)
}

impl Condition for SignedUrl {
    type Keys = Keys;

    const ABOUT: Aspect = Aspect::Presence;
    const KEPT_BY_PASS: bool = false;

    fn check(keys: &Keys, _rule: &Table, _checks: &mut Checks<'_, '_>) -> Option<Self> {
        keys.signed_url.value().copied().map(Self)
    }

    fn check_list(list: &List<'_>, checks: &mut Checks<'_, '_>) {
        for given in list.given(|rule| &rule.signed_url.signed_url) {
            if given.value && !list.takes_signed_urls() {
                let problem =
                    Diagnostic::warning(given.at, "no signed addresses are looked at here: this is never met");
                checks.report(problem.help("add \"signed-url\" to `accept`"));
            }
        }
    }

    fn needs_somebody(keys: &Keys) -> bool {
        keys.signed_url.value() == Some(&true)
    }

    fn meets(&self, facts: &Facts<'_>) -> bool {
        facts.identity.is_some_and(is_signed) == self.0
    }

    fn value(&self, _params: &dyn Params) -> String {
        self.0.to_string()
    }

    fn met(&self, facts: &Facts<'_>) -> String {
        match facts.identity {
            Some(who) if is_signed(who) => format!("signed by {}", who.source),
            _ => of_person(facts, |_| "the address is not signed".to_owned()),
        }
    }
}
