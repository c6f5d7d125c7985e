//! The same people sign in at two providers: what is kept for a person is kept once, and what is a sign-in's own stays so.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::moodle::school::{SITE_INFO, script};
use crate::oidc::campus::leads_to;
use crate::sign_in::campus::{Visitor, target};
use crate::support::cas::query;
use crate::support::http::Response;
use crate::support::moodle::Account;
use crate::support::tools::janua;
use crate::support::{Config, Gateway, Moodle, OidcDouble, Request, Reserved, Site, Upstream};

const TOKEN: &str = "45e8d5226f8d38cf5f15767e0d057350";
const ALICES: &str = "996b812db30ecedd90cedcbaffe95535";

/// What both providers call alice.
const ALICE: &str = "a.liddell";

const ROUTES: &str = r#"
[[routes]]
name     = "either"
path     = "/either/{*rest}"
upstream = "zoo"
accept   = ["session"]
sign_in  = ["campus", "library"]
allow    = [{ signed_in = true }]

[[routes]]
name     = "members"
path     = "/members/{*rest}"
upstream = "zoo"
accept   = ["session"]
sign_in  = ["campus", "library"]
allow    = [{ sign_in = "campus" }]

[[routes]]
name     = "calls"
path     = "/webservice/{*rest}"
upstream = "moodle"
present  = "moodle-token"
accept   = ["session"]
sign_in  = ["campus", "library"]
allow    = [{ signed_in = true }]
"#;

/// Two providers that know the same people, and a Moodle for those of `campus`.
pub struct World {
    pub campus: OidcDouble,
    library: OidcDouble,
    pub moodle: Moodle,
    gateway: Gateway,
    _zoo: Upstream,
    _port: Reserved,
}

/// `library`, `both` and `moodle`: lines of `[sign_in.library]`, of either sign-in, and of `[moodle.main]`.
pub fn start(library: &str, both: &str, moodle_lines: &str) -> World {
    let (campus, other, moodle, zoo) = (
        OidcDouble::start(),
        OidcDouble::start(),
        Moodle::start(),
        Upstream::start(),
    );
    let (port, site) = (Reserved::new(0).unwrap(), Site::new());
    let address = port.address();
    let origin = format!("http://{address}");
    let secret = site.write("secrets/oidc", format!("{}\n", crate::support::oidc::CLIENT_SECRET));
    moodle.site().settings.wwwroot.clone_from(&origin);
    moodle.site().accounts.insert(
        ALICE.to_owned(),
        Account {
            id: 7,
            first_name: "Alice".to_owned(),
            ..Account::default()
        },
    );
    moodle.site().give(TOKEN, ALICE, "moodle_mobile_app");
    let sign_in = |name: &str, lines: &str, provider: &OidcDouble| {
        format!(
            "[sign_in.{name}]\n{lines}\n{both}\n[sign_in.{name}.oidc]\nissuer = {:?}\nclient_id = \"janua\"\n\
             client_secret_file = {secret:?}\nusername = \"preferred_username\"\n",
            provider.issuer()
        )
    };
    let config = Config::new()
        .server("listen", &format!("[\"{address}\"]"))
        .server("public_urls", &format!("[\"{origin}\"]"))
        .upstream("zoo", &[zoo.url()], "")
        .upstream("moodle", &[moodle.url()], "")
        .section(&sign_in("campus", "", &campus))
        .section(&sign_in("library", library, &other))
        .section(&format!(
            "[moodle.main]\nupstream = \"moodle\"\npublic_url = \"{origin}\"\nsign_in = \"campus\"\n{}\n{moodle_lines}\n",
            if moodle_lines.contains("tokens =") { "" } else { "tokens = [\"vault\"]" }
        ))
        .section(ROUTES);
    World {
        campus,
        library: other,
        moodle,
        gateway: site.start(&config),
        _zoo: zoo,
        _port: port,
    }
}

impl World {
    /// Somebody new, in a browser of their own.
    #[track_caller]
    pub fn signs_in(&self, with: &str, who: &str) -> Visitor {
        let provider = if with == "campus" { &self.campus } else { &self.library };
        let visitor = Visitor::of(&self.gateway);
        let page = format!("/_janua/sign-in?{}", query(&[("with", with), ("return", "/either/x")]));
        let callback = provider.authorize(&leads_to(&visitor.open(&page)), who);
        visitor.open(target(&callback)).expect(303);
        visitor.fetch("/either/x").expect(200);
        visitor
    }

    /// A browser that nobody knows.
    pub fn nobody(&self) -> Visitor {
        Visitor::of(&self.gateway)
    }

    /// Whatever a server asks the gateway.
    pub fn fetch(&self, target: &str) -> Response {
        let host = self.gateway.http().to_string();
        self.gateway.send(Request::get(target).host(&host))
    }

    /// A logout of all of a person's sessions, as the provider's server posts it.
    #[track_caller]
    fn logs_out(&self, with: &str, who: &str) {
        let provider = if with == "campus" { &self.campus } else { &self.library };
        let token = provider.logout_token(who, &json!({ "sid": null }));
        let request = Request::new("POST", &format!("/_janua/oidc/{with}/backchannel-logout"))
            .host(&self.gateway.http().to_string())
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(query(&[("logout_token", &token)]));
        self.gateway.send(request).expect(200);
    }

    /// Gives the gateway the token that this account has at Moodle.
    pub fn import(&self, name: &str, token: &str) {
        import(&self.gateway, name, token);
    }
}

/// The operator gives the gateway the token of an account at its Moodle.
pub fn import(gateway: &Gateway, name: &str, token: &str) {
    let site = &gateway.site;
    let file = site.write("tokens.csv", format!("username,token\n{name},{token}\n"));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let config = site.path("gateway.toml");
    let words = [
        "vault",
        "import",
        file.to_str().unwrap(),
        "--config",
        config.to_str().unwrap(),
    ];
    janua(words).ok();
}

pub fn call(visitor: &Visitor) -> Response {
    visitor.send(script(Request::get(SITE_INFO)))
}

#[test]
fn who_has_the_same_name_at_both_is_one_person_with_one_count_of_sessions() {
    let world = start("people = \"campus\"", "session = { per_subject = 1 }", "");
    let (first, bobs) = (world.signs_in("campus", "alice"), world.signs_in("campus", "bob"));
    let second = world.signs_in("library", "alice");
    first.fetch("/either/x").expect(401);
    second.fetch("/either/x").expect(200);
    bobs.fetch("/either/x").expect(200);
    let third = world.signs_in("campus", "alice");
    second.fetch("/either/x").expect(401);
    third.fetch("/either/x").expect(200);
}

#[test]
fn without_it_the_same_name_is_two_people() {
    let world = start("", "session = { per_subject = 1 }", "username = \"preferred_username\"");
    world.import(ALICE, TOKEN);
    let first = world.signs_in("campus", "alice");
    let second = world.signs_in("library", "alice");
    first.fetch("/either/x").expect(200);
    second.fetch("/either/x").expect(200);
    call(&first).expect(200);
    call(&second).refused(403, "no_moodle_token");
}

#[test]
fn the_log_names_the_person_and_the_gateway_the_sign_in() {
    let world = start("people = \"campus\"", "", "");
    let visitor = world.signs_in("library", "alice");
    visitor.fetch("/either/told").expect(200);
    world.gateway.logged(&["/either/told", &format!("campus/{ALICE}")]);
    assert_eq!(visitor.me()["sign_in"], "library");
}

#[test]
fn rules_and_logouts_go_by_the_sign_in() {
    let world = start("people = \"campus\"", "", "");
    let by_campus = world.signs_in("campus", "alice");
    let by_library = world.signs_in("library", "alice");
    by_campus.fetch("/members/x").expect(200);
    by_library.fetch("/members/x").expect(403);
    // Either provider ends what began there, and nothing else.
    world.logs_out("library", "alice");
    by_library.fetch("/either/x").expect(401);
    by_campus.fetch("/either/x").expect(200);
    let by_campus = world.signs_in("campus", "bob");
    let by_library = world.signs_in("library", "bob");
    world.logs_out("campus", "bob");
    by_campus.fetch("/either/x").expect(401);
    by_library.fetch("/either/x").expect(200);
}

#[test]
fn a_person_has_one_token_for_moodle_whichever_way_they_came() {
    let world = start("people = \"campus\"", "", "username = \"preferred_username\"");
    world.import(ALICE, TOKEN);
    for with in ["campus", "library"] {
        let told = call(&world.signs_in(with, "alice")).expect(200).json();
        assert_eq!(told["username"], ALICE, "by {with}");
        call(&world.signs_in(with, "bob")).refused(403, "no_moodle_token");
    }
    assert!(world.moodle.site().made == 0, "the operator's token serves both");
}

/// What a provider calls its user is a name at that provider alone: the `sub` of one may be anybody's at the other.
#[test]
fn what_another_server_calls_its_user_is_nobodys_name_in_moodle() {
    let world = start("people = \"campus\"", "", "");
    world.moodle.site().give(ALICES, "alice", "moodle_mobile_app");
    world.import("alice", ALICES);
    assert_eq!(
        call(&world.signs_in("campus", "alice")).expect(200).json()["username"],
        "alice"
    );
    call(&world.signs_in("library", "alice")).refused(403, "no_moodle_token");
}
