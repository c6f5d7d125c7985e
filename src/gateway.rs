//! The request's way: take it, decide about it, do what was decided; every refusal is answered in one place.
//!
//! `decide` finds the route and whose the request is (`admit`), and asks the rules; `perform` answers what needs no upstream;
//! `hooks` calls both, carries the rest to an upstream and back, and tells of the end. `explain` calls the same `decide`, with
//! somebody who writes down its reasons (`trace`).
//!
//! | beside them | is |
//! | --- | --- |
//! | `steps`, `incoming`, `body` | what several steps need of pingora's session; whoever brings a request; its body |
//! | `limits`, `rules`, `parts` | limits, rules, and what is shown to upstreams, for the request at hand |
//! | `files`, `accel`, `upstream`, `playlists` | files; files for nginx; the way to an upstream and back; its playlists |
//! | `bearer`, `endpoints`, `launch`, `moodle`, `opencast`, `s3`, `signed_url`, `watch` | each capability, called with the request at hand |
//! | `auth_request`, `else_ask` | decisions for a proxy that asks; an upstream's word where no rule speaks |
//! | `frames`, `views` | headers about frames; views that are counted |
//! | `denials`, `recent`, `access_entry` | what is kept of a refusal, by rules and of any kind; a line of the log |

pub mod accel;
mod access_entry;
mod admit;
pub mod auth_request;
pub mod bearer;
mod body;
pub mod decide;
pub mod denials;
pub mod else_ask;
pub mod endpoints;
mod files;
pub mod frames;
mod hooks;
mod incoming;
pub mod launch;
mod limits;
mod location;
pub mod moodle;
pub mod opencast;
pub mod parts;
mod perform;
pub mod playlists;
pub mod recent;
pub mod rules;
pub mod s3;
pub mod signed_url;
mod steps;
pub mod trace;
pub mod upstream;
pub mod upstream_auth;
mod views;
pub mod watch;
mod watch_urls;

use std::sync::Arc;

use arc_swap::ArcSwap;
use pingora::prelude::Result;
use pingora::proxy::Session;

pub use self::incoming::{Beginning, Incoming};
use self::recent::Recent;
pub use self::steps::Stop;
use self::steps::{
    answering, begin, common_headers, complete, connection, content_type, raw_header, recent, refusal_headers,
};
use crate::context::{Context, Looked};
use crate::observe::Observer;
use crate::snapshot::Snapshot;
use crate::statistics::Statistics;

/// A gateway on duty.
pub struct Gateway {
    /// Taken once a request: see [`Context::snapshot`].
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    pub observer: Observer,
    pub recent: Arc<Recent>,
    /// Who counts views; `None`: nobody does.
    pub statistics: Option<Arc<Statistics>>,
}

/// What is left to do after [`Gateway::walk`].
enum Next {
    Answered,
    Upstream,
}

impl Gateway {
    /// pingora puts this into a box for each request, and moves it there. So what few requests need, and what is large,
    /// has a box of its own.
    async fn walk(&self, session: &mut Session, ctx: &mut Context) -> Result<Next, Stop> {
        let connection = connection(session)?;
        let peer = (connection.peer(), connection.tls());
        // Not kept in a variable: the header's buffer would live as long as the transfer.
        decide::take(session.req_header(), raw_header(session).as_deref(), peer, ctx)?;
        limits::in_flight(session, ctx).await?;
        let mut looked = Looked::default();
        let decision = decide::decide(session, ctx, &mut looked).await;
        ctx.looked = looked;
        self.perform(session, ctx, decision?).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What one more branch adds here, each request of every kind copies.
    #[test]
    fn what_every_request_moves_is_small() {
        fn size<F: Future>(_: impl FnOnce(&'static Gateway, &'static mut Session, &'static mut Context) -> F) -> usize {
            size_of::<F>()
        }
        let bytes = size(Gateway::walk);
        assert!(bytes <= 3 << 10, "{bytes} bytes: box what is large and rare");
    }
}
