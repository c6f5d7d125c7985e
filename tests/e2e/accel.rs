//! `X-Accel-Redirect`: told to a real nginx in front, and followed where an upstream says it.

use crate::support::config::bytes;
use crate::support::{Config, Connection, Gateway, Nginx, Request, Signer, Site, Upstream, tools};

const TOLD: &str = r#"
[[routes]]
name  = "media"
path  = "/static/{org}/{channel}/{event}/{*file}"
accel = "/protected"
strip = "/static"
allow = [{ grant = "read", event = "{event}" }]
cors  = { origins = ["https://moodle.example.edu"] }
"#;

fn telling(site: &Site, signer: &Signer) -> Gateway {
    site.write_keys("keys.json", &[signer]);
    site.start(&Config::new().issuer("moodle", "keys.json", "").section(TOLD))
}

/// nginx in front, as the README shows it.
fn front(gateway: &Gateway) -> Nginx {
    Nginx::with(&format!(
        r#"
        location / {{
            proxy_pass http://{};
            proxy_set_header Host video.test;
        }}
        location /protected/ {{
            internal;
            alias {}/downloads/;
            add_header Access-Control-Allow-Origin $upstream_http_access_control_allow_origin always;
            add_header X-Content-Type-Options $upstream_http_x_content_type_options always;
            add_header Content-Security-Policy $upstream_http_content_security_policy always;
        }}"#,
        gateway.http(),
        gateway.site.root().display()
    ))
}

fn ask(nginx: &Nginx, request: Request) -> crate::support::http::Response {
    Connection::open(nginx.address).exchange(request.header("Connection", "close"))
}

#[test]
fn an_allowed_request_names_the_file_and_sends_nothing() {
    let (site, signer) = (Site::new(), Signer::new());
    let gateway = telling(&site, &signer);
    let token = signer.read("lecture-1");
    let path = "/static/org/player/lecture-1/a%20b%C3%BC%25.mp4?download=1";
    let told = gateway.get_with(path, &token).expect(200);
    assert_eq!(
        told.header("x-accel-redirect"),
        Some("/protected/org/player/lecture-1/a%20b%C3%BC%25.mp4")
    );
    assert_eq!(told.text(), "");
    assert_eq!(told.header("cache-control"), Some("private"));
    assert_eq!(told.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(told.header("content-security-policy"), None);
    assert!(told.header("content-disposition").unwrap().starts_with("attachment; "));
    assert_eq!(told.header("content-type"), Some("video/mp4"));
    for name in ["a.html", "manifest.mpd", "unknown"] {
        let path = format!("/static/org/player/lecture-1/{name}");
        let told = gateway.get_with(&path, &token).expect(200);
        assert_eq!(told.header("content-security-policy"), Some("sandbox"), "{name}");
        assert_eq!(told.header("content-type"), None, "{name}");
    }
    let refused = gateway.get("/static/org/player/lecture-1/a.mp4").expect(401);
    assert_eq!(refused.header("x-accel-redirect"), None);
    gateway
        .get_with("/static/org/player/lecture-1/../../x", &token)
        .expect(400);
    gateway
        .send(Request::new("POST", "/static/org/player/lecture-1/a.mp4").bearer(&token))
        .expect(405);
}

#[test]
fn nginx_in_front_sends_what_was_allowed_and_keeps_the_headers() {
    if tools::missing("nginx") {
        return;
    }
    let (site, signer) = (Site::with_lecture(), Signer::new());
    site.write("downloads/org/player/lecture-1/ü %41.html", "<script>");
    let gateway = telling(&site, &signer);
    let nginx = front(&gateway);
    let token = signer.read("lecture-1");
    let video = "/static/org/player/lecture-1/video.mp4";
    let request = Request::get(video).bearer(&token).header("Range", "bytes=10-19");
    let part = ask(&nginx, request.header("Origin", "https://moodle.example.edu")).expect(206);
    assert_eq!(part.body, &bytes(1000)[10..20]);
    assert_eq!(part.header("content-type"), Some("video/mp4"));
    assert_eq!(part.header("cache-control"), Some("private"));
    assert_eq!(
        part.header("access-control-allow-origin"),
        Some("https://moodle.example.edu")
    );
    assert_eq!(part.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(part.header("content-security-policy"), None);

    let odd = "/static/org/player/lecture-1/%C3%BC%20%2541.html";
    let page = ask(&nginx, Request::get(odd).bearer(&token)).expect(200);
    assert_eq!(page.text(), "<script>");
    assert_eq!(page.header("content-security-policy"), Some("sandbox"));
    assert!(page.header("content-disposition").unwrap().starts_with("attachment; "));

    ask(&nginx, Request::get(video)).expect(401);
    ask(&nginx, Request::get(video).bearer(&signer.read("lecture-2"))).expect(403);
    ask(&nginx, Request::get("/protected/org/player/lecture-1/video.mp4")).expect(404);
}

fn following(site: &Site, zoo: &Upstream) -> Gateway {
    let accel = r#"accel = { prefix = "/protected", files = "downloads" }"#;
    let config = Config::new().upstream("zoo", &[zoo.url()], accel);
    site.start(&config.open_upstream_route(""))
}

#[test]
fn an_upstreams_answer_is_served_from_the_folder() {
    let (site, zoo) = (Site::with_lecture(), Upstream::start());
    site.write("secret.txt", "secret");
    let gateway = following(&site, &zoo);
    let video = "/zoo/protected/org/player/lecture-1/video.mp4";
    let whole = gateway.get(video).expect(200);
    assert_eq!(whole.body, bytes(1000));
    assert_eq!(whole.header("x-accel-redirect"), None);
    assert_eq!(whole.header("content-type"), Some("video/mp4"));
    let set = whole
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    let set: Vec<&str> = set.map(|(_, value)| value.as_str()).collect();
    assert_eq!(set, ["JSESSIONID=1"], "none of the gateway's");
    assert!(whole.header("x-request-id").is_some());
    let etag = whole.header("etag").unwrap();
    gateway.logged(&[video, "status=200", "reason=- detail=-"]);

    let part = gateway
        .send(Request::get(video).header("Range", "bytes=-5"))
        .expect(206);
    assert_eq!(part.body, &bytes(1000)[995..]);
    let known = gateway
        .send(Request::get(video).header("If-None-Match", etag))
        .expect(304);
    assert_eq!(known.text(), "");
    let head = gateway.send(Request::new("HEAD", video)).expect(200);
    assert_eq!(head.header("content-length"), Some("1000"));
    gateway
        .get("/zoo/protected/org/none.mp4")
        .refused(404, "file_not_found");
    // The connections to the upstream are whole again after all that.
    gateway.get("/plain").expect(200);
}

#[test]
fn where_the_gateway_says_who_it_is_no_session_comes_with_the_file() {
    let (site, zoo) = (Site::with_lecture(), Upstream::start());
    site.write("secrets/opencast", "letmein");
    let accel = r#"accel = { prefix = "/protected", files = "downloads" }"#;
    let config = Config::new().upstream("zoo", &[zoo.url()], accel);
    let config = config
        .open_upstream_route("present = \"opencast-jwt\"")
        .section("[opencast.main]\nupstream = \"zoo\"\nusername = \"gateway\"\npassword_file = \"secrets/opencast\"\n");
    let gateway = site.start(&config);
    let video = gateway.get("/zoo/protected/org/player/lecture-1/video.mp4").expect(200);
    assert_eq!(video.body, bytes(1000));
    assert_eq!(video.header("set-cookie"), None);
}

#[test]
fn nothing_outside_of_the_folder_is_served() {
    let (site, zoo) = (Site::with_lecture(), Upstream::start());
    site.write("secret.txt", "secret");
    std::os::unix::fs::symlink(site.path("secret.txt"), site.path("downloads/link")).unwrap();
    let gateway = following(&site, &zoo);
    gateway.get("/zoo/protected/link").refused(404, "file_not_found");
    // The zoo names /protected/secret here, which is below the prefix and not there.
    gateway.get("/zoo/accel").refused(404, "file_not_found");
}

#[test]
fn a_name_outside_of_the_prefix_is_a_bad_gateway_and_stands_in_the_log() {
    let (site, zoo) = (Site::with_lecture(), Upstream::start());
    let accel = r#"accel = { prefix = "/elsewhere", files = "downloads" }"#;
    let config = Config::new().upstream("zoo", &[zoo.url()], accel);
    let gateway = site.start(&config.open_upstream_route(""));
    let refused = gateway.get("/zoo/protected/org/player/lecture-1/video.mp4");
    refused.refused(502, "upstream_failed");
    gateway.logged(&["status=502", "names no file below `/elsewhere`"]);
}

#[test]
fn over_http2_too() {
    if tools::missing("curl") {
        return;
    }
    let (site, zoo) = (Site::with_lecture(), Upstream::start());
    let gateway = following(&site, &zoo);
    let url = gateway.url("/zoo/protected/org/player/lecture-1/video.mp4");
    let output = site.path("output");
    let told = tools::curl(&[
        "--http2-prior-knowledge",
        "--range",
        "0-3",
        "--write-out",
        "%{http_version} %{http_code}",
        "--output",
        output.to_str().unwrap(),
        &url,
    ]);
    assert_eq!(told.ok().stdout, "2 206");
    assert_eq!(std::fs::read(output).unwrap(), &bytes(1000)[..4]);
}

#[test]
fn a_client_that_goes_in_the_middle_stands_in_the_log() {
    let (site, zoo) = (Site::new(), Upstream::start());
    site.write("downloads/long.mp4", vec![0; 64 << 20]);
    let gateway = following(&site, &zoo);
    let mut client = Connection::open(gateway.http());
    client.write(Request::get("/zoo/protected/long.mp4").bytes()).unwrap();
    assert_eq!(client.response_head().unwrap().status, 200);
    drop(client);
    gateway.logged(&["/zoo/protected/long.mp4", "writing failed"]);
}
