//! Locks (spec 3.8 to 3.10): a status for what is wrong with the request, raw errors of components.

use base::Error;
use tonic::Status;

use super::raw;

pub(crate) fn no_stores() -> Status {
    Status::failed_precondition("lock store is not configured")
}

pub(crate) fn no_store(store: &str) -> Status {
    Status::invalid_argument(format!("lock store {store} not found"))
}

pub(crate) fn no_resource(store: &str) -> Status {
    Status::invalid_argument(format!("ResourceId is empty in lock store {store}"))
}

pub(crate) fn no_owner(store: &str) -> Status {
    Status::invalid_argument(format!("LockOwner is empty in lock store {store}"))
}

pub(crate) fn no_expiry(store: &str) -> Status {
    Status::invalid_argument(format!("Expire is not positive in lock store {store}"))
}

pub(crate) fn component(error: &Error) -> Status {
    raw(error)
}
