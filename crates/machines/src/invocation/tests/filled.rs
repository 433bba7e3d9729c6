//! Invocations of versions 1 and 2, whose results are filled into entries.

use super::*;

impl World {
    fn say_filled(&mut self, number: u8, words: Vec<Word>) {
        let pin = rows::Pin {
            deployment: "dp".into(),
            protocol: 2,
        };
        let attempt = self.head(number).attempt;
        let words = Words {
            attempt,
            number: None,
            pin,
            words,
        };
        assert_eq!(self.take(number, Command::Said(words)), Ok(Reply::Taken));
    }

    /// The awakeable of that entry.
    fn complete(&mut self, number: u8, entry: u32, value: &'static str) {
        let complete = Command::Signal {
            name: Name::Completion(entry),
            outcome: Some(Outcome::value(value)),
        };
        assert_eq!(self.take(number, complete), Ok(Reply::Sent));
    }

    fn begun() -> World {
        let mut world = World::new();
        drop(world.take(1, start(origin(TargetKind::Service), false)));
        world
    }
}

fn suspended(entries: &[u32]) -> Word {
    Word::Suspended(Awaited::any(entries.to_vec(), vec![], vec![]))
}

fn awakeable(id: u32) -> Word {
    command(Op::Awakeable { id })
}

fn sleep(until: u64, id: u32) -> Word {
    command(Op::Sleep { until, id })
}

fn call(callee: u8, id: u32) -> Word {
    let mut origin = origin(TargetKind::Service);
    origin.target.handler = "callee".into();
    command(Op::Invoke {
        callee: super::id(callee),
        origin: Box::new(origin),
        input: Input::default(),
        callee_id: None,
        reply: Some(id),
    })
}

#[test]
fn an_awakeable_is_completed_once_by_its_entry() {
    let mut world = World::begun();
    world.say_filled(1, vec![awakeable(1), suspended(&[1])]);
    world.check(1, Status::Suspended);
    world.complete(1, 1, "first");
    world.check(1, Status::Running);
    world.complete(1, 1, "second");
    assert_eq!(world.journal(1), ["i", "c", "Signal 1: first"]);
    assert_eq!(world.head(1).pending, 0);
}

#[test]
fn an_awakeable_that_is_completed_before_its_entry_is_stored_is_filled_in_then() {
    let mut world = World::begun();
    world.complete(1, 2, "early");
    world.complete(1, 2, "late");
    assert_eq!(world.journal(1), ["i"]);
    world.say_filled(1, vec![command(Op::None), awakeable(2), suspended(&[2])]);
    assert_eq!(world.journal(1), ["i", "c", "c", "Signal 2: early"]);
    world.check(1, Status::Running);
    world.say_filled(1, vec![output("o"), Word::Ended]);
    world.control(1, Control::Purge);
    world.check_rows(0, 0);
}

#[test]
fn awakeables_that_can_never_be_are_forgotten() {
    let mut world = World::begun();
    world.complete(1, 1 + base::limits::INVOCATION_ENTRIES_AHEAD, "far");
    assert_eq!(world.head(1).pending, 0);
    // A sleep is nobody's to complete.
    world.say_filled(1, vec![sleep(90_000, 1)]);
    world.complete(1, 1, "forged");
    assert_eq!(world.journal(1), ["i", "c"]);
    // An entry that turns out to be something else has its own result.
    world.complete(1, 2, "forged");
    world.say_filled(1, vec![sleep(91_000, 2), suspended(&[2])]);
    world.check(1, Status::Suspended);
    assert_eq!(world.journal(1), ["i", "c", "c"]);
    // One that speaks a later version has none.
    let mut world = World::begun();
    world.say(1, vec![command(Op::None)]);
    world.complete(1, 2, "forged");
    assert_eq!(world.head(1).pending, 0);
}

#[test]
fn whoever_suspends_on_what_is_stored_goes_on() {
    let mut world = World::begun();
    // A step of its own, whose acknowledgement it waits for.
    world.say_filled(1, vec![command(Op::None), suspended(&[1])]);
    world.check(1, Status::Running);
    assert_eq!(world.head(1).attempt, 2);
    world.say_filled(1, vec![sleep(2_000, 2), suspended(&[2])]);
    world.check(1, Status::Suspended);
    world.bench.advance(1_000);
    world.check(1, Status::Running);
    world.say_filled(1, vec![sleep(90_000, 3), suspended(&[3, 2])]);
    world.check(1, Status::Running);
    world.say_filled(1, vec![suspended(&[4])]);
    let last = world.head(1).retry.and_then(|retry| retry.last);
    assert_eq!(last.map(|last| last.code), Some(571));
}

#[test]
fn cancel_fails_what_it_waits_for_and_cancels_callees() {
    let mut world = World::begun();
    world.say_filled(
        1,
        vec![
            sleep(90_000, 1),
            awakeable(2),
            call(2, 3),
            command(Op::None),
            suspended(&[3]),
        ],
    );
    world.say(2, vec![command(Op::None)]);
    assert_eq!(world.control(1, Control::Cancel), Change::Asked);
    let failed = ["Sleep 1: 409 canceled", "Signal 2: 409 canceled"];
    assert_eq!(world.journal(1)[5..], failed);
    assert_eq!(world.journal(2), ["i", "c", "signal 1: void"]);
    assert_eq!(world.bench.count(Table::Timer), 0);
    // It waits for the callee's answer.
    world.check(1, Status::Suspended);
    world.say(
        2,
        vec![
            command(Op::Output(Outcome::failure(409, "Cancelled"))),
            Word::Ended,
        ],
    );
    world.check(1, Status::Running);
    assert_eq!(world.journal(1)[7..], ["Call 3: 409 Cancelled"]);
    world.complete(1, 2, "too late");
    assert_eq!(world.control(1, Control::Cancel), Change::Asked);
    assert_eq!(world.head(1).entries, 8);
}

#[test]
fn cancel_wakes_one_that_is_suspended_or_paused() {
    let mut world = World::begun();
    world.say_filled(1, vec![awakeable(1), suspended(&[1])]);
    assert_eq!(world.control(1, Control::Cancel), Change::Asked);
    world.check(1, Status::Running);
    assert_eq!(world.control(1, Control::Pause), Change::Asked);
    assert_eq!(world.control(1, Control::Cancel), Change::Asked);
    world.check(1, Status::Running);
    assert_eq!(world.journal(1), ["i", "c", "Signal 1: 409 canceled"]);
}

#[test]
fn a_cancel_before_its_first_entry_fails_what_that_waits_for() {
    let mut world = World::begun();
    assert_eq!(world.control(1, Control::Cancel), Change::Asked);
    world.say_filled(1, vec![sleep(90_000, 1), suspended(&[1])]);
    world.check(1, Status::Running);
    assert_eq!(
        world.journal(1),
        ["i", "signal 1: void", "c", "Sleep 1: 409 canceled"]
    );
    world.say_filled(1, vec![sleep(91_000, 2), suspended(&[2])]);
    world.check(1, Status::Suspended);
}

#[test]
fn a_cancel_is_heard_by_the_next_entry_that_waits() {
    let mut world = World::begun();
    world.say_filled(1, vec![command(Op::None)]);
    assert_eq!(world.control(1, Control::Cancel), Change::Asked);
    world.say_filled(1, vec![command(Op::None)]);
    world.say_filled(1, vec![sleep(90_000, 3)]);
    assert_eq!(world.journal(1), ["i", "c", "c", "c", "Sleep 3: 409 canceled"]);
    world.say_filled(1, vec![sleep(91_000, 4)]);
    assert_eq!(world.head(1).entries, 6, "once");
}

#[test]
fn kill_reaches_only_callees_whose_answer_it_waits_for() {
    let mut world = World::begun();
    world.say_filled(1, vec![call(2, 1), call(3, 2)]);
    world.say(2, vec![output("two"), Word::Ended]);
    let sent = command(Op::Invoke {
        callee: super::id(4),
        origin: Box::new(origin(TargetKind::Service)),
        input: Input::default(),
        callee_id: None,
        reply: None,
    });
    world.say_filled(1, vec![sent]);
    assert_eq!(world.control(1, Control::Kill), Change::Done);
    let outcomes = [1, 2, 3].map(|number| world.head(number).outcome);
    let killed = Some(Outcome::failure(409, "killed"));
    assert_eq!(outcomes, [killed.clone(), Some(Outcome::value("two")), killed]);
    world.check(4, Status::Running);
}

#[test]
fn signals_mean_nothing_to_it() {
    let mut world = World::begun();
    world.say_filled(1, vec![awakeable(1)]);
    for name in [Name::Signal(17), Name::NamedSignal("n".into())] {
        let outcome = Some(Outcome::value("s"));
        assert_eq!(world.take(1, Command::Signal { name, outcome }), Ok(Reply::Sent));
    }
    assert_eq!(world.journal(1), ["i", "c"]);
}
