//! What a step sees and what it leaves behind.

use std::collections::BTreeMap;

use base::{Error, Result, Timestamp};
use bytes::Bytes;

use crate::engine::{PartPage, PartScan};
use crate::key::{Address, Key, Table};
use crate::message::{Letter, Message};
use crate::row::Stored;
use crate::step::{Event, Reply, Request};

/// Rows that the host has in memory.
pub trait Rows: Send + Sync {
    fn get(&self, key: &Key) -> Found;

    /// Rows of the machine that takes the step; `None`: not loaded.
    fn range(&self, scan: &PartScan) -> Option<PartPage>;
}

/// What is known of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Row(Bytes),
    Absent,
    NotLoaded,
}

/// Why a step did not come to an end. It has changed nothing.
#[derive(Debug)]
pub enum Stop {
    /// Load these rows and apply the command again.
    Missing(Vec<Key>),
    /// Load these rows of the machine, and apply the command again.
    MissingRange(PartScan),
    /// The command is answered with this error.
    Refused(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Refused(error)
    }
}

/// What somebody is told once the step is durable. Lost in a crash, with those who were to hear it.
#[derive(Debug)]
pub enum Effect {
    /// Answers a command that was answered with [`Answer::Later`](crate::Answer::Later).
    Answer { request: Request, reply: Result<Reply> },
    /// Goes to everybody who watches the machine.
    Event(Event),
}

/// A step's view of the rows: what the host has, covered by what this step has changed so far.
pub struct View<'a> {
    rows: &'a dyn Rows,
    changes: BTreeMap<Key, Option<Bytes>>,
    letters: Vec<Letter>,
    effects: Vec<Effect>,
}

/// What a step leaves behind. A change of `None` deletes.
#[derive(Debug, Default)]
pub struct Stepped {
    pub changes: BTreeMap<Key, Option<Bytes>>,
    pub letters: Vec<Letter>,
    pub effects: Vec<Effect>,
}

impl<'a> View<'a> {
    pub fn new(rows: &'a dyn Rows) -> View<'a> {
        View {
            rows,
            changes: BTreeMap::new(),
            letters: vec![],
            effects: vec![],
        }
    }

    pub fn finish(self) -> Stepped {
        Stepped {
            changes: self.changes,
            letters: self.letters,
            effects: self.effects,
        }
    }

    pub fn get(&self, key: &Key) -> Result<Option<Bytes>, Stop> {
        if let Some(change) = self.changes.get(key) {
            return Ok(change.clone());
        }
        match self.rows.get(key) {
            Found::Row(row) => Ok(Some(row)),
            Found::Absent => Ok(None),
            Found::NotLoaded => Err(Stop::Missing(vec![key.clone()])),
        }
    }

    /// Asks for all of them at once, so that one load does.
    pub fn want<'k>(&self, keys: impl IntoIterator<Item = &'k Key>) -> Result<(), Stop> {
        let unknown = |key: &&Key| !self.changes.contains_key(*key) && self.rows.get(key) == Found::NotLoaded;
        let missing: Vec<Key> = keys.into_iter().filter(unknown).cloned().collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(Stop::Missing(missing))
        }
    }

    /// Rows of a part, in order, as they were before this step. One range in each step, and seldom: the host looks at all rows
    /// that it has in memory.
    pub fn range(&self, scan: &PartScan) -> Result<PartPage, Stop> {
        let page = self.rows.range(scan);
        page.ok_or_else(|| Stop::MissingRange(scan.clone()))
    }

    pub fn load<T: Stored>(&self, key: &Key) -> Result<Option<T>, Stop> {
        let row = self.get(key)?;
        Ok(row.map(|row| T::from_row(&row)).transpose()?)
    }

    pub fn store<T: Stored>(&mut self, key: Key, row: &T) {
        self.changes.insert(key, Some(row.to_row()));
    }

    pub fn delete(&mut self, key: Key) {
        self.changes.insert(key, None);
    }

    /// Sends `message` to the machine at `due`, or as soon after as can be. One timer per `due` and `id`.
    pub fn set_timer(&mut self, due: Timestamp, address: &Address, id: &[u8], message: &Message) {
        self.store(Key::timer(due.0, address, id), message);
    }

    pub fn cancel_timer(&mut self, due: Timestamp, address: &Address, id: &[u8]) {
        self.delete(Key::timer(due.0, address, id));
    }

    /// Sends `message` to another machine, wherever it lives: exactly once in effect, and in the order of sending between two
    /// partitions.
    pub fn send(&mut self, to: &Address, message: impl Into<Message>) {
        self.letters.push(Letter {
            to: to.bytes().clone(),
            message: Some(message.into()),
        });
    }

    /// From now on the machine wants to be talked for, by the [`Callee`](crate::engine::Callee) of its family, about `about`.
    /// A later call replaces an earlier one.
    pub fn converse(&mut self, address: &Address, about: &impl Stored) {
        self.store(Key::conversation(address), about);
    }

    pub fn hang_up(&mut self, address: &Address) {
        self.delete(Key::conversation(address));
    }

    pub fn emit(&mut self, event: impl Into<Event>) {
        self.effects.push(Effect::Event(event.into()));
    }

    pub fn answer(&mut self, request: Request, reply: Result<Reply>) {
        self.effects.push(Effect::Answer { request, reply });
    }
}

impl Stepped {
    /// Whether it leaves something that has to be stored.
    pub fn is_durable(&self) -> bool {
        !self.changes.is_empty() || !self.letters.is_empty()
    }

    /// Changes of one table.
    pub fn of(&self, table: Table) -> impl Iterator<Item = (&Bytes, Option<&Bytes>)> {
        let own = self.changes.iter().filter(move |(key, _)| key.table == table);
        own.map(|(key, row)| (&key.bytes, row.as_ref()))
    }
}
