//! A browser comes as people come: over TLS, by HTTP/2, with a certificate authority that it trusts. It signs in at Moodle,
//! opens a lecture by its own address, sees thumbnails, and opens Studio without a slash at the end.
//!
//! Over HTTP/2 a browser sends each cookie in a field of its own; this Moodle reads the last `Cookie` line alone, as PHP
//! behind nginx 1.22 does.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

use super::players;
use crate::support::cas::PASSWORD;
use crate::support::tools::{missing, run};
use crate::support::{CasServer, Config, Gateway, Moodle, Reserved, Signer, Site, Upstream, browse_trusting};

const HOST: &str = "moodle.school.localhost";

const ROUTES: &str = r#"
[[routes]]
name  = "media"
path  = "/static/{org}/{channel}/{event}/{*file}"
files = "downloads"
strip = "/static"
watch = { carry = ["cookie"] }
accept = ["watch", "jwt"]
allow = [{ grant = "read", event = "{event}" }]

[[routes]]
name     = "studio"
path     = "/studio/{*rest}"
upstream = "zoo"
accept   = ["session"]
sign_in  = "campus"
allow    = [{ signed_in = true }]

[[routes]]
name     = "moodle"
path     = "/{*rest}"
upstream = "moodle"
allow    = [{ anyone = true }]
"#;

/// A person with a cookie of another application of the campus, beside those of Moodle.
const SCRIPT: &str = r#"
    await context.addCookies([{ name: "campus_theme", value: "dark", url: args.origin }]);
    const protocol = () => page.evaluate(() => performance.getEntriesByType("navigation")[0].nextHopProtocol);

    await page.goto(`${args.origin}/course/view.php?id=2`);
    await signIn(page, "alice", args.password);
    const course = { text: await page.innerText("body"), protocol: await protocol() };

    const plays = async (where) => {
      const video = await where.waitForSelector("video");
      await video.evaluate(async (video) => {
        video.muted = true;
        await video.play();
        if (video.currentTime === 0) await new Promise((resolve) => video.addEventListener("timeupdate", resolve, { once: true }));
      });
      return await video.evaluate((video) => video.videoWidth);
    };
    await page.goto(args.lecture);
    const lecture = { width: await plays(page), protocol: await protocol() };

    // A page of Moodle's that shows thumbnails, and the lecture in a frame.
    await page.goto(`${args.origin}/course/view.php?id=2`);
    const thumbnails = await page.evaluate((sources) => Promise.all(sources.map(async (src) => {
      const image = new Image();
      image.src = src;
      await image.decode();
      document.body.append(image);
      return image.naturalWidth;
    })), args.thumbnails);
    await page.evaluate((src) => { document.body.append(Object.assign(document.createElement("iframe"), { src })); }, args.lecture);
    const frame = await (await page.waitForSelector("iframe")).contentFrame();
    const framed = await plays(frame);

    // Where Moodle's plug-in links to; the CAS server knows the person by now.
    await page.goto(`${args.origin}/studio?upload.seriesId=s-1`);
    const studio = { url: page.url(), seen: JSON.parse(await page.innerText("body")) };
    return { course, lecture, thumbnails, framed, studio };
"#;

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

fn start(site: &Site, port: &Reserved, cas: &CasServer, moodle: &Moodle, zoo: &Upstream) -> Gateway {
    write_certificates(site);
    let address = port.address();
    let origin = format!("https://{HOST}:{}", address.port());
    {
        let settings = &mut moodle.site().settings;
        settings.wwwroot.clone_from(&origin);
        settings.cas_public = cas.url();
        settings.cas = Some(cas.url());
    }
    let tls = format!("[{{ listen = \"{address}\", certificate = \"tls/certificate.pem\", key = \"tls/key.pem\" }}]");
    let config = Config::new()
        .server("tls", &tls)
        .server("public_urls", &format!("[{origin:?}]"))
        .issuer("moodle", "keys.json", "")
        .upstream("moodle", &[moodle.url()], "")
        .upstream("zoo", &[zoo.url()], "")
        .section(&format!("[sign_in.campus.cas]\nserver = {:?}\n", cas.url()))
        .section(&format!(
            "[moodle.campus]\nupstream = \"moodle\"\npublic_url = {origin:?}\nsign_in = \"campus\"\n"
        ))
        .section(ROUTES);
    site.start(&config)
}

#[test]
fn a_browser_over_http_2_signs_in_at_moodle_plays_and_opens_studio() {
    if missing("ffmpeg") {
        return;
    }
    let Some(cas) = CasServer::start() else { return };
    let (moodle, zoo, signer, port) = (
        Moodle::start(),
        Upstream::start(),
        Signer::new(),
        Reserved::new(0).unwrap(),
    );
    let site = players::site();
    site.write_keys("keys.json", &[&signer]);
    let gateway = start(&site, &port, &cas, &moodle, &zoo);
    let origin = format!("https://{HOST}:{}", gateway.https().port());
    let file = |name: &str| {
        format!(
            "{origin}/static/org/player/lecture-1/{name}?jwt={}",
            signer.read("lecture-1")
        )
    };
    let lecture = site.path("downloads/org/player/lecture-1");
    let (mp4, cover) = (lecture.join("mp4/lecture.mp4"), lecture.join("cover.jpg"));
    let frame = [
        "-nostdin",
        "-loglevel",
        "error",
        "-i",
        mp4.to_str().unwrap(),
        "-frames:v",
        "1",
    ];
    run(
        "ffmpeg",
        frame.into_iter().chain(["-update", "1", cover.to_str().unwrap()]),
    )
    .ok();
    let args = json!({
        "origin": origin, "password": PASSWORD, "lecture": file("mp4/lecture.mp4"),
        "thumbnails": [file("cover.jpg")],
    });
    let Some(told) = browse_trusting(&site.path("authority.pem"), SCRIPT, &args) else {
        return;
    };
    let is_two = |what: &Value| assert_eq!(what["protocol"], "h2", "{told}");
    assert!(
        told["course"]["text"].as_str().unwrap().contains("Course of alice"),
        "{told}"
    );
    is_two(&told["course"]);
    assert_eq!(told["lecture"]["width"], 320, "{told}");
    is_two(&told["lecture"]);
    assert_eq!(told["framed"], 320, "{told}");
    assert_eq!(told["thumbnails"], json!([320]), "{told}");
    let studio = &told["studio"];
    assert_eq!(studio["url"], format!("{origin}/studio?upload.seriesId=s-1"));
    assert_eq!(studio["seen"]["target"], "/studio?upload.seriesId=s-1", "{told}");
}
