//! A 64-bit number that starts at 0. Source: Atomix counter v1 (spec 2.1).
//!
//! | command | answer | changes |
//! |---|---|---|
//! | `Set` | the new value | value |
//! | `Update`, current value = `check` | the new value | value |
//! | `Update`, any other | `Aborted` | nothing |
//! | `Put`, version as expected | the new value | value |
//! | `Put`, any other | as [`Expect`] says | nothing |
//! | `Add` (increment, decrement; any sign) | the sum, which wraps | value |
//!
//! | query | answer |
//! |---|---|
//! | `Get` | the value; 0 when it was never set |

use base::{Error, Result, Timestamp, codes};

use super::Expect;
use crate::key::{Address, Key};
use crate::row::Stored;
use crate::step::{Answer, At};
use crate::view::{Stop, View};

#[cfg(test)]
mod tests;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    Set(i64),
    Update {
        check: i64,
        value: i64,
    },
    /// For those who know versions. A counter that was never written is absent.
    Put {
        value: i64,
        expect: Expect,
    },
    Add(i64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query {
    Get,
}

/// The counter's value, and the index of the step that wrote it (0: never).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    pub value: i64,
    pub version: u64,
}

/// Nobody is told of a counter's changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Counter {
    #[prost(sint64, tag = "1")]
    value: i64,
    #[prost(uint64, tag = "2")]
    version: u64,
}

impl Stored for Counter {}

pub(super) fn apply(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    command: &Command,
) -> Result<Answer, Stop> {
    let key = Key::head(address);
    let counter: Counter = view.load(&key)?.unwrap_or_default();
    let value = match *command {
        Command::Set(value) => value,
        Command::Update { check, value } if counter.value == check => value,
        Command::Update { check, .. } => return Err(changed(counter.value, check).into()),
        Command::Put { value, expect } => {
            expect.check(Some(counter.version).filter(|version| *version > 0))?;
            value
        }
        Command::Add(delta) => counter.value.wrapping_add(delta),
    };
    let version = at.index;
    view.store(key, &Counter { value, version });
    Ok(Answer::Now(Reply { value, version }.into()))
}

pub(super) fn read(
    view: &View<'_>,
    _now: Timestamp,
    address: &Address,
    query: &Query,
) -> Result<Reply, Stop> {
    let Query::Get = query;
    let counter: Counter = view.load(&Key::head(address))?.unwrap_or_default();
    Ok(Reply {
        value: counter.value,
        version: counter.version,
    })
}

fn changed(found: i64, expected: i64) -> Error {
    let message = format!("the counter is {found} and not {expected}, read it again");
    Error::new(codes::VALUE_CHANGED, message)
}
