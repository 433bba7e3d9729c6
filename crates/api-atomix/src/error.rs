//! Every status that this family answers with. Nothing outside of this module builds one.
//!
//! Kinds are the reference's types (spec 1.4): its clients know ten of them by their gRPC codes. A status also carries our stable
//! code as [`CODE_HEADER`]. One rule outweighs the table: clients repeat what is `Unavailable` for up to 15 minutes, so that
//! code is for what passes by itself and was not done.
#![allow(
    clippy::disallowed_methods,
    reason = "this is the module that the ban on building statuses points to"
)]

use base::{Error, Kind, codes};
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

/// Names the page that says what to do next: `belay explain BLY0080`.
const CODE_HEADER: &str = "belay-error-code";

/// A machine's or a store's error.
pub(crate) fn status(error: &Error) -> Status {
    let code = error.code();
    if matches!(error.kind(), Kind::Internal) {
        tracing::warn!(code = code.id, %error, "a primitive's call failed");
    } else {
        tracing::debug!(code = code.id, %error, "a primitive's call was refused");
    }
    let mut status = Status::new(grpc(error), error.message());
    status
        .metadata_mut()
        .insert(CODE_HEADER, MetadataValue::from_static(code.id));
    status
}

/// What may have been done must not be repeated unasked: increments and appends have no identity of their own.
fn grpc(error: &Error) -> Code {
    match error.code() {
        codes::ENGINE_STOPPED | codes::HOST_STOPPED => Code::Unknown,
        // As the reference says it, whose controllers tell people so.
        codes::DRIVER_UNKNOWN => Code::Internal,
        code => wire::status::code(code.kind),
    }
}

/// A request without the primitive's name, or with another part missing.
pub(crate) fn missing(what: &str) -> Status {
    status(&Error::new(
        codes::INVALID_ARGUMENT,
        format!("{what} is missing from the request"),
    ))
}

/// A listener that does not say who calls: ours do.
pub(crate) fn no_peer() -> Status {
    status(&Error::new(codes::INTERNAL, "the call's connection is not known"))
}

pub(crate) fn another_answer() -> Status {
    status(&Error::new(
        codes::INTERNAL,
        "a machine has given another answer than asked for",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A new one belongs here only if nothing was done when it is answered: clients repeat the call.
    #[test]
    fn only_what_was_not_done_is_unavailable() {
        let is_unavailable = |code: &&base::Code| grpc(&Error::new(**code, "it")) == Code::Unavailable;
        let all: Vec<_> = codes::ALL.iter().filter(is_unavailable).collect();
        let of_this_family = [&codes::STORE_UNREACHABLE, &codes::ROUTE_MISSING];
        let of_others = [
            &codes::COMPONENT_NOT_OPENED,
            &codes::ADDRESS_IN_USE,
            &codes::NOT_RUNNING,
            &codes::APP_UNREACHABLE,
            &codes::INVOKE_FAILED,
        ];
        let of_later_others = [&codes::FUNCTION_UNREACHABLE];
        let expected = [&of_others[..], &of_this_family, &of_later_others].concat();
        assert_eq!(all, expected);
    }
}
