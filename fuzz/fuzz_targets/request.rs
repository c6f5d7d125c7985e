//! Any method, target and header.
#![no_main]

#[path = "../invariants.rs"]
mod invariants;

use libfuzzer_sys::fuzz_target;
use pingora::http::RequestHeader;

fuzz_target!(|input: (&[u8], &[u8], Vec<(String, Vec<u8>)>)| {
    let (method, target, fields) = input;
    let Ok(method) = http::Method::from_bytes(method) else {
        return;
    };
    let Ok(mut header) = RequestHeader::build(method, target, None) else {
        return;
    };
    for (name, value) in fields {
        // What is no header field pingora refuses by itself.
        header.append_header(name, value).ok();
    }
    invariants::request(&header, None);
});
