//! The driver `memory`: a `Kv` in the process's memory, gone when it ends. For tests, and for configurations that say so.
//!
//! Persistent maps make a snapshot a pointer: readers never wait for a writer.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use base::{Clock, Result, Timestamp, limits};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use ports::kv::{Batch, Entry, Key, Keyspace, Kv, Order, Outcome, Page, Reads, Scan, Version};
use ports::{Component, Context, Driver, Finding, Port, Settings};
use rpds::RedBlackTreeMapSync;
use tokio::sync::watch;

use crate::derived::pubsub::Topics;
use crate::kv::{Row, Signals, Staging, View};

#[cfg(test)]
mod tests;

/// Shares one store among all components of the process that name it.
#[derive(Default)]
pub struct MemoryDriver {
    store: Mutex<Option<Arc<Memory>>>,
}

#[async_trait]
impl Driver for MemoryDriver {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn about(&self) -> &'static str {
        "keeps everything in this process's memory; gone when it ends"
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
        let mut store = self.store.lock();
        let store = store.get_or_insert_with(|| Arc::new(Memory::new(context.clock.clone())));
        Ok(Component {
            kv: Some(store.clone()),
            ..Component::default()
        })
    }
}

pub struct Memory {
    clock: Arc<dyn Clock>,
    rows: ArcSwap<Rows>,
    writer: Mutex<Writer>,
    signals: Signals,
}

#[derive(Clone, Default)]
struct Rows {
    state: RedBlackTreeMapSync<Bytes, Row>,
    journal: RedBlackTreeMapSync<Bytes, Row>,
}

struct Writer {
    version: Version,
    expiries: BTreeSet<(Timestamp, Key)>,
}

impl Memory {
    pub fn new(clock: Arc<dyn Clock>) -> Memory {
        Memory {
            clock,
            rows: ArcSwap::default(),
            writer: Mutex::new(Writer {
                version: Version(0),
                expiries: BTreeSet::new(),
            }),
            signals: Signals::default(),
        }
    }

    fn commit_now(&self, batch: Batch) -> Result<Outcome> {
        batch.check()?;
        let mut writer = self.writer.lock();
        let now = self.clock.now();
        let mut rows = Rows::clone(&self.rows.load());
        writer.sweep(&mut rows, now);
        let mut staging = Staging::new(&rows, now, writer.version, [&batch]);
        let outcome = staging.take(batch);
        let staged = staging.finish();
        writer.version = staged.version;
        for (key, row) in staged.changes {
            if let Some(at) = row.as_ref().and_then(|row| row.expires_at) {
                writer.expiries.insert((at, key.clone()));
            }
            rows.change(key, row);
        }
        self.rows.store(Arc::new(rows));
        self.signals.appended(&staged.appended);
        outcome
    }
}

impl Writer {
    /// Takes out rows whose time is over. A row that was written again since has another expiry and stays.
    fn sweep(&mut self, rows: &mut Rows, now: Timestamp) {
        for _ in 0..limits::SWEEP_ROWS_MAX {
            match self.expiries.first() {
                Some((at, _)) if *at <= now => {}
                _ => return,
            }
            let (_, key) = self.expiries.pop_first().expect("there is a first one");
            if rows
                .map(key.keyspace)
                .get(&key.bytes)
                .is_some_and(|row| row.expired(now))
            {
                rows.change(key, None);
            }
        }
    }
}

impl Rows {
    fn map(&self, keyspace: Keyspace) -> &RedBlackTreeMapSync<Bytes, Row> {
        match keyspace {
            Keyspace::State => &self.state,
            Keyspace::Journal => &self.journal,
        }
    }

    fn change(&mut self, key: Key, row: Option<Row>) {
        let map = match key.keyspace {
            Keyspace::State => &mut self.state,
            Keyspace::Journal => &mut self.journal,
        };
        match row {
            Some(row) => map.insert_mut(key.bytes, row),
            None => drop(map.remove_mut(&key.bytes)),
        }
    }

    fn get(&self, key: &Key, now: Timestamp) -> Option<Entry> {
        let row = self.map(key.keyspace).get(&key.bytes)?;
        (!row.expired(now)).then(|| row.clone().into_entry())
    }

    fn scan(&self, scan: &Scan, now: Timestamp) -> Page {
        let end = scan.end.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        if scan.end.as_ref().is_some_and(|end| *end <= scan.start) {
            return Page::default();
        }
        let range = self
            .map(scan.keyspace)
            .range::<Bytes, _>((Bound::Included(&scan.start), end));
        match scan.order {
            Order::Ascending => page(range, scan, now),
            Order::Descending => page(range.rev(), scan, now),
        }
    }
}

fn page<'r>(rows: impl Iterator<Item = (&'r Bytes, &'r Row)>, scan: &Scan, now: Timestamp) -> Page {
    let mut rows = rows.filter(|(_, row)| !row.expired(now));
    let limit = scan.limit.min(limits::SCAN_ROWS_MAX);
    let (mut taken, mut bytes) = (vec![], 0);
    while taken.len() < limit && bytes < scan.bytes.max(1) {
        let Some((key, row)) = rows.next() else { break };
        bytes += row.value.len();
        taken.push((key.clone(), row.clone().into_entry()));
    }
    let more = rows.next().is_some();
    Page { rows: taken, more }
}

impl View for Rows {
    fn row(&self, key: &Key) -> Result<Option<Row>> {
        Ok(self.map(key.keyspace).get(&key.bytes).cloned())
    }
}

#[async_trait]
impl Reads for Memory {
    async fn get(&self, key: &Key) -> Result<Option<Entry>> {
        Ok(self.rows.load().get(key, self.clock.now()))
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>> {
        let (rows, now) = (self.rows.load(), self.clock.now());
        Ok(keys.iter().map(|key| rows.get(key, now)).collect())
    }

    async fn scan(&self, scan: Scan) -> Result<Page> {
        Ok(self.rows.load().scan(&scan, self.clock.now()))
    }
}

#[async_trait]
impl Kv for Memory {
    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<Outcome>> {
        futures::future::ready(self.commit_now(batch)).boxed()
    }

    fn snapshot(&self) -> Result<Box<dyn Reads>> {
        Ok(Box::new(Snapshot {
            rows: self.rows.load_full(),
            now: self.clock.now(),
        }))
    }

    fn appended(&self, keyspace: Keyspace, prefix: &Bytes) -> watch::Receiver<Version> {
        self.signals.watch(keyspace, prefix)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// Sees rows as they were, and what had expired, when it was made.
struct Snapshot {
    rows: Arc<Rows>,
    now: Timestamp,
}

#[async_trait]
impl Reads for Snapshot {
    async fn get(&self, key: &Key) -> Result<Option<Entry>> {
        Ok(self.rows.get(key, self.now))
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>> {
        Ok(keys.iter().map(|key| self.rows.get(key, self.now)).collect())
    }

    async fn scan(&self, scan: Scan) -> Result<Page> {
        Ok(self.rows.scan(&scan, self.now))
    }
}
