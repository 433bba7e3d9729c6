//! What every [`Sequencer`] must do. Each check uses keys of its own, so that they can share a store.

use std::sync::Arc;

use base::{Kind, limits};

use crate::sequencer::{Range, Sequencer};

pub async fn all(store: Arc<dyn Sequencer>) {
    a_fresh_key_begins_at_one(&*store).await;
    ranges_follow_each_other(&*store).await;
    no_id_is_handed_out_twice(&*store).await;
    ids_are_larger_than_what_was_raised_to(&*store).await;
    bounds_are_checked(&*store).await;
}

/// `open` opens the same store again; the one before is dropped by then.
pub async fn restarts(open: impl AsyncFn() -> Arc<dyn Sequencer>) {
    let store = open().await;
    let before = reserve(&*store, "restart/ids", 10).await;
    raise(&*store, "restart/raised", 500).await;
    drop(store);
    let store = open().await;
    assert!(reserve(&*store, "restart/ids", 1).await.first > before.last);
    assert!(reserve(&*store, "restart/raised", 1).await.first > 500);
}

async fn reserve(store: &dyn Sequencer, key: &str, count: u64) -> Range {
    let range = store.reserve(key, count).await.expect("the store works");
    assert_eq!(range.last - range.first + 1, count, "{range:?}");
    range
}

async fn raise(store: &dyn Sequencer, key: &str, at_least: u64) {
    store.raise(key, at_least).await.expect("the store works");
}

async fn a_fresh_key_begins_at_one(store: &dyn Sequencer) {
    for count in [1, 2, 10_000] {
        let key = format!("fresh/{count}");
        let expected = Range {
            first: 1,
            last: count,
        };
        assert_eq!(reserve(store, &key, count).await, expected);
    }
}

async fn ranges_follow_each_other(store: &dyn Sequencer) {
    let mut last = 0;
    for count in [1, 5, 1, limits::SEQUENCE_COUNT_MAX, 2] {
        let range = reserve(store, "follow", count).await;
        assert!(range.first > last, "{range:?} after {last}");
        last = range.last;
    }
}

async fn no_id_is_handed_out_twice(store: &dyn Sequencer) {
    let reserving = (0..200).map(|n| reserve(store, "race", 1 + n % 3));
    let ranges = futures::future::join_all(reserving).await;
    let mut ids: Vec<u64> = ranges.iter().flat_map(|range| range.first..=range.last).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

async fn ids_are_larger_than_what_was_raised_to(store: &dyn Sequencer) {
    raise(store, "raise", 41).await;
    assert!(reserve(store, "raise", 1).await.first > 41);
    let range = reserve(store, "raise", 100).await;
    raise(store, "raise", 7).await;
    assert!(reserve(store, "raise", 1).await.first > range.last);
    raise(store, "raise", 1 << 62).await;
    assert!(reserve(store, "raise", 1).await.first > 1 << 62);
}

async fn bounds_are_checked(store: &dyn Sequencer) {
    let long = "k".repeat(limits::KEY_BYTES_MAX + 1);
    for (key, count) in [
        ("", 1),
        (&*long, 1),
        ("bounds", 0),
        ("bounds", limits::SEQUENCE_COUNT_MAX + 1),
    ] {
        let error = store.reserve(key, count).await.expect_err("it is out of bounds");
        assert_eq!(error.kind(), Kind::InvalidArgument);
    }
    let error = store.raise("", 1).await.expect_err("the key is empty");
    assert_eq!(error.kind(), Kind::InvalidArgument);
    assert_eq!(
        reserve(store, "bounds", 1).await.first,
        1,
        "refused calls take no ids"
    );
}
