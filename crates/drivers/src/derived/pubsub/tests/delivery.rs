//! Delivering: what is in memory, what is written, what happens when the store fails.

use base::limits;
use ports::kv::{Durability, Write};

use super::*;

#[tokio::test(start_paused = true)]
async fn one_call_is_one_commit_without_a_read() {
    let kv = Probe::new();
    let pubsub = over(&kv);
    publish(&pubsub, "t", ["first".to_owned()]).await;
    kv.take_commits();
    let calls = kv.calls.load(SeqCst);
    publish(&pubsub, "t", (0..100).map(|n| n.to_string())).await;
    assert_eq!(
        kv.calls.load(SeqCst),
        calls,
        "a topic that is known needs no read"
    );
    let commits = kv.take_commits();
    assert_eq!(commits.len(), 1);
    assert_eq!(commits[0].durability, Durability::AsConfigured);
    assert_eq!(commits[0].writes.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn settlements_share_commits_that_nobody_waits_for() {
    let kv = Probe::new();
    let pubsub = over(&kv);
    let mut deliveries = subscribe(&pubsub, subscription("t")).await;
    publish(&pubsub, "t", (0..64).map(|n| n.to_string())).await;
    let mut out = vec![];
    for _ in 0..64 {
        out.push(next(&mut deliveries).await);
    }
    quiet().await;
    kv.take_commits();
    out.into_iter()
        .for_each(|delivery| settle(delivery, Settlement::Ack));
    quiet().await;
    let commits = kv.take_commits();
    assert_eq!(commits.len(), 1, "64 answers that are there together");
    assert_eq!(commits[0].durability, Durability::Buffered);
    assert_eq!(commits[0].writes.len(), 1, "the cursor, and nothing per event");
}

#[tokio::test(start_paused = true)]
async fn events_are_read_once_and_a_slow_consumer_costs_no_memory() {
    let kv = Probe::new();
    let pubsub = over(&kv);
    for hundred in 0..100 {
        publish(&pubsub, "t", (0..100).map(|n| (hundred * 100 + n).to_string())).await;
    }
    let before = kv.rows_read.load(SeqCst);
    let mut deliveries = subscribe(&pubsub, subscription("t")).await;
    let first = next(&mut deliveries).await;
    quiet().await;
    let read = kv.rows_read.load(SeqCst) - before;
    assert!(
        read <= limits::EVENTS_IN_MEMORY_MAX,
        "{read} rows for a consumer that takes none"
    );
    settle(first, Settlement::Ack);
    acknowledge(&mut deliveries, 9_999).await;
    quiet().await;
    assert_eq!(kv.rows_read.load(SeqCst) - before, 10_000);
}

#[tokio::test(start_paused = true)]
async fn large_events_are_counted_in_bytes() {
    let kv = Probe::new();
    let pubsub = over(&kv);
    let large = "x".repeat(1 << 20);
    for _ in 0..40 {
        publish(&pubsub, "t", [large.clone()]).await;
    }
    let before = kv.rows_read.load(SeqCst);
    let mut deliveries = subscribe(&pubsub, subscription("t")).await;
    let first = next(&mut deliveries).await;
    quiet().await;
    let read = kv.rows_read.load(SeqCst) - before;
    assert!(read <= 9, "{read} MiB in memory");
    settle(first, Settlement::Ack);
    acknowledge(&mut deliveries, 39).await;
}

#[tokio::test(start_paused = true)]
async fn keys_that_wait_do_not_fill_memory_for_others() {
    let kv = Probe::new();
    let pubsub = over(&kv);
    for _ in 0..5 {
        let events = (0..500).map(|_| keyed("busy", "busy")).collect();
        pubsub.publish("t", events).await.expect("published");
    }
    pubsub
        .publish("t", vec![keyed("calm", "calm")])
        .await
        .expect("published");
    let mut deliveries = subscribe(&pubsub, subscription("t")).await;
    let busy = next(&mut deliveries).await;
    assert_eq!(text(&busy), "busy");
    let calm = next(&mut deliveries).await;
    assert_eq!(text(&calm), "calm", "it is behind 2500 events of another key");
    settle(calm, Settlement::Ack);
    settle(busy, Settlement::Ack);
    assert_eq!(acknowledge(&mut deliveries, 2_499).await, vec!["busy"; 2_499]);
    quiet().await;
    pubsub.sweep().await.expect("the store works");
    assert_eq!(
        kv.rows(Keyspace::Journal).await,
        0,
        "nothing is left of parked events"
    );
    assert_eq!(kv.rows(Keyspace::State).await, 1, "only the group");
}

#[tokio::test(start_paused = true)]
async fn refused_events_have_a_limit_and_none_is_lost() {
    let kv = Probe::new();
    let pubsub = over(&kv);
    let count = limits::EVENTS_PARKED_MAX + 3_000;
    for _ in 0..count / 1_000 {
        publish(&pubsub, "t", (0..1_000).map(|n| n.to_string())).await;
    }
    let mut deliveries = subscribe(&pubsub, subscription("t")).await;
    let mut refused = 0;
    while let Ok(Some(delivery)) = tokio::time::timeout(Duration::from_millis(90), deliveries.next()).await {
        assert_eq!(delivery.attempt, 1);
        settle(delivery, Settlement::Retry);
        refused += 1;
    }
    let most = limits::EVENTS_PARKED_MAX + limits::EVENTS_IN_MEMORY_MAX;
    assert!((limits::EVENTS_PARKED_MAX..=most).contains(&refused), "{refused}");
    acknowledge(&mut deliveries, count).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_stops_the_group_and_loses_nothing() {
    let kv = Probe::new();
    let pubsub = over(&kv);
    let mut deliveries = subscribe(
        &pubsub,
        Subscription {
            in_flight_max: 1,
            ..subscription("t")
        },
    )
    .await;
    publish(&pubsub, "t", ["a".to_owned(), "b".to_owned(), "c".to_owned()]).await;
    let a = next(&mut deliveries).await;
    kv.fail(5);
    settle(a, Settlement::Retry);
    let b = next(&mut deliveries).await;
    settle(b, Settlement::Ack);
    quiet().await;
    let blocked = tokio::time::timeout(Duration::from_millis(10), deliveries.next()).await;
    assert!(blocked.is_err(), "while nothing can be written nothing goes out");
    let mut rest = acknowledge(&mut deliveries, 2).await;
    rest.sort();
    assert_eq!(rest, ["a", "c"]);
    drop(deliveries);
    publish(&pubsub, "t", ["d".to_owned()]).await;
    let mut deliveries = subscribe(&pubsub, subscription("t")).await;
    assert_eq!(acknowledge(&mut deliveries, 1).await, ["d"]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_and_its_settlement_are_one_commit() {
    let kv = Probe::new();
    let pubsub = over(&kv);
    let dead = Subscription {
        dead_letter_topic: Some("dead".to_owned()),
        ..subscription("t")
    };
    let mut deliveries = subscribe(&pubsub, dead).await;
    publish(&pubsub, "t", ["a".to_owned()]).await;
    let delivery = next(&mut deliveries).await;
    kv.take_commits();
    settle(delivery, Settlement::Drop);
    quiet().await;
    let commits = kv.take_commits();
    assert_eq!(commits.len(), 1);
    let appends = commits[0]
        .writes
        .iter()
        .filter(|write| matches!(write, Write::Append { .. }));
    let puts = commits[0]
        .writes
        .iter()
        .filter(|write| matches!(write, Write::Put { .. }));
    assert_eq!((appends.count(), puts.count()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_event_and_other_changes_are_one_commit() {
    let kv = Probe::new();
    let pubsub = over(&kv);
    let batch = Batch::default().put(Key::state("s"), "v");
    let batch = pubsub
        .stage_publish(batch, "t", &event("a"))
        .await
        .expect("there is room");
    kv.commit(batch).await.expect("the store works");
    let mut deliveries = subscribe(&pubsub, subscription("t")).await;
    assert_eq!(acknowledge(&mut deliveries, 1).await, ["a"]);
    assert!(kv.get(&Key::state("s")).await.expect("the store works").is_some());
}

#[tokio::test(start_paused = true)]
async fn components_that_share_a_store_do_not_meet() {
    let kv = Probe::new();
    let one = over(&kv);
    let two = PubSub::over(kv.clone(), "bus2", Retention::default(), Tasks::default());
    publish(&one, "t", ["one".to_owned()]).await;
    publish(&two, "t", ["two".to_owned()]).await;
    let mut deliveries = subscribe(&two, subscription("t")).await;
    assert_eq!(acknowledge(&mut deliveries, 1).await, ["two"]);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_is_dropped_ends_its_task() {
    let kv = Probe::new();
    let tasks = Tasks::default();
    let pubsub = PubSub::over(kv.clone(), "bus", Retention::default(), tasks.clone());
    let deliveries = subscribe(&pubsub, subscription("t")).await;
    assert_eq!(tasks.count(), 1);
    drop(deliveries);
    tasks.ended().await;
    let weak = Arc::downgrade(&pubsub);
    drop(pubsub);
    assert!(weak.upgrade().is_none());
}

/// Case C41: the application fails event 7 always; after its third attempt the process is killed, or stopped. Then the
/// application works.
fn restart_while_an_event_is_retried(killed: bool) {
    let clock = base::time::ManualClock::at(Timestamp(1_000_000));
    let kv = Probe::over(Arc::new(clock.clone()));
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime")
    };
    let first = runtime();
    let tasks = Tasks::default();
    let deliveries = first.block_on(async {
        let pubsub = PubSub::over(kv.clone(), "bus", Retention::default(), tasks.clone());
        let mut deliveries = subscribe(&pubsub, subscription("t")).await;
        publish(&pubsub, "t", (1..=10).map(|n| n.to_string())).await;
        let mut failures = 0;
        while failures < 3 {
            let delivery = next(&mut deliveries).await;
            let seven = text(&delivery) == "7";
            failures += u32::from(seven);
            settle(delivery, if seven { Settlement::Retry } else { Settlement::Ack });
            quiet().await;
            clock.advance(Duration::from_secs(10));
        }
        deliveries
    });
    if !killed {
        first.block_on(async {
            drop(deliveries);
            tasks.ended().await;
        });
    }
    drop(first);
    runtime().block_on(async {
        let pubsub = over(&kv);
        let mut deliveries = subscribe(&pubsub, subscription("t")).await;
        publish(&pubsub, "t", ["11".to_owned()]).await;
        clock.advance(Duration::from_secs(60));
        let seven = next(&mut deliveries).await;
        let (seven, eleven) = match text(&seven).as_str() {
            "7" => (seven, next(&mut deliveries).await),
            _ => {
                let eleven = seven;
                (next(&mut deliveries).await, eleven)
            }
        };
        assert_eq!(
            (text(&seven), seven.attempt, text(&eleven)),
            ("7".into(), 4, "11".into())
        );
    });
}

#[test]
fn an_event_that_is_being_retried_survives_a_kill() {
    restart_while_an_event_is_retried(true);
}

#[test]
fn an_event_that_is_being_retried_survives_a_stop() {
    restart_while_an_event_is_retried(false);
}
