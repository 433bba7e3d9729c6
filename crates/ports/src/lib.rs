//! What a driver may offer: one file per port, each a contract; the registry of drivers; the conformance suites.
//!
//! Read [`kv`] first: the engine and every derived component stand on it. Ports are object-safe, async, boxed and take
//! batches, so that a store far away costs one round trip and no type parameter crosses a crate.

pub mod kv;
pub mod ownership;
pub mod registry;

pub mod binding;
pub mod config;
pub mod file;
pub mod invoke;
pub mod lock;
pub mod pubsub;
pub mod query;
pub mod secret;
pub mod sequencer;
pub mod state;

#[cfg(feature = "conformance")]
pub mod conformance;

pub use registry::{Component, Context, Driver, Finding, Port, Registry, Settings};

use std::collections::BTreeMap;

/// Free text that callers and vendors pass each other beside the request proper.
pub type Metadata = BTreeMap<String, String>;
