//! Moodle's web services for people who are signed in: their tokens are obtained from Moodle, kept, put into their calls,
//! and kept out of everything else.
//!
//! | module | is |
//! | --- | --- |
//! | `request` | what a call asks for, whether it may, where the token goes |
//! | `answer` | what Moodle's answers mean for the token, and what is taken out of them |
//! | `caller` | who calls: by a session, or by an access token |
//! | `call` | a call with its token: sent, judged, sent once more with another token |
//! | `tokens` | the sources of tokens, and what Moodle says to them |
//! | `service` | whose token serves whom, and which source it comes from |
//! | `revoked`, `no_token` | tokens that Moodle takes no more; people who get none, why, and for how long |
//! | `plan` | what each source would do for a person, found out without asking Moodle |
//! | `arriving` | passwords and access tokens on their way from a sign-in to Moodle |
//! | `vault`, `facade` | the operator's tokens in the store; the tickets of the gateway's own |
//! | `login_flow`, `launch_flow` | a browser on its way to Moodle for a ticket; through `launch.php` |
//! | `launched` | what a browser brings from `launch.php` |
//! | `leaving` | people who sign out: the session in Moodle ends, and the token goes if it is to |
//! | `provider_flow`, `returned` | a browser on its way to the provider of Moodle's logins; the login, and what it brings |

pub mod answer;
mod arriving;
pub mod call;
pub mod caller;
mod facade;
pub mod launch_flow;
mod launched;
mod leaving;
pub mod login_flow;
mod no_token;
mod plan;
pub mod provider_flow;
pub mod request;
mod returned;
mod revoked;
mod service;
pub mod token;
pub mod tokens;
pub mod vault;

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::HeaderValue;
use moka::future::Cache;
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use self::arriving::Arriving;
use self::launch_flow::LIFE;
use self::no_token::{LONG, Refused};
use crate::act::proxy::{Attempts, Upstream};
use crate::authenticate::session::{Record, Session, SignedIn};
use crate::backchannel::{Backchannel, BackchannelError};
use crate::client_key::ClientKeyError;
use crate::config::{self, Outgoing};
use crate::fair::{Asker, NoPlace, Place, Places, Shares};
use crate::identity::Identity;
use crate::moodle::token::Kept;
use crate::moodle::tokens::page::{Grant, Page, grant_key};
use crate::moodle::tokens::site::login::Seen;
use crate::moodle::tokens::site::{self, SiteConfig};
use crate::moodle::tokens::{Conversation, TokenError, clearpass};
use crate::observe::metrics::MoodleMetrics;
use crate::rate::Keyed;
use crate::rejection::{Reason, Rejection};
use crate::sealing::{MasterKeys, Purpose, Sealer};
use crate::store::{Notice, Store, StoreError, Table};

/// How long a token is believed without asking the store.
const CACHE_TTL: Duration = Duration::from_secs(60);
const MAX_CACHED: u64 = 100_000;
/// Counters of changes.
const CHANGES: usize = 256;
/// Somebody who is signed in can bring one made-up ticket after another, and Moodle asks the CAS server about each.
const SPENDING: Shares = Shares {
    all: 32,
    each: 2,
    kept: 0,
    queue: 512,
    wait: Duration::from_secs(10),
};

/// Browsers for which `launch.php` of one Moodle is asked at once: it may hold them up, and its whole answers are kept.
const LAUNCHING: Shares = Shares {
    all: 256,
    each: 6,
    kept: 0,
    queue: 64,
    wait: Duration::from_secs(10),
};

/// What all Moodles share, and a reload leaves as it is. Cheap to clone.
#[derive(Clone)]
pub struct MoodleTokens(Arc<Inner>);

struct Inner {
    store: Store,
    sealer: Sealer,
    tokens: Cache<String, Kept>,
    /// Of those who get none, why, and until when.
    refused: Cache<String, Refused>,
    metrics: MoodleMetrics,
    /// Every Moodle that there has been: what is kept for a session stands under each.
    names: Mutex<BTreeSet<String>>,
    /// Count changes of the vault and people who sign out: what was found out before one may not be remembered after it. Each
    /// counts for some people, so that hardly anybody is asked about once more because of another one.
    changes: [AtomicU64; CHANGES],
    shuffled: RandomState,
    /// Of each person, by way of a facade.
    sign_ins: Keyed<String>,
    /// Tickets that are spent at Moodle at once, and tokens that browsers bring.
    spending: Places,
    /// Ways by a provider that have come to their end, and visits that have begun one.
    ended: Cache<String, ()>,
    /// When and from where a facade was asked last by whom it does not answer.
    turned_away: Mutex<Option<(Instant, IpAddr)>>,
}

/// A Moodle, ready to be called.
pub struct Moodle {
    pub config: config::Moodle,
    pub upstream: Arc<Upstream>,
    /// Between two pieces of an answer.
    pub read_timeout: Duration,
    backchannel: Backchannel,
    host: HeaderValue,
    tokens: MoodleTokens,
    people: People,
    /// Calls of each person, where they are limited.
    pub calls: Option<Arc<Keyed<String>>>,
    launching: Places,
    leaving: Places,
    arriving: Arriving,
    /// With `clearpass` alone.
    clearpass: Option<clearpass::Key>,
    /// With `page` alone.
    page: Option<Page>,
}

/// Why a Moodle cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error(transparent)]
    Backchannel(#[from] BackchannelError),
    #[error(transparent)]
    Key(#[from] ClientKeyError),
}

/// Whose sessions get tokens.
struct People {
    /// `moodle.<name>.sign_in`, and whose people its are.
    sign_in: Arc<str>,
    people: Arc<str>,
    /// Is a person called here what that sign-in server calls its user?
    named_by_user: bool,
}

impl MoodleTokens {
    pub fn new(store: &Store, keys: &MasterKeys, metrics: MoodleMetrics) -> Self {
        let remembered = |life| Cache::builder().max_capacity(MAX_CACHED).time_to_live(life);
        Self(Arc::new(Inner {
            store: store.clone(),
            sealer: keys.sealer(Purpose::LoginState),
            tokens: remembered(CACHE_TTL).build(),
            refused: Cache::builder().max_capacity(MAX_CACHED).time_to_live(LONG).build(),
            metrics,
            names: Mutex::default(),
            changes: [const { AtomicU64::new(0) }; CHANGES],
            shuffled: RandomState::new(),
            sign_ins: Keyed::new(facade::SIGN_INS),
            spending: Places::new(SPENDING),
            ended: Cache::builder().max_capacity(MAX_CACHED).time_to_live(LIFE).build(),
            turned_away: Mutex::default(),
        }))
    }

    pub fn metrics(&self) -> &MoodleMetrics {
        &self.0.metrics
    }

    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// A place to spend a ticket, or to look at a token, that the session's browser brings.
    pub async fn place(&self, session: &Session) -> Result<Place, NoPlace> {
        self.0.spending.take(Asker::person(&session.identity)).await
    }

    /// Drops what was kept of Moodle's for sessions that end and for entries of the vault that change, anywhere, until
    /// aborted.
    pub fn follow(&self) -> JoinHandle<()> {
        let tokens = self.clone();
        let mut notices = self.0.store.subscribe();
        tokio::spawn(async move {
            while let Some(notice) = notices.next().await {
                // What was missed ends with its own time.
                let Notice::Message(text) = notice else { continue };
                if let Some(session) = text.strip_prefix(SignedIn::ENDED) {
                    tokens.forget_session(session).await;
                }
                for key in vault::changed(&text).unwrap_or_default() {
                    tokens.forget_person(&key).await;
                }
            }
        })
    }

    /// Keeps what a session began with and a page is asked by, sealed, for so long at most as the session lives.
    pub async fn keep_grant(&self, session: &Session, grant: &Grant<'_>, life: Duration) -> Result<(), StoreError> {
        let (key, life) = (grant_key(&session.key.text()), life.min(grant.life()));
        self.0
            .store
            .put(Table::ProxyGrants, &key, grant.text().as_bytes(), Some(life))
            .await
    }

    /// How often something was forgotten here of this person, or of few others: what was found out before may be over.
    fn changes(&self, key: &str) -> u64 {
        self.changed(key).load(Ordering::SeqCst)
    }

    fn changed(&self, key: &str) -> &AtomicU64 {
        let [first, ..] = &self.0.changes;
        let place = self.0.shuffled.hash_one(key) % CHANGES as u64;
        let found = usize::try_from(place).ok().and_then(|place| self.0.changes.get(place));
        found.unwrap_or(first)
    }

    async fn forget_person(&self, key: &str) {
        // First: a look-up that is under way sees it when it has ended.
        self.changed(key).fetch_add(1, Ordering::SeqCst);
        self.0.tokens.invalidate(key).await;
        self.0.refused.invalidate(key).await;
    }

    /// Drops what is kept of Moodle's for a session of ours.
    pub async fn forget_session(&self, session: &str) {
        let names = self.0.names.lock().clone();
        if !names.is_empty()
            && let Err(error) = self.0.store.delete(Table::ProxyGrants, &grant_key(session)).await
        {
            tracing::warn!(%error, "a proxy-granting ticket could not be forgotten");
        }
        for name in names {
            let key = service::session_key(&name, session);
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
        sign_in: &config::SignIn,
        upstream: Arc<Upstream>,
        tokens: MoodleTokens,
    ) -> Result<Self, SetupError> {
        let authority = match (moodle.public_url.host_str(), moodle.public_url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (host, _) => host.unwrap_or_default().to_owned(),
        };
        let public = HeaderValue::try_from(authority).map_err(|_| BackchannelError::Setup("no host".into()))?;
        let clearpass = moodle.clearpass.as_ref().map(clearpass::Key::load).transpose()?;
        let cas = sign_in.provider.as_cas();
        let page = moodle.page.as_ref().map(|page| Page::new(page, cas)).transpose()?;
        let mut names = tokens.0.names.lock();
        names.insert(moodle.name.clone());
        drop(names);
        Ok(Self {
            config: moodle.clone(),
            host: upstream.host.clone().unwrap_or(public),
            upstream,
            read_timeout: of.read_timeout,
            backchannel: Backchannel::for_questions(&Outgoing::direct(of.ca_file.clone()))?,
            tokens,
            clearpass,
            page,
            people: People {
                sign_in: Arc::clone(&sign_in.name),
                people: Arc::clone(&sign_in.people),
                named_by_user: sign_in.provider.names_by_user(),
            },
            calls: moodle.calls.map(|rate| Arc::new(Keyed::with_debts(rate))),
            launching: Places::new(LAUNCHING),
            leaving: Places::new(leaving::SHARES),
            arriving: Arriving::new(),
        })
    }

    /// With what people have used up of their calls, if `before` has the same name and the same limit, and with the places of
    /// those who are on their way.
    pub fn going_on(mut self, before: &Self) -> Self {
        if self.config.name == before.config.name {
            self.launching = before.launching.clone();
            self.leaving = before.leaving.clone();
            self.arriving = before.arriving.clone();
        }
        if (&self.config.name, self.config.calls) == (&before.config.name, before.config.calls) {
            self.calls.clone_from(&before.calls);
        }
        self
    }

    pub fn tokens(&self) -> &MoodleTokens {
        &self.tokens
    }

    /// Is its page shown the access tokens of its people?
    pub fn forwards_bearer_token(&self) -> bool {
        let page = self.config.page.as_ref();
        page.is_some_and(|page| page.forward_bearer_token)
    }

    /// May this person get tokens? Those of the sign-in of this Moodle may, and those of others that have the same people.
    pub fn is_of(&self, who: &Identity) -> bool {
        who.people() == &*self.people.people
    }

    /// A place to ask `launch.php`, or Moodle's login at a provider, for the session's browser.
    pub async fn launching(&self, session: &Session) -> Result<Place, NoPlace> {
        self.launching.take(Asker::person(&session.identity)).await
    }

    /// `https://moodle.example.edu`: where browsers meet this Moodle.
    pub fn origin(&self) -> String {
        self.config.public_url.origin().ascii_serialization()
    }

    /// Where Moodle asks of somebody what it wants: its dashboard, which wants a sign-in.
    pub fn to_visit(&self) -> String {
        format!("{}/my/", self.config.wwwroot)
    }

    /// What of a path lies below `wwwroot`.
    pub fn below<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(self.config.public_url.path().trim_end_matches('/'))
    }

    /// What it says of itself.
    pub async fn public_config(&self) -> Result<SiteConfig, TokenError> {
        site::public_config(&self.conversation().map_err(|_| service::NOT_CHOSEN)?).await
    }

    /// The CAS server that it sends people to, see [`site::login::cas_server`].
    pub async fn cas_server(&self, site: &SiteConfig) -> Result<Option<Seen>, TokenError> {
        site::login::cas_server(&self.conversation().map_err(|_| service::NOT_CHOSEN)?, site).await
    }

    /// Would it take calls? Asks without a token.
    pub async fn takes_calls(&self) -> Result<(), TokenError> {
        site::takes_calls(&self.conversation().map_err(|_| service::NOT_CHOSEN)?).await
    }

    /// To one of its servers.
    fn conversation(&self) -> Result<Conversation, Rejection> {
        self.conversation_over(self.backchannel.clone())
    }

    fn conversation_over(&self, backchannel: Backchannel) -> Result<Conversation, Rejection> {
        let chosen = self.upstream.choose("/", &mut Attempts::default())?;
        // The configuration takes no host of which none can be made.
        let server = chosen.server.url("/").ok_or(Reason::Internal)?;
        let config = &self.config;
        Ok(Conversation::new(
            backchannel,
            server,
            self.host.clone(),
            &config.wwwroot,
            &config.service,
        ))
    }
}
