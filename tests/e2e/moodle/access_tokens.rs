//! Applications call Moodle as the person whose access token they have.

use serde_json::{Value, json};

use super::school::SITE_INFO;
use crate::bearer::campus::{By, Campus, Plan, quietly};
use crate::support::http::Response;
use crate::support::moodle::Account;
use crate::support::{Moodle, OidcDouble, Request};

const ALICES: &str = "45e8d5226f8d38cf5f15767e0d057351";
const BOBS: &str = "996b812db30ecedd90cedcbaffe95536";

/// A gateway in front of a Moodle whose people sign in at a provider, and come by access tokens of the same people.
struct Portal {
    campus: Campus,
    moodle: Moodle,
    _provider: OidcDouble,
}

/// `username`, other lines of `[moodle.main]`, and lines of the route.
fn portal(username: &str, moodle_lines: &str, route: &str) -> Portal {
    let portal = portal_by("[\"vault\"]", username, moodle_lines, route);
    for (name, token) in [("alice", ALICES), ("bob", BOBS)] {
        crate::people::import(&portal.campus.gateway, name, token);
    }
    portal
}

/// The same with other sources of tokens.
fn portal_by(tokens: &str, username: &str, moodle_lines: &str, route: &str) -> Portal {
    let (provider, moodle) = (OidcDouble::start(), Moodle::start());
    let origin = "http://moodle.localhost";
    moodle.site().settings.wwwroot = origin.to_owned();
    for (name, id, token) in [("alice", 8, ALICES), ("bob", 4, BOBS)] {
        let account = Account {
            id,
            ..Account::default()
        };
        moodle.site().accounts.insert(name.to_owned(), account);
        moodle.site().give(token, name, "moodle_mobile_app");
    }
    let more = format!(
        "[sign_in.people.oidc]\nissuer = {:?}\nclient_id = \"janua\"\nclient_secret_file = \"secrets/bearer\"\nusername = \
         \"preferred_username\"\n[upstreams.moodle]\nservers = [{:?}]\n[moodle.main]\nupstream = \"moodle\"\npublic_url = \
         {origin:?}\nsign_in = \"people\"\ntokens = {tokens}\nusername = {username:?}\n{moodle_lines}\n[[routes]]\nname = \"calls\"\npath = \
         \"/webservice/{{*rest}}\"\nupstream = \"moodle\"\npresent = \"moodle-token\"\naccept = [\"session\", \"bearer\"]\n\
         allow = [{{ signed_in = true }}]\n{route}\n",
        provider.issuer(),
        moodle.url(),
    );
    let plan = Plan::by(By::Jwks).bearer("username = \"preferred_username\"\npeople = \"people\"");
    let campus = plan.more(&more).start();
    Portal {
        campus,
        moodle,
        _provider: provider,
    }
}

impl Portal {
    fn token(&self, name: &str, over: Value) -> String {
        let mut claims = json!({ "preferred_username": name, "sub": format!("id-of-{name}") });
        for (key, value) in over.as_object().unwrap() {
            claims[key] = value.clone();
        }
        self.campus.access_token(&claims)
    }

    fn call(&self, token: &str) -> Response {
        self.campus.get(SITE_INFO, token)
    }
}

#[test]
fn the_person_of_an_access_token_calls_and_nobody_sees_either_token() {
    let portal = portal("{preferred_username}", "", "");
    for (name, token) in [("alice", ALICES), ("bob", BOBS)] {
        let bearer = portal.token(name, json!({}));
        let answer = portal.call(&bearer).expect(200);
        assert_eq!(answer.json()["username"], name);
        assert!(!answer.text().contains(token));
        let seen = portal.moodle.site().requests.last().unwrap().clone();
        let sent = format!("{seen:?}");
        assert!(!sent.contains(&bearer), "the access token went on to Moodle");
    }
}

#[test]
fn an_application_by_itself_and_other_peoples_tokens_get_none_of_moodles() {
    let portal = portal("{preferred_username}", "never = [\"bob\"]", "");
    let own = portal.token(
        "app",
        json!({ "sub": "app", "client_id": "app", "preferred_username": "app" }),
    );
    let answer = portal.call(&own);
    assert!([401, 403].contains(&answer.status), "{answer:?}");
    portal
        .call(&portal.token("bob", json!({})))
        .refused(403, "no_moodle_token");
    let acting = portal.token(
        "alice",
        json!({ "surrogateEnabled": true, "surrogatePrincipal": "bob" }),
    );
    portal.call(&acting).refused(403, "no_moodle_token");
    portal
        .call(&portal.token("carol", json!({})))
        .refused(403, "no_moodle_token");
    portal.call(&portal.token("alice", json!({}))).expect(200);
}

#[test]
fn a_claim_of_the_access_token_may_be_the_name_in_moodle() {
    let portal = portal("{email}", "username_domain = \"example.test\"", "");
    let called = |claims: Value| portal.call(&portal.token("x-alice", claims));
    let answer = called(json!({ "email": "Alice@example.test" })).expect(200);
    assert_eq!(answer.json()["username"], "alice");
    called(json!({ "email": "alice@other.test" })).refused(403, "no_moodle_token");
    called(json!({ "email": "alice@example.test", "email_verified": false })).refused(403, "no_moodle_token");
    called(json!({})).refused(403, "no_moodle_token");
}

#[test]
fn a_token_of_moodles_beside_an_access_token_is_refused() {
    let portal = portal("{preferred_username}", "", "");
    let bearer = portal.token("alice", json!({}));
    let path = format!("{SITE_INFO}&wstoken={BOBS}");
    let answer = quietly(&portal.campus.gateway, Request::get(&path).bearer(&bearer));
    assert_eq!(answer.status, 400, "{answer:?}");
}

#[test]
fn functions_and_scopes_of_the_route_hold_for_applications() {
    let route = "functions = [\"core_enrol_*\", { names = [\"core_webservice_*\"], role = \"ROLE_GROUP_staff\" }]";
    let portal = portal("{preferred_username}", "", route);
    let of_staff = portal.token("alice", json!({ "groups": ["staff"] }));
    portal.call(&of_staff).expect(200);
    let student = portal.token("alice", json!({ "groups": ["student"] }));
    assert_eq!(portal.call(&student).status, 403);
}

#[test]
fn a_claim_of_the_access_token_may_be_the_token_itself() {
    let portal = portal_by(
        "[\"attribute\"]\nattribute = { name = \"moodle_token\" }",
        "{preferred_username}",
        "",
        "",
    );
    let asked = || portal.moodle.site().requests.len();
    let alices = portal.token("alice", json!({ "moodle_token": ALICES }));
    let answer = portal.call(&alices).expect(200);
    assert_eq!(answer.json()["username"], "alice");
    // Another one's, several, what is none, and none: nobody's token goes with the call.
    let bob = |told: Value| portal.call(&portal.token("bob", json!({ "moodle_token": told })));
    bob(json!([BOBS, ALICES])).refused(403, "no_moodle_token");
    bob(Value::Null).refused(403, "no_moodle_token");
    bob(json!(ALICES)).refused(403, "no_moodle_token");
    portal
        .campus
        .gateway
        .logged(&["no token", "source=\"attribute\"", "Moodle's account is another"]);
    let before = asked();
    bob(json!(ALICES)).refused(403, "no_moodle_token");
    assert_eq!(asked(), before, "nothing is asked about it once more");
    // The other person goes on with it.
    assert_eq!(portal.call(&alices).expect(200).json()["username"], "alice");
}

#[test]
fn addresses_of_files_are_the_gateways_where_an_app_asks_for_it() {
    let route = "[[routes]]\nname = \"under a prefix\"\npath = \"/campus-app/webservice/{*rest}\"\nstrip = \"/campus-app\"\n\
                 upstream = \"moodle\"\npresent = \"moodle-token\"\naccept = [\"bearer\"]\nallow = [{ signed_in = true }]\n\
                 rewrite_urls = true";
    let portal = portal("{preferred_username}", "", route);
    let bearer = portal.token("alice", json!({}));
    let contents = "/webservice/rest/server.php?wsfunction=core_course_get_contents&courseid=2";
    let told = portal
        .campus
        .get(&format!("{contents}&moodlewsrestformat=json"), &bearer)
        .expect(200);
    let url = |told: &Value| {
        told[0]["modules"][0]["contents"][0]["fileurl"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        url(&told.json()),
        "http://moodle.localhost/webservice/pluginfile.php/17/assignsubmission_file/submission_files/1/essay.txt?forcedownload=1"
    );
    let under = format!("/campus-app{contents}");
    let told = portal
        .campus
        .get(&format!("{under}&moodlewsrestformat=json"), &bearer)
        .expect(200)
        .json();
    let file = url(&told);
    assert_eq!(
        file,
        "http://video.test/campus-app/webservice/pluginfile.php/17/assignsubmission_file/submission_files/1/essay.txt?forcedownload=1"
    );
    let module = &told[0]["modules"][0];
    let picture = "<img src=\"http://video.test/campus-app/webservice/pluginfile.php/17/assignsubmission_file/submission_files/1/essay.txt\">";
    assert_eq!(module["description"], picture);
    assert_eq!(
        module["url"], "http://moodle.localhost/mod/resource/view.php?id=1",
        "a page stays Moodle's"
    );
    let opened = portal
        .campus
        .get(file.strip_prefix("http://video.test").unwrap(), &bearer)
        .expect(200);
    assert!(!opened.body.is_empty());
    let xml = portal.campus.get(&under, &bearer).expect(200).text();
    assert!(
        xml.contains("<VALUE>http://video.test/campus-app/webservice/pluginfile.php/17/"),
        "{xml}"
    );
    assert!(
        xml.contains("src=\"http://video.test/campus-app/webservice/pluginfile.php/17/"),
        "{xml}"
    );
}
