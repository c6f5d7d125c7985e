//! `allow` and `deny` of a route.

use super::jwt::is_word;
use super::server::values;
use super::{Checker, Known};
use crate::config::diagnostics::{Diagnostic, Span, did_you_mean};
use crate::config::path_pattern::PathPattern;
use crate::config::pattern::Template;
use crate::config::read::{At, Key, OneOrMany};
use crate::config::{Condition, Credential, GrantItem, Rule, file};

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
        self.pointless_beside_anyone(&allow.value);
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

    /// Rules by name, where none of those who vouch for people here may name them: the kinds of credential that a route
    /// looks at, and the issuers, if it names some.
    pub(super) fn names_of_nobody(
        &mut self,
        rules: &[&Key<Vec<At<file::Rule>>>],
        (accept, issuers): (&[Credential], Option<&[usize]>),
        known: &Known,
    ) {
        let by_token = accept.iter().any(|kind| *kind != Credential::Session);
        let listed = |index: usize| issuers.is_none_or(|issuers| issuers.contains(&index));
        let mut naming = known.naming.iter().enumerate();
        let named = by_token && naming.any(|(index, may_name)| *may_name && listed(index));
        if named || accept.contains(&Credential::Session) || known.issuers.is_empty() {
            return;
        }
        for rule in rules.iter().filter_map(|rules| rules.value()).flatten() {
            if let Some(subject) = rule.value.subject.given() {
                let problem = Diagnostic::warning(subject.at, "no issuer may name users here: this is never met");
                self.report(problem.help("a name counts from an issuer with may_name_users = true, or of a session"));
            }
        }
    }

    /// A `deny` by name that tokens of some issuer pass, which may name nobody, while others may.
    pub(super) fn names_that_are_not_denied(
        &mut self,
        deny: &Key<Vec<At<file::Rule>>>,
        (accept, issuers): (&[Credential], Option<&[usize]>),
        known: &Known,
    ) {
        let listed = |index: usize| issuers.is_none_or(|issuers| issuers.contains(&index));
        let accepted = known.naming.iter().zip(&known.issuers).enumerate();
        let accepted: Vec<_> = accepted.filter(|(index, _)| listed(*index)).collect();
        let by_name = accept.contains(&Credential::Session) || accepted.iter().any(|(_, (may_name, _))| **may_name);
        let Some((_, (_, passing))) = accepted.iter().find(|(_, (may_name, _))| !**may_name) else {
            return;
        };
        if !by_name || accept.iter().all(|kind| *kind == Credential::Session) {
            return;
        }
        for rule in deny.value().into_iter().flatten() {
            if let Some(subject) = rule.value.subject.given() {
                let text = format!("a token of `{}` names nobody: this never denies it", passing.value);
                let problem = Diagnostic::warning(subject.at, text);
                self.report(problem.help("leave that issuer out of the route's `issuers`, or set its may_name_users"));
            }
        }
    }

    fn rule(&mut self, rule: file::Rule, path: Option<&At<PathPattern>>, known: &Known) -> Option<Rule> {
        if rule.has_strange_keys {
            return None;
        }
        if rule.is_empty() {
            let problem = Diagnostic::error(rule.place, "a rule without a condition");
            self.report(problem.help("if everyone is meant, write { anyone = true }"));
            return None;
        }
        let before = self.problems.len();
        let mut conditions = Vec::new();
        self.anyone(&rule, &mut conditions);
        if let Some(signed_in) = rule.signed_in.value() {
            conditions.push(Condition::SignedIn(*signed_in));
        }
        self.event_acl(&rule, &mut conditions);
        self.grant(&rule, path, &mut conditions);
        if let Some(roles) = self.some(rule.role, "role") {
            for role in &roles {
                self.params_exist(role.at, role.value.params(), path);
            }
            conditions.push(Condition::Role(values(roles)));
        }
        if let Some(subjects) = self.some(rule.subject, "subject") {
            for subject in &subjects {
                self.params_exist(subject.at, subject.value.params(), path);
            }
            conditions.push(Condition::Subject(values(subjects)));
        }
        if let Some(issuers) = self.some(rule.issuer, "issuer") {
            for issuer in &issuers {
                self.reference(issuer, "issuer", &known.issuers);
            }
            conditions.push(Condition::Issuer(
                issuers.into_iter().map(|issuer| issuer.value.into()).collect(),
            ));
        }
        if let Some(sign_ins) = self.some(rule.sign_in, "sign_in") {
            for sign_in in &sign_ins {
                self.reference(sign_in, "sign-in", &known.sign_ins);
            }
            conditions.push(Condition::SignIn(
                sign_ins.into_iter().map(|sign_in| sign_in.value.into()).collect(),
            ));
        }
        if let Key::Given(methods) = rule.methods
            && self
                .not_empty(&methods, "methods", "name at least one method, or remove it")
                .is_some()
        {
            conditions.push(Condition::Methods(values(methods.value)));
        }
        if let Key::Given(from) = rule.from
            && self
                .not_empty(&from, "from", "name at least one network, or remove it")
                .is_some()
        {
            conditions.push(Condition::From(values(from.value)));
        }
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

    fn anyone(&mut self, rule: &file::Rule, conditions: &mut Vec<Condition>) {
        let Some(anyone) = rule.anyone.given() else { return };
        if !anyone.value {
            let problem = Diagnostic::error(anyone.at, "`anyone` can only be true");
            self.report(problem.help("a rule for nobody is no rule: remove it"));
        } else if rule.has_more_than_anyone() {
            let problem = Diagnostic::error(anyone.at, "`anyone` beside other conditions");
            self.report(problem.help("all conditions of a table must hold: remove `anyone`, it adds nothing"));
        }
        conditions.push(Condition::Anyone);
    }

    fn grant(&mut self, rule: &file::Rule, path: Option<&At<PathPattern>>, conditions: &mut Vec<Condition>) {
        type Item = fn(Template) -> GrantItem;
        let kinds: [(&Key<Template>, Item); 4] = [
            (&rule.event, GrantItem::Event),
            (&rule.series, GrantItem::Series),
            (&rule.playlist, GrantItem::Playlist),
            (&rule.series_of, GrantItem::SeriesOf),
        ];
        let items: Vec<(&At<Template>, Item)> = kinds
            .into_iter()
            .filter_map(|(key, item)| Some((key.given()?, item)))
            .collect();
        for (item, _) in &items {
            self.params_exist(item.at, item.value.params(), path);
        }
        match (&rule.grant, items.as_slice()) {
            (Key::Absent, []) => {}
            // That it is the event is seen to beside `event_acl`.
            (Key::Absent, [_]) if !rule.event_acl.is_absent() => {}
            (Key::Absent, [(item, _), ..]) => {
                let problem = Diagnostic::error(
                    item.at,
                    "`event`, `series`, `series_of` and `playlist` mean nothing without `grant`",
                );
                self.report(problem.help("add grant = \"read\""));
            }
            (Key::Given(grant), [(item, kind)]) => {
                if !is_word(&grant.value) {
                    let problem = Diagnostic::error(grant.at, "`grant`: this is no action");
                    self.report(problem.help("write one action, such as \"read\""));
                }
                conditions.push(Condition::Grant {
                    action: grant.value.clone(),
                    item: kind(item.value.clone()),
                });
            }
            (Key::Given(grant), []) => {
                let is_bad = [&rule.event, &rule.series, &rule.playlist, &rule.series_of]
                    .iter()
                    .any(|key| !key.is_absent());
                if !is_bad {
                    let problem = Diagnostic::error(grant.at, "`grant` on nothing");
                    self.report(problem.help("add event = \"{event}\", or series, or playlist"));
                }
            }
            (Key::Given(_), [(first, _), (second, _), ..]) => {
                let problem =
                    Diagnostic::error(second.at, "a grant is about one thing").also(first.at, "the other one");
                self.report(problem.help("write two tables: any of them is enough"));
            }
            (Key::Bad, _) => {}
        }
    }

    fn event_acl(&mut self, rule: &file::Rule, conditions: &mut Vec<Condition>) {
        let Some(action) = rule.event_acl.given() else { return };
        if !is_word(&action.value) {
            let problem = Diagnostic::error(action.at, "`event_acl`: this is no action");
            self.report(problem.help("write one action, such as \"read\""));
        }
        match &rule.event {
            Key::Given(event) => conditions.push(Condition::EventAcl {
                action: action.value.clone(),
                event: event.value.clone(),
            }),
            Key::Absent => {
                let problem = Diagnostic::error(action.at, "`event_acl` of no event");
                self.report(problem.help("add event = \"{event}\""));
            }
            Key::Bad => {}
        }
    }

    /// `{name}`s that the path of the route does not have would never match.
    fn params_exist<'a>(&mut self, at: Span, params: impl Iterator<Item = &'a str>, path: Option<&At<PathPattern>>) {
        let Some(path) = path else { return };
        let known: Vec<&str> = path.value.params().collect();
        // Neither may hold what a variable became.
        let may_quote = ![at, path.at].iter().any(|at| self.written(*at).contains("${"));
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

    fn pointless_beside_anyone(&mut self, rules: &[At<file::Rule>]) {
        let open = rules.iter().find(|rule| rule.value.anyone.value() == Some(&true));
        // `signed_in` beside it means that people are asked who they are, for the upstream, and let through all the same.
        let asks = |rule: &At<file::Rule>| rule.value.signed_in.value() == Some(&true);
        if let (Some(open), true) = (open, rules.len() > 1 && !rules.iter().any(asks)) {
            let problem = Diagnostic::warning(open.at, "this rule allows everyone, the others beside it mean nothing");
            self.report(problem.help("any table of `allow` is enough: remove this one, or the others"));
        }
    }
}

impl file::Rule {
    /// Can this rule only hold for someone who is known?
    pub(super) fn needs_somebody(&self) -> bool {
        !self.role.is_absent()
            || !self.grant.is_absent()
            || !self.subject.is_absent()
            || !self.issuer.is_absent()
            || !self.sign_in.is_absent()
            || self.signed_in.value() == Some(&true)
    }

    fn is_empty(&self) -> bool {
        self.anyone.is_absent() && !self.has_more_than_anyone()
    }

    fn has_more_than_anyone(&self) -> bool {
        self.needs_somebody()
            || !self.signed_in.is_absent()
            || ![&self.event, &self.series, &self.playlist, &self.series_of]
                .iter()
                .all(|key| key.is_absent())
            || !self.event_acl.is_absent()
            || !self.methods.is_absent()
            || !self.from.is_absent()
    }
}
