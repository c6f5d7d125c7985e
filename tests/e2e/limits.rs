//! What one client may cost.

use serde_json::json;

use crate::support::{Config, Request, Signer, Site, in_seconds, now};

const PATH: &str = "/static/org/player/lecture-1/video.mp4";

#[test]
fn a_rate_is_per_subject_and_else_per_address() {
    let site = Site::new();
    let signer = Signer::new();
    site.write_keys("keys.json", &[&signer]);
    let config = Config::new()
        .server("trusted_proxies", r#"["127.0.0.1/32"]"#)
        .issuer("moodle", "keys.json", "")
        .section(
            r#"
            [[routes]]
            name = "limited"
            path = "/limited"
            respond = { status = 204 }
            limits = { rate = "1/s", burst = 3 }
            allow = [{ anyone = true }]

            [[routes]]
            name = "unlimited"
            path = "/unlimited"
            respond = { status = 204 }
            allow = [{ anyone = true }]"#,
        );
    let gateway = site.start(&config);
    let person = |name: &str| signer.token(&json!({ "exp": in_seconds(600), "sub": name }));
    let from = |address: &str| Request::get("/limited").header("X-Forwarded-For", address);
    for kind in 0..2 {
        let answers: Vec<_> = (0..20)
            .map(|_| match kind {
                0 => gateway.send(from("203.0.113.1")),
                _ => gateway.send(from("203.0.113.2").bearer(&person("anna"))),
            })
            .collect();
        assert!(
            answers[..3].iter().all(|answer| answer.status == 204),
            "the burst is free"
        );
        let limited = answers
            .iter()
            .find(|answer| answer.status == 429)
            .expect("twenty at once are too many");
        assert_eq!(limited.reason(), "rate_limited");
        assert!(limited.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    }
    // Others are not touched: another address, another person at the same address, another route.
    assert_eq!(gateway.send(from("203.0.113.3")).status, 204);
    assert_eq!(gateway.send(from("203.0.113.2").bearer(&person("berta"))).status, 204);
    assert_eq!(gateway.get("/unlimited").status, 204);
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
            429 => limited += 1,
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
    for number in 0..50 {
        let token = signer.token(&json!({ "exp": now() - 600, "n": number }));
        gateway.get_with(PATH, &token).refused(401, "token_expired");
    }
    gateway.get_with(PATH, &signer.read("lecture-1")).expect(200);
}

#[test]
fn the_cache_of_tokens_is_bounded_and_still_right() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let gateway = site.start(&Config::media(&site, &signer).jwt("cache", r#""64KiB""#));
    for number in 0..500 {
        let token = signer.token(&json!({
            "exp": in_seconds(600), "n": number, "pad": "a".repeat(2000),
            "oc": { (if number % 2 == 0 { "e:lecture-1" } else { "e:lecture-2" }): ["read"] },
        }));
        let expected = if number % 2 == 0 { 200 } else { 403 };
        for _ in 0..2 {
            assert_eq!(gateway.get_with(PATH, &token).status, expected);
        }
    }
}
