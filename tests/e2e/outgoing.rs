//! `[outgoing]`: what the gateway asks itself goes by the proxy, all of it. The names that are asked exist at the proxy alone.

use std::net::SocketAddr;

use serde_json::json;
use url::Url;

use crate::check_machine::{check, told};
use crate::sign_in::campus::{Visitor, target};
use crate::support::bearer::claims::{panva_answer, rfc9068};
use crate::support::bearer::double::opaque;
use crate::support::forward_proxy::{PASSWORD, USER};
use crate::support::oidc::{CLIENT, CLIENT_SECRET};
use crate::support::{
    AuthServer, CasServer, Config, ForwardProxy, Gateway, JwksServer, OidcDouble, Request, Reserved, Signer, Site,
    Upstream, eventually,
};

fn of(url: &str) -> SocketAddr {
    url.parse::<Url>().unwrap().socket_addrs(|| None).unwrap()[0]
}

const EVENTS: &str = r#"
[[routes]]
name    = "events"
path    = "/e/{event}"
respond = { status = 204 }
allow   = [{ grant = "read", event = "{event}" }]
"#;

/// Two issuers behind the proxy, one of them without TLS.
struct Keys {
    tls: JwksServer,
    plain: JwksServer,
    signers: [Signer; 2],
}

impl Keys {
    fn start() -> Self {
        let signers = [Signer::new().named("tls"), Signer::new().named("plain")];
        Self {
            tls: JwksServer::start(&[&signers[0]]),
            plain: JwksServer::start(&[&signers[1]]),
            signers,
        }
    }

    fn names(&self) -> [(&'static str, SocketAddr); 2] {
        [
            ("keys.test", of(&self.tls.url())),
            ("plain.test", of(&self.plain.url())),
        ]
    }

    fn config(&self, config: Config) -> Config {
        config
            .issuer(
                "tls",
                "https://keys.test/.well-known/jwks.json",
                "ca_file = \"proxy.pem\"",
            )
            .issuer("plain", "http://plain.test/.well-known/jwks.json", "allow_http = true")
            .section(EVENTS)
    }

    fn tokens(&self) -> [String; 2] {
        [self.signers[0].read("a"), self.signers[1].read("a")]
    }

    /// Both tokens are good, once their keys are there.
    fn come(&self, gateway: &Gateway) {
        for token in self.tokens() {
            eventually("the keys are there", || {
                (gateway.get_with("/e/a", &token).status == 204).then_some(())
            });
        }
    }
}

fn passed(proxy: &ForwardProxy, method: &str, target: &str) -> bool {
    proxy.passed().iter().any(|(was, at)| was == method && at == target)
}

#[test]
fn every_question_of_the_gateway_goes_by_the_proxy() {
    let Some(cas) = CasServer::start() else { return };
    let (keys, zoo, provider) = (Keys::start(), Upstream::start(), OidcDouble::start());
    let servers = ["jwks", "introspection", "profile"].map(|_| AuthServer::start());
    let [signing, asked, telling] = &servers;
    let at = |server: &AuthServer| of(&server.issuer());
    let mut names = keys.names().to_vec();
    names.extend([
        ("signing.test", at(signing)),
        ("asked.test", at(asked)),
        ("telling.test", at(telling)),
        ("op.test", of(&provider.origin())),
        ("cas.test", cas.address),
    ]);
    let proxy = ForwardProxy::with_users(&names);
    signing.discovery(json!({
        "issuer": "https://signing.test/realms/campus", "jwks_uri": "https://signing.test/realms/campus/keys",
    }));
    let op = "https://op.test/realms/campus";
    for (member, path) in [
        ("issuer", ""),
        ("token_endpoint", "/token"),
        ("jwks_uri", "/keys"),
        ("userinfo_endpoint", "/userinfo"),
    ] {
        provider.behave().discovery[member] = json!(format!("{op}{path}"));
    }
    let site = Site::new();
    site.write("proxy.pem", &proxy.certificate);
    site.write("secrets/proxy", format!("{PASSWORD}\n"));
    site.write("secrets/client", format!("{CLIENT_SECRET}\n"));
    let port = Reserved::new(0).unwrap();
    let route = |name: &str, kind: &str, more: &str| {
        format!(
            "[[routes]]\nname = {name:?}\npath = \"/{name}/{{*rest}}\"\nupstream = \"zoo\"\naccept = [{kind:?}]\n{more}\n\
             allow = [{{ signed_in = true }}]\n"
        )
    };
    let config = keys
        .config(Config::new())
        .server("listen", &format!("[\"{}\"]", port.address()))
        .server("public_urls", &format!("[\"http://{}\"]", port.address()))
        .set("outgoing", "proxy", &format!("{:?}", proxy.url()))
        .set("outgoing", "username", &format!("{USER:?}"))
        .set("outgoing", "password_file", "\"secrets/proxy\"")
        .upstream("zoo", &[zoo.url()], "")
        .section(&format!(
            r#"
            [bearer.signing]
            audience = ["https://janua.test"]
            [bearer.signing.jwks]
            issuer = "https://signing.test/realms/campus"
            ca_file = "proxy.pem"

            [bearer.asked]
            clients = ["app"]
            [bearer.asked.introspection]
            endpoint = "https://asked.test/realms/campus/introspect"
            client_id = "{CLIENT}"
            client_secret_file = "secrets/client"
            ca_file = "proxy.pem"

            [bearer.telling]
            clients = ["app"]
            username = "id"
            [bearer.telling.profile]
            endpoint = "https://telling.test/realms/campus/profile"
            ca_file = "proxy.pem"

            [sign_in.op.oidc]
            issuer = "{op}"
            client_id = "{CLIENT}"
            client_secret_file = "secrets/client"
            ca_file = "proxy.pem"

            [sign_in.cas.cas]
            server = "https://cas.test/cas"
            ca_file = "proxy.pem"
            "#
        ))
        .section(&route("signing", "bearer", "bearer = \"signing\""))
        .section(&route("asked", "bearer", "bearer = \"asked\""))
        .section(&route("telling", "bearer", "bearer = \"telling\""))
        .section(&route("op", "session", "sign_in = \"op\""))
        .section(&route("cas", "session", "sign_in = \"cas\""));
    let gateway = site.start(&config);

    keys.come(&gateway);
    assert!(passed(&proxy, "CONNECT", "keys.test:443"), "{:?}", proxy.passed());
    assert!(
        passed(&proxy, "GET", "http://plain.test/.well-known/jwks.json"),
        "{:?}",
        proxy.passed()
    );

    let token = signing.access_token(rfc9068("https://signing.test/realms/campus"), &json!({}));
    gateway.get_with("/signing/x", &token).expect(200);
    assert!(passed(&proxy, "CONNECT", "signing.test:443"), "{:?}", proxy.passed());

    let token = asked.issue(panva_answer("https://asked.test/realms/campus"));
    gateway.get_with("/asked/x", &token).expect(200);
    assert!(passed(&proxy, "CONNECT", "asked.test:443"), "{:?}", proxy.passed());

    let token = opaque();
    telling.know(&token, json!({ "id": "anna", "client_id": "app", "attributes": {} }));
    gateway.get_with("/telling/x", &token).expect(200);
    assert!(passed(&proxy, "CONNECT", "telling.test:443"), "{:?}", proxy.passed());

    let visitor = Visitor::of(&gateway);
    let to = visitor.open("/op/x").expect(303);
    let callback = provider.authorize(to.header("location").unwrap(), "alice");
    visitor.open(target(&callback)).expect(303);
    visitor.fetch("/op/x").expect(200);
    assert!(passed(&proxy, "CONNECT", "op.test:443"), "{:?}", proxy.passed());

    let visitor = Visitor::of(&gateway);
    let to = visitor.open("/cas/x").expect(303);
    let to = to
        .header("location")
        .unwrap()
        .replace("https://cas.test/cas", &cas.url());
    visitor.open(target(&cas.person("alice").sign_in(&to))).expect(303);
    visitor.fetch("/cas/x").expect(200);
    assert!(passed(&proxy, "CONNECT", "cas.test:443"), "{:?}", proxy.passed());

    // What is proxied to an upstream does not go by it.
    let own = zoo.url();
    assert!(
        !proxy.passed().iter().any(|(_, target)| own.contains(target.as_str())),
        "{:?}",
        proxy.passed()
    );
    assert_eq!(proxy.refused(), []);
    gateway.stop();
    let checked = check(&site, &config.text(), &[]);
    told(&checked, 0, "note outgoing", &[&proxy.address.to_string(), USER]);
    assert!(!checked.stdout.contains(PASSWORD), "{checked:?}");
}

#[test]
fn without_the_proxy_keys_serve_on_and_the_error_names_it() {
    let keys = Keys::start();
    let mut proxy = ForwardProxy::start(&keys.names());
    let site = Site::new();
    site.write("proxy.pem", &proxy.certificate);
    let config = keys
        .config(Config::new())
        .set("outgoing", "proxy", &format!("{:?}", proxy.url()))
        .jwt("refresh", "\"30s\"");
    let gateway = site.start(&config);
    keys.come(&gateway);
    proxy.stop();
    // An unknown key makes both sets be fetched again.
    let stranger = Signer::new().named("stranger");
    gateway.get_with("/e/a", &stranger.read("a")).expect(401);
    let address = proxy.address.to_string();
    gateway.logged(&[&format!(
        "the proxy {address} refused the connection (keys.test was to be asked)"
    )]);
    gateway.logged(&[&format!(
        "the proxy {address} refused the connection (plain.test was to be asked)"
    )]);
    for token in keys.tokens() {
        assert_eq!(gateway.get_with("/e/a", &token).status, 204);
    }
    let checked = check(&site, &config.text(), &[]);
    told(
        &checked,
        1,
        "BAD  issuer tls",
        &[&format!("the proxy {address} refused the connection")],
    );
}

#[test]
fn what_the_proxy_refuses_is_told_of_it() {
    let keys = Keys::start();
    let site = Site::new();
    let of = |proxy: &ForwardProxy| {
        site.write("proxy.pem", &proxy.certificate);
        keys.config(Config::new())
            .set("outgoing", "proxy", &format!("{:?}", proxy.url()))
            .text()
    };
    // It knows neither name.
    let strange = ForwardProxy::start(&[("other.test", keys.names()[0].1)]);
    let checked = check(&site, &of(&strange), &[]);
    let name = strange.address.to_string();
    told(
        &checked,
        1,
        "BAD  issuer tls",
        &[&format!("the proxy {name} does not lead there")],
    );
    told(
        &checked,
        1,
        "BAD  issuer plain",
        &[&format!("plain.test (through the proxy {name}) answered 503")],
    );
    // It wants a password, which is not there, and then another.
    let with_users = ForwardProxy::with_users(&keys.names());
    let name = with_users.address.to_string();
    let wanted = format!("the proxy {name} wants another user or password (407)");
    let without = of(&with_users);
    let checked = check(&site, &without, &[]);
    told(&checked, 1, "BAD  issuer tls", &[&wanted]);
    told(&checked, 1, "BAD  issuer plain", &[&wanted]);
    site.write("secrets/proxy", "another password altogether\n");
    let wrong = without.replacen(
        "[outgoing]\n",
        &format!("[outgoing]\nusername = {USER:?}\npassword_file = \"secrets/proxy\"\n"),
        1,
    );
    let checked = check(&site, &wrong, &[]);
    told(&checked, 1, "BAD  issuer tls", &[&wanted]);
    assert!(!checked.stdout.contains("another password altogether"), "{checked:?}");
    assert_eq!(with_users.passed(), []);
    // No TLS is spoken to it, and nobody listens there.
    let with_users_url = with_users.url();
    let tls = wrong.replace(&with_users_url, &with_users_url.replace("http:", "https:"));
    told(
        &check(&site, &tls, &[]),
        1,
        "BAD  issuer tls",
        &[&format!("(through the proxy {name})")],
    );
    let nowhere = Reserved::new(0).unwrap().address();
    let nobody = wrong.replace(&with_users_url, &format!("http://{nowhere}"));
    let refused = format!("the proxy {nowhere} refused the connection");
    told(&check(&site, &nobody, &[]), 1, "BAD  issuer plain", &[&refused]);
    // An unreadable password is told once, and nobody is asked without it.
    site.write("secrets/proxy", "");
    let checked = check(&site, &wrong, &[]);
    told(&checked, 1, "BAD  outgoing.password_file", &["holds no password"]);
    assert!(!checked.stdout.contains("issuer tls"), "{checked:?}");
}

#[test]
fn no_proxy_and_this_machine_are_asked_directly() {
    let signer = Signer::new();
    let here = JwksServer::start(&[&signer]);
    let proxy = ForwardProxy::start(&[("keys.test", of(&here.url()))]);
    let site = Site::new();
    let config = Config::new()
        .set("outgoing", "proxy", &format!("{:?}", proxy.url()))
        .issuer("here", &here.url(), "")
        .section(EVENTS);
    let gateway = site.start(&config);
    eventually("the keys are there", || {
        (gateway.get_with("/e/a", &signer.read("a")).status == 204).then_some(())
    });
    assert_eq!((proxy.passed(), proxy.refused()), (vec![], vec![]));
    // Where it is named, the proxy's name for it is of no use.
    let past = |entry: &str| {
        let config = Config::new()
            .set("outgoing", "proxy", &format!("{:?}", proxy.url()))
            .set("outgoing", "no_proxy", &format!("[{entry:?}]"))
            .issuer("far", "http://keys.test/.well-known/jwks.json", "allow_http = true")
            .section(EVENTS);
        check(&site, &config.text(), &[])
    };
    for entry in ["keys.test", ".test", "*", "keys.test:80"] {
        told(
            &past(entry),
            1,
            "BAD  issuer far",
            &["the name of keys.test cannot be looked up"],
        );
    }
    assert_eq!(proxy.passed(), []);
    told(&past("keys.test:8080"), 0, "ok   issuer far", &[]);
    assert_eq!(proxy.passed().len(), 1);
}

/// A reload with another proxy, or another password of the same, asks by that one.
#[test]
fn a_reload_takes_another_proxy_and_another_password() {
    let keys = Keys::start();
    let proxy = ForwardProxy::with_users(&keys.names());
    let site = Site::new();
    site.write("proxy.pem", &proxy.certificate);
    site.write("secrets/proxy", "not the password yet\n");
    let config = keys
        .config(Config::new())
        .set("outgoing", "proxy", &format!("{:?}", proxy.url()))
        .set("outgoing", "username", &format!("{USER:?}"))
        .set("outgoing", "password_file", "\"secrets/proxy\"");
    let gateway = site.start(&config);
    gateway.logged(&["wants another user or password (407)"]);
    assert_eq!(gateway.send(Request::get("/e/a").bearer(&keys.tokens()[0])).status, 503);
    site.write("secrets/proxy", PASSWORD);
    gateway.signal("HUP");
    keys.come(&gateway);
    assert!(passed(&proxy, "CONNECT", "keys.test:443"));
}
