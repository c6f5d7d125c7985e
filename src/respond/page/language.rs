//! The language of a page: what the browser wants most of those that the site speaks.

use http::HeaderValue;

use crate::config::Language;

/// Elements of an `Accept-Language` that are looked at: browsers send a handful.
const MOST: usize = 32;

/// By `Accept-Language` (RFC 9110 section 12.5.4, ranges as in RFC 4647): the one of `spoken` with the highest weight, of
/// several the one that is named first. `de-AT` is German. `*` is the first of `spoken` that is not named. What is
/// malformed is left out, and where nothing fits it is the first one.
pub(super) fn wanted(accept: Option<&HeaderValue>, spoken: &[Language]) -> Language {
    let first = spoken.first().copied().unwrap_or(Language::English);
    let Some(accept) = accept.and_then(|value| value.to_str().ok()) else {
        return first;
    };
    let ranges: Vec<(&str, u16)> = accept.split(',').take(MOST).filter_map(range).collect();
    let named = |language: Language| ranges.iter().find(|(range, _)| is_of(range, language));
    let mut best: Option<(Language, u16)> = None;
    for (range, weight) in &ranges {
        let mut meant = spoken.iter().copied();
        let meant = match *range {
            "*" => meant.find(|language| named(*language).is_none()),
            range => meant.find(|language| is_of(range, *language)),
        };
        if let Some(language) = meant.filter(|_| *weight > best.map_or(0, |(_, best)| best)) {
            best = Some((language, *weight));
        }
    }
    let refused = |language: Language| named(language).is_some_and(|(_, weight)| *weight == 0);
    let not_refused = || spoken.iter().copied().find(|language| !refused(*language));
    best.map(|(language, _)| language).or_else(not_refused).unwrap_or(first)
}

/// A range and its weight in thousandths. `None`: malformed.
fn range(element: &str) -> Option<(&str, u16)> {
    let mut parts = element.split(';').map(str::trim);
    let range = parts.next()?;
    let is_range = range == "*"
        || range
            .split('-')
            .all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let weight = match parts.next() {
        None => 1000,
        Some(weight) => thousandths(weight.strip_prefix("q=").or_else(|| weight.strip_prefix("Q="))?)?,
    };
    (is_range && parts.next().is_none()).then_some((range, weight))
}

/// `0`, `1` or a fraction of at most three digits (RFC 9110 section 12.4.2).
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
    match (whole, fraction) {
        ("0", fraction) => Some(fraction),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

/// Does the range name the language, whatever the country?
fn is_of(range: &str, language: Language) -> bool {
    let primary = range.split('-').next().unwrap_or_default();
    primary.eq_ignore_ascii_case(language.label())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted_of(accept: &str, spoken: &[Language]) -> &'static str {
        wanted(HeaderValue::from_bytes(accept.as_bytes()).ok().as_ref(), spoken).label()
    }

    #[test]
    fn the_browsers_first_choice_that_is_spoken_is_taken() {
        for (accept, expected) in [
            ("de", "de"),
            ("de-AT", "de"),
            ("DE-at,en;q=0.5", "de"),
            ("de-CH-1996, fr;q=0.9", "de"),
            ("en-US,en;q=0.9,de;q=0.8", "en"),
            ("pt-BR,es;q=0.8,en;q=0.5", "es"),
            ("fr;q=0.2, es;q=0.3", "es"),
            ("fr;q=0.300, es;q=0.3", "fr"),
            ("en;q=0.001,de;q=0.002", "de"),
            ("*", "en"),
            ("fr;q=0.5,*", "en"),
            ("en;q=0,*;q=0.1", "de"),
            ("en;q=0", "de"),
            ("en;q=0,fr;q=1.000", "fr"),
            ("ja", "en"),
            ("den", "en"),
            ("", "en"),
        ] {
            assert_eq!(wanted_of(accept, Language::ALL), expected, "{accept}");
        }
        assert_eq!(wanted(None, Language::ALL), Language::English);
    }

    #[test]
    fn the_first_language_of_the_site_is_for_all_others() {
        let spoken = [Language::French, Language::German];
        for (accept, expected) in [
            ("en", "fr"),
            ("de-DE,en", "de"),
            ("*;q=0.5,de;q=0.4", "fr"),
            ("fr;q=0", "de"),
            ("fr;q=0,de;q=0", "fr"),
        ] {
            assert_eq!(wanted_of(accept, &spoken), expected, "{accept}");
        }
    }

    #[test]
    fn what_is_malformed_is_left_out() {
        for malformed in [
            "de;q=2",
            "de;q=1.001",
            "de;q=-1",
            "de;q=",
            "de;q=0.0001",
            "de;q=x",
            "de;level=1",
            "de;q=1;q=1",
            "de_AT",
            "d e",
            "de-",
            "-de",
            "deutschland",
            "de\u{e9}",
            "\u{ff}",
            ";q=1",
            ";;;",
            ",,,",
            "q=1",
            "de;q=.5",
            "de;q=+1",
            "de;q=0.+1",
        ] {
            assert_eq!(wanted_of(malformed, Language::ALL), "en", "{malformed}");
            assert_eq!(
                wanted_of(&format!("{malformed},es;q=0.1"), Language::ALL),
                if malformed.is_ascii() { "es" } else { "en" }
            );
        }
        let long = "xx,".repeat(10_000) + "de";
        assert_eq!(wanted_of(&long, Language::ALL), "en");
    }
}
