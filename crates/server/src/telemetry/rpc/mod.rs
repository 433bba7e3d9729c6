//! The one layer around every gRPC call: counts it, gives it its trace context and its deadline, and turns a panic into
//! INTERNAL.
//!
//! | a call that | is answered | by |
//! |---|---|---|
//! | has a path that nothing serves | UNIMPLEMENTED | this layer, its routes are not asked |
//! | flow control refuses | UNKNOWN | this layer |
//! | is over its caller's deadline, or is unary and over ours | DEADLINE_EXCEEDED | this layer; the handler is dropped |
//! | is unary and waits, and is not answered while the process drains | UNAVAILABLE | this layer; the handler is dropped |
//! | panics, also in the middle of its stream | INTERNAL | this layer; the connection and the process go on |
//! | streams, and is silent while the process drains | UNAVAILABLE | this layer |
//! | sends a message that is too large | RESOURCE_EXHAUSTED | the reference's words instead of tonic's |
//! | is dropped before its status | counted as CANCELLED | |
//!
//! It stands inside the HTTP/2 server and outside the routes. Statuses are written as headers: this layer is below any
//! family's error mapping and builds no `tonic::Status`.

mod answer;
mod body;
mod call;
mod service;

#[cfg(test)]
mod tests;

pub use body::Observed;
pub use service::{Layer, Service, Settings};
