//! Keys with versioned values, changed one by one or several at once. Versions strictly grow over the whole map: all writes of
//! one commit have the same one, and it is larger than any before.
//!
//! A commit is all of its changes or none: so a map is judged as one thing, and not key by key.

use std::collections::BTreeMap;

use super::register::Before;
use super::version::Version;
use crate::linear::Model;

pub struct Map;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    entries: BTreeMap<String, Entry>,
    /// The largest version that somebody was told.
    last: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Entry {
    value: String,
    version: Version,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// All of them or none. No key twice.
    Commit(Vec<Change>),
    Clear,
    Get(String),
    Size,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub key: String,
    pub to: To,
}

/// `expect` 0 is any version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// An equal value stays as it is, with its version.
    Put {
        value: String,
        expect: u64,
    },
    /// Only when nothing is there.
    Insert(String),
    /// Only when something is there.
    Update {
        value: String,
        expect: u64,
    },
    Remove {
        expect: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As many as there were changes.
    Committed(Vec<Changed>),
    Cleared,
    Found {
        value: String,
        version: u64,
    },
    Size(u64),
    /// Nothing was there; of a commit: for one of its changes, and none is made. So are the next two.
    Absent,
    /// Something was there already.
    Exists,
    /// Another version than expected was there.
    Mismatch,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    Written { version: u64, before: Before },
    Removed { value: String, version: u64 },
}

impl Model for Map {
    type State = State;
    type Operation = Operation;
    type Outcome = Outcome;

    fn apply(state: &State, operation: &Operation, outcome: Option<&Outcome>) -> Option<State> {
        match (operation, outcome) {
            (Operation::Commit(changes), None) => state.guess(changes),
            (Operation::Commit(changes), Some(Outcome::Committed(changed))) => state.commit(changes, changed),
            (Operation::Commit(changes), Some(outcome)) => {
                state.may_refuse(changes, outcome).then(|| state.clone())
            }
            (Operation::Clear, None | Some(Outcome::Cleared)) => Some(State {
                entries: BTreeMap::new(),
                last: state.last,
            }),
            (Operation::Get(_) | Operation::Size, None) => Some(state.clone()),
            (Operation::Get(key), Some(Outcome::Found { value, version })) => {
                state.found(key, value, *version)
            }
            (Operation::Get(key), Some(Outcome::Absent)) => {
                (!state.entries.contains_key(key)).then(|| state.clone())
            }
            (Operation::Size, Some(Outcome::Size(size))) => {
                (state.entries.len() as u64 == *size).then(|| state.clone())
            }
            _ => None,
        }
    }
}

impl State {
    fn commit(&self, changes: &[Change], changed: &[Changed]) -> Option<State> {
        if changes.len() != changed.len() {
            return None;
        }
        let (mut next, mut written) = (self.clone(), None);
        for (Change { key, to }, changed) in changes.iter().zip(changed) {
            next = next.takes(key, to)?;
            match (value(to), changed) {
                (None, Changed::Removed { value, version }) => {
                    next = next.found(key, value, *version)?;
                    next.entries.remove(key);
                }
                (Some(value), Changed::Written { version, before }) if next.stays(key, to) => {
                    let tells_nothing = !matches!(before, Before::Was { .. });
                    next = next.found(key, value, *version).filter(|_| tells_nothing)?;
                }
                (Some(value), Changed::Written { version, before }) => {
                    next = next.was(key, before)?;
                    let is_one = *written.get_or_insert(*version) == *version;
                    let version = Version::Is(next.last)
                        .grown_to(Some(*version))
                        .filter(|_| is_one)?;
                    next.write(key, value, version);
                }
                _ => return None,
            }
        }
        next.last = next.last.max(written.unwrap_or(0));
        Some(next)
    }

    /// Its effect, when nobody knows of it.
    fn guess(&self, changes: &[Change]) -> Option<State> {
        let mut next = self.clone();
        for Change { key, to } in changes {
            next = next.takes(key, to)?;
            match value(to) {
                None => drop(next.entries.remove(key)),
                Some(_) if next.stays(key, to) => {}
                Some(value) => next.write(key, value, Version::Above(next.last)),
            }
        }
        Some(next)
    }

    /// Whether it can be the first change that is refused that is refused with this.
    fn may_refuse(&self, changes: &[Change], outcome: &Outcome) -> bool {
        for Change { key, to } in changes {
            let entry = self.entries.get(key);
            let refused = match (to, outcome) {
                (To::Update { .. } | To::Remove { .. }, Outcome::Absent) => entry.is_none(),
                (To::Insert(_), Outcome::Exists) => entry.is_some(),
                (To::Put { .. }, Outcome::Mismatch) if entry.is_none() => expected(to).is_some(),
                (_, Outcome::Mismatch) => {
                    let expected = expected(to).map(Version::Is);
                    entry.is_some_and(|entry| expected.is_some_and(|expected| entry.version != expected))
                }
                _ => false,
            };
            if refused {
                return true;
            }
            if self.takes(key, to).is_none() {
                return false;
            }
        }
        false
    }

    /// As it is known to be when this change is not refused.
    fn takes(&self, key: &str, to: &To) -> Option<State> {
        match (self.entries.get(key), to) {
            (None, To::Put { expect: 0, .. } | To::Insert(_)) => Some(self.clone()),
            (None, _) | (Some(_), To::Insert(_)) => None,
            (Some(entry), _) => match expected(to) {
                Some(version) => self.found(key, &entry.value, version),
                None => Some(self.clone()),
            },
        }
    }

    /// Whether the value is there already.
    fn stays(&self, key: &str, to: &To) -> bool {
        let entry = self.entries.get(key);
        matches!(to, To::Put { value, .. } if entry.is_some_and(|entry| entry.value == *value))
    }

    /// What a write says of what was there before it.
    fn was(&self, key: &str, before: &Before) -> Option<State> {
        match before {
            Before::NotTold => Some(self.clone()),
            Before::Nothing => (!self.entries.contains_key(key)).then(|| self.clone()),
            Before::Was { value, version } => self.found(key, value, *version),
        }
    }

    fn found(&self, key: &str, value: &str, version: u64) -> Option<State> {
        let entry = self.entries.get(key).filter(|entry| entry.value == value)?;
        let seen = entry.version.seen(version)?;
        let mut state = self.clone();
        state.write(key, value, seen);
        state.last = state.last.max(version);
        Some(state)
    }

    fn write(&mut self, key: &str, value: &str, version: Version) {
        let value = value.to_owned();
        self.entries.insert(key.to_owned(), Entry { value, version });
    }
}

fn value(to: &To) -> Option<&str> {
    match to {
        To::Put { value, .. } | To::Insert(value) | To::Update { value, .. } => Some(value),
        To::Remove { .. } => None,
    }
}

fn expected(to: &To) -> Option<u64> {
    match to {
        To::Put { expect, .. } | To::Update { expect, .. } | To::Remove { expect } => {
            Some(*expect).filter(|expect| *expect != 0)
        }
        To::Insert(_) => None,
    }
}
