//! What every store must do, whatever is below it; and what the file alone must do.

use std::time::{Duration, Instant};

use super::*;

/// Nothing that works takes as long.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);
pub(super) const LONG: Option<Duration> = Some(Duration::from_secs(3600));
/// Waited for where something has to expire.
const SHORT: Option<Duration> = Some(Duration::from_millis(30));

/// The contract, over two handles on what is below.
pub(super) async fn keeps_its_contract(store: &Store, other: &Store) {
    values(store, other).await;
    new_ones(store, other).await;
    expiry(store).await;
    touches(store, other).await;
    groups(store, other).await;
    pages(store, other).await;
    notices(store, other).await;
    store.healthy().await.unwrap();
}

async fn values(store: &Store, other: &Store) {
    let table = Table::KeySets;
    let get = async |store: &Store, key| store.get(table, key).await.unwrap();
    assert_eq!(get(store, "a").await, None);
    assert!(!store.delete(table, "a").await.unwrap());
    store.put(table, "a", b"one", None).await.unwrap();
    store.put(table, "b", b"", LONG).await.unwrap();
    assert_eq!(get(other, "a").await.as_deref(), Some(&b"one"[..]));
    assert_eq!(get(other, "b").await.as_deref(), Some(&b""[..]));
    assert_eq!(store.get(Table::Sessions, "a").await.unwrap(), None, "another table");
    let large = vec![0xff; 300_000];
    store.put(table, "a", &large, LONG).await.unwrap();
    assert_eq!(get(other, "a").await, Some(large));
    assert!(store.delete(table, "a").await.unwrap());
    assert!(!other.delete(table, "a").await.unwrap());
    assert_eq!(get(store, "a").await, None);
    assert!(get(store, "b").await.is_some());
    let odd = "é\n\0 {x}".repeat(500);
    store.put(table, &odd, b"odd", None).await.unwrap();
    assert_eq!(get(store, &odd).await.as_deref(), Some(&b"odd"[..]));
}

async fn touches(store: &Store, other: &Store) {
    let table = Table::Sessions;
    let hour = Duration::from_secs(3600);
    assert_eq!(store.touch(table, "t", hour).await.unwrap(), None);
    assert_eq!(store.get(table, "t").await.unwrap(), None, "a touch makes nothing");
    store.put(table, "t", b"live", LONG).await.unwrap();
    assert_eq!(
        other.touch(table, "t", hour).await.unwrap().as_deref(),
        Some(&b"live"[..])
    );
    store.touch(table, "t", Duration::from_millis(30)).await.unwrap();
    let deadline = Instant::now() + DEADLINE;
    while store.get(table, "t").await.unwrap().is_some() {
        assert!(Instant::now() < deadline, "a touch may shorten a life too");
        tokio::task::yield_now().await;
    }
}

async fn new_ones(store: &Store, other: &Store) {
    let table = Table::Tickets;
    let racers = (0..20).map(|number: u8| {
        let store = if number.is_multiple_of(2) {
            store.clone()
        } else {
            other.clone()
        };
        tokio::spawn(async move { store.put_new(table, "ST-1", &[number], LONG).await.unwrap() })
    });
    let mut winners = Vec::new();
    for (number, racer) in racers.collect::<Vec<_>>().into_iter().enumerate() {
        if racer.await.unwrap() {
            winners.push(u8::try_from(number).unwrap());
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(store.get(table, "ST-1").await.unwrap(), Some(winners));
    assert!(store.delete(table, "ST-1").await.unwrap());
    assert!(store.put_new(table, "ST-1", b"again", SHORT).await.unwrap());
    until("what has expired is no predecessor", async || {
        store.put_new(table, "ST-1", b"later", LONG).await.unwrap()
    })
    .await;
}

async fn expiry(store: &Store) {
    let table = Table::Sessions;
    store.put(table, "brief", b"1", SHORT).await.unwrap();
    store.put(table, "prolonged", b"1", SHORT).await.unwrap();
    store.put(table, "prolonged", b"2", LONG).await.unwrap();
    store.put(table, "kept", b"1", SHORT).await.unwrap();
    store.put(table, "kept", b"2", None).await.unwrap();
    until("it expires", async || {
        store.get(table, "brief").await.unwrap().is_none()
    })
    .await;
    assert!(
        !store.delete(table, "brief").await.unwrap(),
        "what has expired is not there"
    );
    for key in ["prolonged", "kept"] {
        assert_eq!(
            store.get(table, key).await.unwrap().as_deref(),
            Some(&b"2"[..]),
            "{key}"
        );
    }
    store.put(table, "none", b"1", Some(Duration::ZERO)).await.unwrap();
    until("no time is soon over", async || {
        store.get(table, "none").await.unwrap().is_none()
    })
    .await;
}

async fn groups(store: &Store, other: &Store) {
    let index = Index::SessionsBySubject;
    let add = async |group, member, score, ttl| store.index_add(index, group, member, score, ttl).await.unwrap();
    let members = async |group| other.index_members(index, group).await.unwrap();
    assert_eq!(members("anna").await, []);
    assert!(!store.index_remove(index, "anna", "s1").await.unwrap());
    let now = 1_800_000_000_000;
    add("anna", "s2", now + 2, LONG).await;
    add("anna", "s3", now + 3, LONG).await;
    add("anna", "s1", now + 1, LONG).await;
    add("bert", "s4", 0, LONG).await;
    let of =
        |list: &[(&str, u64)]| -> Vec<_> { list.iter().map(|(name, score)| ((*name).to_owned(), *score)).collect() };
    assert_eq!(
        members("anna").await,
        of(&[("s1", now + 1), ("s2", now + 2), ("s3", now + 3)])
    );
    add("anna", "s1", now + 4, LONG).await;
    assert_eq!(
        members("anna").await,
        of(&[("s2", now + 2), ("s3", now + 3), ("s1", now + 4)])
    );
    assert!(store.index_remove(index, "anna", "s2").await.unwrap());
    assert!(!store.index_remove(index, "anna", "s2").await.unwrap());
    assert_eq!(members("anna").await, of(&[("s3", now + 3), ("s1", now + 4)]));
    assert_eq!(members("bert").await, of(&[("s4", 0)]));

    add("carl", "s1", 1, SHORT).await;
    until("a group expires", async || members("carl").await.is_empty()).await;
    for (group, first, second) in [("dora", SHORT, LONG), ("emil", LONG, SHORT), ("fred", None, SHORT)] {
        add(group, "s1", 1, first).await;
        add(group, "s2", 2, second).await;
    }
    // Whatever was to live as briefly is gone by then.
    add("gina", "s1", 1, SHORT).await;
    until("the last one expires", async || members("gina").await.is_empty()).await;
    for group in ["dora", "emil", "fred"] {
        let left = members(group).await;
        assert!(left.contains(&("s2".to_owned(), 2)), "{group}: {left:?}");
    }
}

/// All values of a table, each once.
pub(super) async fn all(store: &Store, table: Table) -> Vec<Vec<u8>> {
    let (mut values, mut after) = (Vec::new(), None);
    loop {
        let page = store.page(table, after.as_deref()).await.unwrap();
        values.extend(page.values);
        after = page.next;
        if after.is_none() {
            values.sort_unstable();
            values.dedup();
            return values;
        }
    }
}

async fn pages(store: &Store, other: &Store) {
    assert_eq!(all(store, Table::MoodleVault).await, Vec::<Vec<u8>>::new());
    let mut expected = Vec::new();
    for number in 0..40_u32 {
        let value = format!("value {number:02}").into_bytes();
        let key = number.to_string();
        store.put(Table::MoodleVault, &key, &value, None).await.unwrap();
        store
            .put(Table::MoodleTokens, &key, b"another table", LONG)
            .await
            .unwrap();
        expected.push(value);
    }
    assert_eq!(all(other, Table::MoodleVault).await, expected);
    assert!(other.delete(Table::MoodleVault, "7").await.unwrap());
    expected.remove(7);
    assert_eq!(all(store, Table::MoodleVault).await, expected);
}

async fn notices(store: &Store, other: &Store) {
    let mut here = store.subscribe();
    let mut there = other.subscribe();
    let hears = async |receiver: &mut Notices, text: &str| {
        until("the notice arrives", async || match receiver.0.try_recv() {
            Ok(notice) => notice == Notice::Message(text.into()),
            Err(_) => {
                tokio::task::yield_now().await;
                false
            }
        })
        .await;
    };
    // A subscription counts from some moment on that only the store knows.
    until("the subscription counts", async || {
        store.notify("first").await.unwrap();
        here.0.try_recv() == Ok(Notice::Message("first".into())) && there.0.try_recv().is_ok()
    })
    .await;
    store.notify("session a ended").await.unwrap();
    hears(&mut here, "session a ended").await;
    hears(&mut there, "session a ended").await;
    other.notify("session b ended").await.unwrap();
    hears(&mut here, "session b ended").await;
}

/// Asks until the answer is yes.
pub(super) async fn until(what: &str, mut ask: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !ask().await {
        assert!(started.elapsed() < DEADLINE, "{what}: never");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn embedded(folder: &tempfile::TempDir) -> State {
    State::Embedded {
        path: folder.path().join("state/janua.redb"),
        key_file: folder.path().join("unused: keys are handed in"),
    }
}

#[tokio::test]
async fn in_memory() {
    let store = Store::in_memory();
    keeps_its_contract(&store, &store.clone()).await;
}

#[tokio::test]
async fn in_a_file_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (state, keys) = (embedded(&folder), MasterKeys::random());
    let open = || Store::open(&state, &keys, &Metrics::new()).unwrap();
    let store = open();
    keeps_its_contract(&store, &store.clone()).await;
    store.put(Table::Sessions, "kept", b"yes", LONG).await.unwrap();
    store.put(Table::Sessions, "brief", b"yes", SHORT).await.unwrap();
    let index = Index::SessionsBySubject;
    store.index_add(index, "anna", "kept", 7, LONG).await.unwrap();
    drop(store);
    let store = open();
    let kept = store.get(Table::Sessions, "kept").await.unwrap();
    assert_eq!(kept.as_deref(), Some(&b"yes"[..]));
    let members = store.index_members(index, "anna").await.unwrap();
    assert!(members.contains(&("kept".to_owned(), 7)), "{members:?}");
    until("time went on meanwhile", async || {
        store.get(Table::Sessions, "brief").await.unwrap().is_none()
    })
    .await;
}

#[tokio::test]
async fn a_file_shows_nobody_what_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&embedded(&folder), &MasterKeys::random(), &Metrics::new()).unwrap();
    store
        .put(Table::Tickets, "ST-secret-ticket", b"secret-value", LONG)
        .await
        .unwrap();
    store
        .index_add(Index::SessionsBySubject, "secret-subject", "s1", 1, LONG)
        .await
        .unwrap();
    drop(store);
    let bytes = std::fs::read(folder.path().join("state/janua.redb")).unwrap();
    for secret in ["secret-ticket", "secret-value", "secret-subject"] {
        let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!found, "{secret}");
    }
}

#[tokio::test]
async fn another_key_finds_nothing_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (state, metrics) = (embedded(&folder), Metrics::new());
    let store = Store::open(&state, &MasterKeys::random(), &metrics).unwrap();
    store.put(Table::Sessions, "a", b"value", LONG).await.unwrap();
    drop(store);
    let store = Store::open(&state, &MasterKeys::random(), &metrics).unwrap();
    assert_eq!(store.get(Table::Sessions, "a").await.unwrap(), None);
    let text = String::from_utf8(metrics.render()).unwrap();
    assert!(text.contains("janua_store_unreadable_total 1"), "{text}");
    store.put(Table::Sessions, "a", b"new", LONG).await.unwrap();
    assert_eq!(
        store.get(Table::Sessions, "a").await.unwrap().as_deref(),
        Some(&b"new"[..])
    );
}

#[tokio::test]
async fn a_value_counts_in_its_own_place_only() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&embedded(&folder), &MasterKeys::random(), &Metrics::new()).unwrap();
    store.put(Table::Sessions, "anna", b"anna's", LONG).await.unwrap();
    let Backend::Embedded(file) = &store.inner.backend else {
        unreachable!("it is a file")
    };
    let place = |key| place::Place::new(Table::Sessions.name(), key);
    let bytes = file.get(place("anna")).await.unwrap().unwrap().bytes.to_vec();
    let (ttl, only_new) = (None, false);
    file.change(place("bert"), Change::Put { bytes, ttl, only_new }, false)
        .await
        .unwrap();
    assert_eq!(store.get(Table::Sessions, "bert").await.unwrap(), None);
    assert!(store.get(Table::Sessions, "anna").await.unwrap().is_some());
}

/// Turns everything over to the newest key.
pub(super) async fn rotated(store: &Store) -> Rotated {
    let mut sum = Rotated::default();
    loop {
        let step = store.rotate(sum.next.as_deref()).await.unwrap();
        sum = Rotated {
            resealed: sum.resealed + step.resealed,
            newest: sum.newest + step.newest,
            unreadable: sum.unreadable + step.unreadable,
            next: step.next,
        };
        if sum.next.is_none() {
            return sum;
        }
    }
}

/// The keys before, while and after a rotation.
pub(super) fn three_keys() -> [MasterKeys; 3] {
    let line = |byte: u8| base64::Engine::encode(&base64::prelude::BASE64_STANDARD, [byte; 32]);
    let folder = tempfile::tempdir().unwrap();
    let read = |lines: &[u8]| {
        let path = folder.path().join("master.key");
        let lines: Vec<_> = lines.iter().map(|byte| line(*byte)).collect();
        std::fs::write(&path, lines.join("\n")).unwrap();
        MasterKeys::load(&path, false).unwrap()
    };
    [read(&[1]), read(&[2, 1]), read(&[2])]
}

/// More than one step of values, sealed by `old`; `both` turns them over; then `new` alone has them all.
pub(super) async fn a_rotation(old: Store, both: impl FnOnce() -> Store, new: impl FnOnce() -> Store) {
    const VALUES: u32 = 1200;
    let put = |number: u32| {
        let old = old.clone();
        let ttl = number.is_multiple_of(2).then_some(Duration::from_secs(3600));
        tokio::spawn(async move {
            old.put(Table::Sessions, &number.to_string(), &number.to_be_bytes(), ttl)
                .await
        })
    };
    for task in (0..VALUES).map(put).collect::<Vec<_>>() {
        task.await.unwrap().unwrap();
    }
    old.index_add(Index::SessionsBySubject, "anna", "s1", 1, LONG)
        .await
        .unwrap();
    drop(old);
    let store = both();
    store.put(Table::Tickets, "new", b"yes", LONG).await.unwrap();
    // A step that was made before, as by a rotation that was stopped.
    let first = store.rotate(None).await.unwrap();
    assert!(first.resealed > 0 && first.next.is_some(), "{first:?}");
    let rest = rotated(&store).await;
    assert_eq!(rest.resealed, u64::from(VALUES) - first.resealed);
    assert_eq!((rest.newest, rest.unreadable), (first.resealed + 1, 0));
    assert_eq!(rotated(&store).await.resealed, 0);
    drop(store);
    let store = new();
    for number in 0..VALUES {
        let value = store.get(Table::Sessions, &number.to_string()).await.unwrap();
        assert_eq!(value.as_deref(), Some(&number.to_be_bytes()[..]));
    }
    assert!(store.get(Table::Tickets, "new").await.unwrap().is_some());
    assert_eq!(
        store
            .index_members(Index::SessionsBySubject, "anna")
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_file_is_turned_over_to_a_new_key() {
    let folder = tempfile::tempdir().unwrap();
    let (state, keys) = (embedded(&folder), three_keys());
    let open = |keys: &MasterKeys| Store::open(&state, keys, &Metrics::new()).unwrap();
    let [old, both, new] = &keys;
    a_rotation(open(old), || open(both), || open(new)).await;
    let store = open(new);
    assert!(store.seals_with(new) && store.seals_with(both) && !store.seals_with(old));
}

#[tokio::test]
async fn what_is_changed_while_it_is_turned_over_stays_changed() {
    let folder = tempfile::tempdir().unwrap();
    let (state, [old, both, new]) = (embedded(&folder), three_keys());
    let open = |keys: &MasterKeys| Store::open(&state, keys, &Metrics::new()).unwrap();
    let store = open(&old);
    for number in 0..300_u32 {
        store
            .put(Table::Sessions, &number.to_string(), b"before", None)
            .await
            .unwrap();
    }
    drop(store);
    let store = open(&both);
    let changing = store.clone();
    let changes = tokio::spawn(async move {
        for number in 0..300_u32 {
            let key = number.to_string();
            match number % 3 {
                0 => changing.put(Table::Sessions, &key, b"after", None).await.unwrap(),
                1 => drop(changing.delete(Table::Sessions, &key).await.unwrap()),
                _ => drop(
                    changing
                        .touch(Table::Sessions, &key, Duration::from_secs(3600))
                        .await
                        .unwrap(),
                ),
            }
        }
    });
    rotated(&store).await;
    changes.await.unwrap();
    assert_eq!(rotated(&store).await.unreadable, 0);
    drop(store);
    let store = open(&new);
    for number in 0..300_u32 {
        let value = store.get(Table::Sessions, &number.to_string()).await.unwrap();
        let expected = [Some(&b"after"[..]), None, Some(&b"before"[..])][number as usize % 3];
        assert_eq!(value.as_deref(), expected, "{number}");
    }
}

#[tokio::test]
async fn a_file_forgets_what_has_expired() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&embedded(&folder), &MasterKeys::random(), &Metrics::new()).unwrap();
    let Backend::Embedded(file) = &store.inner.backend else {
        unreachable!("it is a file")
    };
    let change = || Change::Put {
        bytes: vec![1; 700],
        ttl: Some(Duration::from_millis(1)),
        only_new: false,
    };
    for number in 0..50 {
        let place = place::Place::new("t", &number.to_string());
        file.change(place, change(), false).await.unwrap();
        // Once more: of one record one expiry is kept.
        file.change(place, change(), false).await.unwrap();
    }
    until("the sweep comes by", async || file.counts().unwrap() == (0, 0)).await;
}

#[tokio::test]
async fn a_burst_of_writes_is_all_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&embedded(&folder), &MasterKeys::random(), &Metrics::new()).unwrap();
    let put = |number: u32| {
        let store = store.clone();
        tokio::spawn(async move { store.put(Table::Sessions, &number.to_string(), &[7; 700], LONG).await })
    };
    for task in (0..5000).map(put).collect::<Vec<_>>() {
        task.await.unwrap().unwrap();
    }
    for number in 0..5000 {
        assert!(store.get(Table::Sessions, &number.to_string()).await.unwrap().is_some());
    }
}
