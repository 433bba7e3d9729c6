//! Durations as people write them.

use jiff::{Span, SpanRelativeTo, Unit};

/// Milliseconds of `1d`, `2h 30m`, `100ms`, `P1D` or `PT2S`; a day has 24 hours. The error is what people are told.
pub(crate) fn millis(text: &str) -> Result<u64, String> {
    let bad = || format!("'{text}' is no duration: write 100ms, 2h, 1d or PT2S");
    let span: Span = text.trim().parse().map_err(|_| bad())?;
    let duration = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| bad())?;
    u64::try_from(duration.as_millis()).map_err(|_| bad())
}

/// The shortest text for it.
pub(crate) fn text(millis: u64) -> String {
    let span = i64::try_from(millis)
        .ok()
        .and_then(|millis| Span::new().try_milliseconds(millis).ok());
    let largest = jiff::SpanRound::new().largest(Unit::Day).days_are_24_hours();
    match span.and_then(|span| span.round(largest).ok()) {
        Some(span) => format!("{span:#}"),
        None => format!("{millis}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        let day = 86_400_000;
        for (text, millis) in [
            ("1d", day),
            ("P1D", day),
            ("2h", 7_200_000),
            ("100ms", 100),
            ("PT2S", 2_000),
            ("0s", 0),
        ] {
            assert_eq!(super::millis(text), Ok(millis), "{text}");
        }
        for text in ["", "soon", "-2s", "1 month", "9999999999999999999d"] {
            assert!(millis(text).is_err(), "{text}");
        }
        for (millis, shown) in [
            (day, "1d"),
            (60_000, "1m"),
            (600_000, "10m"),
            (500, "500ms"),
            (0, "0s"),
            (90_000, "1m 30s"),
        ] {
            assert_eq!(text(millis), shown);
        }
    }
}
