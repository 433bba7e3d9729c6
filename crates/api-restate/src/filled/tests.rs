//! Messages byte for byte, what they mean, and journals as they are told again.

use bytes::BytesMut;
use machines::invocation::Id;
use machines::invocation::rows::{
    Came, Entry, Failure as Broken, Keys, Kind, Line, Name, Notification, Origin, Said, Target, TargetKind,
};
use prost::Message;

use super::*;
use crate::frame::{Decoder, WANTS_ACK};
use crate::generation::{Generation, Start, put_command_ack};
use crate::speaker::Speaker;
use crate::version::Version;

const ID: Id = Id([7; 24]);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn origin(kind: TargetKind) -> Origin {
    let target = Target {
        service: "Counter".into(),
        handler: "add".into(),
        key: if kind == TargetKind::Service { "" } else { "k" }.into(),
        kind: kind.into(),
    };
    Origin {
        target,
        ..Origin::default()
    }
}

/// What the next command means of one that has said three already.
fn meaning(target: TargetKind, kind: u16, message: &impl Message) -> String {
    let origin = origin(target);
    let speaker = Speaker {
        id: &ID,
        origin: &origin,
        version: Version::V2,
        registry: &crate::fuzz::registry(),
        now: 1_000,
        commands: 3,
    };
    let frame = Frame {
        kind,
        flags: WANTS_ACK,
        body: message.encode_to_vec().into(),
    };
    match meant(&speaker, &frame) {
        Ok(Meant::Word(Word::Command { kind: said, body, op })) => {
            assert_eq!((said, body), (u32::from(kind), frame.body));
            format!("{op:?}")
        }
        Ok(Meant::Keys(Word::Command { .. }, id)) => format!("keys {id}"),
        Ok(Meant::Last(Word::Suspended(awaited))) => {
            format!("suspended on {:?}", awaited.completions().collect::<Vec<_>>())
        }
        Ok(Meant::Last(Word::Failed(failed))) => {
            format!(
                "{} {} {:?} {:?}",
                failed.trouble.code, failed.trouble.message, failed.delay_ms, failed.trouble.command
            )
        }
        Ok(Meant::Last(Word::Ended)) => "ended".into(),
        Ok(_) => "something else".into(),
        Err(failure) => format!("{}: {}", failure.documented, failure.message),
    }
}

#[track_caller]
fn check(seen: String, expected: &str) {
    assert_eq!(seen, expected);
}

fn failure() -> pb::Failure {
    pb::Failure {
        code: 409,
        message: "no".into(),
    }
}

#[test]
fn how_an_attempt_ends() {
    use TargetKind::Service;
    let suspension = pb::SuspensionMessage {
        entry_indexes: vec![2, 5],
    };
    check(meaning(Service, 2, &suspension), "suspended on [2, 5]");
    check(
        meaning(Service, 2, &pb::SuspensionMessage::default()),
        "RT0012: it suspended without saying what it waits for",
    );
    let error = pb::ErrorMessage {
        code: 500,
        message: "boom".into(),
        next_retry_delay: Some(0),
        related_entry_index: Some(4),
        ..pb::ErrorMessage::default()
    };
    check(meaning(Service, 3, &error), "500 boom Some(0) Some(4)");
    check(meaning(Service, 5, &pb::EndMessage {}), "ended");
    check(
        meaning(Service, 6, &pb::EndMessage {}),
        "RT0012: messages of type 0x0006 are not known",
    );
}

#[test]
fn entries_are_known_by_their_place() {
    use TargetKind::{Exclusive, Service, Workflow};
    let sleep = pb::SleepEntryMessage {
        wake_up_time: 9,
        ..pb::SleepEntryMessage::default()
    };
    check(meaning(Service, SLEEP, &sleep), "Sleep { until: 9, id: 3 }");
    let awakeable = pb::AwakeableEntryMessage::default();
    check(meaning(Service, AWAKEABLE, &awakeable), "Awakeable { id: 3 }");
    let get = pb::GetStateEntryMessage {
        key: "a".into(),
        ..pb::GetStateEntryMessage::default()
    };
    check(
        meaning(Exclusive, GET_STATE, &get),
        r#"GetState { key: b"a", id: 3 }"#,
    );
    check(
        meaning(Service, GET_STATE, &get),
        "RT0017: a plain service has no state",
    );
    let keys = pb::GetStateKeysEntryMessage::default();
    check(meaning(Exclusive, GET_STATE_KEYS, &keys), "keys 3");
    let promise = pb::GetPromiseEntryMessage {
        key: "p".into(),
        ..pb::GetPromiseEntryMessage::default()
    };
    check(
        meaning(Workflow, GET_PROMISE, &promise),
        r#"GetPromise { name: "p", id: 3 }"#,
    );
    check(
        meaning(Exclusive, GET_PROMISE, &promise),
        "RT0017: promises belong to workflows",
    );
    check(meaning(Service, CUSTOM + 2, &pb::EndMessage {}), "None");
}

#[test]
fn what_has_its_result_already_asks_for_nothing() {
    use TargetKind::Exclusive;
    let get = pb::GetStateEntryMessage {
        key: "a".into(),
        result: Some(pb::get_state_entry_message::Result::Empty(pb::Empty {})),
        ..pb::GetStateEntryMessage::default()
    };
    check(meaning(Exclusive, GET_STATE, &get), "None");
    let keys = pb::GetStateKeysEntryMessage {
        result: Some(pb::get_state_keys_entry_message::Result::Value(
            pb::get_state_keys_entry_message::StateKeys::default(),
        )),
        ..pb::GetStateKeysEntryMessage::default()
    };
    check(meaning(Exclusive, GET_STATE_KEYS, &keys), "None");
    let run = pb::RunEntryMessage {
        result: Some(pb::run_entry_message::Result::Failure(failure())),
        ..pb::RunEntryMessage::default()
    };
    check(meaning(Exclusive, RUN, &run), "None");
}

#[test]
fn outputs_and_awakeables_of_others() {
    use TargetKind::Service;
    let output = pb::OutputEntryMessage {
        result: Some(pb::output_entry_message::Result::Value("o".into())),
        name: String::new(),
    };
    check(
        meaning(Service, OUTPUT, &output),
        r#"Output(Outcome { ended: Some(Value(b"o")) })"#,
    );
    let complete = pb::CompleteAwakeableEntryMessage {
        id: "prom_1BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHAAAAAg".into(),
        result: Some(pb::complete_awakeable_entry_message::Result::Value("v".into())),
        name: String::new(),
    };
    let seen = meaning(Service, COMPLETE_AWAKEABLE, &complete);
    assert!(
        seen.starts_with("Signal {") && seen.contains("name: Completion(2)"),
        "{seen}"
    );
    let call = pb::CallEntryMessage {
        service_name: "Nobody".into(),
        ..pb::CallEntryMessage::default()
    };
    assert!(meaning(Service, CALL, &call).starts_with("RT0018"));
}

fn came(source: Kind, name: Name, came: Came) -> Line {
    Line::Notification(Notification {
        source: source.into(),
        name: Some(name),
        came: Some(came),
    })
}

fn said(kind: u16, message: &impl Message) -> Line {
    Line::Command(Said {
        kind: kind.into(),
        body: message.encode_to_vec().into(),
    })
}

/// Frames of a start: kind, flags, body.
fn told(version: Version, lines: Vec<Line>) -> Vec<(u16, u16, String)> {
    let entries: Vec<_> = lines
        .into_iter()
        .map(|line| Entry {
            at: 5,
            line: Some(line),
        })
        .collect();
    let mut bytes = BytesMut::new();
    let start = Start {
        id: &ID,
        origin: &origin(TargetKind::Exclusive),
        version,
        entries: &entries,
        state: vec![("s".into(), "v".into())],
        partial_state: true,
        failures: 3,
        since_entry_ms: 9,
    };
    Generation::Filled.put_start(&mut bytes, start);
    frames(bytes)
}

fn frames(bytes: BytesMut) -> Vec<(u16, u16, String)> {
    let mut decoder = Decoder::default();
    decoder.push(&bytes.freeze());
    let mut frames = vec![];
    while let Some(frame) = decoder.next().expect("small frames") {
        frames.push((frame.kind, frame.flags, hex(&frame.body)));
    }
    frames
}

fn input() -> Line {
    Line::Input(Input {
        headers: vec![],
        body: "in".into(),
    })
}

#[test]
fn a_start_counts_entries_only_and_tells_failures_from_version_2_on() {
    let signal = came(Kind::Signal, Name::Signal(1), Came::Void(true));
    let frames = told(Version::V2, vec![input(), signal.clone()]);
    let id = hex(&ID.0);
    let debug_id = hex(crate::id::encode(&ID).as_bytes());
    // One entry, one row of state, partial, the key.
    let common = format!("0a18{id}1226{debug_id}180122060a0173120176280132016b");
    assert_eq!(
        frames,
        [
            (0, 0, format!("{common}38034009")),
            (0x0400, 0, "7202696e".into())
        ]
    );
    assert_eq!(told(Version::V1, vec![input(), signal])[0], (0, 0, common));
}

#[test]
fn what_has_come_is_filled_in_and_the_first_one_counts() {
    let sleep = pb::SleepEntryMessage {
        wake_up_time: 9,
        name: "n".into(),
        ..pb::SleepEntryMessage::default()
    };
    let get = pb::GetStateEntryMessage {
        key: "a".into(),
        ..pb::GetStateEntryMessage::default()
    };
    let keys = Keys {
        keys: vec!["a".into(), "b".into()],
    };
    let broken = Broken {
        code: 409,
        message: "no".into(),
        metadata: vec![],
    };
    let lines = vec![
        input(),
        said(SLEEP, &sleep),
        said(AWAKEABLE, &pb::AwakeableEntryMessage::default()),
        came(Kind::Signal, Name::Completion(2), Came::Value("v".into())),
        said(GET_STATE_KEYS, &pb::GetStateKeysEntryMessage::default()),
        came(Kind::Sleep, Name::Completion(1), Came::Void(true)),
        came(Kind::StateKeys, Name::Completion(3), Came::Keys(keys)),
        came(Kind::Signal, Name::Completion(2), Came::Value("late".into())),
        said(CALL, &pb::CallEntryMessage::default()),
        came(Kind::Call, Name::Completion(4), Came::Failure(broken)),
        said(GET_STATE, &get),
        came(Kind::State, Name::Completion(5), Came::Value("".into())),
        said(SLEEP, &sleep),
    ];
    let expected: [(u16, u16, &str); 6] = [
        (SLEEP, 1, "080962016e6a00"),
        (AWAKEABLE, 1, "720176"),
        (GET_STATE_KEYS, 1, "72060a01610a0162"),
        (CALL, 1, "7a0708990312026e6f"),
        (GET_STATE, 1, "0a01617200"),
        (SLEEP, 0, "080962016e"),
    ];
    let frames = told(Version::V1, lines);
    let seen: Vec<_> = frames[2..]
        .iter()
        .map(|(kind, flags, body)| (*kind, *flags, body.as_str()))
        .collect();
    assert_eq!(seen, expected);
}

#[test]
fn entries_that_were_made_with_their_result_are_told_as_they_were() {
    let get = pb::GetStateEntryMessage {
        key: "a".into(),
        result: Some(pb::get_state_entry_message::Result::Empty(pb::Empty {})),
        ..pb::GetStateEntryMessage::default()
    };
    let run = pb::RunEntryMessage {
        result: Some(pb::run_entry_message::Result::Value("r".into())),
        name: "step".into(),
    };
    let frames = told(Version::V2, vec![input(), said(GET_STATE, &get), said(RUN, &run)]);
    let expected = [
        (GET_STATE, 1, "0a01616a00".to_owned()),
        (RUN, 0, "620473746570720172".to_owned()),
    ];
    assert_eq!(frames[2..], expected);
}

#[test]
fn what_comes_later_is_a_completion() {
    let mut bytes = BytesMut::new();
    let mut tell = |line| match line {
        Line::Notification(notification) => {
            Generation::Filled.put_notification(&mut bytes, Version::V2, &notification);
        }
        _ => unreachable!("only notifications"),
    };
    tell(came(Kind::Sleep, Name::Completion(1), Came::Void(true)));
    tell(came(Kind::Call, Name::Completion(2), Came::Value("v".into())));
    tell(came(Kind::Call, Name::Completion(2), Came::Void(true)));
    tell(came(Kind::Signal, Name::Signal(1), Came::Void(true)));
    let keys = Keys {
        keys: vec!["a".into()],
    };
    tell(came(Kind::StateKeys, Name::Completion(300), Came::Keys(keys)));
    put_command_ack(&mut bytes, 4);
    let expected = [
        (1, 0, "08016a00".to_owned()),
        (1, 0, "0802720176".to_owned()),
        (1, 0, "08027200".to_owned()),
        (1, 0, "08ac0272030a0161".to_owned()),
        (4, 0, "0804".to_owned()),
    ];
    assert_eq!(frames(bytes), expected);
}
