//! Keys with versioned values. Source: Atomix map v1, intended semantics (spec 2.7).
//!
//! | change of one key | key is not there | there, version as expected or not asked | there, another version |
//! |---|---|---|---|
//! | `Put` | written; `Aborted` when a version was expected | written; nothing at all when the value is equal | `Aborted` |
//! | `Insert` | written | `AlreadyExists` | |
//! | `Update` | `NotFound` | written, also to an equal value | `Aborted` |
//! | `Remove` | `NotFound` | removed | `Aborted` |
//! | its time is over | nothing | removed, told as expired | nothing: a later write has a time of its own |
//!
//! | command | what it does |
//! |---|---|
//! | `Change` | one change |
//! | `Commit` | all of them or, when one is refused, none; each key once, else `Aborted` |
//! | `Clear` | removes everything, in one step of fixed cost (see `collection`) |
//! | `Lock`, `Unlock` | keys for a session, whether there are entries or not: see `locks` |
//!
//! Each write takes the step's index as version, so all writes of a commit have the same, and its time to live, or none.
//! `Get` of what is not there is `NotFound`.

use std::collections::BTreeSet;
use std::time::Duration;

use base::{Error, Result, Timestamp, codes};
use bytes::Bytes;

use super::collection::{self, Entries, Kind, Row};
use super::{Type, Versioned, locks, version};
use crate::key::{Address, Session};
use crate::message::Expire;
use crate::step::{Answer, At};
use crate::view::{Stop, View};

#[cfg(test)]
mod tests;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Change(Change),
    Commit(Vec<Change>),
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

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub key: String,
    pub to: To,
}

/// `expect` 0: any version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    Put {
        value: Bytes,
        ttl: Option<Duration>,
        expect: u64,
    },
    Insert {
        value: Bytes,
        ttl: Option<Duration>,
    },
    Update {
        value: Bytes,
        ttl: Option<Duration>,
        expect: u64,
    },
    Remove {
        expect: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    Get {
        key: String,
    },
    /// The same, and when it ends.
    GetUntil {
        key: String,
    },
    Size,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Changed(Changed),
    /// As many as there were changes, in their order.
    Committed(Vec<Changed>),
    Cleared,
    Locked,
    Unlocked,
    Found(Versioned),
    FoundUntil {
        found: Versioned,
        ends: Option<Timestamp>,
    },
    Size(u64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// `before` is none as well when nothing was written.
    Written { version: u64, before: Option<Versioned> },
    /// What was there.
    Removed(Versioned),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Inserted {
        key: String,
        now: Versioned,
    },
    Updated {
        key: String,
        now: Versioned,
        before: Versioned,
    },
    Removed {
        key: String,
        was: Versioned,
        expired: bool,
    },
    /// All entries of that generation are removed: see [`collection::Listing::cleared`].
    Cleared {
        generation: u64,
    },
}

static KIND: Kind = Kind {
    primitive: Type::Map,
    expired: |key, row| removed(String::from_utf8_lossy(key).into_owned(), row, true).into(),
    cleared: |generation| Event::Cleared { generation }.into(),
};

pub(super) fn apply(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    command: &Command,
) -> Result<Answer, Stop> {
    let reply = match command {
        Command::Change(change) => {
            let mut entries = Entries::open(view, at, address, &KIND, [change.key.as_str()])?;
            Reply::Changed(apply_one(&mut entries, change)?)
        }
        Command::Commit(changes) => commit(view, at, address, changes)?,
        Command::Clear => {
            Entries::open(view, at, address, &KIND, [])?.clear();
            Reply::Cleared
        }
        Command::Lock {
            keys,
            session,
            timeout,
        } => return locks::lock(&locks::MAP, view, at, address, keys, (*session, *timeout)),
        Command::Unlock { keys, session } => {
            return locks::unlock(&locks::MAP, view, at, address, keys, *session);
        }
    };
    Ok(Answer::Now(reply.into()))
}

pub(super) fn read(view: &View<'_>, now: Timestamp, address: &Address, query: &Query) -> Result<Reply, Stop> {
    match query {
        Query::Get { key } => Ok(Reply::Found(found(view, now, address, key)?.versioned())),
        Query::GetUntil { key } => {
            let row = found(view, now, address, key)?;
            Ok(Reply::FoundUntil {
                found: row.versioned(),
                ends: row.end(),
            })
        }
        Query::Size => collection::size(view, address).map(Reply::Size),
    }
}

fn found(view: &View<'_>, now: Timestamp, address: &Address, key: &str) -> Result<Row, Stop> {
    let row = collection::get(view, now, address, key)?;
    Ok(row.ok_or_else(|| collection::not_found(Type::Map))?)
}

pub(super) fn expire(view: &mut View<'_>, at: At, address: &Address, expire: &Expire) -> Result<(), Stop> {
    collection::expire(view, at, address, &KIND, expire)
}

/// Each key is there once, so what one change finds is what was there before all of them.
fn commit(view: &mut View<'_>, at: At, address: &Address, changes: &[Change]) -> Result<Reply, Stop> {
    let keys: BTreeSet<&str> = changes.iter().map(|change| change.key.as_str()).collect();
    if keys.len() < changes.len() {
        let message = "the transaction names a key twice, none of it is done";
        return Err(Error::new(codes::TRANSACTION_INVALID, message).into());
    }
    let mut entries = Entries::open(view, at, address, &KIND, keys)?;
    let changed = changes.iter().map(|change| apply_one(&mut entries, change));
    Ok(Reply::Committed(changed.collect::<Result<_, Stop>>()?))
}

fn apply_one(entries: &mut Entries<'_, '_>, Change { key, to }: &Change) -> Result<Changed, Stop> {
    match to {
        To::Put { value, ttl, expect } => {
            let row = entries.live(key)?;
            version::check(*expect, row.as_ref().map_or(0, |row| row.version))?;
            match row {
                Some(row) if row.value == *value => Ok(Changed::Written {
                    version: row.version,
                    before: None,
                }),
                row => Ok(put(entries, key, row, (value, *ttl))),
            }
        }
        To::Insert { value, ttl } => {
            entries.missing(key)?;
            Ok(put(entries, key, None, (value, *ttl)))
        }
        To::Update { value, ttl, expect } => {
            let row = entries.found(key)?;
            version::check(*expect, row.version)?;
            Ok(put(entries, key, Some(row), (value, *ttl)))
        }
        To::Remove { expect } => {
            let row = entries.found(key)?;
            version::check(*expect, row.version)?;
            entries.remove(key, &row);
            entries.view.emit(removed(key.clone(), &row, false));
            Ok(Changed::Removed(row.versioned()))
        }
    }
}

fn put(
    entries: &mut Entries<'_, '_>,
    key: &str,
    before: Option<Row>,
    (value, ttl): (&Bytes, Option<Duration>),
) -> Changed {
    let now = entries.put(key, before.as_ref(), value.clone(), ttl).versioned();
    let version = now.version;
    let before = before.map(|row| row.versioned());
    let key = key.to_owned();
    entries.view.emit(match before.clone() {
        None => Event::Inserted { key, now },
        Some(before) => Event::Updated { key, now, before },
    });
    Changed::Written { version, before }
}

fn removed(key: String, row: &Row, expired: bool) -> Event {
    Event::Removed {
        key,
        was: row.versioned(),
        expired,
    }
}
