//! A login in Moodle at the provider: begun for a person's browser, and ended with what that brings back.

use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::Moodle;
use super::caller::Caller;
use super::provider_flow::ProviderFlow;
use super::service::NOT_CHOSEN;
use crate::authenticate::session::Session;
use crate::backchannel::BackchannelError;
use crate::config::OidcLaunch;
use crate::digest::{hex, sha256};
use crate::moodle::tokens::oidc_launch::{self, Begun, Brought};
use crate::moodle::tokens::source::{Spent, Way};
use crate::moodle::tokens::{Conversation, TokenError};

/// For each question to Moodle, which asks the provider meanwhile.
const LONGEST: Duration = Duration::from_secs(15);
/// For all questions of one step.
const LONGEST_STEP: Duration = Duration::from_secs(30);

/// By what it is known that a visit has begun a login. No digest of a `state` looks so.
fn begin_key(visit: &str) -> String {
    format!("begin {}", hex(&sha256(visit.as_bytes())))
}

impl Moodle {
    /// Does a browser go to a provider for one of its sources?
    pub fn asks_provider(&self) -> bool {
        let mut sources = self.config.tokens.iter();
        sources.any(|source| source.way() == Some(Way::Provider))
    }

    /// Begins a login in Moodle for `session`'s browser. `origin` is the provider's, `hint` what it calls the person. What has come
    /// of it is counted where it fails.
    pub async fn begin_at_provider(
        &self,
        session: &Session,
        source: usize,
        (origin, hint): (&url::Origin, Option<&str>),
    ) -> Result<Begun, TokenError> {
        let started = Instant::now();
        let begun = async {
            // Whoever never gets a token is sent nowhere.
            self.username(Caller::Session(session)).map_err(|_| TokenError::Never)?;
            let moodle = self.patient_conversation()?;
            let config = self.config.oidc_launch.clone().unwrap_or_default();
            self.in_time(oidc_launch::begin(&moodle, &config, origin, hint)).await?
        };
        let begun = begun.await;
        if let Err(error) = &begun {
            self.count(source, started, Err(error));
        }
        begun
    }

    /// The provider's address to which Moodle sends people to log in.
    pub async fn login_provider(&self, config: &OidcLaunch) -> Result<Option<url::Url>, TokenError> {
        let moodle = self.patient_conversation()?;
        self.in_time(oidc_launch::provider(&moodle, config)).await?
    }

    /// Spends the code in `query`, with which the session's browser has come back, and keeps what comes of it for `life` at most.
    pub async fn returned(
        &self,
        session: &Session,
        flow: &ProviderFlow,
        query: &str,
        life: Duration,
    ) -> Result<(), TokenError> {
        let username = self.username(Caller::Session(session)).map_err(|_| TokenError::Never)?;
        let moodle = self.patient_conversation()?;
        let started = Instant::now();
        let mut signed = None;
        let obtained = match (self.config.tokens.get(flow.source), flow.moodle_session()) {
            (Some(source), Some(session)) => {
                let brought = Brought {
                    plugin: flow.plugin(),
                    query,
                    session: &session,
                };
                let completed = source.complete(&moodle, &username, brought, &mut signed);
                self.in_time(completed).await.unwrap_or_else(Err)
            }
            _ => Spent::changed().obtained,
        };
        let spent = Spent {
            obtained,
            session: signed,
        };
        self.keep_spent(session, (flow.source, started), spent, None, life)
            .await
    }

    /// May this flow come to its end? Only once: what its browser brings is good once, and a page that is loaded twice asks
    /// nobody twice.
    pub async fn ends(&self, flow: &ProviderFlow) -> bool {
        self.is_first(flow.key()).await
    }

    /// May this visit, as it stands in an address, begin a login in Moodle? Only one, however often that is loaded.
    pub async fn begins(&self, visit: &str) -> bool {
        self.is_first(&begin_key(visit)).await
    }

    /// Moodle was not asked: the visit may begin a login yet.
    pub async fn begins_again(&self, visit: &str) {
        self.tokens.0.ended.invalidate(&begin_key(visit)).await;
    }

    /// Is a token remembered for the session's person? Nobody is asked.
    pub async fn remembers(&self, session: &Session) -> bool {
        match self.username(Caller::Session(session)) {
            Ok(username) => self.remembered(&self.key(&username)).await.is_some(),
            Err(_) => false,
        }
    }

    async fn is_first(&self, key: &str) -> bool {
        let ended = &self.tokens.0.ended;
        ended.entry_by_ref(key).or_insert(()).await.is_fresh()
    }

    /// Moodle was not asked: the flow may come to its end yet.
    pub async fn goes_on(&self, flow: &ProviderFlow) {
        self.tokens.0.ended.invalidate(flow.key()).await;
    }

    /// Counts what has come of a way by the provider that Moodle was not asked about.
    pub fn count_provider(&self, flow: &ProviderFlow, error: &TokenError) {
        self.count(flow.source, Instant::now(), Err(error));
    }

    fn patient_conversation(&self) -> Result<Conversation, TokenError> {
        let backchannel = self.backchannel.within(self.read_timeout.min(LONGEST));
        self.conversation_over(backchannel).map_err(|_| NOT_CHOSEN)
    }

    async fn in_time<T>(&self, step: impl Future<Output = T>) -> Result<T, TokenError> {
        timeout(LONGEST_STEP, step).await.map_err(|_| {
            TokenError::NotReached(BackchannelError::Timeout {
                host: self.config.public_url.authority().to_owned(),
                limit: LONGEST_STEP,
            })
        })
    }
}
