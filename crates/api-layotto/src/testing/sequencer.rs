//! A fake sequencer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use base::Result;
use parking_lot::Mutex;
use ports::sequencer::{Range, Sequencer};
use tokio::sync::watch;

use super::Fault;

/// Counters, and how often they were asked.
pub(crate) struct Sequences {
    pub fault: Fault,
    pub last: Mutex<BTreeMap<String, u64>>,
    pub calls: AtomicUsize,
    /// Reservations wait while it is closed.
    pub open: watch::Sender<bool>,
}

impl Default for Sequences {
    fn default() -> Sequences {
        Sequences {
            fault: Fault::default(),
            last: Mutex::default(),
            calls: AtomicUsize::default(),
            open: watch::Sender::new(true),
        }
    }
}

impl Sequences {
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Sequencer for Sequences {
    async fn reserve(&self, key: &str, count: u64) -> Result<Range> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.fault.check()?;
        let mut open = self.open.subscribe();
        drop(open.wait_for(|open| *open).await);
        let mut all = self.last.lock();
        let last = all.entry(key.to_owned()).or_default();
        let first = *last + 1;
        *last += count;
        Ok(Range { first, last: *last })
    }

    async fn raise(&self, key: &str, at_least: u64) -> Result<()> {
        let mut all = self.last.lock();
        let last = all.entry(key.to_owned()).or_default();
        *last = at_least.max(*last);
        Ok(())
    }
}
