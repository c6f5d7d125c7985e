//! What docs/operations.md and deploy/ say of metrics and reasons is what there is; so are the tests that docs/providers.md names.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use janua::rejection::Reason;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// `janua_…` wherever such a word stands.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let names = words.filter(|word| word.starts_with("janua_"));
    names.map(str::to_owned).collect()
}

/// Every metric that the source names.
fn metrics() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/observe");
    let mut files: Vec<PathBuf> = fs::read_dir(root.join("metrics"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.push(root.join("metrics.rs"));
    let mut found = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        let quoted = code.split('"').skip(1).step_by(2);
        found.extend(quoted.filter(|text| names(text).contains(*text)).map(str::to_owned));
    }
    assert!(found.len() > 30, "{found:?}");
    found
}

#[test]
fn every_metric_is_documented_and_no_other() {
    let documented = read("docs/operations.md");
    let rows = documented
        .lines()
        .filter_map(|line| line.strip_prefix("| `janua_")?.split('`').next());
    let rows: BTreeSet<String> = rows.map(|name| format!("janua_{name}")).collect();
    assert_eq!(rows, metrics());
}

/// Prometheus' own tool says so. Where it is missing, the test is skipped, and fails if `CI` is set.
#[test]
fn alerts_fire_when_they_should() {
    let tested = Command::new("promtool")
        .args(["test", "rules", "deploy/prometheus-rules-test.yaml"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    match tested {
        Ok(tested) => assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr)),
        Err(_) if std::env::var_os("CI").is_none() => eprintln!("skipped: promtool is not installed"),
        Err(missing) => panic!("promtool is needed here: {missing}"),
    }
}

#[test]
fn the_board_and_the_alerts_ask_for_metrics_that_there_are() {
    let metrics = metrics();
    for file in [
        "deploy/grafana.json",
        "deploy/prometheus-rules.yaml",
        "docs/operations.md",
    ] {
        let asked = names(&read(file));
        assert!(asked.len() > 10, "{file}: {asked:?}");
        let unknown: Vec<_> = asked
            .iter()
            .filter(|name| {
                let histogram = ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|end| name.strip_suffix(end));
                !metrics.contains(*name) && histogram.is_none_or(|name| !metrics.contains(name))
            })
            .collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
}

#[test]
fn every_reason_is_documented() {
    let documented = read("docs/operations.md");
    let (_, table) = documented.split_once("\n## Reasons\n").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let missing = Reason::ALL.iter().map(|reason| reason.label());
    let missing: Vec<_> = missing.filter(|label| !table.contains(&format!("`{label}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// `peers::keycloak::sign_in`, or with `…` at its end what the name of one test begins with.
#[test]
fn every_test_that_the_table_of_providers_names_is_there() {
    let documented = read("docs/providers.md");
    let (_, table) = documented.split_once("\n## What is tested\n").unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let (head, rows) = rows.split_first().unwrap();
    assert!(rows.len() > 7, "{rows:?}");
    let named = table.split('`').skip(1).step_by(2).filter(|name| name.contains("::"));
    let unknown: Vec<&str> = named.filter(|name| tests_named(name) != 1).collect();
    assert!(unknown.is_empty(), "none, or several: {unknown:?}");
    for row in rows {
        assert_eq!(row.len(), head.len(), "{row:?}");
        let silent = |cell: &&&str| !cell.contains("::") && !matches!(**cell, "---" | "not offered" | "a double alone");
        assert_eq!(row.iter().skip(1).find(silent), None, "{row:?}");
    }
}

/// How many tests of tests/e2e have this name, or steps of one test.
fn tests_named(name: &str) -> usize {
    let (place, name) = name.rsplit_once("::").unwrap();
    let place = format!("tests/e2e/{}", place.replace("::", "/"));
    let source = match Path::new(env!("CARGO_MANIFEST_DIR")).join(&place).is_dir() {
        true => read(&format!("{place}/mod.rs")),
        false => read(&format!("{place}.rs")),
    };
    let steps = source.split_once("steps!(").map_or("", |(_, steps)| steps);
    let steps = steps.split(')').next().unwrap_or_default();
    let steps = steps.lines().filter_map(|line| line.trim().strip_suffix(','));
    let tests = source.lines().zip(source.lines().skip(1));
    let tests = tests.filter(|(attribute, _)| *attribute == "#[test]");
    let tests = tests.filter_map(|(_, function)| function.strip_prefix("fn ")?.split('(').next());
    let has_name = |test: &&str| match name.strip_suffix('…') {
        Some(beginning) => test.starts_with(beginning),
        None => *test == name,
    };
    tests.chain(steps).filter(has_name).count()
}
