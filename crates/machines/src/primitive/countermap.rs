//! Keys with 64-bit numbers. Source: Atomix counter map v1, intended semantics (spec 2.2).
//!
//! | command | key is not there | there, value as expected or not asked | there, another value |
//! |---|---|---|---|
//! | `Set` | written | written, also to an equal value | |
//! | `Insert` | written | `AlreadyExists` | |
//! | `Update` | `NotFound` | written | `Aborted` |
//! | `Add` | as if it were 0 | the sum, which wraps | |
//! | `Remove` | `NotFound` | removed | `Aborted` |
//! | `Clear` | nothing | removed | |
//! | `Lock`, `Unlock` | keys for a session, whether there are entries or not: see `locks` | | |
//!
//! Every answer is the value before, 0 for none. An expected 0 is a 0, and not "any". `Get` of what is not there is `NotFound`.

use std::collections::BTreeSet;
use std::time::Duration;

use base::{Error, Result, Timestamp, codes};
use bytes::Bytes;

use super::collection::{self, Entries, Kind, Row};
use super::{Type, locks};
use crate::key::{Address, Session};
use crate::step::{Answer, At};
use crate::view::{Stop, View};

#[cfg(test)]
mod tests;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Set {
        key: String,
        value: i64,
    },
    Insert {
        key: String,
        value: i64,
    },
    Update {
        key: String,
        value: i64,
        expect: i64,
    },
    Add {
        key: String,
        delta: i64,
    },
    Remove {
        key: String,
        expect: i64,
    },
    Clear,
    /// `timeout` `None`: waits for ever.
    Lock {
        keys: BTreeSet<String>,
        session: Session,
        timeout: Option<Duration>,
    },
    Unlock {
        keys: BTreeSet<String>,
        session: Session,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    Get { key: String },
    Size,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// What was there before a change.
    Before(i64),
    Cleared,
    Locked,
    Unlocked,
    Found(i64),
    Size(u64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Inserted {
        key: String,
        now: i64,
    },
    Updated {
        key: String,
        now: i64,
        before: i64,
    },
    Removed {
        key: String,
        was: i64,
    },
    /// All entries of that generation are removed: see [`collection::Listing::cleared`].
    Cleared {
        generation: u64,
    },
}

static KIND: Kind = Kind {
    primitive: Type::CounterMap,
    // Counters have no time to live.
    expired: |key, row| {
        let key = String::from_utf8_lossy(key).into_owned();
        let was = number(&row.value).unwrap_or_default();
        Event::Removed { key, was }.into()
    },
    cleared: |generation| Event::Cleared { generation }.into(),
};

pub(super) fn apply(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    command: &Command,
) -> Result<Answer, Stop> {
    let change = match command {
        Command::Lock {
            keys,
            session,
            timeout,
        } => return locks::lock(&locks::COUNTER_MAP, view, at, address, keys, (*session, *timeout)),
        Command::Unlock { keys, session } => {
            return locks::unlock(&locks::COUNTER_MAP, view, at, address, keys, *session);
        }
        change => change,
    };
    let mut entries = Entries::open(view, at, address, &KIND, key(change))?;
    let reply = match change {
        Command::Set { key, value } => put(&mut entries, key, |_| *value)?,
        Command::Insert { key, value } => {
            entries.missing(key)?;
            put(&mut entries, key, |_| *value)?
        }
        Command::Update { key, value, expect } => {
            let found = number(&entries.found(key)?.value)?;
            check(*expect, found)?;
            put(&mut entries, key, |_| *value)?
        }
        Command::Add { key, delta } => put(&mut entries, key, |before| before.wrapping_add(*delta))?,
        Command::Remove { key, expect } => {
            let row = entries.found(key)?;
            let was = number(&row.value)?;
            check(*expect, was)?;
            entries.remove(key, &row);
            let key = key.clone();
            entries.view.emit(Event::Removed { key, was });
            Reply::Before(was)
        }
        // Those of locks have their answer.
        Command::Clear | Command::Lock { .. } | Command::Unlock { .. } => {
            entries.clear();
            Reply::Cleared
        }
    };
    Ok(Answer::Now(reply.into()))
}

pub(super) fn read(view: &View<'_>, now: Timestamp, address: &Address, query: &Query) -> Result<Reply, Stop> {
    match query {
        Query::Get { key } => {
            let row = collection::get(view, now, address, key)?;
            let row = row.ok_or_else(|| collection::not_found(Type::CounterMap))?;
            Ok(Reply::Found(number(&row.value)?))
        }
        Query::Size => collection::size(view, address).map(Reply::Size),
    }
}

fn key(command: &Command) -> Option<&str> {
    match command {
        Command::Set { key, .. }
        | Command::Insert { key, .. }
        | Command::Update { key, .. }
        | Command::Add { key, .. }
        | Command::Remove { key, .. } => Some(key),
        Command::Clear | Command::Lock { .. } | Command::Unlock { .. } => None,
    }
}

fn put(entries: &mut Entries<'_, '_>, key: &str, value: impl FnOnce(i64) -> i64) -> Result<Reply, Stop> {
    let row: Option<Row> = entries.live(key)?;
    let before = row.as_ref().map(|row| number(&row.value)).transpose()?;
    let now = value(before.unwrap_or_default());
    let bytes = Bytes::copy_from_slice(&now.to_be_bytes());
    entries.put(key, row.as_ref(), bytes, None);
    let key = key.to_owned();
    entries.view.emit(match before {
        None => Event::Inserted { key, now },
        Some(before) => Event::Updated { key, now, before },
    });
    Ok(Reply::Before(before.unwrap_or_default()))
}

/// The number in an entry's value: eight bytes, big endian.
pub fn number(value: &[u8]) -> Result<i64> {
    let bytes = value.try_into().map_err(|_| {
        let message = format!("a counter of {} bytes is none", value.len());
        Error::new(codes::STORED_ROW_UNREADABLE, message)
    })?;
    Ok(i64::from_be_bytes(bytes))
}

fn check(expect: i64, found: i64) -> Result<()> {
    if expect == found {
        return Ok(());
    }
    let message = format!("the counter is {found} and not {expect}, read it again");
    Err(Error::new(codes::VALUE_CHANGED, message))
}
