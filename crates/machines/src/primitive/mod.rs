//! Distributed primitives: one file per type, each with its table.
//!
//! Names are one space for all types of a store; which type a name has is kept by the family, which never sends a primitive
//! the command of another one.

use base::{Result, Timestamp};
use bytes::Bytes;

use crate::key::{Address, Session};
use crate::message::{Expire, Sweep, WaitOver};
use crate::step::{self, Answer, At, Request};
use crate::view::{Stop, View};

pub mod collection;
pub mod counter;
pub mod countermap;
pub mod election;
pub mod indexedmap;
pub mod list;
pub mod lock;
pub mod map;
pub mod multimap;
pub mod set;
pub mod topic;
pub mod value;

mod locks;
mod session;
mod size;
mod ttl;
mod version;
mod waiting;

pub use version::Expect;

/// A value with the index of the step that wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versioned {
    pub value: Bytes,
    pub version: u64,
}

/// Types that are one machine each. Adding one: its file, and its line here. Numbers are stored and never change.
macro_rules! machines {
    ($($name:ident = $module:ident, $number:literal;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Type {
            $($name,)*
        }

        impl Type {
            pub const ALL: &[Type] = &[$(Type::$name,)*];

            /// What it is called in rules and messages.
            pub fn name(self) -> &'static str {
                match self {
                    $(Type::$name => stringify!($name),)*
                }
            }

            pub fn number(self) -> u32 {
                match self {
                    $(Type::$name => $number,)*
                }
            }

            pub fn of_number(number: u32) -> Option<Type> {
                match number {
                    $($number => Some(Type::$name),)*
                    _ => None,
                }
            }
        }

        #[derive(Clone, Debug)]
        pub enum Command {
            $($name($module::Command),)*
        }

        #[derive(Clone, Debug)]
        pub enum Query {
            $($name($module::Query),)*
        }

        #[derive(Clone, Debug, PartialEq)]
        pub enum Reply {
            $($name($module::Reply),)*
        }

        #[derive(Clone, Debug, PartialEq)]
        pub enum Event {
            $($name($module::Event),)*
        }

        pub(crate) fn apply(
            view: &mut View<'_>,
            at: At,
            address: &Address,
            command: &Command,
        ) -> Result<Answer, Stop> {
            match command {
                $(Command::$name(command) => $module::apply(view, at, address, command),)*
            }
        }

        pub(crate) fn read(view: &View<'_>, now: Timestamp, address: &Address, query: &Query) -> Result<Reply, Stop> {
            match query {
                $(Query::$name(query) => $module::read(view, now, address, query).map(Reply::$name),)*
            }
        }

        $(
            impl From<$module::Command> for step::Command {
                fn from(command: $module::Command) -> step::Command {
                    step::Command::Primitive(Command::$name(command))
                }
            }

            impl From<$module::Query> for step::Query {
                fn from(query: $module::Query) -> step::Query {
                    step::Query::Primitive(Query::$name(query))
                }
            }

            impl From<$module::Reply> for step::Reply {
                fn from(reply: $module::Reply) -> step::Reply {
                    step::Reply::Primitive(Reply::$name(reply))
                }
            }

            impl TryFrom<step::Reply> for $module::Reply {
                type Error = step::Reply;

                fn try_from(reply: step::Reply) -> Result<$module::Reply, step::Reply> {
                    match reply {
                        step::Reply::Primitive(Reply::$name(reply)) => Ok(reply),
                        other => Err(other),
                    }
                }
            }

            impl From<$module::Event> for step::Event {
                fn from(event: $module::Event) -> step::Event {
                    step::Event::Primitive(Event::$name(event))
                }
            }

            impl step::Call for $module::Command {
                type Reply = $module::Reply;
            }

            impl step::Question for $module::Query {
                type Reply = $module::Reply;
            }
        )*
    };
}

machines! {
    Counter = counter, 1;
    Value = value, 2;
    Map = map, 3;
    Set = set, 4;
    CounterMap = countermap, 5;
    MultiMap = multimap, 6;
    List = list, 7;
    Topic = topic, 8;
    Lock = lock, 9;
    LeaderElection = election, 10;
    IndexedMap = indexedmap, 11;
}

impl Command {
    pub(crate) fn held_bytes(&self) -> usize {
        size::held_bytes(self)
    }

    /// Whose answer must be taken back when nobody takes it.
    pub(crate) fn must_be_taken(&self) -> Option<Type> {
        match self {
            Command::Lock(lock::Command::Lock { .. }) => Some(Type::Lock),
            Command::Map(map::Command::Lock { .. }) => Some(Type::Map),
            Command::CounterMap(countermap::Command::Lock { .. }) => Some(Type::CounterMap),
            _ => None,
        }
    }
}

impl Event {
    /// Bytes that are in no row of its step.
    pub(crate) fn held_bytes(&self) -> usize {
        match self {
            Event::List(event) => event.held_bytes(),
            Event::Topic(event) => event.held_bytes(),
            _ => 0,
        }
    }
}

/// A time to live is over.
pub(crate) fn expire(view: &mut View<'_>, at: At, address: &Address, expire: &Expire) -> Result<(), Stop> {
    match Type::of_number(expire.primitive) {
        Some(Type::Value) => value::expire(view, address, expire),
        Some(Type::IndexedMap) => indexedmap::expire(view, address, expire),
        Some(Type::Map) => map::expire(view, at, address, expire),
        Some(Type::Set) => set::expire(view, at, address, expire),
        _ => Ok(()),
    }
}

/// What was cleared from a collection can be removed.
pub(crate) fn sweep(view: &mut View<'_>, at: At, address: &Address, sweep: &Sweep) -> Result<(), Stop> {
    match Type::of_number(sweep.primitive) {
        Some(Type::IndexedMap) => indexedmap::sweep(view, at, address, sweep),
        _ => collection::sweep(view, at, address, sweep),
    }
}

/// A request has waited as long as it wanted to.
pub(crate) fn wait_over(view: &mut View<'_>, at: At, address: &Address, over: &WaitOver) -> Result<(), Stop> {
    match Type::of_number(over.primitive) {
        Some(Type::Lock) => lock::wait_over(view, at, address, over.request.into()),
        Some(Type::Map) => locks::wait_over(&locks::MAP, view, at, address, over.request.into()),
        Some(Type::CounterMap) => {
            locks::wait_over(&locks::COUNTER_MAP, view, at, address, over.request.into())
        }
        _ => Ok(()),
    }
}

pub(crate) fn abandoned(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    (primitive, request): (Type, Request),
) -> Result<(), Stop> {
    match primitive {
        Type::Lock => lock::abandoned(view, at, address, request),
        Type::Map => locks::abandoned(&locks::MAP, view, at, address, request),
        Type::CounterMap => locks::abandoned(&locks::COUNTER_MAP, view, at, address, request),
        _ => Ok(()),
    }
}

pub(crate) fn session_lost(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    (session, over_at): (Session, Timestamp),
) -> Result<(), Stop> {
    session::lost(view, at, address, (session, over_at))
}

pub(crate) fn session_over(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    session: Session,
) -> Result<(), Stop> {
    session::over(view, at, address, session)
}

/// What a session holds of a machine of that type.
fn free(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    (primitive, session): (Option<Type>, Session),
) -> Result<(), Stop> {
    match primitive {
        Some(Type::Lock) => lock::session_over(view, at, address, session),
        Some(Type::Map) => locks::session_over(&locks::MAP, view, at, address, session),
        Some(Type::CounterMap) => locks::session_over(&locks::COUNTER_MAP, view, at, address, session),
        Some(Type::LeaderElection) => election::session_over(view, at, address, session),
        _ => Ok(()),
    }
}
