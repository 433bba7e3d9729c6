//! The one way to start a task: named, and counted until it ends.

use std::future::Future;

use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::trace;

/// Tasks that a drain waits for.
#[derive(Clone, Default)]
pub struct Tasks(TaskTracker);

impl Tasks {
    /// Starts a task on the current runtime. Its name is on every log line it writes.
    pub fn spawn<F>(&self, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        spawn(name, self.0.track_future(future))
    }

    /// Waits until every task has ended; new ones may still come.
    pub async fn ended(&self) {
        self.0.close();
        self.0.wait().await;
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// Starts a task that nobody waits for: it must be harmless to cut short. It keeps the trace context of its starter.
#[allow(
    clippy::disallowed_methods,
    reason = "this is the function that the ban points to"
)]
pub fn spawn<F>(name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(trace::carry(future).instrument(tracing::debug_span!("task", name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_drain_waits_for_tracked_tasks() {
        let tasks = Tasks::default();
        let (tx, rx) = tokio::sync::oneshot::channel::<()>();
        tasks.spawn("waits", async move { drop(rx.await) });
        assert_eq!(tasks.count(), 1);
        drop(tx);
        tasks.ended().await;
        assert_eq!(tasks.count(), 0);
    }
}
