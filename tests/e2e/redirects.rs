//! Redirects of an upstream: to its own address they lead to the public one, all others are left as they are.

use std::io::Write as _;

use crate::support::double::Double;
use crate::support::{Config, Request, Site};

/// Answers every request with a redirect to what stands in its query; `HERE` is its own address.
fn redirecting() -> Double {
    Double::start(|mut wire| {
        while let Ok((line, headers)) = wire.head() {
            if wire.body(&headers, false).is_err() {
                return;
            }
            let target = line.split(' ').nth(1).unwrap_or_default();
            let to = target.split_once('?').map_or("", |(_, query)| query);
            let here = wire.stream.local_addr().unwrap().to_string();
            let to = to.replace("HERE", &here);
            let answer = format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
            if wire.stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    })
}

#[test]
fn a_redirect_to_the_upstreams_own_address_leads_to_the_public_one() {
    let (site, server) = (Site::new(), redirecting());
    let config = Config::new()
        .server("public_urls", "[\"https://media.test\"]")
        .upstream(
            "app",
            &[format!("http://{}", server.address)],
            "host = \"app.internal\"",
        )
        .section(
            "[[routes]]\nname = \"app\"\npath = \"/app/{*rest}\"\nupstream = \"app\"\nstrip = \"/app\"\n\
             allow = [{ anyone = true }]\n\
             [[routes]]\nname = \"rest\"\npath = \"/{*rest}\"\nupstream = \"app\"\nallow = [{ anyone = true }]\n",
        );
    let gateway = site.start(&config);
    for (path, to, expected) in [
        ("/x", "http://HERE/login?a=1", "https://media.test/login?a=1"),
        ("/x", "HTTP://HERE", "https://media.test/"),
        ("/app/x", "http://HERE/login", "https://media.test/app/login"),
        ("/x", "http://app.internal/a%20b", "https://media.test/a%20b"),
        ("/x", "https://APP.internal:8443/a", "https://media.test/a"),
        // Nobody's but its owner's.
        ("/x", "/login", "/login"),
        ("/x", "login", "login"),
        ("/x", "//HERE/login", "//HERE/login"),
        (
            "/x",
            "https://cas.test/login?service=http://HERE/",
            "https://cas.test/login?service=http://HERE/",
        ),
        ("/x", "https://media.test/login", "https://media.test/login"),
        ("/x", "http://user@HERE.test/", "http://user@HERE.test/"),
        ("/x", "janua://token=x", "janua://token=x"),
    ] {
        let here = server.address.to_string();
        let request = Request::get(&format!("{path}?{to}")).host("media.test");
        let answer = gateway.send(request).expect(302);
        assert_eq!(
            answer.header("location"),
            Some(&*expected.replace("HERE", &here)),
            "{path} {to}"
        );
    }
}

/// Opencast leads from `/play/{event}` to its player: the token comes along, to this host alone.
#[test]
fn the_token_of_the_query_goes_on_to_the_player() {
    let (site, server) = (Site::new(), redirecting());
    let route = |name: &str, more: &str| {
        format!(
            "[[routes]]\nname = \"{name}\"\npath = \"/{name}/{{event}}\"\nupstream = \"opencast\"\nallow = [{{ anyone = true }}]\n{more}\n"
        )
    };
    let config = Config::new()
        .server("public_urls", "[\"https://media.test\"]")
        .upstream("opencast", &[format!("http://{}", server.address)], "")
        .section(&route("play", "keep_token = true"))
        .section(&route("other", ""));
    let gateway = site.start(&config);
    let location = |path: &str, query: &str, to: &str| {
        let target = format!("{path}?{to}{query}");
        let request = Request::get(&target).host("media.test");
        let answer = gateway.send(request).expect(302);
        answer.header("location").unwrap().to_owned()
    };
    let here = server.address.to_string();
    // The double answers with its query: the token is not in it.
    for (to, expected) in [
        (
            "/paella8/ui/watch.html?id=one",
            "/paella8/ui/watch.html?id=one&jwt=e.y.j",
        ),
        ("/watch.html", "/watch.html?jwt=e.y.j"),
        ("watch.html", "watch.html?jwt=e.y.j"),
        ("https://media.test/watch", "https://media.test/watch?jwt=e.y.j"),
        ("http://HERE/watch", "https://media.test/watch?jwt=e.y.j"),
        // Nobody else's host gets one.
        ("https://media.test.evil.example/", "https://media.test.evil.example/"),
        ("//evil.example/watch", "//evil.example/watch"),
        ("http://media.test/watch", "http://media.test/watch"),
        ("https:evil.example", "https:evil.example"),
        ("https:/evil.example/", "https:/evil.example/"),
        ("/\\evil.example/", "/\\evil.example/"),
    ] {
        let expected = expected.replace("HERE", &here);
        assert_eq!(location("/play/one", "&jwt=e.y.j", to), expected, "{to}");
    }
    assert_eq!(location("/play/one", "", "/watch"), "/watch");
    assert_eq!(location("/other/one", "&jwt=e.y.j", "/watch"), "/watch");
}
