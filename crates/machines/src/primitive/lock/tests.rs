use std::collections::VecDeque;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::key::Table;
use crate::step::Command as Step;
use crate::testing::{Bench, Got};

const A: Session = Session(1);
const B: Session = Session(2);
const C: Session = Session(3);

fn lock(session: Session) -> Step {
    let timeout = None;
    Command::Lock { session, timeout }.into()
}

fn lock_for(session: Session, millis: u64) -> Step {
    let timeout = Some(Duration::from_millis(millis));
    Command::Lock { session, timeout }.into()
}

fn unlock(session: Session) -> Step {
    Command::Unlock { session }.into()
}

fn lost(session: Session, over_at: u64) -> Step {
    let over_at = Timestamp(over_at);
    Step::SessionLost { session, over_at }
}

/// The bench counts its requests from 1.
fn abandoned(number: u64) -> Step {
    Step::Abandoned {
        primitive: Type::Lock,
        request: Request { epoch: 1, number },
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Saw {
    Granted(u64),
    Waits,
    Done,
    Refused(&'static str),
}

use Saw::{Done, Granted, Refused, Waits};

const HELD: Saw = Refused(codes::LOCK_HELD.id);
const NOT_HELD: Saw = Refused(codes::LOCK_NOT_HELD.id);

fn saw(reply: step::Reply) -> Saw {
    match Reply::try_from(reply) {
        Ok(Reply::Held(version)) => Granted(version),
        Ok(Reply::Unlocked) | Err(step::Reply::Done) => Done,
        Err(other) => panic!("no reply of a lock: {other:?}"),
    }
}

fn run(bench: &mut Bench, command: Step) -> Saw {
    match bench.apply(command) {
        Got::Now(reply) => saw(reply),
        Got::Later(_) => Waits,
        Got::Refused(error) => Refused(error.code().id),
    }
}

/// Who was answered later, by number of request, and how.
fn answers(bench: &mut Bench) -> Vec<(u64, Saw)> {
    let answers = std::mem::take(&mut bench.answers).into_iter();
    answers
        .map(|(request, reply)| match reply {
            Ok(reply) => (request.number, saw(reply)),
            Err(error) => (request.number, Refused(error.code().id)),
        })
        .collect()
}

/// Each command's own answer, and then all that came later.
#[track_caller]
fn check(history: &[Step], expected: &[Saw], later: &[(u64, Saw)]) -> Bench {
    let mut bench = Bench::new();
    let seen: Vec<_> = history
        .iter()
        .map(|command| run(&mut bench, command.clone()))
        .collect();
    assert_eq!(seen, expected);
    assert_eq!(answers(&mut bench), later);
    bench
}

fn holder(bench: &mut Bench) -> Option<u64> {
    match bench.read(Query::Get) {
        Ok(reply) => match saw(reply) {
            Granted(version) => Some(version),
            other => panic!("a read sees a holder: {other:?}"),
        },
        Err(error) => {
            assert_eq!(error.code(), codes::ENTRY_NOT_FOUND);
            None
        }
    }
}

#[track_caller]
fn assert_nothing_is_left(bench: &mut Bench) {
    assert_eq!(holder(bench), None);
    for table in Table::ALL {
        assert_eq!(bench.count(table), 0, "{table:?}");
    }
}

#[test]
fn a_free_lock_is_granted_and_given_back_without_a_trace() {
    let mut bench = check(&[lock(A), unlock(A)], &[Granted(1), Done], &[]);
    assert_nothing_is_left(&mut bench);
}

#[test]
fn waiters_get_it_in_order_with_growing_versions() {
    let mut bench = check(
        &[lock(A), lock(B), lock(C), unlock(A), unlock(B)],
        &[Granted(1), Waits, Waits, Done, Done],
        &[(2, Granted(4)), (3, Granted(5))],
    );
    assert_eq!(holder(&mut bench), Some(5));
}

#[test]
fn a_stranger_cannot_unlock() {
    check(
        &[unlock(A), lock(A), unlock(B), unlock(A), unlock(A)],
        &[NOT_HELD, Granted(1), NOT_HELD, Done, NOT_HELD],
        &[],
    );
}

#[test]
fn a_try_lock_does_not_wait() {
    check(
        &[lock_for(A, 0), lock_for(B, 0), unlock(A), lock_for(B, 0)],
        &[Granted(1), HELD, Done, Granted(3)],
        &[],
    );
}

#[test]
fn its_holder_waits_like_any_other() {
    check(
        &[lock(A), lock(A), unlock(A), unlock(A), unlock(A)],
        &[Granted(1), Waits, Done, Done, NOT_HELD],
        &[(2, Granted(3))],
    );
}

#[test]
fn a_wait_ends_on_time_and_leaves_nothing() {
    let mut bench = check(&[lock(A), lock_for(B, 50)], &[Granted(1), Waits], &[]);
    bench.advance(49);
    assert_eq!(answers(&mut bench), []);
    bench.advance(1);
    assert_eq!(answers(&mut bench), [(2, HELD)]);
    assert_eq!(run(&mut bench, unlock(A)), Done);
    assert_nothing_is_left(&mut bench);
}

#[test]
fn who_comes_before_the_timer_grants_it_to_nobody_whose_time_is_over() {
    let mut bench = check(
        &[lock(A), lock_for(B, 50), lock(C)],
        &[Granted(1), Waits, Waits],
        &[],
    );
    bench.now = Timestamp(bench.now.0 + 60);
    assert_eq!(run(&mut bench, unlock(A)), Done);
    assert_eq!(answers(&mut bench), [(2, HELD), (3, Granted(4))]);
    assert_eq!(bench.count(Table::Timer), 0);
}

#[test]
fn a_granted_waiter_has_no_timer_any_more() {
    let bench = check(
        &[lock(A), lock_for(B, 50), unlock(A)],
        &[Granted(1), Waits, Done],
        &[(2, Granted(3))],
    );
    assert_eq!(bench.count(Table::Timer), 0);
}

#[test]
fn one_who_went_away_leaves_the_queue() {
    check(
        &[lock(A), lock_for(B, 50), lock(C), abandoned(2), unlock(A)],
        &[Granted(1), Waits, Waits, Done, Done],
        &[(2, HELD), (3, Granted(5))],
    );
}

#[test]
fn a_grant_that_was_not_taken_goes_to_the_next() {
    check(
        &[lock(A), lock(B), abandoned(1), unlock(B)],
        &[Granted(1), Waits, Done, Done],
        &[(2, Granted(3))],
    );
}

#[test]
fn an_old_request_frees_nothing_of_the_same_session() {
    let mut bench = check(
        &[lock(A), unlock(A), lock(A), abandoned(1)],
        &[Granted(1), Done, Granted(3), Done],
        &[],
    );
    assert_eq!(holder(&mut bench), Some(3));
}

#[test]
fn a_session_that_is_over_frees_what_it_holds_and_waits_for() {
    check(
        &[lock(A), lock(A), lock(B), lost(A, 0)],
        &[Granted(1), Waits, Waits, Done],
        &[(2, HELD), (3, Granted(4))],
    );
}

#[test]
fn a_lost_session_keeps_its_lock_until_its_end() {
    let mut bench = check(&[lock(A), lost(A, 1_100)], &[Granted(1), Done], &[]);
    bench.advance(99);
    assert_eq!(holder(&mut bench), Some(1));
    bench.advance(1);
    assert_nothing_is_left(&mut bench);
}

#[test]
fn the_earliest_end_of_a_session_counts() {
    let mut bench = check(
        &[lock(A), lost(A, 1_200), lost(A, 1_100), lost(A, 1_300)],
        &[Granted(1), Done, Done, Done],
        &[],
    );
    assert_eq!(bench.count(Table::Timer), 1);
    bench.advance(100);
    assert_nothing_is_left(&mut bench);
}

#[test]
fn an_end_frees_nothing_of_a_later_holder() {
    let mut bench = check(
        &[lock(A), lost(A, 1_100), unlock(A), lock(B)],
        &[Granted(1), Done, Done, Granted(4)],
        &[],
    );
    assert_eq!(bench.count(Table::Timer), 0);
    bench.advance(200);
    assert_eq!(holder(&mut bench), Some(4));
}

#[test]
fn a_lost_session_that_holds_nothing_leaves_nothing() {
    let mut bench = check(&[lost(A, 1_100), lost(B, 0)], &[Done, Done], &[]);
    assert_nothing_is_left(&mut bench);
}

#[test]
fn who_waited_before_a_restart_is_not_granted_it() {
    let mut bench = check(
        &[lock(A), lock_for(B, 5_000), lock(C)],
        &[Granted(1), Waits, Waits],
        &[],
    );
    bench.restart();
    for session in [A, B, C] {
        run(&mut bench, lost(session, 1_100));
    }
    assert_eq!(run(&mut bench, lock(Session(9))), Waits);
    bench.advance(100);
    let granted = answers(&mut bench);
    assert!(matches!(granted[..], [(7, Granted(_))]), "{granted:?}");
    assert_eq!(bench.count(Table::Timer), 0);
    assert_eq!(bench.count(Table::Session), 1);
}

#[test]
fn there_is_an_end_to_the_queue() {
    let mut bench = Bench::new();
    run(&mut bench, lock(A));
    for _ in 0..limits::LOCK_WAITERS_MAX {
        assert_eq!(run(&mut bench, lock(B)), Waits);
    }
    let refused = Refused(codes::TOO_MANY_REQUESTS.id);
    assert_eq!(run(&mut bench, lock(B)), refused);
}

/// Written by the first version, and readable for ever.
#[test]
fn its_rows_are_read_as_they_were_first_written() {
    let session = StoredSession { high: 1, low: 2 };
    let request = StoredRequest { epoch: 3, number: 4 };
    let version = 5;
    let lock = Lock {
        holder: Some(Holder {
            session,
            request,
            version,
        }),
        queue: vec![Waiter {
            session,
            request,
            ends: Some(6),
        }],
    };
    let row = Bytes::from_static(
        b"\x01\x0a\x1c\x0a\x12\x09\x01\0\0\0\0\0\0\0\x11\x02\0\0\0\0\0\0\0\x12\x04\x08\x03\x10\x04\x18\x05\
          \x12\x1c\x0a\x12\x09\x01\0\0\0\0\0\0\0\x11\x02\0\0\0\0\0\0\0\x12\x04\x08\x03\x10\x04\x18\x06",
    );
    assert_eq!(Lock::from_row(&row).ok(), Some(lock.clone()));
    assert_eq!(lock.to_row(), row);
}

#[derive(Clone, Debug)]
enum Act {
    Lock(u128, Option<u64>),
    Unlock(u128),
    Abandon(u64),
    Lose(u128, u64),
    Restart,
}

fn act() -> impl Strategy<Value = (u64, Act)> {
    let session = 1u128..5;
    let act = prop_oneof![
        4 => (session.clone(), prop::option::of(0u64..60)).prop_map(|(session, timeout)| Act::Lock(session, timeout)),
        3 => session.clone().prop_map(Act::Unlock),
        1 => (1u64..40).prop_map(Act::Abandon),
        1 => (session, 0u64..40).prop_map(|(session, after)| Act::Lose(session, after)),
        1 => Just(Act::Restart),
    ];
    (0u64..20, act)
}

/// Lists, searched from the front each time.
#[derive(Default)]
struct Model {
    holder: Option<(u128, Request)>,
    queue: VecDeque<(u128, Request, Option<u64>)>,
    ends: Vec<(u128, u64)>,
    granted: Vec<Request>,
    refused: Vec<Request>,
}

impl Model {
    fn holds(&self, session: u128) -> bool {
        self.holder.is_some_and(|(holder, _)| holder == session)
            || self.queue.iter().any(|(waiter, ..)| *waiter == session)
    }

    /// To the first whose time is not over at that very moment either.
    fn release(&mut self, now: u64) {
        let over = |ends: Option<u64>| ends.is_some_and(|ends| ends <= now);
        let waiters = self.queue.iter().filter(|(_, _, ends)| over(*ends));
        let late: Vec<Request> = waiters.map(|(_, request, _)| *request).collect();
        self.drop_waiters(|_, request| late.contains(&request));
        let next = self.queue.pop_front();
        self.holder = next.map(|(session, request, _)| (session, request));
        self.granted.extend(self.holder.map(|(_, request)| request));
        self.tidy();
    }

    fn tidy(&mut self) {
        let gone: Vec<_> = self
            .ends
            .iter()
            .copied()
            .filter(|(session, _)| !self.holds(*session))
            .collect();
        self.ends.retain(|end| !gone.contains(end));
    }

    fn drop_waiters(&mut self, gone: impl Fn(u128, Request) -> bool) {
        let (out, stay) = self
            .queue
            .drain(..)
            .partition(|(session, request, _)| gone(*session, *request));
        self.queue = stay;
        let out: VecDeque<(u128, Request, Option<u64>)> = out;
        self.refused
            .extend(out.into_iter().map(|(_, request, _)| request));
        self.tidy();
    }

    fn lose(&mut self, session: u128, now: u64, over_at: u64) {
        if over_at <= now {
            self.over(session, now);
        } else if self.holds(session) {
            let known = self.ends.iter().find(|(found, _)| *found == session);
            let earliest = known.map_or(over_at, |(_, at)| over_at.min(*at));
            self.ends.retain(|(found, _)| *found != session);
            self.ends.push((session, earliest));
        }
    }

    fn over(&mut self, session: u128, now: u64) {
        self.drop_waiters(|waiter, _| waiter == session);
        if self.holder.is_some_and(|(holder, _)| holder == session) {
            self.release(now);
        }
    }

    /// Everything that time brings until then, one after the other.
    fn advance(&mut self, until: u64) {
        loop {
            let waits = self
                .queue
                .iter()
                .filter_map(|(_, request, ends)| Some((((*ends)?, 1), *request)));
            let wait = waits.min();
            let end = self.ends.iter().map(|(session, at)| ((*at, 0), *session)).min();
            match (end, wait) {
                (Some((due, session)), wait) if due.0 <= until && wait.is_none_or(|(wait, _)| due < wait) => {
                    self.over(session, due.0);
                }
                (_, Some((due, request))) if due.0 <= until => self.drop_waiters(|_, found| found == request),
                _ => return,
            }
        }
    }
}

/// The lock, the model, and the last version that was granted.
struct Both {
    bench: Bench,
    model: Model,
    version: u64,
}

impl Both {
    fn act(&mut self, act: Act) {
        let (bench, model) = (&mut self.bench, &mut self.model);
        let now = bench.now.0;
        match act {
            Act::Lock(session, timeout) => self.lock(session, timeout),
            Act::Unlock(session) => {
                let owns = model.holder.is_some_and(|(holder, _)| holder == session);
                let expected = if owns { Done } else { NOT_HELD };
                assert_eq!(run(bench, unlock(Session(session))), expected);
                if owns {
                    model.release(now);
                }
            }
            Act::Abandon(number) => {
                let epoch = bench.epoch;
                let request = Request { epoch, number };
                let primitive = Type::Lock;
                bench.apply(Step::Abandoned { primitive, request });
                model.drop_waiters(|_, found| found == request);
                if model.holder.is_some_and(|(_, found)| found == request) {
                    model.release(now);
                }
            }
            Act::Lose(session, after) => {
                run(bench, lost(Session(session), now + after));
                model.lose(session, now, now + after);
            }
            Act::Restart => {
                bench.restart();
                // The first step after it finds them gone; they are in no queue that counts.
                bench.apply(abandoned(0));
                model.queue.clear();
                model.tidy();
            }
        }
    }

    fn lock(&mut self, session: u128, timeout: Option<u64>) {
        let command = match timeout {
            Some(millis) => lock_for(Session(session), millis),
            None => lock(Session(session)),
        };
        let free = self.model.holder.is_none();
        match self.bench.apply(command) {
            Got::Now(reply) => {
                assert!(free, "two holders at once");
                self.granted(reply);
                let (epoch, number) = (self.bench.epoch, self.bench.requests());
                self.model.holder = Some((session, Request { epoch, number }));
            }
            Got::Later(request) => {
                assert!(!free && timeout != Some(0));
                let ends = timeout.map(|millis| self.bench.now.0 + millis);
                self.model.queue.push_back((session, request, ends));
            }
            Got::Refused(_) => assert!(!free && timeout == Some(0)),
        }
    }

    fn granted(&mut self, reply: step::Reply) {
        let Granted(version) = saw(reply) else {
            panic!("a grant")
        };
        assert!(version > self.version, "versions grow");
        self.version = version;
    }

    fn compare(&mut self) {
        let (mut granted, mut refused) = (vec![], vec![]);
        for (request, reply) in std::mem::take(&mut self.bench.answers) {
            match reply {
                Ok(reply) => {
                    self.granted(reply);
                    granted.push(request);
                }
                Err(_) => refused.push(request),
            }
        }
        assert_eq!(granted, std::mem::take(&mut self.model.granted));
        assert_eq!(refused, std::mem::take(&mut self.model.refused));
        let held = self.model.holder.map(|_| self.version);
        assert_eq!(holder(&mut self.bench), held);
        let sessions = (1..5).filter(|session| self.model.holds(*session)).count();
        assert_eq!(self.bench.count(Table::Session), sessions);
    }
}

proptest! {
    /// One holder at a time, in order of asking, nobody dead, and larger versions.
    #[test]
    fn it_is_a_fair_lock(history in prop::collection::vec(act(), 0..60)) {
        let mut both = Both { bench: Bench::new(), model: Model::default(), version: 0 };
        for (pause, act) in history {
            both.model.advance(both.bench.now.0 + pause);
            both.bench.advance(pause);
            both.compare();
            both.act(act);
            both.compare();
        }
    }
}
