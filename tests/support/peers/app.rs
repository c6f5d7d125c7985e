//! An application that gets access tokens for people by the code flow.

use serde_json::Value;
use url::Url;

use super::super::cas::query;
use super::super::http::{Connection, Request};
use super::super::secrets::{self, Kind};
use super::person::{Pages, Person};

/// Where codes are sent; nobody listens there.
pub const CALLBACK: &str = "http://127.0.0.1:9/app";

/// A client of the server's.
pub struct App {
    pub id: &'static str,
    pub secret: &'static str,
    pub scope: &'static str,
    pub authorization: String,
    pub token: String,
}

/// Those of one sign-in.
pub struct Tokens {
    pub access: String,
    pub id: Option<String>,
    pub refresh: Option<String>,
}

impl App {
    /// The person signs in at the server, and the code is redeemed with the secret in the form.
    pub fn tokens_of<P: Pages>(&self, person: &Person<P>) -> Tokens {
        let asked = query(&[
            ("response_type", "code"),
            ("client_id", self.id),
            ("redirect_uri", CALLBACK),
            ("scope", self.scope),
            ("state", "a-state"),
            ("nonce", "a-nonce"),
        ]);
        let back = person.sign_in(&format!("{}?{asked}", self.authorization));
        assert!(back.as_str().starts_with(CALLBACK), "{back}");
        let code = back.query_pairs().find(|(name, _)| name == "code");
        let (_, code) = code.unwrap_or_else(|| panic!("no code in {back}"));
        self.redeem(&[
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", CALLBACK),
        ])
    }

    /// Its own, of nobody.
    pub fn own_tokens(&self) -> Tokens {
        self.redeem(&[("grant_type", "client_credentials"), ("scope", self.scope)])
    }

    fn redeem(&self, grant: &[(&str, &str)]) -> Tokens {
        let client = [("client_id", self.id), ("client_secret", self.secret)];
        let url: Url = self.token.parse().unwrap();
        let request = Request::new("POST", url.path())
            .host(url.authority())
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("Accept", "application/json")
            .header("Connection", "close")
            .body(query(&[grant, &client].concat()));
        let mut connection = Connection::open(url.socket_addrs(|| None).unwrap()[0]);
        let told = connection.exchange(request).expect(200).json();
        let token = |name: &str| {
            let token = told.get(name).and_then(Value::as_str)?.to_owned();
            secrets::register(Kind::Token, &token);
            secrets::register_signature(&token);
            Some(token)
        };
        Tokens {
            access: token("access_token").unwrap_or_else(|| panic!("{told}")),
            id: token("id_token"),
            refresh: token("refresh_token"),
        }
    }
}
