use crate::linear::models::Map;
use crate::linear::models::map::{Change, Changed, Operation, Outcome, To};
use crate::linear::models::register::Before;

type Line = super::Line<Map>;

#[track_caller]
fn good(lines: Vec<Line>) {
    super::good::<Map>(lines);
}

#[track_caller]
fn bad(lines: Vec<Line>) {
    super::bad::<Map>(lines);
}

fn commit(changes: Vec<(&str, To)>) -> Operation {
    let change = |(key, to): (&str, To)| Change { key: key.into(), to };
    Operation::Commit(changes.into_iter().map(change).collect())
}

fn one(key: &str, to: To) -> Operation {
    commit(vec![(key, to)])
}

fn put(value: &str) -> To {
    let (value, expect) = (value.into(), 0);
    To::Put { value, expect }
}

fn put_at(value: &str, expect: u64) -> To {
    let value = value.into();
    To::Put { value, expect }
}

fn update(value: &str, expect: u64) -> To {
    let value = value.into();
    To::Update { value, expect }
}

fn insert(value: &str) -> To {
    To::Insert(value.into())
}

fn remove(expect: u64) -> To {
    To::Remove { expect }
}

fn get(key: &str) -> Operation {
    Operation::Get(key.into())
}

fn wrote(version: u64) -> Changed {
    let before = Before::NotTold;
    Changed::Written { version, before }
}

fn written(version: u64) -> Outcome {
    Outcome::Committed(vec![wrote(version)])
}

fn found(value: &str, version: u64) -> Outcome {
    let value = value.into();
    Outcome::Found { value, version }
}

/// `x` is 1 and `y` is 2, both written by the step 5.
fn both() -> Vec<Line> {
    let changes = commit(vec![("x", put("1")), ("y", insert("2"))]);
    vec![(1, 2, changes, Outcome::Committed(vec![wrote(5), wrote(5)]))]
}

fn then(operation: Operation, outcome: Outcome) -> Vec<Line> {
    let mut history = both();
    history.push((3, 4, operation, outcome));
    history
}

#[test]
fn a_maps_life() {
    let taken = |value: &str, version| {
        let value = value.into();
        Outcome::Committed(vec![Changed::Removed { value, version }])
    };
    let mut history = both();
    history.extend([
        (3, 4, Operation::Size, Outcome::Size(2)),
        (5, 6, one("x", update("3", 5)), written(6)),
        (7, 8, get("x"), found("3", 6)),
        (9, 10, one("y", remove(5)), taken("2", 5)),
        (11, 12, get("y"), Outcome::Absent),
        (13, 14, Operation::Clear, Outcome::Cleared),
        (15, 16, Operation::Size, Outcome::Size(0)),
        (17, 18, one("x", insert("4")), written(9)),
    ]);
    good(history);
}

#[test]
fn a_change_is_refused_for_what_is_there() {
    good(then(one("x", insert("3")), Outcome::Exists));
    good(then(one("z", remove(0)), Outcome::Absent));
    good(then(one("x", update("3", 4)), Outcome::Mismatch));
    good(then(one("x", remove(4)), Outcome::Mismatch));
    good(then(one("x", put_at("3", 4)), Outcome::Mismatch));
    good(then(one("z", put_at("3", 4)), Outcome::Mismatch));
    bad(then(one("x", insert("3")), written(6)));
    bad(then(one("x", update("3", 4)), written(6)));
    bad(then(one("x", update("3", 5)), Outcome::Mismatch));
    bad(then(one("x", put("3")), Outcome::Mismatch));
    bad(then(one("z", insert("3")), Outcome::Exists));
    bad(then(one("x", update("3", 0)), Outcome::Absent));
}

#[test]
fn a_commit_is_refused_as_a_whole() {
    let changes = || commit(vec![("x", put("3")), ("y", insert("4"))]);
    good(then(changes(), Outcome::Exists));
    bad(then(changes(), Outcome::Absent));
    bad(then(changes(), Outcome::Committed(vec![wrote(6), wrote(6)])));
    let mut half = then(changes(), Outcome::Exists);
    half.push((5, 6, get("x"), found("3", 6)));
    bad(half);
}

#[test]
fn a_commit_of_which_half_is_seen() {
    let seen = |end, y| {
        let mut history = both();
        let changes = commit(vec![("x", put("3")), ("y", put("4"))]);
        let outcome = Outcome::Committed(vec![wrote(6), wrote(6)]);
        history.push((3, end, changes, outcome));
        history.push((4, 5, get("x"), found("3", 6)));
        history.push((6, 7, get("y"), y));
        history
    };
    for end in [0, 8] {
        good(seen(end, found("4", 6)));
        bad(seen(end, found("2", 5)));
    }
}

#[test]
fn writes_of_one_commit_have_one_version() {
    let changes = || commit(vec![("x", put("3")), ("z", put("4"))]);
    good(then(changes(), Outcome::Committed(vec![wrote(6), wrote(6)])));
    bad(then(changes(), Outcome::Committed(vec![wrote(6), wrote(7)])));
    bad(then(changes(), Outcome::Committed(vec![wrote(6)])));
}

#[test]
fn versions_grow_over_all_keys() {
    good(then(one("z", put("3")), written(6)));
    bad(then(one("z", put("3")), written(5)));
    bad(then(one("z", put("3")), written(4)));
}

#[test]
fn an_equal_value_stays_as_it_is() {
    let same = |version, before| Outcome::Committed(vec![Changed::Written { version, before }]);
    good(then(one("x", put("1")), same(5, Before::Nothing)));
    bad(then(one("x", put("1")), same(6, Before::Nothing)));
    good(then(one("x", update("1", 0)), same(6, Before::NotTold)));
    bad(then(one("x", update("1", 0)), same(5, Before::NotTold)));
}

#[test]
fn what_was_before_must_have_been_there() {
    let value = |value: &str| value.to_owned();
    let was = |value, version| {
        let before = Before::Was { value, version };
        Outcome::Committed(vec![Changed::Written { version: 6, before }])
    };
    good(then(one("x", put("3")), was(value("1"), 5)));
    bad(then(one("x", put("3")), was(value("2"), 5)));
    bad(then(one("x", put("3")), was(value("1"), 4)));
    bad(then(one("z", put("3")), was(value("1"), 5)));
}

#[test]
fn a_clear_that_leaves_something_behind() {
    let mut history = then(Operation::Clear, Outcome::Cleared);
    history.push((5, 6, get("y"), found("2", 5)));
    bad(history);
    bad(then(Operation::Size, Outcome::Size(1)));
}

#[test]
fn a_version_that_nobody_was_told_is_known_once_it_is_seen() {
    let seen = |version, again| {
        let mut history = both();
        history.push((3, 0, one("x", put("3")), written(0)));
        history.push((4, 5, get("x"), found("3", version)));
        history.push((6, 7, get("x"), found("3", again)));
        history
    };
    good(seen(8, 8));
    bad(seen(8, 9));
    bad(seen(5, 5));
}
