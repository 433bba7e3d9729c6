//! The Restate family: messages of the service protocol. Its two generations have nothing in common but the frame: in
//! [`filled`] results are filled into entries, in [`appended`] they are appended as notifications.

#[allow(
    clippy::all,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "generated code follows its generator's style"
)]
mod generated {
    include!("gen/restate/mod.rs");
}

pub use generated::restate::{appended, filled};
