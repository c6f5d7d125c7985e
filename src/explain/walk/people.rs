//! Sessions, launch sessions and passes, the way to sign in and the gateway's own addresses, as `gateway` and `edge::own`
//! walk them. Nothing is used up: no session lives on for it, no ticket is judged, nobody is signed out.

use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::super::lay_out;
use super::super::{Action, Outcome};
use super::Walk;
use crate::authenticate::session::Carrier;
use crate::authenticate::session::cookie::{LAUNCH, SESSION};
use crate::authenticate::token;
use crate::context::HeldPass;
use crate::edge;
use crate::own::visit::Visit;
use crate::own::{self, Asked, Here};
use crate::rejection::{Reason, Rejection};
use crate::request::Request;
use crate::route::path::Path;
use crate::snapshot::Route;

/// Where a browser goes.
pub(super) enum Sent {
    /// With this status.
    ToSignIn(StatusCode),
    /// On to what this route does.
    Nowhere(Arc<Route>),
}

impl<'a> Walk<'a> {
    /// What the gateway itself answers below `/_janua/`: told where answering changes nothing.
    pub(super) async fn own(
        &mut self,
        request: &Request,
        path: &Path,
        headers: &HeaderMap,
    ) -> Result<Option<StatusCode>, Rejection> {
        let here = self.here(request)?;
        self.hide_secrets(&here, headers);
        let status = match own::is_harmless(&request.method, path.decoded()) {
            true => {
                let asked = Asked {
                    method: &request.method,
                    path: path.decoded(),
                    query: request.query.as_deref(),
                    headers,
                    body: Bytes::new(),
                    request_id: "explain",
                    // Counts for tickets only, which are not asked about here.
                    client: Ipv4Addr::UNSPECIFIED.into(),
                    here,
                };
                Some(own::answer(&asked).await?.status)
            }
            false => None,
        };
        self.report.outcome = Outcome::Allow;
        self.report.action = Some(Action::Own);
        Ok(status)
    }

    /// The session that the request carries, told as a credential.
    pub(super) async fn session(&mut self, asked: &super::Asked<'_>) -> token::Outcome {
        let super::Asked {
            route,
            request,
            path,
            headers,
            ..
        } = *asked;
        let here = match self.here(request) {
            Ok(here) => here,
            Err(refusal) => return token::Outcome::Refused(refusal),
        };
        let Some(place) = self.hide_secrets(&here, headers) else {
            return token::Outcome::Nobody;
        };
        if !self.report.keys.live {
            let detail = "a session is known to the running gateway only: ask it with --live";
            let unknown = Rejection::because(Reason::NoCredentials, detail);
            let told = lay_out::session(place, Err(&unknown), self.now);
            self.report.credentials.push(told);
            return token::Outcome::Nobody;
        }
        let visit = Visit {
            here,
            request,
            path,
            headers,
        };
        let found = visit.session(route).await;
        if let Ok(Some(_)) = &found {
            // What was looked at before did not let the request pass.
            self.report.credentials.iter_mut().for_each(|one| one.counts = false);
        }
        let told = match &found {
            Ok(Some(session)) => lay_out::session(place, Ok(session), self.now),
            Ok(None) => {
                let detail = "it has ended, never was one, or is not for this route";
                let unknown = Rejection::because(Reason::NoCredentials, detail);
                lay_out::session(place, Err(&unknown), self.now)
            }
            Err(refusal) => lay_out::session(place, Err(refusal), self.now),
        };
        self.report.credentials.push(told);
        self.session = found.as_ref().ok().cloned().flatten();
        match found {
            Ok(Some(session)) => token::Outcome::Person(Arc::clone(&session.identity)),
            Ok(None) => token::Outcome::Nobody,
            Err(refusal) => token::Outcome::Refused(refusal),
        }
    }

    /// The launch session that the request carries, told as a credential.
    pub(super) async fn launch(&mut self, asked: &super::Asked<'_>) -> token::Outcome {
        let super::Asked {
            route,
            request,
            path,
            headers,
            ..
        } = *asked;
        let here = match self.here(request) {
            Ok(here) => here,
            Err(refusal) => return token::Outcome::Refused(refusal),
        };
        if here.launches(headers).is_empty() {
            return token::Outcome::Nobody;
        }
        self.hide_secrets(&here, headers);
        let place = format!("launch session: cookie {}", here.jar().name(LAUNCH));
        let visit = Visit {
            here,
            request,
            path,
            headers,
        };
        let found = match self.report.keys.live {
            true => visit.launch(route).await,
            false => Ok(None),
        };
        let detail = match self.report.keys.live {
            true => "it has ended, was revoked, or never was one",
            false => "a launch session is known to the running gateway only: ask it with --live",
        };
        let unknown = Rejection::because(Reason::NoCredentials, detail);
        let told = match &found {
            Ok(found) => found.as_deref().ok_or(&unknown),
            Err(refusal) => Err(refusal),
        };
        if told.is_ok() {
            // What was looked at before did not let the request pass.
            self.report.credentials.iter_mut().for_each(|one| one.counts = false);
        }
        self.report.credentials.push(lay_out::launch(place, told, self.now));
        match found {
            Ok(Some(session)) => token::Outcome::Person(Arc::clone(&session.identity)),
            Ok(None) => token::Outcome::Nobody,
            Err(refusal) => token::Outcome::Refused(refusal),
        }
    }

    /// A pass is told by where it stands: what it says is the gateway's own business.
    pub(super) fn passes(&mut self, asked: &super::Asked<'_>) -> (token::Outcome, Option<HeldPass>) {
        let (outcome, held) = edge::watch::presented(asked, self.now);
        let told = match (&outcome, &held) {
            (_, Some(held)) => Some(lay_out::pass(Ok(held), self.now)),
            (token::Outcome::Refused(refusal), None) => Some(lay_out::pass(Err(refusal), self.now)),
            _ => None,
        };
        self.report.credentials.extend(told);
        (outcome, held)
    }

    /// Is a browser sent to sign in instead of the answer, or to be asked silently whether it is known? `Err`: the
    /// refusal is the answer.
    pub(super) fn sent_to_sign_in(
        &mut self,
        judged: Result<Arc<Route>, Rejection>,
        request: &Request,
        path: &Path,
        headers: &HeaderMap,
    ) -> Result<Sent, Rejection> {
        if self.only_decides {
            return judged.map(Sent::Nowhere);
        }
        let Ok(here) = self.here(request) else {
            return judged.map(Sent::Nowhere);
        };
        let visit = Visit {
            here,
            request,
            path,
            headers,
        };
        let reply = match (judged, &self.route) {
            (Ok(route), _) => match visit.silently(&route).filter(|_| self.who.is_none() && !self.own_token) {
                Some(reply) => reply,
                None => return Ok(Sent::Nowhere(route)),
            },
            (Err(refusal), Some(route)) => {
                let reply = visit.instead(route, refusal.clone())?;
                self.report.reason = Some(refusal.reason.label().to_owned());
                self.report.text = Some(refusal.reason.public_text().to_owned());
                reply
            }
            (Err(refusal), None) => return Err(refusal),
        };
        self.report.action = Some(Action::SignIn);
        Ok(Sent::ToSignIn(reply.status))
    }

    pub(super) fn here(&self, request: &Request) -> Result<Here<'a>, Rejection> {
        let here = Here::of(self.snapshot, &request.host, self.now)?;
        Ok(Here {
            looks_only: true,
            ..here
        })
    }

    /// Where the secret of a session stands in the request, if there is one; none is seen in the report.
    fn hide_secrets(&mut self, here: &Here<'_>, headers: &HeaderMap) -> Option<String> {
        let carried = here.carried(headers);
        let launches = here.launches(headers);
        self.tokens.extend(launches.iter().map(|&secret| secret.to_owned()));
        self.tokens.extend(carried.iter().map(|one| one.secret().to_owned()));
        let place = match carried.first()?.carrier {
            Carrier::Cookie => format!("cookie {}", here.jar().name(SESSION)),
            Carrier::Bearer => "header authorization".to_owned(),
        };
        Some(format!("{}: {place}", lay_out::SESSION))
    }
}
