//! Messages of versions 5 to 7: what user code says becomes words; what it is told is in [`told`].

use bytes::Bytes;
use machines::invocation::awaiting::{Awaited, Combinator, Node};
use machines::invocation::rows::{
    Came, Ended, Failure as Failed, Input, Kind, Name, Notification, Origin, Outcome, Pair, TargetKind,
    Trouble,
};
use machines::invocation::{Behavior, Id, Op, Word};
use prost::Message;
use wire::restate::appended as pb;

use crate::frame::{self, Frame};
use crate::id;
use crate::registry::Registry;
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

/// What a message means.
pub(crate) enum Meant {
    Word(Word),
    /// The keys of its state, as they are once everything before it is stored: for that completion.
    Keys(Word, u32),
    /// A result of its own; whether a short answer will do.
    Run {
        word: Word,
        id: u32,
        ack: bool,
    },
    /// The last word of an attempt.
    Last(Word),
    Nothing,
}

/// Who says it.
pub(crate) struct Speaker<'a> {
    pub(crate) id: &'a Id,
    pub(crate) origin: &'a Origin,
    pub(crate) version: Version,
    pub(crate) registry: &'a Registry,
    pub(crate) now: u64,
}

fn read<M: Message + Default>(body: &Bytes) -> Result<M, Failure> {
    M::decode(body.clone())
        .map_err(|error| Failure::new("RT0012", format!("a message cannot be decoded: {error}")))
}

impl Speaker<'_> {
    pub(crate) fn meant(&self, frame: &Frame) -> Result<Meant, Failure> {
        let body = &frame.body;
        match frame.kind {
            SUSPENSION => Ok(Meant::Last(Word::Suspended(self.awaited(body)?))),
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
                let ack = self.version >= Version::V7 && frame.flags & frame::WANTS_ACK != 0;
                let word = Word::Came(Notification {
                    source: Kind::Run.into(),
                    name: Some(Name::Completion(id)),
                    came: Some(came),
                });
                Ok(Meant::Run { word, id, ack })
            }
            GET_LAZY_STATE_KEYS => {
                self.reads_state()?;
                let keys: pb::GetLazyStateKeysCommandMessage = read(body)?;
                Ok(Meant::Keys(command(frame, Op::None), keys.result_completion_id))
            }
            kind => Ok(Meant::Word(command(frame, self.op(kind, body)?))),
        }
    }

    fn op(&self, kind: u16, body: &Bytes) -> Result<Op, Failure> {
        Ok(match kind {
            OUTPUT => output(read(body)?)?,
            GET_LAZY_STATE | SET_STATE | CLEAR_STATE | CLEAR_ALL_STATE | GET_EAGER_STATE
            | GET_EAGER_STATE_KEYS => self.state(kind, body)?,
            GET_PROMISE | PEEK_PROMISE | COMPLETE_PROMISE => self.promise(kind, body)?,
            SLEEP => {
                let sleep: pb::SleepCommandMessage = read(body)?;
                Op::Sleep {
                    until: sleep.wake_up_time,
                    id: sleep.result_completion_id,
                }
            }
            CALL => self.call(read(body)?)?,
            ONE_WAY_CALL => self.one_way_call(read(body)?)?,
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
            other => {
                return Err(Failure::new(
                    "RT0012",
                    format!("messages of type {other:#06x} are not known"),
                ));
            }
        })
    }

    fn reads_state(&self) -> Result<(), Failure> {
        if self.origin.target.kind() == TargetKind::Service {
            return Err(Failure::new("RT0017", "a plain service has no state"));
        }
        Ok(())
    }

    fn state(&self, kind: u16, body: &Bytes) -> Result<Op, Failure> {
        self.reads_state()?;
        let writes = matches!(kind, SET_STATE | CLEAR_STATE | CLEAR_ALL_STATE);
        if writes && self.origin.target.kind() == TargetKind::Shared {
            return Err(Failure::new("RT0017", "a shared handler cannot write state"));
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

    fn promise(&self, kind: u16, body: &Bytes) -> Result<Op, Failure> {
        let target = &self.origin.target;
        let of_workflow = target.kind() == TargetKind::Workflow
            || (target.kind() == TargetKind::Shared && self.registry.is_workflow(&target.service));
        if !of_workflow {
            return Err(Failure::new("RT0017", "promises belong to workflows"));
        }
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

    fn call(&self, call: pb::CallCommandMessage) -> Result<Op, Failure> {
        let idempotency_key = call.idempotency_key;
        let target = (call.service_name, call.key, call.handler_name);
        let input = input(call.headers, call.parameter);
        self.invoke(
            target,
            idempotency_key,
            input,
            (
                call.invocation_id_notification_idx,
                Some(call.result_completion_id),
            ),
            0,
        )
    }

    fn one_way_call(&self, call: pb::OneWayCallCommandMessage) -> Result<Op, Failure> {
        let target = (call.service_name, call.key, call.handler_name);
        let input = input(call.headers, call.parameter);
        let due = if call.invoke_time > self.now {
            call.invoke_time
        } else {
            0
        };
        self.invoke(
            target,
            call.idempotency_key,
            input,
            (call.invocation_id_notification_idx, None),
            due,
        )
    }

    fn invoke(
        &self,
        (service, key, handler): (String, String, String),
        idempotency_key: Option<String>,
        input: Input,
        (callee_id, reply): (u32, Option<u32>),
        due: u64,
    ) -> Result<Op, Failure> {
        let found = self
            .registry
            .find(&service, &handler)
            .map_err(|text| Failure::new("RT0018", text))?;
        if (found.kind == TargetKind::Service) != key.is_empty() {
            let text =
                format!("{service}/{handler} was called with a key it has not, or without the one it needs");
            return Err(Failure::new("RT0018", text));
        }
        let of_key = (found.kind != TargetKind::Service).then_some(key.as_str());
        let callee = match (&idempotency_key, found.kind) {
            (_, TargetKind::Workflow) => id::of_workflow(&service, &key),
            (Some(text), _) if text.is_empty() => return Err(missing("the idempotency key's text")),
            (Some(text), _) => id::of_idempotent(&service, of_key, &handler, text),
            (None, TargetKind::Service) => id::beside(self.id),
            (None, _) => id::fresh(&service, of_key),
        };
        let kept = idempotency_key.is_some() || found.kind == TargetKind::Workflow;
        let origin = Origin {
            target: machines::invocation::rows::Target {
                service,
                handler,
                key,
                kind: found.kind.into(),
            },
            created_at: self.now,
            due,
            source: Some(machines::invocation::rows::Source {
                invocation: self.id.bytes(),
                target: crate::target_text(&self.origin.target),
                service: self.origin.target.service.clone(),
                restarted_from: Bytes::new(),
            }),
            idempotency_key: idempotency_key.unwrap_or_default(),
            random_seed: fastrand::u64(1..),
            rules: found.rules(kept),
        };
        Ok(Op::Invoke {
            callee,
            origin: Box::new(origin),
            input,
            callee_id: Some(callee_id),
            reply,
        })
    }

    fn awaited(&self, body: &Bytes) -> Result<Awaited, Failure> {
        let awaited = if self.version >= Version::V7 {
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
            return Err(Failure::new(
                "RT0012",
                "it suspended without saying what it waits for",
            ));
        }
        Ok(awaited)
    }
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

fn missing(what: &str) -> Failure {
    Failure::new("RT0012", format!("{what} is missing"))
}

fn command(frame: &Frame, op: Op) -> Word {
    Word::Command {
        kind: frame.kind.into(),
        body: frame.body.clone(),
        op,
    }
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
    let text = &complete.awakeable_id;
    let (to, signal) = id::awakeable(text)
        .map_err(|why| Failure::new("RT0012", format!("bad awakeable id '{text}': {why}")))?;
    let outcome = match complete.result {
        Some(Result::Value(value)) => Outcome::value(value.content),
        Some(Result::Failure(failure)) => failure_outcome(failure),
        None => return Err(missing("an awakeable's result")),
    };
    Ok(Op::Signal {
        to,
        name: Name::Signal(signal),
        outcome: Some(outcome),
    })
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
    let documented = match error.code {
        570 => "RT0016",
        571 => "RT0012",
        _ => "RT0007",
    };
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
            family_code: documented.into(),
            at: 0,
        },
        delay_ms: error.next_retry_delay,
        behavior,
        counts: true,
        jitter_milli: fastrand::u32(0..=1_000),
    })
}
