//! Each bad gateway.toml of tests/config_errors and, letter by letter, what the operator reads about it.
//!
//! After a deliberate change of a message: `JANUA_BLESS=1 cargo test --test config_errors`, then read the difference.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use janua::config::{Severity, load_with};

const FOLDER: &str = "tests/config_errors";

fn environment(name: &str) -> Option<String> {
    (name == "SECRET").then(|| "hunter2".to_owned())
}

fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    cases.sort();
    cases
}

fn told(path: &Path) -> String {
    match load_with(path, &environment) {
        Ok(loaded) => loaded.warnings.render(false),
        Err(problems) => problems.render(false),
    }
}

#[test]
fn every_bad_file_is_told_exactly_so() {
    let bless = std::env::var_os("JANUA_BLESS").is_some();
    let mut wrong = Vec::new();
    let cases = cases();
    assert!(cases.len() > 40, "the cases are not where they were");
    for path in cases {
        let told = told(&path);
        let expected_at = path.with_extension("txt");
        if bless {
            fs::write(&expected_at, &told).unwrap();
        }
        let expected = fs::read_to_string(&expected_at).unwrap_or_default();
        if told != expected {
            wrong.push(format!(
                "=== {}\n--- expected\n{expected}--- told\n{told}",
                path.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn warnings_alone_do_not_refuse_a_file() {
    let loaded = load_with(&Path::new(FOLDER).join("warnings.toml"), &environment).unwrap();
    assert!(!loaded.warnings.is_empty());
    assert!(loaded.warnings.iter().all(|one| one.severity() == Severity::Warning));
}

#[test]
fn every_other_case_is_refused() {
    for path in cases().iter().filter(|path| {
        ![
            "warnings.toml",
            "unmet.toml",
            "people_warned.toml",
            "moodle_launch.toml",
        ]
        .iter()
        .any(|fine| path.ends_with(fine))
    }) {
        assert!(load_with(path, &environment).is_err(), "{}", path.display());
    }
}

#[test]
fn what_a_variable_holds_is_never_told() {
    for path in cases() {
        assert!(!told(&path).contains("hunter2"), "{}", path.display());
    }
}

#[test]
fn what_belongs_to_later_versions_is_never_called_unknown() {
    let told = told(&Path::new(FOLDER).join("later.toml"));
    assert!(told.contains("not available in this version yet"), "{told}");
    assert!(!told.contains("unknown key"), "{told}");
}

#[test]
fn a_file_that_is_not_there_is_told_without_a_line() {
    let told = told(Path::new("tests/config_errors/none.toml"));
    assert!(
        told.starts_with("error: cannot read tests/config_errors/none.toml: "),
        "{told}"
    );
    assert!(told.contains("--config"), "{told}");
}

#[test]
fn colour_is_only_colour() {
    let problems = load_with(&Path::new(FOLDER).join("rules.toml"), &environment).unwrap_err();
    let coloured = problems.render(true);
    assert!(coloured.contains("\u{1b}["));
    let mut plain = String::new();
    for (index, piece) in coloured.split("\u{1b}[").enumerate() {
        plain.push_str(if index == 0 {
            piece
        } else {
            piece.split_once('m').unwrap().1
        });
    }
    assert_eq!(plain, problems.render(false));
}
