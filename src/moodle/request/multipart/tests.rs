use super::*;
use crate::moodle::request::functions::testing::permit;
use proptest::prelude::*;

const TYPE: &str = "multipart/form-data; boundary=XyZ";

fn sent(body: &[u8], cuts: &[usize]) -> Result<Vec<u8>, Refusal> {
    let mut scanner = Multipart::new(TYPE)?;
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (body.len() + 1)).collect();
    places.extend([0, body.len()]);
    places.sort_unstable();
    let mut out = Vec::new();
    for ends in places.windows(2) {
        out.extend(scanner.push(&body[ends[0]..ends[1]])?);
    }
    out.extend(scanner.finish()?);
    Ok(out)
}

fn part(header: &str, content: &str) -> String {
    format!("--XyZ\r\n{header}\r\n\r\n{content}\r\n")
}

fn body(header: &str) -> String {
    format!(
        "{}{}--XyZ--\r\n",
        part("Content-Disposition: form-data; name=\"a\"", "1"),
        part(header, "2")
    )
}

#[test]
fn what_browsers_send_passes_unchanged() {
    let parts = [
        part("Content-Disposition: form-data; name=\"itemid\"", "0"),
        part(
            "content-disposition: form-data; name=\"f[]\"; filename=\"it's; é.txt\"\r\nContent-Type: text/plain",
            "x\r\n-\r\n--Xy\n",
        ),
        part(
            "Content-Disposition: form-data; name=\"empty\"; filename=\"\"\r\nContent-Type: application/octet-stream",
            "",
        ),
    ];
    let of_libraries = [
        // .NET; urllib3 before 2; curl.
        part(
            "Content-Disposition: form-data; name=file; filename=x.txt; filename*=utf-8''x.txt",
            "y",
        ),
        part(
            "Content-Disposition: form-data; name=\"file\"; filename*=utf-8''%C3%A9.txt",
            "y",
        ),
        part(
            "Content-Disposition: form-data; name=\"f\"; filename=\"a\\\"; b.txt\"",
            "y",
        ),
        part(
            "Content-Disposition: form-data; name=\"g\"; filename=\"C:\\dir\\x.txt\"",
            "y",
        ),
    ];
    let parts = [&parts[..], &of_libraries].concat();
    for end in ["--XyZ--", "--XyZ--\r\n"] {
        let body = parts.concat() + end;
        assert_eq!(sent(body.as_bytes(), &[]), Ok(body.into_bytes()));
    }
}

#[test]
fn parts_that_would_override_are_refused() {
    for name in ["wstoken", " wstoken", "token", "wstoken[]", "token[x", "  token"] {
        for file in ["", "; filename=\"x\""] {
            let body = body(&format!("Content-Disposition: form-data; name=\"{name}\"{file}"));
            assert_eq!(sent(body.as_bytes(), &[]), Err(Refusal::Override), "{name}{file}");
        }
    }
    for header in ["name=wstoken", "name=token; filename=x", "filename=x; name=wstoken"] {
        let body = body(&format!("Content-Disposition: form-data; {header}"));
        assert_eq!(sent(body.as_bytes(), &[]), Err(Refusal::Override), "{header}");
    }
    let list = body("Content-Disposition: form-data; name=\"wsfunction[]\"");
    assert!(matches!(sent(list.as_bytes(), &[]), Err(Refusal::Malformed(_))));
}

#[test]
fn ambiguous_part_headers_are_refused() {
    let headers = [
        "Content-Disposition: form-data; name=it's; filename=a'",
        "Content-Disposition: form-data; name=a b",
        "Content-Disposition: form-data; name=a=b",
        "Content-Disposition: form-data; name=",
        "Content-Disposition: form-data; name=a; name=wstoken",
        "Content-Disposition: form-data; name =a",
        "Content-Disposition: form-data; name=\"a\"; filename*=utf-8'x",
        "Content-Disposition: form-data; name=\"a\"; filename*=utf-8''x; filename*=utf-8''y",
        "Content-Disposition: form-data; name=\"a\"; filename=\"a\\\\\"; x=\"",
        "Content-Disposition: form-data; name*=utf-8''wstoken",
        "Content-Disposition: form-data; name=\"a\"; name=\"wstoken\"",
        "Content-Disposition: form-data; name=\"a\"; x='; name=\"wstoken\"'",
        "Content-Disposition: form-data; name=\"a\\\"; name=\"b\"",
        "Content-Disposition: form-data; name='a'",
        "Content-Disposition: form-data;\r\n name=\"a\"",
        "Content-Disposition: form-data; name=\"a\"\r\n; name=\"wstoken\"",
        "Content-Disposition: form-data; name=\"a\"\r\nContent-Disposition: form-data; name=\"wstoken\"",
        "Content-Disposition: form-data; name=\"a\"\r\nContent-Type: a/b\r\ncontent-type: c/d",
        "Content-Disposition : form-data; name=\"a\"",
        "Content-Disposition: form-data; name=\"a\"\nX: y",
        "Content-Disposition: form-data; name=\"a\0\"",
        "Content-Disposition: form-data; name=\"a\" x",
        "Content-Disposition: form-data",
        "Content-Disposition: attachment; name=\"a\"",
        "Content-Type: text/plain",
        "\0",
    ];
    for header in headers {
        assert!(
            matches!(sent(body(header).as_bytes(), &[]), Err(Refusal::Malformed(_))),
            "{header:?}"
        );
    }
    let long = format!(
        "Content-Disposition: form-data; name=\"a\"\r\nX: {}",
        "a".repeat(MAX_HEADER)
    );
    assert!(sent(body(&long).as_bytes(), &[]).is_err());
}

/// Each of these would be a part to PHP.
#[test]
fn hidden_parts_are_refused() {
    let hidden = "\r\nContent-Disposition: form-data; name=\"wstoken\"\r\n\r\nx\r\n";
    let first = part("Content-Disposition: form-data; name=\"f]\"; filename=\"x\"", "y");
    let bodies = [
        format!("preamble\r\n{first}--XyZ--"),
        format!("\r\n{first}--XyZ--"),
        format!("{first}--XyZ--\r\n--XyZ{hidden}--XyZ--\r\n"),
        format!("{first}--XyZ--x"),
        format!("{first}--XyZ--\r\n\r\n"),
        format!("{first}--XyZ {hidden}--XyZ--\r\n"),
        part(
            "Content-Disposition: form-data; name=\"f\"",
            &format!("y\n--XyZ{hidden}"),
        ) + "--XyZ--",
        part(
            "Content-Disposition: form-data; name=\"f]\"; filename=\"x\"",
            &format!("{}--XyZ{hidden}", "y".repeat(5120)),
        ) + "--XyZ--",
        first.clone(),
        first.replace("\r\n", "\n") + "--XyZ--",
    ];
    for body in bodies {
        assert!(
            matches!(sent(body.as_bytes(), &[]), Err(Refusal::Malformed(_))),
            "{body:?}"
        );
    }
}

#[test]
fn one_boundary_and_no_doubt_about_it() {
    let good = [
        "multipart/form-data; boundary=a",
        "Multipart/Form-Data;boundary=\"----WebKit+a/b\"",
        // Spring; Apache HttpClient.
        "multipart/form-data;charset=UTF-8;boundary=a",
        "multipart/form-data; boundary=a; charset=UTF-8",
        "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
        "multipart/form-data; boundary=----geckoformboundary1",
        "multipart/form-data; Boundary=a",
    ];
    assert!(good.iter().all(|header| Multipart::new(header).is_ok()));
    let bad = [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"\"",
        "multipart/form-data; boundary=a; boundary=b",
        "multipart/form-data; xboundary=a; boundary=b",
        "multipart/form-data; charset=boundary; boundary=a",
        "multipart/form-data; Boundary=a; charset=xBoundary",
        "multipart/form-data; Boundary=boundary=b",
        "multipart/form-data; boundary=a ; charset=utf-8",
        "multipart/form-data; x=y; boundary=a",
        "multipart/form-data; boundary=a,b",
        "multipart/form-data, boundary=a",
        "multipart/mixed; boundary=a",
        "multipart/form-data; boundary=\"a",
        "multipart/form-data; boundary=a b",
    ];
    assert!(bad.iter().all(|header| Multipart::new(header).is_err()));
    assert!(Multipart::new(&format!("multipart/form-data; boundary={}", "a".repeat(71))).is_err());
}

#[test]
fn content_is_not_kept() {
    let mut scanner = Multipart::new(TYPE).unwrap();
    let head = "--XyZ\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\n";
    let mut passed = scanner.push(head.as_bytes()).unwrap().len();
    for _ in 0..1000 {
        passed += scanner.push(&[b'-'; 4096]).unwrap().len();
        assert!(scanner.pending.len() < 16);
    }
    assert!(passed >= 1000 * 4096);
}

proptest! {
    #[test]
    fn pieces_make_no_difference(
        header in prop_oneof![
            Just("Content-Disposition: form-data; name=\"b\""),
            Just("Content-Disposition: form-data; name=\"b\"; filename=\"--XyZ\""),
            Just("Content-Disposition: form-data; name=\" wstoken\""),
            Just("Content-Disposition: form-data; name=\"wsfunction\""),
        ],
        content in "(\r\n|-|--|--XyZ|X|\n|a){0,12}",
        cuts in proptest::collection::vec(any::<usize>(), 0..20),
    ) {
        let body = part(header, &content) + "--XyZ--\r\n";
        let whole = sent(body.as_bytes(), &[]);
        if let Ok(whole) = &whole {
            prop_assert_eq!(whole.as_slice(), body.as_bytes());
        }
        prop_assert_eq!(sent(body.as_bytes(), &cuts), whole);
    }

    #[test]
    fn no_byte_of_a_refused_part_is_sent(cuts in proptest::collection::vec(any::<usize>(), 0..20)) {
        let good = part("Content-Disposition: form-data; name=\"a\"", "1");
        let body = format!("{good}{}--XyZ--", part("Content-Disposition: form-data; name=\"token\"", "evil"));
        let mut scanner = Multipart::new(TYPE).unwrap();
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (body.len() + 1)).collect();
        places.extend([0, body.len()]);
        places.sort_unstable();
        let mut out = Vec::new();
        let refused = places.windows(2).any(|ends| match scanner.push(&body.as_bytes()[ends[0]..ends[1]]) {
            Ok(piece) => { out.extend(piece); false }
            Err(_) => true,
        });
        prop_assert!(refused);
        prop_assert!(out.len() <= good.len() + "--XyZ\r\n".len());
    }
}

fn field(name: &str, content: &str) -> String {
    part(&format!("Content-Disposition: form-data; name=\"{name}\""), content)
}

/// The body as it is sent on where functions are called, byte by byte.
fn called(function: Option<&str>, parts: &[String]) -> Result<Vec<u8>, Refusal> {
    let mut scanner = Multipart::new(TYPE)?.calling(function.map(str::to_owned), permit(&["core_*", "tool_mobile_*"]));
    let mut out = Vec::new();
    for byte in (parts.concat() + "--XyZ--\r\n").bytes() {
        out.extend(scanner.push(&[byte])?);
    }
    out.extend(scanner.finish()?);
    Ok(out)
}

#[test]
fn a_part_names_the_function() {
    let parts = [
        field("a", "1"),
        field("wsfunction", "core_x"),
        field("requests[0][function]", "core_y"),
    ];
    assert_eq!(called(None, &parts), Ok((parts.concat() + "--XyZ--\r\n").into_bytes()));
    assert_eq!(
        called(Some("core_x"), &parts[..1]).map(|sent| sent.len()),
        Ok(parts[0].len() + 9)
    );
    assert_eq!(called(None, &parts[..1]), Err(Refusal::Malformed("no wsfunction")));
    assert!(called(Some("core_x"), &parts).is_err());
    let mut scanner = Multipart::new(TYPE).unwrap().calling(None, permit(&["core_*"]));
    assert!(
        scanner
            .push((field("wsfunction", "core_x")).trim_end().as_bytes())
            .unwrap()
            .is_empty()
    );
    assert!(!scanner.push(b"\r\n--XyZ\r\n").unwrap().is_empty());
    assert_eq!(scanner.function(), Some("core_x"));
}

#[test]
fn a_part_names_no_function_that_is_not_allowed() {
    let denied = [
        field("wsfunction", "mod_x"),
        field("requests[0][function]", "mod_x"),
        field(" requests[][function]", "tool_mobile_get_autologin_key"),
        field("requests[0][function", "tool_mobile_call_external_functions"),
        field("requests[0][function]", ""),
        field("requests[0][function]", " core_x"),
        field("requests[0][function]", "core%5Fx"),
        field("requests[0][function]", &"a".repeat(400)),
        part(
            "Content-Disposition: form-data; name=\"requests[0][function]\"; filename=\"x\"",
            "core_x",
        ),
        field("wstoken", "x"),
    ];
    for part in denied {
        let function = (!part.contains("wsfunction")).then_some("core_x");
        assert!(called(function, &[field("a", "1"), part.clone()]).is_err(), "{part}");
    }
    let far = [field("a", &"x".repeat(MAX_HELD)), field("wsfunction", "core_x")];
    assert!(matches!(called(None, &far), Err(Refusal::Malformed(_))));
}
