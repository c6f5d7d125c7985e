//! Any `X-Accel-Redirect` of an upstream.
#![no_main]

#[path = "../invariants.rs"]
mod invariants;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|name: &[u8]| {
    invariants::accel_name(name);
});
