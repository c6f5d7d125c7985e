//! Where a request carries its tokens: finds the candidates, and takes them off a query that goes upstream.
//!
//! Nothing here looks into a token; which candidate counts is decided by the verification.

use std::borrow::Cow;
use std::sync::LazyLock;

use http::HeaderMap;
use percent_encoding::percent_decode_str;

use crate::authenticate::watch;
use crate::config::TokenSource;
use crate::query::{is_named, raw_values};

/// More candidates than this are not looked at: a request has one token, rarely two or three stale ones beside it.
const MAX_CANDIDATES: usize = 8;

/// The candidates of a request in the order of the configured sources, without duplicates.
#[derive(Default)]
pub struct Carried<'a> {
    /// Filled from the front; with the index of the source.
    tokens: [Option<(usize, Cow<'a, str>)>; MAX_CANDIDATES],
    /// There were others.
    more: bool,
}

impl<'a> Carried<'a> {
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.with_sources().map(|(_, token)| token)
    }

    /// The same with the index of the source in which each stood first.
    pub fn with_sources(&self) -> impl Iterator<Item = (usize, &str)> {
        let filled = self.tokens.iter().map_while(Option::as_ref);
        filled.map(|(source, token)| (*source, token.as_ref()))
    }

    /// Those that a form has brought, which names the sources they stood in.
    pub fn of_form(tokens: impl IntoIterator<Item = (usize, String)>) -> Self {
        let mut carried = Self::default();
        for (source, token) in tokens {
            carried.add(source, Cow::Owned(token));
        }
        carried
    }

    /// All but this one, where it stands in a header: it is judged as another kind of credential.
    pub fn without(mut self, other: &str, sources: &[TokenSource]) -> Self {
        let is_in_header = |source: usize| matches!(sources.get(source), Some(TokenSource::Header { .. }));
        let places = std::mem::take(&mut self.tokens);
        let kept = places
            .into_iter()
            .flatten()
            .filter(|(source, token)| !(is_in_header(*source) && token == other));
        for (place, token) in self.tokens.iter_mut().zip(kept) {
            *place = Some(token);
        }
        self
    }

    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Were there more than are looked at?
    pub fn had_more(&self) -> bool {
        self.more
    }

    fn add(&mut self, source: usize, token: Cow<'a, str>) {
        if token.is_empty() || self.iter().any(|known| known == token) {
            return;
        }
        match self.tokens.iter_mut().find(|place| place.is_none()) {
            Some(free) => *free = Some((source, token)),
            None => self.more = true,
        }
    }
}

/// Collects the tokens that stand in the sources, at most eight. An empty token counts as none. Allocates only for a
/// query value that is percent-encoded.
pub fn find<'a>(sources: &[TokenSource], headers: &'a HeaderMap, query: Option<&'a str>) -> Carried<'a> {
    let mut carried = Carried::default();
    for (index, source) in sources.iter().enumerate() {
        match source {
            TokenSource::Header { name, scheme } => headers
                .get_all(name)
                .iter()
                .filter_map(|value| after_scheme(std::str::from_utf8(value.as_bytes()).ok()?, scheme))
                .for_each(|token| carried.add(index, Cow::Borrowed(token))),
            TokenSource::Query { parameter } => raw_values(query.unwrap_or_default(), parameter).for_each(|value| {
                // What does not decode stays as it is: a broken token shall be called broken, not missing.
                let token = percent_decode_str(value).decode_utf8().unwrap_or(Cow::Borrowed(value));
                carried.add(index, token);
            }),
            // A body is not read here.
            TokenSource::Form { .. } => {}
        }
    }
    carried
}

/// The same of the query alone.
pub fn in_query<'a>(sources: &[TokenSource], query: Option<&'a str>) -> Carried<'a> {
    static NO_HEADERS: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);
    find(sources, &NO_HEADERS, query)
}

/// The pairs of a query that are token sources, as they are written.
pub fn in_query_pairs<'a>(sources: &'a [TokenSource], query: &'a str) -> impl Iterator<Item = &'a str> {
    query.split('&').filter(|pair| is_token(sources, pair))
}

fn is_token(sources: &[TokenSource], pair: &str) -> bool {
    sources.iter().any(|source| match source {
        TokenSource::Query { parameter } => is_named(pair.as_bytes(), parameter),
        TokenSource::Header { .. } | TokenSource::Form { .. } => false,
    })
}

/// The query without the parameters that are token sources, and without watch passes, spelled in whatever encoding
/// (`jwt`, `%6awt`); all other bytes stay as they are. `None` when nothing is left, so that the `?` goes too.
pub fn strip_query<'a>(sources: &[TokenSource], query: &'a str) -> Option<Cow<'a, str>> {
    let is_token = |pair: &&str| is_named(pair.as_bytes(), watch::PARAMETER) || is_token(sources, pair);
    if !query.split('&').any(|pair| is_token(&pair)) {
        return Some(Cow::Borrowed(query));
    }
    let kept: Vec<&str> = query.split('&').filter(|pair| !is_token(pair)).collect();
    let kept = kept.join("&");
    (!kept.is_empty()).then_some(Cow::Owned(kept))
}

/// `<scheme> <token>`: the scheme in any case, then one or more spaces (RFC 9110 section 11.4), or tabs, which some servers
/// read as such. Without a configured scheme the whole value is the token.
pub(in crate::authenticate) fn after_scheme<'a>(value: &'a str, scheme: &str) -> Option<&'a str> {
    const BLANK: [char; 2] = [' ', '\t'];
    let value = value.trim_matches(BLANK);
    if scheme.is_empty() {
        return Some(value);
    }
    let (found, token) = value.split_at_checked(scheme.len())?;
    let is_apart = token.starts_with(BLANK) && found.eq_ignore_ascii_case(scheme);
    is_apart.then(|| token.trim_start_matches(BLANK))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::AUTHORIZATION;
    use proptest::prelude::*;

    use super::*;

    fn sources() -> Vec<TokenSource> {
        vec![
            TokenSource::Header {
                name: AUTHORIZATION,
                scheme: "Bearer".to_owned(),
            },
            TokenSource::Query {
                parameter: "jwt".to_owned(),
            },
        ]
    }

    fn found(authorization: &[&str], query: Option<&str>) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for value in authorization {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        find(&sources(), &headers, query).iter().map(str::to_owned).collect()
    }

    #[test]
    fn candidates_come_in_the_order_of_the_sources() {
        assert_eq!(found(&["Bearer a.b.c"], Some("x=1&jwt=d.e.f")), ["a.b.c", "d.e.f"]);
        assert_eq!(found(&["bEARER   a"], None), ["a"]);
        assert_eq!(found(&["Basic dTpw"], Some("jwt=q")), ["q"]);
        assert_eq!(found(&["Bearer a"], Some("jwt=a&jwt=b")), ["a", "b"]);
        assert_eq!(found(&["Basic x", "Bearer a"], None), ["a"]);
        assert_eq!(found(&[], Some("%6Awt=a%2Eb%2ec")), ["a.b.c"]);
        assert_eq!(found(&[], Some("jwt=a=b")), ["a=b"]);
    }

    #[test]
    fn an_empty_or_foreign_value_is_not_there() {
        for authorization in ["", "Bearer", "Bearer ", "Bearera.b.c", "Token a"] {
            assert!(found(&[authorization], Some("jwt=&jwt&JWT=a&xjwt=b&jwtx=c")).is_empty());
        }
        assert!(found(&[], None).is_empty());
    }

    #[test]
    fn a_broken_encoding_is_still_a_candidate() {
        assert_eq!(found(&[], Some("jwt=%zz")), ["%zz"]);
        assert_eq!(found(&[], Some("jwt=%ff")), ["%ff"]);
    }

    #[test]
    fn at_most_eight() {
        assert_eq!(
            found(&["Bearer a"], Some("jwt=b&jwt=c&jwt=d&jwt=e&jwt=f&jwt=g&jwt=h&jwt=i")),
            ["a", "b", "c", "d", "e", "f", "g", "h"]
        );
    }

    #[test]
    fn stripping_leaves_all_other_bytes() {
        let strip = |query| strip_query(&sources(), query).map(Cow::into_owned);
        assert_eq!(strip("a=%20+&b").as_deref(), Some("a=%20+&b"));
        assert_eq!(strip("a=1&jwt=x&b=%2f&&c").as_deref(), Some("a=1&b=%2f&&c"));
        assert_eq!(strip("%6awt=x&a=jwt").as_deref(), Some("a=jwt"));
        assert_eq!(strip("%6A%77%74=x&jwt&a").as_deref(), Some("a"));
        assert_eq!(strip("jwt=x"), None);
        assert_eq!(strip("jwt=x&jwt=y"), None);
        assert_eq!(strip("").as_deref(), Some(""));
    }

    proptest! {
        #[test]
        fn what_is_stripped_carries_no_token(query in "([%&=jwt6aAJ47]|%6a|%77|jwt=){0,40}") {
            let stripped = strip_query(&sources(), &query);
            let left = stripped.as_deref().unwrap_or_default();
            prop_assert!(find(&sources(), &HeaderMap::new(), Some(left)).is_empty());
            let parsed = form_urlencoded::parse(left.as_bytes()).any(|(name, _)| name == "jwt");
            prop_assert!(!parsed);
        }
    }
}
