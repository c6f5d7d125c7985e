//! Any file as gateway.toml: what is wrong with it can be said.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder for the file"));

fuzz_target!(|text: &[u8]| {
    let file = FOLDER.path().join("gateway.toml");
    std::fs::write(&file, text).expect("the file is written");
    if let Err(problems) = janua::config::load_with(&file, &|_| Some("value".to_owned())) {
        assert!(!problems.to_string().is_empty());
    }
});
