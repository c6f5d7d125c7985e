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
