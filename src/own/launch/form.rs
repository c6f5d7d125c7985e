//! The form with which a learning platform opens a page here: `jwt` and `target`, urlencoded. Decides which
//! forms are read and which targets are pages of this host; whose token it is, is decided by who asks.

use http::{HeaderMap, HeaderValue, Method, header};
use url::Url;

use super::super::is_own;
use super::without_token;
use crate::config::TokenSource;
use crate::headers::single;
use crate::query::decoded;
use crate::rejection::{Reason, Rejection};
use crate::request::Request;
use crate::route::path::Path;
use crate::sign_in::target;

/// The field that names the page.
const TARGET: &str = "target";
/// Below it Opencast sends browsers on: a launch that leads to a launch goes round in circles.
const REDIRECTS: &str = "/redirect/";

/// What a learning platform has posted.
pub struct Form {
    /// With the index of the source in which each stands.
    pub tokens: Vec<(usize, String)>,
    pub target: String,
}

/// May the form be read? Only what a browser sends when it opens a page, urlencoded in UTF-8.
pub fn is_form(headers: &HeaderMap) -> Result<(), Rejection> {
    let refused = |detail: &str| Err(Rejection::because(Reason::BadRequest, detail));
    let mode = headers.get("sec-fetch-mode");
    if mode.is_some_and(|mode| mode != "navigate") {
        return refused("a launch opens a page, and a script has sent this");
    }
    if headers.contains_key(header::CONTENT_ENCODING) {
        return refused("a launch is a form without content-encoding");
    }
    let Some(Ok(kind)) = single(headers, header::CONTENT_TYPE).map(HeaderValue::to_str) else {
        return refused("a launch is a form: its Content-Type is missing, or stands twice");
    };
    let mut parts = kind.split(';').map(str::trim);
    let is_urlencoded = parts
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("application/x-www-form-urlencoded"));
    let is_utf8 = |part: &str| match part.split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
            value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    };
    match is_urlencoded && parts.all(is_utf8) {
        true => Ok(()),
        false => refused("a launch is an urlencoded form in UTF-8"),
    }
}

/// Takes the form apart. Each token's field and `target` may stand once; other fields do not matter.
pub fn read(body: &[u8], sources: &[TokenSource]) -> Result<Form, Rejection> {
    let refused = |detail: &str| Rejection::because(Reason::BadRequest, detail);
    let mut target = None;
    let mut tokens: Vec<(usize, String)> = Vec::new();
    for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let (name, value) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
        if !is_encoded(pair) {
            return Err(refused("the form is not percent-encoded as it should be"));
        }
        let name = decoded(name);
        let text = || String::from_utf8(decoded(value)).map_err(|_| refused("a field of the form is not UTF-8"));
        if name == TARGET.as_bytes() {
            if target.replace(text()?).is_some() {
                return Err(refused("`target` stands twice in the form"));
            }
            continue;
        }
        let is_its = |source: &TokenSource| match source {
            TokenSource::Form { parameter } => parameter.as_bytes() == name,
            TokenSource::Header { .. } | TokenSource::Query { .. } => false,
        };
        let Some(source) = sources.iter().position(is_its) else {
            continue;
        };
        if tokens.iter().any(|(known, _)| *known == source) {
            return Err(refused("the token stands twice in the form"));
        }
        tokens.push((source, text()?));
    }
    let target = target.ok_or_else(|| refused("the form has no `target`"))?;
    Ok(Form { tokens, target })
}

/// Every `%` is followed by two hexadecimal digits.
fn is_encoded(text: &[u8]) -> bool {
    let mut parts = text.split(|byte| *byte == b'%').skip(1);
    parts.all(|part| matches!(part, [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit()))
}

/// The page that a form leads to.
pub struct Target {
    /// As the browser will ask for it.
    pub request: Request,
    pub path: Path,
    /// A path of this origin, with query and fragment.
    pub location: String,
}

/// The target as browsers and this gateway read it: a page of this very `origin`, written as a path or a whole URL, and none
/// of the gateway's own or of Opencast's redirects.
pub fn target(text: &str, origin: &str, asking: &Request, sources: &[TokenSource]) -> Result<Target, Rejection> {
    let refused = || Rejection::because(Reason::BadRequest, "`target` is no page of this host");
    let is_path = text.starts_with('/') && !text.starts_with("//");
    let is_url = ["https://", "http://"].iter().any(|scheme| {
        text.get(..scheme.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
    });
    if !(is_path || is_url) || text.contains('\\') || text.trim() != text {
        return Err(refused());
    }
    let url = target::judged(text, origin, &[]).ok_or_else(refused)?;
    let url = Url::parse(&url).map_err(|_| refused())?;
    let path = Path::parse(url.path()).map_err(|_| refused())?;
    let mut with_slash = path.decoded().trim_end_matches('/').to_owned();
    with_slash.push('/');
    let leads_round = with_slash.starts_with(REDIRECTS) || is_own(&with_slash);
    // A Location that begins so leads to another host.
    if leads_round || path.encoded().starts_with("//") {
        return Err(refused());
    }
    let request = Request {
        method: Method::GET,
        raw_path: url.path().to_owned(),
        query: url.query().filter(|query| !query.is_empty()).map(str::to_owned),
        ..asking.clone()
    };
    let mut location = without_token(&request, &path, sources);
    if let Some(fragment) = url.fragment() {
        location.extend(["#", fragment]);
    }
    Ok(Target {
        request,
        path,
        location,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::authenticate::token::carrier;

    const ORIGIN: &str = "https://video.test";

    fn sources() -> [TokenSource; 3] {
        let named = |parameter: &str| parameter.to_owned();
        [
            TokenSource::Query {
                parameter: named("jwt"),
            },
            TokenSource::Form {
                parameter: named("jwt"),
            },
            TokenSource::Form {
                parameter: named("other"),
            },
        ]
    }

    fn asking() -> Request {
        Request {
            method: Method::POST,
            authority: "video.test".to_owned(),
            host: "video.test".to_owned(),
            raw_path: "/redirect/get".to_owned(),
            query: None,
        }
    }

    #[test]
    fn tokens_are_told_by_the_source_they_stand_in() {
        let form = read(b"other=b&target=/x&jwt=a%2Bb+c&query=d", &sources()).unwrap();
        assert_eq!(form.tokens, [(2, "b".to_owned()), (1, "a+b c".to_owned())]);
        assert_eq!(form.target, "/x");
    }

    proptest! {
        /// Whatever comes along, the browser stays here, and no loop begins.
        #[test]
        fn a_target_leads_to_a_page_of_this_origin(
            text in "(https?:|//|/|\\\\|@|\\.|%2f|%5c|evil|video.test|:443|studio|_janua|redirect|\\?|#|jwt=x|&|\t| |é){0,12}",
        ) {
            if let Ok(target) = target(&text, ORIGIN, &asking(), &sources()) {
                prop_assert!(target.location.starts_with('/') && !target.location.starts_with("//"));
                let url = Url::parse(ORIGIN).unwrap().join(&target.location).unwrap();
                prop_assert_eq!(url.origin().ascii_serialization(), ORIGIN);
                let path = Path::parse(url.path()).unwrap();
                prop_assert_eq!(path.decoded(), target.path.decoded());
                prop_assert!(!is_own(path.decoded()) && !path.decoded().starts_with(REDIRECTS));
                prop_assert!(carrier::in_query(&sources(), url.query()).is_empty());
                prop_assert!(HeaderValue::from_str(&target.location).is_ok());
            }
        }

        /// What is read is what browsers mean by it (WHATWG URL, urlencoded parsing).
        #[test]
        fn a_form_is_read_as_it_was_written(
            body in "(jwt|target|other|=|&|%41|%2b|\\+|%|%4|a|é|%ff){0,12}",
        ) {
            if let Ok(form) = read(body.as_bytes(), &sources()) {
                let pairs: Vec<_> = form_urlencoded::parse(body.as_bytes()).collect();
                let all = |wanted: &str| pairs.iter().filter(|(name, _)| name == wanted).count();
                prop_assert_eq!(all("target"), 1);
                prop_assert!(pairs.iter().any(|(name, value)| name == "target" && *value == form.target));
                prop_assert_eq!(all("jwt") + all("other"), form.tokens.len());
                for (source, token) in &form.tokens {
                    let name = if *source == 1 { "jwt" } else { "other" };
                    prop_assert!(pairs.iter().any(|(known, value)| known == name && value == token));
                }
            }
        }
    }
}
