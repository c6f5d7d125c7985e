//! Any text as a key set.
#![no_main]

#[path = "../invariants.rs"]
mod invariants;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    invariants::keys(text);
});
