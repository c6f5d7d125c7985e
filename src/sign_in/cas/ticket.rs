//! What may be a ticket. Whether it is one, only the server knows: it is asked once and never told to anybody else.

use std::fmt;

use thiserror::Error;

/// The protocol recommends that clients take 256 characters (CAS 3.0 sections 3.1.1 and 3.2.2); servers that put a host's
/// name or more into theirs get some room on top.
const MAX_BYTES: usize = 512;

/// A service or proxy ticket as it came from outside. Whoever holds one may sign in with it, so it shows in no log.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket(String);

/// Why a text is no ticket. It quotes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadTicket {
    #[error("the ticket has the wrong beginning")]
    Beginning,
    #[error("the ticket is longer than {MAX_BYTES} characters")]
    Length,
    #[error("the ticket has characters that none has")]
    Characters,
}

impl Ticket {
    /// A service ticket: it must begin with `ST-` (CAS 3.0 section 3.1.1).
    pub fn service(text: &str) -> Result<Self, BadTicket> {
        Self::beginning_with(&["ST-"], text)
    }

    /// What `/proxyValidate` takes: proxy tickets, which should begin with `PT-` and may begin with `ST-` (section 3.2.2).
    pub fn proxy(text: &str) -> Result<Self, BadTicket> {
        Self::beginning_with(&["PT-", "ST-"], text)
    }

    /// What a single logout can name: any of these, or a proxy-granting ticket (section 3.3.1), which is no session here.
    pub(super) fn of_session(text: &str) -> Result<Self, BadTicket> {
        Self::beginning_with(&["ST-", "PT-", "PGT-"], text)
    }

    fn beginning_with(beginnings: &[&str], text: &str) -> Result<Self, BadTicket> {
        if text.len() > MAX_BYTES {
            return Err(BadTicket::Length);
        }
        let rest = beginnings.iter().find_map(|beginning| text.strip_prefix(beginning));
        if rest.is_none_or(str::is_empty) {
            return Err(BadTicket::Beginning);
        }
        // More than the letters, digits and hyphens of section 3.7: some servers end theirs with a host's name.
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(BadTicket::Characters);
        }
        Ok(Self(text.to_owned()))
    }

    /// For the server, and for the hash by which a single logout finds the session again.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Ticket(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_has_its_beginning_visible_letters_and_a_bounded_length() {
        let longest = format!("ST-{}", "x".repeat(MAX_BYTES - 3));
        for good in ["ST-1", "ST-1856339-aA5Yuvrxzpv8Tau1cYQ7-cas01.example.org", &longest] {
            assert_eq!(Ticket::service(good).unwrap().as_str(), good);
            assert!(Ticket::proxy(good).is_ok());
        }
        for (bad, error) in [
            ("", BadTicket::Beginning),
            ("ST-", BadTicket::Beginning),
            ("st-1", BadTicket::Beginning),
            ("PT-1", BadTicket::Beginning),
            ("TGT-1", BadTicket::Beginning),
            ("ST-1 2", BadTicket::Characters),
            ("ST-1\r\n", BadTicket::Characters),
            ("ST-ä", BadTicket::Characters),
            (&format!("{longest}x"), BadTicket::Length),
        ] {
            assert_eq!(Ticket::service(bad), Err(error), "{bad:?}");
        }
        assert!(Ticket::proxy("PT-1").is_ok());
        assert!(Ticket::proxy("PGT-1").is_err());
    }

    #[test]
    fn it_is_not_printed() {
        assert_eq!(format!("{:?}", Ticket::service("ST-1").unwrap()), "Ticket(…)");
    }
}
