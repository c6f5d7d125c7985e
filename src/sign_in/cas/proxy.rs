//! The gateway as a proxying client (CAS 3.0 sections 2.5.4, 2.6 and 2.7): `/_janua/cas/<sign-in>/pgt`, where the CAS server
//! brings the proxy-granting ticket while it is asked about a service ticket, and what it says to `/proxy`.
//!
//! Who brings a ticket there is not known, so that it counts for nothing by itself: only the one whose name (`pgtIou`) the
//! server's own answer to the gateway holds is used, once. What a ticket is good for is decided by whoever asks for it.

use std::time::Duration;

use http::{Method, StatusCode};

use super::answer::{BadAnswer, trimmed};
use super::element::Element;
use super::failure::Failure;
use super::{Cas, KIND, single_logout};
use crate::rejection::{Reason, Rejection};
use crate::respond::Reply;
use crate::sign_in::Asked;
use crate::store::{Store, StoreError, Table};

/// `/_janua/cas/<sign-in>/pgt`
pub const CALLBACK: &str = "pgt";
/// Among what is told once: first the name, then the ticket itself.
pub const GRANT: &str = "proxyGrantingTicket";
/// A validation takes less, and the ticket comes in its course.
const LIFE: Duration = Duration::from_secs(30);
/// A ticket that holds its own contents is longer than others.
const LONGEST: usize = 4096;
const LONGEST_NAME: usize = 512;

/// Proxy-granting tickets between the server's call and its answer, which may come to two replicas.
#[derive(Clone)]
pub struct Grants(Store);

impl Grants {
    pub fn new(store: &Store) -> Self {
        Self(store.clone())
    }

    /// Nobody takes the place of one that was brought before.
    async fn bring(&self, sign_in: &str, name: &str, ticket: &str) -> Result<(), StoreError> {
        let key = key(sign_in, name);
        let put = self.0.put_new(Table::ProxyGrants, &key, ticket.as_bytes(), Some(LIFE));
        put.await.map(drop)
    }

    /// The ticket of this name, which is there no more.
    pub(super) async fn take(&self, sign_in: &str, name: &str) -> Result<Option<String>, StoreError> {
        let key = key(sign_in, name);
        let found = self.0.get(Table::ProxyGrants, &key).await?;
        if found.is_some() && !self.0.delete(Table::ProxyGrants, &key).await? {
            return Ok(None);
        }
        Ok(found.and_then(|bytes| String::from_utf8(bytes).ok()))
    }
}

fn key(sign_in: &str, name: &str) -> String {
    format!("iou\n{sign_in}\n{name}")
}

impl Cas {
    /// The answer at the callback: 200 without anything to tell, also to a server that only looks whether it is there.
    pub async fn granted(&self, asked: &Asked<'_>) -> Result<Reply, Rejection> {
        if !self.config.proxies {
            return Err(Rejection::because(
                Reason::NoRoute,
                "no source of tokens needs proxy tickets",
            ));
        }
        if *asked.method == Method::POST {
            // Some servers tell of a logout here, too.
            let tickets = single_logout::posted(asked).unwrap_or_default();
            return self.end_sessions(asked.here.people, &tickets).await;
        }
        let brought = asked.in_query("pgtIou").zip(asked.in_query("pgtId"));
        let Some((name, ticket)) = brought else {
            return Ok(Reply::empty(StatusCode::OK));
        };
        if !is_sound(&name, "PGTIOU-", LONGEST_NAME) || !is_sound(&ticket, "PGT-", LONGEST) {
            return Err(Rejection::because(Reason::BadRequest, "pgtIou or pgtId is no ticket"));
        }
        let people = asked.here.people;
        // Who has brought too many is told nothing of it: a CAS server that is refused here would refuse the sign-in.
        if people.may_bring_grant(asked.client) {
            people.grants.bring(&self.name, &name, &ticket).await?;
        }
        Ok(Reply::empty(StatusCode::OK))
    }

    /// What the server is told as `pgtUrl`: one address, whichever was signed in at, since chains of proxies name it. `None`:
    /// nothing needs a ticket, or the server has not come through to it a moment ago, and nobody could sign in.
    pub(super) fn pgt_url(&self, asked: &Asked<'_>) -> Option<String> {
        let is_wanted = self.config.proxies && !self.silent.is_out(asked.here.now);
        self.callback(asked).filter(|_| is_wanted)
    }

    /// The same where a back end brings a proxy ticket: the server may allow that address there, and not here.
    pub(super) fn pgt_url_of_back_ends(&self, asked: &Asked<'_>) -> Option<String> {
        let is_wanted = self.config.proxies_back_ends && !self.silent_to_back_ends.is_out(asked.here.now);
        self.callback(asked).filter(|_| is_wanted)
    }

    fn callback(&self, asked: &Asked<'_>) -> Option<String> {
        let origin = asked.here.config.server.public_urls.first()?.origin();
        Some(callback(&origin, &self.name))
    }
}

/// The address to register as a proxy callback.
pub(super) fn callback(origin: &str, sign_in: &str) -> String {
    format!("{origin}/_janua/{KIND}/{sign_in}/{CALLBACK}")
}

fn is_sound(text: &str, beginning: &str, longest: usize) -> bool {
    let rest = text.strip_prefix(beginning);
    rest.is_some_and(|rest| !rest.is_empty())
        && text.len() <= longest
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The proxy ticket of an answer, or why there is none. Servers say so in either element.
pub(super) fn parse(text: &str) -> Result<Result<String, Failure>, BadAnswer> {
    let root = Element::parse(text)?;
    let [told] = root.children.as_slice() else {
        return Err(BadAnswer::Form);
    };
    match told.name.as_str() {
        _ if root.name != "serviceResponse" || told.namespace != root.namespace => Err(BadAnswer::Form),
        "proxySuccess" => {
            let mut tickets = told
                .children
                .iter()
                .filter(|child| child.is(&root.namespace, "proxyTicket"));
            match (tickets.next().and_then(Element::only_text), tickets.next()) {
                (Some(ticket), None) => Ok(Ok(trimmed(ticket).to_owned())),
                _ => Err(BadAnswer::Form),
            }
        }
        "proxyFailure" | "authenticationFailure" => Ok(Err(Failure::new(
            told.attribute("code").unwrap_or_default(),
            &told.text,
        ))),
        _ => Err(BadAnswer::Form),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(inner: &str) -> Result<Result<String, Failure>, BadAnswer> {
        parse(&format!(
            "<cas:serviceResponse xmlns:cas=\"http://www.yale.edu/tp/cas\">{inner}</cas:serviceResponse>"
        ))
    }

    #[test]
    fn a_proxy_ticket_is_read_and_a_failure_is_one_in_either_element() {
        let told = answered("<cas:proxySuccess>\n<cas:proxyTicket> PT-1-x </cas:proxyTicket></cas:proxySuccess>");
        assert_eq!(told.unwrap().unwrap(), "PT-1-x");
        for element in ["proxyFailure", "authenticationFailure"] {
            let told = answered(&format!(
                "<cas:{element} code=\"INVALID_TICKET\">PGT-1 is gone</cas:{element}>"
            ));
            let failure = told.unwrap().unwrap_err();
            assert_eq!(failure.code.label(), "invalid_ticket");
            assert!(!failure.text.contains("PGT-1"));
        }
        for odd in [
            "",
            "<cas:proxySuccess/>",
            "<proxySuccess><proxyTicket>PT-1</proxyTicket></proxySuccess>",
            "<cas:proxySuccess><cas:proxyTicket>PT-1</cas:proxyTicket><cas:proxyTicket>PT-2</cas:proxyTicket></cas:proxySuccess>",
            "<cas:authenticationSuccess><cas:user>alice</cas:user></cas:authenticationSuccess>",
        ] {
            assert!(answered(odd).is_err(), "{odd}");
        }
        assert!(parse("<html></html>").is_err() && parse("{}").is_err());
    }

    #[tokio::test]
    async fn a_ticket_is_taken_once_and_by_its_name_alone() {
        let grants = Grants::new(&Store::in_memory());
        grants.bring("campus", "PGTIOU-1", "PGT-1").await.unwrap();
        grants.bring("campus", "PGTIOU-1", "PGT-forged").await.unwrap();
        assert_eq!(grants.take("campus", "PGTIOU-2").await.unwrap(), None);
        assert_eq!(grants.take("guests", "PGTIOU-1").await.unwrap(), None);
        assert_eq!(
            grants.take("campus", "PGTIOU-1").await.unwrap().as_deref(),
            Some("PGT-1")
        );
        assert_eq!(grants.take("campus", "PGTIOU-1").await.unwrap(), None);
    }

    #[test]
    fn what_looks_like_no_ticket_is_none() {
        assert!(is_sound("PGTIOU-1", "PGTIOU-", 64));
        for odd in [
            "",
            "PGTIOU-",
            "PGT-1",
            "PGTIOU-a b",
            "PGTIOU-ä",
            &format!("PGTIOU-{}", "x".repeat(64)),
        ] {
            assert!(!is_sound(odd, "PGTIOU-", 64), "{odd}");
        }
    }
}
