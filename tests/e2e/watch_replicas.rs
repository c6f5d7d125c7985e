//! Several gateways with one store and one master key: a pass is good at each, and ended at each. With an embedded store
//! there is only the one gateway that holds its file.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use super::watch::{config, cookie, lectures, with_cookie};
use crate::support::tools::janua;
use crate::support::{Config, Gateway, Signer, Site, Valkey, eventually, in_seconds};

/// 32 bytes, the same for all.
const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";

fn replica(valkey: &Valkey, signer: &Signer) -> Gateway {
    let site = lectures();
    let key = site.write("master.key", MASTER_KEY);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let config = shared(config(&site, signer, "files = \"downloads\"", "\"cookie\""), valkey);
    site.start(&config.set("state", "key_file", &format!("{key:?}")))
}

fn shared(config: Config, valkey: &Valkey) -> Config {
    let url = format!("{:?}", valkey.url());
    config.set("state", "store", "\"valkey\"").set("state", "url", &url)
}

fn path(event: u8) -> String {
    format!("/static/org/player/lecture-{event}/a/video.mp4")
}

fn revoke(gateway: &Gateway, whose: &str, name: &str) {
    let file = gateway.site.path("gateway.toml");
    janua(["revoke", whose, name, "--config", file.to_str().unwrap()]).ok();
}

#[test]
fn a_pass_is_good_at_each_and_ended_at_each() {
    let Some(valkey) = Valkey::start() else { return };
    let signer = Signer::new();
    let (here, there) = (replica(&valkey, &signer), replica(&valkey, &signer));
    let pass = |gateway: &Gateway, sub: &str, event: u8| {
        let claims =
            json!({ "exp": in_seconds(60), "sub": sub, "oc": { "e:lecture-1": ["read"], "e:lecture-2": ["read"] } });
        cookie(&gateway.get_with(&path(event), &signer.token(&claims)).expect(200))
    };
    let (anna, bert) = (pass(&here, "anna", 1), pass(&there, "bert", 2));
    for gateway in [&here, &there] {
        with_cookie(gateway, &path(1), &anna).expect(200);
        with_cookie(gateway, &path(2), &bert).expect(200);
    }
    let ended = |gateway: &Gateway, event: u8, pass: &str| {
        eventually("the other one hears of it", || {
            let answer = with_cookie(gateway, &path(event), pass);
            (answer.status == 403).then(|| answer.refused(403, "watch_pass_revoked"))
        })
    };
    // Said here, and said there.
    revoke(&here, "--subject", "anna");
    with_cookie(&here, &path(1), &anna).refused(403, "watch_pass_revoked");
    ended(&there, 1, &anna);
    with_cookie(&there, &path(2), &bert).expect(200);
    revoke(&there, "--event", "lecture-2");
    with_cookie(&there, &path(2), &bert).refused(403, "watch_pass_revoked");
    ended(&here, 2, &bert);
    // One that starts only now knows it from its first request on.
    let late = replica(&valkey, &signer);
    with_cookie(&late, &path(1), &anna).refused(403, "watch_pass_revoked");
    with_cookie(&late, &path(1), &pass(&late, "carl", 1)).expect(200);
}

/// What has been revoked is not known then.
#[test]
fn a_gateway_that_starts_without_the_store_takes_no_pass_until_it_is_back() {
    let Some(mut valkey) = Valkey::start() else { return };
    let signer = Signer::new();
    let here = replica(&valkey, &signer);
    let token = signer.read("lecture-1");
    let pass = cookie(&here.get_with(&path(1), &token).expect(200));
    valkey.kill();
    let late = replica(&valkey, &signer);
    late.get_with(&path(1), &token).expect(200);
    with_cookie(&late, &path(1), &pass).refused(503, "store_unavailable");
    valkey.revive();
    eventually("the store was read", || {
        (with_cookie(&late, &path(1), &pass).status == 200).then_some(())
    });
}

#[test]
fn an_embedded_store_is_one_gateways() {
    let (site, signer): (Site, _) = (lectures(), Signer::new());
    let config = config(&site, &signer, "files = \"downloads\"", "\"cookie\"").set("state", "store", "\"embedded\"");
    let gateway = site.start(&config);
    // Another control socket, or the second would already stop at that.
    let second = config.server("control", "\"second.sock\"");
    let (status, said) = Gateway::fails(&site, &second.text(), None);
    assert!(!status.success() && said.contains("state"), "{said}");
    gateway.get_with(&path(1), &signer.read("lecture-1")).expect(200);
}
