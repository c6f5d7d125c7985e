//! The form, as platforms send it and as nobody should.

use super::{ORIGIN, Stage, claims, form, launched, posted, sent_raw};
use crate::support::{Connection, Request};

#[test]
fn targets_are_pages_of_this_host() {
    let stage = Stage::new();
    let token = stage.token();
    for (target, location) in [
        ("/studio/", "/studio/"),
        ("https://video.test/studio/a?b=1", "/studio/a?b=1"),
        ("HTTPS://VIDEO.test:443/studio/a", "/studio/a"),
        ("/studio//a/?x=/../y", "/studio/a/?x=/../y"),
        ("/studio/ä?ö=ü#ß", "/studio/%C3%A4?%C3%B6=%C3%BC#%C3%9F"),
        ("/a/../studio/x", "/studio/x"),
        ("/studio/?jwt=abc&a=1&watch=x", "/studio/?a=1"),
        ("/studio/?jwt=abc", "/studio/"),
        ("/studio/?", "/studio/"),
        (
            "/studio?upload.seriesId=s1&return.target=https%3A%2F%2Fmoodle.test%2F",
            "/studio?upload.seriesId=s1&return.target=https%3A%2F%2Fmoodle.test%2F",
        ),
    ] {
        let answer = stage.gateway.send(form(&token, target));
        assert_eq!(launched(&answer).location, location, "{target}");
    }
    for target in [
        "",
        "studio/",
        "?a=1",
        "#top",
        "//evil.test/studio/",
        "///evil.test/studio/",
        "/\\evil.test/studio/",
        "\\\\evil.test/studio/",
        "/studio/\\..\\x",
        "https://evil.test/studio/",
        "https:evil.test",
        "https:/evil.test",
        "https://video.test@evil.test/studio/",
        "https://user@video.test/studio/",
        "https://video.test:8443/studio/",
        "http://video.test/studio/",
        "https://video.test.evil.test/studio/",
        "javascript:alert(1)",
        "data:text/html,x",
        "/studio/\r\nSet-Cookie: a=b",
        "/studio/\nLocation: //evil.test",
        "/studio/\u{0}",
        " /studio/",
        "/studio/ ",
        "/\t/evil.test",
        "/_janua/sign-out",
        "/%5fjanua/sign-out",
        "/_janua/me",
        "/a/../_janua/me",
        "/_janua",
        "/redirect/get",
        "/redirect",
        "/%72edirect/get?target=//evil.test",
        "/studio/a%2fb",
        "/studio/%zz",
        "/studio/%00",
        &format!("/studio/{}", "x".repeat(9000)),
    ] {
        let answer = stage.gateway.send(form(&token, target));
        assert_eq!(answer.status, 400, "{target:?}: {answer:?}");
        assert!(answer.text().contains("bad_request"), "{target:?}");
        assert!(answer.header("set-cookie").is_none() && answer.header("location").is_none());
    }
    // A path as routes understand it, and nothing else.
    stage
        .gateway
        .send(form(&token, "/studio;x=1/").header("Accept", "application/json"))
        .expect(400);
}

#[test]
fn fields_may_come_in_any_order_among_others() {
    let stage = Stage::new();
    let token = stage.token();
    for body in [
        format!("target=/studio/&jwt={token}"),
        format!("jwt={token}&target=%2Fstudio%2F&submit=Go&latin=%E4&&x"),
        format!("%6awt={token}&t%61rget=/studio/"),
    ] {
        launched(&stage.gateway.send(posted(&body)));
    }
    let typed = |kind: &str| {
        let body = format!("target=/studio/&jwt={token}");
        let request = Request::new("POST", "/redirect/get").header("Content-Type", kind);
        stage.gateway.send(request.body(body)).status
    };
    for kind in [
        "application/x-www-form-urlencoded",
        "Application/X-WWW-Form-Urlencoded; charset=UTF-8",
        "application/x-www-form-urlencoded;charset=\"utf-8\"",
    ] {
        assert_eq!(typed(kind), 303, "{kind}");
    }
    for kind in [
        "application/x-www-form-urlencoded; charset=iso-8859-1",
        "application/x-www-form-urlencoded; charset=utf-16",
        "multipart/form-data; boundary=x",
        "text/plain",
        "application/json",
        "",
    ] {
        assert_eq!(typed(kind), 400, "{kind}");
    }
}

#[test]
fn hostile_forms_begin_nothing() {
    let stage = Stage::new();
    let token = stage.token();
    let bob = stage.lms.token(&claims("bob", &["ROLE_STUDIO"]));
    for (body, status, reason) in [
        (String::new(), 400, "bad_request"),
        (format!("jwt={token}"), 400, "bad_request"),
        ("target=/studio/".to_owned(), 401, "no_credentials"),
        ("target=/studio/&jwt=".to_owned(), 401, "no_credentials"),
        ("target=/studio/&jwt".to_owned(), 401, "no_credentials"),
        (format!("target=/studio/&jwt={token}&jwt={bob}"), 400, "bad_request"),
        (format!("target=/studio/&jwt={token}&%6Awt="), 400, "bad_request"),
        (
            format!("target=/studio/&jwt={token}&target=/studio/x"),
            400,
            "bad_request",
        ),
        (format!("target=/studio/%zz&jwt={token}"), 400, "bad_request"),
        (format!("target=/studio/&jwt={token}&x=%"), 400, "bad_request"),
        (format!("target=/studio/&jwt={token}%f"), 400, "bad_request"),
        (format!("target=/studio/%ff&jwt={token}"), 400, "bad_request"),
        (format!("target=/studio/&jwt={token}%ff"), 400, "bad_request"),
        (format!("Target=/studio/&JWT={token}"), 400, "bad_request"),
    ] {
        let answer = stage.gateway.send(posted(&body));
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        assert!(answer.text().contains(reason), "{body}: {}", answer.text());
        assert_eq!(answer.header("set-cookie"), None);
    }
    let body = format!("target=/studio/&jwt={token}");
    let request = || Request::new("POST", "/redirect/get");
    stage
        .gateway
        .send(request().body(body.clone()))
        .refused(400, "bad_request");
    let twice = request()
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Content-Type", "application/x-www-form-urlencoded");
    stage.gateway.send(twice.body(body.clone())).refused(400, "bad_request");
    let packed = posted(&body).header("Content-Encoding", "gzip");
    assert_eq!(stage.gateway.send(packed).status, 400);
    let script = request()
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Origin", ORIGIN)
        .header("Sec-Fetch-Site", "same-origin")
        .header("Sec-Fetch-Mode", "cors");
    stage.gateway.send(script.body(body)).refused(400, "bad_request");
    let get = stage.gateway.get(&format!("/redirect/get?target=/studio/&jwt={token}"));
    let get = get.refused(405, "method_not_allowed");
    assert_eq!(get.header("allow"), Some("POST"));
    assert_eq!(stage.gateway.metric_sum("janua_sessions_begun_total"), 0.0);
}

#[test]
fn a_form_has_bounds() {
    let stage = Stage::new();
    let token = stage.token();
    let padded = |length: usize| {
        let body = format!("target=/studio/&jwt={token}&x=");
        format!("{body}{}", "x".repeat(length - body.len()))
    };
    launched(&stage.gateway.send(posted(&padded(64 << 10))));
    let answer = stage.gateway.send(posted(&padded((64 << 10) + 1)));
    assert_eq!(answer.status, 413, "{answer:?}");
    // The same without a length, in small pieces.
    let chunked = |body: &str| {
        let mut bytes = b"POST /redirect/get HTTP/1.1\r\nHost: video.test\r\nContent-Type: \
            application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
            .to_vec();
        for piece in body.as_bytes().chunks(1000) {
            bytes.extend(format!("{:x}\r\n", piece.len()).into_bytes());
            bytes.extend(piece);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n\r\n");
        sent_raw(&stage.gateway, &bytes)
    };
    launched(&chunked(&padded(2000)));
    assert_eq!(chunked(&padded((64 << 10) + 1)).status, 413);
    // One that never ends is not waited for longer than others.
    let mut slow = Connection::open(stage.gateway.http());
    let head = "POST /redirect/get HTTP/1.1\r\nHost: video.test\r\nContent-Type: application/x-www-form-urlencoded\r\n\
        Content-Length: 60\r\n\r\ntarget=/studio/";
    slow.write(head).unwrap();
    assert_eq!(slow.response(false).unwrap().status, 408);
}
