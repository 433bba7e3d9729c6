//! Consumers of one group share its events.

use std::collections::BTreeSet;
use std::time::Duration;

use base::{Kind, limits};

use super::{acknowledge, data, event, keyed, next, publish, settle, subscribe, subscription};
use crate::pubsub::{Deliveries, Delivery, PubSub, Settlement, Subscription};

pub(super) async fn all(pubsub: &dyn PubSub) {
    consumers_of_a_group_share_its_events(pubsub).await;
    a_key_keeps_its_order_whoever_has_its_events(pubsub).await;
    a_refused_event_goes_to_whoever_has_room(pubsub).await;
    what_a_consumer_leaves_goes_to_the_others_at_once(pubsub).await;
    what_a_closed_consumer_has_not_taken_goes_to_the_others_at_once(pubsub).await;
    a_group_goes_on_while_its_consumers_change(pubsub).await;
    a_consumer_that_holds_all_it_may_holds_nobody_up(pubsub).await;
    large_events_at_one_consumer_hold_nobody_up(pubsub).await;
    an_event_is_judged_by_the_consumer_that_has_it(pubsub).await;
    a_group_has_a_limit_of_consumers(pubsub).await;
}

fn one_at_a_time(topic: &str) -> Subscription {
    Subscription {
        in_flight_max: 1,
        ..subscription(topic, "g")
    }
}

async fn two(pubsub: &dyn PubSub, both: Subscription) -> [Box<dyn Deliveries>; 2] {
    let first = subscribe(pubsub, both.clone()).await;
    [first, subscribe(pubsub, both).await]
}

/// The next event at either of them, and whose it is.
async fn either([one, two]: &mut [Box<dyn Deliveries>; 2]) -> (usize, Delivery) {
    tokio::select! {
        delivery = next(one) => (0, delivery),
        delivery = next(two) => (1, delivery),
    }
}

async fn consumers_of_a_group_share_its_events(pubsub: &dyn PubSub) {
    let mut both = two(pubsub, one_at_a_time("shared")).await;
    let mut other = subscribe(pubsub, subscription("shared", "other")).await;
    let events = (1..=4).map(|n| event(&n.to_string())).collect();
    publish(pubsub, "shared", events).await;
    let (one, two) = (next(&mut both[0]).await, next(&mut both[1]).await);
    let mut seen = BTreeSet::from([data(&one), data(&two)]);
    settle(two, Settlement::Ack);
    let three = next(&mut both[1]).await;
    seen.insert(data(&three));
    settle(three, Settlement::Ack);
    seen.extend(acknowledge(&mut both[1], 1).await);
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["1", "2", "3", "4"]);
    settle(one, Settlement::Ack);
    publish(pubsub, "shared", vec![event("5")]).await;
    let (_, five) = either(&mut both).await;
    assert_eq!(data(&five), "5", "nothing comes twice");
    settle(five, Settlement::Ack);
    assert_eq!(acknowledge(&mut other, 5).await, ["1", "2", "3", "4", "5"]);
}

async fn a_key_keeps_its_order_whoever_has_its_events(pubsub: &dyn PubSub) {
    let mut both = two(pubsub, one_at_a_time("shared/key")).await;
    let events = (0..40).map(|n| keyed(&format!("k{}", n % 2), &n.to_string()));
    publish(pubsub, "shared/key", events.collect()).await;
    let mut seen = [vec![], vec![]];
    let mut held: Option<(usize, u32, Delivery)> = None;
    for _ in 0..40 {
        let (consumer, delivery) = match &held {
            // Whoever holds one has no room for another.
            Some((holder, ..)) => (1 - holder, next(&mut both[1 - holder]).await),
            None => either(&mut both).await,
        };
        let number: u32 = data(&delivery).parse().expect("a number");
        let key = (number % 2) as usize;
        if let Some((_, earlier, delivery)) = held.take() {
            assert_ne!(earlier % 2, number % 2, "{number} came while {earlier} was out");
            settle(delivery, Settlement::Ack);
        }
        seen[key].push(number);
        held = Some((consumer, number, delivery));
    }
    let (_, _, last) = held.expect("forty came");
    settle(last, Settlement::Ack);
    for (key, seen) in seen.iter().enumerate() {
        let expected: Vec<u32> = (0..20).map(|n| 2 * n + key as u32).collect();
        assert_eq!(*seen, expected);
    }
}

async fn a_refused_event_goes_to_whoever_has_room(pubsub: &dyn PubSub) {
    let mut both = two(pubsub, one_at_a_time("shared/refused")).await;
    publish(pubsub, "shared/refused", vec![event("a")]).await;
    let (consumer, first) = either(&mut both).await;
    settle(first, Settlement::Retry);
    publish(pubsub, "shared/refused", vec![event("b"), event("c")]).await;
    // Each has one of them; the other one answers.
    let b_or_c = next(&mut both[consumer]).await;
    settle(next(&mut both[1 - consumer]).await, Settlement::Ack);
    let again = next(&mut both[1 - consumer]).await;
    assert_eq!((data(&again), again.attempt), ("a".to_owned(), 2));
    settle(again, Settlement::Ack);
    settle(b_or_c, Settlement::Ack);
}

async fn what_a_consumer_leaves_goes_to_the_others_at_once(pubsub: &dyn PubSub) {
    let mut first = subscribe(pubsub, subscription("shared/left", "g")).await;
    let events = (1..=4)
        .map(|n| event(&n.to_string()))
        .chain([keyed("k", "5"), keyed("k", "6")]);
    publish(pubsub, "shared/left", events.collect()).await;
    let (one, two) = (next(&mut first).await, next(&mut first).await);
    let mut second = subscribe(pubsub, subscription("shared/left", "g")).await;
    settle(one, Settlement::Ack);
    drop(first);
    for expected in ["2", "3", "4", "5"] {
        let delivery = next(&mut second).await;
        assert_eq!(
            (&*data(&delivery), delivery.attempt),
            (expected, 1),
            "it was not refused"
        );
        settle(delivery, Settlement::Ack);
    }
    assert!(
        two.settle.send(Settlement::Ack).is_err(),
        "nobody waits for the old answer"
    );
    assert_eq!(acknowledge(&mut second, 1).await, ["6"]);
}

async fn what_a_closed_consumer_has_not_taken_goes_to_the_others_at_once(pubsub: &dyn PubSub) {
    let mut first = subscribe(pubsub, subscription("shared/closed", "g")).await;
    let events = (1..=4).map(|n| event(&n.to_string())).collect();
    publish(pubsub, "shared/closed", events).await;
    let (one, two) = (next(&mut first).await, next(&mut first).await);
    let mut second = subscribe(pubsub, subscription("shared/closed", "g")).await;
    first.close();
    assert_eq!(acknowledge(&mut second, 2).await, ["3", "4"]);
    drop(two);
    let again = next(&mut second).await;
    assert_eq!((&*data(&again), again.attempt), ("2", 1), "it was not refused");
    settle(again, Settlement::Ack);
    settle(one, Settlement::Ack);
    assert!(first.next().await.is_none(), "it takes no more");
    drop(first);
    publish(pubsub, "shared/closed", vec![event("5")]).await;
    assert_eq!(
        acknowledge(&mut second, 1).await,
        ["5"],
        "what was settled does not come again"
    );
}

async fn a_group_goes_on_while_its_consumers_change(pubsub: &dyn PubSub) {
    let mut consumer = subscribe(pubsub, subscription("shared/change", "g")).await;
    for number in 0..20 {
        publish(pubsub, "shared/change", vec![event(&number.to_string())]).await;
        let following = subscribe(pubsub, subscription("shared/change", "g")).await;
        drop(std::mem::replace(&mut consumer, following));
        assert_eq!(acknowledge(&mut consumer, 1).await, [number.to_string()]);
    }
}

async fn a_consumer_that_holds_all_it_may_holds_nobody_up(pubsub: &dyn PubSub) {
    let greedy = Subscription {
        in_flight_max: limits::EVENTS_IN_MEMORY_MAX,
        ..subscription("shared/slow", "g")
    };
    let mut slow = subscribe(pubsub, greedy).await;
    for thousand in 0..3 {
        let events = (0..1_000).map(|n| event(&(thousand * 1_000 + n).to_string()));
        publish(pubsub, "shared/slow", events.collect()).await;
    }
    let mut held = vec![];
    for _ in 0..limits::EVENTS_IN_MEMORY_MAX {
        held.push(next(&mut slow).await);
    }
    let mut quick = subscribe(pubsub, one_at_a_time("shared/slow")).await;
    let mut seen: BTreeSet<String> = held.iter().map(data).collect();
    let rest = acknowledge(&mut quick, 3_000 - held.len()).await;
    seen.extend(rest);
    assert_eq!(seen.len(), 3_000, "each came once");
    drop(slow);
    assert_eq!(
        acknowledge(&mut quick, held.len()).await.len(),
        limits::EVENTS_IN_MEMORY_MAX
    );
}

async fn large_events_at_one_consumer_hold_nobody_up(pubsub: &dyn PubSub) {
    let large = "x".repeat(limits::EVENTS_IN_MEMORY_BYTES_MAX / 4);
    let mut slow = subscribe(pubsub, subscription("shared/large", "g")).await;
    for _ in 0..8 {
        publish(pubsub, "shared/large", vec![event(&large)]).await;
    }
    let held = next(&mut slow).await;
    let mut quick = subscribe(pubsub, one_at_a_time("shared/large")).await;
    assert_eq!(
        acknowledge(&mut quick, 2).await.len(),
        2,
        "the other holds at most six"
    );
    drop((slow, held));
    assert_eq!(acknowledge(&mut quick, 6).await.len(), 6);
}

async fn an_event_is_judged_by_the_consumer_that_has_it(pubsub: &dyn PubSub) {
    let strict = Subscription {
        deliveries_max: 1,
        dead_letter_topic: Some("shared/dead".to_owned()),
        ..one_at_a_time("shared/own")
    };
    let hasty = Subscription {
        deadline: Duration::from_millis(50),
        ..one_at_a_time("shared/own")
    };
    let mut strict = subscribe(pubsub, strict).await;
    let mut hasty = subscribe(pubsub, hasty).await;
    publish(pubsub, "shared/own", vec![event("a"), event("b")]).await;
    let (at_strict, at_hasty) = (next(&mut strict).await, next(&mut hasty).await);
    let (given_up, kept) = (data(&at_strict), data(&at_hasty));
    loop {
        let again = next(&mut hasty).await;
        assert_eq!(data(&again), kept, "the other waits longer");
        assert!(again.attempt > at_hasty.attempt);
        if again.settle.send(Settlement::Ack).is_ok() {
            break;
        }
    }
    settle(at_strict, Settlement::Retry);
    let mut dead = subscribe(pubsub, subscription("shared/dead", "g")).await;
    assert_eq!(acknowledge(&mut dead, 1).await, [given_up]);
}

async fn a_group_has_a_limit_of_consumers(pubsub: &dyn PubSub) {
    let mut consumers = vec![];
    for _ in 0..limits::CONSUMERS_PER_GROUP_MAX {
        consumers.push(subscribe(pubsub, subscription("shared/many", "g")).await);
    }
    let refused = pubsub.subscribe(subscription("shared/many", "g")).await;
    let kind = refused.err().map(|error| error.kind());
    assert_eq!(kind, Some(Kind::ResourceExhausted));
    drop(subscribe(pubsub, subscription("shared/many", "other")).await);
    consumers.truncate(1);
    publish(pubsub, "shared/many", vec![event("a")]).await;
    assert_eq!(acknowledge(&mut consumers[0], 1).await, ["a"]);
    // Once it is noticed that they have left.
    let again = async {
        while pubsub.subscribe(subscription("shared/many", "g")).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    let again = tokio::time::timeout(Duration::from_secs(60), again).await;
    again.expect("places that are free are given again");
}
