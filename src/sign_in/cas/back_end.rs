//! `POST /_janua/cas/<sign-in>/session`: a site's own back end, a CAS client itself, brings a proxy ticket that the CAS
//! server made for this address (CAS 3.0 section 2.6), and gets a session for its user to send as `Authorization: Bearer`.

use http::StatusCode;
use serde_json::json;

use super::proxy::GRANT;
use super::{Cas, KIND, SESSION, Ticket, ValidateError, single_logout};
use crate::authenticate::session::{Carrier, NewSession, SignedIn};
use crate::config::SignIn;
use crate::rejection::{Reason, Rejection};
use crate::respond::Reply;
use crate::sign_in::{Asked, Refusal};

impl Cas {
    /// The session that a back end asks for.
    pub async fn session(&self, asked: &Asked<'_>, sign_in: &SignIn) -> Result<Reply, Rejection> {
        if self.config.proxy_chains.is_empty() {
            return Err(Rejection::because(
                Reason::NoRoute,
                "no proxy_chains: back ends get no sessions",
            ));
        }
        let (here, people) = (&asked.here, asked.here.people);
        if let Some(tickets) = single_logout::posted(asked) {
            return self.end_sessions(people, &tickets).await;
        }
        let mut new = self.of_proxy_ticket(asked).await.map_err(|refusal| {
            people.metrics.signed_in(&self.name, refusal.label);
            refusal.rejection
        })?;
        let once = std::mem::take(&mut new.once);
        let record = SignedIn::new(sign_in, new, Carrier::Bearer, here.now);
        let (secret, session) = people.sessions.begin(record, here.config, here.now).await?;
        people.metrics.signed_in(&self.name, "ok");
        asked.brought.put(&session, once);
        let life = session.expires.duration_since(here.now).unwrap_or_default();
        Ok(Reply::json(
            StatusCode::CREATED,
            &json!({
                "session": secret,
                "user": session.identity.subject,
                "expires_in": life.as_secs(),
                "idle": session.idle.as_secs(),
            }),
        ))
    }

    async fn of_proxy_ticket(&self, asked: &Asked<'_>) -> Result<NewSession, Refusal> {
        let people = asked.here.people;
        let ticket = Ticket::proxy(&asked.in_form("ticket").unwrap_or_default()).map_err(ValidateError::from)?;
        let service = format!("{}/_janua/{KIND}/{}/{SESSION}", asked.here.public.origin(), self.name);
        let place = people.place_to_judge(&self.name, asked.client).await?;
        let pgt_url = self.pgt_url_of_back_ends(asked);
        let question = async {
            let told = self
                .client
                .proxy_validate_with(&service, &ticket, pgt_url.as_deref())
                .await;
            told.inspect_err(|error| self.heed(error, &self.silent_to_back_ends, asked.here.now))
        };
        let principal = people.judged(asked.client, &self.name, place, question).await?;
        if !principal.came_through(&self.config.proxy_chains) {
            let detail = format!(
                "the ticket came through {}, which is not in proxy_chains",
                principal.proxies.join(" ")
            );
            return Err((Rejection::because(Reason::SignInRefused, detail), "foreign_chain").into());
        }
        let is_once = |name: &str| self.is_once(name) || (pgt_url.is_some() && name == GRANT);
        let mut new = self.new_session(principal, &ticket, is_once)?;
        if pgt_url.is_some() {
            self.redeem_grant(&mut new.once, &people.grants).await;
        }
        Ok(new)
    }
}
