//! Messages to all who listen. Source: Atomix topic v1 (spec 2.10), which nobody had implemented.
//!
//! | command | answer | changes | told |
//! |---|---|---|---|
//! | `Publish` | its offset, the step's index | the last offset and its time | offset, time, payload |
//!
//! | query | answer |
//! |---|---|
//! | `Last` | offset and time of the last message; 0 when there was none |
//!
//! Offsets grow, and have gaps. Payloads are kept for those who listen now, and nowhere else. What is stored is that the message
//! was there: no offset is given twice, whatever happens to Belay between two messages.

use base::{Result, Timestamp};
use bytes::Bytes;

use crate::key::{Address, Key};
use crate::row::Stored;
use crate::step::{Answer, At};
use crate::view::{Stop, View};

#[cfg(test)]
mod tests;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Publish { payload: Bytes },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query {
    Last,
}

/// Where a message is, and when it was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    pub offset: u64,
    pub published: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub offset: u64,
    pub published: Timestamp,
    pub payload: Bytes,
}

impl Event {
    /// A payload is in no row.
    pub(super) fn held_bytes(&self) -> usize {
        self.payload.len()
    }
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Last {
    #[prost(uint64, tag = "1")]
    offset: u64,
    /// Milliseconds since the Unix epoch.
    #[prost(uint64, tag = "2")]
    published: u64,
}

impl Stored for Last {}

pub(super) fn apply(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    command: &Command,
) -> Result<Answer, Stop> {
    let Command::Publish { payload } = command;
    let (offset, published) = (at.index, at.now);
    let last = Last {
        offset,
        published: published.0,
    };
    view.store(Key::head(address), &last);
    view.emit(Event {
        offset,
        published,
        payload: payload.clone(),
    });
    Ok(Answer::Now(Reply { offset, published }.into()))
}

pub(super) fn read(
    view: &View<'_>,
    _now: Timestamp,
    address: &Address,
    query: &Query,
) -> Result<Reply, Stop> {
    let Query::Last = query;
    let last: Last = view.load(&Key::head(address))?.unwrap_or_default();
    Ok(Reply {
        offset: last.offset,
        published: Timestamp(last.published),
    })
}
