//! The outbound conversation with the application: which topics it wants, and their events (spec 4.4, 4.5).
//!
//! The application may come and go as it likes. It is asked for its topics until it answers, and again after the
//! connection to it was lost, for it may be another one then. Each topic has a task of its own that subscribes, again and
//! again if need be, and hands out events; one that fails holds up no other.
//!
//! | file | what |
//! |---|---|
//! | `address` | where the application listens |
//! | `pool` | a few HTTP/2 connections to it |
//! | `listing` | what it wants |
//! | `reader` | one subscription |
//! | `delivery` | one event |
//!
//! While the application cannot be reached events wait in their topic, and no attempt is counted against them. An event
//! that was with the application when the connection broke counts as refused: it may be what broke it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base::{limits, task};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::components::Live;

mod address;

mod listing;

mod reader;

mod delivery;

mod pool;

#[cfg(test)]
mod tests;

pub use address::Address;

use listing::{Listed, Wanted};
use pool::Pool;
use reader::Reader;

/// Hears what works and what does not: `application callback` and `subscription bus/topic`, with the reason. What is not
/// wanted any more is reported as working.
pub type Report = Arc<dyn Fn(&str, Result<(), String>) + Send + Sync>;

/// A topic that is delivered whether the application lists it or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    pub pubsub: String,
    pub topic: String,
    /// As an application would list it; see the table in `pubsub::options`. What the application lists itself counts
    /// instead.
    pub metadata: BTreeMap<String, String>,
}

pub struct Options {
    pub live: Arc<Live>,
    pub app: Address,
    pub subscriptions: Vec<Subscription>,
    pub report: Report,
}

/// Delivers events to the application until it is stopped.
pub struct Consumer {
    stopping: DropGuard,
    task: JoinHandle<()>,
}

impl Consumer {
    /// Call it on the runtime that is to do the work. Without publish/subscribe components there is none.
    pub fn start(options: Options) -> Consumer {
        let stopping = CancellationToken::new();
        let task = task::spawn("callback", run(options, stopping.clone()));
        Consumer {
            stopping: stopping.drop_guard(),
            task,
        }
    }

    /// Takes no more events, and waits for the answers to those that are out, up to [`limits::DRAIN_DEADLINE`]. What is
    /// not answered is delivered after the next start.
    pub async fn stop(self) {
        drop(self.stopping);
        drop(self.task.await);
    }
}

async fn run(options: Options, stopping: CancellationToken) {
    if options.live.load().pubsubs.is_empty() {
        return;
    }
    let conversation = Conversation {
        pool: Pool::new(options.app.clone()),
        reachable: watch::Sender::new(false),
        options,
        stopping,
        readers: HashMap::new(),
    };
    conversation.run().await;
}

struct Conversation {
    options: Options,
    pool: Arc<Pool>,
    /// Whether it makes sense to hand out events.
    reachable: watch::Sender<bool>,
    stopping: CancellationToken,
    /// By component and topic.
    readers: HashMap<(String, String), Running>,
}

struct Running {
    wanted: Wanted,
    stopping: CancellationToken,
    task: JoinHandle<()>,
}

/// What the conversation is told.
enum Next {
    Lost,
    Idle,
    Stop,
}

impl Conversation {
    async fn run(mut self) {
        let stopping = self.stopping.clone();
        let mut lost = self.pool.lost();
        // Dropping a listing half-way does nothing.
        while stopping.run_until_cancelled(self.list(&mut lost)).await.is_some() {
            match self.wait(&mut lost).await {
                Next::Stop => break,
                Next::Lost | Next::Idle => drop(self.reachable.send_replace(false)),
            }
        }
        for (_, running) in self.readers {
            drop(running.task.await);
        }
    }

    /// Until the connection is lost, or there is nothing to do any more.
    async fn wait(&mut self, lost: &mut watch::Receiver<u64>) -> Next {
        let mut idle = tokio::time::interval(limits::APP_IDLE_INTERVAL);
        loop {
            let next = tokio::select! {
                _ = lost.changed() => Next::Lost,
                _ = idle.tick() => Next::Idle,
                () = self.stopping.cancelled() => Next::Stop,
            };
            match next {
                Next::Idle => self.pool.trim(),
                Next::Lost | Next::Stop => return next,
            }
        }
    }

    /// Asks until there is an answer, then subscribes to what is wanted.
    async fn list(&mut self, lost: &mut watch::Receiver<u64>) {
        let mut pause = Pause::default();
        loop {
            lost.mark_unchanged();
            match listing::ask(&self.pool).await {
                Ok(Listed::Topics(listed)) => {
                    (self.options.report)(CALLBACK, Ok(()));
                    self.follow(listed);
                    self.reachable.send_replace(true);
                    return;
                }
                Ok(Listed::Refused(reason)) => {
                    // It is there, so what is configured can be delivered.
                    self.failed(&reason, pause.is_first());
                    if self.readers.is_empty() {
                        self.follow(vec![]);
                    }
                    self.reachable.send_replace(true);
                }
                Err(reason) => {
                    self.reachable.send_replace(false);
                    self.failed(&reason, pause.is_first());
                }
            }
            pause.pass().await;
        }
    }

    fn failed(&self, reason: &str, first: bool) {
        (self.options.report)(CALLBACK, Err(reason.to_owned()));
        let app = &self.options.app;
        match first {
            true => {
                tracing::warn!(%app, reason, "the application does not say which topics it wants, it is asked again")
            }
            false => {
                tracing::debug!(%app, reason, "the application still does not say which topics it wants")
            }
        }
    }

    /// Starts what is new, stops what is gone, and leaves the rest alone.
    fn follow(&mut self, listed: Vec<Wanted>) {
        let configured = self.options.subscriptions.iter().map(Wanted::from);
        let wanted = listing::merge(configured.chain(listed), &self.options.live.load());
        for (key, running) in &self.readers {
            if !wanted.contains_key(key) {
                running.stopping.cancel();
            }
        }
        self.readers
            .retain(|key, running| wanted.contains_key(key) || !running.task.is_finished());
        for (key, wanted) in wanted {
            self.start(key, wanted);
        }
    }

    fn start(&mut self, key: (String, String), wanted: Wanted) {
        let before = match self.readers.remove(&key) {
            Some(running) if running.wanted == wanted && !running.stopping.is_cancelled() => {
                self.readers.insert(key, running);
                return;
            }
            before => before,
        };
        let stopping = self.stopping.child_token();
        let reader = Reader {
            live: self.options.live.clone(),
            pool: self.pool.clone(),
            reachable: self.reachable.subscribe(),
            report: self.options.report.clone(),
            stopping: stopping.clone(),
            wanted: wanted.clone(),
        };
        let task = task::spawn("subscription", async move {
            if let Some(before) = before {
                before.stopping.cancel();
                drop(before.task.await);
            }
            reader.run().await;
        });
        self.readers.insert(
            key,
            Running {
                wanted,
                stopping,
                task,
            },
        );
    }
}

const CALLBACK: &str = "application callback";

/// Longer and longer, so that what is away costs nothing.
#[derive(Default)]
struct Pause {
    count: u32,
}

impl Pause {
    fn is_first(&self) -> bool {
        self.count == 0
    }

    async fn pass(&mut self) {
        let pause = limits::APP_PAUSE_MIN * (1 << self.count.min(10));
        self.count += 1;
        tokio::time::sleep(pause.min(limits::APP_PAUSE_MAX)).await;
    }
}
