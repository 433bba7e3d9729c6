//! What a partition knows of itself: how far it came, and whose turn it is.

use base::{Error, Result, codes};
use machines::Stored;
use ports::kv::{Batch, Durability, Expect, Fence, Kv, Outcome};

use super::TURNS;
use crate::keys;

/// Stored in the row of the next batch's turn.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Row {
    #[prost(uint64, tag = "1")]
    index: u64,
}

impl Stored for Row {}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Layout {
    #[prost(uint32, tag = "1")]
    partitions: u32,
}

impl Stored for Layout {}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meta {
    /// Of the last step that changed something.
    pub(super) index: u64,
    /// Of the next batch.
    pub(super) turn: u8,
}

impl Meta {
    pub(super) fn to_row(self) -> bytes::Bytes {
        Row { index: self.index }.to_row()
    }
}

/// Of what a new store begins with: whatever is synced later implies it, and a full disk does not refuse it.
const FIRST: Durability = Durability::Buffered;

/// How many partitions the store has: what it was made with, or `wanted` when it is new.
pub(crate) async fn count(kv: &dyn Kv, wanted: u16) -> Result<u16> {
    let key = keys::count();
    if let Some(entry) = kv.get(&key).await? {
        let layout = Layout::from_row(&entry.value)?;
        return u16::try_from(layout.partitions)
            .ok()
            .filter(|count| *count > 0)
            .ok_or_else(|| Error::new(codes::STORED_ROW_UNREADABLE, "a store without partitions"));
    }
    let layout = Layout {
        partitions: u32::from(wanted.max(1)),
    };
    let batch = Batch::default()
        .put(key.clone(), layout.to_row())
        .expect(key, Expect::Absent)
        .durability(FIRST);
    match kv.commit(batch).await? {
        Outcome::Committed { .. } => Ok(wanted.max(1)),
        Outcome::Conflict { .. } => Err(Error::new(codes::CONTENDED, "another process sets this store up")),
    }
}

/// Reads where a partition stands; a new one begins at turn 0.
pub(super) async fn begin(kv: &dyn Kv, partition: u16, fence: Fence) -> Result<Meta> {
    if let Some(meta) = find(kv, partition).await? {
        return Ok(meta);
    }
    let batch = Batch::default()
        .put(keys::turn(partition, 0), Meta::default().to_row())
        .fenced(fence)
        .durability(FIRST);
    kv.commit(batch).await?;
    Ok(Meta::default())
}

pub(super) async fn read(kv: &dyn Kv, partition: u16) -> Result<Meta> {
    let missing = || Error::new(codes::STORED_ROW_UNREADABLE, "a partition has lost its turn");
    find(kv, partition).await?.ok_or_else(missing)
}

async fn find(kv: &dyn Kv, partition: u16) -> Result<Option<Meta>> {
    let turns: Vec<_> = (0..TURNS).map(|turn| keys::turn(partition, turn)).collect();
    for (turn, entry) in (0..).zip(kv.get_many(&turns).await?) {
        if let Some(entry) = entry {
            let Row { index } = Row::from_row(&entry.value)?;
            return Ok(Some(Meta { index, turn }));
        }
    }
    Ok(None)
}
