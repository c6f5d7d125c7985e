//! Who is it: turns the credentials of a request into an [`Identity`](crate::identity::Identity), or says why not.
//!
//! What the identity may do is decided elsewhere.

pub mod bearer;
pub mod launch;
pub mod lti;
pub mod oauth;
pub mod session;
pub mod signed_url;
pub mod token;
pub mod upstream_auth;
pub mod watch;
