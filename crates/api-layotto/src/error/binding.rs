//! Bindings (spec 3.26): every failure reads the same.

use base::Error;
use tonic::Status;

use super::{failed, wrapped_code};

/// Why a binding was not, or not well, invoked.
pub(crate) enum Unbound {
    NoOperation,
    NoBinding,
    NotOffered { operation: String, offered: String },
    Failed(Error),
}

pub(crate) fn invoke(name: &str, why: &Unbound) -> Status {
    let cause = match why {
        Unbound::NoOperation => "operation field is missing from request".to_owned(),
        Unbound::NoBinding => format!("couldn't find output binding {name}"),
        Unbound::NotOffered { operation, offered } => {
            format!("binding {name} does not support operation {operation}. supported operations:{offered}")
        }
        Unbound::Failed(error) => error.message().to_owned(),
    };
    let text = format!("error when invoke output binding {name}: {cause}");
    match why {
        Unbound::NoOperation | Unbound::NoBinding | Unbound::NotOffered { .. } => Status::internal(text),
        Unbound::Failed(error) => failed(wrapped_code(error.kind()), text, error),
    }
}
