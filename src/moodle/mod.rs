//! Web service tokens of the people who are signed in: obtained from Moodle, kept, and dropped when they are dead.
//!
//! `keeper` decides whose token serves whom and where it comes from, `forecast` tells what it would do, `visit` remembers a browser that is on its way to
//! Moodle for a ticket, `vault` has the tokens that the operator provides, `call` sends requests whose answers must be looked at before anybody gets them. What is put
//! where in a request, and what Moodle's answers mean, is decided in `present::moodle`.

pub mod call;
pub mod forecast;
mod keeper;
pub mod vault;
pub mod visit;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use moka::future::Cache;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

pub(crate) use self::keeper::rejection;
use crate::act::proxy::{Attempts, Upstream};
use crate::authenticate::session::ENDED;
use crate::backchannel::{Backchannel, BackchannelError};
use crate::config;
use crate::observe::metrics::MoodleMetrics;
use crate::present::moodle::token::Token;
use crate::present::moodle::tokens::cas_facade::Tickets;
use crate::present::moodle::tokens::site::{self, SiteConfig};
use crate::present::moodle::tokens::{Conversation, TokenError};
use crate::rejection::{Reason, Rejection};
use crate::sealing::{MasterKeys, Purpose, Sealer};
use crate::store::{Notice, Store, Table};

/// How long a token is believed without asking the store.
const REMEMBERED: Duration = Duration::from_secs(60);
/// How long nobody asks Moodle again for a token that it does not give.
const REFUSED: Duration = Duration::from_secs(20);
const MOST: u64 = 100_000;

/// What all Moodles share, and a reload leaves as it is. Cheap to clone.
#[derive(Clone)]
pub struct Bridge(Arc<Inner>);

struct Inner {
    store: Store,
    sealer: Sealer,
    tickets: Tickets,
    tokens: Cache<String, Token>,
    /// Of those who get none, why.
    refused: Cache<String, Rejection>,
    metrics: MoodleMetrics,
    /// Every Moodle that there has been: what is kept for a session stands under each.
    names: Mutex<BTreeSet<String>>,
    /// Counts changes of the vault: what was found out before one may not be remembered after it.
    changes: AtomicU64,
}

/// A Moodle, ready to be called.
pub struct Moodle {
    pub config: config::Moodle,
    pub upstream: Arc<Upstream>,
    /// Between two pieces of an answer.
    pub patience: Duration,
    backchannel: Backchannel,
    host: HeaderValue,
    bridge: Bridge,
}

impl Bridge {
    pub fn new(store: &Store, keys: &MasterKeys, metrics: MoodleMetrics) -> Self {
        let remembered = |life| Cache::builder().max_capacity(MOST).time_to_live(life);
        Self(Arc::new(Inner {
            store: store.clone(),
            sealer: keys.sealer(Purpose::LoginState),
            tickets: Tickets::default(),
            tokens: remembered(REMEMBERED).build(),
            refused: Cache::builder().max_capacity(MOST).time_to_live(REFUSED).build(),
            metrics,
            names: Mutex::default(),
            changes: AtomicU64::new(0),
        }))
    }

    pub fn tickets(&self) -> &Tickets {
        &self.0.tickets
    }

    pub fn metrics(&self) -> &MoodleMetrics {
        &self.0.metrics
    }

    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// Drops what was kept of Moodle's for sessions that end and for entries of the vault that change, anywhere, until
    /// aborted.
    pub fn follow(&self) -> JoinHandle<()> {
        let bridge = self.clone();
        let mut notices = self.0.store.subscribe();
        tokio::spawn(async move {
            loop {
                match notices.recv().await {
                    Ok(Notice::Message(text)) => {
                        if let Some(session) = text.strip_prefix(ENDED) {
                            bridge.forget_session(session).await;
                        }
                        for key in vault::changed(&text).unwrap_or_default() {
                            bridge.forget_person(&key).await;
                        }
                    }
                    // What was missed ends with its own time.
                    Ok(Notice::Missed) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return,
                }
            }
        })
    }

    async fn forget_person(&self, key: &str) {
        // First: a look-up that is under way sees it when it has ended.
        self.0.changes.fetch_add(1, Ordering::SeqCst);
        self.0.tokens.invalidate(key).await;
        self.0.refused.invalidate(key).await;
    }

    async fn forget_session(&self, session: &str) {
        let names = self.0.names.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for name in names {
            let key = keeper::session_key(&name, session);
            if let Err(error) = self.0.store.delete(Table::MoodleSessions, &key).await {
                tracing::warn!(%error, "a session in Moodle could not be forgotten");
            }
        }
    }
}

impl Moodle {
    /// `upstreams` are the running ones, in the configuration's order.
    pub fn new(
        moodle: &config::Moodle,
        of: &config::Upstream,
        upstream: Arc<Upstream>,
        bridge: Bridge,
    ) -> Result<Self, BackchannelError> {
        let authority = match (moodle.public_url.host_str(), moodle.public_url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (host, _) => host.unwrap_or_default().to_owned(),
        };
        let public = HeaderValue::try_from(authority).map_err(|_| BackchannelError::Setup("no host".into()))?;
        let mut names = bridge.0.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.insert(moodle.name.clone());
        drop(names);
        Ok(Self {
            config: moodle.clone(),
            host: upstream.host.clone().unwrap_or(public),
            upstream,
            patience: of.read_timeout,
            backchannel: Backchannel::for_questions(of.ca_file.as_deref())?,
            bridge,
        })
    }

    pub fn bridge(&self) -> &Bridge {
        &self.bridge
    }

    /// `https://moodle.example.edu`: where browsers meet this Moodle.
    pub fn origin(&self) -> String {
        self.config.public_url.origin().ascii_serialization()
    }

    /// What of a path lies below `wwwroot`.
    pub fn below<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(self.config.public_url.path().trim_end_matches('/'))
    }

    /// What it says of itself.
    pub async fn public_config(&self) -> Result<SiteConfig, TokenError> {
        site::public_config(&self.conversation().map_err(|_| keeper::NOT_CHOSEN)?).await
    }

    /// Would it take calls? Asks without a token.
    pub async fn takes_calls(&self) -> Result<(), TokenError> {
        site::takes_calls(&self.conversation().map_err(|_| keeper::NOT_CHOSEN)?).await
    }

    /// To one of its servers.
    fn conversation(&self) -> Result<Conversation, Rejection> {
        let chosen = self.upstream.choose("/", &mut Attempts::default())?;
        let server = chosen.server.url("/").ok_or(Reason::Internal)?;
        let (config, backchannel) = (&self.config, self.backchannel.clone());
        Ok(Conversation::new(
            backchannel,
            server,
            self.host.clone(),
            &config.wwwroot,
            &config.service,
        ))
    }
}
