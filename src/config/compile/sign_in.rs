//! `[sign_in.<name>]`, and what routes say of it.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::server::values;
use super::{Checker, Known, Names, every};
use crate::config::cas::{Protocol, RoleRule, RoleRuleError};
use crate::config::diagnostics::{Diagnostic, Span};
use crate::config::net::{Origin, is_loopback};
use crate::config::read::{At, Key, Named, OneOrMany};
use crate::config::{Cas, Credential, Provider, SessionLimits, SignIn, file};

/// Longer names make longer URLs and cookies, and nothing else.
const LONGEST_NAME: usize = 32;

/// How long a session lives, where that is not written, whose end at the sign-in server is told by nobody.
const LONGEST_UNTOLD: Duration = Duration::from_secs(4 * 3600);

impl Checker<'_> {
    /// The sign-ins, and their names in the order of their indices, known even when something is wrong.
    pub(super) fn sign_ins(
        &mut self,
        Named(sign_ins): Named<file::SignIn>,
        issuers: &Names,
    ) -> (Option<Vec<SignIn>>, Names) {
        let names: Names = sign_ins.iter().map(|(name, _)| name.clone()).collect();
        for name in &names {
            // A person is (source, name): the two kinds of source share one list of names.
            if let Some(issuer) = issuers.iter().find(|issuer| issuer.value == name.value) {
                let problem = Diagnostic::error(name.at, "an issuer has the same name").also(issuer.at, "this one");
                self.report(problem.help("rename one of them: a person is known by where the name comes from"));
            }
        }
        let people = self.people(&sign_ins, &names);
        let compiled = every(sign_ins.into_iter().map(|(name, sign_in)| self.sign_in(&name, sign_in)));
        let mut compiled = compiled.zip(people);
        if let Some((sign_ins, people)) = &mut compiled {
            self.share_people(sign_ins, people);
        }
        (compiled.map(|(sign_ins, _)| sign_ins), names)
    }

    fn sign_in(&mut self, name: &At<String>, sign_in: file::SignIn) -> Option<SignIn> {
        let is_name = is_source_name(&name.value);
        if !is_name {
            let problem = Diagnostic::error(name.at, "this cannot be the name of a sign-in");
            self.report(problem.help(format!(
                "it stands in URLs: 1 to {LONGEST_NAME} lower-case letters, digits, `-` and `_`"
            )));
        }
        let title = sign_in.title.checked(|title| self.shown(title, "title"));
        let rules = sign_in.roles.into_value();
        let roles = every(rules.into_iter().flatten().map(|role| self.role_rule(role.value)));
        let provider = self.provider(name, sign_in.place, (sign_in.cas, sign_in.oauth2, sign_in.oidc));
        let session = sign_in.session;
        let ends = "a session ends at `absolute` whatever happens: make `idle` shorter";
        let absolute = match session.absolute.written() {
            // Nobody tells of a logout at such a server.
            None if matches!(provider, Some(Provider::OAuth2(_))) => LONGEST_UNTOLD.min(session.absolute.value),
            _ => session.absolute.value,
        };
        let idle = self.idle(&session.idle, absolute, ends);
        let app_origins = self.app_origins(sign_in.app_origins);
        let name: Arc<str> = is_name.then(|| name.value.as_str().into())?;
        Some(SignIn {
            people: Arc::clone(&name),
            name,
            title: title?,
            roles: roles?,
            session: SessionLimits {
                idle,
                absolute,
                per_subject: session.per_subject,
            },
            app_origins: app_origins?,
            provider: provider?,
        })
    }

    /// The one server of a sign-in.
    fn provider(
        &mut self,
        name: &At<String>,
        place: Span,
        (cas, oauth2, oidc): (Key<file::Cas>, Key<file::OAuth2>, Key<file::Oidc>),
    ) -> Option<Provider> {
        let at = [place_of(&cas), place_of(&oauth2), place_of(&oidc)];
        let mut given = at.into_iter().flatten();
        if let (Some(first), Some(second)) = (given.next(), given.next()) {
            let problem = Diagnostic::error(second, "a sign-in has one server").also(first, "this is another one");
            self.report(problem.help("give each of them a [sign_in.<name>] of its own"));
            return None;
        }
        match (cas, oauth2, oidc) {
            (_, Key::Given(oauth2), _) => {
                let compiled = self.oauth2(oauth2.value, oauth2.at);
                Some(Provider::OAuth2(Box::new(compiled?)))
            }
            (_, _, Key::Given(oidc)) => Some(Provider::Oidc(Box::new(self.oidc(oidc.value)?))),
            (_, Key::Bad, _) | (_, _, Key::Bad) => None,
            (cas, ..) => {
                let example = format!(
                    "[sign_in.{0}.cas] with server = \"https://cas.example.edu/cas\", or [sign_in.{0}.oidc] with an issuer",
                    name.value
                );
                let cas = self.required(cas, "cas", place, &example)?;
                self.cas(cas.value).map(Provider::Cas)
            }
        }
    }

    pub(super) fn role_rule(&mut self, rule: file::RoleRule) -> Option<RoleRule> {
        let role = rule.role.given()?;
        let attribute = rule.attribute.checked(|attribute| Some(attribute.value))?;
        let rule = match RoleRule::new(attribute.as_deref(), &role.value) {
            Ok(rule) => rule,
            Err(why) => {
                let problem = Diagnostic::error(role.at, format!("`role`: {why}"));
                self.report(match why {
                    RoleRuleError::Braces => problem.help("`{value}` is the value of `attribute`"),
                    RoleRuleError::ValueOfNothing => {
                        problem.help("add attribute = \"eduPersonAffiliation\", or the one that is meant")
                    }
                    RoleRuleError::Empty | RoleRuleError::Characters => problem,
                });
                return None;
            }
        };
        if rule.before.is_empty() && rule.after.as_deref() == Some("") {
            let problem = Diagnostic::warning(role.at, "whoever sets this attribute hands out every role");
            self.report(problem.help("put something before `{value}`: \"ROLE_AFFILIATION_{value}\""));
        }
        Some(rule)
    }

    /// How long a session lives without a request: by default no longer than at all. `ends` is what to do about more.
    pub(super) fn idle(&mut self, idle: &At<Duration>, absolute: Duration, ends: &str) -> Duration {
        let Some(at) = idle.written() else {
            return idle.value.min(absolute);
        };
        if idle.value > absolute {
            self.report(Diagnostic::warning(at, "`idle` is longer than `absolute`").help(ends));
        }
        idle.value
    }

    fn app_origins(&mut self, origins: Key<Vec<At<Origin>>>) -> Option<Vec<String>> {
        let origins = origins.into_value()?;
        self.unique("origin", &origins);
        if let Some(any) = origins.iter().find(|origin| origin.value.0 == "*") {
            let problem = Diagnostic::error(any.at, "every web site could act in the name of its visitors");
            self.report(problem.help("name the origins of your own apps"));
            return None;
        }
        Some(origins.into_iter().map(|origin| origin.value.0).collect())
    }

    fn cas(&mut self, cas: file::Cas) -> Option<Cas> {
        let server = cas.server.given().and_then(|server| self.cas_server(server));
        let protocol = match cas.protocol {
            1 => Protocol::Cas1,
            2 => Protocol::Cas2,
            _ => Protocol::Cas3,
        };
        let username = cas.username.into_given()?;
        if username.value != "user" && protocol == Protocol::Cas1 {
            let problem = Diagnostic::error(username.at, "CAS 1 answers with a name and no attributes");
            self.report(problem.help("remove this key, or set protocol = 3"));
        }
        self.passive_or_renew(&cas.passive, &cas.renew);
        let chains = cas.proxy_chains;
        self.unique("back end", &chains);
        for chain in &chains {
            let is_url = Url::parse(&chain.value).is_ok_and(|url| url.has_host() && url.scheme().starts_with("http"));
            if !is_url {
                let problem = Diagnostic::error(chain.at, "this is not the URL of a back end");
                self.report(problem.help("write its proxy callback (pgtUrl), as the CAS server reports it"));
            }
        }
        if let (Some(chain), Protocol::Cas1) = (chains.first(), protocol) {
            let problem = Diagnostic::error(chain.at, "CAS 1 knows no proxy tickets");
            self.report(problem.help("remove this key, or set protocol = 3"));
        }
        let ca_file = cas.ca_file.checked(|path| self.existing_file(&path, "ca_file"));
        Some(Cas {
            server: server?,
            protocol,
            username: username.value,
            renew: cas.renew.value,
            passive: cas.passive.value,
            single_logout: cas.single_logout,
            proxy_chains: values(chains).into_iter().map(|back_end| vec![back_end]).collect(),
            once: Vec::new(),
            proxies: false,
            proxies_back_ends: false,
            outgoing: self.outgoing(ca_file?),
        })
    }

    fn cas_server(&mut self, server: &At<String>) -> Option<Url> {
        let problem = |why: &str| Diagnostic::error(server.at, format!("`server`: {why}"));
        let refused = match Url::parse(&server.value) {
            Err(why) => problem(&why.to_string()).help("write \"https://cas.example.edu/cas\""),
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                problem("secrets are never written into this file")
            }
            Ok(url) if url.query().is_some() || url.fragment().is_some() => {
                problem("there is more than a scheme, a host and a path in it")
            }
            Ok(url) if url.scheme() == "https" || is_local_http(&url) => return Some(without_slash(url)),
            Ok(url) if url.scheme() == "http" => {
                problem("tickets are not sent over http to other machines").help("use https")
            }
            Ok(_) => problem("this scheme is not supported").help("use https"),
        };
        self.report(refused);
        None
    }

    /// Indices of the sign-ins that a route names; none: `None`.
    pub(super) fn route_sign_ins(
        &mut self,
        named: Key<OneOrMany<String>>,
        accept: (&[Credential], Span),
        known: &Known,
    ) -> Option<Option<Vec<usize>>> {
        let (accept, accept_at) = accept;
        let takes_sessions = accept.contains(&Credential::Session);
        let named = match named {
            Key::Given(named) => named,
            Key::Bad => return None,
            Key::Absent => {
                if takes_sessions && known.sign_ins.is_empty() {
                    let problem = Diagnostic::error(accept_at, "sessions, but there is no way to sign in");
                    self.report(problem.help("add [sign_in.campus] and [sign_in.campus.cas], or .oidc"));
                }
                return Some(None);
            }
        };
        if !takes_sessions {
            let problem = Diagnostic::error(named.at, "whoever signs in here is not looked at");
            self.report(problem.help("add accept = [\"session\"], or [\"session\", \"jwt\"] for tokens too"));
        }
        let list = At {
            at: named.at,
            value: named.value.0,
        };
        let help = "remove it, or name at least one";
        self.references(&list, ("sign_in", "sign-in"), &known.sign_ins, help)
            .map(Some)
    }
}

/// Can a source of people be called so?
pub(super) fn is_source_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    !name.is_empty() && name.len() <= LONGEST_NAME && name.bytes().all(is_plain)
}

fn place_of<T>(key: &Key<T>) -> Option<Span> {
    key.given().map(|given| given.at)
}

fn is_local_http(url: &Url) -> bool {
    url.scheme() == "http" && url.host_str().is_some_and(is_loopback)
}

fn without_slash(mut url: Url) -> Url {
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    url
}
