//! Any file as gateway.toml.
#![no_main]

#[path = "../invariants.rs"]
mod invariants;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder for the file"));

fuzz_target!(|text: &[u8]| {
    let file = FOLDER.path().join("gateway.toml");
    std::fs::write(&file, text).expect("the file is written");
    invariants::config(&file);
});
