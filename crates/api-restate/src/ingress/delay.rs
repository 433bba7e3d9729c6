//! Durations in queries, and times in answers.

use jiff::Timestamp;

use crate::span;

/// The delay that a query asks for, milliseconds. The error is what clients are told.
pub(crate) fn of_query(query: &str) -> Result<Option<u64>, String> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("delay="));
    let Some(value) = value else {
        return Ok(None);
    };
    let text = percent_encoding::percent_decode_str(&value.replace('+', " "))
        .decode_utf8_lossy()
        .into_owned();
    let bad = |_| format!("bad delay query parameter, must be a ISO8601 duration: {text}");
    span::millis(&text).map(Some).map_err(bad)
}

/// A time in milliseconds since the Unix epoch, with nanoseconds as the reference prints it.
pub(crate) fn rfc3339(millis: u64) -> String {
    let time = i64::try_from(millis)
        .ok()
        .and_then(|millis| Timestamp::from_millisecond(millis).ok());
    time.map(|time| format!("{time:.9}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays() {
        assert_eq!(of_query(""), Ok(None));
        assert_eq!(of_query("other=1"), Ok(None));
        assert_eq!(of_query("delay=PT2S"), Ok(Some(2_000)));
        assert_eq!(of_query("delay=P1D"), Ok(Some(86_400_000)));
        assert_eq!(of_query("x=1&delay=60ms"), Ok(Some(60)));
        assert_eq!(of_query("delay=60%20sec"), Ok(Some(60_000)));
        assert!(of_query("delay=soon").is_err());
        assert!(of_query("delay=-2s").is_err());
    }

    #[test]
    fn times() {
        assert_eq!(rfc3339(1_700_000_000_123), "2023-11-14T22:13:20.123000000Z");
    }
}
