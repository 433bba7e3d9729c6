//! The Atomix family: distributed primitives for its SDKs, and the control calls that connect stores and route to them.
//!
//! Handlers translate and do nothing else: find the primitive, call its machine, translate back. What a primitive does is in
//! `machines::primitive`, one file per type.
//!
//! | file | what |
//! |---|---|
//! | `service` | what handlers stand on, and mounting |
//! | `primitives` | which name is which type in which store; creating and closing |
//! | `stores` | stores and routes: what `control` changes and `primitives` asks |
//! | `control` | `Connect`, `Configure`, `Disconnect`, `Program`, under both names of the service |
//! | `sessions` | what a connection holds, until it has gone |
//! | `opening`, `streams` | what all types have: creating, closing, events |
//! | `collections` | streams of types that have entries |
//! | `counter` ... | a file per type of primitive |
//! | `face` | primitives as key-value state, for other families |
//! | `error` | every status that this family answers with |

pub mod face;
pub mod stores;

mod collections;
mod control;
mod opening;
mod primitives;
mod service;
mod sessions;
mod streams;

mod counter;
mod countermap;
mod election;
mod indexedmap;
mod list;
mod lock;
mod map;
mod multimap;
mod set;
mod topic;
mod value;

mod convert;
mod error;

#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use service::{Options, Service};

/// Full names of the services of each listener.
pub mod names {
    pub const CONTROL: &[&str] = &["atomix.runtime.v1.Runtime", "atomix.proxy.v1.Proxy"];
    pub const PRIMITIVES: &[&str] = &[
        "atomix.runtime.counter.v1.Counter",
        "atomix.runtime.counter.v1.Counters",
        "atomix.runtime.election.v1.LeaderElection",
        "atomix.runtime.election.v1.LeaderElections",
        "atomix.runtime.lock.v1.Lock",
        "atomix.runtime.lock.v1.Locks",
        "atomix.runtime.countermap.v1.CounterMap",
        "atomix.runtime.countermap.v1.CounterMaps",
        "atomix.runtime.map.v1.Map",
        "atomix.runtime.map.v1.Maps",
        "atomix.runtime.multimap.v1.MultiMap",
        "atomix.runtime.multimap.v1.MultiMaps",
        "atomix.runtime.set.v1.Set",
        "atomix.runtime.set.v1.Sets",
        "atomix.runtime.indexedmap.v1.IndexedMap",
        "atomix.runtime.indexedmap.v1.IndexedMaps",
        "atomix.runtime.value.v1.Value",
        "atomix.runtime.value.v1.Values",
        "atomix.runtime.list.v1.List",
        "atomix.runtime.list.v1.Lists",
        "atomix.runtime.topic.v1.Topic",
        "atomix.runtime.topic.v1.Topics",
    ];
    /// Unary calls that wait for as long as their caller wants.
    pub const WAITING: &[&str] = &[
        "/atomix.runtime.lock.v1.Lock/Lock",
        "/atomix.runtime.map.v1.Map/Lock",
        "/atomix.runtime.countermap.v1.CounterMap/Lock",
    ];
}
