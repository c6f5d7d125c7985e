//! The control socket: whose it is, what it takes, and by what it answers.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use super::cases::{LECTURE, explain, get, report};
use crate::support::{Config, Gateway, Signer, Site, eventually};

#[test]
fn the_control_socket_is_its_owners_alone_and_one_gateways_alone() {
    let signer = Signer::new();
    let site = Site::with_lecture();
    let config = Config::media(&site, &signer);
    let nobody = {
        site.write("gateway.toml", config.text());
        explain(&site, &["GET", LECTURE, "--live"])
    };
    assert_eq!(nobody.code, Some(1));
    assert!(nobody.stderr.contains("no gateway answers"), "{}", nobody.stderr);

    let mut first = site.start(&config);
    let mode = |name: &str| site.path(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("state"), mode("state/control.sock")), (0o700, 0o600));
    let (status, said) = Gateway::fails(&site, &config.text(), None);
    assert_eq!(status.code(), Some(1));
    assert!(
        said.contains("server.control") && said.contains("another running gateway"),
        "{said}"
    );
    // Killed without a chance to tidy up: the next one takes the socket over.
    first.signal("KILL");
    first.ended();
    assert!(site.path("state/control.sock").exists());
    let second = site.start(&config);
    assert_eq!(explain(&site, &["GET", LECTURE, "--live"]).code, Some(3));
    second.stop();
    assert!(!site.path("state/control.sock").exists());
}

#[test]
fn the_control_socket_takes_one_bounded_line_and_nothing_else() {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;
    let signer = Signer::new();
    let site = Site::with_lecture();
    let gateway = site.start(&Config::media(&site, &signer).server("control", r#""ask/here.sock""#));
    let ask = |bytes: &[u8]| {
        let mut stream = UnixStream::connect(site.path("ask/here.sock")).unwrap();
        // The other side may hang up before all is written.
        drop(stream.write_all(bytes));
        drop(stream.shutdown(std::net::Shutdown::Write));
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        String::from_utf8(answer).unwrap()
    };
    for bad in [
        "{}\n",
        "nonsense\n",
        "{\"shutdown\":{}}\n",
        "{\"explain\":{\"method\":\"eyJsecret\"}}\n",
        "\n",
        "{\"explain\"",
    ] {
        let answer = ask(bad.as_bytes());
        assert!(answer.starts_with("{\"error\":"), "{bad:?}: {answer}");
        assert!(!answer.contains("secret"), "{answer}");
    }
    assert!(!ask(&[b'x'; 100_000]).contains("explain"));
    let question = json!({ "explain": { "method": "GET", "target": LECTURE, "headers": [["host", "video.test"]],
        "from": "127.0.0.1", "https": false, "at": null } });
    let answer: Value = serde_json::from_str(&ask(format!("{question}\n").as_bytes())).unwrap();
    assert_eq!(answer["explain"]["reason"], "no_credentials");
    assert_eq!(gateway.get(LECTURE).status, 401);
}

#[test]
fn a_reload_is_asked_about_at_once() {
    let signer = Signer::new();
    let site = Site::with_lecture();
    let gateway = site.start(&Config::media(&site, &signer));
    let asked = get("read", LECTURE).bearer(&signer.read("lecture-1"));
    assert_eq!(asked.explained(&site, &["--live"]).code, Some(0));
    let denying = Config::media(&site, &signer).section("deny = [{ signed_in = true }]\n");
    site.write("gateway.toml", denying.text());
    gateway.signal("HUP");
    eventually("the new rules are explained", || {
        let told = report(&asked.explained(&site, &["--json", "--live"]));
        (told["reason"] == "denied_by_rule").then_some(())
    });
    assert_eq!(asked.served(&gateway), (403, Some("denied_by_rule".to_owned())));
}
