//! Which entries of `functions` permit the call, and which source of Moodle's tokens would serve it, in words.

use std::fmt;

use super::Page;
use crate::explain::MoodleTokens;

impl Page {
    pub(super) fn moodle(&mut self, told: &MoodleTokens) -> fmt::Result {
        let MoodleTokens {
            moodle,
            service,
            username,
            kept,
            sources,
            never,
            functions,
        } = told;
        if !functions.is_empty() {
            self.heading("functions: each that is called must be permitted")?;
            for one in functions {
                self.ticked(1, one.permitted, &format!("{}: {}", one.name, one.why))?;
            }
        }
        let whose = username.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
        self.heading(&format!("Moodle's token{whose} (moodle.{moodle}, service {service})"))?;
        match kept {
            Some(true) => self.ticked(1, true, "a token is kept: no source is asked")?,
            Some(false) => self.line(1, "none is kept")?,
            None => self.line(
                1,
                "which source serves depends on who asks: add the session, and --live",
            )?,
        }
        for source in sources {
            let line = format!("{}: {}", source.source, source.prospect);
            match kept {
                None => self.line(1, &line)?,
                Some(_) => self.ticked(1, source.used, &line)?,
            }
        }
        if !never.is_empty() {
            self.line(1, &format!("never for {}", never.join(", ")))?;
        }
        Ok(())
    }
}
