//! One event at the application (spec 4.5).

use std::sync::Arc;
use std::time::Duration;

use ports::pubsub::{Delivery, PubSub, Settlement};
use tonic::{Code, Request, Status};
use wire::layotto as pb;

use super::pool::{Pool, Unsent};
use crate::envelope::{self, Opened, Unreadable};
use crate::pubsub::settlement;

/// Where the events of one subscription go.
pub(super) struct Target {
    pub(super) pool: Arc<Pool>,
    pub(super) store: Arc<dyn PubSub>,
    pub(super) pubsub: String,
    pub(super) deadline: Duration,
}

pub(super) enum Delivered {
    Answered,
    /// The application could not be reached. It has not seen the event.
    Unsent(Delivery),
}

pub(super) async fn deliver(target: &Target, delivery: Delivery) -> Delivered {
    let (pubsub, topic) = (&target.pubsub, &*delivery.topic);
    let settlement = match envelope::open(pubsub, topic, &delivery.envelope, target.store.now()) {
        Ok(Opened::Event(event)) => match call(target, *event).await {
            Ok(status) => settlement(pubsub, topic, status),
            Err(status) if Unsent::of(&status).is_some() => return Delivered::Unsent(delivery),
            Err(status) => refusal(pubsub, topic, &status),
        },
        // Nobody wants it any more.
        Ok(Opened::Expired) => Settlement::Ack,
        Err(Unreadable(why)) => {
            tracing::warn!(
                pubsub,
                topic,
                why,
                "an event cannot be read, it is delivered again"
            );
            Settlement::Retry
        }
    };
    // Too late: the event is delivered again.
    let _ = delivery.settle.send(settlement);
    Delivered::Answered
}

/// The number of the application's answer.
async fn call(target: &Target, event: pb::TopicEventRequest) -> Result<i32, Status> {
    let mut request = Request::new(event);
    request.set_timeout(target.deadline);
    let mut client = target.pool.client();
    let answer = tokio::time::timeout(target.deadline, client.on_topic_event(request)).await;
    match answer {
        Ok(answer) => answer.map(|response| response.into_inner().status),
        Err(_) => Ok(pb::topic_event_response::TopicEventResponseStatus::Retry.into()),
    }
}

/// An application without `OnTopicEvent` will not have it at the next attempt either.
fn refusal(pubsub: &str, topic: &str, status: &Status) -> Settlement {
    if status.code() == Code::Unimplemented {
        tracing::warn!(
            pubsub,
            topic,
            "the application does not take events, this one is given up"
        );
        return Settlement::Drop;
    }
    tracing::debug!(pubsub, topic, code = ?status.code(), "the application failed at an event, it is delivered again");
    Settlement::Retry
}
