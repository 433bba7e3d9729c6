use proptest::prelude::*;

use super::*;
use crate::key::Table;
use crate::testing::{Bench, Got};

fn set(value: &'static str) -> Command {
    Command::Set {
        value: Bytes::from_static(value.as_bytes()),
        ttl: None,
    }
}

fn set_for(value: &'static str, millis: u64) -> Command {
    Command::Set {
        value: Bytes::from_static(value.as_bytes()),
        ttl: Some(Duration::from_millis(millis)),
    }
}

fn update(value: &'static str, expect: u64) -> Command {
    Command::Update {
        value: Bytes::from_static(value.as_bytes()),
        ttl: None,
        expect,
    }
}

/// What a command did: the version it left, or the code it was refused with.
fn outcome(got: Got) -> Result<u64, &'static str> {
    match got {
        Got::Now(reply) => Ok(match Reply::try_from(reply).expect("a value's reply") {
            Reply::Written { version, .. } => version,
            Reply::Found(found) | Reply::FoundUntil { found, .. } => found.version,
        }),
        Got::Refused(error) => Err(error.code().id),
        Got::Later(_) => panic!("a value answers at once"),
    }
}

#[track_caller]
fn check(history: &[Command], expected: &[Result<u64, base::Code>]) {
    let mut bench = Bench::new();
    let outcomes: Vec<_> = history
        .iter()
        .map(|command| outcome(bench.apply(command.clone())))
        .collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|expected| expected.map_err(|code| code.id))
        .collect();
    assert_eq!(outcomes, expected);
}

fn get(bench: &mut Bench) -> Option<Bytes> {
    match bench.read(Query::Get) {
        Ok(reply) => match Reply::try_from(reply).expect("a value's reply") {
            Reply::Found(found) => Some(found.value),
            other => panic!("another answer than asked for: {other:?}"),
        },
        Err(error) => {
            assert_eq!(error.code(), codes::ENTRY_NOT_FOUND);
            None
        }
    }
}

#[test]
fn every_set_is_a_new_version() {
    check(&[set("a"), set("a")], &[Ok(1), Ok(2)]);
}

#[test]
fn an_update_with_another_version_writes_nothing() {
    let mut bench = Bench::new();
    bench.apply(set("a"));
    assert_eq!(outcome(bench.apply(update("b", 7))), Err(codes::VALUE_CHANGED.id));
    assert_eq!(get(&mut bench), Some(Bytes::from_static(b"a")));
}

#[test]
fn a_delete_with_another_version_deletes_nothing() {
    check(
        &[
            set("a"),
            Command::Delete { expect: 9 },
            Command::Delete { expect: 1 },
        ],
        &[Ok(1), Err(codes::VALUE_CHANGED), Ok(1)],
    );
}

#[test]
fn what_is_not_set_cannot_be_changed() {
    let missing = Err(codes::ENTRY_NOT_FOUND);
    check(
        &[update("a", 0), Command::Delete { expect: 0 }],
        &[missing, missing],
    );
}

#[test]
fn versions_go_on_after_a_delete() {
    check(
        &[set("a"), Command::Delete { expect: 0 }, set("b")],
        &[Ok(1), Ok(1), Ok(3)],
    );
}

#[test]
fn a_value_ends_with_its_time_and_is_told_as_expired() {
    let mut bench = Bench::new();
    bench.apply(set_for("a", 50));
    bench.advance(49);
    assert_eq!(get(&mut bench), Some(Bytes::from_static(b"a")));
    bench.advance(1);
    assert_eq!(get(&mut bench), None);
    let was = Versioned {
        value: Bytes::from_static(b"a"),
        version: 1,
    };
    assert_eq!(
        bench.events.last(),
        Some(&Event::Deleted { was, expired: true }.into())
    );
    assert_eq!(bench.count(Table::Timer), 0);
}

#[test]
fn a_later_write_without_a_time_makes_it_stay() {
    let mut bench = Bench::new();
    bench.apply(set_for("a", 50));
    bench.apply(set("b"));
    assert_eq!(bench.count(Table::Timer), 0);
    bench.advance(100);
    assert_eq!(get(&mut bench), Some(Bytes::from_static(b"b")));
}

#[test]
fn no_time_at_all_is_over_at_once() {
    let mut bench = Bench::new();
    bench.apply(set_for("a", 0));
    assert_eq!(get(&mut bench), None);
}

#[test]
fn who_comes_before_the_timer_finds_it_gone() {
    let mut bench = Bench::new();
    bench.apply(set_for("a", 50));
    bench.now = Timestamp(bench.now.0 + 60);
    assert_eq!(
        outcome(bench.apply(update("b", 0))),
        Err(codes::ENTRY_NOT_FOUND.id)
    );
}

fn command() -> impl Strategy<Value = (u64, Command)> {
    let value = prop::sample::select(vec!["", "a", "b"]);
    let ttl = prop::option::of((0u64..40).prop_map(Duration::from_millis));
    let written = (value, ttl).prop_map(|(value, ttl)| (Bytes::from_static(value.as_bytes()), ttl));
    let command = (0..4, written, 0u64..6).prop_map(|(which, (value, ttl), expect)| match which {
        0 => Command::Set { value, ttl },
        1 => Command::Insert { value, ttl },
        2 => Command::Update { value, ttl, expect },
        _ => Command::Delete { expect },
    });
    (0u64..15, command)
}

proptest! {
    /// Against a value, its version and its end in three variables.
    #[test]
    fn it_is_a_versioned_value(history in prop::collection::vec(command(), 0..40)) {
        let mut bench = Bench::new();
        let mut model: Option<(Bytes, u64, Option<u64>)> = None;
        let mut last = 0;
        for (pause, command) in history {
            bench.advance(pause);
            model = model.filter(|(_, _, ends)| ends.is_none_or(|ends| ends > bench.now.0));
            let found = model.as_ref().map(|(_, version, _)| *version);
            let fits = |expect: u64| match found {
                None => Err(codes::ENTRY_NOT_FOUND.id),
                Some(version) if expect != 0 && expect != version => Err(codes::VALUE_CHANGED.id),
                Some(version) => Ok(version),
            };
            let (expected, write) = match &command {
                Command::Set { value, ttl } => (Ok(0), Some((value, ttl))),
                Command::Insert { value, ttl } => match found {
                    Some(_) => (Err(codes::ENTRY_EXISTS.id), None),
                    None => (Ok(0), Some((value, ttl))),
                },
                Command::Update { value, ttl, expect } => match fits(*expect) {
                    Ok(_) => (Ok(0), Some((value, ttl))),
                    refused => (refused, None),
                },
                Command::Delete { expect } => (fits(*expect), None),
            };
            let got = outcome(bench.apply(command.clone()));
            prop_assert_eq!(got.map(|_| ()), expected.map(|_| ()));
            if let (Ok(version), Some((value, ttl))) = (got, write) {
                prop_assert!(version > last, "versions grow");
                last = version;
                let ends = ttl.map(|ttl| bench.now.0 + ttl.as_millis() as u64);
                model = Some((value.clone(), version, ends));
            } else if matches!(command, Command::Delete { .. }) && got.is_ok() {
                model = None;
            }
            let seen = model.as_ref().filter(|(_, _, ends)| ends.is_none_or(|ends| ends > bench.now.0));
            prop_assert_eq!(get(&mut bench), seen.map(|(value, _, _)| value.clone()));
        }
    }
}
