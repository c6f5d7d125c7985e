//! `janua explain`: what it says is what the gateway does, asked offline and over the control socket; and it tells no
//! secret.

mod cases;
mod socket;

use serde_json::json;

use self::cases::{LECTURE, Signers, cases, explain, get, report, site};
use crate::support::{Config, JwksServer, MEDIA, Signer, Site, Upstream, eventually, now};

#[test]
fn both_say_what_the_gateway_does() {
    let (signers, zoo) = (Signers::new(), Upstream::start());
    let (site, config) = site(&signers, &zoo);
    let gateway = site.start(&config);
    let cases = cases(&signers);
    assert!(cases.len() >= 40);
    let mut wrong = Vec::new();
    for case in &cases {
        let (status, reason) = case.served(&gateway);
        for more in [&["--json"][..], &["--json", "--live"]] {
            let ran = case.explained(&site, more);
            let told = report(&ran);
            let says_status = told["status"].as_u64();
            let is_upstream = says_status.is_none() && told["outcome"] == "allow";
            let agrees = if is_upstream {
                status == 200
            } else {
                says_status == Some(u64::from(status))
            };
            let same_reason = reason.is_none() || told["reason"].as_str() == reason.as_deref();
            let code = if told["outcome"] == "allow" { 0 } else { 3 };
            if !agrees || !same_reason || ran.code != Some(code) {
                wrong.push(format!(
                    "{} {more:?}: served {status} {reason:?}, explained {:?} {} {} {}",
                    case.name, ran.code, told["outcome"], told["status"], told["reason"]
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_output_holds_a_signature() {
    let (signers, zoo) = (Signers::new(), Upstream::start());
    let (site, config) = site(&signers, &zoo);
    let gateway = site.start(&config);
    let token = signers.moodle.read("lecture-1");
    let strange = signers.stranger.read("lecture-1");
    let (_, signature) = token.rsplit_once('.').unwrap();
    let odd = format!("bm9uZQ.bm9uZQ.{signature}");
    let places = [
        get("header", LECTURE).bearer(&token),
        get("query", format!("{LECTURE}?jwt={token}")),
        get("not a token", LECTURE).bearer(&odd),
        get("unknown key", LECTURE).bearer(&strange),
        get("path", format!("/open/{token}")),
        get("host", "/open").header("X-Other", format!("x {token}")),
        get("anonymous upstream", format!("/params/a?jwt={token}")).bearer(&token),
        get("elsewhere", format!("/params/{token}?t={token}"))
            .header("X-Other", &*token)
            .header("Cookie", format!("a={token}")),
        get("odd elsewhere", format!("/params/a?t={signature}&jwt={odd}")),
        get("inside the claims", LECTURE).bearer(&cases::token(&signers.moodle, json!({ "sub": token }))),
        get("without a scheme", "/params/a").header("Authorization", &*token),
        get("refused", format!("/nowhere?jwt={token}")),
    ];
    for place in &places {
        for more in [&[][..], &["--live"], &["--json"], &["--json", "--live"]] {
            let ran = place.explained(&site, more);
            assert!(matches!(ran.code, Some(0 | 3)), "{}: {ran:?}", place.name);
            for secret in [signature, strange.rsplit_once('.').unwrap().1] {
                let told = [&ran.stdout, &ran.stderr];
                assert!(
                    !told.iter().any(|told| told.contains(secret)),
                    "{} {more:?}: {ran:?}",
                    place.name
                );
            }
        }
    }
    assert!(!gateway.said().contains(signature));
}

#[test]
fn the_upstream_gets_what_was_said() {
    let (signers, zoo) = (Signers::new(), Upstream::start());
    let (site, config) = site(&signers, &zoo);
    let gateway = site.start(&config);
    let asked = get("up", "/up/a%20b?x=1&jwt=stale&y=2")
        .bearer(&signers.moodle.roles(&["A"]))
        .header("Cookie", "a=1; __Host-janua=s")
        .header("X-Run-As-User", "admin")
        .header("X-Forwarded-For", "192.0.2.7")
        .header("Accept", "*/*");
    assert_eq!(asked.served(&gateway).0, 200);
    let seen = zoo.seen("/a%20b");
    let told = report(&asked.explained(&site, &["--json"]));
    let upstream = &told["action"]["upstream"];
    assert_eq!(upstream["target"], seen.target);
    let headers = upstream["headers"].as_array().unwrap();
    let sorted = |names: Vec<&str>| {
        let mut names: Vec<String> = names.into_iter().map(str::to_lowercase).collect();
        names.sort_unstable();
        names
    };
    let said = sorted(headers.iter().map(|pair| pair[0].as_str().unwrap()).collect());
    assert_eq!(
        said,
        sorted(seen.headers.iter().map(|(name, _)| name.as_str()).collect())
    );
    for pair in headers {
        let (name, value) = (pair[0].as_str().unwrap(), pair[1].as_str().unwrap());
        if !["x-request-id", "cookie"].contains(&name) {
            assert_eq!(seen.header(name), Some(value), "{name}");
        }
    }
}

#[test]
fn a_page_for_people_tells_routes_claims_caps_and_rules() {
    let (signers, zoo) = (Signers::new(), Upstream::start());
    let (site, config) = site(&signers, &zoo);
    site.write("gateway.toml", config.text());
    let claims =
        json!({ "exp": now() - 190, "roles": ["5_Learner", "ROLE_ADMIN"], "oc": { "e:lecture-1": ["read", "write"] } });
    let asked = get("page", LECTURE).bearer(&signers.ilias.token(&claims));
    let ran = asked.explained(&site, &[]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    for part in [
        "✗ refused: token_expired (status 401)",
        "✓ media  /static/{org}/{channel}/{event}/{*file}",
        "{event} = \"lecture-1\"",
        "✗ header authorization: token_expired",
        "signed by ES256 kid \"i\" of ilias",
        "exp: expired 3 min ago (",
        "✓ role 5_Learner",
        "✗ role ROLE_ADMIN: dropped",
        "✗ grant write on event \"lecture-1\": dropped",
        "✗ grant = \"read\", event = \"{event}\"",
        "✗ role = \"ROLE_ADMIN\"",
        "✓ ilias: 1 key from ",
    ] {
        assert!(ran.stdout.contains(part), "no {part:?} in\n{}", ran.stdout);
    }
    assert!(!ran.stdout.contains('\u{1b}'), "colour is for terminals");
    let earlier = asked.explained(&site, &["--at", "-5m"]);
    assert_eq!(earlier.code, Some(0), "{earlier:?}");
    assert!(
        earlier.stdout.contains("needs read on event \"lecture-1\""),
        "{}",
        earlier.stdout
    );
}

#[test]
fn urls_and_tokens_may_stand_in_files() {
    let (signers, zoo) = (Signers::new(), Upstream::start());
    let (site, config) = site(&signers, &zoo);
    site.write("gateway.toml", config.text());
    let token = signers.moodle.read("lecture-1");
    let token_file = site.write("token", format!("{token}\n"));
    let url_file = site.write("url", format!("http://video.test{LECTURE}?jwt={token}\n"));
    let with_token = explain(&site, &["GET", LECTURE, "--token-file", token_file.to_str().unwrap()]);
    assert_eq!(with_token.code, Some(0), "{with_token:?}");
    let with_url = explain(&site, &["GET", url_file.to_str().unwrap()]);
    assert_eq!(with_url.code, Some(0), "{with_url:?}");
    let inside = explain(
        &site,
        &[
            "GET",
            "/inside",
            "--from",
            "127.0.0.1",
            "--header",
            "X-Forwarded-For: 10.1.1.1",
        ],
    );
    assert_eq!(inside.code, Some(0), "{inside:?}");
    assert_eq!(explain(&site, &["GET", "/inside", "--from", "10.9.9.9"]).code, Some(0));
    assert_eq!(explain(&site, &["GET", "/inside", "--from", "192.0.2.9"]).code, Some(3));
    let neither = explain(&site, &["GET", "nothing-of-the-kind"]);
    assert_eq!(neither.code, Some(1), "{neither:?}");
    assert!(neither.stderr.contains("neither a URL"), "{}", neither.stderr);
}

#[test]
fn keys_come_from_the_endpoint_or_from_the_gateway() {
    let signer = Signer::new();
    let (site, keys) = (Site::with_lecture(), JwksServer::start(&[&signer]));
    let config = Config::new().issuer("moodle", &keys.url(), "").section(MEDIA);
    let gateway = site.start(&config);
    let asked = get("read", LECTURE).bearer(&signer.read("lecture-1"));
    assert_eq!(asked.served(&gateway).0, 200);
    let offline = report(&asked.explained(&site, &["--json"]));
    assert_eq!(
        (&offline["outcome"], &offline["keys"]["live"]),
        (&json!("allow"), &json!(false))
    );
    keys.fail(500);
    let live = report(&asked.explained(&site, &["--json", "--live"]));
    assert_eq!(
        (&live["outcome"], &live["keys"]["live"]),
        (&json!("allow"), &json!(true))
    );
    assert_eq!(live["keys"]["issuers"][0]["from"], keys.url());
    // A token of an unknown key makes the gateway ask the endpoint once more, as soon as it may.
    let stranger = Signer::new().named("nobody's").read("lecture-1");
    eventually("the gateway notices, and tells", || {
        gateway.get_with(LECTURE, &stranger);
        let told = report(&asked.explained(&site, &["--json", "--live"]));
        assert_eq!(told["outcome"], "allow");
        told["keys"]["issuers"][0]["problem"]
            .as_str()
            .filter(|problem| problem.contains("500"))
            .map(str::to_owned)
    });
    let alone = report(&asked.explained(&site, &["--json"]));
    assert_eq!(alone["reason"], "keys_unavailable");
    let problem = alone["keys"]["issuers"][0]["problem"].as_str().unwrap();
    assert!(problem.contains("500"), "{problem}");
}

#[test]
fn budgets_are_told_and_left_as_they_are() {
    let (site, signer, stranger) = (Site::with_lecture(), Signer::new(), Signer::new());
    let config = Config::media(&site, &signer)
        .section("limits = { rate = \"1/h\", burst = 2 }\n")
        .jwt("bad_signatures", "\"1/h\"");
    let gateway = site.start(&config);
    let asked = get("once more", LECTURE).bearer(&signer.read("lecture-1"));
    let rate = |told: &serde_json::Value| {
        let budgets = told["budgets"].as_array().unwrap();
        budgets
            .iter()
            .find(|budget| budget["key"] == "limits.rate")
            .unwrap()
            .clone()
    };
    for _ in 0..5 {
        let told = report(&asked.explained(&site, &["--json", "--live"]));
        assert_eq!(told["outcome"], "allow");
        let rate = rate(&told);
        assert_eq!((&rate["of"], &rate["burst"]), (&json!("127.0.0.1"), &json!(2)));
        assert_eq!(rate["spent"], false);
    }
    for status in [200, 200, 429, 429] {
        assert_eq!(asked.served(&gateway).0, status);
    }
    let spent = asked.explained(&site, &["--json", "--live"]);
    assert_eq!(spent.code, Some(0), "{spent:?}");
    let spent = report(&spent);
    assert_eq!(
        (&spent["reason"], &spent["status"]),
        (&json!("rate_limited"), &json!(429))
    );
    assert_eq!(rate(&spent)["spent"], true);
    // Nobody else has counted, and for another time nobody knows.
    for more in [&["--json"][..], &["--json", "--live", "--at", "+1m"]] {
        let told = report(&asked.explained(&site, more));
        assert_eq!(
            (&told["outcome"], &rate(&told)["spent"]),
            (&json!("allow"), &json!(null))
        );
    }
    let page = asked.explained(&site, &["--live"]);
    assert!(
        page.stdout
            .contains("✗ limits.rate of 127.0.0.1: 1 per h, 2 at once: exhausted now"),
        "{page:?}"
    );

    let bad = get("a bad signature", LECTURE).bearer(&stranger.read("lecture-1"));
    let budget = || {
        let told = report(&bad.explained(&site, &["--json", "--live"]));
        (told["reason"].clone(), told["budgets"][0]["spent"].clone())
    };
    let whole = (json!("bad_signature"), json!(false));
    assert_eq!((budget(), budget()), (whole.clone(), whole));
    eventually("the budget is spent", || (bad.served(&gateway).0 == 429).then_some(()));
    assert_eq!(budget(), (json!("rate_limited"), json!(true)));
}
