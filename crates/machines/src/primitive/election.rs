//! Candidates, one of whom leads. Source: Atomix election v1, intended semantics (spec 2.3).
//!
//! | command | no leader | names the leader | names one in the queue | names nobody |
//! |---|---|---|---|---|
//! | `Enter` | leads, new term | only its session changes | only its session changes | goes to the queue's end |
//! | `Withdraw`, `Evict` | nothing | the first of the queue leads, new term; or nobody, same term | leaves the queue | nothing |
//! | `Anoint` | nothing | nothing | leads, new term; the old leader is first in the queue | nothing |
//! | `Promote`, first in the queue | | nothing | changes places with the leader, new term | nothing |
//! | `Promote`, any other | | | one place forward | |
//! | `Demote` | nothing | changes places with the first in the queue, new term; alone: nothing | one place back; the last one: nothing | nothing |
//! | a session is over | nothing | all its candidates leave, at most one new term | | |
//!
//! A candidate is a name, the empty one too. Whoever enters under a name that is there takes it over: from then on it lives
//! as long as the newer session, and the end of the older one does not touch it. Everything that can be seen to change is
//! told once; `nothing` is not. The term never goes back and outlives all sessions; 0 is before the first `Enter`.

use std::collections::BTreeSet;

use base::{Error, Result, Timestamp, codes, limits};

use super::{Type, session};
use crate::key::{Address, Key, Session};
use crate::message::StoredSession;
use crate::row::Stored;
use crate::step::{Answer, At};
use crate::view::{Stop, View};

#[cfg(test)]
mod tests;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Enter { candidate: String, session: Session },
    Withdraw { candidate: String },
    Anoint { candidate: String },
    Promote { candidate: String },
    Demote { candidate: String },
    Evict { candidate: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query {
    GetTerm,
}

/// Who leads, and who would next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Term {
    pub term: u64,
    pub leader: Option<String>,
    /// Without the leader.
    pub candidates: Vec<String>,
    /// The index of the step that made it so; 0: none has.
    pub version: u64,
}

pub type Reply = Term;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event(pub Term);

#[derive(Clone, PartialEq, prost::Message)]
struct Election {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(message, optional, tag = "2")]
    leader: Option<Candidate>,
    #[prost(message, repeated, tag = "3")]
    queue: Vec<Candidate>,
    #[prost(uint64, tag = "4")]
    version: u64,
}

impl Stored for Election {}

#[derive(Clone, PartialEq, prost::Message)]
struct Candidate {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, required, tag = "2")]
    session: StoredSession,
}

pub(super) fn apply(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    command: &Command,
) -> Result<Answer, Stop> {
    let term = change(view, at, address, |election| match command {
        Command::Enter { candidate, session } => election.enter(candidate, *session),
        Command::Withdraw { candidate } | Command::Evict { candidate } => {
            election.leave(|found| found.name == *candidate);
            Ok(())
        }
        Command::Anoint { candidate } => {
            election.anoint(candidate);
            Ok(())
        }
        Command::Promote { candidate } => {
            election.promote(candidate);
            Ok(())
        }
        Command::Demote { candidate } => {
            election.demote(candidate);
            Ok(())
        }
    })?;
    Ok(Answer::Now(term.into()))
}

pub(super) fn read(
    view: &View<'_>,
    _now: Timestamp,
    address: &Address,
    query: &Query,
) -> Result<Reply, Stop> {
    let Query::GetTerm = query;
    let election: Election = view.load(&Key::head(address))?.unwrap_or_default();
    Ok(election.seen())
}

pub(super) fn session_over(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    session: Session,
) -> Result<(), Stop> {
    change(view, at, address, |election| {
        election.leave(|found| found.session == session.into());
        Ok(())
    })?;
    Ok(())
}

/// Loads the election, keeps what `step` makes of it, and tells what can be seen to have changed.
fn change(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    step: impl FnOnce(&mut Election) -> Result<()>,
) -> Result<Term, Stop> {
    let key = Key::head(address);
    let before: Election = view.load(&key)?.unwrap_or_default();
    let mut election = before.clone();
    step(&mut election)?;
    if election == before {
        return Ok(before.seen());
    }
    session::keep(
        view,
        address,
        Type::LeaderElection,
        (&before.sessions(), &election.sessions()),
    )?;
    if election.seen() != before.seen() {
        election.version = at.index;
        view.emit(Event(election.seen()));
    }
    view.store(key, &election);
    Ok(election.seen())
}

impl Election {
    fn enter(&mut self, name: &str, session: Session) -> Result<()> {
        let known = self.leader.iter_mut().chain(&mut self.queue);
        if let Some(known) = known.into_iter().find(|found| found.name == name) {
            known.session = session.into();
            return Ok(());
        }
        if name.len() > limits::PRIMITIVE_NAME_BYTES_MAX {
            let message = format!(
                "a candidate's name has {} bytes, it may have {}",
                name.len(),
                limits::PRIMITIVE_NAME_BYTES_MAX
            );
            return Err(Error::new(codes::INVALID_ARGUMENT, message));
        }
        if self.queue.len() >= limits::ELECTION_CANDIDATES_MAX {
            let message = format!("{} candidates wait in this election already", self.queue.len());
            return Err(Error::new(codes::TOO_MANY_REQUESTS, message));
        }
        self.queue.push(Candidate {
            name: name.to_owned(),
            session: session.into(),
        });
        if self.leader.is_none() {
            self.elect(0);
        }
        Ok(())
    }

    fn leave(&mut self, leaves: impl Fn(&Candidate) -> bool) {
        self.queue.retain(|candidate| !leaves(candidate));
        if self.leader.as_ref().is_some_and(leaves) {
            self.leader = None;
            if !self.queue.is_empty() {
                self.elect(0);
            }
        }
    }

    fn anoint(&mut self, name: &str) {
        if let Some(place) = self.place(name) {
            self.elect(place);
        }
    }

    fn promote(&mut self, name: &str) {
        match self.place(name) {
            Some(0) => self.elect(0),
            Some(place) => self.queue.swap(place - 1, place),
            None => {}
        }
    }

    fn demote(&mut self, name: &str) {
        let leads = self.leader.as_ref().is_some_and(|leader| leader.name == name);
        match self.place(name) {
            _ if leads && !self.queue.is_empty() => self.elect(0),
            Some(place) if place + 1 < self.queue.len() => self.queue.swap(place, place + 1),
            _ => {}
        }
    }

    /// Whoever is at that place of the queue leads from now on; who led until now is the first to follow.
    fn elect(&mut self, place: usize) {
        let next = self.queue.remove(place);
        if let Some(leader) = self.leader.replace(next) {
            self.queue.insert(0, leader);
        }
        self.term = self.term.saturating_add(1);
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.queue.iter().position(|candidate| candidate.name == name)
    }

    fn seen(&self) -> Term {
        Term {
            term: self.term,
            leader: self.leader.as_ref().map(|leader| leader.name.clone()),
            candidates: self
                .queue
                .iter()
                .map(|candidate| candidate.name.clone())
                .collect(),
            version: self.version,
        }
    }

    fn sessions(&self) -> BTreeSet<Session> {
        let all = self.leader.iter().chain(&self.queue);
        all.map(|candidate| candidate.session.into()).collect()
    }
}
