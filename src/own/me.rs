//! `GET /_janua/me`: who am I, and until when?

use http::{StatusCode, header};
use serde_json::{Value, json};

use crate::authenticate::session::Session;
use crate::rejection::Rejection;
use crate::respond::page::{self, Escaped, Reader, filled};
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
        ..Answering::default()
    };
    if page::is_wanted(&wanted) {
        return Ok(match session {
            Some(session) => person(session, &asked.here),
            None => stranger(&asked.here.reader()),
        });
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
    let (reader, left) = (here.reader(), left(session, here) / 60);
    let texts = reader.texts;
    let user = session.identity.subject.as_deref().unwrap_or_default();
    let source = &*session.identity.source;
    let by = here
        .sign_in_named(source)
        .map_or(source, |sign_in| sign_in.config.shown());
    let told = filled(
        texts.signed_in,
        &[
            ("user", &format!("<strong>{}</strong>", Escaped(&safe(user)))),
            ("sign_in", &Escaped(by).to_string()),
            ("hours", &(left / 60).to_string()),
            ("minutes", &format!("{:02}", left % 60)),
        ],
    );
    let body = format!(
        "<p>{told}</p>\n<p class=\"buttons\"><a class=\"button quiet\" href=\"/_janua/sign-out\">{}</a></p>\n{}",
        Escaped(texts.sign_out),
        reader.to_start(None),
    );
    Reply::page(&reader, texts.signed_in_title, &body)
}

fn stranger(reader: &Reader<'_>) -> Reply {
    let texts = reader.texts;
    let body = format!(
        "{}<p class=\"buttons\"><a class=\"button\" href=\"/_janua/sign-in?return=/_janua/me\">{}</a></p>\n{}",
        reader.says(texts.not_signed_in),
        Escaped(texts.sign_in),
        reader.to_start(None),
    );
    Reply::page(reader, texts.not_signed_in_title, &body)
}
