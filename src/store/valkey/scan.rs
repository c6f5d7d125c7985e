//! Walking over what stands on the servers: `SCAN` with its cursor, in a cluster one master after the other.

use futures_util::future::try_join_all;
use redis::cluster_routing::{RoutingInfo, SingleNodeRoutingInfo};
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, Value};

use super::Valkey;
use super::connect::Connection;
use crate::store::StoreError;
use crate::store::place::Place;
use crate::store::record::{NEVER, Record};

impl Valkey {
    /// About `count` values behind a cursor, of one table or of all, and the next cursor. Groups are no values.
    pub(in crate::store) async fn page(
        &self,
        table: Option<&str>,
        after: Option<&str>,
        count: usize,
    ) -> Result<(Vec<(Place, Record)>, Option<String>), StoreError> {
        let pattern = format!("janua:{}:*", table.unwrap_or("*"));
        let mut connection = self.connection().await?;
        let scanned = scan(&mut connection, &pattern, after, count).await;
        let (keys, next) = scanned.map_err(|error| StoreError::Away {
            detail: error.to_string(),
        })?;
        let values = keys.iter().map(|key| async move {
            let place = key.rsplit(':').next().and_then(Place::parse);
            let value: Option<Vec<u8>> = self.ask(redis::cmd("GET").arg(key)).await?;
            Ok::<_, StoreError>(place.zip(value))
        });
        let found = try_join_all(values).await?.into_iter().flatten();
        let record = |(place, bytes): (Place, Vec<u8>)| {
            let bytes = bytes.into();
            (place, Record { expires: NEVER, bytes })
        };
        Ok((found.map(record).collect(), next))
    }
}

/// One step. The cursor is the server's own; in a cluster, the master's address stands before it.
async fn scan(
    connection: &mut Connection,
    pattern: &str,
    after: Option<&str>,
    count: usize,
) -> RedisResult<(Vec<String>, Option<String>)> {
    match connection {
        Connection::Node(_) | Connection::Master(_) => {
            let answer = connection.ask(&command(after.unwrap_or("0"), pattern, count)).await?;
            let (next, keys) = <(String, Vec<String>)>::from_redis_value(answer)?;
            Ok((keys, (next != "0").then_some(next)))
        }
        Connection::Cluster(cluster) => {
            let slots = cluster
                .route_command(redis::cmd("CLUSTER").arg("SLOTS").to_owned(), random())
                .await?;
            let masters = masters(&slots);
            let (address, cursor) = match after.and_then(|after| after.rsplit_once('|')) {
                Some((address, cursor)) => (address.to_owned(), cursor.to_owned()),
                None => (masters.first().map(text).ok_or_else(no_master)?, "0".to_owned()),
            };
            let here = masters
                .iter()
                .position(|master| text(master) == address)
                .ok_or_else(no_master)?;
            let (host, port) = masters.get(here).cloned().ok_or_else(no_master)?;
            let route = RoutingInfo::SingleNode(SingleNodeRoutingInfo::ByAddress { host, port });
            let answer = cluster.route_command(command(&cursor, pattern, count), route).await?;
            let (next, keys) = <(String, Vec<String>)>::from_redis_value(answer.extract_error()?)?;
            let next = match next.as_str() {
                "0" => masters.get(here + 1).map(|master| format!("{}|0", text(master))),
                next => Some(format!("{address}|{next}")),
            };
            Ok((keys, next))
        }
    }
}

fn command(cursor: &str, pattern: &str, count: usize) -> Cmd {
    let mut command = redis::cmd("SCAN");
    command.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(count);
    command.arg("TYPE").arg("string");
    command
}

fn random() -> RoutingInfo {
    RoutingInfo::SingleNode(SingleNodeRoutingInfo::Random)
}

/// Of `CLUSTER SLOTS`: each range names its master first.
fn masters(slots: &Value) -> Vec<(String, u16)> {
    let Value::Array(ranges) = slots else { return Vec::new() };
    let master = |range: &Value| match range {
        Value::Array(parts) => match parts.get(2) {
            Some(Value::Array(node)) => match node.as_slice() {
                [Value::BulkString(host), Value::Int(port), ..] => {
                    Some((String::from_utf8(host.clone()).ok()?, u16::try_from(*port).ok()?))
                }
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    let mut masters: Vec<_> = ranges.iter().filter_map(master).collect();
    masters.sort_unstable();
    masters.dedup();
    masters
}

fn text((host, port): &(String, u16)) -> String {
    format!("{host}:{port}")
}

fn no_master() -> RedisError {
    RedisError::from((ErrorKind::Client, "the cluster has changed: begin again"))
}
