use proptest::prelude::*;

use super::*;
use crate::testing::{Bench, Got};

#[track_caller]
fn check(history: &[Command], expected: &[Option<i64>]) {
    let mut bench = Bench::new();
    let answers: Vec<Option<i64>> = history
        .iter()
        .map(|command| value(bench.apply(*command)))
        .collect();
    assert_eq!(answers, expected);
}

/// `None`: refused as changed.
#[track_caller]
fn value(got: Got) -> Option<i64> {
    match got {
        Got::Now(reply) => Some(Reply::try_from(reply).expect("a counter's reply").value),
        Got::Refused(error) => {
            let expected = [codes::VALUE_CHANGED, codes::ENTRY_EXISTS, codes::ENTRY_NOT_FOUND];
            assert!(expected.contains(&error.code()), "{error}");
            None
        }
        Got::Later(_) => panic!("a counter answers at once"),
    }
}

#[test]
fn a_counter_starts_at_zero() {
    check(
        &[Command::Add(5), Command::Add(-7), Command::Add(0)],
        &[Some(5), Some(-2), Some(-2)],
    );
}

#[test]
fn an_update_needs_the_value_it_names() {
    let update = |check, value| Command::Update { check, value };
    check(
        &[update(0, 3), update(0, 4), update(3, 4)],
        &[Some(3), None, Some(4)],
    );
}

#[test]
fn a_sum_wraps() {
    check(
        &[Command::Set(i64::MAX), Command::Add(1)],
        &[Some(i64::MAX), Some(i64::MIN)],
    );
}

#[test]
fn a_refused_update_leaves_the_version() {
    let mut bench = Bench::new();
    bench.apply(Command::Set(1));
    bench.apply(Command::Update { check: 9, value: 2 });
    let reply = bench.read(Query::Get).expect("a read");
    assert_eq!(Reply::try_from(reply), Ok(Reply { value: 1, version: 1 }));
}

#[test]
fn what_was_never_set_is_zero_and_has_no_version() {
    let reply = Bench::new().read(Query::Get).expect("a read");
    assert_eq!(Reply::try_from(reply), Ok(Reply::default()));
}

#[test]
fn a_put_needs_the_version_it_names() {
    let put = |value, expect| Command::Put { value, expect };
    check(
        &[
            put(1, Expect::Version(1)),
            put(2, Expect::Absent),
            put(3, Expect::Absent),
            put(4, Expect::Version(2)),
            put(5, Expect::Version(1)),
            put(6, Expect::Anything),
        ],
        &[None, Some(2), None, None, Some(5), Some(6)],
    );
}

fn command() -> impl Strategy<Value = Command> {
    let small = -3i64..4;
    prop_oneof![
        any::<i64>().prop_map(Command::Set),
        small.clone().prop_map(Command::Set),
        (small.clone(), small.clone()).prop_map(|(check, value)| Command::Update { check, value }),
        small.clone().prop_map(|value| Command::Put {
            value,
            expect: Expect::Anything
        }),
        small.prop_map(Command::Add),
        any::<i64>().prop_map(Command::Add),
    ]
}

proptest! {
    #[test]
    fn it_is_a_number(history in prop::collection::vec(command(), 0..40)) {
        let (mut bench, mut model) = (Bench::new(), 0i64);
        for command in history {
            let expected = match command {
                Command::Set(value) => Some(value),
                Command::Update { check, value } => (check == model).then_some(value),
                Command::Put { value, .. } => Some(value),
                Command::Add(delta) => Some(model.wrapping_add(delta)),
            };
            prop_assert_eq!(value(bench.apply(command)), expected);
            model = expected.unwrap_or(model);
        }
    }
}
