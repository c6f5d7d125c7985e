//! What the log tells, how, and where: masks, fields, formats, files.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::gateway::LOG_FILE;
use crate::support::tools::janua;
use crate::support::{Config, Gateway, MEDIA, Request, Signer, Site, Upstream, eventually, in_seconds};

/// What can be known of a person only from where it must not stand.
const NAME: &str = "anna-with-a-name";
const FILE: &str = "/static/org/player/lecture-1/video.mp4";

fn masked(signer: &Signer) -> Gateway {
    let site = Site::with_lecture();
    site.write_keys("keys.json", &[signer]);
    let config = Config::new()
        .server("trusted_proxies", r#"["127.0.0.1/32"]"#)
        .set("log", "mask", r#"["address", "subject"]"#)
        .issuer("moodle", "keys.json", "may_name_users = true")
        .section(MEDIA);
    site.start(&config)
}

fn from(client: &str, token: &str) -> Request {
    Request::get(FILE).bearer(token).header("X-Forwarded-For", client)
}

fn token(signer: &Signer, name: &str, role: &str) -> String {
    signer.token(&json!({ "exp": in_seconds(60), "sub": name, "roles": [role] }))
}

/// `subject="moodle/…"` in a line of text.
fn subject(line: &str) -> String {
    let (_, rest) = line.split_once("subject=\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

#[test]
fn people_are_masked_in_every_line_and_at_denials() {
    let signer = Signer::new();
    let gateway = masked(&signer);
    gateway
        .send(from("192.0.2.77", &token(&signer, NAME, "ROLE_ADMIN")))
        .expect(200);
    let seen = gateway.logged(&["access:", "client=192.0.2.0 ", "outcome=allow"]);
    let digest = subject(&seen);
    let (source, name) = digest.split_once('/').unwrap();
    assert!(source == "moodle" && name.len() == 16, "{seen}");
    assert!(name.bytes().all(|byte| byte.is_ascii_hexdigit()), "{seen}");

    // The same person by IPv6, refused: the same digest in both of the lines.
    gateway
        .send(from("2001:db8:12:3456::1", &token(&signer, NAME, "ROLE_USER")))
        .expect(403);
    let refused = gateway.logged(&["access:", "client=2001:db8:12:: ", "outcome=deny"]);
    assert_eq!(subject(&refused), digest);
    let told = gateway.logged(&["refused by the rules"]);
    assert_eq!(subject(&told), digest);
    let denials = gateway.admin("/denials.json").expect(200).json();
    let denial = &denials["denials"][0];
    assert_eq!(
        (&denial["client"], &denial["subject"]),
        (&json!("2001:db8:12::"), &json!(name))
    );
    assert!(!gateway.admin("/denials").text().contains(NAME));

    gateway
        .send(from("192.0.2.77", &token(&signer, "bert", "ROLE_ADMIN")))
        .expect(200);
    eventually("another person has another digest", || {
        let said = gateway.said();
        let lines = said.lines().filter(|line| line.contains("outcome=allow"));
        (lines.map(subject).collect::<std::collections::HashSet<_>>().len() == 2).then_some(())
    });
    for part in ["192.0.2.77", "2001:db8:12:3456", NAME, "bert"] {
        assert!(!gateway.said().contains(part), "{part}");
    }
}

#[test]
fn addresses_and_names_in_other_lines_are_masked() {
    let (signer, zoo) = (Signer::new(), Upstream::start());
    let site = Site::new();
    site.write_keys("keys.json", &[&signer]);
    let config = Config::new()
        .server("trusted_proxies", r#"["127.0.0.1/32"]"#)
        .jwt("bad_signatures", "\"1/m\"")
        .set("log", "mask", r#"["address", "subject"]"#)
        .issuer("moodle", "keys.json", "")
        .upstream("zoo", &[zoo.url()], "")
        .open_upstream_route("");
    let gateway = site.start(&config);
    // Upstreams and listeners are no people: their addresses stay.
    gateway.logged(&["listening on", &gateway.http().to_string()]);
    // Tokens of one address that have to be checked, more than it may cause.
    let line = eventually("a line with an address", || {
        let bad = Signer::new().token(&json!({ "exp": in_seconds(60) }));
        let request = Request::get("/x").bearer(&bad).header("X-Forwarded-For", "192.0.2.77");
        gateway.send(request);
        let said = gateway.said();
        said.lines()
            .find(|line| line.contains("tokens are not passed on"))
            .map(str::to_owned)
    });
    assert!(line.ends_with(" client=192.0.2.0"), "{line}");

    let revoked = janua([
        "revoke",
        "-c",
        site.path("gateway.toml").to_str().unwrap(),
        "--subject",
        NAME,
    ]);
    assert_eq!(revoked.code, Some(0), "{}", revoked.stderr);
    gateway.logged(&["are revoked", "Subject("]);
    for part in ["192.0.2.77", NAME] {
        assert!(!gateway.said().contains(part), "{part}");
    }
}

/// The digests are the master key's: gateways that share it agree.
#[test]
fn digests_outlive_a_restart() {
    let signer = Signer::new();
    let site = Site::with_lecture();
    site.write_keys("keys.json", &[&signer]);
    let config = Config::new()
        .set("state", "store", "\"embedded\"")
        .set("log", "mask", r#"["subject"]"#)
        .issuer("moodle", "keys.json", "may_name_users = true")
        .section(MEDIA);
    let told = || {
        let gateway = site.start(&config);
        gateway.get_with(FILE, &token(&signer, NAME, "ROLE_ADMIN")).expect(200);
        let told = subject(&gateway.logged(&["access:", "client=127.0.0.1 "]));
        gateway.stop();
        told
    };
    let first = told();
    assert_eq!(told(), first);
    assert!(!first.contains(NAME));
}

#[test]
fn fields_are_those_that_were_asked_for() {
    let config = Config::new()
        .set("log", "fields", r#"["status", "request_id", "path"]"#)
        .open_route();
    let gateway = Site::new().start(&config);
    let answer = gateway.send(Request::get("/open?jwt=x"));
    let id = answer.header("x-request-id").unwrap();
    let line = gateway.logged(&["access:"]);
    let (_, told) = line.split_once("access: ").unwrap();
    assert_eq!(told, format!("status=204 request_id=\"{id}\" path=\"/open\""));
    // Its log does not tell all that a witness asks for.
    gateway.stop();
}

/// A program that knows this format alone finds no other line in the file.
#[test]
fn a_combined_file_has_access_lines_alone() {
    let site = Site::new();
    fs::create_dir_all(site.path("log")).unwrap();
    let config = Config::new()
        .set("log", "format", "\"combined\"")
        .set("log", "file", &format!("{LOG_FILE:?}"))
        .open_route();
    let gateway = site.start(&config);
    gateway
        .send(
            Request::get("/open?jwt=secret&t=3")
                .header("User-Agent", "a \"b\"")
                .header("Referer", "https://m.test/x?y"),
        )
        .expect(204);
    let written = eventually("a line", || {
        let written = fs::read_to_string(site.path(LOG_FILE)).unwrap();
        written.ends_with('\n').then_some(written)
    });
    let (client, rest) = written.split_once(" [").unwrap();
    let (time, rest) = rest.split_once("] ").unwrap();
    assert_eq!(client, "127.0.0.1 - -");
    assert!(time.ends_with(" +0000") && time.matches('/').count() == 2, "{time}");
    assert_eq!(
        rest,
        "\"GET /open?jwt&t HTTP/1.1\" 204 0 \"https://m.test/x\" \"a \\x22b\\x22\"\n"
    );
    assert!(gateway.said().contains("ready to serve"));
    // Its log does not tell all that a witness asks for.
    gateway.stop();
}

#[test]
fn a_log_that_becomes_too_large_is_begun_anew_and_loses_no_line() {
    let site = Site::new();
    fs::create_dir_all(site.path("log")).unwrap();
    let config = Config::new()
        .set("log", "file", &format!("{LOG_FILE:?}"))
        .set("log", "rotate", r#"{ size = "64KiB", keep = 3 }"#)
        .open_route();
    let gateway = site.start(&config);
    let numbered = |number: usize| site.path(&format!("{LOG_FILE}.{number}"));
    let mut sent = 0;
    while !numbered(2).exists() {
        gateway.get(&format!("/open/{sent}?{}", "a=&".repeat(8))).expect(404);
        sent += 1;
    }
    let everything = || {
        let files = [numbered(3), numbered(2), numbered(1), site.path(LOG_FILE)];
        files
            .iter()
            .map(|file| fs::read_to_string(file).unwrap_or_default())
            .collect::<String>()
    };
    eventually("every line", || {
        let everything = everything();
        (everything.matches(" access: ").count() == sent).then_some(())
    });
    assert!(everything().ends_with('\n'));
    assert!(gateway.metric("janua_log_rotations_total{outcome=\"ok\"}").unwrap() >= 2.0);
    assert!(gateway.metric("janua_log_lines_dropped_total").unwrap() < 1.0);
    assert!(fs::metadata(numbered(1)).unwrap().len() <= 64 << 10);
    // Its log does not tell all that a witness asks for.
    gateway.stop();
}

/// As logrotate does it: the signal, and nothing that has to be logged.
#[test]
fn sigusr1_opens_the_file_anew() {
    let site = Site::new();
    fs::create_dir_all(site.path("log")).unwrap();
    let config = Config::new().set("log", "file", &format!("{LOG_FILE:?}")).open_route();
    let gateway = site.start(&config);
    let (path, moved) = (site.path(LOG_FILE), site.path("log/moved"));
    fs::rename(&path, &moved).unwrap();
    gateway.signal("USR1");
    eventually("a new file", || path.exists().then_some(()));
    gateway.get("/open").expect(204);
    gateway.logged(&["access:", "status=204"]);
    assert!(!fs::read_to_string(&moved).unwrap().contains("status=204"));
    assert_ne!(fs::metadata(&path).unwrap().ino(), fs::metadata(&moved).unwrap().ino());
    // Its log does not tell all that a witness asks for.
    gateway.stop();
}

/// What a child says on stderr until it is ended, given what systemd would tell it of that stream.
fn said(config: &Config, more: &[&str], environment: impl Fn(&fs::File) -> Option<(&'static str, String)>) -> String {
    let site = Site::new();
    let file = site.write("gateway.toml", config.text());
    let path = site.path("stderr");
    let stderr = fs::File::create(&path).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_janua"))
        .args(["run", "-c"])
        .arg(file)
        .args(more)
        .envs(environment(&stderr))
        .stdin(Stdio::null())
        .stderr(stderr)
        .spawn()
        .unwrap();
    let said = eventually("it serves", || {
        let said = fs::read_to_string(&path).unwrap();
        said.contains("ready to serve").then_some(said)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    said
}

#[test]
fn lines_for_the_journal_have_a_priority() {
    let journal = |stderr: &fs::File| {
        let found = stderr.metadata().unwrap();
        Some(("JOURNAL_STREAM", format!("{}:{}", found.dev(), found.ino())))
    };
    let lines = said(&Config::new().open_route(), &[], journal);
    let mut logged = lines.lines().filter(|line| line.contains(" janua::"));
    assert!(logged.all(|line| line.starts_with("<6>2")), "{lines}");
    // Another stream than that of the journal.
    let lines = said(&Config::new().open_route(), &[], |_| {
        Some(("JOURNAL_STREAM", "1:1".to_owned()))
    });
    assert!(!lines.contains("<6>"), "{lines}");
    let never = Config::new().set("log", "priority", "\"never\"").open_route();
    assert!(!said(&never, &[], journal).contains("<6>"));
}

#[test]
fn colours_are_for_those_who_want_them() {
    let nobody = |_: &fs::File| None;
    let config = Config::new().open_route();
    assert!(!said(&config, &[], nobody).contains('\u{1b}'));
    assert!(said(&config, &["--color", "always"], nobody).contains("\u{1b}[32m INFO\u{1b}[0m janua::server: ready"));
    let always = Config::new().set("log", "color", "\"always\"").open_route();
    assert!(said(&always, &[], nobody).contains('\u{1b}'));
    assert!(!said(&always, &["--color", "never"], nobody).contains('\u{1b}'));
}
