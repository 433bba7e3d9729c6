//! Sequences over a `Kv`: a counter row per key, which a commit raises without a read.
//!
//! The row is the last id of the last range: eight bytes, little endian, as [`Write::Add`] keeps every counter. It is the one
//! row without a format byte of ours, because the store does the sum. It never expires and is never deleted.
//!
//! Reservations are synced in every mode: an id has left the process when it is acknowledged.

use std::sync::Arc;

use async_trait::async_trait;
use base::{Error, Result, codes, limits};
use ports::kv::{Batch, Durability, Kv, Outcome, Write};
use ports::sequencer::{self, Range};

use super::keys::{self, Prefix};

/// Sequences of one component.
pub struct Sequencer {
    kv: Arc<dyn Kv>,
    rows: Prefix,
}

impl Sequencer {
    pub fn over(kv: Arc<dyn Kv>, component: &str) -> Sequencer {
        let rows = Prefix::of(keys::SEQUENCER, component);
        Sequencer { kv, rows }
    }

    /// Adds to `batch` what [`sequencer::Sequencer::reserve`] does. The batch becomes [`Durability::Synced`].
    pub fn stage_add(&self, mut batch: Batch, key: &str, count: u64) -> Result<(Batch, Reserved)> {
        if !(1..=limits::SEQUENCE_COUNT_MAX).contains(&count) {
            let message = format!(
                "{count} ids cannot be reserved at once; 1 to {} can",
                limits::SEQUENCE_COUNT_MAX
            );
            return Err(Error::new(codes::INVALID_ARGUMENT, message));
        }
        let sum = batch
            .writes
            .iter()
            .filter(|write| matches!(write, Write::Add { .. }))
            .count();
        batch.writes.push(self.add(key, count, 0)?);
        Ok((batch.durability(Durability::Synced), Reserved { sum, count }))
    }

    fn add(&self, key: &str, delta: u64, floor: u64) -> Result<Write> {
        let key = self.rows.row(key)?;
        Ok(Write::Add { key, delta, floor })
    }
}

/// A range in a batch that is not committed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// Which of the commit's sums.
    sum: usize,
    count: u64,
}

impl Reserved {
    /// The range, from the sums in [`Outcome::Committed`] of the batch that it was staged into.
    pub fn range(self, sums: &[u64]) -> Result<Range> {
        let last = sums.get(self.sum).copied();
        let first = last.and_then(|last| last.checked_sub(self.count - 1));
        match (first, last) {
            (Some(first @ 1..), Some(last)) => Ok(Range { first, last }),
            _ => Err(Error::new(
                codes::INTERNAL,
                "a commit did not answer the sum of a counter it raised",
            )),
        }
    }
}

#[async_trait]
impl sequencer::Sequencer for Sequencer {
    async fn reserve(&self, key: &str, count: u64) -> Result<Range> {
        let (batch, reserved) = self.stage_add(Batch::default(), key, count)?;
        reserved.range(&committed(self.kv.commit(batch).await?)?)
    }

    async fn raise(&self, key: &str, at_least: u64) -> Result<()> {
        let batch = Batch::of(vec![self.add(key, 0, at_least)?]).durability(Durability::Synced);
        committed(self.kv.commit(batch).await?).map(drop)
    }
}

fn committed(outcome: Outcome) -> Result<Vec<u64>> {
    match outcome {
        Outcome::Committed { sums, .. } => Ok(sums),
        Outcome::Conflict { .. } => Err(Error::new(
            codes::INTERNAL,
            "a commit without conditions met a conflict",
        )),
    }
}

#[cfg(test)]
mod tests;
