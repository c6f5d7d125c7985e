//! Parts of steps that need no session: the walk of a request has them in common with its explanation.

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::Arc;

use http::HeaderMap;

use crate::authenticate::signed_url;
use crate::authenticate::token::carrier;
use crate::config::{Credential, Present, TokenSource};
use crate::context::Context;
use crate::identity::Identity;
use crate::present::{Person, Shown};
use crate::rate::address_key;
use crate::rejection::{Reason, Rejection};
use crate::request::Client;
use crate::route::table::MatchOutcome;
use crate::snapshot::{Action, Route, Snapshot};

/// Does the client reach the gateway over https? So say its connection or a trusted proxy, or else the public URL of this host.
pub fn is_https(snapshot: &Snapshot, client: &Client, host: &str) -> bool {
    let public = snapshot.config.server.public_url(host);
    client.https || public.is_some_and(|url| url.https)
}

/// What was found out about the credentials that did not let a request pass, and which of it is told.
#[derive(Default)]
pub struct Refusals {
    person: Option<(Arc<Identity>, Rejection)>,
    credential: Option<Rejection>,
}

impl Refusals {
    /// A credential that is not valid.
    pub fn invalid(&mut self, refusal: Rejection) {
        // That a pass was revoked says more than that a token is over, too.
        if refusal.reason == Reason::WatchPassRevoked {
            self.credential = Some(refusal);
        } else {
            self.credential.get_or_insert(refusal);
        }
    }

    /// A valid one, of somebody whom the rules refuse. Is that the last word? After a `deny` no other credential is
    /// looked at.
    pub fn refused(&mut self, who: Arc<Identity>, refusal: Rejection) -> ControlFlow<()> {
        if refusal.reason == Reason::DeniedByRule {
            self.person = Some((who, refusal));
            return ControlFlow::Break(());
        }
        self.person.get_or_insert((who, refusal));
        ControlFlow::Continue(())
    }

    /// Was any credential valid?
    pub fn somebody(&self) -> bool {
        self.person.is_some()
    }

    /// The refusal of the first valid credential, and whose it is. Without one, what the rules decide about `nobody`;
    /// where they refuse, what was wrong with the credentials says more than which rule did not hold.
    pub fn told(self, nobody: Result<(), Rejection>, route: &Route) -> Result<(), (Option<Arc<Identity>>, Rejection)> {
        if let Some((who, refusal)) = self.person {
            return Err((Some(who), refusal));
        }
        let Err(of_rules) = nobody else { return Ok(()) };
        let refusal = match (of_rules.reason, self.credential) {
            (Reason::DeniedByRule, _) => of_rules,
            (_, Some(refusal)) => refusal,
            (Reason::AclUnavailable | Reason::RateLimited | Reason::Overloaded, None) => of_rules,
            (_, None) if !route.anonymous => Reason::NoCredentials.into(),
            (_, None) => of_rules,
        };
        Err((None, refusal))
    }
}

/// Where a token stands, in words.
pub fn place(source: &TokenSource) -> String {
    match source {
        TokenSource::Header { name, .. } => format!("header {name}"),
        TokenSource::Query { parameter } => format!("query {parameter}"),
        TokenSource::Form { parameter } => format!("form {parameter}"),
    }
}

/// Whose `limits.rate` a request is taken from: the person's, or where there is no name the address's.
pub fn rate_key(who: Option<&Identity>, client: &Client) -> String {
    let person = who.and_then(|who| who.counts_as(client.address));
    person.unwrap_or_else(|| address_key(client.address).to_string())
}

/// Of the routes at the path of a request whose method none of them serves, the first one with a CORS policy: a script
/// may read a 405 as it may read the other answers there.
pub fn route_for_other_methods(ctx: &Context) -> Option<&Route> {
    let is_405 = ctx.rejection.as_ref()?.reason == Reason::MethodNotAllowed;
    if !is_405 {
        return None;
    }
    let (snapshot, request, path) = (&ctx.snapshot, &ctx.request, &ctx.path);
    let considered = snapshot.table.explain(&request.host, path.decoded(), &request.method);
    let there = considered.iter().filter(|one| one.outcome == MatchOutcome::OtherMethod);
    let routes = there.filter_map(|one| snapshot.routes.get(one.route));
    routes.map(AsRef::as_ref).find(|route| route.cors.is_some())
}

/// Who it is for the upstream of a route that names people. The name in a token is its issuer's word, and counts where
/// the issuer may name users.
pub fn person<'a>(route: &'a Route, who: Option<&'a Identity>) -> Option<Person<'a>> {
    let (headers, who) = route.config.identity_headers.as_ref().zip(who)?;
    Some(Person {
        headers,
        subject: who.name(),
        roles: &who.roles,
    })
}

/// Is nobody judged by the tokens of a request: on a route open to everyone, or where it brings Moodle's own?
pub fn goes_unjudged(route: &Route, own_token: bool) -> bool {
    route.anonymous || own_token
}

/// Does a request that nobody is judged by carry a token that would count elsewhere? `client`: whose budget a check is
/// taken from; `None`: nobody's.
pub fn carries_ours(ctx: &Context, route: &Route, headers: &HeaderMap, client: Option<IpAddr>) -> bool {
    let found = || carrier::find(&ctx.snapshot.token_sources, headers, None);
    let is_theirs = || super::bearer::carries_theirs(&ctx.snapshot, headers);
    goes_unjudged(route, ctx.own_token) && (ctx.snapshot.tokens.are_ours(&found(), client) || is_theirs())
}

/// What is known for [`crate::present::changes`] of a request on a route: without an id, and no upgrade. `ours`: what [`carries_ours`] says.
pub fn shown_on<'a>(ctx: &'a Context, route: &'a Route, headers: &'a HeaderMap, ours: bool) -> Shown<'a> {
    let sources: &[TokenSource] = &ctx.snapshot.token_sources;
    let is_judged = ours || !goes_unjudged(route, ctx.own_token);
    Shown {
        person: person(route, ctx.who.as_deref()),
        identity_headers: &ctx.snapshot.identity_headers,
        request: &ctx.request,
        headers,
        client: &ctx.client,
        request_id: "",
        present: if ctx.own_token {
            Present::Pass
        } else {
            route.config.present
        },
        sources,
        judged: if is_judged { &ctx.snapshot.judged_sources } else { &[] },
        host: match &route.action {
            Action::Upstream(upstream) => upstream.host.as_ref(),
            _ => None,
        },
        upgrade: false,
        upstream_auth: ctx.upstream_auth.is_some(),
    }
}

/// Path and query as the upstream of a route gets them.
pub fn target_on(ctx: &Context, route: &Route) -> String {
    let (encoded, _) = ctx.path.stripped(&route.config.strip);
    let query = ctx.request.query.as_deref();
    let query = query.and_then(|query| carrier::strip_query(&ctx.snapshot.token_sources, query));
    let Some(query) = query else {
        return encoded.into_owned();
    };
    if route.config.accept.contains(&Credential::SignedUrl) {
        return match signed_url::strip_query(&query) {
            Some(query) => format!("{encoded}?{query}"),
            None => encoded.into_owned(),
        };
    }
    format!("{encoded}?{query}")
}
