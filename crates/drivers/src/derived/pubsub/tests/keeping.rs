//! Retention: what is removed, what stays, what is refused.

use base::limits;

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

fn small(kv: &Arc<Probe>, bytes: u64) -> Arc<PubSub> {
    let retention = Retention { bytes, age: 7 * DAY };
    PubSub::over(kv.clone(), "bus", retention, Tasks::default())
}

async fn sweep(pubsub: &PubSub) {
    quiet().await;
    pubsub.sweep().await.expect("the store works");
}

async fn full(pubsub: &PubSub, topic: &str) -> bool {
    match pubsub.publish(topic, vec![event("0123456789")]).await {
        Ok(()) => false,
        Err(error) => {
            assert_eq!(error.code(), codes::TOPIC_FULL);
            true
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_every_group_has_settled_is_removed() {
    let kv = Probe::new();
    let pubsub = over(&kv);
    let mut one = subscribe(&pubsub, subscription("t")).await;
    let mut two = subscribe(
        &pubsub,
        Subscription {
            group: "two".into(),
            ..subscription("t")
        },
    )
    .await;
    for _ in 0..3 {
        publish(&pubsub, "t", (0..1_000).map(|n| n.to_string())).await;
        acknowledge(&mut one, 1_000).await;
        sweep(&pubsub).await;
    }
    acknowledge(&mut two, 2_999).await;
    sweep(&pubsub).await;
    assert_eq!(
        kv.rows(Keyspace::Journal).await,
        1,
        "one group has one event to go"
    );
    acknowledge(&mut two, 1).await;
    sweep(&pubsub).await;
    assert_eq!(kv.rows(Keyspace::Journal).await, 0);
}

#[tokio::test(start_paused = true)]
async fn removal_is_paced() {
    let kv = Probe::new();
    let pubsub = over(&kv);
    let mut deliveries = subscribe(&pubsub, subscription("t")).await;
    for _ in 0..5 {
        publish(&pubsub, "t", (0..1_000).map(|n| n.to_string())).await;
    }
    acknowledge(&mut deliveries, 5_000).await;
    quiet().await;
    kv.take_commits();
    sweep(&pubsub).await;
    let commits = kv.take_commits();
    let largest = commits.iter().map(|batch| batch.writes.len()).max();
    assert_eq!(largest, Some(limits::SWEEP_ROWS_MAX));
    assert_eq!(kv.rows(Keyspace::Journal).await, 0);
}

#[tokio::test(start_paused = true)]
async fn the_background_task_removes_by_itself() {
    let kv = Probe::new();
    let pubsub = over(&kv);
    let mut deliveries = subscribe(&pubsub, subscription("t")).await;
    publish(&pubsub, "t", ["a".to_owned()]).await;
    acknowledge(&mut deliveries, 1).await;
    tokio::time::advance(limits::TOPIC_SWEEP_INTERVAL * 2).await;
    quiet().await;
    assert_eq!(kv.rows(Keyspace::Journal).await, 0);
}

#[tokio::test(start_paused = true)]
async fn old_events_are_removed_whether_they_are_settled_or_not() {
    let kv = Probe::new();
    let pubsub = over(&kv);
    drop(subscribe(&pubsub, subscription("t")).await);
    publish(&pubsub, "t", ["old".to_owned()]).await;
    sweep(&pubsub).await;
    tokio::time::advance(6 * DAY).await;
    publish(&pubsub, "t", ["new".to_owned()]).await;
    sweep(&pubsub).await;
    assert_eq!(kv.rows(Keyspace::Journal).await, 2);
    tokio::time::advance(DAY).await;
    sweep(&pubsub).await;
    let mut deliveries = subscribe(&pubsub, subscription("t")).await;
    assert_eq!(acknowledge(&mut deliveries, 1).await, ["new"]);
}

#[tokio::test(start_paused = true)]
async fn a_full_topic_refuses_and_loses_nothing() {
    let kv = Probe::new();
    let pubsub = small(&kv, 400);
    let mut deliveries = subscribe(&pubsub, subscription("t")).await;
    let mut count = 0;
    while !full(&pubsub, "t").await {
        count += 1;
    }
    assert_eq!(count, 11, "eleven events of 35 bytes");
    assert!(full(&pubsub, "t").await, "it stays full");
    assert!(!full(&pubsub, "other").await, "each topic has a limit of its own");
    acknowledge(&mut deliveries, 3).await;
    quiet().await;
    assert!(!full(&pubsub, "t").await, "what is settled makes room at once");
    acknowledge(&mut deliveries, 9).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_topic_is_full_after_a_restart() {
    let kv = Probe::new();
    let pubsub = small(&kv, 400);
    drop(subscribe(&pubsub, subscription("t")).await);
    while !full(&pubsub, "t").await {}
    drop(pubsub);
    let pubsub = small(&kv, 400);
    sweep(&pubsub).await;
    assert!(full(&pubsub, "t").await);
    let mut deliveries = subscribe(&pubsub, subscription("t")).await;
    acknowledge(&mut deliveries, 11).await;
    sweep(&pubsub).await;
    for _ in 0..11 {
        assert!(!full(&pubsub, "t").await);
    }
}

#[tokio::test(start_paused = true)]
async fn without_groups_the_oldest_events_make_room() {
    let kv = Probe::new();
    let pubsub = small(&kv, 400);
    for _ in 0..20 {
        publish(&pubsub, "t", (0..10).map(|_| "0123456789".to_owned())).await;
    }
    publish(&pubsub, "t", ["last".to_owned()]).await;
    sweep(&pubsub).await;
    assert_eq!(kv.rows(Keyspace::Journal).await, 11);
    let mut deliveries = subscribe(&pubsub, subscription("t")).await;
    let kept = acknowledge(&mut deliveries, 11).await;
    assert_eq!(kept.last().map(String::as_str), Some("last"));
}

#[tokio::test(start_paused = true)]
async fn a_refused_event_outlives_its_row() {
    let kv = Probe::new();
    let pubsub = over(&kv);
    let mut deliveries = subscribe(&pubsub, subscription("t")).await;
    publish(&pubsub, "t", ["a".to_owned(), "b".to_owned()]).await;
    settle(next(&mut deliveries).await, Settlement::Retry);
    acknowledge(&mut deliveries, 1).await;
    sweep(&pubsub).await;
    assert_eq!(
        kv.rows(Keyspace::Journal).await,
        1,
        "the refused one has a row of its own"
    );
    assert_eq!(acknowledge(&mut deliveries, 1).await, ["a"]);
    quiet().await;
    assert_eq!(kv.rows(Keyspace::Journal).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_refused_event_is_given_up_when_it_is_too_old() {
    let kv = Probe::new();
    let pubsub = over(&kv);
    let mut deliveries = subscribe(&pubsub, subscription("t")).await;
    publish(&pubsub, "t", ["a".to_owned()]).await;
    settle(next(&mut deliveries).await, Settlement::Retry);
    let again = next(&mut deliveries).await;
    tokio::time::advance(7 * DAY).await;
    // Its deadline is over as well, which refuses it.
    drop(again);
    quiet().await;
    assert_eq!(kv.rows(Keyspace::Journal).await, 0);
    assert_eq!(kv.rows(Keyspace::State).await, 1);
}

#[tokio::test(start_paused = true)]
async fn dead_letters_wait_for_room() {
    let kv = Probe::new();
    let pubsub = small(&kv, 100);
    let dead = Subscription {
        dead_letter_topic: Some("dead".to_owned()),
        ..subscription("t")
    };
    let mut deliveries = subscribe(&pubsub, dead).await;
    let mut letters = subscribe(&pubsub, subscription("dead")).await;
    let mut taken = vec![];
    for n in 0..6 {
        publish(&pubsub, "t", [format!("event {n}")]).await;
        settle(next(&mut deliveries).await, Settlement::Drop);
        sweep(&pubsub).await;
        if n < 4 {
            taken.push(next(&mut letters).await);
        }
    }
    let none = tokio::time::timeout(Duration::from_millis(50), letters.next()).await;
    assert!(none.is_err(), "four letters fill the topic");
    taken
        .into_iter()
        .for_each(|delivery| settle(delivery, Settlement::Ack));
    sweep(&pubsub).await;
    for _ in 0..2 {
        settle(next(&mut deliveries).await, Settlement::Drop);
    }
    let mut last = acknowledge(&mut letters, 2).await;
    last.sort();
    assert_eq!(last, ["event 4", "event 5"]);
}

#[tokio::test(start_paused = true)]
async fn groups_that_are_gone_for_ever_are_forgotten() {
    let kv = Probe::new();
    let pubsub = over(&kv);
    let mut gone = subscribe(
        &pubsub,
        Subscription {
            group: "gone".into(),
            ..subscription("t")
        },
    )
    .await;
    let mut here = subscribe(&pubsub, subscription("t")).await;
    publish(&pubsub, "t", ["a".to_owned()]).await;
    acknowledge(&mut here, 1).await;
    settle(next(&mut gone).await, Settlement::Retry);
    quiet().await;
    drop(gone);
    quiet().await;
    tokio::time::advance(6 * DAY).await;
    sweep(&pubsub).await;
    assert_eq!(
        kv.rows(Keyspace::State).await,
        3,
        "two groups, and a refused event"
    );
    tokio::time::advance(DAY + Duration::from_secs(1)).await;
    quiet().await;
    sweep(&pubsub).await;
    assert_eq!(
        kv.rows(Keyspace::State).await,
        1,
        "the one that still reads is there"
    );
    drop(here);
}

#[tokio::test(start_paused = true)]
async fn a_long_stop_forgets_no_group_at_once() {
    let kv = Probe::new();
    let pubsub = over(&kv);
    drop(subscribe(&pubsub, subscription("t")).await);
    quiet().await;
    drop(pubsub);
    tokio::time::advance(30 * DAY).await;
    let pubsub = over(&kv);
    sweep(&pubsub).await;
    assert_eq!(kv.rows(Keyspace::State).await, 1);
    tokio::time::advance(limits::GROUP_IDLE_MIN).await;
    sweep(&pubsub).await;
    assert_eq!(kv.rows(Keyspace::State).await, 0);
}

#[tokio::test(start_paused = true)]
async fn topics_that_hold_nothing_are_not_kept_in_memory() {
    let kv = Probe::new();
    let pubsub = over(&kv);
    for n in 0..100 {
        publish(&pubsub, &n.to_string(), ["a".to_owned()]).await;
    }
    tokio::time::advance(7 * DAY).await;
    sweep(&pubsub).await;
    assert_eq!(pubsub.topics.read().len(), 0);
    publish(&pubsub, "7", ["b".to_owned()]).await;
    let mut deliveries = subscribe(&pubsub, subscription("7")).await;
    assert_eq!(acknowledge(&mut deliveries, 1).await, ["b"]);
}
