//! Signals, and what people do to invocations.

use super::*;

#[test]
fn signals_reach_those_who_run_and_are_lost_on_others() {
    let mut world = World::new();
    let signal = |number| Command::Signal {
        name: Name::Signal(number),
        outcome: Some(Outcome::value("s")),
    };
    drop(world.take(1, start(origin(TargetKind::Exclusive), false)));
    drop(world.take(2, start(origin(TargetKind::Exclusive), false)));
    for number in [1, 2, 3] {
        assert_eq!(world.take(number, signal(17)), Ok(Reply::Sent));
    }
    assert_eq!(world.journal(1), ["i", "signal 17: s"]);
    assert_eq!(world.journal(2), ["i"]);
    world.say(
        1,
        vec![Word::Suspended(Awaited::any(vec![], vec![18, 1], vec![]))],
    );
    world.check(1, Status::Suspended);
    drop(world.take(1, signal(19)));
    world.check(1, Status::Suspended);
    drop(world.take(1, signal(18)));
    world.check(1, Status::Running);
    world.control(1, Control::Pause);
    drop(world.take(1, signal(20)));
    world.check(1, Status::Paused);
    assert_eq!(world.head(1).entries, 5);
}

#[test]
fn what_controls_do_by_status() {
    use Change::{Asked, Done, NotOver, NotStarted, Over};
    let controls = || {
        [
            Control::Cancel,
            Control::Kill,
            Control::Pause,
            Control::Resume { on: None },
            Control::Purge,
        ]
    };
    let expected = [
        (Status::Scheduled, [Done, Done, NotStarted, NotStarted, NotOver]),
        (Status::Inboxed, [Done, Done, NotStarted, NotStarted, NotOver]),
        (Status::Running, [Asked, Done, Asked, Done, NotOver]),
        (Status::Suspended, [Asked, Done, Asked, Done, NotOver]),
        (Status::Paused, [Asked, Done, Done, Done, NotOver]),
        (Status::Completed, [Over, Over, Over, Over, Done]),
    ];
    for (status, changes) in expected {
        for (control, change) in controls().into_iter().zip(changes) {
            let mut world = World::new();
            world.bring(2, status);
            world.check(2, status);
            assert_eq!(
                world.control(2, control.clone()),
                change,
                "{status:?} {control:?}"
            );
            assert_eq!(world.control(8, control), Change::NotFound);
        }
    }
}

impl World {
    /// Invocation 2 into that status; 1 may have the object.
    fn bring(&mut self, number: u8, status: Status) {
        let mut origin = origin(TargetKind::Exclusive);
        if status == Status::Scheduled {
            origin.due = 50_000;
        }
        if status == Status::Inboxed {
            drop(self.take(1, start(origin.clone(), false)));
        }
        drop(self.take(number, start(origin, false)));
        match status {
            Status::Suspended => {
                let awaited = Awaited::any(vec![1], vec![1], vec![]);
                self.say(
                    number,
                    vec![
                        command(Op::Sleep { until: 90_000, id: 1 }),
                        Word::Suspended(awaited),
                    ],
                );
            }
            Status::Paused => drop(self.control(number, Control::Pause)),
            Status::Completed => drop(self.say(number, vec![output("o"), Word::Ended])),
            _ => {}
        }
    }
}

#[test]
fn a_cancelled_one_hears_of_it_and_one_that_backs_off_is_called_at_once() {
    let mut world = World::new();
    drop(world.take(1, start(origin(TargetKind::Service), false)));
    world.say(1, vec![failed(Some(60_000), Behavior::Retry)]);
    assert_eq!(world.control(1, Control::Cancel), Change::Asked);
    world.check(1, Status::Running);
    assert_eq!(world.head(1).retry.expect("it failed").next_at, 0);
    assert_eq!(world.journal(1), ["i", "signal 1: void"]);
    assert_eq!(world.bench.count(Table::Timer), 0);
}

#[test]
fn who_is_cancelled_before_it_began_is_told_and_leaves_nothing() {
    let mut world = World::new();
    drop(world.take(1, start(origin(TargetKind::Exclusive), false)));
    assert_eq!(
        world.take(2, start(origin(TargetKind::Exclusive), true)),
        Err("later")
    );
    assert_eq!(world.control(2, Control::Cancel), Change::Done);
    assert_eq!(world.answers(), [Outcome::failure(409, "canceled")]);
    assert_eq!(world.look(2), None);
    drop(world.take(3, start(origin(TargetKind::Exclusive), false)));
    world.say(1, vec![output("1"), Word::Ended]);
    world.check(3, Status::Running);
}

#[test]
fn a_kill_reaches_all_that_it_called() {
    let mut world = World::new();
    assert_eq!(
        world.take(1, start(origin(TargetKind::Service), true)),
        Err("later")
    );
    world.say(1, vec![invoke(2, Some(2)), invoke(3, None)]);
    assert_eq!(world.control(1, Control::Kill), Change::Done);
    assert_eq!(world.answers(), [Outcome::failure(409, "killed")]);
    assert_eq!((world.look(2), world.look(3)), (None, None));
}
