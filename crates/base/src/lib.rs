//! What every other crate stands on: the error table, time, named limits, named tasks and the trace context.
//!
//! Nothing here knows a protocol, a store or a configuration.

pub mod answers;
pub mod codes;
pub mod cork;
pub mod error;
pub mod limits;
pub mod peer;
pub mod task;
pub mod time;
pub mod trace;

pub use codes::Code;
pub use error::{Error, Kind, Result};
pub use peer::Peer;
pub use time::{Clock, Timestamp};
