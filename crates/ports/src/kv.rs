//! The substrate of the engine: ordered keys, snapshot reads, and a commit that changes everything or nothing.
//!
//! One batch may touch any number of rows of any building block: a state value, an event and an id in one commit. That is
//! what lets one acknowledgement mean one thing.

use async_trait::async_trait;
use base::{Error, Result, Timestamp, codes, limits};
use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::watch;

/// Two busy keyspaces, not many quiet ones: each quiet one would hold back the journal of an embedded store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Keyspace {
    /// Rows that are read and overwritten: values, locks, counters, cursors.
    State,
    /// Rows that are appended, read in order and removed: events, change logs, journals.
    Journal,
}

/// A row's name: 1 to [`limits::KEY_BYTES_MAX`] bytes, ordered bytewise within its keyspace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub keyspace: Keyspace,
    pub bytes: Bytes,
}

impl Key {
    pub fn state(bytes: impl Into<Bytes>) -> Key {
        Key {
            keyspace: Keyspace::State,
            bytes: bytes.into(),
        }
    }

    pub fn journal(bytes: impl Into<Bytes>) -> Key {
        Key {
            keyspace: Keyspace::Journal,
            bytes: bytes.into(),
        }
    }
}

/// Number of the commit that last wrote a row. Larger with every commit of a store, restarts included; never zero, never
/// used twice: so it serves as etag, fencing token and position in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// A row that is there and has not expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub value: Bytes,
    pub version: Version,
    pub expires_at: Option<Timestamp>,
}

/// One change of one row.
#[derive(Clone, Debug)]
pub enum Write {
    /// Replaces value and expiry. Without an expiry the row stays until it is deleted.
    Put {
        key: Key,
        value: Bytes,
        expires_at: Option<Timestamp>,
    },
    /// Deleting what is not there is no error.
    Delete { key: Key },
    /// A new row at the end of the log `prefix`. Its key is `prefix` and the [`Position`] of this write, so rows of a log
    /// are read in commit order. Wakes whoever waits at [`Kv::appended`].
    Append {
        keyspace: Keyspace,
        prefix: Bytes,
        value: Bytes,
        expires_at: Option<Timestamp>,
    },
    /// Adds to a counter (a row of eight bytes, little endian; a missing one counts as 0), and leaves it at `floor` when the
    /// sum would be lower. The sums come back in [`Outcome::Committed`], in order.
    Add { key: Key, delta: u64, floor: u64 },
}

/// Where in a log a row is: the commit, and the write's index in its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    pub version: Version,
    pub index: u16,
}

impl Position {
    pub const BYTES: usize = 10;
    pub const START: Position = Position {
        version: Version(0),
        index: 0,
    };

    pub fn encode(self) -> [u8; Position::BYTES] {
        let mut bytes = [0; Position::BYTES];
        bytes[..8].copy_from_slice(&self.version.0.to_be_bytes());
        bytes[8..].copy_from_slice(&self.index.to_be_bytes());
        bytes
    }

    /// The position at the end of a log row's key.
    pub fn decode(key: &[u8]) -> Option<Position> {
        let tail = key.len().checked_sub(Position::BYTES).map(|at| &key[at..])?;
        let version = Version(u64::from_be_bytes(tail[..8].try_into().ok()?));
        let index = u16::from_be_bytes(tail[8..].try_into().ok()?);
        Some(Position { version, index })
    }
}

/// What must hold for a batch to be committed. An expired row counts as absent.
#[derive(Clone, Debug)]
pub struct Condition {
    pub key: Key,
    pub expect: Expect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    Absent,
    Present,
    Version(Version),
    VersionOrAbsent(Version),
}

impl Expect {
    /// Whether a row of this version (`None`: absent) is what was expected.
    pub fn holds(self, found: Option<Version>) -> bool {
        match self {
            Expect::Absent => found.is_none(),
            Expect::Present => found.is_some(),
            Expect::Version(version) => found == Some(version),
            Expect::VersionOrAbsent(version) => found.is_none_or(|found| found == version),
        }
    }
}

/// Proof of owning a partition; see [`crate::ownership`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fence {
    pub partition: u32,
    pub epoch: u64,
}

impl Fence {
    const PREFIX: &[u8] = b"\0owner/";

    /// The row that holds a partition's current epoch, in its first eight bytes, little endian.
    pub fn key(partition: u32) -> Key {
        let mut key = Fence::PREFIX.to_vec();
        key.extend_from_slice(&partition.to_be_bytes());
        Key::state(key)
    }

    /// Whether it is one of those rows: few, small, and needed for everything else.
    pub fn owns(key: &Key) -> bool {
        key.keyspace == Keyspace::State && key.bytes.starts_with(Fence::PREFIX)
    }
}

/// When a commit may be acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// Nobody waits for it: it survives the process at once, and the machine with the next sync.
    Buffered,
    /// As the engine's mode says: `durable` syncs first, `relaxed` leaves it to a timer.
    #[default]
    AsConfigured,
    /// Synced first in every mode: fencing tokens, and ids that leave the process.
    Synced,
}

/// Changes that are committed together or not at all.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub writes: Vec<Write>,
    pub conditions: Vec<Condition>,
    pub fence: Option<Fence>,
    pub durability: Durability,
    /// It leaves less behind than there was, though it also puts rows: a store that takes deletes only takes it.
    pub shrinks: bool,
}

impl Batch {
    pub fn of(writes: Vec<Write>) -> Batch {
        Batch {
            writes,
            ..Batch::default()
        }
    }

    pub fn put(mut self, key: Key, value: impl Into<Bytes>) -> Batch {
        self.writes.push(Write::Put {
            key,
            value: value.into(),
            expires_at: None,
        });
        self
    }

    pub fn delete(mut self, key: Key) -> Batch {
        self.writes.push(Write::Delete { key });
        self
    }

    pub fn expect(mut self, key: Key, expect: Expect) -> Batch {
        self.conditions.push(Condition { key, expect });
        self
    }

    pub fn fenced(mut self, fence: Fence) -> Batch {
        self.fence = Some(fence);
        self
    }

    pub fn durability(mut self, durability: Durability) -> Batch {
        self.durability = durability;
        self
    }

    pub fn shrinks(mut self, shrinks: bool) -> Batch {
        self.shrinks = shrinks;
        self
    }

    /// Whether it needs room: what a store that is nearly full refuses. What nobody waits for is bookkeeping, such as what a
    /// consumer has settled: small, and what lets rows be deleted. Who owns a partition is written at every start, which a full
    /// disk must not prevent.
    pub fn grows(&self) -> bool {
        let adds = |write: &Write| match write {
            Write::Delete { .. } => false,
            Write::Put { key, .. } => !Fence::owns(key),
            Write::Append { .. } | Write::Add { .. } => true,
        };
        !self.shrinks && self.durability != Durability::Buffered && self.writes.iter().any(adds)
    }

    /// Bytes of all keys and values.
    pub fn bytes(&self) -> usize {
        self.writes.iter().map(Write::bytes).sum()
    }

    /// Refuses what no store has to take: too many writes, keys or values out of bounds.
    pub fn check(&self) -> Result<()> {
        if self.writes.len() + self.conditions.len() > limits::BATCH_WRITES_MAX {
            let message = format!(
                "a commit of {} writes and conditions is over the limit of {}",
                self.writes.len() + self.conditions.len(),
                limits::BATCH_WRITES_MAX
            );
            return Err(Error::new(codes::BATCH_TOO_LARGE, message));
        }
        self.conditions
            .iter()
            .try_for_each(|condition| check_key(&condition.key.bytes, 0))?;
        self.writes.iter().try_for_each(Write::check)?;
        let bytes = self.bytes();
        if bytes > limits::BATCH_BYTES_MAX {
            let message = format!(
                "a commit of {bytes} bytes is over the limit of {}",
                limits::BATCH_BYTES_MAX
            );
            return Err(Error::new(codes::BATCH_TOO_LARGE, message));
        }
        Ok(())
    }
}

impl Write {
    pub fn bytes(&self) -> usize {
        match self {
            Write::Put { key, value, .. } => key.bytes.len() + value.len(),
            Write::Delete { key } => key.bytes.len(),
            Write::Append { prefix, value, .. } => prefix.len() + Position::BYTES + value.len(),
            Write::Add { key, .. } => key.bytes.len() + 8,
        }
    }

    fn check(&self) -> Result<()> {
        match self {
            Write::Put { key, value, .. } => check_key(&key.bytes, 0).and_then(|()| check_value(value)),
            Write::Delete { key } | Write::Add { key, .. } => check_key(&key.bytes, 0),
            Write::Append { prefix, value, .. } => {
                check_key(prefix, Position::BYTES).and_then(|()| check_value(value))
            }
        }
    }
}

fn check_key(key: &[u8], suffix: usize) -> Result<()> {
    if !key.is_empty() && key.len() + suffix <= limits::KEY_BYTES_MAX {
        return Ok(());
    }
    let message = format!(
        "a key has {} bytes, it may have 1 to {}",
        key.len() + suffix,
        limits::KEY_BYTES_MAX
    );
    Err(Error::new(codes::KEY_INVALID, message))
}

fn check_value(value: &[u8]) -> Result<()> {
    if value.len() <= limits::VALUE_BYTES_MAX {
        return Ok(());
    }
    let message = format!(
        "a value has {} bytes, it may have {}",
        value.len(),
        limits::VALUE_BYTES_MAX
    );
    Err(Error::new(codes::BATCH_TOO_LARGE, message))
}

/// How a commit ended. A conflict is an outcome, not an error: nothing was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Committed {
        version: Version,
        /// The sums of the batch's [`Write::Add`]s, in order.
        sums: Vec<u64>,
    },
    Conflict {
        /// Index of the first condition that did not hold.
        condition: usize,
        found: Option<Version>,
    },
}

/// A range of keys of one keyspace: `start` inclusive, `end` exclusive (`None`: to the last key).
#[derive(Clone, Debug)]
pub struct Scan {
    pub keyspace: Keyspace,
    pub start: Bytes,
    pub end: Option<Bytes>,
    /// At most [`limits::SCAN_ROWS_MAX`].
    pub limit: usize,
    /// A page ends with the row whose value brings it to this many bytes, so that large rows fill no memory. It has one
    /// row at least.
    pub bytes: usize,
    pub order: Order,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Ascending,
    Descending,
}

impl Scan {
    /// Every key that begins with `prefix`, in order.
    pub fn prefix(keyspace: Keyspace, prefix: impl Into<Bytes>) -> Scan {
        let start = prefix.into();
        let end = after_prefix(&start);
        Scan {
            keyspace,
            start,
            end,
            limit: limits::SCAN_ROWS_MAX,
            bytes: limits::SCAN_BYTES_MAX,
            order: Order::Ascending,
        }
    }

    /// Goes on behind this key.
    pub fn after(mut self, key: &[u8]) -> Scan {
        let mut start = key.to_vec();
        start.push(0);
        self.start = start.into();
        self
    }

    pub fn limit(mut self, limit: usize) -> Scan {
        self.limit = limit.min(limits::SCAN_ROWS_MAX);
        self
    }

    pub fn bytes(mut self, bytes: usize) -> Scan {
        self.bytes = bytes;
        self
    }

    pub fn descending(mut self) -> Scan {
        self.order = Order::Descending;
        self
    }
}

/// The first key behind all that begin with `prefix`; `None` when there is none.
pub fn after_prefix(prefix: &[u8]) -> Option<Bytes> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end.into())
}

/// Rows of a scan. `more` says whether the range holds further rows behind the last one here.
#[derive(Clone, Debug, Default)]
pub struct Page {
    pub rows: Vec<(Bytes, Entry)>,
    pub more: bool,
}

/// Reads of one consistent view. Never waits for a writer. Expired rows are not seen.
#[async_trait]
pub trait Reads: Send + Sync {
    async fn get(&self, key: &Key) -> Result<Option<Entry>>;
    /// One view for all of them; answers in the order of `keys`.
    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>>;
    async fn scan(&self, scan: Scan) -> Result<Page>;
}

/// An ordered, transactional store.
///
/// Every implementation MUST pass `conformance::kv`:
/// - a commit is visible whole or not at all, to readers and after a crash;
/// - conditions and fence are decided inside the commit, against everything committed before it;
/// - [`Outcome::Committed`] with [`Durability::Synced`] (or as configured, in `durable` mode) survives the machine; with
///   `Buffered` it survives the process;
/// - commits take effect in the order of the calls to [`Kv::commit`] by one caller, and their futures become ready in that
///   order: an acknowledgement implies all earlier writes;
/// - versions grow with every commit;
/// - reads through [`Reads`] see everything acknowledged before; each call is one view of its own.
///
/// Errors: `InvalidArgument` for a batch out of bounds, `Aborted` for a stale fence, `ResourceExhausted` when a queue or
/// the disk is full (nothing was written), `Unavailable` when the store cannot be reached or has stopped (the commit may or
/// may not be there).
#[async_trait]
pub trait Kv: Reads {
    /// Queues the batch in this call, not at the first poll, so that one caller may have several commits on the way.
    /// Dropping the future does not take the commit back.
    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<Outcome>>;

    /// A view that later commits do not change. Hold it briefly: it keeps old rows alive.
    fn snapshot(&self) -> Result<Box<dyn Reads>>;

    /// Becomes changed after each commit that appended to the log `prefix`, once the rows can be read. It holds the version
    /// of the last such commit that this process saw, or 0. May wake for nothing.
    fn appended(&self, keyspace: Keyspace, prefix: &Bytes) -> watch::Receiver<Version>;

    /// The time that expiries are judged by.
    fn now(&self) -> Timestamp;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_its_key() {
        let position = Position {
            version: Version(7 << 40),
            index: 513,
        };
        let key = [b"log/".as_slice(), &position.encode()].concat();
        assert_eq!(Position::decode(&key), Some(position));
        assert_eq!(Position::decode(b"short"), None);
    }

    #[test]
    fn prefixes_end_where_the_next_one_begins() {
        assert_eq!(after_prefix(b"ab").as_deref(), Some(b"ac".as_slice()));
        assert_eq!(after_prefix(b"a\xff\xff").as_deref(), Some(b"b".as_slice()));
        assert_eq!(after_prefix(b"\xff\xff"), None);
    }

    #[test]
    fn keys_and_batches_out_of_bounds_are_refused() {
        let long = vec![0; limits::KEY_BYTES_MAX + 1];
        let code = |batch: Batch| batch.check().expect_err("out of bounds").code();
        assert_eq!(
            code(Batch::default().put(Key::state(long), "")),
            codes::KEY_INVALID
        );
        assert_eq!(code(Batch::default().delete(Key::state(""))), codes::KEY_INVALID);
        let many = vec![Write::Delete { key: Key::state("k") }; limits::BATCH_WRITES_MAX + 1];
        assert_eq!(code(Batch::of(many)), codes::BATCH_TOO_LARGE);
    }
}
