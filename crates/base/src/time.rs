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

/// What a machine knows of time.
pub trait Machine: Send + Sync {
    /// As people and other machines set it: it jumps, in both directions.
    fn wall(&self) -> Timestamp;
    /// Since some moment, the same for all calls. Nobody sets it.
    fn elapsed(&self) -> Duration;
}

/// A machine's clock, read once, then counted on by elapsed time.
pub struct SystemClock<M = ThisMachine> {
    machine: M,
    anchor: Timestamp,
    /// Of the machine's elapsed time, when the clock was read.
    started: Duration,
}

/// The one that this process runs on.
pub struct ThisMachine(Instant);

impl SystemClock {
    /// A clock that starts at the machine's time, or at `at_least` if that is later.
    pub fn starting(at_least: Timestamp) -> SystemClock {
        SystemClock::on(ThisMachine(Instant::now()), at_least)
    }
}

impl<M: Machine> SystemClock<M> {
    /// The same, on another machine: one that a test has made.
    pub fn on(machine: M, at_least: Timestamp) -> SystemClock<M> {
        let (wall, started) = (machine.wall(), machine.elapsed());
        SystemClock {
            machine,
            anchor: wall.max(at_least),
            started,
        }
    }
}

impl<M: Machine> Clock for SystemClock<M> {
    fn now(&self) -> Timestamp {
        self.anchor
            .plus(self.machine.elapsed().saturating_sub(self.started))
    }
}

impl Machine for ThisMachine {
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place where the wall clock is read"
    )]
    fn wall(&self) -> Timestamp {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(Timestamp(0), |elapsed| Timestamp(0).plus(elapsed))
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
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

/// A machine of which a test sets the wall clock, and lets time pass.
#[derive(Clone, Default)]
pub struct ManualMachine {
    wall: ManualClock,
    elapsed: ManualClock,
}

impl ManualMachine {
    /// Its wall clock shows this.
    pub fn at(wall: Timestamp) -> ManualMachine {
        let machine = ManualMachine::default();
        machine.set_wall(wall);
        machine
    }

    /// Somebody sets the wall clock: no time passes.
    pub fn set_wall(&self, to: Timestamp) {
        self.wall.0.store(to.0, Ordering::SeqCst);
    }

    /// Time passes, by both of its clocks.
    pub fn pass(&self, time: Duration) {
        self.wall.advance(time);
        self.elapsed.advance(time);
    }
}

impl Machine for ManualMachine {
    fn wall(&self) -> Timestamp {
        self.wall.now()
    }

    fn elapsed(&self) -> Duration {
        self.elapsed.now().since(Timestamp(0))
    }
}

/// What a `grpc-timeout` header says: one to eight digits and a unit.
pub fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let count: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    Some(match unit {
        "H" => Duration::from_secs(count * 60 * 60),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
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

    const HOUR: Duration = Duration::from_secs(3_600);
    const NOON: Timestamp = Timestamp(43_200_000);

    #[test]
    fn a_jump_of_the_wall_clock_is_no_time() {
        for jumped in [NOON.plus(HOUR), Timestamp(NOON.0 - 3_600_000)] {
            let machine = ManualMachine::at(NOON);
            let clock = SystemClock::on(machine.clone(), Timestamp(0));
            machine.set_wall(jumped);
            assert_eq!(clock.now(), NOON, "{jumped:?}");
            machine.pass(HOUR);
            assert_eq!(clock.now(), NOON.plus(HOUR), "{jumped:?}");
        }
    }

    #[test]
    fn sums_saturate() {
        assert_eq!(Timestamp::NEVER.plus(Duration::from_secs(1)), Timestamp::NEVER);
        assert_eq!(Timestamp(1).since(Timestamp(2)), Duration::ZERO);
    }
}
