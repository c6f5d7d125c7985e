//! `/_janua/lti/<platform>/…`: the addresses that are registered at a learning platform for LTI 1.3.
//!
//! | address | for |
//! | --- | --- |
//! | `login` | the browser that the platform sends first: it gets a cookie, and goes to the platform to be named |
//! | `launch` | the browser on its way back with the platform's message: it gets a launch session, and goes to its page |
//! | `choose` | whoever runs a course, and chooses a page for it (deep linking) |
//! | `jwks` | the platform: the key that the chosen is signed with |
//!
//! They are the gateway's own and no routes: they belong together, the platform knows them by name, and who may see
//! a page is decided by the rules at that page, which the launch session goes to.
//!
//! Any site can begin a login, and make somebody open a page as whoever the platform knows in that browser. So a launch session
//! is no sign-in, and begins only in the browser that was sent to the platform, by an answer to that very question.

mod choose;
mod launch;
mod login;
mod page;

use http::{Method, StatusCode};

use crate::authenticate::lti::Platform;
use crate::rejection::Rejection;
use crate::respond::Reply;
use crate::sign_in::Asked;

/// How they begin, below `/_janua/`.
pub(super) const KIND: &str = "lti";

/// The methods of an address; `None`: there is no such address.
pub(super) fn methods(endpoint: &str) -> Option<&'static [Method]> {
    match endpoint {
        // A HEAD would begin a launch for nobody.
        "login" => Some(&[Method::GET, Method::POST]),
        "launch" | "choose" => Some(&[Method::POST]),
        "jwks" => Some(&[Method::GET, Method::HEAD]),
        _ => None,
    }
}

/// The answer at one of them, which is counted.
pub(super) async fn answer(asked: &Asked<'_>, platform: &Platform, endpoint: &str) -> Result<Reply, Rejection> {
    let (step, answered) = match endpoint {
        "login" => ("login", login::answer(asked, platform)),
        "launch" => ("launch", launch::answer(asked, platform).await),
        "choose" => ("choose", choose::answer(asked, platform)),
        _ => return Ok(Reply::json(StatusCode::OK, &platform.key_set())),
    };
    let outcome = answered
        .as_ref()
        .map_or_else(|refusal| refusal.reason.label(), |_| "ok");
    asked.here.people.metrics.lti(&platform.config.name, step, outcome);
    answered
}

/// One of the addresses, as the platform knows it.
fn address(asked: &Asked<'_>, platform: &Platform, endpoint: &str) -> String {
    let origin = asked.here.public.origin();
    format!("{origin}/_janua/{KIND}/{}/{endpoint}", platform.config.name)
}
