//! Publish/subscribe over a `Kv`: topics are logs, consumer groups are positions in them.
//!
//! Publishing appends, in one commit per call and without a read. A group is a row that says how far it has come, and rows
//! of their own for events that were refused; one task moves it on for all its consumers. Deliveries are at least once, with one
//! rule in addition: what was settled in this process is never delivered again by it, and what was settled and stored,
//! which is a moment later and not synced, is not delivered again after the process was killed.
//!
//! | file | what |
//! |---|---|
//! | `rows` | how it all is stored |
//! | `book` | what a group has in hand: pure |
//! | `consumers` | who shares it, and who gets the next event: pure |
//! | `reader` | the task behind a group |
//! | `desk` | where it meets a consumer |
//! | `topic` | a topic in memory: sizes, groups, who reads |
//! | `counts` | what happened to events, in numbers |
//! | `retention` | removing what nobody needs |
//!
//! **Order.** Events of an ordering key go to a group one at a time. The next one follows when the settlement of the one
//! before is stored, so a crash repeats the last event of a key at most. An event that is refused holds back its key only;
//! what waits behind it is parked as well, up to [`limits::EVENTS_PARKED_MAX`] events, then the group waits. Without an
//! ordering key nothing waits for anything: later events overtake a refused one. Which consumer an event is with makes no
//! difference.
//!
//! **One process per store.** A group is moved on by the process that reads with it. Two processes over one store would
//! each deliver everything; sharing the work needs ownership of topics, which comes with scale-out.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use base::task::{self, Tasks};
use base::{Error, Result, Timestamp, codes, limits};
use bytes::Bytes;
use parking_lot::RwLock;
use ports::kv::{Batch, Keyspace, Kv, Order, Position, Scan, Write};
use ports::pubsub::{self, Deliveries, Event, Start, Subscription};
use tokio::sync::OnceCell;

mod rows;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) use rows::decode_any;

mod book;

mod consumers;

mod counts;

mod topic;

mod desk;

mod reader;

mod waits;

mod retention;

mod settings;

#[cfg(test)]
mod tests;

pub use counts::{Counts, GroupCounts, TopicCounts};
pub use retention::Retention;
pub use settings::Topics;

use book::Book;
use counts::Places;
use reader::Reader;
use rows::{Cursor, GroupRows, Ordering, Parked, Stored};
use topic::{Claim, DeadLetters, Entered, Topic};

/// Steps of the sweeper that a call may take when it meets a full topic.
const STEPS_PER_PUBLISH_MAX: usize = 4;

/// The topics of one component.
pub struct PubSub {
    kv: Arc<dyn Kv>,
    component: String,
    retention: Retention,
    tasks: Tasks,
    opened_at: Timestamp,
    /// Topics that this process has to do with. The sweeper drops those that hold nothing.
    topics: RwLock<HashMap<String, Arc<OnceCell<Arc<Topic>>>>>,
    places: Places,
    /// Topics that were there before have been found.
    discovered: OnceCell<()>,
}

impl PubSub {
    /// Begins to remove what nobody needs, in the background, until it is dropped. Call it on a runtime. `tasks` are those
    /// that a drain waits for: a subscription that is dropped still writes down what was settled.
    pub fn over(kv: Arc<dyn Kv>, component: &str, retention: Retention, tasks: Tasks) -> Arc<PubSub> {
        let pubsub = Arc::new(PubSub {
            opened_at: kv.now(),
            kv,
            component: component.to_owned(),
            retention,
            tasks,
            topics: RwLock::default(),
            places: Places::default(),
            discovered: OnceCell::new(),
        });
        drop(task::spawn(
            "topic retention",
            retention::run(Arc::downgrade(&pubsub)),
        ));
        pubsub
    }

    /// Adds to `batch` what publishing the event does. It counts as published at once, so commit the batch.
    ///
    /// Errors: as of [`pubsub::PubSub::publish`].
    pub async fn stage_publish(&self, mut batch: Batch, topic: &str, event: &Event) -> Result<Batch> {
        let topic = self.topic(topic).await?;
        let write = append(&topic.log, event, self.kv.now());
        self.reserve(&topic, appended_bytes(std::slice::from_ref(&write)))
            .await?;
        topic.published(1);
        batch.writes.push(write);
        Ok(batch)
    }

    /// Makes room for events, or refuses them.
    async fn reserve(&self, topic: &Topic, bytes: u64) -> Result<()> {
        let bytes_max = self.retention.bytes;
        if !topic.has_room(bytes, bytes_max) && topic.take_changed() {
            // Groups may have settled events that are still there. What a few steps do not free the sweeper does.
            for _ in 0..STEPS_PER_PUBLISH_MAX {
                if topic.has_room(bytes, bytes_max) || self.step(topic).await? == super::Progress::Done {
                    break;
                }
                topic.set_changed();
            }
        }
        if !topic.has_room(bytes, bytes_max) {
            let message = format!(
                "topic {} holds {} bytes that its consumer groups have not settled, it may hold {bytes_max}",
                topic.name,
                topic.kept()
            );
            return Err(Error::new(codes::TOPIC_FULL, message));
        }
        topic.add(bytes);
        Ok(())
    }

    async fn topic(&self, name: &str) -> Result<Arc<Topic>> {
        let known = self
            .topics
            .read()
            .get(name)
            .and_then(|topic| topic.get().cloned());
        if let Some(topic) = known {
            return Ok(topic);
        }
        if name.is_empty() {
            return Err(Error::new(
                codes::INVALID_ARGUMENT,
                "a topic's name may not be empty",
            ));
        }
        let cell = self.topics.write().entry(name.to_owned()).or_default().clone();
        let open = || async {
            let topic = Topic::open(&*self.kv, &self.component, name, self.places.clone()).await;
            topic.map(Arc::new)
        };
        cell.get_or_try_init(open).await.cloned()
    }

    /// What the component is called.
    pub fn component(&self) -> &str {
        &self.component
    }

    /// What happened to events since this process began. Cheap, and without a look at the store.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for cell in self.topics.read().values() {
            if let Some(topic) = cell.get() {
                topic.count_into(&mut counts);
            }
        }
        counts.topics.sort_unstable_by(|a, b| a.topic.cmp(&b.topic));
        let name = |counts: &GroupCounts| (counts.topic.clone(), counts.group.clone());
        counts.groups.sort_by_cached_key(name);
        counts
    }

    fn known_topics(&self) -> Vec<Arc<Topic>> {
        self.topics
            .read()
            .values()
            .filter_map(|topic| topic.get().cloned())
            .collect()
    }

    /// Forgets topics that keep nothing and that nobody holds.
    fn evict_topics(&self) {
        let idle =
            |topic: &Arc<Topic>| Arc::strong_count(topic) == 1 && topic.kept() == 0 && !topic.has_groups();
        self.topics
            .write()
            .retain(|_, cell| Arc::strong_count(cell) > 1 || !cell.get().is_none_or(idle));
    }

    /// Finds topics that have events or groups.
    async fn discover(&self) -> Result<()> {
        let find = || async {
            for keyspace in [Keyspace::Journal, Keyspace::State] {
                let mut scan = Scan::prefix(keyspace, rows::topics(&self.component)).limit(1);
                while let Some((name, log)) = self.next_topic(&scan).await? {
                    self.topic(&name).await?;
                    match ports::kv::after_prefix(&log) {
                        Some(behind) => scan.start = behind,
                        None => break,
                    }
                }
            }
            Ok(())
        };
        self.discovered.get_or_try_init(find).await.copied()
    }

    async fn next_topic(&self, scan: &Scan) -> Result<Option<(String, Bytes)>> {
        let page = self.kv.scan(scan.clone()).await?;
        let Some((key, _)) = page.rows.first() else {
            return Ok(None);
        };
        let behind = rows::topics(&self.component).len();
        let name = super::keys::closed(&key[behind..]).map(|(name, _)| name);
        let name = name.ok_or_else(|| super::unreadable("event's key", "it names no topic"))?;
        let log = rows::log(&self.component, &name);
        Ok(Some((name, log)))
    }

    /// What is stored of a group. A new one is stored first.
    async fn open_book(&self, claim: &Claim, rows: &GroupRows, start: Start) -> Result<Book> {
        let topic = claim.topic();
        let cursor = match self.kv.get(&rows.cursor).await? {
            Some(entry) => Cursor::decode(&entry.value)?,
            None => self.create_group(topic, rows, start).await?,
        };
        topic.settled(claim.group(), &cursor);
        let parked = self.parked(rows).await?;
        let holes = self.holes(topic, &cursor).await?;
        let age_max = self.retention.age;
        Ok(Book::open(rows.clone(), age_max, &cursor, holes, parked))
    }

    async fn create_group(&self, topic: &Topic, rows: &GroupRows, start: Start) -> Result<Cursor> {
        let high = match start {
            Start::Oldest => Position::START,
            Start::Newest => self.newest(topic).await?,
        };
        let cursor = Cursor {
            seen_at: self.kv.now(),
            high,
            holes: vec![],
        };
        self.kv.commit(Batch::of(vec![rows.put_cursor(&cursor)])).await?;
        Ok(cursor)
    }

    async fn newest(&self, topic: &Topic) -> Result<Position> {
        let last = Scan {
            order: Order::Descending,
            ..Scan::prefix(Keyspace::Journal, topic.log.clone()).limit(1)
        };
        let page = self.kv.scan(last).await?;
        let last = page.rows.first().and_then(|(key, _)| Position::decode(key));
        Ok(last.unwrap_or(Position::START))
    }

    async fn parked(&self, rows: &GroupRows) -> Result<Vec<(Position, Parked)>> {
        let mut parked = vec![];
        let mut scan = Scan::prefix(Keyspace::State, rows.parked.clone());
        loop {
            let page = self.kv.scan(scan.clone()).await?;
            for (key, entry) in &page.rows {
                let position = Position::decode(key)
                    .ok_or_else(|| super::unreadable("refused event's key", "it has no position"))?;
                parked.push((position, Parked::decode(&entry.value)?));
            }
            match page.rows.last() {
                Some((last, _)) if page.more => scan = scan.after(last),
                _ => return Ok(parked),
            }
        }
    }

    /// Events that were with the consumer when the group was last written down. Those that retention has removed since are
    /// left out.
    async fn holes(&self, topic: &Topic, cursor: &Cursor) -> Result<Vec<(Position, Stored)>> {
        let keys: Vec<_> = cursor
            .holes
            .iter()
            .map(|hole| rows::event_key(&topic.log, *hole))
            .collect();
        let found = self.kv.get_many(&keys).await?;
        let there = cursor.holes.iter().zip(found);
        there
            .filter_map(|(position, entry)| entry.map(|entry| (*position, entry)))
            .map(|(position, entry)| Stored::decode(entry.value).map(|event| (position, event)))
            .collect()
    }
}

#[async_trait]
impl pubsub::PubSub for PubSub {
    async fn publish(&self, topic: &str, events: Vec<Event>) -> Result<()> {
        let topic = self.topic(topic).await?;
        let now = self.kv.now();
        let writes: Vec<Write> = events
            .iter()
            .map(|event| append(&topic.log, event, now))
            .collect();
        if writes.is_empty() {
            return Ok(());
        }
        let bytes = appended_bytes(&writes);
        self.reserve(&topic, bytes).await?;
        match self.kv.commit(Batch::of(writes)).await {
            Ok(_) => topic.published(events.len() as u64),
            Err(error) => {
                topic.remove(bytes);
                return Err(error);
            }
        }
        Ok(())
    }

    async fn subscribe(&self, subscription: Subscription) -> Result<Box<dyn Deliveries>> {
        check(&subscription)?;
        let topic = self.topic(&subscription.topic).await?;
        let dead_letters = match &subscription.dead_letter_topic {
            Some(name) => Some(DeadLetters {
                topic: self.topic(name).await?,
                bytes_max: self.retention.bytes,
            }),
            None => None,
        };
        let (member, consumer) = desk::sit_down(&subscription, dead_letters);
        if let Entered::First(claim, member) = topic.enter(&subscription.group, member).await? {
            let rows = GroupRows::of(&self.component, &subscription.topic, &subscription.group);
            let book = self.open_book(&claim, &rows, subscription.start).await?;
            let reader = Reader::new(self.kv.clone(), rows, book, claim, member);
            drop(self.tasks.spawn("consumer group", reader.run()));
        }
        Ok(Box::new(consumer))
    }

    fn now(&self) -> Timestamp {
        self.kv.now()
    }
}

fn check(subscription: &Subscription) -> Result<()> {
    let wrong = if !(1..=limits::EVENTS_IN_MEMORY_MAX).contains(&subscription.in_flight_max) {
        let (count, max) = (subscription.in_flight_max, limits::EVENTS_IN_MEMORY_MAX);
        format!("{count} events at once is not between 1 and {max}")
    } else if subscription.dead_letter_topic.as_ref() == Some(&subscription.topic) {
        format!("topic {} cannot be its own dead-letter topic", subscription.topic)
    } else {
        return Ok(());
    };
    Err(Error::new(codes::INVALID_ARGUMENT, wrong))
}

fn append(log: &Bytes, event: &Event, now: Timestamp) -> Write {
    let ordering = Ordering::of(&event.ordering_key);
    Write::Append {
        keyspace: Keyspace::Journal,
        prefix: log.clone(),
        value: Stored::encode(now, event.expires_at, ordering, &event.envelope),
        expires_at: None,
    }
}

fn appended_bytes(writes: &[Write]) -> u64 {
    let value = |write: &Write| match write {
        Write::Append { value, .. } => value.len() as u64,
        Write::Put { .. } | Write::Delete { .. } | Write::Add { .. } => 0,
    };
    writes.iter().map(value).sum()
}
