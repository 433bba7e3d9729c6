//! What every `Kv` of ours shares: how a batch is decided, and who is told about appended rows.

pub(crate) mod row;
pub(crate) mod signals;
pub(crate) mod staging;

pub(crate) use row::Row;
pub(crate) use signals::Signals;
pub(crate) use staging::{Staging, View};
