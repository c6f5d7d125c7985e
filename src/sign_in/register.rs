//! What the operator of a sign-in server can paste there, for the servers whose forms are known.

use serde_json::{Map, Value, json};

use crate::digest::sha256;

/// A service of Apereo's CAS, in its JSON, on one line. `class` is below `org.apereo.cas`; `address` is the redirect URI or the
/// callback, behind which the server may be shown any query. `more` are further members.
pub(super) fn apereo(class: &str, name: &str, address: &str, more: Value) -> String {
    // Regular expressions of Java: of what may stand in an address, these have a meaning.
    let escaped: String = address
        .chars()
        .flat_map(|letter| {
            ".+()[]{}$^|*?"
                .contains(letter)
                .then_some('\\')
                .into_iter()
                .chain([letter])
        })
        .collect();
    let [a, b, c, ..] = sha256(address.as_bytes());
    let mut service = Map::new();
    service.insert("@class".to_owned(), json!(format!("org.apereo.cas.{class}")));
    service.insert("name".to_owned(), json!(name));
    // Only another service of the same number is in its way.
    service.insert("id".to_owned(), json!(u32::from_be_bytes([0, a, b, c])));
    service.insert("serviceId".to_owned(), json!(format!("^{escaped}(\\?.*)?$")));
    if let Value::Object(more) = more {
        service.extend(more);
    }
    format!("as a service of Apereo's CAS: {}", Value::Object(service))
}

/// A client of Keycloak's, as its command makes it. `logout`: the address of the back channel.
pub(super) fn keycloak(issuer: &str, client_id: &str, callback: &str, logout: Option<&str>) -> Option<String> {
    let (_, realm) = issuer.split_once("/realms/")?;
    let attributes = match logout {
        Some(logout) => json!({
            "post.logout.redirect.uris": callback,
            "backchannel.logout.url": logout,
            "backchannel.logout.session.required": "true",
        }),
        None => json!({ "post.logout.redirect.uris": callback }),
    };
    let quoted = |text: String| format!("'{}'", text.replace('\'', "'\\''"));
    Some(format!(
        "at Keycloak: kcadm.sh create clients -r {} -s {} -s publicClient=false -s {} -s {}",
        quoted(realm.trim_end_matches('/').to_owned()),
        quoted(format!("clientId={client_id}")),
        quoted(format!("redirectUris={}", json!([callback]))),
        quoted(format!("attributes={attributes}")),
    ))
}

/// The fields of a client in Moodle's local_oidcserver, for a discovery document of it.
pub(super) fn oidcserver(discovery: &str, client_id: &str, callback: &str) -> Option<String> {
    discovery.contains("/local/oidcserver/").then(|| {
        format!("in Moodle, local_oidcserver: a client with Client ID {client_id:?}, Redirect URI {callback}, and its secret")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pasted_holds_the_very_address() {
        let callback = "https://video.example.edu/_janua/oidc/campus/callback";
        let told = apereo(
            "services.CasRegisteredService",
            "Janua",
            callback,
            json!({ "logoutType": "BACK_CHANNEL" }),
        );
        let (_, json) = told.split_once(": ").unwrap();
        let service: Value = serde_json::from_str(json).unwrap();
        assert_eq!(
            service["serviceId"],
            r"^https://video\.example\.edu/_janua/oidc/campus/callback(\?.*)?$"
        );
        assert_eq!(service["@class"], "org.apereo.cas.services.CasRegisteredService");
        assert_eq!(service["logoutType"], "BACK_CHANNEL");
        let told = keycloak(
            "https://idp.example.edu/realms/o'hara",
            "janua",
            callback,
            Some("https://x/logout"),
        )
        .unwrap();
        assert!(told.contains(r"-r 'o'\''hara' "), "{told}");
        assert!(told.contains(&format!(r#"'redirectUris=["{callback}"]'"#)), "{told}");
        assert!(
            told.contains(r#""backchannel.logout.url":"https://x/logout""#),
            "{told}"
        );
        assert_eq!(keycloak("https://login.example.edu", "janua", callback, None), None);
        let there = oidcserver("https://m/local/oidcserver/endpoints/config.php", "janua", callback);
        assert!(there.is_some_and(|told| told.contains(callback)));
        assert_eq!(
            oidcserver("https://m/.well-known/openid-configuration", "janua", callback),
            None
        );
    }
}
