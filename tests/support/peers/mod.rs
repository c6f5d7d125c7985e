//! Sign-in servers as campuses run them: Keycloak 26 and Apereo CAS 7.2. Each is a Java process of its own that takes a minute
//! to start, so these tests run on request: `make test-peers`.

pub mod app;
pub mod browser;
pub mod cas7;
mod java;
pub mod keycloak;
mod person;

pub use self::cas7::Cas7;
pub use self::keycloak::Keycloak;
pub use self::person::{Landed, PASSWORD, Pages, Person};

/// As what a gateway is registered, and by which secret. Its letters are those that only form encoding carries
/// (RFC 6749 section 2.3.1).
pub const CLIENT: &str = "janua";
pub const SECRET: &str = "secret+of/janua for:peers=";
/// The same gateway as a client that sends its secret in the form.
pub const CLIENT_BY_POST: &str = "janua-post";
pub const SECRET_BY_POST: &str = "a-secret-of-plain-letters";

/// Are these tests asked for? Otherwise the test returns.
pub fn wanted() -> bool {
    let wanted = std::env::var_os("JANUA_PEERS").is_some();
    if !wanted {
        eprintln!("left to `make test-peers`");
    }
    wanted
}
