//! What a launch gives, where it counts, and for how much.

use serde_json::json;

use super::{ORIGIN, Stage, claims, form, holds, launched, name, page};
use crate::support::{Request, in_seconds};

#[test]
fn a_form_leads_to_its_target_with_a_session() {
    let stage = Stage::new();
    let answer = stage
        .gateway
        .send(form(&stage.token(), "/studio/index.html?upload.seriesId=a%20b&x=1#top"));
    assert_eq!(answer.status, 303, "{answer:?}");
    let location = "/studio/index.html?upload.seriesId=a%20b&x=1#top";
    assert_eq!(answer.header("location"), Some(location));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    let cookie = answer.header("set-cookie").unwrap();
    let (_, attributes) = cookie.split_once("; ").unwrap();
    assert!(cookie.starts_with("__Host-janua-launch="), "{cookie}");
    assert_eq!(attributes, "HttpOnly; SameSite=None; Secure; Path=/; Partitioned");

    let launched = launched(&answer);
    stage
        .gateway
        .send(launched.asks(page("/studio/index.html")))
        .expect(200);
    let me = stage.me(&launched);
    assert_eq!(name(&me), "anna");
    assert!(holds(&me, "ROLE_STUDIO"));
    let site = stage.opencast.site();
    assert!(site.requests.iter().all(|seen| seen.header("cookie").is_none()));
    assert!(!site.requests.iter().any(|seen| seen.target.contains("redirect")));
}

#[test]
fn a_page_with_a_token_in_its_address_goes_on_without_it() {
    let stage = Stage::new();
    let target = |token: &str| format!("/studio//index.html?b=%2f+%20&%6awt={token}&&a=!x'~&jwtx=1&b");
    let answer = stage.gateway.send(page(&target(&stage.token())));
    let launched = launched(&answer);
    assert_eq!(launched.location, "/studio/index.html?b=%2f+%20&&a=!x'~&jwtx=1&b");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    stage.gateway.send(launched.asks(page(&launched.location))).expect(200);
    assert_eq!(name(&stage.me(&launched)), "anna");
    let alone = stage.gateway.send(page(&format!("/studio/?jwt={}", stage.token())));
    assert_eq!(super::launched(&alone).location, "/studio/");
    let seen = stage.opencast.site().requests.clone();
    assert!(!seen.iter().any(|seen| seen.target.contains("wt=")), "{seen:?}");
}

#[test]
fn only_a_page_load_is_a_launch() {
    let stage = Stage::new();
    let token = stage.token();
    let target = format!("/studio/index.html?jwt={token}");
    let script = Request::get(&target)
        .header("Sec-Fetch-Mode", "cors")
        .header("Sec-Fetch-Dest", "empty");
    let guess = page(&target).header("Sec-Purpose", "prefetch");
    for request in [script, guess, Request::get(&target), Request::new("HEAD", &target)] {
        let answer = stage.gateway.send(request).expect(200);
        assert_eq!(answer.header("set-cookie"), None);
    }
    // What says nothing of its purpose but wants a page is an older browser.
    launched(&stage.gateway.send(Request::get(&target).header("Accept", "text/html")));
    let head = Request::new("HEAD", &target)
        .header("Sec-Fetch-Mode", "navigate")
        .header("Sec-Fetch-Dest", "iframe");
    assert_eq!(stage.gateway.send(head).expect(200).header("set-cookie"), None);
    // Where tokens are taken for launches only, they are good for nothing else.
    let refused = stage.gateway.send(Request::get(&format!("/ingest/x?jwt={token}")));
    refused.refused(401, "no_credentials");
}

#[test]
fn it_counts_only_where_the_route_says_so() {
    let stage = Stage::new();
    let launched = stage.launch(&stage.token());
    stage
        .gateway
        .send(launched.asks(Request::get("/ingest/createMediaPackage")))
        .expect(200);
    stage
        .gateway
        .send(launched.asks(Request::get("/search/episode.json")))
        .refused(401, "no_credentials");
    stage
        .gateway
        .send(launched.asks(Request::get("/editor/one/edit.json")))
        .refused(401, "issuer_not_accepted");
}

#[test]
fn it_is_worth_its_token_and_no_more() {
    let stage = Stage::new();
    let said = json!({ "exp": in_seconds(60), "sub": "anna", "roles": ["ROLE_ADMIN", "ROLE_STUDIO", "4_Learner"],
        "oc": { "e:one": "read", "e:two": ["read", "burn"], "s:three": ["write"] } });
    let me = stage.me(&stage.launch(&stage.lms.token(&said)));
    assert!(holds(&me, "4_Learner") && holds(&me, "ROLE_EPISODE_one_READ") && holds(&me, "ROLE_EPISODE_two_READ"));
    assert!(
        !holds(&me, "ROLE_ADMIN") && !holds(&me, "ROLE_EPISODE_two_BURN"),
        "{me}"
    );
    // The same as with the token itself.
    let by_token = stage
        .gateway
        .get_with("/info/me.json", &stage.lms.token(&said))
        .expect(200);
    assert_eq!(by_token.json(), me);
}

#[test]
fn without_a_name_it_is_a_pseudonyms() {
    let stage = Stage::new();
    let nameless = json!({ "exp": in_seconds(60), "roles": ["ROLE_STUDIO"] });
    let of_lms = stage.me(&stage.launch(&stage.lms.token(&nameless)));
    assert!(name(&of_lms).starts_with("janua-"), "{of_lms}");
    let said = claims("unknown-jwt-user", &["ROLE_STUDIO"]);
    let of_other = stage.me(&stage.launch(&stage.other.token(&said)));
    assert!(name(&of_other).starts_with("janua-"), "{of_other}");
    assert_ne!(name(&of_lms), name(&of_other));
}

#[test]
fn the_target_decides_who_may() {
    let stage = Stage::new();
    let learner = stage.lms.token(&claims("bob", &["4_Learner"]));
    let suspended = stage.lms.token(&claims("eve", &["ROLE_STUDIO", "ROLE_SUSPENDED"]));
    for (token, reason) in [(learner, "missing_role"), (suspended, "denied_by_rule")] {
        for request in [
            form(&token, "/studio/index.html"),
            page(&format!("/studio/index.html?jwt={token}")),
        ] {
            let answer = stage.gateway.send(request.header("Accept", "application/json"));
            assert_eq!(answer.status, 403, "{answer:?}");
            assert_eq!(answer.header("set-cookie"), None);
            assert!(answer.text().contains(reason), "{}", answer.text());
        }
    }
    stage.gateway.logged(&[
        "path=\"/redirect/get\"",
        "reason=missing_role",
        "by the target's route `studio`",
    ]);
    let token = stage.token();
    let by_form = |target: &str| stage.gateway.send(form(&token, target));
    for (target, status, reason) in [
        ("/search/x", 403, "not_allowed"),
        ("/editor/x", 401, "issuer_not_accepted"),
        ("/nowhere", 404, "no_route"),
        ("/info/me.json", 303, ""),
    ] {
        let answer = by_form(target);
        assert_eq!(answer.status, status, "{target}: {answer:?}");
        assert!(answer.text().contains(reason), "{}", answer.text());
    }
}

#[test]
fn what_does_not_verify_begins_nothing() {
    let stage = Stage::new();
    let mut over = claims("anna", &["ROLE_STUDIO"]);
    over["exp"] = json!(1);
    let stranger = crate::support::Signer::new().token(&claims("anna", &["ROLE_STUDIO"]));
    let former = stage.launch(&stage.token());
    for (token, reason) in [
        (stage.lms.token(&over), "token_expired"),
        (stranger, "bad_signature"),
        ("rubbish".to_owned(), "malformed_token"),
    ] {
        for request in [
            form(&token, "/studio/index.html"),
            page(&format!("/studio/index.html?jwt={token}")),
            // Somebody else may sit there by now.
            former.asks(page(&format!("/studio/index.html?jwt={token}"))),
        ] {
            let answer = stage.gateway.send(request);
            assert_eq!(answer.status, 401, "{answer:?}");
            assert!(answer.text().contains(reason), "{}", answer.text());
            assert!(answer.all("set-cookie").is_empty());
        }
    }
    assert_eq!(name(&stage.me(&former)), "anna", "it is not spoiled");
}

#[test]
fn a_new_launch_takes_the_place_of_the_former() {
    let stage = Stage::new();
    let former = stage.launch(&stage.token());
    let bob = stage.lms.token(&claims("bob", &["ROLE_STUDIO"]));
    let again = stage.gateway.send(former.asks(form(&bob, "/studio/")));
    let latter = launched(&again);
    assert_ne!(former.cookie, latter.cookie);
    assert_eq!(name(&stage.me(&latter)), "bob");
    let me = stage.me(&former);
    assert_eq!(name(&me), "anonymous", "who has kept a copy has nothing");
    let token = stage.token();
    let third = stage.gateway.send(latter.asks(page(&format!("/studio/?jwt={token}"))));
    assert_eq!(name(&stage.me(&launched(&third))), "anna");
    assert_eq!(name(&stage.me(&latter)), "anonymous");
    // A token may be used again until it is over.
    let replayed = stage.launch(&token);
    assert_eq!(name(&stage.me(&replayed)), "anna");
    let count = |outcome: &str, route: &str| {
        let series = format!("janua_launches_total{{outcome=\"{outcome}\",route=\"{route}\"}}");
        stage.gateway.metric(&series)
    };
    assert_eq!(count("ok", "launch"), Some(3.0));
    assert_eq!(count("ok", "studio"), Some(1.0));
}

#[test]
fn an_opencasts_own_sessions_are_dropped() {
    let stage = Stage::new();
    let request = form(&stage.token(), "/studio/").header("Cookie", "a=b; JSESSIONID=old; oc-remember-me=x");
    let answer = stage.gateway.send(request);
    let cookies = answer.all("set-cookie");
    for gone in [
        "JSESSIONID=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=None",
        "JSESSIONID=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=None; Partitioned",
        "oc-remember-me=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=None",
        "oc-remember-me=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=None; Partitioned",
    ] {
        assert!(cookies.contains(&gone), "{cookies:?}");
    }
    assert_eq!(cookies.len(), 5, "{cookies:?}");
    let by_page = page(&format!("/studio/?jwt={}", stage.token())).header("Cookie", "JSESSIONID=old");
    assert_eq!(stage.gateway.send(by_page).all("set-cookie").len(), 3);
}

#[test]
fn over_plain_http_the_cookies_are_plain() {
    let stage = Stage::with("", crate::support::Config::new());
    let request = form(&stage.token(), "http://video.test/studio/").header("Cookie", "JSESSIONID=old");
    let answer = stage.gateway.send(request);
    let cookies = answer.all("set-cookie");
    assert_eq!(cookies.len(), 2, "{cookies:?}");
    assert!(cookies[0].starts_with("janua-launch=") && cookies[0].ends_with("; HttpOnly; SameSite=Lax; Path=/"));
    assert_eq!(cookies[1], "JSESSIONID=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
    assert_eq!(name(&stage.me(&launched(&answer))), "anna");
}

#[test]
fn signing_out_ends_it() {
    let stage = Stage::new();
    let launched = stage.launch(&stage.token());
    let asked = stage
        .gateway
        .send(launched.asks(Request::get("/_janua/sign-out")))
        .expect(200);
    assert!(asked.text().contains("here by a link from <strong>lms</strong>"));
    let post = |origin: &str| {
        let post = Request::new("POST", "/_janua/sign-out").header("Origin", origin);
        stage.gateway.send(launched.asks(post).body(""))
    };
    post("https://lms.test").refused(403, "cross_site");
    assert_eq!(name(&stage.me(&launched)), "anna");
    let out = post(ORIGIN).expect(200);
    let gone = out.all("set-cookie");
    let gone = gone
        .iter()
        .find(|cookie| cookie.starts_with("__Host-janua-launch=;"))
        .unwrap();
    assert!(gone.contains("Max-Age=0") && gone.contains("Partitioned"), "{gone}");
    assert_eq!(name(&stage.me(&launched)), "anonymous");
    stage.gateway.get("/_janua/me").refused(404, "no_route");
}

#[test]
fn nothing_secret_is_in_the_log() {
    let stage = Stage::new();
    let token = stage.token();
    let launched = stage.launch(&token);
    stage.gateway.send(page(&format!("/studio/?jwt={token}")));
    stage.gateway.send(launched.asks(page("/studio/"))).expect(200);
    stage.gateway.logged(&["route=\"studio\"", "status=200"]);
    let said = stage.gateway.said();
    let (_, secret) = launched.cookie.split_once('=').unwrap();
    assert!(
        !said.contains(secret) && !said.contains(token.rsplit('.').next().unwrap()),
        "{said}"
    );
    assert!(said.contains("subject=\"lms/anna\""), "{said}");
}
