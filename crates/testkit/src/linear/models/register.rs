//! One value that may be absent, with versions that strictly grow: a value, or an entry of a map.

use super::version::Version;
use crate::linear::Model;

pub struct Register;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    value: Option<String>,
    /// Of the last write, also when it was a delete, whose own version is not told.
    version: Version,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    Put(String),
    /// Only when nothing is there.
    Insert(String),
    /// Only when something is there; `expect` 0 is any version.
    Update {
        value: String,
        expect: u64,
    },
    Delete {
        expect: u64,
    },
    Get,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Written {
        version: u64,
        before: Before,
    },
    /// What `Get` found, or `Delete` took away.
    Found {
        value: String,
        version: u64,
    },
    Absent,
    /// `Insert` found something.
    Exists,
    /// Another version than expected was found.
    Changed,
}

/// What a write says of what was there before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Before {
    NotTold,
    Nothing,
    Was { value: String, version: u64 },
}

impl Model for Register {
    type State = State;
    type Operation = Operation;
    type Outcome = Outcome;

    fn apply(state: &State, operation: &Operation, outcome: Option<&Outcome>) -> Option<State> {
        let Some(outcome) = outcome else {
            return guess(state, operation);
        };
        match (operation, outcome) {
            (Operation::Put(value), Outcome::Written { version, before }) => {
                state.was(before)?.write(value, Some(*version))
            }
            (Operation::Insert(value), Outcome::Written { version, before }) => {
                state.absent()?.was(before)?.write(value, Some(*version))
            }
            (Operation::Update { value, expect }, Outcome::Written { version, before }) => {
                let state = state.present()?.expected(*expect)?;
                state.was(before)?.write(value, Some(*version))
            }
            (Operation::Delete { expect }, Outcome::Found { value, version }) => {
                state.found(value, *version)?.expected(*expect)?.clear()
            }
            (Operation::Get, Outcome::Found { value, version }) => state.found(value, *version),
            (Operation::Insert(_), Outcome::Exists) => state.present(),
            (Operation::Get | Operation::Update { .. } | Operation::Delete { .. }, Outcome::Absent) => {
                state.absent()
            }
            (Operation::Update { expect, .. } | Operation::Delete { expect }, Outcome::Changed) => {
                let other = *expect != 0 && state.version != Version::Is(*expect);
                state.present().filter(|_| other)
            }
            _ => None,
        }
    }
}

/// Its effect, when nobody knows of it.
fn guess(state: &State, operation: &Operation) -> Option<State> {
    match operation {
        Operation::Put(value) => state.write(value, None),
        Operation::Insert(value) => state.absent()?.write(value, None),
        Operation::Update { value, expect } => state.present()?.expected(*expect)?.write(value, None),
        Operation::Delete { expect } => state.present()?.expected(*expect)?.clear(),
        Operation::Get => Some(state.clone()),
    }
}

impl State {
    fn absent(&self) -> Option<State> {
        self.value.is_none().then(|| self.clone())
    }

    fn present(&self) -> Option<State> {
        self.value.is_some().then(|| self.clone())
    }

    fn expected(&self, version: u64) -> Option<State> {
        if version == 0 {
            return Some(self.clone());
        }
        let version = self.version.seen(version)?;
        Some(State {
            version,
            ..self.clone()
        })
    }

    fn found(&self, value: &str, version: u64) -> Option<State> {
        if self.value.as_deref() != Some(value) {
            return None;
        }
        let version = self.version.seen(version)?;
        Some(State {
            version,
            ..self.clone()
        })
    }

    fn was(&self, before: &Before) -> Option<State> {
        match before {
            Before::NotTold => Some(self.clone()),
            Before::Nothing => self.absent(),
            Before::Was { value, version } => self.found(value, *version),
        }
    }

    fn write(&self, value: &str, version: Option<u64>) -> Option<State> {
        Some(State {
            value: Some(value.to_owned()),
            version: self.version.grown_to(version)?,
        })
    }

    fn clear(&self) -> Option<State> {
        Some(State {
            value: None,
            version: self.version.grown_to(None)?,
        })
    }
}
