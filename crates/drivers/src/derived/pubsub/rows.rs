//! How events, groups and refused events are written. Where they are: [`super::super::keys`].
//!
//! | row | bytes |
//! |---|---|
//! | event | format 1, published at (8), expires at (8, all ones: never), ordering (8), envelope |
//! | group | format 1, last seen (8), high position (10), then the holes below it, each two varints |
//! | refused event, while it waits | as the event |
//! | when it is due | format 1, refusals (4), due at (8), ordering (8), size of the event (4) |
//!
//! Times are milliseconds since the epoch. Numbers are little endian, positions as [`Position::encode`] writes them.
//!
//! *Ordering* is a hash of the ordering key, 0 without one. Two keys that meet in one hash hold each other back, which costs
//! a wait and breaks nothing; in return no key of a publisher's choosing is held in memory.
//!
//! *High* is the furthest event that is settled or parked. *Holes* are the events below it that are neither: those that
//! were with the consumer. They are few however far ahead the others run, which a list of what is settled would not be.

use base::{Result, Timestamp};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use ports::kv::{Key, Keyspace, Position, Version, Write};

use super::super::keys::{self, Prefix};
use super::super::unreadable;

const FORMAT: u8 = 1;
const EVENT_HEADER: usize = 25;

/// A stored event. Shares the row's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) published_at: Timestamp,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) ordering: Ordering,
    row: Bytes,
}

/// What events must be delivered one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ordering(u64);

impl Ordering {
    pub(super) const NONE: Ordering = Ordering(0);

    pub(super) fn of(key: &str) -> Ordering {
        if key.is_empty() {
            return Ordering::NONE;
        }
        Ordering(hash(key).max(1))
    }

    pub(super) fn is_none(self) -> bool {
        self == Ordering::NONE
    }
}

/// FNV-1a, because it is in stored rows and must stay the same for ever.
pub(super) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl Stored {
    pub(super) fn encode(
        published_at: Timestamp,
        expires_at: Option<Timestamp>,
        ordering: Ordering,
        envelope: &[u8],
    ) -> Bytes {
        let mut row = BytesMut::with_capacity(EVENT_HEADER + envelope.len());
        row.put_u8(FORMAT);
        row.put_u64_le(published_at.0);
        row.put_u64_le(expires_at.unwrap_or(Timestamp::NEVER).0);
        row.put_u64_le(ordering.0);
        row.put_slice(envelope);
        row.freeze()
    }

    pub(super) fn decode(row: Bytes) -> Result<Stored> {
        let mut header = header(&row, "event", EVENT_HEADER)?;
        let published_at = Timestamp(header.get_u64_le());
        let expires_at = Some(Timestamp(header.get_u64_le())).filter(|at| *at != Timestamp::NEVER);
        let ordering = Ordering(header.get_u64_le());
        Ok(Stored {
            published_at,
            expires_at,
            ordering,
            row,
        })
    }

    pub(super) fn envelope(&self) -> Bytes {
        self.row.slice(EVENT_HEADER..)
    }

    /// Of the stored value.
    pub(super) fn bytes(&self) -> usize {
        self.row.len()
    }

    pub(super) fn expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// The same event, published anew on another topic.
    pub(super) fn republished(&self, now: Timestamp) -> Bytes {
        Stored::encode(now, None, self.ordering, &self.row[EVENT_HEADER..])
    }

    pub(super) fn into_row(self) -> Bytes {
        self.row
    }
}

/// How far a group has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) seen_at: Timestamp,
    pub(super) high: Position,
    /// In order.
    pub(super) holes: Vec<Position>,
}

impl Cursor {
    pub(super) fn encode(&self) -> Bytes {
        let mut row = BytesMut::with_capacity(19 + 4 * self.holes.len());
        row.put_u8(FORMAT);
        row.put_u64_le(self.seen_at.0);
        row.put_slice(&self.high.encode());
        for hole in &self.holes {
            put_varint(&mut row, self.high.version.0 - hole.version.0);
            put_varint(&mut row, u64::from(hole.index));
        }
        row.freeze()
    }

    pub(super) fn decode(row: &[u8]) -> Result<Cursor> {
        let mut rest = header(row, "consumer group", 9 + Position::BYTES)?;
        let seen_at = Timestamp(rest.get_u64_le());
        let damaged = || unreadable("consumer group", "a position is damaged");
        let high = Position::decode(&rest[..Position::BYTES]).ok_or_else(damaged)?;
        rest.advance(Position::BYTES);
        let mut holes = vec![];
        while !rest.is_empty() {
            let below = get_varint(&mut rest).ok_or_else(damaged)?;
            let index = get_varint(&mut rest).ok_or_else(damaged)?;
            holes.push(Position {
                version: Version(high.version.0.checked_sub(below).ok_or_else(damaged)?),
                index: u16::try_from(index).map_err(|_| damaged())?,
            });
        }
        Ok(Cursor { seen_at, high, holes })
    }

    /// The last position up to which everything is settled or parked, so that its rows are not needed any more.
    pub(super) fn settled(&self) -> Position {
        self.holes.first().map_or(self.high, |hole| before(*hole))
    }
}

/// The position right before: there is none smaller than [`Position::START`].
fn before(position: Position) -> Position {
    match position.index.checked_sub(1) {
        Some(index) => Position {
            version: position.version,
            index,
        },
        None => Position {
            version: Version(position.version.0.saturating_sub(1)),
            index: u16::MAX,
        },
    }
}

/// An event that was refused, or waits behind one that was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parked {
    /// 0: it was never delivered, it waits behind another of its ordering key.
    pub(super) refusals: u32,
    pub(super) due_at: Timestamp,
    pub(super) ordering: Ordering,
    pub(super) bytes: u32,
}

impl Parked {
    const BYTES: usize = 25;

    pub(super) fn encode(&self) -> Bytes {
        let mut row = BytesMut::with_capacity(Parked::BYTES);
        row.put_u8(FORMAT);
        row.put_u32_le(self.refusals);
        row.put_u64_le(self.due_at.0);
        row.put_u64_le(self.ordering.0);
        row.put_u32_le(self.bytes);
        row.freeze()
    }

    pub(super) fn decode(row: &[u8]) -> Result<Parked> {
        let mut rest = header(row, "refused event", Parked::BYTES)?;
        Ok(Parked {
            refusals: rest.get_u32_le(),
            due_at: Timestamp(rest.get_u64_le()),
            ordering: Ordering(rest.get_u64_le()),
            bytes: rest.get_u32_le(),
        })
    }
}

/// Reads bytes as each kind of row: none may panic, and what is read is written the same.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn decode_any(bytes: &[u8]) {
    if let Ok(event) = Stored::decode(Bytes::copy_from_slice(bytes)) {
        let written = Stored::encode(
            event.published_at,
            event.expires_at,
            event.ordering,
            &event.envelope(),
        );
        assert_eq!(written, bytes);
    }
    if let Ok(cursor) = Cursor::decode(bytes) {
        let _ = cursor.settled();
        assert_eq!(
            Cursor::decode(&cursor.encode()).expect("it was just written"),
            cursor
        );
    }
    if let Ok(parked) = Parked::decode(bytes) {
        assert_eq!(parked.encode(), bytes[..Parked::BYTES]);
    }
}

/// What is behind the format byte of a row of `size` bytes at least.
fn header<'a>(row: &'a [u8], what: &str, size: usize) -> Result<&'a [u8]> {
    match row.first() {
        Some(&FORMAT) if row.len() >= size => Ok(&row[1..]),
        Some(&FORMAT) => Err(unreadable(what, "it is cut short")),
        Some(format) => Err(unreadable(what, &format!("its format is {format}"))),
        None => Err(unreadable(what, "it is empty")),
    }
}

fn put_varint(row: &mut BytesMut, mut number: u64) {
    while number >= 0x80 {
        row.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    row.put_u8(number as u8);
}

fn get_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// The log of a topic.
pub(super) fn log(component: &str, topic: &str) -> Bytes {
    Prefix::of(keys::TOPIC, component).with(topic).bytes().clone()
}

pub(super) fn event_key(log: &[u8], position: Position) -> Key {
    Key::journal([log, &position.encode()].concat())
}

/// All topics of a component, and in the State keyspace all groups of all of them.
pub(super) fn topics(component: &str) -> Bytes {
    Prefix::of(keys::TOPIC, component).bytes().clone()
}

/// Where the rows of one group are.
#[derive(Clone, Debug)]
pub(super) struct GroupRows {
    pub(super) cursor: Key,
    pub(super) parked: Bytes,
}

impl GroupRows {
    pub(super) fn of(component: &str, topic: &str, group: &str) -> GroupRows {
        let topic_rows = |tag| Prefix::of(tag, component).with(topic);
        GroupRows {
            cursor: topic_rows(keys::TOPIC).fixed(group),
            parked: topic_rows(keys::PARKED).with(group).bytes().clone(),
        }
    }

    fn parked_key(&self, keyspace: Keyspace, position: Position) -> Key {
        Key {
            keyspace,
            bytes: [&self.parked[..], &position.encode()].concat().into(),
        }
    }

    pub(super) fn parked_event(&self, position: Position) -> Key {
        self.parked_key(Keyspace::Journal, position)
    }

    pub(super) fn put_cursor(&self, cursor: &Cursor) -> Write {
        put(self.cursor.clone(), cursor.encode())
    }

    pub(super) fn put_parked(&self, position: Position, parked: &Parked) -> Write {
        put(self.parked_key(Keyspace::State, position), parked.encode())
    }

    pub(super) fn put_parked_event(&self, position: Position, event: Stored) -> Write {
        put(self.parked_event(position), event.into_row())
    }

    pub(super) fn delete_parked(&self, position: Position) -> [Write; 2] {
        [Keyspace::State, Keyspace::Journal].map(|keyspace| Write::Delete {
            key: self.parked_key(keyspace, position),
        })
    }
}

fn put(key: Key, value: Bytes) -> Write {
    Write::Put {
        key,
        value,
        expires_at: None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn position() -> impl Strategy<Value = Position> {
        (any::<u64>(), any::<u16>()).prop_map(|(version, index)| Position {
            version: Version(version),
            index,
        })
    }

    proptest! {
        #[test]
        fn cursors_are_read_back(seen_at: u64, mut positions in prop::collection::btree_set(position(), 1..50)) {
            let high = positions.pop_last().expect("there is one");
            let cursor = Cursor { seen_at: Timestamp(seen_at), high, holes: positions.into_iter().collect() };
            prop_assert_eq!(Cursor::decode(&cursor.encode()).ok(), Some(cursor));
        }

        #[test]
        fn damaged_rows_are_refused_without_a_panic(row in prop::collection::vec(any::<u8>(), 0..60)) {
            drop(Cursor::decode(&row));
            drop(Parked::decode(&row));
            drop(Stored::decode(row.into()));
        }

        #[test]
        fn nothing_fits_between_a_position_and_the_one_before(position in position(), other in position()) {
            prop_assume!(position > Position::START);
            prop_assert!(before(position) < position);
            prop_assert!(other <= before(position) || other >= position);
        }
    }

    /// Bytes as written by the first version: they must stay readable.
    #[test]
    fn rows_of_the_first_format_are_read() {
        let event = [
            b"\x01\xe8\x03\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff".as_slice(),
            &Ordering::of("k").0.to_le_bytes(),
            b"{}",
        ]
        .concat();
        let stored = Stored::decode(event.clone().into()).expect("a good row");
        assert_eq!(stored.published_at, Timestamp(1000));
        assert_eq!((stored.expires_at, stored.ordering), (None, Ordering::of("k")));
        assert_eq!(stored.envelope(), "{}");
        assert_eq!(stored.into_row(), event);

        let at = |version, index| Position {
            version: Version(version),
            index,
        };
        let cursor = b"\x01\xe8\x03\0\0\0\0\0\0\0\0\0\0\0\0\x03\xe8\0\x02\xf4\x03\x01\0\0".as_slice();
        let expected = Cursor {
            seen_at: Timestamp(1000),
            high: at(1000, 2),
            holes: vec![at(500, 1), at(1000, 0)],
        };
        assert_eq!(Cursor::decode(cursor).expect("a good row"), expected);
        assert_eq!(expected.encode(), cursor);
        assert_eq!(expected.settled(), at(500, 0));

        let parked = b"\x01\x03\0\0\0\xe8\x03\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x09\0\0\0".as_slice();
        let expected = Parked {
            refusals: 3,
            due_at: Timestamp(1000),
            ordering: Ordering(5),
            bytes: 9,
        };
        assert_eq!(Parked::decode(parked).expect("a good row"), expected);
        assert_eq!(expected.encode(), parked);
    }

    #[test]
    fn the_hash_of_a_key_never_changes() {
        assert_eq!(Ordering::of("a").0, 0xaf63_dc4c_8601_ec8c);
        assert!(Ordering::of("").is_none());
    }
}
