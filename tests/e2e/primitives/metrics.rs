//! Partitions on the page of metrics.

use tests::{Belay, eventually};
use wire::atomix::counter as pb;
use wire::atomix::counter::counter_client::CounterClient;
use wire::atomix::counter::counters_client::CountersClient;
use wire::atomix::value;
use wire::atomix::value::value_client::ValueClient;
use wire::atomix::value::values_client::ValuesClient;

use super::{connect, id};
use crate::lifecycle::get;

/// The sum over all partitions of the process's own engine.
fn sum(page: &str, metric: &str) -> f64 {
    let series = format!("{metric}{{store=\"0\",");
    let lines: Vec<&str> = page.lines().filter(|line| line.starts_with(&series)).collect();
    assert!(!lines.is_empty(), "{metric} is on the page");
    let value = |line: &&str| {
        line.rsplit(' ')
            .next()
            .and_then(|value| value.parse::<f64>().ok())
    };
    lines.iter().map(|line| value(line).expect("a number")).sum()
}

#[tokio::test]
async fn what_partitions_do_is_on_the_page_of_metrics() {
    let belay = Belay::run("{}\n").await;
    let (_, before) = get(&belay.admin, "/metrics").await;
    let channel = connect(&belay).await;
    let (own, tags) = (id("hits"), vec![]);
    let created = CountersClient::new(channel.clone())
        .create(pb::CreateRequest { id: own, tags })
        .await;
    created.expect("a new counter");
    let mut counter = CounterClient::new(channel);
    for _ in 0..10 {
        let (id, delta) = (id("hits"), 1);
        let added = counter.increment(pb::IncrementRequest { id, delta }).await;
        added.expect("an increment");
    }
    let (_, after) = get(&belay.admin, "/metrics").await;
    let grown = |metric| sum(&after, metric) - sum(&before, metric);
    assert!(grown("belay_partition_steps_total") >= 10.0);
    assert!(
        grown("belay_partition_batches_total") >= 10.0,
        "each waited for the one before"
    );
    for idle in [
        "belay_partition_waiting_commands",
        "belay_partition_waiting_bytes",
        "belay_partition_batches_refused_total",
        "belay_partition_letters_not_received",
        "belay_partition_machines_watched",
    ] {
        assert_eq!(sum(&after, idle), 0.0, "{idle}");
    }
    let events = events(&belay).await;
    eventually("a watched machine", || async {
        let (_, page) = get(&belay.admin, "/metrics").await;
        (sum(&page, "belay_partition_machines_watched") == 1.0).then_some(())
    })
    .await;
    drop(events);
}

/// A value's, from now on.
async fn events(belay: &Belay) -> tonic::Streaming<value::EventsResponse> {
    let channel = connect(belay).await;
    let (own, tags) = (id("watched"), vec![]);
    let created = ValuesClient::new(channel.clone())
        .create(value::CreateRequest { id: own, tags })
        .await;
    created.expect("a new value");
    let id = id("watched");
    let events = ValueClient::new(channel)
        .events(value::EventsRequest { id })
        .await;
    events.expect("events").into_inner()
}
