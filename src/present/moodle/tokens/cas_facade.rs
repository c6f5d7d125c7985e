//! `cas-facade`: the gateway is the CAS server that Moodle asks, and vouches for people by tickets of its own
//! (facts 3.5).
//!
//! With it the gateway can become anyone in Moodle. So a ticket is good once, for a short time, for one service and one
//! name; it is answered to Moodle's addresses alone; and everything that is not such a ticket goes on to the real CAS.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use ipnet::IpNet;

use super::{Conversation, TokenError, cas_token};
use crate::present::moodle::token::Token;

/// How such a ticket begins: phpCAS wants `ST-`.
const PREFIX: &str = "ST-janua-";
/// From minting to Moodle's question it takes two requests.
const LIFETIME: Duration = Duration::from_secs(30);
/// Tickets that are out at a time.
const MAX_TICKETS: usize = 20_000;

/// Tickets that wait for Moodle's question. One for the gateway.
#[derive(Default)]
pub struct Tickets {
    waiting: Mutex<HashMap<String, Waiting>>,
}

struct Waiting {
    service: String,
    username: String,
    until: SystemTime,
}

/// What is to be answered at the facade's path.
#[derive(Debug, PartialEq, Eq)]
pub enum Facade {
    /// This body, with status 200: CAS answers nothing else (CAS 3.0 section 2.5).
    Answer { content_type: &'static str, body: String },
    /// Ask the real CAS server at the same place below its address, query and all, and pass on what it says.
    PassOn,
    /// Lead the browser to the same place at the real CAS server.
    Redirect,
    /// 403.
    Forbidden,
    /// 404.
    Unknown,
}

impl Tickets {
    /// A new ticket for `username` at `service`. `None`: too many are waiting.
    pub fn mint(&self, service: &str, username: &str, now: SystemTime) -> Option<String> {
        let ticket = format!("{PREFIX}{:032x}", rand::random::<u128>());
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= MAX_TICKETS {
            waiting.retain(|_, ticket| ticket.until > now);
        }
        if waiting.len() >= MAX_TICKETS {
            return None;
        }
        let entry = Waiting {
            service: service.to_owned(),
            username: username.to_owned(),
            until: now + LIFETIME,
        };
        waiting.insert(ticket.clone(), entry);
        Some(ticket)
    }

    /// The name behind a ticket, once; a wrong service burns it, as CAS does (CAS 3.0 section 2.5.3).
    fn spend(&self, ticket: &str, service: &str, now: SystemTime) -> Result<String, &'static str> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match waiting.remove(ticket) {
            Some(found) if found.until <= now => Err("INVALID_TICKET"),
            Some(found) if found.service != service => Err("INVALID_SERVICE"),
            Some(found) => Ok(found.username),
            None => Err("INVALID_TICKET"),
        }
    }

    /// What to answer to a request at `below`, the path behind the facade's own. `from` is the peer of the connection or
    /// whom a trusted proxy names; `allowed` are Moodle's addresses.
    pub fn answer(&self, below: &str, query: &str, from: IpAddr, allowed: &[IpNet], now: SystemTime) -> Facade {
        let plain = match below {
            "/serviceValidate" | "/proxyValidate" | "/p3/serviceValidate" | "/p3/proxyValidate" => false,
            "/validate" => true,
            "/login" | "/logout" => return Facade::Redirect,
            _ => return Facade::Unknown,
        };
        if !allowed.iter().any(|network| network.contains(&from)) {
            return Facade::Forbidden;
        }
        let named = |name: &str| {
            let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(known, _)| known == name);
            let only = values.next().map(|(_, value)| value.into_owned());
            only.filter(|_| values.next().is_none())
        };
        let Some(ticket) = named("ticket").filter(|ticket| ticket.starts_with(PREFIX)) else {
            return Facade::PassOn;
        };
        let spent = match named("service") {
            Some(service) => self.spend(&ticket, &service, now),
            None => Err("INVALID_REQUEST"),
        };
        match plain {
            true => Facade::Answer {
                content_type: "text/plain; charset=utf-8",
                body: spent.map_or_else(|_| "no\n".to_owned(), |user| format!("yes\n{user}\n")),
            },
            false => Facade::Answer {
                content_type: "application/xml; charset=utf-8",
                body: xml(spent),
            },
        }
    }
}

/// A token for `username`, whom the gateway vouches for. Moodle asks the facade while this waits.
pub async fn obtain(
    moodle: &Conversation,
    tickets: &Tickets,
    username: &str,
    now: SystemTime,
) -> Result<Token, TokenError> {
    let username = username.to_lowercase();
    let service = format!("{}{}", moodle.wwwroot(), cas_token::SERVICE);
    let ticket = tickets.mint(&service, &username, now);
    let ticket = ticket.ok_or(TokenError::Denied("too many tickets wait for Moodle to ask about them"))?;
    cas_token::obtain(moodle, cas_token::SERVICE, &ticket, &username).await
}

/// A service response (CAS 3.0 section 2.5.2), whole in one line: phpCAS takes the text of `user` as it stands.
fn xml(spent: Result<String, &str>) -> String {
    let inner = match spent {
        Ok(user) => {
            let user = quick_xml::escape::escape(&user);
            format!("<cas:authenticationSuccess><cas:user>{user}</cas:user></cas:authenticationSuccess>")
        }
        Err(code) => format!("<cas:authenticationFailure code=\"{code}\">ticket not valid</cas:authenticationFailure>"),
    };
    format!("<cas:serviceResponse xmlns:cas=\"http://www.yale.edu/tp/cas\">{inner}</cas:serviceResponse>")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: &str = "https://moodle.test/login/token.php";
    const QUERY: &str = "service=https%3A%2F%2Fmoodle.test%2Flogin%2Ftoken.php&ticket=";
    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn ask(tickets: &Tickets, below: &str, query: &str) -> Facade {
        let allowed = ["10.0.0.0/8".parse().unwrap()];
        tickets.answer(below, query, IpAddr::from([10, 0, 0, 7]), &allowed, NOW)
    }

    fn body(facade: Facade) -> String {
        match facade {
            Facade::Answer { body, .. } => body,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_ticket_is_good_once_for_its_service_and_name() {
        let tickets = Tickets::default();
        let ticket = tickets.mint(SERVICE, "o&<b", NOW).unwrap();
        let query = format!("{QUERY}{ticket}");
        assert!(body(ask(&tickets, "/serviceValidate", &query)).contains("<cas:user>o&amp;&lt;b</cas:user>"));
        assert!(body(ask(&tickets, "/serviceValidate", &query)).contains("INVALID_TICKET"));
        let ticket = tickets.mint(SERVICE, "alice", NOW).unwrap();
        assert!(
            body(ask(
                &tickets,
                "/p3/serviceValidate",
                &format!("service=https://x&ticket={ticket}")
            ))
            .contains("INVALID_SERVICE")
        );
        assert_eq!(body(ask(&tickets, "/validate", &format!("{QUERY}{ticket}"))), "no\n");
        let ticket = tickets.mint(SERVICE, "alice", NOW).unwrap();
        assert_eq!(
            body(ask(&tickets, "/validate", &format!("{QUERY}{ticket}"))),
            "yes\nalice\n"
        );
        let ticket = tickets.mint(SERVICE, "alice", NOW - LIFETIME).unwrap();
        assert!(body(ask(&tickets, "/proxyValidate", &format!("{QUERY}{ticket}"))).contains("INVALID_TICKET"));
    }

    #[test]
    fn everything_else_is_not_answered_here() {
        let tickets = Tickets::default();
        let ticket = tickets.mint(SERVICE, "alice", NOW).unwrap();
        let stranger = tickets.answer(
            "/serviceValidate",
            &format!("{QUERY}{ticket}"),
            IpAddr::from([192, 0, 2, 1]),
            &["10.0.0.0/8".parse().unwrap()],
            NOW,
        );
        assert_eq!(stranger, Facade::Forbidden);
        assert_eq!(
            ask(&tickets, "/serviceValidate", &format!("{QUERY}ST-1-real")),
            Facade::PassOn
        );
        assert_eq!(ask(&tickets, "/login", "service=x"), Facade::Redirect);
        assert_eq!(ask(&tickets, "/proxy", "pgt=x"), Facade::Unknown);
        // Asking was no spending.
        assert!(body(ask(&tickets, "/serviceValidate", &format!("{QUERY}{ticket}"))).contains("alice"));
    }

    #[test]
    fn what_waits_is_bounded() {
        let tickets = Tickets::default();
        for _ in 0..MAX_TICKETS {
            assert!(tickets.mint(SERVICE, "alice", NOW).is_some());
        }
        assert!(tickets.mint(SERVICE, "alice", NOW).is_none());
        assert!(tickets.mint(SERVICE, "alice", NOW + LIFETIME).is_some());
    }
}
