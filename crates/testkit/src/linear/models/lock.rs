//! A lock with tokens that strictly grow, held by one session at most.

use super::version::Version;
use crate::linear::Model;

pub struct Lock;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    holder: Option<u64>,
    /// Of the last grant.
    token: Version,
}

/// Sessions are named by numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Acquire {
        session: u64,
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
        match (*operation, outcome.copied()) {
            (Operation::Acquire { session }, None) => state.grant(session, None),
            (Operation::Acquire { session }, Some(Outcome::Granted { token })) => {
                state.grant(session, Some(token))
            }
            (Operation::Acquire { .. }, Some(Outcome::Refused)) => {
                state.holder.is_some().then(|| state.clone())
            }
            (Operation::Release { session }, None | Some(Outcome::Released)) => {
                (state.holder == Some(session)).then(|| state.free())
            }
            (Operation::Release { session }, Some(Outcome::NotHeld)) => {
                (state.holder != Some(session)).then(|| state.clone())
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
            (Operation::Lose { session }, None | Some(Outcome::Lost)) => {
                Some(if state.holder == Some(session) {
                    state.free()
                } else {
                    state.clone()
                })
            }
            _ => None,
        }
    }
}

impl State {
    fn grant(&self, session: u64, token: Option<u64>) -> Option<State> {
        if self.holder.is_some() {
            return None;
        }
        Some(State {
            holder: Some(session),
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
