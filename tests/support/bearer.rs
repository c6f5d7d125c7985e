//! Authorization servers as a gateway sees them that takes their access tokens: [`AuthServer`] has keys, introspection and a
//! profile, and is as unkind as a test asks for. [`claims`] has what real servers say, as it was recorded.

pub mod claims;
pub mod double;

pub use self::double::{AuthServer, Endpoint};
