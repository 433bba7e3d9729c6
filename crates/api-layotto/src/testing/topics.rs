//! A fake broker: refused events come again at once, behind the others. Consumers of a group take from one queue.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use async_trait::async_trait;
use base::{Result, Timestamp};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use parking_lot::Mutex;
use ports::pubsub::{self, Deliveries, Delivery, Event, PubSub, Settle, Settlement, Subscription};
use tokio::sync::{Notify, oneshot};

use super::Fault;

#[derive(Default)]
pub(crate) struct Topics {
    pub fault: Fault,
    /// Of subscribing alone.
    pub subscribe_fault: Fault,
    pub published: Mutex<Vec<(String, Event)>>,
    pub subscriptions: Mutex<Vec<Subscription>>,
    pub now: AtomicU64,
    groups: Mutex<HashMap<(String, String), Arc<Group>>>,
}

#[derive(Default)]
pub(crate) struct Group {
    queue: Mutex<VecDeque<(Bytes, u32)>>,
    readers: Mutex<usize>,
    more: Notify,
    /// How events were settled, in order.
    pub settled: Mutex<Vec<Settlement>>,
    /// The most that were out at once.
    pub out_max: Mutex<usize>,
}

impl Topics {
    pub(crate) fn group(&self, topic: &str, group: &str) -> Arc<Group> {
        let key = (topic.to_owned(), group.to_owned());
        self.groups.lock().entry(key).or_default().clone()
    }

    /// An envelope of somebody else's.
    pub(crate) fn put(&self, topic: &str, envelope: impl Into<Bytes>) {
        let envelope = envelope.into();
        for ((of, _), group) in self.groups.lock().iter() {
            if of == topic {
                group.queue.lock().push_back((envelope.clone(), 1));
                group.more.notify_waiters();
            }
        }
    }
}

impl Group {
    pub(crate) fn is_read(&self) -> bool {
        *self.readers.lock() > 0
    }

    pub(crate) fn settled(&self) -> Vec<Settlement> {
        self.settled.lock().clone()
    }

    pub(crate) fn queued(&self) -> Vec<(Bytes, u32)> {
        self.queue.lock().iter().cloned().collect()
    }
}

#[async_trait]
impl PubSub for Topics {
    async fn publish(&self, topic: &str, events: Vec<Event>) -> Result<()> {
        self.fault.check()?;
        for event in events {
            self.put(topic, event.envelope.clone());
            self.published.lock().push((topic.to_owned(), event));
        }
        Ok(())
    }

    async fn subscribe(&self, subscription: Subscription) -> Result<Box<dyn Deliveries>> {
        self.subscribe_fault.check()?;
        let group = self.group(&subscription.topic, &subscription.group);
        *group.readers.lock() += 1;
        self.subscriptions.lock().push(subscription.clone());
        Ok(Box::new(Reading {
            group,
            subscription,
            out: FuturesUnordered::new(),
            events: HashMap::new(),
            count: 0,
            closed: false,
        }))
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(SeqCst))
    }
}

struct Reading {
    group: Arc<Group>,
    subscription: Subscription,
    /// Events that are out, by number; nothing is the settlement of one that was dropped.
    out: FuturesUnordered<BoxFuture<'static, (usize, Option<Settlement>)>>,
    events: HashMap<usize, (Bytes, u32)>,
    count: usize,
    closed: bool,
}

/// Waits for one settlement.
struct Once(Mutex<Option<oneshot::Sender<Settlement>>>);

impl pubsub::Desk for Once {
    fn settle(&self, _: u64, settlement: Option<Settlement>) -> bool {
        let sender = self.0.lock().take();
        sender.is_some_and(|sender| settlement.is_some_and(|settlement| sender.send(settlement).is_ok()))
    }

    fn waits(&self, _: u64) -> bool {
        self.0.lock().as_ref().is_some_and(|sender| !sender.is_closed())
    }
}

impl Reading {
    fn settled(&mut self, number: usize, settlement: Option<Settlement>) {
        if settlement.is_none() && self.closed {
            // It goes back with what is left.
            return;
        }
        let settlement = settlement.unwrap_or(Settlement::Retry);
        let (envelope, attempt) = self.events.remove(&number).expect("it is out");
        self.group.settled.lock().push(settlement);
        if settlement == Settlement::Retry {
            self.group.queue.lock().push_back((envelope, attempt + 1));
        }
    }

    fn take(&mut self) -> Option<Delivery> {
        if self.closed || self.events.len() >= self.subscription.in_flight_max {
            return None;
        }
        let (envelope, attempt) = self.group.queue.lock().pop_front()?;
        let (settle, settled) = oneshot::channel();
        let number = self.count;
        self.count += 1;
        self.events.insert(number, (envelope.clone(), attempt));
        let mut most = self.group.out_max.lock();
        *most = self.events.len().max(*most);
        let deadline = self.subscription.deadline;
        let answer = async move {
            let answer = tokio::time::timeout(deadline, settled).await;
            (number, answer.map_or(Some(Settlement::Retry), Result::ok))
        };
        self.out.push(answer.boxed());
        Some(Delivery {
            topic: (&*self.subscription.topic).into(),
            envelope,
            attempt,
            settle: Settle::at(Arc::new(Once(Mutex::new(Some(settle)))), 0),
        })
    }
}

#[async_trait]
impl Deliveries for Reading {
    async fn next(&mut self) -> Option<Delivery> {
        let group = self.group.clone();
        while !self.closed {
            let more = group.more.notified();
            if let Some(delivery) = self.take() {
                return Some(delivery);
            }
            tokio::select! {
                Some((number, settlement)) = self.out.next() => self.settled(number, settlement),
                () = more => (),
            }
        }
        None
    }

    fn close(&mut self) {
        self.closed = true;
    }
}

/// What is not settled is there for the next reader, as if it had not been out.
impl Drop for Reading {
    fn drop(&mut self) {
        while let Some(Some((number, settlement))) = self.out.next().now_or_never() {
            self.settled(number, settlement);
        }
        let mut left: Vec<_> = self.events.drain().collect();
        left.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        let mut queue = self.group.queue.lock();
        left.into_iter().for_each(|(_, event)| queue.push_front(event));
        *self.group.readers.lock() -= 1;
        self.group.more.notify_waiters();
    }
}
