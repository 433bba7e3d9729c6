//! Keys with sets of values. Source: Atomix multimap v1, intended semantics (spec 2.8).
//!
//! | command | done | else |
//! |---|---|---|
//! | `Put` | the pair is added | `AlreadyExists` when it is there |
//! | `Add` | pairs that are not there are added | nothing |
//! | `Replace` | the key has these values and no others; none: it is gone | |
//! | `Remove` | the pair is removed | `NotFound` when it is not there |
//! | `RemoveAll` | those of the key's values are removed that are there | `NotFound` when the key is not there |
//! | `RemoveEntries` | pairs that are there are removed | nothing |
//! | `Clear` | removes everything | |
//!
//! A key without values is not there; the size is that of the keys. Every pair that comes or goes is told. All values of a key
//! are one row, so that they come and go together; how large it may be is a limit.

use std::collections::{BTreeMap, BTreeSet};

use base::{Error, Result, Timestamp, codes, limits};
use bytes::Bytes;

use super::Type;
use super::collection::{self, Entries, Kind};
use crate::key::Address;
use crate::row::Stored;
use crate::step::{Answer, At};
use crate::view::{Stop, View};

#[cfg(test)]
mod tests;

/// Values by key.
pub type Pairs = BTreeMap<String, BTreeSet<String>>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Put { key: String, value: String },
    Add(Pairs),
    Replace { key: String, values: BTreeSet<String> },
    Remove { key: String, value: String },
    RemoveAll { key: String, values: BTreeSet<String> },
    RemoveEntries(Pairs),
    Clear,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    Contains { key: String, value: String },
    Get { key: String },
    Size,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Whether any pair has come or gone.
    Changed(bool),
    /// What a replaced key had.
    Before(BTreeSet<String>),
    Contains(bool),
    Found(BTreeSet<String>),
    Size(u64),
}

/// Everything that happened to one key in one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Changed {
        key: String,
        added: BTreeSet<String>,
        removed: BTreeSet<String>,
        /// What the key has now.
        now: BTreeSet<String>,
    },
    /// All entries of that generation are removed: see [`collection::Listing::cleared`].
    Cleared { generation: u64 },
}

#[derive(Clone, PartialEq, prost::Message)]
struct Values {
    #[prost(string, repeated, tag = "1")]
    values: Vec<String>,
}

impl Stored for Values {}

static KIND: Kind = Kind {
    primitive: Type::MultiMap,
    // Pairs have no time to live.
    expired: |key, row| {
        let removed = values(&row.value).unwrap_or_default();
        Event::Changed {
            key: String::from_utf8_lossy(key).into_owned(),
            added: BTreeSet::new(),
            removed,
            now: BTreeSet::new(),
        }
        .into()
    },
    cleared: |generation| Event::Cleared { generation }.into(),
};

pub(super) fn apply(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    command: &Command,
) -> Result<Answer, Stop> {
    let entries = &mut Entries::open(view, at, address, &KIND, keys(command))?;
    let reply = match command {
        Command::Put { key, value } => {
            let before = found(entries, key)?;
            let mut now = before.clone();
            if !now.insert(value.clone()) {
                return Err(Error::new(codes::ENTRY_EXISTS, "the key has that value already").into());
            }
            Reply::Changed(write(entries, key, before, now)?)
        }
        Command::Add(pairs) => each(entries, pairs, |now, values| now.extend(values.iter().cloned()))?,
        Command::Replace { key, values } => {
            let before = found(entries, key)?;
            write(entries, key, before.clone(), values.clone())?;
            Reply::Before(before)
        }
        Command::Remove { key, value } => {
            let before = found(entries, key)?;
            let mut now = before.clone();
            if !now.remove(value) {
                return Err(Error::new(codes::ENTRY_NOT_FOUND, "the key does not have that value").into());
            }
            Reply::Changed(write(entries, key, before, now)?)
        }
        Command::RemoveAll { key, values } => {
            entries.found(key)?;
            let before = found(entries, key)?;
            let now = before.difference(values).cloned().collect();
            Reply::Changed(write(entries, key, before, now)?)
        }
        Command::RemoveEntries(pairs) => each(entries, pairs, |now, values| {
            now.retain(|value| !values.contains(value));
        })?,
        Command::Clear => {
            entries.clear();
            Reply::Changed(true)
        }
    };
    Ok(Answer::Now(reply.into()))
}

pub(super) fn read(view: &View<'_>, now: Timestamp, address: &Address, query: &Query) -> Result<Reply, Stop> {
    let found = |key: &str| -> Result<BTreeSet<String>, Stop> {
        let row = collection::get(view, now, address, key)?;
        Ok(row.map(|row| values(&row.value)).transpose()?.unwrap_or_default())
    };
    match query {
        Query::Contains { key, value } => Ok(Reply::Contains(found(key)?.contains(value))),
        Query::Get { key } => found(key).map(Reply::Found),
        Query::Size => collection::size(view, address).map(Reply::Size),
    }
}

fn keys(command: &Command) -> Vec<&str> {
    match command {
        Command::Put { key, .. }
        | Command::Replace { key, .. }
        | Command::Remove { key, .. }
        | Command::RemoveAll { key, .. } => vec![key],
        Command::Add(pairs) | Command::RemoveEntries(pairs) => pairs.keys().map(String::as_str).collect(),
        Command::Clear => vec![],
    }
}

fn found(entries: &mut Entries<'_, '_>, key: &str) -> Result<BTreeSet<String>, Stop> {
    let row = entries.live(key)?;
    Ok(row.map(|row| values(&row.value)).transpose()?.unwrap_or_default())
}

fn each(
    entries: &mut Entries<'_, '_>,
    pairs: &Pairs,
    change: impl Fn(&mut BTreeSet<String>, &BTreeSet<String>),
) -> Result<Reply, Stop> {
    let mut changed = false;
    for (key, values) in pairs {
        let before = found(entries, key)?;
        let mut now = before.clone();
        change(&mut now, values);
        changed |= write(entries, key, before, now)?;
    }
    Ok(Reply::Changed(changed))
}

/// Whether there was anything to do.
fn write(
    entries: &mut Entries<'_, '_>,
    key: &str,
    before: BTreeSet<String>,
    now: BTreeSet<String>,
) -> Result<bool, Stop> {
    if before == now {
        return Ok(false);
    }
    let row = entries.live(key)?;
    match row.as_ref() {
        Some(row) if now.is_empty() => entries.remove(key, row),
        row => drop(entries.put(key, row, stored(&now)?, None)),
    }
    entries.view.emit(Event::Changed {
        key: key.to_owned(),
        added: now.difference(&before).cloned().collect(),
        removed: before.difference(&now).cloned().collect(),
        now,
    });
    Ok(true)
}

/// The values in an entry.
pub fn values(value: &Bytes) -> Result<BTreeSet<String>> {
    Ok(Values::from_row(value)?.values.into_iter().collect())
}

fn stored(values: &BTreeSet<String>) -> Result<Bytes> {
    let bytes = Values {
        values: values.iter().cloned().collect(),
    }
    .to_row();
    if bytes.len() <= limits::MULTIMAP_VALUES_BYTES_MAX {
        return Ok(bytes);
    }
    let message = format!(
        "the values of one key would have {} bytes, they may have {}",
        bytes.len(),
        limits::MULTIMAP_VALUES_BYTES_MAX
    );
    Err(Error::new(codes::BATCH_TOO_LARGE, message))
}
