//! Every status that this family answers with. Nothing outside of this module builds one.
//!
//! Codes and texts are the reference's where its clients can see them (spec 3 and 5), odd ones included: people search
//! logs for them. Three habits of it explain most of the tables:
//! - what it calls a raw error travels as `Unknown` with the bare text: greetings, configuration, locks, ids, bulk state;
//! - other component failures are `Internal` inside a sentence of the block, whatever the cause;
//! - a component that is not there is another code in each block.
//!
//! One thing is ours: a component that is overloaded answers `ResourceExhausted` everywhere, for the reference knows no
//! such answer and callers must learn to come back later. A component's own error also carries its stable code as
//! [`CODE_HEADER`].
#![allow(
    clippy::disallowed_methods,
    reason = "this is the module that the ban on building statuses points to"
)]

pub(crate) mod binding;
pub(crate) mod config;
pub(crate) mod file;
pub(crate) mod hello;
pub(crate) mod invoke;
pub(crate) mod lifecycle;
pub(crate) mod lock;
pub(crate) mod pubsub;
pub(crate) mod secret;
pub(crate) mod sequencer;
pub(crate) mod state;

use base::{Error, Kind, codes, limits};
use http::HeaderMap;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use crate::components::SEPARATOR;

/// Names the page that says what to do next: `belay explain BLY0050`.
pub(crate) const CODE_HEADER: &str = "belay-error-code";

/// A component's error in this family's words. The cause is logged here, because a status cannot carry it.
fn failed(code: Code, text: String, error: &Error) -> Status {
    let id = error.code().id;
    let cause = std::error::Error::source(error).map(tracing::field::display);
    tracing::debug!(code = id, error = %error, cause, "a component failed");
    if error.kind() == Kind::DataLoss || error.code() == codes::INTERNAL {
        tracing::warn!(code = id, "a component is damaged or at fault");
    }
    coded(Status::new(code, text), error.code())
}

fn coded(mut status: Status, code: base::Code) -> Status {
    status
        .metadata_mut()
        .insert(CODE_HEADER, MetadataValue::from_static(code.id));
    status
}

/// Blocks that pass a component's error on unwrapped.
fn raw_code(kind: Kind) -> Code {
    match kind {
        Kind::ResourceExhausted => wire::status::code(kind),
        Kind::InvalidArgument
        | Kind::DeadlineExceeded
        | Kind::NotFound
        | Kind::AlreadyExists
        | Kind::PermissionDenied
        | Kind::FailedPrecondition
        | Kind::Aborted
        | Kind::Unimplemented
        | Kind::Internal
        | Kind::Unavailable
        | Kind::DataLoss => Code::Unknown,
    }
}

/// Blocks that wrap a component's error in a sentence.
fn wrapped_code(kind: Kind) -> Code {
    match kind {
        Kind::ResourceExhausted => wire::status::code(kind),
        Kind::InvalidArgument
        | Kind::DeadlineExceeded
        | Kind::NotFound
        | Kind::AlreadyExists
        | Kind::PermissionDenied
        | Kind::FailedPrecondition
        | Kind::Aborted
        | Kind::Unimplemented
        | Kind::Internal
        | Kind::Unavailable
        | Kind::DataLoss => Code::Internal,
    }
}

fn raw(error: &Error) -> Status {
    failed(raw_code(error.kind()), error.message().to_owned(), error)
}

/// A request that breaks a limit of ours, where the reference has none.
fn refused(text: String) -> Status {
    coded(Status::invalid_argument(text), codes::INVALID_ARGUMENT)
}

/// A key, or a resource's name, that holds what separates the parts of keys in stores.
pub(crate) fn separator(key: &str) -> Status {
    Status::unknown(format!("input key/keyPrefix '{key}' can't contain '{SEPARATOR}'"))
}

/// The library refuses a request that is too large with another code than the reference's.
pub(crate) fn oversize(headers: &HeaderMap) -> Option<Status> {
    headers.get("grpc-status").filter(|code| *code == "11")?;
    let status = Status::from_header_map(headers)?;
    let sizes = status
        .message()
        .strip_prefix("Error, decoded message length too large: found ")?;
    let (size, _) = sizes.split_once(' ')?;
    Some(Status::resource_exhausted(format!(
        "grpc: received message larger than max ({size} vs. {})",
        limits::MESSAGE_BYTES_MAX
    )))
}
