//! Steps whose changes wait for the next step that looks at them.
//!
//! A call that begins at once is told to user code only, whose first words change the same rows again. So its changes are in memory,
//! where later steps see them, and in no batch: the next step that looks at one of them takes all of them into its own. So do
//! [`limits::STEP_HELD`], a cache that is full, and the end of the loop. What a crash takes along was answered to nobody.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use base::limits;
use bytes::Bytes;
use machines::engine::{PartPage, PartScan};
use machines::{Address, Found, Key, Request, Rows};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::rows::Cache;

#[derive(Default)]
pub(super) struct Held {
    /// By number, and so by time.
    steps: BTreeMap<u64, Step>,
    /// Whose a row is.
    rows: HashMap<Key, u64>,
    /// Of all rows.
    bytes: usize,
    next: u64,
}

pub(super) struct Step {
    pub(super) address: Address,
    /// Who waits for its end.
    pub(super) request: Request,
    pub(super) changes: BTreeMap<Key, Option<Bytes>>,
    /// How much more there is with it than before, bytes.
    pub(super) growth: i64,
    pub(super) since: Instant,
}

impl Step {
    fn bytes(&self) -> usize {
        let rows = self.changes.iter();
        rows.map(|(key, row)| key.bytes.len() + row.as_ref().map_or(0, Bytes::len))
            .sum()
    }
}

impl Held {
    pub(super) fn has_room(&self) -> bool {
        self.rows.len() < limits::STEPS_HELD_ROWS_MAX && self.bytes < limits::STEPS_HELD_BYTES_MAX
    }

    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    pub(super) fn add(&mut self, step: Step) {
        self.next += 1;
        self.bytes += step.bytes();
        let keys = step.changes.keys().cloned();
        self.rows.extend(keys.map(|key| (key, self.next)));
        self.steps.insert(self.next, step);
    }

    /// In the order in which they were added.
    pub(super) fn take(&mut self, numbers: BTreeSet<u64>) -> Vec<Step> {
        let mut taken = vec![];
        for step in numbers
            .into_iter()
            .filter_map(|number| self.steps.remove(&number))
        {
            for key in step.changes.keys() {
                self.rows.remove(key);
            }
            self.bytes -= step.bytes();
            taken.push(step);
        }
        taken
    }

    pub(super) fn all(&self) -> BTreeSet<u64> {
        self.steps.keys().copied().collect()
    }

    /// When the first one has waited long enough.
    pub(super) fn due(&self) -> Option<Instant> {
        let (_, first) = self.steps.first_key_value()?;
        Some(first.since + limits::STEP_HELD)
    }

    /// Those that have waited long enough.
    pub(super) fn late(&self, now: Instant) -> BTreeSet<u64> {
        let late = self
            .steps
            .iter()
            .take_while(|(_, step)| step.since + limits::STEP_HELD <= now);
        late.map(|(number, _)| *number).collect()
    }

    /// For one step: what it looks at.
    pub(super) fn watch<'r>(&'r self, rows: &'r Cache) -> Watched<'r> {
        Watched {
            rows,
            held: self,
            looked_at: Mutex::default(),
        }
    }
}

/// Rows in memory, and whose of them were looked at.
pub(super) struct Watched<'r> {
    rows: &'r Cache,
    held: &'r Held,
    looked_at: Mutex<BTreeSet<u64>>,
}

impl Watched<'_> {
    pub(super) fn looked_at(self) -> BTreeSet<u64> {
        self.looked_at.into_inner()
    }
}

impl Rows for Watched<'_> {
    fn get(&self, key: &Key) -> Found {
        if let Some(step) = self.held.rows.get(key) {
            self.looked_at.lock().insert(*step);
        }
        self.rows.get(key)
    }

    /// Seldom, and any of them may be in it.
    fn range(&self, scan: &PartScan) -> Option<PartPage> {
        self.looked_at.lock().extend(self.held.steps.keys());
        self.rows.range(scan)
    }
}
