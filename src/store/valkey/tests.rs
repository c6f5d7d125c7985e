//! Against real servers, started here on ports of the system's choice: Valkey or Redis, whichever is installed.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use crate::config::{State, Valkey, ValkeyAddress, ValkeyKind};
use crate::observe::metrics::Metrics;
use crate::sealing::MasterKeys;
use crate::server::install_crypto;
use crate::store::tests::{DEADLINE, LONG, a_rotation, keeps_its_contract, three_keys, until};
use crate::store::{Index, Notice, Store, StoreError, Table};
use janua_demo::Reserved;

/// A server that ends with its value.
struct Server {
    child: Child,
    port: u16,
    arguments: Vec<String>,
    _reserved: Reserved,
    _folder: TempDir,
}

/// The name of what is installed; `None` after a line that says so.
fn program(role: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = ["valkey", "redis"].iter().find_map(|name| {
        std::env::split_paths(&path)
            .map(|folder| folder.join(format!("{name}-{role}")))
            .find(|program| program.is_file())
    });
    if found.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "valkey-{role} or redis-{role} is needed"
        );
        eprintln!("skipped: neither valkey-{role} nor redis-{role} is installed");
    }
    found
}

impl Server {
    /// With `more` behind what every server here gets; `{port}` is filled in.
    fn start(more: &str, arguments: &[&str]) -> Option<Self> {
        let program = program("server")?;
        let folder = tempfile::tempdir().unwrap();
        // The nodes of a cluster talk with each other 10 000 ports higher.
        let mut ports = std::iter::repeat_with(|| Reserved::new(0).unwrap());
        let port = ports.find(|port| port.address().port() < u16::MAX - 10_000).unwrap();
        let number = port.address().port();
        let config = folder.path().join("server.conf");
        let always = format!("bind 127.0.0.1\ndir {}\n", folder.path().display());
        std::fs::write(&config, always + &more.replace("{port}", &number.to_string())).unwrap();
        let mut all = vec![program.display().to_string(), config.display().to_string()];
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let mut server = Self {
            child: spawn(&all),
            port: number,
            arguments: all,
            _reserved: port,
            _folder: folder,
        };
        server.listens();
        Some(server)
    }

    fn plain(more: &str) -> Option<Self> {
        Self::start(&format!("port {{port}}\nsave \"\"\n{more}\n"), &[])
    }

    fn listens(&mut self) {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let started = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            assert!(self.child.try_wait().unwrap().is_none(), "the server does not start");
            assert!(started.elapsed() < DEADLINE, "the server never listens");
            std::thread::yield_now();
        }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Again, on the same port, and empty.
    fn again(&mut self) {
        self.child = spawn(&self.arguments);
        self.listens();
    }

    fn state(&self) -> Valkey {
        address(ValkeyKind::Single { database: 0 }, &[self.port])
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn spawn(arguments: &[String]) -> Child {
    let (program, rest) = arguments.split_first().unwrap();
    let mut command = Command::new(program);
    command.args(rest).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

fn address(kind: ValkeyKind, ports: &[u16]) -> Valkey {
    Valkey {
        address: ValkeyAddress {
            kind,
            tls: false,
            nodes: ports.iter().map(|port| ("127.0.0.1".to_owned(), *port)).collect(),
        },
        ca_file: None,
        username: None,
        password_file: None,
        key_file: PathBuf::from("unused: keys are handed in"),
    }
}

fn open(valkey: &Valkey, keys: &MasterKeys) -> Store {
    install_crypto();
    Store::open(&State::Valkey(valkey.clone()), keys, &Metrics::new()).unwrap()
}

fn is_long() -> bool {
    std::env::var_os("JANUA_LONG").is_some()
}

#[tokio::test]
async fn a_single_server() {
    let Some(server) = Server::plain("") else { return };
    let keys = MasterKeys::random();
    let (one, other) = (open(&server.state(), &keys), open(&server.state(), &keys));
    keeps_its_contract(&one, &other).await;
}

#[tokio::test]
async fn values_on_a_server_are_turned_over_to_a_new_key() {
    let Some(server) = Server::plain("") else { return };
    let [old, both, new] = three_keys();
    let state = server.state();
    a_rotation(open(&state, &old), || open(&state, &both), || open(&state, &new)).await;
}

#[tokio::test]
async fn over_tls_with_a_user_and_a_password() {
    let folder = tempfile::tempdir().unwrap();
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let file = |name: &str, text: &str| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let certificate = file("server.pem", &certified.cert.pem());
    let key = file("server.key", &certified.signing_key.serialize_pem());
    let more = format!(
        "port 0\ntls-port {{port}}\ntls-cert-file {}\ntls-key-file {}\ntls-auth-clients no\n\
         user default off\nuser gate on >secret ~janua:* &janua:* +@all",
        certificate.display(),
        key.display()
    );
    let Some(server) = Server::start(&more, &[]) else {
        return;
    };
    let mut right = server.state();
    right.address.tls = true;
    right.ca_file = Some(certificate);
    right.username = Some("gate".to_owned());
    right.password_file = Some(file("password", "secret\n"));
    let keys = MasterKeys::random();
    keeps_its_contract(&open(&right, &keys), &open(&right, &keys)).await;

    let no_ca = Valkey {
        ca_file: None,
        ..right.clone()
    };
    let wrong = file("wrong", "secret2");
    let wrong_password = Valkey {
        password_file: Some(wrong),
        ..right.clone()
    };
    let no_tls = Valkey {
        address: ValkeyAddress {
            tls: false,
            ..right.address.clone()
        },
        ..right
    };
    for refused in [no_ca, wrong_password, no_tls] {
        let error = open(&refused, &keys).healthy().await.unwrap_err();
        assert!(matches!(error, StoreError::Away { .. }), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn nothing_readable_lies_on_the_server() {
    let Some(server) = Server::plain("") else { return };
    let store = open(&server.state(), &MasterKeys::random());
    store
        .put(Table::Tickets, "ST-secret-ticket", b"secret-value", LONG)
        .await
        .unwrap();
    store
        .index_add(Index::SessionsBySubject, "secret-subject", "s1", 1, LONG)
        .await
        .unwrap();
    let client = redis::Client::open(format!("redis://127.0.0.1:{}", server.port)).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    assert_eq!(keys.len(), 2);
    for key in keys {
        assert!(key.starts_with("janua:") && !key.contains("secret"), "{key}");
        let left: i64 = redis::cmd("PTTL").arg(&key).query_async(&mut connection).await.unwrap();
        assert!(left > 0, "{key} lives for ever");
        let dump: Vec<u8> = redis::cmd("DUMP").arg(&key).query_async(&mut connection).await.unwrap();
        assert!(!dump.windows(6).any(|part| part == b"secret"), "{key}");
    }
    // What somebody else publishes, or writes in a value's place, is nothing.
    let mut heard = store.subscribe();
    let _: () = redis::cmd("PUBLISH")
        .arg("janua:notices")
        .arg("forged")
        .query_async(&mut connection)
        .await
        .unwrap();
    store.notify("true").await.unwrap();
    until("the true one arrives", async || match heard.0.try_recv() {
        Ok(Notice::Message(text)) => {
            assert_eq!(&*text, "true");
            true
        }
        _ => false,
    })
    .await;
}

#[tokio::test]
async fn a_server_that_goes_and_comes_back() {
    let Some(mut server) = Server::plain("") else { return };
    let store = open(&server.state(), &MasterKeys::random());
    store.put(Table::Sessions, "a", b"1", LONG).await.unwrap();
    let mut heard = store.subscribe();
    server.kill();
    until("it is noticed", async || store.get(Table::Sessions, "a").await.is_err()).await;
    // Each fails by itself, none waits for a server.
    let started = Instant::now();
    for _ in 0..1000 {
        assert!(matches!(store.healthy().await, Err(StoreError::Away { .. })));
    }
    assert!(started.elapsed() < DEADLINE, "a thousand failures take long");
    while heard.0.try_recv().is_ok() {}
    server.again();
    until("it works again", async || {
        store.put(Table::Sessions, "a", b"2", LONG).await.is_ok()
    })
    .await;
    assert_eq!(
        store.get(Table::Sessions, "a").await.unwrap().as_deref(),
        Some(&b"2"[..])
    );
    until("subscribers are told", async || {
        heard.0.try_recv() == Ok(Notice::Missed)
    })
    .await;
    until("notices arrive again", async || {
        store.notify("back").await.unwrap();
        heard.0.try_recv() == Ok(Notice::Message("back".into()))
    })
    .await;
}

#[tokio::test]
async fn a_server_that_takes_connections_and_says_nothing() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = silent.local_addr().unwrap().port();
    let store = open(
        &address(ValkeyKind::Single { database: 0 }, &[port]),
        &MasterKeys::random(),
    );
    let asked = store.get(Table::Sessions, "a");
    let answer = tokio::time::timeout(DEADLINE, asked).await.unwrap();
    assert!(matches!(answer, Err(StoreError::Away { .. })));
}

#[tokio::test]
async fn long_behind_sentinels() {
    if !is_long() {
        return;
    }
    let Some(mut master) = Server::plain("") else { return };
    let replica = Server::plain(&format!("replicaof 127.0.0.1 {}", master.port)).unwrap();
    let sentinel = format!(
        "port {{port}}\nsentinel monitor main 127.0.0.1 {} 2\nsentinel down-after-milliseconds main 500\n\
         sentinel failover-timeout main 3000",
        master.port
    );
    let sentinels: Vec<_> = (0..3)
        .map(|_| Server::start(&sentinel, &["--sentinel"]).unwrap())
        .collect();
    let ports: Vec<_> = sentinels.iter().map(|sentinel| sentinel.port).collect();
    let kind = ValkeyKind::Sentinel {
        master: "main".to_owned(),
        database: 0,
    };
    let keys = MasterKeys::random();
    let (one, other) = (
        open(&address(kind.clone(), &ports), &keys),
        open(&address(kind, &ports), &keys),
    );
    until("the sentinels know the master", async || one.healthy().await.is_ok()).await;
    until("the other too", async || other.healthy().await.is_ok()).await;
    keeps_its_contract(&one, &other).await;
    one.put(Table::Sessions, "kept", b"1", LONG).await.unwrap();
    // Sentinels know the replica, and it has the value, once it answers for itself.
    let direct = open(&replica.state(), &keys);
    until("the value is copied", async || {
        matches!(direct.get(Table::Sessions, "kept").await, Ok(Some(_)))
    })
    .await;
    until("every sentinel knows the replica and the others", async || {
        sentinels.iter().all(|sentinel| knows_all(sentinel.port))
    })
    .await;
    let mut heard = one.subscribe();
    master.kill();
    until("the replica takes over", async || {
        one.put(Table::Sessions, "new", b"1", LONG).await.is_ok()
    })
    .await;
    assert!(one.get(Table::Sessions, "kept").await.unwrap().is_some());
    until("subscribers are told", async || {
        heard.0.try_recv() == Ok(Notice::Missed)
    })
    .await;
}

fn knows_all(port: u16) -> bool {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
    let info: String = client
        .get_connection()
        .and_then(|mut connection| redis::cmd("INFO").arg("sentinel").query(&mut connection))
        .unwrap_or_default();
    info.contains("slaves=1,sentinels=3") || info.contains("replicas=1,sentinels=3")
}

#[tokio::test]
async fn long_a_cluster() {
    if !is_long() {
        return;
    }
    let (Some(client), Some(first)) = (program("cli"), Server::plain("cluster-enabled yes")) else {
        return;
    };
    let mut servers = vec![first];
    servers.extend((0..2).map(|_| Server::plain("cluster-enabled yes").unwrap()));
    let nodes = servers.iter().map(|server| format!("127.0.0.1:{}", server.port));
    let made = Command::new(client)
        .args(["--cluster", "create"])
        .args(nodes)
        .arg("--cluster-yes")
        .stdout(Stdio::null())
        .status();
    assert!(made.unwrap().success(), "the cluster is made");
    let ports: Vec<_> = servers.iter().map(|server| server.port).collect();
    let keys = MasterKeys::random();
    let open = || open(&address(ValkeyKind::Cluster, &ports), &keys);
    let (one, other) = (open(), open());
    // Every node learns by itself that all are there.
    for store in [&one, &other] {
        for number in 0..100 {
            let key = number.to_string();
            until("the cluster is whole", async || {
                store.put(Table::MoodleTokens, &key, b"1", LONG).await.is_ok()
            })
            .await;
        }
    }
    keeps_its_contract(&one, &other).await;
    for number in 0..100 {
        let key = number.to_string();
        one.put(Table::Sessions, &key, &[number], LONG).await.unwrap();
        assert_eq!(other.get(Table::Sessions, &key).await.unwrap(), Some(vec![number]));
    }
}
