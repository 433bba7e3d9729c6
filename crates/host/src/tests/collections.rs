//! Maps on a host: listings over snapshots, and what becomes of cleared rows.

use bytes::Bytes;
use machines::primitive::collection::{Listed, Listing};
use machines::primitive::map::{Change, Command, Event, Query, Reply, To};
use machines::{Call, Question};

use super::*;

/// More than a page of a listing, and than a step of a sweep.
const ENTRIES: usize = 1_100;

fn name(number: usize) -> String {
    format!("key {number:05}")
}

async fn put(host: &Host, place: &Address, key: String) {
    let to = To::Put {
        value: Bytes::from_static(b"v"),
        ttl: None,
        expect: 0,
    };
    let command = Command::Change(Change { key, to });
    command.call(host, place).await.expect("a put");
}

async fn fill(host: &Host, place: &Address) {
    let puts = (0..ENTRIES).map(|number| put(host, place, name(number)));
    futures::future::join_all(puts).await;
}

async fn all(host: &Host, place: &Address, mut listing: Listing) -> Result<Vec<String>> {
    let mut keys = vec![];
    while let Some(page) = listing.next(host, place).await? {
        keys.extend(page.into_iter().map(|Listed { key, .. }| key));
    }
    Ok(keys)
}

fn names() -> Vec<String> {
    (0..ENTRIES).map(name).collect()
}

#[tokio::test]
async fn a_listing_has_every_entry_once_and_in_order() {
    let host = World::new().open().await;
    let place = address("map");
    fill(&host, &place).await;
    let keys = all(&host, &place, Listing::live()).await.expect("a listing");
    assert_eq!(keys, names());
}

#[tokio::test]
async fn what_a_clear_removes_can_be_listed_after_it() {
    let host = World::new().open().await;
    let place = address("map");
    fill(&host, &place).await;
    let mut watch = host.watch(&place).expect("a watch");
    Command::Clear.call(&host, &place).await.expect("a clear");
    put(&host, &place, "new".into()).await;
    let cleared = watch.events.next().await.expect("an event").expect("no error");
    assert_eq!(*cleared.event, Event::Cleared { generation: 0 }.into());
    let gone = all(&host, &place, Listing::cleared(0, None)).await;
    assert_eq!(gone.expect("a listing"), names());
    let one = all(&host, &place, Listing::cleared(0, Some(name(7)))).await;
    assert_eq!(one.expect("a listing"), [name(7)]);
    let none = all(&host, &place, Listing::cleared(0, Some("key".into()))).await;
    assert_eq!(none.expect("a listing"), Vec::<String>::new());
    let now = all(&host, &place, Listing::live()).await;
    assert_eq!(now.expect("a listing"), ["new"]);
}

async fn rows(host: &Host, place: &Address) -> usize {
    let scan = PartScan {
        part: 1,
        prefix: Bytes::new(),
        after: None,
        limit: limits::SCAN_ROWS_MAX,
        descending: false,
    };
    let snapshot = host.snapshot(place).expect("a snapshot");
    snapshot.scan(scan).await.expect("a page").rows.len()
}

#[tokio::test(start_paused = true)]
async fn cleared_rows_are_removed_after_a_while_and_a_new_start() {
    let world = World::new();
    let host = world.open().await;
    let place = address("map");
    fill(&host, &place).await;
    Command::Clear.call(&host, &place).await.expect("a clear");
    put(&host, &place, "new".into()).await;
    host.close();
    let host = world.open().await;
    world.clock.advance(limits::COLLECTION_SWEEP_PAUSE);
    let mut rounds = 0;
    while rows(&host, &place).await > 1 {
        tokio::time::sleep(limits::TIMER_SLEEP_MAX).await;
        world.clock.advance(limits::COLLECTION_SWEEP_STEP_PAUSE);
        rounds += 1;
        assert!(rounds < 100, "rows are left");
    }
    let late = all(&host, &place, Listing::cleared(0, None)).await;
    assert_eq!(late.expect_err("they are gone").code(), codes::WATCH_BEHIND);
    let size = Query::Size.ask(&host, &place).await.expect("a size");
    assert_eq!(size, Reply::Size(1));
}
