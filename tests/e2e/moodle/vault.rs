//! Tokens that the operator provides: imported, listed, removed and sealed anew, with the gateway and without it.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use super::school::{SITE_INFO, School};
use crate::support::tools::{Ran, janua};
use crate::support::{Config, Site, eventually};

const ALICES: &str = "45e8d5226f8d38cf5f15767e0d057350";
const BOBS: &str = "996b812db30ecedd90cedcbaffe95535";

/// `janua vault` with these words, by the configuration of this site. No token is ever told.
fn vault(site: &Site, words: &[&str]) -> Ran {
    let config = site.path("gateway.toml");
    let words = ["vault"].iter().chain(words).chain(&["--config"]);
    let ran = janua(words.copied().map(std::ffi::OsStr::new).chain([config.as_os_str()]));
    for token in [ALICES, BOBS] {
        let told = ran.stdout.contains(token) || ran.stderr.contains(token);
        assert!(!told, "a token is told: {}\n{}", ran.stdout, ran.stderr);
    }
    ran
}

fn import(site: &Site, text: &str) -> Ran {
    let file = site.write("tokens.csv", text);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    vault(site, &["import", file.to_str().unwrap()])
}

/// Whose tokens are in the vault.
fn listed(site: &Site) -> Vec<String> {
    let told = vault(site, &["list", "--json"]).ok().stdout;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let entries = told.as_array().unwrap().iter();
    entries
        .map(|entry| entry["username"].as_str().unwrap().to_owned())
        .collect()
}

/// A gateway that has a Moodle and a store in a file; nobody signs in there.
fn config(moodles: &[&str]) -> Config {
    let mut config = Config::new()
        .open_route()
        .set("state", "store", r#""embedded""#)
        .section("[sign_in.campus.cas]\nserver = \"http://127.0.0.1:9/cas\"\n");
    for name in moodles {
        config = config
            .upstream(name, &["http://127.0.0.1:9".to_owned()], "")
            .section(&format!(
                "[moodle.{name}]\nupstream = \"{name}\"\npublic_url = \"https://{name}.test\"\nsign_in = \"campus\"\n\
             tokens = [\"vault\"]\n"
            ));
    }
    config
}

#[test]
fn a_provided_token_serves_its_person_until_it_is_removed() {
    let Some(school) = School::start("[\"vault\"]") else {
        return;
    };
    let site = &school.gateway.site;
    school.moodle.site().give(ALICES, "alice", "moodle_mobile_app");
    school.moodle.site().give(BOBS, "bob", "moodle_mobile_app");
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser
        .open(&alice, "/_janua/sign-in?with=campus&return=/_janua/me")
        .expect(200);
    let told = browser.call(SITE_INFO).expect(403).json();
    assert_eq!(told["reason"], "no_moodle_token");

    let ran = import(site, &format!("username,token\nAlice,{ALICES}\n")).ok();
    assert!(
        ran.stdout
            .contains("1 token imported for moodle.campus, by the running gateway"),
        "{ran:?}"
    );
    // Who had none a moment ago is not made to wait.
    eventually("the gateway knows", || {
        (browser.call(SITE_INFO).status == 200).then_some(())
    });
    assert_eq!(browser.call(SITE_INFO).expect(200).json()["username"], "alice");
    let table = vault(site, &["list"]).ok().stdout;
    assert!(
        table.starts_with("USER ") && table.contains("alice ") && table.contains("good"),
        "{table}"
    );

    let ran = vault(site, &["remove", "ALICE"]).ok();
    assert!(ran.stdout.contains("1 token removed"), "{ran:?}");
    eventually("it is used no more", || {
        (browser.call(SITE_INFO).status == 403).then_some(())
    });
    assert_eq!(vault(site, &["remove", "alice"]).code, Some(1));
    assert_eq!(listed(site), [""; 0]);

    // One that an administrator of Moodle has deleted.
    import(site, &format!("username,token\nalice,{ALICES}\n")).ok();
    browser.call(SITE_INFO).expect(200);
    school.moodle.site().tokens.retain(|row| row.token != ALICES);
    assert_eq!(browser.call(SITE_INFO).expect(403).json()["reason"], "no_moodle_token");
    school.gateway.logged(&["no token", "its token in the vault is dead"]);

    // Somebody else's token, by mistake: Moodle says whose it is.
    import(site, &format!("username,token\nalice,{BOBS}\n")).ok();
    assert_eq!(browser.call(SITE_INFO).expect(403).json()["reason"], "no_moodle_token");
    // One that is over is not even tried.
    let asked = school.moodle.site().requests.len();
    import(
        site,
        &format!("username,token,valid_until\nalice,{ALICES},2020-01-01\n"),
    )
    .ok();
    let refused = eventually("the gateway knows", || {
        let told = browser.call(SITE_INFO);
        (school.moodle.site().requests.len() == asked).then_some(told)
    });
    assert_eq!(refused.expect(403).json()["reason"], "no_moodle_token");
    assert!(vault(site, &["list"]).ok().stdout.contains("expired"));
    school.keeps_its_secrets();
}

#[test]
fn without_a_gateway_the_store_itself_is_opened_and_never_made() {
    let site = Site::new();
    let config = config(&["campus"]);
    site.write("gateway.toml", config.text());
    let early = import(&site, &format!("username,token\nalice,{ALICES}\n"));
    assert_eq!(early.code, Some(1));
    assert!(early.stderr.contains("start the gateway once"), "{early:?}");
    assert!(!site.path("state").exists());

    site.start(&config).stop();
    let ran = import(&site, &format!("username,token\nbob,{BOBS}\nalice,{ALICES}\n")).ok();
    assert!(ran.stdout.contains("no gateway runs"), "{ran:?}");
    assert_eq!(listed(&site), ["alice", "bob"]);
    vault(&site, &["remove", "bob", "--service", "moodle_mobile_app"]).ok();
    let mode = |name: &str| site.path(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("state/janua.redb"), mode("state/master.key")), (0o600, 0o600));
    let _gateway = site.start(&config);
    assert_eq!(listed(&site), ["alice"]);
}

#[test]
fn a_store_in_memory_needs_a_gateway() {
    let site = Site::new();
    let config = config(&["campus"]).set("state", "store", r#""memory""#);
    site.write("gateway.toml", config.text());
    let ran = vault(&site, &["list"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("\"memory\"") && ran.stderr.contains("start it first"),
        "{ran:?}"
    );
    let _gateway = site.start(&config);
    import(&site, &format!("username,token\nalice,{ALICES}\n")).ok();
    assert_eq!(listed(&site), ["alice"]);
    let ran = vault(&site, &["rotate"]);
    assert!(
        ran.code == Some(1) && ran.stderr.contains("nothing is sealed"),
        "{ran:?}"
    );
}

#[test]
fn a_file_with_one_bad_line_imports_nothing() {
    let site = Site::new();
    let _gateway = site.start(&config(&["campus"]));
    let text = format!("username,token,valid_until\nalice,{ALICES},\n\nbob,{BOBS}0,\ncarl,,soon\n");
    let ran = import(&site, &text);
    assert_eq!(ran.code, Some(1));
    for told in [
        "tokens.csv:4: token: not 32 digits",
        "tokens.csv:5: token: empty",
        "tokens.csv:5: valid_until",
    ] {
        assert!(ran.stderr.contains(told), "no {told} in {}", ran.stderr);
    }
    assert!(ran.stderr.ends_with("nothing was imported\n"), "{}", ran.stderr);
    assert_eq!(listed(&site), [""; 0]);
    let ran = import(&site, "username,service\n");
    assert!(
        ran.code == Some(1) && ran.stderr.contains("no column `token`"),
        "{ran:?}"
    );
    let missing = vault(&site, &["import", "/nowhere/tokens.csv"]);
    assert!(
        missing.code == Some(1) && missing.stderr.contains("/nowhere/tokens.csv"),
        "{missing:?}"
    );
    let open = site.write("open.csv", format!("username,token\nalice,{ALICES}\n"));
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ran = vault(&site, &["import", open.to_str().unwrap()]).ok();
    assert!(ran.stderr.contains("others can read"), "{ran:?}");
}

#[test]
fn several_moodles_have_to_be_told_apart() {
    let site = Site::new();
    let _gateway = site.start(&config(&["campus", "exams"]));
    let text = format!("username,token\nalice,{ALICES}\n");
    let ran = import(&site, &text);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("--moodle, one of campus, exams"), "{ran:?}");
    let file = site.write("tokens.csv", text);
    let file = file.to_str().unwrap();
    let ran = vault(&site, &["import", file, "--moodle", "exam"]);
    assert!(
        ran.code == Some(1) && ran.stderr.contains("no [moodle.exam], but campus, exams"),
        "{ran:?}"
    );
    vault(&site, &["import", file, "--moodle", "exams"]).ok();
    vault(&site, &["import", file, "--moodle", "campus"]).ok();
    assert_eq!(listed(&site), ["alice", "alice"]);
    assert_eq!(vault(&site, &["remove", "alice"]).code, Some(1));
    vault(&site, &["remove", "alice", "--moodle", "exams"]).ok();
    let left = vault(&site, &["list", "--moodle", "campus"]).ok().stdout;
    assert!(left.contains("1 token, 0 expired"), "{left}");
}

#[test]
fn killed_in_the_middle_what_was_put_stays_and_a_second_run_puts_the_rest() {
    const PEOPLE: usize = 15_000;
    let site = Site::new();
    let config = config(&["campus"]);
    let mut gateway = site.start(&config);
    let mut text = "username,token\n".to_owned();
    for number in 0..PEOPLE {
        text += &format!("u{number},{number:032x}\n");
    }
    let file = site.write("many.csv", text);
    let mut importing = Command::new(env!("CARGO_BIN_EXE_janua"))
        .args(["vault", "import"])
        .arg(&file)
        .arg("--config")
        .arg(site.path("gateway.toml"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The log tells that a portion is begun: when another is, the one before is done.
    let begun = || gateway.said().matches("tokens are imported into the vault").count();
    eventually("two portions", || (begun() >= 2).then_some(()));
    importing.kill().unwrap();
    importing.wait().unwrap();
    let there = listed(&site).len();
    assert!(there > 0, "nothing was put");

    let again = Command::new(env!("CARGO_BIN_EXE_janua"))
        .args(["vault", "import"])
        .arg(&file)
        .arg("--config")
        .arg(site.path("gateway.toml"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let before = begun();
    eventually("two more portions", || (begun() >= before + 2).then_some(()));
    gateway.signal("KILL");
    gateway.ended();
    let again = again.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&again.stderr).into_owned();
    let counted = told.lines().find_map(|line| {
        line.strip_suffix(&format!(
            " of {PEOPLE} tokens are in the vault; run the command again for the rest"
        ))
    });
    // Unless it was faster than the kill.
    let done = counted.map_or(PEOPLE, |count| count.parse().unwrap());
    assert_eq!(again.status.success(), counted.is_none(), "{told}");
    drop(gateway);

    let _gateway = site.start(&config);
    let kept = listed(&site).len();
    assert!(kept >= done.max(there), "{kept} of {done} and {there}");
    vault(&site, &["import", file.to_str().unwrap()]).ok();
    assert_eq!(listed(&site).len(), PEOPLE);
}

#[test]
fn a_new_master_key_takes_over_step_by_step() {
    let site = Site::new();
    let config = config(&["campus"]);
    let gateway = site.start(&config);
    import(&site, &format!("username,token\nalice,{ALICES}\nbob,{BOBS}\n")).ok();
    let old = std::fs::read_to_string(site.path("state/master.key")).unwrap();
    let new = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n";
    site.write("state/master.key", format!("{new}{old}"));
    // The running gateway seals with the old one still.
    let early = vault(&site, &["rotate"]);
    assert!(
        early.code == Some(1) && early.stderr.contains("restart it"),
        "{early:?}"
    );
    gateway.stop();
    let gateway = site.start(&config);
    let ran = vault(&site, &["rotate"]).ok();
    assert!(ran.stdout.starts_with("2 records re-sealed"), "{ran:?}");
    assert!(
        ran.stdout.contains("needs the older lines of the key file no more"),
        "{ran:?}"
    );
    let again = vault(&site, &["rotate"]).ok();
    assert!(
        again
            .stdout
            .starts_with("0 records re-sealed with the newest master key, 2 were so already"),
        "{again:?}"
    );
    gateway.stop();
    site.write("state/master.key", new);
    let gateway = site.start(&config);
    assert_eq!(listed(&site), ["alice", "bob"]);
    gateway.stop();
    // A line that was lost is noticed, here without a gateway.
    site.write("state/master.key", &old);
    let lost = vault(&site, &["rotate"]);
    assert_eq!(lost.code, Some(1));
    assert!(
        lost.stderr.contains("2 records open with none of the lines"),
        "{lost:?}"
    );
}
