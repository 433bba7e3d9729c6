use proptest::prelude::*;

use super::*;
use crate::testing::{Bench, Got};

fn set(values: &[&str]) -> BTreeSet<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

fn pairs(pairs: &[(&str, &[&str])]) -> Pairs {
    let pairs = pairs.iter().map(|(key, values)| ((*key).to_owned(), set(values)));
    pairs.collect()
}

fn put(key: &str, value: &str) -> Command {
    Command::Put {
        key: key.into(),
        value: value.into(),
    }
}

fn remove(key: &str, value: &str) -> Command {
    Command::Remove {
        key: key.into(),
        value: value.into(),
    }
}

fn replace(key: &str, values: &[&str]) -> Command {
    Command::Replace {
        key: key.into(),
        values: set(values),
    }
}

fn remove_all(key: &str, values: &[&str]) -> Command {
    Command::RemoveAll {
        key: key.into(),
        values: set(values),
    }
}

fn outcome(got: Got) -> Result<Reply, &'static str> {
    match got {
        Got::Now(reply) => Ok(Reply::try_from(reply).expect("a multimap's reply")),
        Got::Refused(error) => Err(error.code().id),
        Got::Later(_) => panic!("a multimap answers at once"),
    }
}

#[track_caller]
fn check(history: &[Command], expected: &[Result<Reply, base::Code>]) {
    let mut bench = Bench::new();
    let outcomes: Vec<_> = history
        .iter()
        .map(|command| outcome(bench.apply(command.clone())))
        .collect();
    let expected = expected
        .iter()
        .map(|expected| expected.clone().map_err(|code| code.id));
    assert_eq!(outcomes, expected.collect::<Vec<_>>());
}

const DONE: Result<Reply, base::Code> = Ok(Reply::Changed(true));
const NOTHING: Result<Reply, base::Code> = Ok(Reply::Changed(false));
const MISSING: Result<Reply, base::Code> = Err(codes::ENTRY_NOT_FOUND);

#[test]
fn a_pair_is_there_once() {
    check(
        &[put("k", "a"), put("k", "a"), put("k", "b")],
        &[DONE, Err(codes::ENTRY_EXISTS), DONE],
    );
}

#[test]
fn what_is_not_there_cannot_be_removed() {
    check(
        &[
            remove("k", "a"),
            put("k", "a"),
            remove("k", "b"),
            remove("k", "a"),
        ],
        &[MISSING, DONE, MISSING, DONE],
    );
}

#[test]
fn removing_all_needs_the_key_and_none_is_nothing() {
    check(
        &[
            remove_all("k", &["a"]),
            put("k", "a"),
            remove_all("k", &[]),
            remove_all("k", &["a", "b"]),
            remove_all("k", &["a"]),
        ],
        &[MISSING, DONE, NOTHING, DONE, MISSING],
    );
}

#[test]
fn adding_tells_whether_anything_was_new() {
    let all = pairs(&[("k", &["a", "b"]), ("l", &["a"])]);
    check(
        &[
            Command::Add(all.clone()),
            Command::Add(all.clone()),
            Command::RemoveEntries(all.clone()),
            Command::RemoveEntries(all),
        ],
        &[DONE, NOTHING, DONE, NOTHING],
    );
}

#[test]
fn a_replaced_key_answers_what_it_had() {
    check(
        &[
            replace("k", &["a", "b"]),
            replace("k", &["b", "c"]),
            replace("k", &[]),
        ],
        &[
            Ok(Reply::Before(set(&[]))),
            Ok(Reply::Before(set(&["a", "b"]))),
            Ok(Reply::Before(set(&["b", "c"]))),
        ],
    );
}

#[test]
fn only_differences_are_told() {
    let mut bench = Bench::new();
    bench.apply(replace("k", &["a", "b"]));
    bench.apply(replace("k", &["b", "c"]));
    let changed = Event::Changed {
        key: "k".into(),
        added: set(&["c"]),
        removed: set(&["a"]),
        now: set(&["b", "c"]),
    };
    assert_eq!(bench.events.last(), Some(&changed.into()));
}

#[test]
fn the_values_of_a_key_are_limited() {
    let mut bench = Bench::new();
    let long = "v".repeat(limits::MULTIMAP_VALUES_BYTES_MAX);
    assert_eq!(
        outcome(bench.apply(put("k", &long))),
        Err(codes::BATCH_TOO_LARGE.id)
    );
    assert_eq!(
        outcome(bench.apply(put("k", &long[..1_000]))),
        Ok(Reply::Changed(true))
    );
}

fn command() -> impl Strategy<Value = Command> {
    let text = || prop::sample::select(vec!["", "a", "b"]).prop_map(str::to_owned);
    let values = || prop::collection::btree_set(text(), 0..3);
    let pairs = || prop::collection::btree_map(text(), values(), 0..3);
    prop_oneof![
        3 => (text(), text()).prop_map(|(key, value)| Command::Put { key, value }),
        2 => pairs().prop_map(Command::Add),
        2 => (text(), values()).prop_map(|(key, values)| Command::Replace { key, values }),
        3 => (text(), text()).prop_map(|(key, value)| Command::Remove { key, value }),
        2 => (text(), values()).prop_map(|(key, values)| Command::RemoveAll { key, values }),
        2 => pairs().prop_map(Command::RemoveEntries),
        1 => Just(Command::Clear),
    ]
}

/// Pairs in memory; what a command answers, told by counting them.
fn model(pairs: &mut BTreeSet<(String, String)>, command: &Command) -> Result<Reply, &'static str> {
    let of = |pairs: &BTreeSet<(String, String)>, wanted: &str| -> BTreeSet<String> {
        let own = pairs.iter().filter(|(key, _)| key == wanted);
        own.map(|(_, value)| value.clone()).collect()
    };
    let before = pairs.len();
    match command {
        Command::Put { key, value } => {
            if !pairs.insert((key.clone(), value.clone())) {
                return Err(codes::ENTRY_EXISTS.id);
            }
        }
        Command::Add(added) => {
            for (key, values) in added {
                pairs.extend(values.iter().map(|value| (key.clone(), value.clone())));
            }
        }
        Command::Replace { key, values } => {
            let had = of(pairs, key);
            pairs.retain(|(own, _)| own != key);
            pairs.extend(values.iter().map(|value| (key.clone(), value.clone())));
            return Ok(Reply::Before(had));
        }
        Command::Remove { key, value } => {
            if !pairs.remove(&(key.clone(), value.clone())) {
                return Err(codes::ENTRY_NOT_FOUND.id);
            }
        }
        Command::RemoveAll { key, values } => {
            if of(pairs, key).is_empty() {
                return Err(codes::ENTRY_NOT_FOUND.id);
            }
            pairs.retain(|(own, value)| own != key || !values.contains(value));
        }
        Command::RemoveEntries(gone) => {
            pairs.retain(|(key, value)| !gone.get(key).is_some_and(|values| values.contains(value)));
        }
        Command::Clear => {
            pairs.clear();
            return Ok(Reply::Changed(true));
        }
    }
    Ok(Reply::Changed(pairs.len() != before))
}

proptest! {
    #[test]
    fn it_is_a_set_of_pairs(history in prop::collection::vec(command(), 0..40)) {
        let mut bench = Bench::new();
        let mut pairs = BTreeSet::new();
        for command in history {
            let expected = model(&mut pairs, &command);
            prop_assert_eq!(outcome(bench.apply(command)), expected);
            let mut found = BTreeSet::new();
            for key in ["", "a", "b"] {
                let Ok(Ok(Reply::Found(values))) = bench.read(Query::Get { key: key.into() }).map(Reply::try_from) else {
                    panic!("a key's values");
                };
                found.extend(values.into_iter().map(|value| (key.to_owned(), value)));
            }
            prop_assert_eq!(&found, &pairs);
            let keys: BTreeSet<_> = pairs.iter().map(|(key, _)| key).collect();
            let size = bench.read(Query::Size).map(Reply::try_from);
            prop_assert_eq!(size.ok(), Some(Ok(Reply::Size(keys.len() as u64))));
        }
    }
}
