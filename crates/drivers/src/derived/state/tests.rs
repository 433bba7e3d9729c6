use std::collections::{BTreeMap, HashSet};

use base::task;
use ports::conformance::state::{delete, put, put_for};
use proptest::prelude::*;

use super::*;
use crate::derived::tests::Probe;
use crate::embedded::{Embedded, Options};

const COMPONENT: &str = "shop";

fn over(probe: &Arc<Probe>) -> State {
    State::over(probe.clone(), COMPONENT)
}

fn expecting(change: Change, expect: Expect) -> Change {
    Change { expect, ..change }
}

fn at(change: Change, etag: &Etag) -> Change {
    expecting(change, Expect::Etag(etag.clone()))
}

async fn apply(state: &State, changes: Vec<Change>) -> Applied {
    let applied = state.apply(changes, Atomicity::Transaction).await;
    applied.expect("the store works")
}

async fn get(state: &State, key: &str) -> Option<Value> {
    let mut found = state.get(&[key.to_owned()]).await.expect("the store works");
    found.remove(0).expect("the key is good")
}

async fn data(state: &State, key: &str) -> Option<Bytes> {
    get(state, key).await.map(|value| value.data)
}

#[tokio::test]
async fn writes_that_expect_nothing_read_nothing() {
    let probe = Probe::new();
    let state = over(&probe);
    let changes = vec![
        put("a", "v"),
        put_for("b", "v", Duration::from_secs(1)),
        delete("c"),
    ];
    assert_eq!(apply(&state, changes).await, Applied::Done);
    let commits = probe.commits();
    assert_eq!((probe.reads(), commits.len()), (0, 1));
    assert!(
        commits[0].conditions.is_empty(),
        "the store does not have to look either"
    );
}

#[tokio::test]
async fn expectations_are_decided_by_the_commit() {
    let probe = Probe::new();
    let state = over(&probe);
    apply(&state, vec![put("a", "old")]).await;
    let etag = get(&state, "a").await.expect("it is there").etag;
    let row = state.row("a").expect("the key is good");
    probe.intrude(Batch::default().put(row, encode(b"intruder")));
    let applied = apply(&state, vec![at(put("a", "lost"), &etag)]).await;
    assert_eq!(applied, Applied::Mismatch { index: 0 });
    assert_eq!(data(&state, "a").await.as_deref(), Some(b"intruder".as_slice()));
}

/// The table of the module's documentation, one line per pair of changes: the earlier one of a put or a delete.
#[tokio::test]
async fn a_later_change_of_a_key_meets_the_earlier_one() {
    let anything = || Expect::Anything;
    let etag = || Expect::Etag(Etag("1".into()));
    let cases = [
        (put("k", "2"), anything(), true, true),
        (put("k", "2"), Expect::Absent, false, true),
        (put("k", "2"), etag(), false, false),
        (delete("k"), anything(), true, true),
        (delete("k"), etag(), false, true),
        (delete("k"), Expect::Absent, false, false),
    ];
    for (later, expect, after_put, after_delete) in cases {
        for (earlier, done) in [(put("k", "1"), after_put), (delete("k"), after_delete)] {
            let state = over(&Probe::new());
            assert_eq!(apply(&state, vec![put("k", "0")]).await, Applied::Done);
            let case = format!("{earlier:?}, then {later:?} expecting {expect:?}");
            let later = expecting(later.clone(), expect.clone());
            let applied = apply(&state, vec![earlier, later.clone()]).await;
            let expected = match done {
                true => Applied::Done,
                false => Applied::Mismatch { index: 1 },
            };
            assert_eq!(applied, expected, "{case}");
            let left = match (done, &later.action) {
                (false, _) => Some("0"),
                (true, Action::Put { .. }) => Some("2"),
                (true, Action::Delete) => None,
            };
            assert_eq!(data(&state, "k").await, left.map(Bytes::from), "{case}");
        }
    }
}

/// The first change of a key still meets the stored row, whatever comes behind it.
#[tokio::test]
async fn an_earlier_expectation_is_kept_when_the_key_is_changed_again() {
    let state = over(&Probe::new());
    apply(&state, vec![put("k", "0")]).await;
    let etag = get(&state, "k").await.expect("it is there").etag;
    apply(&state, vec![put("k", "1")]).await;
    let stale = vec![at(delete("k"), &etag), put("k", "2")];
    assert_eq!(apply(&state, stale).await, Applied::Mismatch { index: 0 });
    let etag = get(&state, "k").await.expect("it is there").etag;
    let fresh = vec![at(delete("k"), &etag), expecting(put("k", "2"), Expect::Absent)];
    assert_eq!(apply(&state, fresh).await, Applied::Done);
    assert_eq!(data(&state, "k").await.as_deref(), Some(b"2".as_slice()));
}

#[tokio::test]
async fn only_etags_of_our_make_are_taken() {
    let state = over(&Probe::new());
    apply(&state, vec![put("k", "v")]).await;
    for etag in [
        "",
        "0",
        "01",
        "+1",
        "-1",
        " 1",
        "1.0",
        "x",
        "18446744073709551616",
    ] {
        let changes = vec![put("other", "v"), at(put("k", "lost"), &Etag(etag.into()))];
        let applied = apply(&state, changes).await;
        assert_eq!(applied, Applied::InvalidEtag { index: 1 }, "{etag}");
    }
    let far = Etag(u64::MAX.to_string());
    assert_eq!(
        apply(&state, vec![at(put("k", "lost"), &far)]).await,
        Applied::Mismatch { index: 0 }
    );
    assert_eq!(get(&state, "other").await, None);
}

#[tokio::test]
async fn a_ttl_of_nothing_is_refused_and_a_tiny_one_lasts_a_millisecond() {
    let probe = Probe::new();
    let state = over(&probe);
    let zero = vec![put_for("k", "v", Duration::ZERO)];
    let error = state
        .apply(zero, Atomicity::BestEffort)
        .await
        .expect_err("zero is no time");
    assert_eq!(error.code(), codes::TTL_INVALID);
    assert!(
        error.message().contains("key k"),
        "the message names the key: {error}"
    );
    apply(&state, vec![put_for("k", "v", Duration::from_nanos(1))]).await;
    assert!(get(&state, "k").await.is_some());
    probe.clock.advance(Duration::from_millis(1));
    assert_eq!(get(&state, "k").await, None);
}

#[tokio::test]
async fn a_ttl_ends_to_the_millisecond_and_the_longest_one_never() {
    let probe = Probe::new();
    let state = over(&probe);
    let second = Duration::from_secs(1);
    let long = Duration::from_secs(i64::MAX as u64);
    apply(
        &state,
        vec![put_for("short", "v", second), put_for("long", "v", long)],
    )
    .await;
    probe.clock.advance(Duration::from_millis(999));
    let left = get(&state, "short").await.and_then(|value| value.ttl);
    assert_eq!(left, Some(Duration::from_millis(1)));
    probe.clock.advance(Duration::from_millis(1));
    assert_eq!(get(&state, "short").await, None);
    assert!(get(&state, "long").await.is_some());
}

/// C35: upsert key1, delete key1, upsert key2, delete key3, upsert key3. One commit, so one step for whoever looks.
#[tokio::test]
async fn a_transaction_runs_in_order_and_in_one_step() {
    for before in [false, true] {
        let probe = Probe::new();
        let state = over(&probe);
        if before {
            apply(&state, vec![put("key3", "old")]).await;
        }
        let changes = vec![
            put("key1", "v"),
            delete("key1"),
            put("key2", "v"),
            delete("key3"),
            put("key3", "v"),
        ];
        assert_eq!(apply(&state, changes).await, Applied::Done);
        assert_eq!(get(&state, "key1").await, None);
        let etags = [get(&state, "key2").await, get(&state, "key3").await];
        let [key2, key3] = etags.map(|value| value.expect("it is there").etag);
        assert_eq!(key2, key3, "both are of one commit");
        assert_eq!(probe.commits().len(), 1 + usize::from(before));
    }
}

/// C33: what is refused changes nothing: neither value, etag nor time to live, alone or as part of a transaction.
#[tokio::test]
async fn refused_changes_leave_no_trace() {
    let state = over(&Probe::new());
    apply(&state, vec![put_for("k", "v", Duration::from_secs(60))]).await;
    let before = get(&state, "k").await;
    let wrong = Etag("4711".into());
    for changes in [
        vec![at(delete("k"), &wrong)],
        vec![at(put("k", "lost"), &wrong)],
        vec![put("k", "lost"), at(put("other", "lost"), &wrong)],
        vec![
            put("k", "lost"),
            delete("k"),
            expecting(delete("k"), Expect::Absent),
        ],
    ] {
        let applied = apply(&state, changes.clone()).await;
        let index = changes.len() - 1;
        assert_eq!(applied, Applied::Mismatch { index });
        assert_eq!(get(&state, "k").await, before);
        assert_eq!(get(&state, "other").await, None);
    }
}

/// C31: 50 creators of one key at once, each on whatever thread it likes.
async fn check_many_creators(kv: Arc<dyn Kv>) {
    let state = Arc::new(State::over(kv, COMPONENT));
    for round in 0..200 {
        let key = format!("round {round}");
        let creators: Vec<_> = (0..50)
            .map(|creator| {
                let (state, key) = (state.clone(), key.clone());
                let change = expecting(put(&key, &creator.to_string()), Expect::Absent);
                task::spawn("creator", async move { apply(&state, vec![change]).await })
            })
            .collect();
        let mut winners = vec![];
        for (creator, outcome) in creators.into_iter().enumerate() {
            match outcome.await.expect("it does not panic") {
                Applied::Done => winners.push(creator),
                Applied::Mismatch { index: 0 } => {}
                other => panic!("a creator was told {other:?}"),
            }
        }
        assert_eq!(winners.len(), 1, "{key}");
        let expected = winners[0].to_string();
        assert_eq!(data(&state, &key).await, Some(expected.into()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_creators_in_memory_exactly_one_is_told_so() {
    check_many_creators(Probe::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_creators_in_the_engine_exactly_one_is_told_so() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let clock = |seen| Arc::new(base::time::SystemClock::starting(seen)) as Arc<dyn base::Clock>;
    let kv = Embedded::open(folder.path(), &Options::default(), clock);
    check_many_creators(Arc::new(kv.expect("it opens"))).await;
}

/// C31 as well: the etag that users of other stores fake a creation with creates nothing here.
#[tokio::test]
async fn a_made_up_etag_creates_nothing() {
    let state = over(&Probe::new());
    let made_up = Etag("2147483647".into());
    let applied = apply(&state, vec![at(put("1", "v"), &made_up)]).await;
    assert_eq!(applied, Applied::Mismatch { index: 0 });
}

/// C39: one rule. A write without a time to live makes a key permanent; in a transaction too.
#[tokio::test]
async fn a_write_without_ttl_makes_a_key_permanent() {
    let probe = Probe::new();
    let state = over(&probe);
    let ten = Duration::from_secs(10);
    apply(&state, vec![put_for("k", "v", ten), put_for("t", "v", ten)]).await;
    probe.clock.advance(Duration::from_secs(5));
    apply(&state, vec![put("k", "v")]).await;
    apply(&state, vec![put_for("t", "v", ten), put("t", "v")]).await;
    probe.clock.advance(Duration::from_secs(7));
    for key in ["k", "t"] {
        let value = get(&state, key).await.expect("it is permanent");
        assert_eq!(value.ttl, None);
    }
}

#[tokio::test]
async fn values_up_to_the_limit_are_taken() {
    let state = over(&Probe::new());
    let largest = Bytes::from(vec![7; base::limits::VALUE_BYTES_MAX - 1]);
    let change = |data: Bytes| Change {
        action: Action::Put { data, ttl: None },
        ..put("k", "")
    };
    assert_eq!(apply(&state, vec![change(largest.clone())]).await, Applied::Done);
    assert_eq!(
        data(&state, "k").await.map(|data| data.len()),
        Some(largest.len())
    );
    let larger = Bytes::from(vec![7; base::limits::VALUE_BYTES_MAX]);
    let refused = state.apply(vec![change(larger)], Atomicity::BestEffort).await;
    let error = refused.expect_err("it is too large");
    assert_eq!(error.kind(), base::Kind::InvalidArgument);
}

#[tokio::test]
async fn a_bad_key_spoils_only_its_own_answer() {
    let state = over(&Probe::new());
    apply(&state, vec![put("a", "1"), put("b", "2")]).await;
    let keys = ["a", "", "none", "b"].map(str::to_owned);
    let found = state.get(&keys).await.expect("the store works");
    let shown: Vec<String> = found
        .into_iter()
        .map(|item| match item {
            Ok(Some(value)) => String::from_utf8_lossy(&value.data).into_owned(),
            Ok(None) => "nothing".into(),
            Err(error) => error.code().id.into(),
        })
        .collect();
    assert_eq!(shown, ["1", codes::KEY_INVALID.id, "nothing", "2"]);
}

/// Key and value as the first version wrote them: they must stay readable.
#[tokio::test]
async fn rows_of_the_first_format_are_read() {
    let probe = Probe::new();
    let state = over(&probe);
    let key = Key::state("s/shop\0\u{1}cart/1");
    probe.put_row(key.clone(), b"\x01two apples").await;
    assert_eq!(
        data(&state, "cart/1").await.as_deref(),
        Some(b"two apples".as_slice())
    );
    apply(&state, vec![put("cart/1", "two apples")]).await;
    let written = probe.row(&key).await.expect("it is there");
    assert_eq!(written.value, b"\x01two apples".as_slice());
}

#[tokio::test]
async fn staged_expectations_hold_for_the_whole_batch() {
    let probe = Probe::new();
    let state = over(&probe);
    apply(&state, vec![put("k", "v")]).await;
    let etag = get(&state, "k").await.expect("it is there").etag;
    apply(&state, vec![put("k", "w")]).await;
    let batch = state
        .stage_put(Batch::default(), "other", b"v", None)
        .and_then(|batch| state.stage_expect(batch, "k", &etag))
        .expect("keys and etag are good");
    let outcome = probe.commit(batch).await.expect("a conflict is no error");
    assert!(matches!(outcome, Outcome::Conflict { .. }));
    assert_eq!(get(&state, "other").await, None);
    let error = state
        .stage_expect(Batch::default(), "k", &Etag("x".into()))
        .expect_err("it is not of our make");
    assert_eq!(error.code(), codes::ETAG_INVALID);
}

// A history of transactions and passing time, run here and on a naive model.

#[derive(Clone, Debug)]
enum Step {
    Apply(Vec<Planned>),
    Advance(u64),
}

#[derive(Clone, Debug)]
struct Planned {
    key: String,
    put: Option<(String, Option<u64>)>,
    hope: Hope,
}

#[derive(Clone, Copy, Debug)]
enum Hope {
    Anything,
    Absent,
    Current,
    Stale,
}

fn planned() -> impl Strategy<Value = Planned> {
    let hope = prop_oneof![
        3 => Just(Hope::Anything),
        1 => Just(Hope::Absent),
        2 => Just(Hope::Current),
        1 => Just(Hope::Stale),
    ];
    let written = ("[xyz]", prop::option::of(1..30_u64));
    ("[abc]", prop::option::weighted(0.7, written), hope).prop_map(|(key, put, hope)| Planned {
        key,
        put,
        hope,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(planned(), 1..5).prop_map(Step::Apply),
        1 => (1..20_u64).prop_map(Step::Advance),
    ]
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    data: String,
    ends: Option<u64>,
    etag: String,
}

/// Keys and what they hold; the etags are learnt from the store. A row that is new in a call has an etag nobody can know.
#[derive(Clone, Default)]
struct Model {
    rows: BTreeMap<String, Row>,
    now: u64,
}

impl Model {
    fn expire(&mut self) {
        let now = self.now;
        self.rows.retain(|_, row| row.ends.is_none_or(|ends| ends > now));
    }

    /// Makes the changes one after the other; answers which of them should have been refused.
    fn apply(&mut self, changes: &[Change]) -> Vec<usize> {
        let mut refused = vec![];
        for (index, change) in changes.iter().enumerate() {
            let found = self.rows.get(&change.key);
            let holds = match (&change.expect, &change.action) {
                (Expect::Anything, _) => true,
                (Expect::Absent, Action::Put { .. }) => found.is_none(),
                (Expect::Absent, Action::Delete) => false,
                (Expect::Etag(etag), Action::Put { .. }) => found.is_some_and(|row| row.etag == etag.0),
                (Expect::Etag(etag), Action::Delete) => found.is_none_or(|row| row.etag == etag.0),
            };
            if !holds {
                refused.push(index);
            }
            match &change.action {
                Action::Put { data, ttl } => {
                    let row = Row {
                        data: String::from_utf8_lossy(data).into_owned(),
                        ends: ttl.map(|ttl| self.now + ttl.as_secs()),
                        etag: "of this call".into(),
                    };
                    self.rows.insert(change.key.clone(), row);
                }
                Action::Delete => drop(self.rows.remove(&change.key)),
            }
        }
        refused
    }

    fn change(&self, planned: &Planned, used: &HashSet<String>) -> Change {
        let current = self.rows.get(&planned.key).map(|row| row.etag.clone());
        let stale = used.iter().find(|etag| Some(*etag) != current.as_ref()).cloned();
        let unseen = || "999999".to_owned();
        let expect = match planned.hope {
            Hope::Anything => Expect::Anything,
            Hope::Absent => Expect::Absent,
            Hope::Current => Expect::Etag(Etag(current.unwrap_or_else(unseen))),
            Hope::Stale => Expect::Etag(Etag(stale.unwrap_or_else(unseen))),
        };
        let change = match &planned.put {
            Some((data, None)) => put(&planned.key, data),
            Some((data, Some(ttl))) => put_for(&planned.key, data, Duration::from_secs(*ttl)),
            None => delete(&planned.key),
        };
        expecting(change, expect)
    }
}

async fn stored(state: &State, model: &Model) -> BTreeMap<String, Row> {
    let mut rows = BTreeMap::new();
    for key in ["a", "b", "c"] {
        if let Some(value) = get(state, key).await {
            let row = Row {
                data: String::from_utf8_lossy(&value.data).into_owned(),
                ends: value.ttl.map(|ttl| model.now + ttl.as_secs()),
                etag: value.etag.0,
            };
            rows.insert(key.to_owned(), row);
        }
    }
    rows
}

/// The model's rows, with the store's etags where a row is new.
async fn settle(state: &State, model: &mut Model, used: &mut HashSet<String>) {
    let stored = stored(state, model).await;
    let mut fresh = HashSet::new();
    for (key, row) in &mut model.rows {
        let Some(found) = stored.get(key).filter(|_| row.etag == "of this call") else {
            continue;
        };
        assert!(!used.contains(&found.etag), "an etag is never used twice");
        row.etag.clone_from(&found.etag);
        fresh.insert(found.etag.clone());
    }
    used.extend(fresh);
    assert_eq!(stored, model.rows);
}

async fn run(steps: Vec<Step>) {
    let probe = Probe::new();
    let state = over(&probe);
    let (mut model, mut used) = (Model::default(), HashSet::new());
    for step in steps {
        match step {
            Step::Advance(secs) => {
                probe.clock.advance(Duration::from_secs(secs));
                model.now += secs;
                model.expire();
            }
            Step::Apply(planned) => {
                let changes: Vec<Change> = planned.iter().map(|one| model.change(one, &used)).collect();
                let mut next = model.clone();
                let refused = next.apply(&changes);
                match apply(&state, changes).await {
                    Applied::Done => {
                        assert_eq!(refused, [0; 0]);
                        model = next;
                    }
                    Applied::Mismatch { index } => {
                        assert!(refused.contains(&index), "{index} of {refused:?}")
                    }
                    Applied::InvalidEtag { index } => panic!("etag {index} is good"),
                }
            }
        }
        settle(&state, &mut model, &mut used).await;
    }
}

proptest! {
    #[test]
    fn transactions_do_what_the_naive_model_does(steps in prop::collection::vec(step(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime can be built").block_on(run(steps));
    }
}
