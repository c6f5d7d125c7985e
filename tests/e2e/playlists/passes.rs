//! Watch passes for a playlist: who came with a token for it goes on from event to event without it, as long as they are in
//! it; and a token for many events has a pass for each.

use serde_json::{Map, Value, json};

use super::{config, file, start, token};
use crate::players;
use crate::support::opencast::Fault;
use crate::support::tools::{janua, missing, run};
use crate::support::{Gateway, Opencast, Request, Signer, Site, eventually};
use crate::watch::{cookie, with_cookie};

fn two_lists() -> Opencast {
    let opencast = Opencast::start();
    opencast.playlist("maths", &["one", "two"]);
    opencast.playlist("physics", &["three"]);
    opencast
}

fn revoke(gateway: &Gateway, whose: &str, name: &str) {
    let file_name = gateway.site.path("gateway.toml");
    janua(["revoke", whose, name, "--config", file_name.to_str().unwrap()]).ok();
}

#[test]
fn a_pass_goes_on_within_the_playlist() {
    let (opencast, signer) = (two_lists(), Signer::new());
    let gateway = start(&signer, &opencast, "acl_ttl = \"1s\"");
    let token = token(&signer, &json!({ "p:maths": ["read"] }));
    let first = gateway.get(&format!("{}?jwt={token}", file("one"))).expect(200);
    assert_eq!(first.all("set-cookie").len(), 1, "of several, proxies hand on one");
    let set = first.header("set-cookie").unwrap();
    assert!(set.starts_with("janua-watch-"), "{set}");
    assert!(set.contains("; Path=/static/org/player/; "), "{set}");
    let pass = cookie(&first);
    for event in ["one", "two"] {
        let answer = with_cookie(&gateway, &file(event), &pass).expect(200);
        assert!(answer.header("set-cookie").is_none(), "a pass earns no pass");
    }
    with_cookie(&gateway, &file("three"), &pass).expect(403);
    with_cookie(&gateway, "/static/org/other/one/a.mp4", &pass).refused(403, "watch_pass_invalid");
    // The cookie is there already.
    let again = Request::get(&format!("{}?jwt={token}", file("two"))).header("Cookie", &pass);
    assert!(gateway.send(again).expect(200).header("set-cookie").is_none());
    opencast.playlist("maths", &["two", "three"]);
    eventually("what is taken out is closed", || {
        (with_cookie(&gateway, &file("one"), &pass).status == 403).then_some(())
    });
    with_cookie(&gateway, &file("three"), &pass).expect(200);
    opencast.fault(Fault::Status(503));
    let stale = "janua_opencast_asks_total{opencast=\"main\",result=\"stale\"}";
    eventually("an old answer is used while Opencast is away", || {
        with_cookie(&gateway, &file("two"), &pass).expect(200);
        (gateway.metric(stale) > Some(0.0)).then_some(())
    });
    let value = pass.split_once('=').unwrap().1;
    assert!(!gateway.said().contains(value));
}

#[test]
fn passes_for_two_playlists_and_for_events_stand_side_by_side() {
    let (opencast, signer) = (two_lists(), Signer::new());
    let gateway = start(&signer, &opencast, "");
    let earned = |event: &str, oc: &Value| {
        let answer = gateway.get(&format!("{}?jwt={}", file(event), token(&signer, oc)));
        cookie(&answer.expect(200))
    };
    let maths = earned("one", &json!({ "p:maths": ["read"] }));
    let physics = earned("three", &json!({ "p:physics": ["read"] }));
    let name = |pass: &str| pass.split('=').next().unwrap().to_owned();
    assert_ne!(name(&maths), name(&physics), "one would take the place of the other");
    let both = format!("{physics}; {maths}");
    for event in ["one", "two", "three"] {
        with_cookie(&gateway, &file(event), &both).expect(200);
    }
    with_cookie(&gateway, &file("three"), &maths).expect(403);
    // What the grant on the event itself has opened stays with the event.
    let event = earned("one", &json!({ "e:one": ["read"], "p:maths": ["read"] }));
    assert_eq!(name(&event), "janua-watch");
    with_cookie(&gateway, &file("one"), &event).expect(200);
    with_cookie(&gateway, &file("two"), &event).refused(403, "watch_pass_invalid");
}

#[test]
fn a_token_for_many_events_has_a_pass_for_each() {
    let (opencast, signer) = (Opencast::start(), Signer::new());
    let gateway = start(&signer, &opencast, "");
    let others = (0..200).map(|number| (format!("e:{number:08}-other-event"), json!(["read"])));
    let mut oc: Map<String, Value> = others.collect();
    oc.insert("e:two".to_owned(), json!(["read"]));
    oc.insert("e:one".to_owned(), json!(["read"]));
    let many = token(&signer, &oc.into());
    let passes = ["one", "two"].map(|event| {
        let answer = gateway.send(Request::get(&file(event)).bearer(&many)).expect(200);
        let set = answer.header("set-cookie").unwrap().to_owned();
        assert!(set.contains(&format!("; Path=/static/org/player/{event}/; ")), "{set}");
        cookie(&answer)
    });
    for (pass, event, other) in [(&passes[0], "one", "two"), (&passes[1], "two", "one")] {
        with_cookie(&gateway, &file(event), pass).expect(200);
        with_cookie(&gateway, &file(other), pass).refused(403, "watch_pass_invalid");
    }
    gateway
        .send(Request::get(&file("three")).bearer(&many))
        .refused(403, "event_not_granted");
    assert_eq!(opencast.site().requests.len(), 0);
}

#[test]
fn it_ends_by_revocation_of_the_event_the_playlist_or_the_person() {
    let (opencast, signer) = (two_lists(), Signer::new());
    let gateway = start(&signer, &opencast, "");
    let by = |name: &str| {
        let claims = json!({ "exp": crate::support::in_seconds(60), "sub": name, "oc": { "p:maths": ["read"] } });
        cookie(
            &gateway
                .get(&format!("{}?jwt={}", file("one"), signer.token(&claims)))
                .expect(200),
        )
    };
    let (anna, bert) = (by("anna"), by("bert"));
    revoke(&gateway, "--event", "one");
    with_cookie(&gateway, &file("one"), &anna).refused(403, "watch_pass_revoked");
    with_cookie(&gateway, &file("two"), &anna).expect(200);
    revoke(&gateway, "--subject", "anna");
    with_cookie(&gateway, &file("two"), &anna).refused(403, "watch_pass_revoked");
    with_cookie(&gateway, &file("two"), &bert).expect(200);
    revoke(&gateway, "--event", "maths");
    with_cookie(&gateway, &file("two"), &bert).refused(403, "watch_pass_revoked");
}

/// A player without cookies: the pass is in each address of the event's HLS playlist, and good for the other events too.
#[test]
fn playlists_of_hls_carry_it() {
    let (opencast, signer) = (two_lists(), Signer::new());
    let site = Site::new();
    let config = config(&site, &signer, &opencast, "");
    site.write(
        "downloads/org/player/one/main.m3u8",
        "#EXTM3U\n#EXTINF:1,\na.mp4\n../two/a.mp4\n",
    );
    let gateway = site.start(&config);
    let token = token(&signer, &json!({ "p:maths": ["read"] }));
    let text = gateway
        .get(&format!("/static/org/player/one/main.m3u8?jwt={token}"))
        .expect(200)
        .text();
    let pass = text.lines().find_map(|line| line.strip_prefix("a.mp4?")).unwrap();
    assert!(text.contains("\n../two/a.mp4\n"), "{text}");
    for event in ["one", "two"] {
        gateway.get(&format!("{}?{pass}", file(event))).expect(200);
    }
    gateway.get(&format!("{}?{pass}", file("three"))).expect(403);
}

/// One lecture by the token's address, and the next one with the cookie alone, when the token is over.
#[test]
fn a_player_goes_on_to_the_next_lecture_when_the_token_is_over() {
    if missing("ffmpeg") {
        return;
    }
    let (opencast, signer, site) = (Opencast::start(), Signer::new(), players::site());
    opencast.playlist("maths", &["lecture-1", "lecture-2"]);
    let lecture = site.path("downloads/org/player/lecture-1");
    for event in ["lecture-2", "lecture-3"] {
        let copy = lecture.with_file_name(event);
        std::fs::remove_dir_all(&copy).ok();
        run("cp", ["-r".as_ref(), lecture.as_os_str(), copy.as_os_str()]).ok();
    }
    let gateway = site.start(&config(&site, &signer, &opencast, "").jwt("leeway", "\"0s\""));
    let claims = json!({ "exp": crate::support::in_seconds(12), "oc": { "p:maths": ["read"] } });
    let token = signer.token(&claims);
    let master = |event: &str| format!("/static/org/player/{event}/hls/master.m3u8");
    let address = format!("{}?jwt={token}", master("lecture-1"));
    let pass = cookie(&gateway.get(&address).expect(200));
    assert_eq!(frames(&gateway.url(&address), ""), 300);
    eventually("the token is over", || {
        (gateway.get(&address).status == 401).then_some(())
    });
    let header = format!("Cookie: {pass}\r\n");
    assert_eq!(frames(&gateway.url(&master("lecture-2")), &header), 300);
    with_cookie(&gateway, &master("lecture-3"), &pass).expect(403);
}

fn frames(url: &str, headers: &str) -> usize {
    let asked = [
        "-nostdin",
        "-loglevel",
        "error",
        "-xerror",
        "-headers",
        headers,
        "-i",
        url,
        "-map",
        "0:v:0",
        "-f",
        "framecrc",
        "-",
    ];
    let played = run("ffmpeg", asked).ok();
    played.stdout.lines().filter(|line| !line.starts_with('#')).count()
}
