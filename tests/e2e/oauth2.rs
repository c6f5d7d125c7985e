//! People sign in at a CAS server by OAuth 2.0, whatever its age.

use serde_json::json;
use url::Url;

use crate::oidc::campus::ROUTES;
use crate::sign_in::campus::{Visitor, target};
use crate::support::oauth2::{Age, CasOAuth, SECRET};
use crate::support::tools::janua;
use crate::support::{Config, Gateway, Reserved, Site, Upstream};

const AGES: [Age; 4] = [Age::Cas4, Age::Cas5, Age::Cas7Flat, Age::Cas7Nested];

struct Campus {
    cas: CasOAuth,
    site: Site,
    config: Config,
    gateway: Gateway,
    _zoo: Upstream,
    _port: Reserved,
}

impl Campus {
    fn start(age: Age, lines: &str) -> Self {
        let (cas, site, zoo) = (CasOAuth::start(age), Site::new(), Upstream::start());
        let port = Reserved::new(0).unwrap();
        let address = port.address();
        let secret = site.write("secrets/oauth2", format!("{SECRET}\n"));
        let sign_in = format!(
            "[sign_in.campus]\nroles = [{{ attribute = \"memberOf\", role = \"ROLE_GROUP_{{value}}\" }}]\n\
             [sign_in.campus.oauth2]\nserver = {:?}\nclient_id = \"janua\"\nclient_secret_file = {secret:?}\n{lines}",
            cas.server(),
        );
        let config = Config::new()
            .server("listen", &format!("[\"{address}\"]"))
            .server("public_urls", &format!("[\"http://{address}\"]"))
            .upstream("zoo", &[zoo.url()], "")
            .section(&sign_in)
            .section(ROUTES);
        let gateway = site.start(&config);
        Self {
            cas,
            site,
            config,
            gateway,
            _zoo: zoo,
            _port: port,
        }
    }

    fn visitor(&self) -> Visitor {
        Visitor::of(&self.gateway)
    }

    /// From a page to the server and back; what opening the callback leads to is the caller's to see.
    fn callback(&self, visitor: &Visitor, who: Option<&str>, page: &str) -> Url {
        let away = visitor.open(page).expect(303);
        self.cas.authorize(away.header("location").unwrap(), who)
    }

    fn signed_in(&self, who: &str) -> Visitor {
        let visitor = self.visitor();
        let callback = self.callback(&visitor, Some(who), "/app/x?a=1");
        let back = visitor.open(target(&callback)).expect(303);
        assert!(back.header("location").unwrap().ends_with("/app/x?a=1"));
        visitor
    }

    fn outcome(&self, outcome: &str) -> f64 {
        let series = format!("janua_sign_ins_total{{outcome=\"{outcome}\",sign_in=\"campus\"}}");
        self.gateway.metric(&series).unwrap_or_default()
    }
}

#[test]
fn a_server_of_any_age_signs_people_in_with_their_roles() {
    for age in AGES {
        let campus = Campus::start(age, "");
        let visitor = campus.signed_in("casuser");
        let me = visitor.me();
        assert_eq!(me["user"], "casuser", "{age:?}");
        assert_eq!(me["roles"], json!(["ROLE_GROUP_staff", "ROLE_GROUP_all"]), "{age:?}");
        visitor.open("/staff/x").expect(200);
        assert!(
            me["expires_in"].as_u64().unwrap() <= 4 * 3600,
            "nobody tells of a logout"
        );
    }
}

#[test]
fn the_secret_may_be_in_the_form() {
    let campus = Campus::start(Age::Cas7Nested, "client_auth = \"post\"");
    campus.signed_in("casuser");
}

/// A token of another site's client says nothing here, whoever's it is.
#[test]
fn a_profile_of_another_client_signs_nobody_in() {
    for age in [Age::Cas7Flat, Age::Cas7Nested] {
        let campus = Campus::start(age, "");
        campus.cas.serve_client("other");
        let visitor = campus.visitor();
        let callback = campus.callback(&visitor, Some("casuser"), "/app/x");
        visitor.open(target(&callback)).expect(403);
        assert_eq!(campus.outcome("foreign_client"), 1.0);
        assert!(!visitor.is_signed_in());
    }
}

#[test]
fn a_code_is_good_for_one_browser_once() {
    for age in AGES {
        let campus = Campus::start(age, "");
        let (alice, mallory) = (campus.visitor(), campus.visitor());
        let callback = campus.callback(&alice, Some("casuser"), "/app/x");
        // Another browser with the whole address, and with the code beside a state of its own.
        mallory.open(target(&callback)).expect(400);
        let own = campus.callback(&mallory, Some("mallory"), "/app/x");
        let state = own
            .query_pairs()
            .find(|(name, _)| name == "state")
            .unwrap()
            .1
            .into_owned();
        let code = callback
            .query_pairs()
            .find(|(name, _)| name == "code")
            .unwrap()
            .1
            .into_owned();
        let injected = format!("/_janua/oauth2/campus/callback?code={code}&state={state}");
        let refused = mallory.open(&injected);
        assert!([403, 502].contains(&refused.status), "{age:?} {}", refused.status);
        assert!(!mallory.is_signed_in());
        assert_eq!(refused.header("location"), None);
    }
}

#[test]
fn a_spent_code_leads_to_a_page_and_to_no_loop() {
    for age in AGES {
        let campus = Campus::start(age, "");
        let visitor = campus.visitor();
        let callback = campus.callback(&visitor, Some("casuser"), "/app/x");
        let spent = callback.as_str().replace("OC-1-", "OC-2-").parse().unwrap();
        let page = visitor.open(target(&spent)).expect(403);
        assert!(page.text().contains("/_janua/sign-in?with=campus"), "{age:?}");
        assert_eq!(campus.outcome("invalid_code"), 1.0);
    }
}

#[test]
fn passive_goes_on_as_nobody_though_each_parameter_comes_twice() {
    let campus = Campus::start(Age::Cas7Nested, "passive = true");
    let visitor = campus.visitor();
    let callback = campus.callback(&visitor, None, "/app/x");
    let back = visitor.open(target(&callback)).expect(303);
    assert!(back.header("location").unwrap().ends_with("/app/x"));
    // Where nobody may go, the question is not silent any more.
    let asked = visitor.open("/app/x").expect(303);
    assert!(!asked.header("location").unwrap().contains("prompt="), "{asked:?}");
    assert_eq!(campus.outcome("nobody"), 1.0);
}

#[test]
fn signing_out_everywhere_goes_to_the_server() {
    let campus = Campus::start(Age::Cas7Nested, "");
    let visitor = campus.signed_in("casuser");
    let away = visitor
        .post("/_janua/sign-out", "everywhere=1&return=/app/x")
        .expect(303);
    // With a `service` that is none of CAS's, the server shows an error in place of signing out.
    assert_eq!(
        away.header("location"),
        Some(&*format!("{}/logout", campus.cas.server()))
    );
    assert!(!visitor.is_signed_in());
}

#[test]
fn signing_out_everywhere_goes_to_a_server_of_any_age() {
    for age in [Age::Cas4, Age::Cas5] {
        let campus = Campus::start(age, "");
        let visitor = campus.signed_in("casuser");
        let away = visitor.post("/_janua/sign-out", "everywhere=1").expect(303);
        let logout = format!("{}/logout", campus.cas.server());
        assert_eq!(away.header("location"), Some(&*logout), "{age:?}");
        assert!(!visitor.is_signed_in());
    }
}

#[test]
fn check_tells_what_to_register_and_a_wrong_secret() {
    let campus = Campus::start(Age::Cas7Nested, "");
    let file = campus.site.write("gateway.toml", campus.config.text());
    let check = || {
        let ran = janua(["check", "--config", file.to_str().unwrap()]);
        format!("{}{}", ran.stdout, ran.stderr)
    };
    let good = check();
    assert!(good.contains("refuses a made-up code, as it must"), "{good}");
    assert!(good.contains("/_janua/oauth2/campus/callback"), "{good}");
    campus.site.write("secrets/oauth2", "wrong\n");
    let bad = check();
    assert!(bad.contains("refuses this client with Unauthorized"), "{bad}");
}
