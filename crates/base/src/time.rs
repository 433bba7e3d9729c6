//! Time that leases and expiries are measured by.
//!
//! A lease of 30 s must last 30 s even when somebody sets the machine's clock. So "now" is a wall-clock time read once,
//! plus the elapsed time of a monotonic clock since; the engine keeps it from going backwards across restarts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Milliseconds since the Unix epoch, by a [`Clock`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The latest time there is: 2^64 - 1 ms.
    pub const NEVER: Timestamp = Timestamp(u64::MAX);

    pub fn millis(self) -> u64 {
        self.0
    }

    /// Saturates at [`Timestamp::NEVER`].
    pub fn plus(self, duration: Duration) -> Timestamp {
        Timestamp(
            self.0
                .saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    /// Zero when `earlier` is not earlier.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Where "now" comes from. MUST never go backwards while one value of it is in use.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}

/// The machine's clock, read once, then counted on by elapsed time.
pub struct SystemClock {
    anchor: Timestamp,
    started: Instant,
}

impl SystemClock {
    /// A clock that starts at the machine's time, or at `at_least` if that is later.
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place where the wall clock is read"
    )]
    pub fn starting(at_least: Timestamp) -> SystemClock {
        let wall = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(Timestamp(0), |elapsed| Timestamp(0).plus(elapsed));
        SystemClock {
            anchor: wall.max(at_least),
            started: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        self.anchor.plus(self.started.elapsed())
    }
}

/// A clock that stands still until a test moves it.
#[derive(Clone, Default)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    pub fn at(now: Timestamp) -> ManualClock {
        ManualClock(Arc::new(AtomicU64::new(now.0)))
    }

    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(
            u64::try_from(by.as_millis()).unwrap_or(u64::MAX),
            Ordering::SeqCst,
        );
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_set_back_does_not_take_time_back() {
        let tomorrow = SystemClock::starting(Timestamp(0))
            .now()
            .plus(Duration::from_secs(86_400));
        assert!(SystemClock::starting(tomorrow).now() >= tomorrow);
    }

    #[test]
    fn sums_saturate() {
        assert_eq!(Timestamp::NEVER.plus(Duration::from_secs(1)), Timestamp::NEVER);
        assert_eq!(Timestamp(1).since(Timestamp(2)), Duration::ZERO);
    }
}
