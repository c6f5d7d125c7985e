//! What is in the vault, for people and for scripts. Never a token: none comes this far.

use std::time::SystemTime;

use serde_json::json;

use crate::moodle::vault::Shown;
use crate::text::{count, safe};
use crate::time::{from_unix, unix_seconds, utc};

/// Columns with a heading, and a line that counts.
pub(super) fn table(entries: &[Shown], now: SystemTime) -> String {
    let heading = ["USER", "SERVICE", "MOODLE", "VALID UNTIL", "STATE"].map(str::to_owned);
    let rows = entries.iter().map(|entry| {
        let state = if is_expired(entry, now) { "expired" } else { "good" };
        let until = entry
            .valid_until
            .map_or_else(|| "-".to_owned(), |until| utc(from_unix(until)));
        // Names come from files and stores, and must not steer a terminal.
        let [user, service, moodle] =
            [&entry.username, &entry.service, &entry.moodle].map(|name| safe(name).into_owned());
        [user, service, moodle, until, state.to_owned()]
    });
    let rows: Vec<_> = std::iter::once(heading).chain(rows).collect();
    let mut widths = [0; 5];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    let shown = if entries.is_empty() { &[] } else { rows.as_slice() };
    let mut text: String = shown.iter().map(line).collect();
    let expired = entries.iter().filter(|entry| is_expired(entry, now)).count();
    text += &format!("{}, {expired} expired\n", count(entries.len(), "token"));
    text
}

pub(super) fn json(entries: &[Shown], now: SystemTime) -> String {
    let entry = |entry: &Shown| {
        json!({
            "moodle": entry.moodle, "username": entry.username, "service": entry.service,
            "valid_until": entry.valid_until, "expired": is_expired(entry, now),
        })
    };
    let array: Vec<_> = entries.iter().map(entry).collect();
    format!("{:#}\n", serde_json::Value::from(array))
}

fn is_expired(entry: &Shown, now: SystemTime) -> bool {
    entry.valid_until.is_some_and(|until| until <= unix_seconds(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(username: &str, valid_until: Option<u64>) -> Shown {
        Shown {
            moodle: "campus".to_owned(),
            username: username.to_owned(),
            service: "app".to_owned(),
            valid_until,
        }
    }

    #[test]
    fn columns_stand_below_their_headings() {
        let now = from_unix(1_000_000);
        let entries = [shown("alice", None), shown("bob-the-builder", Some(999_999))];
        let expected = "\
USER             SERVICE  MOODLE  VALID UNTIL              STATE
alice            app      campus  -                        good
bob-the-builder  app      campus  1970-01-12 13:46:39 UTC  expired
2 tokens, 1 expired
";
        assert_eq!(table(&entries, now), expected);
        assert_eq!(table(&[], now), "0 tokens, 0 expired\n");
        assert!(table(&[shown("a\u{1b}[2J\u{202e}", None)], now).contains("a\\u001b[2J\\u202e  app"));
        let told: serde_json::Value = serde_json::from_str(&json(&entries, now)).unwrap();
        assert_eq!(told[1]["expired"], true);
        assert_eq!(told[0]["valid_until"], serde_json::Value::Null);
    }
}
