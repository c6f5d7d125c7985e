//! Signed addresses, as Opencast's stream security makes them: each is good for what it was signed for and nothing else, with no
//! person behind it; and those that the gateway signs itself are good where such ones are checked.

use aws_lc_rs::hmac;
use serde_json::json;

use crate::support::http::Response;
use crate::support::secrets::{self, Kind};
use crate::support::tokens::base64url;
use crate::support::tools::janua;
use crate::support::{Config, Gateway, Request, Signer, Site, Upstream, eventually, in_seconds};

const PATH: &str = "/static/org/player/lecture-1/video.mp4";
const HERE: &str = "http://video.test/static/org/player/lecture-1/video.mp4";
const ONE: (&str, &str) = ("demoKeyOne", "6EDB5EDDCF994B7432C371D7C274F");
const TWO: (&str, &str) = ("demoKeyTwo", "C843C21ECF59F2B38872A1BCAA774");

/// `policy`, `keyId` and `signature` of this resource.
fn signed_by((id, secret): (&str, &str), resource: &str, more: &str) -> String {
    let until = in_seconds(600) * 1000;
    let more = if more.is_empty() {
        format!("\"DateLessThan\":{until}")
    } else {
        more.replace("UNTIL", &until.to_string())
    };
    let policy = format!("{{\"Statement\":{{\"Condition\":{{{more}}},\"Resource\":\"{resource}\"}}}}");
    sign((id, secret), &policy)
}

fn sign((id, secret): (&str, &str), policy: &str) -> String {
    let signature = hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), policy.as_bytes()).as_ref());
    secrets::register(Kind::Signature, &signature);
    format!("policy={}&keyId={id}&signature={signature}", base64url(policy))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn signed(resource: &str) -> String {
    signed_by(ONE, resource, "")
}

/// The lecture, for signed addresses; `more` of the keys' section and of the route.
fn media(site: &Site, keys: &str, more: &str, route: &str) -> Config {
    site.write("secrets/one", ONE.1);
    site.write("secrets/two", TWO.1);
    Config::new()
        .section(&format!("[signed_urls.opencast]\nkeys = [{keys}]\n{more}\n"))
        .section(&format!(
            "[[routes]]\nname = \"media\"\npath = \"/static/{{org}}/{{channel}}/{{event}}/{{*file}}\"\nfiles = \"downloads\"\n\
             strip = \"/static\"\naccept = [\"signed-url\"]\nallow = [{{ signed_url = true }}]\n{route}\n"
        ))
}

const KEY_ONE: &str = "{ id = \"demoKeyOne\", secret_file = \"secrets/one\" }";
const KEY_TWO: &str = "{ id = \"demoKeyTwo\", secret_file = \"secrets/two\" }";

fn asks(gateway: &Gateway, query: &str) -> Response {
    gateway.get(&format!("{PATH}?{query}"))
}

#[test]
fn a_signed_address_is_good_for_its_resource_and_for_reading() {
    let site = Site::with_lecture();
    let gateway = site.start(&media(&site, KEY_ONE, "", ""));
    let good = signed(HERE);
    assert_eq!(asks(&gateway, &good).expect(200).body.len(), 1000);
    let cached = asks(&gateway, &good);
    assert!(
        cached.header("cache-control").unwrap().contains("private"),
        "{cached:?}"
    );
    let part = gateway.send(Request::get(&format!("{PATH}?{good}")).header("Range", "bytes=10-19"));
    assert_eq!(part.expect(206).body.len(), 10);
    gateway
        .send(Request::new("HEAD", &format!("{PATH}?{good}")))
        .expect(200);
    // What players add, in any order; and the path in another spelling.
    asks(&gateway, &format!("t=10&{good}&_=1")).expect(200);
    gateway
        .get(&format!("/static/org//player/lecture-1/%76ideo.mp4?{good}"))
        .expect(200);

    gateway.get(PATH).refused(401, "no_credentials");
    for (query, status, reason) in [
        (
            signed("http://video.test/static/org/player/lecture-1/other.mp4"),
            403,
            "signed_url_other_resource",
        ),
        (signed("http://video.test/"), 403, "signed_url_other_resource"),
        (
            signed("http://video.test/static/org/player/lecture-1/*"),
            403,
            "signed_url_other_resource",
        ),
        // Opencast without `strict` would take a path that ends with the one asked for.
        (
            signed(&format!("http://video.test/x{PATH}")),
            403,
            "signed_url_other_resource",
        ),
        (
            signed(&HERE.replace("http:", "https:")),
            403,
            "signed_url_other_resource",
        ),
        (
            signed(&HERE.replace("video.test", "video.test:8080")),
            403,
            "signed_url_other_resource",
        ),
        (
            signed(&HERE.replace("video.test", "other.test")),
            403,
            "signed_url_other_resource",
        ),
        (
            signed(&HERE.replace("video.test", "video.test@other.test")),
            403,
            "signed_url_other_resource",
        ),
        (signed(PATH), 403, "signed_url_other_resource"),
        (signed(&format!("{HERE}?download=1")), 403, "signed_url_other_resource"),
        (signed_by(ONE, HERE, "\"DateLessThan\":1000"), 410, "signed_url_expired"),
        (
            signed_by(
                ONE,
                HERE,
                &format!("\"DateGreaterThan\":{},\"DateLessThan\":UNTIL", in_seconds(300) * 1000),
            ),
            403,
            "signed_url_not_yet_valid",
        ),
        (
            signed_by(ONE, HERE, "\"DateLessThan\":UNTIL,\"IpAddress\":\"192.0.2.7\""),
            403,
            "signed_url_other_client",
        ),
        (signed_by(TWO, HERE, ""), 403, "signed_url_unknown_key"),
        (signed_by((ONE.0, TWO.1), HERE, ""), 403, "signed_url_bad_signature"),
        (sign(ONE, "{"), 400, "signed_url_malformed"),
        (format!("{good}&{good}"), 400, "signed_url_malformed"),
        (good.replace("&keyId=demoKeyOne", ""), 400, "signed_url_malformed"),
        ("signature=x".to_owned(), 400, "signed_url_malformed"),
    ] {
        let answer = asks(&gateway, &query).refused(status, reason);
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{query}");
    }
    // With the query that was signed.
    asks(
        &gateway,
        &format!("download=1&{}", signed(&format!("{HERE}?download=1"))),
    )
    .expect(200);
    asks(
        &gateway,
        &format!("download=2&{}", signed(&format!("{HERE}?download=1"))),
    )
    .refused(403, "signed_url_other_resource");
    let told = asks(&gateway, &signed("http://video.test/x")).text();
    assert!(told.contains("for another path"), "{told}");
}

#[test]
fn without_strict_the_path_is_compared_alone() {
    let site = Site::with_lecture();
    let gateway = site.start(&media(&site, KEY_ONE, "strict = false", ""));
    for resource in [
        HERE,
        PATH,
        "https://opencast.internal:8443/static/org/player/lecture-1/video.mp4",
    ] {
        asks(&gateway, &signed(resource)).expect(200);
    }
    for resource in [
        "/video.mp4".to_owned(),
        format!("http://video.test/x{PATH}"),
        format!("http://video.test{PATH}/"),
        "http://video.test".to_owned(),
        "http://video.test/static/org/player/lecture-1/../lecture-1/video.mp4".to_owned(),
        "video.mp4".to_owned(),
    ] {
        asks(&gateway, &signed(&resource)).refused(403, "signed_url_other_resource");
    }
}

#[test]
fn the_client_is_the_one_behind_trusted_proxies() {
    let site = Site::with_lecture();
    let config = media(&site, KEY_ONE, "", "").server("trusted_proxies", "[\"127.0.0.1\"]");
    let gateway = site.start(&config);
    let bound = signed_by(ONE, HERE, "\"DateLessThan\":UNTIL,\"IpAddress\":\"192.0.2.7\"");
    let from =
        |address: &str| gateway.send(Request::get(&format!("{PATH}?{bound}")).header("X-Forwarded-For", address));
    from("192.0.2.7").expect(200);
    from("192.0.2.8").refused(403, "signed_url_other_client");
    from("192.0.2.7, 192.0.2.8").refused(403, "signed_url_other_client");
    asks(&gateway, &bound).refused(403, "signed_url_other_client");
    let own = signed_by(ONE, HERE, "\"DateLessThan\":UNTIL,\"IpAddress\":\"127.0.0.1\"");
    asks(&gateway, &own).expect(200);
}

#[test]
fn keys_change_with_a_reload() {
    let site = Site::with_lecture();
    let both = format!("{KEY_ONE}, {KEY_TWO}");
    let gateway = site.start(&media(&site, &both, "", ""));
    let (one, two) = (signed_by(ONE, HERE, ""), signed_by(TWO, HERE, ""));
    asks(&gateway, &one).expect(200);
    asks(&gateway, &two).expect(200);
    site.write("gateway.toml", media(&site, KEY_TWO, "", "").text());
    gateway.signal("HUP");
    eventually("the first key is gone", || {
        (asks(&gateway, &one).status == 403).then_some(())
    });
    asks(&gateway, &one).refused(403, "signed_url_unknown_key");
    asks(&gateway, &two).expect(200);
    // Another secret of the same name is read with the next reload.
    site.write("secrets/two", "another secret");
    gateway.signal("HUP");
    eventually("the secret is another", || {
        (asks(&gateway, &two).status == 403).then_some(())
    });
    asks(&gateway, &two).refused(403, "signed_url_bad_signature");
    asks(&gateway, &signed_by((TWO.0, "another secret"), HERE, "")).expect(200);
    // One that cannot be used changes nothing.
    site.write("secrets/two", "");
    gateway.signal("HUP");
    gateway.logged(&["signed_urls.opencast", "holds no password"]);
    asks(&gateway, &signed_by((TWO.0, "another secret"), HERE, "")).expect(200);
}

/// Every other credential beside a signed address: each is judged alone, and none lends the other anything.
#[test]
fn other_credentials_and_a_signed_address_are_never_one() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    site.write_keys("keys.json", &[&signer]);
    let mut config = media(&site, KEY_ONE, "", "").issuer("moodle", "keys.json", "may_name_users = true");
    for (name, accept, allow) in [
        (
            "either",
            "[\"jwt\", \"signed-url\"]",
            "[{ role = \"A\" }, { signed_url = true }]",
        ),
        (
            "first",
            "[\"signed-url\", \"jwt\"]",
            "[{ role = \"A\" }, { signed_url = true }]",
        ),
        ("token", "[\"jwt\", \"signed-url\"]", "[{ role = \"A\" }]"),
        (
            "both",
            "[\"jwt\", \"signed-url\"]",
            "[{ role = \"A\", signed_url = true }]",
        ),
        ("somebody", "[\"jwt\", \"signed-url\"]", "[{ signed_in = true }]"),
        ("named", "[\"jwt\", \"signed-url\"]", "[{ subject = \"anna\" }]"),
        ("issued", "[\"jwt\", \"signed-url\"]", "[{ issuer = \"moodle\" }]"),
        ("blind", "[\"jwt\"]", "[{ role = \"A\" }, { signed_url = true }]"),
        (
            "denied",
            "[\"jwt\", \"signed-url\"]",
            "[{ signed_url = true }, { role = \"A\" }]\ndeny = [{ role = \"A\" }]",
        ),
        (
            "unsigned",
            "[\"jwt\", \"signed-url\"]",
            "[{ role = \"A\" }]\ndeny = [{ signed_url = true }]",
        ),
    ] {
        config = config.section(&format!(
            "[[routes]]\nname = \"{name}\"\npath = \"/{name}\"\nrespond = {{ status = 204 }}\naccept = {accept}\nallow = {allow}\n"
        ));
    }
    let gateway = site.start(&config);
    let token = |role: &str| signer.token(&json!({ "exp": in_seconds(600), "sub": "anna", "roles": [role] }));
    let (held, other) = (token("A"), token("B"));
    for (route, token, is_signed, status, reason) in [
        ("either", None, true, 204, ""),
        ("either", Some(&held), true, 204, ""),
        ("either", Some(&held), false, 204, ""),
        ("either", Some(&other), true, 204, ""),
        ("either", Some(&other), false, 403, "missing_role"),
        ("first", Some(&other), true, 204, ""),
        ("token", None, true, 403, "missing_role"),
        ("token", Some(&other), true, 403, "missing_role"),
        ("token", Some(&held), true, 204, ""),
        ("both", Some(&held), true, 403, "missing_role"),
        ("both", None, true, 403, "missing_role"),
        ("somebody", None, true, 403, "not_allowed"),
        ("named", None, true, 403, "not_allowed"),
        ("issued", None, true, 403, "not_allowed"),
        ("blind", None, true, 401, "no_credentials"),
        ("blind", Some(&held), true, 204, ""),
        // A token that is denied ends the matter, whatever else comes with it.
        ("denied", Some(&held), true, 403, "denied_by_rule"),
        ("denied", None, true, 204, ""),
        ("unsigned", Some(&held), true, 204, ""),
        ("unsigned", None, true, 403, "denied_by_rule"),
    ] {
        let query = if is_signed {
            signed(&format!("http://video.test/{route}"))
        } else {
            "x=1".to_owned()
        };
        let request = Request::get(&format!("/{route}?{query}"));
        let request = token.iter().fold(request, |request, token| request.bearer(token));
        let answer = gateway.send(request);
        let case = format!("{route} {} {is_signed}", token.is_some());
        assert_eq!(answer.status, status, "{case}: {}", answer.text());
        if !reason.is_empty() {
            assert_eq!(answer.reason(), reason, "{case}");
        }
    }
    // A bad signature takes nothing from a good token.
    gateway.get_with("/either?signature=x", &held).expect(204);
    gateway
        .get_with(&format!("/either?{}", signed("/x")), &other)
        .refused(403, "missing_role");
    gateway.get("/either?signature=x").refused(400, "signed_url_malformed");
    gateway
        .send(Request::new("POST", &format!("/either?{}", signed("http://video.test/either"))).body("x"))
        .refused(403, "signed_url_other_resource");
}

#[test]
fn neither_upstream_nor_log_sees_the_signature_and_explain_tells_of_it() {
    let (site, upstream) = (Site::new(), Upstream::start());
    site.write("secrets/one", ONE.1);
    let config = Config::new()
        .server("trusted_proxies", "[\"127.0.0.1\"]")
        .section(&format!("[signed_urls.opencast]\nkeys = [{KEY_ONE}]\n"))
        .upstream("zoo", &[upstream.url()], "")
        .section(
            "[[routes]]\nname = \"signed\"\npath = \"/signed/{*rest}\"\nupstream = \"zoo\"\naccept = [\"signed-url\"]\n\
             allow = [{ signed_url = true }]\n\
             [[routes]]\nname = \"plain\"\npath = \"/plain/{*rest}\"\nupstream = \"zoo\"\nallow = [{ anyone = true }]\n\
             [[routes]]\nname = \"decides\"\npath = \"/_decide\"\nallow = [{ from = [\"127.0.0.1\"] }]\n\
             respond = { decide = { uri = \"X-Original-URI\", method = \"X-Original-Method\" } }\n",
        );
    let gateway = site.start(&config);
    let query = signed("http://video.test/signed/a.mp4");
    let page = format!("http://video.test/signed/a.mp4?{query}");
    gateway
        .send(Request::get(&format!("/signed/a.mp4?a=1&{query}&b=%20")).header("Referer", &page))
        .expect(200);
    let seen = upstream.seen("/signed/a.mp4?a=1&b=%20");
    assert_eq!(seen.header("referer"), Some("http://video.test/signed/a.mp4"));
    gateway.get(&format!("/signed/a.mp4?{query}")).expect(200);
    assert_eq!(upstream.requests().pop().unwrap().target, "/signed/a.mp4");
    // Where the gateway does not look at it, it is the upstream's.
    gateway.get(&format!("/plain/a.mp4?{query}")).expect(200);
    upstream.seen(&format!("/plain/a.mp4?{query}"));
    // A proxy that asks gets the same decisions.
    let asked = |method: &str, uri: &str| {
        let asked = Request::get("/_decide").header("X-Original-URI", uri);
        gateway.send(asked.header("X-Original-Method", method))
    };
    asked("GET", &format!("/signed/a.mp4?{query}")).expect(204);
    asked("GET", &format!("/signed/b.mp4?{query}")).refused(403, "signed_url_other_resource");
    asked("PUT", &format!("/signed/a.mp4?{query}")).refused(403, "signed_url_other_resource");

    let file = site.path("gateway.toml");
    let why = |target: &str| janua(["explain", "GET", target, "--config", file.to_str().unwrap()]).stdout;
    let told = why(&format!("/signed/a.mp4?{query}"));
    assert!(told.contains("signed address (query): valid"), "{told}");
    assert!(
        told.contains("signed_urls.opencast") && told.contains("http://video.test/signed/a.mp4"),
        "{told}"
    );
    let signature = query.rsplit_once('=').unwrap().1;
    assert!(!told.contains(signature), "{told}");
    let told = why(&format!("/signed/b.mp4?{query}"));
    assert!(
        told.contains("signed_url_other_resource") && told.contains("for another path"),
        "{told}"
    );
    gateway.stop();
}

#[test]
fn requests_to_a_server_that_checks_signatures_are_signed() {
    let (site, upstream) = (Site::new(), Upstream::start());
    site.write("secrets/one", ONE.1);
    let config = Config::new()
        .server("trusted_proxies", "[\"127.0.0.1\"]")
        .section(&format!("[signed_urls.cdn]\nkeys = [{KEY_ONE}]\n"))
        .section("[signed_urls.wowza]\nform = \"wowza\"\nkeys = [{ id = \"token\", secret_file = \"secrets/one\" }]\n")
        .upstream("zoo", &[upstream.url()], "")
        .section(
            "[[routes]]\nname = \"cdn\"\npath = \"/lectures/{*rest}\"\nupstream = \"zoo\"\nstrip = \"/lectures\"\n\
             present = \"signed-url\"\nsign = { by = \"cdn\", base = \"https://cdn.test/store/\", client = true }\n\
             allow = [{ anyone = true }]\n\
             [[routes]]\nname = \"wowza\"\npath = \"/vod/{*rest}\"\nupstream = \"zoo\"\npresent = \"signed-url\"\n\
             sign = { by = \"wowza\", base = \"https://wowza.test\", client = true }\nallow = [{ anyone = true }]\n",
        );
    let gateway = site.start(&config);
    let target = "/lectures/a%20b.mp4?x=1&signature=mine&%70olicy=mine&keyId=mine";
    gateway
        .send(
            Request::get(target)
                .header("X-Forwarded-For", "2001:db8::7")
                .header("Cookie", "a=1")
                .bearer("x"),
        )
        .expect(200);
    let seen = upstream.requests().pop().unwrap();
    assert_eq!((seen.header("cookie"), seen.header("authorization")), (None, None));
    let (path, query) = seen.target.split_once('?').unwrap();
    assert_eq!(path, "/a%20b.mp4");
    let [own, policy, key, signature] = query.split('&').collect::<Vec<_>>().try_into().unwrap();
    assert_eq!((own, key), ("x=1", "keyId=demoKeyOne"));
    let policy = text_of(policy.strip_prefix("policy=").unwrap());
    assert!(
        policy.contains(r#""Resource":"https:\/\/cdn.test\/store\/a%20b.mp4""#),
        "{policy}"
    );
    assert!(policy.contains(r#""IpAddress":"2001:db8:0:0:0:0:0:7""#), "{policy}");
    assert!(sign(ONE, &policy).ends_with(signature), "{policy}");

    gateway
        .send(Request::get("/vod/a.mp4/playlist.m3u8?x=1&tokenhash=mine").header("X-Forwarded-For", "192.0.2.7"))
        .expect(200);
    let seen = upstream.requests().pop().unwrap();
    let query = seen.target.strip_prefix("/vod/a.mp4/playlist.m3u8?x=1&").unwrap();
    let (ends, hash) = query.split_once('&').unwrap();
    assert!(ends.starts_with("tokenendtime="), "{query}");
    let text = format!("vod/a.mp4?192.0.2.7&{}&{ends}", ONE.1);
    let expected = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    let hash = hash.strip_prefix("tokenhash=").unwrap().trim_end_matches('=');
    assert_eq!(hash, base64url(expected.as_ref()));
}

fn text_of(encoded: &str) -> String {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(encoded)
        .unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_client_is_sent_to_the_signed_address() {
    let (site, signer) = (Site::new(), Signer::new());
    site.write("secrets/one", ONE.1);
    site.write_keys("keys.json", &[&signer]);
    let config = Config::new()
        .issuer("moodle", "keys.json", "")
        .section(&format!("[signed_urls.cdn]\nkeys = [{KEY_ONE}]\n"))
        .section(
            "[[routes]]\nname = \"cdn\"\npath = \"/static/{*rest}\"\nstrip = \"/static\"\nrespond = { signed = true }\n\
             sign = { by = \"cdn\", base = \"https://cdn.test\", valid = \"2h\" }\nallow = [{ role = \"A\" }]\n",
        );
    let gateway = site.start(&config);
    gateway.get("/static/a.mp4").refused(401, "no_credentials");
    let token = signer.roles(&["A"]);
    for method in ["GET", "HEAD"] {
        let answer = gateway
            .send(Request::new(method, &format!("/static/a.mp4?jwt={token}&download=1")))
            .expect(302);
        assert_eq!(answer.all("cache-control"), ["no-store"]);
        let location = answer.header("location").unwrap();
        let query = location.strip_prefix("https://cdn.test/a.mp4?download=1&").unwrap();
        secrets::register(Kind::Signature, query.rsplit_once('=').unwrap().1);
        let policy = text_of(query.strip_prefix("policy=").unwrap().split('&').next().unwrap());
        assert_eq!(sign(ONE, &policy), query);
        assert!(policy.contains(r#""Resource":"https:\/\/cdn.test\/a.mp4""#), "{policy}");
    }
    let post = Request::new("POST", &format!("/static/a.mp4?jwt={token}")).body("x");
    gateway.send(post).refused(405, "method_not_allowed");
}
