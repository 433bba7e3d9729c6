//! What user code says in an attempt, and what comes of it.
//!
//! Words of an attempt that is over, and words behind others that were not stored, are not heard: the answer is `Stale`. Of one that is not over, all words of a command are
//! one step, in order.
//!
//! | word | journal | what else |
//! |---|---|---|
//! | a command | the command, byte for byte | by its operation, see [`Op`] |
//! | those, of a protocol without signals, by one that was cancelled and has not heard of it | those | what they wait for fails, see `filled` |
//! | the keys of its object's state | | the object knows them from now on |
//! | a result of its own (`Came`) | the notification | told back |
//! | `Suspended`, and what it awaits is not ready | | `Suspended`; the conversation is over |
//! | `Suspended`, and it is ready already | | another attempt at once |
//! | `Suspended`, and nothing of it can ever come | | as `Failed` |
//! | `Failed` | | another attempt after a while; the conversation is over until then |
//! | ... and attempts are used up | | `Paused`, or over with that failure, as its rules say |
//! | `Ended`, and it has put something out | | over, see `finish` |
//! | `Ended`, and it has not | | as `Failed` |

use base::{Result, Timestamp};
use bytes::Bytes;

use super::awaiting::{Awaited, Class};
use super::rows::{
    Came, Input, Kind, Line, Name, Notification, Origin, Outcome, Pending, Pin, ReplyTo, Status, Trouble,
};
use super::{Body, Id, Invoke, Reply, Signal, Work, completion, filled, object, rows, said_line};
use crate::key::Address;
use crate::step::At;
use crate::view::{Stop, View};

/// What user code has said, as much as was there to be read at once.
#[derive(Clone, Debug)]
pub struct Words {
    pub attempt: u64,
    /// Its place among all that is said in this attempt, from 0. What follows something that was not stored is not heard. `None`:
    /// by who talks for it, whatever was heard before.
    pub number: Option<u64>,
    /// Whom it was said by.
    pub pin: Pin,
    pub words: Vec<Word>,
}

#[derive(Clone, Debug)]
pub enum Word {
    Command {
        kind: u32,
        body: Bytes,
        op: Op,
    },
    /// A result that user code, or who talks for it, has found.
    Came(Notification),
    /// All keys of its object's state as the attempt began, in their order: by who talks for it.
    Keys(Vec<Bytes>),
    Suspended(Awaited),
    Failed(Failed),
    Ended,
}

#[derive(Clone, Debug)]
pub struct Failed {
    pub trouble: Trouble,
    /// When to call it again, instead of what the rules say, milliseconds. Such a retry uses up no attempt.
    pub delay_ms: Option<u64>,
    pub behavior: Behavior,
    /// Whether it was user code that failed.
    pub counts: bool,
    /// 0 to 1000: how much of the largest jitter is added to the delay.
    pub jitter_milli: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behavior {
    Retry,
    Pause,
    Fail,
}

/// What a command does beside being in the journal. `id`s are completion ids, chosen by user code.
#[derive(Clone, Debug)]
pub enum Op {
    /// A step of its own, state that it had already, what this Belay does not know.
    None,
    Output(Outcome),
    GetState {
        key: Bytes,
        id: u32,
    },
    SetState {
        key: Bytes,
        value: Bytes,
    },
    ClearState {
        key: Bytes,
    },
    ClearAllState,
    GetPromise {
        name: String,
        id: u32,
    },
    PeekPromise {
        name: String,
        id: u32,
    },
    CompletePromise {
        name: String,
        outcome: Outcome,
        id: u32,
    },
    /// Until then, milliseconds since the Unix epoch.
    Sleep {
        until: u64,
        id: u32,
    },
    /// `callee_id` `None`: it is not told whom it called. `reply` `None`: nobody waits for its end.
    Invoke {
        callee: Id,
        origin: Box<Origin>,
        input: Input,
        callee_id: Option<u32>,
        reply: Option<u32>,
    },
    Signal {
        to: Id,
        name: Name,
        outcome: Option<Outcome>,
    },
    /// Somebody will complete that entry.
    Awakeable {
        id: u32,
    },
    Attach {
        to: Id,
        id: u32,
    },
    /// How that one stands, without waiting.
    Look {
        of: Id,
        id: u32,
    },
}

impl Op {
    /// The largest completion id that it takes.
    pub fn id_max(&self) -> Option<u32> {
        match self {
            Op::GetState { id, .. }
            | Op::GetPromise { id, .. }
            | Op::PeekPromise { id, .. }
            | Op::CompletePromise { id, .. }
            | Op::Sleep { id, .. }
            | Op::Awakeable { id }
            | Op::Attach { id, .. }
            | Op::Look { id, .. } => Some(*id),
            Op::Invoke { callee_id, reply, .. } => *callee_id.max(reply),
            Op::None
            | Op::Output(_)
            | Op::SetState { .. }
            | Op::ClearState { .. }
            | Op::ClearAllState
            | Op::Signal { .. } => None,
        }
    }
}

/// Largest share of a delay that jitter adds, in thousandths.
const JITTER_MILLI: u64 = 300;

pub(super) fn said(view: &mut View<'_>, at: At, address: &Address, words: &Words) -> Result<Reply, Stop> {
    let Some(mut work) = Work::open(view, at, address)? else {
        return Ok(Reply::Stale);
    };
    if work.head.attempt != words.attempt || work.head.status() != Status::Running {
        return Ok(Reply::Stale);
    }
    if words.number.is_some_and(|number| number != work.head.heard) {
        return Ok(Reply::Stale);
    }
    work.head.heard += 1;
    work.want(&words.words)?;
    for word in &words.words {
        match word {
            Word::Command { kind, body, op } => {
                work.stored(&words.pin);
                work.append(said_line(*kind, body));
                work.operate(op)?;
            }
            Word::Came(notification) => {
                work.stored(&words.pin);
                work.notify(notification.clone());
            }
            Word::Keys(keys) => work.know_keys(keys)?,
            Word::Suspended(awaited) => work.suspend(awaited)?,
            Word::Failed(failed) => work.fail(failed)?,
            Word::Ended => work.end()?,
        }
        if work.head.attempt != words.attempt || work.head.status() != Status::Running {
            break;
        }
    }
    if !work.head.status().is_over() {
        if work.head.cancelled && work.head.pin.is_some() {
            work.head.cancelled = work.is_filled() && !work.cancel_entries()?;
        }
        work.close();
    }
    Ok(Reply::Taken)
}

/// The timer of a retry.
pub(super) fn retry_id(attempt: u64) -> [u8; 9] {
    let mut id = [b'r'; 9];
    id[1..].copy_from_slice(&attempt.to_be_bytes());
    id
}

pub(super) fn retry(view: &mut View<'_>, at: At, address: &Address, attempt: u64) -> Result<(), Stop> {
    let Some(mut work) = Work::open(view, at, address)? else {
        return Ok(());
    };
    if work.head.attempt == attempt && work.head.status() == Status::Running {
        work.run();
        work.close();
    }
    Ok(())
}

impl Work<'_, '_> {
    /// Something of this attempt is stored: it goes on there, and user code counts its failures anew.
    fn stored(&mut self, pin: &Pin) {
        if self.head.pin.as_ref() != Some(pin) {
            self.head.pin = Some(pin.clone());
        }
        if let Some(retry) = &mut self.head.retry {
            retry.since_entry = 0;
        }
    }

    /// Rows that the words look at: however many there are, one load does.
    fn want(&self, words: &[Word]) -> Result<(), Stop> {
        let ops = || {
            words.iter().filter_map(|word| match word {
                Word::Command { op, .. } => Some(op),
                _ => None,
            })
        };
        let mut keys: Vec<_> = ops()
            .filter_map(|op| match op {
                Op::Awakeable { id } => Some(rows::pending(self.address, *id)),
                _ => None,
            })
            .collect();
        if ops().any(Op::reads_object)
            && let Some(object) = self.object()?
        {
            let found = object::load(self.view, &object)?;
            keys.extend(ops().filter_map(|op| match op {
                Op::GetState { key, .. } => Some(rows::state(&object, found.state_generation, key)),
                Op::GetPromise { name, .. }
                | Op::PeekPromise { name, .. }
                | Op::CompletePromise { name, .. } => {
                    Some(rows::promise(&object, found.promise_generation, name))
                }
                _ => None,
            }));
        }
        self.view.want(&keys)
    }

    fn operate(&mut self, op: &Op) -> Result<(), Stop> {
        match op {
            Op::None => {}
            Op::Output(outcome) => self.head.outcome = Some(outcome.clone()),
            Op::GetState { .. } | Op::SetState { .. } | Op::ClearState { .. } | Op::ClearAllState => {
                self.on_state(op)?
            }
            Op::GetPromise { .. } | Op::PeekPromise { .. } | Op::CompletePromise { .. } => {
                self.on_promise(op)?
            }
            Op::Sleep { until, id } => self.sleep(*until, *id),
            Op::Invoke { .. } => self.invoke(op)?,
            Op::Signal { to, name, outcome } => self.send_signal(to, name, outcome.as_ref()),
            Op::Awakeable { id } => self.awakeable(*id)?,
            Op::Attach { to, id } => self.ask(to, *id, Kind::Attach, Body::Attach),
            Op::Look { of, id } => self.ask(of, *id, Kind::Output, Body::Output),
        }
        Ok(())
    }

    pub(super) fn object(&self) -> Result<Option<Address>, Stop> {
        Ok(self.origin()?.target.object(&self.id))
    }

    fn sleep(&mut self, until: u64, id: u32) {
        let pending = Pending {
            due: until.max(1),
            ..pending(Kind::Sleep)
        };
        self.expect(id, &pending);
        let over = super::Completed {
            completion: id,
            outcome: None,
        };
        let due = Timestamp(pending.due);
        self.view.set_timer(
            due,
            self.address,
            &id.to_be_bytes(),
            &Body::Completed(over).into(),
        );
    }

    fn invoke(&mut self, op: &Op) -> Result<(), Stop> {
        let Op::Invoke {
            callee,
            origin,
            input,
            callee_id,
            reply,
        } = op
        else {
            return Ok(());
        };
        let invoke = Invoke {
            origin: (**origin).clone(),
            input: input.clone(),
            reply_to: reply.map(|id| self.reply_to(id)),
        };
        if let Some(id) = reply {
            let pending = Pending {
                callee: callee.bytes(),
                ..pending(Kind::Call)
            };
            self.expect(*id, &pending);
        }
        self.view
            .send(&Address::invocation(callee), Body::Invoke(Box::new(invoke)));
        if let Some(id) = callee_id {
            self.notify(completion(Kind::CallId, *id, Came::Invocation(callee.bytes())));
        }
        Ok(())
    }

    fn send_signal(&mut self, to: &Id, name: &Name, outcome: Option<&Outcome>) {
        let signal = Signal {
            name: Some(filled::letter_name(name)),
            outcome: outcome.cloned(),
        };
        self.view.send(&Address::invocation(to), Body::Signal(signal));
    }

    fn ask(&mut self, whom: &Id, id: u32, kind: Kind, body: fn(ReplyTo) -> Body) {
        self.expect(id, &pending(kind));
        let message: crate::Message = body(self.reply_to(id)).into();
        self.view.send(&Address::invocation(whom), message);
    }

    pub(super) fn reply_to(&self, id: u32) -> ReplyTo {
        ReplyTo {
            invocation: self.id.bytes(),
            completion: id,
        }
    }

    fn suspend(&mut self, awaited: &Awaited) -> Result<(), Stop> {
        if self.is_filled() {
            return self.suspend_on_entries(awaited);
        }
        let mut awaited = awaited.clone();
        let entries = self.journal()?;
        for entry in &entries {
            if let Some(Line::Notification(Notification {
                name: Some(name),
                came: Some(came),
                ..
            })) = &entry.line
            {
                awaited.settle(name, Class::of(came));
            }
        }
        if awaited.ready().is_some() {
            self.run();
        } else if awaited.is_empty() || !self.can_come(&awaited)? {
            return self.fail(&Failed::of(
                500,
                "it suspended on results that nobody can produce",
            ));
        } else {
            self.let_go(awaited);
        }
        Ok(())
    }

    /// Until something of that has come.
    pub(super) fn let_go(&mut self, awaited: Awaited) {
        self.view.hang_up(self.address);
        self.head.set_status(Status::Suspended);
        self.head.awaited = Some(awaited);
        self.head.retry = None;
    }

    /// Whether something of it comes from elsewhere. A result of user code's own step does not, if it has let go of it.
    fn can_come(&self, awaited: &Awaited) -> Result<bool, Stop> {
        if awaited.waits_for_signals() {
            return Ok(true);
        }
        let keys: Vec<_> = awaited
            .completions()
            .map(|id| rows::pending(self.address, id))
            .collect();
        self.view.want(&keys)?;
        for key in &keys {
            let pending: Option<Pending> = self.view.load(key)?;
            if pending.is_some_and(|pending| pending.early.is_none()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn fail(&mut self, failed: &Failed) -> Result<(), Stop> {
        let mut retry = self.head.retry.take().unwrap_or_default();
        let mut trouble = failed.trouble.clone();
        trouble.at = self.at.now.0;
        let failure = Outcome::failure(trouble.code, trouble.message.clone());
        retry.last = Some(trouble);
        retry.since_entry += u32::from(failed.counts);
        let rules = self.origin()?.rules;
        let delay = match (failed.behavior, failed.delay_ms) {
            (Behavior::Fail, _) => return self.finish(failure),
            (Behavior::Pause, _) => None,
            (Behavior::Retry, Some(delay)) => Some(delay),
            (Behavior::Retry, None) => {
                retry.failures += 1;
                let used_up = rules.attempts_max > 0 && retry.failures >= rules.attempts_max;
                if used_up && rules.kill_after_attempts {
                    return self.finish(failure);
                }
                (!used_up).then(|| rules.delay_ms(retry.failures, failed.jitter_milli))
            }
        };
        let Some(delay) = delay else {
            self.head.retry = Some(retry);
            self.park();
            return Ok(());
        };
        let due = self.at.now.0.saturating_add(delay).max(1);
        retry.next_at = due;
        self.head.retry = Some(retry);
        self.head.attempt += 1;
        self.view.hang_up(self.address);
        let attempt = self.head.attempt;
        let message: crate::Message = Body::Retry(attempt).into();
        self.view
            .set_timer(Timestamp(due), self.address, &retry_id(attempt), &message);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Stop> {
        match self.head.outcome.clone() {
            Some(outcome) => self.finish(outcome),
            None => self.fail(&Failed::of(571, "it ended without an output")),
        }
    }
}

impl Op {
    fn reads_object(&self) -> bool {
        matches!(
            self,
            Op::GetState { .. } | Op::GetPromise { .. } | Op::PeekPromise { .. } | Op::CompletePromise { .. }
        )
    }
}

impl rows::Rules {
    /// Before the attempt after so many failures.
    fn delay_ms(&self, failures: u32, jitter_milli: u32) -> u64 {
        let factor = f64::from(self.retry_factor_milli.max(1_000)) / 1_000.0;
        let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
        let delay = self.retry_first_ms as f64 * factor.powi(exponent);
        let delay = (delay as u64).min(self.retry_max_ms.max(self.retry_first_ms));
        delay + delay.saturating_mul(JITTER_MILLI) / 1_000 * u64::from(jitter_milli.min(1_000)) / 1_000
    }
}

impl Words {
    /// What they hold beyond their own size, bytes.
    pub(super) fn held_bytes(&self) -> usize {
        let held = |word: &Word| match word {
            // Once as it came, once as what it does.
            Word::Command { body, .. } => 2 * body.len(),
            Word::Came(notification) => prost::Message::encoded_len(notification),
            Word::Keys(keys) => keys.iter().map(|key| size_of::<Bytes>() + key.len()).sum(),
            Word::Suspended(awaited) => prost::Message::encoded_len(awaited),
            Word::Failed(failed) => prost::Message::encoded_len(&failed.trouble),
            Word::Ended => 0,
        };
        self.words.iter().map(|word| held(word) + size_of::<Word>()).sum()
    }
}

impl Failed {
    pub(super) fn of(code: u32, message: &str) -> Failed {
        Failed {
            trouble: Trouble {
                code,
                message: message.into(),
                ..Trouble::default()
            },
            delay_ms: None,
            behavior: Behavior::Retry,
            counts: true,
            jitter_milli: 0,
        }
    }
}

pub(super) fn pending(kind: Kind) -> Pending {
    Pending {
        source: kind.into(),
        ..Pending::default()
    }
}
