//! Applying: commands to rows in memory, and what comes of it.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};

use base::answers::Reply as Waiting;
use base::{Error, Result, codes, limits};
use bytes::Bytes;
use machines::engine::PartScan;
use machines::{
    Address, Answer, At, Command, Effect, Found, Key, Reply, Request, Rows, Session, Stepped, Stop, Table,
    View,
};
use ports::kv::{Batch, Keyspace, Scan, Write};

use super::timers::Due;
use super::{Partition, Told, again};
use crate::inbox::{Caller, Queued};
use crate::{keys, reading};

/// What is to be told once a batch is durable.
#[derive(Default)]
pub(super) struct Applied {
    /// Of its last step.
    pub(super) index: u64,
    pub(super) events: Vec<Told>,
    pub(super) answers: Vec<(Waiting<Result<Reply>>, Result<Reply>)>,
    /// Callers who are answered by a later step.
    pub(super) parked: Vec<(Request, Waiting<Result<Reply>>)>,
    /// Answers to callers of earlier steps, or of this batch's.
    pub(super) released: Vec<(Request, Result<Reply>)>,
}

/// The changes of a batch, each row once.
#[derive(Default)]
struct Changes {
    rows: BTreeMap<Key, Option<Bytes>>,
    /// Of all rows that were put, those that were overwritten included.
    bytes: usize,
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

    pub(super) fn refuse(self, error: &Error) {
        let parked = self.parked.into_iter().map(|(_, waiting)| waiting);
        for waiting in self.answers.into_iter().map(|(waiting, _)| waiting).chain(parked) {
            waiting.send(Err(again(error)));
        }
    }
}

impl Partition {
    /// Timers that are due first, then the commands, in order.
    pub(super) async fn apply(&mut self, mut commands: VecDeque<Queued>) -> Result<(Batch, Applied)> {
        let (mut changes, mut applied) = (Changes::default(), Applied::default());
        for _ in 0..limits::PARTITION_BATCH_TIMERS {
            if changes.is_full() {
                break;
            }
            let Some(due) = self.timers.take_due(self.kv.now()) else {
                break;
            };
            match due {
                Ok(due) => self.fire(due, &mut changes, &mut applied).await?,
                Err(error) => tracing::error!(code = error.code().id, %error, "a timer is lost"),
            }
        }
        while !changes.is_full()
            && let Some(queued) = commands.pop_front()
        {
            let number = queued.caller.as_ref().map_or(0, |caller| caller.number);
            let outcome = self.apply_one(
                &queued.address,
                &queued.command,
                number,
                &mut changes,
                &mut applied,
            );
            let outcome = outcome.await?;
            answer(&mut applied, self.gate.request(number), queued.caller, outcome);
        }
        self.gate.inbox.put_back(commands);
        applied.index = self.meta.index;
        Ok((self.batch(changes), applied))
    }

    async fn fire(&mut self, due: Due, changes: &mut Changes, applied: &mut Applied) -> Result<()> {
        self.put(changes, due.key, None);
        let command = Command::Message(due.message);
        let outcome = self
            .apply_one(&due.address, &command, 0, changes, applied)
            .await?;
        if let Err(error) = outcome {
            tracing::error!(code = error.code().id, %error, "a timer's step was refused");
        }
        Ok(())
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
            let mut view = View::new(&self.rows);
            let step = catch_unwind(AssertUnwindSafe(|| {
                machines::apply(&mut view, at, address, command)
            }));
            match step {
                Ok(Ok(answer)) => {
                    let stepped = view.finish();
                    if stepped.changes.len() > limits::STEP_CHANGES_MAX {
                        return Ok(Err(too_large(stepped.changes.len())));
                    }
                    self.keep(address, at, stepped, changes, applied);
                    return Ok(Ok(answer));
                }
                Ok(Err(Stop::Missing(missing))) => self.load(missing).await?,
                Ok(Err(Stop::MissingRange(scan))) => self.load_range(address, scan).await?,
                Ok(Err(Stop::Refused(error))) => return Ok(Err(error)),
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
        if !stepped.changes.is_empty() {
            self.meta.index = at.index;
        }
        let size = |row: &Option<Bytes>| row.as_ref().map_or(0, Bytes::len);
        let bytes = stepped.changes.values().map(size).sum::<usize>() + limits::EVENT_OVERHEAD_BYTES;
        for (key, row) in stepped.changes {
            self.put(changes, key, row);
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

    fn put(&mut self, changes: &mut Changes, key: Key, row: Option<Bytes>) {
        match key.table {
            Table::Timer => self.timers.change(&key.bytes, row.as_ref()),
            Table::Machine | Table::Session => self.rows.put(key.clone(), row.clone()),
        }
        changes.bytes += key.bytes.len() + row.as_ref().map_or(0, Bytes::len);
        changes.rows.insert(key, row);
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
        let mut page = reading::scan(&*self.kv, (self.gate.number, address), &scan).await?;
        page.rows.retain_mut(|(suffix, row)| {
            match self.rows.get(&Key::part(address, scan.part, suffix)) {
                Found::Row(newer) => *row = newer,
                Found::Absent => return false,
                Found::NotLoaded => {}
            }
            true
        });
        self.rows.put_range(scan, page);
        Ok(())
    }

    fn batch(&self, changes: Changes) -> Batch {
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
        Batch::of(changes.rows.into_iter().map(write).collect())
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
            caller: None,
        })
    }
}

fn answer(applied: &mut Applied, request: Request, caller: Option<Caller>, outcome: Result<Answer>) {
    let Some(Caller { waiting, .. }) = caller else {
        if let Err(error) = outcome {
            tracing::error!(code = error.code().id, %error, "a step that nobody waits for was refused");
        }
        return;
    };
    match outcome {
        Ok(Answer::Now(reply)) => applied.answers.push((waiting, Ok(reply))),
        Ok(Answer::Later) => applied.parked.push((request, waiting)),
        Err(error) => applied.answers.push((waiting, Err(error))),
    }
}

fn too_large(changes: usize) -> Error {
    let message = format!(
        "this would change {changes} rows at once, {} are the most",
        limits::STEP_CHANGES_MAX
    );
    Error::new(codes::BATCH_TOO_LARGE, message)
}
