//! Entities: what user functions keep. A command to an entity is not stored, what it has changed is.
//!
//! | command | answer | changes |
//! |---|---|---|
//! | `Append`, `after` = last sequence | the new last sequence | events; the snapshot, if one came along |
//! | `Put`, `after` = sequence of the value, 0: there is none | the step's index; 0 when deleted | the value; `None` deletes it |
//! | either, any other `after` | `ENTITY_CHANGED` | nothing |
//! | either, an entity of the other kind | `ENTITY_KIND` | nothing |
//!
//! | query | answer |
//! |---|---|
//! | `Look` | the head, and the value of a value entity |
//! | `Snapshot` | the head, and the snapshot of an event sourced entity |
//!
//! `after` makes for the single writer: who talks for an entity knows what it had when it was activated, and what was stored
//! since. Were there two of them, the one that comes second is refused.

use base::{Error, Result, codes, limits};

use crate::key::{Address, Key};
use crate::row::Stored;
use crate::step::{self, Answer, At};
use crate::view::{Stop, View};

pub mod rows;

mod name;

#[cfg(test)]
mod tests;

use rows::{Event, Head, Kind, Payload, Snapshot, Value};

#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// All of them or none. At least one.
    Append {
        after: u64,
        events: Vec<Payload>,
        /// Of the state after the last one.
        snapshot: Option<Payload>,
    },
    Put {
        after: u64,
        value: Option<Payload>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query {
    Look,
    Snapshot,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// It is, up to this sequence.
    Stored(u64),
    Look {
        head: Option<Head>,
        /// The value, or the snapshot.
        kept: Option<Payload>,
    },
}

impl Command {
    pub(crate) fn held_bytes(&self) -> usize {
        let (many, one) = match self {
            Command::Append { events, snapshot, .. } => (events.as_slice(), snapshot),
            Command::Put { value, .. } => (&[][..], value),
        };
        many.iter().chain(one).map(Payload::held_bytes).sum()
    }

    fn kind(&self) -> Kind {
        match self {
            Command::Append { .. } => Kind::EventSourced,
            Command::Put { .. } => Kind::Value,
        }
    }
}

pub(crate) fn apply(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    command: &Command,
) -> Result<Answer, Stop> {
    let head: Option<Head> = view.load(&Key::head(address))?;
    check(head.as_ref(), command)?;
    let mut head = head.unwrap_or(Head {
        kind: command.kind().into(),
        created_at: at.now.0,
        ..Head::default()
    });
    head.changed_at = at.now.0;
    let is_kept = match command {
        Command::Append { events, snapshot, .. } => {
            append(view, address, &mut head, events);
            if let Some(payload) = snapshot {
                keep_snapshot(view, address, &mut head, payload);
            }
            true
        }
        Command::Put { value, .. } => {
            head.sequence = at.index;
            put(view, address, value.as_ref())
        }
    };
    if is_kept {
        view.store(Key::head(address), &head);
    } else {
        head.sequence = 0;
        view.delete(Key::head(address));
    }
    Ok(Answer::Now(Reply::Stored(head.sequence).into()))
}

fn check(head: Option<&Head>, command: &Command) -> Result<()> {
    let after = match command {
        Command::Append { events, .. } if events.len() > limits::ENTITY_EVENTS_PER_REPLY_MAX => {
            let (count, max) = (events.len(), limits::ENTITY_EVENTS_PER_REPLY_MAX);
            let message =
                format!("{count} events in one reply are too many, at most {max} are stored at once");
            return Err(Error::new(codes::BATCH_TOO_LARGE, message));
        }
        Command::Append { after, .. } | Command::Put { after, .. } => *after,
    };
    if head.is_some_and(|head| head.kind() != command.kind()) {
        let message = "the stored entity is of another kind (event sourced or value): give one of them another persistence id";
        return Err(Error::new(codes::ENTITY_KIND, message));
    }
    let found = head.map_or(0, |head| head.sequence);
    if found != after {
        let message = format!(
            "the entity is at {found} and not at {after}: somebody else has changed it; it is activated anew"
        );
        return Err(Error::new(codes::ENTITY_CHANGED, message));
    }
    Ok(())
}

fn append(view: &mut View<'_>, address: &Address, head: &mut Head, events: &[Payload]) {
    for payload in events {
        head.sequence += 1;
        let event = Event {
            payload: payload.clone(),
            at: head.changed_at,
        };
        view.store(rows::event(address, head.sequence), &event);
    }
}

fn keep_snapshot(view: &mut View<'_>, address: &Address, head: &mut Head, payload: &Payload) {
    head.snapshot_sequence = head.sequence;
    let snapshot = Snapshot {
        payload: payload.clone(),
        sequence: head.sequence,
        at: head.changed_at,
    };
    view.store(rows::snapshot(address), &snapshot);
}

/// Whether anything is left.
fn put(view: &mut View<'_>, address: &Address, value: Option<&Payload>) -> bool {
    match value {
        Some(payload) => {
            let value = Value {
                payload: payload.clone(),
            };
            view.store(rows::value(address), &value);
        }
        None => view.delete(rows::value(address)),
    }
    value.is_some()
}

pub(crate) fn read(view: &View<'_>, address: &Address, query: Query) -> Result<Reply, Stop> {
    let (key, other) = (Key::head(address), kept(address, query));
    view.want([&key, &other])?;
    let row = view.get(&other)?;
    let kept = row.map(|row| match query {
        Query::Look => Value::from_row(&row).map(|value| value.payload),
        Query::Snapshot => Snapshot::from_row(&row).map(|snapshot| snapshot.payload),
    });
    Ok(Reply::Look {
        head: view.load(&key)?,
        kept: kept.transpose()?,
    })
}

fn kept(address: &Address, query: Query) -> Key {
    match query {
        Query::Look => rows::value(address),
        Query::Snapshot => rows::snapshot(address),
    }
}

impl From<Reply> for step::Reply {
    fn from(reply: Reply) -> step::Reply {
        step::Reply::Entity(reply)
    }
}

impl TryFrom<step::Reply> for Reply {
    type Error = step::Reply;

    fn try_from(reply: step::Reply) -> Result<Reply, step::Reply> {
        match reply {
            step::Reply::Entity(reply) => Ok(reply),
            other => Err(other),
        }
    }
}

impl From<Command> for step::Command {
    fn from(command: Command) -> step::Command {
        step::Command::Entity(command)
    }
}

impl From<Query> for step::Query {
    fn from(query: Query) -> step::Query {
        step::Query::Entity(query)
    }
}

impl step::Call for Command {
    type Reply = Reply;
}

impl step::Question for Query {
    type Reply = Reply;
}
