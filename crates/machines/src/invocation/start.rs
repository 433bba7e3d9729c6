//! An invocation is asked for, waits for its time and for its object, and begins.
//!
//! | what | there is none | there is one |
//! |---|---|---|
//! | `Start`, or `Invoke` from another one | it is made: input, origin, and as below | nothing new: whoever waits is answered with its result |
//! | the same, of a workflow's run, by a caller who wants the result | it is made | that caller gets failure 409 |
//! | with a time that has not come | `Scheduled`, with a timer | |
//! | its object is taken | `Inboxed`, at the end of the queue | |
//! | else | `Running`, attempt 1, the conversation begins | |
//! | `Due` | | from `Scheduled`: as above |
//! | `Turn` | | from `Inboxed`: `Running`; from any other: its object goes on |

use base::Result;

use super::rows::{Head, Input, Line, Origin, Outcome, Pin, ReplyTo, Status, TargetKind, Waiter, Waiting};
use super::{Body, Id, Invoke, Reply, Work, finish, now, object, rows};
use crate::key::Address;
use crate::step::{Answer, At};
use crate::view::{Stop, View};

/// Asked for from outside.
#[derive(Clone, Debug)]
pub struct Start {
    pub origin: Origin,
    pub input: Input,
    /// Its id was made for it: nobody has to look whether there is one already.
    pub fresh: bool,
    /// Whether the answer is how it ended; else, that it was taken.
    pub wait: bool,
    /// What its journal begins with, after the input: the beginning of another one's.
    pub copied: Vec<Line>,
    /// Where it goes on, if that is said already.
    pub pin: Option<Pin>,
}

const INVOKED_ALREADY: &str = "the workflow method was already invoked";

pub(super) fn start(view: &mut View<'_>, at: At, address: &Address, start: &Start) -> Result<Answer, Stop> {
    let waiting = start.wait.then(|| Waiter::Request(at.request.into()));
    let known = if start.fresh {
        None
    } else {
        Work::open(view, at, address)?
    };
    if let Some(mut work) = known {
        if start.wait && start.origin.target.kind() == TargetKind::Workflow {
            return Ok(now(finish::over(Outcome::failure(409, INVOKED_ALREADY))));
        }
        if !start.wait {
            let due = work.origin()?.due;
            return Ok(now(Reply::Accepted { new: false, due }));
        }
        let answer = finish::wait(&mut work)?;
        work.close_if_waiting(&answer);
        return Ok(answer);
    }
    let begun = Begun {
        copied: &start.copied,
        pin: start.pin.clone(),
    };
    create(view, at, address, (&start.origin, &start.input, waiting), begun)?;
    if start.wait {
        return Ok(Answer::Later);
    }
    let due = start.origin.due;
    Ok(now(Reply::Accepted { new: true, due }))
}

pub(super) fn invoke(view: &mut View<'_>, at: At, address: &Address, invoke: &Invoke) -> Result<(), Stop> {
    let waiter = invoke.reply_to.clone();
    if Work::open(view, at, address)?.is_none() {
        let waiter = waiter.map(Waiter::Invocation);
        return create(
            view,
            at,
            address,
            (&invoke.origin, &invoke.input, waiter),
            Begun::default(),
        );
    }
    match waiter {
        Some(waiter) if invoke.origin.target.kind() == TargetKind::Workflow => {
            tell(view, &waiter, Some(Outcome::failure(409, INVOKED_ALREADY)));
            Ok(())
        }
        Some(waiter) => finish::attach_from(view, at, address, &waiter),
        None => Ok(()),
    }
}

/// An invocation that waits for another one hears how that stands.
pub(super) fn tell(view: &mut View<'_>, waiter: &ReplyTo, outcome: Option<Outcome>) {
    if let Some(id) = Id::of(&waiter.invocation) {
        let completed = super::Completed {
            completion: waiter.completion,
            outcome,
        };
        view.send(&Address::invocation(&id), Body::Completed(completed));
    }
}

/// What one has that goes on where another one was.
#[derive(Default)]
struct Begun<'s> {
    copied: &'s [Line],
    pin: Option<Pin>,
}

fn create(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    (origin, input, waiter): (&Origin, &Input, Option<Waiter>),
    begun: Begun<'_>,
) -> Result<(), Stop> {
    let Some(id) = address.invocation_id() else {
        return Ok(());
    };
    let mut origin = origin.clone();
    origin.created_at = at.now.0;
    let waiter = waiter.map(|waiter| Waiting { waiter: Some(waiter) });
    let mut work = Work {
        view,
        at,
        address,
        id,
        head: Head {
            waiting: waiter.into_iter().collect(),
            pin: begun.pin,
            ..Head::default()
        },
    };
    work.view.store(rows::origin(address), &origin);
    work.append(Line::Input(input.clone()));
    for line in begun.copied {
        work.append(line.clone());
    }
    if origin.due > at.now.0 {
        work.head.set_status(Status::Scheduled);
        let due = base::Timestamp(origin.due);
        work.view.set_timer(due, address, DUE, &Body::Due(true).into());
    } else {
        work.queue(&origin)?;
    }
    work.close();
    Ok(())
}

/// The timer's id. Those of sleeps have four bytes.
pub(super) const DUE: &[u8] = b"d";

pub(super) fn due(view: &mut View<'_>, at: At, address: &Address) -> Result<(), Stop> {
    let Some(mut work) = Work::open(view, at, address)? else {
        return Ok(());
    };
    if work.head.status() == Status::Scheduled {
        let origin = work.origin()?;
        work.queue(&origin)?;
        work.close();
    }
    Ok(())
}

pub(super) fn turn(view: &mut View<'_>, at: At, address: &Address) -> Result<(), Stop> {
    let Some(mut work) = Work::open(view, at, address)? else {
        return Ok(());
    };
    if work.head.status() == Status::Inboxed {
        work.head.place = None;
        work.run();
        work.close();
    }
    Ok(())
}

impl Work<'_, '_> {
    /// Begins, or waits for its object.
    fn queue(&mut self, origin: &Origin) -> Result<(), Stop> {
        if origin.target.kind() == TargetKind::Exclusive {
            let object = Address::object(
                self.id.partition_key(),
                &origin.target.service,
                &origin.target.key,
            );
            if let Some(place) = object::take(self.view, &object, &self.id)? {
                self.head.place = Some(place);
                self.head.set_status(Status::Inboxed);
                return Ok(());
            }
        }
        self.run();
        Ok(())
    }

    fn close_if_waiting(self, answer: &Answer) {
        if matches!(answer, Answer::Later) {
            self.close();
        }
    }
}
