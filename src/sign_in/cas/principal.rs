//! Who a ticket was made for: the user, the attributes that the server released, and the back ends in between.
//!
//! What may be a user's name is decided here; what the person may do is not.

use super::{BadAnswer, Ticket};
use crate::authenticate::session::is_user;
use crate::authenticate::session::{Attributes, NewSession};

/// What Apereo's servers can release beside a person's attributes: the password (ClearPass) and the proxy-granting ticket.
const SECRETS: [&str; 2] = ["credential", "proxyGrantingTicket"];

/// The person of a valid ticket.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Principal {
    /// What the server calls the user: neither blank nor padded, without control characters, at most 256 bytes.
    pub user: String,
    pub attributes: Attributes,
    /// What nobody is to keep: the password, the proxy-granting ticket.
    pub withheld: Attributes,
    /// The `pgtUrl`s of the back ends that the ticket came through, the last one first (CAS 3.0 section 2.6.2). Empty for
    /// a service ticket.
    pub proxies: Vec<String>,
}

impl Principal {
    /// The user's name as a configuration wants it: `user`, or the one value of the attribute of this name.
    ///
    /// `None` if the attribute is missing, has several values, or holds what could not be a user's name.
    pub fn username(&self, from: &str) -> Option<&str> {
        if from == "user" {
            return Some(&self.user);
        }
        match self.attributes.get(from) {
            [value] => is_user(value).then_some(value),
            _ => None,
        }
    }

    /// Takes out of the attributes what nobody is to keep.
    pub(super) fn withhold(mut self) -> Self {
        self.withheld = self.attributes.take(is_secret);
        self
    }

    /// What a session is made of for whom `ticket` was made; `username` as for [`Self::username`]. `is_once`: is this
    /// used once? Nothing else that is withheld goes on.
    pub fn signed_in(mut self, ticket: &Ticket, username: &str, is_once: impl Fn(&str) -> bool) -> Option<NewSession> {
        let subject = self.username(username)?.to_owned();
        let mut used = self.withheld.take(&is_once);
        used.append(self.attributes.take(&is_once));
        // A name that is none of XML's is told in two spellings.
        self.attributes.drop_values_of(&used);
        Some(NewSession {
            subject,
            once: used,
            user: self.user,
            attributes: self.attributes,
            ticket: Some(ticket.as_str().to_owned()),
            provider: None,
            id_token: None,
        })
    }

    /// Did the ticket come through exactly one of these chains? A chain is the `pgtUrl`s in the order of [`Self::proxies`].
    pub fn came_through(&self, chains: &[Vec<String>]) -> bool {
        !self.proxies.is_empty() && chains.contains(&self.proxies)
    }
}

/// Adds a value that an answer names.
pub(super) fn add(attributes: &mut Attributes, name: &str, value: &str) -> Result<(), BadAnswer> {
    attributes.add(name, value).map_err(|_| BadAnswer::Attributes)
}

/// Is the attribute of this name nobody's to keep?
pub(super) fn is_secret(name: &str) -> bool {
    SECRETS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(attributes: &[(&str, &str)]) -> Principal {
        let mut principal = Principal {
            user: "alice".to_owned(),
            ..Principal::default()
        };
        for (name, value) in attributes {
            add(&mut principal.attributes, name, value).unwrap();
        }
        principal
    }

    #[test]
    fn the_name_is_the_user_or_the_one_value_of_an_attribute() {
        let principal = principal(&[
            ("uid", "al"),
            ("mail", "a@x"),
            ("mail", "b@x"),
            ("sn", "L\nL"),
            ("user", "eve"),
        ]);
        assert_eq!(principal.username("user"), Some("alice"));
        assert_eq!(principal.username("uid"), Some("al"));
        for unusable in ["mail", "sn", "UID", "none"] {
            assert_eq!(principal.username(unusable), None, "{unusable}");
        }
    }

    #[test]
    fn passwords_are_not_kept() {
        let told = || {
            principal(&[
                ("credential", "secret"),
                ("proxyGrantingTicket", "PGT-1"),
                ("pw", "other"),
                ("_7077", "other"),
                ("mail", "a@x"),
            ])
            .withhold()
        };
        let ticket = Ticket::service("ST-1").unwrap();
        let signed_in = |once: &[&str]| told().signed_in(&ticket, "user", |name| once.contains(&name)).unwrap();
        assert_eq!(told().attributes.iter().count(), 3);
        assert!(signed_in(&[]).once.is_empty());
        assert_eq!(signed_in(&["credential"]).once.get("credential"), ["secret"]);
        let own = signed_in(&["pw"]);
        assert_eq!(
            (own.once.get("pw"), own.once.get("credential").len()),
            (&["other".to_owned()][..], 0)
        );
        assert_eq!(own.attributes.iter().count(), 1, "nor under another name");
    }

    #[test]
    fn a_chain_is_named_whole() {
        let chain = |urls: &[&str]| -> Vec<String> { urls.iter().map(|&url| url.to_owned()).collect() };
        let allowed = [chain(&["https://a/pgt"]), chain(&["https://b/pgt", "https://a/pgt"])];
        let through = |urls: &[&str]| {
            let proxies = chain(urls);
            Principal {
                proxies,
                ..principal(&[])
            }
            .came_through(&allowed)
        };
        assert!(through(&["https://a/pgt"]));
        assert!(through(&["https://b/pgt", "https://a/pgt"]));
        assert!(!through(&["https://a/pgt", "https://b/pgt"]));
        assert!(!through(&["https://b/pgt"]));
        assert!(!through(&["https://a/pgt/"]));
        assert!(!through(&[]));
        assert!(!Principal::default().came_through(&[Vec::new()]));
    }
}
