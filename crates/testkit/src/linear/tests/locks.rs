use super::{bad, good};
use crate::linear::models::Lock;
use crate::linear::models::lock::{Operation, Outcome};

/// Each session's only request has its number.
fn acquire(session: u64) -> Operation {
    let request = session;
    Operation::Acquire { session, request }
}

fn release(session: u64) -> Operation {
    Operation::Release { session }
}

fn lose(session: u64) -> Operation {
    Operation::Lose { session }
}

fn granted(token: u64) -> Outcome {
    Outcome::Granted { token }
}

#[test]
fn a_locks_life() {
    good::<Lock>(vec![
        (1, 2, Operation::Look, Outcome::Free),
        (3, 4, acquire(1), granted(5)),
        (5, 6, acquire(1), Outcome::Refused),
        (7, 8, release(2), Outcome::NotHeld),
        (9, 10, Operation::Look, Outcome::HeldWith { token: 5 }),
        // It waits until the first one releases.
        (11, 20, acquire(2), granted(8)),
        (12, 13, release(1), Outcome::Released),
        (21, 22, lose(2), Outcome::Lost),
        (23, 24, Operation::Look, Outcome::Free),
    ]);
}

#[test]
fn a_lock_that_two_hold() {
    bad::<Lock>(vec![
        (1, 2, acquire(1), granted(1)),
        (3, 4, acquire(2), granted(2)),
    ]);
    // One of them did not hear of it.
    bad::<Lock>(vec![
        (1, 0, acquire(1), granted(0)),
        (2, 3, Operation::Look, Outcome::HeldWith { token: 4 }),
        (4, 5, acquire(2), granted(5)),
    ]);
}

#[test]
fn a_lock_that_one_session_is_granted_twice() {
    bad::<Lock>(vec![
        (1, 2, acquire(1), granted(1)),
        (3, 4, acquire(1), granted(2)),
    ]);
}

#[test]
fn a_token_that_does_not_grow() {
    let then = |token| {
        vec![
            (1, 2, acquire(1), granted(5)),
            (3, 4, release(1), Outcome::Released),
            (5, 6, acquire(2), granted(token)),
        ]
    };
    good::<Lock>(then(6));
    bad::<Lock>(then(5));
    bad::<Lock>(then(4));
}

#[test]
fn a_lock_that_is_forgotten() {
    bad::<Lock>(vec![
        (1, 2, acquire(1), granted(5)),
        (3, 4, Operation::Look, Outcome::Free),
    ]);
    bad::<Lock>(vec![
        (1, 2, acquire(1), granted(5)),
        (3, 4, release(1), Outcome::NotHeld),
    ]);
}

#[test]
fn a_lost_session_may_be_over_late() {
    let lost = |then| {
        vec![
            (1, 2, acquire(1), granted(1)),
            (3, 0, lose(1), Outcome::Lost),
            (4, 5, acquire(2), then),
        ]
    };
    good::<Lock>(lost(Outcome::Refused));
    good::<Lock>(lost(granted(2)));
    bad::<Lock>(lost(granted(1)));
}

#[test]
fn a_session_is_not_over_before_it_is_lost() {
    bad::<Lock>(vec![
        (1, 2, acquire(1), granted(1)),
        (3, 4, acquire(2), granted(2)),
        (5, 0, lose(1), Outcome::Lost),
    ]);
}

#[test]
fn who_goes_away_while_waiting_may_have_been_granted_it() {
    let then = |then| {
        vec![
            (1, 2, acquire(1), granted(1)),
            (3, 0, acquire(2), granted(0)),
            (4, 0, Operation::Abandon { request: 2 }, Outcome::Free),
            (5, 6, release(1), Outcome::Released),
            (7, 8, acquire(3), then),
        ]
    };
    good::<Lock>(then(granted(2)));
    good::<Lock>(then(granted(3)));
    good::<Lock>(then(Outcome::Refused));
    bad::<Lock>(then(granted(1)));
}

#[test]
fn going_away_frees_nothing_that_others_hold() {
    bad::<Lock>(vec![
        (1, 2, acquire(1), granted(1)),
        (3, 0, acquire(2), granted(0)),
        (4, 0, Operation::Abandon { request: 2 }, Outcome::Free),
        (5, 6, acquire(3), granted(2)),
    ]);
}

#[test]
fn a_free_lock_that_is_refused() {
    bad::<Lock>(vec![(1, 2, acquire(1), Outcome::Refused)]);
}
