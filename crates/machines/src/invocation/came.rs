//! What comes for an invocation from elsewhere.
//!
//! | what | running | suspended | paused | scheduled, inboxed | over, or none |
//! |---|---|---|---|---|---|
//! | a result that it waits for | in the journal, told to user code | in the journal; runs if what it awaits is ready | in the journal | | |
//! | a result that it does not wait for | | | | | |
//! | a signal | in the journal, told to user code | in the journal; runs if what it awaits is ready | in the journal | | |
//! | a signal, and its protocol knows none | | | | | |
//! | an awakeable's result | see `filled` | see `filled` | see `filled` | | |

use base::Result;

use super::awaiting::Class;
use super::rows::{Came, Kind, Line, Name, Notification, Outcome, Pending, Status};
use super::{Completed, Event, Signal, SignalName, Work, completion, filled, rows};
use crate::key::Address;
use crate::step::At;
use crate::view::{Stop, View};

pub(super) fn completed(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    completed: &Completed,
) -> Result<(), Stop> {
    let Some(mut work) = Work::open(view, at, address)? else {
        return Ok(());
    };
    if work.head.status().is_over() {
        return Ok(());
    }
    let key = rows::pending(address, completed.completion);
    let Some(pending) = work.view.load::<Pending>(&key)? else {
        return Ok(());
    };
    work.expected(completed.completion);
    work.notify(completion(
        pending.source(),
        completed.completion,
        completed.outcome.clone(),
    ));
    work.close();
    Ok(())
}

pub(super) fn received(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    received: &Signal,
) -> Result<(), Stop> {
    let name = match &received.name {
        Some(SignalName::Number(number)) => Name::Signal(*number),
        Some(SignalName::Text(text)) => Name::NamedSignal(text.clone()),
        Some(SignalName::Entry(entry)) => Name::Completion(*entry),
        None => return Ok(()),
    };
    signal(view, at, address, (name, received.outcome.clone()))
}

pub(super) fn signal(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    (name, outcome): (Name, Option<Outcome>),
) -> Result<(), Stop> {
    if name == CANCEL {
        return super::control::apply(view, at, address, &super::Control::Cancel).map(drop);
    }
    if let Name::Completion(entry) = name {
        return filled::complete(view, at, address, (entry, outcome));
    }
    let Some(mut work) = Work::open(view, at, address)? else {
        return Ok(());
    };
    match work.head.status() {
        Status::Running | Status::Suspended | Status::Paused if !work.is_filled() => {
            work.notify(Notification {
                source: Kind::Signal.into(),
                name: Some(name),
                came: Some(outcome.into()),
            });
            work.close();
            Ok(())
        }
        _ => Ok(()),
    }
}

pub(super) const CANCEL: Name = Name::Signal(1);

impl Work<'_, '_> {
    /// In the journal; whoever talks for it hears of it, and a suspended one goes on if that is what it waited for.
    pub(super) fn notify(&mut self, notification: Notification) {
        let index = self.append(Line::Notification(notification.clone()));
        match self.head.status() {
            Status::Running => self.view.emit(Event::Came { index, notification }),
            Status::Suspended => {
                if let (Some(awaited), Some(name), Some(came)) =
                    (&mut self.head.awaited, &notification.name, &notification.came)
                {
                    awaited.settle(name, Class::of(came));
                    if awaited.ready().is_some() {
                        self.run();
                    }
                }
            }
            Status::Unknown | Status::Scheduled | Status::Inboxed | Status::Paused | Status::Completed => {}
        }
    }

    /// Something will come from elsewhere.
    pub(super) fn expect(&mut self, id: u32, pending: &Pending) {
        self.view.store(rows::pending(self.address, id), pending);
        let head = &mut self.head;
        if head.pending == 0 {
            (head.pending_min, head.pending_max) = (id, id);
        }
        head.pending += 1;
        head.pending_min = head.pending_min.min(id);
        head.pending_max = head.pending_max.max(id);
    }

    /// It has come.
    pub(super) fn expected(&mut self, id: u32) {
        self.view.delete(rows::pending(self.address, id));
        let head = &mut self.head;
        head.pending = head.pending.saturating_sub(1);
        if id == head.pending_min {
            head.pending_min = id.saturating_add(1);
        }
    }

    pub(super) fn cancelled(&mut self) -> Result<(), Stop> {
        if self.is_filled() {
            self.head.cancelled = !self.cancel_entries()?;
            return Ok(());
        }
        self.head.cancelled = self.head.pin.is_none();
        self.notify(Notification {
            source: Kind::Signal.into(),
            name: Some(CANCEL),
            came: Some(Came::Void(true)),
        });
        Ok(())
    }
}
