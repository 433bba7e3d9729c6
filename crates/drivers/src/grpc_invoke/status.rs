//! A gRPC status as an error: the kind stays, the message stays.

use std::error::Error as _;

use base::{Code, Error, codes};
use tonic::Status;

/// What did not come from the service is `Unavailable`, with the innermost reason.
pub(super) fn error(status: &Status) -> Error {
    if let Some(mut cause) = status.source() {
        while let Some(source) = cause.source() {
            cause = source;
        }
        return Error::new(codes::INVOKE_FAILED, cause.to_string());
    }
    let text = match status.message() {
        "" => format!("grpc status {:?}", status.code()),
        message => message.to_owned(),
    };
    Error::new(code(status.code()), text)
}

/// What a connection that is not there comes to.
pub(super) fn unready(cause: tonic::transport::Error) -> Status {
    Status::from_error(cause.into())
}

/// Whether the service refused the call before it looked at it (RFC 9113, section 8.7). That happens to calls that are sent
/// before the service has said how many it takes at once.
pub(super) fn is_refused_unseen(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        let http2 = error.downcast_ref::<h2::Error>();
        if http2.and_then(h2::Error::reason) == Some(h2::Reason::REFUSED_STREAM) {
            return true;
        }
        cause = error.source();
    }
    false
}

fn code(code: tonic::Code) -> Code {
    match code {
        tonic::Code::InvalidArgument | tonic::Code::OutOfRange => codes::INVALID_ARGUMENT,
        tonic::Code::DeadlineExceeded => codes::DEADLINE_EXCEEDED,
        tonic::Code::NotFound => codes::SERVICE_NOT_FOUND,
        tonic::Code::AlreadyExists => codes::SERVICE_EXISTS,
        tonic::Code::PermissionDenied | tonic::Code::Unauthenticated => codes::SERVICE_FORBIDDEN,
        tonic::Code::ResourceExhausted => codes::TOO_MANY_REQUESTS,
        tonic::Code::FailedPrecondition => codes::SERVICE_PRECONDITION,
        tonic::Code::Aborted | tonic::Code::Cancelled => codes::SERVICE_ABORTED,
        tonic::Code::Unimplemented => codes::UNIMPLEMENTED,
        tonic::Code::Unavailable => codes::INVOKE_FAILED,
        tonic::Code::DataLoss => codes::SERVICE_DATA_LOSS,
        tonic::Code::Internal | tonic::Code::Unknown | tonic::Code::Ok => codes::SERVICE_FAILED,
    }
}

#[cfg(test)]
mod tests {
    use base::Kind;

    use super::*;

    #[test]
    fn a_kind_that_we_have_stays() {
        for kind in Kind::ALL {
            assert_eq!(code(tonic::Code::from_i32(kind.grpc())).kind, kind);
        }
    }
}
