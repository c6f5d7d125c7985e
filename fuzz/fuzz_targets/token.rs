//! Any token against any key set: nobody has signed it, so it does not count.
#![no_main]

use std::sync::LazyLock;
use std::time::SystemTime;

use janua::authenticate::token::offline;
use janua::config::{Config, load_with};
use libfuzzer_sys::fuzz_target;

static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../gateway.toml");
    load_with(file.as_ref(), &|_| None)
        .expect("the repository's gateway.toml")
        .config
});

/// The public key of RFC 7517 appendix A.1.
const KEYS: &[u8] = br#"{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256",
    "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;

fuzz_target!(|token: &str| {
    assert!(offline::judge(token, KEYS, &CONFIG.jwt, SystemTime::now()).is_err());
});
