//! Any text as a playlist of HLS and as a manifest of DASH.
#![no_main]

#[path = "../invariants.rs"]
mod invariants;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    invariants::hls(text);
    invariants::dash(text);
});
