//! What is counted, and how much of it is shown.

use base::limits;

use super::super::{Counts, GroupCounts, TopicCounts};
use super::*;

fn group(counts: &Counts, topic: &str) -> GroupCounts {
    let found = counts.groups.iter().find(|group| group.topic == topic);
    found.expect("the group is shown").clone()
}

fn topic(counts: &Counts, topic: &str) -> TopicCounts {
    let found = counts.topics.iter().find(|shown| shown.topic == topic);
    found.expect("the topic is shown").clone()
}

/// Publishes one event, lets the consumer do this with it, and tells what was counted for its group.
async fn after(change: Subscription, settlements: &[Settlement]) -> (GroupCounts, Counts) {
    let kv = Probe::new();
    let pubsub = over(&kv);
    publish(&pubsub, "t", ["e".to_owned()]).await;
    let mut deliveries = subscribe(&pubsub, change).await;
    for settlement in settlements {
        settle(next(&mut deliveries).await, *settlement);
    }
    quiet().await;
    let counts = pubsub.counts();
    (group(&counts, "t"), counts)
}

fn counted(delivered: u64) -> GroupCounts {
    GroupCounts {
        topic: "t".into(),
        group: "g".into(),
        delivered,
        ..GroupCounts::default()
    }
}

#[tokio::test(start_paused = true)]
async fn an_acknowledged_event() {
    let (group, counts) = after(subscription("t"), &[Settlement::Ack]).await;
    let acknowledged = 1;
    assert_eq!(
        group,
        GroupCounts {
            acknowledged,
            ..counted(1)
        }
    );
    assert_eq!(topic(&counts, "t").published, 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_event_is_parked_and_each_attempt_is_a_delivery() {
    let (group, _) = after(subscription("t"), &[Settlement::Retry, Settlement::Retry]).await;
    let (retried, parked) = (2, 1);
    assert_eq!(
        group,
        GroupCounts {
            retried,
            parked,
            ..counted(2)
        }
    );
    let (group, _) = after(subscription("t"), &[Settlement::Retry, Settlement::Ack]).await;
    let (retried, acknowledged) = (1, 1);
    assert_eq!(
        group,
        GroupCounts {
            retried,
            acknowledged,
            ..counted(2)
        }
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_given_up() {
    let (group, _) = after(subscription("t"), &[Settlement::Drop]).await;
    let dropped = 1;
    assert_eq!(
        group,
        GroupCounts {
            dropped,
            ..counted(1)
        }
    );
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_published_where_it_goes() {
    let with_dead_letters = Subscription {
        dead_letter_topic: Some("dead".into()),
        ..subscription("t")
    };
    let (group, counts) = after(with_dead_letters, &[Settlement::Drop]).await;
    let dead_lettered = 1;
    assert_eq!(
        group,
        GroupCounts {
            dead_lettered,
            ..counted(1)
        }
    );
    assert_eq!(topic(&counts, "dead").published, 1);
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_time_is_over() {
    let kv = Probe::new();
    let pubsub = over(&kv);
    let short = Event {
        expires_at: Some(kv.now().plus(Duration::from_secs(1))),
        ..event("short")
    };
    pubsub
        .publish("t", vec![short])
        .await
        .expect("the topic takes it");
    tokio::time::advance(Duration::from_secs(2)).await;
    let _deliveries = subscribe(&pubsub, subscription("t")).await;
    quiet().await;
    let expired = 1;
    assert_eq!(
        group(&pubsub.counts(), "t"),
        GroupCounts {
            expired,
            ..counted(0)
        }
    );
}

#[tokio::test(start_paused = true)]
async fn events_that_were_refused_are_not_published() {
    let kv = Probe::new();
    let pubsub = over(&kv);
    publish(&pubsub, "t", ["e".to_owned()]).await;
    kv.fail(1);
    assert!(pubsub.publish("t", vec![event("e")]).await.is_err());
    assert_eq!(topic(&pubsub.counts(), "t").published, 1);
}

#[tokio::test(start_paused = true)]
async fn events_that_retention_takes_before_their_group_are_lost() {
    let kv = Probe::new();
    let pubsub = over(&kv);
    let deliveries = subscribe(&pubsub, subscription("t")).await;
    quiet().await;
    drop(deliveries);
    publish(&pubsub, "t", ["1".to_owned(), "2".to_owned()]).await;
    assert!(topic(&pubsub.counts(), "t").kept_bytes > 0);
    tokio::time::advance(limits::TOPIC_AGE_MAX).await;
    pubsub.sweep().await.expect("the store works");
    let topic = topic(&pubsub.counts(), "t");
    assert_eq!((topic.lost, topic.kept_bytes), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn names_of_clients_fill_no_page() {
    let kv = Probe::new();
    let pubsub = over(&kv);
    for n in 0..limits::TOPICS_SHOWN_MAX + 2 {
        publish(&pubsub, &format!("t{n}"), ["e".to_owned()]).await;
    }
    let long = "x".repeat(limits::SHOWN_NAME_BYTES_MAX + 1);
    publish(&pubsub, &long, ["e".to_owned()]).await;
    let mut readers = vec![];
    for n in 0..limits::GROUPS_SHOWN_MAX + 1 {
        let group = format!("g{n}");
        let subscription = Subscription {
            group,
            ..subscription("t0")
        };
        readers.push(subscribe(&pubsub, subscription).await);
    }
    let counts = pubsub.counts();
    assert_eq!(counts.topics.len(), limits::TOPICS_SHOWN_MAX);
    assert_eq!(counts.topics_hidden, 3);
    assert_eq!(counts.groups.len(), limits::GROUPS_SHOWN_MAX);
    assert_eq!(counts.groups_hidden, 1);
}

/// A topic that is forgotten makes room for another.
#[tokio::test(start_paused = true)]
async fn a_place_is_given_back() {
    let kv = Probe::new();
    let pubsub = over(&kv);
    for n in 0..limits::TOPICS_SHOWN_MAX {
        publish(&pubsub, &format!("old{n}"), ["e".to_owned()]).await;
    }
    tokio::time::advance(limits::TOPIC_AGE_MAX).await;
    // The background task may be sweeping at this moment, and what it holds is not forgotten.
    tokio::time::sleep(2 * limits::TOPIC_SWEEP_INTERVAL).await;
    pubsub.sweep().await.expect("the store works");
    publish(&pubsub, "new", ["e".to_owned()]).await;
    let counts = pubsub.counts();
    assert_eq!((counts.topics.len(), counts.topics_hidden), (1, 0));
}
