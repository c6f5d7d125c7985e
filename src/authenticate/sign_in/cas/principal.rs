//! Who a ticket was made for: the user, the attributes that the server released, and the back ends in between.
//!
//! What may be a user's name is decided here; what the person may do is not.

/// A user name longer than this is none.
const MAX_USER: usize = 256;

/// Distinct values of all attributes together: far above what a directory releases for one person.
pub(super) const MAX_VALUES: usize = 2_000;

/// What Apereo's servers can release beside a person's attributes: the password (ClearPass) and the proxy-granting ticket.
const SECRETS: [&str; 2] = ["credential", "proxyGrantingTicket"];

/// The person of a valid ticket.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Principal {
    /// What the server calls the user: neither blank nor padded, without control characters, at most 256 bytes.
    pub user: String,
    pub attributes: Attributes,
    /// The `pgtUrl`s of the back ends that the ticket came through, the last one first (CAS 3.0 section 2.6.2). Empty for
    /// a service ticket.
    pub proxies: Vec<String>,
}

/// Values by attribute, both in the order in which the server names them first; no value twice.
///
/// Names are plain keys that the server's operator chose: none has a meaning of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes {
    values: Vec<(String, Vec<String>)>,
    count: usize,
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

    /// Did the ticket come through exactly one of these chains? A chain is the `pgtUrl`s in the order of [`Self::proxies`].
    pub fn came_through(&self, chains: &[Vec<String>]) -> bool {
        !self.proxies.is_empty() && chains.contains(&self.proxies)
    }
}

impl Attributes {
    /// The values of one attribute; empty if there is none of this name.
    pub fn get(&self, name: &str) -> &[String] {
        let found = self.values.iter().find(|(known, _)| known == name);
        found.map_or(&[], |(_, values)| values)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.values
            .iter()
            .map(|(name, values)| (name.as_str(), values.as_slice()))
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Adds a value unless it is there or blank, or nobody's to keep. `Err`: there are too many.
    pub fn add(&mut self, name: &str, value: &str) -> Result<(), TooMany> {
        if is_secret(name) {
            return Ok(());
        }
        if value.trim().is_empty() || self.get(name).iter().any(|known| known == value) {
            return Ok(());
        }
        if self.count == MAX_VALUES {
            return Err(TooMany);
        }
        self.count += 1;
        match self.values.iter_mut().find(|(known, _)| known == name) {
            Some((_, values)) => values.push(value.to_owned()),
            None => self.values.push((name.to_owned(), vec![value.to_owned()])),
        }
        Ok(())
    }
}

/// Is the attribute of this name nobody's to keep?
pub(super) fn is_secret(name: &str) -> bool {
    SECRETS.contains(&name)
}

/// More attribute values than any person has.
#[derive(Debug)]
pub struct TooMany;

/// Padding is refused and not cut off: `alice ` may be somebody else's account at the server.
pub(super) fn is_user(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_USER && name.trim() == name && !name.contains(char::is_control)
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
            principal.attributes.add(name, value).unwrap();
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
    fn attributes_keep_their_order_and_no_value_twice() {
        let attributes = principal(&[("b", "1"), ("a", "2"), ("b", "3"), ("b", "1"), ("c", " ")]).attributes;
        let all: Vec<(&str, Vec<String>)> = attributes
            .iter()
            .map(|(name, values)| (name, values.to_vec()))
            .collect();
        assert_eq!(
            all,
            [("b", vec!["1".to_owned(), "3".to_owned()]), ("a", vec!["2".to_owned()])]
        );
    }

    #[test]
    fn passwords_are_not_kept() {
        let attributes = principal(&[
            ("credential", "secret"),
            ("proxyGrantingTicket", "PGT-1"),
            ("mail", "a@x"),
        ])
        .attributes;
        assert_eq!(attributes.iter().count(), 1);
    }

    #[test]
    fn attributes_are_bounded() {
        let mut attributes = Attributes::default();
        for number in 0..MAX_VALUES {
            attributes
                .add(&format!("a{}", number % 7), &number.to_string())
                .unwrap();
        }
        assert!(attributes.add("a0", "0").is_ok(), "it is there already");
        assert!(attributes.add("one", "more").is_err());
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
