//! Any text as a key set: without a usable key it is none.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    if let Ok(found) = janua::authenticate::token::offline::read_keys(text) {
        assert!(!found.usable.is_empty());
    }
});
