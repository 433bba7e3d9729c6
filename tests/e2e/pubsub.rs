//! Publish/subscribe with a real application beside it.

use std::collections::HashMap;

use tests::app::{App, refusing};
use tests::{Belay, Layotto};
use wire::layotto::topic_event_response::TopicEventResponseStatus as Answer;
use wire::layotto::{PublishEventRequest, TopicEventRequest};

use crate::lifecycle::get;

async fn publish(client: &mut Layotto, topic: &str, data: &str, metadata: &[(&str, &str)]) {
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

fn text(event: &TopicEventRequest) -> String {
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
