//! Calls, sends, runs and state.

use serde_json::{Value, json};

use super::world::World;

pub(super) async fn a_call_is_answered(world: &World, _: &str) {
    let greeting = world.call("Greeter/greet", "Ann").await;
    assert_eq!(greeting.value(), "Hello Ann");
}

pub(super) async fn runs_go_on_one_after_another(world: &World, key: &str) {
    let sum = world.call("Greeter/three", key).await;
    assert_eq!(sum.value(), 6);
    for step in ["one", "two", "three"] {
        assert_eq!(world.count(key, step), 1, "{step}");
    }
}

pub(super) async fn a_handler_calls_another_one(world: &World, _: &str) {
    let greeting = world.call("Greeter/chain", "Bob").await;
    assert_eq!(greeting.value(), "Hello Bob");
}

pub(super) async fn a_handler_sends_to_an_object(world: &World, key: &str) {
    world.call("Greeter/oneWay", key).await.value();
    count_becomes(world, key, 1).await;
}

pub(super) async fn a_send_may_be_delayed(world: &World, key: &str) {
    let sent = tokio::time::Instant::now();
    let request = json!({"key": key, "ms": 700});
    world.call("Greeter/later", request).await.value();
    count_becomes(world, key, 1).await;
    // Its clock counts milliseconds.
    assert!(sent.elapsed().as_millis() >= 699, "{:?}", sent.elapsed());
}

async fn count_becomes(world: &World, key: &str, count: u64) {
    let path = format!("Counter/{key}/get");
    let asked = async || (world.call(&path, Value::Null).await.value() == count).then_some(());
    tests::eventually("the counter to be told", asked).await;
}

pub(super) async fn an_object_has_state(world: &World, key: &str) {
    let counter = async |handler: &str, input: Value| {
        let path = format!("Counter/{key}/{handler}");
        world.call(&path, input).await.value()
    };
    let ask = async |handler| counter(handler, Value::Null).await;
    assert_eq!(ask("get").await, 0);
    assert_eq!(counter("add", json!(40)).await, 40);
    assert_eq!(counter("add", json!(2)).await, 42);
    assert_eq!((ask("get").await, ask("lazy").await), (json!(42), json!(42)));
    assert_eq!(ask("keys").await, json!(["count", "last"]));
    ask("clear").await;
    assert_eq!(ask("keys").await, json!(["count"]));
    assert_eq!(ask("get").await, 42);
    ask("reset").await;
    assert_eq!(ask("keys").await, json!([]));
    assert_eq!((ask("get").await, ask("lazy").await), (json!(0), json!(0)));
}

pub(super) async fn an_idempotent_call_runs_once(world: &World, key: &str) {
    let first = world.call_once("Greeter/three", key, key).await;
    let second = world.call_once("Greeter/three", "another", key).await;
    assert_eq!((first.value(), second.value()), (json!(6), json!(6)));
    assert_eq!((world.count(key, "one"), world.count("another", "one")), (1, 0));
}
