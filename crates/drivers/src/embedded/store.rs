//! fjall's keyspaces, read and written as rows. No type of fjall leaves this file and `committer`.

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use base::{Clock, Error, Result, Timestamp, codes, limits};
use bytes::Bytes;
use fjall::compaction::Leveled;
use fjall::config::PartitioningPolicy;
use fjall::{Database, KeyspaceCreateOptions, PersistMode, Readable};
use ports::kv::{Entry, Key, Keyspace, Order, Page, Reads, Scan, Version};

use super::settings::Options;
use crate::kv::{Row, View};

/// Rows of the store itself begin with a zero byte; no component's do.
const LAST_COMMIT: &[u8] = b"\0commit";
/// Then the time (8 bytes, big endian), the keyspace (1) and the key.
const EXPIRY: &[u8] = b"\0expiry/";

const MIB: u64 = 1 << 20;

/// Small, so that few bytes of state are merged at once: a level's first merge takes what waits (4 tables) and the level (4 more).
/// Rows of journals come in order and are hardly merged at all; small tables would only be moved more often.
const STATE_TABLE_BYTES: u64 = 16 * MIB;
const JOURNAL_TABLE_BYTES: u64 = 64 * MIB;
/// New tables are there before the ones they replace go: one merge, of 11 tables of state or 8 of a journal, is at work at once.
const MERGE_BYTES_MAX: u64 = 512 * MIB;

#[derive(Clone)]
pub(super) struct Store {
    database: Database,
    state: fjall::Keyspace,
    journal: fjall::Keyspace,
}

/// What came of writing all tables anew.
pub(super) enum Rewrite {
    Done,
    TooLarge,
    /// What is in memory was not written in time.
    NotYet,
}

impl Store {
    /// The store and its last commit.
    pub(super) fn open(path: &Path, options: &Options) -> Result<(Store, Version)> {
        let failed = |cause| cannot_open(path, cause);
        let database = Database::builder(path)
            .cache_size(options.cache_mib * MIB)
            .max_journaling_size(options.journals_max_mib * MIB)
            // Of more, the first one runs in circles as long as another one merges.
            .worker_threads(1)
            .manual_journal_persist(true)
            .open()
            .map_err(failed)?;
        let keyspace = |name: &str, memory_mib: u64, table_bytes: u64| {
            database.keyspace(name, || {
                KeyspaceCreateOptions::default()
                    .max_memtable_size(memory_mib * MIB)
                    .compaction_strategy(Arc::new(Leveled::default().with_table_target_size(table_bytes)))
                    // Or the whole index of every table of the upper levels stays in memory, and grows with what is stored.
                    .index_block_partitioning_policy(PartitioningPolicy::all(true))
                    .manual_journal_persist(true)
            })
        };
        let state = keyspace("state", options.state_memory_mib, STATE_TABLE_BYTES).map_err(failed)?;
        let journal = keyspace("journal", options.journal_memory_mib, JOURNAL_TABLE_BYTES).map_err(failed)?;
        let store = Store {
            database,
            state,
            journal,
        };
        let last = store.last_commit()?;
        Ok((store, last))
    }

    fn last_commit(&self) -> Result<Version> {
        let Some(bytes) = self.state.get(LAST_COMMIT).map_err(failed)? else {
            return Ok(Version(0));
        };
        let number = bytes[..].try_into().map_err(|_| {
            Error::new(
                codes::STORED_ROW_UNREADABLE,
                "the row of the last commit has not 8 bytes",
            )
        })?;
        Ok(Version(u64::from_le_bytes(number)))
    }

    fn keyspace(&self, keyspace: Keyspace) -> &fjall::Keyspace {
        match keyspace {
            Keyspace::State => &self.state,
            Keyspace::Journal => &self.journal,
        }
    }

    pub(super) fn get(&self, key: &Key, clock: &dyn Clock) -> Result<Option<Entry>> {
        let Some(row) = self.row(key)? else {
            return Ok(None);
        };
        // Only rows with an expiry ask for the time.
        let gone = row.expires_at.is_some_and(|at| at <= clock.now());
        Ok((!gone).then(|| row.into_entry()))
    }

    pub(super) fn view(&self, now: Timestamp) -> Snapshot {
        Snapshot {
            store: self.clone(),
            snapshot: self.database.snapshot(),
            now,
        }
    }

    /// Writes changes and the number of their last commit as one batch.
    pub(super) fn write(
        &self,
        changes: Vec<(Key, Option<Row>)>,
        last: Version,
        sync: bool,
    ) -> Result<(), fjall::Error> {
        let mode = if sync {
            PersistMode::SyncData
        } else {
            PersistMode::Buffer
        };
        let mut batch = self.database.batch().durability(Some(mode));
        for (key, row) in changes {
            let keyspace = self.keyspace(key.keyspace);
            match row {
                Some(row) => {
                    if let Some(at) = row.expires_at {
                        batch.insert(&self.state, expiry_key(at, &key), Bytes::new());
                    }
                    batch.insert(keyspace, key.bytes, row.encode());
                }
                None => batch.remove(keyspace, key.bytes),
            }
        }
        batch.insert(&self.state, LAST_COMMIT, last.0.to_le_bytes());
        batch.commit()
    }

    /// Removes rows whose time is over, a step's worth; says whether there may be more. Only the committer may call it:
    /// nobody else writes meanwhile.
    pub(super) fn sweep(&self, now: Timestamp) -> Result<bool, fjall::Error> {
        let end = [EXPIRY, &now.0.saturating_add(1).to_be_bytes()].concat();
        let mut batch = self.database.batch().durability(Some(PersistMode::Buffer));
        let mut count = 0;
        for guard in self
            .state
            .range(EXPIRY.to_vec()..end)
            .take(limits::SWEEP_ROWS_MAX)
        {
            let index = guard.key()?;
            count += 1;
            if let Some(key) = expiring_key(&index)
                && let Some(bytes) = self.keyspace(key.keyspace).get(&key.bytes)?
                && Row::decode(bytes.into()).is_ok_and(|row| row.expired(now))
            {
                batch.remove(self.keyspace(key.keyspace), key.bytes);
            }
            batch.remove(&self.state, index);
        }
        if count > 0 {
            batch.commit()?;
        }
        Ok(count == limits::SWEEP_ROWS_MAX)
    }

    pub(super) fn sync(&self) -> Result<(), fjall::Error> {
        self.database.persist(PersistMode::SyncData)
    }

    /// Grows with every write.
    pub(super) fn sequence(&self) -> u64 {
        self.database.seqno()
    }

    /// Writes all tables anew without what was deleted, if what is kept has at most `room` bytes.
    pub(super) fn rewrite(&self, room: u64, patience: Duration) -> Result<Rewrite, fjall::Error> {
        if !self.fits(room)? {
            return Ok(Rewrite::TooLarge);
        }
        let keyspaces = [&self.state, &self.journal];
        for keyspace in keyspaces {
            keyspace.rotate_memtable()?;
        }
        let until = Instant::now() + patience;
        while keyspaces
            .iter()
            .any(|keyspace| keyspace.sealed_memtable_count() > 0)
        {
            if Instant::now() > until {
                return Ok(Rewrite::NotYet);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        for keyspace in keyspaces {
            keyspace.major_compact()?;
        }
        Ok(Rewrite::Done)
    }

    /// Whether all rows that are kept have at most so many bytes. Looks at no more than these.
    fn fits(&self, mut room: u64) -> Result<bool, fjall::Error> {
        for row in self.state.iter().chain(self.journal.iter()) {
            let (key, value) = row.into_inner()?;
            match room.checked_sub((key.len() + value.len()) as u64) {
                Some(rest) => room = rest,
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    #[cfg(test)]
    pub(super) fn rows_stored(&self) -> Result<usize, fjall::Error> {
        Ok(self.state.len()? + self.journal.len()?)
    }

    pub(super) fn journal_bytes(&self) -> u64 {
        self.database.journal_disk_space().unwrap_or(0)
    }

    /// Of rows that are in memory until they are written as a table.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.database.write_buffer_size()
    }

    /// What merging tables may take from the disk for a while.
    pub(super) fn merge_bytes(&self) -> u64 {
        (self.state.disk_space() + self.journal.disk_space()).min(MERGE_BYTES_MAX)
    }

    pub(super) fn disk_bytes(&self) -> u64 {
        self.database.disk_space().unwrap_or(0)
    }
}

impl View for Store {
    fn row(&self, key: &Key) -> Result<Option<Row>> {
        let bytes = self.keyspace(key.keyspace).get(&key.bytes).map_err(failed)?;
        bytes.map(|bytes| Row::decode(bytes.into())).transpose()
    }
}

fn expiry_key(at: Timestamp, key: &Key) -> Vec<u8> {
    let keyspace = match key.keyspace {
        Keyspace::State => 0,
        Keyspace::Journal => 1,
    };
    [EXPIRY, &at.0.to_be_bytes(), &[keyspace], &key.bytes].concat()
}

/// The key that a row of the expiry index speaks of.
fn expiring_key(index: &[u8]) -> Option<Key> {
    let rest = index.get(EXPIRY.len() + 8..)?;
    let (keyspace, bytes) = rest.split_first()?;
    let keyspace = if *keyspace == 0 {
        Keyspace::State
    } else {
        Keyspace::Journal
    };
    Some(Key {
        keyspace,
        bytes: Bytes::copy_from_slice(bytes),
    })
}

/// One consistent view.
pub(super) struct Snapshot {
    store: Store,
    snapshot: fjall::Snapshot,
    now: Timestamp,
}

impl Snapshot {
    fn entry(&self, key: &Key) -> Result<Option<Entry>> {
        let bytes = self
            .snapshot
            .get(self.store.keyspace(key.keyspace), &key.bytes)
            .map_err(failed)?;
        let row = bytes.map(|bytes| Row::decode(bytes.into())).transpose()?;
        Ok(row.filter(|row| !row.expired(self.now)).map(Row::into_entry))
    }

    fn page(&self, rows: impl Iterator<Item = fjall::Guard>, limit: usize, bytes: usize) -> Result<Page> {
        let (mut page, mut read) = (Page::default(), 0);
        for guard in rows {
            let (key, stored) = guard.into_inner().map_err(failed)?;
            let row = Row::decode(stored.into())?;
            if row.expired(self.now) {
                continue;
            }
            if page.rows.len() == limit || (!page.rows.is_empty() && read >= bytes) {
                page.more = true;
                break;
            }
            read += row.value.len();
            page.rows.push((key.into(), row.into_entry()));
        }
        Ok(page)
    }
}

#[async_trait]
impl Reads for Snapshot {
    async fn get(&self, key: &Key) -> Result<Option<Entry>> {
        self.entry(key)
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>> {
        keys.iter().map(|key| self.entry(key)).collect()
    }

    async fn scan(&self, scan: Scan) -> Result<Page> {
        if scan.end.as_ref().is_some_and(|end| *end <= scan.start) {
            return Ok(Page::default());
        }
        let end = scan.end.map_or(Bound::Unbounded, Bound::Excluded);
        let range = (Bound::Included(scan.start), end);
        let rows = self.snapshot.range(self.store.keyspace(scan.keyspace), range);
        let limit = scan.limit.min(limits::SCAN_ROWS_MAX);
        match scan.order {
            Order::Ascending => self.page(rows, limit, scan.bytes),
            Order::Descending => self.page(rows.rev(), limit, scan.bytes),
        }
    }
}

fn failed(cause: fjall::Error) -> Error {
    Error::new(codes::INTERNAL, "the engine's store cannot be read").because(cause)
}

fn cannot_open(path: &Path, cause: fjall::Error) -> Error {
    let shown = path.display();
    match &cause {
        fjall::Error::Locked => Error::new(
            codes::DATA_DIR_LOCKED,
            format!("another process has {shown} open"),
        ),
        fjall::Error::InvalidVersion(version) => {
            let message =
                format!("the store in {shown} has a format that this belay does not know: {version:?}");
            Error::new(codes::DATA_FORMAT_NEWER, message)
        }
        fjall::Error::Io(why) => {
            let message = format!("the store in {shown} cannot be opened: {why}");
            Error::new(codes::DATA_DIR_UNUSABLE, message)
        }
        why => Error::new(
            codes::DATA_DAMAGED,
            format!("the store in {shown} is damaged: {why}"),
        ),
    }
    .because(cause)
}
