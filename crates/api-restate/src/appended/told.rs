//! What user code is told in versions 5 to 7.

use bytes::BytesMut;
use machines::invocation::Id;
use machines::invocation::rows::{Came, Entry, Failure, Kind, Line, Name, Notification};
use wire::restate::appended as pb;

use super::CUSTOM;
use crate::generation::Start;
use crate::version::Version;
use crate::{frame, id};

const START: u16 = 0x0000;
const PROPOSE_RUN_ACK: u16 = 0x0007;
const INPUT: u16 = 0x0400;

/// All lines of the journal, in the order in which they are stored.
pub(crate) fn put_start(to: &mut BytesMut, start: Start<'_>) {
    let (version, entries) = (start.version, start.entries);
    start.put(to);
    for entry in entries {
        put_entry(to, version, entry);
    }
}

impl Start<'_> {
    fn put(self, to: &mut BytesMut) {
        let state = self
            .state
            .into_iter()
            .map(|(key, value)| pb::start_message::StateEntry { key, value });
        let start = pb::StartMessage {
            id: self.id.bytes(),
            debug_id: id::encode(self.id),
            known_entries: u32::try_from(self.entries.len()).unwrap_or(u32::MAX),
            state_map: state.collect(),
            partial_state: self.partial_state,
            key: self.origin.target.key.clone(),
            retry_count_since_last_stored_entry: self.failures,
            duration_since_last_stored_entry: self.since_entry_ms,
            random_seed: if self.version >= Version::V6 {
                self.origin.random_seed
            } else {
                0
            },
            scope: None,
            limit_key: None,
            idempotency_key: None,
        };
        frame::put(to, START, 0, &start);
    }
}

/// A line of the journal, as user code hears it again.
fn put_entry(to: &mut BytesMut, version: Version, entry: &Entry) {
    match &entry.line {
        Some(Line::Input(input)) => {
            let headers = input.headers.iter().map(|pair| pb::Header {
                key: pair.key.clone(),
                value: pair.value.clone(),
            });
            let input = pb::InputCommandMessage {
                headers: headers.collect(),
                value: Some(pb::Value {
                    content: input.body.clone(),
                }),
                name: String::new(),
            };
            frame::put(to, INPUT, 0, &input);
        }
        Some(Line::Command(said)) => {
            let kind = u16::try_from(said.kind).unwrap_or(CUSTOM);
            frame::put_raw(to, kind, 0, &said.body);
        }
        Some(Line::Notification(notification)) => put_notification(to, version, notification),
        None => {}
    }
}

pub(crate) fn put_run_ack(to: &mut BytesMut, completion_id: u32) {
    frame::put(
        to,
        PROPOSE_RUN_ACK,
        0,
        &pb::ProposeRunCompletionAckMessage { completion_id },
    );
}

pub(crate) fn put_notification(to: &mut BytesMut, version: Version, notification: &Notification) {
    use pb::notification_template::{Id as Named, Result};
    let named = match &notification.name {
        Some(Name::Completion(id)) => Named::CompletionId(*id),
        Some(Name::Signal(number)) => Named::SignalId(*number),
        Some(Name::NamedSignal(text)) => Named::SignalName(text.clone()),
        None => return,
    };
    let result = match &notification.came {
        Some(Came::Void(_)) | None => Result::Void(pb::Void {}),
        Some(Came::Value(value)) => Result::Value(pb::Value {
            content: value.clone(),
        }),
        Some(Came::Failure(failure)) => Result::Failure(failure_of(version, failure)),
        Some(Came::Invocation(raw)) => {
            Result::InvocationId(Id::of(raw).map(|id| id::encode(&id)).unwrap_or_default())
        }
        Some(Came::Keys(keys)) => Result::StateKeys(pb::StateKeys {
            keys: keys.keys.clone(),
        }),
    };
    let kind = match notification.source() {
        Kind::Signal => 0xfbff,
        Kind::State => 0x8002,
        Kind::StateKeys => 0x8006,
        Kind::Promise => 0x8009,
        Kind::PromisePeek => 0x800a,
        Kind::PromiseComplete => 0x800b,
        Kind::Sleep => 0x800c,
        Kind::Call => 0x800d,
        Kind::CallId => 0x800e,
        Kind::Run => 0x8011,
        Kind::Attach => 0x8012,
        Kind::Output => 0x8013,
    };
    let message = pb::NotificationTemplate {
        id: Some(named),
        result: Some(result),
    };
    frame::put(to, kind, 0, &message);
}

fn failure_of(version: Version, failure: &Failure) -> pb::Failure {
    let metadata = failure.metadata.iter().map(|pair| pb::FailureMetadata {
        key: pair.key.clone(),
        value: pair.value.clone(),
    });
    pb::Failure {
        code: failure.code,
        message: failure.message.clone(),
        metadata: metadata.filter(|_| version >= Version::V6).collect(),
    }
}
