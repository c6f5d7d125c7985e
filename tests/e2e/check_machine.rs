//! `janua check` about the machine that it runs on: folders, certificates, ports and key files; and about what can never
//! hold.

use std::fs::{Permissions, set_permissions};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::sync::{Arc, Barrier};

use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};
use rustls::pki_types::PrivatePkcs8KeyDer;

use crate::support::opencast::Fault;
use crate::support::tools::{Ran, janua, run};
use crate::support::{Config, Opencast, Signer, Site};

pub fn check(site: &Site, config: &str, more: &[&str]) -> Ran {
    let file = site.write("checked.toml", config);
    let arguments = ["check", "--config", file.to_str().unwrap()];
    janua(arguments.iter().chain(more))
}

/// The verdict lines that contain `part`.
pub fn lines<'a>(ran: &'a Ran, part: &str) -> Vec<&'a str> {
    ran.stdout.lines().filter(|line| line.contains(part)).collect()
}

#[track_caller]
pub fn told(ran: &Ran, code: i32, line: &str, more: &[&str]) {
    assert_eq!(ran.code, Some(code), "{ran:?}");
    let found = ran.stdout.lines().find(|told| told.starts_with(line));
    let found = found.unwrap_or_else(|| panic!("no line begins with {line}: {ran:?}"));
    for part in more {
        assert!(found.contains(part), "{part}: {found}");
    }
}

fn stateful() -> Config {
    Config::new().open_route().set("state", "store", "\"embedded\"")
}

#[test]
fn a_state_folder_that_cannot_be_is_told_offline_too() {
    let site = Site::new();
    site.write("state", "a file where a folder should be");
    for more in [&["--offline"][..], &[]] {
        let ran = check(&site, &stateful().text(), more);
        told(
            &ran,
            1,
            "BAD  state.path: ",
            &["state is no folder", "state.path", "/var/lib/janua/janua.redb"],
        );
        assert_eq!(
            lines(&ran, "is no folder").len(),
            2,
            "the control socket, and state and key once: {ran:?}"
        );
    }
    let site = Site::new();
    let ran = check(&site, &stateful().text(), &["--offline"]);
    told(&ran, 0, "ok   state ", &["not there yet"]);
    assert!(!site.path("state").exists(), "nothing is made");
}

#[test]
fn it_is_the_user_of_the_check_that_counts() {
    let site = Site::new();
    site.write("checked.toml", stateful().text());
    let config = site.path("checked.toml");
    let binary = env!("CARGO_BIN_EXE_janua");
    let check = ["check", "--offline", "--config", config.to_str().unwrap()];
    let ran = match site.root().metadata().unwrap().uid() {
        0 => {
            set_permissions(site.root(), Permissions::from_mode(0o755)).unwrap();
            let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", binary];
            run("setpriv", nobody.iter().chain(&check))
        }
        _ => {
            set_permissions(site.root(), Permissions::from_mode(0o500)).unwrap();
            run(binary, check)
        }
    };
    set_permissions(site.root(), Permissions::from_mode(0o700)).unwrap();
    told(
        &ran,
        1,
        "BAD  state.path: ",
        &["may not write in", "(uid ", "run the check as the gateway's user"],
    );
}

#[test]
fn key_files_are_read_offline_too() {
    let site = Site::new();
    janua(["keys", "new", "--out", site.path("keys").to_str().unwrap()]).ok();
    let jwk = std::fs::read_to_string(site.path("keys/jwks.json")).unwrap();
    let jwk: serde_json::Value = serde_json::from_str(&jwk).unwrap();
    let secret = std::fs::read_to_string(site.path("keys/private.pem")).unwrap();
    let public = KeyPair::from_pem(&secret).unwrap().public_key_pem();
    site.write("keys/public.pem", public);
    site.write("keys/one.jwk", jwk["keys"][0].to_string());
    site.write(
        "keys/private.jwk",
        r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA","d":"AA"}"#,
    );
    site.write("keys/nothing.json", "{}");
    let with = |name: &str| Config::new().issuer("moodle", name, "").open_route().text();
    for (name, remedy) in [
        (
            "keys/private.pem",
            "a private key: whoever reads this file can make tokens",
        ),
        (
            "keys/private.jwk",
            "a private key: whoever reads this file can make tokens",
        ),
        ("keys/public.pem", "`janua keys jwks FILE` makes a key set of it"),
        ("keys/one.jwk", "`janua keys jwks FILE` makes a key set of it"),
        ("keys/nothing.json", "no array \"keys\""),
    ] {
        told(
            &check(&site, &with(name), &["--offline"]),
            1,
            "BAD  issuer moodle",
            &[remedy],
        );
    }
    told(
        &check(&site, &with("keys/jwks.json"), &["--offline"]),
        0,
        "ok   issuer moodle",
        &["1 key usable"],
    );
}

#[test]
fn keys_that_jwt_algorithms_refuses_are_not_usable() {
    let site = Site::new();
    let (p256, ed25519) = (Signer::new(), Signer::eddsa());
    let with = |algorithms: &str| {
        let config = Config::new().issuer("moodle", "keys.json", "").open_route();
        config.jwt("algorithms", algorithms).text()
    };
    site.write_keys("keys.json", &[&p256, &ed25519]);
    let ran = check(&site, &with(r#"["ES256"]"#), &["--offline"]);
    told(&ran, 0, "ok   issuer moodle: 1 key usable: ES256", &[]);
    told(
        &ran,
        0,
        "note issuer moodle: a key is not used: EdDSA",
        &["`jwt.algorithms` does not name \"EdDSA\""],
    );
    let ran = check(&site, &with(r#"["ES256", "EdDSA"]"#), &["--offline"]);
    told(&ran, 0, "ok   issuer moodle: 2 keys usable: ES256", &["EdDSA"]);
    let ran = check(&site, &with(r#"["ES384", "RS256"]"#), &["--offline"]);
    told(&ran, 1, "BAD  issuer moodle: none of its keys can be used", &[]);
    assert_eq!(lines(&ran, "does not name \"E").len(), 2, "{ran:?}");
    site.start(&Config::new().issuer("moodle", "keys.json", "").open_route())
        .logged(&["a key is not used", "`jwt.algorithms` does not name"]);
}

#[test]
fn a_state_file_that_a_gateway_could_not_use_is_told_offline_too() {
    let site = Site::new();
    let config = stateful();
    // The gateway makes its key, and the state.
    site.start(&config).stop();
    told(
        &check(&site, &config.text(), &["--offline"]),
        0,
        "ok   state ",
        &["can be used"],
    );
    let whole = std::fs::read(site.path("state/janua.redb")).unwrap();
    let key = std::fs::read(site.path("state/master.key")).unwrap();
    for damaged in [
        &b"a letter of somebody's"[..],
        &whole[..5000],
        &whole[..whole.len() / 2],
    ] {
        site.write("state/janua.redb", damaged);
        for more in [&["--offline"][..], &[]] {
            let ran = check(&site, &config.text(), more);
            told(&ran, 1, "BAD  state ", &["is damaged or no state file", "move it away"]);
        }
        assert_eq!(std::fs::read(site.path("state/janua.redb")).unwrap(), damaged);
        // Without its key too.
        std::fs::remove_file(site.path("state/master.key")).unwrap();
        told(&check(&site, &config.text(), &["--offline"]), 1, "BAD  state ", &[]);
        site.write("state/master.key", &key);
        set_permissions(site.path("state/master.key"), Permissions::from_mode(0o600)).unwrap();
    }
    site.write("state/janua.redb", "");
    assert_eq!(check(&site, &config.text(), &["--offline"]).code, Some(0));
}

#[test]
fn a_link_that_leads_to_nothing_is_no_place_for_the_state() {
    for (name, setting) in [("janua.redb", "state.path"), ("master.key", "state.key_file")] {
        let site = Site::new();
        std::fs::create_dir(site.path("state")).unwrap();
        std::os::unix::fs::symlink("/nowhere/x", site.path("state").join(name)).unwrap();
        let ran = check(&site, &stateful().text(), &["--offline"]);
        told(
            &ran,
            1,
            &format!("BAD  {setting}"),
            &["is a link to /nowhere/x", "which is not there"],
        );
    }
}

#[test]
fn a_state_file_in_use_is_a_gateways_or_somebodys() {
    let site = Site::new();
    let gateway = site.start(&stateful());
    let file = site.path("gateway.toml");
    let by_this_file = |more: &[&str]| {
        let arguments = ["check", "--config", file.to_str().unwrap()];
        janua(arguments.iter().chain(more))
    };
    let process = format!("(process {})", gateway.process());
    let ran = by_this_file(&[]);
    let line = lines(&ran, "state/janua.redb");
    assert!(
        line.len() == 1 && line[0].starts_with("ok   state ") && line[0].contains(&process),
        "{ran:?}"
    );
    let ran = by_this_file(&["--offline"]);
    told(&ran, 0, "note state ", &["in use by another process"]);
    // Another configuration, whose gateway is not there.
    let other = stateful().server("control", "\"other.sock\"").text();
    let ran = check(&site, &other, &[]);
    told(
        &ran,
        1,
        "BAD  state ",
        &["in use by janua", &process, "no gateway answers at", "other.sock"],
    );
}

#[test]
fn the_example_is_good_with_the_binary_alone() {
    let site = Site::new();
    let example = janua(["config", "example"]).ok().stdout;
    let ran = check(&site, &example, &["--offline"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    assert!(
        lines(&ran, "BAD").is_empty() && lines(&ran, "all is well").len() == 1,
        "{ran:?}"
    );
}

#[test]
fn certificates_are_held_against_names_and_calendar() {
    let site = Site::new();
    let config = |more: &str| {
        let config = Config::new()
            .server("public_urls", r#"["https://video.test"]"#)
            .open_route();
        let tls = r#"[{ listen = "127.0.0.1:0", certificate = "tls/certificate.pem", key = "tls/key.pem" }]"#;
        let config = config.server("tls", tls);
        match more {
            "" => config.text(),
            proxies => config.server("trusted_proxies", proxies).text(),
        }
    };
    let year = |year| date_time_ymd(year, 1, 1);
    let write = |name: &str, from, until| {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (from, until);
        let key = KeyPair::generate().unwrap();
        site.write("tls/certificate.pem", params.self_signed(&key).unwrap().pem());
        site.write("tls/key.pem", key.serialize_pem());
        set_permissions(site.path("tls/key.pem"), Permissions::from_mode(0o600)).unwrap();
    };
    write("video.test", year(2020), year(4000));
    told(
        &check(&site, &config(""), &["--offline"]),
        0,
        "ok   certificate",
        &["video.test", "days"],
    );
    write("video.test", year(2020), year(2021));
    told(
        &check(&site, &config(""), &["--offline"]),
        1,
        "BAD  certificate",
        &["expired", "days ago"],
    );
    write("video.test", year(3000), year(4000));
    told(
        &check(&site, &config(""), &["--offline"]),
        1,
        "BAD  certificate",
        &["not valid yet"],
    );
    write("other.test", year(2020), year(4000));
    told(
        &check(&site, &config(""), &["--offline"]),
        1,
        "BAD  certificates",
        &["none is for video.test"],
    );
    // Behind a proxy that clients meet instead.
    told(
        &check(&site, &config(r#"["127.0.0.1"]"#), &["--offline"]),
        0,
        "note certificates",
        &["video.test"],
    );
    // For clients only, and signed by a CA that is not in the file.
    let ca = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["campus.test".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "Campus CA");
    let issuer = rcgen::Issuer::from_params(&params, &ca);
    let mut params = CertificateParams::new(["video.test".to_owned()]).unwrap();
    let key = KeyPair::generate().unwrap();
    site.write("tls/certificate.pem", params.signed_by(&key, &issuer).unwrap().pem());
    site.write("tls/key.pem", key.serialize_pem());
    set_permissions(site.path("tls/key.pem"), Permissions::from_mode(0o600)).unwrap();
    told(
        &check(&site, &config(""), &["--offline"]),
        0,
        "note certificate",
        &["no intermediate certificate", "fullchain.pem"],
    );
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    site.write("tls/certificate.pem", params.self_signed(&key).unwrap().pem());
    told(
        &check(&site, &config(""), &["--offline"]),
        1,
        "BAD  certificate",
        &["not one for servers", "serverAuth"],
    );
    // What is wrong with a key is said in words.
    for (key, words) in [
        ("", "no private key in it"),
        (
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            "the key is encrypted; `openssl pkey ",
        ),
        (
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "no key that TLS takes here",
        ),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n", "a line `-----END"),
        (
            &KeyPair::generate().unwrap().serialize_pem(),
            "the certificate is for another key",
        ),
    ] {
        write("video.test", year(2020), year(4000));
        site.write("tls/key.pem", key);
        set_permissions(site.path("tls/key.pem"), Permissions::from_mode(0o600)).unwrap();
        told(
            &check(&site, &config(""), &["--offline"]),
            1,
            "BAD  certificate",
            &[words],
        );
    }
    let soon = year(1970) + std::time::Duration::from_secs(now() + 5 * 86_400 / 2);
    write("video.test", year(2020), soon);
    told(
        &check(&site, &config(""), &["--offline"]),
        0,
        "note certificate",
        &["expires in 2 days"],
    );
}

/// Seconds since 1970.
fn now() -> u64 {
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn a_port_that_is_taken_is_told_with_who_has_it() {
    let site = Site::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let config = Config::new().server("listen", &format!("[\"{address}\"]")).open_route();
    let me = format!("(process {})", std::process::id());
    let ran = check(&site, &config.text(), &[]);
    told(
        &ran,
        1,
        &format!("BAD  server.listen {address}"),
        &["taken by", &me, "choose another port"],
    );
    // Whose port it is, is a matter of the machine that the gateway runs on.
    assert_eq!(check(&site, &config.text(), &["--offline"]).code, Some(0));
}

#[test]
fn a_gateway_of_the_same_file_may_run_already() {
    let site = Site::new();
    let gateway = site.start(&Config::new().open_route());
    let listen = format!("[\"{}\"]", gateway.http());
    let config = Config::new().server("listen", &listen).open_route().text();
    let file = site.write("gateway.toml", &config);
    let ran = janua(["check", "--config", file.to_str().unwrap()]);
    let process = format!("(process {})", gateway.process());
    told(
        &ran,
        0,
        "ok   server.listen",
        &["by the gateway that runs with this file", &process],
    );
    // In the same folder, with the same control socket, and another file.
    let ran = check(&site, &config, &[]);
    told(
        &ran,
        1,
        "BAD  server.listen",
        &["by the gateway that runs with", "gateway.toml", &process],
    );
}

#[test]
fn opencast_is_asked_as_the_user_of_the_gateway() {
    let (site, opencast) = (Site::new(), Opencast::start());
    let config = |user: &str| {
        Config::new()
            .open_route()
            .upstream("opencast", &[opencast.url()], "")
            .section(&format!(
                "[opencast.main]\nupstream = \"opencast\"\nusername = {user:?}\npassword_file = \"secrets/opencast\"\n"
            ))
            .text()
    };
    site.write("secrets/opencast", "letmein\n");
    told(
        &check(&site, &config("gateway"), &[]),
        0,
        "ok   opencast main",
        &["tells gateway of events"],
    );
    site.write("secrets/opencast", "wrong\n");
    let ran = check(&site, &config("gateway"), &[]);
    told(&ran, 1, "BAD  opencast main", &["401", "`username`", "`password_file`"]);
    assert!(!ran.stdout.contains("wrong"), "{ran:?}");
    site.write("secrets/opencast", "letmein\n");
    opencast.fault(Fault::Status(403));
    told(
        &check(&site, &config("gateway"), &[]),
        1,
        "BAD  opencast main",
        &["403", "ROLE_API_EVENTS_ACL_VIEW"],
    );
}

#[test]
fn what_is_wrong_with_a_servers_tls_is_told_in_words() {
    let site = Site::new();
    let key = KeyPair::generate().unwrap();
    let certificate = |key: &KeyPair, name: &str, from: i32, until: i32| {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        // Nobody else has this name.
        let own = format!("{name} of {}", std::process::id());
        params.distinguished_name.push(DnType::CommonName, own);
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        params.self_signed(key).unwrap()
    };
    for (name, from, until, is_known, words) in [
        ("localhost", 2020, 4000, false, &["not known here", "`ca_file`"][..]),
        (
            "localhost",
            2020,
            2021,
            true,
            &["its certificate has expired", "renew it"],
        ),
        ("localhost", 3000, 4000, true, &["not valid yet", "is the clock right"]),
        (
            "other.test",
            2020,
            4000,
            true,
            &["not for localhost, but for other.test", "subjectAltName"],
        ),
    ] {
        let shown = certificate(&key, name, from, until);
        let listed = if is_known {
            shown.pem()
        } else {
            certificate(&KeyPair::generate().unwrap(), "x", 2020, 4000).pem()
        };
        site.write("ca.pem", listed);
        let port = tls_server(shown.der().to_vec(), key.serialize_der());
        let config = Config::new()
            .issuer(
                "moodle",
                &format!("https://localhost:{port}/keys"),
                "ca_file = \"ca.pem\"",
            )
            .open_route()
            .text();
        let ran = check(&site, &config, &[]);
        told(&ran, 1, "BAD  issuer moodle", words);
        assert!(!ran.stdout.contains("invalid peer"), "{ran:?}");
    }
    // A server of another protocol.
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut asked, _) = socket.accept().unwrap();
        assert_ne!(asked.read(&mut [0; 2048]).unwrap(), 0);
        asked
            .write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
            .unwrap();
    });
    let config = Config::new()
        .issuer("moodle", &format!("https://localhost:{port}/keys"), "")
        .open_route()
        .text();
    let ran = check(&site, &config, &[]);
    told(&ran, 1, "BAD  issuer moodle", &["no TLS is spoken there"]);
}

/// The port of a server that shows this certificate to one client after the other.
pub fn tls_server(certificate: Vec<u8>, key: Vec<u8>) -> u16 {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.into()], PrivatePkcs8KeyDer::from(key).into())
        .unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let config = Arc::new(config);
        for asked in socket.incoming() {
            let mut asked = asked.unwrap();
            let mut tls = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            // The client ends it.
            while tls.complete_io(&mut asked).is_ok_and(|(read, _)| read > 0) {}
        }
    });
    port
}

#[test]
fn rules_that_can_never_hold_are_told() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    site.write_keys("keys.json", &[&signer]);
    let with = |rules: &str| {
        Config::new()
            .server("public_urls", r#"["https://video.test"]"#)
            .issuer(
                "moodle",
                "keys.json",
                "allow_roles = [\"*_Learner\"]\nallow_actions = [\"read\"]",
            )
            .section(&format!(
                "[[routes]]\nname = \"r\"\npath = \"/c/{{course}}/{{*file}}\"\nfiles = \"downloads\"\n{rules}\n"
            ))
            .text()
    };
    for never in [
        "allow = [{ role = \"ROLE_ADMIN\" }]",
        "allow = [{ role = \"{course}_Instructor\" }, { role = \"{course}_Learner\" }]",
        "allow = [{ role = [\"ROLE_ADMIN\", \"x\"] }]",
        "allow = [{ grant = \"write\", event = \"{course}\" }]",
        "allow = [{ signed_in = true }]\ndeny = [{ role = \"ROLE_SUSPENDED\" }]",
    ] {
        let ran = check(&site, &with(never), &["--offline"]);
        assert!(
            ran.code == Some(0) && ran.stderr.contains("is never met"),
            "{never}: {ran:?}"
        );
    }
    for may in [
        "allow = [{ role = \"{course}_Learner\" }]",
        "allow = [{ role = \"4_*\" }]",
        "allow = [{ role = [\"ROLE_ADMIN\", \"*\"] }, { grant = \"read\", event = \"{course}\" }]",
    ] {
        let ran = check(&site, &with(may), &["--offline"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{may}");
    }
}

#[test]
fn all_are_asked_at_the_same_time() {
    let site = Site::new();
    // Each answers when all have been asked.
    let all = Arc::new(Barrier::new(3));
    let mut config = Config::new().open_route();
    let health = "health = { path = \"/\", every = \"5s\" }";
    for place in 0..3 {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        config = config.upstream(&format!("u{place}"), &[url], health);
        let all = Arc::clone(&all);
        std::thread::spawn(move || {
            let (mut asked, _) = socket.accept().unwrap();
            assert_ne!(asked.read(&mut [0; 1024]).unwrap(), 0);
            all.wait();
            asked
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                .unwrap();
        });
    }
    // It takes connections and never answers.
    let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = config.upstream(
        "hanging",
        &[format!("http://{}", hanging.local_addr().unwrap())],
        health,
    );
    let ran = check(&site, &config.text(), &[]);
    assert_eq!(lines(&ran, "answers").len(), 3, "{ran:?}");
    told(&ran, 1, "BAD  upstream hanging", &[": no answer in time"]);
    assert!(!ran.stdout.contains("side:"), "{ran:?}");
    let last = ran.stdout.lines().rev().nth(1);
    assert!(
        last.is_some_and(|line| line.starts_with("BAD")),
        "the others did not wait for it: {ran:?}"
    );
}
