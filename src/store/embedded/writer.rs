//! The one thread that writes to the file.
//!
//! What waits is written together: one transaction for thousands of sign-ins. Its changes are seen at once and made
//! durable by a commit that follows soon (group commit), so that a crash costs the last moments and not the file.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use redb::{Database, Durability};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::shelf::Records;
use crate::store::place::Place;
use crate::store::record::{self, Change};

/// From a change that is seen to the commit that makes it durable: half of the 50 ms that a crash may cost, the other
/// half is for the disk.
const FLUSH: Duration = Duration::from_millis(25);
/// Changes in one transaction.
const BATCH: usize = 1024;
/// Between two looks for what has expired, and how much goes at a time.
const SWEEP: Duration = Duration::from_secs(1);
const SWEEP_BATCH: usize = 1024;

/// One change, and whom to tell.
pub(super) struct Write {
    pub(super) place: Place,
    pub(super) change: Change,
    /// Only told when it is on disk.
    pub(super) durable: bool,
    pub(super) done: oneshot::Sender<Result<bool, Arc<redb::Error>>>,
}

/// The thread ends when all senders are gone and everything is on disk.
pub(super) fn start(database: Arc<Database>, inbox: mpsc::Receiver<Write>) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    std::thread::Builder::new()
        .name("janua-store".to_owned())
        .spawn(move || runtime.block_on(serve(&database, inbox)))
}

async fn serve(database: &Database, mut inbox: mpsc::Receiver<Write>) {
    let mut batch = Vec::with_capacity(BATCH);
    // When what is seen has to be durable.
    let mut flush: Option<Instant> = None;
    let mut sweep = interval(SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let due = flush.unwrap_or_else(Instant::now);
        // In this order: neither the flush nor the sweep starves while writes keep coming.
        tokio::select! {
            biased;
            () = sleep_until(due), if flush.is_some() => {
                flush = None;
                tell(commit(database, Durability::Immediate, |_| Ok(())));
            }
            _ = sweep.tick() => {
                let swept = commit_if(database, |records| records.sweep(record::now(), SWEEP_BATCH));
                if tell(swept).unwrap_or(0) > 0 {
                    flush = flush.or_else(|| Some(Instant::now() + FLUSH));
                }
            }
            taken = inbox.recv_many(&mut batch, BATCH) => {
                if taken == 0 {
                    break;
                }
                let is_durable = write(database, &mut batch);
                flush = if is_durable { None } else { flush.or_else(|| Some(Instant::now() + FLUSH)) };
            }
        }
    }
    if flush.is_some() {
        tell(commit(database, Durability::Immediate, |_| Ok(())));
    }
}

/// Makes all changes of the batch in one transaction and tells how each went. True: they are on disk.
fn write(database: &Database, batch: &mut Vec<Write>) -> bool {
    let durable = batch.iter().any(|write| write.durable);
    let now = record::now();
    let mut told = Vec::with_capacity(batch.len());
    let changes = batch.drain(..).map(|write| {
        told.push(write.done);
        (write.place, write.change)
    });
    let changes: Vec<_> = changes.collect();
    let level = if durable {
        Durability::Immediate
    } else {
        Durability::None
    };
    let made: Result<Vec<bool>, _> = commit(database, level, |records| {
        let each = changes.into_iter();
        each.map(|(place, change)| record::apply(records, place, change, now))
            .collect()
    });
    match made {
        // An error of sending: whoever asked has gone, and the change is made all the same.
        Ok(made) => {
            for (done, changed) in told.into_iter().zip(made) {
                done.send(Ok(changed)).ok();
            }
            durable
        }
        Err(error) => {
            let error = Arc::new(error);
            for done in told {
                done.send(Err(Arc::clone(&error))).ok();
            }
            false
        }
    }
}

/// One transaction: all of `work` or nothing.
fn commit<T>(
    database: &Database,
    durability: Durability,
    work: impl FnOnce(&mut Records<'_>) -> Result<T, redb::Error>,
) -> Result<T, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(durability)?;
    let done = work(&mut Records::open(&transaction)?)?;
    transaction.commit()?;
    Ok(done)
}

/// The same for a look that mostly finds nothing to do.
fn commit_if(
    database: &Database,
    work: impl FnOnce(&mut Records<'_>) -> Result<usize, redb::Error>,
) -> Result<usize, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::None)?;
    let done = work(&mut Records::open(&transaction)?)?;
    match done {
        0 => transaction.abort()?,
        _ => transaction.commit()?,
    }
    Ok(done)
}

/// An error that nobody waits for.
fn tell<T>(result: Result<T, redb::Error>) -> Option<T> {
    match result {
        Ok(done) => Some(done),
        Err(error) => {
            tracing::error!(%error, "the state file cannot be written");
            None
        }
    }
}
