//! Why a command has no answer, and what clients see of it.

use base::{Error, codes};
use http::StatusCode;
use tonic::Status;

/// Clients of gRPC see a status, clients of HTTP a body that is the description and nothing else.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The user function has said so: it has no codes, only a description.
    Failed(String),
    /// A status of a function's own call, passed on.
    Status(tonic::Code, String),
    /// Belay says so.
    Error(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Error(error)
    }
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Refusal {
        Refusal::Status(status.code(), status.message().to_owned())
    }
}

impl Refusal {
    pub(crate) fn invalid(message: impl Into<String>) -> Refusal {
        Error::new(codes::INVALID_ARGUMENT, message).into()
    }

    pub(crate) fn code(&self) -> tonic::Code {
        match self {
            Refusal::Failed(_) => tonic::Code::Unknown,
            Refusal::Status(code, _) => *code,
            Refusal::Error(error) => wire::status::code(error.kind()),
        }
    }

    pub(crate) fn text(&self) -> String {
        match self {
            Refusal::Failed(description) => description.clone(),
            Refusal::Status(_, message) => message.clone(),
            Refusal::Error(error) => format!("{}: {error}", error.code().id),
        }
    }

    /// Commands that fail are 500 whatever the reason, as with the reference; what never reached a function is told apart.
    pub(crate) fn http(&self) -> StatusCode {
        match self {
            Refusal::Failed(_) | Refusal::Status(..) => StatusCode::INTERNAL_SERVER_ERROR,
            Refusal::Error(error) => {
                StatusCode::from_u16(error.kind().http()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Status {
        Status::new(refusal.code(), refusal.text())
    }
}

/// Of a connection that has ended.
pub(crate) fn not_ready(cause: hyper::Error) -> Status {
    Status::from_error(cause.into())
}

pub(crate) fn unknown_method(path: &str) -> Status {
    Status::unimplemented(format!(
        "nothing is served at {path}: no user function has such a method"
    ))
}

/// A unary call has to end with a message.
pub(crate) fn no_answer(service: &str, method: &str) -> Status {
    Status::internal(format!(
        "{service}/{method}: the user function has answered with neither a reply nor a failure"
    ))
}
