//! The task behind one subscription: pages through the log, hands events to the consumer, writes down what is settled.
//!
//! It alone owns the group's [`Book`]. One page, one load and one commit are on their way at most; while a commit is, the
//! answers that come in gather for the next one, so a busy group writes far fewer commits than it settles events.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use async_trait::async_trait;
use base::{Error, Result, Timestamp, codes, limits};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use ports::kv::{Batch, Durability, Entry, Key, Keyspace, Kv, Page, Position, Scan, Version};
use ports::pubsub::{Deliveries, Delivery, Settlement, Subscription};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Interval, Sleep};

use super::book::{At, Book, Commit, Ended, Next};
use super::rows::{self, GroupRows, Stored};
use super::topic::{Claim, Leave, Topic};

pub(super) struct Reader {
    kv: Arc<dyn Kv>,
    subscription: Subscription,
    rows: GroupRows,
    book: Book,
    dead_letters: Option<DeadLetters>,
    consumer: mpsc::Sender<Delivery>,
    answers: FuturesUnordered<BoxFuture<'static, Answer>>,
    appended: watch::Receiver<Version>,
    /// There may be events behind the last page.
    unread: bool,
    page: Slot<Result<Page>>,
    load: Slot<Vec<(Position, Result<Option<Entry>>)>>,
    commit: Slot<(Commit, Result<()>)>,
    /// A commit that failed: it is tried again before any other.
    unsaved: Option<Commit>,
    fault: Fault,
    due: Alarm,
    seen: Interval,
    random: fastrand::Rng,
    /// Last, so that the next reader comes when everything is written.
    claim: Claim,
}

/// Where events go that are given up, and how full it may become.
pub(super) struct DeadLetters {
    pub(super) topic: Arc<Topic>,
    pub(super) bytes_max: u64,
}

/// What the consumer made of an event. `None`: it has dropped it.
struct Answer {
    position: Position,
    settlement: Option<Settlement>,
}

/// What the task waits for.
enum Happened {
    Answered(Answer),
    Read(Result<Page>),
    Loaded(Vec<(Position, Result<Option<Entry>>)>),
    Committed(Commit, Result<()>),
    Appended,
    Due,
    Seen,
    FaultOver,
    Left,
}

/// The consumer's end. Dropping it ends the subscription.
pub(super) struct Consumer {
    // In this order: the next subscription must know that it may wait before this one is seen to end.
    _leave: Leave,
    deliveries: mpsc::Receiver<Delivery>,
}

#[async_trait]
impl Deliveries for Consumer {
    async fn next(&mut self) -> Option<Delivery> {
        self.deliveries.recv().await
    }
}

impl Reader {
    pub(super) fn new(
        kv: Arc<dyn Kv>,
        subscription: Subscription,
        rows: GroupRows,
        book: Book,
        dead_letters: Option<DeadLetters>,
        claim: Claim,
    ) -> (Reader, Consumer) {
        let (consumer, deliveries) = mpsc::channel(subscription.in_flight_max);
        let leave = claim.leave();
        // Differs among groups and starts, and repeats under a clock that repeats.
        let random = fastrand::Rng::with_seed(kv.now().0 ^ rows::hash(&subscription.group));
        let reader = Reader {
            appended: kv.appended(Keyspace::Journal, &claim.topic().log),
            kv,
            subscription,
            rows,
            book,
            dead_letters,
            consumer,
            answers: FuturesUnordered::new(),
            unread: true,
            page: Slot::default(),
            load: Slot::default(),
            commit: Slot::default(),
            unsaved: None,
            fault: Fault::default(),
            due: Alarm::default(),
            seen: tokio::time::interval(limits::GROUP_SEEN_INTERVAL),
            random,
            claim,
        };
        (
            reader,
            Consumer {
                _leave: leave,
                deliveries,
            },
        )
    }

    /// Until the consumer leaves or the engine stops.
    pub(super) async fn run(mut self) {
        loop {
            if !self.fault.lasts() {
                self.dispatch();
                self.start_page();
                self.start_load();
                // Last: each of the others may have decided something.
                self.start_commit();
            }
            let parked = self.book.parked() as u64;
            self.claim.tally().parked.store(parked, Relaxed);
            let happened = self.wait().await;
            if matches!(happened, Happened::Left) || self.take(happened).is_err() {
                break;
            }
        }
        self.finish().await;
    }

    async fn wait(&mut self) -> Happened {
        tokio::select! {
            Some(answer) = self.answers.next() => Happened::Answered(answer),
            (commit, result) = self.commit.done() => Happened::Committed(commit, result),
            page = self.page.done() => Happened::Read(page),
            rows = self.load.done() => Happened::Loaded(rows),
            changed = self.appended.changed(), if !self.unread => {
                changed.map_or(Happened::Left, |()| Happened::Appended)
            }
            () = self.due.rings() => Happened::Due,
            () = self.fault.over() => Happened::FaultOver,
            _ = self.seen.tick() => Happened::Seen,
            () = self.consumer.closed() => Happened::Left,
        }
    }

    /// `Err` when the engine has stopped, for good.
    fn take(&mut self, happened: Happened) -> Result<()> {
        match happened {
            Happened::Answered(answer) => {
                self.settle(answer);
                self.settle_what_is_answered();
            }
            Happened::Read(page) => self.take_page(page)?,
            Happened::Loaded(rows) => self.take_loaded(rows),
            Happened::Committed(commit, result) => self.take_committed(commit, result)?,
            Happened::Appended => self.unread = true,
            Happened::Seen => self.book.seen(self.kv.now()),
            Happened::Due | Happened::FaultOver | Happened::Left => (),
        }
        Ok(())
    }

    /// Hands out events as long as the consumer takes more.
    fn dispatch(&mut self) {
        while let Some(Next {
            position,
            attempt,
            envelope,
        }) = self.book.next(self.kv.now())
        {
            let (settle, settled) = oneshot::channel();
            let delivery = Delivery {
                topic: self.subscription.topic.clone(),
                envelope,
                attempt,
                settle,
            };
            // There is room: no more events are out than the channel has places. A closed one ends the task soon.
            drop(self.consumer.try_send(delivery));
            count(&self.claim.tally().delivered, 1);
            let deadline = self.subscription.deadline;
            self.answers.push(answer(position, deadline, settled).boxed());
        }
    }

    fn settle_what_is_answered(&mut self) {
        while let Some(Some(answer)) = self.answers.next().now_or_never() {
            self.settle(answer);
        }
    }

    fn settle(&mut self, Answer { position, settlement }: Answer) {
        let settlement = match settlement {
            Some(settlement) => settlement,
            // With the subscription, so that nothing was refused.
            None if self.consumer.is_closed() => return,
            None => Settlement::Retry,
        };
        let attempt = self.book.attempt(position);
        let at = At {
            now: self.kv.now(),
            pause: pause(attempt, &mut self.random),
            dead_letters_have_room: self.dead_letters.as_ref().is_none_or(DeadLetters::has_room),
        };
        let (topic, group) = (&self.subscription.topic, &self.subscription.group);
        let tally = self.claim.tally();
        match self.book.settle(position, settlement, at) {
            Ended::Unknown => (),
            Ended::Acknowledged => count(&tally.acknowledged, 1),
            Ended::Parked => {
                count(&tally.retried, 1);
                tracing::debug!(topic, group, attempt, "an event is delivered again later");
            }
            Ended::DeadLettered => {
                count(&tally.dead_lettered, 1);
                tracing::warn!(topic, group, attempt, "an event went to the dead-letter topic");
            }
            Ended::Dropped => {
                count(&tally.dropped, 1);
                tracing::warn!(topic, group, attempt, "an event was given up");
            }
        }
    }

    fn start_commit(&mut self) {
        if self.commit.is_busy() {
            return;
        }
        let Some(commit) = self
            .unsaved
            .take()
            .or_else(|| self.book.take_changes(self.kv.now()))
        else {
            return;
        };
        self.commit.start(save(&*self.kv, commit));
    }

    fn take_committed(&mut self, commit: Commit, result: Result<()>) -> Result<()> {
        match result {
            Ok(()) => {
                self.fault.clear();
                self.claim
                    .topic()
                    .settled(&self.subscription.group, &commit.cursor);
                if let Some(dead_letters) = &self.dead_letters {
                    dead_letters.topic.add(commit.dead_letter_bytes);
                    dead_letters.topic.published(commit.dead_letters);
                }
                count(&self.claim.tally().expired, commit.expired);
                self.book.committed(commit);
                Ok(())
            }
            Err(error) => {
                self.unsaved = Some(commit);
                self.failed(error)
            }
        }
    }

    fn start_page(&mut self) {
        if self.page.is_busy() || !self.unread {
            return;
        }
        let Some((rows, bytes)) = self.book.room_for_page() else {
            return;
        };
        // What is appended from here on shows as another change.
        self.appended.mark_unchanged();
        let log = self.claim.topic().log.clone();
        let behind = rows::event_key(&log, self.book.position());
        let scan = Scan::prefix(Keyspace::Journal, log)
            .after(&behind.bytes)
            .limit(rows)
            .bytes(bytes);
        let kv = self.kv.clone();
        self.page.start(async move { kv.scan(scan).await }.boxed());
    }

    fn take_page(&mut self, page: Result<Page>) -> Result<()> {
        let page = match page {
            Ok(page) => page,
            Err(error) => return self.failed(error),
        };
        self.fault.clear();
        self.unread = page.more;
        let Some(through) = page.rows.last().and_then(|(key, _)| Position::decode(key)) else {
            return Ok(());
        };
        let topic = &self.subscription.topic;
        let events = page
            .rows
            .into_iter()
            .filter_map(|(key, entry)| event(topic, &key, entry.value));
        self.book.read(events.collect(), through, self.kv.now());
        Ok(())
    }

    fn start_load(&mut self) {
        if self.load.is_busy() {
            return;
        }
        let due = self.book.take_due(self.kv.now());
        if !due.is_empty() {
            self.load.start(load(self.kv.clone(), self.rows.clone(), due));
        }
        // What is due and was not taken waits for room, not for time.
        let next = self.book.next_due().filter(|_| !self.load.is_busy());
        self.due.set(next, self.kv.now());
    }

    fn take_loaded(&mut self, rows: Vec<(Position, Result<Option<Entry>>)>) {
        let now = self.kv.now();
        for (position, row) in rows {
            let event = row.and_then(|row| row.map(|entry| Stored::decode(entry.value)).transpose());
            if let Err(error) = &event {
                tracing::warn!(topic = self.subscription.topic, %error, "a refused event cannot be read");
            }
            self.book.loaded(position, event, now);
        }
    }

    /// Waits a while before it goes on. `Err` when waiting is no use.
    fn failed(&mut self, error: Error) -> Result<()> {
        if error.code() == codes::ENGINE_STOPPED {
            return Err(error);
        }
        if self.fault.begins() {
            let (topic, group) = (&self.subscription.topic, &self.subscription.group);
            tracing::warn!(topic, group, code = error.code().id, %error, "a consumer group cannot go on, it will try again");
        }
        self.fault.again();
        Ok(())
    }

    /// Writes down what has been answered. The rest is as if it had never been delivered.
    async fn finish(mut self) {
        self.settle_what_is_answered();
        if self.commit.is_busy() {
            let (commit, result) = self.commit.done().await;
            drop(self.take_committed(commit, result));
        }
        while let Some(commit) = self
            .unsaved
            .take()
            .or_else(|| self.book.take_changes(self.kv.now()))
        {
            let (commit, result) = save(&*self.kv, commit).await;
            if let Err(error) = &result {
                let (topic, group) = (&self.subscription.topic, &self.subscription.group);
                tracing::warn!(topic, group, %error, "the last settlements of a consumer group are lost, it will see those events again");
                return;
            }
            drop(self.take_committed(commit, result));
        }
    }
}

impl DeadLetters {
    fn has_room(&self) -> bool {
        self.topic.has_room(0, self.bytes_max)
    }
}

fn count(counter: &AtomicU64, events: u64) {
    counter.fetch_add(events, Relaxed);
}

/// Begins the commit in this call.
fn save(kv: &dyn Kv, commit: Commit) -> BoxFuture<'static, (Commit, Result<()>)> {
    let batch = Batch::of(commit.writes.clone()).durability(Durability::Buffered);
    let outcome = kv.commit(batch);
    async move { (commit, outcome.await.map(drop)) }.boxed()
}

async fn answer(position: Position, deadline: Duration, settled: oneshot::Receiver<Settlement>) -> Answer {
    let settlement = match tokio::time::timeout(deadline, settled).await {
        Ok(settlement) => settlement.ok(),
        Err(_) => Some(Settlement::Retry),
    };
    Answer { position, settlement }
}

fn event(topic: &str, key: &[u8], row: Bytes) -> Option<(Position, Stored)> {
    let position = Position::decode(key)?;
    match Stored::decode(row) {
        Ok(event) => Some((position, event)),
        Err(error) => {
            tracing::error!(topic, ?position, %error, "an event cannot be read, it is skipped");
            None
        }
    }
}

fn load(
    kv: Arc<dyn Kv>,
    rows: GroupRows,
    positions: Vec<Position>,
) -> BoxFuture<'static, Vec<(Position, Result<Option<Entry>>)>> {
    let keys: Vec<Key> = positions
        .iter()
        .map(|position| rows.parked_event(*position))
        .collect();
    async move {
        match kv.get_many(&keys).await {
            Ok(found) => positions.into_iter().zip(found.into_iter().map(Ok)).collect(),
            Err(error) => {
                let again = |position| (position, Err(Error::new(error.code(), error.message())));
                positions.into_iter().map(again).collect()
            }
        }
    }
    .boxed()
}

/// The pause after this many deliveries: doubled each time, then up to half of it more, so that events that failed together
/// do not come back together.
fn pause(attempt: u32, random: &mut fastrand::Rng) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    let pause = (limits::RETRY_PAUSE_MIN * (1 << doublings)).min(limits::RETRY_PAUSE_MAX);
    pause
        .mul_f64(1.0 + random.f64() / 2.0)
        .min(limits::RETRY_PAUSE_MAX)
}

/// A future that is there or not.
struct Slot<T>(Option<BoxFuture<'static, T>>);

impl<T> Default for Slot<T> {
    fn default() -> Slot<T> {
        Slot(None)
    }
}

impl<T> Slot<T> {
    fn is_busy(&self) -> bool {
        self.0.is_some()
    }

    fn start(&mut self, future: BoxFuture<'static, T>) {
        self.0 = Some(future);
    }

    /// Cancel safe. Waits for ever while nothing has been started.
    async fn done(&mut self) -> T {
        let Some(future) = &mut self.0 else {
            return std::future::pending().await;
        };
        let done = future.await;
        self.0 = None;
        done
    }
}

/// Rings when a stored time has come, as far as this runtime can tell.
#[derive(Default)]
struct Alarm {
    at: Option<Timestamp>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// `None`, or a time that has come already: does not ring.
    fn set(&mut self, at: Option<Timestamp>, now: Timestamp) {
        let at = at.filter(|at| *at > now);
        if at != self.at {
            self.at = at;
            // The store's clock may run otherwise than ours.
            let wait = at.map(|at| at.since(now).min(limits::RETRY_RECHECK_INTERVAL));
            self.sleep = wait.map(|wait| Box::pin(tokio::time::sleep(wait)));
        }
    }

    async fn rings(&mut self) {
        let Some(sleep) = &mut self.sleep else {
            return std::future::pending().await;
        };
        sleep.await;
        *self = Alarm::default();
    }
}

/// A store that fails is asked again after a while, longer each time.
#[derive(Default)]
struct Fault {
    count: u32,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Fault {
    fn begins(&self) -> bool {
        self.count == 0
    }

    fn lasts(&self) -> bool {
        self.sleep.is_some()
    }

    fn again(&mut self) {
        let pause = limits::TOPIC_FAULT_PAUSE_MIN * (1 << self.count.min(10));
        self.count += 1;
        self.sleep = Some(Box::pin(tokio::time::sleep(
            pause.min(limits::TOPIC_FAULT_PAUSE_MAX),
        )));
    }

    fn clear(&mut self) {
        *self = Fault::default();
    }

    async fn over(&mut self) {
        let Some(sleep) = &mut self.sleep else {
            return std::future::pending().await;
        };
        sleep.await;
        self.sleep = None;
    }
}
