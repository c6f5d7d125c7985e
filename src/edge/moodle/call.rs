//! One call with a token, from the client's request to the answer that it gets: the beginning of the body is read and
//! judged before anything is sent, a dead token is replaced once, and no secret of Moodle's stands in what goes back.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use pingora::proxy::Session;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::super::{Stop, count_body, parts, taken, upstream};
use super::back::go_back;
use super::nobody;
use crate::act::proxy::Attempts;
use crate::authenticate::session::Session as Person;
use crate::context::Context;
use crate::identity::Identity;
use crate::moodle::answer::{self, Reaction, SAFE_BODY, Verdict};
use crate::moodle::call::{self, Answer};
use crate::moodle::request::Refusal;
use crate::moodle::request::endpoint::Endpoint;
use crate::moodle::request::functions::{self, Permit};
use crate::moodle::request::inject::{self, Body, Head, Plan};
use crate::moodle::token::Token;
use crate::moodle::{Moodle, call::Pieces as Coming, maintenance};
use crate::present;
use crate::rejection::{Hint, Reason, Rejection};
use crate::snapshot::Route;

/// In the metrics, where it is not known what is called, or no function is.
const NO_FUNCTION: &str = "-";

/// So much of a body is held, judged, and sent once more if the token was dead.
const HELD: usize = 64 << 10;

/// A call that is under way.
struct Call<'a> {
    moodle: &'a Arc<Moodle>,
    person: &'a Person,
    plan: Plan,
    /// Path and query at the server, the query without a token.
    path: String,
    headers: HeaderMap,
    /// The client's body from its beginning.
    held: Vec<Bytes>,
    /// There is no more of it.
    whole: bool,
    /// Bytes that have gone up.
    sent: u64,
    /// Under what the called function is counted.
    group: &'static str,
}

/// Carries out a call on a route with `present = "moodle-token"`.
pub async fn serve(session: &mut Session, ctx: &mut Context, route: &Route) -> Result<(), Stop> {
    let moodle = Arc::clone(route.injects().ok_or(Reason::Internal)?);
    let person = person(ctx, &moodle)?;
    let (plan, path) = judge(session, ctx, route, &moodle)?;
    let script = match plan.endpoint() {
        Endpoint::Rest => "rest",
        Endpoint::Upload => "upload",
        Endpoint::File => "file",
    };
    let headers = headers(session, ctx)?;
    let group = plan.function().map_or(NO_FUNCTION, functions::group);
    let mut call = Call {
        moodle: &moodle,
        person: &person,
        plan,
        path,
        headers,
        held: Vec::new(),
        whole: false,
        sent: 0,
        group,
    };
    let metrics = moodle.tokens().metrics();
    let outcome = call.carry_out(session, ctx).await;
    match outcome {
        Ok((answer, token)) => {
            metrics.called(&moodle.config.name, script, call.group, "ok");
            let redacts =
                call.plan.endpoint() != Endpoint::File || answer::is_error_of_file(answer.status, &answer.headers);
            go_back(session, ctx, answer, &moodle, &token, redacts).await
        }
        Err(Stop::Refused(refusal)) => {
            metrics.called(&moodle.config.name, script, call.group, refusal.reason.label());
            nobody::instead(session, ctx, (&moodle, &person), refusal).await
        }
        Err(lost) => Err(lost),
    }
}

/// Whose token goes with the call.
pub fn person(ctx: &Context, moodle: &Moodle) -> Result<Arc<Person>, Rejection> {
    let sign_in = ctx.snapshot.config.sign_ins.get(moodle.config.sign_in);
    let is_its = |person: &&Arc<Person>| sign_in.is_some_and(|sign_in| sign_in.name == person.identity.source);
    let person = ctx.session.as_ref().filter(is_its);
    person
        .cloned()
        .ok_or_else(|| Rejection::because(Reason::NoMoodleToken, "no session of moodle.sign_in"))
}

/// What is to be done with the request, by its head; and its path at the server.
fn judge(session: &Session, ctx: &Context, route: &Route, moodle: &Moodle) -> Result<(Plan, String), Rejection> {
    let who = ctx.who.as_ref().ok_or(Reason::Internal)?;
    let plan = plan(moodle, route, ctx, who, &session.req_header().headers);
    if let Err(refusal) = &plan {
        let (metrics, name) = (moodle.tokens().metrics(), &moodle.config.name);
        metrics.called(name, NO_FUNCTION, NO_FUNCTION, refusal.reason.label());
    }
    let (_, path) = taken(ctx)?;
    let (encoded, _) = path.stripped(&route.config.strip);
    Ok((plan?, encoded.into_owned()))
}

/// What is to be done with a request, by its head alone.
pub fn plan(
    moodle: &Moodle,
    route: &Route,
    ctx: &Context,
    who: &Identity,
    headers: &HeaderMap,
) -> Result<Plan, Rejection> {
    let (request, path) = taken(ctx)?;
    let (_, decoded) = path.stripped(&route.config.strip);
    let permit = Permit::new(route.config.functions.as_deref(), &who.roles, &ctx.params);
    let target = parts::target_on(route, request, path, &ctx.snapshot.token_sources);
    let head = Head {
        path: moodle.below(&decoded).ok_or(Refusal::Endpoint)?,
        method: &request.method,
        query: target.split_once('?').map(|(_, query)| query),
        headers,
    };
    Ok(inject::plan(&head, permit)?)
}

/// The client's headers as an upstream gets them; what frames the body is set when it is sent.
fn headers(session: &Session, ctx: &Context) -> Result<HeaderMap, Stop> {
    let mut headers = session.req_header().headers.clone();
    let changes = present::changes(&upstream::shown(session, ctx)?);
    changes.apply(&mut headers).map_err(|_| Reason::HeadersTooLarge)?;
    for name in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::EXPECT] {
        headers.remove(name);
    }
    Ok(headers)
}

impl Call<'_> {
    /// The answer that the client shall get, and the token that brought it.
    async fn carry_out(&mut self, session: &mut Session, ctx: &mut Context) -> Result<(Answer, Token), Stop> {
        let mut token = self.moodle.token(self.person).await?;
        self.read_beginning(session, ctx).await?;
        let (mut obtained_again, mut probed) = (false, false);
        loop {
            let (mut answer, verdict) = self.attempt(session, ctx, &token).await?;
            let Some(verdict) = verdict else {
                return Ok((answer, token));
            };
            let reaction = match verdict.reaction {
                Reaction::Probe | Reaction::Verify if probed => return Ok((answer, token)),
                Reaction::Probe | Reaction::Verify => {
                    probed = true;
                    match self.moodle.is_alive(&token).await? {
                        // PHP has read nothing of the body, with the token in it.
                        true if verdict.reaction == Reaction::Verify => {
                            return Err(Rejection::because(Reason::BodyTooLarge, verdict.hint).into());
                        }
                        true => {
                            tracing::info!(
                                moodle = self.moodle.config.name,
                                hint = verdict.hint,
                                "Moodle denies a call"
                            );
                            return Ok((answer, token));
                        }
                        false => Reaction::ObtainAgain,
                    }
                }
                reaction => reaction,
            };
            if reaction != Reaction::ObtainAgain {
                return Err(self.give_up(reaction, &verdict, ctx).await.into());
            }
            answer.seen.clear();
            self.moodle.drop_token(self.person, &token).await?;
            if obtained_again {
                let detail = format!("a token that was just obtained is dead: {}", verdict.hint);
                return Err(Rejection::because(Reason::UpstreamFailed, detail).into());
            }
            obtained_again = true;
            token = self.moodle.another_token(self.person, &token).await?;
            if !self.whole {
                let refusal = Rejection::because(Reason::MoodleTokenRenewed, verdict.hint);
                return Err(refusal.with_hint(Hint::RetryAfter(1)).into());
            }
        }
    }

    /// Moodle's answer is not for the client: what it is told instead.
    async fn give_up(&self, reaction: Reaction, verdict: &Verdict, ctx: &Context) -> Rejection {
        let reason = match reaction {
            Reaction::EndMoodle => Reason::NoMoodleToken,
            Reaction::TooLarge => Reason::BodyTooLarge,
            _ => Reason::UpstreamFailed,
        };
        let refusal = match reaction {
            Reaction::Maintenance => maintenance(verdict.hint),
            Reaction::Wants(wanted) => self.moodle.wants(wanted),
            _ => Rejection::because(reason, verdict.hint),
        };
        let (moodle, request_id) = (&self.moodle.config.name, ctx.id.as_str());
        tracing::warn!(
            moodle,
            request_id,
            hint = verdict.hint,
            "Moodle's answer is not for the client"
        );
        if reaction == Reaction::EndMoodle
            && let Err(error) = self.moodle.end_account(self.person, &refusal).await
        {
            return error;
        }
        refusal
    }

    /// Reads what can be judged, and sent again, before anything is sent.
    async fn read_beginning(&mut self, session: &mut Session, ctx: &mut Context) -> Result<(), Stop> {
        let mut length = 0;
        while length <= HELD {
            match next_piece(session, ctx).await? {
                Some(piece) => {
                    length += piece.len();
                    self.held.push(piece);
                }
                None => {
                    self.whole = true;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn attempt(
        &mut self,
        session: &mut Session,
        ctx: &mut Context,
        token: &Token,
    ) -> Result<(Answer, Option<Verdict>), Stop> {
        let changes = self.plan.changes(token);
        let mut headers = self.headers.clone();
        changes.head.apply(&mut headers).map_err(|_| Reason::HeadersTooLarge)?;
        let target = match &changes.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        };
        let mut body = self.plan.body(token).map_err(Rejection::from)?;
        let mut beginning = Vec::new();
        for piece in &self.held {
            beginning.extend_from_slice(&body.push(piece.clone()).map_err(Rejection::from)?);
        }
        self.group = body.function().map_or(self.group, functions::group);
        let started = Instant::now();
        ctx.upstream.since = Some(started);
        self.sent = beginning.len() as u64;
        let mut answer = match self.whole {
            true => {
                beginning.extend_from_slice(&body.finish().map_err(Rejection::from)?);
                self.group = body.function().map_or(self.group, functions::group);
                self.sent = beginning.len() as u64;
                headers.remove(header::CONTENT_LENGTH);
                self.send_whole(ctx, changes.method, &target, headers, beginning.into())
                    .await?
            }
            false => {
                // What the plan says of the length counts, if the client has said any.
                if !session.req_header().headers.contains_key(header::CONTENT_LENGTH) {
                    headers.remove(header::CONTENT_LENGTH);
                } else if !headers.contains_key(header::CONTENT_LENGTH) {
                    let said = session.req_header().headers.get(header::CONTENT_LENGTH).cloned();
                    headers.extend(said.map(|said| (header::CONTENT_LENGTH, said)));
                }
                let first = beginning.into();
                self.send_coming(session, ctx, (changes.method, target, headers), first, body)
                    .await?
            }
        };
        let took = started.elapsed();
        self.moodle.upstream.seconds.observe(took.as_secs_f64());
        ctx.upstream.answered_after = Some(took);
        let (request, _) = taken(ctx)?;
        let may_be_lost = self.plan.token_in_body() && self.sent > SAFE_BODY;
        let (status, endpoint) = (answer.status, self.plan.endpoint());
        let head = answer::head(endpoint, &request.method, status, &answer.headers, may_be_lost);
        let verdict = answer.judge(head, self.moodle).await;
        Ok((answer, verdict.map_err(|error| call::rejection(&error))?))
    }

    /// To the first server that takes a connection.
    async fn send_whole(
        &self,
        ctx: &mut Context,
        method: Method,
        target: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, Rejection> {
        let (mut attempts, mut last) = (Attempts::default(), None);
        loop {
            let chosen = match self.moodle.upstream.choose(&self.path, &mut attempts) {
                Ok(chosen) => chosen,
                Err(none_left) => return Err(last.unwrap_or(none_left)),
            };
            ctx.upstream.chosen = Some(chosen.clone());
            let (method, headers, body) = (method.clone(), headers.clone(), body.clone());
            match self.moodle.send(&chosen, method, target, headers, body.into()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    let refusal = call::rejection(&error);
                    if refusal.reason != Reason::UpstreamUnavailable {
                        return Err(refusal);
                    }
                    chosen.server.metrics.connect_errors.inc();
                    tracing::warn!(server = chosen.server.label, %error, "upstream server not reached");
                    last = Some(refusal);
                }
            }
        }
    }

    /// With a body that is still coming: as fast as Moodle takes it, and never more of it here than a few pieces.
    async fn send_coming(
        &mut self,
        session: &mut Session,
        ctx: &mut Context,
        (method, target, headers): (Method, String, HeaderMap),
        first: Bytes,
        mut body: Body,
    ) -> Result<Answer, Stop> {
        let chosen = self.moodle.upstream.choose(&self.path, &mut Attempts::default())?;
        ctx.upstream.chosen = Some(chosen.clone());
        let (pieces, coming) = mpsc::channel(1);
        let moodle = Arc::clone(self.moodle);
        let mut sending = JoinSet::new();
        sending.spawn(async move {
            let body = reqwest::Body::wrap(Coming(coming));
            moodle.send(&chosen, method, &target, headers, body).await
        });
        let mut piece = first;
        let mut ended = false;
        loop {
            self.sent += piece.len() as u64;
            if !piece.is_empty() {
                match timeout(self.moodle.read_timeout, pieces.send(Ok(piece))).await {
                    Ok(Ok(())) => {}
                    // It has answered already, or is gone.
                    Ok(Err(_)) => break,
                    Err(_) => return Err(Reason::UpstreamTimeout.into()),
                }
            }
            if ended {
                break;
            }
            let next = match next_piece(session, ctx).await {
                Ok(Some(raw)) => body.push(raw),
                Ok(None) => {
                    ended = true;
                    body.finish()
                }
                Err(stop) => {
                    drop(pieces.try_send(Err(io::Error::other("the client's body broke off"))));
                    return Err(stop);
                }
            };
            piece = match next {
                Ok(piece) => piece,
                Err(refusal) => {
                    // Moodle never gets a whole request.
                    drop(timeout(self.moodle.read_timeout, pieces.send(Err(io::Error::other("refused")))).await);
                    return Err(Rejection::from(refusal).into());
                }
            };
        }
        drop(pieces);
        let sent = sending.join_next().await.and_then(Result::ok);
        let sent = sent.ok_or_else(|| Rejection::because(Reason::Internal, "a call of Moodle was cut off"))?;
        Ok(sent.map_err(|error| call::rejection(&error))?)
    }
}

async fn next_piece(session: &mut Session, ctx: &mut Context) -> Result<Option<Bytes>, Stop> {
    let piece = super::super::body::next(session).await?;
    if count_body(ctx, piece.as_ref()).is_err() {
        return Err(ctx
            .rejection
            .take()
            .unwrap_or_else(|| Reason::BodyTooLarge.into())
            .into());
    }
    Ok(piece)
}
