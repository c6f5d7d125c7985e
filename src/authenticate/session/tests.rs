//! Sessions over a store in memory: who is known, for how long, and how it ends.

use std::time::Instant;

use super::secret::Secrets;
use super::store::REMEMBERED;
use super::*;
use crate::config::cas::{Protocol, RoleRule};
use crate::config::{self, Cas, Outgoing, Provider, SignIn};
use crate::observe::metrics::Metrics;
use crate::sealing::MasterKeys;
use crate::store::Store;

const HOUR: Duration = Duration::from_secs(3600);
const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn campus() -> SignIn {
    SignIn {
        name: "campus".into(),
        title: None,
        people: "campus".into(),
        roles: vec![RoleRule::new(Some("affiliation"), "ROLE_{value}").unwrap()],
        session: SessionLimits {
            idle: HOUR,
            absolute: 12 * HOUR,
            per_subject: 2,
        },
        app_origins: Vec::new(),
        provider: Provider::Cas(Cas {
            server: "https://cas.example.edu/cas".parse().unwrap(),
            protocol: Protocol::Cas3,
            username: "user".into(),
            renew: false,
            passive: false,
            single_logout: true,
            proxy_chains: Vec::new(),
            once: Vec::new(),
            proxies: false,
            proxies_back_ends: false,
            outgoing: Outgoing::default(),
        }),
    }
}

fn anna(ticket: &str) -> NewSession {
    let mut attributes = Attributes::default();
    attributes.add("affiliation", "student").unwrap();
    NewSession {
        subject: "anna".into(),
        user: "anna".into(),
        attributes,
        ticket: Some(ticket.into()),
        provider: None,
        id_token: None,
        once: Attributes::default(),
    }
}

/// Anna by an OpenID provider, with an ID token made at this time.
fn by_provider(sid: &str, issued: u64) -> NewSession {
    NewSession {
        user: "u1".into(),
        ticket: None,
        provider: Some(ProviderSession {
            sid: Some(sid.into()),
            issued,
        }),
        ..anna("")
    }
}

/// A configuration with these sign-ins.
fn configured(sign_ins: &[SignIn]) -> Arc<Config> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    let text = r#"
        [server]
        listen = ["127.0.0.1:0"]
        public_url = "https://video.test"
        [[routes]]
        name = "all"
        path = "/{*rest}"
        respond = { status = 204 }
        allow = [{ anyone = true }]
        "#;
    std::fs::write(&file, text).unwrap();
    match config::load(&file) {
        Ok(loaded) => Arc::new(Config {
            sign_ins: sign_ins.to_vec(),
            ..loaded.config
        }),
        Err(problems) => panic!("{}", problems.render(false)),
    }
}

fn sessions(store: &Store, keys: &MasterKeys) -> Arc<Sessions> {
    Sessions::new(store, keys, Some(Metrics::new().sessions()))
}

/// By the first sign-in.
async fn begin(sessions: &Sessions, config: &Arc<Config>, new: NewSession, now: SystemTime) -> (String, Arc<Session>) {
    let record = SignedIn::new(&config.sign_ins[0], new, Carrier::Cookie, now);
    sessions.begin(record, config, now).await.unwrap()
}

async fn is_known(sessions: &Sessions, secret: &str, config: &Arc<Config>, now: SystemTime) -> bool {
    let found = sessions.find(&Carried::cookie(secret), config, now).await;
    found.unwrap().is_some()
}

#[tokio::test]
async fn whoever_signed_in_is_known_until_the_session_ends() {
    let (store, keys) = (Store::in_memory(), MasterKeys::random());
    let (sessions, config) = (sessions(&store, &keys), configured(&[campus()]));
    let (secret, begun) = begin(&sessions, &config, anna("ST-1"), NOW).await;
    let found = sessions
        .find(&Carried::cookie(&secret), &config, NOW)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.key, begun.key);
    assert_eq!(found.identity.subject.as_deref(), Some("anna"));
    assert_eq!(
        (&*found.identity.source, found.identity.roles.as_slice()),
        ("campus", &["ROLE_student".to_owned()][..])
    );
    assert_eq!(found.expires, NOW + 12 * HOUR);

    assert!(
        !is_known(&sessions, &secret, &config, NOW + 12 * HOUR).await,
        "the absolute end"
    );
    let (other, _) = Secrets::new(&MasterKeys::random(), SignedIn::COOKIE, SignedIn::BEARER).make(Carrier::Cookie);
    assert!(!is_known(&sessions, &other, &config, NOW).await, "another key's cookie");
    let as_bearer = format!("jns_{secret}");
    let as_bearer = Carried::bearer(&as_bearer).unwrap();
    assert!(
        sessions.find(&as_bearer, &config, NOW).await.unwrap().is_none(),
        "a cookie is no bearer"
    );

    assert!(sessions.end(begun.key, "sign_out").await.unwrap());
    assert!(!is_known(&sessions, &secret, &config, NOW).await);
    assert!(!sessions.end(begun.key, "sign_out").await.unwrap(), "once");
}

#[tokio::test]
async fn a_session_of_a_sign_in_that_is_gone_counts_no_more() {
    let (store, keys) = (Store::in_memory(), MasterKeys::random());
    let config = configured(&[campus()]);
    let begun = begin(&sessions(&store, &keys), &config, anna("ST-1"), NOW).await;
    // Another process, which remembers nothing.
    assert!(is_known(&sessions(&store, &keys), &begun.0, &config, NOW).await);
    assert!(!is_known(&sessions(&store, &keys), &begun.0, &configured(&[]), NOW).await);
    let shorter = SignIn {
        session: SessionLimits {
            absolute: HOUR,
            ..campus().session
        },
        ..campus()
    };
    assert!(!is_known(&sessions(&store, &keys), &begun.0, &configured(&[shorter]), NOW + HOUR).await);
}

#[tokio::test]
async fn a_reload_counts_at_once() {
    let (store, keys) = (Store::in_memory(), MasterKeys::random());
    let (sessions, first) = (sessions(&store, &keys), configured(&[campus()]));
    let (secret, _) = begin(&sessions, &first, anna("ST-1"), NOW).await;
    assert!(is_known(&sessions, &secret, &first, NOW).await);
    let another = SignIn {
        roles: vec![RoleRule::new(None, "ROLE_USER").unwrap()],
        ..campus()
    };
    let carried = Carried::cookie(&secret);
    let found = sessions.find(&carried, &configured(&[another]), NOW).await.unwrap();
    assert_eq!(found.unwrap().identity.roles, ["ROLE_USER"]);
    assert!(!is_known(&sessions, &secret, &configured(&[]), NOW).await);
    assert!(
        is_known(&sessions, &secret, &first, NOW).await,
        "requests that began before"
    );
}

/// Stores outlive a version, and replicas of two versions share one.
#[tokio::test]
async fn what_stands_in_a_store_stays_readable() {
    let (store, keys) = (Store::in_memory(), MasterKeys::random());
    let (sessions, config) = (sessions(&store, &keys), configured(&[campus()]));
    let text = r#"{"i":"campus","s":"anna","u":"al","a":[["affiliation",["student","staff"]]],"b":false,"c":0,"e":60,"t":"ST-1"}"#;
    let key = Carried::cookie("made elsewhere").key();
    store
        .put(Table::Sessions, &key.text(), text.as_bytes(), None)
        .await
        .unwrap();
    let found = sessions.named(key, &config, NOW).await.unwrap().unwrap();
    assert_eq!(
        (found.record.user(), found.expires),
        ("al", NOW + Duration::from_secs(60))
    );
    assert_eq!(found.identity.roles, ["ROLE_student", "ROLE_staff"]);
    assert_eq!(serde_json::to_string(&*found.record).unwrap(), text);
}

#[tokio::test]
async fn a_person_has_so_many_sessions_and_the_oldest_goes() {
    let (store, keys) = (Store::in_memory(), MasterKeys::random());
    let (sessions, config) = (sessions(&store, &keys), configured(&[campus()]));
    let mut secrets = Vec::new();
    for number in 0..4 {
        let now = NOW + Duration::from_secs(number);
        let new = anna(&format!("ST-{number}"));
        secrets.push(begin(&sessions, &config, new, now).await.0);
    }
    let mut known = Vec::new();
    for secret in &secrets {
        known.push(is_known(&sessions, secret, &config, NOW).await);
    }
    assert_eq!(known, [false, false, true, true]);
}

#[tokio::test]
async fn a_ticket_ends_its_session_in_every_process() {
    let (store, keys) = (Store::in_memory(), MasterKeys::random());
    let (here, there) = (sessions(&store, &keys), sessions(&store, &keys));
    let config = configured(&[campus()]);
    let following = there.follow();
    let (secret, begun) = begin(&here, &config, anna("ST-1"), NOW).await;
    assert!(is_known(&there, &secret, &config, NOW).await);
    assert_eq!(here.end_by_ticket("ST-2").await.unwrap(), None);
    assert_eq!(here.end_by_ticket("ST-1").await.unwrap(), Some(begun.key));
    assert!(!is_known(&here, &secret, &config, NOW).await);
    let deadline = Instant::now() + REMEMBERED / 2;
    while is_known(&there, &secret, &config, NOW).await {
        assert!(Instant::now() < deadline, "told, not forgotten");
        tokio::task::yield_now().await;
    }
    assert_eq!(here.end_by_ticket("ST-1").await.unwrap(), None);
    following.abort();
}

#[tokio::test]
async fn a_logout_at_the_provider_ends_its_sessions_wherever_they_are() {
    let (store, keys) = (Store::in_memory(), MasterKeys::random());
    let (mut campus, sessions) = (campus(), sessions(&store, &keys));
    campus.session.per_subject = 3;
    let config = configured(&[campus]);
    let (first, begun) = begin(&sessions, &config, by_provider("s1", 5), NOW).await;
    let (second, _) = begin(&sessions, &config, by_provider("s1", 6), NOW).await;
    let (other, _) = begin(&sessions, &config, by_provider("s2", 6), NOW).await;
    sessions.keep_id_token(&begun, "eyJ").await.unwrap();
    assert_eq!(sessions.id_token(&begun).await.unwrap().as_deref(), Some("eyJ"));
    for (ended, when) in [(EndedAt::Session("s9"), 9), (EndedAt::Person("anna"), 9)] {
        sessions.end_at_provider("campus", ended, Some(when)).await.unwrap();
        assert!(is_known(&sessions, &first, &config, NOW).await, "somebody else's");
    }
    sessions
        .end_at_provider("campus", EndedAt::Session("s1"), Some(9))
        .await
        .unwrap();
    assert!(!is_known(&sessions, &first, &config, NOW).await && !is_known(&sessions, &second, &config, NOW).await);
    assert!(is_known(&sessions, &other, &config, NOW).await);
    assert_eq!(sessions.id_token(&begun).await.unwrap(), None, "gone with its session");
    sessions
        .end_at_provider("campus", EndedAt::Person("u1"), Some(9))
        .await
        .unwrap();
    assert!(!is_known(&sessions, &other, &config, NOW).await);
}

#[tokio::test]
async fn a_logout_that_overtakes_its_sign_in_counts_and_a_later_sign_in_does() {
    let (store, keys) = (Store::in_memory(), MasterKeys::random());
    let (sessions, config) = (sessions(&store, &keys), configured(&[campus()]));
    sessions
        .end_at_provider("campus", EndedAt::Person("u1"), Some(100))
        .await
        .unwrap();
    let (secret, late) = begin(&sessions, &config, by_provider("s1", 100), NOW).await;
    assert!(sessions.ended_meanwhile(&late).await.unwrap());
    assert!(!is_known(&sessions, &secret, &config, NOW).await);
    let (_, newer) = begin(&sessions, &config, by_provider("s2", 101), NOW).await;
    assert!(!sessions.ended_meanwhile(&newer).await.unwrap());
    sessions
        .end_at_provider("campus", EndedAt::Session("s3"), Some(100))
        .await
        .unwrap();
    for redeemed in [90, 110] {
        let (_, late) = begin(&sessions, &config, by_provider("s3", redeemed), NOW).await;
        assert!(sessions.ended_meanwhile(&late).await.unwrap());
    }
}

#[tokio::test]
async fn an_ended_session_that_is_put_back_into_the_store_stays_ended() {
    let (store, keys) = (Store::in_memory(), MasterKeys::random());
    let (here, there) = (sessions(&store, &keys), sessions(&store, &keys));
    let config = configured(&[campus()]);
    let (here_follows, there_follows) = (here.follow(), there.follow());
    let (secret, begun) = begin(&here, &config, anna("ST-1"), NOW).await;
    let name = begun.key.text();
    let record = store.get(Table::Sessions, &name).await.unwrap().unwrap();
    here.end(begun.key, "sign_out").await.unwrap();
    while !there.ended.contains_key(&begun.key) {
        tokio::task::yield_now().await;
    }
    store.put(Table::Sessions, &name, &record, Some(HOUR)).await.unwrap();
    for sessions in [&here, &there] {
        // As after some seconds.
        sessions.remembered.invalidate(&begun.key).await;
        assert!(!is_known(sessions, &secret, &config, NOW).await);
        assert!(
            sessions
                .peek(&Carried::cookie(&secret), &config, NOW)
                .await
                .unwrap()
                .is_none()
        );
        assert!(sessions.named(begun.key, &config, NOW).await.unwrap().is_none());
    }
    here_follows.abort();
    there_follows.abort();
}

#[tokio::test]
async fn looking_at_a_session_leaves_it_as_it_is() {
    let (store, keys) = (Store::in_memory(), MasterKeys::random());
    let brief = SignIn {
        session: SessionLimits {
            idle: Duration::from_millis(50),
            ..campus().session
        },
        ..campus()
    };
    let (here, config) = (sessions(&store, &keys), configured(&[brief]));
    let (secret, begun) = begin(&here, &config, anna("ST-1"), NOW).await;
    let carried = Carried::cookie(&secret);
    let there = sessions(&store, &keys);
    let deadline = Instant::now() + Duration::from_secs(20);
    // It lives on for nobody who only looks, and nobody is remembered.
    while let Some(seen) = there.peek(&carried, &config, NOW).await.unwrap() {
        assert_eq!(seen.key, begun.key);
        assert!(Instant::now() < deadline, "it ends by itself");
        tokio::task::yield_now().await;
    }
    let (other, _) = Secrets::new(&MasterKeys::random(), SignedIn::COOKIE, SignedIn::BEARER).make(Carrier::Cookie);
    assert!(
        there
            .peek(&Carried::cookie(&other), &config, NOW)
            .await
            .unwrap()
            .is_none()
    );
}

/// What the kernel says that this process holds, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
}

/// A hundred thousand people of a campus, each with what a CAS server tells of them, first signed in and then all active.
#[tokio::test]
async fn long_a_hundred_thousand_sessions_fit_in_a_hundred_megabytes() {
    if std::env::var_os("JANUA_LONG").is_none() {
        eprintln!("left to `make test-long`");
        return;
    }
    let (store, keys) = (Store::in_memory(), MasterKeys::random());
    let (sessions, config) = (sessions(&store, &keys), configured(&[campus()]));
    let before = resident();
    let mut secrets = Vec::with_capacity(100_000);
    for number in 0..100_000 {
        let mut new = anna(&format!("ST-{number}-0123456789abcdefghijklmnopqrstuv"));
        new.subject = format!("person-{number}");
        for (name, value) in [
            ("mail", "anna@example.edu"),
            ("displayName", "Anna Example"),
            ("sn", "Example"),
        ] {
            new.attributes.add(name, value).unwrap();
        }
        let begun = begin(&sessions, &config, new, NOW).await;
        secrets.push(begun.0);
    }
    // What their browsers carry is not the gateway's.
    let carried = secrets.iter().map(|secret| secret.capacity() + size_of::<String>());
    let before = before + u64::try_from(carried.sum::<usize>()).unwrap();
    let kept = resident() - before;
    for secret in &secrets {
        assert!(is_known(&sessions, secret, &config, NOW).await);
    }
    let active = resident() - before;
    eprintln!(
        "100 000 sessions: {} MB kept, {} MB with all of them active",
        kept / 1_000_000,
        active / 1_000_000
    );
    assert!(active < 100_000_000, "{active} bytes");
}
