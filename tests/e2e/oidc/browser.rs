//! The same with a real browser, over TLS and HTTP/2, in which each cookie is a field of its own.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

use super::campus::{PAGE, ROUTES};
use crate::support::cas::query;
use crate::support::double::Double;
use crate::support::oidc::double::{Endpoint, session_of, write};
use crate::support::oidc::{CLIENT, CLIENT_SECRET, Reply};
use crate::support::tools::missing;
use crate::support::{Config, Gateway, OidcDouble, OidcServer, Reserved, Site, Upstream, browse_trusting, eventually};

const HOST: &str = "video.school.localhost";

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
    const whoAmI = async (tab) => tab.evaluate(async () => (await fetch("/_janua/me")).json());
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
    start_with("")
}

/// With further lines of `[sign_in.campus.oidc]`.
fn start_with(oidc: &str) -> Option<School> {
    if missing("certutil") || missing("chromium") {
        return None;
    }
    let port = Reserved::new(0).unwrap();
    let origin = format!("https://{HOST}:{}", port.address().port());
    let provider = OidcServer::start(std::slice::from_ref(&origin))?;
    let (gateway, zoo) = gateway(&port, &origin, &provider.issuer(), oidc);
    Some(School {
        provider,
        gateway,
        origin,
        _zoo: zoo,
        _port: port,
    })
}

/// A gateway at this address, which is `origin` to browsers, for people of this provider; and what it is in front of.
fn gateway(port: &Reserved, origin: &str, issuer: &str, oidc: &str) -> (Gateway, Upstream) {
    let (site, zoo) = (Site::new(), Upstream::start());
    let address = port.address();
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
            "[sign_in.campus]\nroles = [{{ attribute = \"groups\", role = \"ROLE_GROUP_{{value}}\" }}]\n\
             [sign_in.campus.oidc]\nissuer = {issuer:?}\nclient_id = {CLIENT:?}\nclient_secret_file = \"secrets/oidc\"\n\
             username = \"preferred_username\"\n{oidc}",
        ))
        .section(ROUTES);
    (site.start(&config), zoo)
}

impl School {
    fn browse(&self, script: &str) -> Option<Value> {
        let args = json!({ "origin": self.origin, "page": PAGE, "provider": self.provider.issuer() });
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

#[test]
fn who_has_the_wrong_account_signs_out_and_comes_back_as_somebody_else() {
    let script = r#"
        await page.goto(args.origin + "/staff/x");
        await signInAs(page, "bob");
        await page.waitForURL(args.origin + "/staff/x");
        const refused = await page.reload();
        const status = refused.status();
        await page.goto(args.origin + "/_janua/sign-out?return=%2Fstaff%2Fx");
        await Promise.all([page.waitForURL(/session\/end/), page.click("button[name=everywhere]")]);
        await Promise.all([page.waitForURL(/interaction/), page.click("button[value=yes]")]);
        await signInAs(page, "alice");
        await page.waitForURL(args.origin + "/staff/x");
        return { status, again: (await page.reload()).status(), url: page.url(), me: await whoAmI(page) };
    "#;
    let scopes = "scopes = [\"openid\", \"profile\", \"groups\"]\n";
    let Some(school) = start_with(scopes) else { return };
    let Some(told) = school.browse(script) else { return };
    assert_eq!((&told["status"], &told["again"]), (&json!(403), &json!(200)), "{told}");
    assert_eq!(told["url"], format!("{}/staff/x", school.origin));
    assert_eq!(told["me"]["user"], "a.liddell");
}

#[test]
fn a_logout_at_the_provider_alone_is_told_by_the_back_channel() {
    let script = r#"
        await page.goto(args.origin + args.page);
        await signInAs(page, "alice");
        await page.waitForURL(args.origin + args.page);
        const before = await whoAmI(page);
        const other = await context.newPage();
        await other.goto(args.provider + "/session/end");
        await Promise.all([other.waitForURL(/session\/end\/success/), other.click("button[value=yes]")]);
        let after = await whoAmI(page);
        for (let tries = 0; tries < 100 && after.signed_in; tries += 1) after = await whoAmI(page);
        return { before, after };
    "#;
    let Some(school) = start() else { return };
    let Some(told) = school.browse(script) else { return };
    assert_eq!(
        (&told["before"]["signed_in"], &told["after"]["signed_in"]),
        (&json!(true), &json!(false)),
        "{told}"
    );
}

#[test]
fn a_passive_sign_in_shows_no_form_and_finds_who_is_known_there() {
    let script = r#"
        const asked = [];
        page.on("request", (request) => asked.push(request.url()));
        await page.goto(args.origin + "/open/x");
        const nobody = { url: page.url(), me: await whoAmI(page) };
        // She signs in at the provider elsewhere.
        const quiet = new URL(asked.find((url) => url.includes("prompt=none")));
        quiet.searchParams.delete("prompt");
        await page.goto(quiet.href);
        await signInAs(page, "alice");
        await context.clearCookies({ domain: new URL(args.origin).hostname });
        await page.goto(args.origin + "/open/x");
        return { nobody, somebody: { url: page.url(), me: await whoAmI(page) } };
    "#;
    let Some(school) = start_with("passive = true\n") else {
        return;
    };
    let Some(told) = school.browse(script) else { return };
    let page = format!("{}/open/x", school.origin);
    assert_eq!(
        (&told["nobody"]["url"], &told["somebody"]["url"]),
        (&json!(page), &json!(page))
    );
    assert_eq!(told["nobody"]["me"]["signed_in"], false, "{told}");
    assert_eq!(told["somebody"]["me"]["user"], "a.liddell", "{told}");
}

/// The provider shows its page of a logout, with a frame of the gateway's in it. oidc-provider has none such.
#[test]
fn a_logout_at_the_provider_is_told_by_a_frame() {
    let script = r#"
        await page.goto(args.origin + args.page);
        const callback = await fetch(args.signsIn, { method: "POST", body: page.url() });
        await page.goto(await callback.text());
        const before = page.url();
        const told = page.waitForResponse((response) => response.url().includes("frontchannel-logout"));
        await page.goto(args.logout);
        const status = (await told).status();
        const text = await page.frames()[1].textContent("body");
        await page.goto(args.origin + args.page);
        return { before, status, text, after: page.url() };
    "#;
    if missing("certutil") || missing("chromium") {
        return;
    }
    let provider = Arc::new(OidcDouble::start());
    let issuer = provider.issuer();
    let port = Reserved::new(0).unwrap();
    let origin = format!("https://{HOST}:{}", port.address().port());
    let (gateway, _zoo) = gateway(&port, &origin, &issuer, "front_channel_logout = true");
    let frame = query(&[("iss", &issuer), ("sid", &session_of("alice"))]);
    let frame = format!("{origin}/_janua/oidc/campus/frontchannel-logout?{frame}").replace('&', "&amp;");
    let page = format!("<p>Signed out</p><iframe src=\"{frame}\"></iframe>");
    provider.answer(Endpoint::Logout, Reply::new(200, "text/html", page));
    let known = Arc::clone(&provider);
    let signs_in = Double::start(move |mut wire| {
        let (_, headers) = wire.head().unwrap();
        let (to, _) = wire.body(&headers, false).unwrap();
        let callback = known.authorize(std::str::from_utf8(&to).unwrap(), "alice");
        write(&mut wire, &Reply::new(200, "text/plain", callback.as_str())).unwrap();
    });
    let args = json!({
        "origin": origin, "page": PAGE, "signsIn": format!("http://{}", signs_in.address),
        "logout": provider.url(Endpoint::Logout),
    });
    let authority = gateway.site.path("authority.pem");
    let Some(told) = browse_trusting(&authority, script, &args) else {
        return;
    };
    assert_eq!(told["before"], format!("{origin}{PAGE}"), "{told}");
    assert_eq!(told["status"], 200, "the frame is shown: {told}");
    assert!(
        told["after"].as_str().unwrap().starts_with(&issuer),
        "nobody is signed in any more: {told}"
    );
}
