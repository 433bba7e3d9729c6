//! Reconfiguration (spec 5).

use base::Error;
use tonic::Status;

use super::raw;

pub(crate) fn field_missing(field: &str) -> Status {
    Status::invalid_argument(format!("field {field} is not configured"))
}

pub(crate) fn no_component(kind: &str, name: &str) -> Status {
    Status::invalid_argument(format!("component not found. kind: {kind} , name: {name}"))
}

pub(crate) fn component(error: &Error) -> Status {
    raw(error)
}

pub(crate) fn changed_elsewhere() -> Status {
    Status::aborted("the configuration was changed elsewhere at the same time, apply again")
}
