//! The rules of a route, with what they ask of Opencast: the one place where judging may have to wait.
//!
//! The rules themselves are judged in `authorize`, which touches nothing; here is fetched what they need to know.

use futures_util::future::join_all;

use crate::authorize::{self, Facts};
use crate::context::Context;
use crate::event::{Events, Question};
use crate::fair::Asker;
use crate::identity::{Identity, Settled};
use crate::rejection::{Hint, Reason, Rejection};
use crate::request::Client;
use crate::request::Request;
use crate::route::path::Path;
use crate::route::table::Params;
use crate::snapshot::{Action, Route, RouteWatch, Snapshot};

/// Playlists of one token that Opencast is asked about for one request, beside those that are remembered: what a token names
/// may not fill the questions of all.
const MOST_PLAYLISTS: usize = 32;

/// One request before a route's rules.
pub struct Case<'a> {
    pub snapshot: &'a Snapshot,
    pub route: &'a Route,
    pub request: &'a Request,
    pub path: &'a Path,
    pub client: &'a Client,
    pub params: &'a Params,
}

impl<'a> Case<'a> {
    /// The request that has come.
    pub fn of(ctx: &'a Context, route: &'a Route) -> Self {
        Self {
            snapshot: &ctx.snapshot,
            route,
            request: &ctx.request,
            path: &ctx.path,
            client: &ctx.client,
            params: &ctx.params,
        }
    }

    /// What the rules look at.
    pub fn facts<'b>(&'b self, identity: Option<&'b Identity>, events: &'b Events) -> Facts<'b> {
        Facts {
            identity,
            params: self.params,
            method: &self.request.method,
            path: self.path.decoded(),
            // Who asks for decisions is the proxy itself, on whoever's behalf.
            client: match self.route.action {
                Action::Decide(_) => self.client.peer,
                _ => self.client.address,
            },
            events,
        }
    }

    /// The decision about a client whom the upstream knows, by a token of Moodle's own or a password: nobody here, of whom
    /// nothing about persons is asked.
    pub fn decide_without_person(&self) -> Result<(), Rejection> {
        let (config, facts) = (&self.route.config, self.facts(None, Events::NONE));
        let decided = authorize::decide_without_person(&config.allow, &config.deny, &facts);
        decided.map_err(Into::into)
    }

    /// The refusal, with the scope that is missing where only that is.
    fn told(&self, refusal: Reason, identity: Option<&Identity>, events: &Events) -> Rejection {
        let missing = || authorize::missing_scope(&self.route.config.allow, &self.facts(identity, events));
        match refusal {
            Reason::MissingScope => match missing() {
                Some(scope) => Rejection::new(refusal).with_hint(Hint::Scope(scope.to_owned())),
                None => refusal.into(),
            },
            refusal => refusal.into(),
        }
    }

    /// The decision about somebody, or nobody. What had to be asked about events is left in `events`; what cannot be
    /// found out allows nothing.
    pub async fn decide(&self, identity: Option<&Identity>, events: &mut Events) -> Result<(), Rejection> {
        let (allow, deny) = (&self.route.config.allow, &self.route.config.deny);
        let rules = (
            |facts: &Facts<'_>| authorize::decide(allow, deny, facts),
            |facts: &Facts<'_>| authorize::open_questions(allow, facts),
        );
        self.judge(rules, identity, events).await
    }

    /// The same by a watch pass.
    pub async fn decide_by_pass(
        &self,
        (watch, settled): (&RouteWatch, &Settled),
        identity: Option<&Identity>,
        events: &mut Events,
    ) -> Result<(), Rejection> {
        let rules = (
            |facts: &Facts<'_>| watch.rules.decide(settled, facts),
            |facts: &Facts<'_>| watch.rules.open_questions(settled, facts),
        );
        self.judge(rules, identity, events).await
    }

    /// `decide` judges by what is known of events, `open` says what has to be known besides.
    async fn judge(
        &self,
        (decide, open): (
            impl Fn(&Facts<'_>) -> Result<(), Reason>,
            impl Fn(&Facts<'_>) -> Vec<(Question, String)>,
        ),
        identity: Option<&Identity>,
        events: &mut Events,
    ) -> Result<(), Rejection> {
        let refusal = match decide(&self.facts(identity, events)) {
            Ok(()) => return Ok(()),
            Err(refusal) => refusal,
        };
        let Some(opencast) = self.route.opencast.as_ref().filter(|_| refusal != Reason::DeniedByRule) else {
            return Err(self.told(refusal, identity, events));
        };
        let open = open(&self.facts(identity, events));
        if open.is_empty() {
            return Err(self.told(refusal, identity, events));
        }
        let server = &self.snapshot.config.server;
        let public = server.public_url(&self.request.host).ok_or(Reason::UnknownHost)?;
        let mut failed = None;
        // What is remembered comes first: it may be enough, however much else there would be to ask.
        let mut unknown = Vec::new();
        for (question, id) in open {
            match opencast.recall(question, &id, public, events) {
                Some(answer) => failed = failed.or(answer.err()),
                None => unknown.push((question, id)),
            }
        }
        let mut decided = decide(&self.facts(identity, events));
        if decided.is_err() && !unknown.is_empty() {
            let mut playlists = 0..MOST_PLAYLISTS;
            let before = unknown.len();
            unknown.retain(|(question, _)| *question != Question::Playlist || playlists.next().is_some());
            let are_left_out = unknown.len() < before;
            let asker = &Asker::of(identity, self.client.address);
            // All at once: a request waits no longer than for one answer.
            let asked = unknown.iter().map(|(question, id)| async move {
                let mut learned = Events::default();
                let answer = opencast.ask(*question, id, public, asker, &mut learned).await;
                answer.map(|()| learned)
            });
            for answer in join_all(asked).await {
                match answer {
                    Ok(learned) => events.learn(learned),
                    Err(failure) => failed = failed.or(Some(failure)),
                }
            }
            decided = decide(&self.facts(identity, events));
            if are_left_out && failed.is_none() {
                let detail =
                    "the token names more playlists than are asked for at once: the next request asks for others";
                failed = Some(Rejection::because(Reason::Overloaded, detail));
            }
        }
        decided.map_err(|refusal| failed.unwrap_or_else(|| self.told(refusal, identity, events)))
    }
}
