//! What every [`LockStore`] must do. Each check uses keys of its own, so that they can share a store.

use std::sync::Arc;
use std::time::Duration;

use base::{Kind, limits};

use crate::lock::{Extend, LockStore, Token, TryLock, Unlock};

const LEASE: Duration = Duration::from_secs(4);
/// A lease may last this much longer.
const GRACE: Duration = Duration::from_secs(1);
/// Leases that must not end while a check runs.
const LONG: Duration = Duration::from_secs(3_600);

/// `advance` moves the clock that the store judges leases by, or waits for it.
pub async fn all(store: Arc<dyn LockStore>, advance: &(dyn Fn(Duration) + Sync)) {
    a_held_lock_is_refused_to_everyone(&*store).await;
    only_its_owner_can_unlock(&*store).await;
    tokens_grow(&*store, advance).await;
    a_lease_ends_in_time(&*store, advance).await;
    an_extension_begins_the_lease_anew(&*store, advance).await;
    only_its_owner_can_extend(&*store).await;
    locks_are_independent(&*store).await;
    many_racers_have_one_winner(&*store).await;
    bounds_are_checked(&*store).await;
}

/// `open` opens the same store again; the one before is dropped by then.
pub async fn restarts(open: impl AsyncFn() -> Arc<dyn LockStore>) {
    let store = open().await;
    let first = take(&*store, "restart/released", "a", LONG).await;
    unlock(&*store, "restart/released", "a", Unlock::Released).await;
    let held = take(&*store, "restart/held", "a", LONG).await;
    drop(store);
    let store = open().await;
    assert!(take(&*store, "restart/released", "b", LONG).await > first);
    refused(&*store, "restart/held", "b").await;
    let extended = store.extend("restart/held", "a", LONG).await;
    assert_eq!(extended.expect("the store works"), Extend::Extended(held));
}

/// Takes a lock that must be free.
pub async fn take(store: &dyn LockStore, key: &str, owner: &str, ttl: Duration) -> Token {
    match store.try_lock(key, owner, ttl).await.expect("the store works") {
        TryLock::Granted(token) => token,
        TryLock::Held => panic!("{key} should be free"),
    }
}

async fn refused(store: &dyn LockStore, key: &str, owner: &str) {
    let outcome = store.try_lock(key, owner, LONG).await;
    assert_eq!(
        outcome.expect("the store works"),
        TryLock::Held,
        "{key} for {owner}"
    );
}

async fn unlock(store: &dyn LockStore, key: &str, owner: &str, expected: Unlock) {
    let outcome = store.unlock(key, owner).await;
    assert_eq!(outcome.expect("the store works"), expected, "{key} by {owner}");
}

async fn extend(store: &dyn LockStore, key: &str, owner: &str, expected: Extend) {
    let outcome = store.extend(key, owner, LEASE).await;
    assert_eq!(outcome.expect("the store works"), expected, "{key} by {owner}");
}

async fn a_held_lock_is_refused_to_everyone(store: &dyn LockStore) {
    take(store, "held", "a", LONG).await;
    refused(store, "held", "b").await;
    refused(store, "held", "a").await;
    unlock(store, "held", "a", Unlock::Released).await;
    take(store, "held", "b", LONG).await;
}

async fn only_its_owner_can_unlock(store: &dyn LockStore) {
    unlock(store, "owner", "a", Unlock::NotLocked).await;
    take(store, "owner", "a", LONG).await;
    unlock(store, "owner", "b", Unlock::HeldByAnother).await;
    refused(store, "owner", "b").await;
    unlock(store, "owner", "a", Unlock::Released).await;
    unlock(store, "owner", "a", Unlock::NotLocked).await;
}

async fn tokens_grow(store: &dyn LockStore, advance: &(dyn Fn(Duration) + Sync)) {
    let mut tokens = vec![];
    for _ in 0..3 {
        tokens.push(take(store, "tokens", "a", LEASE).await);
        unlock(store, "tokens", "a", Unlock::Released).await;
    }
    for owner in ["b", "c"] {
        tokens.push(take(store, "tokens", owner, LEASE).await);
        advance(LEASE + GRACE);
    }
    assert!(tokens.windows(2).all(|pair| pair[0] < pair[1]), "{tokens:?}");
}

async fn a_lease_ends_in_time(store: &dyn LockStore, advance: &(dyn Fn(Duration) + Sync)) {
    take(store, "lease", "a", LEASE).await;
    advance(LEASE - Duration::from_secs(1));
    refused(store, "lease", "b").await;
    advance(Duration::from_secs(1) + GRACE);
    unlock(store, "lease", "a", Unlock::NotLocked).await;
    extend(store, "lease", "a", Extend::NotLocked).await;
    take(store, "lease", "b", LEASE).await;
    unlock(store, "lease", "a", Unlock::HeldByAnother).await;
}

async fn an_extension_begins_the_lease_anew(store: &dyn LockStore, advance: &(dyn Fn(Duration) + Sync)) {
    let token = take(store, "extend", "a", LEASE).await;
    for _ in 0..3 {
        advance(LEASE - Duration::from_secs(1));
        extend(store, "extend", "a", Extend::Extended(token)).await;
    }
    refused(store, "extend", "b").await;
    advance(LEASE + GRACE);
    assert!(take(store, "extend", "b", LEASE).await > token);
}

async fn only_its_owner_can_extend(store: &dyn LockStore) {
    extend(store, "extender", "a", Extend::NotLocked).await;
    take(store, "extender", "a", LONG).await;
    extend(store, "extender", "b", Extend::HeldByAnother).await;
    unlock(store, "extender", "a", Unlock::Released).await;
    extend(store, "extender", "a", Extend::NotLocked).await;
}

async fn locks_are_independent(store: &dyn LockStore) {
    take(store, "apart", "a", LONG).await;
    take(store, "apart/", "b", LONG).await;
    take(store, "apar", "c", LONG).await;
    unlock(store, "apar", "a", Unlock::HeldByAnother).await;
}

async fn many_racers_have_one_winner(store: &dyn LockStore) {
    for round in 0..20 {
        let key = format!("race/{round}");
        let racers: Vec<String> = (0..50).map(|racer| racer.to_string()).collect();
        let tries = racers.iter().map(|racer| store.try_lock(&key, racer, LONG));
        let outcomes = futures::future::join_all(tries).await;
        let granted = |outcome: &_| matches!(outcome, Ok(TryLock::Granted(_)));
        let won: Vec<&String> = racers
            .iter()
            .zip(&outcomes)
            .filter_map(|(racer, outcome)| granted(outcome).then_some(racer))
            .collect();
        assert_eq!(won.len(), 1, "{key}: {outcomes:?}");
        unlock(store, &key, won[0], Unlock::Released).await;
    }
}

async fn bounds_are_checked(store: &dyn LockStore) {
    let long = "k".repeat(limits::KEY_BYTES_MAX + 1);
    for (key, owner, ttl) in [
        ("", "a", LEASE),
        (&long, "a", LEASE),
        ("bounds", &long, LEASE),
        ("bounds", "a", Duration::ZERO),
    ] {
        let error = store
            .try_lock(key, owner, ttl)
            .await
            .expect_err("it is out of bounds");
        assert_eq!(error.kind(), Kind::InvalidArgument);
    }
    unlock(store, "bounds", "a", Unlock::NotLocked).await;
}
