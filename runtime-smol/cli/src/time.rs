//! Times and durations as people write them. Times are shown in UTC, and those without an offset are taken for it.
#![expect(clippy::arithmetic_side_effects, reason = "all is bounded: years to four digits, counts to their units")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rocketmq_core::time::UnixMillis;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// The first moment that has more than four digits for its year.
const END: i64 = 253_402_300_800_000;

/// A time that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// This one.
    At(UnixMillis),
    /// So long ago.
    Ago(Duration),
}

impl When {
    pub(crate) fn unix(self) -> UnixMillis {
        match self {
            Self::At(time) => time,
            Self::Ago(ago) => {
                UnixMillis(now().0.saturating_sub(i64::try_from(ago.as_millis()).unwrap_or(i64::MAX)).max(0))
            }
        }
    }
}

/// The time by the system's clock.
pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// `2026-01-31T23:59:59.123Z`.
pub(crate) fn show(time: UnixMillis) -> String {
    if !(0..END).contains(&time.0) {
        return time.0.to_string();
    }
    let (days, rest) = (time.0 / DAY, time.0 % DAY);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / HOUR, rest % HOUR / MINUTE, rest % MINUTE / SECOND);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", rest % SECOND)
}

/// `now`, milliseconds since 1970, how long ago (`10m`), `2026-01-31`, `2026-01-31T23:59:59.123+01:00`, or the
/// `2026-01-31#23:59:59:123` of `mqadmin`.
pub(crate) fn when(text: &str) -> Result<When, String> {
    if matches!(text, "now" | "currentTimeMillis") {
        return Ok(When::Ago(Duration::ZERO));
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(|millis| When::At(UnixMillis(millis))).map_err(|_| wrong(text));
    }
    if let Ok(ago) = duration(text.trim_start_matches('-')) {
        return Ok(When::Ago(ago));
    }
    date(text).map(|millis| When::At(UnixMillis(millis))).ok_or_else(|| wrong(text))
}

fn wrong(text: &str) -> String {
    format!("'{text}' is no time: give 2026-01-31T23:59:59Z, milliseconds since 1970, how long ago as 10m, or now")
}

/// `500ms`, `10s`, `5m`, `2h`, `3d`, or seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|unit: char| !unit.is_ascii_digit()).unwrap_or(text.len());
    let (count, unit) = text.split_at(digits);
    let millis: u64 = match unit {
        "ms" => 1,
        "s" | "" => SECOND.unsigned_abs(),
        "m" => MINUTE.unsigned_abs(),
        "h" => HOUR.unsigned_abs(),
        "d" => DAY.unsigned_abs(),
        _ => return Err(format!("'{text}' is no duration: give 500ms, 10s, 5m, 2h or 3d")),
    };
    let count: u64 = count.parse().map_err(|_| format!("'{text}' is no duration: give 500ms, 10s, 5m, 2h or 3d"))?;
    count.checked_mul(millis).map(Duration::from_millis).ok_or_else(|| format!("'{text}' is too long"))
}

fn date(text: &str) -> Option<i64> {
    let (day, rest) = match text.split_once(['T', ' ', '#']) {
        Some((day, rest)) => (day, Some(rest)),
        None => (text, None),
    };
    let mut parts = day.split('-');
    let (year, month, day) = (number(parts.next()?, 4)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    if parts.next().is_some() || !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || day < 1 {
        return None;
    }
    let days = days(year, month, day);
    if civil(days) != (year, month, day) {
        return None;
    }
    let millis = days * DAY;
    let Some(rest) = rest else { return Some(millis) };
    let (clock, offset) = match rest.find(['Z', '+', '-']) {
        Some(at) => rest.split_at(at),
        None => (rest, "Z"),
    };
    Some(millis + time_of_day(clock)? - offset_of(offset)?)
}

/// `23:59`, `23:59:59`, with milliseconds after `.` or `:`.
fn time_of_day(text: &str) -> Option<i64> {
    let mut parts = text.split([':', '.']);
    let (hour, minute) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let second = parts.next().map_or(Some(0), |part| number(part, 2))?;
    let milli = parts.next().map_or(Some(0), |part| number(part, 3))?;
    let within = parts.next().is_none() && hour < 24 && minute < 60 && second < 60;
    within.then_some(hour * HOUR + minute * MINUTE + second * SECOND + milli)
}

/// `Z`, `+01:00`.
fn offset_of(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * HOUR + minutes * MINUTE))
}

fn number(text: &str, digits: usize) -> Option<i64> {
    let plain = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// Days since 1970 of a date of the Gregorian calendar, whose years begin in March here.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date of a day since 1970.
const fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400;
    (if month <= 2 { year + 1 } else { year }, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_shown() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (4_107_542_399_123, "2100-02-28T23:59:59.123Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(show(UnixMillis(millis)), text);
            assert_eq!(when(text), Ok(When::At(UnixMillis(millis))));
        }
        let at = |millis| Ok(When::At(UnixMillis(millis)));
        assert_eq!(when("1970-01-02"), at(86_400_000));
        assert_eq!(when("1970-01-02#01:00:00:005"), at(90_000_005));
        assert_eq!(when("1970-01-02T02:00+01:00"), at(90_000_000));
        assert_eq!(when("1970-01-02 00:00-01:00"), at(90_000_000));
        assert_eq!(when("1700000000000"), at(1_700_000_000_000));
        assert_eq!(when("now"), Ok(When::Ago(Duration::ZERO)));
        assert_eq!(when("-10m"), Ok(When::Ago(Duration::from_secs(600))));
        assert_eq!(when("10m"), Ok(When::Ago(Duration::from_secs(600))));
        for text in ["", "x", "2024-02-30", "2023-02-29", "1970-13-01", "1970-01-02T25:00", "1970-01-02T1:00", "5y"] {
            assert!(when(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("1500ms"), Ok(Duration::from_millis(1_500)));
        assert_eq!(duration("10"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7_200)));
        for text in ["", "s", "1.5s", "-1s", "1w", "99999999999999999999s", "18446744073709551615d"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
