//! Watch passes of a request: which of those that it brings counts, what it earns, and how its answer
//! carries that. `authenticate::watch` knows what a pass is, `authorize::settled` what it allows.

mod rewriting;

use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

pub use self::rewriting::{Rewriting, tagged, untagged};
use super::parts::is_https;
use super::views;
use super::watch_urls::lifetime;
use crate::act::file;
use crate::authenticate::token::{Outcome, carrier};
use crate::authenticate::watch::{self, Invalid, Pass, Purpose};
use crate::authorize::Facts;
use crate::config::{Carry, Credential, Watch};
use crate::context::{Context, HeldPass, WatchPart};
use crate::digest::{hex, sha256_of_parts};
use crate::headers::cookies::{self, IN_A_FRAME};
use crate::identity::Identity;
use crate::rejection::Reason;
use crate::route::path::Path;
use crate::snapshot::Route;

/// Bytes of a cookie's path: browsers ignore longer attributes, and the cookie would go elsewhere.
const MAX_COOKIE_PATH: usize = 1024;

/// A request on a route, as far as passes are concerned.
struct Asked<'a> {
    ctx: &'a Context,
    route: &'a Route,
    headers: &'a HeaderMap,
}

impl<'a> Asked<'a> {
    /// The route's passes, if they count for this request: they are for reading only.
    fn passes(&self) -> Option<&'a Watch> {
        let is_read = matches!(self.ctx.request.method, Method::GET | Method::HEAD);
        self.route.watch.as_ref().map(|watch| &watch.config).filter(|_| is_read)
    }

    fn params(&self, watch: &Watch) -> Vec<(&'a str, &'a str)> {
        self.ctx.params.iter().take(watch.params).collect()
    }

    fn purpose<'b>(&self, params: &'b [(&'b str, &'b str)]) -> Purpose<'b>
    where
        'a: 'b,
    {
        Purpose {
            route: &self.route.config.name,
            params,
            event: self
                .route
                .config
                .watch
                .as_ref()
                .and_then(|watch| Some(watch.of_playlist?.param)),
        }
    }

    /// The passes in its cookies: for the event, then for playlists, where there may be some.
    fn in_cookies(&self, watch: &'a Watch) -> impl Iterator<Item = &'a str> {
        let name = self.cookie_name();
        let of_playlists = watch.of_playlist.map(|_| watch::of_playlists(self.headers, name));
        watch::in_cookies(self.headers, name).chain(of_playlists.into_iter().flatten())
    }

    fn facts(&self, identity: &'a Identity) -> Facts<'a> {
        Facts {
            identity: Some(identity),
            params: &self.ctx.params,
            method: &self.ctx.request.method,
            path: self.ctx.path.decoded(),
            client: self.ctx.client.address,
            events: &self.ctx.events,
        }
    }

    fn is_https(&self) -> bool {
        is_https(&self.ctx.snapshot, &self.ctx.client, &self.ctx.request.host)
    }

    fn cookie_name(&self) -> &'static str {
        if self.is_https() {
            watch::COOKIE
        } else {
            watch::PLAIN_COOKIE
        }
    }
}

/// The first pass of a request that is good here, and whom it speaks for; or why the first one is not. That one was
/// revoked says more than anything else. So many passes, which were looked at before, are left out.
pub fn authenticate(headers: &HeaderMap, ctx: &Context, route: &Route, seen: usize) -> (Outcome, Option<HeldPass>) {
    let asked = &Asked { ctx, route, headers };
    let Some(watch) = asked.passes() else {
        return (Outcome::Nobody, None);
    };
    let params = asked.params(watch);
    let by_query = watch
        .carry
        .contains(&Carry::Rewrite)
        .then(|| watch::in_query(asked.ctx.request.query.as_deref()));
    let by_cookie = watch.carry.contains(&Carry::Cookie).then(|| asked.in_cookies(watch));
    let texts = by_query.into_iter().flatten().map(|text| (text, true));
    let texts = texts.chain(by_cookie.into_iter().flatten().map(|text| (text, false)));
    let mut refusal: Option<Reason> = None;
    for (place, (text, in_query)) in texts.enumerate().skip(seen) {
        match good(asked, &params, text, ctx.at) {
            Ok((pass, who)) => {
                let held = HeldPass {
                    pass,
                    text: text.to_owned(),
                    in_query,
                    seen: place + 1,
                };
                return (Outcome::Person(Arc::new(who)), Some(held));
            }
            Err(Reason::WatchPassRevoked) => refusal = Some(Reason::WatchPassRevoked),
            Err(reason) => refusal = refusal.or(Some(reason)),
        }
    }
    (
        refusal.map_or(Outcome::Nobody, |reason| Outcome::Refused(reason.into())),
        None,
    )
}

fn good(asked: &Asked<'_>, params: &[(&str, &str)], text: &str, now: SystemTime) -> Result<(Pass, Identity), Reason> {
    let purpose = asked.purpose(params);
    let pass = Pass::open(text, &purpose, &asked.ctx.snapshot.passes.mac, now).map_err(|invalid| match invalid {
        Invalid::Foreign => Reason::WatchPassInvalid,
        Invalid::Expired => Reason::WatchPassExpired,
    })?;
    let revocations = &asked.ctx.snapshot.passes.revocations;
    if revocations.is_unread() {
        return Err(Reason::StoreUnavailable);
    }
    let playlists = pass.settled.grants.iter().map(|grant| grant.id.as_str());
    if revocations.ended(&pass, params.iter().map(|(_, value)| *value).chain(playlists)) {
        return Err(Reason::WatchPassRevoked);
    }
    // An issuer that is gone, or not looked at here any more, admits nobody.
    let issuers = &asked.ctx.snapshot.config.jwt.issuers;
    let issuer = issuers.iter().position(|issuer| *issuer.name == pass.issuer);
    let looked_at = |index: &usize| {
        asked
            .route
            .config
            .issuers
            .as_ref()
            .is_none_or(|issuers| issuers.contains(index))
    };
    let index = issuer.filter(looked_at).ok_or(Reason::IssuerNotAccepted)?;
    let who = Identity {
        issuers: vec![index],
        source: pass.issuer.as_str().into(),
        people: None,
        subject: pass.subject.clone(),
        named: issuers.get(index).is_some_and(|issuer| issuer.may_name_users),
        roles: Vec::new(),
        grants: pass.settled.grants.clone(),
        expires: pass.expires,
        access: None,
    };
    Ok((pass, who))
}

/// The request is admitted by this kind of credential: what its answer will carry.
pub fn admitted(headers: &HeaderMap, ctx: &mut Context, route: &Route, by: Credential) {
    if by == Credential::Watch {
        let pass = ctx.watch.pass.as_ref();
        ctx.watch.rewrite = pass.filter(|pass| pass.in_query).map(|pass| pass.text.clone());
        return;
    }
    let by_token = by == Credential::Jwt && ctx.launching.is_none();
    let who = ctx.who.as_deref().filter(|_| by_token);
    let earned = who.and_then(|who| earn(&Asked { ctx, route, headers }, who, ctx.at));
    ctx.watch.pass = None;
    if let Some(earned) = earned {
        ctx.watch = earned;
    }
    ctx.watch.links = by_token && route.config.watch_urls;
    // The passes in an answer with links are for routes that may count views.
    if (ctx.watch.links || route.config.views.is_some()) && ctx.watch.viewer.is_none() {
        ctx.watch.viewer = ctx.who.as_deref().map(|who| views::of(who, by, headers, ctx));
    }
}

/// What a token earns: a cookie, a pass for playlists that were asked for with a credential in the query, or nothing but, where
/// views are counted, whose they are.
fn earn(asked: &Asked<'_>, who: &Identity, now: SystemTime) -> Option<WatchPart> {
    let watch = asked.passes()?;
    let settled = asked.route.watch.as_ref()?.rules.settle(&asked.facts(who))?;
    let ttl = lifetime(asked.ctx, watch, who)?;
    let params = asked.params(watch);
    let by_cookie = watch.carry.contains(&Carry::Cookie) && !is_image(asked);
    let by_query = watch.carry.contains(&Carry::Rewrite) && has_token_in_query(asked);
    let counts = asked.route.config.views.is_some();
    let has_one = || {
        let mut passes = asked.in_cookies(watch);
        let same = |pass: &Pass| {
            *pass.issuer == *who.source
                && pass.subject == who.subject
                && pass.settled == settled
                && pass.viewer.is_some() == counts
        };
        passes.find_map(|text| {
            let (pass, _) = good(asked, &params, text, now + ttl / 2).ok()?;
            same(&pass).then_some(pass)
        })
    };
    let held = by_cookie.then(has_one).flatten();
    let by_cookie = by_cookie && held.is_none();
    // A token that was exchanged for another while it plays is the same viewer's.
    let viewer = || match &held {
        Some(held) => held.viewer,
        None => Some(views::of(who, Credential::Jwt, asked.headers, asked.ctx)),
    };
    let viewer = counts.then(viewer).flatten();
    if !by_cookie && !by_query {
        return Some(WatchPart {
            viewer,
            ..WatchPart::default()
        });
    }
    let pass = Pass {
        issued: now,
        expires: now + ttl,
        issuer: who.source.to_string(),
        subject: who.subject.clone(),
        settled,
        viewer,
    };
    let purpose = asked.purpose(&params);
    let text = pass.seal(&purpose, &asked.ctx.snapshot.passes.mac)?;
    let cookie = by_cookie
        .then(|| set_cookie(asked, watch, (&pass, &text), ttl.as_secs()))
        .flatten();
    Some(WatchPart {
        cookie,
        rewrite: by_query.then_some(text),
        viewer,
        ..WatchPart::default()
    })
}

/// An image is fetched once and whole. A page shows a hundred of them, each with a token of its own, and browsers keep
/// 10 KiB of partitioned cookies for a site: their passes would drive out those of what plays. A browser that does not say what
/// it fetches for names the kinds of images first where it wants one.
fn is_image(asked: &Asked<'_>) -> bool {
    let dest = asked.headers.get("sec-fetch-dest");
    let is_wanted = || dest.is_none() && asked.headers.get(header::ACCEPT).is_some_and(is_image_type);
    dest.is_some_and(|dest| dest == "image") || file::is_image(asked.ctx.path.decoded()) || is_wanted()
}

fn is_image_type(value: &HeaderValue) -> bool {
    let kind = value.as_bytes().get(..6);
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case(b"image/"))
}

fn has_token_in_query(asked: &Asked<'_>) -> bool {
    let query = asked.ctx.request.query.as_deref().unwrap_or_default();
    let rest = carrier::strip_query(&asked.ctx.snapshot.token_sources, query);
    rest.is_none_or(|rest| rest.len() != query.len())
}

/// One for playlists is sent with all events, and two of them do not take each other's place: their names differ.
fn set_cookie(asked: &Asked<'_>, watch: &Watch, (pass, text): (&Pass, &str), seconds: u64) -> Option<HeaderValue> {
    let site = if asked.is_https() { IN_A_FRAME } else { "; SameSite=Lax" };
    let name = asked.cookie_name();
    if pass.settled.grants.is_empty() {
        return cookies::set(name, text, cookie_path(asked, watch.depth)?, seconds, site);
    }
    let grants = pass
        .settled
        .grants
        .iter()
        .flat_map(|grant| [&*grant.action, &*grant.id]);
    let digest = sha256_of_parts(
        std::iter::once(&*asked.route.config.name)
            .chain(grants)
            .map(str::as_bytes),
    );
    let name = format!("{name}-{}", hex(digest.get(..8)?));
    let path = match watch.of_playlist?.depth {
        0 => "/",
        depth => cookie_path(asked, depth)?,
    };
    cookies::set(&name, text, path, seconds, site)
}

/// The path as the client spells it, up to and with this segment, counted from 1: what it asks for next begins so, byte for
/// byte. No slash follows where the client wrote none: the cookie is for that path too, and for all below it (RFC 6265
/// section 5.1.4).
fn cookie_path<'a>(asked: &Asked<'a>, depth: usize) -> Option<&'a str> {
    let canonical = beginning(asked.ctx.path.encoded(), depth)?;
    let written = beginning(&asked.ctx.request.raw_path, depth);
    let same = |raw: &&str| Path::parse(raw).is_ok_and(|path| path.encoded() == canonical);
    let path = written.filter(same).unwrap_or(canonical);
    let fits = path.len() <= MAX_COOKIE_PATH && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';');
    fits.then_some(path)
}

/// So many segments, and the slash behind them if there is one. Empty ones do not count, as in the canonical path.
fn beginning(path: &str, segments: usize) -> Option<&str> {
    let bytes = path.as_bytes();
    let is_slash = |at: usize| bytes.get(at).is_none_or(|byte| *byte == b'/');
    let mut ends = (0..bytes.len()).filter(|at| !is_slash(*at) && is_slash(at + 1));
    let last = ends.nth(segments.checked_sub(1)?)?;
    path.get(..path.len().min(last + 2))
}

/// The header with which an answer hands a pass to a browser. One that says itself to be an image earns none, whatever its
/// name; neither does one that says that there is nothing to play.
pub fn headers(
    ctx: &Context,
    (status, content_type): (StatusCode, Option<&HeaderValue>),
) -> Option<(HeaderName, HeaderValue)> {
    let cookie = ctx.watch.cookie.as_ref()?;
    let is_earned = status.as_u16() < 400 && !content_type.is_some_and(is_image_type);
    is_earned.then(|| (header::SET_COOKIE, cookie.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_for_the_path_as_it_is_written() {
        for (path, depth, expected) in [
            ("/static/org/player/e1/a/b.mp4", 4, Some("/static/org/player/e1/")),
            ("/static//org/player/e1//b.mp4", 4, Some("/static//org/player/e1/")),
            ("/e1/b", 1, Some("/e1/")),
            ("/e1", 1, Some("/e1")),
            ("/static//e1", 2, Some("/static//e1")),
            ("/static/", 2, None),
            ("/e1/b", 3, None),
        ] {
            assert_eq!(beginning(path, depth), expected, "{path}");
        }
    }
}
