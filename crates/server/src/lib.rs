//! The `belay` process: what it listens on, what it tells about itself, and how it starts and stops.
//!
//! A library, so that tests and the one-page `main.rs` use the same parts.

pub mod cli;
pub mod config;

#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;

pub mod compose;

pub mod admin;
pub mod serve;
pub mod telemetry;
