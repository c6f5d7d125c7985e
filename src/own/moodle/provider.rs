//! A browser goes to the provider at which people log in to Moodle, for a login that the gateway has begun there, and comes back
//! to Moodle's own callback, which is here.
//!
//! It is known again by a cookie of its own and by the `state` of the very login, so nobody's own login at Moodle is any of
//! this. Whose token comes of it is held against the session that it was begun for: a foreign code or a foreign cookie brings
//! nothing (login CSRF).

use http::HeaderMap;

use super::tabs::{self, named};
use super::{begin_from, living};
use crate::authenticate::session::Session;
use crate::config::LoginPlugin;
use crate::moodle::Moodle;
use crate::moodle::login_flow::LoginFlow;
use crate::moodle::provider_flow::{ProviderFlow, id_of};
use crate::moodle::tokens::TokenError;
use crate::moodle::tokens::launch::PATH;
use crate::moodle::tokens::oidc_launch::PASSPORT;
use crate::moodle::tokens::oidc_launch::authorize::absence;
use crate::query;
use crate::rejection::{Hint, OTHER_AT_SERVER, Reason, Rejection};
use crate::respond::Reply;
use crate::sign_in::{Asked, Here};

/// Why a browser at a callback is refused.
pub const NOT_ITS: &str = "a code for Moodle without its cookie, or a second time";

/// A browser at a callback of Moodle's for the gateway.
pub enum Returned {
    Flow(Box<ProviderFlow>),
    /// It was to be the gateway's and is no more: its cookie is gone, or is another browser's.
    Stale,
}

/// To the provider, for a login that is begun in Moodle now; or on to the next source. `state`: the visit as it stands in the
/// address, which begins one login.
pub(super) async fn begin(
    asked: &Asked<'_>,
    moodle: &Moodle,
    (visit, state): (&LoginFlow, &str),
    source: usize,
) -> Result<Reply, Rejection> {
    let here = &asked.here;
    let (session, _) = living(here, moodle, visit.session()).await?;
    let origin = origin(here, moodle).await?;
    if !moodle.begins(state).await {
        return Err(stale(moodle, "a login in Moodle that was begun by this address before"));
    }
    let place = moodle.launching(&session).await;
    if place.is_err() {
        moodle.begins_again(state).await;
    }
    let place = place?;
    let begun = moodle
        .begin_at_provider(&session, source, (&origin, hint(here, &session)))
        .await;
    drop(place);
    let begun = match begun {
        Ok(begun) => begun,
        Err(error) => {
            if is_away(&error) {
                moodle.begins_again(state).await;
            }
            return otherwise(here, moodle, (&session, &visit.target), source, &error);
        }
    };
    let flow = ProviderFlow::new(visit, source, &begun, here.now);
    let mut reply = Reply::redirect(begun.to.url.as_str())?;
    let sealed = moodle.tokens().seal_provider(&flow);
    let cookie = here
        .jar()
        .set(&named(moodle, flow.id()), &sealed, Some(ProviderFlow::life()));
    tabs::begin(&mut reply, here, moodle, (asked.headers, cookie));
    Ok(reply)
}

/// Where people may be sent to authenticate.
async fn origin(here: &Here<'_>, moodle: &Moodle) -> Result<url::Origin, Rejection> {
    let written = moodle.config.oidc_launch.as_ref();
    if let Some(provider) = written.and_then(|written| written.provider.as_ref()) {
        return Ok(provider.origin());
    }
    let provider = here.providers.get(moodle.config.sign_in).ok_or(Reason::Internal)?;
    let endpoint = provider.authorization().await.map_err(|refusal| refusal.rejection)?;
    // The configuration takes no sign-in without one where none is written.
    Ok(endpoint.ok_or(Reason::Internal)?.origin())
}

/// What the provider may be told of whom it is to be.
fn hint<'a>(here: &Here<'_>, session: &'a Session) -> Option<&'a str> {
    let mut sign_ins = here.config.sign_ins.iter();
    let of = sign_ins.find(|sign_in| sign_in.name == session.identity.source)?;
    session.identity.name().filter(|_| of.provider.is_typed())
}

/// Whose is a GET of this path below `wwwroot`? `None`: Moodle's. Nothing is used up.
pub fn returns(here: &Here<'_>, moodle: &Moodle, below: &str, query: &str, headers: &HeaderMap) -> Option<Returned> {
    let plugin = plugin_at(below)?;
    let state = query::single(query.as_bytes(), "state")?;
    let cookies = here.jar().all(headers, &named(moodle, &id_of(&state)));
    let mut flows = cookies
        .iter()
        .filter_map(|cookie| moodle.tokens().open_provider(cookie));
    let flow = flows.find(|flow| {
        let is_its = flow.moodle == moodle.config.name && flow.plugin() == plugin;
        is_its && flow.is_alive(here.now) && flow.is_by(&state)
    });
    match flow {
        Some(flow) => Some(Returned::Flow(Box::new(flow))),
        None => is_gateways(&state).then_some(Returned::Stale),
    }
}

/// Is this path below `wwwroot` a callback of Moodle's?
pub fn is_callback(below: &str) -> bool {
    plugin_at(below).is_some()
}

fn plugin_at(below: &str) -> Option<LoginPlugin> {
    match below.strip_suffix("index.php").unwrap_or(below) {
        path if path == LoginPlugin::OAuth2.callback() => Some(LoginPlugin::OAuth2),
        path if path == LoginPlugin::Oidc.callback() => Some(LoginPlugin::Oidc),
        _ => None,
    }
}

/// Is this the state of a login that a gateway has begun by auth_oauth2? It says where that goes on, and so does that of a browser
/// on its way through `launch.php`, whose passport is another. Moodle would end the session that the browser has there, since
/// the state is not of it.
fn is_gateways(state: &str) -> bool {
    let (_, asked) = state.split_once('?').unwrap_or_default();
    let wanted = query::first(asked.as_bytes(), "wantsurl").unwrap_or_default();
    let (path, asked) = wanted.split_once('?').unwrap_or_default();
    // Moodle writes the address as HTML does.
    let asked = asked.replace("&amp;", "&");
    path.ends_with(PATH)
        && query::first(asked.as_bytes(), "passport").is_some_and(|passport| passport.starts_with(PASSPORT))
}

/// What becomes of a browser that is back with this query.
pub async fn returned(here: &Here<'_>, moodle: &Moodle, returned: Returned, query: &str) -> Result<Reply, Rejection> {
    let Returned::Flow(flow) = returned else {
        return Err(stale(moodle, NOT_ITS));
    };
    let (session, life) = living(here, moodle, flow.session()).await?;
    if !moodle.ends(&flow).await {
        // A page that was loaded once more while it was on its way goes where the first load would have led.
        return match moodle.remembers(&session).await {
            true => here.go_to(&flow.target),
            false => Err(stale(moodle, NOT_ITS)),
        };
    }
    let going_on = (&*session, flow.target.as_str());
    let reply = match absence(query) {
        Some(error) => {
            moodle.count_provider(&flow, &error);
            otherwise(here, moodle, going_on, flow.source, &error)?
        }
        None => {
            let place = moodle.launching(&session).await;
            if place.is_err() {
                moodle.goes_on(&flow).await;
            }
            let place = place?;
            let returned = moodle.returned(&session, &flow, query, life).await;
            drop(place);
            if here
                .people
                .sessions
                .named(session.key, here.config, here.now)
                .await?
                .is_none()
            {
                // It has ended meanwhile, and whoever told of it found nothing to forget.
                moodle.left(&session, true).await;
                moodle.tokens().forget_session(&session.key.text()).await;
                return Err(Reason::SignInStale.into());
            }
            match returned {
                Ok(()) => here.go_to(&flow.target)?,
                Err(error) => {
                    tracing::warn!(moodle = moodle.config.name, %error, "no token by a code");
                    if is_away(&error) {
                        moodle.goes_on(&flow).await;
                    }
                    otherwise(here, moodle, going_on, flow.source, &error)?
                }
            }
        }
    };
    let mut reply = reply;
    reply.set_cookie(here.jar().remove(&named(moodle, flow.id())));
    Ok(reply)
}

/// The refusal of what is [stale](Returned::Stale) or is done already, with a way to Moodle.
pub fn stale(moodle: &Moodle, why: &'static str) -> Rejection {
    Rejection::because(Reason::SignInStale, why).with_hint(Hint::Visit(moodle.to_visit()))
}

/// Has Moodle not answered, so that another load may be answered?
fn is_away(error: &TokenError) -> bool {
    matches!(error, TokenError::NotReached(_) | TokenError::Maintenance)
}

/// On by the next source that a browser helps, if there is one and the error is not about who it is.
fn otherwise(
    here: &Here<'_>,
    moodle: &Moodle,
    (session, target): (&Session, &str),
    source: usize,
    error: &TokenError,
) -> Result<Reply, Rejection> {
    let is_final = matches!(error, TokenError::OtherAccount | TokenError::Never);
    match moodle.by_browser(source + 1) {
        Some((next, _)) if !is_final => begin_from(here, moodle, session, target, next),
        _ if matches!(error, TokenError::OtherAccount) => {
            Err(moodle.rejection(error).with_hint(Hint::Remedy(OTHER_AT_SERVER)))
        }
        _ => Err(moodle.rejection(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_is_known_by_its_path() {
        for (below, expected) in [
            ("/admin/oauth2callback.php", Some(LoginPlugin::OAuth2)),
            ("/auth/oidc/", Some(LoginPlugin::Oidc)),
            ("/auth/oidc/index.php", Some(LoginPlugin::Oidc)),
            ("/auth/oidc", None),
            ("/admin/oauth2callback.php/x", None),
            ("/auth/oidc/logout.php", None),
            ("/", None),
        ] {
            assert_eq!(plugin_at(below), expected, "{below}");
        }
    }

    #[test]
    fn a_state_of_the_gateways_own_says_so() {
        // As Moodle 4.4 writes it.
        let state = |passport: &str| {
            format!(
                "/auth/oauth2/login.php?wantsurl=https%3A%2F%2Fmoodle.test%2Fadmin%2Ftool%2Fmobile%2Flaunch.php%3Fservice%3Dx%26amp%3B\
                 passport%3D{passport}%26amp%3Burlscheme%3Djanua%26amp%3Bconfirmed&sesskey=EfrOFe8rlW&id=1"
            )
        };
        assert!(is_gateways(&state("janua-0123456789abcdef0123456789abcdef")));
        for other in [
            // Of a browser that goes through `launch.php` itself.
            state("0123456789abcdef0123456789abcdef"),
            state("0.123456789"),
            state(""),
            "/auth/oauth2/login.php?wantsurl=%2F&sesskey=x&id=1".to_owned(),
            "/auth/oauth2/login.php?wantsurl=%2Fx%3Fpassport%3Djanua-1&sesskey=x&id=1".to_owned(),
            "janua-".to_owned(),
            String::new(),
        ] {
            assert!(!is_gateways(&other), "{other}");
        }
    }
}
