//! A lock with tokens that strictly grow, held by one request of one session at most.

use super::version::Version;
use crate::linear::Model;

pub struct Lock;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    holder: Option<Holder>,
    /// Of the last grant.
    token: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Holder {
    session: u64,
    request: u64,
}

/// Sessions are named by numbers, and so is each request to acquire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Acquire {
        session: u64,
        request: u64,
    },
    /// Whoever sent that request has gone away: what it got, if anything, is free. Noted without an answer.
    Abandon {
        request: u64,
    },
    Release {
        session: u64,
    },
    Look,
    /// The session is over: what it holds becomes free. Noted without an answer when its connection is lost.
    Lose {
        session: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Granted {
        token: u64,
    },
    /// Somebody held it all the while that this one wanted to wait.
    Refused,
    Released,
    NotHeld,
    HeldWith {
        token: u64,
    },
    Free,
    Lost,
}

impl Model for Lock {
    type State = State;
    type Operation = Operation;
    type Outcome = Outcome;

    fn apply(state: &State, operation: &Operation, outcome: Option<&Outcome>) -> Option<State> {
        let is_held_by = |session| state.holder.is_some_and(|holder| holder.session == session);
        match (*operation, outcome.copied()) {
            (Operation::Acquire { session, request }, None) => state.grant(Holder { session, request }, None),
            (Operation::Acquire { session, request }, Some(Outcome::Granted { token })) => {
                state.grant(Holder { session, request }, Some(token))
            }
            (Operation::Acquire { .. }, Some(Outcome::Refused)) => {
                state.holder.is_some().then(|| state.clone())
            }
            (Operation::Abandon { request }, None) => {
                let holds = state.holder.is_some_and(|holder| holder.request == request);
                holds.then(|| state.free())
            }
            (Operation::Release { session }, None | Some(Outcome::Released)) => {
                is_held_by(session).then(|| state.free())
            }
            (Operation::Release { session }, Some(Outcome::NotHeld)) => {
                (!is_held_by(session)).then(|| state.clone())
            }
            (Operation::Look, None) => Some(state.clone()),
            (Operation::Look, Some(Outcome::HeldWith { token })) => {
                state.holder?;
                let token = state.token.seen(token)?;
                Some(State {
                    token,
                    ..state.clone()
                })
            }
            (Operation::Look, Some(Outcome::Free)) => state.holder.is_none().then(|| state.clone()),
            (Operation::Lose { session }, None | Some(Outcome::Lost)) => Some(if is_held_by(session) {
                state.free()
            } else {
                state.clone()
            }),
            _ => None,
        }
    }
}

impl State {
    fn grant(&self, to: Holder, token: Option<u64>) -> Option<State> {
        if self.holder.is_some() {
            return None;
        }
        Some(State {
            holder: Some(to),
            token: self.token.grown_to(token)?,
        })
    }

    fn free(&self) -> State {
        State {
            holder: None,
            token: self.token,
        }
    }
}
