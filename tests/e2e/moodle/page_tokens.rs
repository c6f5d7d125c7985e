//! A page of the campus's own gives people's tokens for access tokens: of applications, and of sign-ins by OpenID Connect.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::school::{SITE_INFO, script};
use crate::bearer::campus::{By, Campus, Plan};
use crate::oidc::campus as sign_ins;
use crate::sign_in::campus::Visitor;
use crate::support::double::Double;
use crate::support::http::{Response, values};
use crate::support::moodle::Account;
use crate::support::oidc::double::Endpoint;
use crate::support::{Moodle, OidcDouble, Request, eventually};

const ALICES: &str = "9a9eab1e0ddba11c0ffee0d15ea5e333";
const BOBS: &str = "9a9eab1e0ddba11c0ffee0d15ea5e444";

/// What the page was asked: its method, address, `Authorization` and body.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    line: String,
    authorization: String,
    body: String,
}

type Says = Box<dyn Fn(&str) -> (&'static str, String) + Send>;

/// The page, at which nobody has to log in.
struct Page {
    double: Double,
    inner: Arc<Mutex<(Vec<Asked>, Says)>>,
}

impl Page {
    fn start() -> Self {
        let alices: Says = Box::new(|_| ("200 OK", told("alice", ALICES)));
        let inner = Arc::new(Mutex::new((Vec::new(), alices)));
        let served = Arc::clone(&inner);
        let double = Double::start(move |mut wire| {
            let Ok((line, headers)) = wire.head() else { return };
            let Ok((body, _)) = wire.body(&headers, false) else {
                return;
            };
            let authorization = values(&headers, "authorization").join(", ");
            let (head, told) = {
                let mut served = served.lock().unwrap();
                let (head, told) = (served.1)(&authorization);
                served.0.push(Asked {
                    line,
                    authorization,
                    body: String::from_utf8_lossy(&body).into_owned(),
                });
                (head, told)
            };
            let answer = format!(
                "HTTP/1.1 {head}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{told}",
                told.len()
            );
            // Who asked may be gone.
            drop(wire.stream.write_all(answer.as_bytes()));
        });
        Self { double, inner }
    }

    fn asked(&self) -> Vec<Asked> {
        self.inner.lock().unwrap().0.clone()
    }

    fn says(&self, says: impl Fn(&str) -> (&'static str, String) + Send + 'static) {
        self.inner.lock().unwrap().1 = Box::new(says);
    }

    /// `[moodle.main]` and its upstream, of the people of a sign-in by this name of theirs.
    fn moodle(&self, moodle: &Moodle, (sign_in, username): (&str, &str), lines: &str) -> String {
        let origin = "http://moodle.localhost";
        moodle.site().settings.wwwroot = origin.to_owned();
        for (name, id, token) in [("alice", 8, ALICES), ("bob", 4, BOBS)] {
            let account = Account {
                id,
                ..Account::default()
            };
            moodle.site().accounts.insert(name.to_owned(), account);
            moodle.site().give(token, name, "moodle_mobile_app");
        }
        format!(
            "[upstreams.moodle]\nservers = [{:?}]\n[moodle.main]\nupstream = \"moodle\"\npublic_url = {origin:?}\nsign_in = \
             {sign_in:?}\ntokens = [\"page\"]\nusername = {username:?}\n[moodle.main.page]\nurl = \
             \"http://{}/app\"\ntoken = \"/token\"\nforward_bearer_token = true\n{lines}\n",
            moodle.url(),
            self.double.address
        )
    }
}

fn told(user: &str, token: &str) -> String {
    json!({ "user": user, "token": token }).to_string()
}

/// A gateway to which applications bring access tokens.
struct Applications {
    page: Page,
    campus: Campus,
    moodle: Moodle,
    _provider: OidcDouble,
}

impl Applications {
    /// With lines of the page's table.
    fn start(lines: &str) -> Self {
        let (page, provider, moodle) = (Page::start(), OidcDouble::start(), Moodle::start());
        let of_moodle = page.moodle(&moodle, ("people", "{preferred_username}"), lines);
        let more = format!(
            "[sign_in.people.oidc]\nissuer = {:?}\nclient_id = \"janua\"\nclient_secret_file = \"secrets/bearer\"\nusername = \
             \"preferred_username\"\n{of_moodle}[[routes]]\nname = \"calls\"\npath = \"/webservice/{{*rest}}\"\nupstream = \
             \"moodle\"\npresent = \"moodle-token\"\naccept = [\"session\", \"bearer\"]\nallow = [{{ signed_in = true }}]\n",
            provider.issuer(),
        );
        let plan = Plan::by(By::Jwks).bearer("username = \"preferred_username\"\npeople = \"people\"");
        let campus = plan.more(&more).start();
        Self {
            page,
            campus,
            moodle,
            _provider: provider,
        }
    }

    fn token(&self, name: &str, more: &Value) -> String {
        let mut claims = json!({ "preferred_username": name, "sub": format!("id-of-{name}") });
        for (key, value) in more.as_object().unwrap() {
            claims[key] = value.clone();
        }
        self.campus.access_token(&claims)
    }

    fn call(&self, token: &str) -> Response {
        self.campus.get(SITE_INFO, token)
    }
}

#[test]
fn the_page_is_asked_with_an_applications_token() {
    let world = Applications::start("username = \"/user\"");
    let bearer = world.token("alice", &json!({}));
    assert_eq!(world.call(&bearer).expect(200).json()["username"], "alice");
    let asked = Asked {
        line: "POST /app HTTP/1.1".to_owned(),
        authorization: format!("Bearer {bearer}"),
        body: String::new(),
    };
    assert_eq!(world.page.asked(), [asked]);
    // Kept: nobody is asked again, by whatever token the person comes.
    world.call(&bearer).expect(200);
    world
        .call(&world.token("alice", &json!({ "jti": "another" })))
        .expect(200);
    assert_eq!(world.page.asked().len(), 1);
    let seen = format!("{:?}", world.moodle.site().requests);
    assert!(!seen.contains(&bearer), "the access token went on to Moodle");
}

#[test]
fn by_get_the_token_stands_in_the_header_too() {
    let world = Applications::start("method = \"GET\"");
    let bearer = world.token("alice", &json!({}));
    world.call(&bearer).expect(200);
    let [asked] = &*world.page.asked() else { panic!() };
    assert_eq!(asked.line, "GET /app HTTP/1.1");
    assert_eq!(asked.authorization, format!("Bearer {bearer}"));
}

#[test]
fn a_token_that_is_not_for_the_page_is_shown_to_it_once_and_another_one_serves() {
    let world = Applications::start("");
    let (not_for_it, for_it) = (
        world.token("alice", &json!({ "client_id": "stranger" })),
        world.token("alice", &json!({ "client_id": "portal" })),
    );
    let refused = format!("Bearer {not_for_it}");
    world.page.says(move |authorization| match authorization == refused {
        true => ("401 Unauthorized", String::new()),
        false => ("200 OK", told("alice", ALICES)),
    });
    world.call(&not_for_it).refused(403, "no_moodle_token");
    world
        .campus
        .gateway
        .logged(&["no token", "source=\"page\"", "does not take this access token (401"]);
    world.call(&not_for_it).refused(403, "no_moodle_token");
    assert_eq!(world.page.asked().len(), 1, "it is not shown once more");
    // The same person by another application's.
    assert_eq!(world.call(&for_it).expect(200).json()["username"], "alice");
    assert_eq!(world.page.asked().len(), 2);
    let metrics = world.campus.gateway.admin("/metrics").text();
    assert!(metrics.contains("janua_moodle_tokens_total{moodle=\"main\",outcome=\"not_for_page\",source=\"page\"} 1"));
}

#[test]
fn what_the_page_says_of_somebody_else_serves_nobody() {
    let world = Applications::start("");
    world.page.says(|_| ("200 OK", told("alice", BOBS)));
    let bearer = world.token("alice", &json!({}));
    world.call(&bearer).refused(403, "no_moodle_token");
    world.call(&bearer).refused(403, "no_moodle_token");
    assert_eq!(world.page.asked().len(), 1);
    // A name that the page tells itself counts first.
    let world = Applications::start("username = \"/user\"");
    world.page.says(|_| ("200 OK", told("bob", ALICES)));
    world.call(&bearer_of(&world)).refused(403, "no_moodle_token");
    world.page.says(|_| ("200 OK", told("Alice", ALICES)));
    let other = world.token("alice", &json!({ "jti": "another" }));
    assert_eq!(world.call(&other).expect(200).json()["username"], "alice");
}

fn bearer_of(world: &Applications) -> String {
    world.token("alice", &json!({}))
}

#[test]
fn no_redirect_is_followed_with_a_token() {
    let (world, elsewhere) = (Applications::start(""), Page::start());
    let to = format!("302 Found\r\nLocation: http://{}/app", elsewhere.double.address);
    let to: &'static str = Box::leak(to.into_boxed_str());
    world.page.says(move |_| (to, String::new()));
    world.call(&bearer_of(&world)).expect(502);
    world
        .campus
        .gateway
        .logged(&["no token", "source=\"page\"", "it redirects, which is not followed"]);
    assert_eq!(elsewhere.asked(), []);
}

#[test]
fn an_application_without_a_person_has_nothing_shown_to_the_page() {
    let world = Applications::start("");
    let own = json!({ "sub": "app", "client_id": "app", "preferred_username": "app" });
    let answer = world.call(&world.campus.access_token(&own));
    assert!([401, 403].contains(&answer.status), "{answer:?}");
    assert_eq!(world.page.asked(), []);
}

/// A gateway at which people sign in by a provider, whose tokens the page is shown.
struct People {
    page: Page,
    campus: sign_ins::Campus<OidcDouble>,
    moodle: Moodle,
}

impl People {
    fn start() -> Self {
        Self::beside(None)
    }

    /// With a Moodle `first` of the same people, whose page is at this address, and which is served before the other one.
    fn beside(other: Option<SocketAddr>) -> Self {
        let (page, moodle) = (Page::start(), Moodle::start());
        let other = other.map_or(String::new(), |address| {
            format!(
                "[upstreams.other]\nservers = [{:?}]\n[moodle.first]\nupstream = \"other\"\npublic_url = \
                 \"http://other.localhost\"\nsign_in = \"campus\"\ntokens = [\"page\"]\nusername = \"user\"\n\
                 [moodle.first.page]\nurl = \"http://{address}/app\"\ntoken = \"/token\"\nforward_bearer_token = true\n",
                moodle.url()
            )
        });
        let routes = "[[routes]]\nname = \"calls\"\npath = \"/webservice/{*rest}\"\nupstream = \"moodle\"\npresent = \
                      \"moodle-token\"\naccept = [\"session\"]\nsign_in = \"campus\"\nallow = [{ signed_in = true }]\n";
        let more = other + &page.moodle(&moodle, ("campus", "user"), "") + routes;
        let plan = sign_ins::Plan {
            more,
            username: "sub",
            ..sign_ins::Plan::default()
        };
        let campus = sign_ins::by_double(OidcDouble::start(), plan);
        Self { page, campus, moodle }
    }

    fn call(&self, visitor: &Visitor) -> Response {
        visitor.send(script(Request::get(SITE_INFO)))
    }

    /// How often the page was asked, once it was asked so often.
    fn is_asked(&self, times: usize) {
        eventually("the page is asked", || (self.page.asked().len() == times).then_some(()));
    }
}

#[test]
fn the_page_is_asked_when_somebody_signs_in() {
    let world = People::start();
    let visitor = world.campus.signs_in("alice");
    world.is_asked(1);
    assert_eq!(world.call(&visitor).expect(200).json()["username"], "alice");
    let [asked] = &*world.page.asked() else {
        panic!("asked again")
    };
    let userinfo = world.campus.provider.asked(Endpoint::Userinfo);
    assert!(asked.authorization.starts_with("Bearer "), "{asked:?}");
    for asked_there in userinfo {
        assert!(
            asked_there
                .headers
                .contains(&("authorization".to_owned(), asked.authorization.clone()))
        );
    }
}

#[test]
fn the_token_of_a_sign_in_serves_while_it_is_good_and_the_session_lasts() {
    let world = People::start();
    let visitor = world.campus.signs_in("alice");
    world.call(&visitor).expect(200);
    assert_eq!(world.page.asked().len(), 1);
    // Moodle's dies: the page is asked with the same token.
    world.moodle.site().tokens.retain(|row| row.token != ALICES);
    world
        .page
        .says(|_| ("200 OK", told("alice", "9a9eab1e0ddba11c0ffee0d15ea5e555")));
    let fresh = "9a9eab1e0ddba11c0ffee0d15ea5e555";
    world.moodle.site().give(fresh, "alice", "moodle_mobile_app");
    world.call(&visitor).expect(200);
    let asked = world.page.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].authorization, asked[1].authorization);
    visitor.post("/_janua/sign-out", "").expect(200);
    assert_eq!(world.call(&visitor).status, 401);
}

#[test]
fn what_is_over_or_of_another_kind_is_not_kept() {
    for over in [
        json!({ "expires_in": 0 }),
        json!({ "expires_in": "soon", "token_type": "DPoP" }),
        json!({ "token_type": "mac" }),
    ] {
        let world = People::start();
        world.campus.provider.behave().token = over.clone();
        let visitor = world.campus.signs_in("alice");
        world.call(&visitor).refused(403, "no_moodle_token");
        assert_eq!(world.page.asked(), [], "{over}");
    }
}

#[test]
fn a_page_that_takes_no_such_token_is_shown_it_once() {
    let world = People::start();
    world.page.says(|_| ("403 Forbidden", String::new()));
    let visitor = world.campus.signs_in("alice");
    world.is_asked(1);
    eventually("the page's answer has counted", || {
        let metrics = world.campus.gateway.admin("/metrics").text();
        metrics.contains("outcome=\"not_for_page\"").then_some(())
    });
    for _ in 0..2 {
        world.call(&visitor).refused(403, "no_moodle_token");
    }
    assert_eq!(world.page.asked().len(), 1);
}

#[test]
fn a_page_that_takes_no_such_token_leaves_it_to_the_pages_of_other_moodles() {
    let other = Page::start();
    other.says(|_| ("401 Unauthorized", String::new()));
    let world = People::beside(Some(other.double.address));
    let visitor = world.campus.signs_in("alice");
    world.is_asked(1);
    eventually("the other page has refused the token", || {
        let metrics = world.campus.gateway.admin("/metrics").text();
        let refused = "janua_moodle_tokens_total{moodle=\"first\",outcome=\"not_for_page\",source=\"page\"} 1";
        metrics.contains(refused).then_some(())
    });
    assert_eq!(world.call(&visitor).expect(200).json()["username"], "alice");
    // Moodle's token dies: the page is asked with the access token once more.
    let fresh = "9a9eab1e0ddba11c0ffee0d15ea5e666";
    world.moodle.site().tokens.retain(|row| row.token != ALICES);
    world.moodle.site().give(fresh, "alice", "moodle_mobile_app");
    world.page.says(move |_| ("200 OK", told("alice", fresh)));
    world.call(&visitor).expect(200);
    let asked = world.page.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].authorization, asked[1].authorization);
    assert_eq!(other.asked().len(), 1);
}

#[test]
fn a_page_that_hangs_takes_nothing_from_other_moodles() {
    /// Far more than there are places to ask a page in.
    const OTHERS: usize = 48;
    // It reads, and says nothing.
    let hanging = Double::start(|mut wire| while wire.head().is_ok() {});
    let world = People::beside(Some(hanging.address));
    for number in 0..OTHERS {
        let person = json!({ "sub": format!("person{number}") });
        let mut double = world.campus.provider.behave();
        (double.claims, double.userinfo) = (person.clone(), person);
        drop(double);
        world.campus.signs_in("alice");
    }
    let mut double = world.campus.provider.behave();
    (double.claims, double.userinfo) = (json!({}), json!({}));
    drop(double);
    let alice = world.campus.signs_in("alice");
    world.is_asked(OTHERS + 1);
    assert!(hanging.connections() > 0, "the other page was not asked");
    assert_eq!(world.call(&alice).expect(200).json()["username"], "alice");
    assert_eq!(world.page.asked().len(), OTHERS + 1);
}
