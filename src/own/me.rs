//! `GET /_janua/me`: who am I, and until when?

use http::{StatusCode, header};
use serde_json::{Value, json};

use crate::authenticate::session::Session;
use crate::rejection::Rejection;
use crate::respond::page::{self, Escaped};
use crate::respond::{Answering, Reply};
use crate::sign_in::begin::where_to;
use crate::sign_in::{Asked, Here};
use crate::text::safe;

pub(super) async fn answer(asked: &Asked<'_>) -> Result<Reply, Rejection> {
    let session = asked.here.session(asked.headers).await?;
    let session = session.as_deref();
    let wanted = Answering {
        request_id: asked.request_id,
        accept: asked.headers.get(header::ACCEPT),
        sec_fetch_mode: asked.headers.get("sec-fetch-mode"),
        sec_fetch_dest: asked.headers.get("sec-fetch-dest"),
        resource_metadata: None,
    };
    if page::is_wanted(&wanted) {
        return Ok(session.map_or_else(stranger, |session| person(session, &asked.here)));
    }
    let told = session.map_or_else(
        || json!({ "signed_in": false, "sign_in": where_to(&asked.here, &[]) }),
        |session| about(session, &asked.here),
    );
    Ok(Reply::json(StatusCode::OK, &told))
}

/// Times are in seconds from now: clocks differ.
fn about(session: &Session, here: &Here<'_>) -> Value {
    json!({
        "signed_in": true,
        "sign_in": &*session.identity.source,
        "user": session.identity.subject,
        "roles": session.identity.roles,
        "expires_in": left(session, here),
        "idle": session.idle.as_secs(),
    })
}

fn left(session: &Session, here: &Here<'_>) -> u64 {
    session.expires.duration_since(here.now).unwrap_or_default().as_secs()
}

fn person(session: &Session, here: &Here<'_>) -> Reply {
    let minutes = left(session, here) / 60;
    let user = session.identity.subject.as_deref().unwrap_or_default();
    let body = format!(
        "<p>You are signed in as <strong>{}</strong> by {}, for another {} h {:02} min at most.</p>\n\
         <p><a class=\"button quiet\" href=\"/_janua/sign-out\">Sign out</a></p>",
        Escaped(&safe(user)),
        Escaped(&session.identity.source),
        minutes / 60,
        minutes % 60,
    );
    Reply::page("Signed in", &body)
}

fn stranger() -> Reply {
    Reply::page(
        "Not signed in",
        "<p>You are not signed in here.</p>\n\
         <p><a class=\"button\" href=\"/_janua/sign-in?return=/_janua/me\">Sign in</a></p>",
    )
}
