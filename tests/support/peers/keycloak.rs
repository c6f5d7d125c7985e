//! Keycloak 26, with a realm `campus` in memory.
//!
//! Accounts: `anna` (group `/staff/video`, realm role `lecturer`), `bert` and `cleo` (neither).

use std::net::SocketAddr;

use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use janua_demo::Reserved;

use super::super::cas::query;
use super::super::http::{Connection, Request, Response};
use super::super::secrets::{self, Kind};
use super::super::tools::brought;
use super::app::{App, CALLBACK};
use super::browser::{Form, Page};
use super::java::Java;
use super::person::{PASSWORD, Pages, Person};
use super::{CLIENT, CLIENT_BY_POST, SECRET, SECRET_BY_POST};

const ADMINISTRATOR: &str = "administrator";
/// The client whose logouts are told by the front channel, for the sign-in of that name.
pub const FRONT: &str = "front";

/// The client whose logout tokens name the person and no session, for the sign-in of that name.
pub const EVERY: &str = "every";

pub struct Keycloak {
    _java: Java,
    address: SocketAddr,
    _port: Reserved,
    _folder: TempDir,
}

/// By the theme that it comes with.
#[derive(Debug, Clone, Copy)]
pub struct KeycloakPages;

impl Pages for KeycloakPages {
    fn login(self, page: &Page) -> Option<Form> {
        page.form("kc-form-login")
    }

    fn logout(self, page: &Page) -> Option<Form> {
        let at = page.text.contains("logout-confirm");
        let form = page.text.split("<form").nth(1).filter(|_| at)?;
        // The form's only name is its class.
        let id = "the-only-form";
        let named = Page {
            url: page.url.clone(),
            status: page.status,
            text: format!("<form id=\"{id}\" {form}"),
        };
        named.form(id)
    }

    fn logout_url(self, address: SocketAddr) -> Url {
        format!("http://{address}/realms/campus/protocol/openid-connect/logout")
            .parse()
            .unwrap()
    }
}

impl Keycloak {
    /// For the sign-ins of a gateway at this address; logouts are told to `campus` and `every` by the back channel, and to
    /// `front` by the front channel. Access tokens of the app `portal` are meant for `audience`. `None`: it cannot be had here,
    /// and the test returns too.
    pub fn start(gateway: SocketAddr, audience: &str) -> Option<Self> {
        let home = brought("keycloak")?;
        let folder = tempfile::tempdir().unwrap();
        let port = Reserved::new(0).unwrap();
        let address = port.address();
        // What it writes goes beside what it reads, so that is a folder of its own.
        for part in ["conf", "lib", "providers", "themes"] {
            std::os::unix::fs::symlink(home.join(part), folder.path().join(part)).unwrap();
        }
        let property = |name: &str, value: &std::path::Path| format!("-D{name}={}", value.display());
        let mut arguments: Vec<String> = [
            "-Xms128m",
            "-Xmx768m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "--add-opens=java.base/java.util=ALL-UNNAMED",
            "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
            "--add-opens=java.base/java.security=ALL-UNNAMED",
            "-Djava.util.concurrent.ForkJoinPool.common.threadFactory=\
             io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory",
            "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
            "-Dpicocli.disable.closures=true",
            "-Dquarkus-log-max-startup-records=10000",
            "-Duser.language=en",
        ]
        .map(str::to_owned)
        .into();
        arguments.push(property("kc.home.dir", folder.path()));
        arguments.push(property("jboss.server.config.dir", &folder.path().join("conf")));
        arguments.push("-cp".to_owned());
        arguments.push(home.join("lib/quarkus-run.jar").display().to_string());
        arguments.push("io.quarkus.bootstrap.runner.QuarkusEntryPoint".to_owned());
        arguments.extend(
            [
                "start",
                "--optimized",
                "--cache=local",
                "--http-enabled=true",
                "--http-host=127.0.0.1",
                &format!("--http-port={}", address.port()),
                "--hostname-strict=false",
            ]
            .map(str::to_owned),
        );
        let administrator = [
            ("KC_BOOTSTRAP_ADMIN_USERNAME", ADMINISTRATOR),
            ("KC_BOOTSTRAP_ADMIN_PASSWORD", PASSWORD),
        ];
        let mut java = Java::start(17, folder.path(), &arguments, &administrator);
        java.answers(&format!("http://{address}/realms/master"));
        let keycloak = Self {
            _java: java,
            address,
            _port: port,
            _folder: folder,
        };
        for secret in [SECRET, SECRET_BY_POST] {
            secrets::register(Kind::Token, secret);
        }
        keycloak
            .administer("POST", "/admin/realms", &realm(gateway, audience))
            .expect(201);
        Some(keycloak)
    }

    pub fn issuer(&self) -> String {
        format!("http://{}/realms/campus", self.address)
    }

    /// Somebody who has not signed in yet.
    pub fn person(&self, name: &str) -> Person<KeycloakPages> {
        Person::new(self.address, KeycloakPages, name)
    }

    /// `portal`, whose access tokens name a gateway in `aud`, or `stranger`, whose tokens name nobody.
    pub fn app(&self, id: &'static str) -> App {
        let endpoint = |name: &str| format!("{}/protocol/openid-connect/{name}", self.issuer());
        App {
            id,
            secret: SECRET,
            scope: "openid profile email",
            authorization: endpoint("auth"),
            token: endpoint("token"),
        }
    }

    /// An administrator ends all sessions of somebody.
    pub fn sign_out_by_administrator(&self, name: &str) {
        let nothing = Value::Null;
        let found = self.administer("GET", &format!("/admin/realms/campus/users?username={name}"), &nothing);
        let id = found.expect(200).json()[0]["id"].as_str().unwrap().to_owned();
        self.administer("POST", &format!("/admin/realms/campus/users/{id}/logout"), &nothing)
            .expect(204);
    }

    fn administer(&self, method: &str, target: &str, body: &Value) -> Response {
        let grant = [
            ("grant_type", "password"),
            ("client_id", "admin-cli"),
            ("username", ADMINISTRATOR),
            ("password", PASSWORD),
        ];
        let token = Request::new("POST", "/realms/master/protocol/openid-connect/token")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(query(&grant));
        let token = self.send(token).expect(200).json()["access_token"]
            .as_str()
            .unwrap()
            .to_owned();
        let request = Request::new(method, target)
            .header("Content-Type", "application/json")
            .bearer(&token);
        self.send(match body {
            Value::Null => request,
            body => request.body(body.to_string()),
        })
    }

    fn send(&self, request: Request) -> Response {
        let host = self.address.to_string();
        Connection::open(self.address).exchange(request.host(&host).header("Connection", "close"))
    }
}

/// What an administrator would enter, in one document.
fn realm(gateway: SocketAddr, audience: &str) -> Value {
    let account = |name: &str, groups: &[&str], roles: &[&str]| {
        json!({
            "username": name, "enabled": true, "email": format!("{name}@example.test"), "emailVerified": true,
            "firstName": name, "lastName": "Núñez", "groups": groups, "realmRoles": roles,
            "credentials": [{ "type": "password", "value": PASSWORD, "temporary": false }],
        })
    };
    let mapper = |name: &str, kind: &str, config: Value| json!({ "name": name, "protocol": "openid-connect", "protocolMapper": kind, "config": config });
    // Groups are told in ID tokens, roles at userinfo alone.
    let mappers = [
        mapper(
            "groups",
            "oidc-group-membership-mapper",
            json!({ "claim.name": "groups", "full.path": "true", "id.token.claim": "true", "userinfo.token.claim": "true",
                    "access.token.claim": "true" }),
        ),
        mapper(
            "roles",
            "oidc-usermodel-realm-role-mapper",
            json!({ "claim.name": "realm_access.roles", "multivalued": "true", "jsonType.label": "String",
                    "id.token.claim": "false", "userinfo.token.claim": "true", "access.token.claim": "true" }),
        ),
    ];
    let own = format!("http://{gateway}/_janua/oidc");
    let client = |id: &str, secret: &str, logout: Value| {
        let mut client = json!({
            "clientId": id, "secret": secret, "publicClient": false, "standardFlowEnabled": true,
            "directAccessGrantsEnabled": false, "fullScopeAllowed": true, "redirectUris": [format!("{own}/*")],
            "protocolMappers": mappers, "attributes": logout,
            "frontchannelLogout": logout.get("frontchannel.logout.url").is_some(),
        });
        client["attributes"]["post.logout.redirect.uris"] = json!(format!("{own}/*"));
        client
    };
    let by_back_channel = |sign_in: &str, names_session: &str| {
        json!({
            "backchannel.logout.url": format!("{own}/{sign_in}/backchannel-logout"),
            "backchannel.logout.session.required": names_session,
        })
    };
    let by_front_channel = json!({
        "frontchannel.logout.url": format!("{own}/{FRONT}/frontchannel-logout"),
        "frontchannel.logout.session.required": "true",
    });
    let app = |id: &str, more: &[Value]| {
        let mut app = client(id, SECRET, json!({}));
        app["redirectUris"] = json!([CALLBACK]);
        app["serviceAccountsEnabled"] = json!(true);
        app["protocolMappers"].as_array_mut().unwrap().extend_from_slice(more);
        app
    };
    let meant_for = mapper(
        "audience",
        "oidc-audience-mapper",
        json!({ "included.custom.audience": audience, "access.token.claim": "true", "id.token.claim": "false" }),
    );
    json!({
        "realm": "campus", "enabled": true, "sslRequired": "none",
        "groups": [{ "name": "staff", "subGroups": [{ "name": "video" }] }],
        "roles": { "realm": [{ "name": "lecturer" }] },
        "users": [account("anna", &["/staff/video"], &["lecturer"]), account("bert", &[], &[]), account("cleo", &[], &[])],
        "clients": [
            client(CLIENT, SECRET, by_back_channel("campus", "true")),
            client(EVERY, SECRET, by_back_channel(EVERY, "false")),
            client(CLIENT_BY_POST, SECRET_BY_POST, json!({})),
            client(FRONT, SECRET, by_front_channel),
            app("portal", &[meant_for]),
            app("stranger", &[]),
        ],
    })
}
