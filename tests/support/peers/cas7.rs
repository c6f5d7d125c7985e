//! Apereo CAS 7.2, put together from its modules, by all three protocols that a gateway speaks.
//!
//! Accounts: `anna` (affiliations `student` and `member`, an address with odd letters) and `bert` (affiliation `staff`).

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use janua_demo::Reserved;

use super::super::cas::query;
use super::super::secrets::{self, Kind};
use super::super::tools::brought;
use super::app::{App, CALLBACK};
use super::browser::{Form, Page};
use super::java::{Java, write};
use super::person::{PASSWORD, Pages, Person};
use super::{CLIENT, CLIENT_BY_POST, SECRET, SECRET_BY_POST};

/// The client whose logouts are told by the front channel, for the sign-in of that name.
pub const FRONT: &str = "front";

/// The scope by which affiliations are told to clients of OpenID Connect: those of the standard have no place for them.
pub const SCOPE: &str = "affiliation";

pub struct Cas7 {
    _java: Java,
    address: SocketAddr,
    _port: Reserved,
    _folder: TempDir,
}

/// By the theme that it comes with.
#[derive(Debug, Clone, Copy)]
pub struct CasPages;

impl Pages for CasPages {
    fn login(self, page: &Page) -> Option<Form> {
        let form = page.form("fm1")?;
        let can_be_sent = form.fields.iter().any(|(name, _)| name == "execution");
        can_be_sent.then_some(form)
    }

    /// It does not ask.
    fn logout(self, _: &Page) -> Option<Form> {
        None
    }

    fn logout_url(self, address: SocketAddr) -> Url {
        format!("http://{address}/cas/logout").parse().unwrap()
    }
}

impl Cas7 {
    /// For the sign-ins of a gateway at this address. Clients of OpenID Connect: [`CLIENT`] for `oidc`, [`FRONT`] for the
    /// sign-in of that name. Clients of OAuth 2.0: [`CLIENT_BY_POST`]. By CAS's own protocol, any. `None`: it cannot be had here,
    /// and the test returns too.
    pub fn start(gateway: SocketAddr) -> Option<Self> {
        Self::started(gateway, None)
    }

    /// The same that serves a Moodle behind the gateway, for its sign-in `moodle`, as docs/moodle-sources.md says: passwords are
    /// told to it, encrypted for this key (DER), and it gets proxy tickets. Known are a page at `/page` of any port, a back end at
    /// `/app` that may proxy, and the addresses of back ends' sessions of `moodle`, which may, and of `cas`, which may not.
    pub fn with_moodle(gateway: SocketAddr, public_key: &[u8]) -> Option<Self> {
        Self::started(gateway, Some(public_key))
    }

    fn started(gateway: SocketAddr, public_key: Option<&[u8]>) -> Option<Self> {
        let modules = brought("cas7")?.join("lib");
        let folder = tempfile::tempdir().unwrap();
        let port = Reserved::new(0).unwrap();
        let address = port.address();
        configure(folder.path(), address, gateway, public_key);
        let etc = folder.path().join("etc");
        let arguments = [
            "-Xms256m".to_owned(),
            "-Xmx1g".to_owned(),
            "-XX:+UseSerialGC".to_owned(),
            "-XX:TieredStopAtLevel=1".to_owned(),
            "--enable-native-access=ALL-UNNAMED".to_owned(),
            format!("-Djava.io.tmpdir={}", folder.path().display()),
            format!("-Dspring.config.additional-location=file:{}/", etc.display()),
            "-Dspring.config.name=application,cas".to_owned(),
            "-cp".to_owned(),
            format!("{}/*", modules.display()),
            "org.apereo.cas.web.CasWebApplication".to_owned(),
        ];
        for secret in [SECRET, SECRET_BY_POST] {
            secrets::register(Kind::Token, secret);
        }
        let mut java = Java::start(21, folder.path(), &arguments, &[]);
        java.answers(&format!("http://{address}/cas/oidc/.well-known/openid-configuration"));
        // It reads its services after it has begun to answer.
        let service = query(&[("service", &format!("http://{gateway}/_janua/cas/campus/callback"))]);
        java.answers(&format!("http://{address}/cas/login?{service}"));
        Some(Self {
            _java: java,
            address,
            _port: port,
            _folder: folder,
        })
    }

    /// What stands before `/login`.
    pub fn url(&self) -> String {
        format!("http://{}/cas", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn issuer(&self) -> String {
        format!("{}/oidc", self.url())
    }

    /// An app by OpenID Connect: `portal`, `stranger`, or `signing`, whose access tokens are JWTs.
    pub fn app(&self, id: &'static str) -> App {
        App {
            id,
            secret: SECRET_BY_POST,
            scope: "openid profile affiliation",
            authorization: format!("{}/oidcAuthorize", self.issuer()),
            token: format!("{}/oidcAccessToken", self.issuer()),
        }
    }

    /// One by OAuth 2.0: `portal-oauth2` or `stranger-oauth2`.
    pub fn app_by_oauth2(&self, id: &'static str) -> App {
        App {
            id,
            secret: SECRET_BY_POST,
            scope: "profile",
            authorization: format!("{}/oauth2.0/authorize", self.url()),
            token: format!("{}/oauth2.0/accessToken", self.url()),
        }
    }

    /// Somebody who has not signed in yet.
    pub fn person(&self, name: &str) -> Person<CasPages> {
        Person::new(self.address, CasPages, name)
    }
}

fn configure(folder: &Path, address: SocketAddr, gateway: SocketAddr, public_key: Option<&[u8]>) {
    let at = |name: &str| format!("file:{}", folder.join(name).display());
    let own = format!("http://{address}");
    // What its archive would have in `application.properties`.
    let mut properties = vec![
        ("server.port", address.port().to_string()),
        ("server.address", address.ip().to_string()),
        ("server.ssl.enabled", "false".to_owned()),
        ("server.servlet.context-path", "/cas".to_owned()),
        ("server.tomcat.basedir", folder.join("tomcat").display().to_string()),
        ("spring.main.allow-bean-definition-overriding", "true".to_owned()),
        ("spring.main.lazy-initialization", "true".to_owned()),
        ("spring.mvc.pathmatch.matching-strategy", "ant-path-matcher".to_owned()),
        ("spring.thymeleaf.mode", "HTML".to_owned()),
        ("spring.thymeleaf.encoding", "UTF-8".to_owned()),
        ("spring.aop.proxy-target-class", "false".to_owned()),
        ("spring.cloud.bus.enabled", "false".to_owned()),
        ("spring.cloud.config.enabled", "false".to_owned()),
        ("spring.cloud.discovery.enabled", "false".to_owned()),
        ("spring.jmx.enabled", "false".to_owned()),
        ("management.endpoints.enabled-by-default", "false".to_owned()),
        ("logging.level.root", "WARN".to_owned()),
        (
            "cas.standalone.configuration-directory",
            folder.join("etc").display().to_string(),
        ),
    ];
    // Some of them want a key, and none has anybody to tell.
    let registries = "appoptics atlas datadog dynatrace elastic ganglia graphite humio influx jmx kairos newrelic otlp \
                      prometheus signalfx stackdriver statsd wavefront";
    let registries: Vec<String> = registries
        .split_whitespace()
        .map(|name| format!("management.{name}.metrics.export.enabled"))
        .collect();
    properties.extend(registries.iter().map(|name| (name.as_str(), "false".to_owned())));
    write(&folder.join("etc/application.properties"), lines(&properties));
    let mut cas = vec![
        ("cas.server.name", own.clone()),
        ("cas.server.prefix", format!("{own}/cas")),
        ("cas.host.name", "cas.test".to_owned()),
        ("cas.authn.accept.users", format!("anna::{PASSWORD},bert::{PASSWORD}")),
        ("cas.authn.attribute-repository.json[0].location", at("attributes.json")),
        ("cas.service-registry.json.location", at("services")),
        ("cas.service-registry.core.init-from-json", "false".to_owned()),
        // Browsers get these cookies without TLS too.
        ("cas.tgc.secure", "false".to_owned()),
        ("cas.authn.oauth.csrf-cookie.secure", "false".to_owned()),
        ("cas.authn.oauth.session-replication.cookie.secure", "false".to_owned()),
        ("cas.logout.follow-service-redirects", "true".to_owned()),
        // A logout has been told when its page is there.
        ("cas.slo.asynchronous", "false".to_owned()),
        ("cas.authn.oidc.core.issuer", format!("{own}/cas/oidc")),
        (
            "cas.authn.oidc.core.accepted-issuers-pattern",
            format!("{own}/cas/oidc"),
        ),
        ("cas.authn.oidc.jwks.file-system.jwks-file", at("etc/oidc.jwks")),
        (
            "cas.authn.oidc.core.user-defined-scopes.affiliation",
            "eduPersonAffiliation".to_owned(),
        ),
        (
            "cas.authn.oidc.discovery.scopes",
            format!("openid,profile,email,{SCOPE}"),
        ),
        (
            "cas.authn.oidc.discovery.claims",
            "sub,name,preferred_username,email,eduPersonAffiliation".to_owned(),
        ),
    ];
    let mut services = services(gateway);
    if let Some(key) = public_key {
        cas.push(("cas.clearpass.cache-credential", "true".to_owned()));
        std::fs::write(folder.join("janua.pub"), key).unwrap();
        // The first that fits counts.
        services.splice(0..0, of_moodle(gateway, &at("janua.pub")));
    }
    write(&folder.join("etc/cas.properties"), lines(&cas));
    write(
        &folder.join("attributes.json"),
        json!({
            "anna": { "mail": ["anna@example.test"], "displayName": ["Änne <&> Núñez"], "eduPersonAffiliation": ["student", "member"] },
            "bert": { "mail": ["bert@example.test"], "eduPersonAffiliation": ["staff"] },
        })
        .to_string(),
    );
    for (id, mut service) in services.into_iter().enumerate() {
        service["id"] = json!(id + 1);
        service["evaluationOrder"] = json!(id + 1);
        let name = service["name"].as_str().unwrap().to_owned();
        write(
            &folder.join(format!("services/{name}-{}.json", id + 1)),
            service.to_string(),
        );
    }
}

fn services(gateway: SocketAddr) -> Vec<Value> {
    let own = format!("http://{gateway}/_janua");
    let pattern = own.replace('.', "\\.");
    let all = json!({ "@class": "org.apereo.cas.services.ReturnAllAttributeReleasePolicy" });
    let set = |members: &[&str]| json!(["java.util.HashSet", members]);
    let grants = |mut service: Value| {
        service["bypassApprovalPrompt"] = json!(true);
        service["supportedGrantTypes"] = set(&["authorization_code"]);
        service["supportedResponseTypes"] = set(&["code"]);
        service
    };
    let oidc = |name: &str, sign_ins: &str, channel: &str, logout: &str| {
        grants(json!({
            "@class": "org.apereo.cas.services.OidcRegisteredService", "name": name, "clientId": name, "clientSecret": SECRET,
            "serviceId": format!("^{pattern}/oidc/{sign_ins}/callback(\\?.*)?$"),
            "scopes": set(&["openid", "profile", "email", SCOPE]), "signIdToken": true,
            "logoutType": channel, "logoutUrl": format!("{own}/oidc/{logout}"),
        }))
    };
    let app = |id: &str, class: &str| {
        grants(json!({
            "@class": class, "name": id, "clientId": id, "clientSecret": SECRET_BY_POST,
            "serviceId": format!("^{}$", CALLBACK.replace('.', "\\.")),
        }))
    };
    let refreshed = |mut app: Value| {
        app["generateRefreshToken"] = json!(true);
        app["supportedGrantTypes"] = set(&["authorization_code", "refresh_token"]);
        app
    };
    let by_oidc = |id: &str| {
        let mut app = app(id, "org.apereo.cas.services.OidcRegisteredService");
        app["scopes"] = set(&["openid", "profile", SCOPE]);
        app["signIdToken"] = json!(true);
        refreshed(app)
    };
    let by_oauth2 = |id: &str| {
        let mut app = app(id, "org.apereo.cas.support.oauth.services.OAuthRegisteredService");
        app["attributeReleasePolicy"] = all.clone();
        refreshed(app)
    };
    let property = |value: &str| json!({ "@class": "org.apereo.cas.services.DefaultRegisteredServiceProperty", "values": set(&[value]) });
    let mut signing = by_oidc("signing");
    signing["jwtAccessToken"] = json!(true);
    signing["properties"] = json!({
        "@class": "java.util.HashMap",
        "accessTokenAsJwtSigningEnabled": property("true"), "accessTokenAsJwtEncryptionEnabled": property("false"),
    });
    vec![
        json!({
            "@class": "org.apereo.cas.services.CasRegisteredService", "name": "cas",
            "serviceId": format!("^{pattern}/cas/[a-z-]+/callback(\\?.*)?$"),
            "logoutType": "BACK_CHANNEL", "attributeReleasePolicy": all,
        }),
        oidc(CLIENT, "oidc(-[a-z]+)?", "BACK_CHANNEL", "oidc/backchannel-logout"),
        oidc(FRONT, FRONT, "FRONT_CHANNEL", "front/frontchannel-logout"),
        grants(json!({
            "@class": "org.apereo.cas.support.oauth.services.OAuthRegisteredService", "name": CLIENT_BY_POST,
            "clientId": CLIENT_BY_POST, "clientSecret": SECRET_BY_POST,
            "serviceId": format!("^{pattern}/oauth2/[a-z0-9-]+/callback(\\?.*)?$"),
            "attributeReleasePolicy": all,
        })),
        by_oidc("portal"),
        by_oidc("stranger"),
        signing,
        by_oauth2("portal-oauth2"),
        by_oauth2("stranger-oauth2"),
    ]
}

/// What a Moodle's sign-in needs: passwords, proxy tickets, and others that have or take them.
fn of_moodle(gateway: SocketAddr, key: &str) -> Vec<Value> {
    let pattern = format!("http://{gateway}/_janua/cas/moodle").replace('.', "\\.");
    let others = "http://127\\.0\\.0\\.1:\\d+";
    let service = |name: &str, id: &str, proxies: Option<&str>| {
        let mut service = json!({
            "@class": "org.apereo.cas.services.CasRegisteredService", "name": name, "serviceId": id,
        });
        if let Some(callback) = proxies {
            service["proxyPolicy"] = json!({
                "@class": "org.apereo.cas.services.RegexMatchingRegisteredServiceProxyPolicy", "pattern": callback,
            });
        }
        service
    };
    let callback = format!("^{pattern}/pgt$");
    let mut sign_in = service("moodle", &format!("^{pattern}/callback(\\?.*)?$"), Some(&callback));
    sign_in["attributeReleasePolicy"] = json!({
        "@class": "org.apereo.cas.services.ReturnAllowedAttributeReleasePolicy", "authorizedToReleaseCredentialPassword": true,
    });
    sign_in["publicKey"] = json!({
        "@class": "org.apereo.cas.services.RegisteredServicePublicKeyImpl", "location": key, "algorithm": "RSA",
    });
    vec![
        sign_in,
        service("back-ends", &format!("^{pattern}/session$"), Some(&callback)),
        service(
            "back-ends-without",
            &format!("^{}/session$", pattern.replace("/moodle", "/cas")),
            None,
        ),
        service("page", &format!("^{others}/page$"), None),
        service(
            "app",
            &format!("^{others}/app$"),
            Some("^http://127\\.0\\.0\\.1:\\d+/pgt$"),
        ),
    ]
}

fn lines(properties: &[(&str, String)]) -> String {
    properties
        .iter()
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect()
}
