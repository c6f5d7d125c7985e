//! Moodle as a provider: what its plug-in `local_oidcserver` (MOODLE_401_STABLE) answers, as it was recorded.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::super::tokens::Signer;
use super::double::{Endpoint, OidcDouble};

impl OidcDouble {
    /// A Moodle below `/moodle`: `iss` of its ID tokens is `https://` and the host, whatever its address.
    pub fn local_oidcserver() -> Self {
        let double = Self::placed(Signer::rs256().named("1"), "/moodle", |endpoint| match endpoint {
            Endpoint::Discovery => "/moodle/local/oidcserver/endpoints/config.php",
            Endpoint::Authorize => "/moodle/local/oidcserver/endpoints/authorize.php",
            Endpoint::Token => "/moodle/local/oidcserver/endpoints/token.php",
            Endpoint::Keys => "/moodle/local/oidcserver/endpoints/jwks.php",
            Endpoint::Userinfo => "/moodle/local/oidcserver/endpoints/userinfo.php",
            Endpoint::Logout => "/moodle/local/oidcserver/endpoints/logout.php",
        });
        {
            let mut moodle = double.behave();
            moodle.discovery = json!({
                "issuer": double.issuer(),
                "end_session_endpoint": null,
                "revoke_endpoint": double.url(Endpoint::Logout).replace("logout", "revoke"),
                "logout_endpoint": double.url(Endpoint::Logout),
                "response_types_supported": ["code", "id_token token"],
                "id_token_signing_alg_values_supported": ["RS256"],
            });
            // Base64 as in mail, with padding.
            let mut key = moodle.jwk();
            for part in ["n", "e"] {
                let bytes = URL_SAFE_NO_PAD.decode(key[part].as_str().unwrap()).unwrap();
                key[part] = json!(STANDARD.encode(bytes));
            }
            moodle.keys = Some(json!({ "keys": [key] }).to_string());
            // The key set has it as a string.
            moodle.header = json!({ "typ": "JWT", "kid": 1 });
            moodle.claims = json!({
                "iss": double.origin().replace("http:", "https:"),
                "nonce": null, "at_hash": null, "auth_time": null, "sid": null, "groups": null, "email_verified": null,
                "given_name": "Alicia", "family_name": "Núñez", "picture": "0", "middle_name": "", "nickname": "", "profile": {}, "zoneinfo": "99", "locale": "en",
                "updated_at": "1700000000",
            });
            moodle.userinfo = record();
            moodle.errors_are_pages = true;
            moodle.minds_spelling = true;
        }
        double
    }
}

/// What its userinfo tells: the record as the database has it, without `sub`.
fn record() -> Value {
    json!({
        "sub": null, "preferred_username": null, "name": null, "groups": null, "email_verified": null,
        "id": "7", "auth": "manual", "confirmed": "1", "deleted": "0", "suspended": "0", "username": "alice",
        "idnumber": "", "firstname": "Alice", "lastname": "Liddell", "emailstop": "0", "phone1": "", "phone2": "",
        "institution": "", "department": "", "address": "", "city": "", "country": "DE", "lang": "en",
        "timezone": "99", "secret": "", "picture": "0", "middlename": "", "alternatename": "",
        "timemodified": "1700000000",
    })
}
