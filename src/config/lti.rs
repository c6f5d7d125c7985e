//! Learning platforms whose launches by LTI 1.3 are taken: `[lti.<name>]`, checked.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use url::Url;

use super::{Algorithm, ClientKey, Launch, Outgoing};

/// A platform. Its name is the source of its people; no issuer, sign-in and bearer has the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lti {
    pub name: Arc<str>,
    /// `iss`, to the letter.
    pub issuer: String,
    /// What the platform calls this tool; several: it has registered it several times.
    pub client_ids: Vec<String>,
    /// Where a browser is sent to be named.
    pub auth_login_url: Url,
    pub jwks_url: Url,
    /// Whose launches count; of others none does.
    pub deployment_ids: Vec<String>,
    pub roles: Vec<LtiRole>,
    /// Stands before each name (`sub`), so that nobody has the name of somebody else's people.
    pub username_prefix: String,
    /// Do rules and upstreams go by the name?
    pub may_name_users: bool,
    /// The page for launches that name none.
    pub target: Option<String>,
    /// The page of a video, by its id: `{id}`.
    pub content: Option<String>,
    pub algorithms: Vec<Algorithm>,
    pub leeway: Duration,
    pub launch: Launch,
    /// The key that answers to requests for content are signed with; `None`: such requests are refused.
    pub key_file: Option<PathBuf>,
    /// Further roots for https.
    pub outgoing: Outgoing,
}

impl Lti {
    /// The key by which it is known to the platform, if it has one.
    pub fn signing_key(&self) -> Option<ClientKey> {
        let file = self.key_file.clone()?;
        Some(ClientKey {
            file,
            id: Some(format!("janua-lti-{}", self.name)),
        })
    }
}

/// `{ lti = "Learner", role = "{context_id}_Learner" }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LtiRole {
    /// A role of the course by its last word, or any by its whole URI; `None`: for everybody.
    pub lti: Option<String>,
    /// What stands before `{context_id}`, or all of it.
    pub before: String,
    /// What stands after `{context_id}`; `None`: the role has none.
    pub after: Option<String>,
}

/// Why a role is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LtiRoleError {
    #[error("it is empty")]
    Empty,
    #[error("a role has no control characters, no comma and no white space at its ends")]
    Characters,
    #[error("the only braces in it are those of one `{{context_id}}`")]
    Braces,
}

impl LtiRole {
    /// Reads the `lti` and the `role` of a rule.
    pub fn new(lti: Option<&str>, role: &str) -> Result<Self, LtiRoleError> {
        if role.is_empty() || lti.is_some_and(str::is_empty) {
            return Err(LtiRoleError::Empty);
        }
        if role.trim() != role || role.contains(|letter: char| letter.is_control() || letter == ',') {
            return Err(LtiRoleError::Characters);
        }
        let (before, after) = match role.split_once("{context_id}") {
            Some((before, after)) => (before, Some(after)),
            None => (role, None),
        };
        if [before, after.unwrap_or_default()]
            .iter()
            .any(|text| text.contains(['{', '}']))
        {
            return Err(LtiRoleError::Braces);
        }
        Ok(Self {
            lti: lti.map(str::to_owned),
            before: before.to_owned(),
            after: after.map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_has_at_most_one_context_and_no_other_brace() {
        let rule = LtiRole::new(Some("Learner"), "moodle_{context_id}_Learner").unwrap();
        assert_eq!(
            (rule.before.as_str(), rule.after.as_deref()),
            ("moodle_", Some("_Learner"))
        );
        assert_eq!(LtiRole::new(None, "ROLE_USER").unwrap().after, None);
        for (lti, role, error) in [
            (None, "", LtiRoleError::Empty),
            (Some(""), "R", LtiRoleError::Empty),
            (None, "{context_id}{context_id}", LtiRoleError::Braces),
            (None, "R_{course}", LtiRoleError::Braces),
            (None, "R,S", LtiRoleError::Characters),
            (None, "R ", LtiRoleError::Characters),
        ] {
            assert_eq!(LtiRole::new(lti, role), Err(error), "{role:?}");
        }
    }
}
