//! Signing people in: a browser is sent to a sign-in server ([`begin`](mod@begin)), and comes back as somebody ([`callback`]).
//!
//! [`Provider`] is that server: where it shows its form, what it says of who comes back, where one signs out of it. Each
//! kind of it is a folder here, and a file of `config/sign_in`. The way through the browser and the session that comes of
//! it are the same for all of them.

pub mod attempt;
pub mod begin;
mod callback;
pub mod cas;
pub mod oauth;
pub mod oauth2;
pub mod oidc;
mod people;
mod register;
mod request;
mod tabs;
pub mod target;

use http::Method;
use url::Url;

use self::cas::Cas;
use self::oauth2::OAuth2;
use self::oidc::Oidc;
pub use self::people::People;
pub use self::request::{Asked, Brought, Here, LONGEST_BODY, LONGEST_WAIT};
pub use crate::authenticate::oauth::SetupError;
use crate::authenticate::session::NewSession;
use crate::config::{self, Config};
use crate::fair::Place;
use crate::rejection::{Hint, Reason, Rejection};
use crate::respond::Reply;

/// Who says who somebody is.
pub enum Provider {
    Cas(Box<Cas>),
    OAuth2(Box<OAuth2>),
    Oidc(Box<Oidc>),
}

/// How each [`Provider::kind`] is called in addresses.
pub const KINDS: [&str; 3] = [cas::KIND, oauth2::KIND, oidc::KIND];

/// How a browser is to be signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Login {
    /// By the session that the browser may have at the server, or by its form.
    #[default]
    Usual,
    /// By the form, whatever session there is.
    Renew,
    /// By the session, or not at all: then the browser comes back as nobody.
    Passive,
}

/// Where the server sends the browser back to.
#[derive(Clone, Copy)]
pub struct Callback<'a> {
    /// Without a query: the address to register.
    pub url: &'a str,
    /// For the parameter of this name: letters, digits, `-` and `_`.
    pub state: &'a str,
}

/// The browser that has begun an attempt.
#[derive(Clone, Copy)]
pub struct AttemptedBy<'a> {
    /// What its cookie says, which nobody else knows.
    pub secret: &'a str,
    /// Unix seconds.
    pub began: u64,
}

/// Where a browser signs out at the server.
pub enum SignOut {
    At(Url),
    /// By a form, since it would be too long for an address.
    Form {
        action: Url,
        fields: Vec<(&'static str, String)>,
    },
    /// Nowhere: the server offers none, or is away.
    Nowhere,
}

/// One of the configuration's sign-ins.
#[derive(Clone, Copy)]
pub struct SignIn<'a> {
    pub index: usize,
    pub config: &'a config::SignIn,
    pub provider: &'a Provider,
}

/// Why nobody is signed in.
#[derive(Debug)]
pub struct Refusal {
    pub rejection: Rejection,
    /// The word for metrics: one of a closed list.
    pub label: &'static str,
    pub retry: Retry,
}

/// What may help somebody who was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Nothing that a browser does.
    No,
    /// Another sign-in: what came back is no good.
    Again,
    /// The same, or the session of another tab: the server may have given that one what came back here too late.
    BesideOthers,
}

/// Why a sign-in server is not what it should be.
pub struct Unfit {
    pub text: String,
    /// What happened there, in the words of whatever else asks that server.
    pub cause: String,
}

impl Provider {
    /// Of a sign-in of this configuration; `before`: the one of the same name, before a reload. Error: a file that it names
    /// cannot be used.
    pub fn new(sign_in: &config::SignIn, config: &Config, before: Option<&Self>) -> Result<Self, SetupError> {
        Ok(match &sign_in.provider {
            config::Provider::Cas(cas) => Self::Cas(Box::new(Cas::new(&sign_in.name, cas)?)),
            config::Provider::OAuth2(oauth2) => Self::OAuth2(Box::new(OAuth2::new(&sign_in.name, oauth2)?)),
            config::Provider::Oidc(oidc) => {
                let before = before.and_then(|before| match before {
                    Self::Oidc(before) => Some(&**before),
                    _ => None,
                });
                Self::Oidc(Box::new(Oidc::new(
                    sign_in,
                    oidc,
                    config.attributes_of(sign_in),
                    before,
                )?))
            }
        })
    }

    /// What stands for it in addresses: `/_janua/<kind>/<sign-in>/…`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Cas(_) => cas::KIND,
            Self::OAuth2(_) => oauth2::KIND,
            Self::Oidc(_) => oidc::KIND,
        }
    }

    /// The address that the server sends browsers back to.
    pub fn callback(&self, origin: &str, sign_in: &str) -> String {
        format!("{origin}/_janua/{}/{sign_in}/callback", self.kind())
    }

    /// Where a browser is sent to sign in. Error: the server cannot be asked where that is.
    pub async fn begin(&self, callback: Callback<'_>, login: Login, by: AttemptedBy<'_>) -> Result<Url, Refusal> {
        match self {
            Self::Cas(cas) => Ok(cas.client.login_url(&cas::service(callback), login)),
            Self::OAuth2(oauth2) => Ok(oauth2.begin(callback, login, by)),
            Self::Oidc(oidc) => Box::pin(oidc.begin(callback, login, by)).await,
        }
    }

    /// Its authorization endpoint (RFC 6749 section 3.1); `None`: a CAS server has none. Error: the server cannot be asked where
    /// that is.
    pub async fn authorization(&self) -> Result<Option<Url>, Refusal> {
        match self {
            Self::Cas(_) => Ok(None),
            Self::OAuth2(oauth2) => Ok(Some(oauth2.authorization())),
            Self::Oidc(oidc) => Box::pin(oidc.authorization()).await.map(Some),
        }
    }

    /// What the server, or a browser for it, has to say at the callback address, other than who signs in.
    pub async fn notice(&self, asked: &Asked<'_>) -> Result<Option<Reply>, Rejection> {
        match self {
            Self::Cas(cas) => cas.notice(asked).await,
            Self::OAuth2(_) | Self::Oidc(_) => oauth::posted(asked),
        }
    }

    /// Does a browser bring what can be asked about? If not, it comes back as nobody.
    pub fn brings_somebody(&self, asked: &Asked<'_>) -> bool {
        match self {
            Self::Cas(_) => cas::ticket(asked).is_some(),
            Self::OAuth2(_) | Self::Oidc(_) => oauth::brings_code(asked),
        }
    }

    /// Why the server says that nobody comes back, if it does.
    fn absence(&self, asked: &Asked<'_>) -> Option<Refusal> {
        match self {
            Self::Cas(_) => None,
            Self::OAuth2(_) | Self::Oidc(_) => oauth::absence(asked),
        }
    }

    /// Who it is that comes back. The server is asked about it once there is a place, at most once.
    pub async fn complete(
        &self,
        asked: &Asked<'_>,
        callback: Callback<'_>,
        by: AttemptedBy<'_>,
        place: impl Future<Output = Result<Place, Refusal>>,
    ) -> Result<NewSession, Refusal> {
        match self {
            Self::Cas(cas) => cas.complete(asked, callback, place).await,
            Self::OAuth2(oauth2) => Box::pin(oauth2.complete(asked, callback, by, place)).await,
            Self::Oidc(oidc) => Box::pin(oidc.complete(asked, callback, by, place)).await,
        }
    }

    /// Where a browser is sent to sign out, to come back if there is a callback. `id_token`: the one that its session began
    /// by, if it was kept.
    pub async fn sign_out(&self, callback: Option<Callback<'_>>, id_token: Option<String>) -> SignOut {
        match self {
            Self::Cas(cas) => SignOut::At(cas.client.logout_url(callback.map(cas::service).as_deref())),
            Self::OAuth2(oauth2) => oauth2.sign_out(),
            Self::Oidc(oidc) => Box::pin(oidc.sign_out(callback, id_token)).await,
        }
    }

    /// Another address of this kind than the callback.
    async fn endpoint(&self, asked: &Asked<'_>, sign_in: &config::SignIn, name: &str) -> Result<Reply, Rejection> {
        match self {
            Self::Cas(cas) if name == cas::proxy::CALLBACK => cas.granted(asked).await,
            Self::Cas(cas) => cas.session(asked, sign_in).await,
            Self::OAuth2(_) => Err(Reason::NoRoute.into()),
            Self::Oidc(oidc) => Box::pin(oidc.endpoint(asked, name)).await,
        }
    }

    /// The server that Moodle knows, too, if it is one of CAS.
    pub fn as_cas(&self) -> Option<&Cas> {
        match self {
            Self::Cas(cas) => Some(cas),
            Self::OAuth2(_) | Self::Oidc(_) => None,
        }
    }

    /// Asks the server something that shows that it is one. `callback` is the address to register. `Ok`: what it has
    /// answered.
    pub async fn check(&self, callback: &str) -> Result<String, Unfit> {
        match self {
            Self::Cas(cas) => cas.check(callback).await,
            Self::OAuth2(oauth2) => oauth2.check(callback).await,
            Self::Oidc(oidc) => oidc.check(callback).await,
        }
    }

    /// What its operator has to register for the gateway at this origin.
    pub fn registration(&self, origin: &str, sign_in: &str) -> Vec<String> {
        match self {
            Self::Cas(cas) => cas.registration(origin, sign_in),
            Self::OAuth2(oauth2) => oauth2.registration(origin),
            Self::Oidc(oidc) => oidc.registration(origin),
        }
    }
}

impl SignIn<'_> {
    /// The address that the server sends browsers back to.
    pub fn callback(&self, origin: &str) -> String {
        self.provider.callback(origin, &self.config.name)
    }
}

impl From<(Rejection, &'static str)> for Refusal {
    fn from((rejection, label): (Rejection, &'static str)) -> Self {
        Self {
            rejection,
            label,
            retry: Retry::No,
        }
    }
}

/// The methods of an address of this kind; `None`: there is no such address.
pub fn methods(kind: &str, endpoint: &str) -> Option<&'static [Method]> {
    match (kind, endpoint) {
        (cas::KIND, cas::SESSION) => Some(&[Method::POST]),
        (cas::KIND, cas::proxy::CALLBACK) => Some(&[Method::GET, Method::HEAD, Method::POST]),
        (oidc::KIND, oidc::BACK_CHANNEL) => Some(&[Method::GET, Method::HEAD, Method::POST]),
        (oidc::KIND, oidc::FRONT_CHANNEL) => Some(&[Method::GET, Method::HEAD]),
        (kind, "callback") if KINDS.contains(&kind) => Some(&[Method::GET, Method::HEAD, Method::POST]),
        _ => None,
    }
}

/// The answer at `/_janua/<kind>/<sign-in>/<endpoint>`.
pub async fn answer(asked: &Asked<'_>, kind: &str, name: &str, endpoint: &str) -> Result<Reply, Rejection> {
    let sign_in = asked
        .here
        .sign_in_named(name)
        .filter(|found| found.provider.kind() == kind);
    let sign_in = sign_in.ok_or(Reason::NoRoute)?;
    match endpoint {
        "callback" => callback::answer(asked, sign_in).await,
        _ => sign_in.provider.endpoint(asked, sign_in.config, endpoint).await,
    }
}

/// The refusal of a `return` that leads elsewhere, with what the operator can do about it.
pub fn no_way_back() -> Rejection {
    const REMEDY: &str = "`return` leads to another site, or is longer than 8 KiB: it must be an address here, or begin with one of \
                          the origins that app_origins of the sign-in lists.";
    Rejection::because(
        Reason::BadRequest,
        "`return` is neither here nor at one of app_origins, or longer than 8 KiB",
    )
    .with_hint(Hint::Remedy(REMEDY))
}
