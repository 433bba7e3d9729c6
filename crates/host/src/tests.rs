use std::collections::BTreeSet;

use base::Timestamp;
use base::time::{Clock, ManualClock};
use bytes::Bytes;
use futures::StreamExt;
use machines::primitive::{counter, indexedmap, lock, value};
use machines::{Call, Event, Question, Session};
use testkit::{Fault, Faulty, Memory};

use super::*;

mod calls;
mod clock;
mod collections;
mod counts;
mod letters;
mod order;
mod talks;

struct World {
    kv: Arc<Faulty>,
    clock: ManualClock,
}

impl World {
    fn new() -> World {
        let clock = ManualClock::at(Timestamp(1_000));
        World {
            kv: Faulty::new(Arc::new(Memory::new(Arc::new(clock.clone())))),
            clock,
        }
    }

    async fn open(&self) -> Host {
        self.open_with(Options::default()).await
    }

    async fn open_with(&self, options: Options) -> Host {
        let ownership = Arc::new(testkit::Ownership::over(self.kv.clone()));
        let here = [Handle::current()];
        Host::open(self.kv.clone(), ownership, options, &here)
            .await
            .expect("a host")
    }
}

fn address(name: &str) -> Address {
    Address::primitive("store", name)
}

async fn add(host: &Host, name: &str, delta: i64) -> Result<i64> {
    let reply = counter::Command::Add(delta).call(host, &address(name)).await?;
    Ok(reply.value)
}

async fn get(host: &Host, name: &str) -> i64 {
    counter::Query::Get
        .ask(host, &address(name))
        .await
        .expect("a read")
        .value
}

#[tokio::test]
async fn concurrent_increments_are_all_counted_and_each_once() {
    let host = World::new().open().await;
    let adding = (0..1_000).map(|_| add(&host, "hits", 1));
    let sums = futures::future::join_all(adding).await;
    let sums: BTreeSet<i64> = sums.into_iter().map(|sum| sum.expect("an increment")).collect();
    assert_eq!(sums, (1..=1_000).collect());
    assert_eq!(get(&host, "hits").await, 1_000);
}

#[tokio::test]
async fn many_commands_are_few_commits() {
    let world = World::new();
    let host = world.open().await;
    world.kv.inject([]);
    let adding = (0..1_000).map(|_| add(&host, "hits", 1));
    futures::future::join_all(adding).await;
    assert!(world.kv.calls() < 20, "{} calls", world.kv.calls());
}

#[tokio::test]
async fn a_new_start_goes_on_where_the_last_one_stopped() {
    let world = World::new();
    let host = world.open().await;
    add(&host, "hits", 5).await.expect("an increment");
    let before = counter::Query::Get
        .ask(&host, &address("hits"))
        .await
        .expect("a read");
    host.close();
    let host = world.open().await;
    let reply = counter::Command::Add(1)
        .call(&host, &address("hits"))
        .await
        .expect("an increment");
    assert_eq!(reply.value, 6);
    assert!(reply.version > before.version, "versions go on");
}

#[tokio::test]
async fn a_stale_owner_can_not_write() {
    let world = World::new();
    let stale = world.open().await;
    add(&stale, "hits", 1).await.expect("it is the owner");
    let owner = world.open().await;
    let refused = add(&stale, "hits", 10)
        .await
        .expect_err("it is not the owner any more");
    assert_eq!(refused.code(), codes::FENCED);
    assert_eq!(add(&owner, "hits", 1).await.expect("the owner's"), 2);
}

/// What it has in memory is not what is stored any more.
#[tokio::test]
async fn a_stale_owner_can_not_refuse_either() {
    let world = World::new();
    let stale = world.open().await;
    add(&stale, "hits", 1).await.expect("it is the owner");
    let owner = world.open().await;
    add(&owner, "hits", 1).await.expect("it is the owner now");
    let update = counter::Command::Update { check: 2, value: 7 };
    let refused = update.call(&stale, &address("hits")).await;
    assert_eq!(refused.expect_err("it does not know").code(), codes::FENCED);
}

/// Batches behind a refused one are built on what was not written.
#[tokio::test]
async fn after_a_refused_batch_it_goes_on_from_what_is_stored() {
    for n in 1..6 {
        let world = World::new();
        let host = world.open().await;
        add(&host, "hits", 1).await.expect("an increment");
        world.kv.inject([
            Fault::Refuse { n },
            Fault::Delay {
                by: Duration::from_millis(1),
            },
        ]);
        let mut counted = 1;
        for _ in 0..3 {
            // Two batches are on their way at once.
            let (one, two) = tokio::join!(add(&host, "hits", 1), async {
                tokio::task::yield_now().await;
                add(&host, "hits", 1).await
            });
            counted += i64::from(one.is_ok()) + i64::from(two.is_ok());
        }
        world.kv.inject([]);
        assert_eq!(get(&host, "hits").await, counted, "refused call {n}");
        assert_eq!(add(&host, "hits", 1).await.expect("it goes on"), counted + 1);
    }
}

/// So that its caller knows that nothing was done, and may try again.
#[tokio::test]
async fn a_refused_batch_is_answered_with_why() {
    let world = World::new();
    let host = world.open().await;
    add(&host, "hits", 1).await.expect("an increment");
    world.kv.inject([Fault::Refuse { n: 1 }]);
    let refused = add(&host, "hits", 1).await.expect_err("it is refused");
    assert_eq!(refused.code(), codes::DISK_NEARLY_FULL);
}

const LONG: &str = match std::str::from_utf8(&[b'x'; 1_000]) {
    Ok(text) => text,
    Err(_) => "",
};

/// What needs no room is taken, whatever else comes at the same time; and what only frees is not forgotten.
#[tokio::test(start_paused = true)]
async fn a_store_that_is_nearly_full_takes_what_frees() {
    let world = World::new();
    let host = world.open().await;
    let mut places = (0..).map(|number| address(&format!("text {number}")));
    let place = places.find(|place| host.partition(place) == host.partition(&address("lock")));
    let place = place.expect("there are many names");
    set("some text", None).call(&host, &place).await.expect("a write");
    let granted = lock(&host, A);
    behind_all_others(&host).await;
    world.kv.inject([Fault::NearlyFull]);
    let refused = set(LONG, None).call(&host, &place);
    // Nobody takes the grant: the machine hears of it in the batch that is refused.
    drop(granted);
    let refused = refused.await.expect_err("it needs room");
    assert_eq!(refused.code(), codes::DISK_NEARLY_FULL);
    let deleted = value::Command::Delete { expect: 0 }.call(&host, &place);
    let refused = set(LONG, None).call(&host, &place);
    let (refused, deleted) = tokio::join!(refused, deleted);
    refused.expect_err("it needs room");
    deleted.expect("it needs none");
    let error = value::Query::Get.ask(&host, &place).await.expect_err("gone");
    assert_eq!(error.code(), codes::ENTRY_NOT_FOUND);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(is_free(&host).await, "the grant was given back");
    world.kv.inject([]);
    set(LONG, None)
        .call(&host, &place)
        .await
        .expect("there is room again");
}

#[tokio::test]
async fn a_stopped_store_stops_the_partition_and_says_so() {
    let world = World::new();
    let host = world.open().await;
    world.kv.inject([Fault::StopAt { n: 1 }]);
    let first = add(&host, "hits", 1).await.expect_err("the store has stopped");
    let next = add(&host, "hits", 1).await.expect_err("and so has the partition");
    assert_eq!(first.kind(), base::Kind::Unavailable);
    assert_eq!(next.code(), codes::ENGINE_STOPPED);
}

#[tokio::test]
async fn a_refused_command_changes_nothing_and_the_others_go_on() {
    let host = World::new().open().await;
    let update = counter::Command::Update { check: 7, value: 1 };
    let (refused, added) = tokio::join!(update.call(&host, &address("hits")), add(&host, "hits", 2));
    assert_eq!(refused.expect_err("it is 0").code(), codes::VALUE_CHANGED);
    assert_eq!(added.expect("an increment"), 2);
}

fn set(text: &'static str, ttl: Option<Duration>) -> value::Command {
    value::Command::Set {
        value: Bytes::from_static(text.as_bytes()),
        ttl,
    }
}

fn happened(event: &Event) -> &value::Event {
    match event {
        Event::Primitive(machines::primitive::Event::Value(event)) => event,
        other => panic!("no event of a value: {other:?}"),
    }
}

#[tokio::test]
async fn who_watches_sees_every_change_before_its_writer_is_answered() {
    let host = World::new().open().await;
    let place = address("config");
    set("before", None).call(&host, &place).await.expect("a write");
    let mut watch = host.watch(&place).expect("a watch");
    set("one", None).call(&host, &place).await.expect("a write");
    set("two", None).call(&host, &place).await.expect("a write");
    for expected in ["one", "two"] {
        let next = futures::FutureExt::now_or_never(watch.events.next());
        let next = next.flatten().expect("it is there already").expect("no error");
        assert!(next.index > watch.since);
        let value::Event::Updated { now, .. } = happened(&next.event) else {
            panic!("an update");
        };
        assert_eq!(now.value, expected.as_bytes());
    }
}

#[tokio::test]
async fn who_watches_too_slowly_is_told_and_holds_nobody_up() {
    let host = World::new().open().await;
    let place = address("config");
    let mut watch = host.watch(&place).expect("a watch");
    for _ in 0..=limits::WATCH_EVENTS_MAX {
        set("x", None).call(&host, &place).await.expect("a write");
    }
    let error = watch
        .events
        .next()
        .await
        .expect("an end")
        .expect_err("it fell behind");
    assert_eq!(error.code(), codes::WATCH_BEHIND);
    assert!(watch.events.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_timer_fires_when_it_is_due_and_after_a_new_start() {
    let world = World::new();
    let host = world.open().await;
    let place = address("lease");
    let ttl = Some(Duration::from_secs(30));
    set("held", ttl).call(&host, &place).await.expect("a write");
    host.close();
    let host = world.open().await;
    let mut watch = host.watch(&place).expect("a watch");
    world.clock.advance(Duration::from_secs(30));
    let end = watch.events.next().await.expect("an event").expect("no error");
    assert!(matches!(
        happened(&end.event),
        value::Event::Deleted { expired: true, .. }
    ));
    let error = value::Query::Get
        .ask(&host, &place)
        .await
        .expect_err("it is gone");
    assert_eq!(error.code(), codes::ENTRY_NOT_FOUND);
}

/// It is tried again, but not at once: a full disk stays full for a while.
#[tokio::test(start_paused = true)]
async fn a_timer_that_is_refused_does_not_turn_in_circles() {
    let world = World::new();
    let host = world.open().await;
    let place = address("lease");
    let ttl = Some(Duration::from_secs(30));
    set("held", ttl).call(&host, &place).await.expect("a write");
    let mut watch = host.watch(&place).expect("a watch");
    world.kv.inject((1..1_000).map(|n| Fault::Refuse { n }));
    world.clock.advance(Duration::from_secs(30));
    tokio::time::sleep(Duration::from_secs(5)).await;
    let calls = world.kv.calls();
    assert!((2..100).contains(&calls), "{calls} calls");
    world.kv.inject([]);
    watch.events.next().await.expect("an event").expect("no error");
}

#[tokio::test(start_paused = true)]
async fn a_refused_renewal_does_not_stop_the_partition() {
    let world = World::new();
    let options = Options {
        partitions: 1,
        lease: Duration::from_secs(3),
        ..Options::default()
    };
    let host = world.open_with(options).await;
    // A renewal reads, then writes.
    world.kv.inject([Fault::Refuse { n: 2 }]);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(world.kv.calls(), 2);
    assert_eq!(add(&host, "hits", 1).await.expect("it goes on"), 1);
}

#[tokio::test]
async fn rows_that_do_not_fit_into_memory_are_read_again() {
    let options = Options {
        cache_bytes: 4_000,
        ..Options::default()
    };
    let world = World::new();
    let host = world.open_with(options).await;
    for round in 1..=3 {
        for number in 0..200 {
            assert_eq!(
                add(&host, &format!("counter {number}"), 1)
                    .await
                    .expect("an increment"),
                round
            );
        }
    }
}

/// By their bytes, long before by their number; and there is room again when they are done.
#[tokio::test]
async fn large_commands_that_wait_are_bounded() {
    let host = World::new().open().await;
    let text = Bytes::from(vec![b'x'; limits::INBOX_BYTES_MAX / 4]);
    let place = address("text");
    let write = || {
        let command = value::Command::Set {
            value: text.clone(),
            ttl: None,
        };
        command.call(&host, &place)
    };
    let mut waiting: Vec<_> = (0..4).map(|_| write()).collect();
    let refused = write().await.expect_err("too much waits");
    assert_eq!(refused.code(), codes::ENGINE_QUEUE_FULL);
    for written in waiting.drain(..) {
        drop(written.await);
    }
    set("small", None)
        .call(&host, &place)
        .await
        .expect("there is room again");
}

#[tokio::test]
async fn a_closed_host_refuses_and_answers_what_it_had() {
    let host = World::new().open().await;
    let taken = add(&host, "hits", 1);
    assert_eq!(taken.await.expect("taken before"), 1);
    host.close();
    let refused = add(&host, "hits", 1).await.expect_err("it is closed");
    assert_eq!(refused.code(), codes::HOST_STOPPED);
}

const A: Session = Session(1);
const B: Session = Session(2);
const C: Session = Session(3);

fn lock(host: &Host, session: Session) -> BoxFuture<'static, Result<lock::Reply>> {
    let timeout = None;
    Box::pin(lock::Command::Lock { session, timeout }.call(host, &address("lock")))
}

async fn unlock(host: &Host, session: Session) {
    let unlock = lock::Command::Unlock { session };
    unlock.call(host, &address("lock")).await.expect("it is held");
}

async fn lose(host: &Host, session: Session, over_at: Timestamp) {
    let lost = Command::SessionLost { session, over_at };
    host.submit(&address("lock"), lost).await.expect("noted");
}

/// Until everything that was sent before is done.
async fn behind_all_others(host: &Host) {
    lose(host, Session(0), Timestamp(0)).await;
}

async fn is_free(host: &Host) -> bool {
    match lock::Query::Get.ask(host, &address("lock")).await {
        Ok(_) => false,
        Err(error) => error.code() == codes::ENTRY_NOT_FOUND,
    }
}

#[tokio::test]
async fn a_waiter_that_goes_away_leaves_the_queue() {
    let host = World::new().open().await;
    lock(&host, A).await.expect("it was free");
    let gone = lock(&host, B);
    let next = lock(&host, C);
    drop(gone);
    unlock(&host, A).await;
    next.await.expect("granted to the next who waits");
    unlock(&host, C).await;
    assert!(is_free(&host).await);
}

#[tokio::test]
async fn a_grant_that_nobody_takes_is_given_back() {
    let host = World::new().open().await;
    lock(&host, A).await.expect("it was free");
    let granted = lock(&host, B);
    unlock(&host, A).await;
    assert!(!is_free(&host).await, "it was granted");
    drop(granted);
    lock(&host, C).await.expect("given back and granted again");
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_at_its_time() {
    let world = World::new();
    let host = world.open().await;
    lock(&host, A).await.expect("it was free");
    let timeout = Some(Duration::from_secs(3));
    let waiting = lock::Command::Lock { session: B, timeout };
    let waiting = waiting.call(&host, &address("lock"));
    behind_all_others(&host).await;
    world.clock.advance(Duration::from_secs(3));
    let error = waiting.await.expect_err("it stays with the first");
    assert_eq!(error.code(), codes::LOCK_HELD);
}

#[tokio::test(start_paused = true)]
async fn a_lost_sessions_lock_goes_to_who_waits_for_it_when_it_is_over() {
    let world = World::new();
    let host = world.open().await;
    lock(&host, A).await.expect("it was free");
    let next = lock(&host, B);
    lose(&host, A, world.clock.now().plus(Duration::from_secs(15))).await;
    assert!(!is_free(&host).await);
    world.clock.advance(Duration::from_secs(15));
    next.await.expect("granted");
}

#[tokio::test(start_paused = true)]
async fn after_a_new_start_a_lock_stays_taken_for_the_grace_and_no_longer() {
    let world = World::new();
    let host = world.open().await;
    lock(&host, A).await.expect("it was free");
    let waiter_before = lock(&host, B);
    behind_all_others(&host).await;
    host.close();
    waiter_before.await.expect_err("the host has stopped");
    let host = world.open().await;
    let waiter = lock(&host, C);
    world
        .clock
        .advance(limits::SESSION_RESTART_GRACE - Duration::from_millis(1));
    tokio::time::sleep(limits::TIMER_SLEEP_MAX * 2).await;
    assert!(!is_free(&host).await);
    let before = lock::Query::Get
        .ask(&host, &address("lock"))
        .await
        .expect("a holder");
    world.clock.advance(Duration::from_millis(1));
    let granted = waiter.await.expect("granted when the grace is over");
    assert_ne!(granted, before);
    unlock(&host, C).await;
    assert!(is_free(&host).await, "nobody of before the start is left");
}

async fn append(host: &Host, place: &Address, key: &str) {
    let append = indexedmap::Command::Append {
        key: key.into(),
        value: Bytes::new(),
        ttl: None,
    };
    append.call(host, place).await.expect("a new key");
}

/// Entries of an indexed map are rows of part 1, named by generation and index.
fn name(generation: u64, index: u64) -> Bytes {
    [generation.to_be_bytes(), index.to_be_bytes()].concat().into()
}

#[tokio::test]
async fn rows_of_a_part_are_scanned_in_both_directions() {
    let host = World::new().open().await;
    let place = address("map");
    for key in ["a", "b", "c"] {
        append(&host, &place, key).await;
    }
    indexedmap::Command::Clear
        .call(&host, &place)
        .await
        .expect("a clear");
    for key in ["a", "b"] {
        append(&host, &place, key).await;
    }
    // Neighbours in the order of keys, which no scan may show.
    append(&host, &address("ma"), "a").await;
    append(&host, &address("mapp"), "a").await;
    let snapshot = host.snapshot(&place).expect("a snapshot");
    let check = async |generation: u64,
                       after: Option<u64>,
                       (descending, limit): (bool, usize),
                       expected: (&[u64], bool)| {
        let scan = PartScan {
            part: 1,
            prefix: Bytes::copy_from_slice(&generation.to_be_bytes()),
            after: after.map(|index| name(generation, index)),
            limit,
            descending,
        };
        let page = snapshot.scan(scan.clone()).await.expect("a page");
        let names: Vec<Bytes> = page.rows.into_iter().map(|(name, _)| name).collect();
        let expected_names: Vec<Bytes> = expected.0.iter().map(|index| name(generation, *index)).collect();
        assert_eq!((names, page.more), (expected_names, expected.1), "{scan:?}");
    };
    check(0, None, (false, 10), (&[1, 2, 3], false)).await;
    check(0, None, (true, 10), (&[3, 2, 1], false)).await;
    check(0, Some(1), (false, 10), (&[2, 3], false)).await;
    check(0, Some(3), (true, 10), (&[2, 1], false)).await;
    check(0, Some(3), (false, 10), (&[], false)).await;
    check(0, Some(1), (true, 10), (&[], false)).await;
    check(0, None, (false, 1), (&[1], true)).await;
    check(0, None, (true, 1), (&[3], true)).await;
    check(0, Some(2), (true, 1), (&[1], false)).await;
    check(1, None, (false, 1), (&[4], true)).await;
    check(1, None, (true, 1), (&[5], true)).await;
    check(1, Some(4), (true, 1), (&[], false)).await;
    check(2, None, (false, 1), (&[], false)).await;
}
