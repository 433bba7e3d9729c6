//! Who owns a partition.

use std::time::Duration;

use async_trait::async_trait;
use base::Result;

use crate::kv::Fence;

/// Names a process for as long as it lives: 1 to 128 bytes, new at each start.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner(pub String);

/// One owner per partition, with an epoch that grows with every claim.
///
/// Every implementation MUST pass `conformance::ownership`:
/// - at most one owner holds a partition at a time, by the store's clock;
/// - the epoch of a claim is larger than any before for that partition, restarts included;
/// - from the moment of a new claim the store refuses commits that carry an older epoch, whatever their owner believes.
///
/// Limits: lease 1 s to 1 h. `Unavailable` when the store can't be reached. "Held by another" is an outcome.
#[async_trait]
pub trait Ownership: Send + Sync {
    /// Takes the partition if it is free, its lease is over, or `owner` holds it already (with a new epoch).
    async fn claim(&self, partition: u32, owner: &Owner, lease: Duration) -> Result<Claim>;
    /// Prolongs a claim under the same epoch.
    async fn renew(&self, fence: Fence, lease: Duration) -> Result<Renewal>;
    /// Gives the partition up; its epoch stays taken.
    async fn release(&self, fence: Fence) -> Result<()>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    Granted(Fence),
    Held { by: Owner },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    Renewed,
    /// Another claim came in between.
    Lost,
}
