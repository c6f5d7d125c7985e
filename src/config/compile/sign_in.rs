//! `[sign_in.<name>]`, and what routes say of it.

use std::time::Duration;

use url::Url;

use super::server::values;
use super::{Checker, Known, Names};
use crate::config::cas::{Protocol, RoleRule, RoleRuleError};
use crate::config::diagnostics::{Diagnostic, Span};
use crate::config::net::{Origin, is_loopback};
use crate::config::read::{At, Key, Named, OneOrMany};
use crate::config::{Cas, Credential, Provider, SessionLimits, SignIn, file};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Longer names make longer URLs and cookies, and nothing else.
const LONGEST_NAME: usize = 32;

impl Checker<'_> {
    /// The sign-ins, and their names in the order of their indices, known even when something is wrong.
    pub(super) fn sign_ins(
        &mut self,
        sign_ins: Key<Named<file::SignIn>>,
        issuers: &Names,
    ) -> (Option<Vec<SignIn>>, Names) {
        let Named(sign_ins) = sign_ins.into_value().unwrap_or(Named(Vec::new()));
        let names: Names = sign_ins.iter().map(|(name, _)| name.clone()).collect();
        for name in &names {
            // A person is (source, name): the two kinds of source share one list of names.
            if let Some(issuer) = issuers.iter().find(|issuer| issuer.value == name.value) {
                let problem = Diagnostic::error(name.at, "an issuer has the same name").also(issuer.at, "this one");
                self.report(problem.help("rename one of them: a person is known by where the name comes from"));
            }
        }
        let compiled: Vec<_> = sign_ins
            .into_iter()
            .map(|(name, sign_in)| self.sign_in(&name, sign_in))
            .collect();
        (compiled.into_iter().collect(), names)
    }

    fn sign_in(&mut self, name: &At<String>, sign_in: file::SignIn) -> Option<SignIn> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        let is_name = !name.value.is_empty() && name.value.len() <= LONGEST_NAME && name.value.bytes().all(is_plain);
        if !is_name {
            let problem = Diagnostic::error(name.at, "this cannot be the name of a sign-in");
            self.report(problem.help(format!(
                "it stands in URLs: 1 to {LONGEST_NAME} lower-case letters, digits, `-` and `_`"
            )));
        }
        let rules = sign_in.roles.or_default();
        let roles: Vec<_> = rules.into_iter().map(|role| self.role_rule(role.value)).collect();
        let session = self.session_limits(sign_in.session.or_default());
        let app_origins = self.app_origins(sign_in.app_origins);
        let example = format!(
            "[sign_in.{}.cas] with server = \"https://cas.example.edu/cas\"",
            name.value
        );
        let cas = self.required(sign_in.cas, "cas", sign_in.place, &example);
        let cas = cas.and_then(|cas| self.cas(cas.value));
        Some(SignIn {
            name: is_name.then(|| name.value.as_str().into())?,
            roles: roles.into_iter().collect::<Option<_>>()?,
            session: session?,
            app_origins: app_origins?,
            provider: Provider::Cas(cas?),
        })
    }

    fn role_rule(&mut self, rule: file::RoleRule) -> Option<RoleRule> {
        let example = "role = \"ROLE_USER\", or with attribute = \"…\" role = \"ROLE_AFFILIATION_{value}\"";
        let role = self.required(rule.role, "role", rule.place, example)?;
        let attribute = match rule.attribute {
            Key::Bad => return None,
            attribute => attribute.into_value(),
        };
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

    fn session_limits(&mut self, limits: file::SessionLimits) -> Option<SessionLimits> {
        let bounds = (Duration::from_secs(1), 366 * DAY);
        let idle_at = limits.idle.given().map(|idle| idle.at);
        let absolute = self.duration(limits.absolute, "absolute", 12 * HOUR, bounds);
        let idle = self.duration(limits.idle, "idle", (2 * HOUR).min(absolute), bounds);
        if let Some(at) = idle_at.filter(|_| idle > absolute) {
            let problem = Diagnostic::warning(at, "`idle` is longer than `absolute`");
            self.report(problem.help("a session ends at `absolute` whatever happens: make `idle` shorter"));
        }
        let per_subject = self.number(limits.per_subject, "per_subject", 20, (1, 10_000));
        Some(SessionLimits {
            idle,
            absolute,
            per_subject: usize::try_from(per_subject).ok()?,
        })
    }

    fn app_origins(&mut self, origins: Key<Vec<At<Origin>>>) -> Option<Vec<String>> {
        let origins = match origins {
            Key::Given(origins) => origins.value,
            Key::Absent => Vec::new(),
            Key::Bad => return None,
        };
        self.unique(
            "origin",
            origins.iter().map(|origin| (origin.at, origin.value.0.clone())),
        );
        if let Some(any) = origins.iter().find(|origin| origin.value.0 == "*") {
            let problem = Diagnostic::error(any.at, "every web site could act in the name of its visitors");
            self.report(problem.help("name the origins of your own apps"));
            return None;
        }
        Some(origins.into_iter().map(|origin| origin.value.0).collect())
    }

    fn cas(&mut self, cas: file::Cas) -> Option<Cas> {
        let example = "server = \"https://cas.example.edu/cas\"";
        let server = self.required(cas.server, "server", cas.place, example);
        let server = server.and_then(|server| self.cas_server(&server));
        let protocol = match self.number(cas.protocol, "protocol", 3, (1, 3)) {
            1 => Protocol::Cas1,
            2 => Protocol::Cas2,
            _ => Protocol::Cas3,
        };
        let username = match cas.username {
            Key::Bad => return None,
            Key::Given(name) if name.value != "user" => {
                if protocol == Protocol::Cas1 {
                    let problem = Diagnostic::error(name.at, "CAS 1 answers with a name and no attributes");
                    self.report(problem.help("remove this key, or set protocol = 3"));
                }
                name.value
            }
            _ => "user".to_owned(),
        };
        if let (Some(renew), Some(passive)) = (cas.renew.given(), cas.passive.given())
            && renew.value
            && passive.value
        {
            let problem = Diagnostic::error(passive.at, "`passive` never shows a form, `renew` always does");
            self.report(problem.also(renew.at, "because of this").help("keep one of them"));
        }
        let chains = cas.proxy_chains.or_default();
        self.unique("back end", chains.iter().map(|chain| (chain.at, chain.value.clone())));
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
        let ca_file = match cas.ca_file {
            Key::Given(path) => Some(self.existing_file(&path, "ca_file")?),
            Key::Absent => None,
            Key::Bad => return None,
        };
        Some(Cas {
            server: server?,
            protocol,
            username,
            renew: cas.renew.or(false),
            passive: cas.passive.or(false),
            single_logout: cas.single_logout.or(true),
            proxy_chains: values(chains).into_iter().map(|back_end| vec![back_end]).collect(),
            ca_file,
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
                    self.report(problem.help("add [sign_in.campus] and [sign_in.campus.cas]"));
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
        self.not_empty(&list, "sign_in", "remove it, or name at least one")?;
        self.unique("sign-in", list.value.iter().map(|one| (one.at, one.value.clone())));
        let found: Vec<_> = list
            .value
            .iter()
            .map(|one| self.reference(one, "sign-in", &known.sign_ins))
            .collect();
        found.into_iter().collect::<Option<_>>().map(Some)
    }
}

fn is_local_http(url: &Url) -> bool {
    url.scheme() == "http" && url.host_str().is_some_and(is_loopback)
}

fn without_slash(mut url: Url) -> Url {
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    url
}
