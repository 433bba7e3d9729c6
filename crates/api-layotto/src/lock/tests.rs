use std::time::Duration;

use base::codes;
use tonic::{Code, Response, Status};
use wire::layotto as pb;
use wire::layotto::runtime_client::RuntimeClient;

use crate::components::{Components, Prefix};
use crate::testing::{Fakes, STORE, assert_refused, run};

type Client = RuntimeClient<tonic::transport::Channel>;

fn try_lock(store: &str, id: &str, owner: &str, expire: i32) -> pb::TryLockRequest {
    pb::TryLockRequest {
        store_name: store.into(),
        resource_id: id.into(),
        lock_owner: owner.into(),
        expire,
    }
}

fn keep_alive(store: &str, id: &str, owner: &str, expire: i32) -> pb::LockKeepAliveRequest {
    pb::LockKeepAliveRequest {
        store_name: store.into(),
        resource_id: id.into(),
        lock_owner: owner.into(),
        expire,
    }
}

fn unlock(store: &str, id: &str, owner: &str) -> pb::UnlockRequest {
    pb::UnlockRequest {
        store_name: store.into(),
        resource_id: id.into(),
        lock_owner: owner.into(),
    }
}

fn token<T>(response: &Response<T>) -> Option<u64> {
    let text = response.metadata().get("belay-fencing-token")?;
    text.to_str().ok()?.parse().ok()
}

/// All three calls with the same arguments; `Unlock` has no lease.
async fn refusals(client: &mut Client, store: &str, id: &str, owner: &str, expire: i32) -> Vec<Status> {
    let mut refusals = vec![
        client.try_lock(try_lock(store, id, owner, expire)).await.err(),
        client
            .lock_keep_alive(keep_alive(store, id, owner, expire))
            .await
            .err(),
    ];
    if expire > 0 {
        refusals.push(client.unlock(unlock(store, id, owner)).await.err());
    }
    refusals.into_iter().flatten().collect()
}

#[tokio::test]
async fn arguments_are_checked_in_the_order_of_the_reference() {
    let mut client = Fakes::default().run().await.client;
    let invalid = Code::InvalidArgument;
    let rows = [
        (
            "other",
            "",
            "",
            0,
            invalid,
            "ResourceId is empty in lock store other",
        ),
        (
            "other",
            "a||b",
            "",
            0,
            invalid,
            "LockOwner is empty in lock store other",
        ),
        (
            "other",
            "a||b",
            "me",
            0,
            invalid,
            "Expire is not positive in lock store other",
        ),
        (
            "other",
            "a||b",
            "me",
            -1,
            invalid,
            "Expire is not positive in lock store other",
        ),
        ("other", "a||b", "me", 1, invalid, "lock store other not found"),
        (
            STORE,
            "a||b",
            "me",
            1,
            Code::Unknown,
            "input key/keyPrefix 'a||b' can't contain '||'",
        ),
    ];
    for (store, id, owner, expire, code, message) in rows {
        let refusals = refusals(&mut client, store, id, owner, expire).await;
        assert_eq!(refusals.len(), if expire > 0 { 3 } else { 2 }, "{message}");
        for refusal in refusals {
            assert_eq!((refusal.code(), refusal.message()), (code, message));
        }
    }
}

#[tokio::test]
async fn no_lock_store_at_all_comes_before_any_argument() {
    let mut client = run(Components::default()).await.client;
    let refusals = refusals(&mut client, STORE, "", "", 1).await;
    assert_eq!(refusals.len(), 3);
    for refusal in refusals {
        assert_eq!(refusal.code(), Code::FailedPrecondition);
        assert_eq!(refusal.message(), "lock store is not configured");
    }
}

#[tokio::test]
async fn a_stores_failure_comes_raw_and_overload_keeps_its_code() {
    let fakes = Fakes::default();
    let mut client = fakes.run().await.client;
    for (fault, code) in [
        (codes::ENGINE_STOPPED, Code::Unknown),
        (codes::KEY_INVALID, Code::Unknown),
        (codes::ENGINE_QUEUE_FULL, Code::ResourceExhausted),
    ] {
        fakes.locks.fault.set(fault, "no way");
        let refusals = refusals(&mut client, STORE, "r", "me", 1).await;
        assert_eq!(refusals.len(), 3);
        for refusal in refusals {
            assert_eq!((refusal.code(), refusal.message()), (code, "no way"));
            let id = refusal
                .metadata()
                .get("belay-error-code")
                .expect("the code is named");
            assert_eq!(id, fault.id);
        }
    }
}

#[tokio::test]
async fn a_lock_is_held_by_one_and_not_taken_twice_by_its_owner() {
    let fakes = Fakes::default();
    let mut client = fakes.run().await.client;
    let granted = client
        .try_lock(try_lock(STORE, "r", "a", 30))
        .await
        .expect("it answers");
    let held = client
        .try_lock(try_lock(STORE, "r", "b", 30))
        .await
        .expect("it answers");
    let again = client
        .try_lock(try_lock(STORE, "r", "a", 60))
        .await
        .expect("it answers");
    assert_eq!(token(&granted), Some(1));
    assert_eq!((token(&held), token(&again)), (None, None));
    assert!(granted.into_inner().success);
    assert!(!held.into_inner().success && !again.into_inner().success);
    let grant = fakes.locks.grants.lock()["lock|||app||r"].clone();
    assert_eq!((grant.owner.as_str(), grant.ttl), ("a", Duration::from_secs(30)));
}

#[tokio::test]
async fn unlock_tells_three_cases_apart() {
    use pb::unlock_response::Status::{LockBelongToOthers, LockUnexist, Success};
    let mut client = Fakes::default().run().await.client;
    client
        .try_lock(try_lock(STORE, "r", "a", 30))
        .await
        .expect("it answers");
    for (owner, expected) in [("b", LockBelongToOthers), ("a", Success), ("a", LockUnexist)] {
        let answer = client
            .unlock(unlock(STORE, "r", owner))
            .await
            .expect("it answers");
        assert_eq!(answer.into_inner().status(), expected);
    }
}

#[tokio::test]
async fn a_kept_lock_keeps_its_token_and_a_new_grant_has_a_larger_one() {
    use pb::lock_keep_alive_response::Status::{LockBelongToOthers, LockUnexist, Success};
    let fakes = Fakes::default();
    let mut client = fakes.run().await.client;
    client
        .try_lock(try_lock(STORE, "r", "a", 30))
        .await
        .expect("it answers");
    for (id, owner, status, expected) in [
        ("r", "a", Success, Some(1)),
        ("r", "b", LockBelongToOthers, None),
        ("s", "a", LockUnexist, None),
    ] {
        let answer = client.lock_keep_alive(keep_alive(STORE, id, owner, 90)).await;
        let answer = answer.expect("it answers");
        assert_eq!(token(&answer), expected);
        assert_eq!(answer.into_inner().status(), status);
    }
    let grant = fakes.locks.grants.lock()["lock|||app||r"].clone();
    assert_eq!(grant.ttl, Duration::from_secs(90));
    client.unlock(unlock(STORE, "r", "a")).await.expect("it answers");
    let next = client
        .try_lock(try_lock(STORE, "r", "b", 30))
        .await
        .expect("it answers");
    assert_eq!(token(&next), Some(2));
}

#[tokio::test]
async fn the_prefix_of_the_component_is_in_the_stored_key() {
    let fakes = Fakes::default();
    let mut components = fakes.components();
    let lock = components.locks.get_mut(STORE).expect("the store is there");
    lock.prefix = Prefix::parse("MyApp", Prefix::AppId).expect("the prefix is fine");
    let mut client = run(components).await.client;
    client
        .try_lock(try_lock(STORE, "r", "a", 30))
        .await
        .expect("it answers");
    let keys: Vec<String> = fakes.locks.grants.lock().keys().cloned().collect();
    assert_eq!(keys, ["lock|||myapp||r"]);
    let answer: Result<_, Status> = client.try_lock(try_lock(STORE, "x||r", "a", 30)).await;
    assert_refused(
        answer,
        Code::Unknown,
        "input key/keyPrefix 'x||r' can't contain '||'",
    );
}
