//! The page of this host that a launch leads to.

use std::sync::Arc;

use http::Method;
use url::Url;

use super::address;
use crate::authenticate::lti::{Message, Platform};
use crate::config::Credential;
use crate::own::launch::form;
use crate::rejection::{Hint, LTI_NO_PAGE, Reason, Rejection};
use crate::request::Request;
use crate::sign_in::Asked;

/// The page that the platform names, or, where that is the launch itself, the one that the custom parameter `target` or the
/// configuration names. A path of this origin.
pub(super) fn of_message(asked: &Asked<'_>, platform: &Platform, message: &Message) -> Result<String, Rejection> {
    let launch = address(asked, platform, "launch");
    let names_itself = Url::parse(&message.target).is_ok_and(|mut url| {
        url.set_query(None);
        url.set_fragment(None);
        url.as_str() == launch
    });
    let text = match (names_itself, &message.custom_target, &platform.config.target) {
        (false, ..) => &message.target,
        (true, Some(target), _) | (true, None, Some(target)) => target,
        (true, None, None) => {
            let detail = "the tool URL names no page: let the activity have the custom parameter target=/play/…, or set `target`";
            return Err(refused(platform, detail));
        }
    };
    location(asked, platform, text)
}

/// The page that is written so, if it is one of this origin, and its route takes launch sessions.
pub(super) fn location(asked: &Asked<'_>, platform: &Platform, text: &str) -> Result<String, Rejection> {
    let here = &asked.here;
    let asking = Request {
        method: Method::GET,
        authority: here.public.host.clone(),
        host: here.public.host.clone(),
        raw_path: asked.path.to_owned(),
        query: None,
    };
    let target = form::target(text, &here.public.origin(), &asking, &here.config.jwt.sources);
    let target = target.map_err(|_| refused(platform, "the page that the activity names is none of this host"))?;
    let found = here
        .table
        .find(&target.request.host, target.path.decoded(), &Method::GET);
    let route = found
        .ok()
        .and_then(|found| here.config.routes.get(found.route).map(Arc::clone));
    match route {
        Some(route) if route.accept.contains(&Credential::Launch) && route.issuers.is_none() => Ok(target.location),
        Some(route) if route.issuers.is_some() => {
            let detail = format!(
                "the page's route `{}` takes tokens of some issuers alone: remove `issuers` there",
                route.name
            );
            Err(refused(platform, &detail))
        }
        Some(route) => {
            let detail = format!(
                "the page's route `{}` takes no launch sessions: add \"launch\" to its `accept`",
                route.name
            );
            Err(refused(platform, &detail))
        }
        None => Err(refused(
            platform,
            "there is nothing at the page that the activity names",
        )),
    }
}

fn refused(platform: &Platform, detail: &str) -> Rejection {
    let refusal = Rejection::because(Reason::BadRequest, format!("lti.{}: {detail}", platform.config.name));
    refusal.with_hint(Hint::Remedy(LTI_NO_PAGE))
}
