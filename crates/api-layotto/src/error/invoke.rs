//! Invocation of services (spec 3.2).

use std::time::Duration;

use base::{Error, Kind, codes};
use tonic::{Code, Status};

use super::{coded, failed, refused};

pub(crate) fn no_invoker() -> Status {
    Status::unknown("invoker not init")
}

pub(crate) fn no_such_verb(verb: i32) -> Status {
    refused(format!("http_extension.verb {verb} is not a verb"))
}

/// Who set the time that ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// The call's own deadline.
    Caller,
    /// `rpc_request_timeout`, or its default.
    Setting,
}

/// The reference answers `Unavailable` when the time that was set for the service runs out (measured, spec 0.4).
pub(crate) fn timeout(id: &str, deadline: Deadline, timeout: Duration) -> Status {
    let code = match deadline {
        Deadline::Caller => Code::DeadlineExceeded,
        Deadline::Setting => Code::Unavailable,
    };
    let text = format!("service {id} did not answer within {} ms", timeout.as_millis());
    coded(Status::new(code, text), codes::DEADLINE_EXCEEDED)
}

/// An invoker's error, and whose time had run out by then.
pub(crate) fn component(error: &Error, ran_out: Option<Deadline>) -> Status {
    let kind = error.kind();
    let code = match kind {
        Kind::Unavailable if ran_out == Some(Deadline::Caller) => Code::DeadlineExceeded,
        Kind::DeadlineExceeded
        | Kind::Unavailable
        | Kind::Internal
        | Kind::InvalidArgument
        | Kind::ResourceExhausted => wire::status::code(kind),
        Kind::NotFound
        | Kind::AlreadyExists
        | Kind::PermissionDenied
        | Kind::FailedPrecondition
        | Kind::Aborted
        | Kind::Unimplemented
        | Kind::DataLoss => Code::Unknown,
    };
    failed(code, error.message().to_owned(), error)
}
