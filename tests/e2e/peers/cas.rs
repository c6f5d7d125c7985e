//! Apereo CAS 7.2, by its own protocol, by OpenID Connect and by OAuth 2.0.

use super::bearer::{Api, is_checked};
use super::{School, SignIn, steps};
use crate::oidc::campus::leads_to;
use crate::support::Reserved;
use crate::support::peers::app::App;
use crate::support::peers::cas7::SCOPE;
use crate::support::peers::{CLIENT, CLIENT_BY_POST, Cas7, SECRET, SECRET_BY_POST, wanted};

struct World {
    school: School,
    cas: Cas7,
}

#[test]
fn apereo_cas_7() {
    if !wanted() {
        return;
    }
    let Some(world) = World::start() else { return };
    steps!(
        &world,
        cas_sign_in,
        cas_roles,
        cas_passive,
        cas_renew,
        cas_sign_out,
        cas_back_channel,
        oidc_sign_in,
        oidc_roles,
        oidc_passive,
        oidc_renew,
        oidc_sign_out,
        oidc_back_channel,
        oidc_front_channel,
        oauth2_sign_in,
        oauth2_roles,
        oauth2_passive,
        oauth2_renew,
        oauth2_sign_out,
        wrong_secret,
        checked,
        oidc_bearer_jwks,
        oidc_bearer_introspection,
        oidc_bearer_profile,
        oauth2_bearer_introspection,
        oauth2_bearer_profile,
    );
}

impl World {
    fn start() -> Option<Self> {
        let port = Reserved::new(0).unwrap();
        let cas = Cas7::start(port.address())?;
        let by_cas = |name, more: &str| SignIn {
            name,
            kind: "cas",
            lines: format!("server = {:?}\n{more}", cas.url()),
            secret: None,
        };
        let by_oidc = |name, client: &str, secret, more: &str| SignIn {
            name,
            kind: "oidc",
            lines: format!(
                "issuer = {:?}\nclient_id = {client:?}\nusername = \"sub\"\n\
                 scopes = [\"openid\", \"profile\", {SCOPE:?}]\n{more}",
                cas.issuer()
            ),
            secret: Some(secret),
        };
        let by_oauth2 = |name, secret, more: &str| SignIn {
            name,
            kind: "oauth2",
            lines: format!("server = {:?}\nclient_id = {CLIENT_BY_POST:?}\n{more}", cas.url()),
            secret: Some(secret),
        };
        let good = [
            by_cas("cas", ""),
            by_cas("cas-passive", "passive = true"),
            by_cas("cas-renew", "renew = true"),
            by_oidc("oidc", CLIENT, SECRET, ""),
            by_oidc("oidc-passive", CLIENT, SECRET, "passive = true"),
            by_oidc("oidc-renew", CLIENT, SECRET, "renew = true"),
            by_oidc("front", "front", SECRET, "front_channel_logout = true"),
            by_oauth2("oauth2", SECRET_BY_POST, ""),
            by_oauth2("oauth2-passive", SECRET_BY_POST, "passive = true"),
            by_oauth2("oauth2-renew", SECRET_BY_POST, "client_auth = \"post\"\nrenew = true"),
        ];
        let wrong = [
            by_oidc("oidc-wrong", CLIENT, "a wrong secret", ""),
            by_oauth2("oauth2-wrong", "a wrong secret", ""),
        ];
        let roles = "{ attribute = \"eduPersonAffiliation\", role = \"ROLE_AFFILIATION_{value}\" }";
        let school = School::start(port, roles, STAFF, &good, &wrong);
        for name in ["cas", "oidc", "oauth2"] {
            school.warms_up(name, || cas.person("bert"));
        }
        Some(Self { school, cas })
    }

    fn sign_in(&self, name: &str) {
        let visitor = self.school.signs_in(name, &self.cas.person("anna"));
        assert_eq!(visitor.me()["user"], "anna");
    }

    fn roles(&self, name: &str) {
        let [anna, bert] = ["anna", "bert"].map(|name| self.cas.person(name));
        self.school.tells_roles(name, &bert, &anna, &["ROLE_AFFILIATION_staff"]);
        // Several values.
        let me = self.school.signs_in(name, &self.cas.person("anna")).me();
        for role in ["ROLE_AFFILIATION_student", "ROLE_AFFILIATION_member"] {
            assert!(me["roles"].as_array().unwrap().contains(&role.into()), "{role}: {me}");
        }
    }

    fn passive(&self, name: &str, other: &str) {
        self.school.goes_on_as_nobody(name, &self.cas.person("anna"));
        self.school.finds_somebody(name, other, &self.cas.person("anna"));
    }

    fn renew(&self, name: &str, other: &str) {
        self.school.asks_again(name, other, &self.cas.person("anna"));
    }

    fn sign_out(&self, name: &str) {
        self.school.signs_out_and_comes_back(name, &self.cas.person("anna"));
    }

    fn back_channel(&self, name: &str) {
        self.school.hears_of_a_logout(name, |name| self.cas.person(name));
    }
}

fn cas_sign_in(world: &World) {
    world.sign_in("cas");
}

fn cas_roles(world: &World) {
    world.roles("cas");
}

fn cas_passive(world: &World) {
    world.passive("cas-passive", "cas");
}

fn cas_renew(world: &World) {
    world.renew("cas-renew", "cas");
}

fn cas_sign_out(world: &World) {
    world.sign_out("cas");
}

fn cas_back_channel(world: &World) {
    world.back_channel("cas");
}

fn oidc_sign_in(world: &World) {
    world.sign_in("oidc");
}

fn oidc_roles(world: &World) {
    world.roles("oidc");
}

fn oidc_passive(world: &World) {
    world.passive("oidc-passive", "oidc");
}

fn oidc_renew(world: &World) {
    world.renew("oidc-renew", "oidc");
}

fn oidc_sign_out(world: &World) {
    world.sign_out("oidc");
}

fn oidc_back_channel(world: &World) {
    world.back_channel("oidc");
}

/// It names no session that anybody knows: `sid` is a digest of its ticket here, and in ID tokens and logout tokens a digest of
/// a digest. Besides, its page forbids the browser to open that address (`script-src`).
fn oidc_front_channel(world: &World) {
    assert!(!world.school.is_told_by_the_page("front", |name| world.cas.person(name)));
}

fn oauth2_sign_in(world: &World) {
    world.sign_in("oauth2");
}

fn oauth2_roles(world: &World) {
    world.roles("oauth2");
}

fn oauth2_passive(world: &World) {
    world.passive("oauth2-passive", "oauth2");
}

fn oauth2_renew(world: &World) {
    world.renew("oauth2-renew", "oauth2");
}

/// There is no way back: the server knows services of CAS's own protocol alone there.
fn oauth2_sign_out(world: &World) {
    let anna = world.cas.person("anna");
    let visitor = world.school.signs_in("oauth2", &anna);
    let to = leads_to(&visitor.post("/_janua/sign-out", "everywhere=1&return=/open/oauth2/bye"));
    assert!(!visitor.is_signed_in());
    assert_eq!(anna.look(&to).shown().status, 200);
    world.school.is_forgotten("oauth2", &anna);
}

fn wrong_secret(world: &World) {
    let anna = world.cas.person("anna");
    world.school.refuses_for_its_secret("oidc-wrong", &anna, "Unauthorized");
    world
        .school
        .refuses_for_its_secret("oauth2-wrong", &anna, "Unauthorized");
}

fn checked(world: &World) {
    world.school.is_checked();
}

const STAFF: &str = "ROLE_AFFILIATION_staff";

/// A section for the tokens of one app; `lines` end with the table of its kind.
fn bearer(client: &str, lines: &str) -> String {
    format!(
        "[bearer.campus]\nusername = \"sub\"\nclients = [{client:?}]\n\
         roles = [{{ attribute = \"eduPersonAffiliation\", role = \"ROLE_AFFILIATION_{{value}}\" }}]\n{lines}"
    )
}

fn introspection(world: &World, client: &str, place: &str) -> String {
    let lines = format!(
        "[bearer.campus.introspection]\nendpoint = \"{}/{place}/introspect\"\nclient_id = {CLIENT:?}\n{{secret}}\n",
        world.cas.url()
    );
    bearer(client, &lines)
}

fn profile(world: &World, client: &str, place: &str) -> String {
    let lines = format!("[bearer.campus.profile]\nendpoint = \"{}/{place}\"\n", world.cas.url());
    bearer(client, &lines)
}

/// Tokens of one app for people, and no others.
fn takes_tokens(world: &World, section: &str, app: &App, other: &App) -> Api {
    let api = Api::start(section, SECRET, STAFF);
    api.takes_access_tokens_alone(app, other, || world.cas.person("anna"));
    is_checked(section, SECRET);
    api
}

/// Its answer has the person's attributes.
fn tells_roles(world: &World, api: &Api, app: &App) {
    let [annas, berts] = ["anna", "bert"].map(|name| app.tokens_of(&world.cas.person(name)).access);
    api.get("/staff/x", &berts).expect(200);
    api.get("/staff/x", &annas).expect(403);
}

/// They are signed by RS512, and name no client, as ID tokens do: nobody knows for whom they were made.
fn oidc_bearer_jwks(world: &World) {
    let keys = format!(
        "[bearer.campus.jwks]\nissuer = {:?}\ntypes = [\"JWT\"]\n",
        world.cas.issuer()
    );
    let api = Api::start(&bearer("signing", &keys), SECRET, STAFF);
    let tokens = world.cas.app("signing").tokens_of(&world.cas.person("anna"));
    assert_eq!(tokens.access.matches('.').count(), 2, "it is a JWT");
    api.refuses(&tokens.access);
    api.refuses(&tokens.id.unwrap());
}

fn oidc_bearer_introspection(world: &World) {
    let section = introspection(world, "portal", "oidc");
    takes_tokens(world, &section, &world.cas.app("portal"), &world.cas.app("stranger"));
}

fn oidc_bearer_profile(world: &World) {
    let section = profile(world, "portal", "oidc/oidcProfile");
    let (portal, stranger) = (world.cas.app("portal"), world.cas.app("stranger"));
    let api = takes_tokens(world, &section, &portal, &stranger);
    tells_roles(world, &api, &portal);
}

fn oauth2_bearer_introspection(world: &World) {
    let [portal, stranger] = ["portal-oauth2", "stranger-oauth2"].map(|id| world.cas.app_by_oauth2(id));
    takes_tokens(world, &introspection(world, portal.id, "oauth2.0"), &portal, &stranger);
}

fn oauth2_bearer_profile(world: &World) {
    let [portal, stranger] = ["portal-oauth2", "stranger-oauth2"].map(|id| world.cas.app_by_oauth2(id));
    let section = profile(world, portal.id, "oauth2.0/profile").replace("\"sub\"", "\"id\"");
    let api = takes_tokens(world, &section, &portal, &stranger);
    tells_roles(world, &api, &portal);
}
