//! `routes.launch`, as it is written.

use std::time::Duration;

use crate::config::read::At;
use crate::config::section::section;

section! {
    /// `routes.launch`: how long a launch session lives that is begun on this route, whatever becomes of the token.
    struct Launch {
        /// After the last request with it.
        idle: At<Duration> = "2h" in "1s"..="7d",
        /// Altogether.
        absolute: Duration = "10h" in "1s"..="7d",
    }
}
