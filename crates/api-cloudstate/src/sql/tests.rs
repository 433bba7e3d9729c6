use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base::time::ManualClock;
use base::{Timestamp, limits};
use machines::engine::{Span, SpanPage};
use machines::entity::Command;
use machines::entity::rows::Payload;
use machines::primitive::counter;
use machines::{Address, Call, Engine, Key};
use ports::query::Value;
use prost::Message;
use wire::cloudstate::{Entity, EntitySpec};

use super::walk::Walk;
use super::*;
use crate::function::Function;
use crate::spec::{Rules, Spec};
use crate::transcode::testing::{compiled, file};

const NOW: u64 = 1_700_000_000_000;

struct World {
    engine: Arc<dyn Engine>,
    tables: Introspection,
    catalog: Catalog,
}

type Found = BTreeMap<&'static str, Value>;

impl World {
    async fn new() -> World {
        let clock = Arc::new(ManualClock::at(Timestamp(NOW)));
        let engine = testkit::engine(Arc::new(testkit::Memory::new(clock))).await;
        let catalog = Catalog::new();
        let entities = Entities::over(engine.clone());
        World {
            tables: Introspection::new(entities, catalog.clone()),
            engine,
            catalog,
        }
    }

    async fn append(&self, name: (&str, &str), events: Vec<Payload>, snapshot: Option<Payload>) {
        let command = Command::Append {
            after: 0,
            events,
            snapshot,
        };
        self.does(name, command).await;
    }

    async fn put(&self, name: (&str, &str), value: Payload) {
        let value = Some(value);
        self.does(name, Command::Put { after: 0, value }).await;
    }

    async fn does(&self, (persistence_id, id): (&str, &str), command: Command) {
        let address = Address::entity(persistence_id, id);
        let stored = command.call(&*self.engine, &address).await;
        stored.expect("nothing speaks against it");
    }

    /// A function whose service `t.S` keeps entities as `carts`, in messages `t.Item`.
    fn serve(&self) {
        let body = "message Item { string name = 1; int64 count = 2; } message Ask { string id = 1 [(cloudstate.entity_key) = true]; } \
                    service S { rpc Get(Ask) returns (Item); }";
        let entity = Entity {
            entity_type: crate::spec::EVENT_SOURCED.into(),
            service_name: "t.S".into(),
            persistence_id: "carts".into(),
            ..Entity::default()
        };
        let spec = EntitySpec {
            proto: compiled(&[("t.proto", &file(body))]).encode_to_vec().into(),
            entities: vec![entity],
            ..EntitySpec::default()
        };
        let rules = Rules::default();
        let spec = Spec::read(&Function::at("127.0.0.1:1"), &spec, &rules).expect("it can be served");
        self.catalog.put(0, spec, &rules).expect("nobody else is there");
    }

    /// Every page, and how many rows each has.
    async fn pages(&self, table: &str, filter: &Filter) -> Vec<Vec<Found>> {
        let tables = self.tables.tables();
        let place = tables.iter().position(|known| known.name == table);
        let place = place.expect("a table");
        let view = self.tables.open().expect("a store in memory");
        let (mut pages, mut numbers, mut after) = (vec![], BTreeSet::new(), None);
        loop {
            let page = view.scan(place, filter, after.as_ref()).await.expect("rows");
            let found = page.rows.iter().map(|row| {
                let columns = tables[place].columns.iter().enumerate();
                columns
                    .map(|(column, known)| (known.name, row.value(column)))
                    .collect()
            });
            let found = found.collect();
            let all_new = page.rows.iter().all(|row| numbers.insert(row.number()));
            assert!(all_new, "two rows have one number");
            pages.push(found);
            after = page.next;
            if after.is_none() {
                return pages;
            }
        }
    }

    async fn rows(&self, table: &str, filter: &Filter) -> Vec<Found> {
        self.pages(table, filter).await.concat()
    }
}

fn payload(type_url: &str, value: impl Into<Bytes>) -> Payload {
    Payload {
        type_url: type_url.into(),
        value: value.into(),
    }
}

fn plain(value: &'static str) -> Payload {
    payload("type.googleapis.com/x.Y", value)
}

fn only(persistence_id: Option<&str>, id: Option<&str>) -> Filter {
    Filter {
        service: persistence_id.map(str::to_owned),
        key: id.map(str::to_owned),
        ..Filter::default()
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

#[track_caller]
fn check(found: &Found, expected: &[(&'static str, Value)]) {
    for (column, value) in expected {
        assert_eq!(&found[column], value, "{column} of {found:?}");
    }
}

#[tokio::test]
async fn entities_are_seen_as_they_stand() {
    let world = World::new().await;
    world.serve();
    world
        .append(("carts", "a"), vec![plain("1"), plain("2")], Some(plain("12")))
        .await;
    world.append(("carts", "b"), vec![plain("1")], None).await;
    world.put(("values", "a"), plain("four")).await;
    let mut rows = world.rows("entities", &Filter::default()).await;
    rows.sort_by_key(|row| format!("{:?}{:?}", row["persistence_id"], row["id"]));
    assert_eq!(rows.len(), 3, "{rows:?}");
    let expected = [
        ("persistence_id", text("carts")),
        ("id", text("a")),
        ("kind", text("event_sourced")),
        ("sequence", Value::Unsigned(2)),
        ("snapshot_sequence", Value::Unsigned(2)),
        ("created_at", Value::Time(NOW)),
        ("modified_at", Value::Time(NOW)),
        ("value_type_url", Value::Null),
        ("value_length", Value::Null),
        ("services", Value::Texts(vec!["t.S".into()])),
        ("active", Value::Bool(false)),
    ];
    assert_eq!(rows[0], BTreeMap::from(expected));
    check(&rows[1], &[("id", text("b")), ("snapshot_sequence", Value::Null)]);
    let expected = [
        ("kind", text("value")),
        ("value_type_url", text("type.googleapis.com/x.Y")),
        ("value_length", Value::Unsigned(4)),
        ("services", Value::Texts(vec![])),
    ];
    check(&rows[2], &expected);
}

#[tokio::test]
async fn what_entities_keep_is_seen() {
    let world = World::new().await;
    let bytes = payload("x/y", &b"\xff\0"[..]);
    world
        .append(("carts", "a"), vec![plain("1"), bytes], Some(plain("12")))
        .await;
    world.put(("values", "a"), plain("four")).await;
    let events = world.rows("entity_events", &Filter::default()).await;
    let first = [
        ("persistence_id", text("carts")),
        ("entity_id", text("a")),
        ("sequence", Value::Unsigned(1)),
        ("created_at", Value::Time(NOW)),
        ("type_url", text("type.googleapis.com/x.Y")),
        ("payload_length", Value::Unsigned(1)),
        ("payload_json", Value::Null),
        ("payload_utf8", text("1")),
        ("payload", Value::Bytes("1".into())),
    ];
    assert_eq!((events.len(), &events[0]), (2, &BTreeMap::from(first)));
    let second = [("sequence", Value::Unsigned(2)), ("payload_utf8", Value::Null)];
    check(&events[1], &second);
    let snapshots = world.rows("entity_snapshots", &Filter::default()).await;
    assert_eq!(snapshots.len(), 1, "{snapshots:?}");
    let snapshot = [("sequence", Value::Unsigned(2)), ("payload_utf8", text("12"))];
    check(&snapshots[0], &snapshot);
    let values = world.rows("entity_values", &Filter::default()).await;
    assert_eq!(values.len(), 1, "{values:?}");
    let value = [
        ("persistence_id", text("values")),
        ("payload_utf8", text("four")),
        ("created_at", Value::Time(NOW)),
    ];
    check(&values[0], &value);
    let entities = world.rows("entities", &only(Some("values"), None)).await;
    assert_eq!(entities[0]["sequence"], values[0]["sequence"]);
}

#[tokio::test]
async fn payloads_are_json_where_their_type_says_how() {
    let world = World::new().await;
    world.serve();
    let string = |text: &str| text.to_owned().encode_to_vec();
    let item = [&b"\x0a\x03tea\x10"[..], &[7]].concat();
    let events = vec![
        payload("json.cloudstate.io/object", string("{\"a\":1}")),
        payload("json.cloudstate.io/object", string("no JSON")),
        payload("p.cloudstate.io/string", string("tea")),
        payload("p.cloudstate.io/int32", 5_i32.encode_to_vec()),
        payload("p.cloudstate.io/else", string("tea")),
        payload("type.googleapis.com/t.Item", item.clone()),
        payload("type.googleapis.com/t.Item", &b"\x0a\xff"[..]),
        payload("type.googleapis.com/t.Nothing", item.clone()),
    ];
    world.append(("carts", "a"), events, None).await;
    // Whose function is not there.
    let others = vec![payload("type.googleapis.com/t.Item", item)];
    world.append(("others", "a"), others, None).await;
    let rows = world.rows("entity_events", &only(Some("carts"), Some("a"))).await;
    let json: Vec<_> = rows.into_iter().map(|row| row["payload_json"].clone()).collect();
    let expected = [
        text("{\"a\":1}"),
        Value::Null,
        text("\"tea\""),
        text("5"),
        Value::Null,
        text("{\"name\":\"tea\",\"count\":\"7\"}"),
        Value::Null,
        Value::Null,
    ];
    assert_eq!(json, expected);
    let rows = world.rows("entity_events", &only(Some("others"), None)).await;
    assert_eq!(rows[0]["payload_json"], Value::Null);
}

/// Of all lengths, with other machines in between: what every filter finds is what looking at each of them finds.
#[tokio::test]
async fn every_filter_finds_what_it_says() {
    let world = World::new().await;
    let texts = ["", "a", "b", "ab", "ba", "abc", "a/b", "a longer one than most"];
    for persistence_id in texts {
        for id in texts {
            if persistence_id.len().is_multiple_of(2) {
                world.put((persistence_id, id), plain("v")).await;
            } else {
                let events = vec![plain("1"), plain("2")];
                world.append((persistence_id, id), events, Some(plain("s"))).await;
            }
            let address = Address::primitive(persistence_id, id);
            let stored = counter::Command::Set(1).call(&*world.engine, &address).await;
            stored.expect("a counter");
        }
    }
    let wanted = texts.into_iter().chain(["c", "missing"]).map(Some).chain([None]);
    for (persistence_id, id) in wanted
        .clone()
        .flat_map(|one| wanted.clone().map(move |id| (one, id)))
    {
        let filter = only(persistence_id, id);
        let fits = |wanted: Option<&str>, of: &str| wanted.is_none_or(|wanted| wanted == of);
        let ids = texts.into_iter().filter(|of| fits(id, of)).count();
        let kept = |events: bool| {
            let kinds = texts.into_iter().filter(|of| fits(persistence_id, of));
            let kinds = kinds.filter(|of| of.len().is_multiple_of(2) != events);
            kinds.count() * ids
        };
        let rows = |table| world.rows(table, &filter);
        let counts = [
            rows("entities").await.len(),
            rows("entity_events").await.len(),
            rows("entity_snapshots").await.len(),
            rows("entity_values").await.len(),
        ];
        let expected = [kept(true) + kept(false), kept(true) * 2, kept(true), kept(false)];
        assert_eq!(counts, expected, "{filter:?}");
    }
}

#[tokio::test]
async fn pages_are_bounded_by_rows_and_by_bytes() {
    let world = World::new().await;
    let many = limits::QUERY_PAGE_ROWS * 2 + 7;
    let events = (0..many).map(|_| plain("e")).collect();
    world.append(("carts", "many"), events, None).await;
    let large = vec![b'x'; limits::QUERY_PAGE_BYTES / 2];
    let events = (0..5).map(|_| payload("x/y", large.clone())).collect();
    world.append(("carts", "large"), events, None).await;
    let value = payload("x/y", [large.clone(), large.clone(), large].concat());
    for id in ["a", "b", "c"] {
        world.put(("values", id), value.clone()).await;
    }
    for (table, count) in [("entity_events", many + 5), ("entity_values", 3), ("entities", 5)] {
        let pages = world.pages(table, &Filter::default()).await;
        let rows: usize = pages.iter().map(Vec::len).sum();
        assert_eq!(rows, count, "{table}");
        for page in &pages {
            let length = |row: &Found| match row.get("payload_length") {
                Some(Value::Unsigned(length)) => *length as usize,
                _ => 0,
            };
            let bytes: usize = page.iter().map(length).sum();
            assert!(page.len() <= limits::QUERY_PAGE_ROWS, "{table}: {}", page.len());
            // One more row may begin while there is room.
            assert!(bytes <= limits::QUERY_PAGE_BYTES * 5 / 2, "{table}: {bytes}");
        }
    }
    let entities = world.rows("entities", &only(Some("values"), Some("b"))).await;
    let length = Value::Unsigned(value.value.len() as u64);
    check(&entities[0], &[("value_length", length)]);
}

/// Counts what is asked of it.
struct Counted {
    survey: Box<dyn Survey>,
    scans: AtomicUsize,
}

#[async_trait]
impl Survey for Counted {
    fn partitions(&self) -> u16 {
        self.survey.partitions()
    }

    fn partition(&self, address: &Address) -> u16 {
        self.survey.partition(address)
    }

    async fn scan(&self, partition: u16, scan: Span) -> Result<SpanPage> {
        self.scans.fetch_add(1, Ordering::Relaxed);
        self.survey.scan(partition, scan).await
    }

    async fn get(&self, keys: &[(Address, Key)]) -> Result<Vec<Option<Bytes>>> {
        self.survey.get(keys).await
    }
}

#[tokio::test]
async fn one_of_many_is_not_looked_for_but_looked_up() {
    let world = World::new().await;
    for number in 0..200 {
        let id = format!("id {number:03}");
        world.append(("carts", &id), vec![plain("e")], None).await;
    }
    world.append(("other", "a"), vec![plain("e")], None).await;
    let survey = Counted {
        survey: world.engine.survey().expect("a store in memory"),
        scans: AtomicUsize::new(0),
    };
    let partitions = usize::from(survey.partitions());
    for (filter, scans_max) in [
        (only(Some("carts"), Some("id 077")), 2),
        // In each partition: one entity or a leap over the others, and the end.
        (only(Some("other"), None), partitions * 3),
    ] {
        let mut walk = Walk::new(&survey, &filter, None);
        let mut found = 0;
        while let Some(entity) = walk.next(1).await.expect("rows") {
            walk.leave(&entity.address);
            found += 1;
        }
        let scans = survey.scans.swap(0, Ordering::Relaxed);
        assert!(found == 1 && scans <= scans_max, "{filter:?}: {found} in {scans}");
    }
}
