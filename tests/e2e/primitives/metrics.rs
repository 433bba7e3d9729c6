//! Partitions on the page of metrics: each number is seen to change, but that of letters, which no family sends so far
//! (`crates/host/src/tests/counts.rs` sees it).

use std::sync::atomic::{AtomicBool, Ordering};

use tests::{Belay, eventually};
use tonic::Code;
use tonic::transport::Channel;
use wire::atomix::counter as pb;
use wire::atomix::counter::counter_client::CounterClient;
use wire::atomix::counter::counters_client::CountersClient;
use wire::atomix::value;
use wire::atomix::value::value_client::ValueClient;
use wire::atomix::value::values_client::ValuesClient;

use super::{connect, id};
use crate::lifecycle::get;

const COUNTER: &str = "hits";
const VALUE: &str = "note";
/// More than a disk has.
const NEARLY_FULL: &str = "engine: { reserve_mib: 1000000000 }\n";
/// Enough that some wait while others are written.
const CLIENTS: usize = 32;

/// The sum over all partitions of the process's own engine, now.
async fn sum(belay: &Belay, metric: &str) -> f64 {
    let (_, page) = get(&belay.admin, "/metrics").await;
    let series = format!("belay_partition_{metric}{{store=\"0\",");
    let lines: Vec<&str> = page.lines().filter(|line| line.starts_with(&series)).collect();
    assert!(!lines.is_empty(), "{metric} is on the page");
    let value = |line: &&str| {
        line.rsplit(' ')
            .next()
            .and_then(|value| value.parse::<f64>().ok())
    };
    lines.iter().map(|line| value(line).expect("a number")).sum()
}

async fn becomes(belay: &Belay, metric: &str, expected: f64) {
    let asked = || async { (sum(belay, metric).await == expected).then_some(()) };
    eventually(&format!("{metric} to be {expected}"), asked).await;
}

async fn counter(channel: &Channel) -> CounterClient<Channel> {
    let (own, tags) = (id(COUNTER), vec![]);
    let create = pb::CreateRequest { id: own, tags };
    let created = CountersClient::new(channel.clone()).create(create).await;
    created.expect("a new counter");
    CounterClient::new(channel.clone())
}

async fn single(channel: &Channel) -> ValueClient<Channel> {
    let (own, tags) = (id(VALUE), vec![]);
    let create = value::CreateRequest { id: own, tags };
    let created = ValuesClient::new(channel.clone()).create(create).await;
    created.expect("a new value");
    ValueClient::new(channel.clone())
}

async fn increment(counter: &mut CounterClient<Channel>) -> Result<i64, Code> {
    let (id, delta) = (id(COUNTER), 1);
    let answer = counter.increment(pb::IncrementRequest { id, delta }).await;
    let answer = answer.map_err(|status| status.code())?;
    Ok(answer.into_inner().value)
}

#[tokio::test]
async fn what_partitions_have_done_is_counted() {
    let belay = Belay::run("{}\n").await;
    let mut counter = counter(&connect(&belay).await).await;
    let (steps, batches) = (
        sum(&belay, "steps_total").await,
        sum(&belay, "batches_total").await,
    );
    for _ in 0..10 {
        increment(&mut counter).await.expect("an increment");
    }
    assert!(sum(&belay, "steps_total").await >= steps + 10.0);
    let grown = sum(&belay, "batches_total").await - batches;
    assert!(grown >= 10.0, "each waited for the one before");
    for idle in [
        "waiting_commands",
        "waiting_bytes",
        "batches_refused_total",
        "letters_not_received",
    ] {
        assert_eq!(sum(&belay, idle).await, 0.0, "{idle}");
    }
}

#[tokio::test]
async fn what_the_store_refuses_is_counted_apart() {
    let belay = Belay::run("{}\n").await;
    counter(&connect(&belay).await).await;
    let belay = belay.restart_with(NEARLY_FULL).await;
    let (batches, refused) = (
        sum(&belay, "batches_total").await,
        sum(&belay, "batches_refused_total").await,
    );
    let mut counter = CounterClient::new(connect(&belay).await);
    assert_eq!(increment(&mut counter).await, Err(Code::ResourceExhausted));
    assert!(sum(&belay, "batches_refused_total").await > refused);
    assert_eq!(sum(&belay, "batches_total").await, batches);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_wait_are_on_the_page_while_they_do() {
    let belay = Belay::run("{}\n").await;
    let client = single(&connect(&belay).await).await;
    let over = AtomicBool::new(false);
    let busy = (0..CLIENTS).map(|_| {
        let (mut client, over) = (client.clone(), &over);
        async move {
            while !over.load(Ordering::SeqCst) {
                // The bytes of a command are those that it holds.
                let (id, value, ttl) = (id(VALUE), "v".into(), None);
                let set = client.set(value::SetRequest { id, value, ttl }).await;
                set.expect("it is set");
            }
        }
    });
    let look = async {
        for metric in ["waiting_commands", "waiting_bytes"] {
            let asked = || async { (sum(&belay, metric).await > 0.0).then_some(()) };
            eventually(metric, asked).await;
        }
        over.store(true, Ordering::SeqCst);
    };
    futures::join!(futures::future::join_all(busy), look);
    assert_eq!(sum(&belay, "waiting_commands").await, 0.0);
    assert_eq!(sum(&belay, "waiting_bytes").await, 0.0);
}

#[tokio::test]
async fn timers_and_watches_are_on_the_page_as_long_as_they_are_there() {
    let belay = Belay::run("{}\n").await;
    let channel = connect(&belay).await;
    let mut client = single(&channel).await;
    let id = id(VALUE);
    let events = client.events(value::EventsRequest { id: id.clone() }).await;
    let events = events.expect("events").into_inner();
    becomes(&belay, "machines_watched", 1.0).await;
    drop(events);
    becomes(&belay, "machines_watched", 0.0).await;

    let mut set = value::SetRequest {
        id: id.clone(),
        ..value::SetRequest::default()
    };
    set.ttl.get_or_insert_default().seconds = 3_600;
    client.set(set).await.expect("it is set");
    becomes(&belay, "timers_in_memory", 1.0).await;
    let prev_version = 0;
    let deleted = client.delete(value::DeleteRequest { id, prev_version }).await;
    deleted.expect("it was there");
    becomes(&belay, "timers_in_memory", 0.0).await;
}
