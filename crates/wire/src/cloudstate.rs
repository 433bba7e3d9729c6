//! The Cloudstate family: what a proxy and a user function say to each other. Dialects L (0.1) and N (0.2) share these messages;
//! in L some fields do not exist.

#[allow(
    clippy::all,
    clippy::unwrap_used,
    non_camel_case_types,
    unreachable_pub,
    reason = "generated code follows its generator's style"
)]
mod generated {
    include!("gen/cloudstate/mod.rs");
}

pub use generated::cloudstate::*;
