//! `opencast_security`: does Opencast's own list of who may call what take this request? Only in `allow`.

use std::fmt;
use std::sync::Arc;

use super::{Aspect, Checks, Condition, Diagnostic, Facts, List, Params, Table, keys, or_none};
use crate::config::{SecurityEntry, SecurityList};
use crate::identity::Identity;

keys! {
    /// Opencast's own list of who may call what, by method and path: its file `etc/security/mh_default_org.xml`, or
    /// `"builtin:17"` and `"builtin:18"`, the lists that those versions come with. Whoever is signed in holds ROLE_USER, as in
    /// Opencast, and everybody ROLE_ANONYMOUS. Not in `deny`, nor on a route with `strip`.
    opencast_security: String,
}

#[derive(Clone, PartialEq)]
pub(crate) struct OpencastSecurity {
    written: String,
    pub(crate) list: Arc<SecurityList>,
}

/// With the whole list, since watch passes refer to rules by it.
impl fmt::Debug for OpencastSecurity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "OpencastSecurity({:?})", self.list)
    }
}

impl OpencastSecurity {
    fn entry(&self, facts: &Facts<'_>) -> Option<&SecurityEntry> {
        self.list.find(facts.method, facts.path)
    }
}

impl Condition for OpencastSecurity {
    type Keys = Keys;

    const ABOUT: Aspect = Aspect::Role;
    /// It is about one path, and a pass is for several.
    const KEPT_BY_PASS: bool = false;

    fn check(keys: &Keys, _rule: &Table, checks: &mut Checks<'_, '_>) -> Option<Self> {
        let written = keys.opencast_security.given()?;
        let list = checks.security_list(written)?;
        Some(Self {
            written: written.value.clone(),
            list: Arc::new(list),
        })
    }

    fn check_list(list: &List<'_>, checks: &mut Checks<'_, '_>) {
        for written in list.given(|rule| &rule.opencast_security.opencast_security) {
            if list.denies {
                let problem = Diagnostic::error(written.at, "`opencast_security` in `deny`");
                checks.report(problem.help("it says who may: write it in `allow`"));
            }
            list.needs_whole_path(written.at, "`opencast_security`", checks);
        }
    }

    /// A list may take everyone.
    fn needs_somebody(_keys: &Keys) -> bool {
        false
    }

    fn meets(&self, facts: &Facts<'_>) -> bool {
        let signed_in = facts.identity.is_some_and(Identity::is_somebody);
        let held = facts.identity.map_or(&[][..], |who| &who.roles);
        let entry = self.entry(facts);
        entry.is_some_and(|entry| entry.takes(signed_in, held.iter().map(String::as_str)))
    }

    fn value(&self, _params: &dyn Params) -> String {
        format!("{:?}", self.written)
    }

    fn met(&self, facts: &Facts<'_>) -> String {
        let held = facts.identity.map_or(&[][..], |who| &who.roles);
        match self.entry(facts) {
            Some(entry) => {
                let (name, wanted) = (entry.name(), entry.roles().join(" or "));
                format!("{name} needs {wanted}; held: {}", or_none(held.join(", ")))
            }
            None => format!("no entry is for {} {}", facts.method, facts.path),
        }
    }

    fn known(&self, facts: &Facts<'_>, most: usize) -> String {
        let Some(entry) = self.entry(facts) else {
            return " (no entry)".to_owned();
        };
        let roles: Vec<&str> = entry.roles().iter().take(most).map(String::as_str).collect();
        format!(" ({} needs {})", entry.name(), roles.join(" or "))
    }
}
