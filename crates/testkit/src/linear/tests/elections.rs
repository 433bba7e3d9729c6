use crate::linear::models::Election;
use crate::linear::models::election::{Operation, Outcome};

type Line = super::Line<Election>;

#[track_caller]
fn good(lines: Vec<Line>) {
    super::good::<Election>(lines);
}

#[track_caller]
fn bad(lines: Vec<Line>) {
    super::bad::<Election>(lines);
}

fn enter(candidate: &str, session: u64) -> Operation {
    let candidate = candidate.into();
    Operation::Enter { candidate, session }
}

fn leave(candidate: &str) -> Operation {
    Operation::Leave(candidate.into())
}

fn is(term: u64, leader: &str, candidates: &[&str]) -> Outcome {
    Outcome::Is {
        term,
        leader: leader.into(),
        candidates: candidates.iter().map(|name| (*name).to_owned()).collect(),
        version: None,
    }
}

/// `a` leads, and `b` and `c` wait, in sessions 1, 2 and 3.
fn entered() -> Vec<Line> {
    vec![
        (1, 2, enter("a", 1), is(1, "a", &[])),
        (3, 4, enter("b", 2), is(1, "a", &["b"])),
        (5, 6, enter("c", 3), is(1, "a", &["b", "c"])),
    ]
}

fn then(operation: Operation, outcome: Outcome) -> Vec<Line> {
    let mut history = entered();
    history.push((7, 8, operation, outcome));
    history
}

#[test]
fn an_elections_life() {
    good(vec![
        (1, 2, Operation::Look, is(0, "", &[])),
        (3, 4, leave("a"), is(0, "", &[])),
        (5, 6, enter("a", 1), is(1, "a", &[])),
        (7, 8, leave("a"), is(1, "", &[])),
        (9, 10, enter("b", 2), is(2, "b", &[])),
    ]);
}

#[test]
fn who_leads_follows_from_what_is_done() {
    good(then(leave("a"), is(2, "b", &["c"])));
    good(then(leave("b"), is(1, "a", &["c"])));
    good(then(Operation::Anoint("c".into()), is(2, "c", &["a", "b"])));
    good(then(Operation::Anoint("a".into()), is(1, "a", &["b", "c"])));
    good(then(Operation::Promote("b".into()), is(2, "b", &["a", "c"])));
    good(then(Operation::Promote("c".into()), is(1, "a", &["c", "b"])));
    good(then(Operation::Demote("a".into()), is(2, "b", &["a", "c"])));
    good(then(Operation::Demote("b".into()), is(1, "a", &["c", "b"])));
    good(then(Operation::Demote("c".into()), is(1, "a", &["b", "c"])));
    good(then(Operation::Demote("nobody".into()), is(1, "a", &["b", "c"])));
    bad(then(Operation::Anoint("c".into()), is(2, "b", &["a", "c"])));
    bad(then(Operation::Demote("c".into()), is(1, "a", &["c", "b"])));
}

#[test]
fn a_term_that_goes_back() {
    bad(then(Operation::Look, is(0, "a", &["b", "c"])));
    bad(then(leave("a"), is(1, "b", &["c"])));
}

#[test]
fn a_term_with_two_leaders() {
    bad(then(Operation::Look, is(1, "b", &["c"])));
    bad(then(Operation::Look, is(1, "", &["b", "c"])));
}

#[test]
fn a_term_that_nobody_has_begun() {
    bad(then(Operation::Look, is(2, "a", &["b", "c"])));
    bad(then(leave("b"), is(2, "a", &["c"])));
}

#[test]
fn a_candidate_that_is_lost() {
    bad(then(Operation::Look, is(1, "a", &["c"])));
}

#[test]
fn what_was_not_answered_may_have_been_done() {
    let mut history = entered();
    history.push((7, 0, leave("a"), is(0, "", &[])));
    history.push((8, 9, Operation::Look, is(1, "a", &["b", "c"])));
    history.push((10, 11, Operation::Look, is(2, "b", &["c"])));
    good(history.clone());
    history.push((12, 13, Operation::Look, is(1, "a", &["b", "c"])));
    bad(history);
}

#[test]
fn a_sessions_candidates_leave_with_it_and_not_before() {
    let lost = |end, then| {
        let mut history = entered();
        // Whoever enters under a name takes it over.
        history.push((7, 8, enter("b", 1), is(1, "a", &["b", "c"])));
        history.push((9, end, Operation::Lose { session: 1 }, Outcome::Lost));
        history.push((11, 12, Operation::Look, then));
        history
    };
    good(lost(0, is(1, "a", &["b", "c"])));
    good(lost(0, is(2, "c", &[])));
    good(lost(10, is(2, "c", &[])));
    bad(lost(10, is(1, "a", &["b", "c"])));
    bad(lost(0, is(2, "b", &["c"])));
    bad(then(Operation::Look, is(2, "b", &["c"])));
}

#[test]
fn the_version_grows_with_what_can_be_seen_and_with_nothing_else() {
    let at = |version| Outcome::Is {
        term: 1,
        leader: "a".into(),
        candidates: vec![],
        version: Some(version),
    };
    let again = |version| vec![(1, 2, enter("a", 1), at(5)), (3, 4, enter("a", 2), at(version))];
    good(again(5));
    bad(again(6));
}
