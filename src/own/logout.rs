//! Single logout: the CAS server, or a browser in its place, says at a service URL which tickets' sessions have ended
//! (CAS 3.0 section 2.3.3). The caller is told nothing of whether there was one.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use super::callback::unavailable;
use super::{Asked, Here};
use crate::config::{Provider, SignIn};
use crate::headers;
use crate::rejection::Rejection;
use crate::respond::{Reply, security};
use crate::sign_in::cas::SessionIndex;
use crate::sign_in::cas::logout::logout_request;

/// Longest name of a function that a script's answer calls, in bytes.
const LONGEST_CALLBACK: usize = 64;

/// The tickets in the form that the server posts.
pub(super) fn posted(asked: &Asked<'_>) -> Option<Vec<SessionIndex>> {
    logout_request(headers::text(asked.headers, header::CONTENT_TYPE), &asked.body)
}

/// Ends the sessions that the tickets came for: the back channel.
pub(super) async fn end(here: &Here<'_>, sign_in: &SignIn, tickets: &[SessionIndex]) -> Result<Reply, Rejection> {
    let Provider::Cas(cas) = &sign_in.provider;
    if cas.single_logout {
        let sessions = &here.snapshot.people.sessions;
        for ticket in tickets {
            let ended = sessions.end_by_ticket(ticket.as_str()).await;
            ended.map_err(|error| unavailable(&error))?;
        }
    }
    Ok(Reply {
        status: StatusCode::OK,
        headers: security::own().into_iter().collect(),
        body: Bytes::new(),
    })
}

/// The same for the front channel. Apereo's page loads the address as a script (jQuery's JSONP) and shows the person an
/// error unless that script calls the function of its `callback`.
pub(super) async fn in_the_browser(
    asked: &Asked<'_>,
    sign_in: &SignIn,
    tickets: &[SessionIndex],
) -> Result<Reply, Rejection> {
    let mut reply = end(&asked.here, sign_in, tickets).await?;
    let function = super::parameter(asked.query.unwrap_or_default().as_bytes(), "callback");
    if let Some(function) = function.filter(|name| is_function(name)) {
        let kind = HeaderValue::from_static("text/javascript; charset=utf-8");
        reply.headers.push((header::CONTENT_TYPE, kind));
        reply.body = format!("/**/{function}({{}});").into();
    }
    Ok(reply)
}

/// May a script call this? A name of ASCII letters, digits, `_`, `$` and `.`, which does not begin with a digit.
fn is_function(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_$.".contains(&byte);
    (1..=LONGEST_CALLBACK).contains(&name.len())
        && name.bytes().all(is_part)
        && !name.starts_with(|first: char| first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_name_is_called() {
        for name in ["jQuery36_17_$", "a.b.c", "_"] {
            assert!(is_function(name), "{name}");
        }
        for name in [
            "",
            "1a",
            "a(",
            "alert(1)//",
            "a b",
            "ä",
            "a\n",
            &"a".repeat(LONGEST_CALLBACK + 1),
        ] {
            assert!(!is_function(name), "{name}");
        }
    }
}
