//! The books of one consumer group: what is with its consumers, what waits, what is settled. No clock and no I/O.
//!
//! | an event is | in memory | on disk | leaves by |
//! |---|---|---|---|
//! | unread | no | log | [`Book::read`] |
//! | waiting behind its ordering key | yes | log | the one before it is settled, and that is stored |
//! | ready | yes | log | [`Book::next`] |
//! | with a consumer | yes | log | [`Book::settle`], or back to ready by [`Book::take_back`] |
//! | parked: refused, or waiting behind a refused one | no | rows of its own | [`Book::take_due`], when its time has come |
//! | parked, ready or with a consumer again | yes | rows of its own | [`Book::settle`], or [`Book::take_back`] |
//! | settled | no | log, until no group needs it | retention |
//!
//! A parked event has rows of its own, so the group's position moves on while one event is retried for days. What is
//! decided here becomes the [`Changes`] of the next commit; whatever depends on it, which is the next event of an ordering
//! key, waits for [`Book::committed`].

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use base::{Result, Timestamp, limits};
use bytes::Bytes;
use ports::kv::{Keyspace, Position, Write};
use ports::pubsub::Settlement;

use super::consumers::{ConsumerId, Consumers};
use super::rows::{Cursor, GroupRows, Ordering, Parked, Stored};
use super::topic::Topic;

pub(super) struct Book {
    rows: GroupRows,
    /// Events older than this are given up when they are refused.
    age_max: Duration,
    consumers: Consumers,
    seen_at: Timestamp,
    /// The furthest event that is settled or parked.
    high: Position,
    /// The furthest event that was read.
    read: Position,
    /// Events in memory.
    open: BTreeMap<Position, Open>,
    parked: BTreeMap<Position, Parked>,
    /// Parked events whose rows are not stored yet: they can't be loaded.
    unstored: HashSet<Position>,
    /// Unsettled events of each ordering key, in order. Only the first one may run.
    lanes: HashMap<Ordering, VecDeque<Position>>,
    ready: BTreeSet<Position>,
    due: BTreeSet<(Timestamp, Position)>,
    loading: usize,
    loading_bytes: usize,
    bytes: usize,
    changes: Changes,
}

struct Open {
    event: Stored,
    /// Number of this delivery, 1 for the first.
    attempt: u32,
    /// It has rows of its own.
    parked: bool,
    /// Who has it.
    with: Option<ConsumerId>,
}

impl Open {
    fn unread(event: Stored) -> Open {
        Open {
            event,
            attempt: 1,
            parked: false,
            with: None,
        }
    }
}

/// What the next commit says.
#[derive(Default)]
pub(super) struct Changes {
    writes: Vec<Write>,
    parked: Vec<Position>,
    /// First events of their lanes that have been settled.
    finished: Vec<(Ordering, Position)>,
    dead_letters: Vec<DeadLetter>,
    expired: u64,
    /// Of events that are being parked.
    bytes: usize,
    dirty: bool,
}

/// Changes on their way, with the state that they leave.
pub(super) struct Commit {
    pub(super) writes: Vec<Write>,
    pub(super) cursor: Cursor,
    pub(super) dead_letters: Vec<DeadLetter>,
    /// Events that were settled because their time was over.
    pub(super) expired: u64,
    parked: Vec<Position>,
    finished: Vec<(Ordering, Position)>,
}

/// An event that went to a dead-letter topic, and its bytes there.
pub(super) struct DeadLetter {
    pub(super) topic: Arc<Topic>,
    pub(super) bytes: u64,
}

/// One event that a consumer is to have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) consumer: ConsumerId,
    pub(super) position: Position,
    pub(super) attempt: u32,
    pub(super) envelope: Bytes,
}

/// What a decision depends on, besides the books: the time, and what the consumer has asked for.
pub(super) struct At {
    pub(super) now: Timestamp,
    /// Pause before the next attempt, when there is one.
    pub(super) pause: Duration,
    /// 0: no limit.
    pub(super) deliveries_max: u32,
    pub(super) given_up: GivenUp,
}

/// Where events go that are given up.
pub(super) enum GivenUp {
    Nowhere,
    /// To a topic that has no room now.
    Later,
    To(Arc<Topic>),
}

/// How a settled event ended, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Acknowledged,
    Parked,
    DeadLettered,
    Dropped,
    /// It was not with a consumer any more.
    Unknown,
}

impl Book {
    /// From what is stored: the cursor, the events at its holes (one that is gone needs no delivery), the parked events.
    pub(super) fn open(
        rows: GroupRows,
        age_max: Duration,
        cursor: &Cursor,
        holes: Vec<(Position, Stored)>,
        parked: Vec<(Position, Parked)>,
    ) -> Book {
        let mut book = Book {
            rows,
            age_max,
            consumers: Consumers::default(),
            seen_at: cursor.seen_at,
            high: cursor.high,
            read: cursor.high,
            open: BTreeMap::new(),
            parked: parked.into_iter().collect(),
            unstored: HashSet::new(),
            lanes: HashMap::new(),
            ready: BTreeSet::new(),
            due: BTreeSet::new(),
            loading: 0,
            loading_bytes: 0,
            bytes: 0,
            changes: Changes::default(),
        };
        for (position, event) in holes {
            book.insert(position, Open::unread(event));
        }
        book.form_lanes();
        book
    }

    /// Lines up everything that is known, in order of publication.
    fn form_lanes(&mut self) {
        let parked = self.parked.iter().map(|(at, parked)| (*at, parked.ordering));
        let open = self.open.iter().map(|(at, open)| (*at, open.event.ordering));
        let all: BTreeMap<Position, Ordering> = parked.chain(open).collect();
        for (position, ordering) in &all {
            self.line_up(*position, *ordering);
        }
        let lanes: Vec<Ordering> = self.lanes.keys().copied().collect();
        for ordering in lanes {
            self.park_followers_of_refused(ordering);
        }
    }

    /// Events of a page, in order, that ends at `through`. Those that have expired are settled.
    pub(super) fn read(&mut self, page: Vec<(Position, Stored)>, through: Position, now: Timestamp) {
        self.read = through;
        for (position, event) in page {
            if event.expired(now) {
                self.high = position;
                self.changes.dirty = true;
                self.changes.expired += 1;
                continue;
            }
            let ordering = event.ordering;
            self.insert(position, Open::unread(event));
            self.line_up(position, ordering);
            if self.first_was_refused(ordering) {
                self.park_waiting(position);
            }
        }
    }

    /// The furthest event that was read: the next page begins behind it.
    pub(super) fn position(&self) -> Position {
        self.read
    }

    /// Rows and bytes that the next page may have; `None` while there is enough to do.
    pub(super) fn room_for_page(&mut self) -> Option<(usize, usize)> {
        self.make_room();
        // What is parked is in memory until its commit is on the way.
        let rows = self.open.len() + self.loading + self.changes.writes.len();
        let bytes = self.bytes + self.loading_bytes + self.changes.bytes;
        let (rows_max, bytes_max) = (self.consumers.rows_max(), self.consumers.bytes_max());
        let hungry = self.ready.is_empty() || rows <= rows_max / 4 * 3 && bytes <= bytes_max / 4 * 3;
        let room = (
            rows_max.saturating_sub(rows).min(limits::EVENTS_IN_MEMORY_MAX),
            bytes_max
                .saturating_sub(bytes)
                .min(limits::EVENTS_IN_MEMORY_BYTES_MAX),
        );
        let fits = room.0 > 0 && room.1 > 0 && self.parked.len() < limits::EVENTS_PARKED_MAX;
        (hungry && fits).then_some(room)
    }

    /// One more consumer shares the events.
    pub(super) fn join(&mut self, in_flight_max: usize) -> ConsumerId {
        self.consumers.join(in_flight_max)
    }

    /// A consumer takes no more events.
    pub(super) fn close(&mut self, consumer: ConsumerId) {
        self.consumers.close(consumer);
    }

    /// A consumer has gone. What it has is for the others, as if it had never been delivered.
    pub(super) fn leave(&mut self, consumer: ConsumerId) {
        let with = self.open.iter().filter(|(_, open)| open.with == Some(consumer));
        let with: Vec<Position> = with.map(|(position, _)| *position).collect();
        for position in with {
            self.take_back(position);
        }
        self.consumers.leave(consumer);
    }

    /// An event that a consumer has not settled and will not settle is for the next one, as if it had never been delivered.
    pub(super) fn take_back(&mut self, position: Position) {
        if let Some(open) = self.open.get_mut(&position)
            && let Some(consumer) = open.with.take()
        {
            self.consumers.take(consumer, open.event.bytes());
            self.ready.insert(position);
        }
    }

    /// The next event for whichever consumer may have one more.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<Next> {
        loop {
            let consumer = self.consumers.next()?;
            let position = self.ready.pop_first()?;
            let open = self.open.get_mut(&position).expect("what is ready is open");
            if open.event.expired(now) {
                self.finish(position);
                self.changes.expired += 1;
                continue;
            }
            open.with = Some(consumer);
            self.consumers.give(consumer, open.event.bytes());
            let (attempt, envelope) = (open.attempt, open.event.envelope());
            return Some(Next {
                consumer,
                position,
                attempt,
                envelope,
            });
        }
    }

    /// Number of the delivery that an event is in.
    pub(super) fn attempt(&self, position: Position) -> u32 {
        self.open.get(&position).map_or(1, |open| open.attempt)
    }

    /// Takes an answer.
    pub(super) fn settle(&mut self, position: Position, settlement: Settlement, at: &At) -> Ended {
        let Some(open) = self.open.get_mut(&position) else {
            return Ended::Unknown;
        };
        let Some(consumer) = open.with.take() else {
            return Ended::Unknown;
        };
        self.consumers.take(consumer, open.event.bytes());
        let worn_out = at.deliveries_max > 0 && open.attempt >= at.deliveries_max;
        let too_old = open.event.published_at.plus(self.age_max) <= at.now;
        match settlement {
            Settlement::Ack => {
                self.finish(position);
                Ended::Acknowledged
            }
            Settlement::Retry if !worn_out && !too_old => self.refuse(position, at),
            Settlement::Retry | Settlement::Drop => self.give_up(position, at),
        }
    }

    /// To the dead-letter topic, if there is one. It must not be lost on the way: without room it waits.
    fn give_up(&mut self, position: Position, at: &At) -> Ended {
        let topic = match &at.given_up {
            GivenUp::To(topic) => topic,
            GivenUp::Later => return self.refuse(position, at),
            GivenUp::Nowhere => {
                self.finish(position);
                return Ended::Dropped;
            }
        };
        let value = self.open[&position].event.republished(at.now);
        self.changes.dead_letters.push(DeadLetter {
            topic: topic.clone(),
            bytes: value.len() as u64,
        });
        self.changes.writes.push(Write::Append {
            keyspace: Keyspace::Journal,
            prefix: topic.log.clone(),
            value,
            expires_at: None,
        });
        self.finish(position);
        Ended::DeadLettered
    }

    /// Parks an event until its next attempt, and what waits behind it.
    fn refuse(&mut self, position: Position, at: &At) -> Ended {
        let due_at = at.now.plus(at.pause);
        let refusals = self.open[&position].attempt;
        let ordering = self.park(position, refusals, due_at);
        self.park_followers_of_refused(ordering);
        Ended::Parked
    }

    /// Moves an open event to rows of its own.
    fn park(&mut self, position: Position, refusals: u32, due_at: Timestamp) -> Ordering {
        let open = self.remove(position);
        let ordering = open.event.ordering;
        let bytes = u32::try_from(open.event.bytes()).unwrap_or(u32::MAX);
        let parked = Parked {
            refusals,
            due_at,
            ordering,
            bytes,
        };
        self.changes.writes.push(self.rows.put_parked(position, &parked));
        if !open.parked {
            self.changes.bytes += open.event.bytes();
            self.changes
                .writes
                .push(self.rows.put_parked_event(position, open.event));
            self.high = self.high.max(position);
        }
        self.changes.dirty = true;
        self.changes.parked.push(position);
        self.unstored.insert(position);
        self.parked.insert(position, parked);
        ordering
    }

    fn park_waiting(&mut self, position: Position) {
        if self.open.contains_key(&position) {
            self.park(position, 0, Timestamp(0));
        }
    }

    /// While the first of a lane is retried the others need not be in memory.
    fn park_followers_of_refused(&mut self, ordering: Ordering) {
        if !self.first_was_refused(ordering) {
            return;
        }
        let lane = self.lanes.get(&ordering);
        let followers: Vec<Position> = lane.into_iter().flatten().skip(1).copied().collect();
        for position in followers {
            self.park_waiting(position);
        }
    }

    fn first_was_refused(&self, ordering: Ordering) -> bool {
        let first = self.lanes.get(&ordering).and_then(VecDeque::front);
        first
            .and_then(|first| self.parked.get(first))
            .is_some_and(|parked| parked.refusals > 0)
    }

    /// When memory is full of events that wait behind others of their keys, while a consumer has nothing to do, they are
    /// parked, so that other keys get their turn.
    fn make_room(&mut self) {
        let full = self.open.len() >= self.consumers.rows_max() || self.bytes >= self.consumers.bytes_max();
        let idle = self.ready.is_empty() && self.consumers.next().is_some();
        if !full || !idle {
            return;
        }
        let waiting = self.open.iter().filter(|(_, open)| open.with.is_none());
        let room = limits::EVENTS_PARKED_MAX.saturating_sub(self.parked.len());
        let waiting: Vec<Position> = waiting.map(|(position, _)| *position).take(room).collect();
        for position in waiting {
            self.park_waiting(position);
        }
    }

    /// The event is done with.
    fn finish(&mut self, position: Position) {
        let open = self.remove(position);
        if open.parked {
            self.parked.remove(&position);
            self.changes.writes.extend(self.rows.delete_parked(position));
        } else {
            self.high = self.high.max(position);
        }
        self.finished(open.event.ordering, position);
    }

    fn finished(&mut self, ordering: Ordering, position: Position) {
        self.changes.dirty = true;
        if !ordering.is_none() {
            self.changes.finished.push((ordering, position));
        }
    }

    /// Parked events whose time has come, as many as there is room for. They are loaded next.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Vec<Position> {
        let mut taken = vec![];
        while let Some((due_at, position)) = self.due.first().copied() {
            let bytes = self.parked[&position].bytes as usize;
            let rows = self.open.len() + self.loading;
            let none = rows == 0;
            let fits = rows < self.consumers.rows_max()
                && self.bytes + self.loading_bytes + bytes <= self.consumers.bytes_max();
            if due_at > now || !(fits || none) {
                break;
            }
            self.due.pop_first();
            self.loading += 1;
            self.loading_bytes += bytes;
            taken.push(position);
        }
        taken
    }

    /// When the next parked event is due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(due_at, _)| *due_at)
    }

    /// What came of loading: `Err` is tried again later, `Ok(None)` is gone.
    pub(super) fn loaded(&mut self, position: Position, row: Result<Option<Stored>>, now: Timestamp) {
        let parked = self.parked[&position];
        self.loading -= 1;
        self.loading_bytes -= parked.bytes as usize;
        match row {
            Err(_) => drop(self.due.insert((now.plus(limits::RETRY_PAUSE_MAX), position))),
            Ok(Some(event)) => {
                let attempt = parked.refusals.saturating_add(1);
                self.insert(
                    position,
                    Open {
                        event,
                        attempt,
                        parked: true,
                        with: None,
                    },
                );
                self.ready.insert(position);
            }
            Ok(None) => {
                self.parked.remove(&position);
                self.changes.writes.extend(self.rows.delete_parked(position));
                self.finished(parked.ordering, position);
            }
        }
    }

    /// Notes that the group is in use, now and then.
    pub(super) fn seen(&mut self, now: Timestamp) {
        if self.seen_at.plus(limits::GROUP_SEEN_INTERVAL) <= now {
            self.seen_at = now;
            self.changes.dirty = true;
        }
    }

    /// What has been decided since the last call, if anything.
    pub(super) fn take_changes(&mut self, now: Timestamp) -> Option<Commit> {
        if !self.changes.dirty {
            return None;
        }
        let changes = std::mem::take(&mut self.changes);
        self.seen_at = self.seen_at.max(now);
        let cursor = self.cursor();
        let mut writes = changes.writes;
        writes.push(self.rows.put_cursor(&cursor));
        Some(Commit {
            writes,
            cursor,
            dead_letters: changes.dead_letters,
            expired: changes.expired,
            parked: changes.parked,
            finished: changes.finished,
        })
    }

    fn cursor(&self) -> Cursor {
        let below = self.open.range(..self.high);
        let holes = below.filter(|(_, open)| !open.parked);
        Cursor {
            seen_at: self.seen_at,
            high: self.high,
            holes: holes.map(|(position, _)| *position).collect(),
        }
    }

    /// The commit is stored: what it parked can be loaded, and the next events of its ordering keys may go.
    pub(super) fn committed(&mut self, commit: Commit) {
        for position in commit.parked {
            self.unstored.remove(&position);
            if self.has_its_turn(position) {
                self.activate(position);
            }
        }
        for (ordering, position) in commit.finished {
            let lane = self.lanes.get_mut(&ordering).expect("a settled event has a lane");
            let first = lane.pop_front();
            assert_eq!(first, Some(position), "only the first of a lane runs");
            match lane.front().copied() {
                Some(next) => self.activate(next),
                None => drop(self.lanes.remove(&ordering)),
            }
        }
    }

    fn line_up(&mut self, position: Position, ordering: Ordering) {
        if ordering.is_none() {
            return self.activate(position);
        }
        let lane = self.lanes.entry(ordering).or_default();
        lane.push_back(position);
        if lane.len() == 1 {
            self.activate(position);
        }
    }

    /// No event of its ordering key is before a parked one.
    fn has_its_turn(&self, position: Position) -> bool {
        let ordering = self.parked[&position].ordering;
        ordering.is_none() || self.lanes.get(&ordering).and_then(VecDeque::front) == Some(&position)
    }

    /// It is the event's turn.
    fn activate(&mut self, position: Position) {
        match self.parked.get(&position) {
            Some(_) if self.unstored.contains(&position) => (),
            Some(parked) => drop(self.due.insert((parked.due_at, position))),
            None => drop(self.ready.insert(position)),
        }
    }

    /// Events that wait for another attempt, or behind one of their key.
    pub(super) fn parked(&self) -> usize {
        self.parked.len()
    }

    fn insert(&mut self, position: Position, open: Open) {
        self.bytes += open.event.bytes();
        self.open.insert(position, open);
    }

    fn remove(&mut self, position: Position) -> Open {
        let open = self.open.remove(&position).expect("the event is open");
        self.bytes -= open.event.bytes();
        open
    }

    /// Events in memory, and their bytes.
    #[cfg(test)]
    fn in_memory(&self) -> (usize, usize) {
        (self.open.len(), self.bytes)
    }
}

#[cfg(test)]
mod tests;
