//! Publish/subscribe with a real application beside it.

use std::collections::{BTreeSet, HashMap};

use tests::app::{App, refusing};
use tests::{Belay, Layotto, PATIENCE};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use wire::layotto::subscribe_topic_events_request::SubscribeTopicEventsRequestType as Ask;
use wire::layotto::subscribe_topic_events_response::SubscribeTopicEventsResponseType as Told;
use wire::layotto::topic_event_response::TopicEventResponseStatus as Answer;
use wire::layotto::{
    PublishEventRequest, SubscribeTopicEventsRequest, SubscribeTopicEventsRequestInitial,
    SubscribeTopicEventsRequestProcessed, SubscribeTopicEventsResponse, TopicEventRequest,
    TopicEventResponse,
};

use crate::lifecycle::get;

pub(crate) async fn publish(client: &mut Layotto, topic: &str, data: &str, metadata: &[(&str, &str)]) {
    let metadata = metadata
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let request = PublishEventRequest {
        pubsub_name: "pub_subs_demo".into(),
        topic: topic.into(),
        data: data.to_owned().into(),
        metadata: metadata.collect::<HashMap<_, _>>(),
        ..Default::default()
    };
    client.publish_event(request).await.expect("it is published");
}

/// A subscription over a stream, in the application's own group.
pub(crate) struct Stream {
    asks: mpsc::Sender<SubscribeTopicEventsRequest>,
    told: Streaming<SubscribeTopicEventsResponse>,
}

impl Stream {
    /// It holds when this returns.
    pub(crate) async fn open(client: &mut Layotto, topic: &str) -> Stream {
        let (asks, requests) = mpsc::channel(100);
        let initial = SubscribeTopicEventsRequestInitial {
            pubsub_name: "pub_subs_demo".into(),
            topic: topic.into(),
            ..Default::default()
        };
        ask(&asks, Ask::InitialRequest(initial)).await;
        let told = client.subscribe_topic_events(ReceiverStream::new(requests));
        let told = told.await.expect("the stream begins").into_inner();
        let mut stream = Stream { asks, told };
        assert!(matches!(stream.told().await, Told::InitialResponse(_)));
        stream
    }

    async fn told(&mut self) -> Told {
        let told = tokio::time::timeout(PATIENCE, self.told.message()).await;
        let told = told.expect("a message in time").expect("the stream goes on");
        let told = told.and_then(|told| told.subscribe_topic_events_response_type);
        told.expect("the stream goes on")
    }

    pub(crate) async fn next(&mut self) -> TopicEventRequest {
        match self.told().await {
            Told::EventMessage(event) => event,
            Told::InitialResponse(_) => panic!("it has begun already"),
        }
    }

    pub(crate) async fn acknowledge(&self, event: &TopicEventRequest) {
        let status = Some(TopicEventResponse {
            status: Answer::Success.into(),
        });
        let id = event.id.clone();
        let processed = SubscribeTopicEventsRequestProcessed { id, status };
        ask(&self.asks, Ask::EventProcessed(processed)).await;
    }
}

async fn ask(asks: &mpsc::Sender<SubscribeTopicEventsRequest>, ask: Ask) {
    let request = SubscribeTopicEventsRequest {
        subscribe_topic_events_request_type: Some(ask),
    };
    asks.send(request).await.expect("the stream takes it");
}

pub(crate) fn text(event: &TopicEventRequest) -> String {
    String::from_utf8_lossy(&event.data).into_owned()
}

/// C43, with an ordering key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ordering_key_keeps_its_order_through_retries() {
    let refuse = refusing(2, |event| &event.data[..] == b"3");
    let mut app = App::serve(&[("pub_subs_demo", "ordered")], refuse).await;
    let belay = Belay::dev(app.port).await;
    let mut client = belay.client().await;
    for n in 1..=10 {
        publish(&mut client, "ordered", &n.to_string(), &[("partitionKey", "k")]).await;
    }
    let mut seen = vec![];
    while seen.len() < 12 {
        seen.push(text(&app.next().await));
    }
    assert_eq!(seen.join(" "), "1 2 3 3 3 4 5 6 7 8 9 10");
    let labels = r#"{component="pub_subs_demo",topic="ordered""#;
    shows(
        &belay,
        &format!("belay_topic_events_published_total{labels}}} 10"),
    )
    .await;
    let labels = format!(r#"{labels},group="dev""#);
    shows(
        &belay,
        &format!("belay_group_events_delivered_total{labels}}} 12"),
    )
    .await;
    let settled = format!("belay_group_events_settled_total{labels}");
    shows(&belay, &format!(r#"{settled},outcome="ack"}} 10"#)).await;
    shows(&belay, &format!(r#"{settled},outcome="retry"}} 2"#)).await;
}

/// Waits until a line is on the page of metrics: what the application answered is counted a moment after it did.
async fn shows(belay: &Belay, line: &str) {
    let looked = async {
        loop {
            let (_, page) = get(&belay.admin, "/metrics").await;
            if page.lines().any(|shown| shown == line) {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    let shown = tokio::time::timeout(std::time::Duration::from_secs(10), looked).await;
    shown.unwrap_or_else(|_| panic!("{line} is not on the page of metrics"));
}

/// C43, without one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_key_nothing_waits_for_a_refused_event() {
    let refuse = refusing(2, |event| &event.data[..] == b"3");
    let mut app = App::serve(&[("pub_subs_demo", "loose")], refuse).await;
    let belay = Belay::dev(app.port).await;
    let mut client = belay.client().await;
    for n in 1..=10 {
        publish(&mut client, "loose", &n.to_string(), &[]).await;
    }
    let mut seen = vec![];
    while seen.len() < 12 {
        seen.push(text(&app.next().await));
    }
    assert_eq!(seen.iter().filter(|data| *data == "3").count(), 3);
    assert_eq!(
        seen.last().map(String::as_str),
        Some("3"),
        "the last attempt comes after all the others"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_too_old_is_not_delivered() {
    let port = {
        let app = App::serve(&[], |_| Ok(Answer::Success)).await;
        app.port
    };
    let belay = Belay::dev(port).await;
    let mut client = belay.client().await;
    publish(&mut client, "ttl", "short", &[("ttlInSeconds", "1")]).await;
    publish(&mut client, "ttl", "long", &[("ttlInSeconds", "600")]).await;
    // The clock that decides is the server's: wait until a state item of the same age is gone.
    let item = wire::layotto::StateItem {
        key: "age".into(),
        value: "v".into(),
        metadata: HashMap::from([("ttlInSeconds".to_owned(), "2".to_owned())]),
        ..Default::default()
    };
    let save = wire::layotto::SaveStateRequest {
        store_name: "state_demo".into(),
        states: vec![item],
    };
    client.save_state(save).await.expect("it is saved");
    tests::eventually("two seconds", || {
        let mut client = client.clone();
        async move {
            let request = wire::layotto::GetStateRequest {
                store_name: "state_demo".into(),
                key: "age".into(),
                ..Default::default()
            };
            let found = client.get_state(request).await.expect("it works").into_inner();
            found.data.is_empty().then_some(())
        }
    })
    .await;
    let mut app = App::serve_at(port, &[("pub_subs_demo", "ttl")], |_| Ok(Answer::Success)).await;
    assert_eq!(text(&app.next().await), "long");
    publish(&mut client, "ttl", "last", &[]).await;
    assert_eq!(
        text(&app.next().await),
        "last",
        "the short one does not come late either"
    );
}

/// Back-pressure: an application that answers nothing costs no memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_application_costs_disk_not_memory() {
    let (release, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let blocked = std::sync::atomic::AtomicBool::new(true);
    let mut app = App::serve(&[("pub_subs_demo", "slow")], move |_| {
        use std::sync::atomic::Ordering::SeqCst;
        if blocked.load(SeqCst) {
            // Refused at once, delivered again later: the backlog stays in the log.
            let open = gate.lock().expect("no panic").try_recv().is_ok();
            blocked.store(!open, SeqCst);
            return Ok(if open { Answer::Success } else { Answer::Retry });
        }
        Ok(Answer::Success)
    })
    .await;
    let belay = Belay::dev(app.port).await;
    let client = belay.client().await;
    let body = "x".repeat(100_000);
    let before = tests::proc::resident_mib(belay.pid());
    let all = (0..10).map(|_| {
        let (mut client, body) = (client.clone(), body.clone());
        async move {
            for _ in 0..300 {
                publish(&mut client, "slow", &body, &[]).await;
            }
        }
    });
    futures::future::join_all(all).await;
    let grown = tests::proc::resident_mib(belay.pid()) - before;
    assert!(
        grown < 256.0,
        "300 MB of events grew the process by {grown:.0} MiB"
    );
    release.send(()).expect("the application runs");
    let mut ids = std::collections::BTreeSet::new();
    let until = tokio::time::Instant::now() + std::time::Duration::from_secs(90);
    while ids.len() < 3_000 {
        let event = tokio::time::timeout_at(until, app.events.recv()).await;
        let count = ids.len();
        ids.insert(
            event
                .unwrap_or_else(|_| panic!("{count} of 5000 arrived"))
                .expect("it serves")
                .id,
        );
    }
}

/// Two programs, each over a connection of its own. One of them never answers, and goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_of_two_connections_share_the_events_of_their_group() {
    let port = tests::sdk::free_port();
    let belay = Belay::dev(port).await;
    let (mut one, mut two) = (belay.client().await, belay.client().await);
    let mut silent = Stream::open(&mut one, "streams").await;
    let mut quick = Stream::open(&mut two, "streams").await;
    let sent: BTreeSet<String> = (0..300).map(|n| n.to_string()).collect();
    let publishing = async {
        for data in &sent {
            publish(&mut two, "streams", data, &[]).await;
        }
    };
    let taking = async {
        let (mut seen, mut held) = (BTreeSet::new(), BTreeSet::new());
        while seen.len() + held.len() < 300 {
            tokio::select! {
                event = quick.next() => {
                    quick.acknowledge(&event).await;
                    assert!(seen.insert(text(&event)), "{event:?} came twice");
                }
                event = silent.next() => assert!(held.insert(text(&event)), "{event:?} came twice"),
            }
        }
        (seen, held)
    };
    let ((), (mut seen, held)) = tokio::join!(publishing, taking);
    assert!(
        (1..=64).contains(&held.len()),
        "one that does not answer has {} events",
        held.len()
    );
    drop(silent);
    for _ in 0..held.len() {
        let event = quick.next().await;
        quick.acknowledge(&event).await;
        assert!(held.contains(&text(&event)));
        seen.insert(text(&event));
    }
    assert_eq!(seen, sent);
}
