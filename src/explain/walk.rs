//! The gateway's steps in the gateway's order, asked for their reasons. Each step is the room's own; what is found out
//! goes into the report as far as the request gets.

mod admit;
mod moodle;
mod people;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, Method, StatusCode, header};

use self::moodle::Call;
use self::people::Sent;
use super::lay_out::{self, fate, key_set, seen, told, upstream_headers};
use super::report::moment;
use super::{Action, Keys, Outcome, Question, Report};
use crate::act::file::{self, FileRequest};
use crate::act::playlist;
use crate::ask;
use crate::authenticate::session::Session;
use crate::authenticate::token::KeySource;
use crate::authenticate::token::carrier;
use crate::config::Rate;
use crate::edge;
use crate::edge::parts;
use crate::edge::watch::Asked;
use crate::event::Events;
use crate::identity::Identity;
use crate::listen::{client, intake};
use crate::own;
use crate::present;
use crate::query;
use crate::rejection::{Hint, Reason, Rejection};
use crate::request::{Client, Request};
use crate::respond::{self, cors};
use crate::route::path::Path;
use crate::snapshot::{self, Route, Snapshot};

/// Why the request would be allowed or refused, at `present_time` if the question names no other time. `keys` are what
/// tokens are judged by: those of the running gateway if `live`. Budgets are looked at as they are at `instant`, the
/// present too; for another time nobody knows them.
pub async fn explain(
    snapshot: &Snapshot,
    question: &Question,
    keys: &[KeySource],
    live: bool,
    present_time: SystemTime,
    instant: Instant,
) -> Report {
    let asked = question
        .at
        .and_then(|at| UNIX_EPOCH.checked_add(Duration::from_secs(at)));
    let now = asked.unwrap_or(present_time);
    let mut walk = Walk {
        snapshot,
        now,
        instant: asked.is_none().then_some(instant),
        route: None,
        who: None,
        session: None,
        tokens: Vec::new(),
        only_decides: false,
        launching: false,
        own_token: false,
        report: Report {
            outcome: Outcome::Deny,
            reason: None,
            text: None,
            status: None,
            visit: None,
            detail: None,
            at: moment(now, present_time),
            keys: Keys {
                live,
                issuers: keys.iter().map(|source| key_set(source, present_time)).collect(),
            },
            request: None,
            routes: Vec::new(),
            other_routes: 0,
            params: Vec::new(),
            anonymous: false,
            else_asked: false,
            credentials: Vec::new(),
            deny: Vec::new(),
            allow: Vec::new(),
            budgets: Vec::new(),
            action: None,
            moodle: None,
        },
    };
    match walk.request(question).await {
        Ok(status) => walk.report.status = status.map(|status| status.as_u16()),
        Err(rejection) => {
            walk.report.reason = Some(rejection.reason.label().to_owned());
            walk.report.text = Some(rejection.reason.public_text().to_owned());
            let status = match walk.only_decides {
                true => respond::decision(&rejection, "").status,
                false => rejection.reason.status(),
            };
            walk.report.status = Some(status.as_u16());
            walk.report.detail = told(&rejection);
            walk.report.visit = match rejection.hint {
                Hint::Visit(url) => Some(url),
                _ => None,
            };
        }
    }
    walk.report.hide(&walk.tokens)
}

struct Walk<'a> {
    snapshot: &'a Snapshot,
    now: SystemTime,
    /// At which budgets are looked at.
    instant: Option<Instant>,
    report: Report,
    /// That has won.
    route: Option<Arc<Route>>,
    /// Whose credential decided.
    who: Option<Arc<Identity>>,
    /// That the request carries.
    session: Option<Arc<Session>>,
    /// Whose signatures must not be seen.
    tokens: Vec<String>,
    /// A proxy is told a decision, not an answer.
    only_decides: bool,
    /// A page is opened with a token, which alone counts.
    launching: bool,
    /// That the address names, for Moodle.
    own_token: bool,
}

impl Walk<'_> {
    /// The answer's status, where it is the gateway that says it.
    async fn request(&mut self, question: &Question) -> Result<Option<StatusCode>, Rejection> {
        let mut composed = intake::compose(&question.method, &question.target, &question.headers)?;
        intake::forget_other_upgrades(&mut composed);
        let headers = &composed.headers;
        let peer = SocketAddr::new(question.from, 0);
        let client = client::identify(peer, question.https, headers, &self.snapshot.trusted_proxies);
        intake::check_size(&composed, None, self.snapshot.config.server.max_header)?;
        let mut request = intake::take(&composed, None)?;
        edge::decide::settle_host(&mut request, &client, self.snapshot)?;
        self.report.request = Some(seen(&request, None, &client));
        let carried = carrier::find(&self.snapshot.token_sources, headers, request.query.as_deref());
        self.tokens.extend(carried.iter().map(str::to_owned));
        self.tokens
            .extend(tickets(request.query.as_deref().unwrap_or_default()));
        let path = Path::parse(&request.raw_path)?;
        self.report.request = Some(seen(&request, Some(&path), &client));
        if let Some(status) = self.aside(&request, &path, headers, &client)? {
            return Ok(status);
        }
        if own::is_own(path.decoded()) {
            return self.own(&request, &path, headers).await;
        }
        if let Some(route) = self.moodles_preflight(&request, &path, headers, &client)? {
            return self.act(&route, &request, headers, &path, &client).await;
        }
        if let Some(status) = self.preflight(&request, &path, headers) {
            return Ok(Some(status));
        }
        let judged = self.judge(&request, &path, headers, &client).await;
        let judged = self.with_own_token(judged, &request, &path, &client);
        let route = match self.sent_to_sign_in(judged, &request, &path, headers)? {
            Sent::ToSignIn(status) => return Ok(Some(status)),
            Sent::Nowhere(route) => route,
        };
        if self.launching {
            self.report.action = Some(Action::Launch);
            return Ok(Some(StatusCode::SEE_OTHER));
        }
        let snapshot::Action::Decide(names) = &route.action else {
            return self.act(&route, &request, headers, &path, &client).await;
        };
        // What is asked about takes the place of the request that asks.
        self.report.outcome = Outcome::Deny;
        let request = edge::decide::in_question(headers, &request, &client, self.snapshot, names)?;
        let path = Path::parse(&request.raw_path)?;
        self.report.request = Some(seen(&request, Some(&path), &client));
        let decided = self.judge(&request, &path, headers, &client).await?;
        if matches!(decided.action, snapshot::Action::Decide(_)) {
            self.report.outcome = Outcome::Deny;
            return Err(Rejection::because(Reason::NoRoute, "a decision about a decision"));
        }
        self.report.action = Some(Action::Decision);
        Ok(Some(StatusCode::NO_CONTENT))
    }

    /// From the path to the decision.
    async fn judge(
        &mut self,
        request: &Request,
        path: &Path,
        headers: &HeaderMap,
        client: &Client,
    ) -> Result<Arc<Route>, Rejection> {
        let carried = carrier::find(&self.snapshot.token_sources, headers, request.query.as_deref());
        self.tokens.extend(carried.iter().map(str::to_owned));
        self.routes(request, path, &request.method);
        let found = edge::decide::find(self.snapshot, request, path, Some(client))?;
        let route = self.snapshot.routes.get(found.route).ok_or(Reason::NoRoute)?;
        self.route = Some(Arc::clone(route));
        self.only_decides |= matches!(route.action, snapshot::Action::Decide(_));
        self.tokens_for_anybody(route);
        route.take(path, request.query.as_deref())?;
        let params = found.params.iter();
        self.report.params = params
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();

        self.report.budgets.clear();
        let asked = Asked {
            snapshot: self.snapshot,
            route,
            request,
            path,
            params: &found.params,
            headers,
            client,
            events: Events::NONE,
        };
        let refusal = self.admit(&asked, &carried).await.err();
        let launching = self.launching;
        let is_open = |refusal: &&Rejection| !launching && edge::ask::is_open_for(request, route, refusal);
        self.report.outcome = if refusal.is_none() {
            Outcome::Allow
        } else {
            Outcome::Deny
        };
        self.report.else_asked = refusal.as_ref().filter(is_open).is_some();
        if let Some(refusal) = refusal.as_ref().filter(|refusal| !is_open(refusal)) {
            return Err(refusal.clone());
        }
        self.limits(route, client)?;
        edge::check_announced_body(route, headers)?;
        if let (Some(ask), Some(refusal)) = (&route.else_ask, refusal) {
            let question = ask::Question {
                request,
                path: path.encoded(),
                headers,
                client,
                request_id: "explain",
            };
            edge::ask::ask_about(ask, &question, refusal).await?;
            self.report.outcome = Outcome::Allow;
        }
        Ok(Arc::clone(route))
    }

    /// A browser's question before a request of another origin.
    fn preflight(&mut self, request: &Request, path: &Path, headers: &HeaderMap) -> Option<StatusCode> {
        let asked = cors::requested_method(&request.method, headers)?;
        let found = self.snapshot.table.find(&request.host, path.decoded(), &asked).ok()?;
        let route = self.snapshot.routes.get(found.route)?;
        let reply = route.preflight(&request.method, headers)??;
        self.routes(request, path, &asked);
        self.report.outcome = Outcome::Allow;
        self.report.action = Some(Action::Preflight);
        Some(reply.status)
    }

    pub(super) fn routes(&mut self, request: &Request, path: &Path, method: &Method) {
        let considered = self.snapshot.table.explain(&request.host, path.decoded(), method);
        self.report.other_routes = self.snapshot.routes.len().saturating_sub(considered.len());
        let fates = considered.iter().filter_map(|one| {
            let route = self.snapshot.routes.get(one.route)?;
            Some(fate(route, one.fate, method))
        });
        self.report.routes = fates.collect();
    }

    /// `limits.rate`, from which nothing is taken.
    pub(super) fn limits(&mut self, route: &Route, client: &Client) -> Result<(), Rejection> {
        let Some(rate) = &route.rate else {
            return Ok(());
        };
        let key = parts::rate_key(self.who.as_deref(), client);
        let spent = self.instant.is_some_and(|instant| !rate.peek(&key, instant));
        self.budget("limits.rate", key, rate.rate(), spent);
        match spent {
            true => Err(Reason::RateLimited.into()),
            false => Ok(()),
        }
    }

    fn budget(&mut self, key: &str, of: String, rate: Rate, spent: bool) {
        let is_known = self.report.keys.live && self.instant.is_some();
        let budget = lay_out::budget(key, of, rate, spent, is_known);
        self.report.budgets.push(budget);
    }

    async fn act(
        &mut self,
        route: &Route,
        request: &Request,
        headers: &HeaderMap,
        path: &Path,
        client: &Client,
    ) -> Result<Option<StatusCode>, Rejection> {
        match &route.action {
            snapshot::Action::Files(root) => {
                let (_, below) = path.stripped(&route.config.strip);
                self.report.action = Some(Action::File {
                    path: below.clone().into_owned(),
                });
                let asked = FileRequest {
                    method: &request.method,
                    headers,
                    download: false,
                    private: !route.anonymous,
                    client: client.address,
                };
                let answer = file::answer(root, &below, asked, self.now).await?;
                // A playlist with passes in it has an entity tag of its own, which conditions are about.
                let may_differ = route.watch.is_some() && playlist::Kind::of_path(&below).is_some();
                let is_conditional = headers.keys().any(|name| name.as_str().starts_with("if-"));
                Ok((!may_differ || !is_conditional).then_some(answer.status))
            }
            snapshot::Action::Accel(prefix) => {
                let (encoded, below) = path.stripped(&route.config.strip);
                if file::is_hidden(&below, route.config.well_known) {
                    return Err(Reason::FileNotFound.into());
                }
                self.report.action = Some(Action::Accel {
                    name: format!("{prefix}{encoded}"),
                });
                Ok(Some(StatusCode::OK))
            }
            snapshot::Action::Decide(_) => Err(Reason::Internal.into()),
            snapshot::Action::Launch => {
                self.report.outcome = Outcome::Deny;
                own::launch::form::is_form(headers)?;
                self.report.outcome = Outcome::Allow;
                self.report.action = Some(Action::Launch);
                Ok(None)
            }
            snapshot::Action::Reply(fixed) => {
                self.report.action = Some(Action::Reply);
                Ok(Some(fixed.status))
            }
            snapshot::Action::OwnKeys => {
                self.report.action = Some(Action::Reply);
                Ok(Some(edge::opencast::own_keys(self.snapshot, headers)?.status))
            }
            snapshot::Action::KeySet(set) => {
                self.report.action = Some(Action::Reply);
                Ok(Some(set.answer(headers).status))
            }
            snapshot::Action::Upstream(upstream) => {
                let call = match self.call(route, request, headers, path).await? {
                    Call::Here(status) => return Ok(Some(status)),
                    Call::With(changes) => Some(changes),
                    Call::AsItCame => None,
                };
                let sources = &self.snapshot.token_sources;
                let who = self.who.as_deref();
                let authorization = edge::opencast::authorization(route, who, self.now)?;
                let own = self.own_token;
                let ours = parts::carries_ours(self.snapshot, route, own, headers, None);
                let shown = parts::shown_on(self.snapshot, route, who, request, headers, client, own, ours);
                let mut changes = present::changes(&shown);
                changes
                    .set
                    .extend(authorization.map(|value| (header::AUTHORIZATION, value)));
                let mut target = parts::target_on(route, request, path, sources);
                let mut method = &request.method;
                if let Some(call) = &call {
                    method = &call.method;
                    target = moodle::with_query(&target, call.query.as_deref());
                }
                self.report.action = Some(Action::Upstream {
                    name: upstream.name.to_string(),
                    method: method.to_string(),
                    target,
                    headers: upstream_headers(headers, [changes].into_iter().chain(call.map(|call| call.head))),
                });
                Ok(None)
            }
        }
    }
}

/// What a CAS server gave a browser for some service behind the gateway (CAS 3.0 section 3): good once, and until then as
/// good as a password.
fn tickets(query: &str) -> impl Iterator<Item = String> {
    query::values(query.as_bytes(), "ticket").map(Cow::into_owned)
}
