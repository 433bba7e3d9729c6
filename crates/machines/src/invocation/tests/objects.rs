//! Objects: their queue, their state, their promises; and a model of the queue.

use std::collections::VecDeque;

use base::Timestamp;
use proptest::prelude::*;

use super::*;

fn set(value: &'static str) -> Word {
    command(Op::SetState {
        key: Bytes::from_static(b"a"),
        value: Bytes::from_static(value.as_bytes()),
    })
}

fn get(id: u32) -> Word {
    let key = Bytes::from_static(b"a");
    command(Op::GetState { key, id })
}

fn promise(id: u32) -> Word {
    let name = "p".to_owned();
    command(Op::GetPromise { name, id })
}

fn complete(id: u32, text: &'static str) -> Word {
    command(Op::CompletePromise {
        name: "p".to_owned(),
        outcome: Outcome::value(text),
        id,
    })
}

impl World {
    fn object(&self) -> rows::Object {
        let row = self.bench.row(&Key::head(&object()));
        row.map_or_else(Default::default, |row| {
            rows::Object::from_row(&row).expect("an object")
        })
    }

    fn came(&mut self, number: u8, of: &str) -> Vec<String> {
        let journal = self.journal(number).into_iter();
        journal.filter(|line| line.starts_with(of)).collect()
    }
}

#[test]
fn a_read_sees_the_writes_before_it() {
    let mut world = World::new();
    drop(world.take(1, start(origin(TargetKind::Exclusive), false)));
    let clear = || {
        command(Op::ClearState {
            key: Bytes::from_static(b"a"),
        })
    };
    world.say(1, vec![get(1), set("x"), get(2), clear(), get(3)]);
    world.say(
        1,
        vec![set("y"), command(Op::ClearAllState), get(4), set(""), get(5)],
    );
    let expected = [
        "State 1: void",
        "State 2: x",
        "State 3: void",
        "State 4: void",
        "State 5: ",
    ];
    assert_eq!(world.came(1, "State"), expected);
}

#[test]
fn the_first_who_completes_a_promise_wins() {
    let mut world = World::new();
    drop(world.take(1, start(origin(TargetKind::Workflow), false)));
    drop(world.take(2, start(origin(TargetKind::Shared), false)));
    world.say(1, vec![promise(10)]);
    let peek = command(Op::PeekPromise {
        name: "p".to_owned(),
        id: 1,
    });
    world.say(
        2,
        vec![peek, complete(2, "done"), complete(3, "late"), promise(4)],
    );
    let expected = [
        "PromisePeek 1: void",
        "PromiseComplete 2: void",
        "PromiseComplete 3: 409 promise was already completed",
        "Promise 4: done",
    ];
    assert_eq!(world.came(2, "Promise"), expected);
    assert_eq!(world.came(1, "Promise"), ["Promise 10: done"]);
}

#[test]
fn purging_a_workflow_clears_its_state_and_its_promises() {
    let mut world = World::new();
    drop(world.take(1, start(origin(TargetKind::Workflow), false)));
    world.say(1, vec![set("x"), complete(1, "done"), output("1"), Word::Ended]);
    assert_eq!(world.control(1, Control::Purge), Change::Done);
    drop(world.take(1, start(origin(TargetKind::Workflow), false)));
    let peek = command(Op::PeekPromise {
        name: "p".to_owned(),
        id: 2,
    });
    world.say(1, vec![get(1), peek]);
    assert_eq!(
        world.journal(1)[2..],
        ["State 1: void", "c", "PromisePeek 2: void"]
    );
    world.say(1, vec![output("1"), Word::Ended]);
    world.control(1, Control::Purge);
    world.bench.advance(120_000);
    // The object's head, which knows the generations, is all that is left.
    world.check_rows(1, 0);
}

#[test]
fn one_that_is_scheduled_queues_when_it_is_due() {
    let mut world = World::new();
    let mut later = origin(TargetKind::Exclusive);
    later.due = 5_000;
    let accepted = Reply::Accepted {
        new: true,
        due: 5_000,
    };
    assert_eq!(world.take(1, start(later, false)), Ok(accepted));
    drop(world.take(2, start(origin(TargetKind::Exclusive), false)));
    world.check(2, Status::Running);
    world.bench.advance(4_000);
    world.check(1, Status::Inboxed);
    drop(world.take(3, start(origin(TargetKind::Exclusive), false)));
    world.say(2, vec![output("2"), Word::Ended]);
    world.check(1, Status::Running);
    world.check(3, Status::Inboxed);
}

#[derive(Clone, Debug)]
enum Do {
    Start(u8),
    End,
    Cancel(u8),
    Restart,
}

fn dos() -> impl Strategy<Value = Vec<Do>> {
    let one = prop_oneof![
        4 => (0..200u8).prop_map(Do::Start),
        3 => Just(Do::End),
        2 => (0..200u8).prop_map(Do::Cancel),
        1 => Just(Do::Restart),
    ];
    proptest::collection::vec(one, 1..60)
}

proptest! {
    /// One at a time works on an object, in the order of coming; who is cancelled while it waits is skipped.
    #[test]
    fn an_object_has_one_after_the_other(dos in dos()) {
        let mut world = World::new();
        let mut model: VecDeque<u8> = VecDeque::new();
        let mut seen = std::collections::BTreeSet::new();
        for step in dos {
            match step {
                Do::Start(number) if seen.insert(number) => {
                    drop(world.take(number, start(origin(TargetKind::Exclusive), false)));
                    model.push_back(number);
                }
                Do::End => {
                    if let Some(number) = model.pop_front() {
                        prop_assert_eq!(world.say(number, vec![output("o"), Word::Ended]), Reply::Taken);
                    }
                }
                Do::Cancel(number) if model.front() != Some(&number) => {
                    world.control(number, Control::Cancel);
                    model.retain(|other| *other != number);
                }
                Do::Restart => world.bench.restart(),
                Do::Start(_) | Do::Cancel(_) => {}
            }
            let holder = world.bench.row(&Key::head(&object()));
            let holder = holder.map(|row| rows::Object::from_row(&row).expect("an object").holder);
            let expected = model.front().map(|number| id(*number).bytes());
            prop_assert_eq!(holder.filter(|holder| !holder.is_empty()), expected);
            for (place, number) in model.clone().into_iter().enumerate() {
                let status = if place == 0 { Status::Running } else { Status::Inboxed };
                prop_assert_eq!(world.head(number).status(), status);
            }
        }
        while let Some(number) = model.pop_front() {
            world.say(number, vec![output("o"), Word::Ended]);
        }
        prop_assert_eq!(world.bench.row(&Key::head(&object())), None);
    }
}

#[test]
fn more_empty_places_than_a_step_looks_at_are_skipped() {
    let mut world = World::new();
    let addresses: Vec<Address> = (0..600u32)
        .map(|number| {
            let mut id = [7; 24];
            id[20..].copy_from_slice(&number.to_be_bytes());
            Address::invocation(&Id(id))
        })
        .collect();
    for address in &addresses {
        world
            .bench
            .apply_to(address, start(origin(TargetKind::Exclusive), false));
    }
    for address in &addresses[1..599] {
        world.bench.apply_to(address, Command::Control(Control::Kill));
    }
    world
        .bench
        .apply_to(&addresses[0], Command::Control(Control::Kill));
    let row = world
        .bench
        .row(&Key::head(&addresses[599]))
        .expect("the last one");
    assert_eq!(Head::from_row(&row).expect("a head").status(), Status::Running);
    assert_eq!(Timestamp(1_000), world.bench.now);
}

#[test]
fn many_keys_and_promises_are_read_in_one_step() {
    let mut world = World::new();
    drop(world.take(1, start(origin(TargetKind::Workflow), false)));
    let get = |id: u32| {
        let key = format!("key {id}").into();
        command(Op::GetState { key, id })
    };
    let peek = |id: u32| {
        let name = format!("promise {id}");
        command(Op::PeekPromise { name, id })
    };
    let words: Vec<_> = (0..20).map(get).chain((20..40).map(peek)).collect();
    assert_eq!(world.say(1, words), Reply::Taken);
    assert_eq!(world.head(1).entries, 1 + 2 * 40);
}

fn keys_of(keys: &[&'static str]) -> Option<rows::Keys> {
    let keys = keys.iter().map(|key| Bytes::from_static(key.as_bytes()));
    Some(rows::Keys { keys: keys.collect() })
}

fn set_key(key: String) -> Word {
    command(Op::SetState {
        key: key.into(),
        value: Bytes::from_static(b"v"),
    })
}

#[test]
fn an_object_knows_its_keys_once_it_was_told() {
    let mut world = World::new();
    drop(world.take(1, start(origin(TargetKind::Exclusive), false)));
    world.say(1, vec![set_key("m".into())]);
    assert_eq!(world.object().state_keys, None, "there may be others");
    let keys = |keys: &[&'static str]| Word::Keys(keys_of(keys).unwrap_or_default().keys);
    world.say(
        1,
        vec![keys(&["c", "m"]), set_key("a".into()), set_key("m".into())],
    );
    assert_eq!(world.object().state_keys, keys_of(&["a", "c", "m"]));
    let clear = Op::ClearState {
        key: Bytes::from_static(b"c"),
    };
    world.say(1, vec![command(clear), keys(&["told", "twice"])]);
    assert_eq!(world.object().state_keys, keys_of(&["a", "m"]));
    world.say(1, vec![command(Op::ClearAllState), set_key("z".into())]);
    assert_eq!(world.object().state_keys, keys_of(&["z"]));
    let many = (0..=limits::OBJECT_KEYS_KNOWN_MAX).map(|number| set_key(format!("k{number}")));
    world.say(1, many.collect());
    assert_eq!(world.object().state_keys, None, "they are too many");
}

#[test]
fn only_the_one_who_has_an_object_says_what_keys_there_are() {
    let mut world = World::new();
    drop(world.take(1, start(origin(TargetKind::Exclusive), false)));
    drop(world.take(2, start(origin(TargetKind::Shared), false)));
    world.say(2, vec![Word::Keys(vec![])]);
    assert_eq!(world.object().state_keys, None);
    world.say(1, vec![Word::Keys(vec![]), output("x"), Word::Ended]);
    assert_eq!(
        world.object(),
        rows::Object::default(),
        "an object without state has no row"
    );
}
