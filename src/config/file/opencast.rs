//! `[opencast.<name>]`, as it is written.

use std::time::Duration;

use crate::config::read::At;
use crate::config::section::section;
use crate::config::value::PerSecond;

section! {
    /// `[opencast.<name>]`: an Opencast that the gateway itself asks, for `event_acl`, `series_of`, `playlist_of` and
    /// `playlist_acl`.
    struct Opencast {
        /// The upstream behind which it is.
        #[required = "upstream = \"opencast\""]
        upstream: String,
        /// A user of Opencast's with ROLE_API, ROLE_API_EVENTS_VIEW, ROLE_API_EVENTS_ACL_VIEW and read access to every
        /// event; for rules about playlists also with ROLE_API_PLAYLISTS_VIEW and read access to every playlist.
        #[required = "username = \"gateway\""]
        username: String,
        /// A file that holds the user's password and nothing else.
        #[required = "password_file = \"secrets/opencast\", a file that holds the password alone"]
        password_file: String,
        /// How long an answer about an event or a playlist holds.
        acl_ttl: Duration = "60s" in "1s"..="24h",
        /// How long the last answer holds on while Opencast does not answer.
        acl_stale: Duration = "24h" in "0s"..="30d",
        /// How long one question may take.
        acl_timeout: Duration = "900ms" in "100ms"..="5s",
        /// Questions about events and playlists that Opencast does not know or does not answer, for each client; fifty times as many at
        /// once.
        unknown_events: PerSecond = "2/s",
        /// PEM file (PKCS#8, P-256) with the private key of the tokens that `present = "opencast-jwt"` shows. Made if
        /// missing, but never with store = "valkey": all gateways need the same.
        sign_key_file: At<String> = "state/opencast-es256.pem",
        /// Names of users that such a token never carries, whatever the case of their letters; `username` is always
        /// among them.
        never: Vec<String> = ["admin", "opencast_system_account"],
    }
}
