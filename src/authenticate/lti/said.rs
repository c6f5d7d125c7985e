//! What a launch says of the person, and whom that makes by the configuration in force.
//!
//! Kept in the session as it was said, so that roles which are no longer given are gone with the next look at it.

use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::config::{Lti, LtiRole};
use crate::identity::Identity;

/// Where roles within a course are (LTI Core 1.3, A.2.3), and what stands between a role and its sub-roles.
const MEMBERSHIP: &str = "http://purl.imsglobal.org/vocab/lis/v2/membership";

/// Who is launched, and in which course.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The platform's name here.
    #[serde(rename = "p")]
    pub platform: String,
    /// `sub`; `None`: nobody is named.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// As they were written.
    #[serde(rename = "r")]
    pub roles: Vec<String>,
    /// The `id` of the context: mostly a course.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
}

impl Said {
    /// The person, until `expires`. Names and courses of one platform are none of another one's by the prefix of names, and
    /// by the roles as they are configured.
    pub fn identity(&self, lti: &Lti, expires: SystemTime) -> Identity {
        let mut roles: Vec<String> = Vec::new();
        for role in lti.roles.iter().filter_map(|rule| self.given(rule)) {
            if !roles.contains(&role) {
                roles.push(role);
            }
        }
        let prefix = &lti.username_prefix;
        Identity {
            issuers: Vec::new(),
            source: Arc::clone(&lti.name),
            people: None,
            subject: self.subject.as_ref().map(|subject| format!("{prefix}{subject}")),
            named: lti.may_name_users,
            roles,
            grants: Vec::new(),
            expires,
            access: None,
        }
    }

    fn given(&self, rule: &LtiRole) -> Option<String> {
        let holds = |wanted: &String| self.roles.iter().any(|role| is(role, wanted));
        if !rule.lti.as_ref().is_none_or(holds) {
            return None;
        }
        let LtiRole { before, after, .. } = rule;
        match after {
            Some(after) => Some(format!("{before}{}{after}", self.context.as_ref()?)),
            None => Some(before.clone()),
        }
    }
}

/// Is a role that a platform says the one that is configured? A whole URI is itself alone. A single word is a role of the
/// course, or one of its sub-roles (`…/membership/Instructor#TeachingAssistant`); roles in the institution and the system,
/// which may end with the same word, are none.
fn is(said: &str, wanted: &str) -> bool {
    if wanted.contains([':', '/', '#']) {
        return said == wanted;
    }
    // LTI Core 1.3 section 5.3.7.1: a role of the context may be told by its word alone.
    let Some(rest) = said.strip_prefix(MEMBERSHIP) else {
        return said == wanted;
    };
    match rest.strip_prefix('#') {
        Some(role) => role == wanted,
        None => {
            let principal = rest.strip_prefix('/').and_then(|rest| rest.split_once('#'));
            principal.is_some_and(|(principal, sub_role)| principal == wanted && !sub_role.is_empty())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authenticate::lti::message::testing::lti;

    const SYSTEM: &str = "http://purl.imsglobal.org/vocab/lis/v2/system/person#Administrator";

    fn said(roles: &[&str], context: Option<&str>) -> Said {
        Said {
            platform: "moodle".to_owned(),
            subject: Some("5".to_owned()),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            context: context.map(str::to_owned),
        }
    }

    fn roles(said: &Said, lti: &Lti) -> Vec<String> {
        said.identity(lti, SystemTime::UNIX_EPOCH).roles
    }

    #[test]
    fn roles_of_the_course_are_those_of_opencast() {
        let lti = lti();
        let course = |roles: &[&str]| said(roles, Some("4"));
        for (told, expected) in [
            (
                &["http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"][..],
                &["4_Learner"][..],
            ),
            (&["Instructor"], &["4_Instructor"]),
            (
                &["http://purl.imsglobal.org/vocab/lis/v2/membership/Instructor#TeachingAssistant"],
                &["4_Instructor"],
            ),
            (
                &[
                    "http://purl.imsglobal.org/vocab/lis/v2/membership#Instructor",
                    "Learner",
                    "Instructor",
                ],
                &["4_Learner", "4_Instructor"],
            ),
            // Elsewhere they are something else.
            (
                &["http://purl.imsglobal.org/vocab/lis/v2/institution/person#Instructor"],
                &[],
            ),
            (
                &["http://purl.imsglobal.org/vocab/lis/v2/system/person#Administrator"],
                &[],
            ),
            (
                &["http://purl.imsglobal.org/vocab/lis/v2/membership#Administrator"],
                &[],
            ),
            (&["http://purl.imsglobal.org/vocab/lis/v2/membership/Instructor"], &[]),
            (&["http://purl.imsglobal.org/vocab/lis/v2/membership/Instructor#"], &[]),
            (
                &["http://purl.imsglobal.org/vocab/lis/v2/membership/Mentor#Instructor"],
                &[],
            ),
            (&["http://evil.example/vocab/lis/v2/membership#Instructor"], &[]),
            (&["instructor", "xInstructor", "#Instructor", ""], &[]),
            (&[], &[]),
        ] {
            assert_eq!(roles(&course(told), &lti), expected, "{told:?}");
        }
        assert!(roles(&said(&["Learner"], None), &lti).is_empty(), "in no course");
    }

    #[test]
    fn what_else_there_is_to_give_is_configured() {
        let mut lti = lti();
        lti.roles = vec![
            LtiRole::new(Some(SYSTEM), "ROLE_ADMIN").unwrap(),
            LtiRole::new(None, "ROLE_LTI").unwrap(),
            LtiRole::new(Some("Learner"), "b-{context_id}").unwrap(),
        ];
        assert_eq!(roles(&said(&[SYSTEM], None), &lti), ["ROLE_ADMIN", "ROLE_LTI"]);
        assert_eq!(
            roles(&said(&["Learner", "Administrator"], Some("4")), &lti),
            ["ROLE_LTI", "b-4"]
        );
    }

    #[test]
    fn a_name_is_the_platforms_own() {
        let who = said(&[], None).identity(&lti(), SystemTime::UNIX_EPOCH);
        assert_eq!((who.name(), &*who.source), (Some("lti:moodle:5"), "moodle"));
        let anonymous = Said {
            subject: None,
            ..said(&["Learner"], Some("4"))
        };
        let who = anonymous.identity(&lti(), SystemTime::UNIX_EPOCH);
        assert_eq!((who.name(), who.roles.len(), who.is_somebody()), (None, 1, true));
    }
}
