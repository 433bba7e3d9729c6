//! Elements, each there or not. Source: Atomix set v1 (spec 2.9; of its two generations the one whose status codes clients
//! look at).
//!
//! | command | element is not there | there |
//! |---|---|---|
//! | `Add` | added, with its time to live, or none | `AlreadyExists`; its time stays as it is |
//! | `Remove` | `NotFound` | removed |
//! | its time is over | nothing | removed, told as expired |
//! | `Clear` | nothing | removed |

use std::time::Duration;

use base::{Result, Timestamp};
use bytes::Bytes;

use super::Type;
use super::collection::{self, Entries, Kind};
use crate::key::Address;
use crate::message::Expire;
use crate::step::{Answer, At};
use crate::view::{Stop, View};

#[cfg(test)]
mod tests;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Add { element: String, ttl: Option<Duration> },
    Remove { element: String },
    Clear,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    Contains { element: String },
    Size,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    Done,
    Contains(bool),
    Size(u64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Added {
        element: String,
    },
    Removed {
        element: String,
        expired: bool,
    },
    /// All elements of that generation are removed: see [`collection::Listing::cleared`].
    Cleared {
        generation: u64,
    },
}

static KIND: Kind = Kind {
    primitive: Type::Set,
    expired: |key, _| {
        let element = String::from_utf8_lossy(key).into_owned();
        let expired = true;
        Event::Removed { element, expired }.into()
    },
    cleared: |generation| Event::Cleared { generation }.into(),
};

pub(super) fn apply(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    command: &Command,
) -> Result<Answer, Stop> {
    match command {
        Command::Add { element, ttl } => {
            let mut entries = Entries::open(view, at, address, &KIND, [element.as_str()])?;
            entries.missing(element)?;
            entries.put(element, None, Bytes::new(), *ttl);
            let element = element.clone();
            view.emit(Event::Added { element });
        }
        Command::Remove { element } => {
            let mut entries = Entries::open(view, at, address, &KIND, [element.as_str()])?;
            let row = entries.found(element)?;
            entries.remove(element, &row);
            let element = element.clone();
            let expired = false;
            view.emit(Event::Removed { element, expired });
        }
        Command::Clear => Entries::open(view, at, address, &KIND, [])?.clear(),
    }
    Ok(Answer::Now(Reply::Done.into()))
}

pub(super) fn read(view: &View<'_>, now: Timestamp, address: &Address, query: &Query) -> Result<Reply, Stop> {
    match query {
        Query::Contains { element } => {
            let row = collection::get(view, now, address, element)?;
            Ok(Reply::Contains(row.is_some()))
        }
        Query::Size => collection::size(view, address).map(Reply::Size),
    }
}

pub(super) fn expire(view: &mut View<'_>, at: At, address: &Address, expire: &Expire) -> Result<(), Stop> {
    collection::expire(view, at, address, &KIND, expire)
}
