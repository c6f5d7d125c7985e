//! Single logout: the CAS server, or a browser in its place, says at a service URL which tickets' sessions have ended
//! (CAS 3.0 section 2.3.3). The caller is told nothing of whether there was one.

use http::{Method, StatusCode, header};

use super::logout::{logout_query, logout_request};
use super::{Cas, SessionIndex, Ticket};
use crate::headers;
use crate::rejection::{Reason, Rejection};
use crate::respond::Reply;
use crate::sign_in::{Asked, People};

/// Longest name of a function that a script's answer calls, in bytes.
const LONGEST_CALLBACK: usize = 64;

/// The tickets in the form that the server posts.
pub(super) fn posted(asked: &Asked<'_>) -> Option<Vec<SessionIndex>> {
    logout_request(headers::text(asked.headers, header::CONTENT_TYPE), &asked.body)
}

impl Cas {
    /// What comes to the callback address and is no browser on its way back: a logout in either channel, or a ticket that
    /// the browser posts.
    pub async fn notice(&self, asked: &Asked<'_>) -> Result<Option<Reply>, Rejection> {
        if *asked.method == Method::POST {
            return Ok(Some(match posted(asked) {
                Some(tickets) => self.end_sessions(asked.here.people, &tickets).await?,
                None => posted_ticket(asked)?,
            }));
        }
        match logout_query(asked.query.unwrap_or_default()) {
            Some(tickets) => self.in_the_browser(asked, &tickets).await.map(Some),
            None => Ok(None),
        }
    }

    /// Ends the sessions that the tickets came for: the back channel.
    pub async fn end_sessions(&self, people: &People, tickets: &[SessionIndex]) -> Result<Reply, Rejection> {
        if self.config.single_logout {
            for ticket in tickets {
                people.sessions.end_by_ticket(ticket.as_str()).await?;
            }
        }
        Ok(Reply::empty(StatusCode::OK))
    }

    /// The same for the front channel. Apereo's page loads the address as a script (jQuery's JSONP) and shows the person an
    /// error unless that script calls the function of its `callback`.
    async fn in_the_browser(&self, asked: &Asked<'_>, tickets: &[SessionIndex]) -> Result<Reply, Rejection> {
        let mut reply = self.end_sessions(asked.here.people, tickets).await?;
        if let Some(function) = asked.in_query("callback").filter(|name| is_function(name)) {
            reply.set_body("text/javascript; charset=utf-8", format!("/**/{function}({{}});"));
        }
        Ok(reply)
    }
}

/// Some servers let the browser post the ticket (CAS 3.0 section 2.1.1, `method=POST`). Cookies that are `SameSite=Lax` do
/// not come along from another site; they do with the GET that follows.
fn posted_ticket(asked: &Asked<'_>) -> Result<Reply, Rejection> {
    let Some(ticket) = asked.in_form("ticket") else {
        let detail = "a POST without a logout request and without a ticket";
        return Err(Rejection::because(Reason::BadRequest, detail));
    };
    let ticket = Ticket::service(&ticket).map_err(|error| Rejection::because(Reason::BadRequest, error.to_string()))?;
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(asked.in_query("state").map(|state| ("state", state)));
    query.append_pair("ticket", ticket.as_str());
    let (origin, path) = (asked.here.public.origin(), asked.path);
    Reply::redirect(&format!("{origin}{path}?{}", query.finish()))
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
