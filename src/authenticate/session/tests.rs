//! Sessions over a store in memory: who is known, for how long, and how it ends.

use std::time::Instant;

use super::*;
use crate::authenticate::sign_in::cas::Principal;
use crate::authenticate::sign_in::cas::Ticket;
use crate::config::cas::{Protocol, RoleRule};
use crate::config::{Cas, Provider, SessionLimits};
use crate::observe::metrics::Metrics;

const HOUR: Duration = Duration::from_secs(3600);
const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn campus() -> SignIn {
    SignIn {
        name: "campus".into(),
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
            ca_file: None,
        }),
    }
}

fn anna(ticket: &str) -> NewSession {
    let mut principal = Principal {
        user: "anna".into(),
        ..Principal::default()
    };
    principal.attributes.add("affiliation", "student").unwrap();
    NewSession {
        subject: "anna".into(),
        principal,
        ticket: Ticket::service(ticket).unwrap(),
    }
}

fn sessions(store: &Store, keys: &MasterKeys) -> Arc<Sessions> {
    Sessions::new(store, keys, Metrics::new().sessions())
}

async fn is_known(sessions: &Sessions, secret: &str, sign_ins: &[SignIn], now: SystemTime) -> bool {
    sessions.find(&Carried::cookie(secret), sign_ins, now).await.is_ok()
}

#[tokio::test]
async fn whoever_signed_in_is_known_until_the_session_ends() {
    let (store, keys) = (Store::in_memory(), MasterKeys::random());
    let sessions = sessions(&store, &keys);
    let (secret, begun) = sessions
        .begin(&campus(), anna("ST-1"), Carrier::Cookie, NOW)
        .await
        .unwrap();
    let found = sessions
        .find(&Carried::cookie(&secret), &[campus()], NOW)
        .await
        .unwrap();
    assert_eq!(found.key, begun.key);
    assert_eq!(found.identity.subject.as_deref(), Some("anna"));
    assert_eq!(
        (&*found.identity.source, found.identity.roles.as_slice()),
        ("campus", &["ROLE_student".to_owned()][..])
    );
    assert_eq!(found.expires, NOW + 12 * HOUR);

    assert!(
        !is_known(&sessions, &secret, &[campus()], NOW + 12 * HOUR).await,
        "the absolute end"
    );
    let (other, _) = Secrets::new(&MasterKeys::random()).make(Carrier::Cookie);
    assert!(
        !is_known(&sessions, &other, &[campus()], NOW).await,
        "another key's cookie"
    );
    let as_bearer = format!("jns_{secret}");
    let as_bearer = Carried::bearer(&as_bearer).unwrap();
    assert!(
        sessions.find(&as_bearer, &[campus()], NOW).await.is_err(),
        "a cookie is no bearer"
    );

    assert!(sessions.end(begun.key, "sign_out").await.unwrap());
    assert!(!is_known(&sessions, &secret, &[campus()], NOW).await);
    assert!(!sessions.end(begun.key, "sign_out").await.unwrap(), "once");
}

#[tokio::test]
async fn a_session_of_a_sign_in_that_is_gone_counts_no_more() {
    let (store, keys) = (Store::in_memory(), MasterKeys::random());
    let begun = sessions(&store, &keys)
        .begin(&campus(), anna("ST-1"), Carrier::Cookie, NOW)
        .await
        .unwrap();
    // Another process, which remembers nothing.
    assert!(is_known(&sessions(&store, &keys), &begun.0, &[campus()], NOW).await);
    assert!(!is_known(&sessions(&store, &keys), &begun.0, &[], NOW).await);
    let shorter = SignIn {
        session: SessionLimits {
            absolute: HOUR,
            ..campus().session
        },
        ..campus()
    };
    assert!(!is_known(&sessions(&store, &keys), &begun.0, &[shorter], NOW + HOUR).await);
}

#[tokio::test]
async fn a_person_has_so_many_sessions_and_the_oldest_goes() {
    let (store, keys) = (Store::in_memory(), MasterKeys::random());
    let sessions = sessions(&store, &keys);
    let mut secrets = Vec::new();
    for number in 0..4 {
        let now = NOW + Duration::from_secs(number);
        let new = anna(&format!("ST-{number}"));
        secrets.push(sessions.begin(&campus(), new, Carrier::Cookie, now).await.unwrap().0);
    }
    let mut known = Vec::new();
    for secret in &secrets {
        known.push(is_known(&sessions, secret, &[campus()], NOW).await);
    }
    assert_eq!(known, [false, false, true, true]);
}

#[tokio::test]
async fn a_ticket_ends_its_session_in_every_process() {
    let (store, keys) = (Store::in_memory(), MasterKeys::random());
    let (here, there) = (sessions(&store, &keys), sessions(&store, &keys));
    let following = there.follow();
    let (secret, begun) = here.begin(&campus(), anna("ST-1"), Carrier::Cookie, NOW).await.unwrap();
    assert!(is_known(&there, &secret, &[campus()], NOW).await);
    assert_eq!(here.end_by_ticket("ST-2").await.unwrap(), None);
    assert_eq!(here.end_by_ticket("ST-1").await.unwrap(), Some(begun.key));
    assert!(!is_known(&here, &secret, &[campus()], NOW).await);
    let deadline = Instant::now() + REMEMBERED / 2;
    while is_known(&there, &secret, &[campus()], NOW).await {
        assert!(Instant::now() < deadline, "told, not forgotten");
        tokio::task::yield_now().await;
    }
    assert_eq!(here.end_by_ticket("ST-1").await.unwrap(), None);
    following.abort();
}

#[tokio::test]
async fn an_ended_session_that_is_put_back_into_the_store_stays_ended() {
    let (store, keys) = (Store::in_memory(), MasterKeys::random());
    let (here, there) = (sessions(&store, &keys), sessions(&store, &keys));
    let (here_follows, there_follows) = (here.follow(), there.follow());
    let (secret, begun) = here.begin(&campus(), anna("ST-1"), Carrier::Cookie, NOW).await.unwrap();
    let name = begun.key.text();
    let record = store.get(Table::Sessions, &name).await.unwrap().unwrap();
    here.end(begun.key, "sign_out").await.unwrap();
    while !there.ended.has(&begun.key) {
        tokio::task::yield_now().await;
    }
    store.put(Table::Sessions, &name, &record, Some(HOUR)).await.unwrap();
    for sessions in [&here, &there] {
        // As after some seconds.
        sessions.remembered.invalidate(&begun.key).await;
        assert!(!is_known(sessions, &secret, &[campus()], NOW).await);
        assert!(
            sessions
                .peek(&Carried::cookie(&secret), &[campus()], NOW)
                .await
                .is_err()
        );
        assert!(sessions.named(begun.key, &[campus()], NOW).await.unwrap().is_none());
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
    let here = sessions(&store, &keys);
    let (secret, begun) = here.begin(&brief, anna("ST-1"), Carrier::Cookie, NOW).await.unwrap();
    let carried = Carried::cookie(&secret);
    let there = sessions(&store, &keys);
    let sign_ins = [brief];
    let deadline = Instant::now() + Duration::from_secs(20);
    // It lives on for nobody who only looks, and nobody is remembered.
    while let Ok(seen) = there.peek(&carried, &sign_ins, NOW).await {
        assert_eq!(seen.key, begun.key);
        assert!(Instant::now() < deadline, "it ends by itself");
        tokio::task::yield_now().await;
    }
    let (other, _) = Secrets::new(&MasterKeys::random()).make(Carrier::Cookie);
    assert!(there.peek(&Carried::cookie(&other), &sign_ins, NOW).await.is_err());
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
    let sessions = sessions(&store, &keys);
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
            new.principal.attributes.add(name, value).unwrap();
        }
        let begun = sessions.begin(&campus(), new, Carrier::Cookie, NOW).await.unwrap();
        secrets.push(begun.0);
    }
    // What their browsers carry is not the gateway's.
    let carried = secrets.iter().map(|secret| secret.capacity() + size_of::<String>());
    let before = before + u64::try_from(carried.sum::<usize>()).unwrap();
    let kept = resident() - before;
    for secret in &secrets {
        assert!(is_known(&sessions, secret, &[campus()], NOW).await);
    }
    let active = resident() - before;
    eprintln!(
        "100 000 sessions: {} MB kept, {} MB with all of them active",
        kept / 1_000_000,
        active / 1_000_000
    );
    assert!(active < 100_000_000, "{active} bytes");
}
