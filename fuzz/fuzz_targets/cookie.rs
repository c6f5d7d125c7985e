//! Any `Cookie` fields, one a line.
#![no_main]

#[path = "../invariants.rs"]
mod invariants;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|lines: &[u8]| {
    invariants::cookie(lines);
});
