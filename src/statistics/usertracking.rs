//! Views as Opencast's usertracking service takes them (`UserTrackingRestService`): one request each, whose session is new and
//! so counts as one view. Newer Opencasts have no such service.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};

use super::View;
use super::export::{ExportError, Told};
use crate::backchannel::Backchannel;
use crate::config;

/// Bytes of an answer.
const MAX_ANSWER: usize = 64 << 10;

pub(super) struct Usertracking {
    config: config::Usertracking,
    backchannel: Backchannel,
}

impl Usertracking {
    pub(super) fn new(config: &config::Usertracking) -> Result<Self, ExportError> {
        Ok(Self {
            config: config.clone(),
            backchannel: Backchannel::new(&config.outgoing)?,
        })
    }

    pub(super) async fn tell(&self, view: &View) -> Told {
        let mut headers = HeaderMap::new();
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, form);
        let exchange = self
            .backchannel
            .exchange(Method::PUT, &self.config.url, headers, body(view), MAX_ANSWER);
        match exchange.await {
            Ok(reply) => judged(reply.status.as_u16()),
            Err(error) => Told::Away(error.to_string()),
        }
    }
}

/// As the player tells that it begins to play: at second 0.
fn body(view: &View) -> Bytes {
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("id", &view.event)
        .append_pair("type", "PLAY")
        .append_pair("in", "0")
        .append_pair("out", "0")
        .append_pair("playing", "true")
        .finish();
    Bytes::from(form)
}

fn judged(status: u16) -> Told {
    match status {
        200..=299 => Told::But(0),
        404 | 410 => Told::Refused(format!("it answered {status}: this Opencast has no usertracking")),
        // 302: to its login page.
        300..=499 if status != 429 && status != 408 => Told::Refused(format!("it answered {status}")),
        _ => Told::Failed(format!("it answered {status}")),
    }
}
