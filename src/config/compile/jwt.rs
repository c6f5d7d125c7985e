//! `[jwt]` and `[[jwt.issuers]]`.

use url::Url;

use super::server::values;
use super::{Checker, Names, every};
use crate::config::diagnostics::{Diagnostic, Span};
use crate::config::net::is_loopback;
use crate::config::read::{At, Key};
use crate::config::value::{PerSecond, Size};
use crate::config::{Issuer, JwksLocation, Jwt, TokenSource, file};
use crate::rate::Rate;

const MIB: u64 = 1 << 20;

impl Checker<'_> {
    /// A token of the greatest length comes in a header, with others beside it.
    pub(super) fn room_for_tokens(&mut self, at: Span, max_token: usize, max_header: usize) {
        const BESIDES: usize = 8 << 10;
        // A longer one is an error already.
        const LONGEST: usize = 64 << 10;
        if max_token + BESIDES > max_header && max_token <= LONGEST {
            let least = (max_token + BESIDES).div_ceil(1 << 10);
            let message = "a token of this length does not fit into a request's header";
            let problem = Diagnostic::warning(at, message).label(format!("`server.max_header` is {max_header} bytes"));
            self.report(problem.help(format!("add max_header = \"{least}KiB\" to [server]")));
        }
    }

    /// The section, and the names of all issuers in the order of their indices, known even when something is wrong.
    pub(super) fn jwt(&mut self, jwt: file::Jwt) -> (Option<Jwt>, Names) {
        let algorithms = jwt.algorithms;
        self.unique("algorithm", &algorithms.value);
        let algorithms = self
            .not_empty(&algorithms, "algorithms", "without one, no token is ever accepted")
            .map(|()| values(algorithms.value));
        let sources = self.sources(jwt.sources);
        self.unique("claim", &jwt.roles_claims);
        self.cache(&jwt.cache);
        let issuers = jwt.issuers.or_default();
        let names: Names = issuers
            .iter()
            .filter_map(|issuer| issuer.value.name.given().cloned())
            .collect();
        self.unique("issuer name", &names);
        let issuers = every(issuers.into_iter().map(|issuer| self.issuer(issuer.value)));
        let jwt = algorithms
            .zip(sources)
            .zip(issuers)
            .map(|((algorithms, sources), issuers)| Jwt {
                algorithms,
                sources,
                roles_claims: values(jwt.roles_claims),
                leeway: jwt.leeway,
                refresh: jwt.refresh,
                keep_stale: jwt.keep_stale,
                cache: jwt.cache.value.0,
                bad_signatures: rate(jwt.bad_signatures, None),
                max_token: jwt.max_token.value.bytes(),
                max_key_set: jwt.max_key_set.bytes(),
                max_roles: jwt.max_roles,
                max_grants: jwt.max_grants,
                issuers,
            });
        (jwt, names)
    }

    fn sources(&mut self, sources: At<Vec<At<file::Source>>>) -> Option<Vec<TokenSource>> {
        self.not_empty(&sources, "sources", "without one, no token is ever found")?;
        let places: Vec<_> = sources.value.iter().map(|source| source.at).collect();
        let sources = every(sources.value.into_iter().map(|source| self.source(source.value)))?;
        let keys = sources.iter().map(|source| format!("{source:?}").to_lowercase());
        let keys: Vec<_> = places
            .into_iter()
            .zip(keys)
            .map(|(at, value)| At { at, value })
            .collect();
        self.unique("source", &keys);
        Some(sources)
    }

    fn source(&mut self, source: file::Source) -> Option<TokenSource> {
        let at = source.place;
        match (source.header, source.scheme, source.query, source.form) {
            (Key::Given(name), scheme, Key::Absent, Key::Absent) => {
                let scheme = self.required(
                    scheme,
                    "scheme",
                    at,
                    "scheme = \"Bearer\", or \"\" where the token stands alone",
                )?;
                let is_token = scheme.value.bytes().all(is_token_byte);
                if !is_token {
                    self.report(Diagnostic::error(
                        scheme.at,
                        "`scheme`: this is no authentication scheme",
                    ));
                    return None;
                }
                Some(TokenSource::Header {
                    name: name.value,
                    scheme: scheme.value,
                })
            }
            (Key::Absent, Key::Absent, Key::Given(query), Key::Absent) => {
                let parameter = self.parameter(query, "query")?;
                Some(TokenSource::Query { parameter })
            }
            (Key::Absent, Key::Absent, Key::Absent, Key::Given(form)) => {
                let parameter = self.parameter(form, "form")?;
                Some(TokenSource::Form { parameter })
            }
            (Key::Bad, ..) | (_, Key::Bad, ..) | (_, _, Key::Bad, _) | (.., Key::Bad) => None,
            _ if source.has_unknown_keys => None,
            _ => {
                let problem = Diagnostic::error(at, "a source is either a header with its scheme, a query, or a form");
                self.report(problem.help(
                    "write { header = \"Authorization\", scheme = \"Bearer\" }, { query = \"jwt\" } or { form = \"jwt\" }",
                ));
                None
            }
        }
    }

    fn parameter(&mut self, name: At<String>, key: &str) -> Option<String> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if name.value.is_empty() || !name.value.bytes().all(is_plain) {
            let problem = Diagnostic::error(name.at, format!("`{key}`: this is no name of a parameter"));
            self.report(problem.help("use letters, digits, `-`, `.`, `_` and `~`"));
            return None;
        }
        Some(name.value)
    }

    fn cache(&mut self, cache: &At<Size>) {
        if (1..MIB).contains(&cache.value.0) {
            let problem = Diagnostic::error(cache.at, "`cache` is too small").label("allowed: from 1MiB, or \"0\"");
            self.report(problem.help("\"0\" remembers no token and checks every signature again"));
        }
    }

    /// A text that tokens must say.
    fn said(&mut self, key: Key<String>, name: &str) -> Option<String> {
        let Key::Given(given) = key else { return None };
        if given.value.is_empty() {
            let problem = Diagnostic::error(given.at, format!("`{name}` is empty"));
            self.report(problem.help("remove it where tokens need not say anything"));
        }
        Some(given.value)
    }

    fn issuer(&mut self, issuer: file::Issuer) -> Option<Issuer> {
        let name = issuer.name.given().filter(|name| self.name(name).is_some());
        let jwks = issuer.jwks.given().and_then(|jwks| self.jwks(jwks, &issuer.allow_http));
        let ca_file = issuer.ca_file.checked(|path| {
            let is_https = matches!(&jwks, Some(JwksLocation::Url(url)) if url.scheme() == "https");
            if jwks.is_some() && !is_https {
                let problem = Diagnostic::error(path.at, "`ca_file` means nothing here");
                self.report(problem.help("`jwks` is not fetched over https: remove this key"));
            }
            self.existing_file(&path, "ca_file")
        });
        for pattern in issuer.allow_roles.value().into_iter().flatten() {
            if pattern.value.params().next().is_some() {
                let problem = Diagnostic::error(pattern.at, "a parameter of a path means nothing here");
                self.report(problem.help("roles are capped before a route is looked at: use `*`"));
            } else if pattern.value.is_any() {
                let problem = Diagnostic::warning(pattern.at, "this issuer may hand out every role");
                self.report(problem.help("whoever holds its key is ROLE_ADMIN if they like; name the roles it needs"));
            }
        }
        for action in issuer.allow_actions.value().into_iter().flatten() {
            if !is_word(&action.value) {
                self.report(Diagnostic::error(action.at, "this is no action").help("write \"read\" or \"write\""));
            }
        }
        let iss = self.said(issuer.iss, "iss");
        let typ = self.said(issuer.typ, "typ");
        let aud = self.some(issuer.aud, "aud").map(values).unwrap_or_default();
        Some(Issuer {
            name: name?.value.as_str().into(),
            jwks: jwks?,
            outgoing: self.outgoing(ca_file?),
            allow_roles: values(issuer.allow_roles.into_value()?),
            allow_actions: values(issuer.allow_actions.into_value()?),
            max_lifetime: issuer.max_lifetime,
            may_name_users: issuer.may_name_users,
            iss,
            aud,
            typ,
            watch_max: issuer.watch_max,
        })
    }

    fn jwks(&mut self, jwks: &At<String>, allow_http: &At<bool>) -> Option<JwksLocation> {
        let Some((scheme, _)) = jwks.value.split_once("://") else {
            self.allow_http_means_nothing(allow_http);
            return self.existing_file(jwks, "jwks").map(JwksLocation::File);
        };
        let problem = |why: String| Diagnostic::error(jwks.at, format!("`jwks`: {why}"));
        let refused = match (scheme, Url::parse(&jwks.value)) {
            ("http" | "https", Err(why)) => problem(why.to_string()),
            (_, Ok(url)) if !url.username().is_empty() || url.password().is_some() => {
                problem("secrets are never written into this file".into()).help("a key set is public")
            }
            (_, Ok(url)) if url.fragment().is_some() => problem("there is a fragment in it".into()),
            ("https", Ok(url)) => {
                self.allow_http_means_nothing(allow_http);
                return Some(JwksLocation::Url(url));
            }
            ("http", Ok(url)) => {
                let is_local = url.host_str().is_some_and(is_loopback);
                if is_local {
                    self.allow_http_means_nothing(allow_http);
                }
                if is_local || allow_http.value {
                    return Some(JwksLocation::Url(url));
                }
                problem("keys are not fetched over http from other machines".into())
                    .help("use https; or allow_http = true: whoever is on the way can then issue tokens")
            }
            _ => problem("this scheme is not supported".into()).help("use https://, or the path of a file"),
        };
        self.report(refused);
        None
    }

    fn allow_http_means_nothing(&mut self, allow_http: &At<bool>) {
        if allow_http.value {
            let problem = Diagnostic::warning(allow_http.at, "`allow_http` changes nothing here");
            self.report(problem.help("`jwks` does not need it: remove this key"));
        }
    }
}

/// `burst` is what the rate allows in a second, and at least one, unless it is given.
pub(super) fn rate(per_second: PerSecond, burst: Option<u32>) -> Rate {
    // A rate comes from a u32 (`PerSecond`), so that its ceiling is one again.
    let second = per_second.0.ceil() as u32;
    Rate {
        per_second: per_second.0,
        burst: burst.unwrap_or(second.max(1)),
    }
}

/// Can this stand as an action in an `oc` claim and in `ROLE_EPISODE_<id>_<ACTION>`?
pub(super) fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// RFC 9110 section 5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
