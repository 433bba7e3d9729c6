//! What primitives of many entries stand on: rows by key, with versions and times to live.
//!
//! | row | suffix | holds |
//! |---|---|---|
//! | part 0 | | [`Head`]: generation, size, up to where cleared rows are being removed |
//! | part 1 | generation (8 bytes, big endian), key | [`Row`]: value, version, end |
//!
//! | what happens | rows | told |
//! |---|---|---|
//! | an entry is put | its row, the head if it is new, its timer | by the primitive |
//! | an entry is removed | its row, the head, its timer | by the primitive |
//! | its time is over | the same, by the timer or by the next step that meets it | as expired |
//! | everything is cleared | the head only: the next generation begins, empty | once, with the generation that was |
//! | a cleared generation is old enough | its rows and timers, so many in a step | nobody |
//!
//! The size counts entries whose time is over until they are removed.

use std::time::Duration;

use base::{Error, Result, Timestamp, codes, limits};
use bytes::{BufMut, Bytes, BytesMut};

use super::{Type, Versioned, ttl};
use crate::engine::PartScan;
use crate::key::{Address, Key};
use crate::message::{Body, Expire, Sweep};
use crate::row::Stored;
use crate::step::{At, Event};
use crate::view::{Stop, View};

mod listing;

#[cfg(test)]
mod tests;

pub use listing::{Listed, Listing};

/// Rows of entries; the head's part is 0.
const ENTRIES: u8 = 1;
/// First byte of a timer's id where others have the type's number, which is never 0.
const SWEEPING: u8 = 0;

/// What tells the collections of one type from those of another one.
pub(super) struct Kind {
    pub(super) primitive: Type,
    /// What is told of an entry whose time is over.
    pub(super) expired: fn(key: &[u8], row: &Row) -> Event,
    /// What is told of a clear.
    pub(super) cleared: fn(generation: u64) -> Event,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Head {
    /// Of the entries that are there now. Every clear begins another one.
    #[prost(uint64, tag = "1")]
    generation: u64,
    #[prost(uint64, tag = "2")]
    size: u64,
    /// Rows of generations below this one may be gone already.
    #[prost(uint64, tag = "3")]
    swept: u64,
}

impl Stored for Head {}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Row {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) value: Bytes,
    #[prost(uint64, tag = "2")]
    pub(super) version: u64,
    /// Milliseconds since the Unix epoch.
    #[prost(uint64, optional, tag = "3")]
    ends: Option<u64>,
}

impl Stored for Row {}

impl Row {
    pub(super) fn versioned(&self) -> Versioned {
        Versioned {
            value: self.value.clone(),
            version: self.version,
        }
    }

    pub(super) fn end(&self) -> Option<Timestamp> {
        self.ends.map(Timestamp)
    }
}

/// A step's way to the entries.
pub(super) struct Entries<'e, 'v> {
    pub(super) view: &'e mut View<'v>,
    pub(super) at: At,
    address: &'e Address,
    kind: &'static Kind,
    head: Head,
}

impl<'e, 'v> Entries<'e, 'v> {
    /// Loads the rows of all these keys at once.
    pub(super) fn open<'k>(
        view: &'e mut View<'v>,
        at: At,
        address: &'e Address,
        kind: &'static Kind,
        keys: impl IntoIterator<Item = &'k str>,
    ) -> Result<Entries<'e, 'v>, Stop> {
        let head: Head = view.load(&Key::head(address))?.unwrap_or_default();
        let mut rows = vec![];
        for key in keys {
            check_key(key)?;
            rows.push(place(address, head.generation, key.as_bytes()));
        }
        view.want(&rows)?;
        Ok(Entries {
            view,
            at,
            address,
            kind,
            head,
        })
    }

    /// The entry, unless its time is over: then its end is told now and not when the timer comes.
    pub(super) fn live(&mut self, key: &str) -> Result<Option<Row>, Stop> {
        let row: Option<Row> = self.view.load(&self.place(key))?;
        match row {
            Some(row) if ttl::is_over(row.end(), self.at.now) => {
                self.remove(key, &row);
                self.view.emit((self.kind.expired)(key.as_bytes(), &row));
                Ok(None)
            }
            row => Ok(row),
        }
    }

    /// The entry that must be there.
    pub(super) fn found(&mut self, key: &str) -> Result<Row, Stop> {
        Ok(self.live(key)?.ok_or_else(|| not_found(self.kind.primitive))?)
    }

    /// The entry must not be there.
    pub(super) fn missing(&mut self, key: &str) -> Result<(), Stop> {
        if self.live(key)?.is_none() {
            return Ok(());
        }
        let message = format!("the {} has that entry already", self.kind.primitive.name());
        Err(Error::new(codes::ENTRY_EXISTS, message).into())
    }

    /// With this step's version, and a time to live or none, whatever it had `before`.
    pub(super) fn put(
        &mut self,
        key: &str,
        before: Option<&Row>,
        value: Bytes,
        ttl: Option<Duration>,
    ) -> Row {
        let ends = ttl::end(self.at, ttl);
        let row = Row {
            value,
            version: self.at.index,
            ends: ends.map(|ends| ends.0),
        };
        let suffix = suffix(self.head.generation, key.as_bytes());
        let life = life(self.address, self.kind.primitive, &suffix);
        life.change(self.view, before.and_then(Row::end), ends, self.at.index);
        self.view.store(Key::part(self.address, ENTRIES, &suffix), &row);
        if before.is_none() {
            self.resize(self.head.size.saturating_add(1));
        }
        row
    }

    pub(super) fn remove(&mut self, key: &str, row: &Row) {
        let suffix = suffix(self.head.generation, key.as_bytes());
        life(self.address, self.kind.primitive, &suffix).change(self.view, row.end(), None, 0);
        self.view.delete(Key::part(self.address, ENTRIES, &suffix));
        self.resize(self.head.size.saturating_sub(1));
    }

    /// Removes everything at once, however much it is.
    pub(super) fn clear(&mut self) {
        if self.head.size == 0 {
            return;
        }
        let generation = self.head.generation;
        self.head.generation = generation.saturating_add(1);
        self.resize(0);
        self.view.emit((self.kind.cleared)(generation));
        let sweep = Sweep {
            primitive: self.kind.primitive.number(),
            generation,
            after: Bytes::new(),
        };
        let due = self.at.now.plus(limits::COLLECTION_SWEEP_PAUSE);
        set_sweep(self.view, self.address, due, sweep);
    }

    fn resize(&mut self, size: u64) {
        self.head.size = size;
        self.view.store(Key::head(self.address), &self.head);
    }

    fn place(&self, key: &str) -> Key {
        place(self.address, self.head.generation, key.as_bytes())
    }
}

/// The entry as a query sees it.
pub(super) fn get(
    view: &View<'_>,
    now: Timestamp,
    address: &Address,
    key: &str,
) -> Result<Option<Row>, Stop> {
    let head: Head = view.load(&Key::head(address))?.unwrap_or_default();
    check_key(key)?;
    let row: Option<Row> = view.load(&place(address, head.generation, key.as_bytes()))?;
    Ok(row.filter(|row| !ttl::is_over(row.end(), now)))
}

/// How many entries there are.
pub(super) fn size(view: &View<'_>, address: &Address) -> Result<u64, Stop> {
    let head: Head = view.load(&Key::head(address))?.unwrap_or_default();
    Ok(head.size)
}

/// A time to live is over. Entries that were written again, or cleared, are others by now.
pub(super) fn expire(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    kind: &'static Kind,
    expire: &Expire,
) -> Result<(), Stop> {
    let Some((generation, key)) = split(&expire.entry) else {
        return Ok(());
    };
    let mut entries = Entries::open(view, at, address, kind, [])?;
    if generation != entries.head.generation {
        return Ok(());
    }
    let row: Option<Row> = entries.view.load(&place(address, generation, key))?;
    if let Some(row) = row.filter(|row| row.version == expire.version)
        && let Ok(text) = std::str::from_utf8(key)
    {
        entries.remove(text, &row);
        entries.view.emit((kind.expired)(key, &row));
    }
    Ok(())
}

/// Removes rows of a cleared generation, some at a time.
pub(super) fn sweep(view: &mut View<'_>, at: At, address: &Address, sweep: &Sweep) -> Result<(), Stop> {
    let Some(primitive) = Type::of_number(sweep.primitive) else {
        return Ok(());
    };
    let key = Key::head(address);
    let mut head: Head = view.load(&key)?.unwrap_or_default();
    let page = view.range(&PartScan {
        part: ENTRIES,
        prefix: suffix(sweep.generation, &[]),
        after: Some(sweep.after.clone()).filter(|after| !after.is_empty()),
        limit: limits::COLLECTION_SWEEP_ROWS,
        descending: false,
    })?;
    if head.swept <= sweep.generation {
        head.swept = sweep.generation.saturating_add(1);
        view.store(key, &head);
    }
    let mut last = None;
    for (suffix, row) in page.rows {
        let row = Row::from_row(&row)?;
        life(address, primitive, &suffix).change(view, row.end(), None, 0);
        view.delete(Key::part(address, ENTRIES, &suffix));
        last = Some(suffix);
    }
    if let Some(after) = last.filter(|_| page.more) {
        let due = at.now.plus(limits::COLLECTION_SWEEP_STEP_PAUSE);
        let next = Sweep {
            after,
            ..sweep.clone()
        };
        set_sweep(view, address, due, next);
    }
    Ok(())
}

pub(super) fn set_sweep(view: &mut View<'_>, address: &Address, due: Timestamp, sweep: Sweep) {
    let mut id = BytesMut::with_capacity(9);
    id.put_u8(SWEEPING);
    id.put_u64(sweep.generation);
    view.set_timer(due, address, &id, &Body::Sweep(sweep).into());
}

/// A timer is a row's own: cleared entries and new ones of the same key do not share one.
fn life<'a>(address: &'a Address, primitive: Type, suffix: &'a [u8]) -> ttl::Life<'a> {
    ttl::Life {
        address,
        primitive,
        entry: suffix,
    }
}

fn place(address: &Address, generation: u64, key: &[u8]) -> Key {
    Key::part(address, ENTRIES, &suffix(generation, key))
}

fn suffix(generation: u64, key: &[u8]) -> Bytes {
    let mut suffix = BytesMut::with_capacity(8 + key.len());
    suffix.put_u64(generation);
    suffix.put_slice(key);
    suffix.freeze()
}

fn split(suffix: &[u8]) -> Option<(u64, &[u8])> {
    let (generation, key) = suffix.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*generation), key))
}

/// A key is part of its row's.
pub(super) fn check_key(key: &str) -> Result<()> {
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

pub(super) fn not_found(primitive: Type) -> Error {
    let message = format!("the {} has no such entry", primitive.name());
    Error::new(codes::ENTRY_NOT_FOUND, message)
}
