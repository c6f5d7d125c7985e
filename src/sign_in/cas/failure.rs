//! Why a server refuses a ticket: its code as a closed list, and its words made safe to log.

use std::fmt;

use crate::text;

/// Longest part of the server's words that is kept, in characters.
const MAX_TEXT: usize = 200;

/// Longest unknown code that is kept.
const MAX_CODE: usize = 64;

/// The codes of CAS 3.0 section 2.5.3 and those that servers add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FailureCode {
    InvalidRequest,
    InvalidTicketSpec,
    UnauthorizedServiceProxy,
    InvalidProxyCallback,
    InvalidTicket,
    InvalidService,
    InternalError,
    /// Apereo and django-cas-server: the service is not registered, or not for this.
    UnauthorizedService,
    /// django-cas-server: the user may not use the service.
    UnauthorizedUser,
    /// Any other, shortened to letters, digits and `_`.
    Unknown(String),
}

/// The server said no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub code: FailureCode,
    /// The server's words: one line, at most 200 characters, tickets in it cut to their kind. May be empty.
    pub text: String,
}

impl Failure {
    /// Takes code and words as they came. Servers quote the ticket there, so it is taken out.
    pub(super) fn new(code: &str, text: &str) -> Self {
        Self {
            code: FailureCode::read(code),
            text: without_tickets(text),
        }
    }
}

impl FailureCode {
    fn read(code: &str) -> Self {
        match code {
            "INVALID_REQUEST" => Self::InvalidRequest,
            "INVALID_TICKET_SPEC" => Self::InvalidTicketSpec,
            "UNAUTHORIZED_SERVICE_PROXY" => Self::UnauthorizedServiceProxy,
            "INVALID_PROXY_CALLBACK" => Self::InvalidProxyCallback,
            "INVALID_TICKET" => Self::InvalidTicket,
            "INVALID_SERVICE" => Self::InvalidService,
            "INTERNAL_ERROR" => Self::InternalError,
            "UNAUTHORIZED_SERVICE" => Self::UnauthorizedService,
            "UNAUTHORIZED_USER" => Self::UnauthorizedUser,
            other => {
                let letters = other
                    .chars()
                    .filter(|letter| letter.is_ascii_alphanumeric() || *letter == '_');
                Self::Unknown(letters.take(MAX_CODE).collect())
            }
        }
    }

    /// The word for metrics: one of ten.
    pub fn label(&self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidTicketSpec => "invalid_ticket_spec",
            Self::UnauthorizedServiceProxy => "unauthorized_service_proxy",
            Self::InvalidProxyCallback => "invalid_proxy_callback",
            Self::InvalidTicket => "invalid_ticket",
            Self::InvalidService => "invalid_service",
            Self::InternalError => "internal_error",
            Self::UnauthorizedService => "unauthorized_service",
            Self::UnauthorizedUser => "unauthorized_user",
            Self::Unknown(_) => "unknown_code",
        }
    }

    /// What it means and what to do about it, for the person who signs in or the operator behind them.
    pub fn meaning(&self) -> &'static str {
        match self {
            Self::InvalidTicket => "the ticket is unknown, expired or used already: sign in again",
            Self::InvalidService | Self::InvalidTicketSpec => "the ticket was made for another address: sign in again",
            Self::UnauthorizedService | Self::UnauthorizedServiceProxy => {
                "this gateway's address is not registered at the sign-in server"
            }
            Self::UnauthorizedUser => "the sign-in server does not let this account use this service",
            Self::InvalidRequest | Self::InvalidProxyCallback | Self::Unknown(_) => {
                "the sign-in server did not accept the gateway's question"
            }
            Self::InternalError => "the sign-in server has a fault: try again later",
        }
    }
}

impl fmt::Display for FailureCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(code) if !code.is_empty() => formatter.write_str(code),
            code => formatter.write_str(&code.label().to_ascii_uppercase()),
        }
    }
}

/// One line without control characters in which every `ST-…`, `PT-…`, `PGT-…` and the like ends after its hyphen.
fn without_tickets(text: &str) -> String {
    let text = text::safe(text.trim());
    let mut kept = String::new();
    // Longest first, so that no kind is found within another one.
    const KINDS: [&str; 7] = ["PGTIOU-", "TGC-", "TGT-", "PGT-", "LT-", "ST-", "PT-"];
    let mut rest = text.as_ref();
    while let Some(letter) = rest.chars().next() {
        let kind = KINDS.iter().find(|kind| rest.starts_with(**kind));
        if let Some(kind) = kind {
            kept.push_str(kind);
            kept.push('…');
            rest = rest.trim_start_matches(is_of_ticket);
            continue;
        }
        kept.push(letter);
        rest = rest.get(letter.len_utf8()..).unwrap_or_default();
    }
    kept.chars().take(MAX_TEXT).collect()
}

fn is_of_ticket(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.' | '_' | '~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_are_taken_out_of_the_servers_words() {
        for (text, safe) in [
            (" ST-Dru4 ", "ST-…"),
            ("Ticket 'ST-1-a.cas' not recognized", "Ticket 'ST-…' not recognized"),
            (
                "/pgt?pgtId=PGT-Vo&pgtIou=PGTIOU-mF (x)",
                "/pgt?pgtId=PGT-…&pgtIou=PGTIOU-… (x)",
            ),
            ("BEST-EFFORT", "BEST-…"),
            ("two\r\nlines\u{1b}[0m", "two\\u000d\\nlines\\u001b[0m"),
            ("", ""),
        ] {
            assert_eq!(Failure::new("X", text).text, safe);
        }
        let long = Failure::new("X", &"ä".repeat(1000)).text;
        assert_eq!(long.chars().count(), MAX_TEXT);
    }

    #[test]
    fn codes_are_a_closed_list_and_unknown_ones_harmless() {
        assert_eq!(Failure::new("INVALID_TICKET", "").code, FailureCode::InvalidTicket);
        let odd = Failure::new("invalid_ticket\n<b>", "").code;
        assert_eq!(odd, FailureCode::Unknown("invalid_ticketb".to_owned()));
        assert_eq!(odd.label(), "unknown_code");
        assert_eq!(FailureCode::InvalidTicket.to_string(), "INVALID_TICKET");
        assert_eq!(FailureCode::Unknown(String::new()).to_string(), "UNKNOWN_CODE");
    }
}
