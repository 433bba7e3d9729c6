use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::testing::{Bench, Got};

fn set(key: &str, value: i64) -> Command {
    let key = key.into();
    Command::Set { key, value }
}

fn insert(key: &str, value: i64) -> Command {
    let key = key.into();
    Command::Insert { key, value }
}

fn update(key: &str, value: i64, expect: i64) -> Command {
    let key = key.into();
    Command::Update { key, value, expect }
}

fn add(key: &str, delta: i64) -> Command {
    let key = key.into();
    Command::Add { key, delta }
}

fn remove(key: &str, expect: i64) -> Command {
    let key = key.into();
    Command::Remove { key, expect }
}

/// The value before, or the code a command was refused with.
fn outcome(got: Got) -> Result<i64, &'static str> {
    match got {
        Got::Now(reply) => Ok(match Reply::try_from(reply).expect("a counter map's reply") {
            Reply::Before(before) => before,
            Reply::Cleared => 0,
            other => panic!("a write does not answer {other:?}"),
        }),
        Got::Refused(error) => Err(error.code().id),
        Got::Later(_) => panic!("a counter map answers at once"),
    }
}

#[track_caller]
fn check(history: &[Command], expected: &[Result<i64, base::Code>]) {
    let mut bench = Bench::new();
    let outcomes: Vec<_> = history
        .iter()
        .map(|command| outcome(bench.apply(command.clone())))
        .collect();
    let expected = expected.iter().map(|expected| expected.map_err(|code| code.id));
    assert_eq!(outcomes, expected.collect::<Vec<_>>());
}

const CHANGED: Result<i64, base::Code> = Err(codes::VALUE_CHANGED);
const MISSING: Result<i64, base::Code> = Err(codes::ENTRY_NOT_FOUND);

#[test]
fn answers_are_what_was_there_before() {
    check(
        &[
            set("k", 5),
            add("k", 2),
            add("k", -1),
            set("k", 0),
            remove("k", 0),
        ],
        &[Ok(0), Ok(5), Ok(7), Ok(6), Ok(0)],
    );
}

#[test]
fn adding_begins_at_zero() {
    check(&[add("k", 3), add("k", 1)], &[Ok(0), Ok(3)]);
}

#[test]
fn a_sum_wraps() {
    check(
        &[set("k", i64::MAX), add("k", 1), add("k", 0)],
        &[Ok(0), Ok(i64::MAX), Ok(i64::MIN)],
    );
}

#[test]
fn an_expected_zero_is_a_zero() {
    check(
        &[set("k", 5), update("k", 6, 0), remove("k", 0), update("k", 6, 5)],
        &[Ok(0), CHANGED, CHANGED, Ok(5)],
    );
}

#[test]
fn what_is_not_there_cannot_be_changed() {
    check(&[update("k", 1, 0), remove("k", 0)], &[MISSING, MISSING]);
}

#[test]
fn a_zero_is_there() {
    check(&[set("k", 0), insert("k", 1)], &[Ok(0), Err(codes::ENTRY_EXISTS)]);
}

#[test]
fn watchers_are_told_sums_and_not_differences() {
    let mut bench = Bench::new();
    bench.apply(set("k", 5));
    bench.apply(add("k", 2));
    let (key, now, before) = ("k".into(), 7, 5);
    assert_eq!(
        bench.events.last(),
        Some(&Event::Updated { key, now, before }.into())
    );
}

fn command() -> impl Strategy<Value = Command> {
    let key = prop::sample::select(vec!["", "a", "b"]);
    (0..16, key, -2i64..3, -2i64..3).prop_map(|(which, key, value, expect)| match which {
        0..3 => set(key, value),
        3..6 => insert(key, value),
        6..9 => update(key, value, expect),
        9..12 => add(key, value),
        12..15 => remove(key, expect),
        _ => Command::Clear,
    })
}

proptest! {
    /// Against numbers in memory.
    #[test]
    fn it_is_a_map_of_numbers(history in prop::collection::vec(command(), 0..40)) {
        let mut bench = Bench::new();
        let mut model: BTreeMap<String, i64> = BTreeMap::new();
        for command in history {
            let found = key(&command).and_then(|key| model.get(key).copied());
            let expected = match &command {
                Command::Insert { .. } if found.is_some() => Err(codes::ENTRY_EXISTS.id),
                Command::Update { .. } | Command::Remove { .. } if found.is_none() => Err(codes::ENTRY_NOT_FOUND.id),
                Command::Update { expect, .. } | Command::Remove { expect, .. } if found != Some(*expect) => {
                    Err(codes::VALUE_CHANGED.id)
                }
                _ => Ok(found.unwrap_or_default()),
            };
            if expected.is_ok() {
                match &command {
                    Command::Set { key, value } | Command::Insert { key, value } | Command::Update { key, value, .. } => {
                        model.insert(key.clone(), *value);
                    }
                    Command::Add { key, delta } => *model.entry(key.clone()).or_default() += delta,
                    Command::Remove { key, .. } => drop(model.remove(key)),
                    Command::Clear => model.clear(),
                    Command::Lock { .. } | Command::Unlock { .. } => {}
                }
            }
            prop_assert_eq!(outcome(bench.apply(command)), expected);
            for key in ["", "a", "b"] {
                let found = bench.read(Query::Get { key: key.into() }).map(Reply::try_from);
                let expected = model.get(key).map(|value| Ok(Reply::Found(*value)));
                prop_assert_eq!(found.ok(), expected);
            }
            let size = bench.read(Query::Size).map(Reply::try_from);
            prop_assert_eq!(size.ok(), Some(Ok(Reply::Size(model.len() as u64))));
        }
    }
}

#[test]
fn its_keys_are_locked_as_those_of_a_map() {
    let mut bench = Bench::new();
    let lock = |session| Command::Lock {
        keys: ["a".to_owned()].into(),
        session: Session(session),
        timeout: None,
    };
    assert!(matches!(
        bench.apply(lock(1)),
        Got::Now(reply) if Reply::try_from(reply.clone()) == Ok(Reply::Locked)
    ));
    assert!(matches!(bench.apply(lock(2)), Got::Later(_)));
    let unlock = |session| Command::Unlock {
        keys: ["a".to_owned()].into(),
        session: Session(session),
    };
    assert!(matches!(bench.apply(unlock(2)), Got::Refused(_)));
    bench.apply(unlock(1));
    let (_, granted) = bench.answers.pop().expect("who waits is answered");
    let granted = granted.expect("it is granted");
    assert_eq!(Reply::try_from(granted), Ok(Reply::Locked));
    // Its caller never took the answer: the key is free again.
    bench.apply(crate::step::Command::Abandoned {
        primitive: Type::CounterMap,
        request: crate::step::Request { epoch: 1, number: 2 },
    });
    assert!(matches!(bench.apply(lock(3)), Got::Now(_)));
    bench.apply(crate::step::Command::SessionLost {
        session: Session(3),
        over_at: bench.now,
    });
    assert!(matches!(bench.apply(lock(4)), Got::Now(_)));
}
