//! Applying: commands to rows in memory, and what comes of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};

use base::answers::Reply as Waiting;
use base::{Error, Result, codes, limits};
use bytes::Bytes;
use machines::engine::{PartScan, Talk};
use machines::invocation::Known;
use machines::message::Letter;
use machines::{
    Address, Answer, At, Command, Effect, Found, Key, Reply, Request, Rows, Session, Stepped, Stop, Stored,
    Table, View,
};
use ports::kv::{Batch, Keyspace, Scan, Write};

use tokio::time::Instant;

use super::held::Step;
use super::timers::Due;
use super::{Partition, Told, again};
use crate::inbox::{Caller, Queued, Sender};
use crate::{keys, reading};

/// What is to be told once a batch is durable.
#[derive(Default)]
pub(super) struct Applied {
    /// Of its last step.
    pub(super) index: u64,
    /// How many steps: timers and commands.
    pub(super) steps: usize,
    pub(super) events: Vec<Told>,
    pub(super) answers: Vec<(Waiting<Result<Reply>>, Result<Reply>)>,
    /// Callers who are answered by a later step.
    pub(super) parked: Vec<(Request, Waiting<Result<Reply>>)>,
    /// Answers to callers of earlier steps, or of this batch's.
    pub(super) released: Vec<(Request, Result<Reply>)>,
    /// To which partition, and their numbers.
    pub(super) letters: Vec<(u16, u64, Letter)>,
    /// How far the letters of which partition were taken.
    pub(super) receipts: BTreeMap<u16, u64>,
    /// Conversations that begin, or (`None`) are over.
    pub(super) talks: Vec<(Address, Option<Talk>)>,
    /// What the host itself has said, to be said again if this batch is refused.
    said: Vec<Queued>,
    /// Steps that were held until this batch: user code works on them, and somebody waits.
    pub(super) begun: Vec<(Address, Request)>,
}

/// The changes of a batch, each row once.
#[derive(Default)]
struct Changes {
    rows: BTreeMap<Key, Option<Bytes>>,
    /// Of all rows that were put, those that were overwritten included.
    bytes: usize,
    /// How much more is there than before, bytes.
    growth: i64,
    /// What machines here have sent to machines here.
    local: VecDeque<Letter>,
    /// Rows of conversations that begin with a step that is held.
    begun: BTreeSet<Key>,
    /// What those of steps that are not held any more have begun with. They were not stored before.
    spoken: BTreeMap<Key, Bytes>,
    /// Whose those are.
    held: Vec<(Address, Request)>,
}

impl Changes {
    fn is_full(&self) -> bool {
        self.rows.len() >= limits::PARTITION_BATCH_CHANGES || self.bytes >= limits::PARTITION_BATCH_BYTES
    }
}

impl Applied {
    /// Whether anybody hears of it.
    pub(super) fn tells(&self) -> bool {
        let answers = self.answers.len() + self.released.len();
        answers + self.events.len() > 0
    }

    /// Those who wait for later steps, and conversations.
    pub(super) fn split_begun(&mut self) -> Applied {
        Applied {
            index: self.index,
            parked: std::mem::take(&mut self.parked),
            talks: std::mem::take(&mut self.talks),
            ..Applied::default()
        }
    }

    /// What comes of steps that have written nothing and answer nobody: it is told with that, at the same time.
    pub(super) fn append(&mut self, later: Applied) {
        self.index = later.index;
        self.steps += later.steps;
        self.parked.extend(later.parked);
        self.receipts.extend(later.receipts);
        self.talks.extend(later.talks);
        self.said.extend(later.said);
    }

    /// Returns what has to be said again.
    pub(super) fn refuse(self, error: &Error) -> Vec<Queued> {
        let parked = self.parked.into_iter().map(|(_, waiting)| waiting);
        for waiting in self.answers.into_iter().map(|(waiting, _)| waiting).chain(parked) {
            waiting.send(Err(again(error)));
        }
        self.said
    }
}

impl Partition {
    /// Timers that are due first, then what is owed, then the commands, in order.
    pub(super) async fn apply(&mut self, mut commands: VecDeque<Queued>) -> Result<(Batch, Applied)> {
        let (mut changes, mut applied) = (Changes::default(), Applied::default());
        let (_, steps_max) = self.pace();
        let mut steps = 0;
        self.store_held(self.held.late(Instant::now()), &mut changes);
        let waits = Instant::now() < self.timers_from;
        while !waits && steps < steps_max.min(limits::PARTITION_BATCH_TIMERS) && !changes.is_full() {
            let Some(due) = self.timers.take_due(self.kv.now()) else {
                break;
            };
            match due {
                Ok(due) => self.fire(due, &mut changes, &mut applied).await?,
                Err(error) => tracing::error!(code = error.code().id, %error, "a timer is lost"),
            }
            steps += 1;
        }
        while steps < steps_max
            && !changes.is_full()
            && let Some(queued) = self.next(&mut commands, waits)
        {
            self.take(queued, &mut changes, &mut applied).await?;
            steps += 1;
        }
        self.gate.inbox.put_back(commands);
        (applied.index, applied.steps) = (self.meta.index, steps);
        Ok((self.batch(changes, &mut applied), applied))
    }

    fn next(&mut self, commands: &mut VecDeque<Queued>, waits: bool) -> Option<Queued> {
        let owed = if waits { None } else { self.owed.pop_front() };
        owed.or_else(|| commands.pop_front())
    }

    async fn take(&mut self, queued: Queued, changes: &mut Changes, applied: &mut Applied) -> Result<()> {
        let Queued {
            address,
            command,
            sender,
        } = queued;
        match sender {
            Sender::Caller(Caller { number, waiting }) => {
                let outcome = self
                    .apply_all(&address, &command, number, changes, applied)
                    .await?;
                match outcome {
                    Ok(Answer::Now(reply)) => applied.answers.push((waiting, Ok(reply))),
                    Ok(Answer::Later) => applied.parked.push((self.gate.request(number), waiting)),
                    Err(error) => applied.answers.push((waiting, Err(error))),
                }
            }
            Sender::Partition { from, number } => match self.post.take(from, number) {
                Ok((key, row)) => {
                    let outcome = self.apply_all(&address, &command, 0, changes, applied).await?;
                    report(outcome, "a letter's step was refused");
                    self.put(changes, key, Some(row));
                    applied.receipts.insert(from, number);
                }
                Err(taken) => drop(applied.receipts.insert(from, taken)),
            },
            Sender::Host => {
                let outcome = self.apply_all(&address, &command, 0, changes, applied).await?;
                report(outcome, "a step that nobody waits for was refused");
                applied.said.push(Queued {
                    address,
                    command,
                    sender,
                });
            }
        }
        Ok(())
    }

    async fn fire(&mut self, due: Due, changes: &mut Changes, applied: &mut Applied) -> Result<()> {
        self.put(changes, due.key, None);
        let command = Command::Message(due.message);
        let outcome = self.apply_all(&due.address, &command, 0, changes, applied);
        report(outcome.await?, "a timer's step was refused");
        Ok(())
    }

    /// A step, and those of the machines here that it has sent something to.
    async fn apply_all(
        &mut self,
        address: &Address,
        command: &Command,
        number: u64,
        changes: &mut Changes,
        applied: &mut Applied,
    ) -> Result<Result<Answer>> {
        let outcome = self.apply_one(address, command, number, changes, applied).await?;
        while let Some(letter) = changes.local.pop_front() {
            let address = Address::of(letter.to);
            let command = Command::Message(letter.message.unwrap_or_default());
            let outcome = self.apply_one(&address, &command, 0, changes, applied).await?;
            report(outcome, "a letter's step was refused");
        }
        Ok(outcome)
    }

    /// Errors of the outer result are the store's: the loop cannot go on.
    async fn apply_one(
        &mut self,
        address: &Address,
        command: &Command,
        number: u64,
        changes: &mut Changes,
        applied: &mut Applied,
    ) -> Result<Result<Answer>> {
        let at = At {
            now: self.kv.now(),
            index: self.meta.index + 1,
            request: self.gate.request(number),
        };
        self.rows.drop_range();
        for _ in 0..limits::STEP_LOADS_MAX {
            let rows = self.held.watch(&self.rows);
            let mut view = View::new(&rows);
            let step = catch_unwind(AssertUnwindSafe(|| {
                machines::apply(&mut view, at, address, command)
            }));
            match step {
                Ok(Ok(answer)) => {
                    let stepped = view.finish();
                    let looked_at = rows.looked_at();
                    let rows = stepped.changes.len() + stepped.letters.len();
                    if rows > limits::STEP_CHANGES_MAX {
                        return Ok(Err(too_large(rows)));
                    }
                    self.store_held(looked_at, changes);
                    if self.may_wait(address, &answer, &stepped) {
                        self.hold(address, at, stepped, changes);
                        return Ok(Ok(answer));
                    }
                    let before = changes.growth;
                    self.keep(address, at, stepped, changes, applied);
                    if command.frees() {
                        changes.growth = changes.growth.min(before - 1);
                    }
                    return Ok(Ok(answer));
                }
                Ok(Err(Stop::Missing(missing))) => self.load(missing).await?,
                Ok(Err(Stop::MissingRange(scan))) => self.load_range(address, scan).await?,
                Ok(Err(Stop::Refused(error))) => {
                    let looked_at = rows.looked_at();
                    self.store_held(looked_at, changes);
                    return Ok(Err(error));
                }
                Err(_) => {
                    return Ok(Err(Error::new(
                        codes::INTERNAL,
                        "a step has panicked, see the log",
                    )));
                }
            }
        }
        let message = format!("a step asked for rows more than {} times", limits::STEP_LOADS_MAX);
        Ok(Err(Error::new(codes::INTERNAL, message)))
    }

    fn keep(
        &mut self,
        address: &Address,
        at: At,
        stepped: Stepped,
        changes: &mut Changes,
        applied: &mut Applied,
    ) {
        if stepped.is_durable() {
            self.meta.index = at.index;
        }
        let size = |row: &Option<Bytes>| row.as_ref().map_or(0, Bytes::len);
        let bytes = stepped.changes.values().map(size).sum::<usize>() + limits::EVENT_OVERHEAD_BYTES;
        for (key, row) in stepped.changes {
            self.put(changes, key, row);
        }
        for letter in stepped.letters {
            self.send(letter, changes, applied);
        }
        for effect in stepped.effects {
            match effect {
                Effect::Answer { request, reply } => applied.released.push((request, reply)),
                Effect::Event(event) => applied.events.push(Told {
                    address: address.clone(),
                    index: at.index,
                    bytes: bytes + event.held_bytes(),
                    event,
                }),
            }
        }
    }

    /// Whether nobody hears of it but user code, which says something soon: to a machine that was not there before. One whose rows
    /// are not in memory was not: the step would have looked at them.
    fn may_wait(&self, address: &Address, answer: &Answer, stepped: &Stepped) -> bool {
        let rows_only = stepped.letters.is_empty() && stepped.effects.is_empty();
        let is_of = |key: &Key| matches!(key.table, Table::Machine | Table::Conversation);
        matches!(answer, Answer::Later)
            && rows_only
            && address.invocation_id().is_some()
            && stepped.changes.contains_key(&Key::conversation(address))
            && stepped.changes.keys().all(is_of)
            && stepped.changes.len() <= limits::STEP_HELD_CHANGES_MAX
            && !matches!(self.rows.get(&Key::head(address)), Found::Row(_))
            && self.held.has_room()
            && !self.is_careful()
    }

    /// Its changes are seen by later steps, and go into the batch of the one that looks at them.
    fn hold(&mut self, address: &Address, at: At, stepped: Stepped, changes: &mut Changes) {
        self.meta.index = at.index;
        let mut growth = 0;
        for (key, row) in &stepped.changes {
            growth += self.growth(key, row.as_ref());
            self.rows.put(key.clone(), row.clone());
        }
        changes.begun.insert(Key::conversation(address));
        self.held.add(Step {
            address: address.clone(),
            request: at.request,
            changes: stepped.changes,
            growth,
            since: Instant::now(),
        });
    }

    fn store_held(&mut self, numbers: BTreeSet<u64>, changes: &mut Changes) {
        for step in self.held.take(numbers) {
            changes.growth += step.growth;
            changes.held.push((step.address, step.request));
            for (key, row) in step.changes {
                changes.bytes += key.bytes.len() + row.as_ref().map_or(0, Bytes::len);
                if let Some(about) = row.as_ref().filter(|_| key.table == Table::Conversation) {
                    changes.spoken.insert(key.clone(), about.clone());
                }
                changes.rows.insert(key, row);
            }
        }
    }

    /// All that is held, as a batch.
    pub(super) fn held_batch(&mut self) -> (Batch, Applied) {
        let (mut changes, mut applied) = (Changes::default(), Applied::default());
        self.store_held(self.held.all(), &mut changes);
        applied.index = self.meta.index;
        (self.batch(changes, &mut applied), applied)
    }

    /// Within the batch if the receiver is here and no other letter is on its way to it; else by the carrier.
    fn send(&mut self, letter: Letter, changes: &mut Changes, applied: &mut Applied) {
        let to = self.host.partition(&Address::of(letter.to.clone()));
        if to == self.gate.number && !changes.is_full() && self.post.is_idle(to) {
            changes.local.push_back(letter);
            return;
        }
        let (number, key) = self.post.write(to);
        self.put(changes, key, Some(letter.to_row()));
        applied.letters.push((to, number, letter));
    }

    fn put(&mut self, changes: &mut Changes, key: Key, row: Option<Bytes>) {
        changes.growth += self.growth(&key, row.as_ref());
        changes.bytes += key.bytes.len() + row.as_ref().map_or(0, Bytes::len);
        match key.table {
            Table::Timer => self.timers.change(&key.bytes, row.as_ref()),
            Table::Machine | Table::Session | Table::Conversation => {
                self.rows.put(key.clone(), row.clone());
            }
            Table::Letter | Table::Received => {}
        }
        changes.rows.insert(key, row);
    }

    /// By how many bytes the store grows with this change, as far as is known here.
    fn growth(&self, key: &Key, row: Option<&Bytes>) -> i64 {
        let size = |row: &Bytes| (key.bytes.len() + row.len()) as i64;
        let before = match self.rows.get(key) {
            Found::Row(row) => size(&row),
            Found::NotLoaded if row.is_none() => key.bytes.len() as i64,
            Found::Absent | Found::NotLoaded => 0,
        };
        row.map_or(0, size) - before
    }

    async fn load(&mut self, missing: Vec<Key>) -> Result<()> {
        let stored: Vec<_> = missing
            .iter()
            .map(|key| keys::row(self.gate.number, key))
            .collect();
        let rows = self.kv.get_many(&stored).await?;
        for (key, entry) in missing.into_iter().zip(rows) {
            self.rows.put(key, entry.map(|entry| entry.value));
        }
        Ok(())
    }

    /// What is stored, covered by what is known here: commits may be on their way.
    async fn load_range(&mut self, address: &Address, scan: PartScan) -> Result<()> {
        let page = reading::scan(&*self.kv, (self.gate.number, address), &scan).await?;
        let page = self.rows.cover(page, &scan, address);
        self.rows.put_range(scan, page);
        Ok(())
    }

    fn batch(&mut self, mut changes: Changes, applied: &mut Applied) -> Batch {
        if !changes.rows.is_empty() {
            let received = self.post.take_deleted();
            changes.rows.extend(received.into_iter().map(|key| (key, None)));
        }
        applied.talks.extend(self.talks(&changes));
        applied.begun.append(&mut changes.held);
        let spoken = &changes.spoken;
        changes
            .rows
            .retain(|key, row| row.is_some() || !spoken.contains_key(key));
        let shrinks = changes.growth < 0;
        let write = |(key, row): (Key, Option<Bytes>)| {
            let key = keys::row(self.gate.number, &key);
            match row {
                Some(value) => Write::Put {
                    key,
                    value,
                    expires_at: None,
                },
                None => Write::Delete { key },
            }
        };
        Batch::of(changes.rows.into_iter().map(write).collect()).shrinks(shrinks)
    }

    /// Conversations that begin, go on about something else, or are over.
    fn talks(&self, changes: &Changes) -> Vec<(Address, Option<Talk>)> {
        let is_told = |key: &Key, about: &Option<Bytes>| {
            let told = changes.spoken.get(key);
            told.is_some() && told == about.as_ref()
        };
        let news = changes
            .rows
            .iter()
            .filter(|(key, about)| key.table == Table::Conversation && !is_told(key, about));
        let keys: BTreeSet<&Key> = news.map(|(key, _)| key).chain(&changes.begun).collect();
        let talk = |key: &Key| {
            let address = Key::decode_conversation(&key.bytes)?;
            let talk = match self.rows.get(key) {
                Found::Row(about) => Some(Talk {
                    about,
                    known: Known::of(&self.rows, &address),
                }),
                Found::Absent | Found::NotLoaded => None,
            };
            Some((address, talk))
        };
        keys.into_iter().filter_map(talk).collect()
    }

    /// Conversations that were open when the last owner went.
    pub(super) async fn open_talks(&mut self) -> Result<Vec<(Address, Bytes)>> {
        let mut talks = vec![];
        let mut scan = Scan::prefix(
            Keyspace::State,
            keys::table(self.gate.number, Table::Conversation),
        );
        loop {
            let page = self.kv.scan(scan.clone()).await?;
            talks.extend(page.rows.iter().filter_map(|(key, entry)| {
                let key = keys::machine_key(Table::Conversation, key);
                Some((Key::decode_conversation(&key.bytes)?, entry.value.clone()))
            }));
            match page.rows.last() {
                Some((last, _)) if page.more => scan = scan.after(last),
                _ => return Ok(talks),
            }
        }
    }

    /// Every connection from before the start is gone: what their sessions hold is free after a while.
    pub(super) async fn call_sessions_lost(&mut self) -> Result<()> {
        let over_at = self.kv.now().plus(self.restart_grace);
        let prefix = keys::table(self.gate.number, Table::Session);
        let mut scan = Scan::prefix(Keyspace::State, prefix);
        loop {
            let page = self.kv.scan(scan.clone()).await?;
            for (key, _) in &page.rows {
                let key = keys::machine_key(Table::Session, key);
                if let Some((address, session)) = Key::decode_session(&key.bytes) {
                    self.call_session_lost(address, session, over_at)?;
                }
            }
            match page.rows.last() {
                Some((last, _)) if page.more => scan = scan.after(last),
                _ => return Ok(()),
            }
        }
    }

    fn call_session_lost(&self, address: Address, session: Session, over_at: base::Timestamp) -> Result<()> {
        self.gate.inbox.put(Queued {
            address,
            command: Command::SessionLost { session, over_at },
            sender: Sender::Host,
        })
    }
}

fn report(outcome: Result<Answer>, what: &str) {
    if let Err(error) = outcome {
        tracing::error!(code = error.code().id, %error, "{what}");
    }
}

fn too_large(changes: usize) -> Error {
    let message = format!(
        "this would change {changes} rows at once, {} are the most",
        limits::STEP_CHANGES_MAX
    );
    Error::new(codes::BATCH_TOO_LARGE, message)
}
