//! `[bearer.<name>]`, and what routes say of it.

use std::sync::Arc;

use url::Url;

use super::jwt::rate;
use super::server::values;
use super::sign_in::is_source_name;
use super::{Checker, Known, Names, every};
use crate::config::bearer::{Bearer, BearerBy, BearerJwks, BearerProfile, Introspection};
use crate::config::diagnostics::{Diagnostic, Span};
use crate::config::read::{At, Key, Named, OneOrMany};
use crate::config::sign_in::ClientProof as Proof;
use crate::config::{ClientAuth, Credential, Issuer, Route, SignIn, file};

/// The type of RFC 9068, which no other kind of token has.
const ACCESS_TOKEN: &str = "at+jwt";

/// What a route says of access tokens.
pub(super) struct OfRoute<'a> {
    pub(super) accept: &'a [Credential],
    pub(super) accept_at: Span,
}

impl Checker<'_> {
    /// The sections, and their names in the order of their indices, known even when something is wrong.
    pub(super) fn bearers(
        &mut self,
        Named(bearers): Named<file::Bearer>,
        issuers: &Names,
        (sign_ins, known_sign_ins): (&Names, &[SignIn]),
    ) -> (Option<Vec<Bearer>>, Names) {
        let names: Names = bearers.iter().map(|(name, _)| name.clone()).collect();
        for name in &names {
            // A person is (source, name): all kinds of source share one list of names.
            for (known, what) in [(issuers, "an issuer has"), (sign_ins, "a sign-in has")] {
                if let Some(other) = known.iter().find(|other| other.value == name.value) {
                    let problem = Diagnostic::error(name.at, format!("{what} the same name"));
                    let problem = problem.also(other.at, "this one");
                    self.report(problem.help("rename one of them: a person is known by where the name comes from"));
                }
            }
        }
        let compiled = every(
            bearers
                .into_iter()
                .map(|(name, bearer)| self.bearer(&name, bearer, (sign_ins, known_sign_ins))),
        );
        (compiled, names)
    }

    fn bearer(&mut self, name: &At<String>, bearer: file::Bearer, sign_ins: (&Names, &[SignIn])) -> Option<Bearer> {
        let is_name = is_source_name(&name.value);
        if !is_name {
            let problem = Diagnostic::error(name.at, "this cannot be the name of a bearer");
            self.report(problem.help("1 to 32 lower-case letters, digits, `-` and `_`"));
        }
        if bearer.username.value.is_empty() {
            let problem = Diagnostic::error(bearer.username.at, "`username` names no claim");
            self.report(problem.help("write username = \"sub\", or the claim that is meant"));
        }
        let rules = bearer.roles.into_value();
        let roles = every(rules.into_iter().flatten().map(|role| self.role_rule(role.value)));
        let is_given = |key: &Key<OneOrMany<String>>| !key.is_absent();
        let (has_audience, has_clients) = (is_given(&bearer.audience), is_given(&bearer.clients));
        let audience = self.named_ones(bearer.audience, "audience");
        let clients = self.named_ones(bearer.clients, "clients");
        let is_profile = !bearer.profile.is_absent();
        let by = self.bearer_by(name, bearer.place, (bearer.jwks, bearer.introspection, bearer.profile));
        if is_profile && !has_clients {
            let problem = Diagnostic::error(bearer.place, "a token of any client of the server would count");
            self.report(problem.help(
                "add clients = [\"portal\"]: the server's answer must name one of them, since it does not say for whom a token is",
            ));
        } else if !has_audience && !has_clients {
            let problem = Diagnostic::error(bearer.place, "a token that was made for anybody would count");
            self.report(problem.help(
                "add audience = [\"https://video.example.edu\"], which tokens must be meant for, or clients = [\"portal\"]",
            ));
        }
        if let (true, true, Some(at)) = (
            is_profile,
            has_audience,
            audience.as_ref().and_then(|list| list.first()),
        ) {
            let problem = Diagnostic::error(at.at, "`audience` means nothing here: a profile names none");
            self.report(problem.help("remove it, and name the clients"));
        }
        let by = by?;
        let people = self.people_of_bearer(bearer.people, (&bearer.username, &by), sign_ins);
        Some(Bearer {
            name: is_name.then(|| name.value.as_str().into())?,
            people: people?,
            username: bearer.username.value,
            roles: roles?,
            attributes: Vec::new(),
            audience: values(audience?),
            clients: values(clients?),
            bad_tokens: rate(bearer.bad_tokens, None),
            by,
        })
    }

    /// Texts that tokens must name one of; none where the key is absent.
    fn named_ones(&mut self, key: Key<OneOrMany<String>>, name: &str) -> Option<Vec<At<String>>> {
        match key {
            Key::Absent => return Some(Vec::new()),
            Key::Bad => return None,
            Key::Given(_) => {}
        }
        let list = self.some(key, name)?;
        self.unique("name", &list);
        if let Some(empty) = list.iter().find(|one| one.value.is_empty()) {
            self.report(Diagnostic::error(empty.at, format!("`{name}`: this is empty")));
            return None;
        }
        Some(list)
    }

    /// The one way in which tokens are judged.
    fn bearer_by(
        &mut self,
        name: &At<String>,
        place: Span,
        (jwks, introspection, profile): (
            Key<file::BearerJwks>,
            Key<file::Introspection>,
            Key<file::BearerProfile>,
        ),
    ) -> Option<BearerBy> {
        let given = [
            jwks.given().map(|given| given.at),
            introspection.given().map(|given| given.at),
            profile.given().map(|given| given.at),
        ];
        let mut given = given.into_iter().flatten();
        if let (Some(first), Some(second)) = (given.next(), given.next()) {
            let problem =
                Diagnostic::error(second, "a bearer has one way to judge tokens").also(first, "this is another");
            self.report(problem.help("give each of them a [bearer.<name>] of its own"));
            return None;
        }
        match (jwks, introspection, profile) {
            (Key::Given(jwks), ..) => Some(BearerBy::Jwks(Box::new(self.bearer_jwks(jwks.value)?))),
            (_, Key::Given(asked), _) => Some(BearerBy::Introspection(Box::new(
                self.introspection(asked.at, asked.value)?,
            ))),
            (.., Key::Given(profile)) => Some(BearerBy::Profile(Box::new(self.bearer_profile(profile.value)?))),
            (Key::Absent, Key::Absent, Key::Absent) => {
                let message = "it is not said how tokens are judged";
                let problem = Diagnostic::error(place, message).label("in this table");
                self.report(problem.help(format!(
                    "add [bearer.{0}.jwks] with an issuer, or [bearer.{0}.introspection] or .profile with an endpoint",
                    name.value
                )));
                None
            }
            _ => None,
        }
    }

    fn bearer_jwks(&mut self, jwks: file::BearerJwks) -> Option<BearerJwks> {
        let issuer = jwks.issuer.into_given();
        let issuer_url = issuer.as_ref().and_then(|issuer| self.provider_url(issuer, "issuer"));
        let discovery = jwks.discovery.checked(|at| self.provider_url(&at, "discovery"));
        let jwks_uri = jwks.jwks_uri.checked(|at| self.provider_url(&at, "jwks_uri"));
        self.not_empty(&jwks.types, "types", "write types = [\"at+jwt\"]");
        self.unique("type", &jwks.types.value);
        for one in &jwks.types.value {
            let bare = one.value.to_ascii_lowercase();
            let bare = bare.strip_prefix("application/").unwrap_or(&bare);
            if bare == "logout+jwt" || bare == "dpop+jwt" || bare.is_empty() {
                let problem = Diagnostic::error(one.at, "this is no type of an access token");
                self.report(problem.help(format!("write \"{ACCESS_TOKEN}\", or \"JWT\" for Keycloak and CAS")));
            }
        }
        self.not_empty(&jwks.algorithms, "algorithms", "name at least one");
        self.unique("algorithm", &jwks.algorithms.value);
        let ca_file = jwks.ca_file.checked(|path| self.existing_file(&path, "ca_file"));
        let (issuer, issuer_url) = (issuer?.value, issuer_url?);
        let (discovery, jwks_uri) = (discovery?, jwks_uri?);
        let discovery = match (&discovery, &jwks_uri) {
            (Some(_), _) => discovery,
            (None, Some(_)) => None,
            (None, None) => Url::parse(&format!(
                "{}/.well-known/openid-configuration",
                issuer.trim_end_matches('/')
            ))
            .ok(),
        };
        Some(BearerJwks {
            issuer,
            issuer_url,
            discovery,
            jwks_uri,
            types: values(jwks.types.value),
            algorithms: values(jwks.algorithms.value),
            leeway: jwks.leeway,
            max_lifetime: jwks.max_lifetime,
            outgoing: self.outgoing(ca_file?),
        })
    }

    fn introspection(&mut self, place: Span, asked: file::Introspection) -> Option<Introspection> {
        let endpoint = asked.endpoint.given().and_then(|at| self.provider_url(at, "endpoint"));
        let client_id = self.client_id(asked.client_id);
        if asked.client_auth.value != ClientAuth::PrivateKeyJwt && asked.client_secret_file.is_absent() {
            let problem = Diagnostic::error(place, "the server answers known clients alone").label("in this table");
            self.report(problem.help(
                "add client_secret_file = \"secrets/janua\", a file that holds the secret alone, or client_auth = \
                 \"private_key_jwt\" and client_key_file",
            ));
        }
        let auth = asked.client_auth.value;
        let proof = self.client_proof(Proof {
            auth: &asked.client_auth,
            secret: asked.client_secret_file,
            key: asked.client_key_file,
            id: asked.client_key_id,
        });
        let ca_file = asked.ca_file.checked(|path| self.existing_file(&path, "ca_file"));
        let issuer = asked.issuer.checked(|issuer| {
            let is_good = !issuer.value.is_empty();
            if !is_good {
                self.report(Diagnostic::error(issuer.at, "`issuer` is empty").help("remove it for any"));
            }
            is_good.then_some(issuer.value)
        });
        let (client_secret_file, client_key) = proof?;
        Some(Introspection {
            endpoint: endpoint?,
            client_id: client_id?,
            client_secret_file,
            client_key,
            client_auth: auth,
            cache: asked.cache,
            serve_stale: asked.serve_stale,
            issuer: issuer?,
            outgoing: self.outgoing(ca_file?),
        })
    }

    fn bearer_profile(&mut self, profile: file::BearerProfile) -> Option<BearerProfile> {
        let endpoint = profile
            .endpoint
            .given()
            .and_then(|at| self.provider_url(at, "endpoint"));
        let ca_file = profile.ca_file.checked(|path| self.existing_file(&path, "ca_file"));
        Some(BearerProfile {
            endpoint: endpoint?,
            cache: profile.cache,
            serve_stale: profile.serve_stale,
            outgoing: self.outgoing(ca_file?),
        })
    }

    /// Warns where a server may be shown an issuer's token: one by a new key names an `iss` that nobody here knows.
    pub(super) fn shown_by_mistake(
        &mut self,
        routes: &[Arc<Route>],
        known: &Known,
        (issuers, bearers): (&[Issuer], &[Bearer]),
    ) {
        let takes = |route: &Route, kind: Credential, named: Option<&Vec<usize>>, index: usize| {
            route.accept.contains(&kind) && named.is_none_or(|named| named.contains(&index))
        };
        for (place, (bearer, name)) in bearers.iter().zip(&known.bearers).enumerate() {
            if !matches!(&bearer.by, BearerBy::Introspection(asked) if asked.issuer.is_none()) {
                continue;
            }
            let mut nameless = issuers.iter().enumerate().filter(|(_, issuer)| issuer.iss.is_none());
            let shown = nameless.find(|(index, _)| {
                routes.iter().any(|route| {
                    takes(route, Credential::Jwt, route.issuers.as_ref(), *index)
                        && takes(route, Credential::Bearer, route.bearers.as_ref(), place)
                })
            });
            if let Some((_, issuer)) = shown {
                let message = format!("this server may be shown tokens of the issuer `{}`", issuer.name);
                self.report(Diagnostic::warning(name.at, message).help(
                    "write the `issuer` of the access tokens into its table, or the `iss` that the issuer's tokens name into \
                     [[jwt.issuers]]: a route takes both kinds",
                ));
            }
        }
    }

    /// Indices of the bearers that a route names; none: `None`, which is all.
    pub(super) fn route_bearers(
        &mut self,
        named: Key<OneOrMany<String>>,
        route: &OfRoute<'_>,
        known: &Known,
    ) -> Option<Option<Vec<usize>>> {
        let takes = route.accept.contains(&Credential::Bearer);
        let named = match named {
            Key::Given(named) => named,
            Key::Bad => return None,
            Key::Absent => {
                if takes && known.bearers.is_empty() {
                    let problem = Diagnostic::error(route.accept_at, "access tokens, but nobody can say what they are");
                    self.report(
                        problem.help("add [bearer.campus] and [bearer.campus.jwks], .introspection or .profile"),
                    );
                }
                return Some(None);
            }
        };
        if !takes {
            let problem = Diagnostic::error(named.at, "access tokens are not looked at here");
            self.report(problem.help("add accept = [\"bearer\"], or [\"session\", \"bearer\"] for sessions too"));
        }
        let list = At {
            at: named.at,
            value: named.value.0,
        };
        self.references(
            &list,
            ("bearer", "bearer"),
            &known.bearers,
            "remove it for all, or name at least one",
        )
        .map(Some)
    }
}
