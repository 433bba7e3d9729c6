//! Configuration (spec 3.3 to 3.6): raw errors.

use base::{Error, codes, limits};
use tonic::Status;

use super::{coded, failed, raw, raw_code};

pub(crate) fn no_store(store: &str) -> Status {
    Status::unknown(format!("configure store [{store}] don't support now"))
}

pub(crate) fn get(error: &Error) -> Status {
    let text = format!("get configuration failed with error: {error}");
    failed(raw_code(error.kind()), text, error)
}

pub(crate) fn component(error: &Error) -> Status {
    raw(error)
}

pub(crate) fn watch_ended(store: &str) -> Status {
    Status::unavailable(format!(
        "configure store [{store}] has closed, read its items again and subscribe anew"
    ))
}

pub(crate) fn too_many_watches() -> Status {
    let text = format!(
        "a stream may hold {} subscriptions, open another one",
        limits::WATCHES_PER_STREAM_MAX
    );
    coded(Status::resource_exhausted(text), codes::TOO_MANY_REQUESTS)
}
