//! What people do to an invocation.
//!
//! | | scheduled, inboxed | running | suspended | paused | completed |
//! |---|---|---|---|---|---|
//! | cancel | ends with 409, nothing is kept: `Done` | signal 1; one that waits to be called again is called now: `Asked` | signal 1, and it runs: `Asked` | the same | `Over` |
//! | cancel, and its protocol knows no signals | the same | what it waits for fails, see `filled`; called now: `Asked` | what it waits for fails, and it runs if that was enough: `Asked` | what it waits for fails, and it runs: `Asked` | `Over` |
//! | kill | the same as cancel | ends with 409, and so do all that it called, or only those that it waits for if its protocol knows no signals: `Done` | the same | the same | `Over` |
//! | pause | `NotStarted` | user code is let go of, it waits: `Asked` | what it waits for does not wake it any more: `Asked` | `Done` | `Over` |
//! | resume | `NotStarted` | one that waits to be called again is called now: `Done` | it runs: `Done` | it runs, where it was told to: `Done` | `Over` |
//! | purge, purge its journal | `NotOver` | `NotOver` | `NotOver` | `NotOver` | its rows are removed: `Done` |
//!
//! One that does not exist: `NotFound`.

use base::Result;

use super::rows::{Came, Line, Outcome, Pin, Status};
use super::{Body, Id, Work, finish, object, rows, said};
use crate::key::Address;
use crate::step::At;
use crate::view::{Stop, View};

#[derive(Clone, Debug, PartialEq)]
pub enum Control {
    Cancel,
    Kill,
    Pause,
    /// `on`: it goes on with that deployment.
    Resume {
        on: Option<Pin>,
    },
    Purge,
    PurgeJournal,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Done,
    /// User code will hear of it.
    Asked,
    NotFound,
    NotStarted,
    NotOver,
    Over,
}

pub(super) fn apply(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    control: &Control,
) -> Result<Change, Stop> {
    let Some(mut work) = Work::open(view, at, address)? else {
        return Ok(Change::NotFound);
    };
    if work.head.status() == Status::Completed {
        return match control {
            Control::Purge | Control::PurgeJournal => {
                let journal_only = *control == Control::PurgeJournal;
                finish::remove(work, journal_only)?;
                Ok(Change::Done)
            }
            _ => Ok(Change::Over),
        };
    }
    let change = match control {
        Control::Cancel => work.cancel()?,
        Control::Kill => work.kill()?,
        Control::Pause => work.pause(),
        Control::Resume { on } => work.resume(on.as_ref()),
        Control::Purge | Control::PurgeJournal => Change::NotOver,
    };
    if !work.head.status().is_over() {
        work.close();
    }
    Ok(change)
}

impl Work<'_, '_> {
    fn cancel(&mut self) -> Result<Change, Stop> {
        match self.head.status() {
            Status::Scheduled | Status::Inboxed => self.end_unstarted("canceled"),
            Status::Running => {
                self.cancelled()?;
                self.call_now();
                Ok(Change::Asked)
            }
            Status::Suspended | Status::Paused => {
                self.cancelled()?;
                // One that waits for a call whose callee is told goes on with the callee's answer.
                let waits = self.is_filled() && self.head.status() == Status::Suspended;
                if self.head.status() != Status::Running && !waits {
                    self.run();
                }
                Ok(Change::Asked)
            }
            Status::Unknown | Status::Completed => Ok(Change::Over),
        }
    }

    fn kill(&mut self) -> Result<Change, Stop> {
        if matches!(self.head.status(), Status::Scheduled | Status::Inboxed) {
            return self.end_unstarted("killed");
        }
        self.forget_retry();
        for callee in self.called()? {
            self.view.send(&Address::invocation(&callee), Body::Kill(true));
        }
        self.finish(Outcome::failure(409, "killed"))?;
        Ok(Change::Done)
    }

    /// It never ran: nothing of it is kept.
    fn end_unstarted(&mut self, why: &str) -> Result<Change, Stop> {
        let origin = self.origin()?;
        if let (Some(place), Some(object)) = (self.head.place.take(), origin.target.object(&self.id)) {
            object::leave(self.view, &object, place);
        }
        if self.head.status() == Status::Scheduled {
            let due = base::Timestamp(origin.due);
            self.view.cancel_timer(due, self.address, super::start::DUE);
        }
        self.tell_all(&Outcome::failure(409, why));
        self.head.set_status(Status::Completed);
        finish::remove_rows(self, false)?;
        Ok(Change::Done)
    }

    fn pause(&mut self) -> Change {
        match self.head.status() {
            Status::Scheduled | Status::Inboxed => Change::NotStarted,
            Status::Running | Status::Suspended => {
                self.park();
                Change::Asked
            }
            Status::Paused => Change::Done,
            Status::Unknown | Status::Completed => Change::Over,
        }
    }

    /// User code is let go of, until somebody resumes it.
    pub(super) fn park(&mut self) {
        self.forget_retry();
        self.view.hang_up(self.address);
        self.head.attempt += 1;
        self.head.awaited = None;
        self.head.set_status(Status::Paused);
    }

    fn resume(&mut self, on: Option<&Pin>) -> Change {
        match self.head.status() {
            Status::Scheduled | Status::Inboxed => Change::NotStarted,
            Status::Running => {
                self.call_now();
                Change::Done
            }
            Status::Suspended | Status::Paused => {
                if let Some(pin) = on {
                    self.head.pin = Some(pin.clone());
                }
                if self.head.status() == Status::Paused {
                    self.head.retry = None;
                }
                self.run();
                Change::Done
            }
            Status::Unknown | Status::Completed => Change::Over,
        }
    }

    /// If it waits to be called again.
    fn call_now(&mut self) {
        if self.is_backing_off() {
            self.forget_retry();
            self.run();
        }
    }

    fn is_backing_off(&self) -> bool {
        self.head.retry.as_ref().is_some_and(|retry| retry.next_at > 0)
    }

    /// The timer that would call it again.
    pub(super) fn forget_retry(&mut self) {
        let attempt = self.head.attempt;
        if let Some(retry) = self.head.retry.as_mut().filter(|retry| retry.next_at > 0) {
            let due = base::Timestamp(std::mem::take(&mut retry.next_at));
            self.view
                .cancel_timer(due, self.address, &said::retry_id(attempt));
        }
    }

    /// All invocations that it has called or sent to; those it waits for, if its protocol does not tell it whom it called.
    fn called(&self) -> Result<Vec<Id>, Stop> {
        if self.is_filled() {
            let pending = self.all_pending()?;
            return Ok(pending
                .iter()
                .filter_map(|(_, pending)| pending.called())
                .collect());
        }
        let entries = self.journal()?;
        let ids = entries.into_iter().filter_map(|entry| match entry.line {
            Some(Line::Notification(notification)) => match notification.came {
                Some(Came::Invocation(id)) => Id::of(&id),
                _ => None,
            },
            _ => None,
        });
        Ok(ids.collect())
    }

    /// All entries, loaded at once.
    pub(super) fn journal(&self) -> Result<Vec<rows::Entry>, Stop> {
        let keys: Vec<_> = (0..self.head.entries)
            .map(|index| rows::entry(self.address, index))
            .collect();
        self.view.want(&keys)?;
        let entries = keys
            .iter()
            .map(|key| Ok(self.view.load(key)?.unwrap_or_default()));
        entries.collect()
    }
}
