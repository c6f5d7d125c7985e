//! One connection to a Valkey: how it is made for each kind, with TLS, user and password, and a subscription to the
//! notices over the same wire (RESP3).

use std::sync::Arc;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, PushInfo,
    PushKind, RedisConnectionInfo, RedisError, RedisResult, TlsCertificates, TlsMode, Value,
};
use tokio::sync::Notify;

use super::reconnect::Hear;
use super::{ANSWER, CHANNEL, CONNECT, Heard};
use crate::config::{self, ValkeyAddress, ValkeyKind};
use crate::key_file;
use crate::text::without_mark;
use crate::trust;

/// Clones share the wire.
#[derive(Clone)]
pub(super) enum Connection {
    Node(MultiplexedConnection),
    /// Found by sentinels, and of use only while it is the master.
    Master(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    pub(super) async fn ask(&mut self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::Node(node) | Self::Master(node) => node.req_packed_command(command).await,
            Self::Cluster(cluster) => cluster.req_packed_command(command).await,
        }
        .and_then(Value::extract_error)
    }

    /// Is it of use still?
    pub(super) async fn look(&mut self) -> Result<(), String> {
        self.ask(&redis::cmd("PING")).await.map_err(text)?;
        if matches!(self, Self::Master(_)) {
            let role = self.ask(&redis::cmd("ROLE")).await.map_err(text)?;
            let is_master = match &role {
                Value::Array(parts) => parts.first() == Some(&Value::BulkString(b"master".to_vec())),
                _ => false,
            };
            if !is_master {
                return Err("the server is no master any more".to_owned());
            }
        }
        Ok(())
    }

    async fn subscribe(&mut self) -> RedisResult<()> {
        match self {
            Self::Node(node) | Self::Master(node) => node.subscribe(CHANNEL).await,
            Self::Cluster(cluster) => cluster.subscribe(CHANNEL).await,
        }
    }
}

/// Connects and subscribes. Errors never hold the password.
pub(super) async fn connect(
    config: &config::Valkey,
    hear: &Hear,
    suspicion: &Arc<Notify>,
) -> Result<Connection, String> {
    let access = Access::read(config)?;
    let pushes = pushes(Arc::clone(hear), Arc::clone(suspicion));
    let mut connection = access.connect(&config.address, pushes).await.map_err(text)?;
    connection.subscribe().await.map_err(text)?;
    Ok(connection)
}

/// What has to be shown and known, read again for each connection, so that files can be replaced.
struct Access {
    username: Option<String>,
    password: Option<String>,
    certificates: Option<TlsCertificates>,
}

impl Access {
    fn read(config: &config::Valkey) -> Result<Self, String> {
        let password = config.password_file.as_deref().map(key_file::password).transpose();
        let root = config.ca_file.as_deref().map(trust::file::read).transpose();
        let root = root.map_err(|error| format!("state.ca_file: {error}"))?;
        Ok(Self {
            username: config.username.clone(),
            password: password.map_err(|error| format!("state.password_file: the password file {error}"))?,
            certificates: root.map(|file| TlsCertificates {
                client_tls: None,
                root_cert: Some(without_mark(&file.text).to_vec()),
            }),
        })
    }

    async fn connect(
        self,
        address: &ValkeyAddress,
        pushes: impl Fn(PushInfo) -> Result<(), redis::aio::SendError> + Send + Sync + 'static,
    ) -> RedisResult<Connection> {
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(ANSWER));
        match &address.kind {
            ValkeyKind::Single { database } => {
                let infos = self.infos(address, *database)?;
                let info = infos.into_iter().next().ok_or_else(no_node)?;
                let client = match self.certificates {
                    Some(certificates) => Client::build_with_tls(info, certificates)?,
                    None => Client::open(info)?,
                };
                let settings = settings.set_push_sender(pushes);
                let node = client.get_multiplexed_async_connection_with_config(&settings).await?;
                Ok(Connection::Node(node))
            }
            ValkeyKind::Sentinel { master, database } => {
                let mut client = self.sentinels(address, master, *database)?.build()?;
                let settings = settings.set_push_sender(pushes);
                let node = client.get_async_connection_with_config(&settings).await?;
                Ok(Connection::Master(node))
            }
            ValkeyKind::Cluster => {
                let mut builder = ClusterClientBuilder::new(self.infos(address, 0)?)
                    .use_protocol(ProtocolVersion::RESP3)
                    .connection_timeout(CONNECT)
                    .response_timeout(ANSWER)
                    .push_sender(pushes);
                if let Some(username) = &self.username {
                    builder = builder.username(username);
                }
                if let Some(password) = &self.password {
                    builder = builder.password(password);
                }
                if address.tls {
                    builder = builder.tls(TlsMode::Secure);
                }
                if let Some(certificates) = self.certificates {
                    builder = builder.certs(certificates);
                }
                Ok(Connection::Cluster(builder.build()?.get_async_connection().await?))
            }
        }
    }

    fn infos(&self, address: &ValkeyAddress, database: u16) -> RedisResult<Vec<ConnectionInfo>> {
        let mut settings = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_db(i64::from(database));
        if let Some(username) = &self.username {
            settings = settings.set_username(username);
        }
        if let Some(password) = &self.password {
            settings = settings.set_password(password);
        }
        let infos = addresses(address).map(|address| {
            let info = address.into_connection_info()?;
            Ok(info.set_redis_settings(settings.clone()))
        });
        infos.collect()
    }

    /// User and password are those of the servers; sentinels are asked without.
    fn sentinels(&self, address: &ValkeyAddress, master: &str, database: u16) -> RedisResult<SentinelClientBuilder> {
        let mut builder = SentinelClientBuilder::new(addresses(address), master, SentinelServerType::Master)?
            .set_client_to_redis_protocol(ProtocolVersion::RESP3)
            .set_client_to_redis_db(i64::from(database));
        if let Some(username) = &self.username {
            builder = builder.set_client_to_redis_username(username);
        }
        if let Some(password) = &self.password {
            builder = builder.set_client_to_redis_password(password);
        }
        if address.tls {
            builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
        }
        if let Some(certificates) = &self.certificates {
            builder = builder
                .set_client_to_redis_certificates(certificates.clone())
                .set_client_to_sentinel_certificates(certificates.clone());
        }
        Ok(builder)
    }
}

fn addresses(address: &ValkeyAddress) -> impl Iterator<Item = ConnectionAddr> {
    address.nodes.iter().map(|(host, port)| match address.tls {
        false => ConnectionAddr::Tcp(host.clone(), *port),
        true => ConnectionAddr::TcpTls {
            host: host.clone(),
            port: *port,
            insecure: false,
            tls_params: None,
        },
    })
}

/// What the server sends unasked. A new subscription, the library's own after a lost node of a cluster included, may
/// have missed something, and so may a lost connection.
fn pushes(hear: Hear, suspicion: Arc<Notify>) -> impl Fn(PushInfo) -> Result<(), redis::aio::SendError> {
    move |push| {
        match (push.kind, push.data.as_slice()) {
            (PushKind::Message, [_, Value::BulkString(payload)]) => hear(Heard::Published(payload)),
            (PushKind::Subscribe, _) => hear(Heard::Missed),
            (PushKind::Disconnection, _) => {
                hear(Heard::Missed);
                suspicion.notify_one();
            }
            _ => {}
        }
        Ok(())
    }
}

fn no_node() -> RedisError {
    RedisError::from((redis::ErrorKind::InvalidClientConfig, "no server is named"))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn text(error: RedisError) -> String {
    error.to_string()
}
