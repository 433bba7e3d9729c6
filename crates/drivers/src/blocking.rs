//! Work that waits for a disk, away from the runtime's workers.

use base::{Error, Result, codes};
use tokio::task::JoinHandle;

/// Starts `work` on a thread that may block. Once it has begun it goes on to its end, also when nobody waits any more.
pub(crate) fn start<T, F>(work: F) -> JoinHandle<T>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    tokio::task::spawn_blocking(work)
}

pub(crate) async fn finished<T>(work: JoinHandle<T>) -> Result<T> {
    work.await
        .map_err(|cause| Error::new(codes::INTERNAL, "work on a file was cut short").because(cause))
}

/// [`start`] and wait for it.
pub(crate) async fn run<T, F>(work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    finished(start(work)).await
}
