//! Removes events that nobody needs: in small steps, each one page and one commit.
//!
//! An event is removed when every group has settled or parked it, when it is older than the component's retention, or, on a
//! topic without groups, when the topic is larger than it may be. Groups that nobody has read with for longer than the
//! retention (an hour at least) are forgotten, so that an application that is gone for ever does not fill the disk.

use std::sync::{Arc, Weak};
use std::time::Duration;

use base::{Result, Timestamp, limits};
use ports::kv::{Batch, Durability, Entry, Keyspace, Position, Scan, Write};

use super::super::Progress;
use super::PubSub;
use super::rows::{self, GroupRows, Stored};
use super::topic::{Claim, Readers, Topic};

/// How long and how large topics grow. Every topic of a component has this much for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Events older than this are removed, settled or not.
    pub age: Duration,
    /// A topic without groups drops its oldest events beyond this; a topic with groups takes no more events when what they
    /// have not settled comes to this.
    pub bytes: u64,
}

impl Default for Retention {
    fn default() -> Retention {
        Retention {
            age: limits::TOPIC_AGE_MAX,
            bytes: limits::TOPIC_BYTES_MAX,
        }
    }
}

/// Pages that one pass over a topic may take; the rest is left for the next pass.
const STEPS_PER_PASS_MAX: usize = 100;
/// A first look at the oldest events; a page grows while all of it can go.
const PAGE_ROWS_MIN: usize = 16;

/// Where a topic's kept events begin, as the sweeper knows it.
pub(super) struct Floor {
    /// Everything up to here has been removed.
    position: Position,
    /// Events that were there before this process: still to be counted, up to and with this one.
    count_to: Option<Position>,
    /// How far they are counted.
    counted: Position,
    page_rows: usize,
    /// When the oldest kept event was published.
    oldest: Option<Timestamp>,
    /// [`Topic::added`] when the topic was last seen.
    added: u64,
}

impl Floor {
    pub(super) fn uncounted(last: Position) -> Floor {
        Floor {
            position: Position::START,
            count_to: (last > Position::START).then_some(last),
            counted: Position::START,
            page_rows: PAGE_ROWS_MIN,
            oldest: None,
            added: 0,
        }
    }

    fn has_aged(&self, now: Timestamp, age: Duration) -> bool {
        self.oldest.is_some_and(|at| at.plus(age) <= now)
    }
}

/// What of a page can go.
#[derive(Default)]
struct Waste {
    keys: Vec<bytes::Bytes>,
    bytes: u64,
    last: Option<Position>,
    /// Events that some group had not settled.
    unsettled: usize,
}

impl PubSub {
    /// One pass over the component's topics. It is called every [`limits::TOPIC_SWEEP_INTERVAL`] by a task of the
    /// component's own.
    pub async fn sweep(&self) -> Result<()> {
        self.discover().await?;
        for topic in self.known_topics() {
            self.sweep_topic(&topic).await?;
            self.forget_idle_groups(&topic).await?;
        }
        self.evict_topics();
        Ok(())
    }

    async fn sweep_topic(&self, topic: &Topic) -> Result<()> {
        let aged = topic
            .floor
            .lock()
            .await
            .has_aged(self.kv.now(), self.retention.age);
        if !topic.take_changed() && !aged {
            return Ok(());
        }
        for _ in 0..STEPS_PER_PASS_MAX {
            match self.step(topic).await {
                Ok(Progress::More) => tokio::task::yield_now().await,
                Ok(Progress::Done) => return Ok(()),
                Err(error) => {
                    topic.set_changed();
                    return Err(error);
                }
            }
        }
        topic.set_changed();
        Ok(())
    }

    /// At most [`limits::SWEEP_ROWS_MAX`] rows, in one commit.
    pub(super) async fn step(&self, topic: &Topic) -> Result<Progress> {
        let mut floor = topic.floor.lock().await;
        if let Some(to) = floor.count_to {
            return self.count(topic, &mut floor, to).await;
        }
        let added = topic.added();
        let behind = rows::event_key(&topic.log, floor.position);
        let scan = Scan::prefix(Keyspace::Journal, topic.log.clone())
            .after(&behind.bytes)
            .limit(floor.page_rows);
        let page = self.kv.scan(scan).await?;
        if page.rows.is_empty() && floor.added == added {
            topic.empty(added);
        }
        floor.added = added;
        let waste = self.waste(topic, &page.rows);
        let first_kept = page.rows.get(waste.keys.len());
        floor.oldest = first_kept.and_then(|(_, entry)| published_at(entry));
        let progress = match first_kept {
            None if page.more => Progress::More,
            _ => Progress::Done,
        };
        floor.page_rows = match progress {
            Progress::More => (floor.page_rows * 4).min(limits::SWEEP_ROWS_MAX),
            Progress::Done => PAGE_ROWS_MIN,
        };
        self.remove(topic, &mut floor, waste).await?;
        Ok(progress)
    }

    /// The oldest events that nobody needs.
    fn waste(&self, topic: &Topic, rows: &[(bytes::Bytes, Entry)]) -> Waste {
        let now = self.kv.now();
        let readers = topic.readers();
        let mut over = match readers {
            Readers::None => topic.kept().saturating_sub(self.retention.bytes),
            Readers::Settled(_) => 0,
        };
        let mut waste = Waste::default();
        for (key, entry) in rows {
            let position = Position::decode(key);
            let settled = matches!(readers, Readers::Settled(to) if position.is_some_and(|at| at <= to));
            // What cannot be decoded goes as soon as it comes first.
            let aged = published_at(entry).is_none_or(|at| at.plus(self.retention.age) <= now);
            if !settled && !aged && over == 0 {
                break;
            }
            let bytes = entry.value.len() as u64;
            over = over.saturating_sub(bytes);
            waste.unsettled += usize::from(!settled && matches!(readers, Readers::Settled(_)));
            waste.bytes += bytes;
            waste.last = position;
            waste.keys.push(key.clone());
        }
        waste
    }

    async fn remove(&self, topic: &Topic, floor: &mut Floor, waste: Waste) -> Result<()> {
        let Some(last) = waste.last else { return Ok(()) };
        if waste.unsettled > 0 {
            let (topic, events) = (&topic.name, waste.unsettled);
            tracing::warn!(
                topic,
                events,
                "events were removed by age before every group had them"
            );
        }
        self.delete(Keyspace::Journal, waste.keys).await?;
        topic.remove(waste.bytes);
        topic.lost(waste.unsettled as u64);
        floor.position = last;
        Ok(())
    }

    /// Counts events that were there before this process. None is removed before all are counted.
    async fn count(&self, topic: &Topic, floor: &mut Floor, to: Position) -> Result<Progress> {
        let behind = rows::event_key(&topic.log, floor.counted);
        let page = self
            .kv
            .scan(Scan::prefix(Keyspace::Journal, topic.log.clone()).after(&behind.bytes))
            .await?;
        let mut bytes = 0;
        for (key, entry) in &page.rows {
            let Some(position) = Position::decode(key).filter(|at| *at <= to) else {
                break;
            };
            bytes += entry.value.len() as u64;
            floor.counted = position;
        }
        topic.add(bytes);
        if floor.counted >= to || !page.more {
            floor.count_to = None;
        }
        Ok(Progress::More)
    }

    async fn forget_idle_groups(&self, topic: &Arc<Topic>) -> Result<()> {
        let patience = self.retention.age.max(limits::GROUP_IDLE_MIN);
        let now = self.kv.now();
        // Applications that were stopped with us come back first.
        if self.opened_at.plus(limits::GROUP_IDLE_MIN) > now {
            return Ok(());
        }
        for group in topic.idle_groups(Timestamp(now.0.saturating_sub(patience.as_millis() as u64))) {
            // Somebody reads with it again.
            let Some(claim) = topic.claim(&group) else {
                continue;
            };
            self.forget_group(topic, claim).await?;
            tracing::warn!(
                topic = topic.name,
                group,
                "a consumer group is forgotten, nobody has read with it for longer than events are kept"
            );
        }
        Ok(())
    }

    async fn forget_group(&self, topic: &Topic, claim: Claim) -> Result<()> {
        let rows = GroupRows::of(&self.component, &topic.name, claim.group());
        for keyspace in [Keyspace::Journal, Keyspace::State] {
            loop {
                let page = self.kv.scan(Scan::prefix(keyspace, rows.parked.clone())).await?;
                self.delete(keyspace, page.rows.into_iter().map(|(key, _)| key))
                    .await?;
                if !page.more {
                    break;
                }
            }
        }
        self.delete(Keyspace::State, [rows.cursor.bytes]).await?;
        claim.forget();
        Ok(())
    }

    async fn delete(&self, keyspace: Keyspace, keys: impl IntoIterator<Item = bytes::Bytes>) -> Result<()> {
        let delete = |bytes| Write::Delete {
            key: ports::kv::Key { keyspace, bytes },
        };
        let batch = Batch::of(keys.into_iter().map(delete).collect());
        if !batch.writes.is_empty() {
            self.kv.commit(batch.durability(Durability::Buffered)).await?;
        }
        Ok(())
    }
}

fn published_at(entry: &Entry) -> Option<Timestamp> {
    Stored::decode(entry.value.clone())
        .ok()
        .map(|event| event.published_at)
}

/// Sweeps until the component is dropped. Cutting it short loses nothing.
pub(super) async fn run(pubsub: Weak<PubSub>) {
    loop {
        tokio::time::sleep(limits::TOPIC_SWEEP_INTERVAL).await;
        let Some(pubsub) = pubsub.upgrade() else { return };
        if let Err(error) = pubsub.sweep().await {
            let code = error.code().id;
            tracing::warn!(component = pubsub.component, code, %error, "events that nobody needs cannot be removed now");
        }
    }
}
