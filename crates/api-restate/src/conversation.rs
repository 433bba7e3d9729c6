//! One attempt's exchange, in the protocol that was chosen: what to begin with, what user code means, what to tell it.

use std::collections::BTreeSet;
use std::sync::Arc;

use base::limits;
use bytes::{Bytes, BytesMut};
use machines::engine::{PartScan, Snapshot};
use machines::invocation::rows::{self, Entry, Keys, Kind, Name, Notification, Origin, Value};
use machines::invocation::{Id, Known, Query, Reply, Word};
use machines::{Address, Engine, Stored};

use crate::appended::told;
use crate::frame::{self, Decoder, Frame};
use crate::generation::{Generation, Start};
use crate::registry::{Chosen, Registry};
use crate::speaker::{Meant, Speaker};
use crate::talk::Failure;
use crate::version::Version;

/// Rows that are read of a journal or of state at once.
const PAGE_ROWS: usize = 512;

/// Completion ids are counted up from 1, and no command takes more. What waits is looked through by id, so they are not to be sparse.
const IDS_PER_COMMAND: u32 = 2;

pub(crate) struct Conversation {
    version: Version,
    lazy_state: bool,
    id: Id,
    origin: Origin,
    engine: Arc<dyn Engine>,
    registry: Registry,
    decoder: Decoder,
    /// Entries that user code was told of when it began.
    known: u32,
    /// Commands that are stored or were heard: the next one's place.
    commands: u32,
    /// What its partition is to be told with the first words.
    keys: Option<Vec<Bytes>>,
    /// Runs that are acknowledged in short.
    acks: BTreeSet<u32>,
    over: bool,
}

/// What was said, up to something that has to be waited for.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) words: Vec<Word>,
    /// Commands that want to be acknowledged once all that is stored.
    pub(crate) acks: Vec<u32>,
    /// It wants the keys of its state, once all that is stored.
    pub(crate) keys: Option<u32>,
    /// It has said how the attempt ended.
    pub(crate) over: bool,
}

impl Conversation {
    pub(crate) fn new(
        chosen: &Chosen,
        id: Id,
        origin: &Origin,
        engine: Arc<dyn Engine>,
        registry: Registry,
    ) -> Conversation {
        Conversation {
            version: chosen.version,
            lazy_state: chosen.lazy_state,
            id,
            origin: origin.clone(),
            engine,
            registry,
            decoder: Decoder::default(),
            known: 0,
            commands: 0,
            keys: None,
            acks: BTreeSet::new(),
            over: false,
        }
    }

    /// The start and the journal.
    pub(crate) async fn begin(&mut self, known: &Known) -> Result<Bytes, Failure> {
        let (head, entries) = (&known.head, &known.journal);
        let (state, partial_state) = self.state(known).await?;
        let last = entries.last().map_or(0, |entry| entry.at);
        self.known = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        self.commands = head.commands;
        let start = Start {
            id: &self.id,
            origin: &self.origin,
            version: self.version,
            entries,
            state,
            partial_state,
            failures: head.retry.as_ref().map_or(0, |retry| retry.since_entry),
            since_entry_ms: self.engine.now().0.saturating_sub(last),
        };
        let mut bytes = BytesMut::new();
        Generation::of(self.version).put_start(&mut bytes, start);
        Ok(bytes.freeze())
    }

    /// All of it, or as much as may be sent along; and whether there is more.
    async fn state(&mut self, known: &Known) -> Result<(Vec<(Bytes, Bytes)>, bool), Failure> {
        let Some(object) = self.origin.target.object(&self.id).filter(|_| !self.lazy_state) else {
            return Ok((vec![], true));
        };
        if let Some(state) = &known.state {
            return Ok((state.clone(), false));
        }
        let snapshot = self.engine.snapshot(&object)?;
        let found = self
            .stored_state(&*snapshot, limits::RESTATE_EAGER_STATE_BYTES_MAX)
            .await?;
        let read = |(suffix, row): &(Bytes, Bytes)| Ok((suffix.slice(8..), Value::from_row(row)?.value));
        let state: Vec<(Bytes, Bytes)> = found.rows.iter().map(read).collect::<base::Result<_>>()?;
        if !found.more && state.len() <= limits::OBJECT_KEYS_KNOWN_MAX {
            self.keys = Some(state.iter().map(|(key, _)| key.clone()).collect());
        }
        Ok((state, found.more))
    }

    async fn stored_state(&self, snapshot: &dyn Snapshot, bytes_max: usize) -> Result<Rows, Failure> {
        let Reply::Object(object) = reply(snapshot.read(Query::Object.into()).await?)? else {
            return Err(Failure::new("RT0006", "an object is something else"));
        };
        let generation = rows::state_suffix(object.state_generation, &[]);
        scan(snapshot, rows::STATE, generation, bytes_max).await
    }

    /// The keys of its state as they are stored.
    pub(crate) async fn keys(&self, id: u32) -> Result<Word, Failure> {
        let mut keys = vec![];
        if let Some(object) = self.origin.target.object(&self.id) {
            let snapshot = self.engine.snapshot(&object)?;
            let found = self.stored_state(&*snapshot, usize::MAX).await?;
            keys.extend(found.rows.into_iter().map(|(suffix, _)| suffix.slice(8..)));
        }
        Ok(Word::Came(Notification {
            source: Kind::StateKeys.into(),
            name: Some(Name::Completion(id)),
            came: Some(rows::Came::Keys(Keys { keys })),
        }))
    }

    pub(crate) fn push(&mut self, piece: &Bytes) {
        self.decoder.push(piece);
    }

    /// What is whole so far; nothing: more is needed.
    pub(crate) fn hear(&mut self) -> Result<Heard, Failure> {
        let mut heard = Heard::default();
        while !self.over {
            let frame = self.decoder.next().map_err(|large| {
                let text = format!(
                    "a message of {} bytes is larger than {}",
                    large.0,
                    limits::RESTATE_MESSAGE_BYTES_MAX
                );
                Failure::new("RT0003", text)
            })?;
            let Some(frame) = frame else {
                break;
            };
            let speaker = Speaker {
                id: &self.id,
                origin: &self.origin,
                version: self.version,
                registry: &self.registry,
                now: self.engine.now().0,
                commands: self.commands,
            };
            match Generation::of(self.version).meant(&speaker, &frame)? {
                Meant::Word(word) => self.heard(&mut heard, &frame, word)?,
                Meant::Keys(word, id) => {
                    self.heard(&mut heard, &frame, word)?;
                    heard.keys = Some(id);
                    break;
                }
                Meant::Run { word, id, ack } => {
                    if ack {
                        self.acks.insert(id);
                    }
                    heard.words.push(word);
                }
                Meant::Last(word) => {
                    heard.words.push(word);
                    self.over = true;
                }
                Meant::Nothing => {}
            }
            if heard.words.len() >= limits::RESTATE_WORDS_MAX {
                break;
            }
        }
        if !heard.words.is_empty()
            && let Some(keys) = self.keys.take()
        {
            heard.words.insert(0, Word::Keys(keys));
        }
        heard.over = self.over;
        Ok(heard)
    }

    fn heard(&mut self, heard: &mut Heard, frame: &Frame, word: Word) -> Result<(), Failure> {
        if let Word::Command { op, .. } = &word {
            let id_max = (self.commands + 1).saturating_mul(IDS_PER_COMMAND);
            if let Some(id) = op.id_max().filter(|id| *id > id_max) {
                let text =
                    format!("completion id {id} is too large: ids are dense, it can be {id_max} at most");
                return Err(Failure::new("RT0012", text));
            }
            if frame.flags & frame::WANTS_ACK != 0 {
                heard.acks.push(self.commands);
            }
            self.commands += 1;
        }
        heard.words.push(word);
        Ok(())
    }

    /// What has come, unless user code began with it.
    pub(crate) fn tell(&mut self, index: u32, notification: &Notification, to: &mut BytesMut) {
        if index < self.known {
            return;
        }
        match &notification.name {
            Some(Name::Completion(id)) if notification.source() == Kind::Run && self.acks.remove(id) => {
                told::put_run_ack(to, *id);
            }
            _ => Generation::of(self.version).put_notification(to, self.version, notification),
        }
    }
}

/// As it is stored.
pub(crate) async fn journal(engine: &dyn Engine, address: &Address) -> Result<Vec<Entry>, Failure> {
    let snapshot = engine.snapshot(address)?;
    let rows = scan(&*snapshot, rows::JOURNAL, Bytes::new(), usize::MAX).await?;
    let entries = rows.rows.iter().map(|(_, row)| Entry::from_row(row));
    Ok(entries.collect::<base::Result<_>>()?)
}

struct Rows {
    rows: Vec<(Bytes, Bytes)>,
    /// There are more than were wanted.
    more: bool,
}

async fn scan(snapshot: &dyn Snapshot, part: u8, prefix: Bytes, bytes_max: usize) -> Result<Rows, Failure> {
    let (mut rows, mut bytes, mut after) = (vec![], 0, None);
    loop {
        let page = snapshot
            .scan(PartScan {
                part,
                prefix: prefix.clone(),
                after,
                limit: PAGE_ROWS,
                descending: false,
            })
            .await?;
        for (suffix, row) in page.rows {
            bytes += suffix.len() + row.len();
            if bytes > bytes_max {
                return Ok(Rows { rows, more: true });
            }
            rows.push((suffix, row));
        }
        if !page.more {
            return Ok(Rows { rows, more: false });
        }
        after = rows.last().map(|(suffix, _)| suffix.clone());
    }
}

fn reply(reply: machines::Reply) -> Result<Reply, Failure> {
    Reply::try_from(reply).map_err(|_| Failure::new("RT0006", "a machine gave another one's answer"))
}
