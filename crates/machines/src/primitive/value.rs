//! One versioned value. Source: Atomix value v1, intended semantics (spec 2.11).
//!
//! | command | value is not set | set, version as expected or not asked | set, another version |
//! |---|---|---|---|
//! | `Set` | set | set, also to an equal value | |
//! | `Insert` | set | `AlreadyExists` | |
//! | `Update` | `NotFound` | set | `Aborted`, nothing is written |
//! | `Delete` | `NotFound` | deleted | `Aborted`, nothing is written |
//! | its time is over | nothing | deleted, told as expired | nothing: a later write has a time of its own |
//!
//! Each write takes the step's index as version, and its time to live, or none. `Get` of what is not set is `NotFound`.

use std::time::Duration;

use base::{Error, Result, Timestamp, codes};
use bytes::Bytes;

use super::{Type, Versioned, ttl, version};
use crate::key::{Address, Key};
use crate::message::Expire;
use crate::row::Stored;
use crate::step::{Answer, At};
use crate::view::{Stop, View};

#[cfg(test)]
mod tests;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Set {
        value: Bytes,
        ttl: Option<Duration>,
    },
    Insert {
        value: Bytes,
        ttl: Option<Duration>,
    },
    /// `expect` 0: any version.
    Update {
        value: Bytes,
        ttl: Option<Duration>,
        expect: u64,
    },
    Delete {
        expect: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query {
    Get,
    /// The same, and when it ends.
    GetUntil,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Written {
        version: u64,
        before: Option<Versioned>,
    },
    /// What is there, or was until now.
    Found(Versioned),
    FoundUntil {
        found: Versioned,
        ends: Option<Timestamp>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Created(Versioned),
    Updated { now: Versioned, before: Versioned },
    Deleted { was: Versioned, expired: bool },
}

#[derive(Clone, PartialEq, prost::Message)]
struct Row {
    #[prost(bytes = "bytes", tag = "1")]
    value: Bytes,
    #[prost(uint64, tag = "2")]
    version: u64,
    /// Milliseconds since the Unix epoch.
    #[prost(uint64, optional, tag = "3")]
    ends: Option<u64>,
}

impl Stored for Row {}

impl Row {
    fn versioned(&self) -> Versioned {
        Versioned {
            value: self.value.clone(),
            version: self.version,
        }
    }

    fn end(&self) -> Option<Timestamp> {
        self.ends.map(Timestamp)
    }
}

pub(super) fn apply(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    command: &Command,
) -> Result<Answer, Stop> {
    let row = live(view, at, address)?;
    let reply = match command {
        Command::Set { value, ttl } => put(view, at, address, row, (value, *ttl)),
        Command::Insert { value, ttl } => {
            if row.is_some() {
                return Err(Error::new(codes::ENTRY_EXISTS, "the value is set already").into());
            }
            put(view, at, address, row, (value, *ttl))
        }
        Command::Update { value, ttl, expect } => {
            let row = row.ok_or_else(not_set)?;
            version::check(*expect, row.version)?;
            put(view, at, address, Some(row), (value, *ttl))
        }
        Command::Delete { expect } => {
            let row = row.ok_or_else(not_set)?;
            version::check(*expect, row.version)?;
            let was = row.versioned();
            delete(view, address, &row, false);
            Reply::Found(was)
        }
    };
    Ok(Answer::Now(reply.into()))
}

pub(super) fn read(view: &View<'_>, now: Timestamp, address: &Address, query: &Query) -> Result<Reply, Stop> {
    let row: Option<Row> = view.load(&Key::head(address))?;
    let live = row.filter(|row| !ttl::is_over(row.end(), now));
    let row = live.ok_or_else(not_set)?;
    let found = row.versioned();
    Ok(match query {
        Query::Get => Reply::Found(found),
        Query::GetUntil => Reply::FoundUntil {
            found,
            ends: row.end(),
        },
    })
}

pub(super) fn expire(view: &mut View<'_>, address: &Address, expire: &Expire) -> Result<(), Stop> {
    let row: Option<Row> = view.load(&Key::head(address))?;
    if let Some(row) = row.filter(|row| row.version == expire.version) {
        delete(view, address, &row, true);
    }
    Ok(())
}

/// The row, unless its time is over: then its end is told now and not when the timer comes.
fn live(view: &mut View<'_>, at: At, address: &Address) -> Result<Option<Row>, Stop> {
    let row: Option<Row> = view.load(&Key::head(address))?;
    match row {
        Some(row) if ttl::is_over(row.end(), at.now) => {
            delete(view, address, &row, true);
            Ok(None)
        }
        row => Ok(row),
    }
}

fn put(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    before: Option<Row>,
    (value, ttl): (&Bytes, Option<Duration>),
) -> Reply {
    let ends = ttl::end(at, ttl);
    let row = Row {
        value: value.clone(),
        version: at.index,
        ends: ends.map(|ends| ends.0),
    };
    life(address).change(view, before.as_ref().and_then(Row::end), ends, at.index);
    view.store(Key::head(address), &row);
    let before = before.map(|row| row.versioned());
    view.emit(match before.clone() {
        None => Event::Created(row.versioned()),
        Some(before) => Event::Updated {
            now: row.versioned(),
            before,
        },
    });
    Reply::Written {
        version: at.index,
        before,
    }
}

fn delete(view: &mut View<'_>, address: &Address, row: &Row, expired: bool) {
    view.delete(Key::head(address));
    life(address).change(view, row.end(), None, 0);
    view.emit(Event::Deleted {
        was: row.versioned(),
        expired,
    });
}

fn life(address: &Address) -> ttl::Life<'_> {
    ttl::Life {
        address,
        primitive: Type::Value,
        entry: &[],
    }
}

fn not_set() -> Error {
    Error::new(codes::ENTRY_NOT_FOUND, "the value is not set")
}
