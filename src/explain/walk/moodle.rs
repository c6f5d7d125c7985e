//! A call of Moodle's web services: whether it may be made, and which source of tokens would serve it. None is obtained,
//! so what Moodle says is not known here.

use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode};

use super::super::{Action, MoodleTokens, Outcome, TokenSource};
use super::Walk;
use crate::config::MoodleSource;
use crate::config::pattern::Params;
use crate::edge;
use crate::edge::moodle::{facade, login_address, own as own_token, plan};
use crate::edge::parts;
use crate::edge::rules::Case;
use crate::moodle::Moodle;
use crate::moodle::forecast::Prospect;
use crate::own;
use crate::own::visit::Visit;
use crate::present::moodle::inject::Changes;
use crate::present::moodle::token::Token;
use crate::present::moodle::tokens::cas_facade::Facade;
use crate::rejection::{Reason, Rejection};
use crate::request::{Client, Request};
use crate::respond::cors;
use crate::route::path::Path;
use crate::snapshot::Route;

/// Those of the route's path.
struct Known<'a>(&'a [(String, String)]);

impl Params for Known<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let mut known = self.0.iter();
        known.find(|(one, _)| one == name).map(|(_, value)| value.as_str())
    }
}

impl Walk<'_> {
    /// What the gateway answers although it was sent to Moodle, or asked by it: told, and nothing is used up. A logout
    /// that the CAS server posts is a body, of which nothing is known here.
    ///
    /// `Some`: the status, where it is known before it is done.
    pub(super) fn aside(
        &mut self,
        request: &Request,
        path: &Path,
        headers: &HeaderMap,
        client: &Client,
    ) -> Result<Option<Option<StatusCode>>, Rejection> {
        let (what, status) = match facade::asked(self.snapshot, request, path, client) {
            Some(asked) => match asked?.question {
                Facade::Asked(_) => (
                    "a ticket of the gateway's own, which is good once",
                    Some(StatusCode::OK),
                ),
                Facade::Redirect => ("the browser is sent on to the CAS server", Some(StatusCode::FOUND)),
                _ => ("the CAS server is asked, and its answer passed on", None),
            },
            None => match self.at_login(request, path, headers)? {
                Some(told) => told,
                None => return Ok(None),
            },
        };
        self.report.outcome = Outcome::Allow;
        self.report.action = Some(Action::Aside { what: what.to_owned() });
        Ok(Some(status))
    }

    fn at_login(
        &self,
        request: &Request,
        path: &Path,
        headers: &HeaderMap,
    ) -> Result<Option<(&'static str, Option<StatusCode>)>, Rejection> {
        let at = login_address(self.snapshot, request, path).filter(|_| request.method == Method::GET);
        let Some((moodle, below)) = at else { return Ok(None) };
        let query = request.query.as_deref().unwrap_or_default();
        if own::moodle::logged_out(query, None, &[]).is_some() {
            return Ok(Some(("the session of this ticket ends", Some(StatusCode::OK))));
        }
        let here = self.here(request)?;
        let lands = own::moodle::lands(&here, moodle, below, query, headers);
        Ok(lands.map(|_| ("a token is obtained by the ticket that the browser was sent for", None)))
    }

    /// A token of its own in the address of a call without a session: judged as nobody, and passed on. One in a body is
    /// not known here.
    pub(super) fn with_own_token(
        &mut self,
        judged: Result<Arc<Route>, Rejection>,
        request: &Request,
        path: &Path,
        client: &Client,
    ) -> Result<Arc<Route>, Rejection> {
        let Some(route) = self
            .route
            .clone()
            .filter(|_| self.session.is_none() && !self.only_decides)
        else {
            return judged;
        };
        let passes = own_token::passes(&route, judged.as_ref().err());
        if !passes.is_some_and(|moodle| own_token::in_address(moodle, &route, request, path)) {
            return judged;
        }
        self.own_token = true;
        self.report.outcome = Outcome::Deny;
        let found = self
            .snapshot
            .table
            .find(&request.host, path.decoded(), &request.method)?;
        let case = Case {
            snapshot: self.snapshot,
            route: &route,
            request,
            client,
            params: &found.params,
        };
        case.decide_own_token()?;
        if judged.is_err() {
            self.limits(&route, client)?;
        }
        self.report.outcome = Outcome::Allow;
        Ok(route)
    }

    /// A pre-flight that is Moodle's to answer: its route.
    pub(super) fn moodles_preflight(
        &mut self,
        request: &Request,
        path: &Path,
        headers: &HeaderMap,
        client: &Client,
    ) -> Result<Option<Arc<Route>>, Rejection> {
        let Some((route, allowed)) = own_token::preflight(self.snapshot, request, path, headers, client) else {
            return Ok(None);
        };
        let announced = cors::requested_method(&request.method, headers);
        self.routes(request, path, announced.as_ref().unwrap_or(&request.method));
        self.own_token = true;
        allowed?;
        self.limits(&route, client)?;
        edge::check_announced_body(&route, headers)?;
        self.report.outcome = Outcome::Allow;
        Ok(Some(route))
    }

    /// What can be said of the route's Moodle before it is known who asks.
    pub(super) fn tokens_for_anybody(&mut self, route: &Route) {
        self.report.moodle = route.injects().map(|moodle| MoodleTokens {
            username: None,
            kept: None,
            sources: told(&moodle.forecast_for_anybody(), None),
            ..named(moodle)
        });
    }

    /// What becomes of a call. No token is obtained: one that is none stands in its place.
    pub(super) async fn call(
        &mut self,
        route: &Route,
        request: &Request,
        headers: &HeaderMap,
        path: &Path,
    ) -> Result<Call, Rejection> {
        let Some(moodle) = route.injects().filter(|_| !self.own_token) else {
            return Ok(Call::AsItCame);
        };
        let config = &self.snapshot.config;
        let of = config.sign_ins.get(moodle.config.sign_in).map(|sign_in| &sign_in.name);
        let session = self.session.clone();
        let session = session.filter(|session| Some(&session.identity.source) == of);
        let session =
            session.ok_or_else(|| Rejection::because(Reason::NoMoodleToken, "no session of moodle.sign_in"))?;
        let target = parts::target_on(route, request, path, &self.snapshot.token_sources);
        let params = Known(&self.report.params);
        let plan = plan(
            moodle,
            route,
            request,
            path,
            &target,
            &session.identity,
            &params,
            headers,
        )?;
        let forecast = moodle.forecast(&session, self.now).await?;
        self.report.moodle = Some(MoodleTokens {
            username: Some(forecast.username.clone()),
            kept: Some(forecast.kept),
            sources: told(&forecast.sources, forecast.source()),
            ..named(moodle)
        });
        let Some(refusal) = forecast.refusal else {
            return Ok(Call::With(plan.changes(&Token::stand_in())));
        };
        if refusal.reason == Reason::MoodleSignInRequired && own::page_load(&request.method, headers) {
            let here = self.here(request)?;
            let visit = Visit {
                here,
                request,
                path,
                headers,
            };
            let reply = own::moodle::begin(&visit.here, moodle, &session, &visit.target())?;
            self.report.reason = Some(refusal.reason.label().to_owned());
            self.report.text = Some(refusal.reason.public_text().to_owned());
            self.report.action = Some(Action::SignIn);
            return Ok(Call::Here(reply.status));
        }
        Err(refusal)
    }
}

/// What becomes of a call of Moodle's web services.
pub(super) enum Call {
    /// A browser is sent for a ticket first.
    Here(StatusCode),
    With(Changes),
    /// It is none, or brings its own token.
    AsItCame,
}

/// The target with another query, in which the stand-in for the token is not shown.
pub(super) fn with_query(target: &str, query: Option<&str>) -> String {
    let path = target.split('?').next().unwrap_or_default();
    match query {
        Some(query) => format!("{path}?{}", query.replacen(Token::stand_in().reveal(), "***", 1)),
        None => path.to_owned(),
    }
}

fn named(moodle: &Moodle) -> MoodleTokens {
    MoodleTokens {
        moodle: moodle.config.name.clone(),
        service: moodle.config.service.clone(),
        username: None,
        kept: None,
        sources: Vec::new(),
        never: moodle.config.never.clone(),
    }
}

fn told(sources: &[(MoodleSource, Prospect)], used: Option<MoodleSource>) -> Vec<TokenSource> {
    let one = |(source, prospect): &(MoodleSource, Prospect)| {
        let (Prospect::Asked(text) | Prospect::Browser(text) | Prospect::Nothing(text) | Prospect::Depends(text)) =
            prospect;
        TokenSource {
            source: source.label().to_owned(),
            prospect: (*text).to_owned(),
            used: used == Some(*source),
        }
    };
    sources.iter().map(one).collect()
}
