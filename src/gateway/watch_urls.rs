//! `watch_urls`: the addresses of media in a JSON answer of an upstream, such as Opencast's `search`, get watch passes, for
//! players that show neither the token nor a cookie there. Each gets the pass that the token would have earned at that
//! address; one that the token does not open, or that Opencast would have to be asked about first, stays as it is.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::{ErrorType, OrErr as _, Result};
use pingora::proxy::Session;
use url::{Origin, Url};

use super::playlists::{ask_readable, is_gzip, rewritten};
use crate::act::playlist::collect::Collecting;
use crate::act::playlist::json;
use crate::authenticate::watch::{PARAMETER, Pass, Purpose};
use crate::authorize::{self, Facts};
use crate::config::{Carry, Watch};
use crate::context::Context;
use crate::event::Events;
use crate::identity::Identity;
use crate::route::path::Path;
use crate::route::table::Params;
use crate::snapshot::{Route, RouteWatch};

/// Lectures of one answer that get passes: the first ones.
const MAX_LECTURES: usize = 250;
/// Addresses of one answer that are looked at: each costs a look into the routes.
const MAX_ADDRESSES: usize = 10_000;

/// The question is put so that the answer comes whole, in a coding that is read here.
pub(super) fn ask(upstream: &mut RequestHeader, ctx: &Context) -> Result<()> {
    if !ctx.watch.links {
        return Ok(());
    }
    for name in [
        header::RANGE,
        header::IF_RANGE,
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
    ] {
        upstream.remove_header(&name);
    }
    ask_readable(upstream)
}

/// The header of the answer: nothing describes the upstream's bytes, and nobody keeps it in the place of another person's.
pub(super) fn answered(session: &Session, answer: &mut ResponseHeader, ctx: &mut Context) -> Result<()> {
    if !ctx.watch.links || answer.status != StatusCode::OK || !is_json(answer) {
        return Ok(());
    }
    let Some(is_gzip) = is_gzip(answer) else {
        return Ok(());
    };
    answer.remove_header(&header::ETAG);
    answer.remove_header(&header::LAST_MODIFIED);
    if rewritten(session, answer)? {
        ctx.watch.json = Some(Collecting::new(is_gzip));
    }
    Ok(())
}

/// Opencast's external API says `application/v1.11.0+json`.
fn is_json(answer: &ResponseHeader) -> bool {
    let kind = answer.headers.get(header::CONTENT_TYPE);
    kind.and_then(|kind| kind.to_str().ok()).is_some_and(|kind| {
        let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
    })
}

/// A piece of the body: held back until the answer is whole. One that is too large goes out as it is.
pub(super) fn body(piece: &mut Option<Bytes>, end: bool, ctx: &mut Context) -> Result<()> {
    let Some(mut collecting) = ctx.watch.json.take() else {
        return Ok(());
    };
    let unreadable = || "an answer of the upstream that cannot be decoded";
    let mut out = collecting
        .add(piece.as_deref().unwrap_or_default())
        .or_err_with(ErrorType::InvalidHTTPHeader, unreadable)?;
    if end {
        let (rest, is_whole) = collecting
            .finish()
            .or_err_with(ErrorType::InvalidHTTPHeader, unreadable)?;
        let passes = Passes::of(ctx).filter(|_| is_whole);
        let with_passes = passes.and_then(|mut passes| json::rewrite(&rest, &mut |address| passes.parameter(address)));
        out.extend(with_passes.unwrap_or(rest));
    } else {
        ctx.watch.json = Some(collecting);
    }
    *piece = Some(Bytes::from(out)).filter(|out| !out.is_empty());
    Ok(())
}

/// The passes of one person for the addresses of one answer.
struct Passes<'a> {
    ctx: &'a Context,
    who: &'a Identity,
    here: Url,
    /// Other origins of this gateway, and their hosts.
    publics: Vec<(Origin, &'a str)>,
    /// How many more are looked at.
    left: usize,
    /// Route and parameters, and the pass if there is one.
    known: HashMap<(usize, Vec<String>), Option<String>>,
}

impl<'a> Passes<'a> {
    fn of(ctx: &'a Context) -> Option<Self> {
        let scheme = if ctx.client.https { "https" } else { "http" };
        let publics = ctx.snapshot.config.server.public_urls.iter();
        Some(Self {
            ctx,
            who: ctx.who.as_deref()?,
            here: Url::parse(&format!("{scheme}://{}/", ctx.request.authority)).ok()?,
            publics: publics
                .filter_map(|public| Some((Url::parse(&public.origin()).ok()?.origin(), public.host.as_str())))
                .collect(),
            left: MAX_ADDRESSES,
            known: HashMap::new(),
        })
    }

    /// What goes into this address: `watch=…`.
    fn parameter(&mut self, address: &str) -> Option<String> {
        self.left = self.left.checked_sub(1)?;
        let url = self.here.join(address).ok()?;
        let host = self.host_of(&url)?;
        let snapshot = &self.ctx.snapshot;
        let path = Path::parse(url.path()).ok()?;
        let found = snapshot.table.find(host, path.decoded(), &Method::GET).ok()?;
        let route = snapshot.routes.get(found.route)?;
        let watch = route.watch.as_ref()?;
        if !watch.config.carry.contains(&Carry::Rewrite) || route.take(&path, url.query()).is_err() {
            return None;
        }
        let params = found.params.iter().take(watch.config.params);
        let key = (found.route, params.map(|(_, value)| value.to_owned()).collect());
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        if self.known.len() >= MAX_LECTURES {
            return None;
        }
        let pass = self.pass((route, watch), &path, &found.params);
        let parameter = pass.map(|pass| format!("{PARAMETER}={pass}"));
        self.known.insert(key, parameter.clone());
        parameter
    }

    /// Under which host this gateway serves the address, if it does.
    fn host_of(&self, url: &Url) -> Option<&'a str> {
        if !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        let origin = url.origin();
        if origin == self.here.origin() {
            return Some(&self.ctx.request.host);
        }
        let mut publics = self.publics.iter();
        publics.find(|(known, _)| *known == origin).map(|(_, host)| *host)
    }

    /// What the token would earn by a GET of this path.
    fn pass(&self, (route, watch): (&Route, &RouteWatch), path: &Path, params: &Params) -> Option<String> {
        let (ctx, who) = (self.ctx, self.who);
        let is_taken = |index: &usize| route.config.issuers.as_ref().is_none_or(|taken| taken.contains(index));
        if !who.issuers.iter().all(is_taken) {
            return None;
        }
        let facts = |events| Facts {
            identity: Some(who),
            params,
            method: &Method::GET,
            path: path.decoded(),
            client: ctx.client.address,
            events,
        };
        let mut events = Events::default();
        if let Some(opencast) = &route.opencast {
            let open = authorize::open_questions(&route.config.allow, &facts(Events::NONE));
            let public = ctx.snapshot.config.server.public_url(&ctx.request.host)?;
            for (question, id) in open {
                // What is not remembered is not asked for here, and allows nothing.
                opencast.recall(question, &id, public, &mut events);
            }
        }
        let facts = facts(&events);
        authorize::decide(&route.config.allow, &route.config.deny, &facts).ok()?;
        let pass = Pass {
            issued: ctx.at,
            expires: ctx.at + lifetime(ctx, &watch.config, who)?,
            issuer: who.source.to_string(),
            subject: who.subject.clone(),
            settled: watch.rules.settle(&facts)?,
            viewer: ctx.watch.viewer.filter(|_| route.config.views.is_some()),
        };
        let params: Vec<_> = params.iter().take(watch.config.params).collect();
        let purpose = Purpose {
            route: &route.config.name,
            params: &params,
            event: watch.config.of_playlist.map(|of| of.param),
        };
        pass.seal(&purpose, &ctx.snapshot.passes.mac)
    }
}

/// How long a pass of this person is good for.
pub(super) fn lifetime(ctx: &Context, watch: &Watch, who: &Identity) -> Option<Duration> {
    let issuers = &ctx.snapshot.config.jwt.issuers;
    let longest = who
        .issuers
        .iter()
        .map(|index| issuers.get(*index).map(|issuer| issuer.watch_max));
    Some(longest.min()??.min(watch.ttl))
}
