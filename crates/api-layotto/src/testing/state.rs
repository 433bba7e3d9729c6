//! A fake state store.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base::Result;
use bytes::Bytes;
use parking_lot::Mutex;
use ports::state::{Action, Applied, Atomicity, Capabilities, Change, Etag, Expect, StateStore, Value};

use super::Fault;

/// A map; etags are numbers that begin at 1.
#[derive(Default)]
pub(crate) struct States {
    pub fault: Fault,
    /// Fails this key alone.
    pub broken_key: Mutex<Option<(String, base::Code)>>,
    pub no_transactions: AtomicBool,
    pub no_ttl: AtomicBool,
    rows: Mutex<Rows>,
}

#[derive(Clone, Default)]
struct Rows {
    values: BTreeMap<String, Value>,
    writes: u64,
}

impl States {
    pub(crate) fn keys(&self) -> Vec<String> {
        self.rows.lock().values.keys().cloned().collect()
    }

    pub(crate) fn ttl(&self, key: &str) -> Option<Duration> {
        self.rows.lock().values[key].ttl
    }

    fn read(&self, key: &str) -> Result<Option<Value>> {
        if let Some((broken, code)) = &*self.broken_key.lock()
            && broken == key
        {
            return Err(base::Error::new(*code, "the key is broken"));
        }
        Ok(self.rows.lock().values.get(key).cloned())
    }
}

impl Rows {
    fn check(&self, change: &Change, index: usize) -> Option<Applied> {
        let found = self.values.get(&change.key);
        let held = match &change.expect {
            Expect::Anything => true,
            Expect::Absent => found.is_none(),
            Expect::Etag(etag) if etag.0.parse::<u64>().is_err() => {
                return Some(Applied::InvalidEtag { index });
            }
            Expect::Etag(etag) => match &change.action {
                Action::Delete => found.is_none_or(|value| value.etag == *etag),
                Action::Put { .. } => found.is_some_and(|value| value.etag == *etag),
            },
        };
        (!held).then_some(Applied::Mismatch { index })
    }

    fn make(&mut self, change: Change) {
        self.writes += 1;
        let etag = Etag(self.writes.to_string());
        match change.action {
            Action::Put { data, ttl } => self.values.insert(change.key, Value { data, etag, ttl }),
            Action::Delete => self.values.remove(&change.key),
        };
    }
}

#[async_trait]
impl StateStore for States {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            transactions: !self.no_transactions.load(Ordering::SeqCst),
            ttl: !self.no_ttl.load(Ordering::SeqCst),
        }
    }

    async fn get(&self, keys: &[String]) -> Result<Vec<Result<Option<Value>>>> {
        self.fault.check()?;
        Ok(keys.iter().map(|key| self.read(key)).collect())
    }

    async fn apply(&self, changes: Vec<Change>, atomicity: Atomicity) -> Result<Applied> {
        self.fault.check()?;
        tokio::task::yield_now().await;
        let mut rows = self.rows.lock();
        let mut changed = rows.clone();
        for (index, change) in changes.into_iter().enumerate() {
            if let Some(refused) = changed.check(&change, index) {
                if atomicity == Atomicity::BestEffort {
                    *rows = changed;
                }
                return Ok(refused);
            }
            changed.make(change);
        }
        *rows = changed;
        Ok(Applied::Done)
    }
}

impl States {
    pub(crate) fn data(&self, key: &str) -> Option<Bytes> {
        self.rows.lock().values.get(key).map(|value| value.data.clone())
    }
}
