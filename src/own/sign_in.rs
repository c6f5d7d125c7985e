//! `/_janua/sign-in`: straight to the one sign-in, or to a page with a choice of several.

use std::borrow::Cow;
use std::sync::Arc;

use super::moodle as visits;
use crate::authenticate::session::Session;
use crate::moodle::Moodle;
use crate::query;
use crate::rejection::{Hint, Reason, Rejection};
use crate::respond::Reply;
use crate::respond::page::{self, Escaped};
use crate::sign_in::begin::{begin, begin_in_frame, where_to_and_back};
use crate::sign_in::{Asked, Here, no_way_back, target};

/// `GET /_janua/sign-in?return=…&with=…&moodle=…`
pub(super) async fn answer(asked: &Asked<'_>, moodles: &[Arc<Moodle>]) -> Result<Reply, Rejection> {
    let here = &asked.here;
    let query = asked.query.unwrap_or_default();
    let sign_ins = &here.config.sign_ins;
    let mut choice: Vec<usize> = query::values(query.as_bytes(), "with")
        .filter_map(|with| sign_ins.iter().position(|sign_in| *sign_in.name == *with))
        .collect();
    if choice.is_empty() {
        choice = (0..sign_ins.len()).collect();
    }
    // Refusals name one, behind which an app may write its own.
    let given = query::values(query.as_bytes(), "return").last().map(Cow::into_owned);
    let &[only] = choice.as_slice() else {
        let moodle = asked.in_query("moodle");
        return Ok(chooser(
            here,
            &choice,
            given.as_deref().unwrap_or("/"),
            moodle.as_deref(),
        ));
    };
    let moodle = visits::wanted(asked, moodles, only);
    let back = given.unwrap_or_else(|| {
        // Moodle may be below a path, beside which there need not be anything.
        let below = moodle.map(|moodle| moodle.config.public_url.path().trim_end_matches('/'));
        format!("{}/", below.unwrap_or_default())
    });
    let sign_in = sign_ins.get(only).ok_or(Reason::NoRoute)?;
    let origin = here.public.origin();
    let mut target = target::judged(&back, &origin, &sign_in.app_origins).ok_or_else(no_way_back)?;
    let session = here.session(asked.headers).await?;
    // For Moodle's token it need not be the same sign-in, but the same person.
    let is_its = |moodle: &&Arc<Moodle>, session: &Session| moodle.is_of(&session.identity);
    let known = session.filter(|session| {
        session.identity.source == sign_in.name || moodle.as_ref().is_some_and(|moodle| is_its(moodle, session))
    });
    // Who was sent on to Moodle has just typed the password.
    let is_enough = !sign_in.provider.renew() || moodle.is_some();
    if let Some(session) = known.filter(|_| is_enough) {
        return match moodle {
            Some(moodle) => visits::go_on(here, moodle, &session, &target).await,
            None => here.go_to(&target),
        };
    }
    if moodle.is_some() {
        // Back here once more, as somebody who is known.
        target = format!("{origin}/_janua/sign-in?{query}");
    }
    if page::is_framed(asked.headers.get("sec-fetch-dest")) {
        let tab = || Hint::SignIn(where_to_and_back(here, &[only], &target));
        let begun = begin_in_frame(here, asked.headers, &[only], &target).await;
        return begun.ok_or_else(|| Rejection::new(Reason::NoCredentials).with_hint(tab()));
    }
    begin(here, asked.headers, only, &target, false).await
}

fn chooser(here: &Here<'_>, choice: &[usize], back: &str, moodle: Option<&str>) -> Reply {
    let reader = here.reader();
    let mut body = reader.says(reader.texts.which_sign_in);
    for sign_in in choice.iter().filter_map(|index| here.config.sign_ins.get(*index)) {
        let query: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("with", &sign_in.name)
            .append_pair("return", back)
            .extend_pairs(moodle.map(|moodle| ("moodle", moodle)))
            .finish();
        body += &format!(
            "<p><a class=\"button\" href=\"/_janua/sign-in?{}\">{}</a></p>\n",
            Escaped(&query),
            Escaped(sign_in.shown())
        );
    }
    body += &reader.to_start(None);
    Reply::page(&reader, reader.texts.please_sign_in_title, &body)
}
