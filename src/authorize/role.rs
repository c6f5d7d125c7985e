//! Condition `role`: does the identity hold a role that one of the patterns describes?

use crate::config::pattern::{Params, RolePattern};
use crate::identity::Identity;

pub(super) fn held(identity: &Identity, patterns: &[RolePattern], params: &dyn Params) -> bool {
    let matches = |role: &String| patterns.iter().any(|pattern| pattern.matches(role, params));
    identity.roles.iter().any(matches)
}
