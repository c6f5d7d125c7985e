//! `[lti.<name>]`: platforms, and whether two of them could be taken for one another.

use super::server::values;
use super::sign_in::is_source_name;
use super::{Checker, Names, every};
use crate::config::diagnostics::{Diagnostic, Span};
use crate::config::read::{At, Named};
use crate::config::{Launch, Lti, LtiRole, file};

/// Longest prefix of names.
const LONGEST_PREFIX: usize = 64;

impl Checker<'_> {
    /// The platforms. `others`: names of other sources of people, each with what has them.
    pub(super) fn platforms(
        &mut self,
        Named(platforms): Named<file::Lti>,
        others: &[(&Names, &str)],
    ) -> Option<Vec<Lti>> {
        for (name, _) in &platforms {
            for (known, what) in others {
                if let Some(other) = known.iter().find(|other| other.value == name.value) {
                    let problem = Diagnostic::error(name.at, format!("{what} the same name"));
                    let problem = problem.also(other.at, "this one");
                    self.report(problem.help("rename one of them: a person is known by where the name comes from"));
                }
            }
        }
        let places: Vec<Span> = platforms.iter().map(|(name, _)| name.at).collect();
        let compiled = every(platforms.into_iter().map(|(name, lti)| self.platform(&name, lti)))?;
        self.apart(&compiled, &places).then_some(compiled)
    }

    fn platform(&mut self, name: &At<String>, lti: file::Lti) -> Option<Lti> {
        let is_name = is_source_name(&name.value);
        if !is_name {
            let problem = Diagnostic::error(name.at, "this cannot be the name of a platform");
            self.report(problem.help("it stands in URLs: 1 to 32 lower-case letters, digits, `-` and `_`"));
        }
        let issuer = lti.issuer.into_given().and_then(|issuer| self.lti_issuer(issuer));
        let client_ids = self.some(lti.client_id, "client_id");
        if let Some(client_ids) = &client_ids {
            self.unique("client", client_ids);
        }
        let auth_login_url = lti.auth_login_url.into_given();
        let auth_login_url = auth_login_url.and_then(|url| self.provider_url(&url, "auth_login_url"));
        let jwks_url = lti.jwks_url.into_given();
        let jwks_url = jwks_url.and_then(|url| self.provider_url(&url, "jwks_url"));
        let deployments = lti.deployment_ids.into_given();
        if let Some(deployments) = &deployments {
            self.unique("deployment", &deployments.value);
            if deployments.value.is_empty() {
                let problem = Diagnostic::warning(deployments.at, "no deployment counts: every launch is refused");
                self.report(
                    problem.help("name those that the platform shows; a launch of another one names it in the log"),
                );
            }
        }
        let roles = lti.roles.into_value();
        let roles = every(roles.into_iter().flatten().map(|role| self.lti_role(role.value)));
        let prefix = lti
            .username_prefix
            .checked(|prefix| self.username_prefix(prefix, lti.may_name_users));
        let target = lti.target.checked(|target| self.lti_target(target, "target"));
        let content = lti.content.checked(|content| self.lti_target(content, "content"));
        let help = "name at least one that the platform signs with: [\"RS256\"]";
        let has_algorithms = self.not_empty(&lti.algorithms, "algorithms", help);
        self.unique("algorithm", &lti.algorithms.value);
        let ends = "a launch session ends at `absolute` whatever happens: make `idle` shorter";
        let launch = Launch {
            idle: self.idle(&lti.launch.idle, lti.launch.absolute, ends),
            absolute: lti.launch.absolute,
        };
        let key_file = lti.key_file.checked(|path| self.existing_file(&path, "key_file"));
        let ca_file = lti.ca_file.checked(|path| self.existing_file(&path, "ca_file"));
        has_algorithms?;
        Some(Lti {
            name: is_name.then(|| name.value.as_str().into())?,
            issuer: issuer?,
            client_ids: values(client_ids?),
            auth_login_url: auth_login_url?,
            jwks_url: jwks_url?,
            deployment_ids: values(deployments?.value),
            roles: roles?,
            username_prefix: prefix?.unwrap_or_else(|| format!("lti:{}:", name.value)),
            may_name_users: lti.may_name_users,
            target: target?,
            content: content?,
            algorithms: values(lti.algorithms.value),
            leeway: lti.leeway,
            launch,
            key_file: key_file?,
            outgoing: self.outgoing(ca_file?),
        })
    }

    fn lti_issuer(&mut self, issuer: At<String>) -> Option<String> {
        if issuer.value.is_empty() || issuer.value.trim() != issuer.value {
            let problem = Diagnostic::error(issuer.at, "`issuer` is no name of a platform");
            self.report(problem.help("write what the platform calls itself: Moodle shows it as \"Platform ID\""));
            return None;
        }
        Some(issuer.value)
    }

    fn lti_role(&mut self, rule: file::LtiRole) -> Option<LtiRole> {
        let role = rule.role.into_given()?;
        let lti = rule.lti.checked(|lti| Some(lti.value))?;
        match LtiRole::new(lti.as_deref(), &role.value) {
            Ok(rule) => {
                let is_any = rule.after.as_deref() == Some("");
                if is_any && (rule.before.is_empty() || rule.before == "ROLE_") {
                    let problem = Diagnostic::warning(role.at, "whoever names a course hands out every role");
                    self.report(problem.help("put something beside `{context_id}`: \"{context_id}_Learner\""));
                }
                Some(rule)
            }
            Err(why) => {
                let problem = Diagnostic::error(role.at, format!("`role`: {why}"));
                self.report(problem.help("such as \"{context_id}_Learner\", or \"ROLE_STUDIO\""));
                None
            }
        }
    }

    fn username_prefix(&mut self, prefix: At<String>, names: bool) -> Option<String> {
        let is_good = prefix.value.len() <= LONGEST_PREFIX && !prefix.value.contains(char::is_control);
        if !is_good {
            let problem = Diagnostic::error(prefix.at, "`username_prefix` cannot stand before a name");
            self.report(problem.help(format!("at most {LONGEST_PREFIX} bytes, no control characters")));
            return None;
        }
        if prefix.value.is_empty() && names {
            let message = "people of this platform have the names of others: whoever the platform calls so";
            let help = "fine where its names are those of the campus; else remove this key";
            self.report(Diagnostic::warning(prefix.at, message).help(help));
        }
        Some(prefix.value)
    }

    fn lti_target(&mut self, target: At<String>, key: &str) -> Option<String> {
        let is_path = target.value.starts_with('/') && !target.value.starts_with("//");
        if !is_path || target.value.starts_with("/_janua/") || target.value.contains(['\\', '#']) {
            let problem = Diagnostic::error(target.at, format!("`{key}` is no page here"));
            self.report(problem.help("a path of this gateway, such as \"/studio/\""));
            return None;
        }
        if key == "content" && target.value.matches("{id}").count() != 1 {
            let problem = Diagnostic::error(target.at, "`content` has no `{id}`, or several");
            self.report(problem.help("such as \"/play/{id}\""));
            return None;
        }
        Some(target.value)
    }

    /// Is nobody of one platform somebody of another one?
    fn apart(&mut self, platforms: &[Lti], places: &[Span]) -> bool {
        let mut is_apart = true;
        for (index, (one, at)) in platforms.iter().zip(places).enumerate() {
            let earlier = platforms.iter().zip(places).take(index);
            for (other, other_at) in earlier {
                let (a, b) = (&one.username_prefix, &other.username_prefix);
                if one.may_name_users
                    && other.may_name_users
                    && (a.starts_with(b.as_str()) || b.starts_with(a.as_str()))
                {
                    let problem = Diagnostic::error(*at, "people of two platforms could have one name");
                    let problem = problem.also(*other_at, "those of this one");
                    self.report(problem.help("give each a `username_prefix` that the other one does not begin with"));
                    is_apart = false;
                }
                let shared = |role: &&LtiRole| {
                    role.after.is_some()
                        && other
                            .roles
                            .iter()
                            .any(|known| (&known.before, &known.after) == (&role.before, &role.after))
                };
                if one.issuer != other.issuer && one.roles.iter().any(|role| shared(&role)) {
                    let message =
                        "courses of two platforms have the same roles: course 4 of one is course 4 of the other";
                    let problem = Diagnostic::warning(*at, message).also(*other_at, "those of this one");
                    let help =
                        "write `roles` that tell them apart: { lti = \"Learner\", role = \"b-{context_id}_Learner\" }";
                    self.report(problem.help(help));
                }
            }
        }
        is_apart
    }
}
