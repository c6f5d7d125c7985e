//! What the claims of a launch must say, once the signature is good (LTI Core 1.3 sections 4 and 5; IMS Security Framework 1.0
//! section 5.1.3), and what is taken of them.

use std::time::{Duration, SystemTime};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use serde_json::{Map, Value};

use super::said::Said;
use crate::authenticate::oauth::error::words;
use crate::authenticate::token::json;
use crate::authenticate::token::jws::Signed;
use crate::config::Lti;
use crate::rejection::{Reason, Rejection};
use crate::time::unix_seconds;

/// What the names of claims of LTI begin with.
const CLAIM: &str = "https://purl.imsglobal.org/spec/lti/claim/";
/// The same of deep linking (LTI Deep Linking 2.0 section 4.4).
const DEEP_LINKING: &str = "https://purl.imsglobal.org/spec/lti-dl/claim/deep_linking_settings";
/// Longest `sub` (OIDC Core 1.0 section 2), and longest `id` of a context.
const LONGEST_NAME: usize = 255;
/// Roles of one person, and bytes of each.
const MOST_ROLES: usize = 64;
const LONGEST_ROLE: usize = 255;
/// Bytes of what a platform wants to have back.
const LONGEST_DATA: usize = 16 << 10;

/// A launch that is meant here.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    pub said: Said,
    /// The page that the platform names.
    pub target: String,
    /// The custom parameter of this name: a page, where the platform names the launch itself.
    pub custom_target: Option<String>,
    pub deployment: String,
    /// Is content to be chosen?
    pub choosing: Option<Choosing>,
}

/// A request for content (LTI Deep Linking 2.0).
#[derive(Debug, PartialEq, Eq)]
pub struct Choosing {
    pub return_url: String,
    /// To be sent back as it came.
    pub data: Option<String>,
    /// Does the platform take links to this tool?
    pub takes_links: bool,
}

/// What a message is held against.
pub struct Expected<'a> {
    pub config: &'a Lti,
    /// The platform has called this tool so at the beginning.
    pub client_id: &'a str,
    /// Sent with the request.
    pub nonce: &'a str,
    pub now: SystemTime,
}

/// Judges the claims. Error: the reason, with what to do about it for the log.
pub fn judged(token: &Signed, expected: &Expected<'_>) -> Result<Message, Rejection> {
    let (claims, lti) = (&token.claims, expected.config);
    let refused = |reason: Reason, detail: String| Rejection::because(reason, format!("lti.{}: {detail}", lti.name));
    let malformed = |name: &str| {
        refused(
            Reason::MalformedToken,
            format!("{name} is missing, or not what it must be"),
        )
    };
    let typ = token.typ.as_deref().unwrap_or("JWT");
    if !typ.eq_ignore_ascii_case("JWT") || claims.contains_key("events") {
        return Err(refused(
            Reason::WrongType,
            format!("typ is {:?}: it is no launch", words(typ)),
        ));
    }
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let of_lti = |name: &str| claims.get(&format!("{CLAIM}{name}")).filter(|value| !value.is_null());
    match text("iss") {
        Some(issuer) if issuer == lti.issuer => {}
        issuer => {
            let issuer = words(issuer.unwrap_or("missing"));
            let detail = format!("iss is {issuer:?}: `issuer` must be that to the letter");
            return Err(refused(Reason::WrongIssuer, detail));
        }
    }
    is_meant_here(claims, expected.client_id).map_err(|detail| refused(Reason::WrongAudience, detail.to_owned()))?;
    in_time(claims, expected).map_err(|(reason, detail)| refused(reason, detail))?;
    let is_answer = text("nonce").is_some_and(|nonce| is_same(nonce, expected.nonce));
    if !is_answer {
        return Err(refused(
            Reason::LaunchStale,
            "nonce is not the one that was sent".to_owned(),
        ));
    }
    let deployment = of_lti("deployment_id").and_then(|value| name(value, LONGEST_NAME));
    let deployment = deployment.ok_or_else(|| malformed("deployment_id"))?;
    if !lti.deployment_ids.contains(&deployment) {
        let detail = format!(
            "deployment_id is {:?}: add it to `deployment_ids`, if it is yours",
            words(&deployment)
        );
        return Err(refused(Reason::WrongAudience, detail));
    }
    if of_lti("version").and_then(Value::as_str) != Some("1.3.0") {
        return Err(malformed("version"));
    }
    let choosing = match of_lti("message_type").and_then(Value::as_str) {
        Some("LtiResourceLinkRequest") => None,
        Some("LtiDeepLinkingRequest") => {
            let settings = claims.get(DEEP_LINKING).and_then(Value::as_object);
            Some(
                settings
                    .and_then(choosing)
                    .ok_or_else(|| malformed("deep_linking_settings"))?,
            )
        }
        other => {
            let other = words(other.unwrap_or("missing"));
            return Err(refused(
                Reason::WrongType,
                format!("message_type is {other:?}, which is not known here"),
            ));
        }
    };
    let target = of_lti("target_link_uri").and_then(Value::as_str);
    let target = target.ok_or_else(|| malformed("target_link_uri"))?.to_owned();
    let subject = match claims.get("sub").filter(|value| !value.is_null()) {
        None => None,
        Some(value) => Some(name(value, LONGEST_NAME).ok_or_else(|| malformed("sub"))?),
    };
    let context = of_lti("context")
        .and_then(|context| context.get("id"))
        .filter(|id| !id.is_null());
    // What separates roles from one another would make several of one.
    let is_one = |id: &String| !id.contains(',');
    let context = match context {
        None => None,
        Some(id) => Some(
            name(id, LONGEST_NAME)
                .filter(is_one)
                .ok_or_else(|| malformed("the id of context"))?,
        ),
    };
    let roles = match of_lti("roles") {
        None => Vec::new(),
        Some(roles) => roles_of(roles).ok_or_else(|| malformed("roles"))?,
    };
    let custom_target = of_lti("custom").and_then(|custom| custom.get("target"));
    Ok(Message {
        said: Said {
            platform: lti.name.to_string(),
            subject,
            roles,
            context,
        },
        target,
        custom_target: custom_target
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
            .map(str::to_owned),
        deployment,
        choosing,
    })
}

/// IMS Security Framework 1.0 section 5.1.3: `aud` names this client; `azp` where it names others, too.
fn is_meant_here(claims: &Map<String, Value>, client_id: &str) -> Result<(), &'static str> {
    let audience = claims.get("aud").and_then(json::list).ok_or("aud is missing")?;
    if !audience.iter().any(|one| **one == *client_id) {
        return Err("aud does not name the client of the login");
    }
    match claims.get("azp").filter(|party| !party.is_null()) {
        Some(party) if *party == *client_id => Ok(()),
        None if audience.len() == 1 => Ok(()),
        _ => Err("azp does not name the client of the login"),
    }
}

fn in_time(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), (Reason, String)> {
    let seconds = |name: &str| {
        const YEAR_9999: f64 = 253_402_300_799.0;
        let date = claims
            .get(name)
            .and_then(Value::as_f64)
            .filter(|date| (0.0..=YEAR_9999).contains(date));
        let whole = date.and_then(|date| Duration::try_from_secs_f64(date).ok());
        whole
            .map(|whole| whole.as_secs())
            .ok_or((Reason::MalformedToken, format!("{name} is no time")))
    };
    let (now, leeway) = (unix_seconds(expected.now), expected.config.leeway.as_secs());
    let clocks = "does the clock of either machine differ?";
    if seconds("exp")?.saturating_add(leeway) <= now {
        return Err((Reason::TokenExpired, clocks.to_owned()));
    }
    let latest = now.saturating_add(leeway);
    let has_begun = !claims.contains_key("nbf") || seconds("nbf")? <= latest;
    if seconds("iat")? > latest || !has_begun {
        return Err((Reason::TokenNotYetValid, clocks.to_owned()));
    }
    Ok(())
}

fn is_same(a: &str, b: &str) -> bool {
    verify_slices_are_equal(a.as_bytes(), b.as_bytes()).is_ok()
}

/// A text that names something.
fn name(value: &Value, longest: usize) -> Option<String> {
    json::text(value).filter(|text| {
        !text.is_empty() && text.len() <= longest && text.trim() == text && !text.contains(char::is_control)
    })
}

fn roles_of(value: &Value) -> Option<Vec<String>> {
    let roles: Vec<String> = json::list(value)?
        .into_iter()
        .filter_map(|role| name(role, LONGEST_ROLE))
        .collect();
    (roles.len() <= MOST_ROLES).then_some(roles)
}

fn choosing(settings: &Map<String, Value>) -> Option<Choosing> {
    let types = settings.get("accept_types").and_then(json::list)?;
    let data = match settings.get("data").filter(|data| !data.is_null()) {
        None => None,
        Some(data) => Some(data.as_str().filter(|data| data.len() <= LONGEST_DATA)?.to_owned()),
    };
    Some(Choosing {
        return_url: settings.get("deep_link_return_url")?.as_str()?.to_owned(),
        data,
        takes_links: types.iter().any(|one| **one == *"ltiResourceLink"),
    })
}

#[cfg(test)]
pub(super) mod testing {
    use crate::config::{Algorithm, Launch, Lti, LtiRole, Outgoing};
    use std::time::Duration;

    pub(in crate::authenticate::lti) fn lti() -> Lti {
        let url = |path: &str| format!("https://moodle.test{path}").parse().unwrap();
        Lti {
            name: "moodle".into(),
            issuer: "https://moodle.test".to_owned(),
            client_ids: vec!["abc".to_owned(), "def".to_owned()],
            auth_login_url: url("/mod/lti/auth.php"),
            jwks_url: url("/mod/lti/certs.php"),
            deployment_ids: vec!["1".to_owned()],
            roles: vec![
                LtiRole::new(Some("Learner"), "{context_id}_Learner").unwrap(),
                LtiRole::new(Some("Instructor"), "{context_id}_Instructor").unwrap(),
            ],
            username_prefix: "lti:moodle:".to_owned(),
            may_name_users: true,
            target: None,
            content: None,
            algorithms: vec![Algorithm::Rs256],
            leeway: Duration::from_secs(60),
            launch: Launch {
                idle: Duration::from_secs(60),
                absolute: Duration::from_secs(600),
            },
            key_file: None,
            outgoing: Outgoing::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::testing::lti;
    use super::*;
    use crate::config::Algorithm;

    const NOW: u64 = 1_800_000_000;

    fn claim(name: &str) -> String {
        format!("{CLAIM}{name}")
    }

    /// As Moodle's mod_lti makes them.
    fn good() -> Value {
        json!({
            "nonce": "n", "iat": NOW, "exp": NOW + 60, "iss": "https://moodle.test", "aud": "abc", "sub": "5",
            claim("deployment_id"): "1", claim("target_link_uri"): "https://video.test/play/1",
            claim("version"): "1.3.0", claim("message_type"): "LtiResourceLinkRequest",
            claim("roles"): ["http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"],
            claim("context"): { "id": "4", "label": "c", "title": "Course", "type": ["CourseSection"] },
            claim("custom"): { "target": "/play/2" },
        })
    }

    fn judge(claims: &Value) -> Result<Message, Reason> {
        let signed = Signed {
            typ: Some("JWT".to_owned()),
            algorithm: Algorithm::Rs256,
            claims: claims.as_object().unwrap().clone(),
        };
        let expected = Expected {
            config: &lti(),
            client_id: "abc",
            nonce: "n",
            now: SystemTime::UNIX_EPOCH + Duration::from_secs(NOW),
        };
        judged(&signed, &expected).map_err(|refusal| refusal.reason)
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = good();
        claims[name] = value;
        claims
    }

    #[test]
    fn a_launch_of_moodles_is_taken() {
        let message = judge(&good()).unwrap();
        assert_eq!(message.said.subject.as_deref(), Some("5"));
        assert_eq!(message.said.context.as_deref(), Some("4"));
        assert_eq!(message.target, "https://video.test/play/1");
        assert_eq!(message.custom_target.as_deref(), Some("/play/2"));
        assert_eq!(message.choosing, None);
    }

    #[test]
    fn what_need_not_be_there_need_not() {
        for name in ["sub", &claim("context"), &claim("roles"), &claim("custom")] {
            assert!(judge(&with(name, Value::Null)).is_ok(), "{name}");
        }
        assert_eq!(
            judge(&with("sub", json!(5))).unwrap().said.subject.as_deref(),
            Some("5")
        );
        assert!(judge(&with("aud", json!(["abc"]))).is_ok());
        let mut several = with("aud", json!(["abc", "x"]));
        assert_eq!(judge(&several), Err(Reason::WrongAudience));
        several["azp"] = json!("abc");
        assert!(judge(&several).is_ok());
    }

    #[test]
    fn what_is_not_meant_here_is_refused() {
        for (name, value, reason) in [
            ("iss", json!("https://moodle.test/"), Reason::WrongIssuer),
            ("iss", Value::Null, Reason::WrongIssuer),
            ("aud", json!("def"), Reason::WrongAudience),
            ("aud", Value::Null, Reason::WrongAudience),
            ("aud", json!([]), Reason::WrongAudience),
            ("azp", json!("def"), Reason::WrongAudience),
            ("exp", json!(NOW - 60), Reason::TokenExpired),
            ("exp", Value::Null, Reason::MalformedToken),
            ("exp", json!("9"), Reason::MalformedToken),
            ("iat", json!(NOW + 61), Reason::TokenNotYetValid),
            ("iat", Value::Null, Reason::MalformedToken),
            ("nbf", json!(NOW + 61), Reason::TokenNotYetValid),
            ("nonce", json!("m"), Reason::LaunchStale),
            ("nonce", Value::Null, Reason::LaunchStale),
            ("sub", json!(""), Reason::MalformedToken),
            ("sub", json!(" 5"), Reason::MalformedToken),
            ("sub", json!("5\n"), Reason::MalformedToken),
            ("sub", json!("5".repeat(256)), Reason::MalformedToken),
            ("sub", json!(["5"]), Reason::MalformedToken),
            ("events", json!({}), Reason::WrongType),
        ] {
            assert_eq!(judge(&with(name, value.clone())), Err(reason), "{name} {value}");
        }
        for (name, value, reason) in [
            ("deployment_id", json!("2"), Reason::WrongAudience),
            ("deployment_id", Value::Null, Reason::MalformedToken),
            ("version", json!("1.1.0"), Reason::MalformedToken),
            ("message_type", json!("LtiSubmissionReviewRequest"), Reason::WrongType),
            ("message_type", Value::Null, Reason::WrongType),
            ("message_type", json!("LtiDeepLinkingRequest"), Reason::MalformedToken),
            ("target_link_uri", Value::Null, Reason::MalformedToken),
            ("context", json!({ "id": "4,ROLE_ADMIN" }), Reason::MalformedToken),
            ("context", json!({ "id": "4\n" }), Reason::MalformedToken),
            ("roles", json!(vec!["x"; 65]), Reason::MalformedToken),
            ("roles", json!({ "a": "b" }), Reason::MalformedToken),
        ] {
            assert_eq!(judge(&with(&claim(name), value.clone())), Err(reason), "{name} {value}");
        }
    }

    #[test]
    fn a_request_for_content_says_where_to_send_it() {
        let mut claims = with(&claim("message_type"), json!("LtiDeepLinkingRequest"));
        claims[DEEP_LINKING] = json!({
            "accept_types": ["link", "ltiResourceLink"], "accept_presentation_document_targets": ["iframe"],
            "deep_link_return_url": "https://moodle.test/mod/lti/contentitem_return.php?id=1", "data": "d",
        });
        let choosing = judge(&claims).unwrap().choosing.unwrap();
        assert_eq!((choosing.data.as_deref(), choosing.takes_links), (Some("d"), true));
        claims[DEEP_LINKING]["deep_link_return_url"] = json!(1);
        assert_eq!(judge(&claims), Err(Reason::MalformedToken));
    }
}
