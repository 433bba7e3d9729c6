//! Items by their position; those behind an inserted or removed one move. Source: Atomix list v1 (spec 2.5), which nobody had
//! implemented.
//!
//! | command | `index` < size | `index` = size | `index` > size |
//! |---|---|---|---|
//! | `Append` | | appended, told as inserted at the size it had | |
//! | `Insert` | inserted, later items move up | inserted | `NotFound` |
//! | `Set` | replaced, also by an equal value | `NotFound` | `NotFound` |
//! | `Remove` | removed, later items move down | `NotFound` | `NotFound` |
//! | `Clear` | all gone in one step; nothing, when there are none | | |
//!
//! | query | answer |
//! |---|---|
//! | `Size` | how many items |
//! | `Get` | the item; `NotFound` |
//! | `Items` | some of the items from an index on, whether more follow, and the version of all of it |
//!
//! The list has one version, the index of the step that changed it last. Positions mean something at one version only: who reads
//! items and then follows events reads them all at one version, and skips events up to it.
//!
//! A list that is full (`limits::LIST_*`) refuses what makes it larger with `ResourceExhausted`.

use base::{Error, Result, Timestamp, codes, limits};
use bytes::Bytes;

use crate::key::Address;
use crate::step::{Answer, At};
use crate::view::{Stop, View};

mod chunks;
#[cfg(test)]
mod tests;

use chunks::Chunks;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Append { value: Bytes },
    Insert { index: u32, value: Bytes },
    Set { index: u32, value: Bytes },
    Remove { index: u32 },
    Clear,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query {
    Size,
    Get { index: u32 },
    Items { from: u32 },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// What is there now, or, after a removal, was there.
    Item(Item),
    Size(u32),
    Items(Page),
    Cleared,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item {
    pub index: u32,
    pub value: Bytes,
}

/// Items that follow each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Of the whole list; 0: nothing was ever in it.
    pub version: u64,
    pub values: Vec<Bytes>,
    /// Whether others follow.
    pub more: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Inserted(Item),
    Updated {
        now: Item,
        before: Bytes,
    },
    Removed(Item),
    /// With all that was in it, or `None` when that is more than an event should hold.
    Cleared(Option<Vec<Bytes>>),
}

impl Event {
    /// Of values that are in none of the rows that the step has written.
    pub(super) fn held_bytes(&self) -> usize {
        match self {
            Event::Inserted(_) => 0,
            Event::Updated { before: was, .. } | Event::Removed(Item { value: was, .. }) => was.len(),
            Event::Cleared(values) => values.iter().flatten().map(Bytes::len).sum(),
        }
    }
}

pub(super) fn apply(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    command: &Command,
) -> Result<Answer, Stop> {
    let mut chunks = Chunks::load(view, address)?;
    let reply = match command {
        Command::Append { value } => {
            let index = chunks.size();
            insert(view, &mut chunks, index, value)?
        }
        Command::Insert { index, value } => {
            if *index > chunks.size() {
                return Err(out_of_range(*index, chunks.size()).into());
            }
            insert(view, &mut chunks, *index, value)?
        }
        Command::Set { index, value } => {
            let (now, before) = (item(*index, value), chunks.set(view, *index, value)?);
            view.emit(Event::Updated {
                now: now.clone(),
                before,
            });
            Reply::Item(now)
        }
        Command::Remove { index } => {
            let was = item(*index, &chunks.remove(view, *index)?);
            view.emit(Event::Removed(was.clone()));
            Reply::Item(was)
        }
        Command::Clear if chunks.size() == 0 => return Ok(Answer::Now(Reply::Cleared.into())),
        Command::Clear => clear(view, &mut chunks)?,
    };
    chunks.store(view, at.index);
    Ok(Answer::Now(reply.into()))
}

pub(super) fn read(
    view: &View<'_>,
    _now: Timestamp,
    address: &Address,
    query: &Query,
) -> Result<Reply, Stop> {
    let chunks = Chunks::load(view, address)?;
    Ok(match *query {
        Query::Size => Reply::Size(chunks.size()),
        Query::Get { index } => Reply::Item(item(index, &chunks.get(view, index)?)),
        Query::Items { from } => Reply::Items(chunks.page(view, from)?),
    })
}

fn insert(view: &mut View<'_>, chunks: &mut Chunks<'_>, index: u32, value: &Bytes) -> Result<Reply, Stop> {
    chunks.insert(view, index, value)?;
    let item = item(index, value);
    view.emit(Event::Inserted(item.clone()));
    Ok(Reply::Item(item))
}

/// The rows of a list that is too large to be told are not even read.
fn clear(view: &mut View<'_>, chunks: &mut Chunks<'_>) -> Result<Reply, Stop> {
    let values = match chunks.weight() <= limits::LIST_CLEAR_TOLD_BYTES {
        true => Some(chunks.all(view)?),
        false => None,
    };
    chunks.clear(view);
    view.emit(Event::Cleared(values));
    Ok(Reply::Cleared)
}

fn item(index: u32, value: &Bytes) -> Item {
    Item {
        index,
        value: value.clone(),
    }
}

fn out_of_range(index: u32, size: u32) -> Error {
    let message = format!("the list has {size} items, there is none at {index}");
    Error::new(codes::ENTRY_NOT_FOUND, message)
}

fn full(reached: &str) -> Error {
    let message = format!("the list is full: it has {reached}");
    Error::new(codes::TOO_MANY_REQUESTS, message)
}
