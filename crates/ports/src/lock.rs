//! Mutual exclusion by key.

use std::time::Duration;

use async_trait::async_trait;
use base::Result;

/// Grows with every grant of a lock: whoever guards a resource refuses a smaller one than it has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token(pub u64);

/// Mutual exclusion by key, with a lease and a fencing token.
///
/// Every implementation MUST pass `conformance::lock`:
/// - at most one owner holds a key at a time, by the store's clock;
/// - a grant's token is larger than any token granted before for that key, restarts included;
/// - a lease never ends before `asked + ttl`, asked being when the store took the call, and ends within `ttl + 1 s` of the
///   grant: who must be sure counts from before calling;
/// - a lock is not re-entrant: its own owner is refused as well;
/// - dropping a call's future may leave the lock held: it then ends with its lease.
///
/// Limits: key 1 to [`base::limits::KEY_BYTES_MAX`] bytes less the store's prefix, owner up to the same (`InvalidArgument`).
/// `Unavailable` when the store can't be reached. "Held by another" is an outcome, not an error.
#[async_trait]
pub trait LockStore: Send + Sync {
    async fn try_lock(&self, key: &str, owner: &str, ttl: Duration) -> Result<TryLock>;
    /// Begins the lease anew, under the same token.
    async fn extend(&self, key: &str, owner: &str, ttl: Duration) -> Result<Extend>;
    async fn unlock(&self, key: &str, owner: &str) -> Result<Unlock>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryLock {
    Granted(Token),
    Held,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extend {
    Extended(Token),
    /// Never taken, released, or its lease is over.
    NotLocked,
    HeldByAnother,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlock {
    Released,
    /// Never taken, released, or its lease is over.
    NotLocked,
    HeldByAnother,
}
