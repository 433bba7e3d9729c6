//! Ids (spec 3.11): as locks.

use base::Error;
use tonic::Status;

use super::raw;

pub(crate) fn no_stores() -> Status {
    Status::failed_precondition("Sequencer store is not configured")
}

pub(crate) fn no_store(store: &str) -> Status {
    Status::invalid_argument(format!("Sequencer store {store} not found"))
}

pub(crate) fn no_key(store: &str) -> Status {
    Status::invalid_argument(format!("Key is empty in sequencer store {store}"))
}

pub(crate) fn no_such_increment() -> Status {
    Status::unknown("options.Increment is illegal")
}

pub(crate) fn segment_late() -> Status {
    Status::unknown("[DoubleBuffer] swap error")
}

pub(crate) fn ids_used_up(key: &str) -> Status {
    Status::unknown(format!("the ids of key {key} are used up"))
}

pub(crate) fn component(error: &Error) -> Status {
    raw(error)
}
