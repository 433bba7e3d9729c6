//! Numbers that are never handed out twice.

use async_trait::async_trait;
use base::Result;

/// The ids `first ..= last`, all of them the caller's alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub first: u64,
    pub last: u64,
}

/// Every implementation MUST pass `conformance::sequencer`:
/// - no id is in two ranges of a key, crashes included: a range is durable before it is handed out;
/// - a range begins behind every range handed out before; the first one of a fresh key begins at 1;
/// - after `raise(key, n)` has returned, every later id is larger than `n`.
///
/// Limits: key 1 to [`base::limits::KEY_BYTES_MAX`] bytes less the store's prefix, count 1 to 1,000,000
/// (`InvalidArgument`). `Unavailable` when the store can't be reached. Dropping a call's future may lose its range: a gap,
/// never a repetition.
#[async_trait]
pub trait Sequencer: Send + Sync {
    async fn reserve(&self, key: &str, count: u64) -> Result<Range>;
    async fn raise(&self, key: &str, at_least: u64) -> Result<()>;
}
