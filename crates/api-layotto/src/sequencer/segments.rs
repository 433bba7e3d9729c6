//! Ids reserved ahead, in memory: one segment in use and, towards its end, the next one.
//!
//! What is held here and not handed out is lost with the process, or when a key gives way to others: a gap, never an id
//! twice.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use base::{Error, Result, codes, limits, task};
use parking_lot::Mutex;
use ports::sequencer::{Range, Sequencer};
use tonic::Status;

use crate::error;

/// Threads look for different keys without waiting for each other.
const SHARDS: usize = 16;

/// The segments of all sequencers, by store and key.
pub(crate) struct Segments {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    /// Keys that each shard holds at most.
    shard_keys_max: usize,
}

#[derive(Default)]
struct Shard {
    entries: HashMap<String, Entry>,
    uses: u64,
}

struct Entry {
    segment: Arc<Segment>,
    last_used: u64,
}

impl Segments {
    pub(crate) fn new(keys_max: usize) -> Segments {
        Segments {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            shard_keys_max: keys_max.div_ceil(SHARDS),
        }
    }

    /// The segment of a key in a store. A component that was opened anew under the same name has another store behind it,
    /// and gets a fresh segment.
    pub(super) fn find(&self, store_name: &str, key: String, store: Arc<dyn Sequencer>) -> Arc<Segment> {
        let name = [store_name, "\0", &key].concat();
        let shard = self.hasher.hash_one(&name) as usize % SHARDS;
        let mut shard = self.shards[shard].lock();
        if let Some(segment) = shard.touch(&name, &store) {
            return segment;
        }
        if shard.entries.len() >= self.shard_keys_max {
            shard.evict();
        }
        shard.insert(name, Arc::new(Segment::new(key, store)))
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().entries.len()).sum()
    }
}

impl Shard {
    fn touch(&mut self, name: &str, store: &Arc<dyn Sequencer>) -> Option<Arc<Segment>> {
        self.uses += 1;
        let entry = self.entries.get_mut(name)?;
        if !Arc::ptr_eq(&entry.segment.store, store) {
            return None;
        }
        entry.last_used = self.uses;
        Some(Arc::clone(&entry.segment))
    }

    fn insert(&mut self, name: String, segment: Arc<Segment>) -> Arc<Segment> {
        let entry = Entry {
            segment: Arc::clone(&segment),
            last_used: self.uses,
        };
        self.entries.insert(name, entry);
        segment
    }

    /// Drops the tenth that was used longest ago: one by one, each would cost a look at all.
    fn evict(&mut self) {
        let mut uses: Vec<u64> = self.entries.values().map(|entry| entry.last_used).collect();
        let tenth = uses.len() / 10;
        let (_, cut, _) = uses.select_nth_unstable(tenth);
        let cut = *cut;
        self.entries.retain(|_, entry| entry.last_used > cut);
        tracing::debug!("the limit of keys with weak ids is reached");
    }
}

/// The ids of one key.
pub(super) struct Segment {
    key: String,
    store: Arc<dyn Sequencer>,
    ids: Mutex<Ids>,
    /// Held while a range is fetched, by whoever fetches it.
    fetch: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Ids {
    /// The next id, and the last one, of the segment in use.
    current: Option<Range>,
    next: Option<Range>,
    /// A task is fetching the next one, or rests after failing to.
    fetching: bool,
    /// Whether there ever was a segment.
    begun: bool,
}

impl Segment {
    fn new(key: String, store: Arc<dyn Sequencer>) -> Segment {
        Segment {
            key,
            store,
            ids: Mutex::default(),
            fetch: tokio::sync::Mutex::default(),
        }
    }

    /// Waits for the store only when no id is left; and then, once ids have flowed, not for long.
    pub(super) async fn next_id(self: &Arc<Self>) -> Result<u64, Status> {
        if let Some(id) = self.take() {
            return Ok(id);
        }
        let fetched = if self.ids.lock().begun {
            tokio::time::timeout(limits::SEQUENCE_WAIT_MAX, self.fetch_and_take())
                .await
                .map_err(|_| error::sequencer::segment_late())?
        } else {
            self.fetch_and_take().await
        };
        fetched.map_err(|error| error::sequencer::component(&error))
    }

    fn take(self: &Arc<Self>) -> Option<u64> {
        let mut ids = self.ids.lock();
        let id = ids.take()?;
        if ids.runs_low() && !ids.fetching {
            ids.fetching = true;
            task::spawn("next segment of a sequence", Arc::clone(self).fetch_ahead());
        }
        Some(id)
    }

    /// One caller fetches, the others wait for it.
    async fn fetch_and_take(self: &Arc<Self>) -> Result<u64> {
        let _turn = self.fetch.lock().await;
        if let Some(id) = self.take() {
            return Ok(id);
        }
        let range = self.reserve().await?;
        let mut ids = self.ids.lock();
        ids.put(range);
        ids.take().ok_or_else(nothing_reserved)
    }

    /// Tries some times in a row. After that the next caller tries again, but not before a pause.
    async fn fetch_ahead(self: Arc<Self>) {
        for _ in 0..limits::SEQUENCE_FETCHES_MAX {
            let _turn = self.fetch.lock().await;
            if !self.ids.lock().runs_low() {
                break;
            }
            match self.reserve().await {
                Ok(range) => self.ids.lock().put(range),
                Err(error) => tracing::debug!(%error, "no next segment"),
            }
        }
        if self.ids.lock().runs_low() {
            tokio::time::sleep(limits::SEQUENCE_FETCH_PAUSE).await;
        }
        self.ids.lock().fetching = false;
    }

    async fn reserve(&self) -> Result<Range> {
        let range = self.store.reserve(&self.key, limits::SEQUENCE_SEGMENT).await?;
        if range.first > range.last {
            return Err(nothing_reserved());
        }
        Ok(range)
    }
}

impl Ids {
    fn take(&mut self) -> Option<u64> {
        let mut current = self.current.take().or_else(|| self.next.take())?;
        let id = current.first;
        if id < current.last {
            current.first += 1;
            self.current = Some(current);
        }
        Some(id)
    }

    /// Ranges come in order, so what is put last is handed out last.
    fn put(&mut self, range: Range) {
        self.begun = true;
        match self.current {
            None => self.current = Some(range),
            Some(_) => self.next = Some(range),
        }
    }

    fn runs_low(&self) -> bool {
        let left = self.current.map_or(0, |range| range.last - range.first + 1);
        self.next.is_none() && left <= limits::SEQUENCE_IDS_LEFT
    }
}

fn nothing_reserved() -> Error {
    Error::new(codes::INTERNAL, "the sequencer reserved nothing")
}
