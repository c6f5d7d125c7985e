//! The file after a `kill -9` in the middle of writes: a child of this test binary writes, and is killed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::Embedded;
use crate::store::place::Place;
use crate::store::record::{self, Change, Millis};

const CHILD: &str = "JANUA_TEST_STORE_CHILD";
/// What a crash may cost.
const PROMISE: Millis = 50;

fn place(number: u64) -> Place {
    Place::new("t", &number.to_string())
}

/// No test by itself: what the child does. It tells each write's number and when it had returned.
#[tokio::test]
async fn child_that_writes_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD).map(PathBuf::from) else {
        return;
    };
    let store = Embedded::open(&path).unwrap();
    let mut out = std::io::stdout().lock();
    for number in 0.. {
        let change = Change::Put {
            bytes: format!("value {number} ").repeat(60).into_bytes(),
            ttl: None,
            only_new: false,
        };
        store.change(place(number), change, false).await.unwrap();
        writeln!(out, "wrote {number} {}", record::now()).unwrap();
    }
}

/// Writes for `time`, is killed, and returns what it had told: when each number was written.
fn written_by_a_killed_child(path: &std::path::Path, time: Duration) -> Vec<Millis> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "--test-threads=1"])
        .arg("store::embedded::tests::child_that_writes_until_it_is_killed")
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut written = Vec::new();
    let mut is_alive = true;
    for line in lines.map_while(Result::ok) {
        // The first stands behind the test's own name.
        let Some((_, told)) = line.split_once("wrote ") else {
            continue;
        };
        let Some((number, when)) = told.split_once(' ') else {
            continue;
        };
        let (Ok(number), Ok(when)) = (number.parse::<usize>(), when.parse()) else {
            continue;
        };
        assert_eq!(number, written.len());
        written.push(when);
        let first = *written.first().unwrap();
        if is_alive && u128::from(when - first) >= time.as_millis() {
            child.kill().unwrap();
            is_alive = false;
        }
    }
    child.kill().ok();
    child.wait().unwrap();
    written
}

#[tokio::test]
async fn a_kill_costs_at_most_the_last_moments() {
    let folder = tempfile::tempdir().unwrap();
    let mut losses = Vec::new();
    for round in 0..7 {
        let path = folder.path().join(format!("{round}.redb"));
        let written = written_by_a_killed_child(&path, Duration::from_millis(70 + 31 * round));
        let killed = *written.last().expect("it wrote");
        let store = Embedded::open(&path).expect("the file is whole");
        let mut kept = 0;
        while let Some(record) = store.get(place(kept)).await.unwrap() {
            assert_eq!(&*record.bytes, format!("value {kept} ").repeat(60).as_bytes());
            kept += 1;
        }
        // Nothing but the end is missing.
        for number in kept..written.len() as u64 {
            assert_eq!(store.get(place(number)).await.unwrap(), None, "{number} without {kept}");
        }
        assert_eq!(store.counts().unwrap(), (kept, 0));
        let first_lost = written.get(usize::try_from(kept).unwrap()).copied().unwrap_or(killed);
        losses.push(killed - first_lost);
    }
    // A machine that stands still for a moment shows in some rounds, a promise not kept in all.
    losses.sort_unstable();
    assert!(losses[losses.len() / 2] <= PROMISE, "milliseconds lost: {losses:?}");
}
