//! `routes.launch`, as it is written.

use std::time::Duration;

use crate::config::section::section;

section! {
    /// `routes.launch`: how long a launch session lives that is begun on this route, whatever becomes of the token.
    struct Launch {
        /// After the last request with it. Default: 2h.
        idle: Duration,
        /// Altogether. Default: 10h.
        absolute: Duration,
    }
}
