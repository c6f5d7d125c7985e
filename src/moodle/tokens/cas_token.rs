//! `cas-token`: Moodle's token script takes a ticket in place of a password.
//!
//! Makes no session in Moodle, but keeps the spent ticket's answer in a file of one web server: both requests must reach
//! the same one. CAS must allow the address of this script as a service.

use http::{Method, StatusCode};

use super::conversation::location;
use super::site::Finding;
use super::source::Spent;
use super::{Conversation, Cookie, TokenError, check_identity, refused};
use crate::backchannel::Reply;
use crate::config;
use crate::moodle::token::Token;
use crate::text::without_mark;

/// Below `wwwroot`: what the ticket is made for.
pub const SERVICE: &str = "/login/token.php";

pub(super) async fn spend(moodle: &Conversation, username: &str, ticket: &str) -> Spent {
    let obtained = async {
        let token = obtain(moodle, SERVICE, ticket, username).await?;
        check_identity(moodle, &token, username).await.map(|_| token)
    };
    Spent {
        obtained: obtained.await,
        session: None,
    }
}

pub(super) fn finding(moodle: &config::Moodle) -> Finding {
    Finding::Note(format!(
        "the CAS server must allow the service {}{SERVICE}",
        moodle.wwwroot
    ))
}

/// Spends a ticket for `service`, path and query below `wwwroot` as CAS was told them. `username` is the one in Moodle.
pub async fn obtain(moodle: &Conversation, service: &str, ticket: &str, username: &str) -> Result<Token, TokenError> {
    let username = username.to_ascii_lowercase();
    // The password is not looked at, but must be there.
    let form = [
        ("username", username.as_str()),
        ("password", "x"),
        ("service", moodle.service()),
    ];
    let separator = if service.contains('?') { '&' } else { '?' };
    let encoded: String = form_urlencoded::byte_serialize(ticket.as_bytes()).collect();
    let first = moodle
        .send(
            Method::POST,
            &format!("{service}{separator}ticket={encoded}"),
            &form,
            &[],
        )
        .await?;
    let session = match (first.status, Cookie::set_by(&first, "PHPSESSID")) {
        (StatusCode::FOUND, Some(session)) if location(&first).ends_with(service) => session,
        (status, _) if status.is_redirection() => {
            return Err(TokenError::Misconfigured(
                "login/token.php leads elsewhere: compare $CFG->wwwroot with moodle.public_url, $CFG->sslproxy, upstreams.host",
            ));
        }
        _ => return Err(failure(&first)),
    };
    let second = moodle.send(Method::POST, service, &form, &[&session]).await?;
    read(&second)
}

/// `{"token":…,"privatetoken":…}` or `{"error":…,"errorcode":…}`.
pub(super) fn read(reply: &Reply) -> Result<Token, TokenError> {
    let answer: Option<serde_json::Value> = serde_json::from_slice(without_mark(&reply.body)).ok();
    let token = answer.as_ref().and_then(|answer| answer.get("token")?.as_str());
    token.and_then(Token::parse).ok_or_else(|| failure(reply))
}

fn failure(reply: &Reply) -> TokenError {
    match super::error_code(reply) {
        Some(code) => refused(&code),
        None => {
            TokenError::Misconfigured("login/token.php gave no JSON: is it Moodle's, without a login page in front?")
        }
    }
}
