//! The engine: a `Kv` in one directory, over fjall.
//!
//! One committer thread takes whatever waits, decides it, writes it as one batch with one sync, and only then answers.
//! There is no window to wait for more: while one group syncs the next one gathers by itself. fjall's journal is the only
//! write-ahead log. Why fjall, and what was measured, is in `docs/adr/002-embedded-engine.md`.
//!
//! | file | what |
//! |---|---|
//! | `directory` | lock and format of the data directory |
//! | `watermark` | the last synced commit, to notice a journal that lost its end |
//! | `store` | fjall's keyspaces, read and written as rows |
//! | `committer` | queue and groups |
//! | `base::answers` | acknowledgements, back on the runtime that waits for them |
//! | `upkeep` | expiry, the timer of relaxed mode, disk space |
//! | `reclaim` | space of deleted rows on a disk that is nearly full |

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use base::{Clock, Result, Timestamp};
use bytes::Bytes;
use futures::future::BoxFuture;
use ports::kv::{Batch, Entry, Key, Keyspace, Kv, Outcome, Page, Reads, Scan, Version};
use ports::{Component, Context, Driver, Finding, Port, Settings};
use tokio::sync::watch;

mod committer;
mod directory;
mod reclaim;
mod settings;
mod store;
mod upkeep;
mod watermark;

#[cfg(test)]
mod tests;

pub use settings::{Mode, Options};

use committer::Committer;
use directory::Directory;
use store::Store;
use upkeep::Upkeep;

use crate::derived::pubsub::Topics;
use crate::kv::Signals;

/// Components on this process's engine.
pub struct EmbeddedDriver;

#[async_trait]
impl Driver for EmbeddedDriver {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn about(&self) -> &'static str {
        "keeps everything on this process's own engine, durable, in the data directory"
    }

    fn offers(&self) -> &'static [Port] {
        &[Port::Kv]
    }

    fn schema(&self) -> schemars::Schema {
        Topics::schema()
    }

    fn validate(&self, settings: &Settings) -> Vec<Finding> {
        Topics::findings(settings)
    }

    async fn open(&self, _: &str, _: &Settings, context: &Context) -> Result<Component> {
        Ok(Component {
            kv: Some(context.engine.clone()),
            ..Component::default()
        })
    }
}

/// An open data directory. Closing it is dropping it: what is queued is written, then synced.
pub struct Embedded {
    // In this order: upkeep ends before the committer, the lock is given up last.
    _upkeep: Upkeep,
    committer: Committer,
    store: Store,
    signals: Arc<Signals>,
    clock: Arc<dyn Clock>,
    _directory: Directory,
}

impl Embedded {
    /// Opens or makes the data directory. `clock` is given the last time that this data has seen, so that expiries never
    /// move away when the machine's clock was set back meanwhile.
    ///
    /// Errors: `DATA_DIR_UNUSABLE`, `DATA_DIR_LOCKED`, `DATA_FORMAT_NEWER`, `DATA_DAMAGED`.
    pub fn open(
        path: &Path,
        options: &Options,
        clock: impl FnOnce(Timestamp) -> Arc<dyn Clock>,
    ) -> Result<Embedded> {
        let directory = Directory::open(path)?;
        let (store, last) = Store::open(&directory.engine(), options)?;
        let (watermark, seen) = watermark::open(&directory.watermark(), last, options.accept_data_loss)?;
        let clock = clock(seen);
        let signals = Arc::new(Signals::default());
        let committer = Committer::start(
            store.clone(),
            last,
            watermark,
            options.mode,
            signals.clone(),
            clock.clone(),
        );
        let upkeep = Upkeep::start(directory.path(), options, committer.handle(), store.clone());
        Ok(Embedded {
            _upkeep: upkeep,
            committer,
            store,
            signals,
            clock,
            _directory: directory,
        })
    }

    /// The clock that expiries are judged by; the rest of the process should use it too.
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    /// Becomes `true` when a write has failed and the engine takes no more: end the process and start it again.
    pub fn stopped(&self) -> watch::Receiver<bool> {
        self.committer.stopped()
    }

    /// Journal files on disk, bytes.
    pub fn journal_bytes(&self) -> u64 {
        self.store.journal_bytes()
    }

    /// Newest rows, which are in memory until they are written as a table, bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.store.memory_bytes()
    }

    /// All files on disk, bytes.
    pub fn disk_bytes(&self) -> u64 {
        self.store.disk_bytes()
    }

    /// Batches that wait for the committer.
    pub fn queued(&self) -> usize {
        self.committer.queued()
    }
}

#[async_trait]
impl Reads for Embedded {
    async fn get(&self, key: &Key) -> Result<Option<Entry>> {
        self.store.get(key, &*self.clock)
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>> {
        match keys {
            [key] => Ok(vec![self.store.get(key, &*self.clock)?]),
            keys => self.store.view(self.clock.now()).get_many(keys).await,
        }
    }

    async fn scan(&self, scan: Scan) -> Result<Page> {
        self.store.view(self.clock.now()).scan(scan).await
    }
}

#[async_trait]
impl Kv for Embedded {
    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<Outcome>> {
        self.committer.commit(batch)
    }

    fn snapshot(&self) -> Result<Box<dyn Reads>> {
        Ok(Box::new(self.store.view(self.clock.now())))
    }

    fn appended(&self, keyspace: Keyspace, prefix: &Bytes) -> watch::Receiver<Version> {
        self.signals.watch(keyspace, prefix)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
