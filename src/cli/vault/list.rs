//! What is in the vault, for people and for scripts. Never a token: none comes this far.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::moodle::vault::Shown;
use crate::observe::timestamp::write_rfc3339;
use crate::text::safe;

/// Columns with a heading, and a line that counts.
pub(super) fn table(entries: &[Shown], now: SystemTime) -> String {
    let heading = ["USER", "SERVICE", "MOODLE", "VALID UNTIL", "STATE"].map(str::to_owned);
    let rows = entries.iter().map(|entry| {
        let state = if is_expired(entry, now) { "expired" } else { "good" };
        let until = entry.valid_until.map_or_else(|| "-".to_owned(), utc);
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
    let mut text: String = match entries.is_empty() {
        true => String::new(),
        false => rows.iter().map(line).collect(),
    };
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

pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn is_expired(entry: &Shown, now: SystemTime) -> bool {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    entry.valid_until.is_some_and(|until| until <= now)
}

fn utc(seconds: u64) -> String {
    let mut text = String::new();
    let time = UNIX_EPOCH
        .checked_add(Duration::from_secs(seconds))
        .unwrap_or(UNIX_EPOCH);
    // Writing into a String cannot fail.
    write_rfc3339(&mut text, time).ok();
    let seconds = text.split('.').next().unwrap_or_default().replace('T', " ");
    format!("{seconds} UTC")
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
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
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
