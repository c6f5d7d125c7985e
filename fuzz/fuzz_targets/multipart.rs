//! Any multipart body on its way to Moodle, in pieces of any length.
#![no_main]

#[path = "../invariants.rs"]
mod invariants;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (cut, body) = input;
    invariants::multipart(body, usize::from(cut));
});
