//! `cas-facade`: the gateway is the CAS server that Moodle asks, and vouches for people by tickets of its
//! own.
//!
//! With it the gateway can become anyone in Moodle. So a ticket is good once, for a short time, for one service and one
//! name; it is answered to Moodle's addresses alone; and everything that is not such a ticket goes on to the real CAS.
//!
//! This decides what a ticket looks like, what is kept of it, and what is answered about it. Where tickets wait, and that
//! each is taken once, is the caller's business.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use quick_xml::escape::escape;
use serde::{Deserialize, Serialize};
use url::Url;

use super::site::Finding;
use super::{Conversation, TokenError, cas_token};
use crate::config;
use crate::moodle::token::Token;
use crate::query::single;

/// How such a ticket begins: phpCAS wants `ST-`.
const PREFIX: &str = "ST-janua-";
/// Bytes of the address that a browser wants a ticket for.
const LONGEST_SERVICE: usize = 512;
/// From minting to Moodle's question it takes two requests.
pub const LIFETIME: Duration = Duration::from_secs(30);

/// What a ticket vouches for, as it is kept until Moodle asks.
#[derive(Serialize, Deserialize)]
pub struct Vouched {
    service: String,
    username: String,
    /// Of a ticket that a browser carries through this gateway: the session that it was made for, which the browser must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    /// Names and values, as Moodle is told them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attributes: Vec<(String, String)>,
}

/// What is to be answered at the facade's path.
pub enum Facade {
    /// About one of the gateway's own tickets.
    Asked(Question),
    /// Ask the real CAS server at the same place below its address, query and all, and pass on what it says.
    PassOn,
    /// Lead the browser to the same place at the real CAS server; without one, sign the person in or out here.
    Browser(Page),
    /// 403.
    Forbidden,
    /// 404.
    Unknown,
}

/// Where a CAS server meets browsers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    Login,
    Logout,
}

/// Moodle asks whose ticket this is.
pub struct Question {
    ticket: String,
    /// `None`: it did not name exactly one.
    service: Option<String>,
    /// As CAS 1 answers (CAS 3.0 section 2.4).
    plain: bool,
    /// It must come of a password just now, which the gateway cannot say.
    renew: bool,
}

/// A body that goes out with status 200: CAS answers nothing else (CAS 3.0 section 2.5).
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub content_type: &'static str,
    pub body: String,
}

/// Is it, or may it be, a ticket of the gateway's own?
pub fn is_own(ticket: &str) -> bool {
    ticket.starts_with(PREFIX)
}

/// A ticket that nobody can guess.
pub fn new_ticket() -> String {
    format!("{PREFIX}{:032x}", rand::random::<u128>())
}

/// What a ticket for `username` vouches for, at this address of Moodle's.
pub fn vouch(service: String, username: &str, attributes: Vec<(String, String)>) -> Vouched {
    Vouched {
        service,
        username: username.to_ascii_lowercase(),
        session: None,
        attributes,
    }
}

/// The address that the gateway's own way to a token is made for.
pub fn token_service(moodle: &Conversation) -> String {
    format!("{}{}", moodle.wwwroot(), cas_token::SERVICE)
}

/// Is this an address below `wwwroot` at which Moodle asks about tickets? One for it says to nobody else who somebody is.
pub fn is_of(wwwroot: &Url, service: &str) -> bool {
    let Ok(url) = Url::parse(service) else { return false };
    let root = wwwroot.path().trim_end_matches('/');
    let below = url.path().strip_prefix(root);
    let is_below = below.is_some_and(|below| ["/login/index.php", cas_token::SERVICE].contains(&below));
    let is_plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    // What a browser reads otherwise than it stands is no address that Moodle has made.
    let is_graphic = service.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    url.origin() == wwwroot.origin() && is_below && is_plain && is_graphic && service.len() <= LONGEST_SERVICE
}

/// The same address with a ticket, which stands last.
pub fn with_ticket(service: &str, ticket: &str) -> String {
    let separator = if service.contains('?') { '&' } else { '?' };
    format!("{service}{separator}ticket={ticket}")
}

/// A token by way of a ticket that waits for Moodle's question, which comes while this waits.
pub async fn obtain(moodle: &Conversation, ticket: &str, vouched: &Vouched) -> Result<Token, TokenError> {
    cas_token::obtain(moodle, cas_token::SERVICE, ticket, &vouched.username).await
}

pub(super) fn finding(moodle: &config::Moodle) -> Finding {
    let path = moodle.facade.as_ref().map_or("", |facade| facade.path.as_str());
    Finding::Note(format!(
        "Moodle must ask the gateway: in auth_cas set hostname and port to one of its https public_urls, and baseuri to {}/; \
         auth_casattras has the same settings (casversion CAS 1.0 to 3.0, not SAML 1.1)",
        path.trim_start_matches('/')
    ))
}

/// Judges a request at `below`, the path behind the facade's own. `from` is the peer of the connection or whom a trusted
/// proxy names; `allowed` are Moodle's addresses.
pub fn judge(below: &str, query: &str, from: IpAddr, allowed: &[IpNet]) -> Facade {
    let plain = match below {
        "/serviceValidate" | "/proxyValidate" | "/p3/serviceValidate" | "/p3/proxyValidate" => false,
        "/validate" => true,
        "/login" => return Facade::Browser(Page::Login),
        "/logout" => return Facade::Browser(Page::Logout),
        _ => return Facade::Unknown,
    };
    if !allowed.iter().any(|network| network.contains(&from)) {
        return Facade::Forbidden;
    }
    let named = |name: &str| single(query.as_bytes(), name).map(Cow::into_owned);
    match named("ticket").filter(|ticket| is_own(ticket)) {
        Some(ticket) => Facade::Asked(Question {
            ticket,
            service: named("service"),
            plain,
            renew: named("renew").is_some_and(|renew| renew == "true"),
        }),
        None => Facade::PassOn,
    }
}

impl Vouched {
    /// The same for the browser of a session, by the text of its key.
    pub fn carried_by(self, session: Option<String>) -> Self {
        Self { session, ..self }
    }

    /// The session whose browser alone may carry the ticket.
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    pub fn encode(&self) -> Vec<u8> {
        // Two strings always can be written.
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub fn decode(kept: &[u8]) -> Option<Self> {
        serde_json::from_slice(kept).ok()
    }
}

impl Question {
    pub fn ticket(&self) -> &str {
        &self.ticket
    }

    /// `taken` is what the ticket vouched for, which from now on it does no more, whatever it was asked for: a wrong
    /// service burns it, as CAS does (CAS 3.0 section 2.5.3).
    pub fn answer(&self, taken: Option<Vouched>) -> Answer {
        let told = match (&self.service, taken) {
            (None, _) => Err("INVALID_REQUEST"),
            (Some(_), None) => Err("INVALID_TICKET"),
            (Some(service), Some(vouched)) if vouched.service != *service => Err("INVALID_SERVICE"),
            (Some(_), Some(_)) if self.renew => Err("INVALID_TICKET"),
            (Some(_), Some(vouched)) => Ok(vouched),
        };
        answer(told, self.plain)
    }
}

/// What is said of a ticket of no CAS server that there is.
pub fn unknown(below: &str) -> Answer {
    answer(Err("INVALID_TICKET"), below == "/validate")
}

fn answer(told: Result<Vouched, &str>, plain: bool) -> Answer {
    {
        match plain {
            true => Answer {
                content_type: "text/plain; charset=utf-8",
                body: told.map_or_else(|_| "no\n".to_owned(), |vouched| format!("yes\n{}\n", vouched.username)),
            },
            false => Answer {
                content_type: "application/xml; charset=utf-8",
                body: xml(told),
            },
        }
    }
}

/// A service response (CAS 3.0 section 2.5.2), whole in one line: phpCAS takes the text of `user` as it stands.
fn xml(spent: Result<Vouched, &str>) -> String {
    let inner = match spent {
        Ok(vouched) => {
            let user = escape(&vouched.username);
            let told = vouched.attributes.iter();
            let told: String = told
                .map(|(name, value)| format!("<cas:{name}>{}</cas:{name}>", escape(value)))
                .collect();
            let told = match told.is_empty() {
                true => told,
                false => format!("<cas:attributes>{told}</cas:attributes>"),
            };
            format!("<cas:authenticationSuccess><cas:user>{user}</cas:user>{told}</cas:authenticationSuccess>")
        }
        Err(code) => format!("<cas:authenticationFailure code=\"{code}\">ticket not valid</cas:authenticationFailure>"),
    };
    format!("<cas:serviceResponse xmlns:cas=\"http://www.yale.edu/tp/cas\">{inner}</cas:serviceResponse>")
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &str = "service=https%3A%2F%2Fmoodle.test%2Flogin%2Ftoken.php&ticket=ST-janua-1";

    fn judged(below: &str, query: &str) -> Facade {
        judge(
            below,
            query,
            IpAddr::from([10, 0, 0, 7]),
            &["10.0.0.0/8".parse().unwrap()],
        )
    }

    fn asked(below: &str, query: &str, username: Option<&str>) -> String {
        let Facade::Asked(question) = judged(below, query) else {
            panic!("not answered here: {below} {query}");
        };
        assert_eq!(question.ticket(), "ST-janua-1");
        let vouched = username.map(|username| Vouched {
            service: "https://moodle.test/login/token.php".to_owned(),
            username: username.to_owned(),
            session: None,
            attributes: vec![("mail".to_owned(), "o&b@x".to_owned())],
        });
        question
            .answer(vouched.and_then(|vouched| Vouched::decode(&vouched.encode())))
            .body
    }

    #[test]
    fn it_is_told_whose_ticket_it_is() {
        assert!(asked("/serviceValidate", QUERY, Some("o&<b")).contains("<cas:user>o&amp;&lt;b</cas:user>"));
        assert!(
            asked("/serviceValidate", QUERY, Some("o")).contains("<cas:mail>o&amp;b@x</cas:mail></cas:attributes>")
        );
        assert!(asked("/p3/serviceValidate", QUERY, None).contains("INVALID_TICKET"));
        let renewed = format!("{QUERY}&renew=true");
        assert!(asked("/p3/serviceValidate", &renewed, Some("alice")).contains("INVALID_TICKET"));
        let elsewhere = "service=https://x&ticket=ST-janua-1";
        assert!(asked("/proxyValidate", elsewhere, Some("alice")).contains("INVALID_SERVICE"));
        let nowhere = "service=a&service=b&ticket=ST-janua-1";
        assert!(asked("/p3/proxyValidate", nowhere, Some("alice")).contains("INVALID_REQUEST"));
        assert_eq!(asked("/validate", QUERY, Some("alice")), "yes\nalice\n");
        assert_eq!(asked("/validate", QUERY, None), "no\n");
        assert_eq!(asked("/validate", elsewhere, Some("alice")), "no\n");
    }

    #[test]
    fn everything_else_is_not_answered_here() {
        let stranger = judge(
            "/serviceValidate",
            QUERY,
            IpAddr::from([192, 0, 2, 1]),
            &["10.0.0.0/8".parse().unwrap()],
        );
        assert!(matches!(stranger, Facade::Forbidden));
        let real = QUERY.replace("ST-janua-1", "ST-1-real");
        assert!(matches!(judged("/serviceValidate", &real), Facade::PassOn));
        assert!(matches!(judged("/login", "service=x"), Facade::Browser(Page::Login)));
        assert!(matches!(judged("/proxy", "pgt=x"), Facade::Unknown));
    }

    #[test]
    fn a_browser_gets_tickets_for_addresses_of_this_moodle_alone() {
        let root = "https://moodle.test/lms".parse().unwrap();
        for (service, expected) in [
            ("https://moodle.test/lms/login/index.php?authCAS=CAS", true),
            ("https://moodle.test/lms/login/token.php", true),
            ("https://moodle.test/lms/", false),
            ("https://moodle.test/lms/pluginfile.php/1/a.html", false),
            ("https://moodle.test/lms/b/login/index.php", false),
            ("https://moodle.test/lmsx/", false),
            ("https://moodle.test/login/index.php", false),
            ("https://moodle.test/lms/../login/index.php", false),
            ("https://moodle.test@evil.test/lms/", false),
            ("https://x@moodle.test/lms/", false),
            ("https://moodle.test.evil.test/lms/", false),
            ("http://moodle.test/lms/", false),
            ("https://moodle.test/lms/#x", false),
            ("https:\\\\moodle.test\\lms\\", false),
            ("javascript:alert(1)", false),
            ("", false),
        ] {
            assert_eq!(is_of(&root, service), expected, "{service}");
        }
        assert_eq!(with_ticket("https://m/x?a=b", "ST-1"), "https://m/x?a=b&ticket=ST-1");
        assert_eq!(with_ticket("https://m/x", "ST-1"), "https://m/x?ticket=ST-1");
    }

    #[test]
    fn a_new_ticket_is_known_for_one_and_no_other_is_like_it() {
        let (ticket, other) = (new_ticket(), new_ticket());
        assert_ne!(ticket, other);
        let query = format!("service=x&ticket={ticket}");
        assert!(matches!(judged("/serviceValidate", &query), Facade::Asked(_)));
    }
}
