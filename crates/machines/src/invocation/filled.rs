//! Invocations whose protocol (versions 1 and 2) fills results into the entries of its journal. Belay appends them all the same;
//! here is what holds for these only. An entry is known by its place among the commands, and so is the result that it waits for.
//!
//! | what | the entry is stored | it is not stored yet | it is completed, or cannot be |
//! |---|---|---|---|
//! | an awakeable is completed | as any result | kept aside; in the journal once the entry is stored | |
//! | suspended on it | waits for it | as `Failed` | another attempt at once |
//! | cancelled, a call | its callee is cancelled; it waits for the answer | | |
//! | cancelled, any other | failure 409 | | |
//! | cancelled, and it waits for nothing | | the next one that has something to wait for is cancelled with its entry | |
//!
//! Such an invocation knows no signals: cancelling is all that can come of one.

use base::{Result, Timestamp, limits};

use super::awaiting::Awaited;
use super::rows::{Kind, Name, Outcome, Pending, Pin, Status};
use super::said::{Failed, pending};
use super::{Body, Signal, SignalName, Work, completion, rows};
use crate::key::Address;
use crate::step::At;
use crate::view::{Stop, View};

impl Pin {
    /// Results are filled in. From version 5 on they are notifications.
    pub fn is_filled(&self) -> bool {
        (1..5).contains(&self.protocol)
    }
}

/// An awakeable is completed, by whoever knows its name: its entry, and maybe before that is stored.
pub(super) fn complete(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    (entry, outcome): (u32, Option<Outcome>),
) -> Result<(), Stop> {
    let Some(mut work) = Work::open(view, at, address)? else {
        return Ok(());
    };
    let runs = matches!(
        work.head.status(),
        Status::Running | Status::Suspended | Status::Paused
    );
    if !runs || work.head.pin.as_ref().is_some_and(|pin| !pin.is_filled()) {
        return Ok(());
    }
    let ahead = entry.checked_sub(work.head.commands);
    let waits: Option<Pending> = work.view.load(&rows::pending(address, entry))?;
    match (ahead, waits) {
        (Some(ahead), None) if ahead < limits::INVOCATION_ENTRIES_AHEAD => {
            let early = Pending {
                early: Some(outcome.unwrap_or_else(|| Outcome::value(""))),
                ..pending(Kind::Signal)
            };
            work.expect(entry, &early);
        }
        (None, Some(waits)) if waits.source() == Kind::Signal => {
            work.expected(entry);
            work.notify(completion(Kind::Signal, entry, outcome));
        }
        _ => return Ok(()),
    }
    work.close();
    Ok(())
}

impl Work<'_, '_> {
    pub(super) fn is_filled(&self) -> bool {
        self.head.pin.as_ref().is_some_and(Pin::is_filled)
    }

    /// Its entry is stored now.
    pub(super) fn awakeable(&mut self, id: u32) -> Result<(), Stop> {
        let early: Option<Pending> = self.view.load(&rows::pending(self.address, id))?;
        match early.and_then(|pending| pending.early) {
            Some(outcome) => {
                self.expected(id);
                self.notify(completion(Kind::Signal, id, Some(outcome)));
            }
            None => self.expect(id, &pending(Kind::Signal)),
        }
        Ok(())
    }

    /// Any of the entries will do. One without a row is completed, or it is a step of its own that is stored by now.
    pub(super) fn suspend_on_entries(&mut self, awaited: &Awaited) -> Result<(), Stop> {
        let ids: Vec<u32> = awaited.completions().collect();
        if ids.iter().any(|id| *id >= self.head.commands) {
            return self.fail(&Failed::of(571, "it suspended on an entry that it never made"));
        }
        let keys: Vec<_> = ids.iter().map(|id| rows::pending(self.address, *id)).collect();
        self.view.want(&keys)?;
        for key in &keys {
            if self.view.get(key)?.is_none() {
                self.run();
                return Ok(());
            }
        }
        self.let_go(awaited.clone());
        Ok(())
    }

    /// `true`: it, or what it has called, hears of it. Otherwise it waits for nothing.
    pub(super) fn cancel_entries(&mut self) -> Result<bool, Stop> {
        let mut heard = false;
        for (id, pending) in self.all_pending()? {
            if pending.early.is_some() {
                continue;
            }
            heard = true;
            if let Some(callee) = pending.called() {
                let cancel = Signal {
                    name: Some(SignalName::Number(1)),
                    outcome: None,
                };
                self.view
                    .send(&Address::invocation(&callee), Body::Signal(cancel));
                continue;
            }
            if pending.due > 0 {
                let due = Timestamp(pending.due);
                self.view.cancel_timer(due, self.address, &id.to_be_bytes());
            }
            self.expected(id);
            let failure = Outcome::failure(409, "canceled");
            self.notify(completion(pending.source(), id, Some(failure)));
        }
        Ok(heard)
    }
}

/// As letters name what is signalled.
pub(super) fn letter_name(name: &Name) -> SignalName {
    match name {
        Name::Signal(number) => SignalName::Number(*number),
        Name::NamedSignal(text) => SignalName::Text(text.clone()),
        Name::Completion(entry) => SignalName::Entry(*entry),
    }
}
