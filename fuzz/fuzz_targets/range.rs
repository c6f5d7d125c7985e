//! Any `Range` header, for a file of any length.
#![no_main]

#[path = "../invariants.rs"]
mod invariants;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u64, &[u8])| {
    let (complete, value) = input;
    invariants::range(value, complete);
});
