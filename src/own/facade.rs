//! The gateway as the CAS server of a Moodle whose people sign in by something else: where their browsers sign in and out.

use http::{HeaderMap, Method};
use url::Url;

use crate::moodle::Moodle;
use crate::moodle::tokens::cas_facade::Page;
use crate::query::single;
use crate::rejection::{Reason, Rejection};
use crate::respond::Reply;
use crate::sign_in::begin::{begin, page_load};
use crate::sign_in::{Here, target};

/// The answer to a browser. `query` is what Moodle has sent it with, `address` the whole address that it opens.
pub async fn answer(
    here: &Here<'_>,
    moodle: &Moodle,
    page: Page,
    asked @ (_, _, query, _): (&Method, &HeaderMap, &str, &str),
) -> Result<Reply, Rejection> {
    match page {
        Page::Login => log_in(here, moodle, asked).await,
        Page::Logout => log_out(here, query),
    }
}

/// `/login?service=…` (CAS 3.0 section 2.1): whoever has a session goes back to Moodle with a ticket.
async fn log_in(
    here: &Here<'_>,
    moodle: &Moodle,
    (method, headers, query, address): (&Method, &HeaderMap, &str, &str),
) -> Result<Reply, Rejection> {
    let named = |name: &str| single(query.as_bytes(), name);
    let service = named("service").filter(|service| moodle.is_service(service));
    let no_service = || Rejection::because(Reason::BadRequest, "`service` must be an address of this Moodle");
    let service = service.ok_or_else(no_service)?;
    if *method != Method::GET || !page_load(method, headers) {
        // A picture or a script of whatever page would sign the person in.
        return Err(Rejection::because(
            Reason::NotAllowed,
            "only a page load signs in to Moodle",
        ));
    }
    let session = here.session(headers).await?;
    let session = session.filter(|session| session.is_by_cookie() && moodle.is_of(&session.identity));
    let is_set = |name: &str| named(name).is_some_and(|value| value == "true");
    match session {
        Some(session) if !is_set("renew") => {
            let is_here = here.public.origin() == moodle.origin();
            Reply::redirect(&moodle.signs_in_at(&session, &service, is_here).await?)
        }
        // Moodle asks first whether the browser is known, and a moment later for its form.
        None if is_set("gateway") && !is_set("renew") => Reply::redirect(&service),
        _ => begin(here, headers, moodle.config.sign_in, &without_renew(address)?, false).await,
    }
}

/// Back from the sign-in the password was asked for, as far as the sign-in server does: the gateway's tickets never say that.
fn without_renew(address: &str) -> Result<String, Rejection> {
    let mut url = Url::parse(address).map_err(|_| Reason::BadRequest)?;
    let pairs = form_urlencoded::parse(url.query().unwrap_or_default().as_bytes()).into_owned();
    let kept: Vec<_> = pairs.filter(|(name, _)| name != "renew").collect();
    url.query_pairs_mut().clear().extend_pairs(kept);
    Ok(url.into())
}

/// `/logout?service=…` (CAS 3.0 section 2.3): to the page that asks what is to end, since any site may send a browser here.
fn log_out(here: &Here<'_>, query: &str) -> Result<Reply, Rejection> {
    let origin = here.public.origin();
    let back = single(query.as_bytes(), "service").or_else(|| single(query.as_bytes(), "url"));
    let back = back.and_then(|back| target::judged(&back, &origin, &here.app_origins()));
    let mut url = format!("{origin}/_janua/sign-out");
    if let Some(back) = back {
        url.push_str("?return=");
        url.extend(form_urlencoded::byte_serialize(back.as_bytes()));
    }
    Reply::redirect(&url)
}
