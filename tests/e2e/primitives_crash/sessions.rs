//! Sessions of clients, and when they may be over: what they hold may not be free before.
//!
//! | a session | may be over |
//! |---|---|
//! | whose connection its client ended | [`GRACE`] after that |
//! | that was there at a crash | [`RESTART_GRACE`] after the next start |
//! | whose primitive its client closed | then; it is asked for, and so it is in the history as a call |

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Long enough to see that a lock is still held, short enough for many rounds.
pub(super) const GRACE: Duration = Duration::from_millis(50);
pub(super) const RESTART_GRACE: Duration = Duration::from_millis(100);
/// The server counts in whole ones.
const MILLISECOND: Duration = Duration::from_millis(1);

/// Those that cannot be over by now, and when they may be.
#[derive(Default)]
pub(super) struct Sessions(Mutex<BTreeMap<u64, Option<Instant>>>);

impl Sessions {
    /// From now on it may hold something.
    pub(super) fn enter(&self, session: u64) {
        self.0.lock().entry(session).or_default();
    }

    /// Its connection ends now.
    pub(super) fn leave(&self, session: u64) {
        self.end(Instant::now() + GRACE - MILLISECOND, |other| *other == session);
    }

    /// The server is started again after this.
    pub(super) fn restart(&self, at: Instant) {
        self.end(at + RESTART_GRACE - MILLISECOND, |_| true);
    }

    fn end(&self, over_at: Instant, ends: impl Fn(&u64) -> bool) {
        for (_, end) in self.0.lock().iter_mut().filter(|(session, _)| ends(session)) {
            *end = Some(end.map_or(over_at, |end| end.min(over_at)));
        }
    }

    /// Those that may be over by now, each once.
    pub(super) fn over(&self) -> Vec<u64> {
        let now = Instant::now();
        let mut sessions = self.0.lock();
        let over = sessions.extract_if(.., |_, end| end.is_some_and(|end| end <= now));
        over.map(|(session, _)| session).collect()
    }

    /// Of a primitive that nobody uses any more.
    pub(super) fn forget(&self) {
        self.0.lock().clear();
    }
}
