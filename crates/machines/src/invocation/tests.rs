//! Histories of invocations and objects, and what is left of them; and a model of an object's queue.

use bytes::Bytes;

use super::awaiting::Awaited;
use super::rows::{Came, Ended, Rules, Target, TargetKind, Trouble};
use super::*;
use crate::key::Table;
use crate::testing::{Bench, Got};

mod controls;
mod edits;
mod filled;
mod objects;

const DAY_MS: u64 = 86_400_000;

struct World {
    bench: Bench,
}

fn id(number: u8) -> Id {
    let mut id = [7; 24];
    id[23] = number;
    Id(id)
}

fn address(number: u8) -> Address {
    Address::invocation(&id(number))
}

fn object() -> Address {
    Address::object([7; 8], "Counter", "k")
}

fn rules() -> Rules {
    Rules {
        result_ms: DAY_MS,
        journal_ms: DAY_MS,
        retry_first_ms: 500,
        retry_max_ms: 60_000,
        retry_factor_milli: 2_000,
        attempts_max: 3,
        kill_after_attempts: false,
    }
}

fn origin(kind: TargetKind) -> Origin {
    let key = if kind == TargetKind::Service { "" } else { "k" };
    Origin {
        target: Target {
            service: "Counter".into(),
            handler: "add".into(),
            key: key.into(),
            kind: kind.into(),
        },
        rules: rules(),
        ..Origin::default()
    }
}

fn start(origin: Origin, wait: bool) -> Command {
    let input = Input {
        headers: vec![],
        body: Bytes::from_static(b"in"),
    };
    Command::Start(Box::new(Start {
        fresh: false,
        origin,
        input,
        wait,
        copied: vec![],
        pin: None,
    }))
}

fn command(op: Op) -> Word {
    let body = Bytes::from_static(b"raw");
    Word::Command { kind: 9, body, op }
}

fn output(text: &'static str) -> Word {
    command(Op::Output(Outcome::value(text)))
}

fn failed(delay_ms: Option<u64>, behavior: Behavior) -> Word {
    Word::Failed(Failed {
        trouble: Trouble {
            code: 500,
            message: "boom".into(),
            ..Trouble::default()
        },
        delay_ms,
        behavior,
        counts: true,
        jitter_milli: 0,
    })
}

impl World {
    fn new() -> World {
        World { bench: Bench::new() }
    }

    fn take(&mut self, number: u8, command: Command) -> Result<Reply, &'static str> {
        match self.bench.apply_to(&address(number), command) {
            Got::Now(reply) => Ok(reply.try_into().expect("a reply of an invocation")),
            Got::Later(_) => Err("later"),
            Got::Refused(error) => Err(error.code().id),
        }
    }

    /// What user code says in the attempt that is going on.
    fn say(&mut self, number: u8, words: Vec<Word>) -> Reply {
        let attempt = self.head(number).attempt;
        self.say_in(number, attempt, words)
    }

    fn say_in(&mut self, number: u8, attempt: u64, words: Vec<Word>) -> Reply {
        let pin = rows::Pin {
            deployment: "dp".into(),
            protocol: 6,
        };
        let words = Words {
            attempt,
            number: None,
            pin,
            words,
        };
        self.take(number, Command::Said(words)).expect("an answer now")
    }

    fn control(&mut self, number: u8, control: Control) -> Change {
        match self.take(number, Command::Control(control)) {
            Ok(Reply::Changed(change)) => change,
            other => panic!("not a change: {other:?}"),
        }
    }

    fn look(&mut self, number: u8) -> Option<Head> {
        match self.bench.read_of(&address(number), Query::Look) {
            Ok(reply) => match Reply::try_from(reply) {
                Ok(Reply::Look(look)) => Some(look.0),
                other => panic!("not a look: {other:?}"),
            },
            Err(_) => None,
        }
    }

    fn head(&mut self, number: u8) -> Head {
        self.look(number).expect("an invocation")
    }

    #[track_caller]
    fn check(&mut self, number: u8, status: Status) {
        let seen = self.look(number).map(|head| head.status());
        assert_eq!(seen, Some(status), "invocation {number}");
        let talks = self.bench.row(&Key::conversation(&address(number))).is_some();
        let backing_off = self.head(number).retry.is_some_and(|retry| retry.next_at > 0);
        assert_eq!(talks, status == Status::Running && !backing_off, "a conversation");
    }

    /// The journal: `c` a command, `i` the input, else what has come.
    fn journal(&mut self, number: u8) -> Vec<String> {
        let entries = self.head(number).entries;
        let line = |index| {
            let row = self
                .bench
                .row(&rows::entry(&address(number), index))
                .expect("an entry");
            match Entry::from_row(&row).expect("an entry").line.expect("a line") {
                Line::Input(_) => "i".to_owned(),
                Line::Command(_) => "c".to_owned(),
                Line::Notification(notification) => show(&notification),
            }
        };
        (0..entries).map(line).collect()
    }

    fn answers(&mut self) -> Vec<Outcome> {
        let answers = std::mem::take(&mut self.bench.answers);
        let outcome = |reply| match Reply::try_from(reply) {
            Ok(Reply::Over(over)) => over.outcome,
            other => panic!("not an end: {other:?}"),
        };
        answers
            .into_iter()
            .map(|(_, reply)| outcome(reply.expect("no error")))
            .collect()
    }

    /// Rows of no table are left but these.
    #[track_caller]
    fn check_rows(&self, machine: usize, timers: usize) {
        assert_eq!(
            (self.bench.count(Table::Machine), self.bench.count(Table::Timer)),
            (machine, timers)
        );
    }
}

fn show(notification: &Notification) -> String {
    let came = match notification.came.as_ref().expect("it came") {
        Came::Void(_) => "void".to_owned(),
        Came::Value(value) => String::from_utf8_lossy(value).into_owned(),
        Came::Failure(failure) => format!("{} {}", failure.code, failure.message),
        Came::Invocation(id) => format!("id {}", id[23]),
        Came::Keys(keys) => format!("{} keys", keys.keys.len()),
    };
    match notification.name.as_ref().expect("a name") {
        Name::Completion(id) => format!("{:?} {id}: {came}", notification.source()),
        Name::Signal(number) => format!("signal {number}: {came}"),
        Name::NamedSignal(name) => format!("signal {name}: {came}"),
    }
}

#[test]
fn a_call_is_answered_with_its_output() {
    let mut world = World::new();
    assert_eq!(
        world.take(1, start(origin(TargetKind::Service), true)),
        Err("later")
    );
    world.check(1, Status::Running);
    assert_eq!(
        world.say(1, vec![command(Op::None), output("out"), Word::Ended]),
        Reply::Taken
    );
    world.check(1, Status::Completed);
    assert_eq!(world.answers(), [Outcome::value("out")]);
    assert_eq!(world.journal(1), ["i", "c", "c"]);

    // Asked again it is the same result, until its time is over.
    let again = world.take(1, start(origin(TargetKind::Service), true));
    let Ok(Reply::Over(over)) = again else {
        panic!("not over: {again:?}")
    };
    assert_eq!((over.outcome, over.replayed), (Outcome::value("out"), true));
    assert_eq!(over.kept_until, Some(1_000 + DAY_MS));
    let accepted = Reply::Accepted { new: false, due: 0 };
    assert_eq!(
        world.take(1, start(origin(TargetKind::Service), false)),
        Ok(accepted)
    );
    world.bench.advance(DAY_MS);
    assert_eq!(world.look(1), None);
    world.check_rows(0, 0);
}

#[test]
fn without_retention_nothing_is_left() {
    let mut world = World::new();
    let mut origin = origin(TargetKind::Exclusive);
    origin.rules.result_ms = 0;
    assert_eq!(world.take(1, start(origin, true)), Err("later"));
    world.say(
        1,
        vec![
            command(Op::Sleep { until: 9_000, id: 1 }),
            output("out"),
            Word::Ended,
        ],
    );
    assert_eq!(world.answers(), [Outcome::value("out")]);
    world.check_rows(0, 0);
}

#[test]
fn the_journal_goes_before_the_result() {
    let mut world = World::new();
    let mut origin = origin(TargetKind::Service);
    origin.rules.journal_ms = 1_000;
    drop(world.take(1, start(origin, false)));
    world.say(1, vec![output("out"), Word::Ended]);
    world.bench.advance(1_000);
    assert_eq!(world.journal(1), [""; 0]);
    assert_eq!(world.head(1).outcome, Some(Outcome::value("out")));
    world.bench.advance(DAY_MS);
    world.check_rows(0, 0);
}

#[test]
fn a_long_journal_is_removed_in_several_steps() {
    let mut world = World::new();
    drop(world.take(1, start(origin(TargetKind::Service), false)));
    for _ in 0..50 {
        world.say(1, vec![command(Op::None); 100]);
    }
    world.say(1, vec![output("out"), Word::Ended]);
    assert_eq!(world.control(1, Control::Purge), Change::Done);
    world.check_rows(0, 0);
    assert_eq!(world.look(1), None);
}

#[test]
fn words_of_an_earlier_attempt_are_not_heard() {
    let mut world = World::new();
    drop(world.take(1, start(origin(TargetKind::Service), false)));
    world.say(1, vec![failed(Some(0), Behavior::Retry)]);
    world.bench.advance(10);
    world.check(1, Status::Running);
    assert_eq!(
        world.say_in(1, 1, vec![output("late"), Word::Ended]),
        Reply::Stale
    );
    assert_eq!(world.journal(1), ["i"]);
    assert_eq!(world.say_in(2, 1, vec![Word::Ended]), Reply::Stale);
}

#[test]
fn words_behind_others_that_were_not_stored_are_not_heard() {
    let mut world = World::new();
    drop(world.take(1, start(origin(TargetKind::Service), false)));
    let say = |world: &mut World, number| {
        let words = Words {
            attempt: 1,
            number: Some(number),
            pin: rows::Pin::default(),
            words: vec![command(Op::None)],
        };
        world.take(1, Command::Said(words))
    };
    assert_eq!(say(&mut world, 0), Ok(Reply::Taken));
    assert_eq!(say(&mut world, 2), Ok(Reply::Stale));
    assert_eq!(say(&mut world, 1), Ok(Reply::Taken));
    assert_eq!(world.journal(1), ["i", "c", "c"]);
    world.say(1, vec![failed(Some(0), Behavior::Retry)]);
    world.bench.advance(10);
    assert_eq!(world.head(1).heard, 0);
}

#[test]
fn attempts_that_fail_come_later_and_later_and_then_it_is_paused() {
    let mut world = World::new();
    drop(world.take(1, start(origin(TargetKind::Service), false)));
    world.say(1, vec![command(Op::None), failed(None, Behavior::Retry)]);
    world.check(1, Status::Running);
    assert_eq!(world.head(1).retry.expect("it failed").next_at, 1_500);
    world.bench.advance(499);
    assert!(world.head(1).retry.expect("it failed").next_at > 0);
    world.bench.advance(1);
    // One whose delay user code says uses up no attempt.
    world.say(1, vec![failed(Some(7_000), Behavior::Retry)]);
    world.bench.advance(7_000);
    world.say(1, vec![failed(None, Behavior::Retry)]);
    let retry = world.head(1).retry.expect("it failed");
    assert_eq!(
        (retry.next_at, retry.failures, retry.since_entry),
        (world.bench.now.0 + 1_000, 2, 3)
    );
    world.bench.advance(1_000);
    world.say(1, vec![command(Op::None)]);
    assert_eq!(world.head(1).retry.expect("it failed").since_entry, 0);
    world.say(1, vec![failed(None, Behavior::Retry)]);
    world.check(1, Status::Paused);
    assert_eq!(world.control(1, Control::Resume { on: None }), Change::Done);
    world.check(1, Status::Running);
    assert_eq!(world.head(1).retry, None);
}

#[test]
fn attempts_that_are_used_up_can_end_it() {
    let mut world = World::new();
    let mut origin = origin(TargetKind::Service);
    (origin.rules.attempts_max, origin.rules.kill_after_attempts) = (1, true);
    assert_eq!(world.take(1, start(origin, true)), Err("later"));
    world.say(1, vec![failed(None, Behavior::Retry)]);
    assert_eq!(world.answers(), [Outcome::failure(500, "boom")]);
}

#[test]
fn user_code_says_what_a_failure_means() {
    let mut world = World::new();
    drop(world.take(1, start(origin(TargetKind::Service), false)));
    world.say(1, vec![failed(None, Behavior::Pause)]);
    world.check(1, Status::Paused);
    drop(world.take(2, start(origin(TargetKind::Service), false)));
    world.say(2, vec![failed(None, Behavior::Fail)]);
    world.check(2, Status::Completed);
}

#[test]
fn an_end_without_an_output_is_a_failure() {
    let mut world = World::new();
    drop(world.take(1, start(origin(TargetKind::Service), false)));
    world.say(1, vec![Word::Ended]);
    world.check(1, Status::Running);
    assert_eq!(
        world.head(1).retry.expect("it failed").last.expect("why").code,
        571
    );
}

#[test]
fn a_sleep_is_over_in_time_also_for_one_that_suspended() {
    let mut world = World::new();
    drop(world.take(1, start(origin(TargetKind::Service), false)));
    world.say(1, vec![command(Op::Sleep { until: 3_000, id: 1 })]);
    world.say(1, vec![Word::Suspended(Awaited::any(vec![1], vec![1], vec![]))]);
    world.check(1, Status::Suspended);
    world.bench.advance(1_999);
    world.check(1, Status::Suspended);
    world.bench.advance(1);
    world.check(1, Status::Running);
    assert_eq!(world.journal(1), ["i", "c", "Sleep 1: void"]);

    // It came before the suspension did: it goes on at once.
    world.say(1, vec![command(Op::Sleep { until: 3_000, id: 2 })]);
    world.bench.advance(0);
    let before = world.head(1).attempt;
    world.say(1, vec![Word::Suspended(Awaited::any(vec![2], vec![1], vec![]))]);
    assert_eq!(world.head(1).attempt, before + 1);
    world.check(1, Status::Running);
}

#[test]
fn what_nobody_can_produce_is_not_waited_for() {
    let mut world = World::new();
    drop(world.take(1, start(origin(TargetKind::Service), false)));
    world.say(
        1,
        vec![
            command(Op::None),
            Word::Suspended(Awaited::any(vec![1], vec![1], vec![])),
        ],
    );
    world.check(1, Status::Running);
    assert!(world.head(1).retry.expect("it failed").next_at > 0);
    drop(world.take(2, start(origin(TargetKind::Service), false)));
    world.say(2, vec![Word::Suspended(Awaited::default())]);
    assert!(world.head(2).retry.expect("it failed").next_at > 0);
}

fn invoke(callee: u8, reply: Option<u32>) -> Word {
    let mut origin = origin(TargetKind::Service);
    origin.rules.result_ms = 0;
    command(Op::Invoke {
        callee: id(callee),
        origin: Box::new(origin),
        input: Input::default(),
        callee_id: Some(1),
        reply,
    })
}

#[test]
fn a_call_hears_of_its_callees_end_once() {
    let mut world = World::new();
    drop(world.take(1, start(origin(TargetKind::Service), false)));
    world.say(1, vec![invoke(2, Some(2)), invoke(3, None)]);
    assert_eq!(
        world.journal(1),
        ["i", "c", "CallId 1: id 2", "c", "CallId 1: id 3"]
    );
    world.check(2, Status::Running);
    world.say(2, vec![output("two"), Word::Ended]);
    world.say(3, vec![output("three"), Word::Ended]);
    assert_eq!(world.journal(1)[5..], ["Call 2: two"]);
    let late = Body::Completed(Completed {
        completion: 2,
        outcome: Some(Outcome::value("again")),
    });
    world
        .bench
        .apply_to(&address(1), crate::Command::Message(late.into()));
    assert_eq!(world.head(1).entries, 6);
}

#[test]
fn the_same_id_is_invoked_once_and_all_callers_hear() {
    let mut world = World::new();
    for caller in [1, 2] {
        drop(world.take(caller, start(origin(TargetKind::Service), false)));
        world.say(caller, vec![invoke(9, Some(2))]);
    }
    world.say(9, vec![output("nine"), Word::Ended]);
    for caller in [1, 2] {
        assert_eq!(world.journal(caller)[3..], ["Call 2: nine"]);
    }
}

#[test]
fn a_workflow_runs_once_for_its_key() {
    let mut world = World::new();
    assert_eq!(
        world.take(1, start(origin(TargetKind::Workflow), true)),
        Err("later")
    );
    let again = world.take(1, start(origin(TargetKind::Workflow), true));
    let Ok(Reply::Over(over)) = again else {
        panic!("not over: {again:?}")
    };
    assert_eq!(
        over.outcome,
        Outcome::failure(409, "the workflow method was already invoked")
    );
    let accepted = Reply::Accepted { new: false, due: 0 };
    assert_eq!(
        world.take(1, start(origin(TargetKind::Workflow), false)),
        Ok(accepted)
    );
}

#[test]
fn attaching_and_looking_from_another_one() {
    let mut world = World::new();
    drop(world.take(1, start(origin(TargetKind::Service), false)));
    drop(world.take(2, start(origin(TargetKind::Service), false)));
    let attach = |to, id| {
        command(Op::Attach {
            to: super::tests::id(to),
            id,
        })
    };
    let look = |of, id| {
        command(Op::Look {
            of: super::tests::id(of),
            id,
        })
    };
    world.say(1, vec![attach(2, 1), look(2, 2), attach(9, 3), look(9, 4)]);
    let came = |world: &mut World| {
        let journal = world.journal(1);
        journal
            .into_iter()
            .filter(|line| line != "c" && line != "i")
            .collect::<Vec<_>>()
    };
    let expected = [
        "Output 2: void",
        "Attach 3: 404 not found",
        "Output 4: 404 not found",
    ];
    assert_eq!(came(&mut world), expected);
    world.say(2, vec![output("two"), Word::Ended]);
    world.say(1, vec![attach(2, 5), look(2, 6)]);
    assert_eq!(
        came(&mut world)[3..],
        ["Attach 1: two", "Attach 5: two", "Output 6: two"]
    );
    assert_eq!(world.take(9, Command::Attach), Err("BLY0100"));
}

#[test]
fn outcomes_of_any_kind_survive_their_storing() {
    let outcome = Outcome::failure(418, "teapot");
    assert!(outcome.is_failure());
    assert!(matches!(outcome.ended, Some(Ended::Failure(_))));
    assert_eq!(Came::from(None), Came::Void(true));
}

/// C26 of the users' cases.
#[test]
fn failing_for_days_makes_nothing_grow() {
    let mut world = World::new();
    let mut origin = origin(TargetKind::Service);
    origin.rules.attempts_max = 0;
    drop(world.take(1, start(origin, false)));
    let rows = |world: &World| Table::ALL.map(|table| world.bench.count(table));
    let size = |world: &World| world.bench.row(&Key::head(&address(1))).map(|row| row.len());
    let mut before = None;
    for number in 0..50_000 {
        let Word::Failed(mut failed) = failed(Some(1), Behavior::Retry) else {
            unreachable!("a failure");
        };
        failed.trouble.message = if number % 2 == 0 { "one" } else { "two" }.into();
        world.say(1, vec![Word::Failed(failed)]);
        world.bench.advance(10);
        let now = (rows(&world), number % 2);
        if number == 1_000 {
            before = Some((now, size(&world)));
        }
        if let Some((seen, bytes)) = before.filter(|((_, parity), _)| *parity == number % 2) {
            assert_eq!(seen.0, now.0, "after {number}");
            // Numbers get longer, and nothing else.
            assert!(size(&world) <= bytes.map(|bytes| bytes + 16), "after {number}");
        }
    }
    assert_eq!(world.journal(1), ["i"]);
}
