//! Times as the log writes them: RFC 3339, UTC, milliseconds.

use std::fmt::{self, Write};
use std::time::{Duration, SystemTime};

/// The last second of the year 9999: there are four digits for a year.
const LAST_SECOND: u64 = 253_402_300_799;

/// Appends `2026-11-12T10:00:00.123Z`. Times before 1970 are written as its first moment, those after 9999 as its last
/// second. Digit by digit, since every line of the log begins with it and the formatting machinery takes ten times as
/// long.
pub fn write_rfc3339(out: &mut impl Write, time: SystemTime) -> fmt::Result {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(milliseconds: u64) -> String {
        let mut text = String::new();
        write_rfc3339(&mut text, SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds)).unwrap();
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

    proptest! {
        /// The HTTP date of the same second names the same day and time.
        #[test]
        fn it_agrees_with_the_http_date(seconds in 0_u64..253_402_300_800) {
            let http = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
            let ours = written(seconds * 1000);
            prop_assert_eq!(&ours[8..10], &http[5..7]);
            prop_assert_eq!(&ours[..4], &http[12..16]);
            prop_assert_eq!(&ours[11..19], &http[17..25]);
            let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
            let month: usize = ours[5..7].parse().unwrap();
            prop_assert_eq!(months[month - 1], &http[8..11]);
        }
    }
}
