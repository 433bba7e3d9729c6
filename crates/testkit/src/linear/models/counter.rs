//! A number that is added to, with a version where answers have one.

use super::version::Version;
use crate::linear::Model;

pub struct Counter;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    value: i64,
    version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Add(i64),
    Set(i64),
    Update { check: i64, value: i64 },
    Get,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The value after the operation. The version is `None` where answers do not tell it.
    Is { value: i64, version: Option<u64> },
    /// `Update` found another value.
    Changed,
}

impl Model for Counter {
    type State = State;
    type Operation = Operation;
    type Outcome = Outcome;

    fn apply(state: &State, operation: &Operation, outcome: Option<&Outcome>) -> Option<State> {
        let value = match *operation {
            Operation::Add(delta) => state.value.wrapping_add(delta),
            Operation::Set(value) => value,
            Operation::Update { check, value } if check == state.value => value,
            Operation::Update { .. } => {
                let refused = matches!(outcome, None | Some(Outcome::Changed));
                return refused.then(|| state.clone());
            }
            Operation::Get => return get(state, outcome),
        };
        let version = match outcome {
            None => None,
            Some(Outcome::Is { value: told, version }) if *told == value => *version,
            Some(_) => return None,
        };
        let version = state.version.grown_to(version)?;
        Some(State { value, version })
    }
}

fn get(state: &State, outcome: Option<&Outcome>) -> Option<State> {
    match outcome {
        None => Some(state.clone()),
        Some(Outcome::Is { value, version }) if *value == state.value => {
            let version = match version {
                Some(version) => state.version.seen(*version)?,
                None => state.version,
            };
            Some(State {
                version,
                ..state.clone()
            })
        }
        Some(_) => None,
    }
}
