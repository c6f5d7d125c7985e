//! `client`: was the access token made for one of these clients?

use super::{
    Aspect, Checks, Condition, Diagnostic, Facts, List, OneOrMany, Params, Table, keys, list, of_access, or_none,
    values,
};

keys! {
    /// The client that the access token was made for (`client_id`, `azp`), one or several.
    client: OneOrMany<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Client(pub(crate) Vec<String>);

impl Condition for Client {
    type Keys = Keys;

    const ABOUT: Aspect = Aspect::Person;

    fn check(keys: &Keys, _rule: &Table, checks: &mut Checks<'_, '_>) -> Option<Self> {
        let clients = checks.one_or_many(&keys.client, "client")?;
        Some(Self(values(clients)))
    }

    fn check_list(list: &List<'_>, checks: &mut Checks<'_, '_>) {
        for client in list.given(|rule| &rule.client.client) {
            if !list.takes_bearers() {
                let problem = Diagnostic::warning(client.at, "no access tokens are looked at here: this is never met");
                checks.report(problem.help("add accept = [\"bearer\"]: clients are those of access tokens"));
            }
        }
    }

    fn depends_on_path(&self) -> bool {
        false
    }

    fn meets(&self, facts: &Facts<'_>) -> bool {
        let access = facts.identity.and_then(|who| who.access.as_deref());
        let client = access.and_then(|access| access.client.as_ref());
        client.is_some_and(|client| self.0.contains(client))
    }

    fn value(&self, _params: &dyn Params) -> String {
        list(self.0.iter().cloned())
    }

    fn met(&self, facts: &Facts<'_>) -> String {
        of_access(facts, |access| {
            format!("client: {}", or_none(access.client.clone().unwrap_or_default()))
        })
    }
}
