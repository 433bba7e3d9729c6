//! Times and durations in texts. All in milliseconds.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// RFC 3339, or a date with or without a time, in UTC then.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.as_millisecond());
    }
    let civil: DateTime = text.parse().ok()?;
    millis_of_civil(civil)
}

/// `2026-11-21T21:37:29.510Z`; `None`: no calendar has it.
pub(crate) fn rfc3339(millis: i64) -> Option<String> {
    let time = Timestamp::from_millisecond(millis).ok()?;
    Some(format!("{time:.3}"))
}

fn civil(millis: i64) -> Option<DateTime> {
    Some(TimeZone::UTC.to_datetime(Timestamp::from_millisecond(millis).ok()?))
}

fn millis_of_civil(civil: DateTime) -> Option<i64> {
    Some(TimeZone::UTC.to_timestamp(civil).ok()?.as_millisecond())
}

/// The beginning of that unit.
pub(crate) fn truncated(unit: &str, millis: i64) -> Option<i64> {
    let date = civil(millis)?.date();
    let begins = |date: Date| millis_of_civil(date.at(0, 0, 0, 0));
    let down_to = |unit: i64| Some(millis.div_euclid(unit) * unit);
    match unit.to_lowercase().as_str() {
        "year" => begins(date.first_of_year()),
        "quarter" => {
            let months = i32::from(date.month() - 1) % 3;
            begins(date.first_of_month().checked_sub(months.months()).ok()?)
        }
        "month" => begins(date.first_of_month()),
        "week" => {
            let days = i32::from(date.weekday().to_monday_zero_offset());
            begins(date.checked_sub(days.days()).ok()?)
        }
        "day" => begins(date),
        "hour" => down_to(3_600_000),
        "minute" => down_to(60_000),
        "second" => down_to(1_000),
        "millisecond" | "milliseconds" | "microsecond" => Some(millis),
        _ => None,
    }
}

/// That part of a time.
pub(crate) fn part_of(unit: &str, millis: i64) -> Option<i64> {
    let civil = civil(millis)?;
    Some(match unit.to_lowercase().as_str() {
        "year" => civil.year().into(),
        "month" => civil.month().into(),
        "week" => civil.iso_week_date().week().into(),
        "day" => civil.day().into(),
        "doy" => civil.day_of_year().into(),
        "dow" => civil.weekday().to_sunday_zero_offset().into(),
        "hour" => civil.hour().into(),
        "minute" => civil.minute().into(),
        "second" => civil.second().into(),
        "millisecond" | "milliseconds" => millis.rem_euclid(60_000),
        "epoch" => millis.div_euclid(1_000),
        _ => return None,
    })
}

/// `1 hour 30 minutes`; `unit` holds for a number that has none. Months have 30 days, years 365.
pub(super) fn parse_interval(text: &str, unit: Option<&str>) -> Option<i64> {
    let mut total = 0.0;
    let mut words = text.split_whitespace().peekable();
    words.peek()?;
    while let Some(word) = words.next() {
        let letters = word.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(word.len());
        let (digits, attached) = word.split_at(letters);
        let unit = match attached {
            "" => words.next().or(unit)?,
            attached => attached,
        };
        total += digits.parse::<f64>().ok()? * millis_of(unit)?;
    }
    // Far below what would not fit.
    (total.abs() < 1e17).then_some(total as i64)
}

fn millis_of(unit: &str) -> Option<f64> {
    let unit = unit.to_lowercase();
    Some(
        match unit.strip_suffix('s').filter(|_| unit.len() > 2).unwrap_or(&unit) {
            "millisecond" | "ms" | "milli" => 1.0,
            "second" | "s" | "sec" => 1e3,
            "minute" | "m" | "min" => 6e4,
            "hour" | "h" => 3.6e6,
            "day" | "d" => 8.64e7,
            "week" | "w" => 7.0 * 8.64e7,
            "month" => 30.0 * 8.64e7,
            "year" => 365.0 * 8.64e7,
            _ => return None,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        let millis = Some(1_795_384_649_510);
        assert_eq!(parse_time("2026-11-22T21:57:29.510Z"), millis);
        assert_eq!(parse_time("2026-11-22 21:57:29.51"), millis);
        assert_eq!(parse_time("2026-11-22T22:57:29.510+01:00"), millis);
        assert_eq!(parse_time("2026-11-22"), Some(1_795_305_600_000));
        assert_eq!(parse_time("soon"), None);
        assert_eq!(
            rfc3339(1_795_384_649_510).as_deref(),
            Some("2026-11-22T21:57:29.510Z")
        );
        assert_eq!(rfc3339(i64::MAX), None);
    }

    #[test]
    fn times_are_cut_off_and_taken_apart() {
        let cut = |unit| {
            truncated(unit, 1_795_384_649_510)
                .and_then(rfc3339)
                .unwrap_or_default()
        };
        assert_eq!(cut("hour"), "2026-11-22T21:00:00.000Z");
        assert_eq!(cut("day"), "2026-11-22T00:00:00.000Z");
        assert_eq!(cut("week"), "2026-11-16T00:00:00.000Z");
        assert_eq!(cut("quarter"), "2026-10-01T00:00:00.000Z");
        assert_eq!(cut("fortnight"), "");
        assert_eq!(part_of("hour", 1_795_384_649_510), Some(21));
        assert_eq!(part_of("epoch", 1_795_384_649_510), Some(1_795_384_649));
        assert_eq!(part_of("fortnight", 0), None);
    }

    #[test]
    fn intervals() {
        assert_eq!(parse_interval("1 hour 30 minutes", None), Some(5_400_000));
        assert_eq!(parse_interval("5", Some("MINUTE")), Some(300_000));
        assert_eq!(parse_interval("-1.5s", None), Some(-1_500));
        assert_eq!(parse_interval("5", None), None);
        assert_eq!(parse_interval("", None), None);
        assert_eq!(parse_interval("many days", None), None);
    }
}
