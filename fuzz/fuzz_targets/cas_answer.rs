//! Any answer of a CAS server, in any of the protocols.
#![no_main]

#[path = "../invariants.rs"]
mod invariants;

use janua::sign_in::cas::Protocol;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, Option<&str>, &[u8])| {
    let (version, kind, body) = input;
    let protocol = match version % 3 {
        0 => Protocol::Cas1,
        1 => Protocol::Cas2,
        _ => Protocol::Cas3,
    };
    invariants::cas_answer(protocol, kind, body);
});
