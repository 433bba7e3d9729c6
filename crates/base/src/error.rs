//! The one error type, and what its kinds mean on the wire.

use std::fmt;

use crate::codes::Code;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as far as a caller has to tell cases apart.
///
/// | kind | gRPC | HTTP | retryable |
/// |---|---|---|---|
/// | `InvalidArgument` | 3 | 400 | no |
/// | `DeadlineExceeded` | 4 | 504 | yes |
/// | `NotFound` | 5 | 404 | no |
/// | `AlreadyExists` | 6 | 409 | no |
/// | `PermissionDenied` | 7 | 403 | no |
/// | `ResourceExhausted` | 8 | 429 | yes |
/// | `FailedPrecondition` | 9 | 412 | no |
/// | `Aborted` | 10 | 409 | yes, after reading again |
/// | `Unimplemented` | 12 | 501 | no |
/// | `Internal` | 13 | 500 | no |
/// | `Unavailable` | 14 | 503 | yes |
/// | `DataLoss` | 15 | 500 | no |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    InvalidArgument,
    DeadlineExceeded,
    NotFound,
    AlreadyExists,
    PermissionDenied,
    ResourceExhausted,
    FailedPrecondition,
    /// Another writer was first, or this writer was fenced off.
    Aborted,
    Unimplemented,
    Internal,
    Unavailable,
    /// Stored data is damaged or gone.
    DataLoss,
}

impl Kind {
    pub const ALL: [Kind; 12] = [
        Kind::InvalidArgument,
        Kind::DeadlineExceeded,
        Kind::NotFound,
        Kind::AlreadyExists,
        Kind::PermissionDenied,
        Kind::ResourceExhausted,
        Kind::FailedPrecondition,
        Kind::Aborted,
        Kind::Unimplemented,
        Kind::Internal,
        Kind::Unavailable,
        Kind::DataLoss,
    ];

    /// Number of the gRPC status code.
    pub const fn grpc(self) -> i32 {
        match self {
            Kind::InvalidArgument => 3,
            Kind::DeadlineExceeded => 4,
            Kind::NotFound => 5,
            Kind::AlreadyExists => 6,
            Kind::PermissionDenied => 7,
            Kind::ResourceExhausted => 8,
            Kind::FailedPrecondition => 9,
            Kind::Aborted => 10,
            Kind::Unimplemented => 12,
            Kind::Internal => 13,
            Kind::Unavailable => 14,
            Kind::DataLoss => 15,
        }
    }

    /// HTTP status code.
    pub const fn http(self) -> u16 {
        match self {
            Kind::InvalidArgument => 400,
            Kind::PermissionDenied => 403,
            Kind::NotFound => 404,
            Kind::AlreadyExists | Kind::Aborted => 409,
            Kind::FailedPrecondition => 412,
            Kind::ResourceExhausted => 429,
            Kind::Internal | Kind::DataLoss => 500,
            Kind::Unimplemented => 501,
            Kind::Unavailable => 503,
            Kind::DeadlineExceeded => 504,
        }
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub const fn retryable(self) -> bool {
        match self {
            Kind::DeadlineExceeded | Kind::ResourceExhausted | Kind::Aborted | Kind::Unavailable => true,
            Kind::InvalidArgument
            | Kind::NotFound
            | Kind::AlreadyExists
            | Kind::PermissionDenied
            | Kind::FailedPrecondition
            | Kind::Unimplemented
            | Kind::Internal
            | Kind::DataLoss => false,
        }
    }
}

/// An error with a stable code: what failed, on what, and (on the code's page) what to do next.
///
/// `message` is lower case, has no full stop and never holds values or secrets.
#[derive(Debug)]
pub struct Error {
    code: Code,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub fn new(code: Code, message: impl Into<String>) -> Error {
        Error {
            code,
            message: message.into(),
            source: None,
        }
    }

    /// Keeps the cause for the log; the message must stand without it.
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        self.source = Some(source.into());
        self
    }

    pub fn code(&self) -> Code {
        self.code
    }

    pub fn kind(&self) -> Kind {
        self.code.kind
    }

    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_numbers_are_distinct_and_no_kind_means_ok() {
        let mut numbers: Vec<i32> = Kind::ALL.iter().map(|kind| kind.grpc()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), Kind::ALL.len());
        assert!(!numbers.contains(&0));
    }

    #[test]
    fn only_client_and_server_faults_have_http_statuses() {
        for kind in Kind::ALL {
            assert!((400..600).contains(&kind.http()), "{kind:?}");
        }
    }
}
