//! What several types have in common.

use std::collections::BTreeSet;
use std::time::Duration;

use base::{Error, codes, limits};
use tonic::Status;

use crate::error::{missing, status};

/// In a second.
const NANOS: i128 = 1_000_000_000;

/// A time to live. A negative one, as comes of a deadline that has passed, is over at once.
pub(crate) fn ttl(ttl: Option<prost_types::Duration>) -> Result<Option<Duration>, Status> {
    let Some(ttl) = ttl else {
        return Ok(None);
    };
    // Not by its own conversion, which overflows at the least second there is.
    let nanos = i128::from(ttl.seconds) * NANOS + i128::from(ttl.nanos);
    let nanos = nanos.max(0);
    let seconds = u64::try_from(nanos / NANOS).unwrap_or(u64::MAX);
    let ttl = Duration::new(seconds, u32::try_from(nanos % NANOS).unwrap_or_default());
    if ttl > limits::TTL_MAX {
        let message = format!("a time to live of {} s is over the limit", ttl.as_secs());
        return Err(status(&Error::new(codes::TTL_INVALID, message)));
    }
    Ok(Some(ttl))
}

/// A size, in the bits that the wire has for it.
pub(crate) fn count(size: u64) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

/// What is to be locked: a key that is named twice is one.
pub(crate) fn locked_keys(keys: Vec<String>) -> Result<BTreeSet<String>, Status> {
    if keys.is_empty() {
        return Err(missing("a key"));
    }
    Ok(keys.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(seconds: i64, nanos: i32) -> Option<Duration> {
        ttl(Some(prost_types::Duration { seconds, nanos })).expect("a usable one")
    }

    #[test]
    fn none_is_not_zero() {
        assert_eq!(ttl(None).ok(), Some(None));
        assert_eq!(of(0, 0), Some(Duration::ZERO));
    }

    #[test]
    fn what_is_over_is_over_at_once() {
        assert_eq!(of(-3, 0), Some(Duration::ZERO));
        assert_eq!(of(1, 500_000_000), Some(Duration::from_millis(1_500)));
    }

    #[test]
    fn the_least_and_the_greatest_are_no_panic() {
        assert_eq!(of(i64::MIN, i32::MIN), Some(Duration::ZERO));
        let (seconds, nanos) = (i64::MAX, i32::MAX);
        assert!(ttl(Some(prost_types::Duration { seconds, nanos })).is_err());
    }
}
