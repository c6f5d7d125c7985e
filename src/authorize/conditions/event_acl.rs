//! `event_acl`: does the event's own access control list, as Opencast has it, permit the action? Only in `allow`.

use std::fmt::Write as _;

use super::{Aspect, Checks, Condition, Diagnostic, Facts, Key, List, Params, Question, Table, filled, keys, or_none};
use crate::config::pattern::Template;

keys! {
    /// An action that the event's own access control list must permit, for the roles held; with event. Opencast is
    /// asked: see `[opencast.<name>]`. Not in `deny`.
    event_acl: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EventAcl {
    pub(crate) action: String,
    pub(crate) event: Template,
}

impl EventAcl {
    /// Whom the list permits the action: `most` of them, and of those whom it denies it.
    fn permitted(&self, facts: &Facts<'_>, most: usize) -> String {
        let id = filled(&self.event.parts, facts.params);
        let Some(acl) = facts.events.acl(&id) else {
            return format!("the list of event {id:?} was not asked for");
        };
        let roles = |may| acl.roles(&self.action, may, most);
        let (permitted, denied) = (roles(true), roles(false));
        let mut text = format!(
            "event {id:?} permits {} to {}",
            self.action,
            or_none(permitted.join(", "))
        );
        if !denied.is_empty() {
            // Writing into a String cannot fail.
            write!(text, ", denies it to {}", denied.join(", ")).ok();
        }
        text
    }
}

impl Condition for EventAcl {
    type Keys = Keys;

    const ABOUT: Aspect = Aspect::EventList;

    fn check(keys: &Keys, rule: &Table, checks: &mut Checks<'_, '_>) -> Option<Self> {
        let action = keys.event_acl.given()?;
        checks.action(action, "event_acl");
        match &rule.item.event {
            Key::Given(event) => {
                return Some(Self {
                    action: action.value.clone(),
                    event: event.value.clone(),
                });
            }
            Key::Absent => {
                let problem = Diagnostic::error(action.at, "`event_acl` of no event");
                checks.report(problem.help("add event = \"{event}\""));
            }
            Key::Bad => {}
        }
        None
    }

    fn check_list(list: &List<'_>, checks: &mut Checks<'_, '_>) {
        for action in list.given(|rule| &rule.event_acl.event_acl) {
            list.denies_without_asking(action.at, checks);
        }
    }

    /// A list may permit everyone.
    fn needs_somebody(_keys: &Keys) -> bool {
        false
    }

    fn asks(&self) -> Option<Question> {
        Some(Question::Acl)
    }

    fn questions(&self, facts: &Facts<'_>) -> Vec<(Question, String)> {
        facts.unknown(Question::Acl, &self.event)
    }

    fn meets(&self, facts: &Facts<'_>) -> bool {
        let roles = facts.identity.map_or(&[][..], |who| &who.roles);
        let event = self.event.filled(facts.params);
        let acl = event.and_then(|event| facts.events.acl(&event));
        acl.is_some_and(|acl| acl.permits(&self.action, roles.iter().map(String::as_str)))
    }

    fn value(&self, params: &dyn Params) -> String {
        let event = filled(&self.event.parts, params);
        format!("{:?}, event = {event:?}", self.action)
    }

    fn met(&self, facts: &Facts<'_>) -> String {
        let permitted = self.permitted(facts, usize::MAX);
        match facts.identity {
            Some(who) => format!("{permitted}; held: {}", or_none(who.roles.join(", "))),
            None => permitted,
        }
    }

    fn known(&self, facts: &Facts<'_>, most: usize) -> String {
        format!(" ({})", self.permitted(facts, most))
    }
}
