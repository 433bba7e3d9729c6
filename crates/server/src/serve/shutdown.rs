//! Stopping: asked for by a signal or from inside, carried out by `Bound::run` in a fixed order.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use base::{Error, Result, codes, limits};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::runtimes::spawn_on;

type Stopping = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The wish to stop. Cheap to clone; every clone is the same wish.
#[derive(Clone, Default)]
pub struct Shutdown(Arc<Inner>);

#[derive(Default)]
struct Inner {
    begun: CancellationToken,
    hooks: Mutex<Vec<Hook>>,
}

struct Hook {
    name: &'static str,
    run: Box<dyn FnOnce() -> Stopping + Send>,
}

impl Shutdown {
    /// Begins to stop. More than once is once.
    pub fn begin(&self) {
        self.0.begun.cancel();
    }

    /// Waits until stopping has begun; for parts that should wind down beside the calls in flight.
    pub async fn begun(&self) {
        self.0.begun.cancelled().await;
    }

    /// Adds work that is done when no call is in flight any more: last added, first run, as what was built last leans on
    /// what was there before. Each has `limits::STOP_HOOK_DEADLINE`.
    pub fn hook<F>(&self, name: &'static str, run: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let run = Box::new(move || -> Stopping { Box::pin(run()) });
        self.0.hooks.lock().push(Hook { name, run });
    }

    pub(super) async fn run_hooks(&self) {
        loop {
            // Taken one by one: a hook may still add another.
            let Some(hook) = self.0.hooks.lock().pop() else {
                return;
            };
            let stopping = tokio::time::timeout(limits::STOP_HOOK_DEADLINE, (hook.run)());
            if stopping.await.is_err() {
                tracing::warn!(part = hook.name, "did not stop in time, going on without it");
            }
        }
    }

    /// From now on SIGTERM and SIGINT begin to stop, and a second one ends the process at once. Watched on that runtime,
    /// so that it works however busy the others are.
    pub fn on_signals(&self, runtime: &Handle) -> Result<()> {
        let _inside = runtime.enter();
        let listen = |kind| {
            signal(kind)
                .map_err(|cause| Error::new(codes::INTERNAL, "signals cannot be listened for").because(cause))
        };
        let (terminate, interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
        drop(spawn_on(
            runtime,
            "signals",
            self.clone().watch(terminate, interrupt),
        ));
        Ok(())
    }

    async fn watch(self, mut terminate: Signal, mut interrupt: Signal) {
        let signal = next(&mut terminate, &mut interrupt).await;
        tracing::info!(
            signal = signal.name,
            "stopping; once more ends the process at once"
        );
        self.begin();
        let signal = next(&mut terminate, &mut interrupt).await;
        tracing::warn!(signal = signal.name, "ended at once");
        // As shells name it: 128 and the signal's number.
        std::process::exit(128 + signal.number);
    }
}

struct Received {
    name: &'static str,
    number: i32,
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> Received {
    tokio::select! {
        _ = terminate.recv() => Received { name: "SIGTERM", number: SignalKind::terminate().as_raw_value() },
        _ = interrupt.recv() => Received { name: "SIGINT", number: SignalKind::interrupt().as_raw_value() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_part_that_started_stops_first() {
        let shutdown = Shutdown::default();
        let order = Arc::new(Mutex::new(Vec::new()));
        for name in ["engine", "components", "subscriptions"] {
            let order = order.clone();
            shutdown.hook(name, move || async move { order.lock().push(name) });
        }
        shutdown.run_hooks().await;
        assert_eq!(*order.lock(), ["subscriptions", "components", "engine"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_hangs_does_not_keep_the_others_from_stopping() {
        let shutdown = Shutdown::default();
        let stopped = CancellationToken::new();
        let token = stopped.clone();
        shutdown.hook("engine", move || async move { token.cancel() });
        shutdown.hook("hangs", std::future::pending);
        shutdown.run_hooks().await;
        assert!(stopped.is_cancelled());
    }
}
