//! Applications and scripts call with access tokens of the campus's authorization server.

mod attacks;
mod basics;
pub mod campus;
mod fairness;
mod introspection;
mod keys;
mod metadata;
mod order;
mod panva;
mod profile;
mod rules;
mod told;
mod upstreams;
