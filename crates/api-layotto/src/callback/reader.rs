//! One subscription: subscribes until it holds, then hands out events.

use std::sync::Arc;

use base::{Error, Result, limits};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use ports::pubsub::{Deliveries, Delivery, PubSub};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::delivery::{self, Delivered, Target};
use super::listing::Wanted;
use super::pool::Pool;
use super::{Pause, Report};
use crate::components::Live;
use crate::pubsub::options;

pub(super) struct Reader {
    pub(super) live: Arc<Live>,
    pub(super) pool: Arc<Pool>,
    pub(super) reachable: watch::Receiver<bool>,
    pub(super) report: Report,
    pub(super) stopping: CancellationToken,
    pub(super) wanted: Wanted,
}

/// A subscription that holds.
struct Subscribed {
    store: Arc<dyn PubSub>,
    deliveries: Box<dyn Deliveries>,
    deadline: std::time::Duration,
}

impl Reader {
    /// Until it is not wanted any more.
    pub(super) async fn run(mut self) {
        let stopping = self.stopping.clone();
        while let Some(Some(subscribed)) = stopping.run_until_cancelled(self.ready()).await {
            self.read(subscribed).await;
        }
        (self.report)(&self.name(), Ok(()));
    }

    /// Subscribed, with an application to hand events to. `None`: never again.
    async fn ready(&mut self) -> Option<Subscribed> {
        // First: events that are given out have a deadline.
        self.reachable.wait_for(|reachable| *reachable).await.ok()?;
        Some(self.subscribe_until_it_holds().await)
    }

    async fn subscribe_until_it_holds(&self) -> Subscribed {
        let (pubsub, topic) = (&self.wanted.pubsub, &self.wanted.topic);
        let mut pause = Pause::default();
        loop {
            match self.subscribe().await {
                Ok(subscribed) => {
                    (self.report)(&self.name(), Ok(()));
                    tracing::info!(pubsub, topic, "subscribed");
                    return subscribed;
                }
                Err(error) if pause.is_first() => {
                    (self.report)(&self.name(), Err(error.to_string()));
                    tracing::warn!(pubsub, topic, code = error.code().id, %error, "a topic cannot be subscribed to, it is tried again");
                }
                Err(error) => (self.report)(&self.name(), Err(error.to_string())),
            }
            pause.pass().await;
        }
    }

    async fn subscribe(&self) -> Result<Subscribed> {
        let (pubsub, topic) = (&self.wanted.pubsub, &self.wanted.topic);
        let components = self.live.load_full();
        let gone = || {
            Error::new(
                base::codes::COMPONENT_UNKNOWN,
                format!("there is no component {pubsub}"),
            )
        };
        let bus = components.pubsubs.get(pubsub).ok_or_else(gone)?;
        let subscription = options::subscription(&components, bus, topic, &self.wanted.metadata)?;
        let deadline = subscription.deadline;
        let deliveries = bus.store.subscribe(subscription).await?;
        Ok(Subscribed {
            store: bus.store.clone(),
            deliveries,
            deadline,
        })
    }

    /// Hands out events until it is stopped, the application cannot be reached, or the component closes. The component
    /// gives out no more at once than the subscription asks for. What was not sent is for the group's other consumers at
    /// once, as if it had not been here.
    async fn read(&self, subscribed: Subscribed) {
        let Subscribed {
            store,
            mut deliveries,
            deadline,
        } = subscribed;
        let target = Target {
            pool: self.pool.clone(),
            store,
            pubsub: self.wanted.pubsub.clone(),
            deadline,
        };
        let mut out = FuturesUnordered::new();
        let mut unsent = None;
        while unsent.is_none() {
            tokio::select! {
                delivery = deliveries.next() => match delivery {
                    Some(delivery) => out.push(delivery::deliver(&target, delivery)),
                    None => break,
                },
                Some(delivered) = out.next() => unsent = not_sent(delivered),
                () = self.stopping.cancelled() => break,
            }
        }
        // First: what is dropped from here on was not refused.
        deliveries.close();
        drop(unsent);
        let answers = async { while out.next().await.is_some() {} };
        if tokio::time::timeout(limits::DRAIN_DEADLINE, answers)
            .await
            .is_err()
        {
            let (pubsub, topic) = (&self.wanted.pubsub, &self.wanted.topic);
            tracing::warn!(
                pubsub,
                topic,
                "the application has not answered all events, they are delivered again"
            );
        }
    }

    fn name(&self) -> String {
        format!("subscription {}/{}", self.wanted.pubsub, self.wanted.topic)
    }
}

fn not_sent(delivered: Delivered) -> Option<Delivery> {
    match delivered {
        Delivered::Answered => None,
        Delivered::Unsent(delivery) => Some(delivery),
    }
}
