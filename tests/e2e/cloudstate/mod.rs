//! Unmodified Cloudstate SDKs on the real binary: the user functions in `tests/cloudstate`, one program per SDK, driven over gRPC
//! and HTTP.

mod actions;
pub(crate) mod carts;
mod clients;
pub(crate) mod crashes;
pub(crate) mod function;
pub(crate) mod world;

use function::{GO, JAVASCRIPT, PYTHON};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn javascript() {
    carts::all_pass(&JAVASCRIPT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python() {
    carts::all_pass(&PYTHON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn go() {
    carts::all_pass(&GO).await;
}
