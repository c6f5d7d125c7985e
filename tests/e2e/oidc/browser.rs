//! The same with a real browser, over TLS and HTTP/2, in which each cookie is a field of its own.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

use super::campus::PAGE;
use crate::support::oidc::{CLIENT, CLIENT_SECRET};
use crate::support::tools::missing;
use crate::support::{Config, Gateway, OidcServer, Reserved, Site, Upstream, browse_trusting, eventually};

const HOST: &str = "video.school.localhost";

const ROUTES: &str = r#"
[[routes]]
name     = "app"
path     = "/app/{*rest}"
upstream = "zoo"
accept   = ["session"]
sign_in  = "campus"
allow    = [{ signed_in = true }]
"#;

/// What every script begins with. The provider's pages want a font from elsewhere.
const BEGIN: &str = r#"
    await context.route(/fonts\.googleapis/, (route) => route.abort());
    const signInAs = async (tab, user) => {
      await tab.fill("[name=login]", user);
      await tab.fill("[name=password]", "any");
      await Promise.all([
        tab.waitForURL((url) => url.href.startsWith(args.origin)),
        tab.click("button[type=submit]"),
      ]);
    };
"#;

struct School {
    provider: OidcServer,
    gateway: Gateway,
    origin: String,
    _zoo: Upstream,
    _port: Reserved,
}

/// A certificate authority of the test's own in `authority.pem`, and a certificate for [`HOST`] by it.
fn write_certificates(site: &Site) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    site.write("authority.pem", authority.self_signed(&authority_key).unwrap().pem());
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([HOST.to_owned()]).unwrap();
    site.write(
        "tls/certificate.pem",
        certificate.signed_by(&key, &issuer).unwrap().pem(),
    );
    site.write("tls/key.pem", key.serialize_pem());
}

/// `None`: something is missing here, and the test returns too.
fn start() -> Option<School> {
    if missing("certutil") || missing("chromium") {
        return None;
    }
    let (site, port, zoo) = (Site::new(), Reserved::new(0).unwrap(), Upstream::start());
    let address = port.address();
    let origin = format!("https://{HOST}:{}", address.port());
    let provider = OidcServer::start(std::slice::from_ref(&origin))?;
    write_certificates(&site);
    site.write("secrets/oidc", CLIENT_SECRET);
    let config = Config::new()
        .server(
            "tls",
            &format!("[{{ listen = \"{address}\", certificate = \"tls/certificate.pem\", key = \"tls/key.pem\" }}]"),
        )
        .server("public_urls", &format!("[{origin:?}]"))
        .upstream("zoo", &[zoo.url()], "")
        .section(&format!(
            "[sign_in.campus.oidc]\nissuer = {:?}\nclient_id = {CLIENT:?}\nclient_secret_file = \"secrets/oidc\"\n\
             username = \"preferred_username\"\n",
            provider.issuer()
        ))
        .section(ROUTES);
    let gateway = site.start(&config);
    Some(School {
        provider,
        gateway,
        origin,
        _zoo: zoo,
        _port: port,
    })
}

impl School {
    fn browse(&self, script: &str) -> Option<Value> {
        let args = json!({ "origin": self.origin, "page": PAGE });
        let authority = self.gateway.site.path("authority.pem");
        browse_trusting(&authority, &format!("{BEGIN}{script}"), &args)
    }
}

#[test]
fn a_person_comes_to_the_deep_link_by_the_form() {
    let script = r#"
        await page.goto(args.origin + args.page);
        const asked = page.url();
        await signInAs(page, "alice");
        const protocol = await page.evaluate(() => performance.getEntriesByType("navigation")[0].nextHopProtocol);
        const me = await page.evaluate(async () => (await fetch("/_janua/me")).json());
        const cookies = await context.cookies(args.origin);
        return { asked, url: page.url(), protocol, me, cookies };
    "#;
    let Some(school) = start() else { return };
    let Some(told) = school.browse(script) else { return };
    let asked = told["asked"].as_str().unwrap();
    assert!(asked.starts_with(&school.provider.issuer()), "{told}");
    assert_eq!(told["url"], format!("{}{PAGE}", school.origin));
    assert_eq!(
        (&told["protocol"], &told["me"]["user"]),
        (&json!("h2"), &json!("a.liddell"))
    );
    let cookies = told["cookies"].as_array().unwrap();
    let names: Vec<&str> = cookies.iter().filter_map(|cookie| cookie["name"].as_str()).collect();
    assert_eq!(names, ["__Host-janua"], "{told}");
    let session = &cookies[0];
    assert_eq!(
        (&session["httpOnly"], &session["secure"], &session["sameSite"]),
        (&json!(true), &json!(true), &json!("Lax"))
    );
}

#[test]
fn ten_tabs_at_once_all_end_signed_in() {
    let script = r#"
        const tabs = await Promise.all(Array.from({ length: 10 }, () => context.newPage()));
        await Promise.all(tabs.map((tab, number) => tab.goto(`${args.origin}/app/tab?n=${number}`)));
        await signInAs(tabs[0], "alice");
        // The other forms lead on as well, by hand.
        for (const tab of tabs.slice(1)) await signInAs(tab, "alice");
        return tabs.map((tab) => tab.url());
    "#;
    let Some(school) = start() else { return };
    let Some(told) = school.browse(script) else { return };
    let expected: Vec<String> = (0..10)
        .map(|number| format!("{}/app/tab?n={number}", school.origin))
        .collect();
    assert_eq!(told, json!(expected));
}

#[test]
fn a_person_signs_out_at_the_provider_and_is_signed_out_here() {
    let script = r#"
        await page.goto(args.origin + args.page);
        await signInAs(page, "alice");
        await page.goto(args.origin + "/_janua/sign-out?return=%2Fapp%2Fx");
        await Promise.all([page.waitForURL(/session\/end/), page.click("button[name=everywhere]")]);
        // Back to a page for which somebody has to sign in again.
        await Promise.all([page.waitForURL(/interaction/), page.click("button[value=yes]")]);
        const after = (await context.cookies(args.origin)).map((cookie) => cookie.name);
        return { after, url: page.url() };
    "#;
    let Some(school) = start() else { return };
    let Some(told) = school.browse(script) else { return };
    assert!(
        !told["after"].as_array().unwrap().contains(&json!("__Host-janua")),
        "{told}"
    );
    let asked = told["url"].as_str().unwrap();
    assert!(
        asked.starts_with(&school.provider.issuer()),
        "the provider has forgotten her: {told}"
    );
    eventually("the provider has told so as well", || {
        let metrics = school.gateway.admin("/metrics").text();
        metrics.contains("janua_sessions_ended_total").then_some(())
    });
}
