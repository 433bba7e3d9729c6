//! The commands of `cargo xtask`, one file each.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line program talks to its caller"
)]

pub mod bench;
pub mod codegen;
pub mod docs;
pub mod test;
pub mod tidy;

mod command;
mod workspace;
