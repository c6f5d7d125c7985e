//! A logout at the provider: by its own call (OIDC Back-Channel Logout 1.0), or in a frame of the browser
//! (OIDC Front-Channel Logout 1.0). The caller is told nothing of whether there was a session.

use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde_json::json;

use super::{BACK_CHANNEL, Oidc, handle, id_token};
use crate::authenticate::oauth::Failed;
use crate::authenticate::session::EndedAt;
use crate::headers;
use crate::query;
use crate::rejection::{Reason, Rejection};
use crate::respond::Reply;
use crate::sign_in::Asked;

/// Longest `sid` that is looked up, in bytes.
const LONGEST_SID: usize = 512;

impl Oidc {
    /// The answer at one of the addresses for logouts.
    pub async fn endpoint(&self, asked: &Asked<'_>, endpoint: &str) -> Result<Reply, Rejection> {
        if !self.config.single_logout {
            return Err(Rejection::because(Reason::NoRoute, "single_logout is off"));
        }
        match endpoint {
            BACK_CHANNEL if *asked.method != Method::POST => self.called_by_get(asked).await,
            BACK_CHANNEL => self.back_channel(asked).await,
            _ => self.front_channel(asked).await,
        }
    }

    /// Moodle's local_oidcserver calls with the access token, in a header of a name of its own. Apereo's server sends browsers
    /// here that it has nowhere else to send to.
    async fn called_by_get(&self, asked: &Asked<'_>) -> Result<Reply, Rejection> {
        let named = [HeaderName::from_static("authorize"), AUTHORIZATION];
        let mut bearers = named
            .iter()
            .filter_map(|name| headers::text(asked.headers, name)?.strip_prefix("Bearer "));
        match bearers.next() {
            Some(token) => {
                asked.here.people.sessions.end_by_ticket(&handle(token.trim())).await?;
                Ok(no_store(Reply::empty(StatusCode::OK)))
            }
            None => Reply::redirect(&format!("{}/", asked.here.public.origin())),
        }
    }

    async fn back_channel(&self, asked: &Asked<'_>) -> Result<Reply, Rejection> {
        let Some(token) = query::single(&asked.body, "logout_token") else {
            return Ok(refused("there must be one logout_token in a form"));
        };
        let (now, people) = (asked.here.now, asked.here.people);
        // Whoever floods this address is suspected soon, and waits for their turn.
        let place = people.place_to_judge(&self.name, asked.client).await;
        let _place = place.map_err(|refusal| refusal.rejection)?;
        let signed = match self.believed(&token).await {
            Ok(signed) => signed,
            Err(Failed::Unbelieved(why)) => {
                people.suspect(asked.client);
                return Ok(refused(&why.to_string()));
            }
            // Of the provider, which may say it once more.
            Err(failed) => return Err(Rejection::because(Reason::SignInUnavailable, failed.to_string())),
        };
        let logout = match id_token::logout(&signed, &self.config, now) {
            Ok(logout) => logout,
            Err(bad) => {
                people.suspect(asked.client);
                return Ok(refused(&bad.to_string()));
            }
        };
        let once = format!("{} {}", self.name, logout.jti);
        if !people.sessions.is_first(&once, logout.lives).await? {
            return Ok(refused("this token came before"));
        }
        let place = match (&logout.sid, &logout.sub) {
            (Some(sid), _) => EndedAt::Session(sid),
            (None, Some(sub)) => EndedAt::Person(sub),
            (None, None) => return Ok(refused("neither sid nor sub")),
        };
        let ended = people.sessions.end_at_provider(&self.name, place, Some(logout.issued));
        if let Err(error) = ended.await {
            // The provider may say it once more.
            people.sessions.forget(&once).await?;
            return Err(error.into());
        }
        Ok(no_store(Reply::empty(StatusCode::OK)))
    }

    /// Nobody proves anything here but that they know `sid`, which other clients of the provider may have been told, too: it is
    /// off unless the provider knows no other way. No cookie comes into a frame of another site.
    async fn front_channel(&self, asked: &Asked<'_>) -> Result<Reply, Rejection> {
        if !self.config.front_channel_logout {
            return Err(Rejection::because(Reason::NoRoute, "front_channel_logout is off"));
        }
        let query = asked.query.unwrap_or_default().as_bytes();
        let one = |name| query::single(query, name);
        let (Some(issuer), Some(sid)) = (
            one("iss"),
            one("sid").filter(|sid| (1..=LONGEST_SID).contains(&sid.len())),
        ) else {
            return Err(Rejection::because(
                Reason::BadRequest,
                "iss and sid must be in the query, once each",
            ));
        };
        if *issuer != *self.config.id_token_issuer {
            return Err(Rejection::because(
                Reason::BadRequest,
                "iss is not the configured issuer",
            ));
        }
        let sessions = &asked.here.people.sessions;
        sessions
            .end_at_provider(&self.name, EndedAt::Session(&sid), None)
            .await?;
        let mut reply = no_store(Reply::empty(StatusCode::OK));
        let origin = self.config.issuer_url.origin().ascii_serialization();
        let framed = HeaderValue::try_from(format!("default-src 'none'; frame-ancestors {origin}"));
        reply.headers.retain(|(name, _)| name != CONTENT_SECURITY_POLICY);
        reply
            .headers
            .extend(framed.ok().map(|framed| (CONTENT_SECURITY_POLICY, framed)));
        Ok(reply)
    }
}

/// Back-Channel Logout 1.0 section 2.8.
fn refused(why: &str) -> Reply {
    tracing::info!(why, "a logout token is refused");
    let told = json!({ "error": "invalid_request", "error_description": why });
    no_store(Reply::json(StatusCode::BAD_REQUEST, &told))
}

fn no_store(mut reply: Reply) -> Reply {
    reply.headers.retain(|(name, _)| name != CACHE_CONTROL);
    reply
        .headers
        .push((CACHE_CONTROL, HeaderValue::from_static("no-store")));
    reply
}
