//! Gives the space of deleted rows back while the disk is nearly full.
//!
//! The engine rewrites its tables when enough was written. On a disk that takes deletes only, that never comes, and the
//! deletes that should make room would make none. So tables are rewritten here, as long as what is kept fits into half of
//! the free space: the new tables are there before the old ones go, and they must not take the last room.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::store::{Rewrite, Store};

/// Pause between two attempts.
const INTERVAL: Duration = Duration::from_secs(5);
/// Longest to wait for the engine to write what is in memory; then it is tried again.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(10);

/// Works on a thread of its own, because syncs must not wait for it. Ends with its drop.
pub(super) struct Reclaim {
    store: Store,
    /// How far the store was when there was nothing more to do for it.
    done: Option<u64>,
    work: Option<JoinHandle<Option<u64>>>,
    began: Option<Instant>,
}

impl Reclaim {
    pub(super) fn new(store: Store) -> Reclaim {
        Reclaim {
            store,
            done: None,
            work: None,
            began: None,
        }
    }

    /// Called now and then with the free bytes of a disk that is nearly full.
    pub(super) fn step(&mut self, free: u64) {
        match &self.work {
            Some(work) if !work.is_finished() => return,
            Some(_) => self.join(),
            None => {}
        }
        if self.began.is_some_and(|at| at.elapsed() < INTERVAL) || self.done == Some(self.store.sequence()) {
            return;
        }
        self.began = Some(Instant::now());
        let (store, done) = (self.store.clone(), self.done);
        let thread = std::thread::Builder::new().name("reclaim".into());
        self.work = thread.spawn(move || reclaim(&store, free / 2).or(done)).ok();
    }

    fn join(&mut self) {
        if let Some(work) = self.work.take() {
            self.done = work.join().unwrap_or(None);
        }
    }
}

impl Drop for Reclaim {
    fn drop(&mut self) {
        self.join();
    }
}

/// How far the store was, if nothing is left to do until it changes.
fn reclaim(store: &Store, room: u64) -> Option<u64> {
    let (sequence, before) = (store.sequence(), store.disk_bytes());
    match store.rewrite(room, FLUSH_TIME_MAX) {
        Ok(Rewrite::Done) => {
            let freed = before.saturating_sub(store.disk_bytes());
            tracing::info!(freed, "space of deleted rows was given back");
            Some(sequence)
        }
        Ok(Rewrite::TooLarge) => Some(sequence),
        Ok(Rewrite::NotYet) => None,
        Err(cause) => {
            tracing::warn!(error = %cause, "space of deleted rows cannot be given back now");
            None
        }
    }
}
