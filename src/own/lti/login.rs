//! The login that a platform begins (IMS Security Framework 1.0 section 5.1.1): the browser goes to the platform with a question,
//! and has a cookie by which it is known again.
//!
//! In a frame of another site a browser may keep no cookie at all. Then nothing is asked of the platform, since its hints may
//! be good for once: a page offers the same login in a window of its own, where cookies are kept.

use std::borrow::Cow;

use bytes::Bytes;
use http::{Method, StatusCode};
use url::Url;

use super::address;
use crate::authenticate::lti::Platform;
use crate::authenticate::lti::attempt::{self, Wanted};
use crate::own::launch::form::is_form;
use crate::query::values;
use crate::rejection::{Hint, LTI_CANNOT, Reason, Rejection};
use crate::respond::page::{Escaped, Reader, is_framed};
use crate::respond::{HTML, Reply, security};
use crate::sign_in::Asked;
use crate::sign_in::attempt::surplus;
use crate::text::safe;

/// Bytes of each parameter: it goes on in an address.
const LONGEST: usize = 2 << 10;
/// Says that this browser keeps cookies in this frame.
const KEEPS: &str = "janua-lti-keeps";
/// Seconds for which it is believed.
const KEPT_SECONDS: u32 = 600;
/// The parameter of a login that comes back to show such a cookie.
const TRIED: &str = "janua_tried";

/// What a platform says at the beginning.
struct Login<'a> {
    client_id: &'a str,
    target: Cow<'a, str>,
    login_hint: Cow<'a, str>,
    message_hint: Option<Cow<'a, str>>,
}

pub(super) fn answer(asked: &Asked<'_>, platform: &Platform) -> Result<Reply, Rejection> {
    let said: &[u8] = match *asked.method {
        Method::POST => {
            is_form(asked.headers)?;
            &asked.body
        }
        _ => asked.query.unwrap_or_default().as_bytes(),
    };
    let login = read(said, platform)?;
    match without_cookies(asked, platform, said)? {
        Some(reply) => Ok(reply),
        None => to_platform(asked, platform, &login),
    }
}

/// Takes the parameters apart. What is wrong is told to the log, with what to configure.
fn read<'a>(said: &'a [u8], platform: &'a Platform) -> Result<Login<'a>, Rejection> {
    let lti = &platform.config;
    let refused = |detail: String| {
        let refusal = Rejection::because(Reason::BadRequest, format!("lti.{}: {detail}", lti.name));
        refusal.with_hint(Hint::Remedy(LTI_CANNOT))
    };
    let parameter = |name: &str| {
        let mut all = values(said, name);
        let value = all.next().filter(|value| !value.is_empty());
        match &value {
            Some(value) if value.len() > LONGEST => Err(refused(format!("`{name}` is longer than {LONGEST} bytes"))),
            Some(_) if all.next().is_some() => Err(refused(format!("`{name}` stands twice"))),
            _ => Ok(value),
        }
    };
    let needed = |name: &str| parameter(name)?.ok_or_else(|| refused(format!("the login names no `{name}`")));
    let issuer = needed("iss")?;
    if *issuer != *lti.issuer {
        let detail = format!(
            "iss is {:?}: write that as `issuer`, if it is this platform",
            safe(&issuer)
        );
        return Err(refused(detail));
    }
    let client_id = match (parameter("client_id")?, lti.client_ids.as_slice()) {
        (Some(client), known) => known.iter().find(|known| **known == *client).ok_or_else(|| {
            let client = safe(&client).into_owned();
            refused(format!(
                "client_id is {client:?}: add it to `client_id`, if it is yours"
            ))
        })?,
        (None, [only]) => only,
        (None, _) => {
            return Err(refused(
                "the login names no `client_id`, and there are several here".to_owned(),
            ));
        }
    };
    if let Some(deployment) = parameter("lti_deployment_id")?
        && !lti.deployment_ids.iter().any(|known| *known == *deployment)
    {
        let deployment = safe(&deployment).into_owned();
        return Err(refused(format!(
            "lti_deployment_id is {deployment:?}: add it to `deployment_ids`, if it is yours"
        )));
    }
    Ok(Login {
        client_id,
        target: needed("target_link_uri")?,
        login_hint: needed("login_hint")?,
        message_hint: parameter("lti_message_hint")?,
    })
}

/// The question, with the browser's cookie.
fn to_platform(asked: &Asked<'_>, platform: &Platform, login: &Login<'_>) -> Result<Reply, Rejection> {
    let (here, lti) = (&asked.here, &platform.config);
    let wanted = Wanted {
        platform: &lti.name,
        client_id: login.client_id,
        origin: &here.public.origin(),
        target: &login.target,
    };
    let begun = here.people.lti.begin(&wanted, here.now);
    let redirect_uri = address(asked, platform, "launch");
    let mut url = lti.auth_login_url.clone();
    let mut fields = vec![
        ("scope", "openid"),
        ("response_type", "id_token"),
        ("response_mode", "form_post"),
        ("prompt", "none"),
        ("client_id", login.client_id),
        ("redirect_uri", &redirect_uri),
        ("state", &begun.state),
        ("nonce", &begun.nonce),
        ("login_hint", &login.login_hint),
    ];
    fields.extend(login.message_hint.as_deref().map(|hint| ("lti_message_hint", hint)));
    url.query_pairs_mut().extend_pairs(fields);
    let mut reply = Reply::redirect(url.as_str())?;
    let (jar, (name, value)) = (here.jar(), &begun.cookie);
    reply.set_cookie(jar.set_framed(name, value, u32::try_from(attempt::LIFE.as_secs()).ok()));
    let held = jar.beginning_with(asked.headers, attempt::COOKIE);
    let held: Vec<(&str, &str)> = held.into_iter().filter(|(name, _)| *name != KEEPS).collect();
    for surplus in surplus(&held) {
        reply.set_cookie(jar.set_framed(surplus, "", Some(0)));
    }
    Ok(reply)
}

/// In a frame: is it known that the browser keeps cookies there? If not, it comes here once more, to show one; and if it has
/// none then, it gets the page that opens a window. `None`: it keeps them, or is in no frame.
fn without_cookies(asked: &Asked<'_>, platform: &Platform, said: &[u8]) -> Result<Option<Reply>, Rejection> {
    let jar = asked.here.jar();
    let framed = is_framed(asked.headers.get("sec-fetch-dest"));
    if !framed || !jar.all(asked.headers, KEEPS).is_empty() {
        return Ok(None);
    }
    let mut again = Url::parse(&address(asked, platform, "login"))
        .map_err(|_| Rejection::because(Reason::Internal, "an address of the gateway's own is none"))?;
    for name in [
        "iss",
        "client_id",
        "lti_deployment_id",
        "target_link_uri",
        "login_hint",
        "lti_message_hint",
    ] {
        if let Some(value) = values(said, name).next() {
            again.query_pairs_mut().append_pair(name, &value);
        }
    }
    if values(said, TRIED).next().is_some() {
        return Ok(Some(in_a_window(&again, &asked.here.reader())));
    }
    again.query_pairs_mut().append_pair(TRIED, "1");
    let mut reply = Reply::redirect(again.as_str())?;
    reply.set_cookie(jar.set_framed(KEEPS, "1", Some(KEPT_SECONDS)));
    Ok(Some(reply))
}

/// Sent into the frame, so that it may be framed.
fn in_a_window(login: &Url, reader: &Reader<'_>) -> Reply {
    let mut reply = Reply {
        status: StatusCode::OK,
        headers: security::page(reader).collect(),
        body: Bytes::new(),
    };
    let texts = reader.texts;
    let body = format!(
        "{}<p><a class=\"button\" href=\"{}\" target=\"_blank\" rel=\"noopener\">{}</a></p>",
        reader.says(texts.in_a_window),
        Escaped(login.as_str()),
        Escaped(texts.to_window)
    );
    reply.set_body(HTML, reader.whole(texts.in_a_window_title, &body));
    reply
}
