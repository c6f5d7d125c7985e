//! `respond.decide`: a real nginx asks (`auth_request`), and the other routes decide.

use crate::support::http::Response;
use crate::support::{Config, Connection, Gateway, Moodle, Nginx, OidcDouble, Request, Signer, Site, tools};

const DECIDE: &str = r#"
[[routes]]
name    = "nginx asks"
path    = "/_decide"
respond = { decide = { uri = "X-Original-URI", method = "X-Original-Method" } }
allow   = [{ from = ["127.0.0.1/32"] }]
"#;
const OFFICE: &str = r#"
[[routes]]
name  = "office"
path  = "/office"
respond = { status = 204 }
allow = [{ from = ["192.0.2.0/24"] }]
deny  = [{ from = ["192.0.2.66/32"] }]
"#;

fn gateway(signer: &Signer, trusted: &str) -> Gateway {
    let site = Site::with_lecture();
    let config = Config::media(&site, signer).server("trusted_proxies", trusted);
    site.start(&config.section(OFFICE).section(DECIDE).open_route())
}

fn asked(method: &str, uri: &str) -> Request {
    Request::get("/_decide")
        .header("X-Original-URI", uri)
        .header("X-Original-Method", method)
}

const VIDEO: &str = "/static/org/player/lecture-1/video.mp4";

#[track_caller]
fn denied(answer: Response, status: u16, reason: &str) {
    let answer = answer.refused(status, reason);
    assert_eq!(answer.header("x-janua-reason"), Some(reason));
    assert_eq!(answer.json()["status"], status);
}

#[test]
fn the_other_routes_decide_and_nothing_is_done() {
    let signer = Signer::new();
    let gateway = gateway(&signer, r#"["127.0.0.1/32"]"#);
    let token = signer.read("lecture-1");
    let allowed = gateway.send(asked("GET", VIDEO).bearer(&token)).expect(204);
    assert_eq!(allowed.text(), "");
    gateway.send(asked("GET", &format!("{VIDEO}?jwt={token}"))).expect(204);
    gateway.send(asked("GET", "/open")).expect(204);
    // There is no such file, and yet it may be had: nobody looked.
    gateway
        .send(asked("GET", "/static/org/player/lecture-1/none.mp4").bearer(&token))
        .expect(204);

    let challenged = gateway.send(asked("GET", VIDEO)).expect(401);
    assert!(challenged.header("www-authenticate").unwrap().starts_with("Bearer"));
    denied(challenged, 401, "no_credentials");
    let other = signer.read("lecture-2");
    denied(
        gateway.send(asked("GET", VIDEO).bearer(&other)),
        403,
        "event_not_granted",
    );
    denied(
        gateway.send(asked("PUT", VIDEO).bearer(&token)),
        403,
        "method_not_allowed",
    );
    denied(gateway.send(asked("GET", "/nowhere").bearer(&token)), 403, "no_route");
    denied(
        gateway.send(asked("GET", "/static/%2e%2e/x").bearer(&token)),
        403,
        "bad_path",
    );
    denied(gateway.send(asked("GET", "ftp://video.test/open")), 403, "bad_request");
    denied(gateway.send(asked("TRACE", "/open")), 403, "not_implemented");
    denied(gateway.send(asked("GET", "/_decide")), 403, "no_route");
    gateway.logged(&[
        "path=\"/static/org/player/lecture-1/video.mp4\"",
        "status=403",
        "event_not_granted",
    ]);
}

/// What ingress-nginx (auth-url), Traefik (forwardAuth) and Caddy (forward_auth) send.
#[test]
fn other_proxies_ask_in_their_own_headers() {
    let signer = Signer::new();
    let token = signer.read("lecture-1");
    let odd = "/static/org/player/lecture-1/für alle.mp4".replace(' ', "%20");
    for (names, request) in [
        (
            r#"uri = "X-Original-URL", method = "X-Original-Method""#,
            Request::get("/_decide")
                .header("X-Original-URL", &format!("https://video.test{VIDEO}?jwt={token}"))
                .header("X-Original-Method", "GET")
                .header("X-Forwarded-For", "192.0.2.7"),
        ),
        (
            r#"uri = "X-Original-URL", method = "X-Original-Method""#,
            Request::get("/_decide")
                .header("X-Original-URL", &format!("HTTP://video.test:8080{odd}?jwt={token}"))
                .header("X-Original-Method", "HEAD"),
        ),
        (
            r#"uri = "X-Forwarded-Uri", method = "X-Forwarded-Method", host = "X-Forwarded-Host""#,
            Request::get("/_decide")
                .header("X-Forwarded-Uri", &format!("{VIDEO}?jwt={token}"))
                .header("X-Forwarded-Method", "GET")
                .header("X-Forwarded-Host", "video.test")
                .header("X-Forwarded-Proto", "https"),
        ),
        (
            r#"uri = "X-Forwarded-Uri", method = "X-Forwarded-Method""#,
            Request::get("/_decide")
                .header("X-Forwarded-Uri", VIDEO)
                .header("X-Forwarded-Method", "GET")
                .bearer(&token),
        ),
    ] {
        let site = Site::with_lecture();
        let names = DECIDE.replace(r#"uri = "X-Original-URI", method = "X-Original-Method""#, names);
        let config = Config::media(&site, &signer).server("trusted_proxies", r#"["127.0.0.1/32"]"#);
        let gateway = site.start(&config.section(&names).open_route());
        gateway.send(request).expect(204);
        denied(gateway.get("/_decide"), 403, "bad_request");
    }
    // Another scheme, or an address within a query, is no whole URL.
    let gateway = gateway(&signer, r#"["127.0.0.1/32"]"#);
    denied(gateway.send(asked("GET", "ftp://video.test/open")), 403, "bad_request");
    gateway.send(asked("GET", "/open?to=https://video.test/x")).expect(204);
}

/// A described host is a public one, as any other; the proxy itself may call the gateway by the name that it has in their
/// own network.
#[test]
fn the_host_in_question_is_a_public_one_and_the_asking_one_need_not_be() {
    let signer = Signer::new();
    let site = Site::with_lecture();
    let names = r#"uri = "X-Forwarded-Uri", method = "X-Forwarded-Method", host = "X-Forwarded-Host""#;
    let decide = DECIDE.replace(r#"uri = "X-Original-URI", method = "X-Original-Method""#, names);
    let start = |trusted: &str, more: &str| {
        let config = Config::media(&site, &signer)
            .server("trusted_proxies", trusted)
            .server("public_urls", r#"["http://video.test", "http://moodle.test:8080"]"#);
        site.start(&config.section(&decide).section(more).open_route())
    };
    let gateway = start(r#"["127.0.0.1/32"]"#, "");
    let about = |host: &str| {
        let request = Request::get("/_decide").host("janua.default.svc:8080");
        let request = request
            .header("X-Forwarded-Uri", "/open")
            .header("X-Forwarded-Method", "GET");
        gateway.send(request.header("X-Forwarded-Host", host))
    };
    about("video.test").expect(204);
    for host in [
        "video.test:8443",
        "other.test",
        "janua.default.svc:8080",
        "moodle.test:80",
    ] {
        denied(about(host), 403, "unknown_host");
    }
    // Where nothing else names the host in question, Host does.
    let by_host = DECIDE
        .replace("X-Original-URI", "X-Forwarded-Uri")
        .replace("X-Original-Method", "X-Forwarded-Method");
    let by_host = by_host
        .replace("nginx asks", "caddy asks")
        .replace("/_decide", "/_caddy");
    drop(gateway);
    let gateway = start(r#"["127.0.0.1/32"]"#, &by_host);
    let about = |host: &str| {
        let request = Request::get("/_caddy").host(host);
        gateway.send(
            request
                .header("X-Forwarded-Uri", "/open")
                .header("X-Forwarded-Method", "GET"),
        )
    };
    about("video.test").expect(204);
    for host in ["video.test:9", "other.test"] {
        denied(about(host), 403, "unknown_host");
    }
    // By any other path that name is nobody's, and a stranger may not call the gateway by it.
    let inside = |path: &str| Request::get(path).host("janua.default.svc:8080");
    gateway.send(inside("/open")).refused(421, "unknown_host");
    drop(gateway);
    let gateway = start(r#"["192.0.2.1/32"]"#, "");
    denied(gateway.send(inside("/_decide")), 403, "not_allowed");
}

/// nginx and Caddy ask with the host in question, whichever of the public ones has the route for decisions.
#[test]
fn decisions_are_asked_for_at_any_public_host() {
    let site = Site::with_lecture();
    let elsewhere = r#"
[[routes]]
name = "moodle"
host = "moodle.test"
path = "/course"
respond = { status = 204 }
allow = [{ anyone = true }]
"#;
    let config = Config::media(&site, &Signer::new())
        .server("trusted_proxies", r#"["127.0.0.1/32"]"#)
        .server("public_urls", r#"["http://video.test", "http://moodle.test:8080"]"#);
    let gateway = site.start(&config.section(DECIDE).section(elsewhere).open_route());
    let about = |host: &str, uri: &str| gateway.send(asked("GET", uri).host(host));
    about("moodle.test:8080", "/course").expect(204);
    denied(about("moodle.test:8080", "/open"), 403, "no_route");
    denied(about("video.test", "/course"), 403, "no_route");
    gateway
        .send(Request::get("/nowhere").host("moodle.test:8080"))
        .refused(404, "no_route");
}

/// The proxy that asks passes on what its client has said: what counts there is what was decided about.
#[test]
fn what_the_server_in_question_would_do_is_what_is_judged() {
    let gateway = gateway(&Signer::new(), r#"["127.0.0.1/32"]"#);
    for name in [
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X_Method_Override",
        "X-Method",
    ] {
        let says = |method: &str| gateway.send(asked("GET", "/open").header(name, method));
        denied(says("DELETE"), 403, "bad_request");
        says("get").expect(204);
    }
    // Over HTTP/2 a websocket begins so (RFC 8441).
    let opens = asked("CONNECT", "/open").header("Connection", "Upgrade");
    gateway.send(opens.header("Upgrade", "websocket")).expect(204);
    denied(gateway.send(asked("CONNECT", "/open")), 403, "not_implemented");
    let site = Site::with_lecture();
    let names = r#"uri = "X-Original-URL", method = "X-Original-Method", host = "X-Asked-Host""#;
    let decide = DECIDE.replace(r#"uri = "X-Original-URI", method = "X-Original-Method""#, names);
    let config = Config::media(&site, &Signer::new()).server("trusted_proxies", r#"["127.0.0.1/32"]"#);
    let gateway = site.start(&config.section(&decide).open_route());
    let about = |host: &str| {
        let request = Request::get("/_decide").header("X-Original-Method", "GET");
        gateway.send(
            request
                .header("X-Original-URL", "http://video.test/open")
                .header("X-Asked-Host", host),
        )
    };
    about("VIDEO.test:80").expect(204);
    denied(about("moodle.test"), 403, "bad_request");
}

#[test]
fn what_is_missing_or_said_twice_is_no_question() {
    let gateway = gateway(&Signer::new(), r#"["127.0.0.1/32"]"#);
    denied(gateway.get("/_decide"), 403, "bad_request");
    denied(
        gateway.send(Request::get("/_decide").header("X-Original-URI", "/open")),
        403,
        "bad_request",
    );
    denied(
        gateway.send(asked("GET", "/open").header("X-Original-URI", VIDEO)),
        403,
        "bad_request",
    );
}

#[test]
fn who_may_not_ask_is_told_so_in_the_same_words() {
    let signer = Signer::new();
    let site = Site::with_lecture();
    let elsewhere = DECIDE.replace("127.0.0.1/32", "192.0.2.1/32");
    let config = Config::media(&site, &signer).server("trusted_proxies", r#"["127.0.0.1/32"]"#);
    let gateway = site.start(&config.section(&elsewhere).open_route());
    // That its client may is no reason: the proxy is the one who asks.
    let request = asked("GET", "/open").header("X-Forwarded-For", "192.0.2.1");
    denied(gateway.send(request), 403, "not_allowed");
}

#[test]
fn who_is_no_trusted_proxy_hears_no_decision() {
    let gateway = gateway(&Signer::new(), r#"["192.0.2.1/32"]"#);
    denied(gateway.send(asked("GET", "/open")), 403, "not_allowed");
}

#[test]
fn the_client_behind_the_proxy_is_the_one_who_is_judged() {
    let gateway = gateway(&Signer::new(), r#"["127.0.0.1/32"]"#);
    let from = |address: &str| gateway.send(asked("GET", "/office").header("X-Forwarded-For", address));
    from("192.0.2.7").expect(204);
    denied(from("198.51.100.7"), 403, "not_allowed");
    denied(from("192.0.2.66"), 403, "denied_by_rule");
}

#[test]
fn nginx_asks_before_it_serves() {
    if tools::missing("nginx") {
        return;
    }
    let signer = Signer::new();
    let gateway = gateway(&signer, r#"["127.0.0.1/32"]"#);
    let nginx = Nginx::with(&format!(
        r#"
        location /static/ {{
            auth_request /_decide;
            auth_request_set $janua_reason $upstream_http_x_janua_reason;
            add_header X-Reason $janua_reason always;
            alias {}/downloads/;
        }}
        location = /_decide {{
            internal;
            proxy_pass http://{};
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_set_header Host video.test;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Original-URI $request_uri;
            proxy_set_header X-Original-Method $request_method;
        }}"#,
        gateway.site.root().display(),
        gateway.http()
    ));
    let ask = |request: Request| Connection::open(nginx.address).exchange(request.header("Connection", "close"));
    let token = signer.read("lecture-1");
    let video = ask(Request::get(VIDEO).bearer(&token)).expect(200);
    assert_eq!(video.body.len(), 1000);
    ask(Request::get(&format!("{VIDEO}?jwt={token}"))).expect(200);
    let none = ask(Request::get(VIDEO)).expect(401);
    assert!(none.header("www-authenticate").unwrap().starts_with("Bearer"));
    let other = ask(Request::get(VIDEO).bearer(&signer.read("lecture-2"))).expect(403);
    assert_eq!(other.header("x-reason"), Some("event_not_granted"));
    // What the client says of itself is not what nginx says.
    let forged = Request::get(VIDEO)
        .header("X-Original-URI", "/open")
        .header("X-Original-Method", "GET");
    ask(forged).expect(401);
    ask(Request::get("/_decide")).expect(404);
}

/// Its session in Moodle waits for the code at the gateway, and Moodle would end the browser's own in its place.
#[test]
fn a_code_that_is_for_the_gateway_is_let_through_to_nobody() {
    let (idp, moodle, site) = (OidcDouble::start(), Moodle::start(), Site::new());
    let secret = site.write("secrets/oidc", "secret-of-the-client\n");
    let config = Config::new()
        .server("trusted_proxies", r#"["127.0.0.1/32"]"#)
        .server("public_urls", r#"["https://moodle.test"]"#)
        .upstream("moodle", &[moodle.url()], "")
        .section(&format!(
            "[sign_in.campus.oidc]\nissuer = {:?}\nclient_id = \"janua\"\nclient_secret_file = {secret:?}\n",
            idp.issuer()
        ))
        .section(
            "[moodle.campus]\nupstream = \"moodle\"\npublic_url = \"https://moodle.test\"\nsign_in = \"campus\"\n\
             tokens = [\"oidc-launch\"]\n",
        )
        .section(DECIDE)
        .section(
            "[[routes]]\nname = \"moodle\"\npath = \"/{*rest}\"\nupstream = \"moodle\"\nallow = [{ anyone = true }]\n",
        );
    let gateway = site.start(&config);
    let ask = |passport: &str| {
        let wanted = format!("/admin/tool/mobile/launch.php?passport={passport}");
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let state = format!("/auth/oauth2/login.php?wantsurl={}&sesskey=x&id=1", encoded(&wanted));
        let uri = format!("/admin/oauth2callback.php?code=x&state={}", encoded(&state));
        gateway.send(asked("GET", &format!("https://moodle.test{uri}")))
    };
    denied(ask("janua-0123456789abcdef"), 403, "no_route");
    ask("0.123456789").expect(204);
}
