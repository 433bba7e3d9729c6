//! Histories that are known to be good or bad, and random ones against the definition itself.

use super::models::counter::{Operation as Count, Outcome as Counted};
use super::models::register::{Before, Operation as Write, Outcome as Wrote};
use super::models::{Counter, Register};
use super::*;

mod elections;
mod locks;
mod maps;

/// Began, ended, operation, outcome. An end of 0: no answer.
type Line<M> = (u64, u64, <M as Model>::Operation, <M as Model>::Outcome);

fn history<M: Model>(lines: Vec<Line<M>>) -> Vec<Call<M>> {
    let call = |(began, end, operation, outcome): Line<M>| Call {
        began,
        operation,
        ended: (end > 0).then_some((end, outcome)),
        lapsed: None,
    };
    lines.into_iter().map(call).collect()
}

#[track_caller]
fn good<M: Model>(lines: Vec<Line<M>>) {
    assert_eq!(check(history::<M>(lines)), Verdict::Linearizable);
}

#[track_caller]
fn bad<M: Model>(lines: Vec<Line<M>>) {
    let verdict = check(history::<M>(lines));
    assert!(matches!(verdict, Verdict::Violation(_)), "{verdict:?}");
}

fn is(value: i64) -> Counted {
    Counted::Is { value, version: None }
}

#[test]
fn nothing_is_linearizable() {
    good::<Counter>(vec![]);
}

#[test]
fn one_after_the_other() {
    good::<Counter>(vec![
        (1, 2, Count::Add(2), is(2)),
        (3, 4, Count::Get, is(2)),
        (5, 6, Count::Update { check: 2, value: 9 }, is(9)),
        (7, 8, Count::Update { check: 2, value: 9 }, Counted::Changed),
        (9, 10, Count::Set(-1), is(-1)),
    ]);
}

#[test]
fn overlapping_calls_may_take_either_order() {
    let one_then_two = |first, second| {
        vec![
            (1, 4, Count::Add(1), is(first)),
            (2, 3, Count::Add(1), is(second)),
        ]
    };
    good::<Counter>(one_then_two(1, 2));
    good::<Counter>(one_then_two(2, 1));
}

#[test]
fn a_stale_read() {
    bad::<Counter>(vec![(1, 2, Count::Add(1), is(1)), (3, 4, Count::Get, is(0))]);
}

#[test]
fn a_read_beside_a_write_may_see_either() {
    for seen in [0, 1] {
        good::<Counter>(vec![(1, 4, Count::Add(1), is(1)), (2, 3, Count::Get, is(seen))]);
    }
}

#[test]
fn once_seen_it_stays_seen() {
    bad::<Counter>(vec![
        (1, 8, Count::Add(1), is(1)),
        (2, 3, Count::Get, is(1)),
        (4, 5, Count::Get, is(0)),
    ]);
}

#[test]
fn a_lost_update() {
    bad::<Counter>(vec![
        (1, 3, Count::Add(1), is(1)),
        (2, 4, Count::Add(1), is(1)),
        (5, 6, Count::Get, is(1)),
    ]);
}

#[test]
fn an_increment_that_is_done_twice() {
    bad::<Counter>(vec![(1, 2, Count::Add(1), is(1)), (3, 4, Count::Get, is(2))]);
}

#[test]
fn an_update_that_should_have_been_refused() {
    bad::<Counter>(vec![
        (1, 2, Count::Add(1), is(1)),
        (3, 4, Count::Update { check: 0, value: 5 }, is(5)),
    ]);
    bad::<Counter>(vec![(
        1,
        2,
        Count::Update { check: 0, value: 5 },
        Counted::Changed,
    )]);
}

#[test]
fn without_an_answer_it_may_be_done_now_later_or_never() {
    for seen in [[0, 0], [0, 1], [1, 1]] {
        good::<Counter>(vec![
            (1, 0, Count::Add(1), is(0)),
            (2, 3, Count::Get, is(seen[0])),
            (4, 5, Count::Get, is(seen[1])),
        ]);
    }
}

#[test]
fn what_was_seen_without_an_answer_must_not_be_lost() {
    bad::<Counter>(vec![
        (1, 0, Count::Add(1), is(0)),
        (2, 3, Count::Get, is(1)),
        (4, 5, Count::Get, is(0)),
    ]);
}

#[test]
fn without_an_answer_it_is_not_done_before_it_began() {
    bad::<Counter>(vec![(1, 2, Count::Get, is(1)), (3, 0, Count::Add(1), is(0))]);
}

#[test]
fn a_counters_version_must_grow() {
    let at = |value, version| Counted::Is {
        value,
        version: Some(version),
    };
    good::<Counter>(vec![
        (1, 2, Count::Add(1), at(1, 5)),
        (3, 4, Count::Add(1), at(2, 6)),
    ]);
    bad::<Counter>(vec![
        (1, 2, Count::Add(1), at(1, 5)),
        (3, 4, Count::Add(1), at(2, 5)),
    ]);
    bad::<Counter>(vec![
        (1, 2, Count::Add(1), at(1, 5)),
        (3, 4, Count::Get, at(1, 4)),
    ]);
}

fn put(value: &str) -> Write {
    Write::Put(value.into())
}

fn update(value: &str, expect: u64) -> Write {
    let value = value.into();
    Write::Update { value, expect }
}

fn wrote(version: u64) -> Wrote {
    let before = Before::NotTold;
    Wrote::Written { version, before }
}

fn found(value: &str, version: u64) -> Wrote {
    let value = value.into();
    Wrote::Found { value, version }
}

#[test]
fn a_registers_life() {
    let before = |value: &str, version| Before::Was {
        value: value.into(),
        version,
    };
    good::<Register>(vec![
        (1, 2, Write::Get, Wrote::Absent),
        (3, 4, update("a", 0), Wrote::Absent),
        (5, 6, Write::Insert("a".into()), wrote(3)),
        (7, 8, Write::Insert("b".into()), Wrote::Exists),
        (9, 10, update("b", 2), Wrote::Changed),
        (11, 12, update("b", 3), wrote(4)),
        (13, 14, Write::Delete { expect: 3 }, Wrote::Changed),
        (
            15,
            16,
            put("c"),
            Wrote::Written {
                version: 7,
                before: before("b", 4),
            },
        ),
        (17, 18, Write::Delete { expect: 7 }, found("c", 7)),
        (
            19,
            20,
            put("d"),
            Wrote::Written {
                version: 9,
                before: Before::Nothing,
            },
        ),
        (21, 22, Write::Get, found("d", 9)),
    ]);
}

#[test]
fn a_version_that_goes_back() {
    bad::<Register>(vec![(1, 2, put("a"), wrote(5)), (3, 4, put("b"), wrote(4))]);
    // A delete takes one as well.
    bad::<Register>(vec![
        (1, 2, put("a"), wrote(5)),
        (3, 4, Write::Delete { expect: 0 }, found("a", 5)),
        (5, 6, put("b"), wrote(5)),
    ]);
}

#[test]
fn a_compare_and_set_that_two_have_won() {
    bad::<Register>(vec![
        (1, 2, put("a"), wrote(1)),
        (3, 5, update("b", 1), wrote(2)),
        (4, 6, update("c", 1), wrote(3)),
    ]);
}

#[test]
fn an_acknowledged_write_that_is_lost() {
    bad::<Register>(vec![
        (1, 2, put("a"), wrote(1)),
        (3, 4, put("b"), wrote(2)),
        (5, 6, Write::Get, found("a", 1)),
    ]);
}

#[test]
fn a_write_that_was_seen_and_then_lost() {
    let seen = |end| {
        vec![
            (1, 2, put("a"), wrote(1)),
            (3, end, put("b"), wrote(2)),
            (4, 5, Write::Get, found("b", 2)),
            (7, 8, Write::Get, found("a", 1)),
        ]
    };
    bad::<Register>(seen(0));
    bad::<Register>(seen(6));
}

#[test]
fn a_version_that_nobody_was_told_is_known_once_it_is_seen() {
    let seen = |again| {
        vec![
            (1, 2, put("a"), wrote(1)),
            (3, 0, put("b"), wrote(0)),
            (4, 5, Write::Get, found("b", 4)),
            (6, 7, Write::Get, found("b", again)),
        ]
    };
    good::<Register>(seen(4));
    bad::<Register>(seen(5));
    bad::<Register>(vec![
        (1, 2, put("a"), wrote(9)),
        (3, 0, put("b"), wrote(0)),
        (4, 5, Write::Get, found("b", 8)),
    ]);
}

/// What is not answered stays possible to the end: it must not double the work each time.
#[test]
fn many_calls_without_an_answer_are_decided() {
    let mut calls = vec![];
    let mut clock = 0;
    let mut tick = || {
        clock += 1;
        clock
    };
    for round in 0..40 {
        for delta in 1..4 {
            calls.push((tick(), 0, Count::Add(delta), is(0)));
        }
        // One of each three is done.
        calls.push((tick(), tick(), Count::Get, is(round * 2)));
        calls.push((tick(), tick(), Count::Get, is((round + 1) * 2)));
    }
    good::<Counter>(calls.clone());
    calls.push((tick(), tick(), Count::Get, is(0)));
    let verdict = check_within(history::<Counter>(calls), 5_000);
    assert_ne!(verdict, Verdict::Linearizable);
}

#[test]
fn a_bad_end_after_many_writes_without_an_answer_is_found() {
    let mut calls = vec![];
    for n in 0..60 {
        calls.push((4 * n + 1, 0, put(&format!("lost {n}")), wrote(0)));
        calls.push((4 * n + 2, 4 * n + 3, put(&n.to_string()), wrote(n + 1)));
    }
    calls.push((300, 301, Write::Get, found("nobody wrote this", 99)));
    bad::<Register>(calls);
}

#[test]
fn what_takes_too_long_is_called_undecided() {
    let calls = (0..12).map(|n| (1 + n, 100 + n, Count::Add(1 << n), is(-1)));
    let verdict = check_within(history::<Counter>(calls.collect()), 0);
    assert_eq!(verdict, Verdict::Undecided { configurations: 0 });
}

#[test]
fn what_has_lapsed_was_done_before_or_never() {
    for (seen, expected) in [
        ([0, 0, 0], true),
        ([0, 1, 1], true),
        ([1, 1, 1], true),
        ([0, 0, 1], false),
    ] {
        let mut calls = history::<Counter>(vec![
            (1, 0, Count::Add(1), is(0)),
            (2, 3, Count::Get, is(seen[0])),
            (5, 6, Count::Get, is(seen[1])),
            (7, 8, Count::Get, is(seen[2])),
        ]);
        calls[0].lapsed = Some(4);
        assert_eq!(check(calls) == Verdict::Linearizable, expected, "{seen:?}");
    }
}

/// Every order, tried without any cleverness.
fn naive(calls: &[Call<Counter>], done: u32, state: &<Counter as Model>::State) -> bool {
    let is_done = |index: usize| done & (1 << index) != 0;
    let undone = |index: &usize| !is_done(*index);
    let left = (0..calls.len()).filter(undone);
    if left.clone().all(|index| calls[index].ended.is_none()) {
        return true;
    }
    let end = |call: &Call<Counter>| call.ended.map_or(u64::MAX, |(end, _)| end);
    left.clone().any(|index| {
        let call = &calls[index];
        let lapsed = |other: &Call<Counter>| call.lapsed.is_some_and(|lapsed| other.began > lapsed);
        let has_lapsed = (0..calls.len()).any(|other| is_done(other) && lapsed(&calls[other]));
        let may_be_next = !has_lapsed && left.clone().all(|other| end(&calls[other]) >= call.began);
        let outcome = call.ended.as_ref().map(|(_, outcome)| outcome);
        let next = Counter::apply(state, &call.operation, outcome).filter(|_| may_be_next);
        next.is_some_and(|next| naive(calls, done | 1 << index, &next))
    })
}

#[test]
fn random_histories_are_judged_as_by_trying_everything() {
    let mut verdicts = [0, 0];
    for seed in 0..3_000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut times: Vec<u64> = (1..=14).collect();
        random.shuffle(&mut times);
        let mut value = 0;
        let call = |times: &[u64]| {
            let operation = match random.u32(..4) {
                0 => Count::Get,
                1 => Count::Set(random.i64(0..3)),
                _ => Count::Add(random.i64(1..3)),
            };
            value += random.i64(0..2);
            let end = times[0].max(times[1]);
            let is_answered = random.u32(..4) > 0;
            Call::<Counter> {
                began: times[0].min(times[1]),
                operation,
                ended: is_answered.then_some((end, is(value))),
                lapsed: (!is_answered && random.bool()).then_some(end),
            }
        };
        let calls: Vec<_> = times.chunks(2).map(call).collect();
        let expected = naive(&calls, 0, &Default::default());
        let verdict = check(calls);
        assert_eq!(
            verdict == Verdict::Linearizable,
            expected,
            "seed {seed}: {verdict:?}"
        );
        verdicts[usize::from(expected)] += 1;
    }
    assert!(
        verdicts.iter().all(|count| *count > 50),
        "both kinds: {verdicts:?}"
    );
}

#[test]
fn what_a_recorder_lets_lapse_is_not_done_later() {
    for (outlives, expected) in [(true, true), (false, false)] {
        let recorder = Recorder::<Counter>::default();
        recorder.begin("a", Count::Add(1));
        recorder.lapse(|_| outlives);
        for value in [0, 1] {
            let began = recorder.begin("a", Count::Get);
            recorder.end("a", began, Ended::With(is(value)));
        }
        assert_eq!(recorder.check().is_ok(), expected);
    }
}

#[tokio::test]
async fn a_recorder_judges_each_key_alone() {
    let recorder = Recorder::<Counter>::default();
    let call = |outcome| async move { Ended::With(outcome) };
    assert!(recorder.run("a", Count::Add(1), call(is(1))).await);
    assert!(recorder.run("b", Count::Add(1), call(is(1))).await);
    assert!(!recorder.run("a", Count::Add(1), async { Ended::NotDone }).await);
    assert!(!recorder.run("a", Count::Add(1), async { Ended::Unknown }).await);
    recorder.run("a", Count::Get, call(is(2))).await;
    assert_eq!(recorder.answered(), 3);
    assert_eq!(recorder.check(), Ok(()));
    recorder.run("b", Count::Get, call(is(2))).await;
    let fault = recorder.check().expect_err("there is one in b's history");
    assert!(fault.starts_with("b is not linearizable"), "{fault}");
}
