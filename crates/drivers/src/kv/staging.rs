//! Decides batches one after the other, against what is stored and what the batches before have changed.

use std::collections::HashMap;

use base::{Error, Result, Timestamp, codes};
use bytes::Bytes;
use ports::kv::{Batch, Condition, Fence, Key, Keyspace, Outcome, Position, Version, Write};

use super::row::Row;

/// The stored rows, expired ones included.
pub(crate) trait View {
    fn row(&self, key: &Key) -> Result<Option<Row>>;
}

/// The changes of several batches that are to be written together.
pub(crate) struct Staging<'v, V> {
    view: &'v V,
    now: Timestamp,
    /// Version of the last batch that was taken.
    version: Version,
    changes: Vec<(Key, Option<Row>)>,
    /// Rows that the batches look at, and the last change of each.
    latest: HashMap<Key, Option<usize>>,
    appended: Vec<((Keyspace, Bytes), Version)>,
}

/// What a group of batches comes to.
pub(crate) struct Staged {
    pub(crate) version: Version,
    pub(crate) changes: Vec<(Key, Option<Row>)>,
    pub(crate) appended: Vec<((Keyspace, Bytes), Version)>,
}

impl<'v, V: View> Staging<'v, V> {
    /// For these batches.
    pub(crate) fn new<'b>(
        view: &'v V,
        now: Timestamp,
        version: Version,
        batches: impl IntoIterator<Item = &'b Batch>,
    ) -> Self {
        let looked_at = batches.into_iter().flat_map(looked_at);
        let latest = looked_at.map(|key| (key, None)).collect();
        Staging {
            view,
            now,
            version,
            changes: vec![],
            latest,
            appended: vec![],
        }
    }

    pub(crate) fn take(&mut self, batch: Batch) -> Result<Outcome> {
        if let Some(fence) = batch.fence {
            self.check_fence(fence)?;
        }
        if let Some(conflict) = self.check(&batch.conditions)? {
            return Ok(conflict);
        }
        let sums = self.sums(&batch)?;
        let version = Version(self.version.0 + 1);
        self.version = version;
        let mut next_sum = sums.iter();
        for (index, write) in batch.writes.into_iter().enumerate() {
            match write {
                Write::Put {
                    key,
                    value,
                    expires_at,
                } => {
                    self.change(
                        key,
                        Some(Row {
                            value,
                            version,
                            expires_at,
                        }),
                    );
                }
                Write::Delete { key } => self.change(key, None),
                Write::Append {
                    keyspace,
                    prefix,
                    value,
                    expires_at,
                } => {
                    let position = Position {
                        version,
                        index: index as u16,
                    };
                    let bytes = Bytes::from([&prefix[..], &position.encode()].concat());
                    self.change(
                        Key { keyspace, bytes },
                        Some(Row {
                            value,
                            version,
                            expires_at,
                        }),
                    );
                    self.appended.push(((keyspace, prefix), version));
                }
                Write::Add { key, .. } => {
                    let sum = next_sum.next().expect("there is a sum for each Add");
                    let value = Bytes::copy_from_slice(&sum.to_le_bytes());
                    self.change(
                        key,
                        Some(Row {
                            value,
                            version,
                            expires_at: None,
                        }),
                    );
                }
            }
        }
        Ok(Outcome::Committed { version, sums })
    }

    pub(crate) fn finish(self) -> Staged {
        Staged {
            version: self.version,
            changes: self.changes,
            appended: self.appended,
        }
    }

    fn change(&mut self, key: Key, row: Option<Row>) {
        if let Some(latest) = self.latest.get_mut(&key) {
            *latest = Some(self.changes.len());
        }
        self.changes.push((key, row));
    }

    /// The row as the batches so far leave it; an expired one is absent.
    fn row(&self, key: &Key) -> Result<Option<Row>> {
        let changed = self.latest.get(key).copied().flatten();
        let row = match changed {
            Some(index) => self.changes[index].1.clone(),
            None => self.view.row(key)?,
        };
        Ok(row.filter(|row| !row.expired(self.now)))
    }

    fn check_fence(&self, fence: Fence) -> Result<()> {
        let row = self.row(&Fence::key(fence.partition))?;
        let epoch = row.and_then(|row| Some(u64::from_le_bytes(row.value.get(..8)?.try_into().ok()?)));
        if epoch == Some(fence.epoch) {
            return Ok(());
        }
        let message = format!(
            "partition {} is at epoch {}, this writer has epoch {}",
            fence.partition,
            epoch.map_or("none".into(), |epoch| epoch.to_string()),
            fence.epoch
        );
        Err(Error::new(codes::FENCED, message))
    }

    fn check(&self, conditions: &[Condition]) -> Result<Option<Outcome>> {
        for (condition, Condition { key, expect }) in conditions.iter().enumerate() {
            let found = self.row(key)?.map(|row| row.version);
            if !expect.holds(found) {
                return Ok(Some(Outcome::Conflict { condition, found }));
            }
        }
        Ok(None)
    }

    /// What each `Add` comes to. Several of one key in one batch build on each other.
    fn sums(&self, batch: &Batch) -> Result<Vec<u64>> {
        let mut sums = vec![];
        let mut own: HashMap<&Key, u64> = HashMap::new();
        for write in &batch.writes {
            let Write::Add { key, delta, floor } = write else {
                continue;
            };
            let before = match own.get(key) {
                Some(sum) => *sum,
                None => self.row(key)?.map_or(Ok(0), |row| counter(&row))?,
            };
            let sum = before.checked_add(*delta).ok_or_else(overflow)?.max(*floor);
            own.insert(key, sum);
            sums.push(sum);
        }
        Ok(sums)
    }
}

/// What deciding this batch takes a look at.
fn looked_at(batch: &Batch) -> impl Iterator<Item = Key> {
    let fence = batch.fence.map(|fence| Fence::key(fence.partition));
    let conditions = batch.conditions.iter().map(|condition| condition.key.clone());
    let sums = batch.writes.iter().filter_map(|write| match write {
        Write::Add { key, .. } => Some(key.clone()),
        _ => None,
    });
    fence.into_iter().chain(conditions).chain(sums)
}

fn counter(row: &Row) -> Result<u64> {
    let bytes = row.value[..].try_into();
    bytes.map(u64::from_le_bytes).map_err(|_| {
        let message = format!("a counter has 8 bytes, this row has {}", row.value.len());
        Error::new(codes::STORED_ROW_UNREADABLE, message)
    })
}

fn overflow() -> Error {
    Error::new(codes::INVALID_ARGUMENT, "a counter would pass 2^64 - 1")
}
