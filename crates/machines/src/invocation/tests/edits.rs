//! State that is edited by people.

use super::*;
use crate::invocation::edit::state_version;
use crate::invocation::rows::{Edit, KeyValue};

fn to(version: &str, state: &[(&'static str, &'static str)]) -> Command {
    let pair = |(key, value): &(&'static str, &'static str)| KeyValue {
        key: (*key).into(),
        value: (*value).into(),
    };
    Command::Edit(Edit {
        version: version.into(),
        state: state.iter().map(pair).collect(),
    })
}

impl World {
    fn edit(&mut self, command: Command) -> Reply {
        let Got::Now(reply) = self.bench.apply_to(&object(), command) else {
            panic!("it is taken, or refused")
        };
        reply.try_into().expect("a reply of an object")
    }

    /// What the next one sees of `a` and `b`.
    fn state(&mut self, number: u8) -> Vec<String> {
        drop(self.take(number, start(origin(TargetKind::Exclusive), false)));
        let get = |key: &'static str, id| {
            let key = Bytes::from_static(key.as_bytes());
            command(Op::GetState { key, id })
        };
        self.say(number, vec![get("a", 1), get("b", 2), output("x"), Word::Ended]);
        let journal = self.journal(number).into_iter();
        journal.filter(|line| line.starts_with("State")).collect()
    }
}

#[test]
fn an_edit_is_all_the_state_there_is() {
    let mut world = World::new();
    assert_eq!(world.edit(to("", &[("a", "1"), ("b", "2")])), Reply::Edited);
    assert_eq!(world.state(1), ["State 1: 1", "State 2: 2"]);
    world.edit(to("", &[("b", "3")]));
    assert_eq!(world.state(2), ["State 1: void", "State 2: 3"]);
    world.edit(to("", &[]));
    assert_eq!(world.state(3), ["State 1: void", "State 2: void"]);
}

#[test]
fn an_edit_waits_for_its_turn() {
    let mut world = World::new();
    drop(world.take(1, start(origin(TargetKind::Exclusive), false)));
    world.edit(to("", &[("a", "edited")]));
    drop(world.take(2, start(origin(TargetKind::Exclusive), false)));
    world.edit(to("", &[("b", "again")]));
    let set = command(Op::SetState {
        key: Bytes::from_static(b"a"),
        value: Bytes::from_static(b"own"),
    });
    let get = || {
        command(Op::GetState {
            key: Bytes::from_static(b"a"),
            id: 1,
        })
    };
    world.say(1, vec![set, get(), output("1"), Word::Ended]);
    assert_eq!(world.journal(1)[2..4], ["c", "State 1: own"]);
    world.check(2, Status::Running);
    world.say(2, vec![get(), output("2"), Word::Ended]);
    assert_eq!(world.journal(2)[2], "State 1: edited");
    assert_eq!(world.state(3), ["State 1: void", "State 2: again"]);
}

#[test]
fn an_edit_of_other_state_than_was_seen_is_dropped() {
    let mut world = World::new();
    world.edit(to("", &[("b", "2"), ("a", "1")]));
    let seen = state_version(&[("a".into(), "1".into()), ("b".into(), "2".into())]);
    world.edit(to("another", &[("a", "lost")]));
    assert_eq!(world.state(1), ["State 1: 1", "State 2: 2"]);
    drop(world.take(2, start(origin(TargetKind::Exclusive), false)));
    world.edit(to(&format!("{seen}="), &[("a", "first")]));
    world.edit(to(&seen, &[("a", "second")]));
    world.say(2, vec![output("2"), Word::Ended]);
    assert_eq!(world.state(3), ["State 1: first", "State 2: void"]);
}

/// By hand: SHA-256 of nothing, and of one pair.
#[test]
fn a_version_is_what_others_make_of_the_same_state() {
    assert_eq!(state_version(&[]), "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU");
    let one = state_version(&[("count".into(), "10".into())]);
    assert_eq!(one, "ZTw4_TRWzM_dSELUPqDOY5YYAjYfjnflswfGxvZrgeE");
}

#[test]
fn too_much_state_is_refused() {
    let mut world = World::new();
    let edit = Edit {
        state: vec![KeyValue::default(); base::limits::RESTATE_EDIT_KEYS_MAX + 1],
        ..Edit::default()
    };
    let got = world.bench.apply_to(&object(), Command::Edit(edit));
    assert!(matches!(got, Got::Refused(error) if error.code() == base::codes::INVALID_ARGUMENT));
}
