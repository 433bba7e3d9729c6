//! `Topic` and `Topics` (spec 2.10).

use base::Timestamp;
use futures::stream;
use machines::Event;
use machines::engine::Happened;
use machines::primitive::topic::Command;
use machines::primitive::{self, Type};
use tonic::{Request, Response, Status};
use wire::atomix::topic as pb;

use crate::opening::opening;
use crate::service::Service;
use crate::streams::{self, Answers};

#[tonic::async_trait]
impl pb::topic_server::Topic for Service {
    opening!(topic, Topic, |_cache| pb::Config {});

    type SubscribeStream = Answers<pb::SubscribeResponse>;

    async fn publish(
        &self,
        request: Request<pb::PublishRequest>,
    ) -> Result<Response<pb::PublishResponse>, Status> {
        let request = request.into_inner();
        let topic = self.find(request.id, Type::Topic).await?;
        let payload = request.payload;
        topic.call(Command::Publish { payload }).await?;
        Ok(Response::new(pb::PublishResponse {}))
    }

    /// What is published from now on. There is no opening answer, for it would look like a message: whoever has the response's
    /// headers misses nothing.
    async fn subscribe(
        &self,
        request: Request<pb::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let (_, extensions, request) = request.into_parts();
        let (target, session) = self.enter(&extensions, request.id, Type::Topic).await?;
        let watch = streams::watch(&target)?;
        Ok(streams::watching(stream::empty(), watch, session, message))
    }
}

#[tonic::async_trait]
impl pb::topics_server::Topics for Service {
    opening!(topic, Topic, |_cache| pb::Config {});
}

fn message(happened: &Happened) -> Option<pb::SubscribeResponse> {
    match &*happened.event {
        Event::Primitive(primitive::Event::Topic(event)) => Some(pb::SubscribeResponse {
            offset: event.offset,
            timestamp: Some(timestamp(event.published)),
            payload: event.payload.clone(),
        }),
        Event::Primitive(_) | Event::Invocation(_) => None,
    }
}

fn timestamp(timestamp: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: i64::try_from(timestamp.0 / 1_000).unwrap_or(i64::MAX),
        nanos: i32::try_from(timestamp.0 % 1_000 * 1_000_000).expect("less than a second"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_seconds_and_the_rest() {
        let expected = prost_types::Timestamp {
            seconds: 1_700_000_000,
            nanos: 999_000_000,
        };
        assert_eq!(timestamp(Timestamp(1_700_000_000_999)), expected);
        assert_eq!(timestamp(Timestamp(u64::MAX)).nanos, 615_000_000);
    }
}
