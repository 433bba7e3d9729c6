//! Secrets (spec 3.27, 3.28).

use base::{Error, codes};
use tonic::Status;

use super::{coded, failed, wrapped_code};
use crate::components::Components;

pub(crate) fn no_store(components: &Components, store: &str) -> Status {
    if components.secrets.is_empty() {
        return Status::failed_precondition("error when get secret but not find configured");
    }
    Status::invalid_argument(format!("error when get secret but not find : {store}"))
}

pub(crate) fn denied(key: &str, store: &str) -> Status {
    let text = format!("access denied by policy to get {key} from {store}");
    coded(Status::permission_denied(text), codes::SECRET_FORBIDDEN)
}

pub(crate) fn get(key: &str, store: &str, error: &Error) -> Status {
    let text = format!("error when get secret : secret name => {key},store name =>{store},error => {error}");
    failed(wrapped_code(error.kind()), text, error)
}

pub(crate) fn get_bulk(store: &str, error: &Error) -> Status {
    let text = format!("error when bulk get secret {store}: {error}");
    failed(wrapped_code(error.kind()), text, error)
}
