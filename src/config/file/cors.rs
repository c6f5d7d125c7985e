//! `routes.cors`, as it is written.

use http::HeaderName;

use crate::config::net::Origin;
use crate::config::read::At;
use crate::config::section::section;

section! {
    /// `routes.cors`
    struct Cors {
        /// `["https://moodle.example.edu"]`, or `["*"]`. Required.
        origins: Vec<At<Origin>>,
        /// May their requests carry cookies? Default: false.
        credentials: bool,
        /// Headers that scripts may send, besides Authorization, Range, If-Range, If-None-Match, If-Modified-Since,
        /// Content-Type and X-Requested-With: `["CMCD-Request", "Traceparent"]`. Default: none.
        headers: Vec<At<HeaderName>>,
        /// Headers of answers that scripts may read, besides Content-Range, Accept-Ranges, Content-Length, ETag and
        /// X-Request-ID. Default: none.
        expose: Vec<At<HeaderName>>,
    }
}
