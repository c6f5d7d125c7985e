//! `moodle.<name>.username`: what of a session is the person's username in Moodle.
//!
//! A pattern has one part in braces and no more: of two parts, the values of two people could come to the same name.

use thiserror::Error;

/// Longest username that Moodle keeps (`user.username`).
const LONGEST: usize = 100;

/// Where a session says who that is in Moodle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoodleUsername {
    pub of: NameOf,
    /// What stands around the part in braces; `None`: there are no braces, and the value is the name as it is.
    around: Option<(String, String)>,
    /// In lower case; cut off with its `@`, and required.
    domain: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameOf {
    /// The name the person signed in by.
    User,
    Attribute(String),
}

/// Why a pattern is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PatternError {
    #[error("it names no attribute")]
    Nothing,
    #[error("it has more than one part in braces: two people could get the same name")]
    Several,
    #[error("a brace has no counterpart")]
    Braces,
    #[error("Moodle takes no such name: around the braces there may be `a` to `z`, digits, `-`, `_`, `.` and `@`")]
    Characters,
}

/// Why a value makes no username.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NoUsername {
    #[error("the value is not at `username_domain`")]
    OtherDomain,
    #[error("Moodle takes no such name")]
    Characters,
}

/// Attributes that people may be able to change at their provider (OIDC Core 1.0 section 5.1 and 5.7).
const CHANGEABLE: [&str; 12] = [
    "email",
    "preferred_username",
    "nickname",
    "name",
    "given_name",
    "family_name",
    "middle_name",
    "displayName",
    "phone_number",
    "profile",
    "website",
    "upn",
];

impl MoodleUsername {
    /// Of `"user"`, an attribute, or a pattern such as `"{mail}"`; `domain` is what `username_domain` says.
    pub fn parse(text: &str, domain: Option<&str>) -> Result<Self, PatternError> {
        let domain = domain.map(str::to_ascii_lowercase);
        if !text.contains(['{', '}']) {
            return Ok(Self {
                of: NameOf::new(text)?,
                around: None,
                domain,
            });
        }
        let (before, rest) = text.split_once('{').ok_or(PatternError::Braces)?;
        let (name, after) = rest.split_once('}').ok_or(PatternError::Braces)?;
        if after.contains('{') {
            return Err(PatternError::Several);
        }
        if [before, name, after].iter().any(|part| part.contains(['{', '}'])) {
            return Err(PatternError::Braces);
        }
        if ![before, after].iter().all(|part| part.bytes().all(is_taken)) {
            return Err(PatternError::Characters);
        }
        Ok(Self {
            of: NameOf::new(name)?,
            around: Some((before.to_owned(), after.to_owned())),
            domain,
        })
    }

    /// The attribute that it looks at.
    pub fn attribute(&self) -> Option<&str> {
        match &self.of {
            NameOf::User => None,
            NameOf::Attribute(name) => Some(name),
        }
    }

    /// May people be able to change that attribute by themselves?
    pub fn is_changeable(&self) -> bool {
        self.attribute().is_some_and(|name| CHANGEABLE.contains(&name))
    }

    /// The name that this value of it makes; where there are braces, in lower case and one that Moodle takes. No value of
    /// another domain ever is a name: not even `anna@example.edu.evil.test`, nor one with two `@`.
    pub fn of_value(&self, value: &str) -> Result<String, NoUsername> {
        let kept = match &self.domain {
            None => value,
            Some(domain) => {
                let (local, at) = value.split_once('@').ok_or(NoUsername::OtherDomain)?;
                let is_its = at.eq_ignore_ascii_case(domain);
                Some(local).filter(|_| is_its).ok_or(NoUsername::OtherDomain)?
            }
        };
        if kept.is_empty() {
            return Err(NoUsername::Characters);
        }
        let Some((before, after)) = &self.around else {
            return Ok(kept.to_owned());
        };
        // By Unicode the KELVIN SIGN becomes a `k`: only ASCII is folded, and nothing else is taken.
        let name = format!("{before}{}{after}", kept.to_ascii_lowercase());
        let is_taken = name.len() <= LONGEST && name.bytes().all(is_taken);
        is_taken.then_some(name).ok_or(NoUsername::Characters)
    }
}

impl NameOf {
    fn new(name: &str) -> Result<Self, PatternError> {
        match name {
            "" => Err(PatternError::Nothing),
            "user" => Ok(Self::User),
            attribute => Ok(Self::Attribute(attribute.to_owned())),
        }
    }
}

/// What Moodle takes in a username, unless `extendedusernamechars` is set (`core_user::clean_field`, `PARAM_USERNAME`).
const fn is_taken(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.' | b'@')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(pattern: &str, domain: Option<&str>, value: &str) -> Result<String, NoUsername> {
        MoodleUsername::parse(pattern, domain).unwrap().of_value(value)
    }

    #[test]
    fn braces_name_an_attribute_and_the_name_is_lower_case() {
        for (pattern, value, name) in [
            ("{mail}", "Anna@Example.edu", "anna@example.edu"),
            ("{user}", "Anna", "anna"),
            ("stud_{uid}", "K12", "stud_k12"),
            ("{uid}.guest", "k12", "k12.guest"),
            ("mail", "Anna@Example.edu", "Anna@Example.edu"),
            ("user", "Änne", "Änne"),
        ] {
            assert_eq!(named(pattern, None, value).as_deref(), Ok(name), "{pattern}");
        }
        let of = |text: &str| MoodleUsername::parse(text, None).unwrap().of;
        assert_eq!((of("{user}"), of("user")), (NameOf::User, NameOf::User));
        assert_eq!(
            of("{urn:oid:0.9.2342}"),
            NameOf::Attribute("urn:oid:0.9.2342".to_owned())
        );
        assert!(MoodleUsername::parse("{email}", None).unwrap().is_changeable());
        assert!(!MoodleUsername::parse("{uid}", None).unwrap().is_changeable());
    }

    #[test]
    fn one_domain_is_cut_off_and_no_other_is_kept() {
        let at = |value: &str| named("{mail}", Some("Example.edu"), value);
        assert_eq!(at("anna@example.edu").as_deref(), Ok("anna"));
        assert_eq!(at("Anna@EXAMPLE.EDU").as_deref(), Ok("anna"));
        for other in [
            "anna",
            "anna@",
            "anna@example.org",
            "anna@sub.example.edu",
            "anna@example.edu.evil.test",
            "anna@evil.test@example.edu",
            "anna@example.edu@example.edu",
            "anna@example.edu ",
            "",
        ] {
            assert_eq!(at(other), Err(NoUsername::OtherDomain), "{other}");
        }
        assert_eq!(at("@example.edu"), Err(NoUsername::Characters));
        // The old spellings have it, too.
        assert_eq!(
            named("mail", Some("example.edu"), "Anna@example.edu").as_deref(),
            Ok("Anna")
        );
        assert_eq!(
            named("mail", Some("example.edu"), "anna@x.test"),
            Err(NoUsername::OtherDomain)
        );
    }

    #[test]
    fn what_moodle_would_not_take_is_no_name() {
        for odd in [
            "an na",
            "änne",
            "\u{212a}arl",
            "anna\n",
            "a'b",
            "a/b",
            "a%",
            "a+b@example.edu",
            "",
        ] {
            assert_eq!(named("{uid}", None, odd), Err(NoUsername::Characters), "{odd}");
        }
        assert!(named("{uid}", None, &"a".repeat(100)).is_ok());
        assert_eq!(named("{uid}", None, &"a".repeat(101)), Err(NoUsername::Characters));
        assert_eq!(named("x{uid}", None, &"a".repeat(100)), Err(NoUsername::Characters));
    }

    #[test]
    fn a_pattern_has_one_part_in_braces() {
        for (text, error) in [
            ("", PatternError::Nothing),
            ("{}", PatternError::Nothing),
            ("{a}{b}", PatternError::Several),
            ("{a}-{b}", PatternError::Several),
            ("{a", PatternError::Braces),
            ("a}", PatternError::Braces),
            ("}a{", PatternError::Braces),
            ("{a}}", PatternError::Braces),
            ("{{a}", PatternError::Braces),
            ("A{b}", PatternError::Characters),
            ("{b} ", PatternError::Characters),
        ] {
            assert_eq!(MoodleUsername::parse(text, None), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn two_values_never_make_one_name(one in "[a-c@.A ]{0,4}", other in "[a-c@.A ]{0,4}") {
            let same = one.eq_ignore_ascii_case(&other);
            for (pattern, domain, end) in [("{mail}", None, ""), ("s{mail}1", None, ""), ("{mail}", Some("a.b"), "@a.b")] {
                let names = [&one, &other].map(|value| named(pattern, domain, &format!("{value}{end}")));
                if let [Ok(first), Ok(second)] = names {
                    prop_assert_eq!(first == second, same);
                }
            }
        }
    }
}
