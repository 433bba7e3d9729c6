//! What every [`Kv`] must do. Each check uses keys of its own, so that they can share a store.

use std::sync::Arc;
use std::time::Duration;

use base::{codes, limits};
use bytes::Bytes;

use crate::kv::{
    Batch, Durability, Entry, Expect, Fence, Key, Keyspace, Kv, Outcome, Position, Scan, Version, Write,
};

/// `advance` moves the clock that the store was opened with.
pub async fn all(kv: Arc<dyn Kv>, advance: &(dyn Fn(Duration) + Sync)) {
    rows_are_written_read_and_deleted(&*kv).await;
    versions_grow_and_never_repeat(&*kv).await;
    a_conflict_writes_nothing(&*kv).await;
    every_expectation_means_what_it_says(&*kv).await;
    batches_see_the_ones_before(&*kv).await;
    sums_build_on_each_other(&*kv).await;
    logs_are_read_in_commit_order(&*kv).await;
    several_blocks_change_in_one_commit(&*kv).await;
    a_stale_fence_is_refused(&*kv).await;
    snapshots_do_not_change(&*kv).await;
    scans_page_in_both_directions(&*kv).await;
    expired_rows_are_absent(&*kv, advance).await;
    batches_out_of_bounds_are_refused(&*kv).await;
    watchers_are_told_of_appended_rows(&*kv).await;
    a_dropped_commit_goes_on(kv).await;
}

fn key(text: &str) -> Key {
    Key::state(text.to_owned())
}

async fn put(kv: &dyn Kv, name: &str, value: &str) -> Version {
    committed(kv, Batch::default().put(key(name), value.to_owned()))
        .await
        .0
}

/// Commits what must not conflict: its version and sums.
async fn committed(kv: &dyn Kv, batch: Batch) -> (Version, Vec<u64>) {
    match kv.commit(batch).await.expect("the store works") {
        Outcome::Committed { version, sums } => (version, sums),
        conflict => panic!("expected a commit, got {conflict:?}"),
    }
}

async fn get(kv: &dyn Kv, name: &str) -> Option<Entry> {
    kv.get(&key(name)).await.expect("the store works")
}

async fn value(kv: &dyn Kv, name: &str) -> Option<Bytes> {
    get(kv, name).await.map(|entry| entry.value)
}

async fn rows_are_written_read_and_deleted(kv: &dyn Kv) {
    assert_eq!(value(kv, "rows/a").await, None);
    put(kv, "rows/a", "one").await;
    put(kv, "rows/empty", "").await;
    assert_eq!(value(kv, "rows/a").await.as_deref(), Some(b"one".as_slice()));
    assert_eq!(value(kv, "rows/empty").await.as_deref(), Some(b"".as_slice()));
    let many = [key("rows/empty"), key("rows/none"), key("rows/a"), key("rows/a")];
    let found = kv.get_many(&many).await.expect("the store works");
    let there: Vec<bool> = found.iter().map(Option::is_some).collect();
    assert_eq!(there, [true, false, true, true]);
    committed(
        kv,
        Batch::default().delete(key("rows/a")).delete(key("rows/none")),
    )
    .await;
    assert_eq!(value(kv, "rows/a").await, None);
    let other = Key::journal("rows/empty");
    assert_eq!(
        kv.get(&other).await.expect("the store works"),
        None,
        "keyspaces are apart"
    );
}

async fn versions_grow_and_never_repeat(kv: &dyn Kv) {
    let first = put(kv, "versions/a", "1").await;
    let second = put(kv, "versions/b", "2").await;
    assert!(second > first && first > Version(0));
    assert_eq!(
        get(kv, "versions/a").await.map(|entry| entry.version),
        Some(first)
    );
    committed(kv, Batch::default().delete(key("versions/a"))).await;
    assert!(
        put(kv, "versions/a", "1").await > second,
        "a key made anew has a version of its own"
    );
}

async fn a_conflict_writes_nothing(kv: &dyn Kv) {
    let version = put(kv, "conflict/a", "old").await;
    let batch = Batch::default()
        .put(key("conflict/a"), "new")
        .put(key("conflict/b"), "new")
        .expect(key("conflict/a"), Expect::Present)
        .expect(key("conflict/a"), Expect::Absent);
    let outcome = kv.commit(batch).await.expect("a conflict is no error");
    assert_eq!(
        outcome,
        Outcome::Conflict {
            condition: 1,
            found: Some(version)
        }
    );
    assert_eq!(
        get(kv, "conflict/a").await.map(|entry| entry.version),
        Some(version)
    );
    assert_eq!(get(kv, "conflict/b").await, None);
}

async fn every_expectation_means_what_it_says(kv: &dyn Kv) {
    let version = put(kv, "expect/there", "v").await;
    let other = Version(version.0 + 1_000_000);
    let cases = [
        ("expect/there", Expect::Absent, false),
        ("expect/there", Expect::Present, true),
        ("expect/there", Expect::Version(version), true),
        ("expect/there", Expect::Version(other), false),
        ("expect/there", Expect::VersionOrAbsent(version), true),
        ("expect/there", Expect::VersionOrAbsent(other), false),
        ("expect/none", Expect::Absent, true),
        ("expect/none", Expect::Present, false),
        ("expect/none", Expect::Version(version), false),
        ("expect/none", Expect::VersionOrAbsent(version), true),
    ];
    for (name, expect, holds) in cases {
        let outcome = kv
            .commit(Batch::default().expect(key(name), expect))
            .await
            .expect("the store works");
        assert_eq!(
            matches!(outcome, Outcome::Committed { .. }),
            holds,
            "{name} {expect:?}"
        );
    }
}

/// Commits queued without waiting are decided in order: exactly one of them creates the row.
async fn batches_see_the_ones_before(kv: &dyn Kv) {
    let queued: Vec<_> = (0..50)
        .map(|n| {
            let batch = Batch::default().put(key("create"), n.to_string());
            kv.commit(batch.expect(key("create"), Expect::Absent))
        })
        .collect();
    let outcomes = futures::future::join_all(queued).await;
    let won: Vec<usize> = (0..50)
        .filter(|n| matches!(outcomes[*n], Ok(Outcome::Committed { .. })))
        .collect();
    assert_eq!(won, [0]);
    assert_eq!(value(kv, "create").await.as_deref(), Some(b"0".as_slice()));
}

async fn sums_build_on_each_other(kv: &dyn Kv) {
    let add = |delta, floor| Write::Add {
        key: key("sum"),
        delta,
        floor,
    };
    let (_, sums) = committed(kv, Batch::of(vec![add(1, 0), add(10, 0)])).await;
    assert_eq!(sums, [1, 11]);
    let queued: Vec<_> = (0..20).map(|_| kv.commit(Batch::of(vec![add(1, 0)]))).collect();
    for (n, outcome) in futures::future::join_all(queued).await.into_iter().enumerate() {
        let Ok(Outcome::Committed { sums, .. }) = outcome else {
            panic!("expected a sum, got {outcome:?}")
        };
        assert_eq!(sums, [12 + n as u64]);
    }
    let (_, sums) = committed(kv, Batch::of(vec![add(0, 100), add(0, 50)])).await;
    assert_eq!(sums, [100, 100]);
    put(kv, "sum/text", "no counter").await;
    let wrong = Write::Add {
        key: key("sum/text"),
        delta: 1,
        floor: 0,
    };
    let error = kv
        .commit(Batch::of(vec![wrong]))
        .await
        .expect_err("a text is no counter");
    assert_eq!(error.code(), codes::STORED_ROW_UNREADABLE);
    let error = kv
        .commit(Batch::of(vec![add(u64::MAX, 0)]))
        .await
        .expect_err("too large");
    assert_eq!(error.code(), codes::INVALID_ARGUMENT);
}

fn append(prefix: &str, value: &str) -> Write {
    Write::Append {
        keyspace: Keyspace::Journal,
        prefix: prefix.to_owned().into(),
        value: value.to_owned().into(),
        expires_at: None,
    }
}

async fn logs_are_read_in_commit_order(kv: &dyn Kv) {
    let (first, _) = committed(kv, Batch::of(vec![append("log/", "a"), append("log/", "b")])).await;
    let (second, _) = committed(kv, Batch::of(vec![append("log/", "c"), append("log2/", "x")])).await;
    let page = kv
        .scan(Scan::prefix(Keyspace::Journal, "log/"))
        .await
        .expect("the store works");
    let rows: Vec<_> = page
        .rows
        .iter()
        .map(|(key, entry)| (Position::decode(key).expect("a log row"), &entry.value[..]))
        .collect();
    let at = |version, index| Position { version, index };
    let expected = [
        (at(first, 0), b"a".as_slice()),
        (at(first, 1), b"b".as_slice()),
        (at(second, 0), b"c".as_slice()),
    ];
    assert_eq!(rows, expected);
    let behind = Scan::prefix(Keyspace::Journal, "log/").after(&page.rows[1].0);
    assert_eq!(kv.scan(behind).await.expect("the store works").rows.len(), 1);
}

async fn several_blocks_change_in_one_commit(kv: &dyn Kv) {
    let blocks = |expect| {
        let counter = Write::Add {
            key: key("blocks/id"),
            delta: 1,
            floor: 0,
        };
        Batch::of(vec![append("blocks/events/", "e"), counter])
            .put(key("blocks/value"), "v")
            .expect(key("blocks/guard"), expect)
            .durability(Durability::Synced)
    };
    let refused = kv.commit(blocks(Expect::Present)).await.expect("the store works");
    assert!(matches!(refused, Outcome::Conflict { .. }));
    let events = || kv.scan(Scan::prefix(Keyspace::Journal, "blocks/events/"));
    assert!(events().await.expect("the store works").rows.is_empty());
    assert_eq!(value(kv, "blocks/value").await, None);
    let (version, sums) = committed(kv, blocks(Expect::Absent)).await;
    assert_eq!(sums, [1]);
    assert_eq!(
        events().await.expect("the store works").rows[0].1.version,
        version
    );
    assert_eq!(
        get(kv, "blocks/value").await.map(|entry| entry.version),
        Some(version)
    );
}

async fn a_stale_fence_is_refused(kv: &dyn Kv) {
    let own = |epoch: u64| Batch::default().put(Fence::key(77), epoch.to_le_bytes().to_vec());
    let write = |epoch| {
        Batch::default()
            .put(key("fenced"), "v")
            .fenced(Fence { partition: 77, epoch })
    };
    let refused = kv.commit(write(1)).await.expect_err("nobody owns it");
    assert_eq!(refused.code(), codes::FENCED);
    committed(kv, own(1)).await;
    committed(kv, write(1)).await;
    committed(kv, own(2)).await;
    let refused = kv.commit(write(1)).await.expect_err("epoch 2 has begun");
    assert_eq!(refused.code(), codes::FENCED);
    committed(kv, write(2)).await;
}

async fn snapshots_do_not_change(kv: &dyn Kv) {
    put(kv, "snapshot/a", "old").await;
    let snapshot = kv.snapshot().expect("the store works");
    put(kv, "snapshot/a", "new").await;
    put(kv, "snapshot/b", "new").await;
    let seen = snapshot.get(&key("snapshot/a")).await.expect("the store works");
    assert_eq!(seen.map(|entry| entry.value).as_deref(), Some(b"old".as_slice()));
    let page = snapshot
        .scan(Scan::prefix(Keyspace::State, "snapshot/"))
        .await
        .expect("the store works");
    assert_eq!(page.rows.len(), 1);
    assert_eq!(value(kv, "snapshot/a").await.as_deref(), Some(b"new".as_slice()));
}

async fn scans_page_in_both_directions(kv: &dyn Kv) {
    for name in ["scan/a", "scan/b", "scan/c", "scan/d", "scan0"] {
        put(kv, name, "v").await;
    }
    let names = |page: &crate::kv::Page| -> Vec<String> {
        page.rows
            .iter()
            .map(|(key, _)| String::from_utf8_lossy(key).into_owned())
            .collect()
    };
    let all = Scan::prefix(Keyspace::State, "scan/");
    let first = kv.scan(all.clone().limit(3)).await.expect("the store works");
    assert_eq!(
        (names(&first), first.more),
        (vec!["scan/a".into(), "scan/b".into(), "scan/c".into()], true)
    );
    let rest = kv
        .scan(all.clone().after(b"scan/c").limit(3))
        .await
        .expect("the store works");
    assert_eq!((names(&rest), rest.more), (vec!["scan/d".to_owned()], false));
    let last = kv
        .scan(all.clone().descending().limit(1))
        .await
        .expect("the store works");
    assert_eq!((names(&last), last.more), (vec!["scan/d".to_owned()], true));
    let small = kv.scan(all.clone().bytes(2)).await.expect("the store works");
    assert_eq!(
        (names(&small), small.more),
        (vec!["scan/a".into(), "scan/b".into()], true),
        "a page ends with the row that brings it to its bytes"
    );
    let none = kv.scan(all.clone().bytes(0)).await.expect("the store works");
    assert_eq!(names(&none), ["scan/a"], "a page has one row at least");
    let nothing = Scan {
        end: Some("scan/".into()),
        ..all
    };
    assert!(kv.scan(nothing).await.expect("the store works").rows.is_empty());
}

async fn expired_rows_are_absent(kv: &dyn Kv, advance: &(dyn Fn(Duration) + Sync)) {
    let until = kv.now().plus(Duration::from_secs(30));
    let short = Write::Put {
        key: key("expiry/short"),
        value: "v".into(),
        expires_at: Some(until),
    };
    let renewed = Write::Put {
        key: key("expiry/renewed"),
        value: "v".into(),
        expires_at: Some(until),
    };
    committed(kv, Batch::of(vec![short, renewed])).await;
    put(kv, "expiry/renewed", "for good").await;
    advance(Duration::from_secs(29));
    assert!(get(kv, "expiry/short").await.is_some());
    advance(Duration::from_secs(1));
    assert_eq!(get(kv, "expiry/short").await, None);
    let page = kv
        .scan(Scan::prefix(Keyspace::State, "expiry/"))
        .await
        .expect("the store works");
    assert_eq!(page.rows.len(), 1, "only the renewed one is left");
    committed(
        kv,
        Batch::default()
            .put(key("expiry/short"), "new")
            .expect(key("expiry/short"), Expect::Absent),
    )
    .await;
    advance(Duration::from_secs(3_600));
    assert!(get(kv, "expiry/short").await.is_some() && get(kv, "expiry/renewed").await.is_some());
}

async fn batches_out_of_bounds_are_refused(kv: &dyn Kv) {
    let long = vec![b'k'; limits::KEY_BYTES_MAX + 1];
    for (batch, code) in [
        (Batch::default().put(Key::state(long), ""), codes::KEY_INVALID),
        (Batch::default().put(key(""), ""), codes::KEY_INVALID),
        (
            Batch::of(vec![append("p", ""); limits::BATCH_WRITES_MAX + 1]),
            codes::BATCH_TOO_LARGE,
        ),
    ] {
        assert_eq!(kv.commit(batch).await.expect_err("out of bounds").code(), code);
    }
    let longest = vec![b'k'; limits::KEY_BYTES_MAX];
    committed(kv, Batch::default().put(Key::state(longest.clone()), "v")).await;
    assert!(
        kv.get(&Key::state(longest))
            .await
            .expect("the store works")
            .is_some()
    );
}

async fn watchers_are_told_of_appended_rows(kv: &dyn Kv) {
    let mut signal = kv.appended(Keyspace::Journal, &Bytes::from("watched/"));
    let mut other = kv.appended(Keyspace::Journal, &Bytes::from("watched"));
    signal.mark_unchanged();
    other.mark_unchanged();
    let (version, _) = committed(kv, Batch::of(vec![append("watched/", "v")])).await;
    tokio::time::timeout(Duration::from_secs(10), signal.changed())
        .await
        .expect("told within ten seconds")
        .expect("the store is open");
    assert_eq!(*signal.borrow(), version);
    let page = kv
        .scan(Scan::prefix(Keyspace::Journal, "watched/"))
        .await
        .expect("the store works");
    assert_eq!(page.rows.len(), 1, "what is told can be read");
    assert!(
        !other.has_changed().expect("the store is open"),
        "another log's watcher sleeps on"
    );
}

async fn a_dropped_commit_goes_on(kv: Arc<dyn Kv>) {
    drop(kv.commit(Batch::default().put(key("dropped"), "v")));
    put(&*kv, "dropped/after", "v").await;
    assert!(
        value(&*kv, "dropped").await.is_some(),
        "it was queued before the one that was acknowledged"
    );
}
