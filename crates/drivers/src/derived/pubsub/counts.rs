//! What happened to events, in numbers, for whoever draws curves of them.
//!
//! Names of topics and groups come from clients, so a component shows only so many of them: those that were there first. A
//! place is given back with its topic or group; what has none is counted all the same, and is among the hidden ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use base::limits;

/// Counted since the process knows the topic. Numbers begin at 0 again when it was forgotten in between.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicCounts {
    pub topic: String,
    /// Events that were stored, those that came from a topic whose dead letters they are included.
    pub published: u64,
    /// Events that were removed by age before every group had settled them.
    pub lost: u64,
    /// Of the events that are kept now, bytes. With groups this is what the slowest of them has to go, and what the sweeper
    /// has not come to yet.
    pub kept_bytes: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupCounts {
    pub topic: String,
    pub group: String,
    /// Handed to the consumer, each attempt counted.
    pub delivered: u64,
    pub acknowledged: u64,
    /// Refused, or not answered in time, and to be delivered again.
    pub retried: u64,
    /// Given up for good.
    pub dropped: u64,
    /// Their own time was over before they were delivered.
    pub expired: u64,
    pub dead_lettered: u64,
    /// Events that wait for another attempt now, or behind one of their key.
    pub parked: u64,
}

/// What a component shows of its topics, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub topics: Vec<TopicCounts>,
    pub groups: Vec<GroupCounts>,
    pub topics_hidden: usize,
    pub groups_hidden: usize,
}

/// The numbers of one group while it is in memory.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) delivered: AtomicU64,
    pub(super) acknowledged: AtomicU64,
    pub(super) retried: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) expired: AtomicU64,
    pub(super) dead_lettered: AtomicU64,
    pub(super) parked: AtomicU64,
}

impl Tally {
    pub(super) fn read(&self, topic: &str, group: &str) -> GroupCounts {
        GroupCounts {
            topic: topic.to_owned(),
            group: group.to_owned(),
            delivered: self.delivered.load(Relaxed),
            acknowledged: self.acknowledged.load(Relaxed),
            retried: self.retried.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            expired: self.expired.load(Relaxed),
            dead_lettered: self.dead_lettered.load(Relaxed),
            parked: self.parked.load(Relaxed),
        }
    }
}

/// How many topics and groups of a component are shown.
#[derive(Clone, Default)]
pub(super) struct Places {
    topics: Arc<AtomicUsize>,
    groups: Arc<AtomicUsize>,
}

impl Places {
    pub(super) fn topic(&self, name: &str) -> Option<Place> {
        take(&self.topics, limits::TOPICS_SHOWN_MAX, name)
    }

    pub(super) fn group(&self, name: &str) -> Option<Place> {
        take(&self.groups, limits::GROUPS_SHOWN_MAX, name)
    }
}

/// Given back when it is dropped.
pub(super) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

fn take(taken: &Arc<AtomicUsize>, max: usize, name: &str) -> Option<Place> {
    if name.len() > limits::SHOWN_NAME_BYTES_MAX {
        return None;
    }
    let one_more = |taken| (taken < max).then_some(taken + 1);
    taken.try_update(Relaxed, Relaxed, one_more).ok()?;
    Some(Place(taken.clone()))
}
