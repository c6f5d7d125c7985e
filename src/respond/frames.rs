//! Pages in frames of other sites: what an upstream's answer says about framing, and its cookies, so that they work
//! there.
//!
//! Whether a route's pages may be framed is not decided here: see [`crate::config::Frames`].

use http::header::{CONTENT_SECURITY_POLICY, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::headers::cookies::IN_A_FRAME;

/// `Permissions-Policy`.
pub const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// The cookies of Opencast's sign-in: its session, and the one that makes it again.
const SIGN_IN_COOKIES: [&str; 2] = ["JSESSIONID", "oc-remember-me"];

const CHANGED: [&str; 3] = ["secure", "samesite", "partitioned"];

/// The policies of an answer without what they say themselves about who may frame it, if they say so: of several
/// policies a browser obeys all. Their other directives stay as they are.
pub fn without_ancestors(headers: &HeaderMap) -> Option<Vec<HeaderValue>> {
    let all = headers.get_all(CONTENT_SECURITY_POLICY);
    let says = |value: &HeaderValue| directives(value).any(is_ancestors);
    all.iter()
        .any(says)
        .then(|| all.iter().filter_map(policies_without_ancestors).collect())
}

/// One header may hold several policies, with commas between.
fn policies_without_ancestors(value: &HeaderValue) -> Option<HeaderValue> {
    if !directives(value).any(is_ancestors) {
        return Some(value.clone());
    }
    let policies = value.as_bytes().split(|byte| *byte == b',').map(|policy| {
        let kept = policy.split(|byte| *byte == b';').filter(|one| !is_ancestors(one));
        kept.collect::<Vec<_>>().join(&b';')
    });
    let kept: Vec<Vec<u8>> = policies.filter(|policy| !policy.trim_ascii().is_empty()).collect();
    let kept = kept.join(&b',');
    let kept = kept.trim_ascii();
    (!kept.is_empty()).then(|| HeaderValue::from_bytes(kept).ok()).flatten()
}

fn directives(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|byte| matches!(byte, b',' | b';'))
}

fn is_ancestors(directive: &[u8]) -> bool {
    let mut words = directive.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    words
        .next()
        .is_some_and(|name| name.eq_ignore_ascii_case(b"frame-ancestors"))
}

/// The `Set-Cookie` lines of an answer with the cookies of Opencast's sign-in made such as a frame of another site keeps,
/// if they are among them; other cookies, and the order, stay.
pub fn cookies_for_frames(headers: &HeaderMap) -> Option<Vec<HeaderValue>> {
    let all = headers.get_all(SET_COOKIE);
    let changed: Vec<_> = all.iter().map(cookie_for_frames).collect();
    changed.iter().any(Option::is_some).then(|| {
        let lines = changed.into_iter().zip(all);
        lines
            .map(|(changed, line)| changed.unwrap_or_else(|| line.clone()))
            .collect()
    })
}

/// One `Set-Cookie` line, if it is to be changed: its other attributes stay byte for byte.
fn cookie_for_frames(line: &HeaderValue) -> Option<HeaderValue> {
    let mut parts = line.as_bytes().split(|byte| *byte == b';');
    let pair = parts.next()?;
    let name = pair.split(|byte| *byte == b'=').next()?.trim_ascii();
    if !SIGN_IN_COOKIES.iter().any(|known| name == known.as_bytes()) {
        return None;
    }
    let mut changed = pair.trim_ascii_end().to_vec();
    for attribute in parts.filter(|attribute| !is_changed(attribute)) {
        changed.push(b';');
        changed.extend_from_slice(attribute);
    }
    changed.extend_from_slice(IN_A_FRAME.as_bytes());
    HeaderValue::from_bytes(&changed).ok()
}

fn is_changed(attribute: &[u8]) -> bool {
    let name = attribute
        .split(|byte| *byte == b'=')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    name.is_empty() || CHANGED.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(line: &str) -> String {
        let line = HeaderValue::from_str(line).unwrap();
        let changed = cookie_for_frames(&line).unwrap_or(line);
        changed.to_str().unwrap().to_owned()
    }

    fn answer(fields: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn policies(fields: &[&str]) -> Vec<String> {
        let fields: Vec<_> = fields.iter().map(|value| (CONTENT_SECURITY_POLICY, *value)).collect();
        let headers = answer(&fields);
        let left = without_ancestors(&headers);
        let left = left.unwrap_or_else(|| headers.get_all(CONTENT_SECURITY_POLICY).iter().cloned().collect());
        left.iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_cookies_of_opencasts_sign_in_work_in_a_frame() {
        let all = "; Secure; SameSite=None; Partitioned";
        assert_eq!(
            framed("JSESSIONID=node0abc;Path=/"),
            format!("JSESSIONID=node0abc;Path=/{all}")
        );
        assert_eq!(
            framed("JSESSIONID=a; Path=/; HttpOnly; SameSite=Lax; secure"),
            format!("JSESSIONID=a; Path=/; HttpOnly{all}")
        );
        assert_eq!(
            framed("oc-remember-me=x; Expires=Wed, 09 Jun 2027 10:18:14 GMT; Max-Age=1209600"),
            format!("oc-remember-me=x; Expires=Wed, 09 Jun 2027 10:18:14 GMT; Max-Age=1209600{all}")
        );
        // What takes a cookie away must name the same jar.
        assert_eq!(
            framed("JSESSIONID=; Max-Age=0;"),
            format!("JSESSIONID=; Max-Age=0{all}")
        );
        for other in [
            "MoodleSession=1; Path=/",
            "jsessionid=1",
            "JSESSIONIDX=1",
            "a=JSESSIONID=1",
        ] {
            assert_eq!(framed(other), other);
        }
    }

    #[test]
    fn each_line_stays_in_its_place() {
        let headers = answer(&[
            (SET_COOKIE, "a=1"),
            (SET_COOKIE, "JSESSIONID=2"),
            (SET_COOKIE, "b=3; SameSite=Lax"),
        ]);
        assert_eq!(
            cookies_for_frames(&headers).unwrap(),
            [
                "a=1",
                "JSESSIONID=2; Secure; SameSite=None; Partitioned",
                "b=3; SameSite=Lax"
            ]
        );
        assert_eq!(cookies_for_frames(&answer(&[(SET_COOKIE, "a=1")])), None);
    }

    #[test]
    fn an_upstream_has_no_say_in_framing_and_keeps_its_other_directives() {
        assert_eq!(
            policies(&["default-src 'self'; frame-ancestors 'none'"]),
            ["default-src 'self'"]
        );
        assert_eq!(policies(&["frame-ancestors 'none'"]), [""; 0]);
        assert_eq!(
            policies(&[
                "FRAME-ANCESTORS a b ;img-src *, frame-ancestors x,object-src 'none'",
                "base-uri 'none'"
            ]),
            ["img-src *,object-src 'none'", "base-uri 'none'"]
        );
        assert_eq!(policies(&["default-src 'self';;"]), ["default-src 'self';;"]);
    }

    proptest! {
        #[test]
        fn a_cookie_changes_in_nothing_but_where_it_works(
            value in "[!#-+--:<-~]{0,20}",
            attributes in proptest::collection::vec("( ?(Path=/[a-z]*|HttpOnly|Max-Age=[0-9]+|X=[ -:<-~]*|samesite=lax|SECURE|Partitioned))?", 0..6),
        ) {
            let line = format!("JSESSIONID={value};{}", attributes.join(";"));
            let changed = framed(&line);
            prop_assert_eq!(&framed(&changed), &changed, "the second time changes nothing");
            let kept = |line: &str| -> Vec<String> {
                let parts = line.split(';').map(str::trim).filter(|part| !is_changed(part.as_bytes()));
                parts.map(str::to_owned).collect()
            };
            prop_assert_eq!(kept(&changed), kept(&line));
            for needed in ["Secure", "SameSite=None", "Partitioned"] {
                prop_assert_eq!(changed.split("; ").filter(|part| *part == needed).count(), 1, "{}", changed);
            }
        }

        #[test]
        fn no_policy_that_names_ancestors_is_left(text in "[a-zA-Z ,;'*:/.-]{0,80}", at in 0usize..80) {
            let mut text = text;
            let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.insert_str(at, ";Frame-Ancestors 'none';");
            for left in policies(&[&text]) {
                prop_assert!(!directives(&HeaderValue::from_str(&left).unwrap()).any(is_ancestors), "{}", left);
            }
        }
    }
}
