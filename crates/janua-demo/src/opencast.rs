//! The server behind the gateway: Opencast's manners where the demo needs them, and the page.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::CONTENT_SECURITY_POLICY;
use http::{HeaderValue, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::cases;
use super::get;
use super::loopback::{PLAIN, nothing, text};
use super::platform::Platform;

const PAGE: &str = include_str!("../../../assets/demo/page.html");
const STYLE: &str = include_str!("../../../assets/demo/page.css");
const SCRIPT: &str = include_str!("../../../assets/demo/page.js");
const STUDIO: &str = include_str!("../../../assets/demo/studio.html");
const CAMPUS: &str = include_str!("../../../assets/demo/campus.css");
const ICON: &str = include_str!("../../../assets/demo/icon.svg");

/// The page brings everything itself and asks nobody else.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

pub(super) struct Opencast {
    pub(super) platform: Platform,
    pub(super) gateway: SocketAddr,
    /// The origin of the campus's sign-in servers.
    pub(super) campus: String,
    /// The gateway's admin listener.
    pub(super) admin: SocketAddr,
    /// The gateway's configuration.
    pub(super) config: PathBuf,
    pub(super) client: reqwest::Client,
    /// In which module of the gateway each reason arises.
    pub(super) modules: Value,
}

impl Opencast {
    /// The cases of the page, each with a token made for this moment.
    fn cases(&self) -> Response<String> {
        let (now, gateway) = (SystemTime::now(), format!("http://{}", self.gateway));
        let all = cases::all();
        let cases = all
            .iter()
            .map(|case| case.told(&self.platform, now, &gateway, &self.config));
        let told = json!({
            "gateway": gateway, "status": format!("http://{}/", self.admin), "cases": cases.collect::<Vec<_>>(),
            "modules": self.modules,
        });
        text(StatusCode::OK, "application/json", told.to_string())
    }

    /// A page for whom the gateway names. Its form leads to the provider when people sign out.
    fn studio(&self, request: &Request<Bytes>) -> Response<String> {
        let told = |name: &str| escaped(request.headers().get(name));
        let page = STUDIO.replace("@USER@", &told("x-forwarded-user"));
        let page = page.replace("@ROLES@", &told("x-forwarded-groups"));
        let mut page = text(StatusCode::OK, "text/html; charset=utf-8", page);
        let policy = format!(
            "default-src 'self'; base-uri 'none'; form-action 'self' {}; frame-ancestors 'none'; object-src 'none'",
            self.campus
        );
        if let Ok(policy) = HeaderValue::try_from(policy) {
            page.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
        }
        page
    }

    /// What the gateway tells on its admin listener, which the page cannot ask by itself.
    async fn metrics(&self) -> Response<String> {
        match get(&self.client, &format!("http://{}/metrics", self.admin)).await {
            Ok(metrics) => text(StatusCode::OK, PLAIN, metrics),
            Err(error) => text(StatusCode::SERVICE_UNAVAILABLE, PLAIN, format!("{error}\n")),
        }
    }

    pub(super) async fn answer(&self, request: &Request<Bytes>) -> Response<String> {
        match request.uri().path() {
            "/" => {
                let mut page = text(StatusCode::OK, "text/html; charset=utf-8", PAGE);
                page.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY);
                page
            }
            "/demo/page.css" => text(StatusCode::OK, "text/css; charset=utf-8", STYLE),
            "/demo/page.js" => text(StatusCode::OK, "text/javascript; charset=utf-8", SCRIPT),
            "/demo/campus.css" => text(StatusCode::OK, "text/css; charset=utf-8", CAMPUS),
            "/studio/" => self.studio(request),
            "/demo/icon.svg" => text(StatusCode::OK, "image/svg+xml", ICON),
            "/demo/cases.json" => self.cases(),
            "/demo/metrics" => self.metrics().await,
            "/info/me.json" => me(request),
            _ => nothing(),
        }
    }
}

/// Who Opencast believes is asking, in its own form, and, which it would not say, what reached it: the whole request
/// line and the names of all headers with their values. There is no token among them.
fn me(request: &Request<Bytes>) -> Response<String> {
    let headers = request.headers().iter();
    let received: serde_json::Map<String, Value> = headers
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
        .collect();
    let told = json!({
        "org": { "id": "mh_default_org", "name": "Opencast Project" },
        "user": { "username": "anonymous" },
        "roles": ["ROLE_ANONYMOUS"],
        "received": { "request": format!("{} {}", request.method(), request.uri()), "headers": received },
    });
    text(StatusCode::OK, "application/json", format!("{told:#}\n"))
}

/// A header's value as text of a page.
fn escaped(value: Option<&HeaderValue>) -> String {
    let value = value.map(HeaderValue::as_bytes).unwrap_or_default();
    let text = String::from_utf8_lossy(value);
    text.replace('&', "&amp;").replace('<', "&lt;")
}
