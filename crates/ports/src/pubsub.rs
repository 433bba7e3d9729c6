//! Topics, and groups of consumers that share their events.

use std::time::Duration;

use async_trait::async_trait;
use base::{Result, Timestamp};
use bytes::Bytes;
use tokio::sync::oneshot;

use crate::Metadata;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The event as every consumer of the broker sees it: a CloudEvents 1.0 JSON object.
    pub envelope: Bytes,
    /// Events of one key reach a group one at a time, in order of publication. Empty: in no promised order.
    pub ordering_key: String,
    /// After this it is not delivered any more.
    pub expires_at: Option<Timestamp>,
    /// For the vendor, as the publisher sent it.
    pub metadata: Metadata,
}

/// How a group reads a topic. Options come from the component's settings and the subscription's metadata.
#[derive(Clone, Debug)]
pub struct Subscription {
    pub topic: String,
    /// Consumers of one group share the events; each group sees all of them. May be empty.
    pub group: String,
    /// Where a group begins that the topic has not seen before; it means nothing to the others.
    pub start: Start,
    /// Where events go that were dropped, or refused [`Subscription::deliveries_max`] times.
    pub dead_letter_topic: Option<String>,
    /// 0: refused events are delivered again until they are too old.
    pub deliveries_max: u32,
    /// Events that are with the consumer at once, 1 to [`base::limits::EVENTS_IN_MEMORY_MAX`].
    pub in_flight_max: usize,
    /// How long one answer may take; then the event counts as refused.
    pub deadline: Duration,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At the oldest event that is kept.
    #[default]
    Oldest,
    /// Behind every event published so far.
    Newest,
}

/// One event at one consumer. Settle it; dropping it counts as [`Settlement::Retry`].
#[derive(Debug)]
pub struct Delivery {
    pub topic: String,
    pub envelope: Bytes,
    /// 1 for the first.
    pub attempt: u32,
    /// A send that fails means that nobody waits any more: the deadline is over, or the subscription has ended. The event
    /// is delivered again.
    pub settle: oneshot::Sender<Settlement>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Processed: never delivered to this group again.
    Ack,
    /// Deliver it again after a pause that grows with each attempt.
    Retry,
    /// Give it up: to the dead-letter topic if there is one.
    Drop,
}

/// The events of one subscription. Ends (`None`) when the store closes. Dropping it ends the subscription: events that are
/// not settled by then are delivered to the next subscription of the group, and do not count as refused.
///
/// Cancel safe: an event that `next` has not returned is not lost.
#[async_trait]
pub trait Deliveries: Send {
    async fn next(&mut self) -> Option<Delivery>;
}

/// Every implementation MUST pass `conformance::pubsub`:
/// - a published event is durable (as the engine's mode says) before `publish` returns, and is delivered at least once to
///   every group that exists, or comes to exist while the event is kept;
/// - events of one call are published in one commit, in order;
/// - settled with `Ack`, an event is not delivered to that group again, crashes of the process included; a crash of the
///   machine may deliver it again;
/// - an event of an ordering key holds back the later ones of its key until it is settled, and nothing else;
/// - a slow or absent consumer costs disk, not memory.
///
/// Errors: `ResourceExhausted` when the topic's unsettled backlog is at its limit (nothing was published),
/// `AlreadyExists` when this process reads that topic with that group already.
#[async_trait]
pub trait PubSub: Send + Sync {
    async fn publish(&self, topic: &str, events: Vec<Event>) -> Result<()>;
    /// Once it has returned, every event published from then on will arrive.
    async fn subscribe(&self, subscription: Subscription) -> Result<Box<dyn Deliveries>>;
    /// The time that [`Event::expires_at`] is judged by.
    fn now(&self) -> Timestamp;
}
