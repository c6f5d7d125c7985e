//! What stands around a line for its reader: a priority for the journal, colours for a terminal.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};

use rustix::fs::fstat;
use tracing::Level;

use crate::config::{Log, LogFormat, When};

const GREEN: &str = "\u{1b}[32m";
const CYAN: &str = "\u{1b}[36m";
const YELLOW: &str = "\u{1b}[33m";
const RED: &str = "\u{1b}[31m";
const DIM: &str = "\u{1b}[2m";
pub(super) const PLAIN: &str = "\u{1b}[0m";

/// Bytes of the time at the beginning of a line of text, with the blank behind it.
const TIME: usize = "2026-11-12T10:00:00.123Z ".len();
/// Bytes of a level, `INFO` with a blank before it.
const LEVEL: usize = 5;

/// How the lines of a stream look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Look {
    pub(super) colour: bool,
    pub(super) priority: bool,
}

impl Look {
    /// Of the lines that go to stderr or to the file.
    pub(super) fn of(log: &Log, is_stderr: bool) -> Self {
        let stderr = io::stderr();
        let env = |name: &str| std::env::var_os(name);
        let wants = |when, auto: bool| match when {
            When::Auto => is_stderr && auto,
            When::Always => true,
            When::Never => false,
        };
        let is_journal = || {
            let stream = fstat(&stderr).ok();
            stream.is_some_and(|stream| is_journal(env("JOURNAL_STREAM"), (stream.st_dev, stream.st_ino)))
        };
        Self {
            colour: log.format != LogFormat::Json && wants(log.color, is_colourful(stderr.is_terminal(), env)),
            priority: wants(log.priority, is_journal()),
        }
    }

    pub(super) fn is_plain(self) -> bool {
        self == Self::default()
    }

    /// What stands before a line.
    pub(super) fn before(self, level: Level) -> &'static str {
        match self.priority {
            true => priority(level),
            false => "",
        }
    }

    /// Appends a line of text as `tracing` writes it, its level coloured.
    pub(super) fn line(self, out: &mut String, level: Level, line: &str) {
        out.push_str(self.before(level));
        let parts = line.split_at_checked(TIME);
        let parts = parts.and_then(|(time, rest)| Some((time, rest.split_at_checked(LEVEL)?)));
        match parts.filter(|_| self.colour) {
            Some((time, (word, rest))) => {
                for part in [DIM, time, PLAIN, colour(level), word, PLAIN, rest] {
                    out.push_str(part);
                }
            }
            None => out.push_str(line),
        }
    }
}

/// Are colours wanted on a stream? Not where it is no terminal, nor where people say so (<https://no-color.org>).
pub fn is_colourful(is_terminal: bool, env: impl Fn(&str) -> Option<OsString>) -> bool {
    let refused =
        env("NO_COLOR").is_some_and(|value| !value.is_empty()) || env("TERM").is_some_and(|term| term == "dumb");
    is_terminal && !refused
}

/// Is a stream the one that systemd connected to the journal? `JOURNAL_STREAM` names it by device and inode
/// (systemd.exec(5)).
fn is_journal(named: Option<OsString>, (device, inode): (u64, u64)) -> bool {
    let named = named.and_then(|named| named.into_string().ok());
    let named = named.as_deref().and_then(|named| named.split_once(':'));
    named.is_some_and(|(dev, ino)| dev.parse() == Ok(device) && ino.parse() == Ok(inode))
}

/// As sd-daemon(3) has them: those of syslog.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        _ => "<7>",
    }
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => RED,
        Level::WARN => YELLOW,
        Level::INFO => GREEN,
        _ => CYAN,
    }
}

/// That of a status; 0 is a client that went.
pub(super) fn colour_of_status(status: u16) -> &'static str {
    match status {
        0..=199 => DIM,
        200..=299 => GREEN,
        300..=399 => CYAN,
        400..=499 => YELLOW,
        _ => RED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(set: &'static str, to: &'static str) -> impl Fn(&str) -> Option<OsString> {
        move |name| (name == set).then(|| OsString::from(to))
    }

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        assert!(is_colourful(true, env("TERM", "xterm")) && is_colourful(true, env("NO_COLOR", "")));
        assert!(!is_colourful(true, env("NO_COLOR", "1")) && !is_colourful(true, env("TERM", "dumb")));
        assert!(!is_colourful(false, env("TERM", "xterm")));
    }

    #[test]
    fn the_journal_is_known_by_device_and_inode() {
        let named = |text: &str| is_journal(Some(text.into()), (9, 4711));
        assert!(named("9:4711"));
        for other in ["9:4712", "8:4711", "", "9", "9:", "9:4711:", "x:4711"] {
            assert!(!named(other), "{other}");
        }
        assert!(!is_journal(None, (9, 4711)));
    }

    #[test]
    fn a_line_keeps_its_text() {
        let line = "2026-11-12T10:00:00.123Z  WARN janua: WARN\n";
        let written = |look: Look, line: &str| {
            let mut out = String::new();
            look.line(&mut out, Level::WARN, line);
            out
        };
        let (colour, priority) = (true, true);
        assert_eq!(written(Look::default(), line), line);
        let both = written(Look { colour, priority }, line);
        assert_eq!(
            both,
            "<4>\u{1b}[2m2026-11-12T10:00:00.123Z \u{1b}[0m\u{1b}[33m WARN\u{1b}[0m janua: WARN\n"
        );
        let priority_alone = Look {
            colour: false,
            priority,
        };
        assert_eq!(written(priority_alone, line), format!("<4>{line}"));
        assert_eq!(
            written(
                Look {
                    colour,
                    priority: false
                },
                "é\n"
            ),
            "é\n"
        );
    }
}
