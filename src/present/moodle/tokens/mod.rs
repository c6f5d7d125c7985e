//! Where a person's token comes from: one file for each source, and what they share.
//!
//! A source is a conversation with Moodle over the backchannel. Which one is tried when, that nobody asks twice at once, and
//! what is kept is decided by the caller; here, no token leaves without the account behind it being the one that
//! was expected.

pub mod cas_facade;
pub mod cas_launch;
pub mod cas_token;
mod conversation;
pub(crate) mod md5;
pub mod site;
pub mod vault;

pub use self::conversation::{Conversation, Cookie};

use std::net::IpAddr;

use http::Method;

use super::answer::{self, Reaction};
use super::token::Token;
use crate::backchannel::{BackchannelError, Reply};
use crate::text::without_mark;

/// Why there is no token. The text is for the log and names the setting to look at; it holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error(transparent)]
    NotReached(#[from] BackchannelError),
    /// Another ticket may do.
    #[error(
        "Moodle's CAS client refused the ticket: compare auth_cas' server with sign_in's, and moodle.public_url with $CFG->wwwroot"
    )]
    TicketRefused,
    /// The gateway's own ticket was refused, and Moodle did not ask the gateway about it.
    #[error("Moodle refused the gateway's ticket: {0}")]
    NotAsked(NotAsked),
    /// The kept MoodleSession is over: a ticket is needed.
    #[error("the session in Moodle has ended")]
    SessionEnded,
    /// Somebody has ended it meanwhile; another one may be had.
    #[error("the new token died before it was kept")]
    Died,
    #[error(
        "Moodle signed nobody in: the account is missing, suspended or of another authentication method (authpreventaccountcreation)"
    )]
    NoAccount,
    #[error("Moodle's account is another than the one signed in")]
    OtherAccount,
    #[error("no token is ever obtained for this name")]
    Never,
    #[error("the name has a letter beyond ASCII that is not lower case, which others may read as another letter")]
    OddName,
    #[error("Moodle gives no token: {0}")]
    Denied(&'static str),
    /// The browser must go to Moodle once.
    #[error("the user has to visit Moodle first: {0}")]
    VisitMoodle(&'static str),
    #[error("Moodle is in maintenance mode")]
    Maintenance,
    #[error("Moodle does not answer as one: {0}")]
    Misconfigured(&'static str),
}

/// Why Moodle was told nothing about a ticket of `cas-facade`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAsked {
    #[error("its question came from {0}, which is not in moodle.facade.from")]
    From(IpAddr),
    #[error(
        "it did not ask the gateway. Compare auth_cas' hostname, port and baseuri with a public URL of the gateway and \
         facade.path; Moodle must trust the gateway's certificate, or have certificate_check off"
    )]
    Elsewhere,
}

impl TokenError {
    /// A word for metrics.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::NotReached(_) => "not_reached",
            Self::TicketRefused | Self::NotAsked(_) => "ticket_refused",
            Self::SessionEnded => "session_ended",
            Self::Died => "died",
            Self::NoAccount => "no_account",
            Self::OtherAccount => "other_account",
            Self::Never => "never",
            Self::OddName => "odd_name",
            Self::Denied(_) => "denied",
            Self::VisitMoodle(_) => "visit_moodle",
            Self::Maintenance => "maintenance",
            Self::Misconfigured(_) => "misconfigured",
        }
    }
}

/// The name as Moodle keeps it. Only ASCII is folded: by Unicode the KELVIN SIGN becomes a `k`, and a name would become
/// somebody else's.
pub fn fold(username: &str) -> Result<String, TokenError> {
    let folded = username.to_ascii_lowercase();
    match folded == username.to_lowercase() {
        true => Ok(folded),
        false => Err(TokenError::OddName),
    }
}

/// Is `username` one of those that never get a token? `never` is lower case.
pub fn check_never(never: &[String], username: &str) -> Result<(), TokenError> {
    let username = username.to_lowercase();
    match never.contains(&username) {
        true => Err(TokenError::Never),
        false => Ok(()),
    }
}

/// Does the token belong to `username`, letter case aside? Asked before a token is kept. Gives Moodle's user id.
pub async fn check_identity(moodle: &Conversation, token: &Token, username: &str) -> Result<u64, TokenError> {
    let reply = site_info(moodle, token).await?;
    let info = read_site_info(&reply)?;
    let of = |key: &str| info.get(key).cloned().unwrap_or_default();
    let same = of("username")
        .as_str()
        .is_some_and(|name| name.eq_ignore_ascii_case(username));
    match of("userid").as_u64() {
        Some(user_id) if same => Ok(user_id),
        _ => Err(TokenError::OtherAccount),
    }
}

/// Is the token alive? What [`Reaction::Probe`] and [`Reaction::Verify`] ask for.
pub async fn probe(moodle: &Conversation, token: &Token) -> Result<answer::Probed, TokenError> {
    let reply = site_info(moodle, token).await?;
    let code = error_code(&reply);
    Ok(answer::probed(
        code.as_deref().and_then(|code| answer::verdict(code, false)),
    ))
}

async fn site_info(moodle: &Conversation, token: &Token) -> Result<Reply, TokenError> {
    let target = "/webservice/rest/server.php?wsfunction=core_webservice_get_site_info&moodlewsrestformat=json";
    moodle
        .send(Method::POST, target, &[("wstoken", token.reveal())], &[])
        .await
}

fn read_site_info(reply: &Reply) -> Result<serde_json::Value, TokenError> {
    if let Some(code) = error_code(reply) {
        return Err(refused(&code));
    }
    let no_answer = TokenError::Misconfigured("core_webservice_get_site_info gave no JSON");
    serde_json::from_slice(without_mark(&reply.body)).map_err(|_| no_answer)
}

/// `errorcode` of a JSON answer.
fn error_code(reply: &Reply) -> Option<String> {
    let answer: serde_json::Value = serde_json::from_slice(without_mark(&reply.body)).ok()?;
    Some(answer.get("errorcode")?.as_str()?.to_owned())
}

/// The code of an error page, in whatever language it is: its link for more about it ends in `/error/<module>/<code>`, also
/// where the site names no documentation (`$CFG->docroot`).
fn page_code(reply: &Reply) -> Option<&str> {
    const LINK: &[u8] = b"/error/";
    let at = reply.body.windows(LINK.len()).position(|window| window == LINK)?;
    let link = reply.body.get(at + LINK.len()..)?;
    let link = link
        .split(|byte| matches!(byte, b'"' | b'\'' | b'?' | b'#' | b'<'))
        .next()?;
    let (_, code) = std::str::from_utf8(link).ok()?.split_once('/')?;
    Some(code)
}

/// What an error's code means where a token was to be had.
fn refused(code: &str) -> TokenError {
    match (code, answer::verdict(code, false)) {
        ("generalexceptionmessage", _) => TokenError::TicketRefused,
        ("invalidlogin", _) => TokenError::NoAccount,
        ("cannotcreatetoken", _) => TokenError::Denied(CANNOT_CREATE),
        ("usernotallowed", _) => TokenError::Denied("the user is not among the service's authorised users"),
        ("servicenotavailable", _) => TokenError::Denied("the service of moodle.service is missing or disabled"),
        (_, Some(verdict)) => match verdict.reaction {
            Reaction::EndMoodle => TokenError::Denied(verdict.hint),
            Reaction::VisitMoodle => TokenError::VisitMoodle(verdict.hint),
            Reaction::Maintenance => TokenError::Maintenance,
            Reaction::Misconfigured | Reaction::TooLarge => TokenError::Misconfigured(verdict.hint),
            Reaction::ObtainAgain => TokenError::Died,
            Reaction::Verify | Reaction::Probe => TokenError::Denied(verdict.hint),
        },
        _ => TokenError::Misconfigured("an error that no web service of Moodle's is known to give"),
    }
}

const CANNOT_CREATE: &str = "the user lacks moodle/webservice:createmobiletoken, or moodle/webservice:createtoken for a service of the site's own";
