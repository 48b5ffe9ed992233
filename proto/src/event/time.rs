//! Times of RFC 3339.

use std::time::Duration;

const DAY: u64 = 24 * 60 * 60;

/// Writes a time, given since 1970 in UTC, to the microsecond.
pub fn timestamp(since_epoch: Duration) -> String {
    let seconds = since_epoch.as_secs();
    let (year, month, day) = civil(seconds / DAY);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let micros = since_epoch.subsec_micros();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

/// Returns year, month and day of a day since 1970.
///
/// Years are counted from March, so that the day a leap year has more is the last of its year; 400 of them have always the
/// same 146097 days.
fn civil(days: u64) -> (u64, u64, u64) {
    // From the 1st of March of the year 0 to 1970.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    // Without the days that leap years have more: one in 4 years, but not in 100, but again in 400.
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Five months from March on have 153 days, whichever five.
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Returns whether a text is a time of RFC 3339, with its offset.
pub fn is_timestamp(text: &str) -> bool {
    parse(text.as_bytes()).is_some()
}

fn parse(text: &[u8]) -> Option<()> {
    let (date, rest) = text.split_at_checked(10)?;
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = *date else { return None };
    let year = two(y0, y1)? * 100 + two(y2, y3)?;
    let (month, day) = (two(m0, m1)?, two(d0, d1)?);
    if day == 0 || day > days_of(year, month)? {
        return None;
    }
    let (time, mut rest) = rest.split_at_checked(9)?;
    let [b'T' | b't', h0, h1, b':', n0, n1, b':', s0, s1] = *time else { return None };
    // A leap second has the number 60.
    if two(h0, h1)? > 23 || two(n0, n1)? > 59 || two(s0, s1)? > 60 {
        return None;
    }
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|it| it.is_ascii_digit()).count();
        rest = &fraction[digits..];
        if digits == 0 {
            return None;
        }
    }
    match *rest {
        [b'Z' | b'z'] => Some(()),
        [b'+' | b'-', h0, h1, b':', n0, n1] => (two(h0, h1)? <= 23 && two(n0, n1)? <= 59).then_some(()),
        _ => None,
    }
}

fn two(tens: u8, ones: u8) -> Option<u32> {
    let digit = |it: u8| char::from(it).to_digit(10);
    Some(digit(tens)? * 10 + digit(ones)?)
}

fn days_of(year: u32, month: u32) -> Option<u32> {
    let leap = year.is_multiple_of(if year.is_multiple_of(100) { 400 } else { 4 });
    match month {
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(28 + u32::from(leap)),
        1..=12 => Some(31),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_they_are() {
        // What `date -u -d @SECONDS` says.
        for (seconds, want) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_400, "2000-02-29T00:00:00"),
            (951_868_799, "2000-02-29T23:59:59"),
            (1_709_251_199, "2024-02-29T23:59:59"),
            (1_735_689_599, "2024-12-31T23:59:59"),
            (4_107_542_400, "2100-03-01T00:00:00"),
        ] {
            let text = timestamp(Duration::new(seconds, 42_000));
            assert_eq!(text, format!("{want}.000042Z"));
            assert!(is_timestamp(&text));
        }
    }

    #[test]
    fn times_are_known() {
        for text in [
            "2026-01-31T12:00:00Z",
            "2026-01-31t12:00:60.123456789z",
            "2000-02-29T00:00:00+00:00",
            "0001-12-31T23:59:59.5-23:59",
        ] {
            assert!(is_timestamp(text), "{text}");
        }
        for text in [
            "",
            "now",
            "2026-01-31",
            "2026-01-31T12:00:00",
            "2026-01-31 12:00:00Z",
            "2026-13-01T12:00:00Z",
            "2026-02-29T12:00:00Z",
            "2100-02-29T12:00:00Z",
            "2026-01-00T12:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T12:00:00.Z",
            "2026-01-31T12:00:00+1:00",
            "2026-01-31T12:00:00Zx",
            "é026-01-31T12:00:00Z",
        ] {
            assert!(!is_timestamp(text), "{text}");
        }
    }
}
