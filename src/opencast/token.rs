//! What the gateway tells Opencast of somebody, as a token in Opencast's own schema: `present =
//! "opencast-jwt"`.
//!
//! Opencast believes `sub`: whoever has the name of one of its users has that user's roles too. So a name is
//! told only of people whose source may name users, some names never, and everybody else gets a pseudonym. Opencast
//! keeps the roles of the last token of a name for all who share it, so that no two sets of roles share a pseudonym.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use crate::digest::{hex, sha256_of_parts};
use crate::identity::{Grant, GrantKind, Identity};
use crate::time::unix_seconds;

/// Blank ones make Opencast fail.
const NO_MAIL: &str = "no-mail@janua.invalid";

/// Who that is to Opencast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    sub: String,
    /// Sorted, without duplicates.
    roles: Vec<String>,
    /// Sorted: item, action.
    grants: Vec<(String, String)>,
}

/// A name that is not told; and with it nothing is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused;

impl Shown {
    /// `named`: may the source name users? `never` is in lower case.
    pub(super) fn new(who: &Identity, named: bool, never: &[String]) -> Result<Self, Refused> {
        let mut roles = who.roles.clone();
        roles.sort_unstable();
        roles.dedup();
        let mut grants: Vec<(String, String)> = who.grants.iter().map(item).collect();
        grants.sort_unstable();
        grants.dedup();
        let sub = match who.subject.as_deref().filter(|_| named) {
            Some(name) => {
                let is_odd = name.trim() != name || name.is_empty() || name.contains(char::is_control);
                if is_odd || never.contains(&name.to_lowercase()) {
                    return Err(Refused);
                }
                name.to_owned()
            }
            None => pseudonym(&who.source, &roles, &grants),
        };
        Ok(Self { sub, roles, grants })
    }

    /// Equal only for those who are shown alike.
    pub(super) fn key(&self) -> [u8; 32] {
        hash(&self.sub, &self.roles, &self.grants)
    }

    /// The claims of a token that ends `lifetime` after `now`.
    pub(super) fn claims(&self, now: SystemTime, lifetime: Duration) -> Value {
        let mut claims = json!({
            "exp": unix_seconds(now + lifetime),
            "sub": self.sub,
            "name": self.sub,
            "email": NO_MAIL,
            "roles": self.roles,
        });
        let mut items: Map<String, Value> = Map::new();
        for (item, action) in &self.grants {
            let actions = items.entry(item.clone()).or_insert_with(|| json!([]));
            if let Some(actions) = actions.as_array_mut() {
                actions.push(json!(action));
            }
        }
        if let (Some(claims), false) = (claims.as_object_mut(), items.is_empty()) {
            claims.insert("oc".to_owned(), Value::Object(items));
        }
        claims
    }
}

fn item(grant: &Grant) -> (String, String) {
    let kind = match grant.kind {
        GrantKind::Event => "e",
        GrantKind::Series => "s",
        GrantKind::Playlist => "p",
    };
    (format!("{kind}:{}", grant.id), grant.action.clone())
}

fn pseudonym(source: &str, roles: &[String], grants: &[(String, String)]) -> String {
    let digest = hash(source, roles, grants);
    format!("janua-{}", hex(digest.get(..16).unwrap_or_default()))
}

/// The number of roles stands before them, so that none of them is read as a grant.
fn hash(name: &str, roles: &[String], grants: &[(String, String)]) -> [u8; 32] {
    let count = roles.len().to_string();
    let parts = [name, &count].into_iter().chain(roles.iter().map(String::as_str));
    let parts = parts.chain(grants.iter().flat_map(|(item, action)| [item.as_str(), action]));
    sha256_of_parts(parts.map(str::as_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(source: &str, subject: Option<&str>, roles: &[&str], events: &[&str]) -> Identity {
        let grant = |event: &&str| Grant {
            kind: GrantKind::Event,
            id: (*event).to_owned(),
            action: "read".to_owned(),
        };
        Identity {
            issuers: vec![0],
            source: source.into(),
            subject: subject.map(str::to_owned),
            named: true,
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            grants: events.iter().map(grant).collect(),
            expires: SystemTime::UNIX_EPOCH,
            access: None,
        }
    }

    fn claims(who: &Identity, named: bool) -> Value {
        let shown = Shown::new(who, named, &["admin".to_owned()]).unwrap();
        shown.claims(SystemTime::UNIX_EPOCH, Duration::from_secs(60))
    }

    #[test]
    fn a_person_is_named_only_by_who_may_name_people() {
        let anna = who("moodle", Some("anna"), &["B", "A"], &["one"]);
        let named = claims(&anna, true);
        let expected = json!({ "exp": 60, "sub": "anna", "name": "anna", "email": NO_MAIL, "roles": ["A", "B"],
            "oc": { "e:one": ["read"] } });
        assert_eq!(named, expected);
        let hidden = claims(&anna, false);
        assert!(hidden["sub"].as_str().unwrap().starts_with("janua-"));
        assert!(!hidden.to_string().contains("anna"));
    }

    #[test]
    fn no_two_sets_of_roles_share_a_pseudonym() {
        let pseudonyms = [
            who("moodle", None, &[], &[]),
            who("ilias", None, &[], &[]),
            who("moodle", None, &["A"], &[]),
            who("moodle", None, &["A", "B"], &[]),
            who("moodle", None, &["AB"], &[]),
            who("moodle", None, &["A"], &["one"]),
            who("moodle", None, &["A"], &["two"]),
        ];
        let distinct: std::collections::HashSet<String> = pseudonyms
            .iter()
            .map(|who| claims(who, true)["sub"].to_string())
            .collect();
        assert_eq!(distinct.len(), pseudonyms.len());
        let (one, other) = (who("m", None, &["A", "B"], &[]), who("m", None, &["B", "A", "A"], &[]));
        assert_eq!(claims(&one, true), claims(&other, true));
    }

    #[test]
    fn some_names_are_never_told() {
        let never = ["admin".to_owned()];
        for name in ["admin", "Admin", "ADMIN", "", " anna", "anna\n", "an\0na"] {
            let somebody = who("moodle", Some(name), &[], &[]);
            assert_eq!(Shown::new(&somebody, true, &never), Err(Refused), "{name:?}");
            assert!(Shown::new(&somebody, false, &never).is_ok(), "a pseudonym is no name");
        }
    }
}
