//! How many entities of a function have a stream at once.
//!
//! Some functions serve only so many (Python's SDK: ten) and say nothing of it: a stream too many just hears nothing. So an
//! entity whose first answer takes long asks those that have nothing to do to make room.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base::limits;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

pub(crate) struct Places {
    streams: Arc<Semaphore>,
    /// Entities that hear nothing.
    wanting: AtomicUsize,
    room: Notify,
}

impl Default for Places {
    fn default() -> Places {
        Places {
            streams: Arc::new(Semaphore::new(limits::ENTITY_STREAMS_PER_FUNCTION_MAX)),
            wanting: AtomicUsize::new(0),
            room: Notify::new(),
        }
    }
}

/// Whoever holds it wants room.
struct Wanting<'a>(&'a Places);

impl Drop for Wanting<'_> {
    fn drop(&mut self) {
        self.0.wanting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Places {
    /// Held for as long as there is a stream.
    pub(super) async fn take(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = self.streams.clone().try_acquire_owned() {
            return Some(permit);
        }
        tokio::select! {
            permit = self.streams.clone().acquire_owned() => permit.ok(),
            never = self.ask_for_room() => match never {},
        }
    }

    /// Never ends: for as long as it is polled, idle entities are asked to end, one after the other.
    pub(super) async fn ask_for_room(&self) -> Infallible {
        tokio::time::sleep(limits::ENTITY_PATIENCE).await;
        self.wanting.fetch_add(1, Ordering::Relaxed);
        let _wanting = Wanting(self);
        loop {
            self.room.notify_one();
            tokio::time::sleep(limits::ENTITY_PATIENCE).await;
        }
    }

    /// Whether somebody hears nothing.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanting.load(Ordering::Relaxed) > 0
    }

    /// Ends when this one, which has nothing to do, should make room.
    pub(super) async fn make_room(&self) {
        self.room.notified().await;
    }
}
