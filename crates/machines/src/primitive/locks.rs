//! Keys of a map, or of a counter map, that sessions hold, with a queue. Source: Atomix map v1 and counter map v1, `Lock` and
//! `Unlock` (spec 2.7), which their first implementation did not have: they are to keys what a lock is to its name (spec 2.6).
//!
//! | command | its keys are free, nobody who waits wants one | else |
//! |---|---|---|
//! | `Lock` without a timeout | all are granted | waits at the end of the queue |
//! | `Lock` with one | all are granted | the same, and `Aborted` when the time is over |
//! | `Lock` with a timeout of zero | all are granted | `Aborted` at once |
//! | `Unlock`, all are held by this session | they are free, for those who wait in order | |
//! | `Unlock`, one is not | `Aborted`, all stay as they are | |
//! | `Abandoned`, of one who waits | | leaves the queue |
//! | `Abandoned`, of what was granted | | its keys are free |
//! | a session is over | | leaves the queue with `Aborted`, and its keys are free |
//!
//! A request gets all of its keys at once or none, and none that somebody in front of it waits for: so nobody waits for ever
//! behind others, and two requests never wait for each other. Not re-entrant: a session waits for its own keys too. Locks
//! keep nobody from reading or writing the entries; they are for those who ask for them.
//!
//! All holders and waiters are one row, so its bytes are limited.

use std::collections::BTreeSet;
use std::time::Duration;

use base::{Error, Result, codes, limits};
use prost::Message;

use super::waiting::{CALLER_HAS_GONE, SESSION_HAS_ENDED, TIME_IS_OVER, Waiter};
use super::{Type, collection, countermap, map, session};
use crate::key::{Address, Key, Session};
use crate::row::Stored;
use crate::step::{self, Answer, At, Request};
use crate::view::{Stop, View};

#[cfg(test)]
mod tests;

/// Whose keys they are, and what that one answers.
pub(super) struct Of {
    primitive: Type,
    locked: fn() -> step::Reply,
    unlocked: fn() -> step::Reply,
}

pub(super) static MAP: Of = Of {
    primitive: Type::Map,
    locked: || map::Reply::Locked.into(),
    unlocked: || map::Reply::Unlocked.into(),
};

pub(super) static COUNTER_MAP: Of = Of {
    primitive: Type::CounterMap,
    locked: || countermap::Reply::Locked.into(),
    unlocked: || countermap::Reply::Unlocked.into(),
};

/// After the head and the entries.
const LOCKS: u8 = 2;

#[derive(Clone, PartialEq, prost::Message)]
struct Locks {
    #[prost(message, repeated, tag = "1")]
    held: Vec<Claim>,
    /// In the order of their coming.
    #[prost(message, repeated, tag = "2")]
    queue: Vec<Claim>,
}

impl Stored for Locks {}

/// Keys, and who holds or wants them.
#[derive(Clone, PartialEq, prost::Message)]
struct Claim {
    #[prost(message, required, tag = "1")]
    by: Waiter,
    /// Each once, in order.
    #[prost(string, repeated, tag = "2")]
    keys: Vec<String>,
}

pub(super) fn lock(
    of: &'static Of,
    view: &mut View<'_>,
    at: At,
    address: &Address,
    keys: &BTreeSet<String>,
    (session, timeout): (Session, Option<Duration>),
) -> Result<Answer, Stop> {
    keys.iter().try_for_each(|key| collection::check_key(key))?;
    let claim = Claim {
        by: Waiter::new(at, session, timeout),
        keys: keys.iter().cloned().collect(),
    };
    change(of, view, at, address, |view, locks| {
        if locks.is_free(&claim, locks.queue.len()) {
            locks.check_room(&claim)?;
            locks.held.push(claim);
            return Ok(Answer::Now((of.locked)()));
        }
        if claim.by.is_over(at.now) {
            return Err(Error::new(codes::LOCK_HELD, "one of the keys is held, or waited for").into());
        }
        locks.check_room(&claim)?;
        claim.by.set_timer(view, address, of.primitive);
        locks.queue.push(claim);
        Ok(Answer::Later)
    })
}

pub(super) fn unlock(
    of: &'static Of,
    view: &mut View<'_>,
    at: At,
    address: &Address,
    keys: &BTreeSet<String>,
    session: Session,
) -> Result<Answer, Stop> {
    change(of, view, at, address, |view, locks| {
        let holds = |key: &String| {
            locks
                .held
                .iter()
                .any(|claim| claim.by.is_of(session) && claim.has(key))
        };
        if !keys.iter().all(holds) {
            return Err(Error::new(
                codes::LOCK_NOT_HELD,
                "this session does not hold all of these keys",
            )
            .into());
        }
        for claim in locks.held.iter_mut().filter(|claim| claim.by.is_of(session)) {
            claim.keys.retain(|key| !keys.contains(key));
        }
        locks.settle(of, view, at, address);
        Ok(Answer::Now((of.unlocked)()))
    })
}

pub(super) fn wait_over(
    of: &'static Of,
    view: &mut View<'_>,
    at: At,
    address: &Address,
    request: Request,
) -> Result<(), Stop> {
    free(
        of,
        view,
        at,
        address,
        |claim| claim.by.is(request),
        TIME_IS_OVER,
        Held::Stays,
    )
}

pub(super) fn abandoned(
    of: &'static Of,
    view: &mut View<'_>,
    at: At,
    address: &Address,
    request: Request,
) -> Result<(), Stop> {
    free(
        of,
        view,
        at,
        address,
        |claim| claim.by.is(request),
        CALLER_HAS_GONE,
        Held::Goes,
    )
}

pub(super) fn session_over(
    of: &'static Of,
    view: &mut View<'_>,
    at: At,
    address: &Address,
    session: Session,
) -> Result<(), Stop> {
    free(
        of,
        view,
        at,
        address,
        |claim| claim.by.is_of(session),
        SESSION_HAS_ENDED,
        Held::Goes,
    )
}

/// What becomes of keys that such a request holds already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    Stays,
    Goes,
}

/// Takes requests out of the queue, and what they hold.
fn free(
    of: &'static Of,
    view: &mut View<'_>,
    at: At,
    address: &Address,
    goes: impl Fn(&Claim) -> bool,
    why: &'static str,
    held: Held,
) -> Result<(), Stop> {
    change(of, view, at, address, |view, locks| {
        for claim in locks.queue.extract_if(.., |claim| goes(claim)) {
            claim.by.refuse(view, address, why);
        }
        if held == Held::Goes {
            locks.held.retain(|claim| !goes(claim));
        }
        locks.settle(of, view, at, address);
        Ok(())
    })
}

/// Loads the locks, and keeps what `step` makes of them, with the rows of their sessions.
fn change<T>(
    of: &'static Of,
    view: &mut View<'_>,
    at: At,
    address: &Address,
    step: impl FnOnce(&mut View<'_>, &mut Locks) -> Result<T, Stop>,
) -> Result<T, Stop> {
    let key = Key::part(address, LOCKS, &[]);
    let before: Locks = view.load(&key)?.unwrap_or_default();
    let mut locks = before.clone();
    let gone = locks.queue.extract_if(.., |claim| !claim.by.is_there(at));
    for claim in gone.collect::<Vec<_>>() {
        claim.by.cancel_timer(view, address);
    }
    let answer = step(view, &mut locks)?;
    if locks == before {
        return Ok(answer);
    }
    session::keep(
        view,
        address,
        of.primitive,
        (&before.sessions(), &locks.sessions()),
    )?;
    if locks == Locks::default() {
        view.delete(key);
    } else {
        view.store(key, &locks);
    }
    Ok(answer)
}

impl Locks {
    /// Whether nobody holds a key of it, nor one of the first so many who wait.
    fn is_free(&self, wanted: &Claim, ahead: usize) -> bool {
        let mut others = self.held.iter().chain(&self.queue[..ahead]);
        others.all(|other| !other.meets(wanted))
    }

    /// Gives out what has become free, in order.
    fn settle(&mut self, of: &'static Of, view: &mut View<'_>, at: At, address: &Address) {
        self.held.retain(|claim| !claim.keys.is_empty());
        for claim in self.queue.extract_if(.., |claim| claim.by.is_over(at.now)) {
            claim.by.refuse(view, address, TIME_IS_OVER);
        }
        let mut place = 0;
        while place < self.queue.len() {
            if !self.is_free(&self.queue[place], place) {
                place += 1;
                continue;
            }
            let claim = self.queue.remove(place);
            claim.by.cancel_timer(view, address);
            view.answer(claim.by.request.into(), Ok((of.locked)()));
            self.held.push(claim);
        }
    }

    fn check_room(&self, claim: &Claim) -> Result<()> {
        let bytes = self.encoded_len() + claim.encoded_len();
        if bytes <= limits::MAP_LOCKS_BYTES_MAX {
            return Ok(());
        }
        let message = format!(
            "keys of this map that are locked or waited for would take {bytes} bytes, they may take {}",
            limits::MAP_LOCKS_BYTES_MAX
        );
        Err(Error::new(codes::TOO_MANY_REQUESTS, message))
    }

    fn sessions(&self) -> BTreeSet<Session> {
        let all = self.held.iter().chain(&self.queue);
        all.map(|claim| Session::from(claim.by.session)).collect()
    }
}

impl Claim {
    fn has(&self, key: &String) -> bool {
        self.keys.binary_search(key).is_ok()
    }

    fn meets(&self, other: &Claim) -> bool {
        self.keys.iter().any(|key| other.has(key))
    }
}
