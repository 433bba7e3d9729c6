//! A lock with a queue, held by a session. Source: Atomix lock v1, intended semantics (spec 2.6).
//!
//! | command | free | held |
//! |---|---|---|
//! | `Lock` without a timeout | granted | waits at the end of the queue |
//! | `Lock` with one | granted | the same, and `Aborted` when the time is over |
//! | `Lock` with a timeout of zero | granted | `Aborted` at once |
//! | `Unlock` by the holder's session | | goes to the first who still waits, or is free |
//! | `Unlock` by another one | `Aborted` | `Aborted` |
//! | `Abandoned`, of one who waits | | leaves the queue |
//! | `Abandoned`, of what it was granted to | | as `Unlock`: its caller never took the answer |
//! | a session is over | | leaves the queue with `Aborted`; if it is the holder's, as `Unlock` |
//!
//! A grant's answer is the version: the index of the step that granted it, so later grants have larger ones and it serves as
//! fencing token. The lock is not re-entrant: its holder's session waits like any other. `Get` answers the holder's version to
//! anyone, `NotFound` when the lock is free.
//!
//! Who waited before a restart does not wait now: they leave the queue without an answer.

use std::collections::BTreeSet;
use std::time::Duration;

use base::{Error, Result, Timestamp, codes, limits};

use super::waiting::{CALLER_HAS_GONE, SESSION_HAS_ENDED, TIME_IS_OVER, Waiter};
use super::{Type, session};
use crate::key::{Address, Key, Session};
use crate::message::{StoredRequest, StoredSession};
use crate::row::Stored;
use crate::step::{self, Answer, At, Request};
use crate::view::{Stop, View};

#[cfg(test)]
mod tests;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `timeout` `None`: waits for ever.
    Lock {
        session: Session,
        timeout: Option<Duration>,
    },
    Unlock {
        session: Session,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query {
    Get,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The holder's version.
    Held(u64),
    Unlocked,
}

/// Nobody can watch a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {}

#[derive(Clone, PartialEq, prost::Message)]
struct Lock {
    #[prost(message, optional, tag = "1")]
    holder: Option<Holder>,
    #[prost(message, repeated, tag = "2")]
    queue: Vec<Waiter>,
}

impl Stored for Lock {}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Holder {
    #[prost(message, required, tag = "1")]
    session: StoredSession,
    #[prost(message, required, tag = "2")]
    request: StoredRequest,
    #[prost(uint64, tag = "3")]
    version: u64,
}

pub(super) fn apply(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    command: &Command,
) -> Result<Answer, Stop> {
    change(view, at, address, |view, lock| match *command {
        Command::Lock { session, timeout } => lock.lock(view, at, address, (session, timeout)),
        Command::Unlock { session } => {
            if !lock.is_held_by(session) {
                return Err(not_held().into());
            }
            lock.release(view, at, address);
            Ok(Answer::Now(Reply::Unlocked.into()))
        }
    })
}

pub(super) fn read(
    view: &View<'_>,
    _now: Timestamp,
    address: &Address,
    query: &Query,
) -> Result<Reply, Stop> {
    let Query::Get = query;
    let lock: Lock = view.load(&Key::head(address))?.unwrap_or_default();
    let free = || Error::new(codes::ENTRY_NOT_FOUND, "the lock is free");
    Ok(Reply::Held(lock.holder.ok_or_else(free)?.version))
}

pub(super) fn wait_over(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    request: Request,
) -> Result<(), Stop> {
    change(view, at, address, |view, lock| {
        lock.leave(view, address, |waiter| waiter.is(request), TIME_IS_OVER);
        Ok(())
    })
}

pub(super) fn abandoned(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    request: Request,
) -> Result<(), Stop> {
    change(view, at, address, |view, lock| {
        lock.leave(view, address, |waiter| waiter.is(request), CALLER_HAS_GONE);
        if lock.holder.is_some_and(|holder| holder.request == request.into()) {
            lock.release(view, at, address);
        }
        Ok(())
    })
}

pub(super) fn session_over(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    session: Session,
) -> Result<(), Stop> {
    change(view, at, address, |view, lock| {
        lock.leave(view, address, |waiter| waiter.is_of(session), SESSION_HAS_ENDED);
        if lock.is_held_by(session) {
            lock.release(view, at, address);
        }
        Ok(())
    })
}

/// Loads the lock, and keeps what `step` makes of it, with the rows of its sessions.
fn change<T>(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    step: impl FnOnce(&mut View<'_>, &mut Lock) -> Result<T, Stop>,
) -> Result<T, Stop> {
    let key = Key::head(address);
    let before: Lock = view.load(&key)?.unwrap_or_default();
    let mut lock = before.clone();
    lock.forget(view, at, address);
    let answer = step(view, &mut lock)?;
    if lock == before {
        return Ok(answer);
    }
    session::keep(view, address, Type::Lock, (&before.sessions(), &lock.sessions()))?;
    if lock == Lock::default() {
        view.delete(key);
    } else {
        view.store(key, &lock);
    }
    Ok(answer)
}

impl Lock {
    fn lock(
        &mut self,
        view: &mut View<'_>,
        at: At,
        address: &Address,
        (session, timeout): (Session, Option<Duration>),
    ) -> Result<Answer, Stop> {
        let waiter = Waiter::new(at, session, timeout);
        if self.holder.is_none() {
            return Ok(Answer::Now(self.grant(waiter, at).into()));
        }
        if waiter.is_over(at.now) {
            return Err(Error::new(codes::LOCK_HELD, "the lock is held").into());
        }
        if self.queue.len() >= limits::LOCK_WAITERS_MAX {
            let message = format!("{} callers wait for this lock already", self.queue.len());
            return Err(Error::new(codes::TOO_MANY_REQUESTS, message).into());
        }
        waiter.set_timer(view, address, Type::Lock);
        self.queue.push(waiter);
        Ok(Answer::Later)
    }

    fn grant(&mut self, waiter: Waiter, at: At) -> Reply {
        self.holder = Some(Holder {
            session: waiter.session,
            request: waiter.request,
            version: at.index,
        });
        Reply::Held(at.index)
    }

    /// To the first whose time is not over, or to nobody.
    fn release(&mut self, view: &mut View<'_>, at: At, address: &Address) {
        self.holder = None;
        self.leave(view, address, |waiter| waiter.is_over(at.now), TIME_IS_OVER);
        if self.queue.is_empty() {
            return;
        }
        let next = self.queue.remove(0);
        next.cancel_timer(view, address);
        let reply: step::Reply = self.grant(next, at).into();
        view.answer(next.request.into(), Ok(reply));
    }

    /// Takes them out of the queue, and tells them why.
    fn leave(
        &mut self,
        view: &mut View<'_>,
        address: &Address,
        leaves: impl Fn(&Waiter) -> bool,
        why: &'static str,
    ) {
        for waiter in self.queue.extract_if(.., |waiter| leaves(waiter)) {
            waiter.refuse(view, address, why);
        }
    }

    /// Who waited before a restart.
    fn forget(&mut self, view: &mut View<'_>, at: At, address: &Address) {
        for waiter in self.queue.extract_if(.., |waiter| !waiter.is_there(at)) {
            waiter.cancel_timer(view, address);
        }
    }

    fn is_held_by(&self, session: Session) -> bool {
        self.holder.is_some_and(|holder| holder.session == session.into())
    }

    fn sessions(&self) -> BTreeSet<Session> {
        let waiting = self.queue.iter().map(|waiter| waiter.session);
        let holding = self.holder.iter().map(|holder| holder.session);
        waiting.chain(holding).map(Session::from).collect()
    }
}

fn not_held() -> Error {
    Error::new(codes::LOCK_NOT_HELD, "this session does not hold the lock")
}
