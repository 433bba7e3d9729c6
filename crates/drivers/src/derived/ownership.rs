//! Ownership over a `Kv`: the row that [`Fence::key`] names, which the store itself looks at when a commit carries a fence.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | epoch, little endian: first, because that is where the store looks |
//! | 1 | format 1 |
//! | 8 | end of the lease, milliseconds, little endian; 0: given up |
//! | rest | owner, UTF-8 |
//!
//! The row stays for good, whatever becomes of the lease: it is what the next epoch has to be larger than. So its end is in the
//! value and is judged here, by the store's clock. A claim is `epoch + 1` under a condition on the row's version: the epoch has to
//! be in the commit, whose own version is not known yet.
//!
//! A lease counts from the moment of asking, as its owner should count it too. Claims are synced in every mode. Renewals are
//! not: a crash that takes one back only lets the lease end sooner, and a new claim fences the old owner anyway.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{Error, Result, Timestamp, codes, limits};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use ports::kv::{Batch, Durability, Entry, Expect, Fence, Key, Kv, Outcome, Version};
use ports::ownership::{self, Claim, Owner, Renewal};

use super::{contended, expiry, unreadable};

const FORMAT: u8 = 1;
const HEADER: usize = 17;
const GIVEN_UP: Timestamp = Timestamp(0);

/// Ownership of the partitions of one store.
pub struct Ownership {
    kv: Arc<dyn Kv>,
}

impl Ownership {
    pub fn over(kv: Arc<dyn Kv>) -> Ownership {
        Ownership { kv }
    }

    async fn stored(&self, key: &Key) -> Result<Option<Stored>> {
        self.kv.get(key).await?.map(Stored::read).transpose()
    }

    /// Whether the row was still as `before` says.
    async fn write(&self, key: &Key, before: Expect, row: &Row, durability: Durability) -> Result<bool> {
        let batch = Batch::default()
            .put(key.clone(), row.encode())
            .expect(key.clone(), before)
            .durability(durability);
        let outcome = self.kv.commit(batch).await?;
        Ok(matches!(outcome, Outcome::Committed { .. }))
    }

    /// Sets the end of a claim's lease, unless the claim is over: another came, or it was given up.
    async fn set_end(&self, fence: Fence, end: impl Fn() -> Timestamp) -> Result<Renewal> {
        let key = Fence::key(fence.partition);
        for _ in 0..limits::CONTENDED_TRIES_MAX {
            let Some(Stored { version, row }) = self.stored(&key).await? else {
                return Ok(Renewal::Lost);
            };
            if row.epoch != fence.epoch || row.ends == GIVEN_UP {
                return Ok(Renewal::Lost);
            }
            let row = Row { ends: end(), ..row };
            if self
                .write(&key, Expect::Version(version), &row, Durability::AsConfigured)
                .await?
            {
                return Ok(Renewal::Renewed);
            }
        }
        Err(contended("the partition's owner"))
    }
}

#[async_trait]
impl ownership::Ownership for Ownership {
    async fn claim(&self, partition: u32, owner: &Owner, lease: Duration) -> Result<Claim> {
        check(owner)?;
        check_lease(lease)?;
        let key = Fence::key(partition);
        for _ in 0..limits::CONTENDED_TRIES_MAX {
            let stored = self.stored(&key).await?;
            let now = self.kv.now();
            let (epoch, before) = match stored {
                None => (1, Expect::Absent),
                Some(Stored { row, .. }) if row.owner != owner.0 && row.ends > now => {
                    return Ok(Claim::Held { by: Owner(row.owner) });
                }
                Some(Stored { row, version }) => (row.epoch + 1, Expect::Version(version)),
            };
            let row = Row {
                epoch,
                ends: expiry(now, lease),
                owner: owner.0.clone(),
            };
            if self.write(&key, before, &row, Durability::Synced).await? {
                return Ok(Claim::Granted(Fence { partition, epoch }));
            }
        }
        Err(contended("the partition's owner"))
    }

    async fn renew(&self, fence: Fence, lease: Duration) -> Result<Renewal> {
        check_lease(lease)?;
        self.set_end(fence, || expiry(self.kv.now(), lease)).await
    }

    async fn release(&self, fence: Fence) -> Result<()> {
        self.set_end(fence, || GIVEN_UP).await.map(drop)
    }
}

fn check(owner: &Owner) -> Result<()> {
    if (1..=limits::OWNER_BYTES_MAX).contains(&owner.0.len()) {
        return Ok(());
    }
    let message = format!(
        "an owner's name has {} bytes, it may have 1 to {}",
        owner.0.len(),
        limits::OWNER_BYTES_MAX
    );
    Err(Error::new(codes::INVALID_ARGUMENT, message))
}

fn check_lease(lease: Duration) -> Result<()> {
    let possible = limits::OWNERSHIP_LEASE_MIN..=limits::OWNERSHIP_LEASE_MAX;
    if possible.contains(&lease) {
        return Ok(());
    }
    let message = format!(
        "a partition's lease of {lease:?} is not possible; it may last {:?} to {:?}",
        possible.start(),
        possible.end()
    );
    Err(Error::new(codes::TTL_INVALID, message))
}

struct Stored {
    version: Version,
    row: Row,
}

impl Stored {
    fn read(entry: Entry) -> Result<Stored> {
        Ok(Stored {
            version: entry.version,
            row: Row::decode(entry.value)?,
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    epoch: u64,
    ends: Timestamp,
    owner: String,
}

impl Row {
    fn encode(&self) -> Bytes {
        let mut value = BytesMut::with_capacity(HEADER + self.owner.len());
        value.put_u64_le(self.epoch);
        value.put_u8(FORMAT);
        value.put_u64_le(self.ends.0);
        value.put_slice(self.owner.as_bytes());
        value.freeze()
    }

    fn decode(mut value: Bytes) -> Result<Row> {
        if value.len() < HEADER {
            return Err(unreadable("partition's owner", "it is cut short"));
        }
        let epoch = value.get_u64_le();
        let format = value.get_u8();
        if format != FORMAT {
            return Err(unreadable(
                "partition's owner",
                &format!("its format is {format}"),
            ));
        }
        let ends = Timestamp(value.get_u64_le());
        let owner = String::from_utf8(value.to_vec())
            .map_err(|cause| unreadable("partition's owner", "its name is not UTF-8").because(cause))?;
        Ok(Row { epoch, ends, owner })
    }
}

#[cfg(test)]
mod tests;
