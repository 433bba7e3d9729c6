//! What every [`PubSub`] must do. Each check uses topics of its own.
//!
//! That something is *not* delivered is shown by an event published later that comes first.

use std::sync::Arc;
use std::time::Duration;

use base::Kind;

use crate::Metadata;
use crate::pubsub::{Deliveries, Delivery, Event, PubSub, Settlement, Start, Subscription};

mod group;

pub async fn all(pubsub: Arc<dyn PubSub>) {
    every_group_gets_every_event(&*pubsub).await;
    a_new_group_begins_at_the_oldest_event_or_behind_the_newest(&*pubsub).await;
    group::all(&*pubsub).await;
    what_is_not_settled_goes_to_the_next_subscription(&*pubsub).await;
    a_refused_event_comes_again(&*pubsub).await;
    an_event_without_an_answer_comes_again(&*pubsub).await;
    an_ordering_key_keeps_its_order(&*pubsub).await;
    a_refused_event_holds_back_its_key_only(&*pubsub).await;
    without_a_key_others_overtake(&*pubsub).await;
    a_dropped_event_is_gone(&*pubsub).await;
    a_worn_out_event_goes_to_the_dead_letters(&*pubsub).await;
    an_expired_event_is_not_delivered(&*pubsub).await;
    no_more_events_are_out_than_asked_for(&*pubsub).await;
    a_late_consumer_gets_a_long_backlog(&*pubsub).await;
    senseless_subscriptions_are_refused(&*pubsub).await;
}

/// `open` opens the same store again; what was opened before is dropped by then, and has ended.
pub async fn restarts(open: impl AsyncFn() -> Arc<dyn PubSub>) {
    a_restart_repeats_nothing_and_forgets_nothing(&open).await;
    a_restart_keeps_the_order_of_a_key(&open).await;
}

fn event(data: &str) -> Event {
    Event {
        envelope: format!("{{\"id\":\"{data}\"}}").into(),
        ordering_key: String::new(),
        expires_at: None,
        metadata: Metadata::new(),
    }
}

fn keyed(key: &str, data: &str) -> Event {
    Event {
        ordering_key: key.to_owned(),
        ..event(data)
    }
}

fn subscription(topic: &str, group: &str) -> Subscription {
    Subscription {
        topic: topic.to_owned(),
        group: group.to_owned(),
        start: Start::Oldest,
        dead_letter_topic: None,
        deliveries_max: 0,
        in_flight_max: 64,
        deadline: Duration::from_secs(60),
    }
}

async fn publish(pubsub: &dyn PubSub, topic: &str, events: Vec<Event>) {
    pubsub
        .publish(topic, events)
        .await
        .expect("the topic takes events");
}

async fn subscribe(pubsub: &dyn PubSub, subscription: Subscription) -> Box<dyn Deliveries> {
    pubsub.subscribe(subscription).await.expect("it is subscribed")
}

async fn next(deliveries: &mut Box<dyn Deliveries>) -> Delivery {
    let next = tokio::time::timeout(Duration::from_secs(60), deliveries.next());
    next.await
        .expect("an event arrives within a minute")
        .expect("the subscription goes on")
}

fn data(delivery: &Delivery) -> String {
    let text = std::str::from_utf8(&delivery.envelope).expect("envelopes are texts");
    let data = text
        .strip_prefix("{\"id\":\"")
        .and_then(|text| text.strip_suffix("\"}"));
    data.expect("the envelope is as it was published").to_owned()
}

fn settle(delivery: Delivery, settlement: Settlement) {
    delivery
        .settle
        .send(settlement)
        .expect("the subscription waits for the answer");
}

/// Takes so many events and acknowledges them one by one.
async fn acknowledge(deliveries: &mut Box<dyn Deliveries>, count: usize) -> Vec<String> {
    let mut seen = vec![];
    for _ in 0..count {
        let delivery = next(deliveries).await;
        seen.push(data(&delivery));
        settle(delivery, Settlement::Ack);
    }
    seen
}

async fn every_group_gets_every_event(pubsub: &dyn PubSub) {
    let mut one = subscribe(pubsub, subscription("groups", "one")).await;
    let mut two = subscribe(pubsub, subscription("groups", "")).await;
    publish(pubsub, "groups", vec![event("a"), event("b")]).await;
    publish(pubsub, "groups", vec![event("c")]).await;
    publish(pubsub, "another", vec![event("x")]).await;
    for deliveries in [&mut one, &mut two] {
        let delivery = next(deliveries).await;
        assert_eq!((&*delivery.topic, delivery.attempt), ("groups", 1));
        settle(delivery, Settlement::Ack);
        assert_eq!(acknowledge(deliveries, 2).await, ["b", "c"]);
    }
}

async fn a_new_group_begins_at_the_oldest_event_or_behind_the_newest(pubsub: &dyn PubSub) {
    publish(pubsub, "start", vec![event("a")]).await;
    let newest = Subscription {
        start: Start::Newest,
        ..subscription("start", "newest")
    };
    let mut late = subscribe(pubsub, newest.clone()).await;
    publish(pubsub, "start", vec![event("b")]).await;
    assert_eq!(acknowledge(&mut late, 1).await, ["b"]);
    let mut early = subscribe(pubsub, subscription("start", "oldest")).await;
    assert_eq!(acknowledge(&mut early, 2).await, ["a", "b"]);
    drop(late);
    publish(pubsub, "start", vec![event("c")]).await;
    let mut again = subscribe(pubsub, newest).await;
    assert_eq!(
        acknowledge(&mut again, 1).await,
        ["c"],
        "a known group goes on where it was"
    );
}

async fn what_is_not_settled_goes_to_the_next_subscription(pubsub: &dyn PubSub) {
    let mut first = subscribe(pubsub, subscription("next", "g")).await;
    publish(
        pubsub,
        "next",
        vec![event("a"), event("b"), event("c"), event("d")],
    )
    .await;
    let (a, b) = (next(&mut first).await, next(&mut first).await);
    let c = next(&mut first).await;
    assert_eq!([data(&a), data(&b), data(&c)], ["a", "b", "c"]);
    settle(b, Settlement::Ack);
    drop(first);
    drop(c);
    let mut second = subscribe(pubsub, subscription("next", "g")).await;
    let again = next(&mut second).await;
    assert_eq!(
        (data(&again), again.attempt),
        ("a".to_owned(), 1),
        "it was not refused"
    );
    settle(again, Settlement::Ack);
    assert!(
        a.settle.send(Settlement::Ack).is_err(),
        "nobody waits for the old answer"
    );
    assert_eq!(acknowledge(&mut second, 2).await, ["c", "d"]);
}

async fn a_refused_event_comes_again(pubsub: &dyn PubSub) {
    let mut deliveries = subscribe(pubsub, subscription("refused", "g")).await;
    publish(pubsub, "refused", vec![event("a")]).await;
    settle(next(&mut deliveries).await, Settlement::Retry);
    let second = next(&mut deliveries).await;
    assert_eq!((data(&second), second.attempt), ("a".to_owned(), 2));
    drop(second);
    let third = next(&mut deliveries).await;
    assert_eq!((data(&third), third.attempt), ("a".to_owned(), 3));
    settle(third, Settlement::Ack);
}

async fn an_event_without_an_answer_comes_again(pubsub: &dyn PubSub) {
    let short = Subscription {
        deadline: Duration::from_millis(50),
        ..subscription("deadline", "g")
    };
    let mut deliveries = subscribe(pubsub, short).await;
    publish(pubsub, "deadline", vec![event("a")]).await;
    let first = next(&mut deliveries).await;
    let second = next(&mut deliveries).await;
    assert_eq!((data(&second), second.attempt), ("a".to_owned(), 2));
    assert!(first.settle.send(Settlement::Ack).is_err(), "it was too late");
    settle(second, Settlement::Ack);
}

async fn an_ordering_key_keeps_its_order(pubsub: &dyn PubSub) {
    let mut deliveries = subscribe(pubsub, subscription("order", "g")).await;
    let events = (0..10).map(|n| keyed("k", &n.to_string())).collect();
    publish(pubsub, "order", events).await;
    publish(pubsub, "order", vec![event("free")]).await;
    let first = next(&mut deliveries).await;
    assert_eq!(data(&first), "0");
    let free = next(&mut deliveries).await;
    assert_eq!(data(&free), "free", "one event of a key is out at a time");
    settle(free, Settlement::Ack);
    settle(first, Settlement::Ack);
    let rest = acknowledge(&mut deliveries, 9).await;
    assert_eq!(rest, ["1", "2", "3", "4", "5", "6", "7", "8", "9"]);
}

/// 1 to 10 under one key, 3 refused twice: 1 2 3 3 3 4 ... 10.
async fn a_refused_event_holds_back_its_key_only(pubsub: &dyn PubSub) {
    let mut deliveries = subscribe(pubsub, subscription("held", "g")).await;
    let events = (1..=10).map(|n| keyed("k", &n.to_string())).collect();
    publish(pubsub, "held", events).await;
    publish(pubsub, "held", vec![keyed("other", "o")]).await;
    let (mut seen, mut other) = (vec![], 0);
    while seen.len() < 12 || other == 0 {
        let delivery = next(&mut deliveries).await;
        let data = data(&delivery);
        let refuse = data == "3" && delivery.attempt <= 2;
        settle(
            delivery,
            if refuse {
                Settlement::Retry
            } else {
                Settlement::Ack
            },
        );
        match data.as_str() {
            "o" => {
                assert!(seen.len() < 5, "another key does not wait for this one");
                other += 1;
            }
            _ => seen.push(data),
        }
    }
    let expected = ["1", "2", "3", "3", "3", "4", "5", "6", "7", "8", "9", "10"];
    assert_eq!(seen, expected);
}

async fn without_a_key_others_overtake(pubsub: &dyn PubSub) {
    let mut deliveries = subscribe(pubsub, subscription("overtake", "g")).await;
    publish(
        pubsub,
        "overtake",
        (1..=10).map(|n| event(&n.to_string())).collect(),
    )
    .await;
    let mut seen = vec![];
    while seen.len() < 12 {
        let delivery = next(&mut deliveries).await;
        let data = data(&delivery);
        let refuse = data == "3" && delivery.attempt <= 2;
        settle(
            delivery,
            if refuse {
                Settlement::Retry
            } else {
                Settlement::Ack
            },
        );
        seen.push(data);
    }
    let expected = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "3", "3"];
    assert_eq!(seen, expected);
}

async fn a_dropped_event_is_gone(pubsub: &dyn PubSub) {
    let mut deliveries = subscribe(pubsub, subscription("dropped", "g")).await;
    publish(pubsub, "dropped", vec![event("a"), event("b")]).await;
    settle(next(&mut deliveries).await, Settlement::Drop);
    drop(deliveries);
    let mut deliveries = subscribe(pubsub, subscription("dropped", "g")).await;
    assert_eq!(acknowledge(&mut deliveries, 1).await, ["b"]);
}

async fn a_worn_out_event_goes_to_the_dead_letters(pubsub: &dyn PubSub) {
    let twice = Subscription {
        deliveries_max: 2,
        dead_letter_topic: Some("dead".to_owned()),
        ..subscription("worn", "g")
    };
    let mut deliveries = subscribe(pubsub, twice).await;
    publish(pubsub, "worn", vec![event("a")]).await;
    settle(next(&mut deliveries).await, Settlement::Retry);
    settle(next(&mut deliveries).await, Settlement::Retry);
    let mut dead = subscribe(pubsub, subscription("dead", "g")).await;
    assert_eq!(acknowledge(&mut dead, 1).await, ["a"]);
    publish(pubsub, "worn", vec![event("b"), event("c")]).await;
    settle(next(&mut deliveries).await, Settlement::Drop);
    assert_eq!(
        acknowledge(&mut dead, 1).await,
        ["b"],
        "a dropped event goes there as well"
    );
    assert_eq!(acknowledge(&mut deliveries, 1).await, ["c"]);
}

async fn an_expired_event_is_not_delivered(pubsub: &dyn PubSub) {
    let expired = Event {
        expires_at: Some(pubsub.now()),
        ..event("a")
    };
    let lasting = Event {
        expires_at: Some(pubsub.now().plus(Duration::from_secs(3_600))),
        ..event("b")
    };
    publish(pubsub, "expired", vec![expired, lasting]).await;
    let mut deliveries = subscribe(pubsub, subscription("expired", "g")).await;
    assert_eq!(acknowledge(&mut deliveries, 1).await, ["b"]);
}

async fn no_more_events_are_out_than_asked_for(pubsub: &dyn PubSub) {
    let two = Subscription {
        in_flight_max: 2,
        ..subscription("flight", "g")
    };
    let mut deliveries = subscribe(pubsub, two).await;
    publish(pubsub, "flight", (1..=4).map(|n| event(&n.to_string())).collect()).await;
    let (one, two) = (next(&mut deliveries).await, next(&mut deliveries).await);
    let third = tokio::time::timeout(Duration::from_millis(50), deliveries.next());
    assert!(third.await.is_err(), "two are out");
    settle(two, Settlement::Ack);
    let three = next(&mut deliveries).await;
    assert_eq!(data(&three), "3");
    settle(one, Settlement::Ack);
    settle(three, Settlement::Ack);
    assert_eq!(acknowledge(&mut deliveries, 1).await, ["4"]);
}

async fn a_late_consumer_gets_a_long_backlog(pubsub: &dyn PubSub) {
    for hundred in 0..30 {
        let events = (0..100).map(|n| event(&(hundred * 100 + n).to_string()));
        publish(pubsub, "backlog", events.collect()).await;
    }
    let mut deliveries = subscribe(pubsub, subscription("backlog", "g")).await;
    let seen = acknowledge(&mut deliveries, 3_000).await;
    let expected: Vec<String> = (0..3_000).map(|n| n.to_string()).collect();
    assert_eq!(seen, expected);
}

async fn senseless_subscriptions_are_refused(pubsub: &dyn PubSub) {
    let good = || subscription("senseless", "g");
    let senseless = [
        Subscription {
            in_flight_max: 0,
            ..good()
        },
        Subscription {
            in_flight_max: usize::MAX,
            ..good()
        },
        Subscription {
            topic: String::new(),
            ..good()
        },
        Subscription {
            dead_letter_topic: Some("senseless".to_owned()),
            ..good()
        },
    ];
    for subscription in senseless {
        let refused = pubsub.subscribe(subscription.clone()).await;
        let kind = refused.err().map(|error| error.kind());
        assert_eq!(kind, Some(Kind::InvalidArgument), "{subscription:?}");
    }
    drop(subscribe(pubsub, good()).await);
}

async fn a_restart_repeats_nothing_and_forgets_nothing(open: &impl AsyncFn() -> Arc<dyn PubSub>) {
    let pubsub = open().await;
    let mut deliveries = subscribe(&*pubsub, subscription("restart", "g")).await;
    let events = (1..=5).map(|n| event(&n.to_string())).collect();
    publish(&*pubsub, "restart", events).await;
    for number in 1..=5 {
        let delivery = next(&mut deliveries).await;
        let settlement = match number {
            2 | 4 => Settlement::Retry,
            _ => Settlement::Ack,
        };
        settle(delivery, settlement);
    }
    settle(next(&mut deliveries).await, Settlement::Retry);
    drop(deliveries);
    drop(pubsub);
    let pubsub = open().await;
    let mut deliveries = subscribe(&*pubsub, subscription("restart", "g")).await;
    let mut seen = vec![];
    for _ in 0..2 {
        let delivery = next(&mut deliveries).await;
        seen.push((data(&delivery), delivery.attempt));
        settle(delivery, Settlement::Ack);
    }
    seen.sort();
    let attempts: u32 = seen.iter().map(|(_, attempt)| attempt).sum();
    let numbers: Vec<&str> = seen.iter().map(|(data, _)| data.as_str()).collect();
    assert_eq!(
        (numbers, attempts),
        (vec!["2", "4"], 5),
        "one was refused once, the other twice"
    );
    publish(&*pubsub, "restart", vec![event("6")]).await;
    assert_eq!(acknowledge(&mut deliveries, 1).await, ["6"]);
}

async fn a_restart_keeps_the_order_of_a_key(open: &impl AsyncFn() -> Arc<dyn PubSub>) {
    let pubsub = open().await;
    let mut deliveries = subscribe(&*pubsub, subscription("restart/key", "g")).await;
    let events = (1..=5).map(|n| keyed("k", &n.to_string())).collect();
    publish(&*pubsub, "restart/key", events).await;
    assert_eq!(acknowledge(&mut deliveries, 1).await, ["1"]);
    settle(next(&mut deliveries).await, Settlement::Retry);
    drop(deliveries);
    drop(pubsub);
    let pubsub = open().await;
    publish(&*pubsub, "restart/key", vec![keyed("k", "6")]).await;
    let mut deliveries = subscribe(&*pubsub, subscription("restart/key", "g")).await;
    settle(next(&mut deliveries).await, Settlement::Retry);
    assert_eq!(acknowledge(&mut deliveries, 5).await, ["2", "3", "4", "5", "6"]);
}
