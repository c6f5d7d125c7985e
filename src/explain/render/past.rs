//! What is told of a request that has come, beside what an explanation tells.

use std::fmt;

use super::{Page, at};
use crate::explain::report::{Credential, Moment, Past, PastUpstream, Report};

impl Page {
    pub(super) fn past(&mut self, past: &Past, when: &Moment) -> fmt::Result {
        self.line(1, &format!("request id {}", past.request_id))?;
        if let Some(query) = &past.query {
            self.line(1, &format!("query with {query} (values are not kept)"))?;
        }
        if let Some(subject) = &past.subject {
            self.line(1, &format!("of {subject}"))?;
        }
        let took = past.milliseconds;
        self.line(1, &format!("came at {}, ended after {took} ms", at(when)))?;
        let generation = past.generation;
        let force = match past.is_in_force {
            true => "which is in force",
            false => "another one is in force now",
        };
        self.line(
            1,
            &format!("judged by configuration {generation} of this process, {force}"),
        )
    }

    /// Of credentials only this is kept.
    pub(super) fn looked_at(&mut self, credentials: &[Credential]) -> fmt::Result {
        self.heading("credentials")?;
        if credentials.is_empty() {
            return self.line(1, "none were looked at");
        }
        for credential in credentials {
            let issuers = credential.issuers.join(", ");
            let fate = match (credential.valid, &credential.reason) {
                (true, _) if credential.counts => format!("valid, of {issuers}, speaks for the request"),
                (true, _) => "valid".to_owned(),
                (false, Some(reason)) => reason.clone(),
                (false, None) => "the request has none".to_owned(),
            };
            self.ticked(1, credential.valid, &format!("{}: {fate}", credential.place))?;
            self.capped("role", &credential.roles)?;
            self.capped("grant", &credential.grants)?;
        }
        Ok(())
    }

    pub(super) fn asked(&mut self, upstream: &PastUpstream, report: &Report) -> fmt::Result {
        self.heading(&format!("upstream {}", upstream.name))?;
        let server = upstream.server.as_deref().unwrap_or("none of its servers");
        let line = match (upstream.answered_after, report.status) {
            (Some(after), Some(status)) if report.reason.is_none() => {
                format!("{server} answered {status} after {after} ms")
            }
            (Some(after), _) => format!("{server} answered after {after} ms"),
            (None, _) => format!("{server} was asked, and gave no answer"),
        };
        self.ticked(1, upstream.answered_after.is_some(), &line)
    }
}
