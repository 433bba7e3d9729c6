//! Subscriptions over a stream (spec 4.7).
//!
//! One stream is one consumer; it shares the events with the other streams and the callback of its group. The initial answer
//! goes out when the subscription holds, so that every message published after it arrives. When the stream ends, however that
//! comes, the subscription ends with it: what the client has not answered is delivered to the others, or to the next one. The
//! component gives out so many events at once, then waits for answers.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use base::limits;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use ports::pubsub::{Deliveries, Delivery, PubSub, Settle, Settlement};
use tonic::Status;
use wire::layotto as pb;
use wire::layotto::subscribe_topic_events_request::SubscribeTopicEventsRequestType as Asked;
use wire::layotto::subscribe_topic_events_response::SubscribeTopicEventsResponseType as Answer;

use super::{Events, options, settlement};
use crate::components::Live;
use crate::envelope::{self, Opened, Unreadable};
use crate::error;
use crate::error::pubsub::StreamEnd;

type Requests = BoxStream<'static, Result<pb::SubscribeTopicEventsRequest, Status>>;

enum State {
    Opening(Arc<Live>, Requests),
    Open(Box<Subscriber>),
    Ended,
}

pub(super) fn events(live: Arc<Live>, requests: Requests) -> Events {
    stream::unfold(State::Opening(live, requests), step).boxed()
}

async fn step(state: State) -> Option<(Result<pb::SubscribeTopicEventsResponse, Status>, State)> {
    let (answer, subscriber) = match state {
        State::Opening(live, requests) => {
            let opened = Subscriber::open(&live, requests).await;
            let initial = Answer::InitialResponse(pb::SubscribeTopicEventsResponseInitial {});
            (initial, opened)
        }
        State::Open(mut subscriber) => match subscriber.next().await {
            Ok(event) => (Answer::EventMessage(event), Ok(subscriber)),
            Err(status) => return Some((Err(status), State::Ended)),
        },
        State::Ended => return None,
    };
    Some(match subscriber {
        Ok(subscriber) => {
            let response = pb::SubscribeTopicEventsResponse {
                subscribe_topic_events_response_type: Some(answer),
            };
            (Ok(response), State::Open(subscriber))
        }
        Err(status) => (Err(status), State::Ended),
    })
}

/// The client of one stream.
struct Subscriber {
    // In this order: events without an answer are given back, not refused.
    deliveries: Box<dyn Deliveries>,
    /// Events at the client, by their id. Publishers may give several events one id: those are settled in order.
    unanswered: HashMap<String, VecDeque<Settle>>,
    in_flight_max: usize,
    requests: Requests,
    store: Arc<dyn PubSub>,
    pubsub: String,
    topic: String,
}

impl Subscriber {
    async fn open(live: &Arc<Live>, mut requests: Requests) -> Result<Box<Subscriber>, Status> {
        let initial = first(&mut requests).await?;
        let (pubsub, topic) = (initial.pubsub_name, initial.topic);
        let components = live.load_full();
        let bus = components.pubsubs.get(&pubsub);
        let bus = bus.ok_or_else(|| error::pubsub::stream(&StreamEnd::NoPubsub(pubsub.clone())))?;
        let failed = |error| error::pubsub::subscribe(&error);
        let mut wanted =
            options::subscription(&components, bus, &topic, &initial.metadata).map_err(failed)?;
        if let Some(dead_letter_topic) = initial.dead_letter_topic.filter(|topic| !topic.is_empty()) {
            wanted.dead_letter_topic = Some(dead_letter_topic);
        }
        let in_flight_max = wanted.in_flight_max;
        let deliveries = bus.store.subscribe(wanted).await.map_err(failed)?;
        Ok(Box::new(Subscriber {
            deliveries,
            unanswered: HashMap::new(),
            in_flight_max,
            requests,
            store: bus.store.clone(),
            pubsub,
            topic,
        }))
    }

    /// The next event for the client; takes its answers meanwhile.
    async fn next(&mut self) -> Result<pb::TopicEventRequest, Status> {
        loop {
            tokio::select! {
                request = self.requests.next() => self.take(request)?,
                delivery = self.deliveries.next() => match delivery {
                    Some(delivery) => {
                        if let Some(event) = self.hand_out(delivery) {
                            return Ok(event);
                        }
                    }
                    None => return Err(error::pubsub::stream(&StreamEnd::Closed)),
                },
            }
        }
    }

    fn take(
        &mut self,
        request: Option<Result<pb::SubscribeTopicEventsRequest, Status>>,
    ) -> Result<(), Status> {
        let Some(request) = request else {
            return Err(error::pubsub::stream(&StreamEnd::HalfClosed));
        };
        match request?.subscribe_topic_events_request_type {
            Some(Asked::EventProcessed(processed)) => self.settle(processed),
            Some(Asked::InitialRequest(_)) => {
                return Err(error::pubsub::stream(&StreamEnd::SecondInitialRequest));
            }
            None => tracing::debug!(
                pubsub = self.pubsub,
                topic = self.topic,
                "a stream sent an empty request"
            ),
        }
        Ok(())
    }

    fn settle(&mut self, processed: pb::SubscribeTopicEventsRequestProcessed) {
        let settle = self
            .unanswered
            .get_mut(&processed.id)
            .and_then(VecDeque::pop_front);
        let Some(settle) = settle else {
            tracing::warn!(
                pubsub = self.pubsub,
                topic = self.topic,
                "a stream answered an event that it does not have"
            );
            return;
        };
        if self.unanswered.get(&processed.id).is_some_and(VecDeque::is_empty) {
            self.unanswered.remove(&processed.id);
        }
        let status = processed.status.map_or(0, |status| status.status);
        // Too late: the event is delivered again.
        let _ = settle.send(settlement(&self.pubsub, &self.topic, status));
    }

    /// What nobody wants, or can read, does not reach the client.
    fn hand_out(&mut self, delivery: Delivery) -> Option<pb::TopicEventRequest> {
        let now = self.store.now();
        let event = match envelope::open(&self.pubsub, &delivery.topic, &delivery.envelope, now) {
            Ok(Opened::Event(event)) => event,
            Ok(Opened::Expired) => {
                let _ = delivery.settle.send(Settlement::Ack);
                return None;
            }
            Err(Unreadable(why)) => {
                tracing::warn!(
                    pubsub = self.pubsub,
                    topic = self.topic,
                    why,
                    "an event cannot be read"
                );
                let _ = delivery.settle.send(Settlement::Retry);
                return None;
            }
        };
        self.forget_what_is_late();
        let settles = self.unanswered.entry(event.id.clone()).or_default();
        settles.retain(|settle| !settle.is_closed());
        settles.push_back(delivery.settle);
        Some(*event)
    }

    /// Events whose time to be answered is over are delivered again, and must not pile up here.
    fn forget_what_is_late(&mut self) {
        if self.unanswered.len() < 2 * self.in_flight_max {
            return;
        }
        self.unanswered.retain(|_, settles| {
            settles.retain(|settle| !settle.is_closed());
            !settles.is_empty()
        });
    }
}

/// The initial request, which has a deadline and must name what there is.
async fn first(requests: &mut Requests) -> Result<pb::SubscribeTopicEventsRequestInitial, Status> {
    let refused = |end| Err(error::pubsub::stream(&end));
    let first = tokio::time::timeout(limits::REQUEST_DEADLINE, requests.next()).await;
    let request = match first {
        Ok(Some(request)) => request?,
        Ok(None) => return refused(StreamEnd::HalfClosed),
        Err(_) => return refused(StreamEnd::NoInitialRequest),
    };
    let Some(Asked::InitialRequest(initial)) = request.subscribe_topic_events_request_type else {
        return refused(StreamEnd::NoInitialRequest);
    };
    if initial.pubsub_name.is_empty() {
        return refused(StreamEnd::NoPubsubName);
    }
    if initial.topic.is_empty() {
        return refused(StreamEnd::NoTopic);
    }
    Ok(initial)
}
