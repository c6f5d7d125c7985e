//! The CAS server tells the password of whoever signs in, encrypted for the gateway, which spends it once at Moodle.

use std::os::unix::fs::PermissionsExt as _;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeySize, Pkcs1PublicEncryptingKey, PrivateDecryptingKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::explained::{SCRIPT, explain};
use super::school::{Browser, SITE_INFO, School};
use crate::support::secrets::{self, Kind};
use crate::support::tools::janua;
use crate::support::{Site, eventually};

const CLEARPASS: &str = "[\"clearpass\"]\nclearpass = { key_file = \"clearpass.pem\" }";
const PASSWORD: &str = "Grünes & Kaninchen=loch 7";

/// A private key in a file of the site, and what encrypts for it.
fn key(site: &Site) -> Pkcs1PublicEncryptingKey {
    let private = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'static> = private.as_der().unwrap();
    let text = STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
    let file = site.write("clearpass.pem", &pem);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    Pkcs1PublicEncryptingKey::new(private.public_key()).unwrap()
}

fn sealed(public: &Pkcs1PublicEncryptingKey, text: &str) -> String {
    let mut room = vec![0; public.ciphertext_size()];
    STANDARD.encode(public.encrypt(text.as_bytes(), &mut room).unwrap())
}

/// Alice's password is told as CAS does, and Moodle knows `known` as hers.
fn school(tokens: &str, known: Option<&str>) -> Option<School> {
    let site = Site::new();
    let told = sealed(&key(&site), PASSWORD);
    let school = School::telling(&json!({ "alice": { "credential": told } }), &site, tokens)?;
    for secret in [PASSWORD, &told, "Kaninchen%3Dloch", "Kaninchen=loch"] {
        secrets::register(Kind::Token, secret);
    }
    let mut moodle = school.moodle.site();
    moodle.accounts.get_mut("alice").unwrap().password = known.map(str::to_owned);
    drop(moodle);
    Some(school)
}

/// Signs alice in at the gateway alone.
fn signed_in(school: &School) -> Browser<'_> {
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser
        .open(&alice, "/_janua/sign-in?with=campus&return=/_janua/me")
        .expect(200);
    browser
}

/// The bodies that `login/token.php` was sent.
fn spent(school: &School) -> Vec<String> {
    let requests = school.moodle.site().requests.clone();
    let to_token = requests
        .into_iter()
        .filter(|(_, target, _)| target.starts_with("/login/token.php"));
    to_token.map(|(_, _, body)| body).collect()
}

#[test]
fn a_password_is_spent_once_and_kept_nowhere() {
    let Some(school) = school(CLEARPASS, Some(PASSWORD)) else {
        return;
    };
    let browser = signed_in(&school);
    assert_eq!(browser.call(SITE_INFO).expect(200).json()["username"], "alice");
    assert_eq!(
        spent(&school),
        ["username=alice&password=Gr%C3%BCnes+%26+Kaninchen%3Dloch+7&service=moodle_mobile_app"]
    );
    let metrics = school.gateway.admin("/metrics").text();
    assert!(metrics.contains("janua_moodle_tokens_total{moodle=\"campus\",outcome=\"ok\",source=\"clearpass\"} 1"));
    // The token is dead, and there is no password to make another one.
    school.moodle.site().tokens.clear();
    let told = browser.call(SITE_INFO).expect(403).json();
    assert_eq!(told["reason"], "no_moodle_token");
    let (_, report) = explain(&school, &browser, SITE_INFO, &SCRIPT, true);
    let prospect = report["moodle"]["sources"][0]["prospect"].as_str().unwrap();
    assert!(prospect.contains("the next sign-in brings it again"), "{prospect}");
    assert_eq!(spent(&school).len(), 1);
    let again = signed_in(&school);
    again.call(SITE_INFO).expect(200);
    assert_eq!(spent(&school).len(), 2);
    school.keeps_its_secrets();
}

#[test]
fn a_token_that_moodle_has_deleted_costs_nobody_the_password_of_a_sign_in() {
    let Some(school) = school(CLEARPASS, Some(PASSWORD)) else {
        return;
    };
    signed_in(&school).call(SITE_INFO).expect(200);
    // Nobody has called since, so that the gateway does not know it yet.
    school.moodle.site().tokens.clear();
    assert_eq!(
        signed_in(&school).call(SITE_INFO).expect(200).json()["username"],
        "alice"
    );
    assert_eq!(spent(&school).len(), 2);
    // One that is alive needs none.
    signed_in(&school).call(SITE_INFO).expect(200);
    assert_eq!(spent(&school).len(), 2);
}

#[test]
fn whoever_is_refused_is_not_locked_out_by_signing_in() {
    // So answers Moodle for every account of auth_cas.
    let Some(school) = school(CLEARPASS, None) else { return };
    let browser = signed_in(&school);
    let told = browser.call(SITE_INFO).expect(403).json();
    assert_eq!(told["reason"], "no_moodle_token");
    school
        .gateway
        .logged(&["no token", "source=\"clearpass\"", "invalidlogin"]);
    assert_eq!(spent(&school).len(), 1);
    let again = signed_in(&school);
    again.call(SITE_INFO).expect(403);
    assert_eq!(spent(&school).len(), 1, "a second failed login at Moodle");
}

#[test]
fn a_password_for_another_key_is_for_nobody() {
    let site = Site::new();
    let elsewhere = sealed(&key(&Site::new()), PASSWORD);
    key(&site);
    let told = json!({ "alice": { "credential": elsewhere }, "bob": { "credential": "c2hvcnQ=" } });
    let Some(school) = School::telling(&told, &site, CLEARPASS) else {
        return;
    };
    let browser = signed_in(&school);
    assert_eq!(browser.call(SITE_INFO).expect(403).json()["reason"], "no_moodle_token");
    school.gateway.logged(&["no token", "cannot be deciphered"]);
    assert!(school.moodle.site().requests.is_empty(), "Moodle was asked");
    // Signing in itself goes on as ever.
    let other = school.browser();
    other
        .open(
            &school.cas.person("bob"),
            "/_janua/sign-in?with=campus&return=/_janua/me",
        )
        .expect(200);
    other.call(SITE_INFO).expect(403);
}

#[test]
fn a_password_is_left_alone_where_another_source_has_a_token() {
    const ALICES: &str = "c1ea4a55ddba11c0ffee0d15ea5e0001";
    let tokens = CLEARPASS.replace("[\"clearpass\"]", "[\"attribute\", \"clearpass\"]")
        + "\nattribute = { name = \"moodleToken\" }";
    let site = Site::new();
    let told = sealed(&key(&site), PASSWORD);
    let told = json!({ "alice": { "credential": told, "moodleToken": ALICES } });
    let Some(school) = School::telling(&told, &site, &tokens) else {
        return;
    };
    school.moodle.site().give(ALICES, "alice", "moodle_mobile_app");
    let browser = signed_in(&school);
    browser.call(SITE_INFO).expect(200);
    assert_eq!(spent(&school), [""; 0]);
    school.keeps_its_secrets();
}

#[test]
fn a_moodle_that_is_down_keeps_nobody_from_signing_in() {
    let Some(school) = school(CLEARPASS, Some(PASSWORD)) else {
        return;
    };
    school.moodle.site().settings.php_is_down = true;
    let browser = signed_in(&school);
    browser.call(SITE_INFO);
    school.gateway.logged(&["no token", "source=\"clearpass\""]);
    school.moodle.site().settings.php_is_down = false;
    eventually("the next sign-in brings the password again", || {
        let again = signed_in(&school);
        (again.call(SITE_INFO).status == 200).then_some(())
    });
    school.keeps_its_secrets();
}

#[test]
fn check_says_what_it_means_and_what_the_cas_server_needs() {
    let Some(school) = school(CLEARPASS, Some(PASSWORD)) else {
        return;
    };
    let config = school.gateway.site.path("gateway.toml");
    let ran = janua(["check", "--config", config.to_str().unwrap()]);
    let told = format!("{}{}", ran.stdout, ran.stderr);
    for expected in [
        "the gateway reads the password of everybody who signs in",
        "authorizedToReleaseCredentialPassword",
        "\"publicKey\"",
        "invalidlogin",
    ] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    // Another kind of key is told before anything runs.
    let site = &school.gateway.site;
    site.write(
        "clearpass.pem",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    );
    let ran = janua(["check", "--config", config.to_str().unwrap()]);
    assert_ne!(ran.code, Some(0));
    let told = format!("{}{}", ran.stdout, ran.stderr);
    assert!(told.contains("moodle.campus.clearpass.key_file"), "{told}");
    assert!(told.contains("rsa_keygen_bits"), "{told}");
}
