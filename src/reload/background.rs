//! What runs beside the requests: key sets are refreshed, names of upstreams looked up, their servers checked.
//!
//! Owned here and not by the snapshot, which a download of a replaced configuration may hold for hours: what is
//! replaced ends at once, what is the same goes on.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::act::proxy::Upstream;
use crate::authenticate::token::Refreshing;
use crate::snapshot::Snapshot;

/// The tasks of the snapshot on duty; they end when this is dropped.
pub struct Background {
    refreshing: Option<Refreshing>,
    upstreams: Vec<Tended>,
    /// Becomes true once, when the gateway shuts down.
    shutdown: watch::Receiver<bool>,
}

struct Tended {
    upstream: Arc<Upstream>,
    /// Dropping the set ends its task.
    _task: JoinSet<()>,
}

impl Background {
    /// Nothing runs yet.
    pub fn new(shutdown: watch::Receiver<bool>) -> Self {
        Self {
            refreshing: None,
            upstreams: Vec::new(),
            shutdown,
        }
    }

    /// Goes over from `before` to `next`, which comes on duty right afterwards: what it shares with `before` is not
    /// disturbed, what it has anew is made ready and begun, what it lacks ends.
    pub async fn follow(&mut self, next: &Snapshot, before: Option<&Snapshot>) {
        let tokens = &next.tokens;
        if !before.is_some_and(|before| Arc::ptr_eq(&before.tokens, tokens)) {
            // Ended first: two would write to the same gauges.
            self.refreshing = None;
            tokens.prepare(before.map(|before| &*before.tokens)).await;
            self.refreshing = Some(tokens.spawn_refresh());
        }
        let mut known = std::mem::take(&mut self.upstreams);
        let tended = next.upstreams.iter().map(|upstream| {
            let same = known.iter().position(|tended| Arc::ptr_eq(&tended.upstream, upstream));
            (upstream, same.map(|place| known.swap_remove(place)))
        });
        let tended: Vec<_> = tended.collect();
        drop(known);
        let shutdown = &self.shutdown;
        let tended = tended.into_iter().map(|(upstream, same)| async move {
            match same {
                Some(tended) => tended,
                None => Tended::begin(upstream, shutdown.clone()).await,
            }
        });
        self.upstreams = join_all(tended).await;
    }
}

impl Tended {
    async fn begin(upstream: &Arc<Upstream>, shutdown: watch::Receiver<bool>) -> Self {
        // So that the first request finds addresses.
        upstream.resolve().await;
        let mut task = JoinSet::new();
        let watched = Arc::clone(upstream);
        task.spawn(async move { watched.watch(shutdown).await });
        Self {
            upstream: Arc::clone(upstream),
            _task: task,
        }
    }
}
