//! `sign_in`: did the person sign in at one of these?

use std::sync::Arc;

use super::{Aspect, Checks, Condition, Facts, OneOrMany, Params, Table, keys, known_by, list};

keys! {
    /// Where the person signed in, one or several sign-ins.
    sign_in: OneOrMany<String>,
}

/// Names; no issuer has the name of a sign-in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SignIn(pub(crate) Vec<Arc<str>>);

impl Condition for SignIn {
    type Keys = Keys;

    const ABOUT: Aspect = Aspect::Person;

    fn check(keys: &Keys, _rule: &Table, checks: &mut Checks<'_, '_>) -> Option<Self> {
        let sign_ins = checks.one_or_many(&keys.sign_in, "sign_in")?;
        for sign_in in sign_ins {
            checks.sign_in_exists(sign_in);
        }
        Some(Self(
            sign_ins.iter().map(|sign_in| sign_in.value.as_str().into()).collect(),
        ))
    }

    fn depends_on_path(&self) -> bool {
        false
    }

    fn meets(&self, facts: &Facts<'_>) -> bool {
        facts.identity.is_some_and(|who| self.0.contains(&who.source))
    }

    fn value(&self, _params: &dyn Params) -> String {
        list(self.0.iter().map(ToString::to_string))
    }

    fn met(&self, facts: &Facts<'_>) -> String {
        known_by(facts)
    }
}
