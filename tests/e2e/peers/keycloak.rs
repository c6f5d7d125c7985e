//! Keycloak 26.

use super::bearer::{AUDIENCE, Api, is_checked};
use super::{School, SignIn, steps};
use crate::support::peers::keycloak::{EVERY, FRONT};
use crate::support::peers::{CLIENT, CLIENT_BY_POST, Keycloak, SECRET, SECRET_BY_POST, wanted};
use crate::support::{Reserved, eventually};

struct World {
    school: School,
    keycloak: Keycloak,
}

#[test]
fn keycloak_26() {
    if !wanted() {
        return;
    }
    let Some(world) = World::start() else { return };
    steps!(
        &world,
        sign_in,
        roles,
        passive,
        renew,
        sign_out,
        back_channel,
        logout_by_an_administrator,
        logout_of_a_person,
        front_channel,
        wrong_secret,
        checked,
        bearer_jwks,
        bearer_introspection,
        bearer_of_nobody,
    );
}

impl World {
    fn start() -> Option<Self> {
        let port = Reserved::new(0).unwrap();
        let keycloak = Keycloak::start(port.address(), AUDIENCE)?;
        let sign_in = |name, client: &str, secret, more: &str| SignIn {
            name,
            kind: "oidc",
            lines: format!(
                "issuer = {:?}\nclient_id = {client:?}\nusername = \"preferred_username\"\n{more}",
                keycloak.issuer()
            ),
            secret: Some(secret),
        };
        let good = [
            sign_in("campus", CLIENT, SECRET, ""),
            sign_in("passive", CLIENT, SECRET, "passive = true"),
            sign_in(
                "renew",
                CLIENT_BY_POST,
                SECRET_BY_POST,
                "client_auth = \"post\"\nrenew = true",
            ),
            sign_in("front", FRONT, SECRET, "front_channel_logout = true"),
            sign_in("every", EVERY, SECRET, ""),
        ];
        let wrong = [sign_in("wrong", CLIENT, "a wrong secret", "")];
        let roles = "{ attribute = \"groups\", role = \"ROLE_GROUP_{value}\" }, \
                     { attribute = \"realm_access.roles\", role = \"ROLE_{value}\" }";
        let school = School::start(port, roles, STAFF, &good, &wrong);
        school.warms_up("campus", || keycloak.person("bert"));
        Some(Self { school, keycloak })
    }
}

fn sign_in(world: &World) {
    let visitor = world.school.signs_in("campus", &world.keycloak.person("anna"));
    assert_eq!(visitor.me()["user"], "anna");
}

fn roles(world: &World) {
    let [anna, bert] = ["anna", "bert"].map(|name| world.keycloak.person(name));
    // The group stands in the ID token, the role at userinfo alone.
    let roles = ["ROLE_GROUP_/staff/video", "ROLE_lecturer"];
    world.school.tells_roles("campus", &anna, &bert, &roles);
}

fn passive(world: &World) {
    world
        .school
        .goes_on_as_nobody("passive", &world.keycloak.person("anna"));
    world
        .school
        .finds_somebody("passive", "campus", &world.keycloak.person("anna"));
}

fn renew(world: &World) {
    world
        .school
        .asks_again("renew", "campus", &world.keycloak.person("anna"));
}

fn sign_out(world: &World) {
    world
        .school
        .signs_out_and_comes_back("campus", &world.keycloak.person("anna"));
}

fn back_channel(world: &World) {
    world
        .school
        .hears_of_a_logout("campus", |name| world.keycloak.person(name));
}

/// Somebody without other sessions: of several Keycloak tells one alone.
fn logout_by_an_administrator(world: &World) {
    let [cleo, bert] = ["cleo", "bert"].map(|name| world.keycloak.person(name));
    let [visitor, other] = [&cleo, &bert].map(|person| world.school.signs_in("campus", person));
    world.keycloak.sign_out_by_administrator("cleo");
    eventually("the session has ended", || (!visitor.is_signed_in()).then_some(()));
    assert!(other.is_signed_in());
}

/// Where the client asks for no `sid`, a logout token ends all sessions of the person.
fn logout_of_a_person(world: &World) {
    let [cleo, again, bert] = ["cleo", "cleo", "bert"].map(|name| world.keycloak.person(name));
    let [one, two, other] = [&cleo, &again, &bert].map(|person| world.school.signs_in("every", person));
    world.keycloak.sign_out_by_administrator("cleo");
    eventually("both sessions have ended", || {
        let live = [&one, &two].map(|visitor| visitor.is_signed_in());
        (live == [false; 2]).then_some(())
    });
    assert!(other.is_signed_in());
}

fn front_channel(world: &World) {
    assert!(
        world
            .school
            .is_told_by_the_page("front", |name| world.keycloak.person(name))
    );
}

fn wrong_secret(world: &World) {
    let anna = world.keycloak.person("anna");
    world
        .school
        .refuses_for_its_secret("wrong", &anna, "unauthorized_client");
}

fn checked(world: &World) {
    world.school.is_checked();
}

const STAFF: &str = "ROLE_GROUP_/staff/video";

fn by_jwks(world: &World) -> String {
    format!(
        "[bearer.campus]\nusername = \"preferred_username\"\naudience = [{AUDIENCE:?}]\n\
         roles = [{{ attribute = \"groups\", role = \"ROLE_GROUP_{{value}}\" }}]\n\
         [bearer.campus.jwks]\nissuer = {:?}\ntypes = [\"JWT\"]\n",
        world.keycloak.issuer()
    )
}

fn by_introspection(world: &World) -> String {
    format!(
        "[bearer.campus]\nusername = \"username\"\nclients = [\"portal\"]\n\
         roles = [{{ attribute = \"groups\", role = \"ROLE_GROUP_{{value}}\" }}]\n\
         [bearer.campus.introspection]\nendpoint = \"{0}/protocol/openid-connect/token/introspect\"\nissuer = \"{0}\"\n\
         client_id = {CLIENT:?}\ncache = \"0s\"\n{{secret}}\n",
        world.keycloak.issuer()
    )
}

/// What any kind of bearer here has to do.
fn takes_tokens(world: &World, api: &Api) {
    let (portal, stranger) = (world.keycloak.app("portal"), world.keycloak.app("stranger"));
    api.takes_access_tokens_alone(&portal, &stranger, || world.keycloak.person("anna"));
    api.refuses(&portal.tokens_of(&world.keycloak.person("anna")).id.unwrap());
    let [annas, berts] = ["anna", "bert"].map(|name| portal.tokens_of(&world.keycloak.person(name)).access);
    api.get("/staff/x", &annas).expect(200);
    api.get("/staff/x", &berts).expect(403);
    api.get("/scope/x", &berts).expect(200);
}

fn bearer_jwks(world: &World) {
    takes_tokens(world, &Api::start(&by_jwks(world), SECRET, STAFF));
    is_checked(&by_jwks(world), SECRET);
}

fn bearer_introspection(world: &World) {
    let api = Api::start(&by_introspection(world), SECRET, STAFF);
    takes_tokens(world, &api);
    // A logout ends access tokens, which the server alone knows.
    let anna = world.keycloak.person("anna");
    let token = world.keycloak.app("portal").tokens_of(&anna).access;
    api.get("/person/x", &token).expect(200);
    anna.sign_out();
    api.refuses(&token);
    is_checked(&by_introspection(world), SECRET);
}

/// Client credentials: the client is known, and there is no person.
fn bearer_of_nobody(world: &World) {
    let token = world.keycloak.app("portal").own_tokens().access;
    for bearer in [by_jwks(world), by_introspection(world)] {
        let api = Api::start(&bearer, SECRET, STAFF);
        api.get("/portal/x", &token).expect(200);
        assert_ne!(api.get("/person/x", &token).status, 200);
    }
}
