//! `issuer`: do the keys of one of these issuers verify the token?

use std::sync::Arc;

use super::{Aspect, Checks, Condition, Facts, OneOrMany, Params, Table, keys, known_by, list};

keys! {
    /// Whose token it is, one or several issuers.
    issuer: OneOrMany<String>,
}

/// Names; no sign-in has the name of an issuer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Issuer(pub(crate) Vec<Arc<str>>);

impl Condition for Issuer {
    type Keys = Keys;

    const ABOUT: Aspect = Aspect::Person;
    const KEPT_BY_PASS: bool = false;

    fn check(keys: &Keys, _rule: &Table, checks: &mut Checks<'_, '_>) -> Option<Self> {
        let issuers = checks.one_or_many(&keys.issuer, "issuer")?;
        for issuer in issuers {
            checks.issuer_exists(issuer);
        }
        Some(Self(
            issuers.iter().map(|issuer| issuer.value.as_str().into()).collect(),
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
