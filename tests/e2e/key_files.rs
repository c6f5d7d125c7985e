//! Secrets that others on the machine can read, change or replace: `check` refuses master keys and passwords, the log tells
//! of all, and so does a reload, and `janua vault`.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;

use crate::support::tools::janua;
use crate::support::{Config, Site, Upstream};

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";

fn mode(site: &Site, name: &str, mode: u32) {
    set_permissions(site.path(name), Permissions::from_mode(mode)).unwrap();
}

/// A gateway with a store in a file.
fn stateful() -> Config {
    Config::new().open_route().set("state", "store", "\"embedded\"")
}

/// What `check --offline` says, and whether it is content.
fn checked(site: &Site, config: &Config) -> (bool, String) {
    let file = site.write("checked.toml", config.text());
    let ran = janua(["check", "--offline", "--config", file.to_str().unwrap()]);
    (ran.code == Some(0), format!("{}{}", ran.stdout, ran.stderr))
}

#[test]
fn a_master_key_is_for_its_owner_and_group() {
    let site = Site::new();
    site.write("state/master.key", KEY);
    let config = stateful();
    for open in [0o644, 0o604, 0o666, 0o602] {
        mode(&site, "state/master.key", open);
        let said = site.start(&config).logged(&["ERROR", "is open to everybody"]);
        for part in [
            "state.key_file",
            "state/master.key",
            &format!("{open:04o}"),
            "chmod 600",
            "defaultMode: 0400",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let (is_content, said) = checked(&site, &config);
        assert!(
            !is_content && said.contains("BAD") && said.contains("chmod 600"),
            "{said}"
        );
    }
    for closed in [0o600, 0o640, 0o440, 0o400] {
        mode(&site, "state/master.key", closed);
        let (is_content, said) = checked(&site, &config);
        assert!(is_content, "{said}");
    }
    site.start(&config);
}

/// A group in which nobody who runs tests is.
const FOREIGN: u32 = 65_533;

/// Root alone can; a group of the owner's number is the owner's own, and spared.
fn give_to_group(site: &Site, folder: &str, group: u32) -> bool {
    std::os::unix::fs::chown(site.path(folder), None, Some(group)).is_ok()
}

#[test]
fn nobody_else_changes_or_replaces_it() {
    let site = Site::new();
    site.write("state/master.key", KEY);
    let config = stateful();
    let judged = |key: u32, folder: u32| {
        mode(&site, "state/master.key", key);
        mode(&site, "state", folder);
        checked(&site, &config)
    };
    for (key, folder, told) in [
        (0o660, 0o700, "can be changed by its group (mode 0660)"),
        (0o620, 0o700, "can be changed by its group (mode 0620)"),
        (0o600, 0o777, "can be replaced by everybody"),
        (0o600, 0o770, "may write there (mode 0770): chmod g-w"),
    ] {
        if folder == 0o770 && !give_to_group(&site, "state", FOREIGN) {
            continue;
        }
        let (is_content, said) = judged(key, folder);
        assert!(!is_content && said.contains("BAD  secrets: state.key_file"), "{said}");
        assert!(said.contains(told), "{told}: {said}");
        site.start(&config).logged(&["ERROR", told]);
    }
    for folder in [0o1777, 0o1770, 0o750] {
        let (is_content, said) = judged(0o600, folder);
        assert!(is_content, "each replaces their own there: {said}");
    }
}

#[test]
fn a_folder_of_both_is_judged_by_the_secret_in_it() {
    let (site, opencast) = (Site::new(), Upstream::start());
    site.write("keys/master.key", KEY);
    site.write("state/password", "letmein\n");
    mode(&site, "state/password", 0o600);
    let config = |password: &str| {
        stateful()
            .set("state", "key_file", "\"keys/master.key\"")
            .upstream("opencast", &[opencast.url()], "")
            .section(&format!(
                "[opencast.main]\nupstream = \"opencast\"\nusername = \"gateway\"\npassword_file = {password:?}\n"
            ))
    };
    for folder in [0o777, 0o770] {
        mode(&site, "state", folder);
        if folder == 0o770 && !give_to_group(&site, "state", FOREIGN) {
            continue;
        }
        let (is_content, said) = checked(&site, &config("state/password"));
        assert!(!is_content, "{said}");
        assert!(said.contains("BAD  secrets: opencast.main.password_file"), "{said}");
    }
    // The gateway may write its state by its group, as on a volume of Kubernetes.
    give_to_group(&site, "state", 0);
    site.write("secrets/opencast", "letmein\n");
    let (is_content, said) = checked(&site, &config("secrets/opencast"));
    assert!(is_content && !said.contains("state.path: "), "{said}");
}

#[test]
fn a_reload_and_the_vaults_commands_tell_of_them() {
    let site = Site::new();
    site.write("state/master.key", KEY);
    mode(&site, "state/master.key", 0o600);
    let gateway = site.start(&stateful());
    assert!(!gateway.said().contains("is open to everybody"));
    mode(&site, "state/master.key", 0o644);
    gateway.signal("HUP");
    gateway.logged(&["ERROR", "state.key_file", "is open to everybody"]);
    let file = site.path("gateway.toml");
    let ran = janua(["vault", "list", "--json", "--config", file.to_str().unwrap()]).ok();
    assert!(ran.stderr.contains("note: state.key_file: "), "{ran:?}");
    assert_eq!(ran.stdout.trim(), "[]");
}

#[test]
fn a_password_is_too() {
    let (site, opencast) = (Site::new(), Upstream::start());
    site.write("secrets/opencast", "letmein\n");
    let config = Config::new()
        .open_route()
        .upstream("opencast", &[opencast.url()], "")
        .section(
            "[opencast.main]\nupstream = \"opencast\"\nusername = \"gateway\"\npassword_file = \"secrets/opencast\"\n",
        );
    mode(&site, "secrets/opencast", 0o644);
    site.start(&config)
        .logged(&["ERROR", "opencast.main.password_file", "is open to everybody"]);
    assert!(!checked(&site, &config).0);
    mode(&site, "secrets/opencast", 0o600);
    site.start(&config);
}

#[test]
fn of_other_files_it_is_told() {
    let site = Site::new();
    site.write("state/master.key", KEY);
    let config = stateful();
    drop(site.start(&config));
    mode(&site, "state/janua.redb", 0o644);
    let (is_content, said) = checked(&site, &config);
    assert!(is_content && said.contains("note secrets: state.path"), "{said}");
    let gateway = site.start(&config);
    gateway.logged(&["WARN", "state.path", "is open to everybody"]);
}
