//! Calls to what is outside: addresses, pooled HTTP/1.1 connections, and the rules for what travels on.
//!
//! The pool is our own because the limit is the point: a client library's pool bounds what lies idle, not what is open.

use std::time::Duration;

use base::limits;
use tokio::time::Instant;

mod address;
mod answer;
mod connect;
pub(crate) mod headers;
mod places;
mod pool;
pub(crate) mod targets;
pub(crate) mod uri;

pub(crate) use address::{Address, Io};
pub(crate) use answer::{Answer, Failure};
pub(crate) use connect::Connector;
pub(crate) use places::{Place, Places};
pub(crate) use pool::Pool;

/// The moment by which a call must be over: one for everything that it does, waiting and trying again included.
pub(crate) fn deadline(timeout: Duration) -> Instant {
    Instant::now() + timeout.min(limits::OUTBOUND_DEADLINE_MAX)
}
