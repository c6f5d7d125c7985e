//! Files and servers that the configuration names and that are not fit: `janua check` tells each with its setting and a
//! remedy, and each cause once; a gateway that does not start says the same.

use std::fs::{Permissions, set_permissions};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

use crate::check_machine::{check, lines, tls_server, told};
use crate::support::tools::{Ran, janua, run};
use crate::support::{Config, Gateway, Reserved, Signer, Site, Upstream};

fn fifo(site: &Site, name: &str) {
    let path = site.path(name);
    run("mkfifo", ["-m", "600", path.to_str().unwrap()]).ok();
}

fn bad(ran: &Ran) -> Vec<&str> {
    ran.stdout.lines().filter(|line| line.starts_with("BAD")).collect()
}

#[test]
fn an_unfit_ca_file_or_password_is_told_with_its_setting_and_a_remedy() {
    let (site, opencast) = (Site::new(), Upstream::start());
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["a.test".to_owned()]).unwrap();
    let certificate = certificate.self_signed(&key).unwrap();
    let pem = certificate.pem();
    let ca = "ca_file = \"ca.pem\"";
    let https = "https://127.0.0.1:1";
    let config = || Config::new().open_route();
    let upstream = config().upstream("app", &[https.to_owned()], ca);
    let issuer = config().issuer("lms", &format!("{https}/keys"), ca);
    let cas = config().section(&format!("[sign_in.campus.cas]\nserver = \"{https}/cas\"\n{ca}\n"));
    let password = config().upstream("opencast", &[opencast.url()], "").section(
        "[opencast.main]\nupstream = \"opencast\"\nusername = \"gateway\"\npassword_file = \"secrets/opencast\"\n",
    );
    let file = |name: &str| site.path(name).display().to_string();
    let mut cases: Vec<(&Config, &str, &str, Vec<u8>, &str)> = Vec::new();
    for (config, setting) in [
        (&upstream, "upstreams.app.ca_file"),
        (&issuer, "jwt.issuers.lms.ca_file"),
        (&cas, "sign_in.campus.cas.ca_file"),
    ] {
        cases.push((config, setting, "ca.pem", Vec::new(), "is empty: put"));
        cases.push((config, setting, "ca.pem", certificate.der().to_vec(), "-inform DER"));
    }
    for (text, told) in [
        (key.serialize_pem(), "holds a private key and no certificate: name"),
        (
            pem[..pem.len() - 30].to_owned(),
            "`-----END …-----` is missing): copy it",
        ),
        (pem.replacen('M', "*", 1), "no base64): copy it"),
    ] {
        cases.push((&issuer, "jwt.issuers.lms.ca_file", "ca.pem", text.into(), told));
    }
    for (bytes, told) in [
        (&b""[..], "holds no password: put"),
        (b"\r\n", "holds no password: put"),
        (b"p\xe4ss\n", "is no text in UTF-8: put"),
    ] {
        cases.push((
            &password,
            "opencast.main.password_file",
            "secrets/opencast",
            bytes.to_vec(),
            told,
        ));
    }
    for (config, setting, name, content, words) in cases {
        site.write(name, content);
        let config = config.text();
        for more in [&["--offline"][..], &[]] {
            let ran = check(&site, &config, more);
            told(&ran, 1, &format!("BAD  {setting}: "), &[&file(name), words]);
            assert_eq!(bad(&ran).len(), 1, "{ran:?}");
            assert!(
                ran.stdout.ends_with("1 line says BAD: it has to be corrected\n"),
                "{ran:?}"
            );
        }
        let (status, said) = Gateway::fails(&site, &config, None);
        assert!(!status.success());
        for part in [setting, &file(name), words] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}

#[test]
fn a_check_goes_on_behind_an_unfit_file() {
    let site = Site::new();
    let port = Reserved::new(0).unwrap();
    let config = Config::new()
        .issuer("one", "https://127.0.0.1:1/keys", "ca_file = \"one.pem\"")
        .issuer("two", "https://127.0.0.1:1/keys", "ca_file = \"two.pem\"")
        .upstream("away", &[format!("http://{}", port.address())], "")
        .open_route()
        .text();
    site.write("one.pem", "");
    site.write("two.pem", "");
    let ran = check(&site, &config, &[]);
    for line in [
        "BAD  jwt.issuers.one.ca_file",
        "BAD  jwt.issuers.two.ca_file",
        "BAD  upstream away",
    ] {
        told(&ran, 1, line, &[]);
    }
    assert!(
        ran.stdout.ends_with("3 lines say BAD: they have to be corrected\n"),
        "{ran:?}"
    );
}

#[test]
fn a_reload_with_an_unfit_file_is_refused_by_its_setting() {
    let site = Site::new();
    let gateway = site.start(&Config::new().open_route());
    site.write("ca.pem", "");
    let unfit = Config::new()
        .open_route()
        .issuer("lms", "https://127.0.0.1:1/keys", "ca_file = \"ca.pem\"");
    site.write("gateway.toml", unfit.text());
    gateway.logged(&["not reloaded", "jwt.issuers.lms.ca_file", "ca.pem", "is empty: put"]);
}

#[test]
fn a_server_that_is_away_is_one_cause() {
    let (site, port) = (Site::new(), Reserved::new(0).unwrap());
    site.write("secrets/opencast", "letmein\n");
    let server = format!("http://{}", port.address());
    let opencast =
        "[opencast.main]\nupstream = \"opencast\"\nusername = \"gateway\"\npassword_file = \"secrets/opencast\"\n";
    let config = Config::new()
        .issuer("lms", &format!("{server}/keys"), "")
        .issuer("lms2", &format!("{server}/keys"), "")
        .open_route();
    let with_upstream = config.clone().upstream("opencast", std::slice::from_ref(&server), "");
    let ran = check(&site, &with_upstream.section(opencast).text(), &[]);
    told(&ran, 1, "BAD  upstream opencast", &["the connection was refused"]);
    for needs_it in ["note issuer lms:", "note issuer lms2:", "note opencast main:"] {
        told(
            &ran,
            1,
            needs_it,
            &["refused the connection, as upstream opencast above"],
        );
    }
    assert_eq!(bad(&ran).len(), 1, "{ran:?}");
    // Without an upstream too, and with several.
    let cas = format!("[sign_in.campus.cas]\nserver = \"{server}/cas\"\n");
    let ran = check(&site, &config.clone().section(&cas).text(), &[]);
    assert_eq!((bad(&ran).len(), lines(&ran, "above").len()), (1, 2), "{ran:?}");
    let twice = ["one", "two"].iter().fold(Config::new().open_route(), |config, name| {
        config.upstream(name, std::slice::from_ref(&server), "")
    });
    let ran = check(&site, &twice.text(), &[]);
    assert_eq!((bad(&ran).len(), lines(&ran, "above").len()), (1, 1), "{ran:?}");
    // What is wrong beside it is told.
    let zoo = Upstream::start();
    let other = config.upstream("opencast", &[zoo.url()], "").section(opencast);
    let ran = check(&site, &other.text(), &[]);
    assert_eq!(bad(&ran).len(), 2, "{ran:?}");
    told(&ran, 1, "BAD  opencast main", &[]);
}

#[test]
fn an_https_upstream_without_health_is_asked_for_its_certificate() {
    let site = Site::new();
    let key = KeyPair::generate().unwrap();
    let certificate = |names: &[&str], until: i32| {
        let names = names.iter().map(|name| (*name).to_owned());
        let mut params = CertificateParams::new(names.collect::<Vec<_>>()).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(until, 1, 1));
        params.self_signed(&key).unwrap()
    };
    let many: Vec<String> = (0..60).map(|place| format!("site{place}.test")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (names, until, is_known, verdict, words) in [
        (
            &["localhost"][..],
            4000,
            true,
            "ok   ",
            "takes connections over TLS; with `health`",
        ),
        (&["localhost"], 2021, true, "BAD  ", "its certificate has expired"),
        (&["localhost"], 4000, false, "BAD  ", "not known here"),
        (
            &["other.test"],
            4000,
            true,
            "BAD  ",
            "not for localhost, but for other.test:",
        ),
        (&many, 4000, true, "BAD  ", "site4.test and 55 more: "),
    ] {
        let shown = certificate(names, until);
        let mut unlike = CertificateParams::new(["x".to_owned()]).unwrap();
        unlike.distinguished_name.push(DnType::CommonName, "another CA");
        let unlike = unlike.self_signed(&KeyPair::generate().unwrap()).unwrap();
        site.write("ca.pem", if is_known { shown.pem() } else { unlike.pem() });
        let port = tls_server(shown.der().to_vec(), key.serialize_der());
        let server = format!("https://localhost:{port}");
        let config = Config::new()
            .upstream("app", &[server], "ca_file = \"ca.pem\"")
            .open_route();
        let ran = check(&site, &config.text(), &[]);
        let code = i32::from(verdict == "BAD  ");
        told(&ran, code, &format!("{verdict}upstream app localhost:{port}"), &[words]);
        assert!(!ran.stdout.contains("site5.test"), "{ran:?}");
    }
    // Nobody speaks TLS there.
    let zoo = Upstream::start();
    let config = Config::new()
        .upstream("app", &[zoo.url().replace("http:", "https:")], "")
        .open_route();
    told(
        &check(&site, &config.text(), &[]),
        1,
        "BAD  upstream app",
        &["is TLS spoken there at all?"],
    );
}

#[test]
fn http_to_a_port_of_tls_is_asked_about() {
    let site = Site::new();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let port = tls_server(certificate.der().to_vec(), key.serialize_der());
    let server = format!("http://127.0.0.1:{port}");
    let config = Config::new().issuer("lms", &format!("{server}/keys"), "").open_route();
    told(
        &check(&site, &config.text(), &[]),
        1,
        "BAD  issuer lms",
        &["is it an https:// address?"],
    );
    let health = "health = { path = \"/\" }";
    let config = Config::new().upstream("app", &[server], health).open_route();
    told(
        &check(&site, &config.text(), &[]),
        1,
        "BAD  upstream app",
        &["is it an https:// address?"],
    );
}

#[test]
fn another_user_is_told_to_check_as_the_gateways() {
    let site = Site::new();
    if site.root().metadata().unwrap().uid() != 0 {
        return; // who is nobody else cannot ask as somebody else
    }
    let gateway = site.start(&Config::new().open_route());
    let listen = format!("[\"{}\"]", gateway.http());
    let file = site.write(
        "gateway.toml",
        Config::new().server("listen", &listen).open_route().text(),
    );
    set_permissions(site.root(), Permissions::from_mode(0o755)).unwrap();
    let binary = env!("CARGO_BIN_EXE_janua");
    let nobody = [
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        binary,
        "check",
        "--config",
    ];
    let ran = run("setpriv", nobody.into_iter().chain([file.to_str().unwrap()]));
    let words = [
        "maybe by the gateway",
        "(uid 65534)",
        "run the check as the gateway's user",
    ];
    told(&ran, 0, "note server.listen", &words);
    assert!(!ran.stdout.contains("end that one"), "{ran:?}");
    // A process that it may see is no gateway of another user's.
    drop(gateway);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("[\"{}\"]", taken.local_addr().unwrap());
    let config = Config::new().server("listen", &listen).open_route().text();
    told(&check(&site, &config, &[]), 1, "BAD  server.listen", &["end that one"]);
}

#[test]
fn links_that_lead_to_themselves_are_told_as_such() {
    let config = Config::new().open_route().set("state", "store", "\"embedded\"");
    for (name, setting) in [("janua.redb", "state.path"), ("master.key", "state.key_file")] {
        let site = Site::new();
        std::fs::create_dir(site.path("state")).unwrap();
        symlink(name, site.path("state").join(name)).unwrap();
        let ran = check(&site, &config.text(), &["--offline"]);
        let line = format!("BAD  {setting}: {}", site.path("state").join(name).display());
        told(&ran, 1, &line, &["is a link that leads to itself; correct the link"]);
        assert_eq!(bad(&ran).len(), 1, "{ran:?}");
    }
}

#[test]
fn a_state_file_that_is_none_is_named_once() {
    let site = Site::new();
    let config = Config::new().open_route().set("state", "store", "\"embedded\"").text();
    std::fs::create_dir(site.path("state")).unwrap();
    fifo(&site, "state/janua.redb");
    let ran = check(&site, &config, &["--offline"]);
    told(
        &ran,
        1,
        "BAD  state ",
        &["is damaged or no state file (it is no regular file); move it away"],
    );
    assert_eq!(ran.stdout.matches("state/janua.redb").count(), 1, "{ran:?}");
    let (_, said) = Gateway::fails(&site, &config, None);
    assert!(
        said.contains("it is no regular file") && !said.contains("os error"),
        "{said}"
    );
}

#[test]
fn a_log_that_cannot_be_opened_is_told_beforehand() {
    let site = Site::new();
    let config = Config::new().open_route().set("log", "file", "\"log\"").text();
    symlink("nowhere/log", site.path("log")).unwrap();
    let ran = check(&site, &config, &["--offline"]);
    told(
        &ran,
        1,
        "BAD  log.file",
        &["log is a link to nowhere/log, which is not there"],
    );
    let (_, said) = Gateway::fails(&site, &config, None);
    assert!(said.contains("make it"), "{said}");
    // The gateway makes a file, but no folder.
    std::fs::create_dir(site.path("nowhere")).unwrap();
    assert_eq!(check(&site, &config, &["--offline"]).code, Some(0));
    // A FIFO is waited for by nobody.
    std::fs::remove_file(site.path("log")).unwrap();
    fifo(&site, "log");
    told(
        &check(&site, &config, &["--offline"]),
        0,
        "note log.file",
        &["is a FIFO", "a program reads it"],
    );
    let (_, said) = Gateway::fails(&site, &config, None);
    assert!(
        said.contains("is a FIFO that nobody reads: start its reader first"),
        "{said}"
    );
}

#[test]
fn a_master_key_that_may_not_be_read_is_told_with_a_remedy() {
    let site = Site::new();
    site.write("state/master.key", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n");
    let config = Config::new().open_route().set("state", "store", "\"embedded\"");
    let file = site.write("gateway.toml", config.text());
    let binary = env!("CARGO_BIN_EXE_janua");
    let ran = match site.root().metadata().unwrap().uid() {
        0 => {
            for folder in [site.root(), &site.path("state")] {
                set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
            }
            let nobody = [
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                binary,
                "run",
                "--config",
            ];
            run("setpriv", nobody.into_iter().chain([file.to_str().unwrap()]))
        }
        _ => {
            set_permissions(site.path("state/master.key"), Permissions::from_mode(0o000)).unwrap();
            run(binary, ["run", "--config", file.to_str().unwrap()])
        }
    };
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for part in [
        "state/master.key may not be read by this user (uid ",
        "run this as the gateway's user",
    ] {
        assert!(ran.stderr.contains(part), "{part}: {ran:?}");
    }
}

#[test]
fn what_is_no_file_with_a_token_is_named() {
    let site = Site::new();
    let show = |name: &str| {
        let ran = janua(["token", "show", site.path(name).to_str().unwrap()]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        ran.stderr
    };
    std::fs::create_dir(site.path("folder")).unwrap();
    symlink("circle", site.path("circle")).unwrap();
    symlink("nowhere", site.path("dangling")).unwrap();
    for (name, words) in [
        ("folder", "folder is a folder: name the file in it"),
        ("circle", "circle cannot be read: Too many levels of symbolic links"),
        ("dangling", "dangling cannot be read: No such file"),
    ] {
        let said = show(name);
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn keys_that_verify_nothing_make_no_gateway_ready() {
    let (site, p256, ed25519) = (Site::new(), Signer::new(), Signer::eddsa());
    site.write_keys("keys.json", &[&p256, &ed25519]);
    let config = Config::new().issuer("moodle", "keys.json", "").open_route();
    let keys = |gateway: &Gateway| gateway.metric("janua_keyset_keys{issuer=\"moodle\"}");
    let gateway = site.start(&config.clone().jwt("algorithms", r#"["ES256"]"#));
    assert_eq!(keys(&gateway), Some(1.0));
    gateway.admin("/readyz").expect(200);
    drop(gateway);
    let gateway = site.start(&config.jwt("algorithms", r#"["RS256"]"#));
    assert_eq!(keys(&gateway), Some(0.0));
    let unready = gateway.admin("/readyz").expect(503).text();
    assert!(unready.contains("issuer moodle: no usable key"), "{unready}");
}

#[test]
fn a_signing_key_a_socket_and_a_page_that_are_none_are_told_as_the_gateway_tells_them() {
    let (site, opencast) = (Site::new(), Upstream::start());
    site.write("secrets/opencast", "letmein");
    site.write("key.pem", "somebody's letter");
    site.write("control", "a file");
    site.write("page.html", "x".repeat(5 << 20));
    for folder in [site.path("secrets/opencast"), site.path("key.pem")] {
        set_permissions(folder, Permissions::from_mode(0o600)).unwrap();
    }
    let signs = Config::new()
        .upstream("opencast", &[opencast.url()], "")
        .open_route()
        .section(
            "[opencast.main]\nupstream = \"opencast\"\nusername = \"gateway\"\npassword_file = \"secrets/opencast\"\n\
             sign_key_file = \"key.pem\"\n[[routes]]\nname = \"signs\"\npath = \"/signs/{*rest}\"\nupstream = \"opencast\"\n\
             present = \"opencast-jwt\"\nallow = [{ anyone = true }]\n",
        );
    let control = Config::new().open_route().server("control", "\"control\"");
    let page = Config::new().section(
        "[[routes]]\nname = \"page\"\npath = \"/page\"\nrespond = { file = \"page.html\" }\nallow = [{ anyone = true }]\n",
    );
    for (config, setting, words) in [
        (signs, "opencast.main.sign_key_file", "PKCS#8, or SEC 1"),
        (control, "server.control", "something else than a socket"),
        (page, "route page respond", "page.html: larger than 4 MiB"),
    ] {
        let config = config.text();
        let ran = check(&site, &config, &["--offline"]);
        told(&ran, 1, &format!("BAD  {setting}: "), &[words]);
        let (status, said) = Gateway::fails(&site, &config, None);
        assert!(!status.success());
        assert!(said.contains(words), "{words}: {said}");
    }
}
