//! What is counted is seen to change.

use futures::FutureExt;
use machines::relay::{self, Get, TOKENS};

use super::*;

/// The sum over all partitions.
fn sum(host: &Host, count: fn(&Counts) -> u64) -> u64 {
    host.counts().iter().map(count).sum()
}

/// Waits until the sum is as expected.
async fn until(host: &Host, count: fn(&Counts) -> u64, expected: impl Fn(u64) -> bool) {
    for _ in 0..100_000 {
        if expected(sum(host, count)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it stays {}", sum(host, count));
}

async fn is(host: &Host, count: fn(&Counts) -> u64, expected: u64) {
    until(host, count, |sum| sum == expected).await;
}

async fn set(host: &Host, ttl: Option<Duration>) {
    let value = Bytes::from_static(b"v");
    let set = value::Command::Set { value, ttl };
    set.call(host, &address("value")).await.expect("it is set");
}

#[tokio::test(start_paused = true)]
async fn commands_wait_while_the_store_is_slow() {
    let world = World::new();
    let host = world.open().await;
    let by = Duration::from_secs(1);
    world.kv.inject([Fault::Delay { by }]);
    let setting = futures::future::join_all((0..100).map(|_| set(&host, None)));
    let waiting = until(&host, |counts| counts.waiting_bytes, |bytes| bytes > 0);
    let waiting = waiting.map(|()| sum(&host, |counts| counts.waiting_commands));
    let (_, waiting) = futures::join!(setting, waiting);
    assert!(waiting > 0);
    assert_eq!(sum(&host, |counts| counts.waiting_commands), 0);
    assert_eq!(sum(&host, |counts| counts.waiting_bytes), 0);
}

#[tokio::test]
async fn batches_that_the_store_refuses_are_counted_apart() {
    let world = World::new();
    let host = world.open().await;
    add(&host, "hits", 1).await.expect("an increment");
    let before = sum(&host, |counts| counts.batches);
    world.kv.inject((1..=8).map(|n| Fault::Refuse { n }));
    add(&host, "hits", 1).await.expect_err("it is refused");
    world.kv.inject([]);
    assert_eq!(sum(&host, |counts| counts.batches), before);
    assert_eq!(sum(&host, |counts| counts.batches_refused), 1);
    let steps = sum(&host, |counts| counts.steps);
    assert_eq!(add(&host, "hits", 1).await.expect("an increment"), 2);
    assert_eq!(sum(&host, |counts| counts.steps), steps + 1);
    assert_eq!(sum(&host, |counts| counts.batches), before + 1);
}

#[tokio::test(start_paused = true)]
async fn a_timer_is_there_until_it_has_fired() {
    let world = World::new();
    let host = world.open().await;
    set(&host, Some(Duration::from_secs(60))).await;
    is(&host, |counts| counts.timers_in_memory, 1).await;
    world.clock.advance(Duration::from_secs(60));
    is(&host, |counts| counts.timers_in_memory, 0).await;
}

/// Carries nothing.
struct Nobody;

impl Carrier for Nobody {
    fn carry(&self, _: &Host, _: Parcel) {}
}

#[tokio::test(start_paused = true)]
async fn a_letter_is_not_received_until_somebody_carries_it() {
    let world = World::new();
    let host = world
        .open_with(Options {
            carrier: Arc::new(Nobody),
            ..Options::default()
        })
        .await;
    let from = Address::relay("from");
    let mut others = (0..).map(|number| Address::relay(&format!("to {number}")));
    let to = others.find(|to| host.partition(to) != host.partition(&from));
    let to = to.expect("there are several partitions");
    let pass = relay::Command::Pass {
        tokens: 1,
        way: vec![to.clone()],
    };
    pass.call(&host, &from).await.expect("it has one");
    is(&host, |counts| counts.letters_not_received, 1).await;
    host.close();
    let host = world.open().await;
    while Get.ask(&host, &to).await.expect("a relay").tokens == TOKENS {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    is(&host, |counts| counts.letters_not_received, 0).await;
}

#[tokio::test]
async fn a_machine_is_watched_as_long_as_somebody_watches() {
    let host = World::new().open().await;
    let watch = host.watch(&address("value")).expect("a watch");
    assert_eq!(sum(&host, |counts| counts.machines_watched), 1);
    drop(watch);
    assert_eq!(sum(&host, |counts| counts.machines_watched), 0);
}
