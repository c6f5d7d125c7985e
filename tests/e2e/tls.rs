//! TLS with HTTP/1.1 and HTTP/2, plain HTTP/2, and certificates that change while the gateway runs.

use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::support::config::bytes;
use crate::support::tools::{Ran, curl, missing};
use crate::support::{Config, Gateway, MEDIA, Signer, Site, Upstream, eventually};

const PATH: &str = "/static/org/player/lecture-1/video.mp4";

fn write_certificate(site: &Site) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["video.test".to_owned()]).unwrap();
    site.write("tls/key.pem", signing_key.serialize_pem());
    site.write("tls/certificate.pem", cert.pem());
}

/// A certificate, and a configuration that shows it.
fn with_tls(site: &Site) -> Config {
    write_certificate(site);
    Config::new().server("public_urls", r#"["https://video.test"]"#).server(
        "tls",
        r#"[{ listen = "127.0.0.1:0", certificate = "tls/certificate.pem", key = "tls/key.pem" }]"#,
    )
}

fn gateway(site: &Site, signer: &Signer) -> Gateway {
    site.write_keys("keys.json", &[signer]);
    site.start(&with_tls(site).issuer("moodle", "keys.json", "").section(MEDIA))
}

/// Asks over TLS, believing only the certificate that stands in `authority`: version, status and length.
fn ask(gateway: &Gateway, authority: &str, more: &[&str]) -> Ran {
    let port = gateway.https().port();
    let resolve = format!("video.test:{port}:127.0.0.1");
    let authority = gateway.site.path(authority);
    let url = format!("https://video.test:{port}{PATH}");
    let told = "%{http_version} %{http_code} %{size_download}";
    let mut arguments = vec![
        "--resolve",
        &resolve,
        "--cacert",
        authority.to_str().unwrap(),
        "-o",
        "/dev/null",
        "-w",
        told,
    ];
    arguments.extend(more);
    arguments.push(&url);
    curl(&arguments)
}

#[test]
fn http_1_and_2_over_tls() {
    if missing("curl") {
        return;
    }
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let gateway = gateway(&site, &signer);
    let bearer = format!("Authorization: Bearer {}", signer.read("lecture-1"));
    let certificate = "tls/certificate.pem";
    assert_eq!(
        ask(&gateway, certificate, &["--http2", "-H", &bearer]).ok().stdout,
        "2 200 1000"
    );
    assert_eq!(
        ask(&gateway, certificate, &["--http1.1", "-H", &bearer]).ok().stdout,
        "1.1 200 1000"
    );
    let range = ["--http2", "-H", &bearer, "-r", "10-19"];
    assert_eq!(ask(&gateway, certificate, &range).ok().stdout, "2 206 10");
    assert!(
        ask(&gateway, certificate, &["--http2"])
            .ok()
            .stdout
            .starts_with("2 401 ")
    );
    assert!(
        ask(&gateway, certificate, &["--http2", "-X", "DELETE"])
            .ok()
            .stdout
            .starts_with("2 405 ")
    );
    for version in ["--tlsv1.2", "--tlsv1.3"] {
        let arguments = [version, "--tls-max", &version[6..], "-H", &bearer];
        assert_eq!(
            ask(&gateway, certificate, &arguments).ok().stdout,
            "2 200 1000",
            "{version}"
        );
    }
    // Plain HTTP is served beside it.
    gateway.get_with(PATH, &signer.read("lecture-1")).expect(200);
}

#[test]
fn http_2_without_tls() {
    if missing("curl") {
        return;
    }
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let gateway = site.start(&Config::media(&site, &signer));
    let bearer = format!("Authorization: Bearer {}", signer.read("lecture-1"));
    let url = gateway.url(PATH);
    let told = curl(&[
        "--http2-prior-knowledge",
        "-H",
        &bearer,
        "-o",
        "/dev/null",
        "-w",
        "%{http_version} %{http_code}",
        &url,
    ]);
    assert_eq!(told.ok().stdout, "2 200");
}

#[test]
fn an_upload_and_many_streams_on_http_2() {
    if missing("curl") {
        return;
    }
    let (site, zoo) = (Site::new(), Upstream::start());
    let gateway = site.start(
        &with_tls(&site)
            .upstream("zoo", &[zoo.url()], "")
            .open_upstream_route(""),
    );
    let port = gateway.https().port();
    let resolve = format!("video.test:{port}:127.0.0.1");
    let certificate = site.path("tls/certificate.pem");
    let always = [
        "--http2",
        "--resolve",
        &resolve,
        "--cacert",
        certificate.to_str().unwrap(),
    ];
    let url = |path: &str| format!("https://video.test:{port}{path}");

    let body = site.write("body", bytes(3_000_000));
    let data = format!("@{}", body.display());
    let sink = url("/zoo/sink");
    let told = curl(&[&always[..], &["--data-binary", &data, &sink]].concat()).ok();
    assert_eq!(told.stdout, r#"{"received":3000000}"#);
    let seen = zoo.seen("/zoo/sink");
    // The upstream speaks HTTP/1.1 and needs a Host: the public URL's, whatever port the client has come by.
    assert_eq!(seen.header("host"), Some("video.test"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));

    let many: Vec<String> = (0..50)
        .map(|number| url(&format!("/zoo/source/{}", 100_000 + number)))
        .collect();
    let mut arguments = always.to_vec();
    arguments.extend(["--parallel", "-w", "%{http_version}/%{http_code} "]);
    for url in &many {
        arguments.extend(["-o", "/dev/null", url]);
    }
    let told = curl(&arguments).ok().stdout;
    assert_eq!(told.matches("2/200").count(), 50, "{told}");
}

#[test]
fn certificates_are_reloaded() {
    if missing("curl") {
        return;
    }
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let gateway = gateway(&site, &signer);
    assert_eq!(ask(&gateway, "tls/certificate.pem", &[]).code, Some(0));
    std::fs::copy(site.path("tls/certificate.pem"), site.path("old.pem")).unwrap();
    write_certificate(&site);
    std::fs::copy(site.path("tls/certificate.pem"), site.path("new.pem")).unwrap();
    eventually("the new certificate is shown", || {
        (ask(&gateway, "new.pem", &[]).code == Some(0)).then_some(())
    });
    // curl's 60: the certificate is not the one believed.
    assert_eq!(ask(&gateway, "old.pem", &[]).code, Some(60));
    // A broken file changes nothing.
    site.write("tls/certificate.pem", "-----BEGIN CERTIFICATE-----\nnonsense\n");
    gateway.logged(&["certificate"]);
    assert_eq!(ask(&gateway, "new.pem", &[]).code, Some(0));
}

#[test]
fn a_reload_shows_the_certificate_of_other_files() {
    if missing("curl") {
        return;
    }
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let gateway = gateway(&site, &signer);
    for name in ["certificate.pem", "key.pem"] {
        std::fs::create_dir_all(site.path("renewed")).unwrap();
        std::fs::rename(site.path(&format!("tls/{name}")), site.path(&format!("old-{name}"))).unwrap();
    }
    let config = with_tls(&site).issuer("moodle", "keys.json", "").section(MEDIA);
    for name in ["certificate.pem", "key.pem"] {
        std::fs::rename(site.path(&format!("tls/{name}")), site.path(&format!("renewed/{name}"))).unwrap();
    }
    assert_eq!(ask(&gateway, "old-certificate.pem", &[]).code, Some(0));
    site.write("gateway.toml", config.text().replace("\"tls/", "\"renewed/"));
    gateway.signal("HUP");
    eventually("the other certificate is shown", || {
        (ask(&gateway, "renewed/certificate.pem", &[]).code == Some(0)).then_some(())
    });
    // And it is these files that are followed from now on.
    let before = std::fs::read(site.path("renewed/certificate.pem")).unwrap();
    write_certificate(&site);
    for name in ["key.pem", "certificate.pem"] {
        std::fs::rename(site.path(&format!("tls/{name}")), site.path(&format!("renewed/{name}"))).unwrap();
    }
    site.write("before.pem", before);
    eventually("the renewed certificate is shown", || {
        (ask(&gateway, "renewed/certificate.pem", &[]).code == Some(0)).then_some(())
    });
    assert_eq!(ask(&gateway, "before.pem", &[]).code, Some(60));
}

/// A certificate that ends with the year before this one.
fn write_certificate_until(site: &Site, year: i32) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut wanted = rcgen::CertificateParams::new(["video.test".to_owned()]).unwrap();
    wanted.not_after = rcgen::date_time_ymd(year, 1, 1);
    let certificate = wanted.self_signed(&key).unwrap();
    site.write("tls/key.pem", key.serialize_pem());
    site.write("tls/certificate.pem", certificate.pem());
}

#[test]
fn the_metrics_say_when_a_certificate_ends() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    site.write_keys("keys.json", &[&signer]);
    let config = with_tls(&site).issuer("moodle", "keys.json", "").section(MEDIA);
    write_certificate_until(&site, 2040);
    let gateway = site.start(&config);
    let ends = || gateway.metric("janua_certificate_expiry_timestamp_seconds{listen=\"127.0.0.1:0\"}");
    assert_eq!(ends(), Some(2_208_988_800.0));
    write_certificate_until(&site, 2041);
    eventually("the new certificate is told", || {
        (ends() == Some(2_240_611_200.0)).then_some(())
    });
}
