//! Flow control by method, as Layotto's `flowControlFilter` has it: so many unary calls per second, the rest is refused.
//!
//! Counted over the current and the previous half second, as the reference's library does: a burst at a boundary never
//! lets twice the threshold through within one second.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;

const HALF: Duration = Duration::from_millis(500);

/// Calls per second, by full method path (`/package.Service/Method`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules(pub BTreeMap<String, u32>);

/// One method's count.
#[derive(Debug)]
pub(super) struct Gate {
    per_second: u32,
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    /// Number of the current half second.
    half: u64,
    current: u32,
    previous: u32,
}

impl Gate {
    pub(super) fn new(per_second: u32) -> Gate {
        Gate {
            per_second,
            window: Mutex::default(),
        }
    }

    /// Whether a call may pass at that time (since any fixed moment), and counts it if so.
    pub(super) fn admits(&self, now: Duration) -> bool {
        let half = u64::try_from(now.as_millis() / HALF.as_millis()).unwrap_or(u64::MAX);
        let mut window = self.window.lock();
        window.turn_to(half);
        if window.current + window.previous >= self.per_second {
            return false;
        }
        window.current += 1;
        true
    }
}

impl Window {
    fn turn_to(&mut self, half: u64) {
        match half.saturating_sub(self.half) {
            0 => return,
            1 => self.previous = self.current,
            _ => self.previous = 0,
        }
        self.current = 0;
        self.half = half;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(per_second: u32, calls_at_ms: &[u64], admitted: &[bool]) {
        let gate = Gate::new(per_second);
        let outcome: Vec<bool> = calls_at_ms
            .iter()
            .map(|at| gate.admits(Duration::from_millis(*at)))
            .collect();
        assert_eq!(outcome, admitted);
    }

    #[test]
    fn calls_over_the_threshold_are_refused() {
        check(2, &[0, 0, 0, 1], &[true, true, false, false]);
    }

    #[test]
    fn refused_calls_do_not_count() {
        check(1, &[0, 400, 499, 1_000], &[true, false, false, true]);
    }

    #[test]
    fn a_burst_at_a_boundary_is_still_one_burst() {
        check(2, &[499, 499, 500, 999, 1_000], &[true, true, false, false, true]);
    }

    #[test]
    fn a_quiet_second_forgets_everything() {
        check(1, &[0, 5_000, 5_000], &[true, true, false]);
    }

    #[test]
    fn a_threshold_of_nothing_admits_nothing() {
        check(0, &[0, 10_000], &[false, false]);
    }
}
