//! `launch`: the person's own browser goes through Moodle's `launch.php`, and answers there whatever Moodle asks: a password, a
//! policy, a second factor.
//!
//! Any authentication plugin will do. With `typeoflogin` = 1, Moodle's default, `launch.php` gives a token only to whoever has
//! just signed in and was shown no page since (`$SESSION->justloggedin`); auth_oauth2 lifts that.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::Serializer;
use http::{HeaderValue, StatusCode, header};

use super::site::{Finding, SiteConfig};
use super::source::{Availability, Person};
use super::{TokenError, page_code, refused};
use crate::backchannel::Reply;
use crate::digest::md5_hex;
use crate::moodle::token::Token;

/// Below `wwwroot`; `$CFG->admin` must have its usual name.
pub const PATH: &str = crate::config::LAUNCH_SCRIPT;

/// What the gateway asks for as `urlscheme`. A site may force another one (`forcedurlscheme`).
pub const SCHEME: &str = "janua";

/// The code by which `launch.php` refuses whoever has not just signed in.
const NOT_JUST_NOW: &str = "pluginnotenabledorconfigured";

/// The code by which it refuses a guest.
const GUEST: &str = "guestsarenotallowed";

/// What stands between the scheme and the answer.
const ANSWER: &str = "://token=";

/// What `launch.php` has answered to a person's browser.
pub enum Launched {
    /// A token, which has not said yet whose it is.
    Token(Token),
    /// Nobody is signed in, and only who has just signed in gets a token.
    SignInFirst,
    /// Somebody is signed in to whom Moodle has shown a page since, or as a guest.
    SignInAgain,
    /// The browser is to see the answer: Moodle wants something first, or says what is wrong. What that is, if it is known.
    PassOn(Option<TokenError>),
}

/// What `launch.php` signs its answer for: 128 bits, in hexadecimal digits.
pub fn passport() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// The query of `launch.php`.
pub fn query(service: &str, passport: &str) -> String {
    let query = [("service", service), ("passport", passport), ("urlscheme", SCHEME)];
    Serializer::new(String::new()).extend_pairs(query).finish()
}

/// What an answer to a browser means. Errors: it holds a token that cannot be believed, or in a place where the browser would
/// see it.
pub fn judge(reply: &Reply, wwwroot: &str, passport: &str) -> Result<Launched, TokenError> {
    if let Some(token) = read(reply, wwwroot, passport) {
        return token.map(Launched::Token);
    }
    let shown = reply.headers.values().map(HeaderValue::as_bytes);
    if shown.chain([&*reply.body]).any(|shown| behind_answer(shown).is_some()) {
        return Err(TokenError::Misconfigured(
            "launch.php shows the token in a page, which it does for phones alone: what is in front of Moodle?",
        ));
    }
    if reply.status != StatusCode::NOT_FOUND {
        return Ok(Launched::PassOn(None));
    }
    Ok(match page_code(reply).as_deref() {
        Some(NOT_JUST_NOW) if is_of_nobody(&reply.body) => Launched::SignInFirst,
        Some(NOT_JUST_NOW | GUEST) => Launched::SignInAgain,
        code => Launched::PassOn(code.map(refused)),
    })
}

/// The token of an answer that leads to an app; `None`: it leads to none.
pub(super) fn read(reply: &Reply, wwwroot: &str, passport: &str) -> Option<Result<Token, TokenError>> {
    let mut locations = reply.headers.get_all(header::LOCATION).iter();
    let answer = locations.find_map(|location| behind_answer(location.as_bytes()))?;
    Some(signed(answer, wwwroot, passport))
}

fn behind_answer(text: &[u8]) -> Option<&[u8]> {
    let found = memchr::memmem::find(text, ANSWER.as_bytes())?;
    text.get(found + ANSWER.len()..)
}

/// `md5(wwwroot + passport):::token[:::privatetoken]`; the last part is dropped here.
fn signed(answer: &[u8], wwwroot: &str, passport: &str) -> Result<Token, TokenError> {
    let unreadable = TokenError::Misconfigured("launch.php's answer cannot be read");
    let decoded = STANDARD
        .decode(answer)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let Some(decoded) = decoded else { return Err(unreadable) };
    let mut parts = decoded.split(":::");
    let (signature, token) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let expected = md5_hex(&format!("{wwwroot}{passport}"));
    if verify_slices_are_equal(signature.as_bytes(), expected.as_bytes()).is_err() {
        return Err(TokenError::Misconfigured(
            "launch.php signs another wwwroot: moodle.public_url must be $CFG->wwwroot exactly",
        ));
    }
    Token::parse(token).ok_or(unreadable)
}

/// Is this the page of somebody who is not signed in? Moodle gives its `body` a class then, in every theme
/// (`initialise_standard_body_classes` in `lib/pagelib.php`).
fn is_of_nobody(page: &[u8]) -> bool {
    let page = String::from_utf8_lossy(page);
    let mut bodies = page.split("<body").skip(1);
    let attributes = bodies
        .next()
        .and_then(|rest| rest.split('>').next())
        .unwrap_or_default();
    let classes = attributes
        .split_once("class=\"")
        .and_then(|(_, rest)| rest.split('"').next());
    classes.is_some_and(|classes| classes.split_ascii_whitespace().any(|class| class == "notloggedin"))
}

/// Why nobody comes through, however often they sign in.
pub fn never_just_now() -> TokenError {
    TokenError::Denied(
        "launch.php gives a token only to whoever has just signed in (typeoflogin = 1), and Moodle shows each time a page first: \
         set \"Type of login\" (typeoflogin) to \"Via a browser window\", in Site administration, Mobile app",
    )
}

pub(super) fn availability(person: &Person<'_>) -> Availability {
    match person.caller.is_browser() {
        true => Availability::Browser("the browser would be sent through Moodle's launch.php"),
        false => Availability::Nothing("only a browser goes through launch.php, and this is a back end"),
    }
}

pub(super) fn finding(site: &SiteConfig) -> Finding {
    if let Some(moved) = moved(site) {
        return moved;
    }
    let is_oauth2 = |url: &String| url.contains("/auth/oauth2/login.php");
    match site.type_of_login {
        2 | 3 => Finding::Good("launch.php gives tokens to whoever is signed in (typeoflogin)".to_owned()),
        _ if site.login_urls.iter().flatten().any(is_oauth2) => {
            Finding::Good("launch.php gives tokens to whoever is signed in (auth_oauth2 is on)".to_owned())
        }
        _ => Finding::Note(
            "launch.php gives tokens only to whoever has just signed in (typeoflogin = 1): people are sent to Moodle's login \
             page, those who are signed in there already sign in once more, and those whom Moodle asks for a second factor \
             get none. Set \"Type of login\" to \"Via a browser window\" in Site administration, Mobile app"
                .to_owned(),
        ),
    }
}

/// Does `launch.php` stand where the gateway asks for it?
pub(super) fn moved(site: &SiteConfig) -> Option<Finding> {
    let launch = format!("{}{PATH}", site.wwwroot);
    (site.launch_url != launch).then(|| {
        Finding::Bad(format!(
            "launch.php stands at {}, and the gateway asks {launch}: set $CFG->admin to \"admin\", or use another source",
            site.launch_url
        ))
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;

    const WWWROOT: &str = "https://moodle.test:8443";
    const PASSPORT: &str = "0.123456789";
    const SIGNATURE: &str = "368bf093d8f9efb41191861ef80dd067";

    fn reply(status: u16, location: Option<&str>, body: &str) -> Reply {
        let mut headers = HeaderMap::new();
        if let Some(location) = location {
            headers.insert(header::LOCATION, HeaderValue::from_bytes(location.as_bytes()).unwrap());
        }
        Reply {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: Bytes::from(body.to_owned()),
        }
    }

    fn error(classes: &str, code: &str) -> String {
        format!(
            "<html><body id=\"page\" class=\"{classes}\"><p class=\"errormessage\">No</p><p class=\"errorcode\">\
             <a href=\"https://docs.moodle.org/404/de/error/tool_mobile/{code}\">?</a></p>"
        )
    }

    fn judged(status: u16, location: Option<&str>, body: &str) -> Result<Launched, TokenError> {
        judge(&reply(status, location, body), WWWROOT, PASSPORT)
    }

    #[test]
    fn the_recorded_answer_is_read_and_its_signature_checked() {
        let answer = STANDARD.encode(format!("{SIGNATURE}:::ccadcdd13703373abcc754bd464c7447:::AOpfnhtMvn24"));
        let token = signed(answer.as_bytes(), WWWROOT, PASSPORT).unwrap();
        assert_eq!(token.reveal(), "ccadcdd13703373abcc754bd464c7447");
        for (wwwroot, passport) in [
            ("https://moodle.test:8443/", PASSPORT),
            (WWWROOT, "0.1"),
            ("https://other.test", PASSPORT),
        ] {
            assert!(matches!(
                signed(answer.as_bytes(), wwwroot, passport),
                Err(TokenError::Misconfigured(_))
            ));
        }
        for broken in ["", "%%%", "bm90aGluZw=="] {
            assert!(signed(broken.as_bytes(), WWWROOT, PASSPORT).is_err());
        }
        let no_token = STANDARD.encode(format!("{SIGNATURE}:::"));
        assert!(signed(no_token.as_bytes(), WWWROOT, PASSPORT).is_err());
    }

    #[test]
    fn a_token_is_taken_from_whatever_scheme_and_shown_to_nobody() {
        let answer = STANDARD.encode(format!("{SIGNATURE}:::ccadcdd13703373abcc754bd464c7447"));
        for scheme in ["janua", "moodlemobile", "campus-app", ""] {
            let told = judged(302, Some(&format!("{scheme}://token={answer}")), "");
            assert!(matches!(told, Ok(Launched::Token(_))), "{scheme}");
        }
        assert!(judged(302, Some("janua://token=%%%"), "").is_err());
        assert!(judged(200, Some("janua://token=\u{e4}"), "").is_err());
        let page = format!("<a href=\"janua://token={answer}\">");
        assert!(judged(200, None, &page).is_err());
        assert!(judged(404, None, &page).is_err());
    }

    #[test]
    fn who_is_to_sign_in_is_told_by_the_page() {
        let of = |classes: &str, code: &str| judged(404, None, &error(classes, code)).unwrap();
        let first = "pagelayout-standard notloggedin theme";
        assert!(matches!(of(first, NOT_JUST_NOW), Launched::SignInFirst));
        for classes in ["pagelayout-standard", "is-notloggedin", ""] {
            assert!(matches!(of(classes, NOT_JUST_NOW), Launched::SignInAgain), "{classes}");
        }
        assert!(matches!(of("", GUEST), Launched::SignInAgain));
        assert!(matches!(
            of(first, "servicenotavailable"),
            Launched::PassOn(Some(TokenError::Denied(_)))
        ));
        let told = judged(404, None, &format!("{}notloggedin", error("", NOT_JUST_NOW))).unwrap();
        assert!(matches!(told, Launched::SignInAgain));
    }

    #[test]
    fn what_moodle_wants_the_browser_sees() {
        for (status, location) in [
            (303, Some("https://moodle.test:8443/login/index.php")),
            (303, Some("https://moodle.test:8443/user/policy.php")),
            (503, None),
            (200, None),
            (404, None),
        ] {
            let told = judged(status, location, "<body class=\"notloggedin\">").unwrap();
            assert!(matches!(told, Launched::PassOn(None)), "{status} {location:?}");
        }
    }

    #[test]
    fn the_query_has_the_passport() {
        assert_eq!(
            query("moodle_mobile_app", "ab12"),
            "service=moodle_mobile_app&passport=ab12&urlscheme=janua"
        );
    }
}
