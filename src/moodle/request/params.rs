//! What PHP would call a parameter: the one rule by which an overriding token and the called function are found.
//!
//! PHP decodes a name, cuts it at NUL, strips spaces in front of it and makes an array of it at `[`. A name is
//! judged by what it becomes there, never by how it is written.

use super::Refusal;
use crate::query::decoded;

/// Longest `wsfunction` that is looked at; Moodle's own column holds 200 characters.
pub const MAX_FUNCTION: usize = 200;

/// What a parameter of such a name would mean to Moodle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// `wstoken` or `token`, also as an array: it would take the place of the injected one.
    Token,
    /// `wsfunction`.
    Function,
    /// `wsfunction[…]`: no name of a function.
    FunctionArray,
    /// `requests[…][function]`: a function that another one is told to call.
    Wrapped,
    Other,
}

/// What a query calls.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Called {
    pub function: Option<String>,
    /// Each a well-formed name.
    pub wrapped: Vec<String>,
}

/// The meaning of a name as it stands in a query or an urlencoded body.
pub fn meaning(raw: &[u8]) -> Meaning {
    meaning_of_text(&decoded(raw))
}

/// The meaning of the `name` of a multipart part, which is not decoded.
pub fn meaning_of_text(name: &[u8]) -> Meaning {
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    let spaces = name.iter().take_while(|byte| **byte == b' ').count();
    let name = name.get(spaces..).unwrap_or_default();
    let mut pieces = name.split(|byte| *byte == b'[');
    let (stem, array) = (pieces.next().unwrap_or_default(), pieces.next().is_some());
    match (stem, array) {
        (b"wstoken" | b"token", _) => Meaning::Token,
        (b"wsfunction", false) => Meaning::Function,
        (b"wsfunction", true) => Meaning::FunctionArray,
        (b"requests", true) if names_function(name) => Meaning::Wrapped,
        _ => Meaning::Other,
    }
}

/// Is one of an array's keys `function`? PHP ends a key at `]`; a key that is not closed, or has white space around it, is
/// no such key there, and counts as one here.
fn names_function(name: &[u8]) -> bool {
    let mut keys = name.split(|byte| *byte == b'[').skip(1);
    keys.any(|key| key.split(|byte| *byte == b']').next().unwrap_or_default().trim_ascii() == b"function")
}

/// The functions that a query names; the one that is called at most once, and no token beside it.
pub fn scan_query(query: &str) -> Result<Called, Refusal> {
    let mut called = Called::default();
    for pair in query.as_bytes().split(|byte| *byte == b'&') {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let (name, value) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
        match meaning(name) {
            Meaning::Wrapped => called.wrapped.push(function_name(value)?),
            meaning => take(meaning, value, &mut called.function)?,
        }
    }
    Ok(called)
}

/// Judges one parameter; the `value` of a function is kept in `function`.
pub fn take(meaning: Meaning, value: &[u8], function: &mut Option<String>) -> Result<(), Refusal> {
    match meaning {
        Meaning::Other | Meaning::Wrapped => Ok(()),
        Meaning::Token => Err(Refusal::Override),
        Meaning::FunctionArray => Err(Refusal::Malformed("wsfunction is a list")),
        Meaning::Function if function.is_some() => Err(Refusal::Malformed("wsfunction stands more than once")),
        Meaning::Function => {
            *function = Some(function_name(value)?);
            Ok(())
        }
    }
}

/// The name of a web service function. Lower case only: some databases under Moodle compare without regard to case, and
/// then `Core_X` would be called where only `core_x` was judged.
pub fn function_name(raw: &[u8]) -> Result<String, Refusal> {
    plain_function_name(&decoded(raw))
}

/// The same of a multipart part, which is not decoded.
pub fn plain_function_name(text: &[u8]) -> Result<String, Refusal> {
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_';
    match std::str::from_utf8(text) {
        Ok(name) if !name.is_empty() && name.len() <= MAX_FUNCTION && name.bytes().all(|byte| plain(&byte)) => {
            Ok(name.to_owned())
        }
        _ => Err(Refusal::Malformed("wsfunction is no name of a function")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_token_is_found_however_it_is_spelt() {
        let spellings = [
            "wstoken",
            "token",
            "%20wstoken",
            "+wstoken",
            "++%20token",
            "wstoken%00",
            "wstoken%00x",
            "ws%74oken",
            "%77%73%74%6f%6b%65%6e",
            "wstoken[]",
            "wstoken%5B%5D",
            "token[a][b]",
            "wstoken[",
            "+token%00[",
        ];
        for spelling in spellings {
            assert_eq!(meaning(spelling.as_bytes()), Meaning::Token, "{spelling}");
            assert_eq!(
                scan_query(&format!("a=b&{spelling}=x&c")),
                Err(Refusal::Override),
                "{spelling}"
            );
            assert_eq!(scan_query(spelling), Err(Refusal::Override), "{spelling}");
        }
    }

    #[test]
    fn other_names_are_other_names() {
        let names = [
            "WSTOKEN",
            "wstoken%20",
            "%09wstoken",
            "wstoken.",
            "a;wstoken",
            "x[wstoken]",
            "wstoke",
            "%2577stoken",
        ];
        for name in names {
            assert_eq!(meaning(name.as_bytes()), Meaning::Other, "{name}");
        }
    }

    #[test]
    fn a_wrapped_function_is_found_however_it_is_spelt() {
        let spellings = [
            "requests[0][function]",
            "requests%5B0%5D%5Bfunction%5D",
            "+requests[][function]",
            "%20requests[a][f%75nction]",
            "requests[0[x][function]",
            "requests[0][function",
            "requests[0][ function]",
            "requests[0][function][]",
            "requests[0][function]x",
            "requests[0][function]%00",
            "requests[function]",
        ];
        for spelling in spellings {
            assert_eq!(meaning(spelling.as_bytes()), Meaning::Wrapped, "{spelling}");
            let called = scan_query(&format!("{spelling}=core_a&{spelling}=mod_b")).unwrap();
            assert_eq!(called.wrapped, ["core_a", "mod_b"], "{spelling}");
            assert!(scan_query(spelling).is_err(), "{spelling}");
        }
        for name in [
            "requests[0][arguments]",
            "requests",
            "xrequests[0][function]",
            "a[requests][function]",
        ] {
            assert_eq!(meaning(name.as_bytes()), Meaning::Other, "{name}");
        }
    }

    #[test]
    fn one_function_and_one_only() {
        assert_eq!(
            scan_query("moodlewsrestformat=json&wsfunction=core_a").map(|called| called.function),
            Ok(Some("core_a".to_owned()))
        );
        let decoded = scan_query("%20ws%66unction=core%5Fa").map(|called| called.function);
        assert_eq!(decoded, Ok(Some("core_a".to_owned())));
        assert_eq!(scan_query("a=wsfunction"), Ok(Called::default()));
        let refused = [
            "wsfunction=a&wsfunction=a",
            "wsfunction=a&+wsfunction=b",
            "wsfunction[]=a",
            "wsfunction=",
            "wsfunction",
            "wsfunction=Core_a",
            "wsfunction=a%00",
            "wsfunction=a+",
            "wsfunction=a%ff",
        ];
        for query in refused {
            assert!(matches!(scan_query(query), Err(Refusal::Malformed(_))), "{query}");
        }
        let long = format!("wsfunction={}", "a".repeat(MAX_FUNCTION + 1));
        assert!(scan_query(&long).is_err());
    }

    /// Percent-encodes each byte whose flag says so.
    fn spelt(name: &[u8], escape: &[bool]) -> Vec<u8> {
        let mut raw = Vec::new();
        for (byte, escape) in name.iter().zip(escape) {
            match escape {
                true => raw.extend(format!("%{byte:02x}").bytes()),
                false => raw.push(*byte),
            }
        }
        raw
    }

    proptest! {
        #[test]
        fn no_spelling_hides_a_token(
            spaces in 0_usize..4,
            short in any::<bool>(),
            tail in prop_oneof![Just(&b""[..]), Just(&b"\0x"[..]), Just(&b"[]"[..]), Just(&b"[k][\0"[..])],
            escape in proptest::collection::vec(any::<bool>(), 32),
        ) {
            let mut name = vec![b' '; spaces];
            name.extend(if short { &b"token"[..] } else { &b"wstoken"[..] });
            name.extend(tail);
            prop_assert_eq!(meaning(&spelt(&name, &escape)), Meaning::Token);
        }

        #[test]
        fn what_php_names_otherwise_is_no_token(name in "[a-z_]{1,12}") {
            prop_assume!(!matches!(name.as_str(), "wstoken" | "token" | "wsfunction"));
            prop_assert_eq!(meaning(name.as_bytes()), Meaning::Other);
        }
    }
}
