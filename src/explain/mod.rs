//! A request's way without the request: which route would win, what each credential says, which rule holds, and what
//! an upstream would get.
//!
//! The decision is the gateway's own ([`crate::gateway::decide`]); `recorder` writes its reasons into the [`Report`], `plan`
//! tells what would be done, `remedy` what the operator can do, `render` puts it all into words. `why` makes the same report of
//! what is kept of a request that was decided. Nothing is served or passed on, and budgets are looked at
//! without taking from them; only an `else_ask` is asked, as the gateway would ask it.

mod plan;
mod recorder;
mod remedy;
pub mod render;
mod report;
mod view;
pub mod why;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use self::recorder::Recorder;
use self::report::moment;
use self::view::key_set;
use crate::authenticate::token::{KeySource, Recent};
use crate::context::{Context, DryRun};
use crate::gateway::decide;
use crate::gateway::{Beginning, Incoming, Stop};
use crate::listen::intake;
use crate::rejection::{Hint, Reason, Rejection};
use crate::respond;
use crate::snapshot::Snapshot;

pub use self::report::{
    AccessToken, Action, Budget, CalledFunction, Capped, Credential, KeySet, Keys, Moment, MoodleTokens, Outcome, Past,
    Report, RouteFate, Rule, Seen, SignedIn, TokenSource,
};

/// A request that somebody asks about.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    pub method: String,
    /// Path and query as a client would send them.
    pub target: String,
    /// `Host` among them.
    pub headers: Vec<(String, String)>,
    /// The peer of the connection: the client, or a proxy.
    pub from: IpAddr,
    /// Does the peer speak TLS?
    pub https: bool,
    /// Unix seconds at which the request is judged; now, if absent.
    pub at: Option<u64>,
}

/// Why the request would be allowed or refused, at `present_time` if the question names no other time. `keys` are what
/// tokens are judged by: those of the running gateway if `live`. Budgets are looked at as they are at `instant`, the
/// present too; for another time nobody knows them.
pub async fn explain(
    snapshot: &Arc<Snapshot>,
    question: &Question,
    keys: &[KeySource],
    live: bool,
    present_time: SystemTime,
    instant: Instant,
) -> Report {
    let asked = question
        .at
        .and_then(|at| UNIX_EPOCH.checked_add(Duration::from_secs(at)));
    let mut ctx = Context::new(Arc::clone(snapshot));
    ctx.at = asked.unwrap_or(present_time);
    ctx.dry_run = Some(DryRun {
        budgets: asked.is_none().then_some(instant),
    });
    let mut recorder = Recorder {
        at_present: asked.is_none(),
        report: Report {
            at: moment(ctx.at, present_time),
            keys: Keys {
                live,
                issuers: keys.iter().map(|source| key_set(source, present_time)).collect(),
            },
            ..Report::default()
        },
    };
    let mut secrets = Vec::new();
    let answered = answer(question, &mut ctx, &mut recorder, &mut secrets).await;
    let mut report = recorder.report;
    match answered {
        Ok(status) => report.status = status.map(|status| status.as_u16()),
        Err(rejection) => {
            report.because(Some(&rejection));
            let status = match ctx.only_decide {
                true => respond::decision(&rejection, "", None).status,
                false => rejection.reason.status(),
            };
            report.status = Some(status.as_u16());
            report.detail = view::told(&rejection);
            report.visit = match rejection.hint {
                Hint::Visit(url) => Some(url),
                _ => None,
            };
        }
    }
    if let Some(told) = &mut report.moodle {
        told.functions = plan::functions(&ctx);
    }
    if ctx.allowed {
        report.outcome = Outcome::Allow;
    }
    report.request = view::seen(&ctx);
    let params = ctx.params.iter();
    report.params = params
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    report.advise();
    report.hide(&secrets)
}

/// The answer's status, where it is the gateway that says it.
async fn answer(
    question: &Question,
    ctx: &mut Context,
    recorder: &mut Recorder,
    secrets: &mut Vec<String>,
) -> Result<Option<StatusCode>, Rejection> {
    let mut composed = intake::compose(&question.method, &question.target, &question.headers)?;
    intake::forget_other_upgrades(&mut composed);
    let peer = SocketAddr::new(question.from, 0);
    let taken = decide::take(&composed, None, (peer, question.https), ctx);
    secrets.extend(view::secrets(ctx, &composed.headers));
    taken?;
    let mut described = Described {
        headers: composed.headers.clone(),
        recent: Recent::default(),
    };
    let decided = decide::decide(&mut described, ctx, recorder).await;
    // A proxy may have asked about another request.
    secrets.extend(view::secrets(ctx, &described.headers));
    let decision = decided.map_err(|stop| match stop {
        Stop::Refused(refusal) => refusal,
        Stop::Lost(error) => Rejection::because(Reason::Internal, error.to_string()),
    })?;
    plan::tell(decision, &described.headers, ctx, &mut recorder.report).await
}

/// A request that nobody has sent. Of its body nothing is known.
struct Described {
    headers: HeaderMap,
    recent: Recent,
}

impl Incoming for Described {
    fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    fn recent(&self) -> Result<&Recent, Rejection> {
        Ok(&self.recent)
    }

    async fn look_into_body(&mut self, _: impl FnMut(&[u8]) -> bool + Send) -> Result<Beginning, Stop> {
        Ok(Beginning::default())
    }
}
