//! `[opencast.<name>]`, as it is written.

use std::time::Duration;

use crate::config::read::At;
use crate::config::section::section;
use crate::config::value::PerSecond;

section! {
    /// `[opencast.<name>]`: an Opencast that the gateway itself asks, for `event_acl` and `series_of`.
    struct Opencast {
        /// The upstream behind which it is. Required.
        upstream: String,
        /// A user of Opencast's with ROLE_API, ROLE_API_EVENTS_VIEW, ROLE_API_EVENTS_ACL_VIEW and read access to every
        /// event. Required.
        username: String,
        /// A file that holds the user's password and nothing else. Required.
        password_file: String,
        /// How long an answer about an event holds. Default: 60s.
        acl_ttl: Duration,
        /// How long the last answer holds on while Opencast does not answer. Default: 24h.
        acl_stale: Duration,
        /// How long one question about an event may take. Default: 900ms.
        acl_timeout: Duration,
        /// Questions about events that Opencast does not know or does not answer, for each client; fifty times as many at
        /// once. Default: 2/s.
        unknown_events: PerSecond,
        /// PEM file (PKCS#8, P-256) with the private key of the tokens that `present = "opencast-jwt"` shows. Made if
        /// missing, but never with store = "valkey": all gateways need the same. Default: state/opencast-es256.pem.
        sign_key_file: String,
        /// Names of users that such a token never carries, whatever the case of their letters; `username` is always
        /// among them. Default: admin, opencast_system_account.
        never: Vec<At<String>>,
    }
}
