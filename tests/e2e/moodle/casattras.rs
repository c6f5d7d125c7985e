//! Moodle signs people in by the plugin `auth_casattras` (5.0), which asks the gateway as its CAS server. By its source it differs from
//! `auth_cas` in the address by which it is chosen beside other ways to sign in (`authCASattras=CASattras`), in its versions of the
//! protocol (1.0, 2.0, 3.0 and SAML 1.1), and in what it makes of attributes. phpCAS is that of `auth_cas`.

use serde_json::json;

use super::school::{SITE_INFO, School};
use super::sources::FACADE;
use crate::check_machine::check;
use crate::people;
use crate::support::cas::query;
use crate::support::{CasServer, Config, Connection, Moodle, Request, Site};

const LOGIN: &str = "/login/index.php?authCASattras=CASattras";

#[test]
fn the_gateway_vouches_in_each_version_that_it_speaks() {
    let Some(school) = School::start(FACADE) else { return };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser
        .open(&alice, "/_janua/sign-in?with=campus&return=/private/x")
        .expect(204);
    for (made, validates_at) in (1..).zip(["serviceValidate", "p3/serviceValidate", "validate"]) {
        {
            let mut site = school.moodle.site();
            (site.settings.casattras, site.settings.multiauth) = (true, true);
            site.settings.validates_at = validates_at;
            site.tokens.clear();
        }
        let info = browser.call(SITE_INFO).expect(200).json();
        assert_eq!(info["username"], "alice", "{validates_at}");
        assert_eq!(school.moodle.site().made, made, "{validates_at}");
    }
    school.keeps_its_secrets();
}

#[test]
fn people_log_in_by_its_own_address_through_the_facade() {
    let Some(school) = School::start(FACADE) else { return };
    {
        let mut site = school.moodle.site();
        (site.settings.casattras, site.settings.multiauth) = (true, true);
        site.settings.cas_public = format!("{}/_janua/cas-facade", school.origin());
    }
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.open(&alice, LOGIN);
    let arrived = browser
        .visited
        .lock()
        .unwrap()
        .iter()
        .any(|url| url.query() == Some("testsession=3"));
    assert!(arrived, "{:?}", browser.visited.lock().unwrap());
    let told = school.moodle.site().told.clone();
    assert!(told.last().unwrap().contains("<cas:user>alice</cas:user>"), "{told:?}");
}

#[test]
fn where_the_gateway_is_the_only_cas_server_its_address_gets_tickets_with_attributes() {
    let facade = "tokens = [\"cas-facade\"]\nfacade = { path = \"/_janua/cas-facade\", from = [\"127.0.0.1\"], attributes = \
                  [\"email\", \"given_name\"] }\nusername = \"{preferred_username}\"";
    let world = people::start("people = \"campus\"", "", facade);
    let root = {
        let mut site = world.moodle.site();
        (site.settings.casattras, site.settings.multiauth) = (true, true);
        site.settings.validates_at = "p3/serviceValidate";
        let root = site.settings.wwwroot.clone();
        site.settings.cas = Some(format!("{root}/_janua/cas-facade"));
        site.settings.cas_public = format!("{root}/_janua/cas-facade");
        root
    };
    world.campus.behave().claims =
        json!({ "preferred_username": "anna", "email": "anna@example.test", "given_name": "Änne" });
    let visitor = world.signs_in("campus", "alice");
    let service = query(&[("service", &format!("{root}{LOGIN}"))]);
    let back = visitor.open(&format!("/_janua/cas-facade/login?{service}")).expect(303);
    let back = back.header("location").unwrap().strip_prefix(&root).unwrap().to_owned();
    assert!(back.starts_with(&format!("{LOGIN}&ticket=ST-")), "{back}");
    // The browser brings it there.
    let moodle = world.moodle.url().strip_prefix("http://").unwrap().parse().unwrap();
    let brings = Request::get(&back).header("Connection", "close");
    assert_eq!(Connection::open(moodle).exchange(brings).status, 302);
    let told = world.moodle.site().told.clone();
    let told = told.last().expect("Moodle asks about the ticket");
    for attribute in [
        "<cas:user>anna<",
        "<cas:email>anna@example.test<",
        "<cas:given_name>Änne<",
    ] {
        assert!(told.contains(attribute), "no {attribute} in {told}");
    }
}

#[test]
fn other_protocols_are_not_spoken() {
    let Some(school) = School::start(FACADE) else { return };
    let host = school.gateway.http().to_string();
    let asked = Request::new("POST", "/_janua/cas-facade/samlValidate?TARGET=x").host(&host);
    let answer = school
        .gateway
        .send(asked.header("Content-Type", "text/xml").body("<x/>"));
    assert!([404, 405].contains(&answer.status), "{answer:?}");
}

#[test]
fn check_knows_which_sources_its_own_address_serves() {
    let Some(cas) = CasServer::start() else { return };
    let ask = |tokens: &str, multiauth: bool| {
        let (moodle, site) = (Moodle::start(), Site::new());
        {
            let settings = &mut moodle.site().settings;
            settings.wwwroot = "https://moodle.test".to_owned();
            (settings.casattras, settings.multiauth) = (true, multiauth);
            settings.cas_public = match tokens.contains("facade") {
                true => "https://moodle.test/_janua/cas-facade".to_owned(),
                false => cas.url(),
            };
        }
        let config = Config::new()
            .server("public_urls", r#"["https://moodle.test"]"#)
            .upstream("moodle", &[moodle.url()], "")
            .section(&format!("[sign_in.campus.cas]\nserver = {:?}\n", cas.url()))
            .section(&format!(
                "[moodle.campus]\nupstream = \"moodle\"\npublic_url = \"https://moodle.test\"\nsign_in = \"campus\"\ntokens = \
                 {tokens}\n"
            ))
            .open_route();
        check(&site, &config.text(), &[]).stdout
    };
    let good = "Moodle sends people to";
    for (tokens, multiauth, line) in [
        (FACADE, true, good),
        (FACADE, false, good),
        ("[\"cas-token\"]", true, good),
        ("[\"cas-launch\"]", false, good),
        ("[\"cas-launch\"]", true, "Switch its multiauth off"),
    ] {
        let said = ask(tokens, multiauth);
        assert!(said.contains(line), "{tokens} {multiauth}: {said}");
        assert_eq!(
            line != good,
            said.contains("BAD  moodle campus"),
            "{tokens} {multiauth}: {said}"
        );
    }
}
