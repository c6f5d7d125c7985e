//! `routes.cors`, as it is written.

use http::HeaderName;

use crate::config::net::Origin;
use crate::config::read::{At, Key};
use crate::config::section::section;

section! {
    /// `routes.cors`
    struct Cors {
        /// `["https://moodle.example.edu"]`, or `["*"]`.
        #[required = "origins = [\"https://moodle.example.edu\"]"]
        origins: Vec<At<Origin>>,
        /// May their requests carry cookies?
        credentials: At<bool> = false,
        /// Headers that scripts may send, besides Authorization, Range, If-Range, If-None-Match, If-Modified-Since,
        /// Content-Type and X-Requested-With: `["CMCD-Request", "Traceparent"]`.
        headers: Key<Vec<At<HeaderName>>> = [],
        /// Headers of answers that scripts may read, besides Content-Range, Accept-Ranges, Content-Length, ETag and
        /// X-Request-ID.
        expose: Key<Vec<At<HeaderName>>> = [],
    }
}
