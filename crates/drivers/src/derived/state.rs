//! State over a `Kv`: one row per key; the etag is the row's version.
//!
//! A stored value is one byte, format 1, then the data. Its key and where it is: `keys`.
//!
//! **One call is one commit**, with [`Atomicity::BestEffort`] too. A change that expects nothing is written without a read;
//! what a change expects of a stored row becomes a condition of the commit.
//!
//! **Several changes of one key in one call** happen one after the other, as if each were a call of its own. Only the first
//! meets the stored row. What a later one meets is known beforehand, so it is decided without the store:
//!
//! | expectation | after a put | after a delete |
//! |---|---|---|
//! | put, anything | done | done |
//! | put, absent | mismatch | done |
//! | put, etag | mismatch | mismatch |
//! | delete, anything | done | done |
//! | delete, etag | mismatch | done |
//! | delete, absent | mismatch | mismatch |
//!
//! An etag never matches after a put: it would be the version of the commit that is only being asked for. A delete that
//! expects absence asks for a contradiction, and is a mismatch always.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{Error, Result, Timestamp, codes};
use bytes::{BufMut, Bytes, BytesMut};
use ports::kv::{self, Batch, Condition, Entry, Key, Kv, Outcome, Version, Write};
use ports::state::{Action, Applied, Atomicity, Capabilities, Change, Etag, Expect, StateStore, Value};

use super::keys::{self, Prefix};
use super::{expiry, unreadable};

const FORMAT: u8 = 1;

/// State of one component.
pub struct State {
    kv: Arc<dyn Kv>,
    rows: Prefix,
}

impl State {
    pub fn over(kv: Arc<dyn Kv>, component: &str) -> State {
        let rows = Prefix::of(keys::STATE, component);
        State { kv, rows }
    }

    /// The row of a key, for conditions of the caller's own.
    pub fn row(&self, key: &str) -> Result<Key> {
        self.rows.row(key)
    }

    /// Adds to `batch` what [`Action::Put`] does without an expectation.
    pub fn stage_put(
        &self,
        mut batch: Batch,
        key: &str,
        data: &[u8],
        ttl: Option<Duration>,
    ) -> Result<Batch> {
        if ttl == Some(Duration::ZERO) {
            let message = format!("the time to live of key {key} is zero; it may be 1 ms or more, or none");
            return Err(Error::new(codes::TTL_INVALID, message));
        }
        batch.writes.push(Write::Put {
            key: self.row(key)?,
            value: encode(data),
            expires_at: ttl.map(|ttl| expiry(self.kv.now(), ttl)),
        });
        Ok(batch)
    }

    /// Adds to `batch` what [`Action::Delete`] does without an expectation.
    pub fn stage_delete(&self, batch: Batch, key: &str) -> Result<Batch> {
        Ok(batch.delete(self.row(key)?))
    }

    /// Makes the whole batch depend on the key's etag: exactly this one.
    pub fn stage_expect(&self, batch: Batch, key: &str, etag: &Etag) -> Result<Batch> {
        let Some(version) = version(etag) else {
            let message = format!("the etag for key {key} was not made by this store");
            return Err(Error::new(codes::ETAG_INVALID, message));
        };
        Ok(batch.expect(self.row(key)?, kv::Expect::Version(version)))
    }

    fn stage(&self, changes: Vec<Change>) -> Result<Staged> {
        let mut staged = Staged::default();
        let mut touched: HashMap<String, Touched> = HashMap::new();
        for (index, change) in changes.into_iter().enumerate() {
            let earlier = touched.get(&change.key).copied();
            match wanted(&change, earlier) {
                Wanted::InvalidEtag => return Ok(Staged::refused(Applied::InvalidEtag { index })),
                Wanted::Mismatch => staged.mismatch(index),
                Wanted::Nothing => {}
                Wanted::Row(expect) => staged.expect(index, self.row(&change.key)?, expect),
            }
            let batch = std::mem::take(&mut staged.batch);
            staged.batch = match &change.action {
                Action::Put { data, ttl } => self.stage_put(batch, &change.key, data, *ttl)?,
                Action::Delete => self.stage_delete(batch, &change.key)?,
            };
            touched.insert(change.key, Touched::by(&change.action));
        }
        Ok(staged)
    }
}

#[async_trait]
impl StateStore for State {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            transactions: true,
            ttl: true,
        }
    }

    async fn get(&self, keys: &[String]) -> Result<Vec<Result<Option<Value>>>> {
        let rows: Vec<Result<Key>> = keys.iter().map(|key| self.row(key)).collect();
        let good: Vec<Key> = rows.iter().filter_map(|row| row.as_ref().ok().cloned()).collect();
        let now = self.kv.now();
        let mut entries = self.kv.get_many(&good).await?.into_iter();
        let mut answer = |row: Result<Key>| -> Result<Option<Value>> {
            row?;
            let entry = entries.next().flatten();
            entry.map(|entry| value(entry, now)).transpose()
        };
        Ok(rows.into_iter().map(&mut answer).collect())
    }

    async fn apply(&self, changes: Vec<Change>, _: Atomicity) -> Result<Applied> {
        let staged = self.stage(changes)?;
        if let Some(refused) = staged.refused {
            return Ok(refused);
        }
        if staged.batch.writes.is_empty() {
            return Ok(Applied::Done);
        }
        match self.kv.commit(staged.batch).await? {
            Outcome::Committed { .. } => Ok(Applied::Done),
            Outcome::Conflict { condition, .. } => {
                let index = staged.expecting[condition];
                Ok(Applied::Mismatch { index })
            }
        }
    }
}

/// The commit that a call comes to, or why there is none.
#[derive(Default)]
struct Staged {
    batch: Batch,
    /// For each condition of the batch, the change that it is for.
    expecting: Vec<usize>,
    refused: Option<Applied>,
}

impl Staged {
    fn refused(applied: Applied) -> Staged {
        Staged {
            refused: Some(applied),
            ..Staged::default()
        }
    }

    /// The first one is told; an invalid etag further on still goes before it.
    fn mismatch(&mut self, index: usize) {
        self.refused.get_or_insert(Applied::Mismatch { index });
    }

    fn expect(&mut self, index: usize, key: Key, expect: kv::Expect) {
        self.batch.conditions.push(Condition { key, expect });
        self.expecting.push(index);
    }
}

/// What an earlier change of the same call has made of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Touched {
    Put,
    Deleted,
}

impl Touched {
    fn by(action: &Action) -> Touched {
        match action {
            Action::Put { .. } => Touched::Put,
            Action::Delete => Touched::Deleted,
        }
    }
}

/// What a change asks of the stored row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Nothing,
    Row(kv::Expect),
    Mismatch,
    InvalidEtag,
}

/// The tables of the module's documentation.
fn wanted(change: &Change, earlier: Option<Touched>) -> Wanted {
    let etag = match &change.expect {
        Expect::Anything => return Wanted::Nothing,
        Expect::Absent => None,
        Expect::Etag(etag) => match version(etag) {
            Some(version) => Some(version),
            None => return Wanted::InvalidEtag,
        },
    };
    match (&change.action, etag, earlier) {
        (Action::Delete, None, _) => Wanted::Mismatch,
        (Action::Put { .. }, None, None) => Wanted::Row(kv::Expect::Absent),
        (Action::Put { .. }, Some(version), None) => Wanted::Row(kv::Expect::Version(version)),
        (Action::Delete, Some(version), None) => Wanted::Row(kv::Expect::VersionOrAbsent(version)),
        (_, _, Some(Touched::Put)) => Wanted::Mismatch,
        (Action::Put { .. }, None, Some(Touched::Deleted)) => Wanted::Nothing,
        (Action::Put { .. }, Some(_), Some(Touched::Deleted)) => Wanted::Mismatch,
        (Action::Delete, Some(_), Some(Touched::Deleted)) => Wanted::Nothing,
    }
}

/// Only the text that this store makes of a version: no sign, no leading zeros, and never `0`.
fn version(etag: &Etag) -> Option<Version> {
    let version: u64 = etag.0.parse().ok()?;
    (version > 0 && version.to_string() == etag.0).then_some(Version(version))
}

/// `now` is taken before the row is read, so that something is left of whatever had not expired by then.
fn value(entry: Entry, now: Timestamp) -> Result<Value> {
    Ok(Value {
        data: decode(&entry.value)?,
        etag: Etag(entry.version.0.to_string()),
        ttl: entry.expires_at.map(|at| at.since(now)),
    })
}

fn encode(data: &[u8]) -> Bytes {
    let mut value = BytesMut::with_capacity(1 + data.len());
    value.put_u8(FORMAT);
    value.put_slice(data);
    value.freeze()
}

/// Shares the bytes, copies nothing.
fn decode(value: &Bytes) -> Result<Bytes> {
    match value.first() {
        Some(&FORMAT) => Ok(value.slice(1..)),
        Some(format) => Err(unreadable("state value", &format!("its format is {format}"))),
        None => Err(unreadable("state value", "it is empty")),
    }
}

#[cfg(test)]
mod tests;
