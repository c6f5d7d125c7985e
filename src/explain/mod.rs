//! A request's way without the request: which route would win, what each credential says, which rule holds, and what
//! an upstream would get.
//!
//! `walk` asks the same rooms as the gateway, [`Report`] is what they said, `render` puts it into words. Nothing is
//! served or passed on, and budgets are looked at without taking from them; only an `else_ask` is asked, as the gateway
//! would ask it.

mod lay_out;
pub mod render;
mod report;
mod walk;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use self::report::{
    Action, Budget, Capped, Credential, KeySet, Keys, Moment, MoodleTokens, Outcome, Report, RouteFate, Rule,
    RuleCondition, Seen, SignedIn, TokenSource,
};
pub use self::walk::explain;

/// A request that somebody asks about.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    pub method: String,
    /// Path and query as a client would send them.
    pub target: String,
    /// `Host` among them.
    pub headers: Vec<(String, String)>,
    /// The peer of the connection: the client, or a proxy.
    pub from: IpAddr,
    /// Does the peer speak TLS?
    pub https: bool,
    /// Unix seconds at which the request is judged; now, if absent.
    pub at: Option<u64>,
}
