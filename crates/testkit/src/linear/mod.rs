//! Whether what clients saw can have happened one call after the other.
//!
//! A history is linearizable when its calls can be put into one order in which each follows those that had ended before it
//! began, and in which a plain sequential [`Model`] gives every answer that was given. Calls without an answer (a crash, an
//! error that leaves it open) may be put in anywhere after their beginning, or left out; those that have lapsed not behind what
//! began after that.
//!
//! | verdict | means |
//! |---|---|
//! | `Linearizable` | such an order was found |
//! | `Violation` | every order was tried: there is none |
//! | `Undecided` | [`CONFIGURATIONS_MAX`] were tried, neither is known. A test must fail on it |
//!
//! The search is that of Wing and Gong with the memory of Lowe ("Testing for linearizability", 2017): depth first, and no
//! configuration (what is done, and the state) twice. Histories of several keys are checked key by key: linearizability is
//! local.
//!
//! | file | what |
//! |---|---|
//! | `mod` | models, calls, verdicts |
//! | `history` | writes down what clients do, while they do it |
//! | `search` | looks for an order |
//! | `models` | counter, register with versions, map, lock, election |

use std::fmt::Debug;
use std::hash::Hash;

mod history;
mod search;

pub mod models;

#[cfg(test)]
mod tests;

pub use history::{Ended, Recorder};
pub use search::{CONFIGURATIONS_MAX, check, check_within};

/// What a thing does when one uses it alone.
pub trait Model {
    /// `default()` is what it begins with.
    type State: Clone + Debug + Default + Eq + Hash;
    type Operation: Debug + PartialEq;
    type Outcome: Debug;

    /// The state after the operation has had this outcome, or any (`None`). `None`: it cannot have had it here.
    fn apply(
        state: &Self::State,
        operation: &Self::Operation,
        outcome: Option<&Self::Outcome>,
    ) -> Option<Self::State>;
}

/// One call of one client. Times are those of one clock that grows with every call's beginning and end.
pub struct Call<M: Model> {
    pub began: u64,
    pub operation: M::Operation,
    /// When it ended, and how. `None`: it may have happened at any time since it began, or never.
    pub ended: Option<(u64, M::Outcome)>,
    /// Without an answer: since when it cannot happen any more, if it has not. Whoever was to do it is gone then.
    pub lapsed: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Linearizable,
    /// How far an order came at most, and what did not fit then.
    Violation(String),
    Undecided {
        configurations: usize,
    },
}
