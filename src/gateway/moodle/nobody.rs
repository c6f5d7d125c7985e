//! Who has no token of Moodle's yet, and where a browser gets one.

use pingora::proxy::Session;

use super::super::Stop;
use super::super::endpoints::visit;
use crate::context::Context;
use crate::moodle::Moodle;
use crate::moodle::caller::Caller;
use crate::own;
use crate::rejection::{Hint, NEEDS_BROWSER, Reason, Rejection};
use crate::respond::write::write;
use crate::sign_in::begin::{page_load, where_to, where_to_and_back_to_page};

/// Only the browser can bring a token: a page load is sent for one, anything else is told where to go. A back end is told
/// too, since it may send its person's browser there.
pub(super) async fn instead(
    session: &mut Session,
    ctx: &mut Context,
    (moodle, caller): (&Moodle, Caller<'_>),
    refusal: Rejection,
) -> Result<(), Stop> {
    let helps = refusal.reason == Reason::MoodleSignInRequired || refusal.hint == Hint::Remedy(NEEDS_BROWSER);
    if !helps {
        return Err(refusal.into());
    }
    let visit = visit(&session.req_header().headers, ctx)?;
    let here = visit.here;
    let browser = caller.session().filter(|_| caller.is_browser());
    if let Some(session_of) = browser.filter(|_| page_load(&visit.request.method, visit.headers)) {
        let reply = own::moodle::begin(&here, moodle, session_of, &visit.target())?;
        ctx.rejection = Some(refusal);
        return Ok(write(session, &reply).await?);
    }
    let sign_ins = [moodle.config.sign_in];
    let mut sign_in = match caller.is_browser() {
        true => where_to_and_back_to_page(&here, visit.headers, &sign_ins),
        false => where_to(&here, &sign_ins),
    };
    sign_in.extend(["&moodle=", &moodle.config.name]);
    Err(refusal.with_hint(Hint::SignIn(sign_in)).into())
}
