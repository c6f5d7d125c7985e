//! What `janua check` says of it.

use crate::check_machine::check;
use crate::support::moodle::Settings;
use crate::support::oidc::double::Endpoint;
use crate::support::{Config, Moodle, OidcDouble, Site};

type Change = fn(&mut Settings);

#[test]
fn which_login_is_taken_is_told_and_what_to_write_if_none_is() {
    let (idp, site) = (OidcDouble::start(), Site::new());
    let secret = site.write("secrets/oidc", "secret-of-the-client\n");
    let ask = |lines: &str, change: Change| {
        let moodle = Moodle::start();
        {
            let settings = &mut moodle.site().settings;
            settings.wwwroot = "https://moodle.test".to_owned();
            settings.auth_cas = false;
            settings.auth_oauth2 = true;
            settings.provider = idp.url(Endpoint::Authorize);
            change(settings);
        }
        let config = Config::new()
            .server("public_urls", r#"["https://moodle.test"]"#)
            .upstream("moodle", &[moodle.url()], "")
            .section(&format!(
                "[sign_in.campus.oidc]\nissuer = {:?}\nclient_id = \"janua\"\nclient_secret_file = {secret:?}\n",
                idp.issuer()
            ))
            .section(&format!(
                "[moodle.campus]\nupstream = \"moodle\"\npublic_url = \"https://moodle.test\"\nsign_in = \"campus\"\n\
                 tokens = [\"oidc-launch\"]\n{lines}\n"
            ))
            .open_route();
        check(&site, &config.text(), &[]).stdout
    };
    let leads = format!("ok   moodle campus: Moodle sends people to {} to log in", idp.origin());
    let cases: [(&str, Change, &[&str]); 7] = [
        (
            "",
            |_| {},
            &[
                "ok   moodle campus, oidc-launch: people log in to Moodle by auth_oauth2 with the service of id 1",
                &leads,
            ],
        ),
        (
            "oidc_launch = { plugin = \"auth_oidc\" }",
            |settings| settings.auth_oidc = true,
            &[
                "ok   moodle campus, oidc-launch: people log in to Moodle by auth_oidc",
                &leads,
            ],
        ),
        (
            "",
            |settings| settings.oauth2_ids = vec![1, 7],
            &[
                "BAD  moodle campus, oidc-launch: Moodle's login page offers several",
                "{ issuer_id = 7 }",
            ],
        ),
        (
            "",
            |settings| settings.auth_oauth2 = false,
            &["BAD  moodle campus, oidc-launch: Moodle's login page offers no login"],
        ),
        (
            "oidc_launch = { issuer_id = 9 }",
            |_| {},
            &[
                "note moodle campus, oidc-launch: Moodle's login page does not offer",
                "no OAuth 2 service of this id",
            ],
        ),
        (
            "",
            |settings| settings.provider = "https://other.test/auth".to_owned(),
            &["Moodle's login leads to https://other.test", "oidc_launch.provider"],
        ),
        (
            "oidc_launch = { provider = \"https://other.test\" }",
            |settings| settings.provider = "https://other.test/auth".to_owned(),
            &["ok   moodle campus: Moodle sends people to https://other.test to log in"],
        ),
    ];
    for (lines, change, told) in cases {
        let said = ask(lines, change);
        for line in told {
            assert!(said.contains(line), "no {line} in {said}");
        }
    }
}
