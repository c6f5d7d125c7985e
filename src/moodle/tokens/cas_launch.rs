//! `cas-launch`: a ticket for Moodle's own CAS address becomes a MoodleSession, and that a token.
//!
//! Works with Moodle's own settings and in clusters. The session may be kept: as long as it lives, it makes another
//! token without the browser. It must never show a page of HTML, or `launch.php` closes.

use http::{Method, StatusCode};

use super::conversation::location;
use super::launch::{self, PATH};
use super::site::{Finding, SiteConfig};
use super::source::{Availability, Person, Spent};
use super::{Conversation, Cookie, TokenError, check_identity, page_code, refused};
use crate::backchannel::Reply;
use crate::moodle::answer::wanted::Wanted;
use crate::moodle::service::NO_STORE;
use crate::moodle::token::Token;
use crate::store::StoreError;

/// Below `wwwroot`: where CAS sends the browser for Moodle, and what the ticket is made for.
pub const SERVICE: &str = "/login/index.php?authCAS=CAS";

/// What `complete_user_login` says of an account that has to change a password and has none.
const NO_PASSWORD: &str = "nopasswordchangeforced";

/// A session in Moodle that nobody but the gateway holds.
pub struct Signed {
    pub session: Cookie,
    /// Moodle's number of the account.
    pub user_id: u64,
}

/// Makes a token from the session in Moodle that is kept.
pub(super) async fn ask(moodle: &Conversation, person: &Person<'_>) -> Result<Option<Token>, TokenError> {
    let Some(kept) = person.kept_session().await.map_err(|_| NO_STORE)? else {
        return Ok(None);
    };
    match launch(moodle, &kept).await {
        Err(TokenError::SessionEnded) => person.forget_session().await.map(|()| None),
        // It remembers what was wanted when it began.
        Err(TokenError::Wants(wanted)) if wanted.is_for_the_person() => {
            person.leave().await?;
            Err(TokenError::Wants(wanted))
        }
        launched => launched.map(Some),
    }
}

pub(super) async fn spend(moodle: &Conversation, username: &str, ticket: &str) -> Spent {
    let session = match sign_in(moodle, SERVICE, ticket).await {
        Ok(signed) => signed.session,
        Err(error) => {
            return Spent {
                obtained: Err(error),
                session: None,
            };
        }
    };
    let launched = async {
        let token = launch(moodle, &session).await?;
        check_identity(moodle, &token, username).await.map(|_| token)
    };
    Spent {
        obtained: launched.await,
        session: Some(session),
    }
}

pub(super) async fn availability(person: &Person<'_>) -> Result<Availability, StoreError> {
    Ok(match person.kept_session().await? {
        Some(_) => Availability::Asked("a session in Moodle is kept, which makes one without the browser"),
        None => person.by_browser(),
    })
}

pub(super) fn finding(site: &SiteConfig) -> Finding {
    if let Some(moved) = launch::moved(site) {
        return moved;
    }
    let gives = match site.type_of_login {
        2 | 3 => "launch.php gives tokens to whoever is signed in (typeoflogin)",
        _ => "launch.php gives tokens to a session that has shown no page yet, as the gateway's (typeoflogin = 1)",
    };
    Finding::Good(gives.to_owned())
}

/// Spends a ticket. `service` is path and query below `wwwroot` exactly as CAS was told them, without the ticket: Moodle
/// asks CAS about the address that it sees.
pub async fn sign_in(moodle: &Conversation, service: &str, ticket: &str) -> Result<Signed, TokenError> {
    let separator = if service.contains('?') { '&' } else { '?' };
    let encoded: String = form_urlencoded::byte_serialize(ticket.as_bytes()).collect();
    let first = moodle
        .send(Method::GET, &format!("{service}{separator}ticket={encoded}"), &[], &[])
        .await?;
    match (first.status, Cookie::set_by(&first, "MoodleSession")) {
        (StatusCode::FOUND, Some(session)) if location(&first).ends_with(service) => {
            second(moodle, service, &session).await
        }
        (StatusCode::NOT_FOUND, _) => Err(match page_code(&first).as_deref() {
            Some(NO_PASSWORD) => TokenError::Wants(Wanted::NoPassword),
            _ => TokenError::TicketRefused,
        }),
        (status, _) if status.is_redirection() => Err(TokenError::Misconfigured(
            "login/index.php leads elsewhere: compare $CFG->wwwroot with moodle.public_url, $CFG->sslproxy, upstreams.host, and see that auth_cas is on",
        )),
        _ => Err(TokenError::Misconfigured(
            "login/index.php took no notice of the ticket: is auth_cas on? auth_casattras with multiauth has an address of its own, \
             authCASattras=CASattras: turn its multiauth off",
        )),
    }
}

/// The ticket is spent; whether anybody was signed in, `testsession=<user id>` tells.
async fn second(moodle: &Conversation, service: &str, session: &Cookie) -> Result<Signed, TokenError> {
    let reply = moodle.send(Method::GET, service, &[], &[session]).await?;
    let leads = location(&reply);
    let user_id = leads.split_once("testsession=").and_then(|(_, id)| id.parse().ok());
    match (user_id, Cookie::set_by(&reply, "MoodleSession")) {
        (Some(user_id), session_now) => Ok(Signed {
            session: session_now.unwrap_or_else(|| session.clone()),
            user_id,
        }),
        (None, _) if reply.status.is_redirection() => Err(match Wanted::of_redirect(leads) {
            // Nobody was signed in: to the login page, or `$CFG->alternateloginurl` in its place.
            None | Some(Wanted::Other) => TokenError::NoAccount,
            Some(wanted) => TokenError::Wants(wanted),
        }),
        (None, _) if page_code(&reply).as_deref() == Some(NO_PASSWORD) => Err(TokenError::Wants(Wanted::NoPassword)),
        (None, _) => Err(TokenError::Misconfigured(
            "login/index.php did not say whom it signed in",
        )),
    }
}

/// A token of the session's account. The same one again, as long as Moodle has one that is valid.
pub async fn launch(moodle: &Conversation, session: &Cookie) -> Result<Token, TokenError> {
    let passport = launch::passport();
    let target = format!("{PATH}?{}", launch::query(moodle.service(), &passport));
    let reply = moodle.send(Method::GET, &target, &[], &[session]).await?;
    launch::read(&reply, moodle.wwwroot(), &passport).unwrap_or_else(|| Err(detour(&reply)))
}

/// `launch.php` leads to where something is to be done, or says in a page of HTML what is wrong.
fn detour(reply: &Reply) -> TokenError {
    if reply.status.is_redirection() {
        let wanted = Wanted::of_redirect(location(reply));
        return wanted.map_or(TokenError::SessionEnded, TokenError::Wants);
    }
    if reply.status != StatusCode::NOT_FOUND {
        return TokenError::Misconfigured(
            "launch.php answered with a page: is tool_mobile installed, and is there no login page in front of Moodle?",
        );
    }
    match page_code(reply).as_deref() {
        // The session may have ended, or shown a page: a new one is the remedy for both.
        None | Some("pluginnotenabledorconfigured") => TokenError::SessionEnded,
        Some(code) => refused(code),
    }
}
