//! The checked types of a CAS sign-in: which protocol is spoken, and which roles follow from attributes.
//!
//! What a CAS server answers, and what a rule makes of it, is decided in `sign_in/cas`.

use thiserror::Error;

/// The version of the protocol, which decides the endpoint and the form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// `/validate`: a user name and nothing else.
    Cas1,
    /// `/serviceValidate`: XML, and proxy tickets.
    Cas2,
    /// `/p3/serviceValidate`: the same with attributes.
    #[default]
    Cas3,
}

/// `{ attribute = "eduPersonAffiliation", role = "ROLE_AFFILIATION_{value}" }` or `{ role = "ROLE_USER" }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleRule {
    /// Without one, everybody who signs in gets the role.
    pub attribute: Option<String>,
    /// What stands before `{value}`, or all of it.
    pub before: String,
    /// What stands after `{value}`; `None`: the role has no `{value}` and is given if the attribute has any value.
    pub after: Option<String>,
}

/// Why a rule is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RoleRuleError {
    #[error("it is empty")]
    Empty,
    #[error("a role has no control characters, no comma and no white space at its ends")]
    Characters,
    #[error("the only braces in it are those of one `{{value}}`")]
    Braces,
    #[error("`{{value}}` needs an `attribute` beside it")]
    ValueOfNothing,
}

impl RoleRule {
    /// Reads the `attribute` and the `role` of a rule.
    pub fn new(attribute: Option<&str>, role: &str) -> Result<Self, RoleRuleError> {
        if role.is_empty() || attribute.is_some_and(str::is_empty) {
            return Err(RoleRuleError::Empty);
        }
        if role.trim() != role || role.contains(|letter: char| letter.is_control() || letter == ',') {
            return Err(RoleRuleError::Characters);
        }
        let (before, after) = match role.split_once("{value}") {
            Some((before, after)) => (before, Some(after)),
            None => (role, None),
        };
        if [before, after.unwrap_or_default()]
            .iter()
            .any(|text| text.contains(['{', '}']))
        {
            return Err(RoleRuleError::Braces);
        }
        if after.is_some() && attribute.is_none() {
            return Err(RoleRuleError::ValueOfNothing);
        }
        Ok(Self {
            attribute: attribute.map(str::to_owned),
            before: before.to_owned(),
            after: after.map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_has_at_most_one_value_and_no_other_brace() {
        let rule = RoleRule::new(Some("affiliation"), "A_{value}_Z").unwrap();
        assert_eq!(
            (rule.before.as_str(), rule.after.as_deref()),
            ("A_", Some("_Z")),
            "{rule:?}"
        );
        assert_eq!(RoleRule::new(None, "ROLE_USER").unwrap().after, None);
        for (attribute, role, error) in [
            (None, "", RoleRuleError::Empty),
            (Some(""), "R", RoleRuleError::Empty),
            (Some("a"), "{value}{value}", RoleRuleError::Braces),
            (Some("a"), "R_{course}", RoleRuleError::Braces),
            (Some("a"), "R_{value", RoleRuleError::Braces),
            (None, "R_{value}", RoleRuleError::ValueOfNothing),
            (Some("a"), "R,S", RoleRuleError::Characters),
            (Some("a"), "R\n", RoleRuleError::Characters),
        ] {
            assert_eq!(RoleRule::new(attribute, role), Err(error), "{role:?}");
        }
    }
}
