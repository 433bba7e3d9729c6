//! User code that says something in an attempt: what its messages may mean, in whichever version they come.

use bytes::Bytes;
use machines::invocation::rows::{Input, Origin, Outcome, Source, Target, TargetKind};
use machines::invocation::{Id, Op, Word};
use prost::Message;

use crate::frame::Frame;
use crate::id;
use crate::registry::Registry;
use crate::talk::Failure;
use crate::version::Version;

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
    /// The place that its next command has among all commands.
    pub(crate) commands: u32,
}

/// Whom it calls.
pub(crate) struct Called {
    pub(crate) service: String,
    pub(crate) key: String,
    pub(crate) handler: String,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) input: Input,
    /// When it may begin, milliseconds; in the past: at once.
    pub(crate) at: u64,
    pub(crate) callee_id: Option<u32>,
    pub(crate) reply: Option<u32>,
}

impl Speaker<'_> {
    pub(crate) fn reads_state(&self) -> Result<(), Failure> {
        if self.origin.target.kind() == TargetKind::Service {
            return Err(Failure::new("RT0017", "a plain service has no state"));
        }
        Ok(())
    }

    pub(crate) fn writes_state(&self) -> Result<(), Failure> {
        self.reads_state()?;
        if self.origin.target.kind() == TargetKind::Shared {
            return Err(Failure::new("RT0017", "a shared handler cannot write state"));
        }
        Ok(())
    }

    pub(crate) fn has_promises(&self) -> Result<(), Failure> {
        let target = &self.origin.target;
        let of_workflow = target.kind() == TargetKind::Workflow
            || (target.kind() == TargetKind::Shared && self.registry.is_workflow(&target.service));
        if !of_workflow {
            return Err(Failure::new("RT0017", "promises belong to workflows"));
        }
        Ok(())
    }

    pub(crate) fn invoke(&self, called: Called) -> Result<Op, Failure> {
        let Called {
            service,
            key,
            handler,
            idempotency_key,
            ..
        } = called;
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
            target: Target {
                service,
                handler,
                key,
                kind: found.kind.into(),
            },
            created_at: self.now,
            due: if called.at > self.now { called.at } else { 0 },
            source: Some(Source {
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
            input: called.input,
            callee_id: called.callee_id,
            reply: called.reply,
        })
    }
}

pub(crate) fn read<M: Message + Default>(body: &Bytes) -> Result<M, Failure> {
    M::decode(body.clone())
        .map_err(|error| Failure::new("RT0012", format!("a message cannot be decoded: {error}")))
}

pub(crate) fn missing(what: &str) -> Failure {
    Failure::new("RT0012", format!("{what} is missing"))
}

pub(crate) fn unknown(kind: u16) -> Failure {
    Failure::new("RT0012", format!("messages of type {kind:#06x} are not known"))
}

pub(crate) fn suspends_on_nothing() -> Failure {
    Failure::new("RT0012", "it suspended without saying what it waits for")
}

pub(crate) fn command(frame: &Frame, op: Op) -> Word {
    Word::Command {
        kind: frame.kind.into(),
        body: frame.body.clone(),
        op,
    }
}

pub(crate) fn complete_awakeable(text: &str, outcome: Outcome) -> Result<Op, Failure> {
    let (to, name) = id::awakeable(text)
        .map_err(|why| Failure::new("RT0012", format!("bad awakeable id '{text}': {why}")))?;
    Ok(Op::Signal {
        to,
        name,
        outcome: Some(outcome),
    })
}

/// The code that the protocol's documentation has for an error that user code says.
pub(crate) fn documented(code: u32) -> &'static str {
    match code {
        570 => "RT0016",
        571 => "RT0012",
        _ => "RT0007",
    }
}
