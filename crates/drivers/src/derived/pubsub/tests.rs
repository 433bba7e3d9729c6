//! What the tests of publish/subscribe stand on, and the suites over every store of ours.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use base::task::Tasks;
use base::time::SystemClock;
use base::{Clock, Error, Result, Timestamp, codes};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use ports::conformance;
use ports::kv::{Batch, Entry, Key, Keyspace, Kv, Outcome, Page, Reads, Scan, Version};
use ports::pubsub::{Deliveries, Delivery, Event, PubSub as _, Settlement, Start, Subscription};
use tokio::sync::{oneshot, watch};

use super::{PubSub, Retention};
use crate::embedded::{Embedded, Options};
use crate::memory::Memory;

mod counts;

mod delivery;

mod history;

mod keeping;

/// Follows the time of the test's runtime, which moves on when every task waits.
struct RuntimeClock(tokio::time::Instant);

impl RuntimeClock {
    fn new() -> Arc<RuntimeClock> {
        Arc::new(RuntimeClock(tokio::time::Instant::now()))
    }
}

impl Clock for RuntimeClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_000_000).plus(self.0.elapsed())
    }
}

/// A memory `Kv` that counts rows and commits, and is slow or fails when it is told to.
struct Probe {
    inner: Arc<Memory>,
    slow: AtomicBool,
    /// What a slow store has not written yet. A process that is killed takes it along.
    queue: Arc<Mutex<VecDeque<Queued>>>,
    rows_read: AtomicUsize,
    calls: AtomicUsize,
    commits: Mutex<Vec<Batch>>,
    failures: AtomicUsize,
}

struct Queued {
    batch: Batch,
    reply: oneshot::Sender<Result<Outcome>>,
}

impl Probe {
    fn over(clock: Arc<dyn Clock>) -> Arc<Probe> {
        Arc::new(Probe {
            inner: Arc::new(Memory::new(clock)),
            slow: AtomicBool::new(false),
            queue: Arc::default(),
            rows_read: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            commits: Mutex::default(),
            failures: AtomicUsize::new(0),
        })
    }

    fn new() -> Arc<Probe> {
        Probe::over(RuntimeClock::new())
    }

    /// The next so many commits fail.
    fn fail(&self, commits: usize) {
        self.failures.store(commits, SeqCst);
    }

    /// Queues the batch. It is written a little later, after all before it.
    fn commit_slowly(&self, batch: Batch) -> BoxFuture<'static, Result<Outcome>> {
        let (reply, outcome) = oneshot::channel();
        self.queue.lock().push_back(Queued { batch, reply });
        let (inner, queue) = (self.inner.clone(), self.queue.clone());
        let write = async move {
            for _ in 0..5 {
                tokio::task::yield_now().await;
            }
            let queued = std::mem::take(&mut *queue.lock());
            for Queued { batch, reply } in queued {
                drop(reply.send(inner.commit(batch).await));
            }
            outcome.await.expect("it is written")
        };
        write.boxed()
    }

    fn take_commits(&self) -> Vec<Batch> {
        std::mem::take(&mut self.commits.lock())
    }

    async fn rows(&self, keyspace: Keyspace) -> usize {
        let all = Scan {
            end: None,
            ..Scan::prefix(keyspace, "")
        };
        let page = self.inner.scan(all).await.expect("the store works");
        assert!(!page.more, "more rows than a test should make");
        page.rows.len()
    }
}

#[async_trait]
impl Reads for Probe {
    async fn get(&self, key: &Key) -> Result<Option<Entry>> {
        self.calls.fetch_add(1, SeqCst);
        self.inner.get(key).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>> {
        self.calls.fetch_add(1, SeqCst);
        self.rows_read.fetch_add(keys.len(), SeqCst);
        self.inner.get_many(keys).await
    }

    async fn scan(&self, scan: Scan) -> Result<Page> {
        let page = self.inner.scan(scan).await?;
        self.calls.fetch_add(1, SeqCst);
        self.rows_read.fetch_add(page.rows.len(), SeqCst);
        Ok(page)
    }
}

#[async_trait]
impl Kv for Probe {
    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<Outcome>> {
        let fails = self
            .failures
            .try_update(SeqCst, SeqCst, |failures| failures.checked_sub(1));
        if fails.is_ok() {
            let error = Error::new(codes::ENGINE_QUEUE_FULL, "told to fail");
            return futures::future::ready(Err(error)).boxed();
        }
        self.commits.lock().push(batch.clone());
        match self.slow.load(SeqCst) {
            true => self.commit_slowly(batch),
            false => self.inner.commit(batch),
        }
    }

    fn snapshot(&self) -> Result<Box<dyn Reads>> {
        self.inner.snapshot()
    }

    fn appended(&self, keyspace: Keyspace, prefix: &Bytes) -> watch::Receiver<Version> {
        self.inner.appended(keyspace, prefix)
    }

    fn now(&self) -> Timestamp {
        self.inner.now()
    }
}

fn over(kv: &Arc<Probe>) -> Arc<PubSub> {
    PubSub::over(kv.clone(), "bus", Retention::default(), Tasks::default())
}

fn event(data: &str) -> Event {
    keyed("", data)
}

fn keyed(key: &str, data: &str) -> Event {
    Event {
        envelope: data.to_owned().into(),
        ordering_key: key.to_owned(),
        expires_at: None,
        metadata: ports::Metadata::new(),
    }
}

fn subscription(topic: &str) -> Subscription {
    Subscription {
        topic: topic.to_owned(),
        group: "g".to_owned(),
        start: Start::Oldest,
        dead_letter_topic: None,
        deliveries_max: 0,
        in_flight_max: 64,
        deadline: Duration::from_secs(60),
    }
}

async fn subscribe(pubsub: &PubSub, subscription: Subscription) -> Box<dyn Deliveries> {
    pubsub.subscribe(subscription).await.expect("it is subscribed")
}

async fn publish(pubsub: &PubSub, topic: &str, data: impl IntoIterator<Item = String>) {
    let events = data.into_iter().map(|data| event(&data)).collect();
    pubsub
        .publish(topic, events)
        .await
        .expect("the topic takes events");
}

async fn next(deliveries: &mut Box<dyn Deliveries>) -> Delivery {
    let next = tokio::time::timeout(Duration::from_secs(60), deliveries.next());
    next.await
        .expect("an event arrives within a minute")
        .expect("the subscription goes on")
}

fn text(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.envelope).into_owned()
}

fn settle(delivery: Delivery, settlement: Settlement) {
    delivery
        .settle
        .send(settlement)
        .expect("the subscription waits for it");
}

async fn acknowledge(deliveries: &mut Box<dyn Deliveries>, count: usize) -> Vec<String> {
    let mut seen = vec![];
    for _ in 0..count {
        let delivery = next(deliveries).await;
        seen.push(text(&delivery));
        settle(delivery, Settlement::Ack);
    }
    seen
}

/// Until every task waits for something. Time stands still meanwhile.
async fn quiet() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_a_pubsub_over_memory() {
    let kv = Probe::new();
    conformance::pubsub::all(over(&kv)).await;
}

#[tokio::test(start_paused = true)]
async fn it_survives_restarts_over_memory() {
    let kv = Probe::new();
    let tasks = Tasks::default();
    conformance::pubsub::restarts(async || {
        tasks.ended().await;
        PubSub::over(kv.clone(), "bus", Retention::default(), tasks.clone()) as Arc<_>
    })
    .await;
}

fn embedded(path: &Path) -> Arc<Embedded> {
    let clock = |seen| Arc::new(SystemClock::starting(seen)) as Arc<dyn Clock>;
    Arc::new(Embedded::open(path, &Options::default(), clock).expect("it opens"))
}

#[tokio::test]
async fn it_is_a_pubsub_over_the_engine() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let kv = embedded(folder.path());
    let pubsub = PubSub::over(kv, "bus", Retention::default(), Tasks::default());
    conformance::pubsub::all(pubsub).await;
}

#[tokio::test]
async fn it_survives_restarts_of_the_engine() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tasks = Tasks::default();
    conformance::pubsub::restarts(async || {
        tasks.ended().await;
        let kv = embedded(folder.path());
        PubSub::over(kv, "bus", Retention::default(), tasks.clone()) as Arc<_>
    })
    .await;
}
