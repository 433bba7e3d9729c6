//! Topics, and groups of consumers that share their events.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{Result, Timestamp};
use bytes::Bytes;

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

/// One consumer of a topic. Options come from the component's settings and the subscription's metadata. But for `start` they
/// are the consumer's own: members of a group may differ in them, and an event is judged by the one that has it.
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
    pub topic: Arc<str>,
    pub envelope: Bytes,
    /// 1 for the first.
    pub attempt: u32,
    pub settle: Settle,
}

/// The way back for one event. Dropping it says that there will be no settlement.
pub struct Settle {
    delivery: u64,
    /// `None`: it has been used.
    desk: Option<Arc<dyn Desk>>,
}

/// Where a consumer's settlements go.
pub trait Desk: Send + Sync {
    /// `false`: nobody waits for that one any more. `None`: there will be no settlement.
    fn settle(&self, delivery: u64, settlement: Option<Settlement>) -> bool;
    /// Whether somebody still waits for that one.
    fn waits(&self, delivery: u64) -> bool;
}

/// Nobody waits any more: the deadline is over, or the subscription has ended. The event is delivered again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLate;

impl Settle {
    /// `delivery` is a number that the desk knows it by.
    pub fn at(desk: Arc<dyn Desk>, delivery: u64) -> Settle {
        Settle {
            delivery,
            desk: Some(desk),
        }
    }

    pub fn send(mut self, settlement: Settlement) -> Result<(), TooLate> {
        let desk = self.desk.take().expect("it is used once");
        match desk.settle(self.delivery, Some(settlement)) {
            true => Ok(()),
            false => Err(TooLate),
        }
    }

    /// Whether a send would be too late.
    pub fn is_closed(&self) -> bool {
        self.desk.as_ref().is_none_or(|desk| !desk.waits(self.delivery))
    }
}

impl Drop for Settle {
    fn drop(&mut self) {
        if let Some(desk) = self.desk.take() {
            desk.settle(self.delivery, None);
        }
    }
}

impl fmt::Debug for Settle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Settle").field(&self.delivery).finish()
    }
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
/// not settled by then are delivered to the other consumers of the group at once, or to the next one, and do not count as
/// refused.
///
/// Cancel safe: an event that `next` has not returned is not lost.
#[async_trait]
pub trait Deliveries: Send {
    async fn next(&mut self) -> Option<Delivery>;
    /// Takes no more events: those that `next` has not returned go to the others at once. Those that it has can still be
    /// settled; one that is dropped does not count as refused.
    fn close(&mut self);
}

/// Every implementation MUST pass `conformance::pubsub`:
/// - a published event is durable (as the engine's mode says) before `publish` returns, and is delivered at least once to
///   every group that exists, or comes to exist while the event is kept;
/// - events of one call are published in one commit, in order;
/// - settled with `Ack`, an event is not delivered to that group again, crashes of the process included; a crash of the
///   machine may deliver it again;
/// - an event of an ordering key holds back the later ones of its key until it is settled, and nothing else: at whichever
///   consumer of the group they are;
/// - consumers of one group share its events: each goes to one that has room. A slow one holds what it asked for at most, and
///   nobody else up;
/// - a slow or absent consumer costs disk, not memory.
///
/// Errors: `ResourceExhausted` when the topic's unsettled backlog is at its limit (nothing was published), or when the group
/// has [`base::limits::CONSUMERS_PER_GROUP_MAX`] consumers.
#[async_trait]
pub trait PubSub: Send + Sync {
    async fn publish(&self, topic: &str, events: Vec<Event>) -> Result<()>;
    /// Once it has returned, every event published from then on will arrive.
    async fn subscribe(&self, subscription: Subscription) -> Result<Box<dyn Deliveries>>;
    /// The time that [`Event::expires_at`] is judged by.
    fn now(&self) -> Timestamp;
}
