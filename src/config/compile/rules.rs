//! `allow` and `deny` of a route. What is in a rule is for its conditions to check: `authorize::conditions`.

use super::jwt::is_word;
use super::unmet::{List, Vouching};
use super::{Checker, Known};
use crate::config::diagnostics::{Diagnostic, Span, did_you_mean};
use crate::config::path_pattern::PathPattern;
use crate::config::read::{At, Key, OneOrMany};
use crate::config::{Rule, SecurityList, file};

impl Checker<'_> {
    pub(super) fn allow(
        &mut self,
        allow: Key<Vec<At<file::Rule>>>,
        place: Span,
        path: Option<&At<PathPattern>>,
        known: &Known,
    ) -> Option<Vec<Rule>> {
        let help = "say who may: allow = [{ role = \"ROLE_ADMIN\" }]; for everyone: allow = [{ anyone = true }]";
        let allow = match allow {
            Key::Given(allow) => allow,
            Key::Bad => return None,
            Key::Absent => {
                let problem = Diagnostic::error(place, "a guarded route without `allow`").label("in this table");
                self.report(problem.help(help));
                return None;
            }
        };
        self.not_empty(&allow, "allow", help)?;
        self.rules(allow.value, path, known)
    }

    pub(super) fn rules(
        &mut self,
        rules: Vec<At<file::Rule>>,
        path: Option<&At<PathPattern>>,
        known: &Known,
    ) -> Option<Vec<Rule>> {
        let rules: Vec<_> = rules
            .into_iter()
            .map(|rule| self.rule(rule.value, path, known))
            .collect();
        rules.into_iter().collect()
    }

    /// What is wrong or in vain in these lists, seen with the rest of the route.
    pub(super) fn lists(
        &mut self,
        allow: &Key<Vec<At<file::Rule>>>,
        deny: &Key<Vec<At<file::Rule>>>,
        vouching: &Vouching<'_>,
        path: Option<&At<PathPattern>>,
    ) {
        let checks = &mut Checks {
            checker: self,
            path,
            known: vouching.known,
        };
        for (rules, denies) in [(allow, false), (deny, true)] {
            let list = List {
                rules: rules.value().map_or(&[], Vec::as_slice),
                denies,
                vouching,
            };
            file::Rule::check_list(&list, checks);
        }
    }

    fn rule(&mut self, rule: file::Rule, path: Option<&At<PathPattern>>, known: &Known) -> Option<Rule> {
        if rule.has_unknown_keys {
            return None;
        }
        if rule.count() == 0 {
            let problem = Diagnostic::error(rule.place, "a rule without a condition");
            self.report(problem.help("if everyone is meant, write { anyone = true }"));
            return None;
        }
        let before = self.problems.len();
        let conditions = rule.check(&mut Checks {
            checker: self,
            path,
            known,
        });
        // Every condition that was written stands in the rule, or a problem was reported: a rule never grows wider.
        (self.problems.len() == before && !conditions.is_empty()).then_some(Rule { conditions })
    }

    pub(super) fn some<T>(&mut self, key: Key<OneOrMany<T>>, name: &str) -> Option<Vec<At<T>>> {
        let Key::Given(At {
            at,
            value: OneOrMany(value),
        }) = key
        else {
            return None;
        };
        let list = At { at, value };
        self.not_empty(&list, name, "name at least one, or remove it")?;
        Some(list.value)
    }
}

/// What the keys of a condition may be checked against, and where their mistakes are reported.
pub(crate) struct Checks<'a, 'c> {
    checker: &'a mut Checker<'c>,
    path: Option<&'a At<PathPattern>>,
    known: &'a Known,
}

impl Checks<'_, '_> {
    pub(crate) fn report(&mut self, problem: Diagnostic) {
        self.checker.report(problem);
    }

    /// The values of a key, if it is written and not empty.
    pub(crate) fn one_or_many<'k, T>(&mut self, key: &'k Key<OneOrMany<T>>, name: &str) -> Option<&'k [At<T>]> {
        let OneOrMany(list) = key.value()?;
        self.not_empty(key, list, name, "name at least one, or remove it")
    }

    /// The same of a key that is always a list.
    pub(crate) fn many<'k, T>(&mut self, key: &'k Key<Vec<At<T>>>, name: &str, help: &str) -> Option<&'k [At<T>]> {
        self.not_empty(key, key.value()?, name, help)
    }

    fn not_empty<'k, K, T>(&mut self, key: &Key<K>, list: &'k [At<T>], name: &str, help: &str) -> Option<&'k [At<T>]> {
        if list.is_empty() {
            let at = key.given()?.at;
            self.report(Diagnostic::error(at, format!("`{name}` is empty")).help(help));
            return None;
        }
        Some(list)
    }

    /// An action, as `oc` claims and `ROLE_EPISODE_<id>_<ACTION>` name it.
    pub(crate) fn action(&mut self, action: &At<String>, key: &str) {
        if !is_word(&action.value) {
            let problem = Diagnostic::error(action.at, format!("`{key}`: this is no action"));
            self.report(problem.help("write one action, such as \"read\""));
        }
    }

    pub(crate) fn issuer_exists(&mut self, name: &At<String>) {
        self.checker.reference(name, "issuer", &self.known.issuers);
    }

    pub(crate) fn sign_in_exists(&mut self, name: &At<String>) {
        self.checker.reference(name, "sign-in", &self.known.sign_ins);
    }

    /// Opencast's list of this name or in this file.
    pub(crate) fn security_list(&mut self, written: &At<String>) -> Option<SecurityList> {
        self.checker.security_list(written)
    }

    /// `{name}`s that the path of the route does not have would never match.
    pub(crate) fn params_exist<'p>(&mut self, at: Span, params: impl Iterator<Item = &'p str>) {
        let Some(path) = self.path else { return };
        let known: Vec<&str> = path.value.params().collect();
        // Neither may hold what a variable became.
        let may_quote = ![at, path.at].iter().any(|at| self.checker.written(*at).contains("${"));
        for name in params.filter(|name| !known.contains(name)) {
            let problem = match may_quote {
                true => Diagnostic::error(at, format!("the path of this route has no parameter `{{{name}}}`")),
                false => Diagnostic::error(at, "the path of this route has no such parameter"),
            };
            let help = match known.as_slice() {
                [] => "its path has no parameters at all".to_owned(),
                known if may_quote => did_you_mean(name, known, "parameters"),
                _ => "it stands in `path` as `{name}`".to_owned(),
            };
            self.report(problem.also(path.at, "this path").help(help));
        }
    }
}
