//! `signed_in`: does a person or token stand behind the request?

use super::{Aspect, Checks, Condition, Facts, Params, Table, keys, of_person};
use crate::identity::Identity;

keys! {
    /// Does a valid token stand behind the request? An access token of no person does not count.
    signed_in: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SignedIn(pub(crate) bool);

impl Condition for SignedIn {
    type Keys = Keys;

    const ABOUT: Aspect = Aspect::Presence;
    const KEPT_BY_PASS: bool = false;

    fn check(keys: &Keys, _rule: &Table, _checks: &mut Checks<'_, '_>) -> Option<Self> {
        keys.signed_in.value().copied().map(Self)
    }

    fn needs_somebody(keys: &Keys) -> bool {
        keys.signed_in.value() == Some(&true)
    }

    fn depends_on_path(&self) -> bool {
        false
    }

    fn meets(&self, facts: &Facts<'_>) -> bool {
        facts.identity.is_some_and(Identity::is_somebody) == self.0
    }

    fn value(&self, _params: &dyn Params) -> String {
        self.0.to_string()
    }

    fn met(&self, facts: &Facts<'_>) -> String {
        of_person(facts, |who| match who.is_somebody() {
            true => format!("signed in by {}", who.source),
            false => "an access token of no person".to_owned(),
        })
    }
}
