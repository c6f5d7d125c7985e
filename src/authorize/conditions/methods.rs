//! `methods`: is the request's method one of these?

use http::Method;

use super::{Aspect, At, Checks, Condition, Facts, Params, Table, keys, list, values};

keys! {
    /// Request methods.
    methods: Vec<At<Method>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Methods(pub(crate) Vec<Method>);

impl Condition for Methods {
    type Keys = Keys;

    const ABOUT: Aspect = Aspect::Circumstance;
    const OPEN: bool = true;

    fn check(keys: &Keys, _rule: &Table, checks: &mut Checks<'_, '_>) -> Option<Self> {
        let methods = checks.many(&keys.methods, "methods", "name at least one method, or remove it")?;
        Some(Self(values(methods)))
    }

    fn meets(&self, facts: &Facts<'_>) -> bool {
        self.0.contains(facts.method)
    }

    fn value(&self, _params: &dyn Params) -> String {
        list(self.0.iter().map(ToString::to_string))
    }

    fn met(&self, facts: &Facts<'_>) -> String {
        format!("the method is {}", facts.method)
    }
}
