//! Where a person's token comes from: one file for each source, and what they share.
//!
//! A source is a conversation with Moodle over the backchannel. Which one is tried when, that nobody asks twice at once, and
//! what is kept is decided by the caller; here, no token leaves without the account behind it being the one that
//! was expected.

mod attribute;
pub mod cas_facade;
pub mod cas_launch;
pub mod cas_token;
pub mod clearpass;
mod conversation;
pub mod launch;
pub mod logout;
pub mod oidc_launch;
pub mod page;
pub mod site;
pub mod source;
pub mod vault;

pub use self::conversation::{Conversation, Cookie};

use std::net::IpAddr;

use http::{Method, StatusCode};

use super::answer::wanted::Wanted;
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
    #[error("Moodle wants something first: {}", .0.hint())]
    Wants(Wanted),
    /// The campus's own page does not take this very access token: another one of the person's may do.
    #[error(
        "the page at {host} (moodle.page) does not take this access token ({status}): is it meant for the page (aud)?"
    )]
    NotForPage { host: String, status: StatusCode },
    /// The campus's own page: Moodle was not asked.
    #[error("the page at {host} (moodle.page) gives no token: {why}")]
    Page { host: String, why: String },
    /// Moodle asks people to log in at a place that the gateway does not expect.
    #[error(
        "Moodle's login leads to {seen}, and people authenticate at {expected}: compare the issuer in Moodle with sign_in's, or \
         name its origin in oidc_launch.provider"
    )]
    OtherProvider { seen: String, expected: String },
    /// The provider would have to show the person something.
    #[error("the provider gives no code for Moodle without asking the person: {0}")]
    NotQuietly(&'static str),
    #[error("the provider gives no code for Moodle: {0}")]
    ProviderRefused(&'static str),
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
         facade.path, and casversion with CAS, not SAML; Moodle must trust the gateway's certificate, or have certificate_check off"
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
            Self::Wants(wanted) => wanted.reason().label(),
            Self::Page { .. } => "page_failed",
            Self::NotForPage { .. } => "not_for_page",
            Self::NotQuietly(_) => "not_quietly",
            Self::ProviderRefused(_) => "provider_refused",
            Self::Maintenance => "maintenance",
            Self::OtherProvider { .. } | Self::Misconfigured(_) => "misconfigured",
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
    let mut reply = site_info(moodle, token).await?;
    let verdict = error_code(&reply).and_then(|code| answer::verdict(&code, false));
    if verdict.is_some_and(|verdict| verdict.reaction == Reaction::Probe) {
        // So is the first use of an expired token told, which is its end; a denial is told again.
        reply = site_info(moodle, token).await?;
    }
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
/// where the site names no documentation (`get_exception_info` in `lib/setuplib.php`). A theme, a message or a footer may hold
/// an address that looks like one.
fn page_code(reply: &Reply) -> Option<String> {
    let page = String::from_utf8_lossy(&reply.body);
    // Moodle's paragraph for it stands behind that of the message, and holds nothing but the link (`fatal_error` in
    // `lib/outputrenderers.php`). A block or a custom menu that people have written may have one of that class, too.
    let message = of_class(&page, "errormessage").next().unwrap_or(&page);
    let in_paragraph = of_class(message, "errorcode").find_map(|behind| links(behind.split('<').nth(1)?).next());
    let versioned = || links(&page).find(|(before, _)| is_versioned(before));
    let (_, code) = in_paragraph.or_else(versioned).or_else(|| links(&page).next())?;
    Some(code.to_owned())
}

/// What stands behind each `class` with this word.
fn of_class<'a>(page: &'a str, word: &str) -> impl Iterator<Item = &'a str> {
    const CLASS: &str = "class=\"";
    page.match_indices(CLASS).filter_map(move |(start, _)| {
        let (words, behind) = page.get(start + CLASS.len()..)?.split_once('"')?;
        words.split_ascii_whitespace().any(|one| one == word).then_some(behind)
    })
}

/// Each `/error/<module>/<code>` of a text: what stands before it, and the code.
fn links(text: &str) -> impl Iterator<Item = (&str, &str)> {
    const LINK: &str = "/error/";
    let of_word = |letter: char| letter.is_ascii_alphanumeric() || "_:-".contains(letter);
    let is_word = move |word: &str| !word.is_empty() && word.chars().all(of_word);
    text.match_indices(LINK).filter_map(move |(start, _)| {
        let (before, link) = (text.get(..start)?, text.get(start + LINK.len()..)?);
        let (module, link) = link.split_once('/')?;
        let code = link.split(|letter| !of_word(letter)).next()?;
        let ends = link.get(code.len()..)?.starts_with(['"', '\'', '?', '#', '<', '>']) || link.len() == code.len();
        (is_word(module) && !code.is_empty() && ends).then_some((before, code))
    })
}

/// Does an address go on so that documentation of Moodle's stands here: `…/404/en`, `…/4.4/de_du`?
fn is_versioned(before: &str) -> bool {
    let mut segments = before.rsplit('/');
    let (language, version) = (segments.next().unwrap_or_default(), segments.next().unwrap_or_default());
    let is_version = |byte: u8| byte.is_ascii_digit() || byte == b'.';
    !language.is_empty() && !version.is_empty() && version.bytes().all(is_version)
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
            Reaction::Wants(wanted) => TokenError::Wants(wanted),
            Reaction::Maintenance => TokenError::Maintenance,
            Reaction::Misconfigured | Reaction::TooLarge => TokenError::Misconfigured(verdict.hint),
            Reaction::ObtainAgain => TokenError::Died,
            Reaction::Verify | Reaction::Probe => TokenError::Denied(verdict.hint),
        },
        _ => TokenError::Misconfigured("an error that no web service of Moodle's is known to give"),
    }
}

const CANNOT_CREATE: &str = "the user lacks moodle/webservice:createmobiletoken, or moodle/webservice:createtoken for a service of the site's own";

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};

    use super::*;

    #[test]
    fn the_code_of_a_page_stands_in_moodles_own_link() {
        const MOODLES: &str = "<p class=\"errorcode\"><a href=\"http://docs.moodle.org/404/de/error/webservice/cannotcreatetoken\">?</a></p>";
        let bare = "<a href='https://docs.test/4.4/de_du/error/webservice/cannotcreatetoken#x'>?</a>";
        let own =
            "<p class=\"errorcode\"><a href=\"https://docs.test/en/error/webservice/cannotcreatetoken\">?</a></p>";
        let theme = "<link href=\"/theme/x/error/style.css\"><a href=\"/local/help/error/page/start\">";
        let footer = "<a href=\"https://help.test/error/moodle/other\">?</a>";
        let block = "<p class=\"errorcode\"><a href=\"/404/de/error/moodle/sitepolicynotagreed\">?</a></p>";
        let message = "<p class=\"errormessage\">No token</p>";
        let mentioned = "<p>See /404/de/error/moodle/other</p>";
        let cases = [
            (MOODLES.to_owned(), Some("cannotcreatetoken")),
            (format!("{theme}{MOODLES}{footer}"), Some("cannotcreatetoken")),
            (format!("{theme}{bare}{footer}"), Some("cannotcreatetoken")),
            (format!("{theme}{own}{footer}"), Some("cannotcreatetoken")),
            (format!("{mentioned}{MOODLES}{mentioned}"), Some("cannotcreatetoken")),
            (
                "\u{e4}<a href=\"/error/webservice/cannotcreatetoken\">".to_owned(),
                Some("cannotcreatetoken"),
            ),
            (
                "<link href=\"/theme/x/error/style.css\"> /error/ /error/a/ /error//b /error/a/b/c".to_owned(),
                None,
            ),
            (format!("{block}{message}{MOODLES}{footer}"), Some("cannotcreatetoken")),
            (
                format!("{message}{}{footer}", MOODLES.replace("errorcode", "errorcode alert")),
                Some("cannotcreatetoken"),
            ),
            (String::new(), None),
        ];
        for (body, expected) in cases {
            let reply = Reply {
                status: StatusCode::NOT_FOUND,
                headers: HeaderMap::new(),
                body: Bytes::from(body.clone()),
            };
            assert_eq!(page_code(&reply).as_deref(), expected, "{body}");
        }
    }
}
