//! The threads of the process: one single-threaded runtime per core for protocol I/O, one that accepts, one that
//! answers administrators.
//!
//! A runtime per core was measured against tokio's multi-threaded one: 1.35 times the calls at 0.6 times the CPU, because
//! a request never moves to another thread. Accepting and administration have threads of their own so that neither
//! waits for a core that is busy with calls.

use std::future::Future;
use std::thread;
use std::time::Duration;

use base::{Error, Result, codes, limits, task};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long blocking work may hold up the end of its runtime.
const BLOCKING_DEADLINE: Duration = Duration::from_secs(1);

pub struct Runtimes {
    io: Vec<Worker>,
    accept: Worker,
    admin: Worker,
}

struct Worker {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Runtimes {
    /// Starts `count` runtimes for I/O, or one per core for 0.
    pub fn start(count: usize) -> Result<Runtimes> {
        let count = match count {
            0 => thread::available_parallelism().map_or(1, usize::from),
            count => count,
        };
        let io = (0..count)
            .map(|number| Worker::start(format!("io-{number}")))
            .collect::<Result<_>>()?;
        Ok(Runtimes {
            io,
            accept: Worker::start("accept".to_owned())?,
            admin: Worker::start("admin".to_owned())?,
        })
    }

    /// The runtimes for I/O, `io-0` first. Work that belongs to connections or partitions is started on these.
    pub fn io(&self) -> impl ExactSizeIterator<Item = &Handle> {
        self.io.iter().map(|worker| &worker.handle)
    }

    /// Takes connections and signals; nothing that takes long belongs there.
    pub(super) fn accept(&self) -> &Handle {
        &self.accept.handle
    }

    /// Answers administrators, and exports what the process tells about itself.
    pub fn admin(&self) -> &Handle {
        &self.admin.handle
    }

    /// Ends them all, with every task on them. Blocks until their threads are gone.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Runtimes {
    fn drop(&mut self) {
        let mut workers: Vec<&mut Worker> = self
            .io
            .iter_mut()
            .chain([&mut self.accept, &mut self.admin])
            .collect();
        for worker in &mut workers {
            // Dropping the sender ends the thread's wait.
            worker.stop = None;
        }
        for worker in workers {
            worker.join();
        }
    }
}

/// Starts a named task on that runtime.
pub fn spawn_on<F>(runtime: &Handle, name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let _inside = runtime.enter();
    task::spawn(name, future)
}

impl Worker {
    fn start(name: String) -> Result<Worker> {
        let failed = |cause: std::io::Error| {
            Error::new(
                codes::INTERNAL,
                format!("thread {name} cannot be started: {cause}"),
            )
            .because(cause)
        };
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(limits::BLOCKING_THREADS_MAX)
            .thread_name(format!("{name}-blocking"))
            .build()
            .map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name(name.clone())
            .spawn(move || {
                drop(runtime.block_on(stopped));
                runtime.shutdown_timeout(BLOCKING_DEADLINE);
            })
            .map_err(failed)?;
        Ok(Worker {
            handle,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    fn join(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        // Whoever ends the runtimes from one of them cannot wait for itself.
        if thread.thread().id() != thread::current().id() && thread.join().is_err() {
            tracing::error!("a runtime's thread ended in a panic");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_runtime_has_its_own_named_thread() {
        let runtimes = Runtimes::start(2).expect("threads");
        let mut names = Vec::new();
        let all = runtimes.io().chain([runtimes.accept(), runtimes.admin()]);
        for runtime in all {
            let name = spawn_on(runtime, "name", async {
                thread::current().name().map(str::to_owned)
            });
            names.push(name.await.expect("it does not panic").expect("it has a name"));
        }
        assert_eq!(names, ["io-0", "io-1", "accept", "admin"]);
    }

    #[test]
    fn stopping_ends_tasks_that_would_never_end() {
        let runtimes = Runtimes::start(1).expect("threads");
        let (alive, mut gone) = oneshot::channel::<()>();
        let io = runtimes.io().next().expect("one").clone();
        drop(spawn_on(&io, "endless", async move {
            let _alive = alive;
            std::future::pending::<()>().await;
        }));
        runtimes.stop();
        assert!(
            gone.try_recv()
                .is_err_and(|error| error == oneshot::error::TryRecvError::Closed)
        );
    }
}
