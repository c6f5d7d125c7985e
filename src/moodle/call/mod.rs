//! One call with a token, from the client's request to the answer that it gets: the beginning of the body is read and judged
//! before anything is sent, and what Moodle answers is judged before anything of it goes on.

mod reply;
mod retries;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

pub use self::reply::Answer;
use self::reply::Pieces;
pub(super) use self::reply::rejection as not_reached;
use self::retries::{Next, Retries};
use super::Moodle;
use super::answer::{self, Reaction, SAFE_BODY, Verdict};
use super::caller::Caller;
use super::no_token::maintenance;
use super::request::inject::{Body, Plan};
use super::request::{Refusal, functions};
use super::token::Token;
use crate::act::proxy::{Attempts, Chosen};
use crate::rejection::{Hint, Reason, Rejection};

/// In the metrics, where it is not known what is called, or no function is.
pub const NO_FUNCTION: &str = "-";

/// So much of a body is held, judged, and sent once more if the token was dead.
const HELD: usize = 64 << 10;

/// Who sends the body of a call.
pub trait Client: Send {
    type Lost: From<Rejection> + From<Reason> + From<Refusal> + Send;

    /// The next piece of the body; `None` at its end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, Self::Lost>> + Send;
}

/// A call that is under way.
pub struct Call<'a> {
    pub moodle: &'a Arc<Moodle>,
    pub person: Caller<'a>,
    pub request_id: &'a str,
    pub plan: Plan,
    /// The client's.
    pub method: Method,
    /// Path and query at the server, the query without a token.
    pub path: String,
    /// As Moodle gets them. What frames the body is not among them.
    pub headers: HeaderMap,
    /// What the client says of the body's length.
    pub length: Option<HeaderValue>,
    pub progress: Progress,
}

/// How far a call has come.
#[derive(Default)]
pub struct Progress {
    /// The client's body from its beginning.
    held: Vec<Bytes>,
    /// There is no more of it.
    is_whole: bool,
    /// Bytes that have gone up.
    sent: u64,
    /// The function that was found in the body.
    function: Option<&'static str>,
    pub chosen: Option<Chosen>,
    pub since: Option<Instant>,
    /// From the choice of the server to the header of its answer.
    pub answered_after: Option<Duration>,
}

impl Call<'_> {
    /// Under what the called function is counted.
    pub fn group(&self) -> &'static str {
        let planned = || self.plan.function().map_or(NO_FUNCTION, functions::group);
        self.progress.function.unwrap_or_else(planned)
    }

    /// The answer that the client shall get, and the token that brought it.
    pub async fn carry_out<C: Client>(&mut self, client: &mut C) -> Result<(Answer, Token), C::Lost> {
        let mut token = self.moodle.token(self.person).await?;
        self.read_beginning(client).await?;
        let mut retries = Retries::default();
        loop {
            let (mut answer, verdict) = self.attempt(client, &token).await?;
            let mut next = retries.answered(verdict.map(|verdict| verdict.reaction));
            let Some(Verdict { reaction, hint }) = verdict else {
                return Ok((answer, token));
            };
            if next == Next::Probe {
                next = retries.probed(reaction, self.moodle.is_alive(&token).await?);
                if next == Next::Return {
                    tracing::info!(moodle = self.moodle.config.name, hint, "Moodle denies a call");
                }
            }
            match next {
                Next::Return | Next::Probe => return Ok((answer, token)),
                Next::Refuse(reaction) => return Err(self.refuse(reaction, hint).await.into()),
                Next::Renew | Next::DeadAgain => {
                    answer.seen.clear();
                    self.moodle.drop_token(self.person, &token).await?;
                }
            }
            if next == Next::DeadAgain {
                let detail = format!("a token that was just obtained is dead: {hint}");
                return Err(Rejection::because(Reason::UpstreamFailed, detail).into());
            }
            token = self.moodle.another_token(self.person, &token).await?;
            if !self.progress.is_whole {
                let refusal = Rejection::because(Reason::MoodleTokenRenewed, hint);
                return Err(refusal.with_hint(Hint::RetryAfter(1)).into());
            }
        }
    }

    /// What the client is told where Moodle's answer is not for it.
    async fn refuse(&self, reaction: Reaction, hint: &'static str) -> Rejection {
        let refusal = match reaction {
            Reaction::Maintenance => maintenance(hint),
            Reaction::Wants(wanted) => self.moodle.wants(wanted),
            Reaction::EndMoodle => Rejection::because(Reason::NoMoodleToken, hint),
            Reaction::TooLarge => Rejection::because(Reason::BodyTooLarge, hint),
            _ => Rejection::because(Reason::UpstreamFailed, hint),
        };
        let (moodle, request_id) = (&self.moodle.config.name, self.request_id);
        tracing::warn!(moodle, request_id, hint, "Moodle's answer is not for the client");
        if reaction == Reaction::EndMoodle
            && let Err(error) = self.moodle.end_account(self.person, &refusal).await
        {
            return error;
        }
        refusal
    }

    /// Reads what can be judged, and sent again, before anything is sent.
    async fn read_beginning<C: Client>(&mut self, client: &mut C) -> Result<(), C::Lost> {
        let mut length = 0;
        while length <= HELD {
            let Some(piece) = client.next().await? else {
                self.progress.is_whole = true;
                return Ok(());
            };
            length += piece.len();
            self.progress.held.push(piece);
        }
        Ok(())
    }

    async fn attempt<C: Client>(
        &mut self,
        client: &mut C,
        token: &Token,
    ) -> Result<(Answer, Option<Verdict>), C::Lost> {
        let changes = self.plan.changes(token);
        let mut headers = self.headers.clone();
        changes.head.apply(&mut headers).map_err(|_| Reason::HeadersTooLarge)?;
        let target = match &changes.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        };
        let mut body = self.plan.body(token)?;
        let mut beginning = Vec::new();
        for piece in &self.progress.held {
            beginning.extend_from_slice(&body.push(piece.clone())?);
        }
        self.calls(&body);
        if self.progress.is_whole {
            beginning.extend_from_slice(&body.finish()?);
            self.calls(&body);
        }
        self.progress.sent = beginning.len() as u64;
        let started = *self.progress.since.insert(Instant::now());
        let mut answer = if self.progress.is_whole {
            headers.remove(header::CONTENT_LENGTH);
            self.send_whole(changes.method, &target, headers, beginning.into())
                .await?
        } else {
            // What the plan says of the length counts, if the client has said any.
            match (&self.length, headers.contains_key(header::CONTENT_LENGTH)) {
                (None, _) => drop(headers.remove(header::CONTENT_LENGTH)),
                (Some(length), false) => drop(headers.insert(header::CONTENT_LENGTH, length.clone())),
                (Some(_), true) => {}
            }
            self.send_coming(client, (changes.method, target, headers), beginning.into(), body)
                .await?
        };
        let took = *self.progress.answered_after.insert(started.elapsed());
        self.moodle.upstream.seconds.observe(took.as_secs_f64());
        let may_be_lost = self.plan.token_in_body() && self.progress.sent > SAFE_BODY;
        let (endpoint, status) = (self.plan.endpoint(), answer.status);
        let judging = answer::head(endpoint, &self.method, status, &answer.headers, may_be_lost);
        let verdict = answer.judge(judging, self.moodle).await;
        Ok((answer, verdict.map_err(|error| not_reached(&error))?))
    }

    fn calls(&mut self, body: &Body) {
        let found = body.function().map(functions::group);
        self.progress.function = found.or(self.progress.function);
    }

    /// To the first server that takes a connection.
    async fn send_whole(
        &mut self,
        method: Method,
        target: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, Rejection> {
        let (mut attempts, mut last) = (Attempts::default(), None);
        loop {
            let chosen = match self.moodle.upstream.choose(&self.path, &mut attempts) {
                Ok(chosen) => self.progress.chosen.insert(chosen),
                Err(none_left) => return Err(last.unwrap_or(none_left)),
            };
            let (method, headers, body) = (method.clone(), headers.clone(), body.clone());
            match self.moodle.send(chosen, method, target, headers, body.into()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    let refusal = not_reached(&error);
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
    async fn send_coming<C: Client>(
        &mut self,
        client: &mut C,
        (method, target, headers): (Method, String, HeaderMap),
        first: Bytes,
        mut body: Body,
    ) -> Result<Answer, C::Lost> {
        let chosen = self.moodle.upstream.choose(&self.path, &mut Attempts::default())?;
        self.progress.chosen = Some(chosen.clone());
        let (pieces, coming) = mpsc::channel(1);
        let moodle = Arc::clone(self.moodle);
        let mut sending = JoinSet::new();
        sending.spawn(async move {
            let body = reqwest::Body::wrap(Pieces(coming));
            moodle.send(&chosen, method, &target, headers, body).await
        });
        let limit = self.moodle.read_timeout;
        let mut piece = first;
        self.progress.sent = 0;
        let mut has_ended = false;
        loop {
            self.progress.sent += piece.len() as u64;
            if !piece.is_empty() {
                match timeout(limit, pieces.send(Ok(piece))).await {
                    Ok(Ok(())) => {}
                    // It has answered already, or is gone.
                    Ok(Err(_)) => break,
                    Err(_) => return Err(Reason::UpstreamTimeout.into()),
                }
            }
            if has_ended {
                break;
            }
            let next = match client.next().await {
                Ok(Some(raw)) => body.push(raw),
                Ok(None) => {
                    has_ended = true;
                    body.finish()
                }
                Err(lost) => {
                    drop(pieces.try_send(Err(io::Error::other("the client's body broke off"))));
                    return Err(lost);
                }
            };
            piece = match next {
                Ok(piece) => piece,
                Err(refusal) => {
                    // Moodle never gets a whole request.
                    drop(timeout(limit, pieces.send(Err(io::Error::other("refused")))).await);
                    return Err(refusal.into());
                }
            };
        }
        drop(pieces);
        let sent = sending.join_next().await.and_then(Result::ok);
        let sent = sent.ok_or_else(|| Rejection::because(Reason::Internal, "a call of Moodle was cut off"))?;
        Ok(sent.map_err(|error| not_reached(&error))?)
    }
}
