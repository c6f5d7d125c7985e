//! Access tokens that real servers give to apps.

use crate::check_machine::{check, told};
use crate::support::http::Response;
use crate::support::peers::app::App;
use crate::support::peers::{Pages, Person};
use crate::support::{Config, Gateway, Request, Site};

/// What tokens must be meant for, where the server can say so.
pub const AUDIENCE: &str = "https://video.test";

/// A gateway that takes the tokens of one server: `/person/…` is for people, `/staff/…` for those of one role, `/portal/…` for
/// one client and `/scope/…` for one scope.
pub struct Api {
    gateway: Gateway,
}

/// `[bearer.campus]`, with `{secret}` for the file of the introspecting client's secret.
fn config(site: &Site, bearer: &str, secret: &str, staff: &str) -> Config {
    let secret = site.write("secrets/bearer", format!("{secret}\n"));
    let bearer = bearer.replace("{secret}", &format!("client_secret_file = {secret:?}"));
    let routes = [
        ("person", "{ signed_in = true }".to_owned()),
        ("staff", format!("{{ role = {staff:?} }}")),
        ("portal", "{ client = [\"portal\", \"portal-oauth2\"] }".to_owned()),
        ("scope", "{ scope = \"profile\" }".to_owned()),
    ]
    .map(|(name, allow)| {
        format!(
            "[[routes]]\nname = {name:?}\npath = \"/{name}/{{*rest}}\"\nrespond = {{ status = 200 }}\naccept = [\"bearer\"]\n\
             bearer = \"campus\"\nallow = [{allow}]\n"
        )
    });
    Config::new().section(&format!("{bearer}\n{}", routes.concat()))
}

impl Api {
    pub fn start(bearer: &str, secret: &str, staff: &str) -> Self {
        let site = Site::new();
        let config = config(&site, bearer, secret, staff);
        Self {
            gateway: site.start(&config),
        }
    }

    pub fn get(&self, path: &str, token: &str) -> Response {
        self.gateway.send(Request::get(path).bearer(token))
    }

    /// Whose token it is, which client's, and what it may do.
    #[track_caller]
    pub fn takes(&self, token: &str, person: &str) {
        for path in ["/person/x", "/portal/x"] {
            self.get(path, token).expect(200);
        }
        self.gateway
            .logged(&["path=\"/person/x\"", &format!("subject=\"campus/{person}\"")]);
    }

    #[track_caller]
    pub fn refuses(&self, token: &str) {
        let refused = self.get("/person/x", token).expect(401);
        let challenge = refused.header("www-authenticate").unwrap_or_default();
        assert!(challenge.starts_with("Bearer "), "{challenge}");
    }

    /// The same, where the server says of a token that the question is wrong: it may be the server's fault.
    #[track_caller]
    pub fn lets_nobody_in(&self, token: &str) {
        let answer = self.get("/person/x", token);
        assert!([401, 503].contains(&answer.status), "{answer:?}");
    }

    /// A token of a person for `app`, and nothing else that the server gives: no ID token, no refresh token, and no token that
    /// another client has asked for.
    #[track_caller]
    pub fn takes_access_tokens_alone<P: Pages>(&self, app: &App, other: &App, person: impl Fn() -> Person<P>) {
        let tokens = app.tokens_of(&person());
        self.takes(&tokens.access, "anna");
        if let Some(token) = tokens.id {
            self.lets_nobody_in(&token);
        }
        self.refuses(&tokens.refresh.expect("a refresh token"));
        self.refuses(&other.tokens_of(&person()).access);
        self.refuses("nothing");
        let (rest, signature) = tokens.access.split_at(tokens.access.len() - 12);
        let swapped: String = signature.chars().rev().collect();
        self.refuses(&format!("{rest}{swapped}"));
    }
}

/// `janua check` is green, and says what is wrong about a wrong secret, if there is one.
#[track_caller]
pub fn is_checked(bearer: &str, secret: &str) {
    let site = Site::new();
    let good = check(&site, &config(&site, bearer, secret, "ROLE_X").text(), &[]);
    assert_eq!(good.code, Some(0), "{good:?}");
    if bearer.contains("{secret}") {
        let wrong = check(&site, &config(&site, bearer, "a wrong secret", "ROLE_X").text(), &[]);
        told(&wrong, 1, "BAD  bearer campus", &[]);
    }
}
