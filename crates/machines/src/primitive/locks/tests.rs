use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::key::Table;
use crate::primitive::map::Reply;
use crate::primitive::map::{Change, Command, To};
use crate::step::Command as Step;
use crate::testing::{Bench, Got};
use base::Timestamp;

const A: Session = Session(1);
const B: Session = Session(2);
const C: Session = Session(3);

/// Each letter is a key.
fn keys(letters: &str) -> BTreeSet<String> {
    letters.chars().map(String::from).collect()
}

fn lock(session: Session, letters: &str) -> Step {
    lock_for(session, letters, None)
}

fn lock_for(session: Session, letters: &str, millis: Option<u64>) -> Step {
    let command = Command::Lock {
        keys: keys(letters),
        session,
        timeout: millis.map(Duration::from_millis),
    };
    command.into()
}

fn unlock(session: Session, letters: &str) -> Step {
    let keys = keys(letters);
    Command::Unlock { keys, session }.into()
}

/// The bench counts its requests from 1.
fn abandoned(number: u64) -> Step {
    Step::Abandoned {
        primitive: Type::Map,
        request: Request { epoch: 1, number },
    }
}

fn lost(session: Session, over_at: u64) -> Step {
    let over_at = Timestamp(over_at);
    Step::SessionLost { session, over_at }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Saw {
    Granted,
    Waits,
    Done,
    Refused(&'static str),
}

use Saw::{Done, Granted, Refused, Waits};

const HELD: Saw = Refused(codes::LOCK_HELD.id);
const NOT_HELD: Saw = Refused(codes::LOCK_NOT_HELD.id);

fn saw(reply: step::Reply) -> Saw {
    match Reply::try_from(reply) {
        Ok(Reply::Locked) => Granted,
        Ok(Reply::Unlocked) | Err(step::Reply::Done) => Done,
        other => panic!("no reply of these: {other:?}"),
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
    let answers = answers.map(|(request, reply)| {
        let refused = |error: Error| Refused(error.code().id);
        (request.number, reply.map_or_else(refused, saw))
    });
    answers.collect()
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

#[track_caller]
fn assert_nothing_is_left(bench: &Bench) {
    for table in Table::ALL {
        assert_eq!(bench.count(table), 0, "{table:?}");
    }
}

#[test]
fn free_keys_are_granted_and_given_back_without_a_trace() {
    let history = [
        lock(A, "ab"),
        lock(B, "c"),
        unlock(B, "c"),
        unlock(A, "a"),
        unlock(A, "b"),
    ];
    let bench = check(&history, &[Granted, Granted, Done, Done, Done], &[]);
    assert_nothing_is_left(&bench);
}

#[test]
fn a_request_gets_all_of_its_keys_or_none() {
    let history = [
        lock(A, "a"),
        lock(B, "ab"),
        lock_for(C, "b", Some(0)),
        unlock(A, "a"),
    ];
    check(&history, &[Granted, Waits, HELD, Done], &[(2, Granted)]);
}

/// Nobody goes past one who waits for a key that both want, and others need not wait.
#[test]
fn the_queue_is_fair_for_each_key() {
    let history = [
        lock(A, "a"),
        lock(B, "ab"),
        lock(C, "b"),
        lock(C, "c"),
        unlock(A, "a"),
        unlock(B, "b"),
    ];
    check(
        &history,
        &[Granted, Waits, Waits, Granted, Done, Done],
        &[(2, Granted), (3, Granted)],
    );
}

#[test]
fn only_their_holder_gives_keys_back_and_only_all_that_were_named() {
    let history = [
        lock(A, "ab"),
        unlock(B, "a"),
        unlock(A, "abc"),
        lock_for(B, "a", Some(0)),
        unlock(A, "ab"),
    ];
    check(&history, &[Granted, NOT_HELD, NOT_HELD, HELD, Done], &[]);
}

#[test]
fn a_session_waits_for_its_own_keys_too() {
    check(
        &[lock(A, "a"), lock(A, "a"), unlock(A, "a")],
        &[Granted, Waits, Done],
        &[(2, Granted)],
    );
}

#[test]
fn a_wait_ends_on_time_and_lets_those_behind_it_go_on() {
    let history = [lock(A, "a"), lock_for(B, "ab", Some(500)), lock(C, "b")];
    let mut bench = check(&history, &[Granted, Waits, Waits], &[]);
    bench.advance(499);
    assert_eq!(answers(&mut bench), []);
    bench.advance(1);
    assert_eq!(answers(&mut bench), [(2, HELD), (3, Granted)]);
    run(&mut bench, unlock(A, "a"));
    run(&mut bench, unlock(C, "b"));
    assert_nothing_is_left(&bench);
}

#[test]
fn who_has_gone_leaves_the_queue_and_what_it_did_not_take() {
    let history = [
        lock(A, "a"),
        lock(B, "a"),
        lock(C, "a"),
        abandoned(2),
        abandoned(1),
    ];
    let mut bench = check(
        &history,
        &[Granted, Waits, Waits, Done, Done],
        &[(2, HELD), (3, Granted)],
    );
    run(&mut bench, unlock(C, "a"));
    assert_nothing_is_left(&bench);
}

#[test]
fn a_session_that_is_over_frees_what_it_holds_and_waits_for() {
    let history = [
        lock(A, "a"),
        lock(B, "b"),
        lock(A, "bc"),
        lock(C, "ac"),
        lost(A, 1_000),
    ];
    let mut bench = check(
        &history,
        &[Granted, Granted, Waits, Waits, Done],
        &[(3, HELD), (4, Granted)],
    );
    run(&mut bench, unlock(C, "ac"));
    run(&mut bench, unlock(B, "b"));
    assert_nothing_is_left(&bench);
}

#[test]
fn a_lost_session_keeps_its_keys_until_its_end() {
    let mut bench = check(
        &[lock(A, "a"), lock(B, "a"), lost(A, 3_000)],
        &[Granted, Waits, Done],
        &[],
    );
    bench.advance(1_999);
    assert_eq!(answers(&mut bench), []);
    bench.advance(1);
    assert_eq!(answers(&mut bench), [(2, Granted)]);
}

#[test]
fn who_waited_before_a_restart_gets_nothing() {
    let mut bench = check(
        &[lock(A, "a"), lock_for(B, "a", Some(500))],
        &[Granted, Waits],
        &[],
    );
    bench.restart();
    run(&mut bench, unlock(A, "a"));
    assert_eq!(answers(&mut bench), []);
    assert_nothing_is_left(&bench);
}

#[test]
fn there_is_an_end_to_the_keys() {
    let mut bench = Bench::new();
    let long = |first: usize| {
        let key = |number: usize| format!("{number:01000}");
        let keys = (first..first + 200).map(key).collect();
        let timeout = None;
        Command::Lock {
            keys,
            session: A,
            timeout,
        }
    };
    assert_eq!(run(&mut bench, long(0).into()), Granted);
    let refused = Refused(codes::TOO_MANY_REQUESTS.id);
    assert_eq!(run(&mut bench, long(0).into()), refused, "one that would wait");
    assert_eq!(run(&mut bench, long(200).into()), refused);
    assert_eq!(run(&mut bench, lock(B, "a")), Granted, "a short one finds room");
}

/// An entry of the map whose life ends when a wait does has a timer of its own.
#[test]
fn timers_of_waits_and_of_entries_do_not_meet() {
    let mut bench = check(&[lock(A, "a")], &[Granted], &[]);
    // An entry's timer is named by the map's generation, as a wait's is by the epoch: 1.
    bench.apply(Command::Change(put("x")));
    bench.apply(Command::Clear);
    let number = bench.requests() + 2;
    let key = String::from_utf8(number.to_be_bytes().to_vec()).expect("a small number");
    bench.apply(Command::Change(put(&key)));
    assert_eq!(run(&mut bench, lock_for(B, "a", Some(500))), Waits);
    // Of the entry that was cleared, of the entry, of the wait, and of what removes the cleared one.
    assert_eq!(bench.count(Table::Timer), 4);
}

fn put(key: &str) -> Change {
    Change {
        key: key.to_owned(),
        to: To::Put {
            value: bytes::Bytes::new(),
            ttl: Some(Duration::from_millis(500)),
            expect: 0,
        },
    }
}

#[test]
fn entries_do_not_know_of_locks() {
    let mut bench = check(&[lock(A, "a")], &[Granted], &[]);
    assert!(matches!(bench.apply(Command::Clear), Got::Now(_)));
    assert_eq!(run(&mut bench, lock_for(B, "a", Some(0))), HELD);
}

/// The same by name of key: who has it, and who waits for it in which order.
#[derive(Default)]
struct Model {
    held: BTreeMap<char, (u64, u128)>,
    queue: Vec<(u64, u128, String, Option<u64>)>,
    answered: Vec<(u64, Saw)>,
    now: u64,
}

#[derive(Clone, Debug)]
enum Act {
    Lock {
        session: u128,
        letters: String,
        timeout: Option<u64>,
    },
    Unlock {
        session: u128,
        letters: String,
    },
    Abandon {
        back: u64,
    },
    Lose {
        session: u128,
    },
    Advance(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let letters =
        || proptest::sample::subsequence(vec!['a', 'b', 'c', 'd'], 1..4).prop_map(String::from_iter);
    prop_oneof![
        4 => (1..4u128, letters(), proptest::option::of(0..300u64))
            .prop_map(|(session, letters, timeout)| Act::Lock { session, letters, timeout }),
        4 => (1..4u128, letters()).prop_map(|(session, letters)| Act::Unlock { session, letters }),
        1 => (0..6u64).prop_map(|back| Act::Abandon { back }),
        1 => (1..4u128).prop_map(|session| Act::Lose { session }),
        2 => (1..200u64).prop_map(Act::Advance),
    ]
}

impl Model {
    fn is_free(&self, letters: &str, ahead: usize) -> bool {
        let waits = |letter| {
            self.queue[..ahead]
                .iter()
                .any(|(_, _, wanted, _)| wanted.contains(letter))
        };
        letters
            .chars()
            .all(|letter| !self.held.contains_key(&letter) && !waits(letter))
    }

    fn settle(&mut self) {
        let mut place = 0;
        while place < self.queue.len() {
            let (number, session, letters, _) = self.queue[place].clone();
            if self.is_free(&letters, place) {
                self.queue.remove(place);
                self.held
                    .extend(letters.chars().map(|letter| (letter, (number, session))));
                self.answered.push((number, Granted));
            } else {
                place += 1;
            }
        }
    }

    fn leave(&mut self, goes: impl Fn(u64, u128) -> bool) {
        let (gone, stay) = std::mem::take(&mut self.queue)
            .into_iter()
            .partition(|(number, session, _, _)| goes(*number, *session));
        self.queue = stay;
        self.answered
            .extend(Vec::into_iter(gone).map(|(number, ..)| (number, HELD)));
        self.held.retain(|_, (number, session)| !goes(*number, *session));
        self.settle();
    }

    fn advance(&mut self, until: u64) {
        while let Some(end) = self
            .queue
            .iter()
            .filter_map(|(.., ends)| *ends)
            .min()
            .filter(|end| *end <= until)
        {
            let place = self
                .queue
                .iter()
                .position(|(.., ends)| *ends == Some(end))
                .expect("it is there");
            // All that end now have ended for those who come after the first.
            let over: Vec<_> = self
                .queue
                .extract_if(place.., |(.., ends)| *ends == Some(end))
                .collect();
            self.answered
                .extend(over.into_iter().map(|(number, ..)| (number, HELD)));
            self.settle();
        }
        self.now = until;
    }

    fn act(&mut self, number: u64, act: &Act) -> Saw {
        match act {
            Act::Lock {
                session,
                letters,
                timeout,
            } => {
                if self.is_free(letters, self.queue.len()) {
                    self.held
                        .extend(letters.chars().map(|letter| (letter, (number, *session))));
                    return Granted;
                }
                if *timeout == Some(0) {
                    return HELD;
                }
                let ends = timeout.map(|timeout| self.now + timeout);
                self.queue.push((number, *session, letters.clone(), ends));
                Waits
            }
            Act::Unlock { session, letters } => {
                let holds = |letter| {
                    self.held
                        .get(&letter)
                        .is_some_and(|(_, holder)| holder == session)
                };
                if !letters.chars().all(holds) {
                    return NOT_HELD;
                }
                self.held.retain(|letter, _| !letters.contains(*letter));
                self.settle();
                Done
            }
            Act::Abandon { back } => {
                self.leave(|other, _| other == number.saturating_sub(*back));
                Done
            }
            Act::Lose { session } => {
                self.leave(|_, other| other == *session);
                Done
            }
            Act::Advance(_) => Done,
        }
    }
}

proptest! {
    #[test]
    fn they_are_what_the_model_says(history in prop::collection::vec(act(), 0..60)) {
        let (mut bench, mut model) = (Bench::new(), Model::default());
        model.now = bench.now.0;
        for act in history {
            if let Act::Advance(by) = act {
                bench.advance(by);
                model.advance(model.now + by);
            } else {
                let number = bench.requests() + 1;
                let command = match &act {
                    Act::Lock { session, letters, timeout } => lock_for(Session(*session), letters, *timeout),
                    Act::Unlock { session, letters } => unlock(Session(*session), letters),
                    Act::Abandon { back } => abandoned(number.saturating_sub(*back)),
                    Act::Lose { session } => lost(Session(*session), 0),
                    Act::Advance(_) => unreachable!("taken above"),
                };
                prop_assert_eq!(run(&mut bench, command), model.act(number, &act), "{:?}", act);
            }
            let (mut seen, mut expected) = (answers(&mut bench), std::mem::take(&mut model.answered));
            seen.sort_by_key(|(number, _)| *number);
            expected.sort_by_key(|(number, _)| *number);
            prop_assert_eq!(seen, expected);
        }
    }
}
