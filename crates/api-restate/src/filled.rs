//! Messages of versions 1 and 2: what user code says becomes words; what it is told is in [`told`].
//!
//! Results are filled into the entries of the journal there. An entry is known by its place among all entries, which is its place
//! among our commands, and we use it as the id of the completion that it waits for.

use bytes::Bytes;
use machines::invocation::awaiting::Awaited;
use machines::invocation::rows::{Ended, Failure as Failed, Input, Outcome, Pair, Trouble};
use machines::invocation::{Behavior, Op, Word};
use wire::restate::filled as pb;

use crate::frame::Frame;
use crate::speaker::{self, Called, Meant, Speaker, command, missing, read, suspends_on_nothing, unknown};
use crate::talk::Failure;

pub(crate) mod told;

#[cfg(test)]
mod tests;

const SUSPENSION: u16 = 0x0002;
const ERROR: u16 = 0x0003;
const END: u16 = 0x0005;
const OUTPUT: u16 = 0x0401;
const GET_STATE: u16 = 0x0800;
const SET_STATE: u16 = 0x0801;
const CLEAR_STATE: u16 = 0x0802;
const CLEAR_ALL_STATE: u16 = 0x0803;
const GET_STATE_KEYS: u16 = 0x0804;
const GET_PROMISE: u16 = 0x0808;
const PEEK_PROMISE: u16 = 0x0809;
const COMPLETE_PROMISE: u16 = 0x080a;
const SLEEP: u16 = 0x0c00;
const CALL: u16 = 0x0c01;
const ONE_WAY_CALL: u16 = 0x0c02;
const AWAKEABLE: u16 = 0x0c03;
const COMPLETE_AWAKEABLE: u16 = 0x0c04;
const RUN: u16 = 0x0c05;
/// From here on entries mean something to user code only.
const CUSTOM: u16 = 0xfc00;

/// For people.
pub(crate) fn command_name(kind: u32) -> Option<&'static str> {
    Some(match u16::try_from(kind).ok()? {
        GET_STATE => "GetState",
        SET_STATE => "SetState",
        CLEAR_STATE => "ClearState",
        CLEAR_ALL_STATE => "ClearAllState",
        GET_STATE_KEYS => "GetStateKeys",
        GET_PROMISE => "GetPromise",
        PEEK_PROMISE => "PeekPromise",
        COMPLETE_PROMISE => "CompletePromise",
        SLEEP => "Sleep",
        CALL => "Call",
        ONE_WAY_CALL => "OneWayCall",
        AWAKEABLE => "Awakeable",
        COMPLETE_AWAKEABLE => "CompleteAwakeable",
        RUN => "Run",
        _ => return None,
    })
}

pub(crate) fn meant(speaker: &Speaker<'_>, frame: &Frame) -> Result<Meant, Failure> {
    let body = &frame.body;
    match frame.kind {
        SUSPENSION => {
            let suspension: pb::SuspensionMessage = read(body)?;
            if suspension.entry_indexes.is_empty() {
                return Err(suspends_on_nothing());
            }
            let awaited = Awaited::any(suspension.entry_indexes, vec![], vec![]);
            Ok(Meant::Last(Word::Suspended(awaited)))
        }
        ERROR => Ok(Meant::Last(error(read(body)?))),
        END => Ok(Meant::Last(Word::Ended)),
        GET_STATE_KEYS => {
            speaker.reads_state()?;
            let word = command(frame, Op::None);
            let keys: pb::GetStateKeysEntryMessage = read(body)?;
            Ok(match keys.result {
                // It had all of its state already.
                Some(_) => Meant::Word(word),
                None => Meant::Keys(word, speaker.commands),
            })
        }
        kind => Ok(Meant::Word(command(frame, op(speaker, kind, body)?))),
    }
}

fn op(speaker: &Speaker<'_>, kind: u16, body: &Bytes) -> Result<Op, Failure> {
    let id = speaker.commands;
    Ok(match kind {
        OUTPUT => output(read(body)?)?,
        GET_STATE | SET_STATE | CLEAR_STATE | CLEAR_ALL_STATE => state(speaker, kind, body)?,
        GET_PROMISE | PEEK_PROMISE | COMPLETE_PROMISE => promise(speaker, kind, body)?,
        SLEEP => {
            let sleep: pb::SleepEntryMessage = read(body)?;
            let until = sleep.wake_up_time;
            Op::Sleep { until, id }
        }
        CALL => {
            let call: pb::CallEntryMessage = read(body)?;
            speaker.invoke(Called {
                service: call.service_name,
                key: call.key,
                handler: call.handler_name,
                idempotency_key: call.idempotency_key,
                input: input(call.headers, call.parameter),
                at: 0,
                callee_id: None,
                reply: Some(id),
            })?
        }
        ONE_WAY_CALL => {
            let call: pb::OneWayCallEntryMessage = read(body)?;
            speaker.invoke(Called {
                service: call.service_name,
                key: call.key,
                handler: call.handler_name,
                idempotency_key: call.idempotency_key,
                input: input(call.headers, call.parameter),
                at: call.invoke_time,
                callee_id: None,
                reply: None,
            })?
        }
        AWAKEABLE => {
            let _: pb::AwakeableEntryMessage = read(body)?;
            Op::Awakeable { id }
        }
        COMPLETE_AWAKEABLE => complete_awakeable(read(body)?)?,
        RUN => {
            // Its result is in it, or it has none to tell.
            let _: pb::RunEntryMessage = read(body)?;
            Op::None
        }
        CUSTOM.. => Op::None,
        other => return Err(unknown(other)),
    })
}

fn state(speaker: &Speaker<'_>, kind: u16, body: &Bytes) -> Result<Op, Failure> {
    if kind == GET_STATE {
        speaker.reads_state()?;
        let get: pb::GetStateEntryMessage = read(body)?;
        return Ok(match get.result {
            // It had it already.
            Some(_) => Op::None,
            None => Op::GetState {
                key: get.key,
                id: speaker.commands,
            },
        });
    }
    speaker.writes_state()?;
    Ok(match kind {
        SET_STATE => {
            let set: pb::SetStateEntryMessage = read(body)?;
            Op::SetState {
                key: set.key,
                value: set.value,
            }
        }
        CLEAR_STATE => {
            let clear: pb::ClearStateEntryMessage = read(body)?;
            Op::ClearState { key: clear.key }
        }
        _ => Op::ClearAllState,
    })
}

fn promise(speaker: &Speaker<'_>, kind: u16, body: &Bytes) -> Result<Op, Failure> {
    speaker.has_promises()?;
    let id = speaker.commands;
    Ok(match kind {
        GET_PROMISE => {
            let get: pb::GetPromiseEntryMessage = read(body)?;
            Op::GetPromise { name: get.key, id }
        }
        PEEK_PROMISE => {
            let peek: pb::PeekPromiseEntryMessage = read(body)?;
            Op::PeekPromise { name: peek.key, id }
        }
        _ => {
            use pb::complete_promise_entry_message::Completion;
            let complete: pb::CompletePromiseEntryMessage = read(body)?;
            let outcome = match complete.completion {
                Some(Completion::CompletionValue(value)) => Outcome::value(value),
                Some(Completion::CompletionFailure(failure)) => failed(failure),
                None => return Err(missing("a promise's result")),
            };
            Op::CompletePromise {
                name: complete.key,
                outcome,
                id,
            }
        }
    })
}

fn input(headers: Vec<pb::Header>, body: Bytes) -> Input {
    let headers = headers.into_iter().map(|header| Pair {
        key: header.key,
        value: header.value,
    });
    Input {
        headers: headers.collect(),
        body,
    }
}

fn output(output: pb::OutputEntryMessage) -> Result<Op, Failure> {
    use pb::output_entry_message::Result;
    Ok(Op::Output(match output.result {
        Some(Result::Value(value)) => Outcome::value(value),
        Some(Result::Failure(failure)) => failed(failure),
        None => return Err(missing("an output's result")),
    }))
}

fn complete_awakeable(complete: pb::CompleteAwakeableEntryMessage) -> Result<Op, Failure> {
    use pb::complete_awakeable_entry_message::Result;
    let outcome = match complete.result {
        Some(Result::Value(value)) => Outcome::value(value),
        Some(Result::Failure(failure)) => failed(failure),
        None => return Err(missing("an awakeable's result")),
    };
    speaker::complete_awakeable(&complete.id, outcome)
}

fn failed(failure: pb::Failure) -> Outcome {
    Outcome {
        ended: Some(Ended::Failure(Failed {
            code: failure.code,
            message: failure.message,
            metadata: vec![],
        })),
    }
}

fn error(error: pb::ErrorMessage) -> Word {
    Word::Failed(machines::invocation::Failed {
        trouble: Trouble {
            code: error.code,
            message: error.message,
            details: error.description,
            command: error.related_entry_index,
            command_name: error.related_entry_name.unwrap_or_default(),
            command_kind: error.related_entry_type.unwrap_or_default(),
            family_code: speaker::documented(error.code).into(),
            at: 0,
        },
        delay_ms: error.next_retry_delay,
        behavior: Behavior::Retry,
        counts: true,
        jitter_milli: fastrand::u32(0..=1_000),
    })
}
