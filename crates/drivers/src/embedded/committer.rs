//! The one thread that writes.
//!
//! A failed write or sync is final: what the kernel has of it is unknown, so nothing more is written, everything that waits
//! is told so, and the process should end. Recovery decides what is there.

use std::sync::Arc;
use std::thread::JoinHandle;

use base::answers::{Answers, Reply};
use base::{Clock, Error, Result, codes, limits};
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::{Condvar, Mutex};
use ports::kv::{Batch, Durability, Outcome, Version};
use tokio::sync::{oneshot, watch};

use super::settings::Mode;
use super::store::Store;
use super::watermark::Watermark;
use crate::kv::{Signals, Staging};

pub(super) struct Committer {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
    stopped: watch::Receiver<bool>,
}

/// Where work for the committer is put.
#[derive(Clone)]
pub(super) struct Handle(Arc<Queue>);

struct Queue {
    waiting: Mutex<Waiting>,
    work: Condvar,
}

#[derive(Default)]
struct Waiting {
    batches: Vec<Queued>,
    bytes: usize,
    room: Room,
    chores: Chores,
    /// The committer sleeps and must be woken.
    asleep: bool,
    closed: bool,
}

/// Bytes that may be written until upkeep looks at the disk again. Without any only deletes are taken.
struct Room {
    bytes: u64,
    nearly_full: bool,
}

/// As long as nobody has looked.
impl Default for Room {
    fn default() -> Room {
        Room {
            bytes: u64::MAX,
            nearly_full: false,
        }
    }
}

struct Queued {
    batch: Batch,
    bytes: usize,
    reply: Reply<Result<Outcome>>,
}

/// What upkeep asks for.
#[derive(Clone, Copy, Default)]
struct Chores {
    sweep: bool,
    sync: bool,
}

impl Committer {
    pub(super) fn start(
        store: Store,
        last: Version,
        watermark: Watermark,
        mode: Mode,
        signals: Arc<Signals>,
        clock: Arc<dyn Clock>,
    ) -> Committer {
        let queue = Arc::new(Queue {
            waiting: Mutex::default(),
            work: Condvar::new(),
        });
        let (stop, stopped) = watch::channel(false);
        let writer = Writer {
            queue: queue.clone(),
            store,
            last,
            synced: last,
            watermark,
            mode,
            signals,
            clock,
            stop,
        };
        let thread = std::thread::Builder::new()
            .name("committer".into())
            .spawn(move || writer.run())
            .expect("a thread can be started");
        Committer {
            handle: Handle(queue),
            thread: Some(thread),
            stopped,
        }
    }

    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    pub(super) fn stopped(&self) -> watch::Receiver<bool> {
        self.stopped.clone()
    }

    pub(super) fn queued(&self) -> usize {
        self.handle.0.waiting.lock().batches.len()
    }

    pub(super) fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<Outcome>> {
        match self.handle.queue(batch) {
            Ok(reply) => reply
                .map(|reply| reply.unwrap_or_else(|_| Err(stopped())))
                .boxed(),
            Err(error) => futures::future::ready(Err(error)).boxed(),
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.handle.0.waiting.lock().closed = true;
        self.handle.0.work.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panicked committer has told whoever waited by dropping their replies.
            drop(thread.join());
        }
    }
}

impl Handle {
    fn queue(&self, batch: Batch) -> Result<oneshot::Receiver<Result<Outcome>>> {
        batch.check()?;
        let (bytes, grows) = (batch.bytes(), batch.grows());
        let (reply, answer) = Reply::here();
        let mut waiting = self.0.waiting.lock();
        if waiting.closed {
            return Err(stopped());
        }
        if waiting.batches.len() >= limits::COMMIT_QUEUE_BATCHES_MAX
            || waiting.bytes + bytes > limits::COMMIT_QUEUE_BYTES_MAX
        {
            let message = format!("{} commits wait for the disk already", waiting.batches.len());
            return Err(Error::new(codes::ENGINE_QUEUE_FULL, message));
        }
        if grows {
            waiting.room.take(bytes)?;
        }
        waiting.bytes += bytes;
        waiting.batches.push(Queued { batch, bytes, reply });
        self.wake(waiting);
        Ok(answer)
    }

    pub(super) fn sweep(&self) {
        let mut waiting = self.0.waiting.lock();
        waiting.chores.sweep = true;
        self.wake(waiting);
    }

    pub(super) fn sync(&self) {
        let mut waiting = self.0.waiting.lock();
        waiting.chores.sync = true;
        self.wake(waiting);
    }

    /// Upkeep has looked: so much may be written until it looks again, `None` as much as there comes.
    pub(super) fn room(&self, bytes: Option<u64>) {
        let bytes = bytes.unwrap_or(u64::MAX);
        let nearly_full = bytes == 0;
        let before = std::mem::replace(&mut self.0.waiting.lock().room, Room { bytes, nearly_full });
        if before.nearly_full != nearly_full {
            tracing::warn!(nearly_full, "disk space");
        }
    }

    /// A system call, so only when somebody sleeps.
    fn wake(&self, mut waiting: parking_lot::MutexGuard<'_, Waiting>) {
        let asleep = std::mem::take(&mut waiting.asleep);
        drop(waiting);
        if asleep {
            self.0.work.notify_one();
        }
    }
}

impl Room {
    /// Everything is written twice: to the journal at once, later to a table.
    fn take(&mut self, bytes: usize) -> Result<()> {
        match self.bytes.checked_sub(2 * bytes as u64) {
            Some(rest) => self.bytes = rest,
            None => {
                let message = "the disk is nearly full: only deletes are taken until there is space again";
                return Err(Error::new(codes::DISK_NEARLY_FULL, message));
            }
        }
        Ok(())
    }
}

fn stopped() -> Error {
    Error::new(
        codes::ENGINE_STOPPED,
        "the engine has stopped: this commit may or may not be stored",
    )
}

struct Writer {
    queue: Arc<Queue>,
    store: Store,
    last: Version,
    synced: Version,
    watermark: Watermark,
    mode: Mode,
    signals: Arc<Signals>,
    clock: Arc<dyn Clock>,
    stop: watch::Sender<bool>,
}

impl Writer {
    fn run(mut self) {
        if let Err(cause) = self.work() {
            tracing::error!(code = codes::ENGINE_STOPPED.id, error = %cause, "a write failed, the engine stops");
            let mut waiting = self.queue.waiting.lock();
            waiting.closed = true;
            for queued in waiting.batches.drain(..) {
                queued.reply.send(Err(stopped()));
            }
            drop(waiting);
            self.stop.send_replace(true);
        }
    }

    fn work(&mut self) -> Result<(), fjall::Error> {
        while let Some((batches, chores)) = self.next() {
            let mut batches = batches.into_iter().peekable();
            while batches.peek().is_some() {
                self.commit(group(&mut batches))?;
            }
            if chores.sync {
                self.sync()?;
            }
            if chores.sweep {
                self.store.sweep(self.clock.now())?;
            }
        }
        self.sync()
    }

    /// What waits, or `None` when there is nothing and never will be.
    fn next(&self) -> Option<(Vec<Queued>, Chores)> {
        let mut waiting = self.queue.waiting.lock();
        loop {
            let chores = std::mem::take(&mut waiting.chores);
            if !waiting.batches.is_empty() || chores.sweep || chores.sync {
                waiting.bytes = 0;
                return Some((std::mem::take(&mut waiting.batches), chores));
            }
            if waiting.closed {
                return None;
            }
            waiting.asleep = true;
            self.queue.work.wait(&mut waiting);
            waiting.asleep = false;
        }
    }

    /// Decides, writes, syncs, and only then tells.
    fn commit(&mut self, group: Vec<Queued>) -> Result<(), fjall::Error> {
        let batches = group.iter().map(|queued| &queued.batch);
        let mut staging = Staging::new(&self.store, self.clock.now(), self.last, batches);
        let mut durability = Durability::Buffered;
        let mut decided = Vec::with_capacity(group.len());
        for Queued { batch, reply, .. } in group {
            durability = durability.max(batch.durability);
            decided.push((reply, staging.take(batch)));
        }
        let staged = staging.finish();
        if !staged.changes.is_empty() {
            let sync = self.syncs(durability);
            let written = self.store.write(staged.changes, staged.version, sync);
            if let Err(cause) = written {
                decided
                    .into_iter()
                    .for_each(|(reply, _)| reply.send(Err(stopped())));
                return Err(cause);
            }
            if sync {
                self.mark(staged.version)?;
            }
        }
        self.last = staged.version;
        self.signals.appended(&staged.appended);
        let mut answers = Answers::default();
        for (reply, outcome) in decided {
            answers.add(reply, outcome);
        }
        answers.send();
        Ok(())
    }

    fn syncs(&self, durability: Durability) -> bool {
        match durability {
            Durability::Buffered => false,
            Durability::AsConfigured => self.mode == Mode::Durable,
            Durability::Synced => true,
        }
    }

    fn sync(&mut self) -> Result<(), fjall::Error> {
        if self.synced < self.last {
            self.store.sync()?;
            self.mark(self.last)?;
        }
        self.watermark.sync().map_err(fjall::Error::Io)
    }

    fn mark(&mut self, version: Version) -> Result<(), fjall::Error> {
        self.synced = version;
        self.watermark
            .write(version, self.clock.now())
            .map_err(fjall::Error::Io)
    }
}

/// As many as one sync should serve.
fn group(batches: &mut std::iter::Peekable<std::vec::IntoIter<Queued>>) -> Vec<Queued> {
    let (mut writes, mut bytes) = (0, 0);
    let mut group = vec![];
    while let Some(queued) = batches
        .next_if(|_| writes < limits::COMMIT_GROUP_WRITES_MAX && bytes < limits::COMMIT_GROUP_BYTES_MAX)
    {
        writes += queued.batch.writes.len();
        bytes += queued.bytes;
        group.push(queued);
    }
    group
}
