//! Launch sessions as the running gateway has them: how long they live. `compile::launch` makes it.

use std::time::Duration;

/// Launch sessions that are begun on a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launch {
    /// After the last request.
    pub idle: Duration,
    /// Whatever happens.
    pub absolute: Duration,
}
