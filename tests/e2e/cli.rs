//! The command line makes keys and tokens that the gateway takes.

use crate::support::tools::{janua, run};
use crate::support::{Config, MEDIA, Signer, Site};

#[test]
fn keys_and_tokens_from_the_command_line_open_a_lecture() {
    let site = Site::with_lecture();
    let keys = site.path("keys");
    let made = janua(["keys", "new", "--out", keys.to_str().unwrap()]).ok();
    let private = keys.join("private.pem");
    let secret = std::fs::read_to_string(&private).unwrap();
    assert!(
        !format!("{made:?}").contains(secret.lines().nth(1).unwrap()),
        "a private key is printed"
    );
    let mode = std::os::unix::fs::PermissionsExt::mode(&private.metadata().unwrap().permissions());
    assert_eq!(mode & 0o077, 0, "others can read the private key");
    for name in ["public.jwk.json", "jwks.json"] {
        let text = std::fs::read_to_string(keys.join(name)).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(!json.to_string().contains(r#""d":"#), "{name} holds a private key");
    }
    // Keys are never overwritten.
    assert_ne!(janua(["keys", "new", "--out", keys.to_str().unwrap()]).code, Some(0));
    assert_eq!(std::fs::read_to_string(&private).unwrap(), secret);

    let gateway = site.start(&Config::new().issuer("sample", "keys/jwks.json", "").section(MEDIA));
    let path = "/static/org/player/lecture-1/video.mp4";
    let mint = |more: &[&str]| {
        let mut arguments = vec!["token", "mint", "--key", private.to_str().unwrap()];
        arguments.extend(more);
        janua(arguments).ok().stdout.trim().to_owned()
    };
    let token = mint(&["--event", "lecture-1=read,annotate", "--expires", "4h"]);
    gateway.get(&format!("{path}?jwt={token}")).expect(200);
    gateway
        .get_with(path, &mint(&["--role", "ROLE_ADMIN", "--sub", "anna"]))
        .expect(200);
    gateway.get_with(path, &mint(&["--learner", "4"])).expect(403);
    gateway
        .get_with(path, &mint(&["--event", "lecture-2=read"]))
        .expect(403);
}

#[test]
fn what_is_asked_wrongly_is_told() {
    assert_eq!(
        janua(["--version"]).ok().stdout.trim(),
        concat!("janua ", env!("CARGO_PKG_VERSION"))
    );
    assert!(janua(["--help"]).ok().stdout.contains("run"));
    let wrong = janua(["rnu"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.stderr.contains("rnu"), "{}", wrong.stderr);
}

/// As after `janua config example | head`.
#[test]
fn output_that_nobody_reads_on_is_no_error() {
    let binary = env!("CARGO_BIN_EXE_janua");
    for command in ["config example", "config schema", "man", "completions bash"] {
        let ran = run(
            "bash",
            [
                "-c",
                &format!("set -o pipefail; '{binary}' {command} | head -c 1 >/dev/null"),
            ],
        );
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{command}");
    }
}

/// With the binary alone, as README says; only the ports are the system's choice here.
#[test]
fn the_example_is_well_but_for_the_servers_that_it_names() {
    let folder = tempfile::tempdir().unwrap();
    let text = janua(["config", "example"]).ok().stdout;
    let text = text.replace("127.0.0.1:8080", "127.0.0.1:0");
    let text = text.replacen("[server]", "[server]\nadmin = \"127.0.0.1:0\"", 1);
    let file = folder.path().join("gateway.toml");
    std::fs::write(&file, text).unwrap();
    let told = janua(["check", "--config", file.to_str().unwrap()]).ok().stdout;
    assert!(told.contains("moodle.example.edu stands for your own server"), "{told}");
}

/// The log and `/readyz` agree.
#[test]
fn it_is_ready_to_serve_when_readyz_says_so() {
    let site = Site::new();
    site.write("keys.json", r#"{"keys":[]}"#);
    let gateway = site.start(&Config::new().issuer("moodle", "keys.json", "").open_route());
    gateway.logged(&["not ready yet", "issuer moodle: no usable key"]);
    gateway.admin("/readyz").expect(503);
    assert!(!gateway.said().contains("ready to serve"), "{}", gateway.said());
    site.write_keys("keys.json", &[&Signer::new()]);
    gateway.logged(&["ready to serve"]);
    gateway.admin("/readyz").expect(200);
}
