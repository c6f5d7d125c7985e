//! What an answer of Moodle's means for the token that was sent: web service errors come with status 200.
//!
//! The head decides where it can; else the body's first bytes do, and they must be withheld until then. What is done
//! about it, and how often, is decided by the caller. Every verdict names the setting in Moodle to look at.

pub mod redact;
pub mod repeated;
pub mod rewrite;
pub mod wanted;

use http::{HeaderMap, Method, StatusCode, header};

use self::wanted::Wanted;
use crate::headers;
use crate::moodle::request::endpoint::Endpoint;

/// An error's code stands within its first bytes; only a stack trace is longer, and stands behind it.
const MAX_LOOKED_AT: usize = 16 << 10;
/// A request body up to this size is below any `post_max_size`: PHP has not lost the token with it.
pub const SAFE_BODY: u64 = 1 << 20;

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// The token is dead: drop it, obtain another, send the request once more. Nothing was executed.
    ObtainAgain,
    /// The same, unless the token turns out to be alive: PHP may have dropped a large body, token and all.
    Verify,
    /// An expired token's first use looks like this, a true denial as well: ask `core_webservice_get_site_info` once.
    Probe,
    /// This account is not served: no other token will be.
    EndMoodle,
    /// Keep the token; 503.
    Maintenance,
    /// The user must agree to something or fill it in, or the administrators must: keep the token.
    Wants(Wanted),
    /// The web server or PHP takes no request of this size.
    TooLarge,
    /// The answer is none of a web service's: 502.
    Misconfigured,
}

/// A reaction and, for the log, where in Moodle its cause is to be looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    pub reaction: Reaction,
    pub hint: &'static str,
}

/// What the head says.
pub enum Judging {
    /// `None`: nothing is to be done.
    Decided(Option<Verdict>),
    /// The body decides.
    Open(Judge),
}

/// Looks at a body's first bytes.
pub struct Judge {
    seen: Vec<u8>,
    json: &'static [u8],
    token_may_be_lost: bool,
    /// `[]` as JSON is what upload.php says when PHP has dropped the body: else it answers as text, with a list of files.
    is_lost_upload: bool,
}

/// What a probe has told, after [`Reaction::Probe`] or [`Reaction::Verify`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probed {
    /// It was expired or is gone.
    ObtainAgain,
    /// The token is good: the answer stands as it is.
    PassOn,
}

/// Judges the head of an answer. `token_may_be_lost`: the token went in a body larger than [`SAFE_BODY`].
pub fn head(
    endpoint: Endpoint,
    method: &Method,
    status: StatusCode,
    headers: &HeaderMap,
    token_may_be_lost: bool,
) -> Judging {
    let file = endpoint == Endpoint::File;
    let named_file = headers.contains_key(header::CONTENT_DISPOSITION);
    let content_type = headers::text(headers, header::CONTENT_TYPE).unwrap_or_default();
    let may_be_html = file && (named_file || matches!(status, StatusCode::NOT_FOUND | StatusCode::NOT_MODIFIED));
    let html = content_type.starts_with("text/html") && !may_be_html;
    let mut codings = headers::list(headers, header::CONTENT_ENCODING);
    // An answer without a body has nothing to be encoded.
    let encoded = status != StatusCode::NOT_MODIFIED && codings.any(|coding| !coding.eq_ignore_ascii_case(b"identity"));
    if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
        return misconfigured(
            "Moodle redirects: compare $CFG->wwwroot with moodle.public_url, $CFG->sslproxy and $CFG->reverseproxy with upstreams.host",
        );
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        return decided(Reaction::Maintenance, "maintenance mode");
    }
    if status == StatusCode::FORBIDDEN {
        return misconfigured("web services or their REST protocol are off: enablewebservices, webserviceprotocols");
    }
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        let hint = "the web server in front of Moodle takes no body of this size: client_max_body_size";
        return decided(Reaction::TooLarge, hint);
    }
    if html && matches!(status, StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT) {
        return misconfigured(
            "the web server in front of Moodle does not reach PHP, or PHP takes too long: is php-fpm up?",
        );
    }
    if html {
        return misconfigured(
            "an HTML page instead of a web service's answer: is moodle.upstream a Moodle, without a login page in front?",
        );
    }
    if encoded && (!file || is_error_of_file(status, headers)) {
        return misconfigured(
            "a compressed answer although none was asked for: zlib.output_compression or the web server in front of Moodle",
        );
    }
    let silent = *method == Method::HEAD || (file && (status != StatusCode::OK || named_file));
    if silent || !status.is_success() {
        return Judging::Decided(None);
    }
    Judging::Open(Judge {
        seen: Vec::new(),
        json: if endpoint == Endpoint::Rest {
            b"{\"exception\":"
        } else {
            b"{\"error\":"
        },
        token_may_be_lost,
        is_lost_upload: endpoint == Endpoint::Upload && content_type.starts_with("application/json"),
    })
}

/// Is the answer of a file script an error, and no file? By its status, or as a text without a name: a file has one, also a
/// JSON one. Whoever wrote it, Moodle or the web server in front of it, may repeat the address, with the token in it.
pub fn is_error_of_file(status: StatusCode, headers: &HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .map_or(&b""[..], |kind| kind.as_bytes());
    let kind = kind.to_ascii_lowercase();
    let is_text = [&b"application/json"[..], b"application/xml", b"text/"]
        .iter()
        .any(|text| kind.starts_with(text));
    let is_error = status.is_client_error() || status.is_server_error();
    is_error || is_text && !headers.contains_key(header::CONTENT_DISPOSITION)
}

impl Judge {
    /// The next piece of the body; `Some` as soon as the verdict stands, and then the answer may go on or not.
    pub fn push(&mut self, piece: &[u8]) -> Option<Option<Verdict>> {
        let room = MAX_LOOKED_AT.saturating_sub(self.seen.len());
        self.seen.extend(piece.iter().take(room));
        if self.is_lost_upload && b"[]".starts_with(self.seen.trim_ascii()) {
            return None;
        }
        let error = [self.json, b"<?xml"].iter().any(|start| {
            let length = start.len().min(self.seen.len());
            self.seen.get(..length) == start.get(..length)
        });
        if !error || self.seen.len() >= MAX_LOOKED_AT {
            return Some(None);
        }
        if self.seen.starts_with(b"<?xml") && text(&self.seen).is_some_and(|text| text.contains("<RESPONSE")) {
            return Some(None);
        }
        self.code().map(|code| verdict(code, self.token_may_be_lost))
    }

    /// The body has ended undecided: it was too short for an error.
    pub fn finish(&self) -> Option<Verdict> {
        if self.is_lost_upload && self.seen.trim_ascii() == b"[]" {
            return Some(Verdict {
                reaction: Reaction::TooLarge,
                hint: "the request was larger than PHP's post_max_size",
            });
        }
        self.code().and_then(|code| verdict(code, self.token_may_be_lost))
    }

    /// Quotes inside a JSON text are escaped, and `<` in an XML one: what is found here is a key or an element.
    fn code(&self) -> Option<&str> {
        let text = text(&self.seen)?;
        let json = || Some(text.split_once("\"errorcode\":\"")?.1.split_once('"')?.0);
        let xml = || Some(text.split_once("<ERRORCODE>")?.1.split_once('<')?.0);
        if text.starts_with('{') { json() } else { xml() }
    }
}

/// What is to be done about an error of Moodle's, by its code.
pub fn verdict(code: &str, token_may_be_lost: bool) -> Option<Verdict> {
    let wants = |wanted: Wanted| (Reaction::Wants(wanted), wanted.hint());
    let (reaction, hint) = match code {
        "invalidtoken" | "missingparam" if token_may_be_lost => (
            Reaction::Verify,
            "the token was not accepted, or the request was larger than PHP's post_max_size",
        ),
        "invalidtoken" => (Reaction::ObtainAgain, "the token was deleted or has expired"),
        "accessexception" => (
            Reaction::Probe,
            "expired token, or: service enabled, its restricted users and required capability, webservice/rest:use, \
             the function in the service, the token's IP restriction",
        ),
        "wsaccessusersuspended" => (Reaction::EndMoodle, "the account is suspended"),
        "wsaccessuserdeleted" => (Reaction::EndMoodle, "the account is deleted"),
        "wsaccessuserunconfirmed" => (Reaction::EndMoodle, "the account is not confirmed"),
        "wsaccessusernologin" => (Reaction::EndMoodle, "the account's authentication method is nologin"),
        "wsaccessuserexpired" => (Reaction::EndMoodle, "the account's password has expired"),
        "sitemaintenance" => (Reaction::Maintenance, "maintenance mode"),
        "sitepolicynotagreed" => wants(Wanted::Policy),
        "usernotfullysetup" => wants(Wanted::Profile),
        "forcepasswordchangenotice" => wants(Wanted::NewPassword),
        "nopasswordchangeforced" => wants(Wanted::NoPassword),
        "redirecterrordetected" => (
            Reaction::Misconfigured,
            "it redirects instead of answering: it takes the request for one to another site. Compare $CFG->wwwroot with \
             moodle.public_url and upstreams.host; behind a gateway that ends TLS it needs $CFG->sslproxy = true",
        ),
        "reverseproxyabused" => (
            Reaction::Misconfigured,
            "$CFG->reverseproxy is on, and the gateway sends the public host: turn it off, or set upstreams.host",
        ),
        "requirecorrectaccess" => (
            Reaction::Misconfigured,
            "the Host sent is not that of $CFG->wwwroot: compare it with moodle.public_url and upstreams.host",
        ),
        "sslonlyaccess" => (
            Reaction::Misconfigured,
            "$CFG->wwwroot is https and $CFG->sslproxy is off",
        ),
        "enablewsdescription" => (Reaction::Misconfigured, "enablewebservices is off"),
        _ => return None,
    };
    Some(Verdict { reaction, hint })
}

/// What a probe's verdict means: only a dead token changes anything.
pub fn probed(verdict: Option<Verdict>) -> Probed {
    match verdict {
        Some(Verdict {
            reaction: Reaction::ObtainAgain | Reaction::Verify,
            ..
        }) => Probed::ObtainAgain,
        _ => Probed::PassOn,
    }
}

fn decided(reaction: Reaction, hint: &'static str) -> Judging {
    Judging::Decided(Some(Verdict { reaction, hint }))
}

fn misconfigured(hint: &'static str) -> Judging {
    decided(Reaction::Misconfigured, hint)
}

/// The bytes as text, up to a character that has not come whole.
fn text(bytes: &[u8]) -> Option<&str> {
    bytes.utf8_chunks().next().map(|chunk| chunk.valid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_name_and_an_error_has_none() {
        let is_error = |status: u16, kind: &str, disposition: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
            if let Some(disposition) = disposition {
                headers.insert(header::CONTENT_DISPOSITION, disposition.parse().unwrap());
            }
            is_error_of_file(StatusCode::from_u16(status).unwrap(), &headers)
        };
        let named = Some("inline; filename=\"a\"");
        for kind in [
            "application/json",
            "Application/JSON",
            "text/html; charset=utf-8",
            "text/xml",
        ] {
            assert!(is_error(200, kind, None), "{kind}");
            assert!(!is_error(200, kind, named), "{kind}");
            assert!(is_error(404, kind, named), "{kind}");
        }
        assert!(is_error(404, "image/png", None));
        assert!(!is_error(206, "video/mp4", None));
    }

    fn judged(endpoint: Endpoint, status: u16, content_type: &str, body: &str) -> Option<Verdict> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        match head(
            endpoint,
            &Method::POST,
            StatusCode::from_u16(status).unwrap(),
            &headers,
            false,
        ) {
            Judging::Decided(verdict) => verdict,
            Judging::Open(mut judge) => {
                // Byte by byte must tell the same as at once.
                let mut slow = Judge {
                    seen: Vec::new(),
                    ..judge
                };
                judge.seen.clear();
                let at_once = judge.push(body.as_bytes()).unwrap_or_else(|| judge.finish());
                let stepwise = body.bytes().find_map(|byte| slow.push(&[byte]));
                assert_eq!(stepwise.unwrap_or_else(|| slow.finish()), at_once, "{body}");
                at_once
            }
        }
    }

    fn reaction(endpoint: Endpoint, body: &str) -> Option<Reaction> {
        judged(endpoint, 200, "application/json", body).map(|verdict| verdict.reaction)
    }

    #[test]
    fn errors_with_status_200() {
        let json = |code: &str| format!("{{\"exception\":\"e\",\"errorcode\":\"{code}\",\"message\":\"m\"}}");
        let codes = [
            ("invalidtoken", Some(Reaction::ObtainAgain)),
            ("accessexception", Some(Reaction::Probe)),
            ("wsaccessusersuspended", Some(Reaction::EndMoodle)),
            ("wsaccessuserdeleted", Some(Reaction::EndMoodle)),
            ("wsaccessuserunconfirmed", Some(Reaction::EndMoodle)),
            ("wsaccessusernologin", Some(Reaction::EndMoodle)),
            ("sitemaintenance", Some(Reaction::Maintenance)),
            ("sitepolicynotagreed", Some(Reaction::Wants(Wanted::Policy))),
            ("usernotfullysetup", Some(Reaction::Wants(Wanted::Profile))),
            ("forcepasswordchangenotice", Some(Reaction::Wants(Wanted::NewPassword))),
            ("reverseproxyabused", Some(Reaction::Misconfigured)),
            ("redirecterrordetected", Some(Reaction::Misconfigured)),
            ("nopasswordchangeforced", Some(Reaction::Wants(Wanted::NoPassword))),
            ("invalidparameter", None),
            ("invalidrecord", None),
        ];
        for (code, expected) in codes {
            assert_eq!(reaction(Endpoint::Rest, &json(code)), expected, "{code}");
            let upload = format!("{{\"error\":\"\\\"errorcode\\\":\\\"x\\\"\",\"errorcode\":\"{code}\"}}");
            assert_eq!(reaction(Endpoint::Upload, &upload), expected, "{code}");
            let xml = format!("<?xml version=\"1.0\" ?>\n<EXCEPTION class=\"e\">\n<ERRORCODE>{code}</ERRORCODE>");
            assert_eq!(
                judged(Endpoint::Rest, 200, "application/xml", &xml).map(|verdict| verdict.reaction),
                expected
            );
        }
    }

    #[test]
    fn answers_are_no_errors() {
        let bodies = [
            "[]",
            "",
            "null",
            "{\"errorcode\":\"invalidtoken\"}",
            "{\"error\":\"x\",\"errorcode\":\"invalidtoken\"}",
            "[{\"exception\":1,\"errorcode\":\"invalidtoken\"}]",
            "{\"exc",
            "<?xml ?>\n<RESPONSE><ERRORCODE>invalidtoken<",
        ];
        for body in bodies {
            assert_eq!(reaction(Endpoint::Rest, body), None, "{body}");
        }
        let page = "{\"exception\":\"".to_owned() + &"x".repeat(MAX_LOOKED_AT) + "\",\"errorcode\":\"invalidtoken\"";
        assert_eq!(reaction(Endpoint::Rest, &page), None);
    }

    #[test]
    fn heads_that_are_no_web_services() {
        let cases = [
            (303, "text/html", Reaction::Misconfigured),
            (403, "text/html; charset=utf-8", Reaction::Misconfigured),
            (200, "text/html; charset=utf-8", Reaction::Misconfigured),
            (404, "text/html", Reaction::Misconfigured),
            (503, "text/html", Reaction::Maintenance),
        ];
        for (status, content_type, expected) in cases {
            let verdict = judged(Endpoint::Rest, status, content_type, "").unwrap();
            assert_eq!(verdict.reaction, expected, "{status} {content_type}");
            assert!(!verdict.hint.is_empty());
        }
        assert_eq!(
            judged(
                Endpoint::File,
                404,
                "application/json",
                "{\"error\":\"x\",\"errorcode\":\"filenotfound\"}"
            ),
            None
        );
        assert_eq!(judged(Endpoint::File, 304, "text/html", ""), None);
        assert_eq!(judged(Endpoint::Rest, 500, "application/json", ""), None);
    }

    #[test]
    fn what_is_too_large_says_so_in_three_ways() {
        let upload =
            |content_type, body| judged(Endpoint::Upload, 200, content_type, body).map(|verdict| verdict.reaction);
        assert_eq!(upload("application/json", "[]"), Some(Reaction::TooLarge));
        assert_eq!(
            upload("application/json; charset=utf-8", " []\n"),
            Some(Reaction::TooLarge)
        );
        assert_eq!(upload("text/plain; charset=utf-8", "[]"), None);
        assert_eq!(upload("application/json", "[{\"itemid\":1}]"), None);
        let web_server = judged(Endpoint::Upload, 413, "text/html", "<html>");
        assert_eq!(web_server.map(|verdict| verdict.reaction), Some(Reaction::TooLarge));
        let away = judged(Endpoint::Rest, 502, "text/html", "<html>").unwrap();
        assert!(away.hint.contains("php-fpm"), "{}", away.hint);
    }

    #[test]
    fn a_file_is_no_error_whatever_it_holds() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, "text/html".parse().unwrap());
        headers.insert(
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"x.html\"".parse().unwrap(),
        );
        let judging = head(Endpoint::File, &Method::GET, StatusCode::OK, &headers, false);
        assert!(matches!(judging, Judging::Decided(None)));
    }

    #[test]
    fn nothing_is_left_out_of_a_compressed_error_so_that_it_goes_nowhere() {
        let judged = |endpoint, status, named: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
            headers.insert(header::CONTENT_ENCODING, "gzip".parse().unwrap());
            if named {
                headers.insert(
                    header::CONTENT_DISPOSITION,
                    "inline; filename=\"x.json\"".parse().unwrap(),
                );
            }
            match head(endpoint, &Method::GET, status, &headers, false) {
                Judging::Decided(verdict) => verdict.map(|verdict| verdict.reaction),
                Judging::Open(_) => panic!("open"),
            }
        };
        let withheld = Some(Reaction::Misconfigured);
        assert_eq!(judged(Endpoint::Rest, StatusCode::OK, false), withheld);
        assert_eq!(judged(Endpoint::File, StatusCode::NOT_FOUND, false), withheld);
        assert_eq!(judged(Endpoint::File, StatusCode::OK, false), withheld);
        assert_eq!(judged(Endpoint::File, StatusCode::OK, true), None);
        assert_eq!(judged(Endpoint::File, StatusCode::NOT_MODIFIED, false), None);
        for (lines, withheld) in [
            (&["identity", "gzip"][..], true),
            (&["identity, gzip"], true),
            (&["Identity", ""], false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
            for line in lines {
                headers.append(header::CONTENT_ENCODING, line.parse().unwrap());
            }
            let judging = head(Endpoint::Rest, &Method::POST, StatusCode::OK, &headers, false);
            assert_eq!(matches!(judging, Judging::Decided(Some(_))), withheld, "{lines:?}");
        }
    }

    #[test]
    fn a_large_body_may_have_lost_its_token() {
        assert_eq!(
            verdict("invalidtoken", true).map(|verdict| verdict.reaction),
            Some(Reaction::Verify)
        );
        assert_eq!(probed(verdict("invalidtoken", false)), Probed::ObtainAgain);
        assert_eq!(probed(verdict("accessexception", false)), Probed::PassOn);
        assert_eq!(probed(None), Probed::PassOn);
    }
}
