use std::collections::BTreeMap;

use base::codes;
use proptest::prelude::*;

use super::*;
use crate::testing::{Bench, Got};

fn add(element: &str, millis: Option<u64>) -> Command {
    Command::Add {
        element: element.into(),
        ttl: millis.map(Duration::from_millis),
    }
}

fn remove(element: &str) -> Command {
    Command::Remove {
        element: element.into(),
    }
}

fn outcome(got: Got) -> Result<(), &'static str> {
    match got {
        Got::Now(reply) => {
            assert_eq!(Reply::try_from(reply), Ok(Reply::Done));
            Ok(())
        }
        Got::Refused(error) => Err(error.code().id),
        Got::Later(_) => panic!("a set answers at once"),
    }
}

#[track_caller]
fn check(history: &[Command], expected: &[Result<(), base::Code>]) {
    let mut bench = Bench::new();
    let outcomes: Vec<_> = history
        .iter()
        .map(|command| outcome(bench.apply(command.clone())))
        .collect();
    let expected = expected.iter().map(|expected| expected.map_err(|code| code.id));
    assert_eq!(outcomes, expected.collect::<Vec<_>>());
}

fn ask(bench: &mut Bench, query: Query) -> Reply {
    let reply = bench.read(query).expect("sets answer everything");
    Reply::try_from(reply).expect("a set's reply")
}

#[test]
fn an_element_is_there_once() {
    check(
        &[add("a", None), add("a", None), add("b", None)],
        &[Ok(()), Err(codes::ENTRY_EXISTS), Ok(())],
    );
}

#[test]
fn what_is_not_there_cannot_be_removed() {
    check(
        &[remove("a"), add("a", None), remove("a"), remove("a")],
        &[
            Err(codes::ENTRY_NOT_FOUND),
            Ok(()),
            Ok(()),
            Err(codes::ENTRY_NOT_FOUND),
        ],
    );
}

#[test]
fn the_time_of_an_element_is_told() {
    let mut bench = Bench::new();
    bench.apply(add("a", Some(50)));
    bench.advance(50);
    let (element, expired) = ("a".into(), true);
    assert_eq!(
        bench.events.last(),
        Some(&Event::Removed { element, expired }.into())
    );
}

#[test]
fn adding_again_leaves_the_time_as_it_is() {
    let mut bench = Bench::new();
    bench.apply(add("a", Some(50)));
    bench.apply(add("a", None));
    bench.advance(50);
    let element = "a".into();
    assert_eq!(
        ask(&mut bench, Query::Contains { element }),
        Reply::Contains(false)
    );
}

fn command() -> impl Strategy<Value = (u64, Command)> {
    let element = prop::sample::select(vec!["", "a", "b"]);
    let ttl = prop::option::of(0u64..40);
    let command = (0..9, element, ttl).prop_map(|(which, element, ttl)| match which {
        0..5 => add(element, ttl),
        5..8 => remove(element),
        _ => Command::Clear,
    });
    (0u64..15, command)
}

proptest! {
    /// Against elements and their ends in memory.
    #[test]
    fn it_is_a_set(history in prop::collection::vec(command(), 0..40)) {
        let mut bench = Bench::new();
        let mut model: BTreeMap<String, Option<u64>> = BTreeMap::new();
        for (pause, command) in history {
            bench.advance(pause);
            let now = bench.now.0;
            model.retain(|_, ends| ends.is_none_or(|ends| ends > now));
            let expected = match &command {
                Command::Add { element, .. } if model.contains_key(element) => Err(codes::ENTRY_EXISTS.id),
                Command::Add { element, ttl } => {
                    let ends = ttl.map(|ttl| bench.now.plus(ttl).0);
                    model.insert(element.clone(), ends);
                    Ok(())
                }
                Command::Remove { element } => match model.remove(element) {
                    Some(_) => Ok(()),
                    None => Err(codes::ENTRY_NOT_FOUND.id),
                },
                Command::Clear => {
                    model.clear();
                    Ok(())
                }
            };
            prop_assert_eq!(outcome(bench.apply(command)), expected);
            bench.advance(14);
            model.retain(|_, ends| ends.is_none_or(|ends| ends > now + 14));
            for element in ["", "a", "b"] {
                let expected = Reply::Contains(model.contains_key(element));
                prop_assert_eq!(ask(&mut bench, Query::Contains { element: element.into() }), expected);
            }
            prop_assert_eq!(ask(&mut bench, Query::Size), Reply::Size(model.len() as u64));
        }
    }
}
