//! A real browser that keeps no cookies for frames of other sites, but for those that each framing site has of its own.

use serde_json::json;

use crate::support::browser::browse_with;
use crate::support::{Config, LtiPlatform, Nginx, Reserved, Site};

/// A page that shows in a frame of a course, by a script that asks once more.
const PAGE: &str = r#"<!doctype html><title>Play</title><body><script>
fetch("/play/data.txt").then((answer) => answer.text()).then((text) => { document.body.dataset.data = text; });
</script>"#;

#[test]
fn a_launch_works_in_a_frame_of_another_site() {
    if crate::support::tools::missing("nginx") {
        return;
    }
    let site = Site::new();
    site.write("pages/play/index.html", PAGE);
    site.write("pages/play/data.txt", "played");
    let nginx = Nginx::with(&format!(
        "root {}; types {{ text/html html; }}",
        site.path("pages").display()
    ));
    let port = Reserved::new(0).unwrap();
    let address = port.address();
    let origin = format!("https://video.localhost:{}", address.port());
    let platform = LtiPlatform::start(&format!("{origin}/_janua/lti/moodle"));
    {
        let lms = platform.url("");
        let mut behaviour = platform.behaviour();
        behaviour.origin = lms;
        behaviour.target = format!("{origin}/play/index.html");
    }
    let pair = rcgen::generate_simple_self_signed(["video.localhost".to_owned()]).unwrap();
    site.write("cert.pem", pair.cert.pem());
    site.write("key.pem", pair.signing_key.serialize_pem());
    let config = Config::new()
        .server("public_urls", &format!("[{origin:?}]"))
        .server(
            "tls",
            &format!("[{{ listen = \"{address}\", certificate = \"cert.pem\", key = \"key.pem\" }}]"),
        )
        .upstream("pages", &[nginx.url()], "")
        .section(&platform.section("moodle", ""))
        .section(
            "[[routes]]\nname = \"play\"\npath = \"/play/{*rest}\"\nupstream = \"pages\"\naccept = [\"launch\"]\n\
             allow = [{ role = \"4_Learner\" }]\npresent = \"none\"\n",
        );
    let gateway = site.start(&config);
    let script = r#"
        const mine = await browser.newContext({ ignoreHTTPSErrors: true });
        const tab = await mine.newPage();
        const played = async () => {
            await tab.goto(args.course);
            const frame = tab.frame({ name: "activity" });
            await frame.waitForSelector("body[data-data]", { state: "attached" });
            return { url: frame.url(), data: await frame.evaluate(() => document.body.dataset.data) };
        };
        const first = await played();
        const second = await played();
        return { first, second, cookies: await mine.cookies() };
    "#;
    let course = platform.url("/course");
    let switches = ["--test-third-party-cookie-phaseout"];
    let Some(told) = browse_with(&switches, script, &json!({ "course": course })) else {
        return;
    };
    for played in [&told["first"], &told["second"]] {
        assert_eq!(played["url"], format!("{origin}/play/index.html"), "{told}");
        assert_eq!(played["data"], "played", "{told}");
    }
    let mut names: Vec<&str> = told["cookies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    // Those of the launches are gone.
    assert_eq!(names, ["__Host-janua-launch", "__Host-janua-lti-keeps"], "{told}");
    let series = "janua_lti_total{outcome=\"ok\",platform=\"moodle\",step=\"launch\"}";
    assert_eq!(gateway.metric(series), Some(2.0));
}
