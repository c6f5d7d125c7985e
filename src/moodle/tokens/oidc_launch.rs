//! `oidc-launch`: a code of an OpenID provider's for Moodle's own client becomes a MoodleSession, and that a token.
//!
//! ```text
//! begin ─ Moodle's login ─ authorize::handed_out         complete ─ the callback, replayed ─ launch.php ─ check_identity
//! ```
//!
//! The gateway begins the login in Moodle, with a session there that no browser has, and hands the browser nothing but the
//! provider's address. What the provider gives the browser is good only together with that session. The session may be kept: as
//! that of `cas-launch`, it makes another token without the browser.

pub mod authorize;
pub mod entry;

use http::{Method, StatusCode};
use url::Url;

use self::authorize::{Expected, HandedOut};
use self::entry::Entry;
use super::conversation::location;
use super::launch::{self, PATH, passport};
use super::site::{self, Finding, SiteConfig};
use super::source::{Availability, Person};
use super::{Conversation, Cookie, TokenError, cas_launch, check_identity, page_code, refused};
use crate::backchannel::Reply;
use crate::config::{self, LoginPlugin, OidcLaunch};
use crate::moodle::answer::wanted::Wanted;
use crate::moodle::token::Token;
use crate::store::StoreError;

/// What Moodle's cookie for a session is called by; a site may add to it (`$CFG->sessioncookie`).
const MOODLE_SESSION: &str = "MoodleSession";

/// Bytes of that cookie: it is kept in one of the gateway's, which browsers take up to 4 KiB.
const LONGEST_SESSION: usize = 512;

/// What the passport begins with that such a login begins with. It is good for nothing: the token is asked for by another one.
/// But auth_oauth2 writes it into the `state`, by which a login of the gateway's is told from one of a browser's own.
pub const PASSPORT: &str = "janua-";

/// Redirects of Moodle's login that are followed: a login has two.
const MOST_REDIRECTS: usize = 5;

/// Below `wwwroot`: the scripts of authentication plugins. A redirect elsewhere is not followed.
const LOGIN_SCRIPTS: &str = "/auth/";

/// A login that was begun in Moodle.
pub struct Begun {
    pub plugin: LoginPlugin,
    /// For the browser.
    pub to: HandedOut,
    /// Nobody is signed in there yet.
    pub session: Cookie,
}

/// What a browser brings back from the provider for a login that was begun.
pub struct Brought<'a> {
    pub plugin: LoginPlugin,
    /// The callback's query, as it came.
    pub query: &'a str,
    pub session: &'a Cookie,
}

impl LoginPlugin {
    /// Below `wwwroot`: where the provider sends browsers back to. `$CFG->admin` must have its usual name.
    pub fn callback(self) -> &'static str {
        match self {
            Self::OAuth2 => "/admin/oauth2callback.php",
            Self::Oidc => "/auth/oidc/",
        }
    }
}

/// Begins a login in Moodle. `origin` is the provider's, `hint` for its `login_hint`.
///
/// # Errors
/// Moodle offers no such login, or leads to another place than the provider's authorization endpoint, or cannot be asked.
pub async fn begin(
    moodle: &Conversation,
    config: &OidcLaunch,
    origin: &url::Origin,
    hint: Option<&str>,
) -> Result<Begun, TokenError> {
    let (plugin, location, session) = login(moodle, config).await?;
    let expected = Expected {
        wwwroot: moodle.wwwroot(),
        plugin,
        origin,
        hint,
    };
    let to = authorize::handed_out(&location, &expected)?;
    let session = session.filter(|session| session.reveal().len() <= LONGEST_SESSION);
    let session = session.ok_or(TokenError::Misconfigured(
        "Moodle's login sets no cookie MoodleSession, or a long one",
    ))?;
    Ok(Begun { plugin, to, session })
}

/// The origin to which Moodle sends people to log in.
pub async fn provider(moodle: &Conversation, config: &OidcLaunch) -> Result<Option<Url>, TokenError> {
    let (_, location, _) = login(moodle, config).await?;
    Ok(Url::parse(&location).ok())
}

/// To where Moodle's login leads away from it, and the session that waits there for who comes back.
async fn login(
    moodle: &Conversation,
    config: &OidcLaunch,
) -> Result<(LoginPlugin, String, Option<Cookie>), TokenError> {
    let entry = match entry::written(config) {
        Some(entry) => entry,
        None => entry::of(&site::public_config(moodle).await?, config)?,
    };
    let target = match entry {
        Entry::OAuth2(id) => format!(
            "{PATH}?{}&oauthsso={id}",
            launch::query(moodle.service(), &format!("{PASSPORT}{}", passport()))
        ),
        // Without a source it may ask for `prompt=none` itself, and answer with its login page (`silentloginmode`).
        Entry::Oidc => format!("{}?source=loginpage", LoginPlugin::Oidc.callback()),
    };
    let mut session = None;
    let reply = walk(moodle, target, None, &mut session).await?;
    let leads = location(&reply);
    if !reply.status.is_redirection() {
        return Err(page(&reply));
    }
    if below(moodle.wwwroot(), leads, "/").is_some() {
        return Err(TokenError::Misconfigured(
            "Moodle's login by the provider leads back to Moodle: is the plugin on (auth_oauth2, auth_oidc), and its OAuth 2 \
             service enabled and shown on the login page?",
        ));
    }
    Ok((entry.plugin(), leads.to_owned(), session))
}

/// Spends what a browser has brought. The token has said whose it is. `session` becomes the one that Moodle gives on the way, in
/// which somebody may be signed in by now, whatever comes of it.
pub(super) async fn complete(
    moodle: &Conversation,
    username: &str,
    brought: Brought<'_>,
    session: &mut Option<Cookie>,
) -> Result<Token, TokenError> {
    signed_in(moodle, &brought, session).await?;
    let session = session.get_or_insert_with(|| brought.session.clone());
    let launched = cas_launch::launch(moodle, session).await;
    let token = launched.map_err(|error| match error {
        // It has just begun: nobody is signed in there.
        TokenError::SessionEnded => TokenError::NoAccount,
        error => error,
    })?;
    check_identity(moodle, &token, username).await.map(|_| token)
}

/// Has Moodle redeem the code. Whom it signs in gets another session.
async fn signed_in(
    moodle: &Conversation,
    brought: &Brought<'_>,
    session: &mut Option<Cookie>,
) -> Result<(), TokenError> {
    let target = format!("{}?{}", brought.plugin.callback(), brought.query);
    let reply = walk(moodle, target, Some(brought.session), session).await?;
    if !reply.status.is_redirection() {
        return Err(match (reply.status, brought.plugin) {
            // "Link your accounts": a mail is on its way.
            (StatusCode::OK, LoginPlugin::OAuth2) => TokenError::Wants(Wanted::Confirmation),
            (StatusCode::OK, LoginPlugin::Oidc) => TokenError::Wants(Wanted::Other),
            _ => page(&reply),
        });
    }
    let leads = location(&reply);
    match Wanted::of_redirect(leads) {
        // To the login page, which says why to nobody here.
        None => Err(TokenError::NoAccount),
        // To where the person would have gone.
        Some(Wanted::Other) if below(moodle.wwwroot(), leads, "/").is_some() => Ok(()),
        Some(Wanted::Other) => Err(TokenError::NoAccount),
        Some(wanted) => Err(TokenError::Wants(wanted)),
    }
}

/// GETs `target`, which begins below `wwwroot`, and follows redirects to scripts of the login, in the session `begun`. The first
/// answer that is none; `session` is the last one that Moodle has set.
async fn walk(
    moodle: &Conversation,
    mut target: String,
    begun: Option<&Cookie>,
    session: &mut Option<Cookie>,
) -> Result<Reply, TokenError> {
    for _ in 0..=MOST_REDIRECTS {
        let cookies: Vec<&Cookie> = session.as_ref().or(begun).into_iter().collect();
        let reply = moodle.send(Method::GET, &target, &[], &cookies).await?;
        if let Some(set) = Cookie::set_by(&reply, MOODLE_SESSION) {
            *session = Some(set);
        }
        let next = below(moodle.wwwroot(), location(&reply), LOGIN_SCRIPTS);
        match next.filter(|_| reply.status.is_redirection()) {
            Some(next) => target = next,
            None => return Ok(reply),
        }
    }
    Err(TokenError::Misconfigured(
        "Moodle's login by the provider leads in circles",
    ))
}

/// Path and query below `wwwroot` of an address that begins there with `prefix`.
fn below(wwwroot: &str, location: &str, prefix: &str) -> Option<String> {
    let root = Url::parse(wwwroot).ok()?;
    let url = root.join(location).ok().filter(|url| url.origin() == root.origin())?;
    let path = url.path().strip_prefix(root.path().trim_end_matches('/'))?;
    // The scripts themselves are `https://moodle.example.edu` alone, too.
    let path = if path.is_empty() { "/" } else { path };
    let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
    (path.starts_with(prefix) && !location.is_empty()).then(|| format!("{path}{query}"))
}

/// What a page of the login means, where there should be none.
fn page(reply: &Reply) -> TokenError {
    const FAILED: TokenError = TokenError::Misconfigured(
        "Moodle's login by the provider failed: try it in a browser, and see the web server's log",
    );
    match page_code(reply).as_deref() {
        Some("invalidrecord") => {
            TokenError::Misconfigured("Moodle has no OAuth 2 service of this id (oidc_launch.issuer_id)")
        }
        Some("invalidsesskey" | "errorauthunknownstate") => TokenError::SessionEnded,
        // Of auth_oidc: no account, or one of another authentication method.
        Some(
            "errorauthgeneral"
            | "errorauthloginfailednouser"
            | "errorauthloginfaileddupemail"
            | "errorusermatched"
            | "erroruserwithusernamealreadyexists",
        ) => TokenError::NoAccount,
        Some("errorrestricted") => TokenError::Denied("auth_oidc does not let the user in (\"User Restrictions\")"),
        Some(code) => match refused(code) {
            TokenError::Misconfigured(_) | TokenError::TicketRefused => FAILED,
            known => known,
        },
        None => FAILED,
    }
}

pub(super) async fn availability(person: &Person<'_>) -> Result<Availability, StoreError> {
    Ok(match (person.kept_session().await?, person.caller.is_browser()) {
        (Some(_), _) => Availability::Asked("a session in Moodle is kept, which makes one without the browser"),
        (None, true) => Availability::Browser("the browser would be sent to the provider, for Moodle's client"),
        (None, false) => {
            Availability::Nothing("only a browser can bring a code of the provider's, and this is a back end")
        }
    })
}

pub(super) fn finding(site: &SiteConfig, moodle: &config::Moodle) -> Finding {
    let config = moodle.oidc_launch.clone().unwrap_or_default();
    launch::moved(site).unwrap_or_else(|| entry::finding(site, &config))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;

    #[test]
    fn only_what_lies_below_wwwroot_is_followed() {
        const ROOT: &str = "https://moodle.test/sub";
        for (location, expected) in [
            (
                "https://moodle.test/sub/auth/oauth2/login.php?id=1&x=%2F",
                Some("/auth/oauth2/login.php?id=1&x=%2F"),
            ),
            ("/sub/auth/oidc/", Some("/auth/oidc/")),
            ("https://moodle.test/sub/auth/../login/index.php", None),
            ("https://moodle.test/auth/oidc/", None),
            ("https://moodle.test/subway/auth/oidc/", None),
            ("https://moodle.test:444/sub/auth/oidc/", None),
            ("http://moodle.test/sub/auth/oidc/", None),
            ("https://moodle.test.evil.test/sub/auth/oidc/", None),
            ("https://moodle.test@evil.test/sub/auth/oidc/", None),
            ("//evil.test/sub/auth/oidc/", None),
            ("https://moodle.test/sub/login/index.php", None),
            ("", None),
        ] {
            assert_eq!(below(ROOT, location, LOGIN_SCRIPTS).as_deref(), expected, "{location}");
        }
        assert_eq!(below(ROOT, ROOT, "/").as_deref(), Some("/"));
        assert_eq!(
            below("https://moodle.test", "https://moodle.test", "/").as_deref(),
            Some("/")
        );
        assert_eq!(below(ROOT, "", "/"), None);
    }

    #[test]
    fn a_page_says_what_is_wrong() {
        let of = |code: &str| {
            let body =
                format!("<p class=\"errorcode\"><a href=\"https://docs.moodle.org/404/de/error/x/{code}\">?</a></p>");
            let reply = Reply {
                status: StatusCode::NOT_FOUND,
                headers: HeaderMap::new(),
                body: Bytes::from(body),
            };
            page(&reply)
        };
        assert!(of("invalidrecord").to_string().contains("issuer_id"));
        assert!(matches!(of("invalidsesskey"), TokenError::SessionEnded));
        assert!(matches!(of("errorauthloginfailednouser"), TokenError::NoAccount));
        assert!(matches!(of("errorrestricted"), TokenError::Denied(_)));
        assert!(matches!(
            of("nopasswordchangeforced"),
            TokenError::Wants(Wanted::NoPassword)
        ));
        assert!(matches!(of("servicenotavailable"), TokenError::Denied(_)));
        for code in ["generalexceptionmessage", "somethingelse", ""] {
            assert!(of(code).to_string().contains("login by the provider failed"), "{code}");
        }
    }
}
