//! What every [`StateStore`] must do. Each check uses keys of its own, so that they can share a store.

use std::sync::Arc;
use std::time::Duration;

use base::Kind;
use bytes::Bytes;

use crate::state::{Action, Applied, Atomicity, Change, Etag, Expect, StateStore, Value};

/// `advance` moves the clock that the store expires values by, or waits for it.
pub async fn all(store: Arc<dyn StateStore>, advance: &(dyn Fn(Duration) + Sync)) {
    values_are_read_back(&*store).await;
    every_asked_key_is_answered_in_order(&*store).await;
    every_write_makes_a_new_etag(&*store).await;
    what_is_not_there_can_be_deleted(&*store).await;
    a_stale_etag_changes_nothing(&*store).await;
    an_etag_never_creates_a_key(&*store).await;
    an_etag_of_another_make_is_refused(&*store).await;
    the_first_write_wins(&*store).await;
    many_creators_make_one_value(store.clone()).await;
    changes_of_one_key_take_effect_in_order(&*store).await;
    a_mismatch_tells_its_index(&*store).await;
    keys_out_of_bounds_are_refused(&*store).await;
    if store.capabilities().transactions {
        a_transaction_changes_everything_or_nothing(&*store).await;
    }
    if store.capabilities().ttl {
        values_expire(&*store, advance).await;
        a_write_without_ttl_is_permanent(&*store, advance).await;
        a_refused_change_leaves_the_ttl(&*store, advance).await;
    }
}

/// A change of this key that expects nothing.
pub fn put(key: &str, data: &str) -> Change {
    Change {
        key: key.to_owned(),
        action: Action::Put {
            data: Bytes::from(data.to_owned()),
            ttl: None,
        },
        expect: Expect::Anything,
    }
}

pub fn put_for(key: &str, data: &str, ttl: Duration) -> Change {
    let action = Action::Put {
        data: Bytes::from(data.to_owned()),
        ttl: Some(ttl),
    };
    Change {
        action,
        ..put(key, data)
    }
}

pub fn delete(key: &str) -> Change {
    Change {
        key: key.to_owned(),
        action: Action::Delete,
        expect: Expect::Anything,
    }
}

impl Change {
    fn expecting(self, expect: Expect) -> Change {
        Change { expect, ..self }
    }

    fn at(self, etag: &Etag) -> Change {
        self.expecting(Expect::Etag(etag.clone()))
    }
}

async fn apply(store: &dyn StateStore, changes: Vec<Change>) -> Applied {
    let applied = store.apply(changes, Atomicity::BestEffort).await;
    applied.expect("the store works")
}

async fn done(store: &dyn StateStore, change: Change) {
    assert_eq!(apply(store, vec![change]).await, Applied::Done);
}

async fn get(store: &dyn StateStore, key: &str) -> Option<Value> {
    let mut values = store.get(&[key.to_owned()]).await.expect("the store works");
    assert_eq!(values.len(), 1, "one item per key");
    values.remove(0).expect("the key is good")
}

async fn data(store: &dyn StateStore, key: &str) -> Option<String> {
    let value = get(store, key).await?;
    Some(String::from_utf8(value.data.to_vec()).expect("the tests write texts"))
}

async fn etag(store: &dyn StateStore, key: &str) -> Etag {
    get(store, key).await.expect("the key is there").etag
}

async fn values_are_read_back(store: &dyn StateStore) {
    assert_eq!(get(store, "values/a").await, None);
    done(store, put("values/a", "one")).await;
    done(store, put("values/empty", "")).await;
    assert_eq!(data(store, "values/a").await.as_deref(), Some("one"));
    assert_eq!(data(store, "values/empty").await.as_deref(), Some(""));
    let bytes: Bytes = (0..=u8::MAX).collect();
    let action = Action::Put {
        data: bytes.clone(),
        ttl: None,
    };
    let change = Change {
        action,
        ..put("values/bytes", "")
    };
    done(store, change).await;
    assert_eq!(
        get(store, "values/bytes").await.map(|value| value.data),
        Some(bytes)
    );
    done(store, delete("values/a")).await;
    assert_eq!(get(store, "values/a").await, None);
    assert_eq!(
        apply(store, vec![]).await,
        Applied::Done,
        "no changes are made at once"
    );
}

async fn every_asked_key_is_answered_in_order(store: &dyn StateStore) {
    for key in ["order/a", "order/b"] {
        done(store, put(key, key)).await;
    }
    let keys = ["order/b", "order/none", "order/a", "order/b"].map(str::to_owned);
    let values = store.get(&keys).await.expect("the store works");
    let found: Vec<Option<Bytes>> = values
        .into_iter()
        .map(|value| value.expect("the key is good").map(|value| value.data))
        .collect();
    let expected = [Some("order/b"), None, Some("order/a"), Some("order/b")];
    assert_eq!(found, expected.map(|data| data.map(Bytes::from)));
    assert!(store.get(&[]).await.expect("the store works").is_empty());
}

async fn every_write_makes_a_new_etag(store: &dyn StateStore) {
    let mut etags: Vec<String> = vec![];
    for round in 0..6 {
        if round == 3 {
            done(store, delete("etags/a")).await;
        }
        done(store, put("etags/a", "same")).await;
        etags.push(etag(store, "etags/a").await.0);
    }
    assert_eq!(etag(store, "etags/a").await.0, etags[5], "a read changes nothing");
    etags.sort();
    etags.dedup();
    assert_eq!(
        etags.len(),
        6,
        "an etag is never used twice, a key made anew included"
    );
    assert!(etags.iter().all(|etag| !etag.is_empty()));
}

async fn what_is_not_there_can_be_deleted(store: &dyn StateStore) {
    done(store, delete("gone/a")).await;
    done(store, put("gone/a", "v")).await;
    let etag = etag(store, "gone/a").await;
    done(store, delete("gone/a").at(&etag)).await;
    done(store, delete("gone/a").at(&etag)).await;
    let absent = delete("gone/a").expecting(Expect::Absent);
    assert_eq!(apply(store, vec![absent]).await, Applied::Mismatch { index: 0 });
}

async fn a_stale_etag_changes_nothing(store: &dyn StateStore) {
    done(store, put("stale/a", "old")).await;
    let stale = etag(store, "stale/a").await;
    done(store, put("stale/a", "new")).await;
    let before = get(store, "stale/a").await;
    for change in [put("stale/a", "lost"), delete("stale/a")] {
        let applied = apply(store, vec![change.at(&stale)]).await;
        assert_eq!(applied, Applied::Mismatch { index: 0 });
        assert_eq!(get(store, "stale/a").await, before);
    }
    let fresh = etag(store, "stale/a").await;
    done(store, put("stale/a", "newer").at(&fresh)).await;
    assert_eq!(data(store, "stale/a").await.as_deref(), Some("newer"));
}

async fn an_etag_never_creates_a_key(store: &dyn StateStore) {
    done(store, put("create/a", "v")).await;
    let etag = etag(store, "create/a").await;
    done(store, delete("create/a")).await;
    let applied = apply(store, vec![put("create/a", "v").at(&etag)]).await;
    assert_eq!(applied, Applied::Mismatch { index: 0 });
    assert_eq!(get(store, "create/a").await, None);
}

/// A store whose etags can be any text may call it a mismatch.
async fn an_etag_of_another_make_is_refused(store: &dyn StateStore) {
    done(store, put("make/a", "v")).await;
    let before = get(store, "make/a").await;
    for change in [put("make/a", "lost"), delete("make/a")] {
        let applied = apply(store, vec![change.at(&Etag("no etag of ours".into()))]).await;
        let refused = [Applied::Mismatch { index: 0 }, Applied::InvalidEtag { index: 0 }];
        assert!(refused.contains(&applied), "{applied:?}");
        assert_eq!(get(store, "make/a").await, before);
    }
}

async fn the_first_write_wins(store: &dyn StateStore) {
    done(store, put("first/a", "first").expecting(Expect::Absent)).await;
    let second = put("first/a", "second").expecting(Expect::Absent);
    assert_eq!(apply(store, vec![second]).await, Applied::Mismatch { index: 0 });
    assert_eq!(data(store, "first/a").await.as_deref(), Some("first"));
    done(store, delete("first/a")).await;
    done(store, put("first/a", "third").expecting(Expect::Absent)).await;
}

async fn many_creators_make_one_value(store: Arc<dyn StateStore>) {
    for round in 0..20 {
        let key = format!("race/{round}");
        let creators = (0..50).map(|creator| {
            let change = put(&key, &creator.to_string()).expecting(Expect::Absent);
            apply(&*store, vec![change])
        });
        let applied = futures::future::join_all(creators).await;
        let won: Vec<usize> = (0..50)
            .filter(|creator| applied[*creator] == Applied::Done)
            .collect();
        assert_eq!(won.len(), 1, "one creator of {key} wins");
        assert_eq!(data(&*store, &key).await, Some(won[0].to_string()));
    }
}

async fn changes_of_one_key_take_effect_in_order(store: &dyn StateStore) {
    for before in ["absent", "present"] {
        let key = |name: &str| format!("steps/{before}/{name}");
        if before == "present" {
            done(store, put(&key("3"), "old")).await;
        }
        let changes = vec![
            put(&key("1"), "v"),
            delete(&key("1")),
            put(&key("2"), "v"),
            delete(&key("3")),
            put(&key("3"), "new"),
            put(&key("4"), "first"),
            put(&key("4"), "last"),
        ];
        assert_eq!(apply(store, changes).await, Applied::Done);
        assert_eq!(get(store, &key("1")).await, None);
        assert_eq!(data(store, &key("2")).await.as_deref(), Some("v"));
        assert_eq!(data(store, &key("3")).await.as_deref(), Some("new"));
        assert_eq!(data(store, &key("4")).await.as_deref(), Some("last"));
    }
}

async fn a_mismatch_tells_its_index(store: &dyn StateStore) {
    done(store, put("index/there", "v")).await;
    let changes = vec![
        put("index/a", "v"),
        put("index/b", "v").expecting(Expect::Absent),
        put("index/there", "lost").expecting(Expect::Absent),
        put("index/c", "v"),
    ];
    assert_eq!(apply(store, changes).await, Applied::Mismatch { index: 2 });
    assert_eq!(data(store, "index/there").await.as_deref(), Some("v"));
    assert_eq!(get(store, "index/c").await, None, "nothing behind it was made");
}

async fn keys_out_of_bounds_are_refused(store: &dyn StateStore) {
    let long = "k".repeat(base::limits::KEY_BYTES_MAX + 1);
    for key in ["", &long] {
        let refused = store.apply(vec![put(key, "v")], Atomicity::BestEffort).await;
        let error = refused.expect_err("the key is out of bounds");
        assert_eq!(error.kind(), Kind::InvalidArgument);
        let read = store.get(&[key.to_owned()]).await;
        let error = read
            .and_then(|mut values| values.remove(0))
            .expect_err("the key is out of bounds");
        assert_eq!(error.kind(), Kind::InvalidArgument);
    }
}

async fn a_transaction_changes_everything_or_nothing(store: &dyn StateStore) {
    done(store, put("all/a", "old")).await;
    let before = get(store, "all/a").await;
    let changes = |expect: Expect| {
        vec![
            put("all/a", "new"),
            put("all/b", "new"),
            put("all/guard", "v").expecting(expect),
            delete("all/c"),
        ]
    };
    let transaction = |changes| store.apply(changes, Atomicity::Transaction);
    done(store, put("all/guard", "v")).await;
    let refused = transaction(changes(Expect::Absent))
        .await
        .expect("the store works");
    assert_eq!(refused, Applied::Mismatch { index: 2 });
    assert_eq!(get(store, "all/a").await, before);
    assert_eq!(get(store, "all/b").await, None);
    let etag = etag(store, "all/guard").await;
    let made = transaction(changes(Expect::Etag(etag)))
        .await
        .expect("the store works");
    assert_eq!(made, Applied::Done);
    assert_eq!(data(store, "all/a").await.as_deref(), Some("new"));
    assert_eq!(data(store, "all/b").await.as_deref(), Some("new"));
}

const SECOND: Duration = Duration::from_secs(1);

async fn values_expire(store: &dyn StateStore, advance: &(dyn Fn(Duration) + Sync)) {
    done(store, put_for("ttl/a", "v", 4 * SECOND)).await;
    let ttl = get(store, "ttl/a").await.and_then(|value| value.ttl);
    assert!(
        ttl.is_some_and(|ttl| ttl > 2 * SECOND && ttl <= 4 * SECOND),
        "{ttl:?}"
    );
    advance(2 * SECOND);
    let ttl = get(store, "ttl/a").await.and_then(|value| value.ttl);
    assert!(ttl.is_some_and(|ttl| ttl <= 2 * SECOND), "{ttl:?}");
    let etag = etag(store, "ttl/a").await;
    advance(3 * SECOND);
    assert_eq!(get(store, "ttl/a").await, None);
    let late = apply(store, vec![put("ttl/a", "v").at(&etag)]).await;
    assert_eq!(late, Applied::Mismatch { index: 0 }, "an expired key is absent");
    done(store, put("ttl/a", "new").expecting(Expect::Absent)).await;
}

async fn a_write_without_ttl_is_permanent(store: &dyn StateStore, advance: &(dyn Fn(Duration) + Sync)) {
    done(store, put_for("keep/a", "v", 4 * SECOND)).await;
    done(store, put_for("keep/b", "v", 4 * SECOND)).await;
    advance(2 * SECOND);
    done(store, put("keep/a", "kept")).await;
    done(store, put_for("keep/b", "renewed", 4 * SECOND)).await;
    assert_eq!(get(store, "keep/a").await.and_then(|value| value.ttl), None);
    advance(3 * SECOND);
    assert_eq!(data(store, "keep/a").await.as_deref(), Some("kept"));
    assert_eq!(data(store, "keep/b").await.as_deref(), Some("renewed"));
    advance(2 * SECOND);
    assert_eq!(data(store, "keep/a").await.as_deref(), Some("kept"));
    assert_eq!(get(store, "keep/b").await, None);
}

async fn a_refused_change_leaves_the_ttl(store: &dyn StateStore, advance: &(dyn Fn(Duration) + Sync)) {
    done(store, put("left/a", "old")).await;
    let stale = etag(store, "left/a").await;
    done(store, put_for("left/a", "v", 3 * SECOND)).await;
    for change in [put("left/a", "lost"), put_for("left/a", "lost", 60 * SECOND)] {
        let applied = apply(store, vec![change.at(&stale)]).await;
        assert_eq!(applied, Applied::Mismatch { index: 0 });
    }
    assert!(
        get(store, "left/a")
            .await
            .and_then(|value| value.ttl)
            .is_some_and(|ttl| ttl <= 3 * SECOND)
    );
    advance(4 * SECOND);
    assert_eq!(get(store, "left/a").await, None);
}
