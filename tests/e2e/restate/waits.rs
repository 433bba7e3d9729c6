//! Sleeps, awakeables, promises; what waits for long suspends.

use std::time::Duration;

use serde_json::{Value, json};

use super::world::World;

pub(super) async fn a_sleep_ends(world: &World, key: &str) {
    let started = tokio::time::Instant::now();
    let slept = world.call("Greeter/nap", json!({"key": key, "ms": 300})).await;
    assert_eq!(slept.value(), "slept");
    // Its clock counts milliseconds.
    assert!(started.elapsed().as_millis() >= 299, "{:?}", started.elapsed());
    assert_eq!(world.count(key, "after"), 1);
}

/// From outside, then by another handler.
pub(super) async fn an_awakeable_is_resolved(world: &World, key: &str) {
    let waiting = world.send("Greeter/awakeable", key).await;
    let id = world.noted(key, "id ").await;
    let path = format!("restate/awakeables/{id}/resolve");
    assert_eq!(world.call(&path, "good morning").await.status, 202);
    assert_eq!(world.attach(&waiting).await.value(), "good morning");

    let key = format!("{key}-again");
    let waiting = world.send("Greeter/awakeable", key.as_str()).await;
    let id = world.noted(&key, "id ").await;
    let request = json!({"id": id, "value": "good evening"});
    world.call("Greeter/resolve", request).await.value();
    assert_eq!(world.attach(&waiting).await.value(), "good evening");
}

/// From outside, then by another handler.
pub(super) async fn an_awakeable_is_rejected(world: &World, key: &str) {
    let waiting = world.send("Greeter/awakeable", key).await;
    let id = world.noted(key, "id ").await;
    let path = format!("restate/awakeables/{id}/reject");
    assert_eq!(world.post_text(&path, "not today").await.status, 202);
    let failure = world.attach(&waiting).await.failure();
    assert_eq!(failure, (500, "not today".to_owned()));

    let key = format!("{key}-again");
    let waiting = world.send("Greeter/awakeable", key.as_str()).await;
    let id = world.noted(&key, "id ").await;
    let request = json!({"id": id, "value": "never"});
    world.call("Greeter/reject", request).await.value();
    let failure = world.attach(&waiting).await.failure();
    assert_eq!(failure, (500, "never".to_owned()));
}

pub(super) async fn a_workflow_waits_for_its_promise(world: &World, key: &str) {
    let ask = async |handler: &str, input: Value| world.call(&format!("Wf/{key}/{handler}"), input).await;
    world.send(&format!("Wf/{key}/run"), "order").await;
    let second = ask("run", json!("again")).await;
    assert_eq!(second.status, 409, "{second:?}");
    assert_eq!(ask("peek", Value::Null).await.value(), "-");
    ask("finish", json!("paid")).await.value();
    let attached = world.get(&format!("restate/workflow/Wf/{key}/attach")).await;
    assert_eq!(attached.value(), "order:paid");
    assert_eq!(ask("peek", Value::Null).await.value(), "paid");
    let third = ask("run", json!("again")).await;
    assert_eq!(third.status, 409, "{third:?}");
    // Some SDKs tell the caller that it is too late, some do not.
    ask("finish", json!("paid twice")).await;
    assert_eq!(ask("peek", Value::Null).await.value(), "paid");
}

pub(super) async fn a_promise_is_rejected(world: &World, key: &str) {
    world.send(&format!("Wf/{key}/run"), "order").await;
    world.call(&format!("Wf/{key}/refuse"), "no money").await.value();
    let attached = world.get(&format!("restate/workflow/Wf/{key}/attach")).await;
    assert_eq!(attached.failure(), (500, "no money".to_owned()));
}

pub(super) async fn a_sleep_suspends_and_resumes(world: &World, key: &str) {
    let slept = world.call("Idle/nap", json!({"key": key, "ms": 1200})).await;
    assert_eq!(slept.value(), "slept");
    has_suspended(world, key);
    assert_eq!((world.count(key, "before"), world.count(key, "after")), (1, 1));
}

pub(super) async fn an_awakeable_suspends_and_resumes(world: &World, key: &str) {
    let waiting = world.send("Idle/awakeable", key).await;
    let id = world.noted(key, "id ").await;
    // Nothing tells from outside that it is suspended: much longer than its inactivity timeout of 100 ms.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let path = format!("restate/awakeables/{id}/resolve");
    assert_eq!(world.call(&path, "good morning").await.status, 202);
    assert_eq!(world.attach(&waiting).await.value(), "good morning");
    has_suspended(world, key);
}

/// On a busy machine it may suspend more often, on the run before.
fn has_suspended(world: &World, key: &str) {
    let attempts = world.count(key, "attempt");
    assert!(attempts >= 2, "{attempts} attempts");
}
