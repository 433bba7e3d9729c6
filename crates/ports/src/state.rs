//! Key-value state with etags, expiry and transactions.

use std::time::Duration;

use async_trait::async_trait;
use base::Result;
use bytes::Bytes;

/// An opaque text, new with every write of a key: it changes whenever the value may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Etag(pub String);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    pub data: Bytes,
    pub etag: Etag,
    /// What is left of the time to live, if there is one.
    pub ttl: Option<Duration>,
}

#[derive(Clone, Debug)]
pub struct Change {
    pub key: String,
    pub action: Action,
    pub expect: Expect,
}

#[derive(Clone, Debug)]
pub enum Action {
    /// Without a time to live the key stays until it is deleted, whatever it had before.
    Put { data: Bytes, ttl: Option<Duration> },
    /// Deleting what is not there succeeds, with any expectation but [`Expect::Absent`].
    Delete,
}

/// What must hold for a change to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    Anything,
    /// The key is not there: the first write wins.
    Absent,
    Etag(Etag),
}

/// Whether changes of one call stand or fall together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Atomicity {
    /// All or nothing. A store without [`Capabilities::transactions`] refuses with `Unimplemented`.
    Transaction,
    /// All or nothing where the store can; else in order, up to the first that fails.
    BestEffort,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    Done,
    /// The change of this index met another etag than expected. In a transaction nothing was written.
    Mismatch {
        index: usize,
    },
    /// The change of this index carried an etag that this store cannot have made. Nothing was written.
    InvalidEtag {
        index: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    pub transactions: bool,
    pub ttl: bool,
}

/// Every implementation MUST pass `conformance::state`:
/// - `get` answers one item per key, in the order of `keys`, duplicates included; a missing key is `Ok(None)`;
/// - what was acknowledged is seen by every later `get`;
/// - a change whose expectation fails changes nothing of its key: neither value, etag nor time to live;
/// - changes of one call to one key take effect in order.
///
/// Limits: key 1 to [`base::limits::KEY_BYTES_MAX`] bytes less the store's prefix, value up to
/// [`base::limits::VALUE_BYTES_MAX`] bytes less the store's header, time to live not zero (`InvalidArgument`). `Unavailable`
/// when the store can't be reached. Dropping a call's future may leave its changes made or not made, never half made in a
/// transaction.
#[async_trait]
pub trait StateStore: Send + Sync {
    fn capabilities(&self) -> Capabilities;
    async fn get(&self, keys: &[String]) -> Result<Vec<Result<Option<Value>>>>;
    async fn apply(&self, changes: Vec<Change>, atomicity: Atomicity) -> Result<Applied>;
}
