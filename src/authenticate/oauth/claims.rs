//! A person's claims as attributes: what rules of roles look at.

use serde_json::{Map, Value};

use super::Failed;
use crate::authenticate::session::{Attributes, TooMany, is_user};

/// Claims about the token and not about the person (OIDC Core 1.0 section 2, RFC 7519 section 4.1, RFC 7800).
const OF_TOKEN: [&str; 17] = [
    "iss",
    "aud",
    "exp",
    "iat",
    "nbf",
    "jti",
    "nonce",
    "at_hash",
    "c_hash",
    "s_hash",
    "azp",
    "sid",
    "auth_time",
    "state",
    "events",
    "cnf",
    "session_state",
];

/// Longest value that is kept, in bytes.
const LONGEST: usize = 2048;

/// What Apereo's servers and Moodle's tell besides, and nobody is to keep.
const OF_NOBODY: [&str; 4] = ["secret", "clientIpAddress", "serverIpAddress", "userAgent"];

/// Adds what the claims say of the person: a list is several values, `b` in an object `a` is `a.b`, texts, numbers and truth
/// values are texts. What Apereo's servers put into an object `attributes`, or into a list of such objects, counts as if
/// it stood beside it.
pub fn add(attributes: &mut Attributes, claims: &Map<String, Value>) -> Result<(), TooMany> {
    for (name, value) in claims {
        match (name.as_str(), value) {
            (name, _) if is_left(name) || name.starts_with("_claim_") => {}
            ("attributes", Value::Object(lifted)) => add_lifted(attributes, lifted)?,
            ("attributes", Value::Array(list)) => {
                for lifted in list.iter().filter_map(Value::as_object) {
                    add_lifted(attributes, lifted)?;
                }
            }
            (name, value) => add_value(attributes, name, value)?,
        }
    }
    Ok(())
}

/// `sub`, or `id`, names the person: nothing among the attributes does.
fn add_lifted(attributes: &mut Attributes, claims: &Map<String, Value>) -> Result<(), TooMany> {
    let others = claims
        .iter()
        .filter(|(name, _)| !["sub", "id"].contains(&name.as_str()) && !is_left(name));
    others
        .into_iter()
        .try_for_each(|(name, value)| add_value(attributes, name, value))
}

fn is_left(name: &str) -> bool {
    OF_TOKEN.contains(&name) || OF_NOBODY.contains(&name)
}

fn add_value(attributes: &mut Attributes, name: &str, value: &Value) -> Result<(), TooMany> {
    match value {
        Value::Null => Ok(()),
        // A picture or a certificate: neither a role nor a name.
        Value::String(text) if text.len() > LONGEST => Ok(()),
        Value::String(text) => attributes.add(name, text),
        Value::Bool(_) | Value::Number(_) => attributes.add(name, &value.to_string()),
        Value::Array(list) => list.iter().try_for_each(|value| add_value(attributes, name, value)),
        Value::Object(members) => members
            .iter()
            .try_for_each(|(member, value)| add_value(attributes, &format!("{name}.{member}"), value)),
    }
}

/// Was this claim left out because it would have been too long (Microsoft's "overage")? That is not the same as none.
pub fn is_left_out(claims: &Map<String, Value>, name: &str) -> bool {
    let elsewhere = claims.get("_claim_names").and_then(Value::as_object);
    elsewhere.is_some_and(|names| names.contains_key(name))
        || (name == "groups" && claims.get("hasgroups").is_some_and(|has| has == true || has == "true"))
}

/// The one usable value of the attribute that names people.
pub fn username(attributes: &Attributes, name: &str) -> Result<String, Failed> {
    match attributes.get(name) {
        [value] if is_user(value) => Ok(value.clone()),
        _ => Err(Failed::NoUsername(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(claims: &Value) -> Attributes {
        let mut attributes = Attributes::default();
        add(&mut attributes, claims.as_object().unwrap()).unwrap();
        attributes
    }

    #[test]
    fn lists_objects_and_scalars_are_values() {
        let attributes = read(&json!({
            "sub": "u1", "iss": "https://idp", "nonce": "n", "groups": ["/staff/video", "/all"], "one": ["x"], "scalar": "x",
            "realm_access": { "roles": ["editor"] }, "email_verified": true, "level": 3, "none": null,
        }));
        assert_eq!(attributes.get("groups"), ["/staff/video", "/all"]);
        assert_eq!(attributes.get("one"), attributes.get("scalar"));
        assert_eq!(attributes.get("realm_access.roles"), ["editor"]);
        assert_eq!(attributes.get("email_verified"), ["true"]);
        assert_eq!(attributes.get("level"), ["3"]);
        assert_eq!(attributes.iter().count(), 7, "nothing of the token itself");
    }

    #[test]
    fn nested_attributes_stand_beside_and_name_nobody() {
        for nested in [
            json!({ "sub": "u1", "attributes": { "mail": "a@x", "sub": "root" } }),
            json!({ "sub": "u1", "attributes": [{ "mail": "a@x" }, { "sub": "root" }] }),
        ] {
            let attributes = read(&nested);
            assert_eq!(attributes.get("mail"), ["a@x"]);
            assert_eq!(attributes.get("sub"), ["u1"]);
        }
    }

    #[test]
    fn what_was_left_out_is_told_from_nothing() {
        let overage = json!({ "_claim_names": { "groups": "src1" }, "_claim_sources": {} });
        assert!(is_left_out(overage.as_object().unwrap(), "groups"));
        assert!(!is_left_out(overage.as_object().unwrap(), "roles"));
        assert!(is_left_out(json!({ "hasgroups": true }).as_object().unwrap(), "groups"));
        assert!(!is_left_out(json!({ "groups": [] }).as_object().unwrap(), "groups"));
    }
}
