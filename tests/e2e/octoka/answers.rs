//! Octoka's behaviour where it is not about tokens: what an allowed and a refused request gets, whom it asks when no
//! token helps, where keys come from, and the connection.

use super::{Bench, PATH};
use crate::support::config::bytes;
use crate::support::h2::{H2, Outcome};
use crate::support::{
    Config, Connection, Gateway, JwksServer, MEDIA, Nginx, Request, Signer, Site, Upstream, eventually, tools,
};

/// A gateway in front of an Opencast that is asked where no token helps.
struct Asking {
    gateway: Gateway,
    opencast: Upstream,
    signer: Signer,
}

impl Asking {
    fn with(method: &str) -> Self {
        let (site, signer, opencast) = (Site::new(), Signer::new(), Upstream::start());
        for event in ["source", "login", "stall", "403", "404"] {
            site.write(&format!("downloads/org/zoo/{event}/a.mp4"), "lecture");
        }
        site.write("downloads/org/zoo/status/404", "lecture");
        site.write("downloads/org/zoo/status/403", "lecture");
        let ask = format!("else_ask = {{ upstream = \"opencast\", method = {method:?} }}\n");
        let config = Config::media(&site, &signer)
            .section(&ask)
            .upstream("opencast", &[opencast.url()], "");
        Self {
            gateway: site.start(&config),
            opencast,
            signer,
        }
    }

    fn both() -> [Self; 2] {
        ["HEAD", "GET"].map(Self::with)
    }

    fn get(&self, below: &str) -> crate::support::http::Response {
        let path = format!("/static/org/zoo/{below}");
        self.gateway.send(Request::get(&path).header("Cookie", "JSESSIONID=s"))
    }
}

// ---- fallback ----

#[test]
fn equal_without_fallback_nobody_is_asked() {
    let bench = Bench::new();
    bench
        .gateway
        .send(Request::get(PATH).header("Cookie", "JSESSIONID=s"))
        .refused(401, "no_credentials");
}

#[test]
fn equal_fallback_head_and_get_ask_with_that_method_and_a_yes_serves_the_file() {
    for (asking, method) in Asking::both().into_iter().zip(["HEAD", "GET"]) {
        assert_eq!(asking.get("source/a.mp4").expect(200).text(), "lecture");
        let seen = asking.opencast.seen("/static");
        assert_eq!(
            (seen.method.as_str(), seen.target.as_str()),
            (method, "/static/org/zoo/source/a.mp4")
        );
    }
}

#[test]
fn equal_fallback_passes_on_what_is_missing_and_who_has_to_sign_in() {
    for asking in Asking::both() {
        asking.get("status/404").expect(404);
        let challenged = asking.get("login/a.mp4").expect(401);
        assert_eq!(challenged.header("www-authenticate"), Some("Basic realm=\"Opencast\""));
    }
}

#[test]
fn equal_fallback_that_is_refused_is_403_and_better_401_where_a_token_would_help() {
    for asking in Asking::both() {
        let path = "/static/org/zoo/status/403";
        let other = asking.signer.read("another");
        asking.gateway.get_with(path, &other).refused(403, "event_not_granted");
        asking.gateway.get(path).refused(401, "no_credentials");
    }
}

#[test]
fn equal_fallback_502_without_opencast_and_504_without_its_answer() {
    let asking = Asking::with("HEAD");
    asking.get("stall/a.mp4").refused(504, "upstream_timeout");
    let Asking {
        gateway,
        opencast,
        signer,
    } = asking;
    drop(opencast);
    let path = "/static/org/zoo/source/a.mp4";
    gateway.get(path).refused(502, "upstream_unavailable");
    // A token needs no Opencast.
    gateway.get_with(path, &signer.read("source")).expect(200);
}

#[test]
fn better_fallback_sends_one_credential_and_no_token() {
    // Octoka clones all headers, and an Authorization ends the session that the cookie names.
    for asking in Asking::both() {
        let request = Request::get("/static/org/zoo/source/a.mp4").header("Cookie", "JSESSIONID=s");
        asking
            .gateway
            .send(request.bearer(&asking.signer.read("another")))
            .expect(200);
        let seen = asking.opencast.seen("/static");
        assert_eq!(
            (seen.header("cookie"), seen.header("authorization")),
            (Some("JSESSIONID=s"), None)
        );
    }
}

// ---- on_allow and on_deny ----

/// A gateway whose route does this with what it allows.
fn acting(action: &str) -> (Gateway, Signer) {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    site.write_keys("keys.json", &[&signer]);
    let route = MEDIA.replace("files = \"downloads\"", action);
    let config = Config::new().issuer("moodle", "keys.json", "").section(&route);
    (site.start(&config), signer)
}

#[test]
fn equal_on_allow_file_sends_the_file() {
    assert_eq!(Bench::new().send(Request::get(PATH)).expect(200).body, bytes(1000));
}

#[test]
fn equal_on_allow_empty_is_204() {
    let (site, signer) = (Site::new(), Signer::new());
    site.write_keys("keys.json", &[&signer]);
    let route = "[[routes]]\nname = \"media\"\npath = \"/static/{org}/{channel}/{event}/{*file}\"\n\
                 respond = { status = 204 }\nallow = [{ grant = \"read\", event = \"{event}\" }]\n";
    let gateway = site.start(&Config::new().issuer("moodle", "keys.json", "").section(route));
    assert_eq!(gateway.get_with(PATH, &signer.read("lecture-1")).expect(204).text(), "");
    gateway.get(PATH).expect(401);
}

#[test]
fn equal_on_allow_x_accel_redirect_names_the_file_below_the_prefix() {
    let (gateway, signer) = acting("accel = \"/protected\"");
    let told = gateway.get_with(PATH, &signer.read("lecture-1")).expect(200);
    assert_eq!(
        (told.header("x-accel-redirect"), told.text().as_str()),
        (Some("/protected/org/player/lecture-1/video.mp4"), "")
    );
}

#[test]
fn equal_on_deny_empty_is_403_and_better_401_tells_that_a_token_is_missing() {
    let (gateway, signer) = acting("accel = \"/protected\"");
    for told in [
        gateway.get_with(PATH, &signer.read("lecture-2")).expect(403),
        gateway.get(PATH).expect(401),
    ] {
        assert_eq!(told.header("x-accel-redirect"), None);
    }
}

#[test]
fn equal_on_deny_x_accel_redirect_is_an_error_page_of_nginx() {
    if tools::missing("nginx") {
        return;
    }
    let (gateway, signer) = acting("accel = \"/protected\"");
    let opencast = Upstream::start();
    let nginx = Nginx::with(&format!(
        r#"
        location / {{
            proxy_pass http://{};
            proxy_set_header Host video.test;
            proxy_intercept_errors on;
            error_page 401 403 = @denied;
        }}
        location @denied {{ proxy_pass {}; }}
        location /protected/ {{ internal; alias {}/downloads/; }}"#,
        gateway.http(),
        opencast.url(),
        gateway.site.root().display(),
    ));
    let ask = |token: &str| {
        let request = Request::get(PATH).bearer(token).header("Connection", "close");
        Connection::open(nginx.address).exchange(request).expect(200)
    };
    assert_eq!(ask(&signer.read("lecture-1")).body, bytes(1000));
    assert!(opencast.requests().is_empty());
    assert_eq!(ask(&signer.read("lecture-2")).json()["target"], PATH);
}

#[test]
fn better_an_x_accel_redirect_of_opencasts_own_is_followed() {
    let (site, opencast) = (Site::with_lecture(), Upstream::start());
    let accel = "accel = { prefix = \"/protected\", files = \"downloads\" }";
    let config = Config::new().upstream("zoo", &[opencast.url()], accel);
    let gateway = site.start(&config.open_upstream_route(""));
    let told = gateway.get("/zoo/protected/org/player/lecture-1/video.mp4").expect(200);
    assert_eq!(told.body, bytes(1000));
}

// ---- where keys come from ----

#[test]
fn equal_an_unknown_key_is_fetched_for() {
    let (old, new, site) = (
        Signer::new().named("old"),
        Signer::new().named("new"),
        Site::with_lecture(),
    );
    let endpoint = JwksServer::start(&[&old]);
    let gateway = site.start(&Config::new().issuer("moodle", &endpoint.url(), "").section(MEDIA));
    eventually("the old key is there", || {
        (gateway.get_with(PATH, &old.read("lecture-1")).status == 200).then_some(())
    });
    endpoint.serve(&[&new]);
    eventually("the new key is fetched", || {
        (gateway.get_with(PATH, &new.read("lecture-1")).status == 200).then_some(())
    });
}

#[test]
fn better_without_any_key_it_is_503_and_not_the_tokens_fault() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let endpoint = JwksServer::start(&[&signer]);
    endpoint.fail(500);
    let gateway = site.start(&Config::new().issuer("moodle", &endpoint.url(), "").section(MEDIA));
    gateway
        .get_with(PATH, &signer.read("lecture-1"))
        .refused(503, "keys_unavailable");
}

#[test]
fn better_a_key_file_needs_no_endpoint_and_plain_http_can_be_allowed() {
    let site = Site::new();
    let issuer = |more: &str| {
        let config = Config::new().issuer("moodle", "http://moodle:8080/jwks.json", more);
        let file = site.write("gateway.toml", config.section(MEDIA).text());
        std::fs::create_dir_all(site.path("downloads")).unwrap();
        tools::janua(["check", "--offline", "--config", file.to_str().unwrap()])
    };
    let refused = issuer("");
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("allow_http"), "{refused:?}");
    assert_eq!(issuer("allow_http = true").code, Some(0));
    // A key file: every other test here.
}

// ---- the connection ----

#[test]
fn better_http2_health_and_metrics() {
    let bench = Bench::new();
    let mut client = H2::open(bench.gateway.http());
    client.request(1, "GET", PATH, &[], true).unwrap();
    assert_eq!(client.outcome(1), Outcome::Answered(401));
    assert_eq!(bench.gateway.admin("/readyz").status, 200);
    let requests = r#"janua_requests_total{method="GET",route="media",status="4xx"}"#;
    eventually("the request is counted", || bench.gateway.metric(requests));
}

#[test]
fn equal_an_endless_path_is_refused() {
    let bench = Bench::new();
    let endless = Request::get(&format!("{PATH}{}", "a".repeat(70_000)));
    // The connection may end while we still write; then there is no answer to read.
    if let Ok(told) = Connection::open(bench.gateway.http()).exchange_raw(endless.bytes()) {
        assert!([400, 414, 431].contains(&told.status), "{told:?}");
    }
    bench.send(Request::get(PATH)).expect(200);
}

#[test]
fn better_a_sigterm_lets_a_transfer_end() {
    const LENGTH: usize = 8 << 20;
    let mut bench = Bench::new();
    bench
        .gateway
        .site
        .write("downloads/org/player/lecture-1/long.mp4", bytes(LENGTH));
    let mut download = Connection::open(bench.gateway.http());
    let request = Request::get(&PATH.replace("video", "long")).bearer(&bench.granted());
    download.write(request.bytes()).unwrap();
    download.response_head().unwrap().expect(200);
    bench.gateway.signal("TERM");
    assert_eq!(download.read(LENGTH).unwrap(), bytes(LENGTH));
    drop(download);
    assert!(bench.gateway.ended().success());
}
