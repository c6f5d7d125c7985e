//! Deep linking (LTI Deep Linking 2.0): whoever runs a course chooses a page here for it. Two small pages without a script: one
//! asks for the page, the other one has the answer, signed for the platform, and a button that brings it there.
//!
//! Between the two nothing is kept: what the platform wants to have back travels sealed in the first page's form.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;

use super::page;
use crate::authenticate::lti::{Message, Platform};
use crate::own::launch::form::is_form;
use crate::query::single;
use crate::rejection::{Hint, LTI_NO_CHOICE, LTI_NO_PAGE, Reason, Rejection};
use crate::respond::page::{Escaped, Reader};
use crate::respond::{HTML, Reply, security};
use crate::sealing::random;
use crate::sign_in::Asked;
use crate::time::unix_seconds;

/// To find the page that is meant.
const LIFE: Duration = Duration::from_secs(3600);
/// Of the answer, which a button sends at once.
const ANSWER_LIVES: Duration = Duration::from_secs(600);
/// Letters of a title.
const LONGEST_TITLE: usize = 255;

/// Where the answer goes, and what must be in it.
#[derive(Serialize, Deserialize)]
struct Choice {
    #[serde(rename = "p")]
    platform: String,
    #[serde(rename = "c")]
    client_id: String,
    #[serde(rename = "d")]
    deployment: String,
    #[serde(rename = "r")]
    return_url: String,
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    /// Unix seconds.
    #[serde(rename = "u")]
    until: u64,
}

/// The page that asks.
pub(super) fn ask(
    asked: &Asked<'_>,
    platform: &Platform,
    (message, client_id): (&Message, &str),
) -> Result<Reply, Rejection> {
    let lti = &platform.config;
    let refused = |detail: &str| {
        let refusal = Rejection::because(Reason::NotAllowed, format!("lti.{}: {detail}", lti.name));
        refusal.with_hint(Hint::Remedy(LTI_NO_CHOICE))
    };
    let choosing = message.choosing.as_ref().ok_or(Reason::Internal)?;
    if platform.key().is_none() {
        return Err(refused(
            "content is chosen with a `key_file` alone, which signs the answer",
        ));
    }
    if !choosing.takes_links {
        return Err(refused("the platform takes no links to a tool (accept_types)"));
    }
    let url = Url::parse(&choosing.return_url).ok();
    let is_web = |url: &Url| matches!(url.scheme(), "https" | "http") && url.has_host();
    let url = url
        .filter(is_web)
        .ok_or_else(|| refused("deep_link_return_url is no web address"))?;
    let choice = Choice {
        platform: lti.name.to_string(),
        client_id: client_id.to_owned(),
        deployment: message.deployment.clone(),
        return_url: url.into(),
        data: choosing.data.clone(),
        until: unix_seconds(asked.here.now).saturating_add(LIFE.as_secs()),
    };
    let choice_return = choice.return_url.clone();
    let choice = asked.here.people.lti.seal_choice(&choice);
    let reader = asked.here.reader();
    let texts = reader.texts;
    let what = match &lti.content {
        Some(_) => texts.choose_page_or_id,
        None => texts.choose_page,
    };
    let body = format!(
        "<form method=\"post\" action=\"/_janua/lti/{name}/choose\">\n\
         <input type=\"hidden\" name=\"choice\" value=\"{choice}\">\n\
         <p><label>{title}<br><input name=\"title\" required maxlength=\"{LONGEST_TITLE}\"></label></p>\n\
         <p><label>{what}<br><input name=\"page\" required></label></p>\n\
         <p><button class=\"button\">{on}</button></p>\n</form>",
        name = lti.name,
        choice = Escaped(&choice),
        title = Escaped(texts.choose_name),
        what = Escaped(what),
        on = Escaped(texts.choose_on),
    );
    Ok(framed(platform, &reader, (texts.choose_title, &body), &choice_return))
}

/// The page that has the answer.
pub(super) fn answer(asked: &Asked<'_>, platform: &Platform) -> Result<Reply, Rejection> {
    is_form(asked.headers)?;
    let (here, lti) = (&asked.here, &platform.config);
    let field = |name: &str| {
        single(&asked.body, name)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    };
    let choice = field("choice").and_then(|choice| here.people.lti.open_choice::<Choice>(&choice));
    let now = unix_seconds(here.now);
    let choice = choice.filter(|choice| *choice.platform == *lti.name && now <= choice.until);
    let choice =
        choice.ok_or_else(|| Rejection::because(Reason::LaunchStale, "`choice` was not made here, or is too old"))?;
    let is_known = lti.client_ids.contains(&choice.client_id) && lti.deployment_ids.contains(&choice.deployment);
    let key = platform.key().filter(|_| is_known).ok_or(Reason::NotAllowed)?;
    let (Some(title), Some(written)) = (field("title"), field("page")) else {
        return Err(
            Rejection::because(Reason::BadRequest, "title and page are needed").with_hint(Hint::Remedy(LTI_NO_PAGE))
        );
    };
    let title: String = title
        .chars()
        .filter(|letter| !letter.is_control())
        .take(LONGEST_TITLE)
        .collect();
    let location = page::location(asked, platform, &meant(&written, lti.content.as_deref()))?;
    let url = format!("{}{location}", here.public.origin());
    let nonce = crate::digest::hex(&random::<16>());
    let mut claims = json!({
        "iss": choice.client_id, "aud": lti.issuer, "iat": now, "exp": now + ANSWER_LIVES.as_secs(), "nonce": nonce,
        "https://purl.imsglobal.org/spec/lti/claim/deployment_id": choice.deployment,
        "https://purl.imsglobal.org/spec/lti/claim/message_type": "LtiDeepLinkingResponse",
        "https://purl.imsglobal.org/spec/lti/claim/version": "1.3.0",
        "https://purl.imsglobal.org/spec/lti-dl/claim/content_items": [
            { "type": "ltiResourceLink", "title": title, "url": url },
        ],
    });
    if let (Some(data), Some(claims)) = (choice.data, claims.as_object_mut()) {
        claims.insert(
            "https://purl.imsglobal.org/spec/lti-dl/claim/data".to_owned(),
            data.into(),
        );
    }
    let reader = asked.here.reader();
    let signed = key
        .signed(&claims)
        .map_err(|error| Rejection::because(Reason::Internal, error.to_string()))?;
    let body = format!(
        "<p>{title}</p>\n<p><small>{url}</small></p>\n\
         <form method=\"post\" action=\"{action}\">\n<input type=\"hidden\" name=\"JWT\" value=\"{signed}\">\n\
         <p><button class=\"button\">{add}</button></p>\n</form>",
        title = Escaped(&title),
        url = Escaped(&url),
        action = Escaped(&choice.return_url),
        signed = Escaped(&signed),
        add = Escaped(reader.texts.chosen_add),
    );
    Ok(framed(
        platform,
        &reader,
        (reader.texts.chosen_title, &body),
        &choice.return_url,
    ))
}

/// An address as it is written, or the page of the item with this id.
fn meant(written: &str, content: Option<&str>) -> String {
    match content {
        Some(content) if !written.contains(['/', ':', '\\']) => {
            let id: String =
                percent_encoding::utf8_percent_encode(written, percent_encoding::NON_ALPHANUMERIC).to_string();
            // A dash needs no escape, and ids mostly have some.
            content.replace("{id}", &id.replace("%2D", "-").replace("%5F", "_"))
        }
        _ => written.to_owned(),
    }
}

/// A page with a form, which the platform may frame.
fn framed(platform: &Platform, reader: &Reader<'_>, (title, body): (&str, &str), return_url: &str) -> Reply {
    // Some platforms ask at one host and show pages at another.
    let mut origin = platform.config.auth_login_url.origin().ascii_serialization();
    if let Some(shown) = Url::parse(return_url).ok().filter(Url::has_host) {
        origin.extend([" ", &shown.origin().ascii_serialization()]);
    }
    let mut reply = Reply {
        status: StatusCode::OK,
        headers: security::form_in(reader, &origin).collect(),
        body: Bytes::new(),
    };
    reply.set_body(HTML, reader.whole(title, body));
    reply
}

#[cfg(test)]
mod tests {
    use super::meant;

    #[test]
    fn an_id_stands_for_its_page() {
        let content = Some("/play/{id}");
        assert_eq!(meant("ID-dual-stream_1", content), "/play/ID-dual-stream_1");
        assert_eq!(meant("a b?c#d", content), "/play/a%20b%3Fc%23d");
        for address in ["/studio/", "https://video.test/play/1", "a\\b"] {
            assert_eq!(meant(address, content), address);
        }
        assert_eq!(meant("id", None), "id");
    }
}
