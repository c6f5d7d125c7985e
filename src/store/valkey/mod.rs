//! The store that several gateways share: a Valkey (or Redis) alone, behind sentinels, or a cluster.
//!
//! Times to live are kept by the server. While it is away every call fails at once; one keeper alone connects again.

mod connect;
mod keeper;
mod scan;

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, FromRedisValue, RedisError};
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::timeout;

use self::connect::Connection;
use self::keeper::{Keeper, Link};
use super::StoreError;
use super::place::Place;
use crate::config;
use crate::observe::metrics::StoreMetrics;

/// For one connection attempt, names and TLS included.
const CONNECT: Duration = Duration::from_secs(2);
/// For one answer.
const ANSWER: Duration = Duration::from_secs(1);
/// Where notices are published.
const CHANNEL: &str = "janua:notices";

/// Adds a member and lets the group live as long as its longest-lived member said, in one step. `EXISTS` before
/// `ZADD` tells a new group, which has no time to live yet, from one that has none for good.
const ADD_MEMBER: &str = "\
    local fresh = redis.call('EXISTS', KEYS[1]) == 0 \
    redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2]) \
    local left = redis.call('PTTL', KEYS[1]) \
    if ARGV[3] == '' then redis.call('PERSIST', KEYS[1]) \
    elseif fresh or (left >= 0 and left < tonumber(ARGV[3])) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end \
    return 1";

/// What comes by itself over the connection.
pub(super) enum Heard<'a> {
    /// A payload that somebody published.
    Published(&'a [u8]),
    /// The connection was lost or is new: something may have been missed.
    Missed,
}

pub(super) struct Valkey {
    link: watch::Receiver<Link>,
    suspicion: Arc<Notify>,
    /// Ends the keeper when dropped.
    _alive: oneshot::Sender<()>,
}

impl Valkey {
    /// Begins to connect, on a thread of its own, and returns at once. `hear` must not block.
    pub(super) fn start(
        config: &config::Valkey,
        metrics: &StoreMetrics,
        hear: impl Fn(Heard<'_>) + Send + Sync + 'static,
    ) -> Result<Self, StoreError> {
        let (sender, link) = watch::channel(Link::Connecting);
        let (alive, ended) = oneshot::channel();
        let suspicion = Arc::new(Notify::new());
        let keeper = Keeper {
            config: config.clone(),
            link: sender,
            suspicion: Arc::clone(&suspicion),
            hear: Arc::new(hear),
            up: metrics.up.clone(),
        };
        keeper.start(ended).map_err(|source| StoreError::Thread { source })?;
        Ok(Self {
            link,
            suspicion,
            _alive: alive,
        })
    }

    pub(super) async fn get(&self, table: &str, place: Place) -> Result<Option<Vec<u8>>, StoreError> {
        self.ask(redis::cmd("GET").arg(key(table, place))).await
    }

    /// The value, which lives for `ttl` from now, in one step.
    pub(super) async fn touch(&self, table: &str, place: Place, ttl: Duration) -> Result<Option<Vec<u8>>, StoreError> {
        let mut command = redis::cmd("GETEX");
        command.arg(key(table, place)).arg("PX").arg(millis(ttl));
        self.ask(&command).await
    }

    /// True: it was put. `only_new`: only if nothing stands there.
    pub(super) async fn put(
        &self,
        table: &str,
        place: Place,
        bytes: &[u8],
        ttl: Option<Duration>,
        only_new: bool,
    ) -> Result<bool, StoreError> {
        let mut command = redis::cmd("SET");
        command.arg(key(table, place)).arg(bytes);
        if only_new {
            command.arg("NX");
        }
        if let Some(ttl) = ttl {
            command.arg("PX").arg(millis(ttl));
        }
        let done: Option<String> = self.ask(&command).await?;
        Ok(done.is_some())
    }

    pub(super) async fn delete(&self, table: &str, place: Place) -> Result<bool, StoreError> {
        let deleted: u64 = self.ask(redis::cmd("DEL").arg(key(table, place))).await?;
        Ok(deleted > 0)
    }

    pub(super) async fn add_member(
        &self,
        index: &str,
        place: Place,
        member: &str,
        score: u64,
        ttl: Option<Duration>,
    ) -> Result<(), StoreError> {
        let mut command = redis::cmd("EVAL");
        command.arg(ADD_MEMBER).arg(1).arg(key(index, place));
        command.arg(score).arg(member);
        command.arg(ttl.map(|ttl| millis(ttl).to_string()).unwrap_or_default());
        self.ask(&command).await
    }

    pub(super) async fn members(&self, index: &str, place: Place) -> Result<Vec<(String, u64)>, StoreError> {
        let mut command = redis::cmd("ZRANGE");
        command.arg(key(index, place)).arg(0).arg(-1).arg("WITHSCORES");
        let members: Vec<(String, f64)> = self.ask(&command).await?;
        // Scores are whole and below 2^53: what was put comes back.
        Ok(members
            .into_iter()
            .map(|(member, score)| (member, score as u64))
            .collect())
    }

    pub(super) async fn remove_member(&self, index: &str, place: Place, member: &str) -> Result<bool, StoreError> {
        let removed: u64 = self.ask(redis::cmd("ZREM").arg(key(index, place)).arg(member)).await?;
        Ok(removed > 0)
    }

    pub(super) async fn publish(&self, payload: &[u8]) -> Result<(), StoreError> {
        self.ask(redis::cmd("PUBLISH").arg(CHANNEL).arg(payload)).await
    }

    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        self.ask(&redis::cmd("PING")).await
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let mut connection = self.connection().await?;
        let error = match timeout(ANSWER, connection.ask(command)).await {
            Ok(Ok(value)) => match T::from_redis_value(value) {
                Ok(value) => return Ok(value),
                Err(error) => RedisError::from(error).to_string(),
            },
            Ok(Err(error)) => {
                // One look more than needed costs a PING.
                self.suspicion.notify_one();
                error.to_string()
            }
            Err(_) => {
                self.suspicion.notify_one();
                "no answer within a second".to_owned()
            }
        };
        Err(StoreError::Away { detail: error })
    }

    /// The connection of the moment. Only the very first one is waited for.
    async fn connection(&self) -> Result<Connection, StoreError> {
        let mut link = self.link.clone();
        let settled = timeout(CONNECT, link.wait_for(|link| !matches!(link, Link::Connecting)));
        let link = match settled.await {
            Ok(Ok(link)) => link.clone(),
            Ok(Err(_)) => return Err(StoreError::Worker),
            Err(_) => Link::Connecting,
        };
        match link {
            Link::Up(connection) => Ok(connection),
            Link::Down(detail) => Err(StoreError::Away {
                detail: detail.to_string(),
            }),
            Link::Connecting => Err(StoreError::Away {
                detail: "no connection within two seconds".to_owned(),
            }),
        }
    }
}

fn key(space: &str, place: Place) -> String {
    format!("janua:{space}:{}", place.text())
}

/// At least one: the server takes no zero.
fn millis(ttl: Duration) -> i64 {
    // The server counts in i64 from 1970 on; a thousand years are for ever.
    const LONGEST: i64 = 1000 * 366 * 86_400_000;
    i64::try_from(ttl.as_millis()).unwrap_or(LONGEST).clamp(1, LONGEST)
}

#[cfg(test)]
mod tests;
