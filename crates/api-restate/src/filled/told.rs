//! What user code is told in versions 1 and 2: entries with what has come for them, and what comes later.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use machines::invocation::Id;
use machines::invocation::rows::{Came, Input, Kind, Line, Name, Notification};
use prost::Message;
use wire::restate::filled as pb;

use super::{
    AWAKEABLE, CALL, COMPLETE_PROMISE, CUSTOM, GET_PROMISE, GET_STATE, GET_STATE_KEYS, PEEK_PROMISE, SLEEP,
};
use crate::generation::Start;
use crate::version::Version;
use crate::{frame, id};

const START: u16 = 0x0000;
const COMPLETION: u16 = 0x0001;
const INPUT: u16 = 0x0400;
/// Of an entry that has its result.
const COMPLETED: u16 = 0x0001;

/// All entries, with what has come for them since.
pub(crate) fn put_start(to: &mut BytesMut, start: Start<'_>) {
    let lines = || start.entries.iter().filter_map(|entry| entry.line.as_ref());
    let mut results: HashMap<u32, &Notification> = HashMap::new();
    for line in lines() {
        if let Line::Notification(notification) = line
            && let Some(entry) = completes(notification)
        {
            results.entry(entry).or_insert(notification);
        }
    }
    let entries = lines().filter(|line| !matches!(line, Line::Notification(_)));
    let known = u32::try_from(entries.clone().count()).unwrap_or(u32::MAX);
    frame::put(to, START, 0, &start_message(&start, known));
    for (index, line) in (0..).zip(entries) {
        match line {
            Line::Input(input) => put_input(to, input),
            Line::Command(said) => {
                let kind = u16::try_from(said.kind).unwrap_or(CUSTOM);
                put_entry(to, kind, &said.body, results.get(&index).copied());
            }
            Line::Notification(_) => {}
        }
    }
}

fn start_message(start: &Start<'_>, known_entries: u32) -> pb::StartMessage {
    let state = start
        .state
        .iter()
        .map(|(key, value)| pb::start_message::StateEntry {
            key: key.clone(),
            value: value.clone(),
        });
    let tells_failures = start.version >= Version::V2;
    pb::StartMessage {
        id: start.id.bytes(),
        debug_id: id::encode(start.id),
        known_entries,
        state_map: state.collect(),
        partial_state: start.partial_state,
        key: start.origin.target.key.clone(),
        retry_count_since_last_stored_entry: if tells_failures { start.failures } else { 0 },
        duration_since_last_stored_entry: if tells_failures { start.since_entry_ms } else { 0 },
    }
}

fn put_input(to: &mut BytesMut, input: &Input) {
    let headers = input.headers.iter().map(|pair| pb::Header {
        key: pair.key.clone(),
        value: pair.value.clone(),
    });
    let input = pb::InputEntryMessage {
        headers: headers.collect(),
        value: input.body.clone(),
        name: String::new(),
    };
    frame::put(to, INPUT, 0, &input);
}

/// As user code said it, and behind that the result: a field that follows the others of its message.
fn put_entry(to: &mut BytesMut, kind: u16, body: &Bytes, came: Option<&Notification>) {
    match came.filter(|_| is_completable(kind)) {
        Some(notification) => {
            let filled = pb::CompletionMessage {
                entry_index: 0,
                result: Some(result(notification)),
            };
            let mut whole = BytesMut::with_capacity(body.len() + filled.encoded_len());
            whole.extend_from_slice(body);
            filled.encode_raw(&mut whole);
            frame::put_raw(to, kind, COMPLETED, &whole.freeze());
        }
        None if was_said_with_result(kind, body) => frame::put_raw(to, kind, COMPLETED, body),
        None => frame::put_raw(to, kind, 0, body),
    }
}

fn is_completable(kind: u16) -> bool {
    matches!(
        kind,
        GET_STATE | GET_STATE_KEYS | GET_PROMISE | PEEK_PROMISE | COMPLETE_PROMISE | SLEEP | CALL | AWAKEABLE
    )
}

/// State that user code had when it began.
fn was_said_with_result(kind: u16, body: &Bytes) -> bool {
    let said = body.clone();
    match kind {
        GET_STATE => pb::GetStateEntryMessage::decode(said).is_ok_and(|get| get.result.is_some()),
        GET_STATE_KEYS => pb::GetStateKeysEntryMessage::decode(said).is_ok_and(|get| get.result.is_some()),
        _ => false,
    }
}

/// Something that has come for an entry.
pub(crate) fn put_completion(to: &mut BytesMut, notification: &Notification) {
    if let Some(entry_index) = completes(notification) {
        let completion = pb::CompletionMessage {
            entry_index,
            result: Some(result(notification)),
        };
        frame::put(to, COMPLETION, 0, &completion);
    }
}

/// Which entry; `None`: signals mean nothing here.
fn completes(notification: &Notification) -> Option<u32> {
    match notification.name {
        Some(Name::Completion(entry)) => Some(entry),
        _ => None,
    }
}

fn result(notification: &Notification) -> pb::completion_message::Result {
    use pb::completion_message::Result;
    let can_be_empty = matches!(
        notification.source(),
        Kind::State | Kind::PromisePeek | Kind::PromiseComplete | Kind::Sleep | Kind::Output
    );
    match &notification.came {
        Some(Came::Value(value)) => Result::Value(value.clone()),
        Some(Came::Failure(failure)) => Result::Failure(pb::Failure {
            code: failure.code,
            message: failure.message.clone(),
        }),
        Some(Came::Keys(keys)) => {
            let keys = pb::get_state_keys_entry_message::StateKeys {
                keys: keys.keys.clone(),
            };
            Result::Value(keys.encode_to_vec().into())
        }
        Some(Came::Invocation(raw)) => {
            let id = Id::of(raw).map(|id| id::encode(&id));
            Result::Value(id.unwrap_or_default().into())
        }
        Some(Came::Void(_)) | None if can_be_empty => Result::Empty(pb::Empty {}),
        Some(Came::Void(_)) | None => Result::Value(Bytes::new()),
    }
}
