//! What the end-to-end tests are made of: the real binary in a folder of its own, keys and tokens, a client that can
//! misbehave, and doubles of everything that stands around a gateway.
//!
//! Every port is chosen by the system, every wait has a deadline, everything started is ended on drop.

pub mod bearer;
pub mod browser;
pub mod cas;
pub mod config;
pub mod double;
pub mod forward_proxy;
pub mod gateway;
pub mod h2;
pub mod held;
pub mod http;
pub mod jwks;
pub mod lti;
pub mod moodle;
pub mod nginx;
pub mod oauth2;
pub mod oidc;
pub mod opencast;
pub mod peers;
pub mod s3;
pub mod secrets;
pub mod tokens;
pub mod tools;
pub mod upstream;
pub mod valkey;
pub mod wait;
pub mod witness;

pub use bearer::AuthServer;
pub use browser::{browse, browse_trusting};
pub use cas::CasServer;
pub use config::{Config, MEDIA, Site};
pub use forward_proxy::ForwardProxy;
pub use gateway::Gateway;
pub use h2::H2;
pub use held::Held;
pub use http::{Connection, Request};
pub use janua_demo::Reserved;
pub use jwks::JwksServer;
pub use lti::LtiPlatform;
pub use moodle::Moodle;
pub use nginx::Nginx;
pub use oidc::{OidcDouble, OidcServer};
pub use opencast::Opencast;
pub use tokens::{Signer, in_seconds, now};
pub use upstream::Upstream;
pub use valkey::Valkey;
pub use wait::eventually;
