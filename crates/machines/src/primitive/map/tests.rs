use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::testing::{Bench, Got};

fn bytes(value: &'static str) -> Bytes {
    Bytes::from_static(value.as_bytes())
}

fn change(key: &str, to: To) -> Change {
    Change { key: key.into(), to }
}

fn put(key: &str, value: &'static str, expect: u64) -> Change {
    let (value, ttl) = (bytes(value), None);
    change(key, To::Put { value, ttl, expect })
}

fn put_for(key: &str, value: &'static str, millis: u64) -> Change {
    let (value, ttl) = (bytes(value), Some(Duration::from_millis(millis)));
    change(
        key,
        To::Put {
            value,
            ttl,
            expect: 0,
        },
    )
}

fn insert(key: &str, value: &'static str) -> Change {
    let (value, ttl) = (bytes(value), None);
    change(key, To::Insert { value, ttl })
}

fn update(key: &str, value: &'static str, expect: u64) -> Change {
    let (value, ttl) = (bytes(value), None);
    change(key, To::Update { value, ttl, expect })
}

fn remove(key: &str, expect: u64) -> Change {
    change(key, To::Remove { expect })
}

fn version(changed: &Changed) -> u64 {
    match changed {
        Changed::Written { version, .. } => *version,
        Changed::Removed(was) => was.version,
    }
}

/// The versions that a command has answered with, or the code it was refused with.
fn outcome(got: Got) -> Result<Vec<u64>, &'static str> {
    match got {
        Got::Now(reply) => Ok(match Reply::try_from(reply).expect("a map's reply") {
            Reply::Changed(changed) => vec![version(&changed)],
            Reply::Committed(changed) => changed.iter().map(version).collect(),
            Reply::Cleared => vec![],
            other => panic!("a write does not answer {other:?}"),
        }),
        Got::Refused(error) => Err(error.code().id),
        Got::Later(_) => panic!("a map answers at once"),
    }
}

#[track_caller]
fn check(history: &[Change], expected: &[Result<u64, base::Code>]) {
    let mut bench = Bench::new();
    let apply = |change: &Change| outcome(bench.apply(Command::Change(change.clone())));
    let outcomes: Vec<_> = history.iter().map(apply).collect();
    let expected = expected
        .iter()
        .map(|expected| expected.map(|version| vec![version]).map_err(|code| code.id));
    assert_eq!(outcomes, expected.collect::<Vec<_>>());
}

#[track_caller]
fn check_commit(before: &[Change], commit: Vec<Change>, expected: Result<&[u64], base::Code>) {
    let mut bench = Bench::new();
    for change in before {
        bench.apply(Command::Change(change.clone()));
    }
    let events = bench.events.len();
    let outcome = outcome(bench.apply(Command::Commit(commit)));
    assert_eq!(outcome, expected.map(<[u64]>::to_vec).map_err(|code| code.id));
    assert!(expected.is_ok() || bench.events.len() == events);
}

fn get(bench: &mut Bench, key: &str) -> Option<Versioned> {
    match bench.read(Query::Get { key: key.into() }) {
        Ok(reply) => match Reply::try_from(reply).expect("a map's reply") {
            Reply::Found(found) => Some(found),
            other => panic!("a read does not answer {other:?}"),
        },
        Err(error) => {
            assert_eq!(error.code(), codes::ENTRY_NOT_FOUND);
            None
        }
    }
}

fn size(bench: &mut Bench) -> u64 {
    match bench.read(Query::Size).map(Reply::try_from) {
        Ok(Ok(Reply::Size(size))) => size,
        other => panic!("a size, not {other:?}"),
    }
}

const MISSING: Result<u64, base::Code> = Err(codes::ENTRY_NOT_FOUND);
const CHANGED: Result<u64, base::Code> = Err(codes::VALUE_CHANGED);

#[test]
fn a_put_of_an_equal_value_does_nothing() {
    check(
        &[put("k", "a", 0), put("k", "a", 0), put("k", "b", 0)],
        &[Ok(1), Ok(1), Ok(2)],
    );
}

#[test]
fn an_update_to_an_equal_value_is_a_new_version() {
    check(&[put("k", "a", 0), update("k", "a", 0)], &[Ok(1), Ok(2)]);
}

#[test]
fn the_version_is_checked_before_the_value() {
    check(&[put("k", "a", 0), put("k", "a", 7)], &[Ok(1), CHANGED]);
}

#[test]
fn a_put_that_expects_a_version_needs_the_entry() {
    check(&[put("k", "a", 1)], &[CHANGED]);
}

#[test]
fn existence_is_checked_before_the_version() {
    check(&[update("k", "a", 7), remove("k", 7)], &[MISSING, MISSING]);
}

#[test]
fn another_version_writes_and_removes_nothing() {
    check(
        &[
            put("k", "a", 0),
            update("k", "b", 9),
            remove("k", 9),
            remove("k", 1),
        ],
        &[Ok(1), CHANGED, CHANGED, Ok(1)],
    );
}

#[test]
fn an_insert_does_not_overwrite() {
    check(
        &[
            insert("k", "a"),
            insert("k", "b"),
            remove("k", 0),
            insert("k", "c"),
        ],
        &[Ok(1), Err(codes::ENTRY_EXISTS), Ok(1), Ok(3)],
    );
}

#[test]
fn a_put_of_an_equal_value_leaves_the_time_to_live() {
    let mut bench = Bench::new();
    bench.apply(Command::Change(put_for("k", "a", 50)));
    bench.apply(Command::Change(put("k", "a", 0)));
    bench.advance(50);
    assert_eq!(get(&mut bench, "k"), None);
    let was = Versioned {
        value: bytes("a"),
        version: 1,
    };
    let expired = Event::Removed {
        key: "k".into(),
        was,
        expired: true,
    };
    assert_eq!(bench.events.last(), Some(&expired.into()));
}

#[test]
fn a_later_write_without_a_time_makes_it_stay() {
    let mut bench = Bench::new();
    bench.apply(Command::Change(put_for("k", "a", 50)));
    bench.apply(Command::Change(update("k", "a", 0)));
    bench.advance(100);
    assert!(get(&mut bench, "k").is_some());
    assert_eq!(bench.count(crate::Table::Timer), 0);
}

#[test]
fn who_comes_before_the_timer_finds_it_gone_and_is_the_first() {
    let mut bench = Bench::new();
    bench.apply(Command::Change(put_for("k", "a", 50)));
    bench.now = Timestamp(bench.now.0 + 60);
    assert_eq!(get(&mut bench, "k"), None);
    assert_eq!(
        outcome(bench.apply(Command::Change(insert("k", "b")))),
        Ok(vec![2])
    );
    assert_eq!(size(&mut bench), 1);
    bench.advance(100);
    assert_eq!(size(&mut bench), 1);
}

#[test]
fn the_writes_of_a_commit_share_one_version() {
    let commit = vec![put("a", "1", 0), insert("b", "2"), remove("c", 0)];
    check_commit(&[put("c", "3", 0)], commit, Ok(&[2, 2, 1]));
}

#[test]
fn an_empty_commit_is_fine() {
    check_commit(&[], vec![], Ok(&[]));
}

#[test]
fn a_commit_names_each_key_once() {
    let commit = vec![put("a", "1", 0), remove("a", 0)];
    check_commit(&[], commit, Err(codes::TRANSACTION_INVALID));
}

#[test]
fn a_commit_is_refused_with_the_first_reason() {
    let commit = vec![put("a", "1", 0), update("b", "2", 0), insert("c", "3")];
    check_commit(&[put("c", "3", 0)], commit, Err(codes::ENTRY_NOT_FOUND));
}

#[test]
fn a_refused_commit_does_nothing() {
    let mut bench = Bench::new();
    let commit = vec![put("a", "1", 0), update("b", "2", 0)];
    bench.apply(Command::Commit(commit));
    assert_eq!(get(&mut bench, "a"), None);
    assert_eq!((size(&mut bench), bench.events.len()), (0, 0));
}

fn changes() -> impl Strategy<Value = Change> {
    let key = prop::sample::select(vec!["", "a", "b", "ab"]);
    let value = prop::sample::select(vec!["", "x", "y"]).prop_map(bytes);
    let ttl = prop::option::of((0u64..40).prop_map(Duration::from_millis));
    (key, 0..4, value, ttl, 0u64..8).prop_map(|(key, which, value, ttl, expect)| {
        change(
            key,
            match which {
                0 => To::Put { value, ttl, expect },
                1 => To::Insert { value, ttl },
                2 => To::Update { value, ttl, expect },
                _ => To::Remove { expect },
            },
        )
    })
}

fn command() -> impl Strategy<Value = (u64, Command)> {
    let command = prop_oneof![
        8 => changes().prop_map(Command::Change),
        2 => prop::collection::vec(changes(), 0..4).prop_map(Command::Commit),
        1 => Just(Command::Clear),
    ];
    (0u64..15, command)
}

/// Values, versions and ends by key.
type Model = BTreeMap<String, (Bytes, u64, Option<u64>)>;

fn model_one(model: &mut Model, change: &Change, index: u64, now: u64) -> Result<(), &'static str> {
    let found = model.get(&change.key).cloned();
    let fits = |expect: u64, found: &Option<(Bytes, u64, Option<u64>)>| {
        let found = found.as_ref().map_or(0, |(_, version, _)| *version);
        if expect == 0 || expect == found {
            Ok(())
        } else {
            Err(codes::VALUE_CHANGED.id)
        }
    };
    let missing = if found.is_none() {
        Err(codes::ENTRY_NOT_FOUND.id)
    } else {
        Ok(())
    };
    let (value, ttl) = match &change.to {
        To::Put { value, ttl, expect } => {
            fits(*expect, &found)?;
            if found.is_some_and(|(found, ..)| found == *value) {
                return Ok(());
            }
            (value, ttl)
        }
        To::Insert { .. } if found.is_some() => return Err(codes::ENTRY_EXISTS.id),
        To::Insert { value, ttl } => (value, ttl),
        To::Update { value, ttl, expect } => {
            missing?;
            fits(*expect, &found)?;
            (value, ttl)
        }
        To::Remove { expect } => {
            missing?;
            fits(*expect, &found)?;
            model.remove(&change.key);
            return Ok(());
        }
    };
    let ends = ttl.map(|ttl| now + u64::try_from(ttl.as_millis()).expect("a short one"));
    model.insert(change.key.clone(), (value.clone(), index, ends));
    Ok(())
}

fn live(model: &mut Model, now: u64) {
    model.retain(|_, (_, _, ends)| ends.is_none_or(|ends| ends > now));
}

proptest! {
    /// Against a map in memory. Versions of both grow with every step that changes something.
    #[test]
    fn it_is_a_versioned_map(history in prop::collection::vec(command(), 0..40)) {
        let mut bench = Bench::new();
        let mut model = Model::new();
        for (pause, command) in history {
            bench.advance(pause);
            let now = bench.now.0;
            live(&mut model, now);
            let index = bench.next_index();
            let mut after = model.clone();
            let expected = match &command {
                Command::Change(change) => model_one(&mut after, change, index, now),
                Command::Commit(changes) => {
                    let keys: BTreeSet<_> = changes.iter().map(|change| &change.key).collect();
                    if keys.len() < changes.len() {
                        Err(codes::TRANSACTION_INVALID.id)
                    } else {
                        changes.iter().try_for_each(|change| model_one(&mut after, change, index, now))
                    }
                }
                Command::Lock { .. } | Command::Unlock { .. } => unreachable!("see locks"),
                Command::Clear => {
                    after.clear();
                    Ok(())
                }
            };
            prop_assert_eq!(outcome(bench.apply(command)).map(drop), expected);
            if expected.is_ok() {
                model = after;
            }
            live(&mut model, now);
            for key in ["", "a", "b", "ab"] {
                let found = get(&mut bench, key).map(|found| (found.value, found.version));
                let expected = model.get(key).map(|(value, version, _)| (value.clone(), *version));
                prop_assert_eq!(found, expected);
            }
            // Entries of no time at all are counted until their timers come.
            bench.advance(0);
            prop_assert_eq!(size(&mut bench), model.len() as u64);
        }
    }
}
