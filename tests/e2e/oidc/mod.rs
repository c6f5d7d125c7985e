//! People sign in by OpenID Connect: at a real provider, and at one that does what it must not.

mod answers;
mod attacks;
mod beside;
mod browser;
pub mod campus;
mod client_key;
mod doubles;
mod faults;
mod flow;
mod logout;
mod odd;
mod providers;
mod quiet;
mod replicas;
mod tokens;
