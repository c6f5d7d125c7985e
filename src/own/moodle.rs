//! A browser brings the gateway a ticket for Moodle: sent to the CAS server with Moodle's own login address, it lands
//! there, which is here, and goes on to where it was going. Or it goes through Moodle's `launch.php`: see [`launch`]; or to the
//! provider at which people log in to Moodle: see [`provider`].
//!
//! An ordinary login at Moodle has no cookie of a visit and is none of this; where both are under way in one browser, the
//! one that was begun last counts. Whose token comes of a ticket is held against the session that the visit was begun
//! for, so a foreign ticket or a foreign cookie brings nothing (login CSRF).

pub mod launch;
pub mod provider;
mod tabs;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use url::Url;

use crate::authenticate::session::{Attributes, Session, SessionKey};
use crate::moodle::Moodle;
use crate::moodle::caller::Caller;
use crate::moodle::login_flow::{self, LoginFlow};
use crate::moodle::tokens::TokenError;
use crate::moodle::tokens::page::Grant;
use crate::moodle::tokens::source::Way;
use crate::query;
use crate::rejection::{Reason, Rejection};
use crate::respond::Reply;
use crate::sign_in::cas::logout::{logout_query, logout_request};
use crate::sign_in::cas::proxy::GRANT;
use crate::sign_in::cas::{Cas, Login, SessionIndex, Ticket};
use crate::sign_in::oauth::ACCESS_TOKEN;
use crate::sign_in::{Asked, Here, Provider};

/// The Moodle that `/_janua/sign-in?…&moodle=` names, if it belongs to this sign-in.
pub(super) fn wanted<'a>(asked: &Asked<'_>, moodles: &'a [Arc<Moodle>], sign_in: usize) -> Option<&'a Arc<Moodle>> {
    let name = asked.in_query("moodle")?;
    moodles
        .iter()
        .find(|moodle| moodle.config.name == name && moodle.config.sign_in == sign_in)
}

/// Somebody has just signed in, and the server has told this, to be used once: passwords go to the Moodles that want them,
/// a proxy-granting ticket is kept for as long as the session, an access token for as long as it is good.
pub(super) async fn signed_in(moodles: &[Arc<Moodle>], here: &Here<'_>, session: &Arc<Session>, once: &Attributes) {
    let sign_in = here.sign_in_named(&session.identity.source);
    let grant = match sign_in.map(|sign_in| sign_in.provider.as_cas().is_some()) {
        Some(true) => match once.get(GRANT) {
            [grant] => Some(Grant::Ticket(grant)),
            _ => None,
        },
        Some(false) => Grant::access_token(once.get(ACCESS_TOKEN)),
        None => None,
    };
    if let (Some(grant), Some(moodle)) = (&grant, moodles.first()) {
        keep_grant(moodle, here, session, grant).await;
    }
    for moodle in moodles {
        let forwards = moodle.forwards_bearer_token() && moodle.is_of(&session.identity);
        if forwards && matches!(grant, Some(Grant::AccessToken(..))) {
            moodle.bring(session, None);
        }
        let of = here.config.sign_ins.get(moodle.config.sign_in);
        let is_its = of.is_some_and(|sign_in| sign_in.name == session.identity.source);
        let Some(clearpass) = moodle.config.clearpass.as_ref().filter(|_| is_its) else {
            continue;
        };
        if let [only] = once.get(&clearpass.attribute) {
            moodle.bring(session, Some(only.clone()));
        }
    }
}

async fn keep_grant(moodle: &Moodle, here: &Here<'_>, session: &Session, grant: &Grant<'_>) {
    let life = session.expires.duration_since(here.now).unwrap_or_default();
    if let Err(error) = moodle.tokens().keep_grant(session, grant, life).await {
        tracing::warn!(%error, "what a page is asked with could not be kept");
    }
    let named = here.people.sessions.named(session.key, here.config, here.now).await;
    if matches!(named, Ok(None)) {
        // It has ended meanwhile, and whoever told of it found nothing to forget.
        moodle.tokens().forget_session(&session.key.text()).await;
    }
}

/// To `target`, by way of Moodle if only the browser can bring the session's token.
pub(super) async fn go_on(
    here: &Here<'_>,
    moodle: &Moodle,
    session: &Session,
    target: &str,
) -> Result<Reply, Rejection> {
    moodle.ask_anew(session).await;
    let caller = Caller::Session(session);
    let token = match moodle.token(caller).await {
        // Moodle has deleted it: else the first call would find that out, and the person would be sent here once more.
        Ok(dead) if moodle.is_alive(&dead).await.is_ok_and(|is_alive| !is_alive) => {
            moodle.drop_token(caller, &dead).await?;
            moodle.another_token(caller, &dead).await
        }
        token => token,
    };
    match token {
        Err(refusal) if refusal.reason == Reason::MoodleSignInRequired => begin(here, moodle, session, target),
        // What else is wrong, the app's calls are told.
        _ => here.go_to(target),
    }
}

/// To the beginning of a visit, on Moodle's own host: only there its cookie can be set. `target` was judged.
pub fn begin(here: &Here<'_>, moodle: &Moodle, session: &Session, target: &str) -> Result<Reply, Rejection> {
    begin_from(here, moodle, session, target, 0)
}

fn begin_from(
    here: &Here<'_>,
    moodle: &Moodle,
    session: &Session,
    target: &str,
    source: usize,
) -> Result<Reply, Rejection> {
    let visit = LoginFlow::new(moodle, source, session, target, here.now);
    let visit = visit.ok_or(Reason::NoMoodleToken)?;
    let (origin, name, state) = (moodle.origin(), &moodle.config.name, moodle.tokens().seal(&visit));
    Reply::redirect(&format!("{origin}/_janua/moodle/{name}/start?state={state}"))
}

/// The Moodle of this name, at whose own address the request is.
fn at_its_host<'a>(here: &Here<'_>, moodles: &'a [Arc<Moodle>], name: &str) -> Result<&'a Moodle, Rejection> {
    let moodle = moodles
        .iter()
        .find(|moodle| moodle.config.name == name)
        .ok_or(Reason::NoRoute)?;
    if here.public.origin() != moodle.origin() {
        return Err(Rejection::because(Reason::NoRoute, "not at Moodle's own address"));
    }
    Ok(moodle)
}

/// `/_janua/moodle/<name>/start?state=…`: to the CAS server, which knows the browser, with Moodle's login address; to
/// Moodle's `launch.php`; or to the provider at which people log in there.
pub(super) async fn start(asked: &Asked<'_>, moodles: &[Arc<Moodle>], name: &str) -> Result<Reply, Rejection> {
    let moodle = at_its_host(&asked.here, moodles, name)?;
    let state = asked.in_query("state").unwrap_or_default();
    let visit = moodle.tokens().open(&state);
    let visit = visit.filter(|visit| visit.moodle == name && visit.is_fresh(asked.here.now));
    let visit = visit.ok_or(Reason::SignInStale)?;
    let service = match moodle.by_browser(visit.source).ok_or(Reason::SignInStale)? {
        (_, Way::Ticket(service)) => service,
        (source, Way::Launch) => return launch::begin(asked, moodle, &visit, source),
        (source, Way::Provider) => return Box::pin(provider::begin(asked, moodle, (&visit, &state), source)).await,
    };
    let cas = cas(asked.here.providers, moodle)?;
    let service = format!("{}{service}", moodle.config.wwwroot);
    let mut reply = Reply::redirect(cas.client.login_url(&service, Login::Usual).as_str())?;
    let life = u32::try_from(login_flow::LIFE.as_secs()).ok();
    reply.set_cookie(asked.here.jar().set(&cookie(name), &state, life));
    Ok(reply)
}

/// A browser at Moodle's login address with a ticket for a visit that it has the cookie of. `None`: it is Moodle's.
pub async fn landing(
    here: &Here<'_>,
    moodle: &Moodle,
    below: &str,
    query: &str,
    headers: &HeaderMap,
) -> Option<Result<Reply, Rejection>> {
    let (visit, ticket) = lands(here, moodle, below, query, headers)?;
    let arrived = arrive(here, moodle, &visit, &ticket).await;
    // An error leaves the cookie to its own end: it is good for two minutes, and the visit for one ticket at a time.
    Some(arrived.map(|mut reply| {
        reply.set_cookie(here.jar().remove(&cookie(&moodle.config.name)));
        reply
    }))
}

/// The visit, and the ticket that it ends with. Nothing is used up.
pub fn lands(
    here: &Here<'_>,
    moodle: &Moodle,
    below: &str,
    query: &str,
    headers: &HeaderMap,
) -> Option<(LoginFlow, Ticket)> {
    let ticket = query::first(query.as_bytes(), "ticket")?;
    let ticket = Ticket::service(&ticket).ok()?;
    let cookies = here.jar().all(headers, &cookie(&moodle.config.name));
    let mut visits = cookies.iter().filter_map(|cookie| moodle.tokens().open(cookie));
    let visit = visits.find(|visit| visit.moodle == moodle.config.name && visit.is_fresh(here.now))?;
    let (place, way) = moodle.by_browser(visit.source)?;
    let is_its = matches!(way, Way::Ticket(service) if is_for(service, below, query));
    (place == visit.source && is_its).then_some((visit, ticket))
}

async fn arrive(here: &Here<'_>, moodle: &Moodle, visit: &LoginFlow, ticket: &Ticket) -> Result<Reply, Rejection> {
    let (config, sessions) = (here.config, &here.people.sessions);
    let (session, life) = living(here, moodle, visit.session()).await?;
    let place = moodle.tokens().place(&session).await?;
    let arrived = moodle.arrived(&session, visit, ticket.as_str(), life).await;
    drop(place);
    if sessions.named(session.key, config, here.now).await?.is_none() {
        // It has ended meanwhile, and whoever told of it found nothing to forget.
        moodle.left(&session, true).await;
        moodle.tokens().forget_session(&session.key.text()).await;
        return Err(Reason::SignInStale.into());
    }
    match arrived {
        Ok(()) => here.go_to(&visit.target),
        Err(error) => {
            tracing::warn!(moodle = moodle.config.name, %error, "no token by a ticket");
            let is_final = matches!(error, TokenError::OtherAccount | TokenError::Never);
            match moodle.by_browser(visit.source + 1) {
                Some((next, _)) if !is_final => begin_from(here, moodle, &session, &visit.target, next),
                _ => Err(moodle.rejection(&error)),
            }
        }
    }
}

/// The session that a browser was sent for, and how long one of its kind may live. Refused if it has ended, or is of nobody
/// who gets a token of this Moodle.
async fn living(
    here: &Here<'_>,
    moodle: &Moodle,
    session: Option<SessionKey>,
) -> Result<(Arc<Session>, Duration), Rejection> {
    let (config, session) = (here.config, session.ok_or(Reason::SignInStale)?);
    let session = here.people.sessions.named(session, config, here.now).await?;
    let session = session.ok_or(Reason::SignInStale)?;
    let mut sign_ins = config.sign_ins.iter();
    let sign_in = sign_ins.find(|sign_in| session.identity.source == sign_in.name);
    let sign_in = sign_in.filter(|_| moodle.is_of(&session.identity));
    let life = sign_in.ok_or(Reason::SignInStale)?.session.absolute;
    Ok((session, life))
}

/// Would a ticket at this address have been made for `service`? Some CAS servers put the parameters into an order of their
/// own.
fn is_for(service: &str, below: &str, query: &str) -> bool {
    let (path, wanted) = service.split_once('?').unwrap_or((service, ""));
    let pairs = |query: &str| {
        let pairs = form_urlencoded::parse(query.as_bytes()).into_owned();
        let mut pairs: Vec<_> = pairs.filter(|(name, _)| name != "ticket").collect();
        pairs.sort();
        pairs
    };
    path == below && pairs(query) == pairs(wanted)
}

/// Moodle's login address sends the browser to `location`. If that is a CAS server, an ordinary login has begun, and the
/// ticket that comes of it is Moodle's: a visit that was under way is over, and here is what removes its cookie.
pub fn departed(here: &Here<'_>, moodle: &Moodle, headers: &HeaderMap, location: &str) -> Option<HeaderValue> {
    let name = cookie(&moodle.config.name);
    if here.jar().all(headers, &name).is_empty() {
        return None;
    }
    let to = Url::parse(location).ok()?;
    let mut parameters = to.query_pairs();
    parameters.find(|(name, _)| name == "service")?;
    here.jar().remove(&name)
}

/// The CAS server's logout at the address that tickets for Moodle were made for: posted, or by way of the browser in the
/// query. `None`: it is no logout.
pub fn logged_out(query: &str, content_type: Option<&str>, body: &[u8]) -> Option<Vec<SessionIndex>> {
    logout_query(query).or_else(|| logout_request(content_type, body))
}

/// Ends the sessions that the tickets are of, if there are any. The server is told nothing of that, and Moodle, which would
/// take no notice, is told nothing at all.
pub async fn log_out(here: &Here<'_>, moodle: &Moodle, tickets: &[SessionIndex]) -> Result<Reply, Rejection> {
    cas(here.providers, moodle)?.end_sessions(here.people, tickets).await
}

/// The CAS server that both this Moodle and the gateway ask. The configuration takes no sign-in of another kind where it is
/// needed.
pub fn cas<'a>(providers: &'a [Provider], moodle: &Moodle) -> Result<&'a Cas, Rejection> {
    let provider = providers.get(moodle.config.sign_in);
    provider.and_then(Provider::as_cas).ok_or(Reason::Internal.into())
}

fn cookie(moodle: &str) -> String {
    format!("{}{moodle}", login_flow::COOKIE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_for_the_very_address_that_the_server_was_told() {
        let (launch, token) = ("/login/index.php?authCAS=CAS", "/login/token.php");
        for (service, below, query, expected) in [
            (launch, "/login/index.php", "authCAS=CAS&ticket=ST-1", true),
            (launch, "/login/index.php", "ticket=ST-1&authCAS=CAS", true),
            // Moodle's own, where CAS is the only way to log in.
            (launch, "/login/index.php", "ticket=ST-1", false),
            (launch, "/login/index.php", "authCAS=CAS&courseid=2&ticket=ST-1", false),
            (launch, "/login/token.php", "authCAS=CAS&ticket=ST-1", false),
            (token, "/login/token.php", "ticket=ST-1", true),
            (token, "/login/token.php", "ticket=ST-1&service=x", false),
        ] {
            assert_eq!(is_for(service, below, query), expected, "{service} {below} {query}");
        }
    }
}
