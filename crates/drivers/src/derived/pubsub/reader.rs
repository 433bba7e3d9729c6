//! The task behind a consumer group: pages through the log, deals events out to the consumers, writes down what is settled.
//!
//! It alone owns the group's [`Book`]. One page, one load and one commit are on their way at most; while a commit is, the
//! answers that come in gather for the next one, so a busy group writes far fewer commits than it settles events.

use std::collections::BTreeMap;
use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use base::{Error, Result, codes, limits};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use ports::kv::{Batch, Durability, Entry, Key, Keyspace, Kv, Page, Position, Scan, Version};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, Interval};

use super::book::{At, Book, Commit, Ended, GivenUp};
use super::consumers::ConsumerId;
use super::desk::{Answer, Member, Presence};
use super::rows::{self, GroupRows, Stored};
use super::topic::{Claim, DeadLetters};
use super::waits::{Alarm, Deadline, Fault, Slot};

pub(super) struct Reader {
    kv: Arc<dyn Kv>,
    rows: GroupRows,
    book: Book,
    members: BTreeMap<ConsumerId, Member>,
    joining: mpsc::Receiver<Member>,
    /// A consumer has answered, closed or left.
    news: Arc<Notify>,
    late: Deadline,
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

/// What the task waits for.
enum Happened {
    News,
    Joined(Member),
    Read(Result<Page>),
    Loaded(Vec<(Position, Result<Option<Entry>>)>),
    Committed(Commit, Result<()>),
    Appended,
    Due,
    Seen,
    FaultOver,
    StoreClosed,
}

impl Reader {
    /// For a first consumer; from here on others can join it.
    pub(super) fn new(kv: Arc<dyn Kv>, rows: GroupRows, book: Book, claim: Claim, first: Member) -> Reader {
        // Differs among groups and starts, and repeats under a clock that repeats.
        let random = fastrand::Rng::with_seed(kv.now().0 ^ rows::hash(claim.group()));
        let mut reader = Reader {
            appended: kv.appended(Keyspace::Journal, &claim.topic().log),
            kv,
            rows,
            book,
            members: BTreeMap::new(),
            joining: claim.open(),
            news: Arc::default(),
            late: Deadline::default(),
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
        reader.welcome(first);
        reader
    }

    fn welcome(&mut self, member: Member) {
        member.tell(&self.news);
        let consumer = self.book.join(member.in_flight_max);
        self.members.insert(consumer, member);
        // It may have left before it could be told.
        self.news.notify_one();
    }

    /// Until the last consumer leaves or the engine stops.
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
            if self.take(happened).is_break() {
                break;
            }
        }
        self.finish().await;
    }

    async fn wait(&mut self) -> Happened {
        tokio::select! {
            () = self.news.notified() => Happened::News,
            () = self.late.rings() => Happened::News,
            Some(member) = self.joining.recv() => Happened::Joined(member),
            (commit, result) = self.commit.done() => Happened::Committed(commit, result),
            page = self.page.done() => Happened::Read(page),
            rows = self.load.done() => Happened::Loaded(rows),
            changed = self.appended.changed(), if !self.unread => {
                changed.map_or(Happened::StoreClosed, |()| Happened::Appended)
            }
            () = self.due.rings() => Happened::Due,
            () = self.fault.over() => Happened::FaultOver,
            _ = self.seen.tick() => Happened::Seen,
        }
    }

    /// `Break` when the last consumer has left, or the engine has stopped for good.
    fn take(&mut self, happened: Happened) -> ControlFlow<()> {
        match happened {
            Happened::News => return self.hear(),
            Happened::Joined(member) => self.welcome(member),
            Happened::Read(page) => return self.take_page(page),
            Happened::Loaded(rows) => self.take_loaded(rows),
            Happened::Committed(commit, result) => return self.take_committed(commit, result),
            Happened::Appended => self.unread = true,
            Happened::Seen => self.book.seen(self.kv.now()),
            Happened::Due | Happened::FaultOver => (),
            Happened::StoreClosed => return Break(()),
        }
        Continue(())
    }

    /// Deals out events as long as somebody takes more.
    fn dispatch(&mut self) {
        let now = Instant::now();
        while let Some(next) = self.book.next(self.kv.now()) {
            let (consumer, position) = (next.consumer, next.position);
            if self.members[&consumer].hand_out(next, now) {
                count(&self.claim.tally().delivered, 1);
            } else {
                self.book.close(consumer);
                self.book.take_back(position);
            }
        }
        self.late
            .set(self.members.values().filter_map(Member::deadline).min());
    }

    /// What the consumers have answered, and who has left.
    fn hear(&mut self) -> ControlFlow<()> {
        let now = Instant::now();
        let consumers: Vec<ConsumerId> = self.members.keys().copied().collect();
        for consumer in consumers {
            let (answers, presence) = self.members[&consumer].take_news(now);
            for answer in answers {
                self.settle(consumer, answer);
            }
            if presence == Presence::Left {
                self.members.remove(&consumer);
                self.book.leave(consumer);
                if self.claim.part() {
                    return Break(());
                }
            }
        }
        Continue(())
    }

    fn settle(&mut self, consumer: ConsumerId, Answer { position, settlement }: Answer) {
        let Some(settlement) = settlement else {
            return self.book.take_back(position);
        };
        let attempt = self.book.attempt(position);
        let member = &self.members[&consumer];
        let at = At {
            now: self.kv.now(),
            pause: pause(attempt, &mut self.random),
            deliveries_max: member.deliveries_max,
            given_up: given_up(member.dead_letters.as_ref()),
        };
        let (topic, group) = (&self.claim.topic().name, self.claim.group());
        let tally = self.claim.tally();
        match self.book.settle(position, settlement, &at) {
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

    fn take_committed(&mut self, commit: Commit, result: Result<()>) -> ControlFlow<()> {
        match result {
            Ok(()) => {
                self.fault.clear();
                self.claim.topic().settled(self.claim.group(), &commit.cursor);
                for letter in &commit.dead_letters {
                    letter.topic.add(letter.bytes);
                    letter.topic.published(1);
                }
                count(&self.claim.tally().expired, commit.expired);
                self.book.committed(commit);
                Continue(())
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

    fn take_page(&mut self, page: Result<Page>) -> ControlFlow<()> {
        let page = match page {
            Ok(page) => page,
            Err(error) => return self.failed(error),
        };
        self.fault.clear();
        self.unread = page.more;
        let Some(through) = page.rows.last().and_then(|(key, _)| Position::decode(key)) else {
            return Continue(());
        };
        let topic = &self.claim.topic().name;
        let events = page
            .rows
            .into_iter()
            .filter_map(|(key, entry)| event(topic, &key, entry.value));
        self.book.read(events.collect(), through, self.kv.now());
        Continue(())
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
                tracing::warn!(topic = self.claim.topic().name, %error, "a refused event cannot be read");
            }
            self.book.loaded(position, event, now);
        }
    }

    /// Waits a while before it goes on. `Break` when waiting is no use.
    fn failed(&mut self, error: Error) -> ControlFlow<()> {
        if error.code() == codes::ENGINE_STOPPED {
            return Break(());
        }
        if self.fault.begins() {
            let (topic, group) = (&self.claim.topic().name, self.claim.group());
            tracing::warn!(topic, group, code = error.code().id, %error, "a consumer group cannot go on, it will try again");
        }
        self.fault.again();
        Continue(())
    }

    /// Writes down what has been answered. The rest is as if it had never been delivered.
    async fn finish(mut self) {
        if self.commit.is_busy() {
            let (commit, result) = self.commit.done().await;
            let _ = self.take_committed(commit, result);
        }
        while let Some(commit) = self
            .unsaved
            .take()
            .or_else(|| self.book.take_changes(self.kv.now()))
        {
            let (commit, result) = save(&*self.kv, commit).await;
            if let Err(error) = &result {
                let (topic, group) = (&self.claim.topic().name, self.claim.group());
                tracing::warn!(topic, group, %error, "the last settlements of a consumer group are lost, it will see those events again");
                return;
            }
            let _ = self.take_committed(commit, result);
        }
    }
}

fn given_up(dead_letters: Option<&DeadLetters>) -> GivenUp {
    match dead_letters {
        None => GivenUp::Nowhere,
        Some(full) if !full.has_room() => GivenUp::Later,
        Some(dead_letters) => GivenUp::To(dead_letters.topic.clone()),
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
