//! What `janua check` says of it.

use crate::check_machine::check;
use crate::support::moodle::Settings;
use crate::support::{Config, Moodle, OidcDouble, Site};

#[test]
fn what_typeoflogin_means_is_told() {
    let (idp, site) = (OidcDouble::start(), Site::new());
    let secret = site.write("secrets/oidc", "secret-of-the-client\n");
    let ask = |change: fn(&mut Settings)| {
        let moodle = Moodle::start();
        {
            let settings = &mut moodle.site().settings;
            settings.wwwroot = "https://moodle.test".to_owned();
            settings.auth_cas = false;
            change(settings);
        }
        let config = Config::new()
            .server("public_urls", r#"["https://moodle.test"]"#)
            .upstream("moodle", &[moodle.url()], "")
            .section(&format!(
                "[sign_in.campus.oidc]\nissuer = {:?}\nclient_id = \"janua\"\nclient_secret_file = {secret:?}\n",
                idp.issuer()
            ))
            .section(
                "[moodle.campus]\nupstream = \"moodle\"\npublic_url = \"https://moodle.test\"\nsign_in = \"campus\"\n\
                 tokens = [\"launch\"]\n",
            )
            .open_route();
        check(&site, &config.text(), &[])
    };
    let just_now =
        "note moodle campus, launch: launch.php gives tokens only to whoever has just signed in (typeoflogin = 1)";
    let cases: [(fn(&mut Settings), &str); 3] = [
        (|settings| settings.type_of_login = 1, just_now),
        (
            |settings| settings.type_of_login = 2,
            "ok   moodle campus, launch: launch.php gives tokens to whoever is signed in (typeoflogin)",
        ),
        (
            |settings| settings.auth_oauth2 = true,
            "ok   moodle campus, launch: launch.php gives tokens to whoever is signed in (auth_oauth2 is on)",
        ),
    ];
    for (change, line) in cases {
        let ran = ask(change);
        let said = &ran.stdout;
        assert!(said.contains(line), "no {line} in {said}");
        assert!(!said.contains("no sign-in by CAS"), "{said}");
        assert!(said.contains("note moodle campus: not seen without a token"), "{said}");
    }
}
