//! Greetings: raw errors.

use tonic::Status;

pub(crate) fn none() -> Status {
    Status::unknown("no instance found")
}
