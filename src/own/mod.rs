//! The gateway's own addresses, all under `/_janua/`: signing in and out, who one is, and what a CAS server calls.
//!
//! | address | for |
//! | --- | --- |
//! | `/_janua/logo` | the site's logo, which pages show |
//! | `/_janua/me` | apps and people: who am I, until when |
//! | `/_janua/sign-in?return=…` | goes to the sign-in server and comes back to `return` |
//! | `/_janua/sign-out` | a page with a button; POST ends the session |
//! | `/_janua/cas/<sign-in>/callback` | the browser on its way back; the CAS server's single logout |
//! | `/_janua/moodle/<moodle>/start?state=…` | the browser on its way to Moodle: for a ticket or a code, or through `launch.php` |
//! | `/_janua/moodle/<moodle>/again` | a button: sign in at Moodle once more |
//! | `/_janua/cas/<sign-in>/session` | a back end with a proxy ticket: gets a bearer for its user |
//! | `/_janua/cas/<sign-in>/pgt` | the CAS server with a proxy-granting ticket |
//! | `/_janua/oauth2/<sign-in>/callback`, `/_janua/oidc/<sign-in>/callback` | the browser on its way back |
//! | `/_janua/lti/<platform>/login`, `…/launch` | the browser that an LTI platform sends, and on its way back from it |
//! | `/_janua/lti/<platform>/jwks` | the platform: the key of what is signed for it |
//! | `/_janua/oidc/<sign-in>/backchannel-logout`, `…/frontchannel-logout` | the provider's logout |
//!
//! Decides who answers at each of them, and what `sign_in`, launches and Moodle do together. Nothing here touches a socket of
//! a client.

pub mod facade;
pub mod isolation;
pub mod launch;
mod lti;
mod me;
pub mod moodle;
mod sign_in;
mod sign_out;
pub mod visit;

use std::sync::Arc;

use http::{HeaderMap, Method, header};

use self::isolation::Purpose;
use crate::authenticate::lti::Platform;
use crate::config::{Cors, SignIn};
use crate::moodle::Moodle;
use crate::rejection::{Hint, Reason, Rejection};
use crate::respond::page::LOGO;
use crate::respond::{Reply, cors};
use crate::sign_in::{Asked, Here, KINDS, answer as of_sign_in, methods};

/// What everything of the gateway's own begins with.
const PREFIX: &str = "/_janua/";

/// Is this path the gateway's own?
pub fn is_own(path: &str) -> bool {
    path.starts_with(PREFIX)
}

/// The answer. 404 for addresses that there are not, 405 for methods that they do not have.
pub async fn answer(
    asked: &Asked<'_>,
    moodles: &[Arc<Moodle>],
    platforms: &[Arc<Platform>],
) -> Result<Reply, Rejection> {
    let rest = asked.path.strip_prefix(PREFIX).unwrap_or_default();
    let mut segments = rest.split('/');
    let segments = (segments.next(), segments.next(), segments.next(), segments.next());
    const GET: &[Method] = &[Method::GET, Method::HEAD];
    const BOTH: &[Method] = &[Method::GET, Method::HEAD, Method::POST];
    let config = asked.here.config;
    if let Some(logo) = asked.here.look.logo().filter(|_| asked.path == LOGO) {
        only(asked.method, GET)?;
        return Ok(logo.clone());
    }
    let is_about_launches = || segments == (Some("sign-out"), None, None, None) && launch::are_begun(config);
    if let (Some(lti::KIND), Some(name), Some(endpoint), None) = segments {
        let platform = platforms.iter().find(|platform| *platform.config.name == *name);
        let platform = platform.ok_or(Reason::NoRoute)?;
        only(asked.method, lti::methods(endpoint).ok_or(Reason::NoRoute)?)?;
        return Box::pin(lti::answer(asked, platform, endpoint)).await;
    }
    if config.sign_ins.is_empty() && !is_about_launches() {
        return Err(Reason::NoRoute.into());
    }
    let reply = match segments {
        (Some("me" | "sign-out"), None, ..) if *asked.method == Method::OPTIONS => {
            let policy = app_policy(&asked.here);
            let preflight = cors::preflight(&policy, asked.method, asked.headers, Some(BOTH));
            return preflight.ok_or_else(|| not_this_method(BOTH));
        }
        (Some("me"), None, ..) => {
            only(asked.method, GET)?;
            me::answer(asked).await
        }
        (Some("sign-in"), None, ..) => {
            only(asked.method, GET)?;
            sign_in::answer(asked, moodles).await
        }
        (Some("sign-out"), None, ..) => {
            only(asked.method, BOTH)?;
            sign_out::answer(asked, moodles).await
        }
        (Some("moodle"), Some(name), Some("start"), None) => {
            // A login may begin there, and a HEAD would begin one for nobody.
            only(asked.method, &[Method::GET])?;
            moodle::start(asked, moodles, name).await
        }
        (Some("moodle"), Some(name), Some("again"), None) => {
            only(asked.method, &[Method::POST])?;
            moodle::launch::again(asked, moodles, name)
        }
        (Some(kind), Some(name), Some(endpoint), None) => {
            only(asked.method, methods(kind, endpoint).ok_or(Reason::NoRoute)?)?;
            let reply = of_sign_in(asked, kind, name, endpoint).await;
            if let Some((session, once)) = asked.brought.take() {
                moodle::signed_in(moodles, &asked.here, &session, &once).await;
            }
            reply
        }
        _ => Err(Reason::NoRoute.into()),
    };
    let mut reply = reply?;
    if matches!(segments, (Some("me" | "sign-out"), ..)) {
        let policy = app_policy(&asked.here);
        reply
            .headers
            .extend(cors::headers(&policy, asked.headers.get(header::ORIGIN)));
    }
    Ok(reply)
}

/// Does answering change nothing, so that who explains may ask for the answer? Going to a sign-in and asking who is
/// there does; tickets and launches are good for once, whoever signs out is gone, and a way to Moodle may begin with a login there.
pub fn is_harmless(method: &Method, path: &str) -> bool {
    let below = path.strip_prefix(PREFIX).and_then(|rest| rest.split_once('/'));
    !below.is_some_and(|(kind, _)| KINDS.contains(&kind) || kind == "moodle" || kind == lti::KIND)
        && method != Method::POST
}

fn only(method: &Method, known: &'static [Method]) -> Result<(), Rejection> {
    if known.contains(method) {
        Ok(())
    } else {
        Err(not_this_method(known))
    }
}

fn not_this_method(known: &[Method]) -> Rejection {
    Rejection::new(Reason::MethodNotAllowed).with_hint(Hint::Allow(known.to_vec()))
}

/// May a request with a cookie use the session for this? `sign_in` is the session's.
pub(crate) fn is_isolated(
    here: &Here<'_>,
    purpose: Purpose,
    (method, headers): (&Method, &HeaderMap),
    app_origins: &[String],
    sign_in: Option<&SignIn>,
) -> Result<(), Rejection> {
    let asked = isolation::Asked {
        method,
        headers,
        own: &here.public.origin(),
        app_origins,
        sign_in: sign_in.map(|sign_in| sign_in.provider.server()),
    };
    isolation::judge(purpose, &asked).map_err(|refusal| {
        let text = refusal.text();
        Rejection::because(Reason::CrossSite, text).with_hint(Hint::Remedy(text))
    })
}

/// Which other origins may ask who somebody is, and sign them out: those of the sign-ins' apps.
fn app_policy(here: &Here<'_>) -> Cors {
    Cors {
        apps: here.app_origins(),
        ..Cors::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_uses_something_up_is_no_matter_of_asking() {
        for path in ["/_janua/me", "/_janua/sign-in", "/_janua/sign-out", "/_janua/unknown"] {
            assert!(is_harmless(&Method::GET, path), "{path}");
            assert!(!is_harmless(&Method::POST, path), "{path}");
        }
        for path in [
            "/_janua/cas/campus/callback",
            "/_janua/cas/campus/session",
            "/_janua/moodle/campus/start",
        ] {
            assert!(!is_harmless(&Method::GET, path), "{path}");
            assert!(!is_harmless(&Method::POST, path), "{path}");
        }
        assert!(!is_own("/_janua") && !is_own("/janua/me") && is_own("/_janua/"));
    }
}
