//! Files (spec 3.21 to 3.24).

use base::{Error, Kind, codes};
use tonic::{Code, Status};

use super::failed;

/// `GetFile` spells it like this, the others do not.
pub(crate) fn no_store_to_get_from(store: &str) -> Status {
    Status::invalid_argument(format!("not supported store type: {store}"))
}

pub(crate) fn no_store(store: &str) -> Status {
    Status::invalid_argument(format!("not support store type: {store}"))
}

pub(crate) fn no_request() -> Status {
    Status::invalid_argument("request can't be nil")
}

/// Refusing what lies outside of a store's folder is ours, and so is its code; all else is `Internal`, a missing file too.
fn transfer_code(kind: Kind) -> Code {
    match kind {
        Kind::PermissionDenied | Kind::ResourceExhausted => wire::status::code(kind),
        Kind::InvalidArgument
        | Kind::DeadlineExceeded
        | Kind::NotFound
        | Kind::AlreadyExists
        | Kind::FailedPrecondition
        | Kind::Aborted
        | Kind::Unimplemented
        | Kind::Internal
        | Kind::Unavailable
        | Kind::DataLoss => Code::Internal,
    }
}

pub(crate) fn get(error: &Error) -> Status {
    let text = format!("get file fail,err: {error}");
    failed(transfer_code(error.kind()), text, error)
}

pub(crate) fn put(error: &Error) -> Status {
    failed(transfer_code(error.kind()), error.message().to_owned(), error)
}

pub(crate) fn receive(cause: &Status) -> Status {
    Status::internal(receive_text(cause))
}

/// An upload that broke off, as the store that reads it sees it.
pub(crate) fn upload_broke(cause: Status) -> Error {
    Error::new(codes::FILE_FAILED, receive_text(&cause)).because(cause)
}

fn receive_text(cause: &Status) -> String {
    format!("receive file data fail: err: {}", cause.message())
}

pub(crate) fn list(error: &Error) -> Status {
    failed(transfer_code(error.kind()), error.message().to_owned(), error)
}

/// `DelFile` and `GetFileMeta`: what a component says precisely stays precise.
pub(crate) fn component(error: &Error) -> Status {
    let kind = error.kind();
    let code = match kind {
        Kind::InvalidArgument
        | Kind::NotFound
        | Kind::AlreadyExists
        | Kind::DataLoss
        | Kind::PermissionDenied
        | Kind::ResourceExhausted => wire::status::code(kind),
        Kind::DeadlineExceeded
        | Kind::FailedPrecondition
        | Kind::Aborted
        | Kind::Unimplemented
        | Kind::Internal
        | Kind::Unavailable => Code::Internal,
    };
    let text = match kind {
        Kind::NotFound => "file does not exist",
        _ => error.message(),
    };
    failed(code, text.to_owned(), error)
}
