use std::time::Duration;

use futures::FutureExt;
use pb::indexed_map_server::IndexedMap;
use tonic::Code;

use super::*;
use crate::testing::{World, id, refused, there};

/// A world with an indexed map.
async fn world() -> World {
    let world = World::new().await;
    let create = pb::CreateRequest {
        id: id("map"),
        tags: vec![],
    };
    let created = IndexedMap::create(&world.service, world.ask(create)).await;
    created.expect("a new map");
    world
}

async fn append_for(world: &World, key: &str, ttl: Option<Duration>) -> pb::Entry {
    let append = pb::AppendRequest {
        id: id("map"),
        key: key.into(),
        value: key.to_uppercase().into(),
        ttl: ttl.map(|ttl| ttl.try_into().expect("a short time")),
    };
    let appended = world.service.append(world.ask(append)).await;
    appended.expect("a new key").into_inner().entry.expect("an entry")
}

async fn append(world: &World, key: &str) -> pb::Entry {
    append_for(world, key, None).await
}

fn update(key: &str, index: u64, value: &'static str) -> pb::UpdateRequest {
    pb::UpdateRequest {
        id: id("map"),
        key: key.into(),
        index,
        value: value.into(),
        ttl: None,
        prev_version: 0,
    }
}

async fn clear(world: &World) {
    let request = world.ask(pb::ClearRequest { id: id("map") });
    world.service.clear(request).await.expect("it can be cleared");
}

async fn events(world: &World, key: &str) -> Answers<pb::EventsResponse> {
    let request = pb::EventsRequest {
        id: id("map"),
        key: key.into(),
    };
    let events = world.service.events(world.ask(request)).await;
    events.expect("a stream").into_inner()
}

async fn entries(world: &World, watch: bool) -> Answers<pb::EntriesResponse> {
    let request = world.ask(pb::EntriesRequest { id: id("map"), watch });
    let entries = world.service.entries(request).await;
    entries.expect("a stream").into_inner()
}

/// `key=VALUE` of each entry that is there by now.
fn shown(entries: &mut Answers<pb::EntriesResponse>) -> Vec<String> {
    let entries = there(entries).into_iter();
    let entries = entries.map(|answer| answer.entry.expect("an entry"));
    let show = |entry: pb::Entry| {
        let value = entry.value.expect("a value").value;
        format!("{}={}", entry.key, String::from_utf8_lossy(&value))
    };
    entries.map(show).collect()
}

/// The key that an order of entries leads to.
async fn leads_to(world: &World, order: Order) -> Result<String, Code> {
    let map = id("map");
    let service = &world.service;
    let entry = match order {
        Order::After(0) => {
            let first = service.first_entry(world.ask(pb::FirstEntryRequest { id: map }));
            first.await.map(|answer| answer.into_inner().entry)
        }
        Order::After(index) => {
            let next = service.next_entry(world.ask(pb::NextEntryRequest { id: map, index }));
            next.await.map(|answer| answer.into_inner().entry)
        }
        Order::Before(Some(index)) => {
            let prev = service.prev_entry(world.ask(pb::PrevEntryRequest { id: map, index }));
            prev.await.map(|answer| answer.into_inner().entry)
        }
        Order::Before(None) => {
            let last = service.last_entry(world.ask(pb::LastEntryRequest { id: map }));
            last.await.map(|answer| answer.into_inner().entry)
        }
    };
    let entry = entry.map_err(|status| status.code())?.expect("an entry");
    assert!(entry.value.is_some(), "clients read it unasked");
    Ok(entry.key)
}

#[tokio::test]
async fn entries_are_found_in_both_directions() {
    let world = world().await;
    for order in [
        Order::After(0),
        Order::After(1),
        Order::Before(None),
        Order::Before(Some(1)),
    ] {
        assert_eq!(leads_to(&world, order).await, Err(Code::NotFound), "{order:?}");
    }
    for key in ["a", "b", "c", "d"] {
        append(&world, key).await;
    }
    let remove = pb::RemoveRequest {
        id: id("map"),
        index: 2,
        ..pb::RemoveRequest::default()
    };
    let removed = world.service.remove(world.ask(remove)).await;
    let removed = removed.expect("it is there").into_inner();
    assert_eq!(removed.entry.expect("an entry").key, "b");
    for (order, expected) in [
        (Order::After(0), Ok("a")),
        (Order::After(1), Ok("c")),
        (Order::After(2), Ok("c")),
        (Order::After(4), Err(Code::NotFound)),
        (Order::After(u64::MAX), Err(Code::NotFound)),
        (Order::Before(None), Ok("d")),
        (Order::Before(Some(u64::MAX)), Ok("d")),
        (Order::Before(Some(3)), Ok("a")),
        (Order::Before(Some(2)), Ok("a")),
        (Order::Before(Some(1)), Err(Code::NotFound)),
        (Order::Before(Some(0)), Err(Code::NotFound)),
    ] {
        let expected = expected.map(String::from);
        assert_eq!(leads_to(&world, order).await, expected, "{order:?}");
    }
    clear(&world).await;
    assert_eq!(leads_to(&world, Order::After(0)).await, Err(Code::NotFound));
    assert_eq!(append(&world, "e").await.index, 5);
    assert_eq!(leads_to(&world, Order::Before(None)).await, Ok("e".into()));
}

#[tokio::test]
async fn entries_whose_time_is_over_are_not_found() {
    let world = world().await;
    let soon = Some(Duration::from_millis(50));
    append_for(&world, "a", soon).await;
    append(&world, "b").await;
    for key in ["c", "d", "e"] {
        append_for(&world, key, soon).await;
    }
    world.clock.advance(Duration::from_millis(50));
    assert_eq!(leads_to(&world, Order::After(0)).await, Ok("b".into()));
    assert_eq!(leads_to(&world, Order::Before(None)).await, Ok("b".into()));
    assert_eq!(leads_to(&world, Order::After(2)).await, Err(Code::NotFound));
    assert_eq!(shown(&mut entries(&world, false).await), ["b=B"]);
}

#[tokio::test]
async fn what_is_named_wrongly_is_refused() {
    let world = world().await;
    append(&world, "a").await;
    let get = pb::GetRequest {
        id: id("map"),
        ..pb::GetRequest::default()
    };
    assert_eq!(refused(world.service.get(world.ask(get)).await), Code::NotFound);
    let remove = pb::RemoveRequest {
        id: id("map"),
        ..pb::RemoveRequest::default()
    };
    assert_eq!(
        refused(world.service.remove(world.ask(remove)).await),
        Code::NotFound
    );
    for (wrong, code) in [
        (update("", 0, "x"), Code::InvalidArgument),
        (update("b", 0, "x"), Code::NotFound),
        (update("b", 1, "x"), Code::DataLoss),
    ] {
        assert_eq!(refused(world.service.update(world.ask(wrong)).await), code);
    }
}

fn told(events: &mut Answers<pb::EventsResponse>) -> Vec<(String, u64, Option<pb::event::Event>)> {
    let events = there(events).into_iter();
    let events = events.map(|answer| answer.event.expect("an event"));
    events
        .map(|event| (event.key, event.index, event.event))
        .collect()
}

#[tokio::test]
async fn events_begin_with_an_empty_one_and_tell_what_was_there() {
    let world = world().await;
    let mut all = events(&world, "").await;
    let mut some = events(&world, "b").await;
    assert_eq!(told(&mut all), [(String::new(), 0, None)]);
    assert_eq!(told(&mut some), [("b".to_owned(), 0, None)]);
    let before = append(&world, "a").await.value;
    append(&world, "b").await;
    let updated = world.service.update(world.ask(update("a", 0, "x"))).await;
    let now = updated.expect("it is there").into_inner().entry;
    let told = told(&mut all);
    assert_eq!(told.len(), 3);
    let updated = pb::event::Updated {
        value: now.expect("an entry").value,
        prev_value: before,
    };
    assert_eq!(
        told[2],
        ("a".to_owned(), 1, Some(pb::event::Event::Updated(updated)))
    );
    let keys: Vec<_> = there(&mut some)
        .into_iter()
        .map(|answer| answer.event.expect("an event").key)
        .collect();
    assert_eq!(keys, ["b"]);
}

#[tokio::test]
async fn a_clear_is_told_entry_by_entry() {
    let world = world().await;
    let count = base::limits::LISTING_ROWS as u64 * 2 + 7;
    for number in 1..=count {
        append(&world, &format!("k{number}")).await;
    }
    let mut all = events(&world, "").await;
    let mut some = events(&world, "k9").await;
    let mut none = events(&world, "k").await;
    let mut watched = entries(&world, true).await;
    assert_eq!(there(&mut watched).len() as u64, count);
    clear(&world).await;
    let after = append(&world, "k9").await;
    let told = told(&mut all);
    let removed = told.iter().skip(1).zip(1..=count);
    for ((key, index, event), number) in removed {
        assert_eq!((key, *index), (&format!("k{number}"), number));
        let Some(pb::event::Event::Removed(removed)) = event else {
            panic!("no removal: {event:?}");
        };
        assert!(!removed.expired);
    }
    assert_eq!(told.len() as u64, 1 + count + 1);
    assert_eq!(told[told.len() - 1].1, after.index);
    assert_eq!(there(&mut some).len(), 3, "opening, removed, inserted");
    assert_eq!(there(&mut none).len(), 1, "opening");
    assert_eq!(there(&mut watched).len() as u64, count + 1);
    let size = world.ask(pb::SizeRequest { id: id("map") });
    let size = world.service.size(size).await.expect("a size");
    assert_eq!(size.into_inner().size, 1);
}

#[tokio::test]
async fn entries_are_listed_once_and_watched_until_the_map_is_closed() {
    let world = world().await;
    append(&world, "b").await;
    append(&world, "a").await;
    let mut once = entries(&world, false).await;
    assert_eq!(shown(&mut once), ["b=B", "a=A"]);
    assert!(once.next().await.is_none(), "it ends");
    let mut watched = entries(&world, true).await;
    assert_eq!(shown(&mut watched), ["b=B", "a=A"]);
    let updated = world.service.update(world.ask(update("", 1, "x"))).await;
    updated.expect("it is there");
    append(&world, "c").await;
    let remove = pb::RemoveRequest {
        id: id("map"),
        key: "b".into(),
        ..pb::RemoveRequest::default()
    };
    let removed = world.service.remove(world.ask(remove)).await;
    removed.expect("it is there");
    assert_eq!(shown(&mut watched), ["b=x", "c=C", "b=x"]);
    assert!(watched.next().now_or_never().is_none(), "it stays open");
    let close = world.ask(pb::CloseRequest { id: id("map") });
    let closed = IndexedMap::close(&world.service, close).await;
    closed.expect("it can be closed");
    assert!(watched.next().await.is_none(), "it ends");
}

/// What is written between the beginning of a watch and its reading comes once.
#[tokio::test]
async fn what_changes_at_the_seam_comes_once() {
    let world = world().await;
    append(&world, "a").await;
    append(&world, "b").await;
    let mut watched = entries(&world, true).await;
    let updated = world.service.update(world.ask(update("a", 0, "x"))).await;
    updated.expect("it is there");
    append(&world, "c").await;
    assert_eq!(shown(&mut watched), ["b=B", "a=x", "c=C"]);
}
