//! Publishing (spec 4.1), and what subscriptions over a stream and over the application's callback have in common: how they
//! are asked for, and what an answer means.

use futures::StreamExt;
use futures::stream::BoxStream;
use ports::pubsub::{Event, Settlement};
use tonic::{Request, Response, Status, Streaming};
use wire::layotto as pb;
use wire::layotto::topic_event_response::TopicEventResponseStatus;

use crate::service::Service;
use crate::{convert, envelope, error};

pub(crate) mod options;
mod stream;

#[cfg(test)]
mod tests;

pub(crate) type Events = BoxStream<'static, Result<pb::SubscribeTopicEventsResponse, Status>>;

/// Request metadata: events of one key are delivered in order.
const PARTITION_KEY: &str = "partitionKey";

/// Checks in the reference's order; what is published is durable, as its component promises, before the answer.
pub(crate) async fn publish(
    service: &Service,
    request: Request<pb::PublishEventRequest>,
) -> Result<Response<()>, Status> {
    let request = request.into_inner();
    let (pubsub, topic) = (&request.pubsub_name, &request.topic);
    if pubsub.is_empty() {
        return Err(error::pubsub::no_name());
    }
    if topic.is_empty() {
        return Err(error::pubsub::no_topic(pubsub));
    }
    let store = service
        .live
        .load()
        .pubsubs
        .get(pubsub)
        .map(|bus| bus.store.clone());
    let store = store.ok_or_else(|| error::pubsub::no_pubsub(pubsub))?;
    let sealed = envelope::seal(&request, store.now());
    let sealed = sealed.map_err(|why| error::pubsub::no_cloud_event(&why))?;
    let event = Event {
        envelope: sealed.envelope,
        ordering_key: request.metadata.get(PARTITION_KEY).cloned().unwrap_or_default(),
        expires_at: sealed.expires_at,
        metadata: convert::metadata(request.metadata),
    };
    let published = store.publish(topic, vec![event]).await;
    published.map_err(|error| error::pubsub::publish(topic, pubsub, &error))?;
    Ok(Response::new(()))
}

/// Errors arrive as the end of the stream.
pub(crate) async fn subscribe(
    service: &Service,
    request: Request<Streaming<pb::SubscribeTopicEventsRequest>>,
) -> Result<Response<Events>, Status> {
    let requests = request.into_inner().boxed();
    Ok(Response::new(stream::events(service.live.clone(), requests)))
}

/// What an application's answer means for the event (spec 4.5).
///
/// | answer | the event is |
/// |---|---|
/// | `SUCCESS`, also for want of a status | acknowledged |
/// | `RETRY` | delivered again later |
/// | `DROP` | given up: to the dead-letter topic, if there is one |
/// | a number that is none of these | delivered again later |
pub(crate) fn settlement(pubsub: &str, topic: &str, status: i32) -> Settlement {
    match TopicEventResponseStatus::try_from(status) {
        Ok(TopicEventResponseStatus::Success) => Settlement::Ack,
        Ok(TopicEventResponseStatus::Retry) => Settlement::Retry,
        Ok(TopicEventResponseStatus::Drop) => {
            tracing::warn!(pubsub, topic, "the application drops an event");
            Settlement::Drop
        }
        Err(_) => {
            tracing::warn!(
                pubsub,
                topic,
                status,
                "the application answers an event with an unknown status, it is delivered again"
            );
            Settlement::Retry
        }
    }
}
