//! A store in bad weather: what a process sees of the rows that outlive it.
//!
//! Commits wait in a queue and are carried out in order, some time later, in groups. Where the weather is bad one is refused
//! (nothing is written), or it is written and answered with an error, and then the store has stopped for this process. When
//! the process crashes, what is in the queue was never written, and nobody hears anything any more.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{Error, Result, Timestamp, codes, task};
use bytes::Bytes;
use fastrand::Rng;
use futures::FutureExt;
use futures::future::{BoxFuture, pending, ready};
use parking_lot::Mutex;
use ports::kv::{Batch, Entry, Key, Keyspace, Kv, Outcome, Page, Reads, Scan, Version};
use testkit::Memory;
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// How bad it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    /// The longest that a commit, and a read, takes.
    pub(crate) commit_ms: u64,
    pub(crate) read_ms: u64,
    /// Of a thousand commits: how many are refused.
    pub(crate) refused: u32,
    /// Of a thousand commits: how many are the last one, written and answered with an error.
    pub(crate) stopped: u32,
    /// Of a thousand parcels between partitions, and answers of user code: how many are lost, come twice, and come late.
    pub(crate) lost: u32,
    pub(crate) doubled: u32,
    pub(crate) late: u32,
}

pub(crate) struct Storm {
    memory: Arc<Memory>,
    state: Mutex<State>,
    queued: Notify,
    /// The process has crashed.
    pub(crate) dead: CancellationToken,
}

struct State {
    random: Rng,
    weather: Weather,
    queue: VecDeque<(Batch, oneshot::Sender<Result<Outcome>>)>,
    stopped: bool,
}

impl Storm {
    pub(crate) fn over(memory: Arc<Memory>, weather: Weather, random: Rng) -> Arc<Storm> {
        let storm = Arc::new(Storm {
            memory,
            state: Mutex::new(State {
                random,
                weather,
                queue: VecDeque::new(),
                stopped: false,
            }),
            queued: Notify::new(),
            dead: CancellationToken::new(),
        });
        drop(task::spawn("storm", storm.clone().carry_out()));
        storm
    }

    pub(crate) fn has_stopped(&self) -> bool {
        self.state.lock().stopped
    }

    async fn carry_out(self: Arc<Storm>) {
        loop {
            let (group, pause) = self.take();
            if group.is_empty() {
                self.queued.notified().await;
                continue;
            }
            tokio::time::sleep(Duration::from_millis(pause)).await;
            for (batch, answer) in group {
                if self.dead.is_cancelled() {
                    return;
                }
                let outcome = self.carry_out_one(batch).await;
                // Whoever has gone does not want to know.
                drop(answer.send(outcome));
                self.turn().await;
            }
        }
    }

    #[allow(clippy::type_complexity, reason = "a queue's part, and a pause")]
    fn take(&self) -> (Vec<(Batch, oneshot::Sender<Result<Outcome>>)>, u64) {
        let mut state = self.state.lock();
        let most = state.random.usize(1..=4).min(state.queue.len());
        let longest = state.weather.commit_ms;
        let pause = state.random.u64(0..=longest);
        (state.queue.drain(..most).collect(), pause)
    }

    async fn carry_out_one(&self, batch: Batch) -> Result<Outcome> {
        {
            let mut state = self.state.lock();
            let chance = state.random.u32(0..1_000);
            if state.stopped {
                return Err(stopped());
            }
            if chance < state.weather.refused {
                return Err(Error::new(codes::DISK_NEARLY_FULL, "refused by the weather"));
            }
            state.stopped = chance < state.weather.refused + state.weather.stopped;
        }
        let outcome = self.memory.commit(batch).await;
        if self.has_stopped() {
            Err(stopped())
        } else {
            outcome
        }
    }

    /// Lets others go first, sometimes.
    async fn turn(&self) {
        let turns = self.state.lock().random.u32(0..3);
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    }

    async fn read<T>(&self, read: impl Future<Output = Result<T>>) -> Result<T> {
        let pause = {
            let mut state = self.state.lock();
            let longest = state.weather.read_ms;
            state.random.u64(0..=longest)
        };
        if pause > 0 {
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        if self.dead.is_cancelled() {
            pending::<()>().await;
        }
        if self.has_stopped() {
            return Err(stopped());
        }
        read.await
    }
}

fn stopped() -> Error {
    Error::new(codes::ENGINE_STOPPED, "stopped by the weather")
}

#[async_trait]
impl Reads for Storm {
    async fn get(&self, key: &Key) -> Result<Option<Entry>> {
        self.read(self.memory.get(key)).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>> {
        self.read(self.memory.get_many(keys)).await
    }

    async fn scan(&self, scan: Scan) -> Result<Page> {
        self.read(self.memory.scan(scan)).await
    }
}

#[async_trait]
impl Kv for Storm {
    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<Outcome>> {
        if self.dead.is_cancelled() {
            return pending().boxed();
        }
        let mut state = self.state.lock();
        if state.stopped {
            return ready(Err(stopped())).boxed();
        }
        let (answer, answered) = oneshot::channel();
        state.queue.push_back((batch, answer));
        drop(state);
        self.queued.notify_one();
        let dead = self.dead.clone();
        async move {
            match answered.await {
                Ok(outcome) if !dead.is_cancelled() => outcome,
                _ => pending().await,
            }
        }
        .boxed()
    }

    fn snapshot(&self) -> Result<Box<dyn Reads>> {
        if self.has_stopped() {
            return Err(stopped());
        }
        self.memory.snapshot()
    }

    fn appended(&self, keyspace: Keyspace, prefix: &Bytes) -> watch::Receiver<Version> {
        self.memory.appended(keyspace, prefix)
    }

    fn now(&self) -> Timestamp {
        self.memory.now()
    }
}
