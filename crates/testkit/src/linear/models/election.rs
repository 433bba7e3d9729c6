//! Candidates, one of whom leads. Terms never go back, each has one leader at most, and who leads follows from what was done.

use super::version::Version;
use crate::linear::Model;

pub struct Election;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    term: u64,
    leader: Option<Candidate>,
    /// Who would lead next, in order.
    queue: Vec<Candidate>,
    version: Version,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Candidate {
    name: String,
    session: u64,
}

/// Sessions are named by numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    Enter {
        candidate: String,
        session: u64,
    },
    /// Withdrawing or being evicted.
    Leave(String),
    Anoint(String),
    Promote(String),
    Demote(String),
    Look,
    /// The session is over: its candidates leave. Noted without an answer when its connection is lost.
    Lose {
        session: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The term after the operation.
    Is {
        term: u64,
        /// Empty: nobody.
        leader: String,
        candidates: Vec<String>,
        /// `None` where answers do not tell it.
        version: Option<u64>,
    },
    Lost,
}

impl Model for Election {
    type State = State;
    type Operation = Operation;
    type Outcome = Outcome;

    fn apply(state: &State, operation: &Operation, outcome: Option<&Outcome>) -> Option<State> {
        let mut next = state.clone();
        match operation {
            Operation::Enter { candidate, session } => next.enter(candidate, *session),
            Operation::Leave(name) => next.leave(|candidate| candidate.name == *name),
            Operation::Anoint(name) => next.anoint(name),
            Operation::Promote(name) => next.promote(name),
            Operation::Demote(name) => next.demote(name),
            Operation::Look => {}
            Operation::Lose { session } => next.leave(|candidate| candidate.session == *session),
        }
        let told = match (operation, outcome) {
            (_, None) | (Operation::Lose { .. }, Some(Outcome::Lost)) => None,
            (Operation::Lose { .. }, _) | (_, Some(Outcome::Lost)) => return None,
            (_, Some(Outcome::Is { version, .. })) => *version,
        };
        next.version = match told {
            _ if next.seen() != state.seen() => state.version.grown_to(told)?,
            Some(version) => state.version.seen(version)?,
            None => state.version,
        };
        match outcome {
            Some(Outcome::Is {
                term,
                leader,
                candidates,
                ..
            }) => (next.seen() == (*term, leader.as_str(), names(candidates))).then_some(next),
            _ => Some(next),
        }
    }
}

impl State {
    fn enter(&mut self, name: &str, session: u64) {
        let mut all = self.leader.iter_mut().chain(&mut self.queue);
        if let Some(known) = all.find(|candidate| candidate.name == name) {
            known.session = session;
            return;
        }
        let name = name.to_owned();
        self.queue.push(Candidate { name, session });
        self.fill();
    }

    fn leave(&mut self, leaves: impl Fn(&Candidate) -> bool) {
        self.queue.retain(|candidate| !leaves(candidate));
        if self.leader.as_ref().is_some_and(leaves) {
            self.leader = None;
            self.fill();
        }
    }

    fn fill(&mut self) {
        if self.leader.is_none() && !self.queue.is_empty() {
            self.depose(0);
        }
    }

    fn anoint(&mut self, name: &str) {
        if let Some(place) = self.place(name) {
            self.depose(place);
        }
    }

    fn promote(&mut self, name: &str) {
        match self.place(name) {
            Some(0) => self.depose(0),
            Some(place) => self.queue.swap(place - 1, place),
            None => {}
        }
    }

    fn demote(&mut self, name: &str) {
        let last = self.queue.len().saturating_sub(1);
        let leads = self.leader.as_ref().is_some_and(|leader| leader.name == name);
        match self.place(name) {
            Some(place) if place < last => self.queue.swap(place, place + 1),
            None if leads && !self.queue.is_empty() => self.depose(0),
            _ => {}
        }
    }

    /// Who is at that place of the queue leads; who led is the first to follow.
    fn depose(&mut self, place: usize) {
        let next = self.queue.remove(place);
        let leader = self.leader.replace(next);
        self.queue.splice(0..0, leader);
        self.term += 1;
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.queue.iter().position(|candidate| candidate.name == name)
    }

    /// What clients see of it.
    fn seen(&self) -> (u64, &str, Vec<&str>) {
        let leader = self.leader.as_ref().map_or("", |leader| leader.name.as_str());
        let queue = self.queue.iter().map(|candidate| candidate.name.as_str());
        (self.term, leader, queue.collect())
    }
}

fn names(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}
