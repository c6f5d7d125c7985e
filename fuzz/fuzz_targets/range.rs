//! Any `Range` header, for a file of any length: what is sent lies within it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u64, &[u8])| {
    let (complete, header) = input;
    let ranges = janua::act::file::ranges(header, complete).unwrap_or_default();
    assert!(ranges.iter().all(|(start, end)| start < end && *end <= complete));
});
