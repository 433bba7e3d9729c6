//! Terms of an election: they never go back, and each has one leader at most. A leader who leaves with nobody behind leaves
//! the term without one.

use crate::linear::Model;

pub struct Election;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    term: u64,
    /// Empty: nobody.
    leader: String,
    /// Somebody may have changed it, and did not hear what came of it.
    open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Entering, leaving, being anointed, a session's end: whatever may change who leads.
    Change,
    Look,
}

/// The term after the operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub term: u64,
    pub leader: String,
}

impl Model for Election {
    type State = State;
    type Operation = Operation;
    type Outcome = Outcome;

    fn apply(state: &State, operation: &Operation, outcome: Option<&Outcome>) -> Option<State> {
        let changes = *operation == Operation::Change;
        let Some(Outcome { term, leader }) = outcome else {
            let open = state.open || changes;
            return Some(State {
                open,
                ..state.clone()
            });
        };
        let same = *term == state.term && *leader == state.leader;
        let left = *term == state.term && leader.is_empty();
        let later = *term > state.term;
        let possible = same || ((changes || state.open) && (left || later));
        possible.then(|| State {
            term: *term,
            leader: leader.clone(),
            open: state.open && !changes && same,
        })
    }
}
