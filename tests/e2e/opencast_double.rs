//! The double of Opencast behaves as the facts say, so that what is shown with it means something.

use serde_json::json;

use crate::support::opencast::Fault;
use crate::support::{Connection, Opencast, Request, Signer, in_seconds};

fn send(opencast: &Opencast, request: Request) -> crate::support::http::Response {
    let address = opencast.url().trim_start_matches("http://").parse().unwrap();
    Connection::open(address).exchange(request)
}

fn basic(target: &str, pair: &str) -> Request {
    use base64::Engine as _;
    let pair = base64::engine::general_purpose::STANDARD.encode(pair);
    Request::get(target).header("Authorization", &format!("Basic {pair}"))
}

fn person(signer: &Signer, name: &str) -> String {
    let claims = json!({ "exp": in_seconds(60), "sub": name, "name": name, "email": "x@example.edu",
        "roles": ["ROLE_STUDIO"], "oc": { "e:one": ["read", "annotate-admin"], "s:two": ["read"] } });
    signer.token(&claims)
}

#[test]
fn a_token_makes_a_person_and_a_session_and_authorization_ends_it() {
    let (opencast, signer) = (Opencast::start(), Signer::new());
    opencast.event("one", &["4_Learner"]);
    opencast.site().jwks = Some(json!({ "keys": [signer.jwk()] }));
    let token = person(&signer, "anna.b");
    let me = send(&opencast, Request::get("/info/me.json").bearer(&token)).expect(200);
    let roles = &me.json()["roles"];
    for role in [
        "ROLE_STUDIO",
        "ROLE_USER",
        "ROLE_USER_ANNA_B",
        "ROLE_ANONYMOUS",
        "ROLE_EPISODE_one_ANNOTATE-ADMIN",
    ] {
        assert!(roles.as_array().unwrap().contains(&json!(role)), "{role} in {roles}");
    }
    assert_eq!(
        roles.as_array().unwrap().len(),
        6,
        "the series counts for nothing: {roles}"
    );
    let cookie = me.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let name = |request: Request| send(&opencast, request).json()["user"]["username"].clone();
    let with_cookie = || Request::get("/info/me.json").header("Cookie", &cookie);
    assert_eq!(name(with_cookie()), "anna.b");
    // The session beats another token, and then it is gone.
    assert_eq!(name(with_cookie().bearer(&person(&signer, "bob"))), "anna.b");
    assert_eq!(name(with_cookie()), "anonymous");
    let stranger = person(&Signer::new(), "anna.b");
    send(&opencast, Request::get("/info/me.json").bearer(&stranger)).expect(401);
    let nameless = signer.token(&json!({ "exp": in_seconds(60), "oc": { "e:one": ["read"] } }));
    send(&opencast, Request::get("/info/me.json").bearer(&nameless)).expect(500);
    // What a person may, the files show.
    let file = "/static/mh_default_org/engage-player/one/a/b.mp4";
    send(&opencast, Request::get(file)).expect(403);
    send(&opencast, Request::get(&format!("{file}?jwt={token}"))).expect(200);
    send(&opencast, Request::get("/studio/index.html")).expect(302);
    send(&opencast, Request::get("/studio/index.html").bearer(&token)).expect(200);
}

#[test]
fn launches_need_a_true_host() {
    let (opencast, signer) = (Opencast::start(), Signer::new());
    opencast.site().jwks = Some(json!({ "keys": [signer.jwk()] }));
    let launch = |target: &str| {
        let body = format!("jwt={}&target={target}", person(&signer, "anna"));
        let request = Request::new("POST", "/redirect/get").host("video.test").body(body);
        send(&opencast, request)
    };
    let good = launch("http://video.test/studio/").expect(303);
    assert_eq!(good.header("location"), Some("http://video.test/studio/"));
    assert!(good.header("set-cookie").is_some());
    launch("https://video.test/studio/").expect(400);
    launch("http://else.test/").expect(400);
    send(&opencast, Request::get("/redirect/get?target=/")).expect(404);
}

#[test]
fn the_api_shows_what_its_user_may_see() {
    let opencast = Opencast::start();
    opencast.event("one", &["ROLE_LOOK"]);
    opencast.event("other", &[]);
    let viewer = ["ROLE_API_EVENTS_VIEW", "ROLE_API_EVENTS_ACL_VIEW", "ROLE_LOOK"].map(str::to_owned);
    let mut site = opencast.site();
    site.users
        .insert("viewer".to_owned(), ("x".to_owned(), viewer.to_vec()));
    site.users.insert("nobody".to_owned(), ("x".to_owned(), Vec::new()));
    drop(site);
    let status = |target: &str, pair: &str| send(&opencast, basic(target, pair)).status;
    assert_eq!(status("/api/events/one/acl", "viewer:x"), 200);
    assert_eq!(status("/api/events/other/acl", "viewer:x"), 404);
    assert_eq!(status("/api/events/other/acl", "gateway:letmein"), 200);
    assert_eq!(status("/api/events/one/acl", "nobody:x"), 403);
    assert_eq!(status("/api/events/one/acl", "gateway:wrong"), 401);
    let acl = send(&opencast, basic("/api/events/one/acl", "gateway:letmein"));
    assert_eq!(
        acl.json(),
        json!([{ "allow": true, "action": "read", "role": "ROLE_LOOK" }])
    );
    opencast.fault(Fault::Status(500));
    assert_eq!(status("/api/events/one/acl", "gateway:letmein"), 500);
    assert_eq!(status("/info/me.json", "gateway:letmein"), 200);
}
