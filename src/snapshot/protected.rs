//! What is told of each host that takes access tokens: who gives them, and for what (RFC 9728).

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value, json};

use crate::config::{Config, Credential, PublicUrl, Route};
use crate::respond::Reply;

/// Where it is told, on each of these hosts.
pub const PROTECTED_RESOURCE: &str = "/.well-known/oauth-protected-resource";

/// A new server or scope is known everywhere an hour later.
const FRESH: HeaderValue = HeaderValue::from_static("public, max-age=3600");

/// The answers, by host. A host has none where a route of its own is written for the very path.
pub(super) fn metadata(config: &Config) -> HashMap<String, Reply> {
    let told = config.server.public_urls.iter().filter_map(|public| {
        let here = || {
            config
                .routes
                .iter()
                .filter(|route| route.hosts.rank(&public.host).is_some())
        };
        let has_own = here().any(|route| route.path == PROTECTED_RESOURCE);
        let routes: Vec<&Route> = here().map(AsRef::as_ref).filter(takes_bearers).collect();
        (!has_own && !routes.is_empty()).then(|| (public.host.clone(), reply(&document(config, public, &routes))))
    });
    told.collect()
}

fn takes_bearers(route: &&Route) -> bool {
    route.accept.contains(&Credential::Bearer)
}

/// RFC 9728 section 2.
fn document(config: &Config, public: &PublicUrl, routes: &[&Route]) -> Value {
    let bearers = config.bearers.iter().enumerate();
    let is_taken = |index: &usize| {
        let mut routes = routes.iter();
        routes.any(|route| route.bearers.as_ref().is_none_or(|named| named.contains(index)))
    };
    let issuers = bearers.filter(|(index, _)| is_taken(index));
    let issuers: BTreeSet<&str> = issuers.filter_map(|(_, bearer)| bearer.issuer()).collect();
    let rules = routes.iter().flat_map(|route| &route.allow);
    let scopes: BTreeSet<&str> = rules.flat_map(|rule| rule.scopes()).collect();
    let mut document = Map::from_iter([
        ("resource".to_owned(), json!(public.origin())),
        ("bearer_methods_supported".to_owned(), json!(["header"])),
    ]);
    // Section 3.2: a parameter without elements is left out.
    if !issuers.is_empty() {
        document.insert("authorization_servers".to_owned(), json!(issuers));
    }
    if !scopes.is_empty() {
        document.insert("scopes_supported".to_owned(), json!(scopes));
    }
    document.into()
}

fn reply(document: &Value) -> Reply {
    Reply {
        status: StatusCode::OK,
        headers: vec![
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (CACHE_CONTROL, FRESH),
            (ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        ],
        body: Bytes::from(document.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;

    fn told(more: &str) -> HashMap<String, Reply> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.toml");
        let text = format!(
            r#"
            [server]
            listen = ["127.0.0.1:8080"]
            public_urls = ["https://video.example.edu:8443", "https://other.example.edu"]
            [bearer.keys]
            clients = "portal"
            [bearer.keys.jwks]
            issuer = "https://idp.example.edu"
            [bearer.profiles]
            clients = "portal"
            [bearer.profiles.profile]
            endpoint = "https://cas.example.edu/profile"
            {more}
            "#
        );
        std::fs::write(&path, text).unwrap();
        metadata(&load(&path).unwrap().config)
    }

    fn route(path: &str, more: &str) -> String {
        format!("[[routes]]\nname = {path:?}\npath = {path:?}\nrespond = {{ status = 204 }}\n{more}\n")
    }

    #[test]
    fn each_host_tells_of_what_its_routes_take() {
        let a = route(
            "/a",
            "accept = [\"bearer\"]\nallow = [{ scope = [\"video\", \"all\"] }, { scope = \"video\" }]",
        );
        let b = route(
            "/b",
            "accept = [\"bearer\"]\nbearer = \"profiles\"\nhost = \"other.example.edu\"\nallow = [{ client = \"portal\" }]",
        );
        let told = told(&(a + &b));
        let document = |host: &str| serde_json::from_slice::<Value>(&told[host].body).unwrap();
        assert_eq!(
            document("video.example.edu"),
            json!({
                "resource": "https://video.example.edu:8443", "authorization_servers": ["https://idp.example.edu"],
                "scopes_supported": ["all", "video"], "bearer_methods_supported": ["header"],
            })
        );
        assert_eq!(
            document("other.example.edu"),
            json!({ "resource": "https://other.example.edu", "bearer_methods_supported": ["header"] })
        );
    }

    #[test]
    fn a_host_without_such_routes_or_with_an_answer_of_its_own_has_none() {
        let taking = route("/a", "accept = [\"bearer\"]\nallow = [{ client = \"portal\" }]");
        assert_eq!(told(&taking).len(), 1);
        let own = route(PROTECTED_RESOURCE, "allow = [{ anyone = true }]");
        assert!(told(&(taking + &own)).is_empty());
        assert!(told(&route("/a", "allow = [{ anyone = true }]")).is_empty());
    }
}
