//! What the tests here stand on, the suites over every store of ours, and what components have in common.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base::time::ManualClock;
use base::{Clock, Result, Timestamp, codes};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use ports::Component;
use ports::config::ConfigStore;
use ports::conformance;
use ports::conformance::config::{filter, item};
use ports::kv::{
    Batch, Durability, Entry, Expect, Key, Keyspace, Kv, Outcome, Page, Reads, Scan, Version, Write,
};
use ports::lock::LockStore;
use ports::state::StateStore;
use tokio::sync::watch;

use super::*;
use crate::embedded::{Embedded, Mode, Options};
use crate::memory::Memory;

pub(super) const BEGINNING: Timestamp = Timestamp(1_000_000);

/// A memory `Kv` that counts and delays, and lets others change rows behind a component's back.
pub(super) struct Probe {
    inner: Memory,
    pub(super) clock: ManualClock,
    reads: AtomicUsize,
    commits: Mutex<Vec<Batch>>,
    delays: Mutex<VecDeque<Duration>>,
    intruders: Mutex<VecDeque<Batch>>,
    late: Mutex<VecDeque<Batch>>,
}

impl Probe {
    pub(super) fn new() -> Arc<Probe> {
        let clock = ManualClock::at(BEGINNING);
        Arc::new(Probe {
            inner: Memory::new(Arc::new(clock.clone())),
            clock,
            reads: AtomicUsize::new(0),
            commits: Mutex::default(),
            delays: Mutex::default(),
            intruders: Mutex::default(),
            late: Mutex::default(),
        })
    }

    pub(super) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    pub(super) fn commits(&self) -> Vec<Batch> {
        self.commits.lock().clone()
    }

    /// Lets the next commit take this long until it is acknowledged.
    pub(super) fn delay(&self, by: Duration) {
        self.delays.lock().push_back(by);
    }

    /// Slips this batch in before the next commit.
    pub(super) fn intrude(&self, batch: Batch) {
        self.intruders.lock().push_back(batch);
    }

    /// Slips this batch in when the next view has been taken, so that the view does not hold it.
    pub(super) fn intrude_late(&self, batch: Batch) {
        self.late.lock().push_back(batch);
    }

    pub(super) async fn put_row(&self, key: Key, value: &[u8]) {
        let batch = Batch::default().put(key, value.to_vec());
        self.inner.commit(batch).await.expect("the store works");
    }

    pub(super) async fn row(&self, key: &Key) -> Option<Entry> {
        self.inner.get(key).await.expect("the store works")
    }
}

#[async_trait]
impl Reads for Probe {
    async fn get(&self, key: &Key) -> Result<Option<Entry>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.inner.get(key).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.inner.get_many(keys).await
    }

    async fn scan(&self, scan: Scan) -> Result<Page> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.inner.scan(scan).await
    }
}

#[async_trait]
impl Kv for Probe {
    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<Outcome>> {
        self.commits.lock().push(batch.clone());
        let intruder = self.intruders.lock().pop_front();
        let intruded = intruder.map(|batch| self.inner.commit(batch));
        let committed = self.inner.commit(batch);
        let (clock, delay) = (self.clock.clone(), self.delays.lock().pop_front());
        async move {
            if let Some(intruded) = intruded {
                intruded.await?;
            }
            let outcome = committed.await;
            clock.advance(delay.unwrap_or_default());
            outcome
        }
        .boxed()
    }

    fn snapshot(&self) -> Result<Box<dyn Reads>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let snapshot = self.inner.snapshot();
        if let Some(late) = self.late.lock().pop_front() {
            drop(self.inner.commit(late));
        }
        snapshot
    }

    fn appended(&self, keyspace: Keyspace, prefix: &Bytes) -> watch::Receiver<Version> {
        self.inner.appended(keyspace, prefix)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// Runs every suite over components of one store.
async fn conforms(kv: Arc<dyn Kv>, clock: ManualClock) {
    let advance = |by: Duration| clock.advance(by);
    conformance::state::all(Arc::new(State::over(kv.clone(), "state")), &advance).await;
    conformance::lock::all(Arc::new(Lock::over(kv.clone(), "lock")), &advance).await;
    conformance::sequencer::all(Arc::new(Sequencer::over(kv.clone(), "ids"))).await;
    conformance::config::all(Arc::new(Config::over(kv.clone(), "config"))).await;
    conformance::ownership::all(Arc::new(Ownership::over(kv.clone())), kv, &advance).await;
}

#[tokio::test]
async fn components_over_memory_keep_their_contracts() {
    let clock = ManualClock::at(BEGINNING);
    let kv = Memory::new(Arc::new(clock.clone()));
    conforms(Arc::new(kv), clock).await;
}

/// Committed by a thread of its own, read from files.
#[tokio::test]
async fn components_over_the_engine_keep_their_contracts() {
    for mode in [Mode::Durable, Mode::Relaxed] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let clock = ManualClock::at(BEGINNING);
        let own = clock.clone();
        let options = Options {
            mode,
            ..Options::default()
        };
        let kv = Embedded::open(folder.path(), &options, |_| Arc::new(own));
        conforms(Arc::new(kv.expect("it opens")), clock).await;
    }
}

/// Runs what the suites say about restarts; `open` opens the store again.
async fn survives_restarts(open: impl AsyncFn() -> Arc<dyn Kv>) {
    let lock = async || Arc::new(Lock::over(open().await, "lock")) as Arc<dyn LockStore>;
    conformance::lock::restarts(lock).await;
    let ids = async || Arc::new(Sequencer::over(open().await, "ids")) as Arc<dyn ports::sequencer::Sequencer>;
    conformance::sequencer::restarts(ids).await;
    let config = async || Arc::new(Config::over(open().await, "config")) as Arc<dyn ConfigStore>;
    conformance::config::restarts(config).await;
    let owners = async || Arc::new(Ownership::over(open().await)) as Arc<dyn ports::ownership::Ownership>;
    conformance::ownership::restarts(owners).await;
}

/// Memory has no restart, but a component made anew over it has: none of them holds anything itself.
#[tokio::test]
async fn components_keep_nothing_outside_their_store() {
    let kv: Arc<dyn Kv> = Probe::new();
    survives_restarts(async || kv.clone()).await;
}

#[tokio::test]
async fn components_over_the_engine_survive_restarts() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    survives_restarts(async || {
        let clock = |seen: Timestamp| Arc::new(ManualClock::at(BEGINNING.max(seen))) as Arc<dyn Clock>;
        let kv = Embedded::open(folder.path(), &Options::default(), clock);
        Arc::new(kv.expect("it opens")) as Arc<dyn Kv>
    })
    .await;
}

/// Fills whatever can be derived.
fn derive(component: &mut Component, name: &str) -> Upkeep {
    let retention = pubsub::Retention::default();
    complete(component, name, &Port::ALL, retention, &Tasks::default())
}

#[tokio::test]
async fn what_a_driver_offers_itself_is_kept() {
    let kv: Arc<dyn Kv> = Probe::new();
    let own: Arc<dyn LockStore> = Arc::new(Lock::over(kv.clone(), "own"));
    let mut component = Component {
        kv: Some(kv),
        lock: Some(own.clone()),
        ..Component::default()
    };
    derive(&mut component, "c");
    assert!(component.lock.is_some_and(|lock| Arc::ptr_eq(&lock, &own)));
    assert!(component.state.is_some() && component.sequencer.is_some() && component.config.is_some());
}

#[tokio::test]
async fn only_what_a_component_serves_is_derived() {
    let kv: Arc<dyn Kv> = Probe::new();
    let mut component = Component {
        kv: Some(kv),
        ..Component::default()
    };
    let retention = pubsub::Retention::default();
    complete(&mut component, "c", &[Port::Lock], retention, &Tasks::default());
    let derived = Port::ALL.into_iter().filter(|port| component.has(*port));
    assert_eq!(derived.collect::<Vec<_>>(), [Port::Kv, Port::Lock]);
}

#[tokio::test]
async fn without_a_kv_nothing_is_derived() {
    let mut component = Component::default();
    let upkeep = derive(&mut component, "c");
    assert!(component.state.is_none() && component.config.is_none());
    assert_eq!(upkeep.step().await.ok(), Some(Progress::Done));
}

#[tokio::test]
async fn components_of_one_store_do_not_meet() {
    let kv: Arc<dyn Kv> = Probe::new();
    let mut names = vec![];
    for name in ["a", "a\0", "a/", ""] {
        let mut component = Component {
            kv: Some(kv.clone()),
            ..Component::default()
        };
        derive(&mut component, name);
        let state = component.state.expect("it is derived");
        let put = conformance::state::put("k", name);
        let applied = state.apply(vec![put], ports::state::Atomicity::BestEffort).await;
        assert!(applied.is_ok());
        let lock = component.lock.expect("it is derived");
        conformance::lock::take(&*lock, "k", "o", Duration::from_secs(9)).await;
        let ids = component.sequencer.expect("it is derived");
        assert_eq!(ids.reserve("k", 1).await.map(|range| range.first).ok(), Some(1));
        let config = component.config.expect("it is derived");
        assert!(config.put("app", vec![item("k", name)]).await.is_ok());
        names.push((name, state, config));
    }
    for (name, state, config) in names {
        let found = state.get(&["k".to_owned()]).await.expect("the store works");
        let value = found[0].as_ref().expect("the key is good").as_ref();
        assert_eq!(value.map(|value| &value.data[..]), Some(name.as_bytes()));
        let items = config.get(&filter("app", &[])).await.expect("the store works");
        assert_eq!(items, [item("k", name)]);
    }
}

/// A batch of all blocks: a value that must not be there yet, a configuration, two ids, and a row that nobody derived.
fn all_blocks(kv: &Arc<dyn Kv>, guard: Expect) -> (Batch, sequencer::Reserved) {
    let (state, config) = (State::over(kv.clone(), "c"), Config::over(kv.clone(), "c"));
    let batch = Batch::of(vec![Write::Add {
        key: Key::state("other"),
        delta: 7,
        floor: 0,
    }]);
    let staged = config
        .stage_put(batch, "app", vec![item("k", "v")])
        .and_then(|batch| state.stage_put(batch, "value", b"v", None))
        .and_then(|batch| state.stage_delete(batch, "old"))
        .and_then(|batch| Sequencer::over(kv.clone(), "c").stage_add(batch, "ids", 2));
    let (batch, reserved) = staged.expect("every key is good");
    let guarded = state.row("guard").expect("the key is good");
    (batch.expect(guarded, guard), reserved)
}

#[tokio::test]
async fn one_commit_changes_several_blocks_or_none() {
    let kv: Arc<dyn Kv> = Probe::new();
    let (state, config) = (State::over(kv.clone(), "c"), Config::over(kv.clone(), "c"));
    let old = conformance::state::put("old", "v");
    let applied = state.apply(vec![old], ports::state::Atomicity::BestEffort).await;
    assert!(applied.is_ok());
    let keys = ["value", "old"].map(str::to_owned);
    let data = async || -> Vec<Option<Bytes>> {
        let found = state.get(&keys).await.expect("the store works");
        let value = |found: Result<Option<ports::state::Value>>| found.expect("the key is good");
        found
            .into_iter()
            .map(|found| value(found).map(|value| value.data))
            .collect()
    };
    let mut watch = config.watch(filter("app", &[])).await.expect("the store works");

    let (batch, _) = all_blocks(&kv, Expect::Present);
    let refused = kv.commit(batch).await.expect("a conflict is no error");
    assert!(matches!(refused, Outcome::Conflict { .. }));
    assert_eq!(data().await, [None, Some("v".into())]);
    assert!(
        config
            .get(&filter("app", &[]))
            .await
            .is_ok_and(|items| items.is_empty())
    );

    let (batch, reserved) = all_blocks(&kv, Expect::Absent);
    assert_eq!(
        batch.durability,
        Durability::Synced,
        "ids must not leave before they are safe"
    );
    let Ok(Outcome::Committed { version, sums }) = kv.commit(batch).await else {
        panic!("the guard is absent")
    };
    let range = reserved.range(&sums).expect("it is one of the sums");
    assert_eq!((range.first, range.last), (1, 2), "the refused batch took no ids");
    assert_eq!(data().await, [Some("v".into()), None]);
    let value = state.get(&keys).await.expect("the store works").remove(0);
    let etag = value.expect("the key is good").expect("it is there").etag;
    assert_eq!(etag.0, version.0.to_string());
    let seen = futures::StreamExt::next(&mut watch)
        .await
        .expect("it goes on")
        .expect("the store works");
    assert_eq!(seen.items, [item("k", "v")], "the refused change was never seen");
}

#[tokio::test]
async fn damaged_rows_are_told_as_such() {
    let probe = Probe::new();
    let kv: Arc<dyn Kv> = probe.clone();
    for tag in ["s/", "l/"] {
        for value in [&b""[..], b"\x02v", b"\x63"] {
            probe.put_row(Key::state(format!("{tag}c\0\u{1}k")), value).await;
            let state = State::over(kv.clone(), "c")
                .get(&["k".to_owned()])
                .await
                .map(|mut found| found.remove(0));
            let lock = Lock::over(kv.clone(), "c").unlock("k", "o").await;
            let error = match tag {
                "s/" => state.expect("the store works").expect_err("a damaged row"),
                _ => lock.expect_err("a damaged row"),
            };
            assert_eq!(error.code(), codes::STORED_ROW_UNREADABLE);
        }
    }
    probe
        .put_row(Key::state("c/c\0\u{1}app\0\u{1}g\0\u{1}l\0\u{1}k"), b"\x01{")
        .await;
    let item = Config::over(kv, "c").get(&filter("app", &["k"])).await;
    assert_eq!(
        item.expect_err("a damaged row").code(),
        codes::STORED_ROW_UNREADABLE
    );
}
