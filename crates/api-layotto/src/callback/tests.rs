use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use base::codes;
use bytes::Bytes;
use parking_lot::Mutex;
use ports::pubsub::{Event, PubSub, Settlement};
use tonic::Code;

use super::*;
use crate::components::{Bus, Components, Consuming};
use crate::testing::{Fakes, STORE, Topics, texts, until};

mod app;

use app::{Answer, App, Life, Port, topic};

/// What was reported last, by name.
type Reports = Arc<Mutex<BTreeMap<String, Result<(), String>>>>;

/// A consumer over the fake broker.
struct Side {
    topics: Arc<Topics>,
    consumer: Consumer,
    reports: Reports,
}

impl Side {
    fn of(app: &Life) -> Side {
        Side::with(app.address.clone(), vec![], Consuming::default())
    }

    fn with(app: Address, subscriptions: Vec<Subscription>, consuming: Consuming) -> Side {
        let fakes = Fakes::default();
        let mut components = fakes.components();
        components.pubsubs.insert(
            STORE.into(),
            Bus {
                store: fakes.topics.clone(),
                consuming,
            },
        );
        let reports = Reports::default();
        let told = reports.clone();
        let options = Options {
            live: Arc::new(Live::from_pointee(components)),
            app,
            subscriptions,
            report: Arc::new(move |name, result| drop(told.lock().insert(name.to_owned(), result))),
        };
        Side {
            topics: fakes.topics,
            consumer: Consumer::start(options),
            reports,
        }
    }

    async fn subscribed(&self, topic: &str) {
        let group = self.topics.group(topic, "app");
        until(|| group.is_read()).await;
    }

    /// Whether that works, as far as it was reported.
    fn works(&self, name: &str) -> Option<bool> {
        self.reports.lock().get(name).map(Result::is_ok)
    }

    fn settled(&self, topic: &str) -> Vec<Settlement> {
        self.topics.group(topic, "app").settled()
    }

    async fn publish(&self, topic: &str, data: impl IntoIterator<Item = String>) {
        let events = data.into_iter().map(|data| Event {
            envelope: envelope(&data),
            ordering_key: String::new(),
            expires_at: None,
            metadata: ports::Metadata::new(),
        });
        self.topics
            .publish(topic, events.collect())
            .await
            .expect("it is published");
    }
}

fn envelope(data: &str) -> Bytes {
    format!(r#"{{"id":"{data}","datacontenttype":"text/plain","source":"s","type":"t","specversion":"1.0","data":"{data}"}}"#).into()
}

fn one(data: &str) -> [String; 1] {
    [data.to_owned()]
}

#[tokio::test]
async fn what_the_application_lists_is_delivered() {
    let app = App::wanting(&["t"]);
    let life = app.live();
    let side = Side::of(&life);
    side.subscribed("t").await;
    side.publish("t", one("hello")).await;
    until(|| side.settled("t") == [Settlement::Ack]).await;
    let expected = wire::layotto::TopicEventRequest {
        id: "hello".into(),
        source: "s".into(),
        r#type: "t".into(),
        spec_version: "1.0".into(),
        data_content_type: "text/plain".into(),
        topic: "t".into(),
        data: "hello".into(),
        pubsub_name: STORE.into(),
        metadata: HashMap::new(),
    };
    assert_eq!(*app.seen.lock(), [expected]);
    assert_eq!(side.works("application callback"), Some(true));
    assert_eq!(side.works("subscription demo/t"), Some(true));
}

#[tokio::test]
async fn an_application_may_listen_on_a_socket() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let app = App::wanting(&["t"]);
    let life = app.live_on(folder.path().join("app.sock"));
    let side = Side::of(&life);
    side.subscribed("t").await;
    side.publish("t", one("hello")).await;
    until(|| side.settled("t") == [Settlement::Ack]).await;
}

#[tokio::test]
async fn an_application_may_come_late() {
    let app = App::wanting(&["t"]);
    let port = Port::free();
    let side = Side::with(port.app(), vec![], Consuming::default());
    until(|| side.works("application callback") == Some(false)).await;
    let reason = side.reports.lock()["application callback"]
        .clone()
        .expect_err("it is away");
    assert!(
        reason.starts_with(&format!("{} cannot be reached: ", port.address)),
        "{reason}"
    );
    let _life = app.live_at(&port, None);
    side.subscribed("t").await;
    side.publish("t", one("hello")).await;
    until(|| app.data() == ["hello"]).await;
    assert_eq!(side.works("application callback"), Some(true));
}

#[tokio::test]
async fn an_application_that_restarts_is_asked_again() {
    let app = App::wanting(&["old", "both"]);
    let port = Port::free();
    let life = app.live_at(&port, None);
    let side = Side::of(&life);
    side.subscribed("old").await;
    side.subscribed("both").await;
    drop(life);
    until(|| side.works("application callback") == Some(false)).await;
    side.publish("both", one("meanwhile")).await;
    *app.topics.lock() = vec![topic("new"), topic("both")];
    let _life = app.live_at(&port, None);
    side.subscribed("new").await;
    until(|| !side.topics.group("old", "app").is_read()).await;
    side.publish("new", one("hello")).await;
    until(|| app.data().len() == 2).await;
    assert_eq!(app.lists.load(SeqCst), 2, "it is asked once in each of its lives");
    assert_eq!(
        side.settled("both"),
        [Settlement::Ack],
        "no attempt was counted while it was away"
    );
    assert_eq!(
        app.seen
            .lock()
            .iter()
            .filter(|event| event.topic == "both")
            .count(),
        1
    );
}

#[tokio::test]
async fn every_answer_settles_its_event() {
    let app = App::wanting(&["t"]);
    let rows = [
        (Answer::Status(0), Settlement::Ack),
        (Answer::Status(1), Settlement::Retry),
        (Answer::Status(2), Settlement::Drop),
        (Answer::Status(3), Settlement::Retry),
        (Answer::Error(Code::Unimplemented), Settlement::Drop),
        (Answer::Error(Code::Internal), Settlement::Retry),
        (Answer::Error(Code::Unavailable), Settlement::Retry),
        (Answer::Never, Settlement::Retry),
    ];
    let life = app.live();
    let consuming = Consuming {
        deadline: Duration::from_millis(200),
        ..Consuming::default()
    };
    let side = Side::with(life.address.clone(), vec![], consuming);
    side.subscribed("t").await;
    for (number, (answer, expected)) in rows.into_iter().enumerate() {
        // Once; then it takes everything.
        let first = Mutex::new(Some(answer));
        app.behaves(move |_| first.lock().take().unwrap_or(Answer::Status(0)));
        let before = side.settled("t").len();
        side.publish("t", one(&number.to_string())).await;
        let count = before + if expected == Settlement::Retry { 2 } else { 1 };
        until(|| side.settled("t").len() == count).await;
        assert_eq!(side.settled("t")[before], expected, "{answer:?}");
    }
}

#[tokio::test]
async fn expired_and_unreadable_events_do_not_reach_the_application() {
    let app = App::wanting(&["t"]);
    let life = app.live();
    let side = Side::of(&life);
    side.topics.now.store(1_000_000_000_000, SeqCst);
    side.subscribed("t").await;
    side.topics
        .put("t", r#"{"id":"old","expiration":"2001-01-01T00:00:00Z"}"#);
    until(|| side.settled("t") == [Settlement::Ack]).await;
    side.topics.put("t", "no envelope");
    until(|| side.settled("t").len() > 1).await;
    assert_eq!(side.settled("t")[1], Settlement::Retry);
    assert!(app.data().is_empty());
}

#[tokio::test]
async fn the_last_entry_of_a_topic_counts_and_unknown_components_are_left_out() {
    let app = App::wanting(&[]);
    let mut own = topic("t");
    own.metadata = texts([("consumerID", "own")]);
    let mut unknown = topic("t");
    unknown.pubsub_name = "other".into();
    *app.topics.lock() = vec![topic("t"), unknown, own];
    let life = app.live();
    let configured = Subscription {
        pubsub: STORE.into(),
        topic: "t".into(),
        metadata: BTreeMap::new(),
    };
    let side = Side::with(life.address.clone(), vec![configured], Consuming::default());
    let group = side.topics.group("t", "own");
    until(|| group.is_read()).await;
    assert!(!side.topics.group("t", "app").is_read());
    let names: Vec<String> = side.reports.lock().keys().cloned().collect();
    assert_eq!(names, ["application callback", "subscription demo/t"]);
}

#[tokio::test]
async fn configured_topics_are_delivered_to_an_application_without_a_list() {
    for (code, answers) in [(Code::Unimplemented, true), (Code::Internal, false)] {
        let app = App::wanting(&[]);
        *app.list_error.lock() = Some(code);
        let life = app.live();
        let configured = Subscription {
            pubsub: STORE.into(),
            topic: "t".into(),
            metadata: BTreeMap::new(),
        };
        let side = Side::with(life.address.clone(), vec![configured], Consuming::default());
        side.subscribed("t").await;
        side.publish("t", one("hello")).await;
        until(|| app.data() == ["hello"]).await;
        assert_eq!(side.works("application callback"), Some(answers), "{code:?}");
    }
}

/// Case C78: one that fails is named, is tried again, and holds up no other.
#[tokio::test]
async fn a_topic_that_cannot_be_subscribed_to_is_named_until_it_can() {
    let app = App::wanting(&["t"]);
    let life = app.live();
    let fakes = Fakes::default();
    fakes
        .topics
        .subscribe_fault
        .set(codes::COMPONENT_NOT_OPENED, "the broker is away");
    let broken = Arc::new(Topics::default());
    broken
        .subscribe_fault
        .set(codes::COMPONENT_NOT_OPENED, "the broker is away");
    let mut components = fakes.components();
    fakes.topics.subscribe_fault.clear();
    components.pubsubs.insert(
        "broken".into(),
        Bus {
            store: broken.clone(),
            consuming: Consuming::default(),
        },
    );
    for number in ["one", "two"] {
        let mut unlucky = topic(number);
        unlucky.pubsub_name = "broken".into();
        app.topics.lock().insert(0, unlucky);
    }
    let reports = Reports::default();
    let told = reports.clone();
    let consumer = Consumer::start(Options {
        live: Arc::new(Live::from_pointee(components)),
        app: life.address.clone(),
        subscriptions: vec![],
        report: Arc::new(move |name, result| drop(told.lock().insert(name.to_owned(), result))),
    });
    let state = |name: &str| reports.lock().get(name).cloned();
    let away = Some(Err("the broker is away".to_owned()));
    until(|| state("subscription broken/one") == away && state("subscription broken/two") == away).await;
    until(|| state("subscription demo/t") == Some(Ok(()))).await;
    broken.subscribe_fault.clear();
    until(|| {
        state("subscription broken/one") == Some(Ok(())) && state("subscription broken/two") == Some(Ok(()))
    })
    .await;
    consumer.stop().await;
}

/// Case C88.
#[tokio::test]
async fn a_busy_application_gets_a_few_connections_and_keeps_one() {
    let app = App::wanting(&["t"]);
    app.behaves(|_| Answer::Wait);
    let life = app.live();
    let pool = Pool::new(life.address.clone());
    let count = limits::APP_CALLS_PER_CONNECTION * limits::APP_CONNECTIONS_MAX;
    let calls: Vec<_> = (0..count)
        .map(|_| {
            let mut client = pool.client();
            task::spawn("call", async move {
                client
                    .on_topic_event(wire::layotto::TopicEventRequest::default())
                    .await
            })
        })
        .collect();
    until(|| app.out.load(SeqCst) == count).await;
    assert_eq!(app.connections.load(SeqCst), limits::APP_CONNECTIONS_MAX);
    app.open_gate();
    for call in calls {
        call.await.expect("it has not panicked").expect("it is answered");
    }
    let mut lost = pool.lost();
    pool.trim();
    pool.trim();
    until(|| pool.connection_count() == 1).await;
    lost.mark_unchanged();
    drop(life);
    lost.changed().await.expect("the loss of the last one is told");
}

/// Case C88: what it does not take at once waits.
#[tokio::test]
async fn an_application_gets_no_more_streams_than_it_takes() {
    let app = App::wanting(&["t"]);
    let life = app.live_at(Port::free(), Some(10));
    let side = Side::of(&life);
    side.subscribed("t").await;
    side.publish("t", (0..1_000).map(|number| number.to_string()))
        .await;
    until(|| side.settled("t").len() == 1_000).await;
    assert!(
        side.settled("t")
            .iter()
            .all(|settled| *settled == Settlement::Ack)
    );
    let most = app.out_max.load(SeqCst);
    assert!(most <= 10 * limits::APP_CONNECTIONS_MAX, "{most} at once");
    assert!(app.connections.load(SeqCst) <= limits::APP_CONNECTIONS_MAX);
}

/// Case C90.
#[tokio::test]
async fn an_application_that_is_away_costs_nothing() {
    let port = Port::free();
    let pool = Pool::new(port.app());
    for _ in 0..10_000 {
        let refused = pool
            .client()
            .on_topic_event(wire::layotto::TopicEventRequest::default())
            .await;
        let status = refused.expect_err("nobody is there");
        assert!(pool::Unsent::of(&status).is_some(), "{status:?}");
    }
    assert_eq!((pool.connection_count(), Arc::strong_count(&pool)), (0, 1));
}

#[tokio::test]
async fn an_event_that_was_out_when_the_application_died_was_refused() {
    let app = App::wanting(&["t"]);
    app.behaves(|_| Answer::Never);
    let port = Port::free();
    let life = app.live_at(&port, None);
    let side = Side::of(&life);
    side.subscribed("t").await;
    side.publish("t", one("poison")).await;
    until(|| app.data().len() == 1).await;
    drop(life);
    until(|| side.settled("t") == [Settlement::Retry]).await;
    app.behaves(|_| Answer::Status(0));
    let _life = app.live_at(&port, None);
    until(|| side.settled("t") == [Settlement::Retry, Settlement::Ack]).await;
}

/// Case C41: a stop is no success.
#[tokio::test]
async fn a_stop_waits_for_answers_and_takes_no_more() {
    let app = App::wanting(&["t"]);
    app.behaves(|event| {
        if event.data == "slow" {
            Answer::Wait
        } else {
            Answer::Never
        }
    });
    let life = app.live();
    let consuming = Consuming {
        in_flight_max: 1,
        ..Consuming::default()
    };
    let side = Side::with(life.address.clone(), vec![], consuming);
    side.subscribed("t").await;
    side.publish("t", ["slow".to_owned(), "next".to_owned()]).await;
    until(|| app.data() == ["slow"]).await;
    let Side { topics, consumer, .. } = side;
    let stopped = task::spawn("stop", consumer.stop());
    tokio::task::yield_now().await;
    app.open_gate();
    stopped.await.expect("it stops");
    let group = topics.group("t", "app");
    assert_eq!(group.settled(), [Settlement::Ack]);
    assert_eq!(
        group.queued(),
        [(envelope("next"), 1)],
        "it was not counted as refused"
    );
    assert!(!group.is_read());
}

/// While a stop waits for the last answer, another consumer of the group gets what was not handed out.
#[tokio::test]
async fn a_stop_leaves_the_rest_to_others_at_once() {
    let app = App::wanting(&["t"]);
    app.behaves(|_| Answer::Wait);
    let life = app.live();
    let consuming = Consuming {
        in_flight_max: 1,
        ..Consuming::default()
    };
    let side = Side::with(life.address.clone(), vec![], consuming.clone());
    side.subscribed("t").await;
    side.publish("t", ["slow".to_owned(), "next".to_owned()]).await;
    until(|| app.data() == ["slow"]).await;
    let Side { topics, consumer, .. } = side;
    let stopped = task::spawn("stop", consumer.stop());
    let wanted = topics.subscriptions.lock()[0].clone();
    let mut other = topics.subscribe(wanted).await.expect("it is subscribed");
    let next = tokio::time::timeout(Duration::from_secs(20), other.next()).await;
    let next = next.expect("it comes in time").expect("the broker is there");
    assert_eq!((next.envelope, next.attempt), (envelope("next"), 1));
    app.open_gate();
    stopped.await.expect("it stops");
    assert_eq!(topics.group("t", "app").settled(), [Settlement::Ack]);
}

#[tokio::test]
async fn a_stop_ends_whatever_is_going_on() {
    let port = Port::free();
    Side::with(port.app(), vec![], Consuming::default())
        .consumer
        .stop()
        .await;
    let nothing = Consumer::start(Options {
        live: Arc::new(Live::from_pointee(Components::default())),
        app: Address::Tcp("127.0.0.1:1".into()),
        subscriptions: vec![],
        report: Arc::new(|name, _| panic!("{name} is not asked for")),
    });
    nothing.stop().await;
}
