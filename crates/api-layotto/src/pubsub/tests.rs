use std::sync::Arc;
use std::time::Duration;

use base::{Timestamp, codes, limits};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Streaming};
use wire::layotto::runtime_client::RuntimeClient;
use wire::layotto::subscribe_topic_events_request::SubscribeTopicEventsRequestType as Ask;
use wire::layotto::subscribe_topic_events_response::SubscribeTopicEventsResponseType as Answer;

use super::*;
use crate::components::{Bus, Components, Consuming};
use crate::testing::{Fakes, STORE, assert_refused, run, texts, until};

fn publish(pubsub: &str, topic: &str, data: &[u8]) -> pb::PublishEventRequest {
    pb::PublishEventRequest {
        pubsub_name: pubsub.into(),
        topic: topic.into(),
        data: Bytes::copy_from_slice(data),
        ..Default::default()
    }
}

#[tokio::test]
async fn publishing_is_checked_in_the_order_of_the_reference() {
    let fakes = Fakes::default();
    let mut client = fakes.run().await.client;
    let cloud_event = |pubsub: &str, data: &[u8]| pb::PublishEventRequest {
        data_content_type: "application/cloudevents+json".into(),
        ..publish(pubsub, "t", data)
    };
    let rows = [
        (publish("", "", b""), "pubsub name is empty"),
        (publish("other", "", b""), "topic is empty in pubsub other"),
        (publish("other", "t", b""), "pubsub other not found"),
        (cloud_event("other", b"x"), "pubsub other not found"),
        (
            cloud_event(STORE, b"[]"),
            "cannot create cloudevent: it is no JSON object (line 1, column 0)",
        ),
        (
            cloud_event(STORE, b"{\"id\":\"7\"}"),
            "cannot create cloudevent: attribute datacontenttype is missing",
        ),
    ];
    for (request, expected) in rows {
        assert_refused(
            client.publish_event(request).await,
            Code::InvalidArgument,
            expected,
        );
    }
    assert!(fakes.topics.published.lock().is_empty());
}

#[tokio::test]
async fn without_components_a_pubsub_is_not_found() {
    let mut client = run(Components::default()).await.client;
    let refused = client.publish_event(publish(STORE, "t", b"")).await;
    assert_refused(refused, Code::InvalidArgument, "pubsub demo not found");
}

#[tokio::test]
async fn a_component_that_fails_is_internal_and_one_that_is_full_says_so() {
    let fakes = Fakes::default();
    let mut client = fakes.run().await.client;
    let text = "error when publish to topic t in pubsub demo: no luck";
    for (code, expected) in [
        (codes::ENGINE_STOPPED, Code::Internal),
        (codes::INTERNAL, Code::Internal),
        (codes::TOPIC_FULL, Code::ResourceExhausted),
    ] {
        fakes.topics.fault.set(code, "no luck");
        assert_refused(
            client.publish_event(publish(STORE, "t", b"")).await,
            expected,
            text,
        );
    }
}

#[tokio::test]
async fn what_is_published_reaches_the_component_with_all_that_it_says() {
    let fakes = Fakes::default();
    fakes.topics.now.store(1_000, std::sync::atomic::Ordering::SeqCst);
    let mut client = fakes.run().await.client;
    let request = pb::PublishEventRequest {
        metadata: texts([("partitionKey", "k"), ("ttlInSeconds", "1"), ("other", "x")]),
        ..publish(STORE, "t", b"hello")
    };
    client.publish_event(request).await.expect("it is published");
    let published = fakes.topics.published.lock().clone();
    let [(topic, event)] = &published[..] else {
        panic!("one event, not {published:?}")
    };
    assert_eq!((topic.as_str(), event.ordering_key.as_str()), ("t", "k"));
    assert_eq!(event.expires_at, Some(Timestamp(2_000)));
    let metadata: Vec<&str> = event.metadata.keys().map(String::as_str).collect();
    assert_eq!(metadata, ["other", "partitionKey", "ttlInSeconds"]);
    let Ok(envelope::Opened::Event(read)) = envelope::open("p", "t", &event.envelope, Timestamp(0)) else {
        panic!("it is an envelope")
    };
    assert_eq!(read.data, "hello");
}

/// One client's stream.
struct Stream {
    asks: mpsc::Sender<pb::SubscribeTopicEventsRequest>,
    answers: Streaming<pb::SubscribeTopicEventsResponse>,
}

fn initial(pubsub: &str, topic: &str) -> Ask {
    Ask::InitialRequest(pb::SubscribeTopicEventsRequestInitial {
        pubsub_name: pubsub.into(),
        topic: topic.into(),
        ..Default::default()
    })
}

fn processed(id: &str, status: i32) -> Ask {
    Ask::EventProcessed(pb::SubscribeTopicEventsRequestProcessed {
        id: id.into(),
        status: Some(pb::TopicEventResponse { status }),
    })
}

impl Stream {
    async fn begin(client: &mut RuntimeClient<Channel>, first: Option<Ask>) -> Stream {
        let (asks, requests) = mpsc::channel(100);
        if let Some(first) = first {
            send(&asks, first).await;
        }
        let answers = client.subscribe_topic_events(ReceiverStream::new(requests)).await;
        Stream {
            asks,
            answers: answers.expect("the stream begins").into_inner(),
        }
    }

    /// Subscribed to a topic of the usual component.
    async fn of(client: &mut RuntimeClient<Channel>, topic: &str) -> Stream {
        Stream::with(client, initial(STORE, topic)).await
    }

    async fn with(client: &mut RuntimeClient<Channel>, initial: Ask) -> Stream {
        let mut stream = Stream::begin(client, Some(initial)).await;
        assert_eq!(
            stream.next().await,
            Answer::InitialResponse(pb::SubscribeTopicEventsResponseInitial {})
        );
        stream
    }

    async fn next(&mut self) -> Answer {
        let message = self
            .message()
            .await
            .expect("the stream goes on")
            .expect("the stream goes on");
        message
            .subscribe_topic_events_response_type
            .expect("an answer is not empty")
    }

    async fn message(&mut self) -> Result<Option<pb::SubscribeTopicEventsResponse>, Status> {
        let message = tokio::time::timeout(Duration::from_secs(20), self.answers.message());
        message.await.expect("it comes in time")
    }

    async fn event(&mut self) -> pb::TopicEventRequest {
        match self.next().await {
            Answer::EventMessage(event) => event,
            other => panic!("expected an event, got {other:?}"),
        }
    }

    async fn answer(&self, id: &str, status: i32) {
        send(&self.asks, processed(id, status)).await;
    }

    async fn assert_ends(&mut self, code: Code, text: &str) {
        let status = self.message().await.expect_err("the stream ends");
        assert_eq!((status.code(), status.message()), (code, text));
    }
}

async fn send(asks: &mpsc::Sender<pb::SubscribeTopicEventsRequest>, ask: Ask) {
    let request = pb::SubscribeTopicEventsRequest {
        subscribe_topic_events_request_type: Some(ask),
    };
    asks.send(request).await.expect("the stream takes it");
}

async fn publish_texts(client: &mut RuntimeClient<Channel>, topic: &str, data: &[&str]) {
    for data in data {
        client
            .publish_event(publish(STORE, topic, data.as_bytes()))
            .await
            .expect("it is published");
    }
}

#[tokio::test]
async fn a_stream_must_begin_with_what_it_wants() {
    let mut client = Fakes::default().run().await.client;
    let rows = [
        (processed("x", 0), "initial request is required"),
        (initial("", ""), "pubsubName is required"),
        (initial(STORE, ""), "topic is required"),
        (initial("other", "t"), "pubsub other is not initialized."),
    ];
    for (first, expected) in rows {
        let mut stream = Stream::begin(&mut client, Some(first)).await;
        stream.assert_ends(Code::Unknown, expected).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_says_nothing_ends() {
    let (_asks, requests) = mpsc::channel::<Result<pb::SubscribeTopicEventsRequest, Status>>(1);
    let live = Arc::new(crate::components::Live::from_pointee(Components::default()));
    let mut events = stream::events(live, ReceiverStream::new(requests).boxed());
    let before = tokio::time::Instant::now();
    let status = events
        .next()
        .await
        .expect("it ends with a status")
        .expect_err("it is an error");
    assert_eq!(status.message(), "initial request is required");
    assert_eq!(before.elapsed(), limits::REQUEST_DEADLINE);
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn events_come_as_the_reference_sends_them() {
    let fakes = Fakes::default();
    let mut client = fakes.run().await.client;
    let mut stream = Stream::of(&mut client, "t").await;
    publish_texts(&mut client, "t", &["hello"]).await;
    let event = stream.event().await;
    assert_eq!(
        (&*event.pubsub_name, &*event.topic, &event.data[..]),
        (STORE, "t", b"hello".as_slice())
    );
    assert_eq!(
        (&*event.source, &*event.r#type),
        ("runtime", "com.runtime.event.sent")
    );
    stream.answer(&event.id, 0).await;
    let group = fakes.topics.group("t", "app");
    until(|| group.settled() == [Settlement::Ack]).await;
}

#[tokio::test]
async fn every_answer_settles_its_event_in_any_order() {
    let fakes = Fakes::default();
    let mut client = fakes.run().await.client;
    let mut stream = Stream::of(&mut client, "t").await;
    publish_texts(&mut client, "t", &["0", "1", "2", "3", "4"]).await;
    let mut events = vec![];
    for _ in 0..5 {
        events.push(stream.event().await);
    }
    let group = fakes.topics.group("t", "app");
    stream.answer("nobody's", 0).await;
    let statuses = [(4, 2), (0, 0), (2, 1), (3, 77)];
    for (count, (index, status)) in statuses.into_iter().enumerate() {
        stream.answer(&events[index].id, status).await;
        until(|| group.settled().len() == count + 1).await;
    }
    let empty = Ask::EventProcessed(pb::SubscribeTopicEventsRequestProcessed {
        id: events[1].id.clone(),
        status: None,
    });
    send(&stream.asks, empty).await;
    until(|| group.settled().len() == 5).await;
    let expected = [
        Settlement::Drop,
        Settlement::Ack,
        Settlement::Retry,
        Settlement::Retry,
        Settlement::Ack,
    ];
    assert_eq!(group.settled(), expected);
    assert_eq!([stream.event().await.data, stream.event().await.data], ["2", "3"]);
}

#[tokio::test]
async fn events_without_an_answer_go_to_the_next_stream() {
    let fakes = Fakes::default();
    let mut client = fakes.run().await.client;
    let mut first = Stream::of(&mut client, "t").await;
    publish_texts(&mut client, "t", &["a", "b", "c"]).await;
    let a = first.event().await;
    first.event().await;
    first.answer(&a.id, 0).await;
    let group = fakes.topics.group("t", "app");
    until(|| group.settled().len() == 1).await;
    drop(first);
    until(|| !group.is_read()).await;
    let mut second = Stream::of(&mut client, "t").await;
    assert_eq!([second.event().await.data, second.event().await.data], ["b", "c"]);
    assert_eq!(group.settled(), [Settlement::Ack], "nothing was refused");
}

#[tokio::test]
async fn a_half_closed_stream_ends_and_keeps_its_events() {
    let fakes = Fakes::default();
    let mut client = fakes.run().await.client;
    let Stream { asks, mut answers } = Stream::of(&mut client, "t").await;
    publish_texts(&mut client, "t", &["a"]).await;
    answers.message().await.expect("the stream goes on");
    drop(asks);
    let status = answers.message().await.expect_err("the stream ends");
    assert_eq!((status.code(), status.message()), (Code::Unknown, "EOF"));
    assert_eq!(Stream::of(&mut client, "t").await.event().await.data, "a");
}

/// Over one connection and over two.
#[tokio::test]
async fn streams_of_one_group_share_the_events() {
    let fakes = Fakes::default();
    let running = fakes.run().await;
    let mut client = running.client;
    let mut first = Stream::of(&mut client, "t").await;
    let mut second = Stream::of(&mut client, "t").await;
    publish_texts(&mut client, "t", &["a", "b", "c", "d"]).await;
    let mut seen = vec![];
    for _ in 0..4 {
        let (stream, event) = tokio::select! {
            event = first.event() => (&first, event),
            event = second.event() => (&second, event),
        };
        stream.answer(&event.id, 0).await;
        seen.push(event.data);
    }
    seen.sort();
    assert_eq!(seen, ["a", "b", "c", "d"]);
    let group = fakes.topics.group("t", "app");
    until(|| group.settled() == [Settlement::Ack; 4]).await;
    drop(first);
    publish_texts(&mut client, "t", &["e"]).await;
    assert_eq!(second.event().await.data, "e", "the other one goes on");
}

#[tokio::test]
async fn a_group_that_is_full_says_so() {
    let fakes = Fakes::default();
    let mut client = fakes.run().await.client;
    fakes.topics.subscribe_fault.set(codes::GROUP_FULL, "no place");
    let mut stream = Stream::begin(&mut client, Some(initial(STORE, "t"))).await;
    stream.assert_ends(Code::ResourceExhausted, "no place").await;
}

#[tokio::test]
async fn a_second_initial_request_ends_the_stream() {
    let mut client = Fakes::default().run().await.client;
    let mut stream = Stream::of(&mut client, "t").await;
    send(&stream.asks, initial(STORE, "t")).await;
    stream
        .assert_ends(Code::Unknown, "duplicate initial request received")
        .await;
}

/// Case C45: there is no initial answer before the subscription holds, and a broker that is down is told at once.
#[tokio::test]
async fn a_stream_that_cannot_subscribe_is_told_so_at_once() {
    let fakes = Fakes::default();
    let mut client = fakes.run().await.client;
    for (code, expected) in [
        (codes::COMPONENT_NOT_OPENED, Code::Unavailable),
        (codes::INVALID_ARGUMENT, Code::InvalidArgument),
        (codes::INTERNAL, Code::Unknown),
    ] {
        fakes.topics.subscribe_fault.set(code, "no luck");
        let mut stream = Stream::begin(&mut client, Some(initial(STORE, "t"))).await;
        stream.assert_ends(expected, "no luck").await;
    }
    fakes.topics.subscribe_fault.clear();
    drop(Stream::of(&mut client, "t").await);
}

#[tokio::test]
async fn metadata_and_dead_letter_topic_of_a_stream_are_honoured() {
    let fakes = Fakes::default();
    let mut client = fakes.run().await.client;
    let initial = Ask::InitialRequest(pb::SubscribeTopicEventsRequestInitial {
        pubsub_name: STORE.into(),
        topic: "t".into(),
        metadata: texts([
            ("consumerID", "own"),
            ("deadLetterTopic", "lost"),
            ("concurrency", "2"),
        ]),
        dead_letter_topic: Some("dead".into()),
    });
    let _stream = Stream::with(&mut client, initial).await;
    let subscriptions = fakes.topics.subscriptions.lock().clone();
    assert_eq!(
        (&*subscriptions[0].group, subscriptions[0].in_flight_max),
        ("own", 2)
    );
    assert_eq!(subscriptions[0].dead_letter_topic.as_deref(), Some("dead"));
}

#[tokio::test]
async fn a_client_that_does_not_answer_gets_no_more_than_it_may_have() {
    let fakes = Fakes::default();
    let consuming = Consuming {
        in_flight_max: 3,
        ..Consuming::default()
    };
    let mut components = fakes.components();
    components.pubsubs.insert(
        STORE.into(),
        Bus {
            store: fakes.topics.clone(),
            consuming,
        },
    );
    let mut client = run(components).await.client;
    let mut stream = Stream::of(&mut client, "t").await;
    publish_texts(&mut client, "t", &["0", "1", "2", "3", "4"]).await;
    for _ in 0..3 {
        stream.event().await;
    }
    let group = fakes.topics.group("t", "app");
    until(|| group.queued().len() == 2).await;
    assert_eq!(*group.out_max.lock(), 3);
}

#[tokio::test]
async fn expired_and_unreadable_events_do_not_reach_the_client() {
    let fakes = Fakes::default();
    fakes
        .topics
        .now
        .store(1_000_000_000_000, std::sync::atomic::Ordering::SeqCst);
    let mut client = fakes.run().await.client;
    let mut stream = Stream::of(&mut client, "t").await;
    fakes
        .topics
        .put("t", r#"{"id":"old","expiration":"2001-01-01T00:00:00Z"}"#);
    let group = fakes.topics.group("t", "app");
    until(|| group.settled() == [Settlement::Ack]).await;
    fakes.topics.put("t", "no envelope");
    until(|| group.settled().contains(&Settlement::Retry)).await;
    publish_texts(&mut client, "t", &["a"]).await;
    assert_eq!(stream.event().await.data, "a");
}

#[tokio::test]
async fn events_of_one_id_are_settled_one_by_one() {
    let fakes = Fakes::default();
    let mut client = fakes.run().await.client;
    let mut stream = Stream::of(&mut client, "t").await;
    for _ in 0..2 {
        fakes
            .topics
            .put("t", r#"{"id":"same","datacontenttype":"text/plain","data":"x"}"#);
        stream.event().await;
    }
    let group = fakes.topics.group("t", "app");
    stream.answer("same", 0).await;
    until(|| group.settled().len() == 1).await;
    stream.answer("same", 2).await;
    until(|| group.settled() == [Settlement::Ack, Settlement::Drop]).await;
}

#[tokio::test]
async fn an_answer_settles_the_delivery_that_still_waits() {
    let fakes = Fakes::default();
    let consuming = Consuming {
        deadline: Duration::from_millis(20),
        ..Consuming::default()
    };
    let mut components = fakes.components();
    components.pubsubs.insert(
        STORE.into(),
        Bus {
            store: fakes.topics.clone(),
            consuming,
        },
    );
    let mut client = run(components).await.client;
    let mut stream = Stream::of(&mut client, "t").await;
    publish_texts(&mut client, "t", &["a"]).await;
    let first = stream.event().await;
    let second = stream.event().await;
    assert_eq!(first.id, second.id, "the first one was not answered in time");
    let group = fakes.topics.group("t", "app");
    while !group.settled().contains(&Settlement::Ack) {
        stream.answer(&first.id, 0).await;
        tokio::task::yield_now().await;
    }
}

#[test]
fn statuses_mean_what_the_reference_makes_of_them() {
    let expected = [
        (0, Settlement::Ack),
        (1, Settlement::Retry),
        (2, Settlement::Drop),
        (3, Settlement::Retry),
        (-1, Settlement::Retry),
    ];
    for (status, expected) in expected {
        assert_eq!(settlement("p", "t", status), expected);
    }
}
