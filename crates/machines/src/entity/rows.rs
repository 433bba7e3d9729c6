//! What is stored of an entity.
//!
//! | part | suffix | row |
//! |---|---|---|
//! | 0 | | [`Head`] |
//! | 1 | sequence (8 bytes, big endian), from 1 without gaps | [`Event`] |
//! | 2 | | [`Snapshot`], the newest |
//! | 3 | | [`Value`] |

use bytes::Bytes;

use crate::key::{Address, Key};
use crate::row::Stored;

pub const EVENT: u8 = 1;
pub const SNAPSHOT: u8 = 2;
pub const VALUE: u8 = 3;

/// How a user function keeps an entity. Its number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum Kind {
    Unknown = 0,
    EventSourced = 1,
    Value = 2,
}

/// A value entity that was deleted, or never written, has none; an event sourced one has it from its first event on.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Head {
    #[prost(enumeration = "Kind", tag = "1")]
    pub kind: i32,
    /// Of the last event; of a value, the index of the step that wrote it.
    #[prost(uint64, tag = "2")]
    pub sequence: u64,
    /// Of the last event in the snapshot; 0: there is none.
    #[prost(uint64, tag = "3")]
    pub snapshot_sequence: u64,
    /// Milliseconds since the Unix epoch.
    #[prost(uint64, tag = "4")]
    pub created_at: u64,
    #[prost(uint64, tag = "5")]
    pub changed_at: u64,
}

impl Stored for Head {}

/// What a user function gave, byte for byte.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Payload {
    #[prost(string, tag = "1")]
    pub type_url: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

impl Payload {
    pub fn held_bytes(&self) -> usize {
        self.type_url.len() + self.value.len()
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Event {
    #[prost(message, required, tag = "1")]
    pub payload: Payload,
    /// Milliseconds since the Unix epoch.
    #[prost(uint64, tag = "2")]
    pub at: u64,
}

impl Stored for Event {}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Snapshot {
    #[prost(message, required, tag = "1")]
    pub payload: Payload,
    /// Of the last event in it.
    #[prost(uint64, tag = "2")]
    pub sequence: u64,
    #[prost(uint64, tag = "3")]
    pub at: u64,
}

impl Stored for Snapshot {}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Value {
    #[prost(message, required, tag = "1")]
    pub payload: Payload,
}

impl Stored for Value {}

pub fn event(address: &Address, sequence: u64) -> Key {
    Key::part(address, EVENT, &sequence.to_be_bytes())
}

pub fn snapshot(address: &Address) -> Key {
    Key::part(address, SNAPSHOT, &[])
}

pub fn value(address: &Address) -> Key {
    Key::part(address, VALUE, &[])
}

/// Of an event's suffix.
pub fn sequence(suffix: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(suffix.try_into().ok()?))
}
