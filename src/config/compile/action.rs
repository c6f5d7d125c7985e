//! What a route does with an allowed request: exactly one of `upstream`, `files`, `accel`, `respond`.

use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;

use http::StatusCode;

use super::{Checker, Known};
use crate::config::diagnostics::{Diagnostic, Span};
use crate::config::public_keys::{MAX_KEY_SET, publishable};
use crate::config::read::{At, Key};
use crate::config::value::KeySetFile;
use crate::config::{Action, Respond, Route, Server, file};

/// What a route does; known even when the folder, say, is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Upstream,
    /// Files, whoever sends them.
    Files,
    /// Objects of a bucket.
    Bucket,
    /// With a file?
    Respond(bool),
}

/// The keys of which a route has exactly one.
pub(super) struct Actions {
    pub(super) upstream: Key<String>,
    pub(super) files: Key<String>,
    pub(super) accel: Key<String>,
    pub(super) respond: Key<file::Respond>,
}

pub(super) fn kind(actions: &Actions) -> Option<Kind> {
    let absent = (
        actions.upstream.is_absent(),
        actions.files.is_absent(),
        actions.accel.is_absent(),
    );
    match (absent, &actions.respond) {
        ((false, true, true), Key::Absent) => Some(Kind::Upstream),
        ((true, false, true) | (true, true, false), Key::Absent) => Some(Kind::Files),
        // Files, too, of another server.
        ((true, true, true), Key::Given(respond)) if respond.value.is_elsewhere() => Some(Kind::Files),
        ((true, true, true), Key::Given(respond)) => Some(Kind::Respond(
            !respond.value.file.is_absent() || !respond.value.jwks.is_absent(),
        )),
        _ => None,
    }
}

impl Checker<'_> {
    /// Decisions are told to trusted proxies alone.
    pub(super) fn decisions_for_nobody(&mut self, routes: &[Arc<Route>], server: Option<&Server>) {
        let decides = |route: &&Arc<Route>| matches!(route.action, Action::Decide(_));
        let nobody = server.is_some_and(|server| server.trusted_proxies.is_empty());
        if let (Some(route), true) = (routes.iter().find(decides), nobody) {
            let message = format!("the route `{}` decides for nobody", route.name);
            let help = "name the proxy that asks: trusted_proxies = [\"127.0.0.1/32\"] in [server]";
            self.report(Diagnostic::error_nowhere(message).help(help));
        }
    }

    pub(super) fn action(&mut self, actions: Actions, place: Span, known: &Known) -> Option<Action> {
        let Actions {
            upstream,
            files,
            accel,
            respond,
        } = actions;
        let mut given: Vec<(&str, Span)> = [
            upstream.given().map(|upstream| ("upstream", upstream.at)),
            files.given().map(|files| ("files", files.at)),
            accel.given().map(|accel| ("accel", accel.at)),
            respond.given().map(|respond| ("respond", respond.at)),
        ]
        .into_iter()
        .flatten()
        .collect();
        given.sort_by_key(|(_, at)| at.start);
        if let [(first, first_at), (second, second_at), ..] = given.as_slice() {
            let message = format!("this route has both `{first}` and `{second}`");
            let problem = Diagnostic::error(*second_at, message).also(*first_at, "the other one");
            self.report(problem.help("a route does one thing: make two routes, or remove one of them"));
            return None;
        }
        match (upstream, files, accel, respond) {
            (Key::Given(upstream), ..) => self
                .reference(&upstream, "upstream", &known.upstreams)
                .map(Action::Upstream),
            (_, Key::Given(files), ..) => self.existing_folder(&files, "files").map(Action::Files),
            (_, _, Key::Given(accel), _) => self.accel_prefix(&accel, "accel").map(Action::Accel),
            (.., Key::Given(respond)) => self.answer(respond.value, known),
            (Key::Absent, Key::Absent, Key::Absent, Key::Absent) => {
                let problem = Diagnostic::error(place, "this route does nothing").label("in this table");
                self.report(problem.help("add one of upstream = \"…\", files = \"…\", accel = \"…\", respond = { … }"));
                None
            }
            _ => None,
        }
    }

    /// What `respond` says: a launch, a key set and a decision stand alone, everything else is a fixed reply.
    fn answer(&mut self, mut respond: file::Respond, known: &Known) -> Option<Action> {
        let decide = std::mem::take(&mut respond.decide);
        let jwks = std::mem::take(&mut respond.jwks);
        let launch = std::mem::take(&mut respond.launch);
        let signed = std::mem::take(&mut respond.signed);
        let presigned = std::mem::take(&mut respond.presigned);
        let alone = respond.status.is_absent() && respond.location.is_absent() && respond.file.is_absent();
        if let Some(launch) = launch.given().filter(|launch| launch.value) {
            if alone && decide.is_absent() && jwks.is_absent() {
                return Some(Action::Launch);
            }
            let problem = Diagnostic::error(launch.at, "`launch` stands alone: the way to the target is the answer");
            self.report(problem.help("remove what else stands in `respond`"));
            return None;
        }
        if let Key::Given(presigned) = presigned {
            if !alone || !decide.is_absent() || !jwks.is_absent() || !signed.is_absent() {
                let problem = Diagnostic::error(
                    presigned.at,
                    "`presigned` stands alone: the signed address is the answer",
                );
                self.report(problem.help("remove what else stands in `respond`"));
                return None;
            }
            let index = self.reference(&presigned, "upstream", &known.upstreams)?;
            if !known.is_bucket(index) {
                let problem = Diagnostic::error(presigned.at, "this upstream is no bucket");
                self.report(problem.help("add `s3` to it, or use respond = { signed = true } for Opencast's form"));
            }
            return Some(Action::Presigned(index));
        }
        if let Some(signed) = signed.given().filter(|signed| signed.value) {
            if alone && decide.is_absent() && jwks.is_absent() {
                return Some(Action::SignedRedirect);
            }
            let problem = Diagnostic::error(signed.at, "`signed` stands alone: the signed address is the answer");
            self.report(problem.help("remove what else stands in `respond`"));
            return None;
        }
        match (decide, jwks) {
            (Key::Absent, Key::Absent) => self.respond(respond).map(Action::Respond),
            (Key::Given(_), jwks) if !(alone && jwks.is_absent()) => {
                let problem = Diagnostic::error(respond.place, "`decide` stands alone: the decision is the answer");
                self.report(problem.help("remove `status`, `location`, `file` and `jwks`"));
                None
            }
            (Key::Given(decide), _) => self.decide(decide.value).map(Action::Decide),
            (Key::Absent, Key::Given(jwks)) => self.key_set(&jwks, &respond, known),
            (Key::Bad, _) | (_, Key::Bad) => None,
        }
    }

    /// A key set to publish. What must not be published is refused here, before anyone can fetch it.
    fn key_set(&mut self, jwks: &At<KeySetFile>, respond: &file::Respond, known: &Known) -> Option<Action> {
        if !(respond.status.is_absent() && respond.location.is_absent() && respond.file.is_absent()) {
            let problem = Diagnostic::error(respond.place, "`jwks` stands alone: the key set is the answer");
            self.report(problem.help("remove `status`, `location` and `file`"));
            return None;
        }
        let path = match &jwks.value {
            KeySetFile::File(path) => path.clone(),
            KeySetFile::Own if known.opencasts.is_empty() => {
                let problem = Diagnostic::error(jwks.at, "there are no keys of the gateway's own");
                self.report(problem.help("they sign for [opencast.…]: add it, or name a key set on disk"));
                return None;
            }
            KeySetFile::Own => return Some(Action::OwnKeys),
        };
        let path = At {
            at: jwks.at,
            value: path,
        };
        let path = self.existing_file(&path, "jwks")?;
        let mut text = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(MAX_KEY_SET as u64 + 1).read_to_end(&mut text));
        let problem = match (read, publishable(&text)) {
            (Ok(_), Ok(_)) => return Some(Action::KeySet(path)),
            (Err(why), _) => Diagnostic::error(jwks.at, format!("`jwks`: this file cannot be read: {why}")),
            (_, Err(why)) => Diagnostic::error(jwks.at, format!("`jwks`: this is not published: {why}"))
                .help("`janua keys jwks FILE…` makes a key set of public keys out of PEM files, JWKs and key sets"),
        };
        self.report(problem);
        None
    }

    fn respond(&mut self, respond: file::Respond) -> Option<Respond> {
        let place = respond.place;
        match (respond.status, respond.location, respond.file) {
            (Key::Absent, Key::Absent, Key::Given(path)) => self.existing_file(&path, "file").map(Respond::File),
            (Key::Given(status), location, Key::Absent) => {
                let code = u16::try_from(status.value)
                    .ok()
                    .filter(|code| (200..600).contains(code) && *code != 304);
                let Some(code) = code.and_then(|code| StatusCode::from_u16(code).ok()) else {
                    self.report(
                        Diagnostic::error(status.at, "`status` cannot be answered")
                            .label("allowed: 200 to 599, not 304"),
                    );
                    return None;
                };
                let redirects = matches!(code.as_u16(), 301 | 302 | 303 | 307 | 308);
                let location = match (location, redirects) {
                    (Key::Bad, _) => return None,
                    (Key::Given(location), false) => {
                        let problem = Diagnostic::error(location.at, "`location` means nothing with this status");
                        self.report(
                            problem
                                .also(status.at, "this one")
                                .help("it goes with 301, 302, 303, 307 and 308"),
                        );
                        return None;
                    }
                    (location, true) => Some(self.required(
                        location,
                        "location",
                        place,
                        "location = \"https://…\", where this status leads",
                    )?),
                    (Key::Absent, false) => None,
                };
                Some(Respond::Status {
                    status: code,
                    location: location.map(|location| location.value.0),
                })
            }
            (Key::Bad, ..) | (_, Key::Bad, _) | (.., Key::Bad) => None,
            _ if respond.has_unknown_keys => None,
            _ => {
                let problem = Diagnostic::error(place, "`respond` is either a status, a file or a key set");
                self.report(problem.help(
                    "write { status = 204 }, { status = 302, location = \"…\" }, { file = \"…\" }, { jwks = \"…\" } or \
                     { launch = true }",
                ));
                None
            }
        }
    }
}
