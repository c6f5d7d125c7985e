//! What one client may cost.

use serde_json::json;

use crate::support::http::Response;
use crate::support::{Config, Connection, Request, Signer, Site, in_seconds, now};

const PATH: &str = "/static/org/player/lecture-1/video.mp4";

#[test]
fn a_rate_is_per_subject_and_else_per_address() {
    let site = Site::new();
    let signer = Signer::new();
    site.write_keys("keys.json", &[&signer]);
    let route = |name: &str, more: &str| {
        format!("[[routes]]\nname = {name:?}\npath = \"/{name}\"\nrespond = {{ status = 204 }}\n{more}\n")
    };
    let limited = r#"limits = { rate = "1/s", burst = 3 }"#;
    let config = Config::new()
        .server("trusted_proxies", r#"["127.0.0.1/32"]"#)
        .issuer("moodle", "keys.json", "")
        .section(&route(
            "persons",
            &format!("{limited}\nallow = [{{ signed_in = true }}]"),
        ))
        .section(&route(
            "addresses",
            &format!("{limited}\nallow = [{{ anyone = true }}]"),
        ))
        .section(&route("unlimited", "allow = [{ anyone = true }]"));
    let gateway = site.start(&config);
    let person = |name: &str| {
        let token = signer.token(&json!({ "exp": in_seconds(600), "sub": name }));
        gateway.send(Request::get("/persons").bearer(&token))
    };
    let address = |address: &str| gateway.send(Request::get("/addresses").header("X-Forwarded-For", address));
    let asks: [&dyn Fn() -> Response; 2] = [&|| person("anna"), &|| address("203.0.113.1")];
    for ask in asks {
        let answers: Vec<_> = (0..20).map(|_| ask()).collect();
        assert!(
            answers[..3].iter().all(|answer| answer.status == 204),
            "the burst is free"
        );
        let limited = answers.iter().find(|answer| answer.status == 429);
        let limited = limited.expect("twenty at once are too many");
        assert_eq!(limited.reason(), "rate_limited");
        assert!(limited.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    }
    // Others are not touched: another person at the same address, another address, another route.
    person("berta").expect(204);
    address("203.0.113.2").expect(204);
    gateway.get("/unlimited").expect(204);
}

#[test]
fn a_flood_of_bad_signatures_does_not_stop_those_who_are_known() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let gateway = site.start(&Config::media(&site, &signer).jwt("bad_signatures", r#""5/s""#));
    let known = signer.read("lecture-1");
    gateway.get_with(PATH, &known).expect(200);
    let stranger = Signer::new();
    let mut limited = 0;
    for number in 0..200 {
        let token = stranger.token(&json!({ "exp": in_seconds(600), "n": number }));
        let answer = gateway.get_with(PATH, &token);
        match answer.status {
            429 => {
                limited += 1;
                assert_eq!(answer.reason(), "rate_limited");
                assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
            }
            status => assert_eq!(status, 401),
        }
        if number % 20 == 0 {
            gateway.get_with(PATH, &known).expect(200);
        }
    }
    assert!(limited > 0, "200 bad signatures were all looked at");
    gateway.get_with(PATH, &known).expect(200);
}

#[test]
fn expired_tokens_do_not_count_as_bad_signatures() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let gateway = site.start(&Config::media(&site, &signer).jwt("bad_signatures", r#""2/s""#));
    // A campus behind one address, back from the holidays.
    let mut connection = Connection::open(gateway.http());
    for number in 0..1000 {
        let token = signer.token(&json!({ "exp": now() - 600, "n": number }));
        let answer = connection.exchange(Request::get(PATH).bearer(&token));
        answer.refused(401, "token_expired");
    }
    gateway.get_with(PATH, &signer.read("lecture-1")).expect(200);
}

#[test]
fn the_cache_of_tokens_is_bounded_and_still_right() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let gateway = site.start(&Config::media(&site, &signer).jwt("cache", r#""1MiB""#));
    for number in 0..500 {
        let token = signer.token(&json!({
            "exp": in_seconds(600), "n": number, "pad": "a".repeat(3000),
            "oc": { (if number % 2 == 0 { "e:lecture-1" } else { "e:lecture-2" }): ["read"] },
        }));
        let expected = if number % 2 == 0 { 200 } else { 403 };
        for _ in 0..2 {
            assert_eq!(gateway.get_with(PATH, &token).status, expected);
        }
    }
}
