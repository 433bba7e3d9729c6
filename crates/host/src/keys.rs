//! Where a partition's rows are in the store.
//!
//! | rows | key |
//! |---|---|
//! | how many partitions | `m/` FF FF |
//! | whose turn it is | `m/` ⟨partition, 2 bytes⟩ 0 ⟨turn⟩ |
//! | rows of machines, timers, sessions | `m/` ⟨partition⟩ ⟨table⟩ ⟨[`machines::Key`]⟩ |
//!
//! All are in the State keyspace: they are read and overwritten. Numbers are big endian.

use bytes::{BufMut, Bytes, BytesMut};
use machines::{Address, Table};
use ports::kv::Key;

const TAG: &[u8; 2] = b"m/";
/// Bytes in front of a machine's key.
const HEADER: usize = 5;

pub(crate) fn count() -> Key {
    Key::state(Bytes::from_static(b"m/\xff\xff"))
}

pub(crate) fn turn(partition: u16, turn: u8) -> Key {
    let mut bytes = header(partition, 0, 1);
    bytes.put_u8(turn);
    Key::state(bytes.freeze())
}

pub(crate) fn row(partition: u16, key: &machines::Key) -> Key {
    let mut bytes = header(partition, key.table.byte(), key.bytes.len());
    bytes.put_slice(&key.bytes);
    Key::state(bytes.freeze())
}

pub(crate) fn part(partition: u16, address: &Address, part: u8, suffix: &[u8]) -> Key {
    row(partition, &machines::Key::part(address, part, suffix))
}

/// All rows of a table.
pub(crate) fn table(partition: u16, table: Table) -> Bytes {
    header(partition, table.byte(), 0).freeze()
}

/// The machine's key in a row's.
pub(crate) fn machine_key(table: Table, stored: &Bytes) -> machines::Key {
    machines::Key {
        table,
        bytes: stored.slice(HEADER.min(stored.len())..),
    }
}

fn header(partition: u16, kind: u8, more: usize) -> BytesMut {
    let mut bytes = BytesMut::with_capacity(HEADER + more);
    bytes.put_slice(TAG);
    bytes.put_u16(partition);
    bytes.put_u8(kind);
    bytes
}
