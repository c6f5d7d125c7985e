//! What the request brings to say whose it is, and the keys that it was verified by, in words.

use std::fmt::{self, Write as _};

use serde_json::{Map, Value};

use super::Page;
use crate::explain::report::{AccessToken, Capped, Credential, Keys, Moment};
use crate::explain::view::{FOR_UPSTREAM, SESSION};
use crate::text::count;

impl Page {
    pub(super) fn credentials(&mut self, credentials: &[Credential]) -> fmt::Result {
        self.heading("credentials")?;
        if credentials.is_empty() {
            return self.line(1, "none: there is no token where tokens are looked for, and no session");
        }
        for credential in credentials {
            if credential.place.starts_with(FOR_UPSTREAM) {
                let place = &credential.place;
                let judged = "the upstream judges it; rules about people do not count";
                self.ticked(1, true, &format!("{place}: {judged}"))?;
                continue;
            }
            let fate = match (credential.counts, &credential.reason) {
                (true, _) => "valid, speaks for the request".to_owned(),
                (false, Some(reason)) => reason.clone(),
                (false, None) => "valid, but an earlier one speaks already".to_owned(),
            };
            let detail = credential.detail.as_ref().map(|detail| format!(" ({detail})"));
            let place = &credential.place;
            self.ticked(
                1,
                credential.valid,
                &format!("{place}: {fate}{}", detail.unwrap_or_default()),
            )?;
            self.credential(credential)?;
        }
        Ok(())
    }

    fn credential(&mut self, credential: &Credential) -> fmt::Result {
        if credential.place.starts_with(SESSION) {
            return self.session(credential);
        }
        if let Some(access) = &credential.access {
            return self.access(credential, access);
        }
        if let Some(header) = &credential.header {
            self.members("header", header)?;
        }
        let issuers = credential.issuers.join(", ");
        match &credential.key {
            Some(key) => self.line(2, &format!("signed by {key} of {issuers}"))?,
            None => self.line(
                2,
                "none of the keys that may verify it does: what it says proves nothing",
            )?,
        }
        for (name, time) in &credential.times {
            self.line(2, &format!("{name}: {} ({})", verb(name, time), time.utc))?;
        }
        if let Some(claims) = &credential.claims {
            let told = |name: &String| !credential.times.iter().any(|(known, _)| known == name);
            let rest: Map<String, Value> = claims
                .iter()
                .filter(|(name, _)| told(name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            self.members("", &rest)?;
        }
        self.capped("role", &credential.roles)?;
        self.capped("grant", &credential.grants)
    }

    fn session(&mut self, credential: &Credential) -> fmt::Result {
        if let Some(session) = &credential.session {
            let (subject, sign_in) = (&session.subject, &session.sign_in);
            let since = &session.created.words;
            self.line(2, &format!("{subject}, signed in by {sign_in} {since}"))?;
            let (words, utc, idle) = (&session.expires.words, &session.expires.utc, session.idle);
            self.line(2, &format!("ends {words} ({utc}), or {idle} s after its last request"))?;
        }
        self.capped("role", &credential.roles)
    }

    fn access(&mut self, credential: &Credential, access: &AccessToken) -> fmt::Result {
        if let Some(bearer) = &access.bearer {
            self.line(2, &format!("judged by bearer.{bearer}"))?;
        }
        if !credential.valid {
            return Ok(());
        }
        let nobody = || {
            let bearer = access.bearer.as_deref().unwrap_or("<name>");
            format!("nobody: it is a client's own, or has no claim of the name in bearer.{bearer}.username")
        };
        let whose = access.subject.clone().unwrap_or_else(nobody);
        self.line(2, &format!("of {whose}"))?;
        let client = access.client.as_deref().unwrap_or("not told");
        self.line(2, &format!("client: {client}"))?;
        let scopes = access.scopes.join(" ");
        self.line(
            2,
            &format!("scopes: {}", if scopes.is_empty() { "none" } else { &scopes }),
        )?;
        for (name, time) in &credential.times {
            self.line(2, &format!("{name}: {} ({})", verb(name, time), time.utc))?;
        }
        self.capped("role", &credential.roles)
    }

    fn members(&mut self, what: &str, members: &Map<String, Value>) -> fmt::Result {
        for (name, value) in members {
            let name = if what.is_empty() {
                name.clone()
            } else {
                format!("{what} {name}")
            };
            self.line(2, &format!("{name}: {value}"))?;
        }
        Ok(())
    }

    pub(super) fn capped(&mut self, what: &str, capped: &Capped) -> fmt::Result {
        for kept in &capped.kept {
            self.ticked(2, true, &format!("{what} {kept}"))?;
        }
        for dropped in &capped.dropped {
            self.ticked(
                2,
                false,
                &format!("{what} {dropped}: dropped, its issuer may not say it"),
            )?;
        }
        Ok(())
    }

    pub(super) fn keys(&mut self, keys: &Keys) -> fmt::Result {
        let whose = if keys.live {
            "of the running gateway"
        } else {
            "read for this answer"
        };
        self.heading(&format!("keys ({whose})"))?;
        for set in &keys.issuers {
            let mut line = format!("{}: {} from {}", set.issuer, count(set.keys, "key"), set.from);
            if let Some(fetched) = &set.fetched {
                write!(line, ", fetched {}", fetched.words)?;
            }
            if let Some(problem) = &set.problem {
                write!(line, ": {problem}")?;
            }
            self.ticked(1, set.keys > 0, &line)?;
        }
        Ok(())
    }
}

/// `expired 3 min ago`, `valid in 5 s`, `issued 1 h ago`.
fn verb(claim: &str, time: &Moment) -> String {
    let is_past = !time.words.starts_with("in ");
    let verb = match (claim, is_past) {
        ("exp", true) => "expired",
        ("exp", false) => "expires",
        ("nbf", true) => "valid since",
        ("nbf", false) => "valid only",
        _ => "issued",
    };
    format!("{verb} {}", time.words)
}
