//! How invocations fail, are tried again, cancelled and killed.

use serde_json::{Value, json};

use super::world::World;

/// Longer than any test.
const FOR_EVER_MS: u64 = 3_600_000;

pub(super) async fn a_terminal_error_reaches_the_caller(world: &World, _: &str) {
    let failure = world.call("Greeter/fail", "I am a teapot").await.failure();
    assert_eq!(failure, (418, "I am a teapot".to_owned()));
}

pub(super) async fn a_handler_is_tried_again(world: &World, key: &str) {
    let attempts = world.call("Greeter/flaky", key).await;
    assert_eq!(attempts.value(), 3);
    assert_eq!(world.count(key, "attempt"), 3);
}

pub(super) async fn a_run_is_tried_again(world: &World, key: &str) {
    let attempts = world.call("Greeter/flakyRun", key).await;
    assert_eq!(attempts.value(), 3);
    assert_eq!(world.count(key, "attempt"), 3);
}

pub(super) async fn a_cancel_ends_a_sleep(world: &World, key: &str) {
    let napping = nap(world, "Greeter/nap", key).await;
    let cancelled = end(world, &napping, "cancel").await;
    assert_eq!(cancelled, 202);
    assert_eq!(world.attach(&napping).await.status, 409);
    assert_eq!(world.count(key, "after"), 0);
    assert_eq!(end(world, &napping, "cancel").await, 409, "it has ended");
}

pub(super) async fn a_cancel_reaches_what_was_called(world: &World, key: &str) {
    let calling = nap(world, "Greeter/chainNap", key).await;
    assert_eq!(end(world, &calling, "cancel").await, 202);
    assert_eq!(world.attach(&calling).await.status, 409);
    assert_eq!(world.count(key, "after"), 0);
}

pub(super) async fn a_kill_ends_a_sleep(world: &World, key: &str) {
    let napping = nap(world, "Greeter/nap", key).await;
    let killed = end(world, &napping, "kill").await;
    assert_eq!(killed, 200);
    assert_eq!(world.attach(&napping).await.status, 409);
    assert_eq!(world.count(key, "after"), 0);
}

/// A sleep that would not end by itself, begun.
async fn nap(world: &World, path: &str, key: &str) -> String {
    let id = world.send(path, json!({"key": key, "ms": FOR_EVER_MS})).await;
    world.noted(key, "before").await;
    id
}

async fn end(world: &World, id: &str, how: &str) -> u16 {
    let path = format!("invocations/{id}/{how}");
    world.admin("PATCH", &path, &Value::Null).await.status
}
