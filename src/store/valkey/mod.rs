//! The store that several gateways share: a Valkey (or Redis) alone, behind sentinels, or a cluster.
//!
//! Times to live are kept by the server. While it is away every call fails at once; one task alone connects again.

mod connect;
mod reconnect;
mod scan;

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, FromRedisValue, RedisError};
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::timeout;

use self::connect::Connection;
use self::reconnect::{Link, Reconnect};
use super::StoreError;
use super::place::Location;
use super::record::Change;
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

/// Other bytes in a value's place, if nobody has changed it meanwhile. The time to live stays.
const REPLACE: &str = "\
    if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL') return 1 end \
    return 0";

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
    /// Ends the task when dropped.
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
        let task = Reconnect {
            config: config.clone(),
            link: sender,
            suspicion: Arc::clone(&suspicion),
            hear: Arc::new(hear),
            up: metrics.up.clone(),
        };
        task.start(ended).map_err(|source| StoreError::Thread { source })?;
        Ok(Self {
            link,
            suspicion,
            _alive: alive,
        })
    }

    pub(super) async fn get(&self, at: Location) -> Result<Option<Vec<u8>>, StoreError> {
        self.ask(redis::cmd("GET").arg(key(at))).await
    }

    /// The value, which lives for `ttl` from now, in one step.
    pub(super) async fn touch(&self, at: Location, ttl: Duration) -> Result<Option<Vec<u8>>, StoreError> {
        let mut command = redis::cmd("GETEX");
        self.ask(command.arg(key(at)).arg("PX").arg(millis(ttl))).await
    }

    /// True: it was made.
    pub(super) async fn change(&self, at: Location, change: Change) -> Result<bool, StoreError> {
        let key = key(at);
        let mut command = Cmd::new();
        match change {
            Change::Put { bytes, ttl, only_new } => {
                command.arg("SET").arg(key).arg(bytes).arg(only_new.then_some("NX"));
                command.arg(ttl.map(|ttl| ("PX", millis(ttl))));
            }
            Change::Extend { ttl } => {
                command.arg("PEXPIRE").arg(key).arg(millis(ttl));
            }
            Change::Replace { before, bytes } => {
                command.arg("EVAL").arg(REPLACE).arg(1).arg(key);
                command.arg(&*before).arg(bytes);
            }
            Change::Delete => {
                command.arg("DEL").arg(key);
            }
            Change::AddMember { member, score, ttl } => {
                command.arg("EVAL").arg(ADD_MEMBER).arg(1).arg(key);
                command.arg(score).arg(member);
                command.arg(ttl.map(|ttl| millis(ttl).to_string()).unwrap_or_default());
            }
            Change::RemoveMember { member } => {
                command.arg("ZREM").arg(key).arg(member);
            }
        }
        self.ask(&command).await
    }

    pub(super) async fn members(&self, at: Location) -> Result<Vec<(String, u64)>, StoreError> {
        let mut command = redis::cmd("ZRANGE");
        command.arg(key(at)).arg(0).arg(-1).arg("WITHSCORES");
        let members: Vec<(String, f64)> = self.ask(&command).await?;
        // Scores are whole and below 2^53: what was put comes back.
        Ok(members
            .into_iter()
            .map(|(member, score)| (member, score as u64))
            .collect())
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

fn key(at: Location) -> String {
    format!("janua:{}:{}", at.space, at.place.text())
}

/// At least one: the server takes no zero.
fn millis(ttl: Duration) -> i64 {
    // The server counts in i64 from 1970 on; a thousand years are for ever.
    const LONGEST: i64 = 1000 * 366 * 86_400_000;
    i64::try_from(ttl.as_millis()).unwrap_or(LONGEST).clamp(1, LONGEST)
}

#[cfg(test)]
mod tests;
