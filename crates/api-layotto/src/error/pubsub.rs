//! Publishing (spec 4.1) wraps; subscriptions over a stream (spec 4.7) pass on.

use base::{Error, Kind};
use tonic::{Code, Status};

use super::{failed, wrapped_code};
use crate::envelope::Unreadable;

pub(crate) fn no_name() -> Status {
    Status::invalid_argument("pubsub name is empty")
}

pub(crate) fn no_topic(pubsub: &str) -> Status {
    Status::invalid_argument(format!("topic is empty in pubsub {pubsub}"))
}

pub(crate) fn no_pubsub(pubsub: &str) -> Status {
    Status::invalid_argument(format!("pubsub {pubsub} not found"))
}

pub(crate) fn no_cloud_event(Unreadable(why): &Unreadable) -> Status {
    Status::invalid_argument(format!("cannot create cloudevent: {why}"))
}

pub(crate) fn publish(topic: &str, pubsub: &str, error: &Error) -> Status {
    let text = format!("error when publish to topic {topic} in pubsub {pubsub}: {error}");
    failed(wrapped_code(error.kind()), text, error)
}

/// What ends a subscription over a stream, besides the client's cancelling.
pub(crate) enum StreamEnd {
    NoInitialRequest,
    NoPubsubName,
    NoTopic,
    NoPubsub(String),
    SecondInitialRequest,
    HalfClosed,
    /// The component has closed.
    Closed,
}

pub(crate) fn stream(end: &StreamEnd) -> Status {
    match end {
        StreamEnd::NoInitialRequest => Status::unknown("initial request is required"),
        StreamEnd::NoPubsubName => Status::unknown("pubsubName is required"),
        StreamEnd::NoTopic => Status::unknown("topic is required"),
        StreamEnd::NoPubsub(pubsub) => Status::unknown(format!("pubsub {pubsub} is not initialized.")),
        StreamEnd::SecondInitialRequest => Status::unknown("duplicate initial request received"),
        StreamEnd::HalfClosed => Status::unknown("EOF"),
        StreamEnd::Closed => Status::unavailable("the component has closed, subscribe again"),
    }
}

/// A client that learns of `Unavailable` at once can try again; everything else is as raw as the reference's.
pub(crate) fn subscribe(error: &Error) -> Status {
    let code = match error.kind() {
        kind @ (Kind::ResourceExhausted | Kind::Unavailable | Kind::InvalidArgument) => {
            wire::status::code(kind)
        }
        Kind::DeadlineExceeded
        | Kind::NotFound
        | Kind::AlreadyExists
        | Kind::PermissionDenied
        | Kind::FailedPrecondition
        | Kind::Aborted
        | Kind::Unimplemented
        | Kind::Internal
        | Kind::DataLoss => Code::Unknown,
    };
    failed(code, error.message().to_owned(), error)
}
