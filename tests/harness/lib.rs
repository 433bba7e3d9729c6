//! What the end-to-end tests stand on: the real binary, started as its users start it, and clients for it.
//!
//! Every server listens on a free port of loopback, in a folder of its own, and ends with its test.

#![allow(
    clippy::print_stdout,
    reason = "a failed test shows what the programs under test have said"
)]

use std::time::Duration;

pub mod app;
pub mod belay;
pub mod deployment;
pub mod echo;
pub mod greeter;
pub mod proc;
pub mod sdk;
pub mod volume;

pub use belay::{Belay, Layotto};

/// Longest that anything here waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Whether the long mode was asked for (`cargo xtask test --long`).
pub fn long() -> bool {
    std::env::var_os("BELAY_LONG").is_some()
}

/// Asks until the answer is `Some`, or panics with what was waited for.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(
            tokio::time::Instant::now() < until,
            "waited {PATIENCE:?} for {what}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
