//! `janua check`: reads the file, asks everyone named in it, and says what it found.

use crate::support::cas::CasServer;
use crate::support::moodle::Settings;
use crate::support::tools::{Ran, janua};
use crate::support::{Config, Gateway, JwksServer, MEDIA, Moodle, Reserved, Signer, Site, Upstream};

fn check(site: &Site, config: &str, more: &[&str]) -> Ran {
    let file = site.write("gateway.toml", config);
    let mut arguments = vec!["check", "--config", file.to_str().unwrap()];
    arguments.extend(more);
    janua(arguments)
}

fn all(ran: &Ran) -> String {
    format!("{}{}", ran.stdout, ran.stderr)
}

#[test]
fn a_good_file_with_everyone_there() {
    let site = Site::with_lecture();
    let (keys, zoo) = (JwksServer::start(&[&Signer::new()]), Upstream::start());
    let config = Config::new()
        .issuer("moodle", &keys.url(), "")
        .upstream("opencast", &[zoo.url()], "")
        .section(MEDIA)
        .section("[[routes]]\nname = \"up\"\npath = \"/up\"\nupstream = \"opencast\"\nallow = [{ anyone = true }]\n");
    let ran = check(&site, &config.text(), &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let said = all(&ran);
    assert!(said.contains("moodle") && said.contains("opencast"), "{said}");
    assert!(keys.requests() >= 1);
}

#[test]
fn an_endpoint_that_fails_is_named_unless_offline() {
    let site = Site::with_lecture();
    let keys = JwksServer::start(&[]);
    let port = Reserved::new(0).unwrap();
    let nobody = format!("http://{}", port.address());
    let config = Config::new()
        .issuer("moodle", &keys.url(), "")
        .upstream("opencast", std::slice::from_ref(&nobody), "")
        .section(MEDIA)
        .section("[[routes]]\nname = \"up\"\npath = \"/up\"\nupstream = \"opencast\"\nallow = [{ anyone = true }]\n")
        .text();
    keys.fail(500);
    let ran = check(&site, &config, &[]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let said = all(&ran);
    assert!(said.contains("moodle") && said.contains("500"), "{said}");
    assert!(said.contains("opencast"), "{said}");
    let asked = keys.requests();
    assert_eq!(check(&site, &config, &["--offline"]).code, Some(0));
    assert_eq!(keys.requests(), asked);
}

#[test]
fn all_problems_at_once_with_place_and_suggestion() {
    let site = Site::with_lecture();
    let config = r#"[server]
lisen = ["127.0.0.1:8080"]
public_urls = ["http://video.test"]
shutdown_grace = "30 parsecs"

[[routes]]
name = "media"
path = "/static/{event}/{*file}"
files = "downloads"
allow = [{ grant = "read", event = "{evnt}" }]

[[routes]]
name = "open by mistake"
path = "/files/{*file}"
files = "nowhere"
"#;
    let ran = check(&site, config, &["--offline"]);
    assert_eq!(ran.code, Some(1));
    let said = ran.stderr;
    assert!(said.contains("gateway.toml:2:1"), "the place: {said}");
    assert!(said.contains(r#"lisen = ["127.0.0.1:8080"]"#), "the line: {said}");
    assert!(said.contains("`listen`"), "a suggestion: {said}");
}

#[test]
fn a_guarded_route_without_rules_is_refused() {
    let site = Site::with_lecture();
    let server = "[server]\nlisten = [\"127.0.0.1:0\"]\npublic_urls = [\"http://video.test\"]\n";
    let problems = [
        (
            "[[routes]]\nname = \"a\"\npath = \"/a\"\nfiles = \"downloads\"\n",
            "allow",
        ),
        (
            "[[routes]]\nname = \"a\"\npath = \"/a\"\nfiles = \"downloads\"\nallow = []\n",
            "allow",
        ),
        (
            "[[routes]]\nname = \"a\"\npath = \"/a\"\nallow = [{ anyone = true }]\n",
            "upstream",
        ),
        (
            "[[routes]]\nname = \"a\"\npath = \"/a\"\nupstream = \"missing\"\nallow = [{ anyone = true }]\n",
            "missing",
        ),
        (
            "[[routes]]\nname = \"a\"\npath = \"/a/{*f}\"\nfiles = \"nowhere\"\nallow = [{ anyone = true }]\n",
            "nowhere",
        ),
        (
            "[[routes]]\nname = \"a\"\npath = \"/a/{*f}\"\nfiles = \"downloads\"\nallow = [{ role = \"{x}_Learner\" }]\n",
            "{x}",
        ),
        (
            "[[routes]]\nname = \"a\"\npath = \"/{a}\"\nrespond = { status = 204 }\nallow = [{ anyone = true }]\n\
             [[routes]]\nname = \"b\"\npath = \"/{b}\"\nrespond = { status = 204 }\nallow = [{ anyone = true }]\n",
            "/{b}",
        ),
        ("[jwt]\nalgorithms = [\"HS256\"]\n", "HS256"),
        ("[jwt]\nalgorithms = [\"none\"]\n", "none"),
        ("[unheard]\nof = 1\n", "unheard"),
        ("[log]\nlevel = 5\n", "level"),
        ("this is no toml\n", "this"),
    ];
    for (problem, named) in problems {
        let ran = check(&site, &format!("{server}{problem}"), &["--offline"]);
        assert_eq!(ran.code, Some(1), "{problem}\n{ran:?}");
        assert!(ran.stderr.contains("gateway.toml:"), "{problem}\n{}", ran.stderr);
        assert!(ran.stderr.contains(named), "no {named} in\n{}", ran.stderr);
    }
}

#[test]
fn independent_problems_are_told_together() {
    let site = Site::with_lecture();
    let config = r#"[server]
listen = ["127.0.0.1:0"]
public_urls = ["http://video.test"]

[[routes]]
name = "one"
path = "/one"
upstream = "missing"
allow = [{ anyone = true }]

[[routes]]
name = "two"
path = "/two/{*file}"
files = "nowhere"
allow = [{ anyone = true }]
"#;
    let ran = check(&site, config, &["--offline"]);
    assert_eq!(ran.code, Some(1));
    for part in ["gateway.toml:8:", "gateway.toml:14:", "missing", "nowhere"] {
        assert!(ran.stderr.contains(part), "no {part} in\n{}", ran.stderr);
    }
}

#[test]
fn no_file_is_told_plainly() {
    let ran = janua(["check", "--config", "/nowhere/gateway.toml"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("/nowhere/gateway.toml"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("backtrace"), "{}", ran.stderr);
}

#[test]
fn the_repositorys_own_file_is_good_and_serves_the_sample() {
    let signer = Signer::new();
    let site = Site::new();
    site.write_keys("sample/keys/jwks.json", &[&signer]);
    let lecture = "mh_default_org/engage-player/lecture-1/video/lecture.mp4";
    site.write(&format!("sample/downloads/{lecture}"), "a lecture");
    let text = include_str!("../../gateway.toml");
    let ran = check(&site, text, &["--offline"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    // The same with ports of the system's choice.
    let free = text
        .replace("127.0.0.1:8080", "127.0.0.1:0")
        .replace(r#"# admin = "127.0.0.1:9090""#, r#"admin = "127.0.0.1:0""#);
    let gateway = Gateway::start(&site, &free);
    let path = format!("/static/{lecture}");
    assert_eq!(
        gateway.get_with(&path, &signer.read("lecture-1")).expect(200).text(),
        "a lecture"
    );
    gateway.get(&path).refused(401, "no_credentials");
}

#[test]
fn the_cas_server_is_asked_and_what_to_register_is_told() {
    let Some(cas) = CasServer::start() else { return };
    let site = Site::new();
    let sign_in = |server: &str| {
        format!(
            "[sign_in.campus]\napp_origins = [\"http://app.video.test\", \"https://elsewhere.example\"]\n\
             [sign_in.campus.cas]\nserver = {server:?}\n\
             [[routes]]\nname = \"in\"\npath = \"/in\"\nrespond = {{ status = 204 }}\naccept = [\"session\"]\n\
             sign_in = \"campus\"\nallow = [{{ signed_in = true }}]\n"
        )
    };
    let ran = check(&site, &Config::new().section(&sign_in(&cas.url())).text(), &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let said = all(&ran);
    assert!(said.contains("refuses a made-up ticket"), "{said}");
    assert!(said.contains("/_janua/cas/campus/callback"), "{said}");
    assert!(said.contains("https://elsewhere.example is on another site"), "{said}");
    assert!(!said.contains("http://app.video.test is on another site"), "{said}");

    let zoo = Upstream::start();
    let ran = check(&site, &Config::new().section(&sign_in(&zoo.url())).text(), &[]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(all(&ran).contains("BAD  sign_in campus"), "{ran:?}");
}

#[test]
fn moodle_is_asked_and_what_it_must_switch_on_is_told() {
    type Change = fn(&mut Settings);
    let Some(cas) = CasServer::start() else { return };
    let site = Site::new();
    let ask = |tokens: &str, change: Change| {
        let moodle = Moodle::start();
        {
            let settings = &mut moodle.site().settings;
            settings.wwwroot = "https://moodle.test".to_owned();
            settings.host = Some("moodle.test".to_owned());
            settings.cas_public = cas.url();
            change(settings);
        }
        let config = Config::new()
            .server("public_urls", r#"["https://moodle.test"]"#)
            .upstream("moodle", &[moodle.url()], "")
            .section(&format!("[sign_in.campus.cas]\nserver = \"{}\"\n", cas.url()))
            .section(&format!(
                "[moodle.campus]\nupstream = \"moodle\"\npublic_url = \"https://moodle.test\"\nsign_in = \"campus\"\n\
                 tokens = {tokens}\n"
            ))
            .open_route();
        (moodle, check(&site, &config.text(), &[]))
    };
    let all = r#"["vault", "cas-launch", "cas-token"]"#;
    let (moodle, ran) = ask(all, |_| {});
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for told in [
        "ok   moodle campus: takes web service calls as https://moodle.test",
        "ok   moodle campus, vault:",
        "ok   moodle campus, cas-launch:",
        "note moodle campus: not seen without a token:",
        "note moodle campus, cas-token: the CAS server must allow the service https://moodle.test/login/token.php",
    ] {
        assert!(ran.stdout.contains(told), "no {told} in {}", ran.stdout);
    }
    let asked = moodle.site().requests.clone();
    for target in ["/lib/ajax/service-nologin.php", "/login/token.php?appsitecheck=1"] {
        assert!(asked.iter().any(|(_, known, _)| known == target), "{target}: {asked:?}");
    }
    let cases: [(Change, &str); 8] = [
        (
            |settings| settings.web_services = false,
            "BAD  moodle campus: web services are off",
        ),
        (|settings| settings.rest = false, "webserviceprotocols"),
        (
            |settings| settings.maintenance = true,
            "BAD  moodle campus: maintenance mode is on",
        ),
        (
            |settings| settings.wwwroot = "https://moodle.test/moodle".to_owned(),
            "$CFG->wwwroot is https://moodle.test/moodle, but public_url says https://moodle.test:",
        ),
        (
            |settings| settings.auth_cas = false,
            "BAD  moodle campus, cas-launch: Moodle offers no sign-in by CAS",
        ),
        (
            |settings| settings.cas_public = String::new(),
            "BAD  moodle campus, cas-token: Moodle offers no sign-in by CAS",
        ),
        (
            |settings| settings.cas_public = "https://other.test/cas".to_owned(),
            "BAD  moodle campus, cas-launch: Moodle sends people to https://other.test/cas to sign in",
        ),
        (
            |settings| settings.host = Some("other.test".to_owned()),
            "it redirects instead of answering",
        ),
    ];
    for (change, told) in cases {
        let (_, ran) = ask(all, change);
        assert_eq!(ran.code, Some(1), "{told}: {ran:?}");
        assert!(ran.stdout.contains(told), "no {told} in {}", ran.stdout);
    }
    // The app's service may be on without the switch for the app.
    let (_, ran) = ask(all, |settings| settings.mobile_service = false);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("enablemobilewebservice"), "{ran:?}");
    // A provided token needs no sign-in by CAS.
    let (_, ran) = ask(r#"["vault"]"#, |settings| settings.auth_cas = false);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let nobody = Config::new()
        .upstream("moodle", &["http://127.0.0.1:9".to_owned()], "")
        .section(&format!("[sign_in.campus.cas]\nserver = \"{}\"\n", cas.url()))
        .section(
            "[moodle.campus]\nupstream = \"moodle\"\npublic_url = \"https://moodle.test\"\nsign_in = \"campus\"\n\
             tokens = [\"vault\"]\n",
        )
        .open_route();
    let ran = check(&site, &nobody.text(), &[]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.stdout
            .contains("note moodle campus: 127.0.0.1:9 refused the connection, as upstream moodle above"),
        "{ran:?}"
    );
    assert!(ran.stdout.contains("BAD  upstream moodle 127.0.0.1:9"), "{ran:?}");
}
