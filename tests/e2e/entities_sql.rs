//! What entities store, for people: the tables of SQL, and `belay entities`. The user function is the one in Go.

use serde_json::{Value, json};
use tests::Belay;
use tests::belay::{Ran, belay};

use super::cloudstate::function::GO;
use super::cloudstate::world::World;

const CARTS: &str = "shopping-cart";
const VALUES: &str = "value-shopping-cart";
const CART: &str = "com.example.shoppingcart.ShoppingCart";

async fn add(world: &World, path: &str, product: &str) {
    let item = json!({ "productId": product, "name": format!("A {product}"), "quantity": 10 });
    let (status, text) = world.call("POST", path, &item.to_string()).await;
    assert_eq!(status, 200, "{text}");
}

async fn one(world: &World, query: &str) -> Value {
    let rows = world.sql(query).await;
    assert_eq!(rows.len(), 1, "{query}: {rows:?}");
    rows.into_iter().next().expect("one")
}

/// `belay entities`
async fn ask(world: &World, arguments: &[&str]) -> Ran {
    let data = world.belay.data().into_os_string();
    let arguments = ["entities"].iter().chain(arguments).map(Into::into);
    let arguments = arguments.chain(["--data-dir".into(), data]);
    belay(arguments.collect::<Vec<_>>()).await
}

/// The objects, one on a line.
#[track_caller]
fn objects(ran: &Ran) -> Vec<Value> {
    assert_eq!(ran.code, 0, "{}", ran.err);
    let object = |line| serde_json::from_str(line).expect("an object on a line");
    ran.out.lines().map(object).collect()
}

#[track_caller]
fn check(found: &Value, expected: &Value) {
    for (column, value) in expected.as_object().expect("columns") {
        assert_eq!(&found[column], value, "{column} of {found}");
    }
}

#[tokio::test]
async fn entities_that_are_not_there_are_told_with_their_code() {
    let belay = Belay::run("components: []").await;
    let data = belay.data().into_os_string();
    for what in ["describe", "events"] {
        let arguments = ["entities", what, "carts/it's"].map(Into::into);
        let ran = tests::belay::belay(arguments.into_iter().chain(["--data-dir".into(), data.clone()])).await;
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{}", ran.err);
        let start = "error BLY0123: nothing is stored of entity carts/it's\n";
        assert!(ran.err.starts_with(start), "{}", ran.err);
    }
    let arguments = ["entities", "describe", "carts"].map(Into::into);
    let ran = tests::belay::belay(arguments.into_iter().chain(["--data-dir".into(), data])).await;
    assert!(
        ran.code == 2 && ran.err.contains("PERSISTENCE_ID/ID"),
        "{}",
        ran.err
    );
}

/// With entities of the Go SDK.
mod go {
    use super::*;

    #[tokio::test]
    async fn entities_and_what_they_keep_are_tables_beside_the_others() {
        let world = World::start(&GO).await;
        for product in ["tea", "milk", "tea", "tea", "tea", "honey"] {
            add(&world, "/cart/ann/items/add", product).await;
        }
        add(&world, "/cart/bob/items/add", "tea").await;
        add(&world, "/ve/cart/ann/items/add", "tea").await;

        let ann = "WHERE persistence_id = 'shopping-cart' AND id = 'ann'";
        let cart = one(&world, &format!("SELECT * FROM entities {ann}")).await;
        let expected = json!({
            "kind": "event_sourced", "sequence": 6, "snapshot_sequence": 5, "services": [CART], "active": true,
        });
        check(&cart, &expected);
        assert!(cart.get("value_type_url").is_none(), "{cart}");
        assert!(
            cart["modified_at"].as_str() >= cart["created_at"].as_str(),
            "{cart}"
        );
        let value = one(
            &world,
            "SELECT * FROM entities WHERE kind = 'value' AND id = 'ann'",
        )
        .await;
        check(&value, &json!({ "persistence_id": VALUES }));
        let url = value["value_type_url"].as_str().expect("a type");
        assert!(url.starts_with("type.googleapis.com/"), "{url}");

        let events = world
            .sql("SELECT * FROM entity_events WHERE entity_id = 'ann' ORDER BY sequence")
            .await;
        let sequences: Vec<_> = events.iter().map(|event| event["sequence"].as_u64()).collect();
        assert_eq!(sequences, (1..=6).map(Some).collect::<Vec<_>>());
        let added = json!({
            "type_url": "type.googleapis.com/com.example.shoppingcart.persistence.ItemAdded",
            "payload_json": "{\"item\":{\"productId\":\"milk\",\"name\":\"A milk\",\"quantity\":10}}",
        });
        check(&events[1], &added);
        let snapshot = one(&world, "SELECT * FROM entity_snapshots").await;
        check(&snapshot, &json!({ "entity_id": "ann", "sequence": 5 }));
        let kept = one(
            &world,
            "SELECT v.sequence = e.sequence AS same, payload_json FROM entities e JOIN entity_values v \
              ON v.persistence_id = e.persistence_id AND v.entity_id = e.id",
        )
        .await;
        assert!(
            kept["payload_json"].as_str().expect("JSON").contains("tea"),
            "{kept}"
        );
        assert_eq!(kept["same"], json!(true), "{kept}");

        // One engine for all families.
        let tables = world.sql("SHOW TABLES").await;
        let has = |name: &str| tables.iter().any(|table| table["table_name"] == name);
        assert!(
            has("sys_invocation") && has("entities") && has("entity_events"),
            "{tables:?}"
        );
        let both = "SELECT (SELECT count(*) FROM entities) AS entities, (SELECT count(*) FROM sys_invocation) AS invocations";
        assert_eq!(
            one(&world, both).await,
            json!({ "entities": 3, "invocations": 0 })
        );
        let columns =
            "SELECT count(*) AS n FROM information_schema.columns WHERE table_name = 'entity_events'";
        assert_eq!(one(&world, columns).await, json!({ "n": 9 }));
    }

    #[tokio::test]
    async fn people_list_and_look_at_entities() {
        let world = World::start(&GO).await;
        for product in ["tea", "milk", "tea", "tea", "tea", "honey"] {
            add(&world, "/cart/ann/items/add", product).await;
        }
        add(&world, "/ve/cart/bob/items/add", "tea").await;

        let all = ask(&world, &["list"]).await;
        assert!(
            all.out.starts_with("PERSISTENCE_ID ") && all.out.ends_with("2 rows\n"),
            "{}{}",
            all.out,
            all.err
        );
        let found = objects(&ask(&world, &["list", "--kind", "value", "--json"]).await);
        assert_eq!(found.len(), 1, "{found:?}");
        check(&found[0], &json!({ "persistence_id": VALUES, "id": "bob" }));
        let found = objects(&ask(&world, &["list", "--persistence-id", CARTS, "--json"]).await);
        assert_eq!(found.len(), 1, "{found:?}");
        let found = objects(&ask(&world, &["list", "--limit", "1", "--json"]).await);
        check(&found[0], &json!({ "id": "bob" }));

        let described = ask(&world, &["describe", "shopping-cart/ann"]).await;
        for part in [
            "shopping-cart/ann  event_sourced  active\n  sequence: 6\n",
            "  services: com.example.shoppingcart.ShoppingCart\n  snapshot: type.googleapis.com/",
            "bytes, at sequence 5\n    {\"items\":[{\"productId\":\"tea\",",
        ] {
            assert!(
                described.out.contains(part),
                "{part} in {}{}",
                described.out,
                described.err
            );
        }
        let described = objects(&ask(&world, &["describe", VALUES, "bob", "--json"]).await);
        check(&described[0], &json!({ "kind": "value", "id": "bob" }));
        assert!(described[0]["value"]["payload"].is_string(), "{}", described[0]);

        let events = ask(&world, &["events", "shopping-cart/ann", "--after", "4"]).await;
        let lines: Vec<_> = events.out.lines().collect();
        assert!(
            lines[0].starts_with("SEQUENCE") && lines[1].starts_with('5') && lines[3] == "2 rows",
            "{}{}",
            events.out,
            events.err
        );
        let events = objects(&ask(&world, &["events", "shopping-cart/ann", "--limit", "3", "--json"]).await);
        assert_eq!(events.len(), 3, "{events:?}");
        assert!(events[2]["payload"].is_string(), "{events:?}");
        let none = ask(&world, &["events", "value-shopping-cart/bob"]).await;
        assert_eq!((none.code, none.out.as_str()), (0, "0 rows\n"));
    }
}
