//! Cross-origin answers (Fetch standard, section 3.3): the headers of every answer of a route with `cors`, errors
//! too, since a page may not read a refusal without them; and pre-flights.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::Reply;
use crate::config::Cors;
use crate::headers::list;

/// A page of a public address asks whether it may call a private one (WICG, Private Network Access).
const REQUEST_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");
/// Seconds for which a browser may remember a pre-flight.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// The headers to add to an answer of a route with this policy, given the request's `Origin`.
///
/// `Vary: Origin` is always among them, so that no cache hands the answer for one origin to another; the rest only
/// for an origin that is listed. To be appended: the answer may have a `Vary` of its own.
pub fn headers(policy: &Cors, origin: Option<&HeaderValue>) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::with_capacity(4);
    headers.push((VARY, HeaderValue::from_static("Origin")));
    if let Some((allowed, credentials)) = origin.and_then(|origin| allowed_origin(policy, origin)) {
        headers.push((ACCESS_CONTROL_ALLOW_ORIGIN, allowed));
        if credentials {
            headers.push((ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true")));
        }
        headers.push((ACCESS_CONTROL_EXPOSE_HEADERS, policy.expose.clone()));
    }
    headers
}

/// The method that a pre-flight asks about; `None` if the request is no pre-flight (Fetch standard, section 3.2.2).
pub fn requested_method(method: &Method, request: &HeaderMap) -> Option<Method> {
    if method != Method::OPTIONS || !request.contains_key(ORIGIN) {
        return None;
    }
    let requested = request.get(ACCESS_CONTROL_REQUEST_METHOD)?;
    Method::from_bytes(requested.as_bytes()).ok()
}

/// Does the policy list the origin that the request is of?
pub fn lists(policy: &Cors, request: &HeaderMap) -> bool {
    let origin = request.get(ORIGIN);
    origin.is_some_and(|origin| allowed_origin(policy, origin).is_some())
}

/// Does a pre-flight ask whether this header may be sent?
pub fn asks_for(name: &HeaderName, request: &HeaderMap) -> bool {
    let mut names = list(request, ACCESS_CONTROL_REQUEST_HEADERS);
    names.any(|asked| asked.eq_ignore_ascii_case(name.as_str().as_bytes()))
}

/// The answer to a pre-flight; `None` if the request is none, and then goes the ordinary way.
///
/// A pre-flight carries no credentials, so it is answered before anyone asks for them. `methods` are the route's;
/// `None` means any, and then the one asked for is allowed. An origin that is not listed gets the same 204 without
/// the headers: the browser then refuses by itself, which is all that CORS can do, and no status tells a stranger
/// what is listed.
pub fn preflight(policy: &Cors, method: &Method, request: &HeaderMap, methods: Option<&[Method]>) -> Option<Reply> {
    let origin = request.get(ORIGIN)?;
    let requested = request.get(ACCESS_CONTROL_REQUEST_METHOD)?;
    if method != Method::OPTIONS {
        return None;
    }
    let mut headers = headers(policy, Some(origin));
    if allowed_origin(policy, origin).is_some() {
        let methods = match methods {
            Some(methods) => methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", "),
            None => Method::from_bytes(requested.as_bytes())
                .map(|method| method.to_string())
                .unwrap_or_default(),
        };
        headers.extend(
            HeaderValue::try_from(methods)
                .ok()
                .map(|value| (ACCESS_CONTROL_ALLOW_METHODS, value)),
        );
        headers.push((ACCESS_CONTROL_ALLOW_HEADERS, policy.headers.clone()));
        headers.push((ACCESS_CONTROL_MAX_AGE, MAX_AGE));
        if request
            .get(REQUEST_PRIVATE_NETWORK)
            .is_some_and(|asked| asked == "true")
        {
            headers.push((ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true")));
        }
    }
    Some(Reply {
        status: StatusCode::NO_CONTENT,
        headers,
        body: Bytes::new(),
    })
}

/// The value of `Access-Control-Allow-Origin` for this origin, if it is listed, and whether its requests may carry
/// cookies: compared whole, letter case aside.
fn allowed_origin(policy: &Cors, origin: &HeaderValue) -> Option<(HeaderValue, bool)> {
    let is = |listed: &String| listed.as_bytes().eq_ignore_ascii_case(origin.as_bytes());
    if policy.apps.iter().any(is) {
        return Some((origin.clone(), true));
    }
    if policy.origins.iter().any(|listed| listed == "*") {
        return Some((HeaderValue::from_static("*"), false));
    }
    let is_listed = policy.origins.iter().any(is);
    is_listed.then(|| (origin.clone(), policy.credentials))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Cors {
        Cors {
            origins: vec!["https://moodle.example.edu".to_owned()],
            credentials: true,
            ..Cors::default()
        }
    }

    fn get<'a>(headers: &'a [(HeaderName, HeaderValue)], name: &str) -> Option<&'a str> {
        headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.to_str().unwrap())
    }

    fn asked(origin: &'static str) -> HeaderMap {
        HeaderMap::from_iter([
            (ORIGIN, HeaderValue::from_static(origin)),
            (ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("GET")),
        ])
    }

    #[test]
    fn a_listed_origin_may_read_the_answer() {
        let headers = headers(&policy(), Some(&HeaderValue::from_static("https://Moodle.example.edu")));
        assert_eq!(
            get(&headers, "access-control-allow-origin"),
            Some("https://Moodle.example.edu")
        );
        assert_eq!(get(&headers, "access-control-allow-credentials"), Some("true"));
        assert!(
            get(&headers, "access-control-expose-headers")
                .unwrap()
                .contains("content-range")
        );
        assert_eq!(get(&headers, "vary"), Some("Origin"));
    }

    #[test]
    fn no_other_origin_may_however_alike_it_looks() {
        for origin in [
            "null",
            "*",
            "http://moodle.example.edu",
            "https://moodle.example.edu:444",
            "https://moodle.example.edu.evil.example",
            "https://evil.example/https://moodle.example.edu",
        ] {
            let headers = headers(&policy(), Some(&HeaderValue::from_static(origin)));
            assert_eq!(headers, [(VARY, HeaderValue::from_static("Origin"))], "{origin}");
        }
        assert_eq!(get(&headers(&policy(), None), "vary"), Some("Origin"));
    }

    #[test]
    fn a_route_open_to_all_origins_says_so() {
        let open = Cors {
            origins: vec!["*".to_owned()],
            ..Cors::default()
        };
        let headers = headers(&open, Some(&HeaderValue::from_static("https://a.example")));
        assert_eq!(get(&headers, "access-control-allow-origin"), Some("*"));
        assert_eq!(get(&headers, "access-control-allow-credentials"), None);
    }

    #[test]
    fn a_preflight_is_answered_before_anyone_asks_for_a_token() {
        let request = asked("https://moodle.example.edu");
        let methods = [Method::GET, Method::HEAD];
        let reply = preflight(&policy(), &Method::OPTIONS, &request, Some(&methods)).unwrap();
        assert_eq!(reply.status, StatusCode::NO_CONTENT);
        assert_eq!(get(&reply.headers, "access-control-allow-methods"), Some("GET, HEAD"));
        let allowed = get(&reply.headers, "access-control-allow-headers").unwrap();
        for header in [
            "authorization",
            "range",
            "if-range",
            "if-none-match",
            "if-modified-since",
            "accept-encoding",
            "content-type",
            "x-requested-with",
        ] {
            assert!(allowed.split(", ").any(|known| known == header), "{header}");
        }
        assert_eq!(get(&reply.headers, "access-control-max-age"), Some("600"));
        let any = preflight(&policy(), &Method::OPTIONS, &request, None).unwrap();
        assert_eq!(get(&any.headers, "access-control-allow-methods"), Some("GET"));
    }

    #[test]
    fn a_strange_origins_preflight_opens_nothing() {
        let reply = preflight(&policy(), &Method::OPTIONS, &asked("https://evil.example"), None).unwrap();
        assert_eq!(reply.status, StatusCode::NO_CONTENT);
        assert_eq!(reply.headers, [(VARY, HeaderValue::from_static("Origin"))]);
    }

    #[test]
    fn an_app_of_the_site_always_comes_with_its_cookie() {
        for origins in [&[][..], &["*".to_owned()], &["https://moodle.example.edu".to_owned()]] {
            let policy = Cors {
                origins: origins.to_vec(),
                apps: vec!["https://app.example.edu".to_owned()],
                ..Cors::default()
            };
            let app = headers(&policy, Some(&HeaderValue::from_static("https://app.example.edu")));
            assert_eq!(
                get(&app, "access-control-allow-origin"),
                Some("https://app.example.edu")
            );
            assert_eq!(get(&app, "access-control-allow-credentials"), Some("true"));
            let other = headers(&policy, Some(&HeaderValue::from_static("https://moodle.example.edu")));
            assert_eq!(get(&other, "access-control-allow-credentials"), None, "{origins:?}");
            assert_eq!(
                get(&other, "access-control-allow-origin").is_some(),
                !origins.is_empty()
            );
        }
    }

    #[test]
    fn a_page_outside_may_ask_for_a_private_network_where_it_is_listed() {
        for (origin, expected) in [
            ("https://moodle.example.edu", Some("true")),
            ("https://evil.example", None),
        ] {
            let mut request = asked(origin);
            request.insert(REQUEST_PRIVATE_NETWORK, HeaderValue::from_static("true"));
            let reply = preflight(&policy(), &Method::OPTIONS, &request, None).unwrap();
            assert_eq!(get(&reply.headers, "access-control-allow-private-network"), expected);
        }
        let reply = preflight(&policy(), &Method::OPTIONS, &asked("https://moodle.example.edu"), None).unwrap();
        assert_eq!(get(&reply.headers, "access-control-allow-private-network"), None);
    }

    #[test]
    fn other_requests_are_no_preflights() {
        let request = asked("https://moodle.example.edu");
        assert_eq!(preflight(&policy(), &Method::GET, &request, None), None);
        let mut plain = request;
        plain.remove(ACCESS_CONTROL_REQUEST_METHOD);
        assert_eq!(preflight(&policy(), &Method::OPTIONS, &plain, None), None);
    }
}
