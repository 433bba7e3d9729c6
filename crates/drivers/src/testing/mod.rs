//! What the tests of several drivers need.

use std::sync::Arc;

use base::Timestamp;
use base::task::Tasks;
use base::time::ManualClock;
use ports::{Context, Settings};
use serde_json::Value;

use crate::memory::Memory;

pub(crate) mod server;

pub(crate) fn context() -> Context {
    let clock = Arc::new(ManualClock::at(Timestamp(1_000_000)));
    Context {
        clock: clock.clone(),
        engine: Arc::new(Memory::new(clock)),
        tasks: Tasks::default(),
        primitives: None,
    }
}

/// Settings from a JSON object.
pub(crate) fn settings(object: Value) -> Settings {
    match object {
        Value::Object(object) => Settings(object),
        other => panic!("settings are an object, not {other}"),
    }
}
