//! The protocol families' messages, servers and clients, and what our error kinds are called there.
//!
//! Everything under `gen/` is made from `proto/` by `cargo xtask codegen` and never edited. Each family has one module
//! that shows its generated packages under a short path, with the descriptors that gRPC reflection serves.

pub mod atomix;
pub mod cloudstate;
pub mod layotto;
pub mod restate;
pub mod status;
