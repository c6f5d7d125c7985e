//! Views as Matomo's Tracking API takes them, many in one request (its plug-in BulkTracking): a list of queries, and the
//! token that lets their times and visitors be set.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};
use serde::Deserialize;
use serde_json::json;

use super::View;
use super::export::{ExportError, Told};
use crate::backchannel::Backchannel;
use crate::config;
use crate::key_file;
use crate::time::unix_seconds;

/// Bytes of an answer.
const MAX_ANSWER: usize = 64 << 10;

pub(super) struct Matomo {
    config: config::Matomo,
    token: String,
    backchannel: Backchannel,
}

/// What it says of a batch.
#[derive(Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    invalid: usize,
}

impl Matomo {
    pub(super) fn new(config: &config::Matomo) -> Result<Self, ExportError> {
        Ok(Self {
            config: config.clone(),
            token: key_file::password(&config.token_file)?,
            backchannel: Backchannel::new(&config.outgoing)?,
        })
    }

    pub(super) async fn tell(&self, views: &[View]) -> Told {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = Bytes::from(body(self.config.site, &self.token, views));
        let exchange = self
            .backchannel
            .exchange(Method::POST, &self.config.url, headers, body, MAX_ANSWER);
        let reply = match exchange.await {
            Ok(reply) => reply,
            Err(error) => return Told::Away(error.to_string()),
        };
        judged(reply.status.as_u16(), &reply.body)
    }
}

/// `cid` and not `_id`: without cookies Matomo tells visitors apart by address and browser, which are the gateway's here.
/// `bots`: a browser that it does not know would be none. `ca`: it is no page.
fn body(site: usize, token: &str, views: &[View]) -> String {
    let query = |view: &View| {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("idsite", &site.to_string())
            .append_pair("rec", "1")
            .append_pair("apiv", "1")
            .append_pair("bots", "1")
            .append_pair("ca", "1")
            .append_pair("cid", &view.viewer)
            .append_pair("cdt", &unix_seconds(view.at).to_string())
            .append_pair("url", &view.url)
            .append_pair("e_c", "video")
            .append_pair("e_a", "view")
            .append_pair("e_n", &view.event)
            .finish();
        format!("?{query}")
    };
    let requests: Vec<String> = views.iter().map(query).collect();
    json!({ "requests": requests, "token_auth": token }).to_string()
}

fn judged(status: u16, body: &[u8]) -> Told {
    match (status, serde_json::from_slice::<Answer>(body)) {
        (200, Ok(answer)) if answer.status == "success" => Told::But(answer.invalid),
        // It takes back the whole batch then.
        (200..=299, _) => Told::Failed("what answers is no Matomo: is `url` that of matomo.php?".to_owned()),
        (300..=499, _) if status != 429 && status != 408 => Told::Refused(format!("it answered {status}")),
        _ => Told::Failed(format!("it answered {status}")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::super::Kind;
    use super::*;

    #[test]
    fn a_batch_is_what_bulk_tracking_reads() {
        let view = View {
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            event: "a b&c".to_owned(),
            view: "v".repeat(32),
            viewer: "0123456789abcdef".to_owned(),
            kind: Kind::File,
            route: "media".to_owned(),
            host: "video.example.edu".to_owned(),
            url: "https://video.example.edu/media/a%20b&c".to_owned(),
        };
        let told: serde_json::Value = serde_json::from_str(&body(3, "token", &[view.clone(), view])).unwrap();
        assert_eq!(told["token_auth"], "token");
        let requests = told["requests"].as_array().unwrap();
        assert_eq!(requests.len(), 2);
        let query = requests[0].as_str().unwrap().strip_prefix('?').unwrap();
        let pairs: std::collections::HashMap<_, _> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        for (name, value) in [
            ("idsite", "3"),
            ("rec", "1"),
            ("cid", "0123456789abcdef"),
            ("cdt", "1700000000"),
            ("url", "https://video.example.edu/media/a%20b&c"),
            ("e_n", "a b&c"),
        ] {
            assert_eq!(pairs[name], value, "{name}");
        }
        assert!(!pairs.contains_key("cip"));
    }

    #[test]
    fn answers_are_judged() {
        let success = br#"{"status":"success","tracked":2,"invalid":1,"invalid_indices":[1]}"#;
        assert_eq!(judged(200, success), Told::But(1));
        let error = br#"{"status":"error","tracked":0,"invalid":0}"#;
        assert!(matches!(judged(200, error), Told::Failed(_)));
        assert!(matches!(judged(500, error), Told::Failed(_)));
        assert!(matches!(judged(200, b"GIF89a"), Told::Failed(_)));
        assert!(matches!(judged(429, b""), Told::Failed(_)));
        for status in [302, 400, 401, 403, 404] {
            assert!(matches!(judged(status, error), Told::Refused(_)), "{status}");
        }
    }
}
