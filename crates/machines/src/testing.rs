//! Runs machines on rows in memory: what a host does, without a disk, a clock or a caller.

use std::collections::{BTreeMap, VecDeque};

use base::{Error, Timestamp};
use bytes::Bytes;

use crate::engine::{PartPage, PartScan};
use crate::key::{Address, Key, Table};
use crate::message::{Letter, Message};
use crate::row::Stored;
use crate::step::{self, Answer, At, Command, Event, Query, Reply, Request};
use crate::view::{Effect, Found, Rows, Stop, View};

/// One machine's world: its rows, a clock that a test moves, and what was told to whom.
pub(crate) struct Bench {
    pub(crate) address: Address,
    pub(crate) now: Timestamp,
    rows: BTreeMap<Key, Bytes>,
    /// Rows that a step has asked for; all others are "not loaded", so that every machine is tried with missing rows.
    loaded: std::collections::BTreeSet<Key>,
    /// The range that a step has asked for last.
    scanned: Option<PartScan>,
    index: u64,
    requests: u64,
    pub(crate) epoch: u64,
    pub(crate) events: Vec<Event>,
    pub(crate) answers: Vec<(Request, Result<Reply, Error>)>,
    /// What machines have sent to machines.
    letters: VecDeque<Letter>,
}

impl Rows for Bench {
    fn get(&self, key: &Key) -> Found {
        if !self.loaded.contains(key) {
            return Found::NotLoaded;
        }
        self.rows.get(key).cloned().map_or(Found::Absent, Found::Row)
    }

    fn range(&self, scan: &PartScan) -> Option<PartPage> {
        (self.scanned.as_ref() == Some(scan)).then(|| self.scan(scan))
    }
}

/// What a command was answered with.
#[derive(Debug)]
pub(crate) enum Got {
    Now(Reply),
    Later(Request),
    Refused(Error),
}

impl Bench {
    pub(crate) fn new() -> Bench {
        Bench {
            address: Address::primitive("store", "test"),
            now: Timestamp(1_000),
            rows: BTreeMap::new(),
            loaded: std::collections::BTreeSet::new(),
            scanned: None,
            index: 0,
            requests: 0,
            epoch: 1,
            events: vec![],
            answers: vec![],
            letters: VecDeque::new(),
        }
    }

    /// Applies a command to another machine, and then everything that machines have sent each other.
    pub(crate) fn apply_to(&mut self, address: &Address, command: impl Into<Command>) -> Got {
        self.address = address.clone();
        let got = self.apply(command);
        self.deliver();
        got
    }

    fn deliver(&mut self) {
        while let Some(letter) = self.letters.pop_front() {
            self.address = Address::of(letter.to);
            self.apply(Command::Message(letter.message.unwrap_or_default()));
        }
    }

    pub(crate) fn read_of(&mut self, address: &Address, query: impl Into<Query>) -> Result<Reply, Error> {
        self.address = address.clone();
        self.read(query)
    }

    /// Applies a command as the host does; refused steps change nothing.
    pub(crate) fn apply(&mut self, command: impl Into<Command>) -> Got {
        let command = command.into();
        self.requests += 1;
        let request = Request {
            epoch: self.epoch,
            number: self.requests,
        };
        let at = At {
            now: self.now,
            index: self.index + 1,
            request,
        };
        for _ in 0..8 {
            let mut view = View::new(self);
            match step::apply(&mut view, at, &self.address, &command) {
                Ok(answer) => {
                    let stepped = view.finish();
                    self.index += u64::from(!stepped.changes.is_empty());
                    self.keep(stepped);
                    return match answer {
                        Answer::Now(reply) => Got::Now(reply),
                        Answer::Later => Got::Later(request),
                    };
                }
                Err(Stop::Missing(keys)) => self.loaded.extend(keys),
                Err(Stop::MissingRange(scan)) => self.scanned = Some(scan),
                Err(Stop::Refused(error)) => return Got::Refused(error),
            }
        }
        panic!("a step asked for rows eight times: {command:?}");
    }

    /// Rows of a part, as a host finds them.
    pub(crate) fn scan(&self, scan: &PartScan) -> PartPage {
        assert!(!scan.descending, "only snapshots are read backwards");
        let prefix = Key::part(&self.address, scan.part, &scan.prefix);
        let rows = self.rows.range(prefix.clone()..);
        let rows =
            rows.take_while(|(key, _)| key.table == prefix.table && key.bytes.starts_with(&prefix.bytes));
        let suffix = |key: &Key| Bytes::copy_from_slice(Key::suffix(&self.address, &key.bytes));
        let rows = rows.map(|(key, row)| (suffix(key), row.clone()));
        let mut rows: Vec<_> = rows
            .filter(|(suffix, _)| scan.after.as_ref().is_none_or(|after| suffix > after))
            .collect();
        let more = rows.len() > scan.limit;
        rows.truncate(scan.limit);
        PartPage { rows, more }
    }

    fn keep(&mut self, stepped: crate::view::Stepped) {
        for (key, row) in stepped.changes {
            self.loaded.insert(key.clone());
            match row {
                Some(row) => self.rows.insert(key, row),
                None => self.rows.remove(&key),
            };
        }
        self.letters.extend(stepped.letters);
        for effect in stepped.effects {
            match effect {
                Effect::Event(event) => self.events.push(event),
                Effect::Answer { request, reply } => self.answers.push((request, reply)),
            }
        }
    }

    pub(crate) fn read(&mut self, query: impl Into<Query>) -> Result<Reply, Error> {
        let query = query.into();
        for _ in 0..8 {
            let view = View::new(self);
            match step::read(&view, self.now, &self.address, &query) {
                Ok(reply) => return Ok(reply),
                Err(Stop::Missing(keys)) => self.loaded.extend(keys),
                Err(Stop::MissingRange(scan)) => self.scanned = Some(scan),
                Err(Stop::Refused(error)) => return Err(error),
            }
        }
        panic!("a query asked for rows eight times: {query:?}");
    }

    /// Moves the clock and fires what is due, in order.
    pub(crate) fn advance(&mut self, millis: u64) {
        let until = self.now.0 + millis;
        while let Some((due, key)) = self.first_timer().filter(|(due, _)| *due <= until) {
            self.now = self.now.max(Timestamp(due));
            let row = self.rows.remove(&key).expect("a timer that was just found");
            let message = Message::from_row(&row).expect("a timer's message");
            if let Some((_, address)) = Key::decode_timer(&key.bytes) {
                self.address = address;
            }
            self.apply(Command::Message(message));
            self.deliver();
        }
        self.now = Timestamp(until);
    }

    fn first_timer(&self) -> Option<(u64, Key)> {
        let timers = self.rows.keys().filter(|key| key.table == Table::Timer);
        let timers = timers.filter_map(|key| Some((Key::decode_timer(&key.bytes)?.0, key.clone())));
        timers.min()
    }

    /// The number of the last request.
    pub(crate) fn requests(&self) -> u64 {
        self.requests
    }

    /// Of the next step that changes something.
    pub(crate) fn next_index(&self) -> u64 {
        self.index + 1
    }

    /// Rows of one table that are there now.
    pub(crate) fn count(&self, table: Table) -> usize {
        self.rows.keys().filter(|key| key.table == table).count()
    }

    pub(crate) fn row(&self, key: &Key) -> Option<Bytes> {
        self.rows.get(key).cloned()
    }

    /// A row that no step has written.
    pub(crate) fn put(&mut self, key: Key, row: Bytes) {
        self.loaded.remove(&key);
        self.rows.insert(key, row);
    }

    /// A new owner: nobody who waited before waits now.
    pub(crate) fn restart(&mut self) {
        self.epoch += 1;
        self.loaded.clear();
    }
}
