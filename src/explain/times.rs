//! Times for people: how far away they are, and in UTC; and the times that people write.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Moment;
use crate::observe::timestamp::write_rfc3339;

/// A moment as seen from `now`.
pub(super) fn moment(time: SystemTime, now: SystemTime) -> Moment {
    let mut utc = String::new();
    // Writing into a String cannot fail.
    write_rfc3339(&mut utc, time).ok();
    let seconds = utc.split('.').next().unwrap_or_default().replace('T', " ");
    let words = match time.duration_since(now) {
        Ok(ahead) if ahead.as_secs() == 0 => "now".to_owned(),
        Ok(ahead) => format!("in {}", distance(ahead)),
        Err(behind) if behind.duration().as_secs() == 0 => "now".to_owned(),
        Err(behind) => format!("{} ago", distance(behind.duration())),
    };
    Moment {
        unix: time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        utc: format!("{seconds} UTC"),
        words,
    }
}

/// One unit, rounded down; two where the larger one is too coarse.
fn distance(span: Duration) -> String {
    let seconds = span.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{minutes} min"),
        7200..172_800 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} days"),
    }
}

/// `2026-11-21T00:58:12Z` (RFC 3339, offsets too), or as far from `now` as `+5m`, `-1h`, `+90s`, `-2d` say.
///
/// Errors: what to write instead.
pub fn parse(text: &str, now: SystemTime) -> Result<SystemTime, &'static str> {
    const HELP: &str = "write 2026-11-21T00:58:12Z, or +5m, -1h, +90s, -2d from now";
    if let Some(ahead) = text.strip_prefix('+') {
        return span(ahead).and_then(|span| now.checked_add(span)).ok_or(HELP);
    }
    if let Some(behind) = text.strip_prefix('-') {
        return span(behind).and_then(|span| now.checked_sub(span)).ok_or(HELP);
    }
    absolute(text).ok_or(HELP)
}

fn span(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    number
        .parse::<u32>()
        .ok()
        .map(|number| Duration::from_secs(u64::from(number) * seconds))
}

/// TOML's date-times are those of RFC 3339; one without an offset names no moment.
fn absolute(text: &str) -> Option<SystemTime> {
    let written: toml::value::Datetime = text.parse().ok()?;
    let (date, time, offset) = (written.date?, written.time?, written.offset?);
    let east = match offset {
        toml::value::Offset::Z => 0,
        toml::value::Offset::Custom { minutes } => i64::from(minutes),
    };
    let days = days(i64::from(date.year), i64::from(date.month), i64::from(date.day));
    let second = i64::from(time.second.unwrap_or(0));
    let of_day = (i64::from(time.hour) * 60 + i64::from(time.minute) - east) * 60 + second;
    let since = u64::try_from(days * 86_400 + of_day).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(since))
}

/// Days from 1970-01-01 to a day of the Gregorian calendar. Years are counted from March, so that the leap day is the
/// last of its year.
fn days(year: i64, month: i64, day: i64) -> i64 {
    const TO_1970: i64 = 719_468;
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - TO_1970
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn distances_are_told_in_words() {
        let words = |seconds: u64| moment(at(seconds), at(1_000_000)).words;
        assert_eq!(words(1_000_000), "now");
        assert_eq!(words(999_999), "1 s ago");
        assert_eq!(words(1_000_200), "in 3 min");
        assert_eq!(words(1_000_000 - 7260), "2 h 1 min ago");
        assert_eq!(words(1_000_000 + 3 * 86_400), "in 3 days");
        assert_eq!(moment(at(951_827_696), at(0)).utc, "2000-02-29 12:34:56 UTC");
    }

    #[test]
    fn people_write_times() {
        let now = at(1_000_000);
        let read = |text: &str| parse(text, now).map(|time| moment(time, now).unix).ok();
        assert_eq!(read("+5m"), Some(1_000_300));
        assert_eq!(read("-1h"), Some(996_400));
        assert_eq!(read("2000-02-29T12:34:56Z"), Some(951_827_696));
        assert_eq!(read("2000-02-29 14:34:56+02:00"), Some(951_827_696));
        for odd in [
            "",
            "+",
            "5m",
            "+5",
            "+m",
            "-1y",
            "+é",
            "2000-02-29",
            "2000-02-29T12:34:56",
            "+99999999999h",
        ] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(seconds in 0_u64..253_402_300_800) {
            let utc = moment(at(seconds), at(0)).utc;
            let written = utc.replace(" UTC", "Z");
            prop_assert_eq!(parse(&written, at(0)), Ok(at(seconds)));
        }
    }
}
