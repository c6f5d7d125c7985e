//! Patterns that only the operator can write: role globs and templates over the path's parameters.
//!
//! What a token or a path brings is always literal here, never a pattern: a role `*` in a token matches only a
//! pattern that would match any role anyway, and an event id `*` is just an odd id.

use std::sync::Arc;

/// The values of a route's path parameters, by name: `{event}` of the pattern → what the canonical path holds there.
pub trait Params {
    fn get(&self, name: &str) -> Option<&str>;
}

/// `"{event}"`, `"course-{course}"` or plain text: literal parts and parameters, no wildcard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pub parts: Vec<Part>,
}

/// `"ROLE_STUDIO"`, `"*_Instructor"`, `"{course}_Learner"`: literal parts, parameters and `*` (any characters, also none).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolePattern {
    pub parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Literal(Arc<str>),
    Param(Arc<str>),
    /// `*`; only in a [`RolePattern`].
    Any,
}

impl RolePattern {
    /// Does the pattern match the whole role? A parameter that `params` does not know matches nothing.
    pub fn matches(&self, role: &str, params: &dyn Params) -> bool {
        // Greedy with one way back, to the latest `*`: linear in pattern times role.
        let mut rest = role;
        let mut parts = self.parts.as_slice();
        let mut latest: Option<(&[Part], &str)> = None;
        loop {
            let step = match parts.split_first() {
                None if rest.is_empty() => return true,
                None => None,
                Some((Part::Any, after)) => {
                    latest = Some((after, rest));
                    Some((after, rest))
                }
                Some((Part::Literal(text), after)) => rest.strip_prefix(&**text).map(|rest| (after, rest)),
                Some((Part::Param(name), after)) => params
                    .get(name)
                    .and_then(|value| rest.strip_prefix(value))
                    .map(|rest| (after, rest)),
            };
            if let Some((next_parts, next_rest)) = step {
                (parts, rest) = (next_parts, next_rest);
                continue;
            }
            let Some((after, tried)) = latest else { return false };
            let mut characters = tried.chars();
            if characters.next().is_none() {
                return false;
            }
            latest = Some((after, characters.as_str()));
            (parts, rest) = (after, characters.as_str());
        }
    }
}
