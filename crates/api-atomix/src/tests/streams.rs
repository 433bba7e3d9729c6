//! Streams: how they begin, that nothing is missed or told twice where reading ends and following begins, and how they end.

use wire::atomix::{list, topic, value};

use list::event::Event;
use list::list_server::List;
use topic::topic_server::Topic;
use value::value_server::Value;

use super::*;

const NAME: &str = "test";

async fn open_list(world: &World) -> (Service, Client) {
    let service = world.start().await;
    let create = list::CreateRequest {
        id: id(NAME),
        tags: vec![],
    };
    let created = List::create(&service, Request::new(create)).await;
    assert_eq!(code(created), Code::Ok);
    (service, Client::new(1))
}

async fn append(service: &Service, value: impl Into<Bytes>) {
    let value = Some(list::Value { value: value.into() });
    let append = list::AppendRequest { id: id(NAME), value };
    assert_eq!(code(List::append(service, Request::new(append)).await), Code::Ok);
}

async fn insert(service: &Service, index: u32, value: impl Into<Bytes>) -> Code {
    let value = Some(list::Value { value: value.into() });
    let insert = list::InsertRequest {
        id: id(NAME),
        index,
        value,
    };
    code(List::insert(service, Request::new(insert)).await)
}

async fn remove(service: &Service, index: u32) -> Code {
    let remove = list::RemoveRequest { id: id(NAME), index };
    code(List::remove(service, Request::new(remove)).await)
}

async fn clear(service: &Service) {
    let clear = list::ClearRequest { id: id(NAME) };
    assert_eq!(code(List::clear(service, Request::new(clear)).await), Code::Ok);
}

async fn items(service: &Service, client: &Client, watch: bool) -> Answers<list::ItemsResponse> {
    let items = client.request(list::ItemsRequest { id: id(NAME), watch });
    List::items(service, items).await.expect("items").into_inner()
}

async fn events(service: &Service, client: &Client, replay: bool) -> Answers<list::EventsResponse> {
    let events = client.request(list::EventsRequest { id: id(NAME), replay });
    let mut answers = List::events(service, events).await.expect("events").into_inner();
    let opening = next(&mut answers).await;
    assert_eq!(opening, Some(list::EventsResponse { event: None }));
    answers
}

fn item(answer: list::ItemsResponse) -> (u32, Bytes) {
    let item = answer.item.expect("an item");
    (item.index, item.value.expect("its value").value)
}

async fn some_items(answers: &mut Answers<list::ItemsResponse>, count: usize) -> Vec<(u32, Bytes)> {
    let mut items = vec![];
    while items.len() < count {
        items.push(item(next(answers).await.expect("one more item")));
    }
    items
}

fn pairs(pairs: &[(u32, &'static str)]) -> Vec<(u32, Bytes)> {
    let pair = |(index, value): &(u32, &'static str)| (*index, Bytes::from_static(value.as_bytes()));
    pairs.iter().map(pair).collect()
}

/// Does to a vector what an event tells.
fn follow(mirror: &mut Vec<Bytes>, answer: list::EventsResponse) {
    let event = answer.event.expect("an event");
    let index = event.index as usize;
    let bytes = |value: Option<list::Value>| value.expect("a value").value;
    match event.event.expect("what happened") {
        Event::Inserted(inserted) => mirror.insert(index, bytes(inserted.value)),
        Event::Removed(removed) => assert_eq!(mirror.remove(index), bytes(removed.value)),
        Event::Updated(updated) => {
            assert_eq!(mirror[index], bytes(updated.prev_value));
            mirror[index] = bytes(updated.value);
        }
        Event::Appended(_) => panic!("clients do not understand this one"),
    }
}

#[tokio::test]
async fn without_a_watch_items_end() {
    let (service, client) = open_list(&World::new()).await;
    append(&service, "a").await;
    append(&service, "b").await;
    let mut answers = items(&service, &client, false).await;
    assert_eq!(some_items(&mut answers, 2).await, pairs(&[(0, "a"), (1, "b")]));
    assert_eq!(next(&mut answers).await, None);
}

#[tokio::test]
async fn with_a_watch_each_change_brings_its_item() {
    let (service, client) = open_list(&World::new()).await;
    append(&service, "a").await;
    let mut answers = items(&service, &client, true).await;
    append(&service, "b").await;
    insert(&service, 0, "x").await;
    remove(&service, 1).await;
    let expected = pairs(&[(0, "a"), (1, "b"), (0, "x"), (1, "a")]);
    assert_eq!(some_items(&mut answers, 4).await, expected);
    assert!(is_silent(&mut answers).await);
}

#[tokio::test]
async fn a_list_of_many_pages_comes_whole() {
    let (service, client) = open_list(&World::new()).await;
    for number in 0..40_u8 {
        append(&service, vec![number; 100_000]).await;
    }
    let mut answers = items(&service, &client, false).await;
    let expected: Vec<_> = (0..40_u8)
        .map(|number| (u32::from(number), Bytes::from(vec![number; 100_000])))
        .collect();
    assert_eq!(some_items(&mut answers, 40).await, expected);
    assert_eq!(next(&mut answers).await, None);
}

#[tokio::test]
async fn a_clear_is_told_item_by_item_from_the_end() {
    let (service, client) = open_list(&World::new()).await;
    append(&service, "a").await;
    append(&service, "b").await;
    let mut answers = items(&service, &client, true).await;
    clear(&service).await;
    append(&service, "c").await;
    let expected = pairs(&[(0, "a"), (1, "b"), (1, "b"), (0, "a"), (0, "c")]);
    assert_eq!(some_items(&mut answers, 5).await, expected);
}

#[tokio::test]
async fn without_replay_only_what_happens_is_told() {
    let (service, client) = open_list(&World::new()).await;
    append(&service, "a").await;
    let mut answers = events(&service, &client, false).await;
    append(&service, "b").await;
    let event = next(&mut answers).await.and_then(|answer| answer.event);
    let event = event.expect("an event");
    assert_eq!(event.index, 1);
    assert!(matches!(event.event, Some(Event::Inserted(_))));
}

#[tokio::test]
async fn who_begins_amid_changes_misses_nothing_and_hears_nothing_twice() {
    let (service, client) = open_list(&World::new()).await;
    let writing = async {
        for number in 0..300_u32 {
            let value = number.to_be_bytes().to_vec();
            match number % 4 {
                0 | 1 => drop(insert(&service, 0, value).await),
                2 => append(&service, value).await,
                _ => drop(remove(&service, number % 3).await),
            }
        }
        append(&service, "end").await;
    };
    let reading = (0..20_usize).map(|reader| {
        let (service, client) = (&service, &client);
        async move {
            for _ in 0..reader * 5 {
                tokio::task::yield_now().await;
            }
            let mut answers = events(service, client, true).await;
            let mut mirror: Vec<Bytes> = vec![];
            while mirror.last().is_none_or(|last| last != "end") {
                follow(&mut mirror, next(&mut answers).await.expect("one more event"));
            }
            mirror
        }
    });
    let ((), mirrors) = futures::join!(writing, futures::future::join_all(reading));
    let mut answers = items(&service, &client, false).await;
    let mut expected = vec![];
    while let Some(answer) = next(&mut answers).await {
        expected.push(item(answer).1);
    }
    for mirror in mirrors {
        assert_eq!(mirror, expected);
    }
}

#[tokio::test]
async fn a_close_ends_streams_after_what_is_queued() {
    let (service, client) = open_list(&World::new()).await;
    let other = Client::new(2);
    let mut own = items(&service, &client, true).await;
    let mut others = items(&service, &other, true).await;
    append(&service, "a").await;
    append(&service, "b").await;
    let close = client.request(list::CloseRequest { id: id(NAME) });
    assert_eq!(code(List::close(&service, close).await), Code::Ok);
    assert_eq!(some_items(&mut own, 2).await, pairs(&[(0, "a"), (1, "b")]));
    assert_eq!(next(&mut own).await, None);
    append(&service, "c").await;
    assert_eq!(some_items(&mut others, 3).await.len(), 3);
}

#[tokio::test]
async fn a_connection_that_is_gone_ends_its_streams() {
    let (service, client) = open_list(&World::new()).await;
    let mut answers = items(&service, &client, true).await;
    client.0.leave();
    assert_eq!(next(&mut answers).await, None);
}

#[tokio::test]
async fn what_is_no_position_is_not_found() {
    let (service, _) = open_list(&World::new()).await;
    assert_eq!(remove(&service, 0).await, Code::NotFound);
    assert_eq!(insert(&service, 1, "a").await, Code::NotFound);
    assert_eq!(insert(&service, 0, "a").await, Code::Ok);
    let append = list::AppendRequest {
        id: id(NAME),
        value: None,
    };
    let appended = List::append(&service, Request::new(append)).await;
    assert_eq!(code(appended), Code::InvalidArgument);
}

#[tokio::test]
async fn subscribers_of_a_topic_hear_what_is_published_from_then_on() {
    let service = World::new().start().await;
    let create = topic::CreateRequest {
        id: id(NAME),
        tags: vec![],
    };
    let created = Topic::create(&service, Request::new(create)).await;
    assert_eq!(code(created), Code::Ok);
    let publish = |payload: &'static str| {
        let payload = Bytes::from_static(payload.as_bytes());
        service.publish(Request::new(topic::PublishRequest {
            id: id(NAME),
            payload,
        }))
    };
    assert_eq!(code(publish("missed").await), Code::Ok);
    let mut subscribers = vec![];
    for number in 1..=3 {
        let subscribe = Client::new(number).request(topic::SubscribeRequest { id: id(NAME) });
        let answers = service.subscribe(subscribe).await.expect("a subscription");
        subscribers.push(answers.into_inner());
    }
    assert_eq!(code(publish("a").await), Code::Ok);
    assert_eq!(code(publish("b").await), Code::Ok);
    let mut offsets = vec![];
    for answers in &mut subscribers {
        let (a, b) = (next(answers).await, next(answers).await);
        let (a, b) = (a.expect("a message"), b.expect("a message"));
        assert_eq!((&a.payload[..], &b.payload[..]), (&b"a"[..], &b"b"[..]));
        assert!(0 < a.offset && a.offset < b.offset);
        assert_eq!(a.timestamp.map(|timestamp| timestamp.seconds), Some(1));
        offsets.push((a.offset, b.offset));
    }
    assert!(offsets.windows(2).all(|pair| pair[0] == pair[1]));
}

async fn set_value(service: &Service, bytes: &'static str) {
    let set = value::SetRequest {
        id: id(NAME),
        value: Bytes::from_static(bytes.as_bytes()),
        ttl: None,
    };
    assert_eq!(code(Value::set(service, Request::new(set)).await), Code::Ok);
}

async fn open_value(service: &Service) {
    let create = value::CreateRequest {
        id: id(NAME),
        tags: vec![],
    };
    assert_eq!(code(Value::create(service, Request::new(create)).await), Code::Ok);
}

#[tokio::test]
async fn a_watched_value_comes_first_and_a_delete_repeats_it() {
    let service = World::new().start().await;
    let client = Client::new(1);
    open_value(&service).await;
    set_value(&service, "a").await;
    let watch = client.request(value::WatchRequest { id: id(NAME) });
    let mut answers = service.watch(watch).await.expect("a watch").into_inner();
    set_value(&service, "b").await;
    let delete = value::DeleteRequest {
        id: id(NAME),
        prev_version: 0,
    };
    assert_eq!(
        code(Value::delete(&service, Request::new(delete)).await),
        Code::Ok
    );
    for expected in ["a", "b", "b"] {
        let answer = next(&mut answers).await.and_then(|answer| answer.value);
        assert_eq!(answer.map(|value| value.value), Some(expected.into()));
    }
    assert!(is_silent(&mut answers).await);
}

#[tokio::test]
async fn a_watched_value_that_is_not_set_says_nothing_first() {
    let service = World::new().start().await;
    let client = Client::new(1);
    open_value(&service).await;
    let watch = client.request(value::WatchRequest { id: id(NAME) });
    let mut answers = service.watch(watch).await.expect("a watch").into_inner();
    assert!(is_silent(&mut answers).await);
}

#[tokio::test]
async fn events_of_a_value_open_with_none() {
    let service = World::new().start().await;
    let client = Client::new(1);
    open_value(&service).await;
    set_value(&service, "a").await;
    let events = client.request(value::EventsRequest { id: id(NAME) });
    let answers = Value::events(&service, events).await;
    let mut answers = answers.expect("events").into_inner();
    set_value(&service, "b").await;
    let opening = next(&mut answers).await.expect("an opening answer");
    assert!(opening.event.is_none());
    let event = next(&mut answers).await.and_then(|answer| answer.event);
    let event = event.and_then(|event| event.event);
    assert!(
        matches!(event, Some(value::event::Event::Updated(_))),
        "{event:?}"
    );
}
