//! The request's way: take it, decide about it, do what was decided; every refusal is answered in one place.
//!
//! `decide` finds the route and whose the request is, and asks the rules; `perform` answers what needs no upstream; `hooks`
//! calls both, carries the rest to an upstream and back, and tells of the end. `explain` calls the same `decide`, with
//! somebody who writes down its reasons (`trace`).

mod admit;
pub mod decide;
mod hooks;
mod perform;
pub mod trace;

use std::sync::Arc;

use arc_swap::ArcSwap;
use pingora::prelude::Result;
use pingora::proxy::Session;

use crate::context::Context;
use crate::edge::{self, Stop};
use crate::observe::Observer;
use crate::snapshot::Snapshot;

/// A gateway on duty.
pub struct Gateway {
    /// Taken once a request: see [`Context::snapshot`].
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    pub observer: Observer,
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
        let connection = edge::connection(session)?;
        let peer = (connection.peer(), connection.tls());
        // Not kept in a variable: the header's buffer would live as long as the transfer.
        decide::take(session.req_header(), edge::raw_header(session).as_deref(), peer, ctx)?;
        edge::in_flight(session, ctx).await?;
        let decision = decide::decide(session, ctx, &mut ()).await?;
        self.perform(session, ctx, decision).await
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
