//! Messages of versions 5 to 7: what user code says becomes words; what it is told is in [`told`].

use bytes::Bytes;
use machines::invocation::awaiting::{Awaited, Combinator, Node};
use machines::invocation::rows::{
    Came, Ended, Failure as Failed, Input, Kind, Name, Notification, Outcome, Pair, Trouble,
};
use machines::invocation::{Behavior, Id, Op, Word};
use wire::restate::appended as pb;

use crate::frame::{self, Frame};
use crate::id;
use crate::speaker::{self, Called, Meant, Speaker, command, missing, read, suspends_on_nothing, unknown};
use crate::talk::Failure;
use crate::version::Version;

pub(crate) mod told;

const SUSPENSION: u16 = 0x0001;
const ERROR: u16 = 0x0002;
const END: u16 = 0x0003;
const PROPOSE_RUN: u16 = 0x0005;
const AWAITING_ON: u16 = 0x0006;
const OUTPUT: u16 = 0x0401;
const GET_LAZY_STATE: u16 = 0x0402;
const SET_STATE: u16 = 0x0403;
const CLEAR_STATE: u16 = 0x0404;
const CLEAR_ALL_STATE: u16 = 0x0405;
const GET_LAZY_STATE_KEYS: u16 = 0x0406;
const GET_EAGER_STATE: u16 = 0x0407;
const GET_EAGER_STATE_KEYS: u16 = 0x0408;
const GET_PROMISE: u16 = 0x0409;
const PEEK_PROMISE: u16 = 0x040a;
const COMPLETE_PROMISE: u16 = 0x040b;
const SLEEP: u16 = 0x040c;
const CALL: u16 = 0x040d;
const ONE_WAY_CALL: u16 = 0x040e;
const SEND_SIGNAL: u16 = 0x0410;
const RUN: u16 = 0x0411;
const ATTACH: u16 = 0x0412;
const GET_OUTPUT: u16 = 0x0413;
const COMPLETE_AWAKEABLE: u16 = 0x0414;
/// From here on commands mean something to user code only.
const CUSTOM: u16 = 0xfc00;

/// For people.
pub(crate) fn command_name(kind: u32) -> Option<&'static str> {
    Some(match u16::try_from(kind).ok()? {
        OUTPUT => "Output",
        GET_LAZY_STATE => "GetLazyState",
        SET_STATE => "SetState",
        CLEAR_STATE => "ClearState",
        CLEAR_ALL_STATE => "ClearAllState",
        GET_LAZY_STATE_KEYS => "GetLazyStateKeys",
        GET_EAGER_STATE => "GetEagerState",
        GET_EAGER_STATE_KEYS => "GetEagerStateKeys",
        GET_PROMISE => "GetPromise",
        PEEK_PROMISE => "PeekPromise",
        COMPLETE_PROMISE => "CompletePromise",
        SLEEP => "Sleep",
        CALL => "Call",
        ONE_WAY_CALL => "OneWayCall",
        SEND_SIGNAL => "SendSignal",
        RUN => "Run",
        ATTACH => "AttachInvocation",
        GET_OUTPUT => "GetInvocationOutput",
        COMPLETE_AWAKEABLE => "CompleteAwakeable",
        _ => return None,
    })
}

pub(crate) fn meant(speaker: &Speaker<'_>, frame: &Frame) -> Result<Meant, Failure> {
    let body = &frame.body;
    match frame.kind {
        SUSPENSION => Ok(Meant::Last(Word::Suspended(awaited(speaker.version, body)?))),
        ERROR => Ok(Meant::Last(error(&read(body)?))),
        END => Ok(Meant::Last(Word::Ended)),
        AWAITING_ON => Ok(Meant::Nothing),
        PROPOSE_RUN => {
            let proposal: pb::ProposeRunCompletionMessage = read(body)?;
            let id = proposal.result_completion_id;
            let came = match proposal.result {
                Some(pb::propose_run_completion_message::Result::Value(value)) => Came::Value(value),
                Some(pb::propose_run_completion_message::Result::Failure(failure)) => {
                    Came::Failure(failed(failure))
                }
                None => return Err(Failure::new("RT0012", "a run has no result")),
            };
            let ack = speaker.version >= Version::V7 && frame.flags & frame::WANTS_ACK != 0;
            let word = Word::Came(Notification {
                source: Kind::Run.into(),
                name: Some(Name::Completion(id)),
                came: Some(came),
            });
            Ok(Meant::Run { word, id, ack })
        }
        GET_LAZY_STATE_KEYS => {
            speaker.reads_state()?;
            let keys: pb::GetLazyStateKeysCommandMessage = read(body)?;
            Ok(Meant::Keys(command(frame, Op::None), keys.result_completion_id))
        }
        kind => Ok(Meant::Word(command(frame, op(speaker, kind, body)?))),
    }
}

fn op(speaker: &Speaker<'_>, kind: u16, body: &Bytes) -> Result<Op, Failure> {
    Ok(match kind {
        OUTPUT => output(read(body)?)?,
        GET_LAZY_STATE | SET_STATE | CLEAR_STATE | CLEAR_ALL_STATE | GET_EAGER_STATE
        | GET_EAGER_STATE_KEYS => state(speaker, kind, body)?,
        GET_PROMISE | PEEK_PROMISE | COMPLETE_PROMISE => promise(speaker, kind, body)?,
        SLEEP => {
            let sleep: pb::SleepCommandMessage = read(body)?;
            Op::Sleep {
                until: sleep.wake_up_time,
                id: sleep.result_completion_id,
            }
        }
        CALL => call(speaker, read(body)?)?,
        ONE_WAY_CALL => one_way_call(speaker, read(body)?)?,
        SEND_SIGNAL => send_signal(read(body)?)?,
        RUN => {
            let _: pb::RunCommandMessage = read(body)?;
            Op::None
        }
        ATTACH => {
            use pb::attach_invocation_command_message::Target;
            let attach: pb::AttachInvocationCommandMessage = read(body)?;
            let to = match attach.target {
                Some(Target::InvocationId(text)) => invocation(&text)?,
                Some(Target::IdempotentRequestTarget(target)) => idempotent(&target),
                Some(Target::WorkflowTarget(target)) => {
                    id::of_workflow(&target.workflow_name, &target.workflow_key)
                }
                None => return Err(missing("the target")),
            };
            let id = attach.result_completion_id;
            Op::Attach { to, id }
        }
        GET_OUTPUT => {
            use pb::get_invocation_output_command_message::Target;
            let look: pb::GetInvocationOutputCommandMessage = read(body)?;
            let of = match look.target {
                Some(Target::InvocationId(text)) => invocation(&text)?,
                Some(Target::IdempotentRequestTarget(target)) => idempotent(&target),
                Some(Target::WorkflowTarget(target)) => {
                    id::of_workflow(&target.workflow_name, &target.workflow_key)
                }
                None => return Err(missing("the target")),
            };
            let id = look.result_completion_id;
            Op::Look { of, id }
        }
        COMPLETE_AWAKEABLE => complete_awakeable(read(body)?)?,
        CUSTOM.. => Op::None,
        other => return Err(unknown(other)),
    })
}

fn state(speaker: &Speaker<'_>, kind: u16, body: &Bytes) -> Result<Op, Failure> {
    speaker.reads_state()?;
    if matches!(kind, SET_STATE | CLEAR_STATE | CLEAR_ALL_STATE) {
        speaker.writes_state()?;
    }
    Ok(match kind {
        GET_LAZY_STATE => {
            let get: pb::GetLazyStateCommandMessage = read(body)?;
            Op::GetState {
                key: get.key,
                id: get.result_completion_id,
            }
        }
        SET_STATE => {
            let set: pb::SetStateCommandMessage = read(body)?;
            Op::SetState {
                key: set.key,
                value: set.value.unwrap_or_default().content,
            }
        }
        CLEAR_STATE => {
            let clear: pb::ClearStateCommandMessage = read(body)?;
            Op::ClearState { key: clear.key }
        }
        CLEAR_ALL_STATE => Op::ClearAllState,
        _ => Op::None,
    })
}

fn promise(speaker: &Speaker<'_>, kind: u16, body: &Bytes) -> Result<Op, Failure> {
    speaker.has_promises()?;
    Ok(match kind {
        GET_PROMISE => {
            let get: pb::GetPromiseCommandMessage = read(body)?;
            Op::GetPromise {
                name: get.key,
                id: get.result_completion_id,
            }
        }
        PEEK_PROMISE => {
            let peek: pb::PeekPromiseCommandMessage = read(body)?;
            Op::PeekPromise {
                name: peek.key,
                id: peek.result_completion_id,
            }
        }
        _ => {
            use pb::complete_promise_command_message::Completion;
            let complete: pb::CompletePromiseCommandMessage = read(body)?;
            let outcome = match complete.completion {
                Some(Completion::CompletionValue(value)) => Outcome::value(value.content),
                Some(Completion::CompletionFailure(failure)) => failure_outcome(failure),
                None => return Err(missing("a promise's result")),
            };
            Op::CompletePromise {
                name: complete.key,
                outcome,
                id: complete.result_completion_id,
            }
        }
    })
}

fn call(speaker: &Speaker<'_>, call: pb::CallCommandMessage) -> Result<Op, Failure> {
    speaker.invoke(Called {
        service: call.service_name,
        key: call.key,
        handler: call.handler_name,
        idempotency_key: call.idempotency_key,
        input: input(call.headers, call.parameter),
        at: 0,
        callee_id: Some(call.invocation_id_notification_idx),
        reply: Some(call.result_completion_id),
    })
}

fn one_way_call(speaker: &Speaker<'_>, call: pb::OneWayCallCommandMessage) -> Result<Op, Failure> {
    speaker.invoke(Called {
        service: call.service_name,
        key: call.key,
        handler: call.handler_name,
        idempotency_key: call.idempotency_key,
        input: input(call.headers, call.parameter),
        at: call.invoke_time,
        callee_id: Some(call.invocation_id_notification_idx),
        reply: None,
    })
}

fn awaited(version: Version, body: &Bytes) -> Result<Awaited, Failure> {
    let awaited = if version >= Version::V7 {
        let suspension: pb::SuspensionMessage = read(body)?;
        let mut awaited = Awaited::default();
        flatten(suspension.awaiting_on.unwrap_or_default(), &mut awaited);
        awaited
    } else {
        let suspension: pb::SuspensionMessageV6 = read(body)?;
        Awaited::any(
            suspension.waiting_completions,
            suspension.waiting_signals,
            suspension.waiting_named_signals,
        )
    };
    if awaited.is_empty() {
        return Err(suspends_on_nothing());
    }
    Ok(awaited)
}

/// Parents before children.
fn flatten(future: pb::Future, awaited: &mut Awaited) -> u32 {
    let place = awaited.nodes.len();
    let combinator = match future.combinator_type() {
        pb::CombinatorType::Unknown => Combinator::Unknown,
        pb::CombinatorType::FirstCompleted => Combinator::FirstCompleted,
        pb::CombinatorType::AllCompleted => Combinator::AllCompleted,
        pb::CombinatorType::FirstSucceededOrAllFailed => Combinator::FirstSucceeded,
        pb::CombinatorType::AllSucceededOrFirstFailed => Combinator::AllSucceeded,
    };
    awaited.nodes.push(Node {
        combinator: combinator.into(),
        completions: future.waiting_completions,
        signals: future.waiting_signals,
        named_signals: future.waiting_named_signals,
        ..Node::default()
    });
    for nested in future.nested_futures {
        let child = flatten(nested, awaited);
        awaited.nodes[place].nested.push(child);
    }
    u32::try_from(place).unwrap_or(u32::MAX)
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

fn output(output: pb::OutputCommandMessage) -> Result<Op, Failure> {
    use pb::output_command_message::Result;
    Ok(Op::Output(match output.result {
        Some(Result::Value(value)) => Outcome::value(value.content),
        Some(Result::Failure(failure)) => failure_outcome(failure),
        None => return Err(missing("an output's result")),
    }))
}

fn send_signal(signal: pb::SendSignalCommandMessage) -> Result<Op, Failure> {
    use pb::send_signal_command_message::{Result, SignalId};
    let name = match signal.signal_id {
        Some(SignalId::Idx(number)) => Name::Signal(number),
        Some(SignalId::Name(text)) => Name::NamedSignal(text),
        None => return Err(missing("a signal's name")),
    };
    let outcome = match signal.result {
        Some(Result::Value(value)) => Some(Outcome::value(value.content)),
        Some(Result::Failure(failure)) => Some(failure_outcome(failure)),
        Some(Result::Void(_)) | None => None,
    };
    let to = invocation(&signal.target_invocation_id)?;
    Ok(Op::Signal { to, name, outcome })
}

fn complete_awakeable(complete: pb::CompleteAwakeableCommandMessage) -> Result<Op, Failure> {
    use pb::complete_awakeable_command_message::Result;
    let outcome = match complete.result {
        Some(Result::Value(value)) => Outcome::value(value.content),
        Some(Result::Failure(failure)) => failure_outcome(failure),
        None => return Err(missing("an awakeable's result")),
    };
    speaker::complete_awakeable(&complete.awakeable_id, outcome)
}

fn invocation(text: &str) -> Result<Id, Failure> {
    id::decode(text).map_err(|why| Failure::new("RT0012", format!("bad invocation id '{text}': {why}")))
}

fn idempotent(target: &pb::IdempotentRequestTarget) -> Id {
    let key = target.service_key.as_deref().filter(|key| !key.is_empty());
    id::of_idempotent(
        &target.service_name,
        key,
        &target.handler_name,
        &target.idempotency_key,
    )
}

fn failed(failure: pb::Failure) -> Failed {
    let metadata = failure.metadata.into_iter().map(|pair| Pair {
        key: pair.key,
        value: pair.value,
    });
    Failed {
        code: failure.code,
        message: failure.message,
        metadata: metadata.collect(),
    }
}

fn failure_outcome(failure: pb::Failure) -> Outcome {
    Outcome {
        ended: Some(Ended::Failure(failed(failure))),
    }
}

fn error(error: &pb::ErrorMessage) -> Word {
    let behavior = match error.behavior() {
        pb::ErrorBehavior::Retry => Behavior::Retry,
        pb::ErrorBehavior::Pause => Behavior::Pause,
        pb::ErrorBehavior::Fail => Behavior::Fail,
    };
    Word::Failed(machines::invocation::Failed {
        trouble: Trouble {
            code: error.code,
            message: error.message.clone(),
            details: error.stacktrace.clone(),
            command: error.related_command_index,
            command_name: error.related_command_name.clone().unwrap_or_default(),
            command_kind: error.related_command_type.unwrap_or_default(),
            family_code: speaker::documented(error.code).into(),
            at: 0,
        },
        delay_ms: error.next_retry_delay,
        behavior,
        counts: true,
        jitter_milli: fastrand::u32(0..=1_000),
    })
}
