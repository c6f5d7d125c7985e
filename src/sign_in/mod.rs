//! Signing people in: what a sign-in server is asked and how its answer is judged, one folder a protocol.
//!
//! The way through the browser and the session that comes of it are decided elsewhere.

pub mod attempt;
pub mod cas;
mod people;
mod tabs;
pub mod target;

pub use self::people::People;
