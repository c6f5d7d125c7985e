//! Moments and lengths of time: as numbers, as the log writes them, and as people write and read them.

use std::fmt::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Whole seconds since 1970; none for what was before.
pub fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The same in milliseconds.
pub fn unix_millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The moment so many seconds after the beginning of 1970; that beginning itself for more than a clock counts.
pub fn from_unix(seconds: u64) -> SystemTime {
    UNIX_EPOCH
        .checked_add(Duration::from_secs(seconds))
        .unwrap_or(UNIX_EPOCH)
}

/// The last second of the year 9999: there are four digits for a year.
const LAST_SECOND: u64 = 253_402_300_799;

/// Appends `2026-11-12T10:00:00.123Z`. Times before 1970 are written as its first moment, those after 9999 as its last
/// second. Digit by digit, since every line of the log begins with it and the formatting machinery takes ten times as
/// long.
pub fn write_rfc3339(out: &mut impl Write, time: SystemTime) -> fmt::Result {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs().min(LAST_SECOND);
    let (year, month, day) = civil(seconds / 86_400);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    for (place, value) in [
        (0..4, year),
        (5..7, month),
        (8..10, day),
        (11..13, seconds / 3600 % 24),
        (14..16, seconds / 60 % 60),
        (17..19, seconds % 60),
        (20..23, u64::from(since.subsec_millis())),
    ] {
        put(text.get_mut(place).unwrap_or_default(), value);
    }
    out.write_str(std::str::from_utf8(&text).unwrap_or_default())
}

/// Writes as many digits of `value` as there are places.
fn put(places: &mut [u8], mut value: u64) {
    for place in places.iter_mut().rev() {
        *place = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar.
///
/// Years are counted from March, so that the leap day is a year's last and each month's first day follows from one
/// straight line; an era is 400 years, after which the calendar repeats.
fn civil(day: u64) -> (u64, u64, u64) {
    const DAYS_TO_0000_03_01: u64 = 719_468;
    const DAYS_PER_ERA: u64 = 146_097;
    let day = day + DAYS_TO_0000_03_01;
    let (era, day) = (day / DAYS_PER_ERA, day % DAYS_PER_ERA);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

/// As [`write_rfc3339`] writes it.
pub fn rfc3339(time: SystemTime) -> String {
    let mut text = String::with_capacity(24);
    // Writing to a String does not fail.
    write_rfc3339(&mut text, time).unwrap_or_default();
    text
}

/// `2026-11-12 10:00:00 UTC`
pub fn utc(time: SystemTime) -> String {
    let text = rfc3339(time).replace('T', " ");
    format!("{} UTC", text.split('.').next().unwrap_or_default())
}

/// How far `time` is from `now`: `3 min ago`, `in 2 h 5 min`, `now`.
pub fn relative(time: SystemTime, now: SystemTime) -> String {
    let words = |span: Duration| match span.as_secs() / 60 {
        minutes @ 120..2880 => format!("{} h {} min", minutes / 60, minutes % 60),
        _ => in_one_unit(span, ["s", "min", "h", "days"]),
    };
    match time.duration_since(now) {
        Ok(ahead) if ahead.as_secs() > 0 => format!("in {}", words(ahead)),
        Err(behind) if behind.duration().as_secs() > 0 => format!("{} ago", words(behind.duration())),
        _ => "now".to_owned(),
    }
}

/// A length of time in its largest unit, of two at least, rounded down: `119 s`, `2 min`. `units` are the words for seconds,
/// minutes, hours and days.
pub fn in_one_unit(span: Duration, units: [&str; 4]) -> String {
    let [second, minute, hour, day] = units;
    let (length, unit) = match span.as_secs() {
        0..120 => (1, second),
        120..7200 => (60, minute),
        7200..172_800 => (3600, hour),
        _ => (86_400, day),
    };
    format!("{} {unit}", span.as_secs() / length)
}

/// `2026-11-21T00:58:12Z` (RFC 3339, offsets too), or as far from `now` as `+5m`, `-1h`, `+90s`, `-2d` say.
///
/// Errors: what to write instead.
pub fn parse(text: &str, now: SystemTime) -> Result<SystemTime, &'static str> {
    let absolute = || text.parse::<jiff::Timestamp>().ok().map(SystemTime::from);
    let time = match text.split_at_checked(1) {
        Some(("+", ahead)) => short_span(ahead).and_then(|span| now.checked_add(span)),
        Some(("-", behind)) => short_span(behind).and_then(|span| now.checked_sub(span)),
        _ => absolute().filter(|time| *time >= UNIX_EPOCH),
    };
    time.ok_or("write 2026-11-21T00:58:12Z, or +5m, -1h, +90s, -2d from now")
}

fn short_span(text: &str) -> Option<Duration> {
    let (number, unit) = number_and_unit(text)?;
    u32::try_from(number).ok().and_then(|number| unit.checked_mul(number))
}

/// A whole number and the unit behind it, one of `s`, `m`, `h`, `d`.
pub fn number_and_unit(text: &str) -> Option<(u64, Duration)> {
    let (number, unit) = text.split_at(text.find(|letter: char| !letter.is_ascii_digit())?);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    Some((number.parse().ok()?, Duration::from_secs(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(milliseconds: u64) -> String {
        let mut text = String::new();
        write_rfc3339(&mut text, UNIX_EPOCH + Duration::from_millis(milliseconds)).unwrap();
        text
    }

    #[test]
    fn known_moments() {
        assert_eq!(written(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(written(951_827_696_789), "2000-02-29T12:34:56.789Z");
        assert_eq!(written(1_794_477_600_123), "2026-11-12T10:00:00.123Z");
        assert_eq!(written(4_107_542_399_999), "2100-02-28T23:59:59.999Z");
        assert_eq!(written(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
        assert_eq!(written(253_402_300_800_000), "9999-12-31T23:59:59.000Z");
    }

    #[test]
    fn distances_are_told_in_words() {
        let words = |seconds: u64| relative(from_unix(seconds), from_unix(1_000_000));
        assert_eq!(words(1_000_000), "now");
        assert_eq!(words(999_999), "1 s ago");
        assert_eq!(words(1_000_200), "in 3 min");
        assert_eq!(words(1_000_000 - 7260), "2 h 1 min ago");
        assert_eq!(words(1_000_000 + 3 * 86_400), "in 3 days");
        assert_eq!(utc(from_unix(951_827_696)), "2000-02-29 12:34:56 UTC");
    }

    #[test]
    fn people_write_times() {
        let now = from_unix(1_000_000);
        let read = |text: &str| parse(text, now).map(unix_seconds).ok();
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
        /// The HTTP date of the same second names the same day and time.
        #[test]
        fn it_agrees_with_the_http_date(seconds in 0_u64..253_402_300_800) {
            let http = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
            let ours = written(seconds * 1000);
            prop_assert_eq!(&ours[8..10], &http[5..7]);
            prop_assert_eq!(&ours[..4], &http[12..16]);
            prop_assert_eq!(&ours[11..19], &http[17..25]);
            let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
            let month: usize = ours[5..7].parse().unwrap();
            prop_assert_eq!(months[month - 1], &http[8..11]);
        }

        #[test]
        fn what_is_written_is_read_again(seconds in 0_u64..253_402_300_800) {
            let utc = utc(from_unix(seconds));
            let written = utc.replace(" UTC", "Z");
            prop_assert_eq!(parse(&written, from_unix(0)), Ok(from_unix(seconds)));
        }
    }
}
