//! The provider's address to which Moodle sends a browser (RFC 6749 section 4.1.1), and what of it the browser gets: only
//! Moodle is asked what it is, so it is held to what a login of Moodle's has to be.

use form_urlencoded::Serializer;
use url::Url;

use super::TokenError;
use crate::config::{LoginPlugin, is_provider_url};
use crate::query;

/// Bytes of an address that proxies in front of providers take; nginx reads 8 KiB of a header by default.
const LONGEST: usize = 8 << 10;

/// What a login of Moodle's must lead to.
pub struct Expected<'a> {
    pub wwwroot: &'a str,
    pub plugin: LoginPlugin,
    /// Of the provider.
    pub origin: &'a url::Origin,
    /// Whom the provider is to sign in, in its own words.
    pub hint: Option<&'a str>,
}

/// For the browser. Whoever has both and the person's session at the provider gets a code for Moodle: neither is printed.
pub struct HandedOut {
    pub url: Url,
    /// What the provider gives back with the code (RFC 6749 section 4.1.2).
    pub state: String,
}

/// Checks where Moodle leads, and asks the provider besides to show nothing (`prompt=none`, OIDC Core 1.0 section 3.1.2.1), for
/// whom it is to be, and to answer by GET: a POST from another site would bring no cookie.
pub fn handed_out(location: &str, expected: &Expected<'_>) -> Result<HandedOut, TokenError> {
    const WRONG: TokenError =
        TokenError::Misconfigured("Moodle's login by the provider leads to no authorization endpoint (https)");
    let mut url = Url::parse(location).map_err(|_| WRONG)?;
    let is_bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if !is_provider_url(&url) || !is_bare {
        return Err(WRONG);
    }
    if url.origin() != *expected.origin {
        return Err(TokenError::OtherProvider {
            seen: url.origin().ascii_serialization(),
            expected: expected.origin.ascii_serialization(),
        });
    }
    let asked = url.query().unwrap_or_default().to_owned();
    let single = |name: &str| query::single(asked.as_bytes(), name);
    if single("response_type").as_deref() != Some("code") {
        return Err(TokenError::Misconfigured(
            "Moodle's login asks the provider for something else than a code",
        ));
    }
    let callback = format!("{}{}", expected.wwwroot, expected.plugin.callback());
    if single("redirect_uri").as_deref() != Some(&callback) {
        return Err(TokenError::Misconfigured(
            "Moodle names the provider another address to come back to: compare $CFG->wwwroot with moodle.public_url; $CFG->admin \
             must be \"admin\"",
        ));
    }
    let state = single("state").filter(|state| !state.is_empty());
    let state = state
        .ok_or(TokenError::Misconfigured("Moodle's login has no state"))?
        .into_owned();
    let mut modes = query::values(asked.as_bytes(), "response_mode");
    if modes.any(|mode| !matches!(&*mode, "query" | "form_post")) {
        return Err(TokenError::Misconfigured(
            "Moodle's login asks the provider for an answer that only browsers see",
        ));
    }
    let pairs = asked
        .split('&')
        .map(|pair| match query::is_named(pair.as_bytes(), "response_mode") {
            true => "response_mode=query",
            false => pair,
        });
    let mut further = Serializer::new(pairs.collect::<Vec<_>>().join("&"));
    let is_said = |name: &str| query::values(asked.as_bytes(), name).next().is_some();
    if !is_said("prompt") {
        further.append_pair("prompt", "none");
    }
    if let Some(hint) = expected.hint.filter(|_| !is_said("login_hint")) {
        further.append_pair("login_hint", hint);
    }
    url.set_query(Some(&further.finish()));
    if url.as_str().len() > LONGEST {
        return Err(TokenError::Misconfigured(
            "Moodle's login leads to an address that is too long",
        ));
    }
    Ok(HandedOut { url, state })
}

/// Why the provider sends a browser back without a code (RFC 6749 section 4.1.2.1, OIDC Core 1.0 section 3.1.2.6). `None`: it
/// says nothing of an error. What it says otherwise is not quoted.
pub fn absence(query: &str) -> Option<TokenError> {
    let told = query::first(query.as_bytes(), "error")?;
    let named = |codes: &[&'static str]| codes.iter().copied().find(|code| **code == *told);
    let quietly = named(&[
        "login_required",
        "interaction_required",
        "consent_required",
        "account_selection_required",
    ]);
    if let Some(code) = quietly {
        return Some(TokenError::NotQuietly(code));
    }
    let refused = named(&[
        "access_denied",
        "invalid_request",
        "unauthorized_client",
        "unsupported_response_type",
        "invalid_scope",
        "server_error",
        "temporarily_unavailable",
        // RFC 8707 section 2: auth_oidc asks for a resource, if only for the empty one.
        "invalid_target",
    ]);
    Some(TokenError::ProviderRefused(refused.unwrap_or("another error")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROOT: &str = "https://moodle.test";
    /// As Moodle 4.4 and oidc-provider were recorded.
    const OAUTH2: &str = "https://idp.test:8445/auth?client_id=moodle&response_type=code&redirect_uri=https%3A%2F%2Fmoodle.test%2Fadmin%2F\
                          oauth2callback.php&state=%2Fauth%2Foauth2%2Flogin.php%3Fwantsurl%3Dx%26sesskey%3DEfrOFe8rlW%26id%3D1&scope=openid%20profile";
    const OIDC: &str = "https://idp.test:8445/auth?response_type=code&client_id=m&scope=openid&nonce=N1&response_mode=form_post&\
                        state=abc&redirect_uri=https%3A%2F%2Fmoodle.test%2Fauth%2Foidc%2F&resource=";

    fn handed(location: &str, plugin: LoginPlugin, hint: Option<&str>) -> Result<HandedOut, TokenError> {
        let origin = Url::parse("https://idp.test:8445/").unwrap().origin();
        let expected = Expected {
            wwwroot: ROOT,
            plugin,
            origin: &origin,
            hint,
        };
        handed_out(location, &expected)
    }

    #[test]
    fn the_browser_gets_moodles_address_and_what_asks_for_silence() {
        let to = handed(OAUTH2, LoginPlugin::OAuth2, Some("anna+x@example.edu")).unwrap();
        assert_eq!(
            to.url.as_str(),
            format!("{OAUTH2}&prompt=none&login_hint=anna%2Bx%40example.edu")
        );
        assert_eq!(to.state, "/auth/oauth2/login.php?wantsurl=x&sesskey=EfrOFe8rlW&id=1");
        let to = handed(OIDC, LoginPlugin::Oidc, None).unwrap();
        assert_eq!(
            to.url.as_str(),
            format!("{}&prompt=none", OIDC.replace("form_post", "query"))
        );
        // What Moodle says itself stays.
        let own = format!("{OAUTH2}&prompt=select_account&login_hint=x");
        assert_eq!(
            handed(&own, LoginPlugin::OAuth2, Some("anna")).unwrap().url.as_str(),
            own
        );
    }

    #[test]
    fn nothing_else_is_handed_out() {
        let state = "state=%2Fauth%2Foauth2%2Flogin.php%3Fwantsurl%3Dx%26sesskey%3DEfrOFe8rlW%26id%3D1";
        for (from, to) in [
            ("https://idp.test:8445", "http://idp.test:8445"),
            ("https://idp.test:8445", "https://idp.test"),
            ("https://idp.test:8445", "https://idp.test.evil.test:8445"),
            ("https://idp.test:8445", "https://me:secret@idp.test:8445"),
            ("https://idp.test:8445", "javascript:alert(1)//idp.test:8445"),
            ("https://idp.test:8445", ""),
            ("response_type=code", "response_type=token"),
            ("response_type=code", "response_type=code%20id_token"),
            ("response_type=code", "response_type=code&response_type=code"),
            ("moodle.test%2Fadmin", "evil.test%2Fadmin"),
            ("moodle.test%2Fadmin", "moodle.test.evil.test%2Fadmin"),
            ("oauth2callback.php", "oauth2callback.php%3Fx"),
            (state, "state="),
            (state, "stat=x"),
            (state, "state=x&state=y"),
            ("&scope", "&response_mode=fragment&scope"),
            ("profile", "profile#x"),
        ] {
            assert!(OAUTH2.contains(from), "{from}");
            let location = OAUTH2.replace(from, to);
            assert!(handed(&location, LoginPlugin::OAuth2, None).is_err(), "{location}");
        }
        assert!(handed(OAUTH2, LoginPlugin::Oidc, None).is_err());
        let long = format!("{OAUTH2}&x={}", "x".repeat(LONGEST));
        assert!(handed(&long, LoginPlugin::OAuth2, None).is_err());
        let Err(other) = handed("https://other.test/auth?response_type=code", LoginPlugin::OAuth2, None) else {
            panic!("another provider");
        };
        assert!(
            other.to_string().contains("https://other.test") && other.to_string().contains("https://idp.test:8445")
        );
        // Loopback, as sign-ins may be.
        let origin = Url::parse("http://127.0.0.1:8445/").unwrap().origin();
        let local = Expected {
            wwwroot: ROOT,
            plugin: LoginPlugin::OAuth2,
            origin: &origin,
            hint: None,
        };
        assert!(
            handed_out(
                &OAUTH2.replace("https://idp.test:8445", "http://127.0.0.1:8445"),
                &local
            )
            .is_ok()
        );
    }

    proptest! {
        #[test]
        fn whatever_moodle_says_nobody_is_led_elsewhere(
            at in 0..OAUTH2.len(), cut in 0..9_usize, put in "[ -~]{0,9}"
        ) {
            let end = (at + cut).min(OAUTH2.len());
            let location = [&OAUTH2[..at], &put, &OAUTH2[end..]].concat();
            if let Ok(to) = handed(&location, LoginPlugin::OAuth2, Some("anna")) {
                prop_assert_eq!(to.url.origin().ascii_serialization(), "https://idp.test:8445");
                let back = to.url.query_pairs().filter(|(name, _)| name == "redirect_uri");
                let back: Vec<_> = back.map(|(_, value)| value.into_owned()).collect();
                prop_assert_eq!(back, ["https://moodle.test/admin/oauth2callback.php"]);
                prop_assert!(!to.state.is_empty());
            }
        }
    }

    #[test]
    fn an_error_is_known_by_its_code_alone() {
        assert!(absence("code=x&state=y").is_none());
        for code in ["login_required", "consent_required"] {
            assert!(
                matches!(
                    absence(&format!("state=y&error={code}")),
                    Some(TokenError::NotQuietly(_))
                ),
                "{code}"
            );
        }
        let told = absence("error=%3Cscript%3E&error_description=secret")
            .unwrap()
            .to_string();
        assert!(told.ends_with("another error"), "{told}");
        assert!(
            absence("error=access_denied&code=x")
                .unwrap()
                .to_string()
                .contains("access_denied")
        );
    }
}
