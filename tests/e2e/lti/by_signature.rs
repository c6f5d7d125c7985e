//! LTI 1.1, which Opencast takes itself: a form that is signed over the address that browsers know (OAuth 1.0, RFC 5849). It passes
//! as it is, and the session that Opencast begins lives in the frame of the course.

use std::io::{self, Write as _};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::support::browser::browse_with;
use crate::support::double::Double;
use crate::support::http::{Wire, values};
use crate::support::{Config, Gateway, Nginx, Request, Reserved, Signer, Site};

const SECRET: &str = "secret of the consumer";

const ROUTES: &str = r#"
[[routes]]
name     = "lti"
path     = "/lti/{*rest}"
upstream = "opencast"
accept   = []
allow    = [{ anyone = true }]
frame_ancestors = ["COURSE"]

[[routes]]
name     = "lti tools"
path     = "/ltitools/{*rest}"
upstream = "opencast"
accept   = []
allow    = [{ anyone = true }]
frame_ancestors = ["COURSE"]
"#;

/// RFC 5849 section 3.6.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

/// RFC 5849 section 3.4, of a POST with these parameters.
fn signature(url: &str, params: &[(String, String)]) -> String {
    let mut pairs: Vec<_> = params
        .iter()
        .map(|(name, value)| (escaped(name), escaped(value)))
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let base = format!("POST&{}&{}", escaped(url), escaped(&pairs.join("&")));
    let key = hmac::Key::new(
        hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        format!("{}&", escaped(SECRET)).as_bytes(),
    );
    STANDARD.encode(hmac::sign(&key, base.as_bytes()))
}

/// What a learning platform posts to this address.
fn launch(url: &str) -> Vec<(String, String)> {
    let params = [
        ("lti_message_type", "basic-lti-launch-request"),
        ("lti_version", "LTI-1p0"),
        ("user_id", "5"),
        ("roles", "Learner"),
        ("context_id", "4"),
        ("context_title", "Über & unter"),
        ("custom_tool", "/ltitools/series/index.html"),
        ("custom_series", "s 1"),
        ("oauth_consumer_key", "consumer"),
        ("oauth_nonce", "n"),
        ("oauth_signature_method", "HMAC-SHA1"),
        ("oauth_timestamp", "1800000000"),
        ("oauth_version", "1.0"),
    ];
    let mut params: Vec<_> = params.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let mut signed = params.clone();
    signed.extend(form_urlencoded::parse(query.as_bytes()).into_owned());
    params.push(("oauth_signature".to_owned(), signature(path, &signed)));
    params
}

/// As Opencast's `LtiServlet` and the filter before it: who signs is let in, and gets a bare JSESSIONID. What has a session
/// gets the tool, which asks for its attributes.
fn opencast() -> Double {
    Double::start(|mut wire| while let Ok(true) = serve(&mut wire) {})
}

fn serve(wire: &mut Wire) -> io::Result<bool> {
    let (first, headers) = wire.head()?;
    let (body, _) = wire.body(&headers, false)?;
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let one = |name: &str| values(&headers, name).first().copied().unwrap_or_default();
    let has_session = one("cookie").split("; ").any(|pair| pair == "JSESSIONID=node0abc");
    let origin = format!("{}://{}", one("x-forwarded-proto"), one("host"));
    let (status, more, body) = match (method, path) {
        ("POST", "/lti") => {
            let mut params: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
            params.extend(form_urlencoded::parse(query.as_bytes()).into_owned());
            let told = params
                .iter()
                .position(|(name, _)| name == "oauth_signature")
                .map(|at| params.remove(at).1);
            match told == Some(signature(&format!("{origin}{path}"), &params)) {
                true => {
                    let location = format!("{origin}/ltitools/index.html?subtool=series&series=s%201");
                    (
                        302,
                        format!("Location: {location}\r\nSet-Cookie: JSESSIONID=node0abc;Path=/\r\n"),
                        String::new(),
                    )
                }
                false => (401, String::new(), format!("Invalid signature for {origin}{path}")),
            }
        }
        ("GET", "/lti") if has_session => (
            200,
            String::new(),
            json!({ "roles": "Learner", "context_id": "4" }).to_string(),
        ),
        ("GET", "/ltitools/index.html") if has_session => {
            let script = "fetch('/lti').then((answer) => answer.json()).then((said) => { document.body.dataset.roles = said.roles; })";
            let page = format!("<!doctype html><body><script>{script}</script>");
            (
                200,
                "Content-Type: text/html\r\nX-Frame-Options: SAMEORIGIN\r\n".to_owned(),
                page,
            )
        }
        _ => (403, String::new(), one("authorization").to_owned()),
    };
    let answer = format!(
        "HTTP/1.1 {status} So\r\n{more}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    wire.stream.write_all(answer.as_bytes())?;
    Ok(true)
}

/// `course`: the origin whose pages frame the tools.
fn config(origin: &str, course: &str, opencast: &Double) -> Config {
    let upstream = format!("http://{}", opencast.address);
    Config::new()
        .server("public_urls", &format!("[{origin:?}]"))
        .issuer("lms", "lms.json", "")
        .upstream("opencast", &[upstream], "")
        .section(&ROUTES.replace("COURSE", course))
}

fn posted(gateway: &Gateway, target: &str, params: &[(String, String)]) -> crate::support::http::Response {
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(params)
        .finish();
    let request = Request::new("POST", target)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("X-Forwarded-For", "192.0.2.1")
        .header("X-Forwarded-Proto", "https")
        .header("Origin", "https://lms.test");
    gateway.send(crate::support::lti::framed(request).body(body))
}

#[test]
fn a_launch_that_opencast_judges_passes_with_its_signature() {
    let (opencast, signer, site) = (opencast(), Signer::new(), Site::new());
    site.write_keys("lms.json", &[&signer]);
    let gateway = site.start(
        &config("https://video.test", "https://lms.test", &opencast).server("trusted_proxies", "[\"127.0.0.1/32\"]"),
    );
    let params = launch("https://video.test/lti");
    let answer = posted(&gateway, "/lti", &params).expect(302);
    let location = answer.header("location").unwrap();
    assert_eq!(
        location,
        "https://video.test/ltitools/index.html?subtool=series&series=s%201"
    );
    assert_eq!(
        answer.header("set-cookie").unwrap(),
        "JSESSIONID=node0abc;Path=/; Secure; SameSite=None; Partitioned"
    );
    let query = launch("https://video.test/lti?a=1&b=%20+x");
    posted(&gateway, "/lti?a=1&b=%20+x", &query).expect(302);
    posted(&gateway, "/lti", &query).expect(401);
    // Who has no session of Opencast's has nothing, whatever else it brings; and none of that comes there.
    let page = |cookie: &str| {
        let asked = Request::get("/ltitools/index.html").header("Cookie", cookie);
        gateway.send(asked.bearer(&signer.roles(&["ROLE_OAUTH_USER"])))
    };
    let mine = page("JSESSIONID=node0abc; __Host-janua-launch=x; __Host-janua=y").expect(200);
    assert!(mine.header("x-frame-options").is_none());
    assert_eq!(
        mine.header("content-security-policy").unwrap(),
        "frame-ancestors https://lms.test"
    );
    assert_eq!(page("__Host-janua-launch=x").expect(403).text(), "");
}

#[test]
fn it_works_in_a_frame_of_another_site() {
    if crate::support::tools::missing("nginx") {
        return;
    }
    let (opencast, site) = (opencast(), Site::new());
    site.write_keys("lms.json", &[&Signer::new()]);
    let port = Reserved::new(0).unwrap();
    let address = port.address();
    let origin = format!("https://video.localhost:{}", address.port());
    let field = |(name, value): &(String, String)| format!("<input type=hidden name={name} value=\"{value}\">");
    let fields: String = launch(&format!("{origin}/lti")).iter().map(field).collect();
    let course = format!(
        "<!doctype html><meta charset=utf-8><iframe name=tool></iframe><form method=post target=tool action='{origin}/lti'>{}</form>\
         <script>document.forms[0].submit()</script>",
        fields.replace("Über & unter", "Über &amp; unter")
    );
    site.write("pages/course.html", course);
    let nginx = Nginx::with(&format!(
        "root {}; types {{ text/html html; }}",
        site.path("pages").display()
    ));
    let pair = rcgen::generate_simple_self_signed(["video.localhost".to_owned()]).unwrap();
    site.write("cert.pem", pair.cert.pem());
    site.write("key.pem", pair.signing_key.serialize_pem());
    let tls = format!("[{{ listen = \"{address}\", certificate = \"cert.pem\", key = \"key.pem\" }}]");
    let lms = format!("http://lms.localhost:{}", nginx.address.port());
    let _gateway = site.start(&config(&origin, &lms, &opencast).server("tls", &tls));
    let script = r#"
        const mine = await browser.newContext({ ignoreHTTPSErrors: true });
        const tab = await mine.newPage();
        await tab.goto(args.course);
        const frame = tab.frame({ name: "tool" });
        await frame.waitForSelector("body[data-roles]", { state: "attached" });
        return { url: frame.url(), roles: await frame.evaluate(() => document.body.dataset.roles) };
    "#;
    let course = format!("{lms}/course.html");
    let Some(told) = browse_with(
        &["--test-third-party-cookie-phaseout"],
        script,
        &json!({ "course": course }),
    ) else {
        return;
    };
    assert_eq!(
        told["url"],
        format!("{origin}/ltitools/index.html?subtool=series&series=s%201"),
        "{told}"
    );
    assert_eq!(told["roles"], "Learner", "{told}");
}
