use proptest::prelude::*;

use super::*;
use crate::key::Table;
use crate::testing::{Bench, Got};

fn text(value: &'static str) -> Bytes {
    Bytes::from_static(value.as_bytes())
}

fn append(key: &str, value: &'static str) -> Command {
    Command::Append {
        key: key.into(),
        value: text(value),
        ttl: None,
    }
}

fn append_for(key: &str, millis: u64) -> Command {
    Command::Append {
        key: key.into(),
        value: text("v"),
        ttl: Some(Duration::from_millis(millis)),
    }
}

fn update(which: Which, value: &'static str, expect: u64) -> Command {
    Command::Update {
        which,
        value: text(value),
        ttl: None,
        expect,
    }
}

fn remove(which: Which) -> Command {
    Command::Remove { which, expect: 0 }
}

fn key(key: &str) -> Which {
    Which::Key(key.into())
}

fn both(index: u64, key: &str) -> Which {
    Which::Both {
        index,
        key: key.into(),
    }
}

fn entry(key: &str, index: u64, value: &'static str, version: u64) -> Entry {
    Entry {
        key: key.into(),
        index,
        value: Versioned {
            value: text(value),
            version,
        },
    }
}

/// Index and version of the entry that answered; the code of a refusal.
type Outcome = Result<(u64, u64), &'static str>;

fn outcome(got: Got) -> Outcome {
    match got {
        Got::Now(reply) => Ok(match Reply::try_from(reply).expect("an indexed map's reply") {
            Reply::Entry(entry) => (entry.index, entry.value.version),
            Reply::Cleared => (0, 0),
            Reply::Overview { .. } => panic!("a command is answered otherwise"),
        }),
        Got::Refused(error) => Err(error.code().id),
        Got::Later(_) => panic!("an indexed map answers at once"),
    }
}

#[track_caller]
fn check(history: &[Command], expected: &[Result<(u64, u64), base::Code>]) -> Bench {
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
    bench
}

fn get(bench: &mut Bench, which: Which) -> Option<Entry> {
    match bench.read(Query::Get(which)) {
        Ok(reply) => match Reply::try_from(reply).expect("an indexed map's reply") {
            Reply::Entry(entry) => Some(entry),
            other => panic!("no entry: {other:?}"),
        },
        Err(error) => {
            assert_eq!(error.code(), codes::ENTRY_NOT_FOUND);
            None
        }
    }
}

fn overview(bench: &mut Bench) -> (u64, u64) {
    let reply = bench.read(Query::Overview).expect("it never fails");
    match Reply::try_from(reply).expect("an indexed map's reply") {
        Reply::Overview { generation, size, .. } => (generation, size),
        other => panic!("no overview: {other:?}"),
    }
}

const NOT_FOUND: Result<(u64, u64), base::Code> = Err(codes::ENTRY_NOT_FOUND);

#[test]
fn indexes_begin_with_one_and_are_never_used_twice() {
    check(
        &[
            append("a", "1"),
            append("b", "2"),
            remove(key("b")),
            append("c", "3"),
            Command::Clear,
            append("b", "4"),
        ],
        &[
            Ok((1, 1)),
            Ok((2, 2)),
            Ok((2, 2)),
            Ok((3, 4)),
            Ok((0, 0)),
            Ok((4, 6)),
        ],
    );
}

#[test]
fn a_key_has_one_entry() {
    let twice = [append("a", "1"), append("a", "2")];
    check(&twice, &[Ok((1, 1)), Err(codes::ENTRY_EXISTS)]);
}

#[test]
fn an_entry_is_found_by_key_and_by_index() {
    let mut bench = check(&[append("a", "1")], &[Ok((1, 1))]);
    let found = Some(entry("a", 1, "1", 1));
    assert_eq!(get(&mut bench, key("a")), found);
    assert_eq!(get(&mut bench, Which::Index(1)), found);
    assert_eq!(get(&mut bench, Which::Index(2)), None);
    assert_eq!(get(&mut bench, key("")), None);
}

#[test]
fn an_update_keeps_the_index_and_takes_a_new_version() {
    let updates = [
        append("a", "1"),
        update(key("a"), "2", 0),
        update(Which::Index(1), "3", 2),
        update(both(1, "a"), "4", 3),
    ];
    check(&updates, &[Ok((1, 1)), Ok((1, 2)), Ok((1, 3)), Ok((1, 4))]);
}

#[test]
fn an_update_asks_for_the_entry_then_its_key_then_its_version() {
    check(
        &[
            append("a", "1"),
            update(both(2, "b"), "1", 7),
            update(both(1, "b"), "1", 7),
            update(both(1, "a"), "1", 7),
        ],
        &[
            Ok((1, 1)),
            NOT_FOUND,
            Err(codes::INDEX_MISMATCH),
            Err(codes::VALUE_CHANGED),
        ],
    );
}

#[test]
fn an_equal_value_changes_nothing() {
    let mut bench = check(
        &[append_for("a", 50), update(key("a"), "v", 1)],
        &[Ok((1, 1)), Ok((1, 1))],
    );
    assert_eq!(bench.events.len(), 1);
    bench.advance(50);
    assert_eq!(
        get(&mut bench, key("a")),
        None,
        "it ends at its time all the same"
    );
}

#[test]
fn a_removed_entry_is_told_with_its_own_version() {
    let bench = check(
        &[
            append("a", "1"),
            append("b", "2"),
            Command::Remove {
                which: key("a"),
                expect: 9,
            },
            remove(Which::Index(1)),
            remove(Which::Index(1)),
        ],
        &[
            Ok((1, 1)),
            Ok((2, 2)),
            Err(codes::VALUE_CHANGED),
            Ok((1, 1)),
            NOT_FOUND,
        ],
    );
    let was = entry("a", 1, "1", 1);
    let expired = false;
    assert_eq!(bench.events.last(), Some(&Event::Removed { was, expired }.into()));
}

#[test]
fn an_update_is_told_with_what_was_there() {
    let mut bench = Bench::new();
    bench.apply(append("a", "1"));
    bench.apply(update(key("a"), "2", 0));
    let expected = [
        Event::Inserted(entry("a", 1, "1", 1)),
        Event::Updated {
            now: entry("a", 1, "2", 2),
            before: entry("a", 1, "1", 1).value,
        },
    ];
    assert_eq!(bench.events, expected.map(Into::into));
}

#[test]
fn a_clear_is_one_change_and_one_event_and_leaves_what_it_removed_readable() {
    let mut bench = Bench::new();
    for number in 0..100 {
        bench.apply(append(&number.to_string(), "v"));
    }
    let rows = bench.count(Table::Machine);
    bench.apply(Command::Clear);
    assert_eq!(bench.count(Table::Machine), rows, "nothing is deleted yet");
    assert_eq!(
        bench.events.last(),
        Some(&Event::Cleared { generation: 0 }.into())
    );
    assert_eq!(overview(&mut bench), (1, 0));
    assert_eq!(get(&mut bench, key("7")), None);
    assert_eq!(get(&mut bench, Which::Index(8)), None);
    let cleared = Query::Cleared {
        generation: 0,
        key: "7".into(),
    };
    let reply = bench.read(cleared).expect("it was there");
    assert_eq!(
        Reply::Entry(entry("7", 8, "v", 8)),
        reply.try_into().expect("ours")
    );
}

#[test]
fn clearing_nothing_is_no_event() {
    let bench = check(&[Command::Clear], &[Ok((0, 0))]);
    assert_eq!(bench.events, []);
    assert_eq!(bench.count(Table::Machine), 0);
}

#[test]
fn an_entry_ends_with_its_time_and_is_told_as_expired() {
    let mut bench = Bench::new();
    bench.apply(append_for("a", 50));
    bench.advance(50);
    let was = entry("a", 1, "v", 1);
    let expired = true;
    assert_eq!(bench.events.last(), Some(&Event::Removed { was, expired }.into()));
    assert_eq!(overview(&mut bench), (0, 0));
    assert_eq!(bench.count(Table::Timer), 0);
    assert_eq!(bench.count(Table::Machine), 1, "the head");
}

#[test]
fn a_key_is_free_again_before_its_timer_has_come() {
    let mut bench = Bench::new();
    bench.apply(append_for("a", 50));
    bench.now = Timestamp(bench.now.0 + 60);
    assert_eq!(get(&mut bench, key("a")), None);
    assert_eq!(
        outcome(bench.apply(update(key("a"), "w", 0))),
        Err(codes::ENTRY_NOT_FOUND.id)
    );
    assert_eq!(outcome(bench.apply(append("a", "w"))), Ok((2, 2)));
    assert_eq!(overview(&mut bench), (0, 1));
    assert_eq!(bench.count(Table::Timer), 0);
}

#[test]
fn a_timer_from_before_a_clear_ends_nothing() {
    let mut bench = Bench::new();
    bench.apply(append_for("a", 50));
    bench.apply(Command::Clear);
    bench.apply(append("a", "w"));
    bench.advance(100);
    assert_eq!(get(&mut bench, key("a")), Some(entry("a", 2, "w", 3)));
    assert_eq!(
        bench.count(Table::Timer),
        1,
        "the one that removes what was cleared"
    );
}

#[test]
fn a_later_write_without_a_time_makes_it_stay() {
    let mut bench = Bench::new();
    bench.apply(append_for("a", 50));
    bench.apply(update(key("a"), "w", 0));
    bench.advance(100);
    assert_eq!(get(&mut bench, key("a")), Some(entry("a", 1, "w", 2)));
}

#[test]
fn a_key_that_is_too_long_is_refused() {
    let long = "k".repeat(limits::ENTRY_KEY_BYTES_MAX + 1);
    let commands = [append(&long, "v"), append(&long[1..], "v")];
    check(&commands, &[Err(codes::KEY_INVALID), Ok((1, 1))]);
}

#[test]
fn what_was_cleared_is_removed_after_a_while_and_what_came_since_stays() {
    let mut bench = Bench::new();
    let entries = limits::COLLECTION_SWEEP_ROWS + 1;
    for number in 0..entries {
        bench.apply(append_for(&format!("key {number}"), 3_600_000));
    }
    bench.apply(Command::Clear);
    bench.apply(append("key 0", "new"));
    assert_eq!(bench.count(Table::Machine), 2 * entries + 3);
    let pause = limits::COLLECTION_SWEEP_PAUSE + limits::COLLECTION_SWEEP_STEP_PAUSE;
    bench.advance(u64::try_from(pause.as_millis()).expect("a short pause"));
    // The head, and one entry with its key; no timer of what is gone.
    assert_eq!((bench.count(Table::Machine), bench.count(Table::Timer)), (3, 0));
    let cleared = Query::Cleared {
        generation: 0,
        key: "key 1".into(),
    };
    let error = bench.read(cleared).expect_err("it is gone");
    assert_eq!(error.code(), codes::WATCH_BEHIND);
}

#[test]
fn rows_of_the_first_version_are_read() {
    let row = Bytes::from_static(b"\x01\x0a\x01k\x12\x01v\x18\x05\x20\xe8\x07");
    let row = EntryRow::from_row(&row).expect("a row");
    assert_eq!(
        (row.entry(9), row.end()),
        (entry("k", 9, "v", 5), Some(Timestamp(1_000)))
    );
    let head = Head::from_row(&Bytes::from_static(b"\x01\x08\x01\x10\x02\x18\x03")).expect("a row");
    assert_eq!((head.generation, head.index, head.size), (1, 2, 3));
    let key = KeyRow::from_row(&Bytes::from_static(b"\x01\x08\x09")).expect("a row");
    assert_eq!(key.index, 9);
}

/// An entry and when it ends.
type Kept = (Entry, Option<u64>);

/// Entries in a list, in the order they came.
#[derive(Default)]
struct Model {
    entries: Vec<Kept>,
    index: u64,
}

impl Model {
    fn position(&self, which: &Which) -> Option<usize> {
        self.entries.iter().position(|(entry, _)| match which {
            Which::Key(key) => entry.key == *key,
            Which::Index(index) | Which::Both { index, .. } => entry.index == *index,
        })
    }

    fn checked(&self, which: &Which, expect: u64) -> Result<usize, &'static str> {
        let at = self.position(which).ok_or(codes::ENTRY_NOT_FOUND.id)?;
        let entry = &self.entries[at].0;
        match which {
            Which::Both { key, .. } if *key != entry.key => Err(codes::INDEX_MISMATCH.id),
            _ if expect != 0 && expect != entry.value.version => Err(codes::VALUE_CHANGED.id),
            _ => Ok(at),
        }
    }

    /// What the command answers but for versions that are new, which are 0.
    fn apply(&mut self, command: &Command, now: u64) -> Outcome {
        let ends = |ttl: &Option<Duration>| ttl.map(|ttl| now + ttl.as_millis() as u64);
        match command {
            Command::Append { key, value, ttl } => {
                if self.position(&Which::Key(key.clone())).is_some() {
                    return Err(codes::ENTRY_EXISTS.id);
                }
                self.index += 1;
                let (index, value) = (self.index, value.clone());
                let value = Versioned { value, version: 0 };
                let key = key.clone();
                self.entries.push((Entry { key, index, value }, ends(ttl)));
                Ok((index, 0))
            }
            Command::Update {
                which,
                value,
                ttl,
                expect,
            } => {
                let at = self.checked(which, *expect)?;
                let (entry, end) = &mut self.entries[at];
                if entry.value.value != *value {
                    let value = value.clone();
                    entry.value = Versioned { value, version: 0 };
                    *end = ends(ttl);
                }
                Ok((entry.index, entry.value.version))
            }
            Command::Remove { which, expect } => {
                let at = self.checked(which, *expect)?;
                let (entry, _) = self.entries.remove(at);
                Ok((entry.index, entry.value.version))
            }
            Command::Clear => {
                self.entries.clear();
                Ok((0, 0))
            }
        }
    }

    fn forget_ended(&mut self, now: u64) {
        self.entries
            .retain(|(_, ends)| ends.is_none_or(|ends| ends > now));
    }
}

fn which() -> impl Strategy<Value = Which> {
    let key = prop::sample::select(vec!["a", "b", "c"]).prop_map(String::from);
    (0..3, key, 1u64..8).prop_map(|(kind, key, index)| match kind {
        0 => Which::Key(key),
        1 => Which::Index(index),
        _ => Which::Both { index, key },
    })
}

fn command() -> impl Strategy<Value = (u64, Command)> {
    let value = prop::sample::select(vec!["", "v", "w"]).prop_map(text);
    let ttl = prop::option::of((0u64..40).prop_map(Duration::from_millis));
    let expect = prop_oneof![3 => Just(0), 1 => 1u64..20];
    let key = prop::sample::select(vec!["", "a", "b", "c"]).prop_map(String::from);
    let all = (0..14, which(), key, value, ttl, expect);
    let command = all.prop_map(|(kind, which, key, value, ttl, expect)| match kind {
        0..6 => Command::Append { key, value, ttl },
        6..10 => Command::Update {
            which,
            value,
            ttl,
            expect,
        },
        10..13 => Command::Remove { which, expect },
        _ => Command::Clear,
    });
    (0u64..15, command)
}

proptest! {
    #[test]
    fn it_is_a_list_of_entries(history in prop::collection::vec(command(), 0..60)) {
        let mut bench = Bench::new();
        let mut model = Model::default();
        let mut last = 0;
        for (pause, command) in history {
            bench.advance(pause);
            model.forget_ended(bench.now.0);
            let expected = model.apply(&command, bench.now.0);
            let got = outcome(bench.apply(command));
            // A version that the model does not know is a new one.
            match (got, expected) {
                (Ok((index, version)), Ok((named, 0))) if index > 0 => {
                    prop_assert_eq!(index, named);
                    prop_assert!(version > last, "versions grow");
                    last = version;
                    if let Some(at) = model.position(&Which::Index(index)) {
                        model.entries[at].0.value.version = version;
                    }
                }
                (got, expected) => prop_assert_eq!(got, expected),
            }
            prop_assert_eq!(overview(&mut bench).1, model.entries.len() as u64);
            model.forget_ended(bench.now.0);
            for index in 1..=model.index {
                let which = Which::Index(index);
                let expected = model.position(&which).map(|at| model.entries[at].0.clone());
                prop_assert_eq!(get(&mut bench, which), expected);
            }
            for key in ["", "a", "b", "c"] {
                let which = Which::Key(key.into());
                let expected = model.position(&which).map(|at| model.entries[at].0.clone());
                prop_assert_eq!(get(&mut bench, which), expected);
            }
        }
    }
}
