//! `[jwt]` and `[[jwt.issuers]]`.

use std::time::Duration;

use url::Url;

use super::server::values;
use super::{Checker, Names};
use crate::config::diagnostics::Diagnostic;
use crate::config::net::is_loopback;
use crate::config::read::{At, Key};
use crate::config::value::{PerSecond, Size};
use crate::config::{Algorithm, Issuer, JwksLocation, Jwt, Rate, TokenSource, file};

const DEFAULT_ROLES_CLAIMS: [&str; 2] = ["oc-roles", "roles"];
pub(super) const DEFAULT_ACTIONS: [&str; 4] = ["read", "write", "annotate", "annotate-admin"];
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
pub(super) const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

impl Checker<'_> {
    /// The section, and the names of all issuers in the order of their indices, known even when something is wrong.
    pub(super) fn jwt(&mut self, jwt: file::Jwt) -> (Option<Jwt>, Names) {
        let algorithms = match jwt.algorithms {
            Key::Given(algorithms) => {
                let listed = self.not_empty(&algorithms, "algorithms", "without one, no token is ever accepted");
                self.unique("algorithm", algorithms.value.iter().map(|one| (one.at, one.value)));
                listed.map(|()| values(algorithms.value))
            }
            Key::Absent | Key::Bad => Some(vec![Algorithm::Es256]),
        };
        let sources = self.sources(jwt.sources);
        let roles_claims = match jwt.roles_claims {
            Key::Given(claims) => {
                self.unique(
                    "claim",
                    claims.value.iter().map(|claim| (claim.at, claim.value.clone())),
                );
                values(claims.value)
            }
            Key::Absent | Key::Bad => DEFAULT_ROLES_CLAIMS.map(String::from).to_vec(),
        };
        let leeway = self.duration(
            jwt.leeway,
            "leeway",
            Duration::from_secs(3),
            (Duration::ZERO, 5 * MINUTE),
        );
        let refresh = self.duration(jwt.refresh, "refresh", 10 * MINUTE, (Duration::from_secs(30), DAY));
        let keep_stale = self.duration(jwt.keep_stale, "keep_stale", DAY, (Duration::ZERO, 30 * DAY));
        let cache = self.cache(jwt.cache);
        let max_token = self.bytes(&jwt.max_token, "max_token", 16 * KIB, (KIB, 64 * KIB));
        let max_key_set = self.bytes(&jwt.max_key_set, "max_key_set", 256 * KIB, (16 * KIB, 16 * MIB));
        let max_roles = self.at_most(&jwt.max_roles, "max_roles");
        let max_grants = self.at_most(&jwt.max_grants, "max_grants");
        let issuers = jwt.issuers.or_default();
        let names: Names = issuers
            .iter()
            .filter_map(|issuer| issuer.value.name.given().cloned())
            .collect();
        self.unique("issuer name", names.iter().map(|name| (name.at, name.value.clone())));
        let issuers: Vec<_> = issuers.into_iter().map(|issuer| self.issuer(issuer.value)).collect();
        let issuers: Option<Vec<_>> = issuers.into_iter().collect();
        let jwt = algorithms
            .zip(sources)
            .zip(issuers)
            .map(|((algorithms, sources), issuers)| Jwt {
                algorithms,
                sources,
                roles_claims,
                leeway,
                refresh,
                keep_stale,
                cache,
                bad_signatures: rate(jwt.bad_signatures.or(PerSecond(200.0)), None),
                max_token,
                max_key_set,
                max_roles,
                max_grants,
                issuers,
            });
        (jwt, names)
    }

    fn sources(&mut self, sources: Key<Vec<At<file::Source>>>) -> Option<Vec<TokenSource>> {
        let Key::Given(sources) = sources else {
            return Some(vec![
                TokenSource::Header {
                    name: http::header::AUTHORIZATION,
                    scheme: "Bearer".to_owned(),
                },
                TokenSource::Query {
                    parameter: "jwt".to_owned(),
                },
            ]);
        };
        self.not_empty(&sources, "sources", "without one, no token is ever found")?;
        let places: Vec<_> = sources.value.iter().map(|source| source.at).collect();
        let sources: Vec<_> = sources
            .value
            .into_iter()
            .map(|source| self.source(source.value))
            .collect();
        let sources: Vec<TokenSource> = sources.into_iter().collect::<Option<_>>()?;
        let keys = sources.iter().map(|source| format!("{source:?}").to_lowercase());
        self.unique("source", places.into_iter().zip(keys));
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
            _ if source.has_strange_keys => None,
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

    fn cache(&mut self, cache: Key<Size>) -> u64 {
        if let Some(given) = cache.given()
            && (1..MIB).contains(&given.value.0)
        {
            let problem = Diagnostic::error(given.at, "`cache` is too small").label("allowed: from 1MiB, or \"0\"");
            self.report(problem.help("\"0\" remembers no token and checks every signature again"));
        }
        cache.or(Size(128 * MIB)).0
    }

    pub(super) fn bytes(&mut self, size: &Key<Size>, name: &str, default: u64, (least, most): (u64, u64)) -> usize {
        let given = size.given().map_or(default, |given| given.value.0);
        if let Some(size) = size.given()
            && !(least..=most).contains(&given)
        {
            let problem = Diagnostic::error(size.at, format!("`{name}` is out of bounds"));
            let text = |bytes: u64| match bytes % MIB {
                0 => format!("{}MiB", bytes / MIB),
                _ => format!("{}KiB", bytes / KIB),
            };
            self.report(problem.label(format!("allowed: from {} to {}", text(least), text(most))));
        }
        usize::try_from(given).unwrap_or(usize::MAX)
    }

    fn at_most(&mut self, number: &Key<u64>, name: &str) -> usize {
        const DEFAULT: usize = 256;
        let Some(given) = number.given() else { return DEFAULT };
        match usize::try_from(given.value)
            .ok()
            .filter(|number| (1..=4096).contains(number))
        {
            Some(number) => number,
            None => {
                let problem = Diagnostic::error(given.at, format!("`{name}` is out of bounds"));
                self.report(problem.label("allowed: from 1 to 4096"));
                DEFAULT
            }
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
        let header = issuer.place;
        let name = self.required(issuer.name, "name", header, "name = \"moodle\"");
        let name = name.filter(|name| self.name(name).is_some());
        let example = "jwks = \"https://moodle.example.edu/.well-known/jwks.json\", or a file";
        let jwks = self.required(issuer.jwks, "jwks", header, example);
        let jwks = jwks.and_then(|jwks| self.jwks(&jwks, &issuer.allow_http));
        let ca_file = match issuer.ca_file {
            Key::Given(path) => {
                let is_https = matches!(&jwks, Some(JwksLocation::Url(url)) if url.scheme() == "https");
                if jwks.is_some() && !is_https {
                    let problem = Diagnostic::error(path.at, "`ca_file` means nothing here");
                    self.report(problem.help("`jwks` is not fetched over https: remove this key"));
                }
                Some(self.existing_file(&path, "ca_file"))
            }
            Key::Absent | Key::Bad => None,
        };
        let example = "allow_roles = [\"*_Learner\", \"*_Instructor\"]: which roles may its tokens carry?";
        let allow_roles = self.required(issuer.allow_roles, "allow_roles", header, example);
        for pattern in allow_roles.iter().flat_map(|roles| &roles.value) {
            if pattern.value.params().next().is_some() {
                let problem = Diagnostic::error(pattern.at, "a parameter of a path means nothing here");
                self.report(problem.help("roles are capped before a route is looked at: use `*`"));
            } else if pattern.value.is_any() {
                let problem = Diagnostic::warning(pattern.at, "this issuer may hand out every role");
                self.report(problem.help("whoever holds its key is ROLE_ADMIN if they like; name the roles it needs"));
            }
        }
        let allow_actions = match issuer.allow_actions {
            Key::Given(actions) => {
                for action in actions.value.iter().filter(|action| !is_word(&action.value)) {
                    self.report(Diagnostic::error(action.at, "this is no action").help("write \"read\" or \"write\""));
                }
                values(actions.value)
            }
            Key::Absent | Key::Bad => DEFAULT_ACTIONS.map(String::from).to_vec(),
        };
        let iss = self.said(issuer.iss, "iss");
        let typ = self.said(issuer.typ, "typ");
        let aud = self.some(issuer.aud, "aud").map(values).unwrap_or_default();
        let bounds = (Duration::from_secs(1), 366 * DAY);
        let max_lifetime = self.duration(issuer.max_lifetime, "max_lifetime", 24 * HOUR, bounds);
        let watch_max = self.duration(issuer.watch_max, "watch_max", 12 * HOUR, (MINUTE, 7 * DAY));
        Some(Issuer {
            name: name?.value.into(),
            jwks: jwks?,
            ca_file: match ca_file {
                Some(path) => Some(path?),
                None => None,
            },
            allow_roles: values(allow_roles?.value),
            allow_actions,
            max_lifetime,
            may_name_users: issuer.may_name_users.or(false),
            iss,
            aud,
            typ,
            watch_max,
        })
    }

    fn jwks(&mut self, jwks: &At<String>, allow_http: &Key<bool>) -> Option<JwksLocation> {
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
                if is_local || allow_http.value() == Some(&true) {
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

    fn allow_http_means_nothing(&mut self, allow_http: &Key<bool>) {
        if let Some(given) = allow_http.given().filter(|given| given.value) {
            let problem = Diagnostic::warning(given.at, "`allow_http` changes nothing here");
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
