//! Which roles follow from a person's attributes.
//!
//! What a role allows is decided by the rules of a route; what a rule may look like, by the configuration.

use std::collections::HashSet;

use super::Attributes;
use crate::config::cas::RoleRule;

/// Longest value that becomes part of a role, in bytes: names of groups as directories and federations write them fit.
const MAX_VALUE: usize = 512;

/// The roles of a person: rules in order, values in order, no role twice. None is left out for their number: a rule of
/// `deny` may name the last one. How many values there are is bounded when the server's answer is read.
///
/// A value is inserted to the letter: case, spaces and other scripts stay. It is passed over where it could become more
/// than one role, or another one, on the way to an upstream, which may get them in a header, with commas between: if it
/// is blank, padded, longer than 512 bytes, or has control characters, line separators or commas. A role in which no
/// value stands follows from any value that is not blank.
pub fn roles(rules: &[RoleRule], attributes: &Attributes) -> Vec<String> {
    let mut known = HashSet::new();
    let mut roles: Vec<String> = Vec::new();
    for role in rules.iter().flat_map(|rule| of_rule(rule, attributes)) {
        if known.insert(role.clone()) {
            roles.push(role);
        }
    }
    roles
}

/// The attributes whose values should become part of a role, and how many of them do not: an operator could look for the
/// reason for long.
pub fn passed_over<'r>(
    rules: &'r [RoleRule],
    attributes: &'r Attributes,
) -> impl Iterator<Item = (&'r str, usize)> + 'r {
    let inserting = rules.iter().filter(|rule| rule.after.is_some());
    inserting.filter_map(|rule| {
        let attribute = rule.attribute.as_deref()?;
        let values = attributes.get(attribute).iter();
        let count = values.filter(|value| !is_usable(value)).count();
        (count > 0).then_some((attribute, count))
    })
}

fn of_rule(rule: &RoleRule, attributes: &Attributes) -> Vec<String> {
    let values = match &rule.attribute {
        None => return vec![rule.before.clone()],
        Some(attribute) => attributes.get(attribute),
    };
    match &rule.after {
        Some(after) => {
            let values = values.iter().filter(|value| is_usable(value));
            values.map(|value| format!("{}{value}{after}", rule.before)).collect()
        }
        None => {
            let has_one = values.iter().any(|value| !value.trim().is_empty());
            Vec::from_iter(has_one.then(|| rule.before.clone()))
        }
    }
}

fn is_usable(value: &str) -> bool {
    let odd = |letter: char| letter.is_control() || matches!(letter, ',' | '\u{2028}' | '\u{2029}');
    !value.is_empty() && value.len() <= MAX_VALUE && value.trim() == value && !value.contains(odd)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn affiliations(values: &[&str]) -> Attributes {
        let mut attributes = Attributes::default();
        for value in values {
            attributes.add("affiliation", value).unwrap();
        }
        attributes
    }

    fn rule(attribute: Option<&str>, role: &str) -> RoleRule {
        RoleRule::new(attribute, role).unwrap()
    }

    #[test]
    fn values_become_roles_in_order_and_once() {
        let rules = [
            rule(Some("affiliation"), "ROLE_AFFILIATION_{value}"),
            rule(Some("affiliation"), "ROLE_MEMBER"),
            rule(Some("eduPersonEntitlement"), "ROLE_ENTITLED"),
            rule(None, "ROLE_USER"),
            rule(None, "ROLE_AFFILIATION_student"),
        ];
        assert_eq!(
            roles(&rules, &affiliations(&["student", "member of staff", "Münze"])),
            [
                "ROLE_AFFILIATION_student",
                "ROLE_AFFILIATION_member of staff",
                "ROLE_AFFILIATION_Münze",
                "ROLE_MEMBER",
                "ROLE_USER"
            ]
        );
        assert_eq!(
            roles(&rules, &affiliations(&[])),
            ["ROLE_USER", "ROLE_AFFILIATION_student"]
        );
        assert!(roles(&[], &affiliations(&["student"])).is_empty());
    }

    #[test]
    fn a_value_that_could_become_another_role_is_passed_over() {
        let rules = [rule(Some("affiliation"), "{value}")];
        let long = "x".repeat(MAX_VALUE + 1);
        let odd = ["x,ROLE_ADMIN", "x\nROLE_ADMIN", " ROLE_ADMIN", "x\u{2028}y", &long];
        assert!(roles(&rules, &affiliations(&odd)).is_empty());
        let told = |values: &[&str]| {
            passed_over(&rules, &affiliations(values))
                .map(|(_, count)| count)
                .collect::<Vec<_>>()
        };
        assert_eq!(told(&odd), [odd.len()]);
        assert!(told(&["staff"]).is_empty());
        assert_eq!(roles(&rules, &affiliations(&["{value}", "*"])), ["{value}", "*"]);
        let fixed = [rule(Some("affiliation"), "ROLE_STAFF")];
        assert_eq!(
            roles(&fixed, &affiliations(&["CN=Staff,OU=Groups,DC=example,DC=edu"])),
            ["ROLE_STAFF"]
        );
        assert!(roles(&fixed, &affiliations(&[" "])).is_empty());
    }

    proptest! {
        #[test]
        fn a_role_with_a_value_begins_and_ends_as_its_rule_does(value in any::<String>()) {
            let rules = [rule(Some("affiliation"), "A_{value}_Z")];
            let roles = roles(&rules, &affiliations(&[&value]));
            prop_assert!(roles.len() <= 1);
            for role in roles {
                prop_assert_eq!(role, format!("A_{value}_Z"));
            }
        }
    }
}
