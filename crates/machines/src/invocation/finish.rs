//! An invocation is over: who waits is told, its object goes on, and what is kept of it is removed in time.
//!
//! | what | not over | over | none |
//! |---|---|---|---|
//! | it ends | `Completed`; all who wait are told; the object's next one has its turn; the journal is removed after its time, all after the result's | | |
//! | ... and no result is kept | the same, and all is removed at once | | |
//! | `Attach` | waits | the result | 404 |
//! | `Output` of another invocation | told that it is not over | told the result | told 404 |
//! | `Forget`, `Purge` | | the journal, or all, is removed | |
//!
//! Purging a workflow's run clears its state and its promises: the same key can run again.

use base::{Result, Timestamp, limits};

use super::rows::{Head, Origin, Outcome, Pending, ReplyTo, Status, TargetKind, Waiter, Waiting};
use super::start::tell;
use super::{Body, Forget, Over, Reply, Work, not_found, object, rows};
use crate::key::{Address, Key};
use crate::step::{self, Answer, At};
use crate::view::{Stop, View};

/// The timers' ids. Those of sleeps have four bytes.
const FORGET: &[u8] = b"f";
const FORGET_JOURNAL: &[u8] = b"j";

/// Who wants to know how one ended that was never there.
const NOT_FOUND: &str = "not found";

pub(super) fn over(outcome: Outcome) -> Reply {
    Reply::Over(Box::new(Over {
        outcome,
        replayed: false,
        kept_until: None,
    }))
}

pub(super) fn attach(view: &mut View<'_>, at: At, address: &Address) -> Result<Answer, Stop> {
    let Some(mut work) = Work::open(view, at, address)? else {
        return Err(not_found().into());
    };
    let answer = wait(&mut work)?;
    if matches!(answer, Answer::Later) {
        work.close();
    }
    Ok(answer)
}

/// Answers with the result, now or later.
pub(super) fn wait(work: &mut Work<'_, '_>) -> Result<Answer, Stop> {
    if let Some(over) = work.over()? {
        return Ok(super::now(Reply::Over(Box::new(over))));
    }
    work.wait_for(Waiter::Request(work.at.request.into()))?;
    Ok(Answer::Later)
}

pub(super) fn attach_from(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    reply_to: &ReplyTo,
) -> Result<(), Stop> {
    let Some(mut work) = Work::open(view, at, address)? else {
        tell(view, reply_to, Some(Outcome::failure(404, NOT_FOUND)));
        return Ok(());
    };
    if work.head.status().is_over() {
        let outcome = work.head.outcome.clone();
        tell(work.view, reply_to, outcome);
        return Ok(());
    }
    work.wait_for(Waiter::Invocation(reply_to.clone()))?;
    work.close();
    Ok(())
}

pub(super) fn output_to(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    reply_to: &ReplyTo,
) -> Result<(), Stop> {
    let outcome = match Work::open(view, at, address)? {
        Some(work) if work.head.status().is_over() => work.head.outcome.clone(),
        Some(_) => None,
        None => Some(Outcome::failure(404, NOT_FOUND)),
    };
    tell(view, reply_to, outcome);
    Ok(())
}

pub(super) fn forget(view: &mut View<'_>, at: At, address: &Address, forget: &Forget) -> Result<(), Stop> {
    if address.invocation_id().is_none() {
        return object::sweep(view, at, address, forget);
    }
    let Some(work) = Work::open(view, at, address)? else {
        return Ok(());
    };
    if work.head.completed_at != Some(forget.completed_at) {
        return Ok(());
    }
    remove(work, forget.journal_only)
}

/// Removes what is stored of one that is over.
pub(super) fn remove(mut work: Work<'_, '_>, journal_only: bool) -> Result<(), Stop> {
    let gone = remove_rows(&mut work, journal_only)?;
    if !gone {
        work.close();
    }
    Ok(())
}

/// Whether all is removed. A journal that is longer than a step is removed in several.
pub(super) fn remove_rows(work: &mut Work<'_, '_>, journal_only: bool) -> Result<bool, Stop> {
    let from = work.head.entries.saturating_sub(limits::INVOCATION_FORGET_ROWS);
    if !work.head.journal_gone {
        for index in from..work.head.entries {
            work.view.delete(rows::entry(work.address, index));
        }
        work.head.entries = from;
        work.head.journal_gone = from == 0;
    }
    if !work.head.journal_gone {
        let forget = Forget {
            journal_only,
            completed_at: work.head.completed_at.unwrap_or_default(),
            ..Forget::default()
        };
        work.view.send(work.address, Body::Forget(forget));
        return Ok(false);
    }
    if journal_only {
        return Ok(false);
    }
    let origin = work.origin()?;
    if origin.target.kind() == TargetKind::Workflow
        && let Some(object) = origin.target.object(&work.id)
    {
        object::clear_state(work.view, work.at, &object)?;
        object::clear_promises(work.view, work.at, &object)?;
    }
    work.cancel_forgetting(&origin);
    work.view.delete(Key::head(work.address));
    work.view.delete(rows::origin(work.address));
    Ok(true)
}

impl Work<'_, '_> {
    /// The result, if it is over.
    fn over(&self) -> Result<Option<Over>, Stop> {
        if !self.head.status().is_over() {
            return Ok(None);
        }
        let kept = self.origin()?.rules.result_ms;
        Ok(Some(Over {
            outcome: self.head.outcome.clone().unwrap_or_default(),
            replayed: true,
            kept_until: self.head.completed_at.map(|at| at.saturating_add(kept)),
        }))
    }

    /// Those who waited before a restart do not wait now.
    fn wait_for(&mut self, waiter: Waiter) -> Result<(), Stop> {
        let at = self.at;
        self.head.waiting.retain(|waiting| match &waiting.waiter {
            Some(Waiter::Request(request)) => at.may_wait((*request).into()),
            Some(Waiter::Invocation(_)) => true,
            None => false,
        });
        if self.head.waiting.len() >= limits::INVOCATION_WAITERS_MAX {
            let message = format!("{} wait for this invocation already", self.head.waiting.len());
            return Err(base::Error::new(base::codes::TOO_MANY_REQUESTS, message).into());
        }
        self.head.waiting.push(Waiting { waiter: Some(waiter) });
        Ok(())
    }

    pub(super) fn tell_all(&mut self, outcome: &Outcome) {
        for waiting in std::mem::take(&mut self.head.waiting) {
            match waiting.waiter {
                Some(Waiter::Request(request)) => {
                    let reply = step::Reply::Invocation(over(outcome.clone()));
                    self.view.answer(request.into(), Ok(reply));
                }
                Some(Waiter::Invocation(reply_to)) => tell(self.view, &reply_to, Some(outcome.clone())),
                None => {}
            }
        }
    }

    /// It is over, with that.
    pub(super) fn finish(&mut self, outcome: Outcome) -> Result<(), Stop> {
        let origin = self.origin()?;
        self.view.hang_up(self.address);
        self.forget_pending()?;
        self.tell_all(&outcome);
        if origin.target.kind() == TargetKind::Exclusive
            && let Some(object) = origin.target.object(&self.id)
        {
            object::release(self.view, &object, &self.id)?;
        }
        let head = &mut self.head;
        head.set_status(Status::Completed);
        head.attempt += 1;
        head.outcome = Some(outcome);
        head.awaited = None;
        head.retry = None;
        head.completed_at = Some(self.at.now.0);
        if origin.rules.result_ms == 0 {
            if !remove_rows(self, false)? {
                self.view.store(Key::head(self.address), &self.head);
            }
            return Ok(());
        }
        for (id, due, journal_only) in self.head.forgetting(&origin) {
            let forget = Forget {
                journal_only,
                completed_at: self.at.now.0,
                ..Forget::default()
            };
            self.view
                .set_timer(due, self.address, id, &Body::Forget(forget).into());
        }
        self.head.modified_at = self.at.now.0;
        self.view.store(Key::head(self.address), &self.head);
        Ok(())
    }

    fn cancel_forgetting(&mut self, origin: &Origin) {
        for (id, due, _) in self.head.forgetting(origin) {
            self.view.cancel_timer(due, self.address, id);
        }
    }

    /// What has not come will not be waited for.
    fn forget_pending(&mut self) -> Result<(), Stop> {
        for (id, pending) in self.all_pending()? {
            if pending.due > 0 {
                let due = Timestamp(pending.due);
                self.view.cancel_timer(due, self.address, &id.to_be_bytes());
            }
            self.view.delete(rows::pending(self.address, id));
        }
        self.head.pending = 0;
        Ok(())
    }

    /// All that has not come yet, loaded at once.
    pub(super) fn all_pending(&self) -> Result<Vec<(u32, Pending)>, Stop> {
        if self.head.pending == 0 {
            return Ok(vec![]);
        }
        let keys: Vec<_> = (self.head.pending_min..=self.head.pending_max)
            .map(|id| (id, rows::pending(self.address, id)))
            .collect();
        self.view.want(keys.iter().map(|(_, key)| key))?;
        let load = |(id, key): &(u32, _)| Ok(self.view.load(key)?.map(|pending| (*id, pending)));
        keys.iter().filter_map(|key| load(key).transpose()).collect()
    }
}

impl Head {
    /// When what is removed of one that is over.
    fn forgetting(&self, origin: &Origin) -> Vec<(&'static [u8], Timestamp, bool)> {
        let Some(completed) = self.completed_at else {
            return vec![];
        };
        let rules = origin.rules;
        let after = |millis: u64| Timestamp(completed.saturating_add(millis));
        let mut times = vec![(FORGET, after(rules.result_ms), false)];
        if rules.journal_ms < rules.result_ms {
            times.push((FORGET_JOURNAL, after(rules.journal_ms), true));
        }
        times
    }
}
