//! What a person's browser brings from `launch.php`: Moodle asked in its place, and a token that is kept if it is the person's.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::Moodle;
use super::call::not_reached;
use super::caller::Caller;
use super::launch_flow::LaunchFlow;
use super::service::NOT_CHOSEN;
use crate::act::proxy::{Attempts, Chosen};
use crate::authenticate::session::Session;
use crate::backchannel::Reply;
use crate::moodle::token::Token;
use crate::moodle::tokens::launch::PATH;
use crate::moodle::tokens::source::Way;
use crate::moodle::tokens::{TokenError, check_identity};
use crate::rejection::{Reason, Rejection};

/// Pages of Moodle's are a few hundred kilobytes at most.
const MAX_ANSWER: usize = 2 << 20;
/// PHP lets a request of a session wait as long as another one of it takes. Nobody waits longer for a page.
const LONGEST: Duration = Duration::from_secs(60);

impl Moodle {
    /// Does a browser go through `launch.php` for one of its sources?
    pub fn launches(&self) -> bool {
        let mut sources = self.config.tokens.iter();
        sources.any(|source| source.way() == Some(Way::Launch))
    }

    /// The path of `launch.php`, at the gateway and at Moodle.
    pub fn launch_path(&self) -> String {
        format!("{}{PATH}", self.config.public_url.path().trim_end_matches('/'))
    }

    /// Asks the first server that takes a connection, by GET, and gives its whole answer, whatever it is. `target` is path and
    /// query there, `chosen` that server. Within the upstream's read timeout, and a minute at most.
    pub async fn ask_for_browser(
        &self,
        target: &str,
        headers: HeaderMap,
        chosen: &mut Option<Chosen>,
    ) -> Result<Reply, Rejection> {
        let backchannel = self.backchannel.within(self.read_timeout.min(LONGEST));
        let (mut attempts, mut last) = (Attempts::default(), None);
        loop {
            let server = match self.upstream.choose(target, &mut attempts) {
                Ok(server) => &chosen.insert(server).server,
                Err(none_left) => return Err(last.unwrap_or(none_left)),
            };
            let url = server.url(target).ok_or(Reason::Internal)?;
            let asked = backchannel.exchange(Method::GET, &url, headers.clone(), Bytes::new(), MAX_ANSWER);
            match asked.await {
                Ok(reply) => return Ok(reply),
                Err(error) if error.is_unreachable() => {
                    server.metrics.connect_errors.inc();
                    tracing::warn!(server = server.label, %error, "upstream server not reached");
                    last = Some(not_reached(&error));
                }
                Err(error) => return Err(not_reached(&error)),
            }
        }
    }

    /// Keeps a token that the session's browser has brought, once it has said that it is the person's.
    pub async fn launched(&self, session: &Session, token: &Token) -> Result<(), TokenError> {
        let username = self.username(Caller::Session(session)).map_err(|_| TokenError::Never)?;
        let moodle = self.conversation().map_err(|_| NOT_CHOSEN)?;
        check_identity(&moodle, token, &username).await?;
        self.keep_brought(session, &self.key(&username), token).await;
        Ok(())
    }

    /// Counts what has come of a way through `launch.php`.
    pub fn count_launch(&self, launch: &LaunchFlow, started: Instant, outcome: Result<(), &TokenError>) {
        self.count(launch.source, started, outcome);
    }

    /// The same of any source, by its place among `tokens`.
    pub(super) fn count(&self, source: usize, started: Instant, outcome: Result<(), &TokenError>) {
        let source = self.config.tokens.get(source);
        let label = source.map_or("-", |source| source.label());
        let name = &self.config.name;
        if let Err(error) = outcome {
            tracing::warn!(moodle = name, source = label, %error, "no token");
        }
        let outcome = outcome.err().map_or("ok", TokenError::outcome);
        self.tokens.0.metrics.asked(name, label, outcome, started.elapsed());
    }
}
