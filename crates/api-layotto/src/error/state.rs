//! State (spec 3.12 to 3.18): single calls wrap and map, bulk calls pass on, transactions are `Internal`.

use std::fmt;

use base::{Error, Kind, codes, limits};
use tonic::{Code, Status};

use super::{coded, failed, raw, raw_code, refused, wrapped_code};
use crate::components::Components;

pub(crate) fn no_store(components: &Components, store: &str) -> Status {
    if components.states.is_empty() {
        return Status::failed_precondition("state store is not configured");
    }
    Status::invalid_argument(format!("state store {store} is not found"))
}

pub(crate) fn no_transactions(store: &str) -> Status {
    Status::unimplemented(format!("state store {store} doesn't support transaction"))
}

pub(crate) fn no_such_operation(operation: &str) -> Status {
    Status::unimplemented(format!("operation type {operation} not supported"))
}

pub(crate) fn too_many_keys(count: usize) -> Status {
    refused(format!(
        "{count} keys in one call are over the limit of {}, send several calls",
        limits::BULK_KEYS_MAX
    ))
}

pub(crate) fn ttl(key: &str, setting: &str) -> Status {
    let text = format!(
        "ttlInSeconds of key {key} is '{setting}', it must be a number of seconds from 1 to {}, or -1 for a key that stays",
        limits::TTL_MAX.as_secs()
    );
    coded(Status::invalid_argument(text), codes::TTL_INVALID)
}

pub(crate) fn no_ttl(key: &str, store: &str) -> Status {
    let text = format!("key {key} has a time to live, but state store {store} cannot make keys expire");
    coded(Status::invalid_argument(text), codes::TTL_INVALID)
}

pub(crate) fn get(key: &str, store: &str, error: &Error) -> Status {
    let text = format!("fail to get {key} from state store {store}: {error}");
    failed(wrapped_code(error.kind()), text, error)
}

pub(crate) fn get_bulk(error: &Error) -> Status {
    raw(error)
}

/// Why changes of state were not made.
pub(crate) enum Unwritten {
    Mismatch(Which),
    InvalidEtag(Which),
    Failed(Error),
}

/// The change at fault; not worth a word when there is only one.
pub(crate) struct Which {
    pub index: usize,
    pub count: usize,
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.count == 1 {
            return Ok(());
        }
        write!(f, ": item {} of {}", self.index + 1, self.count)
    }
}

impl Unwritten {
    fn text(&self) -> String {
        match self {
            Unwritten::Mismatch(which) => format!("possible etag mismatch. error from state store{which}"),
            Unwritten::InvalidEtag(which) => format!("invalid etag value{which}"),
            Unwritten::Failed(error) => error.message().to_owned(),
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Unwritten::Mismatch(_) => Kind::Aborted,
            Unwritten::InvalidEtag(_) => Kind::InvalidArgument,
            Unwritten::Failed(error) => error.kind(),
        }
    }

    fn status(&self, code: Code, text: String) -> Status {
        match self {
            Unwritten::Mismatch(_) => coded(Status::new(code, text), codes::ETAG_MISMATCH),
            Unwritten::InvalidEtag(_) => coded(Status::new(code, text), codes::ETAG_INVALID),
            Unwritten::Failed(error) => failed(code, text, error),
        }
    }
}

/// Single writes tell whose fault it was.
fn write_code(kind: Kind) -> Code {
    match kind {
        Kind::InvalidArgument | Kind::Aborted | Kind::ResourceExhausted => wire::status::code(kind),
        Kind::DeadlineExceeded
        | Kind::NotFound
        | Kind::AlreadyExists
        | Kind::PermissionDenied
        | Kind::FailedPrecondition
        | Kind::Unimplemented
        | Kind::Internal
        | Kind::Unavailable
        | Kind::DataLoss => Code::Internal,
    }
}

pub(crate) fn save(store: &str, why: &Unwritten) -> Status {
    let text = format!("failed saving state in state store {store}: {}", why.text());
    why.status(write_code(why.kind()), text)
}

pub(crate) fn delete(key: &str, why: &Unwritten) -> Status {
    let text = format!("failed deleting state with key {key}: {}", why.text());
    why.status(write_code(why.kind()), text)
}

pub(crate) fn delete_bulk(why: &Unwritten) -> Status {
    why.status(raw_code(why.kind()), why.text())
}

pub(crate) fn transaction(why: &Unwritten) -> Status {
    let text = format!("error while executing state transaction: {}", why.text());
    why.status(wrapped_code(why.kind()), text)
}
