//! `[signed_urls.<name>]` and `routes.sign`, as they are written.

use std::time::Duration;

use crate::config::SignedUrlForm;
use crate::config::read::At;
use crate::config::section::section;

section! {
    /// `[signed_urls.<name>]`: keys of signed addresses, as Opencast's stream security makes them.
    struct SignedUrls {
        /// `[{ id = "demoKeyOne", secret_file = "secrets/stream-security" }]`: all of them verify, the first one signs.
        #[required = "keys = [{ id = \"demoKeyOne\", secret_file = \"secrets/stream-security\" }]"]
        keys: Vec<At<SignedUrlKey>>,
        /// Must the signed address be the whole one, with the scheme and host of the public URL? `false`: its path.
        strict: At<bool> = true,
        /// By how much clocks may differ.
        leeway: At<Duration> = "3s" in "0s"..="5m",
        /// "opencast", or "wowza": SecureToken version 2 with SHA-256, which the gateway makes and never checks. There the `id` of
        /// the key is the prefix of the parameters.
        form: At<SignedUrlForm> = "opencast",
    }
}

section! {
    /// An element of `signed_urls.<name>.keys`.
    struct SignedUrlKey {
        /// What the address names as `keyId`.
        #[required = "id = \"demoKeyOne\""]
        id: String,
        /// A file that holds the secret and nothing else.
        #[required = "secret_file = \"secrets/stream-security\", a file that holds the secret alone"]
        secret_file: String,
    }
}

section! {
    /// `routes.sign`: how addresses are signed, for `present = "signed-url"` and `respond = { signed = true }`.
    struct Sign {
        /// The `[signed_urls.<name>]` whose first key signs.
        #[required = "by = \"cdn\", one of [signed_urls.<name>]"]
        by: String,
        /// What stands before the path in the address that is signed: scheme, host and maybe a folder, as the server behind it
        /// sees them.
        #[required = "base = \"https://cdn.example.edu\""]
        base: String,
        /// How long an address is good for. Must be written beside `respond`: a video is played from that address to its end.
        valid: At<Duration> = "1m" in "1s"..="24h",
        /// Is it good for the client's own address alone?
        client: bool = false,
    }
}
