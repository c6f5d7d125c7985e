//! What a sign-in server says of a person beside the name: values by attribute.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Distinct values of all attributes together: far above what a directory releases for one person.
pub const MAX_VALUES: usize = 2_000;

/// Values by attribute, both in the order in which the server names them first; no value twice.
///
/// Names are plain keys that the server's operator chose: none has a meaning of its own.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attributes(Vec<(String, Vec<String>)>);

/// One of them may be a secret, such as a person's token for Moodle: none is printed.
impl fmt::Debug for Attributes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = self.iter().map(|(name, values)| (name, values.len()));
        formatter.debug_map().entries(counted).finish()
    }
}

/// Longest name of a user, in bytes.
const LONGEST_USER: usize = 256;

/// May somebody be called so? Padding is refused and not cut off: `alice ` may be somebody else's account at the server.
pub fn is_user(name: &str) -> bool {
    !name.is_empty() && name.len() <= LONGEST_USER && name.trim() == name && !name.contains(char::is_control)
}

/// More attribute values than any person has.
#[derive(Debug)]
pub struct TooMany;

impl Attributes {
    /// The values of one attribute; empty if there is none of this name.
    pub fn get(&self, name: &str) -> &[String] {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map_or(&[], |(_, values)| values)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0.iter().map(|(name, values)| (name.as_str(), values.as_slice()))
    }

    /// Those of these names.
    pub fn only(self, names: &[String]) -> Self {
        let named = |(name, _): &(String, Vec<String>)| names.contains(name);
        Self(self.0.into_iter().filter(named).collect())
    }

    /// The values of these names, taken out of the others.
    pub fn take(&mut self, is_taken: impl Fn(&str) -> bool) -> Self {
        let all = std::mem::take(&mut self.0);
        let (taken, left) = all.into_iter().partition(|(name, _)| is_taken(name));
        self.0 = left;
        Self(taken)
    }

    /// Drops every attribute that holds a value of the others: the same under a second name.
    pub fn drop_values_of(&mut self, others: &Self) {
        let is_other = |value: &String| others.0.iter().any(|(_, values)| values.contains(value));
        self.0.retain(|(_, values)| !values.iter().any(is_other));
    }

    /// Adds others, of other names.
    pub fn append(&mut self, mut others: Self) {
        self.0.append(&mut others.0);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a value unless it is there or blank. `Err`: there are too many.
    pub fn add(&mut self, name: &str, value: &str) -> Result<(), TooMany> {
        if value.trim().is_empty() || self.get(name).iter().any(|known| known == value) {
            return Ok(());
        }
        if self.0.iter().map(|(_, values)| values.len()).sum::<usize>() >= MAX_VALUES {
            return Err(TooMany);
        }
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, values)) => values.push(value.to_owned()),
            None => self.0.push((name.to_owned(), vec![value.to_owned()])),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_keep_their_order_and_no_value_twice() {
        let mut attributes = Attributes::default();
        for (name, value) in [("b", "1"), ("a", "2"), ("b", "3"), ("b", "1"), ("c", " ")] {
            attributes.add(name, value).unwrap();
        }
        let all: Vec<(&str, Vec<String>)> = attributes
            .iter()
            .map(|(name, values)| (name, values.to_vec()))
            .collect();
        assert_eq!(
            all,
            [("b", vec!["1".to_owned(), "3".to_owned()]), ("a", vec!["2".to_owned()])]
        );
        assert_eq!(format!("{attributes:?}"), r#"{"b": 2, "a": 1}"#);
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
}
