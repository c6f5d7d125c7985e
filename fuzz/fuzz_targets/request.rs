//! Any method, target and header: what is accepted has one path, and nothing in it leads upwards.
#![no_main]

use janua::listen::intake;
use janua::route::path::Path;
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
    let Ok(request) = intake::take(&header, None) else {
        return;
    };
    if let Ok(path) = Path::parse(&request.raw_path) {
        assert!(
            path.decoded()
                .split('/')
                .all(|segment| segment != ".." && segment != ".")
        );
    }
});
