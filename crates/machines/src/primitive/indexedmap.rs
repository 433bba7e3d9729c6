//! Entries at positions that only grow, each with a key of its own. Source: Atomix indexed map v1, intended semantics
//! (spec 2.4).
//!
//! | command | no such entry | there |
//! |---|---|---|
//! | `Append` | written at the next index | `AlreadyExists` |
//! | `Update` | `NotFound` | asked in this order: the index has another key than named, `DataLoss`; another version than expected, `Aborted`; an equal value, nothing, its time to live neither; else written |
//! | `Remove` | `NotFound` | removed; `Aborted` at another version |
//! | `Clear` | nothing | everything is removed, told as one event |
//! | its time is over | nothing | removed, told as expired; nothing when a later write has a time of its own |
//!
//! Indexes are 1, 2, 3 ... and never used twice, whatever is removed or cleared. An entry that is written takes the step's
//! index as version, and its time to live, or none.
//!
//! | row | part | name | holds |
//! |---|---|---|---|
//! | head | 0 | | generation, last index, size |
//! | entry | 1 | generation, index | key, value, version, end |
//! | key | 2 | generation, key | index |
//!
//! Names' numbers have eight bytes, big endian, so that rows are in order of their indexes. **Generations:** a clear changes
//! the head only. Rows of earlier generations are out of reach from then on and never change again, so whoever hears of the
//! clear can still read what it removed.

use std::time::Duration;

use base::{Error, Result, Timestamp, codes, limits};
use bytes::{Bytes, BytesMut};

use super::{Type, Versioned, collection, ttl, version};
use crate::engine::PartScan;
use crate::key::{Address, Key};
use crate::message::{Expire, Sweep};
use crate::row::Stored;
use crate::step::{Answer, At};
use crate::view::{Stop, View};

mod listing;

#[cfg(test)]
mod tests;

pub use listing::{Listing, Order, nearest};

/// Which entry is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    Key(String),
    Index(u64),
    /// The one at that index, which must have that key.
    Both {
        index: u64,
        key: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Append {
        key: String,
        value: Bytes,
        ttl: Option<Duration>,
    },
    /// `expect` 0: any version.
    Update {
        which: Which,
        value: Bytes,
        ttl: Option<Duration>,
        expect: u64,
    },
    Remove {
        which: Which,
        expect: u64,
    },
    Clear,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    Get(Which),
    /// What one needs to know before reading rows in order.
    Overview,
    /// What a clear removed under that key.
    Cleared {
        generation: u64,
        key: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// What is there now, or was until now.
    Entry(Entry),
    Overview {
        generation: u64,
        size: u64,
        /// Of generations before this one rows are being removed.
        swept: u64,
    },
    Cleared,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Inserted(Entry),
    Updated {
        now: Entry,
        before: Versioned,
    },
    Removed {
        was: Entry,
        expired: bool,
    },
    /// Everything of that generation is removed: [`Listing::cleared`] tells what that was.
    Cleared {
        generation: u64,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub index: u64,
    pub value: Versioned,
}

const ENTRIES: u8 = 1;
const KEYS: u8 = 2;

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Head {
    #[prost(uint64, tag = "1")]
    generation: u64,
    /// The last one that was given away.
    #[prost(uint64, tag = "2")]
    index: u64,
    #[prost(uint64, tag = "3")]
    size: u64,
    /// Of generations before this one rows are being removed.
    #[prost(uint64, tag = "4")]
    swept: u64,
}

impl Stored for Head {}

#[derive(Clone, PartialEq, prost::Message)]
struct EntryRow {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
    #[prost(uint64, tag = "3")]
    version: u64,
    /// Milliseconds since the Unix epoch.
    #[prost(uint64, optional, tag = "4")]
    ends: Option<u64>,
}

impl Stored for EntryRow {}

impl EntryRow {
    fn entry(&self, index: u64) -> Entry {
        Entry {
            key: self.key.clone(),
            index,
            value: Versioned {
                value: self.value.clone(),
                version: self.version,
            },
        }
    }

    fn end(&self) -> Option<Timestamp> {
        self.ends.map(Timestamp)
    }
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct KeyRow {
    #[prost(uint64, tag = "1")]
    index: u64,
}

impl Stored for KeyRow {}

pub(super) fn apply(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    command: &Command,
) -> Result<Answer, Stop> {
    let mut map = Map::open(view, address)?;
    let reply = match command {
        Command::Append { key, value, ttl } => Reply::Entry(map.append(at, key, (value, *ttl))?),
        Command::Update {
            which,
            value,
            ttl,
            expect,
        } => Reply::Entry(map.update(at, which, (value, *ttl), *expect)?),
        Command::Remove { which, expect } => Reply::Entry(map.remove(at, which, *expect)?),
        Command::Clear => map.clear(at),
    };
    Ok(Answer::Now(reply.into()))
}

pub(super) fn read(view: &View<'_>, now: Timestamp, address: &Address, query: &Query) -> Result<Reply, Stop> {
    let head: Head = view.load(&Key::head(address))?.unwrap_or_default();
    match query {
        Query::Get(which) => {
            let found = find(view, address, head.generation, which)?;
            let live = found.filter(|(_, row)| !ttl::is_over(row.end(), now));
            let (index, row) = live.ok_or_else(missing)?;
            Ok(Reply::Entry(row.entry(index)))
        }
        Query::Overview => Ok(Reply::Overview {
            generation: head.generation,
            size: head.size,
            swept: head.swept,
        }),
        Query::Cleared { generation, .. } if *generation < head.swept => Err(removed_already().into()),
        Query::Cleared { generation, key } => {
            let found = find(view, address, *generation, &Which::Key(key.clone()))?;
            let (index, row) = found.ok_or_else(missing)?;
            Ok(Reply::Entry(row.entry(index)))
        }
    }
}

/// A timer from before a clear finds nothing: no index is used twice.
pub(super) fn expire(view: &mut View<'_>, address: &Address, expire: &Expire) -> Result<(), Stop> {
    let Ok(index) = <[u8; 8]>::try_from(expire.entry.as_ref()) else {
        return Ok(());
    };
    let mut map = Map::open(view, address)?;
    match map.find(&Which::Index(u64::from_be_bytes(index)))? {
        Some((index, row)) if row.version == expire.version => map.delete(index, &row, true),
        _ => {}
    }
    Ok(())
}

/// Removes some rows of a generation that was cleared, and comes again for the next ones.
pub(super) fn sweep(view: &mut View<'_>, at: At, address: &Address, sweep: &Sweep) -> Result<(), Stop> {
    let mut head: Head = view.load(&Key::head(address))?.unwrap_or_default();
    let page = view.range(&PartScan {
        part: ENTRIES,
        prefix: Bytes::copy_from_slice(&sweep.generation.to_be_bytes()),
        after: Some(sweep.after.clone()).filter(|after| !after.is_empty()),
        limit: limits::COLLECTION_SWEEP_ROWS,
        descending: false,
    })?;
    if head.swept <= sweep.generation {
        head.swept = sweep.generation.saturating_add(1);
        view.store(Key::head(address), &head);
    }
    let mut last = None;
    for (name, row) in page.rows {
        let row = EntryRow::from_row(&row)?;
        let index = name.slice(8.min(name.len())..);
        life(address, &index).change(view, row.end(), None, 0);
        view.delete(Key::part(address, KEYS, &key_name(sweep.generation, &row.key)));
        view.delete(Key::part(address, ENTRIES, &name));
        last = Some(name);
    }
    if let Some(after) = last.filter(|_| page.more) {
        let due = at.now.plus(limits::COLLECTION_SWEEP_STEP_PAUSE);
        let next = Sweep {
            after,
            ..sweep.clone()
        };
        collection::set_sweep(view, address, due, next);
    }
    Ok(())
}

/// Whoever reads what a clear has removed comes too late.
fn removed_already() -> Error {
    let message = "what was cleared is being removed already: watch again, and read everything anew";
    Error::new(codes::WATCH_BEHIND, message)
}

/// A map while a step changes it.
struct Map<'m, 'v> {
    view: &'m mut View<'v>,
    address: &'m Address,
    head: Head,
}

impl<'m, 'v> Map<'m, 'v> {
    fn open(view: &'m mut View<'v>, address: &'m Address) -> Result<Map<'m, 'v>, Stop> {
        let head = view.load(&Key::head(address))?.unwrap_or_default();
        Ok(Map { view, address, head })
    }

    fn append(&mut self, at: At, key: &str, (value, ttl): (&Bytes, Option<Duration>)) -> Result<Entry, Stop> {
        if self.live(at, &Which::Key(key.to_owned()))?.is_some() {
            let message = "the map has an entry of that key already";
            return Err(Error::new(codes::ENTRY_EXISTS, message).into());
        }
        // What is damaged must not end in a panic.
        self.head.index = self.head.index.saturating_add(1);
        self.head.size = self.head.size.saturating_add(1);
        let index = self.head.index;
        let name = key_name(self.head.generation, key);
        self.view
            .store(Key::part(self.address, KEYS, &name), &KeyRow { index });
        self.save();
        let row = new_row(at, key, value, ttl);
        self.put(index, None, &row);
        let entry = row.entry(index);
        self.view.emit(Event::Inserted(entry.clone()));
        Ok(entry)
    }

    fn update(
        &mut self,
        at: At,
        which: &Which,
        (value, ttl): (&Bytes, Option<Duration>),
        expect: u64,
    ) -> Result<Entry, Stop> {
        let (index, before) = self.live(at, which)?.ok_or_else(missing)?;
        same_key(which, &before)?;
        version::check(expect, before.version)?;
        if before.value == *value {
            return Ok(before.entry(index));
        }
        let row = new_row(at, &before.key, value, ttl);
        self.put(index, before.end(), &row);
        let now = row.entry(index);
        self.view.emit(Event::Updated {
            now: now.clone(),
            before: before.entry(index).value,
        });
        Ok(now)
    }

    fn remove(&mut self, at: At, which: &Which, expect: u64) -> Result<Entry, Stop> {
        let (index, row) = self.live(at, which)?.ok_or_else(missing)?;
        same_key(which, &row)?;
        version::check(expect, row.version)?;
        self.delete(index, &row, false);
        Ok(row.entry(index))
    }

    fn clear(&mut self, at: At) -> Reply {
        if self.head.size > 0 {
            let generation = self.head.generation;
            self.head.generation = generation.saturating_add(1);
            self.head.size = 0;
            self.save();
            self.view.emit(Event::Cleared { generation });
            let sweep = Sweep {
                primitive: Type::IndexedMap.number(),
                generation,
                after: Bytes::new(),
            };
            let due = at.now.plus(limits::COLLECTION_SWEEP_PAUSE);
            collection::set_sweep(self.view, self.address, due, sweep);
        }
        Reply::Cleared
    }

    fn find(&self, which: &Which) -> Result<Option<(u64, EntryRow)>, Stop> {
        find(self.view, self.address, self.head.generation, which)
    }

    /// The entry, unless its time is over: then its end is told now and not when the timer comes.
    fn live(&mut self, at: At, which: &Which) -> Result<Option<(u64, EntryRow)>, Stop> {
        match self.find(which)? {
            Some((index, row)) if ttl::is_over(row.end(), at.now) => {
                self.delete(index, &row, true);
                Ok(None)
            }
            found => Ok(found),
        }
    }

    fn put(&mut self, index: u64, end_before: Option<Timestamp>, row: &EntryRow) {
        life(self.address, &index.to_be_bytes()).change(self.view, end_before, row.end(), row.version);
        let name = entry_name(self.head.generation, index);
        self.view.store(Key::part(self.address, ENTRIES, &name), row);
    }

    fn delete(&mut self, index: u64, row: &EntryRow, expired: bool) {
        let generation = self.head.generation;
        let rows = [
            (ENTRIES, entry_name(generation, index)),
            (KEYS, key_name(generation, &row.key)),
        ];
        for (part, name) in rows {
            self.view.delete(Key::part(self.address, part, &name));
        }
        life(self.address, &index.to_be_bytes()).change(self.view, row.end(), None, 0);
        self.head.size = self.head.size.saturating_sub(1);
        self.save();
        self.view.emit(Event::Removed {
            was: row.entry(index),
            expired,
        });
    }

    fn save(&mut self) {
        self.view.store(Key::head(self.address), &self.head);
    }
}

fn new_row(at: At, key: &str, value: &Bytes, ttl: Option<Duration>) -> EntryRow {
    EntryRow {
        key: key.to_owned(),
        value: value.clone(),
        version: at.index,
        ends: ttl::end(at, ttl).map(|ends| ends.0),
    }
}

fn find(
    view: &View<'_>,
    address: &Address,
    generation: u64,
    which: &Which,
) -> Result<Option<(u64, EntryRow)>, Stop> {
    let index = match which {
        Which::Index(index) | Which::Both { index, .. } => *index,
        Which::Key(key) => {
            check_key(key)?;
            let name = key_name(generation, key);
            let row: Option<KeyRow> = view.load(&Key::part(address, KEYS, &name))?;
            match row {
                Some(row) => row.index,
                None => return Ok(None),
            }
        }
    };
    let name = entry_name(generation, index);
    let row = view.load(&Key::part(address, ENTRIES, &name))?;
    Ok(row.map(|row| (index, row)))
}

/// A key is part of its row's name.
fn check_key(key: &str) -> Result<()> {
    if key.len() <= limits::ENTRY_KEY_BYTES_MAX {
        return Ok(());
    }
    let message = format!(
        "an entry's key has {} bytes, it may have {}",
        key.len(),
        limits::ENTRY_KEY_BYTES_MAX
    );
    Err(Error::new(codes::KEY_INVALID, message))
}

fn entry_name(generation: u64, index: u64) -> Bytes {
    let mut name = BytesMut::with_capacity(16);
    name.extend_from_slice(&generation.to_be_bytes());
    name.extend_from_slice(&index.to_be_bytes());
    name.freeze()
}

fn key_name(generation: u64, key: &str) -> Bytes {
    let mut name = BytesMut::with_capacity(8 + key.len());
    name.extend_from_slice(&generation.to_be_bytes());
    name.extend_from_slice(key.as_bytes());
    name.freeze()
}

fn life<'a>(address: &'a Address, index: &'a [u8]) -> ttl::Life<'a> {
    ttl::Life {
        address,
        primitive: Type::IndexedMap,
        entry: index,
    }
}

fn same_key(which: &Which, row: &EntryRow) -> Result<()> {
    match which {
        Which::Both { index, key } if *key != row.key => {
            let message = format!("the entry at index {index} has another key");
            Err(Error::new(codes::INDEX_MISMATCH, message))
        }
        _ => Ok(()),
    }
}

fn missing() -> Error {
    Error::new(codes::ENTRY_NOT_FOUND, "the map has no such entry")
}
