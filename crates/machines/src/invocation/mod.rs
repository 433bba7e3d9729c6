//! Durable invocations: user code that is called until it has come to an end, and each of its steps once in effect.
//!
//! | file | what |
//! |---|---|
//! | `rows` | what is stored |
//! | `start` | it is asked for, waits for its time and its object, begins |
//! | `said` | what user code says in an attempt: commands, and how the attempt ended |
//! | `came` | what comes for it from elsewhere: results, signals |
//! | `control` | cancel, kill, pause, resume |
//! | `finish` | it is completed; who waits is told; what is kept is removed in time |
//! | `edit` | an object's state is changed from outside |
//! | `keyed` | what it does with its object's state and promises |
//! | `object` | who works on an object, and who waits for it; state and promises |
//! | `filled` | what holds for old versions of the protocol only |
//! | `awaiting` | when what a suspended one waits for is ready |
//!
//! An invocation and its object live in one partition, so a step of the one changes rows of the other.

use base::{Result, limits};
use bytes::Bytes;

use crate::key::{Address, Key};
use crate::row::Stored;
use crate::step::{self, Answer, At};
use crate::view::{Found, Rows, Stop, View};

pub mod awaiting;
pub mod edit;
pub mod rows;

mod came;
mod control;
mod filled;
mod finish;
mod id;
mod keyed;
mod object;
mod said;
mod start;

#[cfg(test)]
mod tests;

pub use control::{Change, Control};
pub use id::Id;
pub use said::{Behavior, Failed, Op, Word, Words};
pub use start::Start;

use rows::{
    Entry, Head, Input, Kind, Line, Name, Notification, Object, Origin, Outcome, ReplyTo, Said, Status, Value,
};

#[derive(Clone, Debug)]
pub enum Command {
    Start(Box<Start>),
    Said(Words),
    /// Answered with [`Reply::Over`] once it is over.
    Attach,
    /// To user code; cancelling is signal 1, see [`Control::Cancel`]. [`Name::Completion`]: an awakeable of versions 1 and 2.
    Signal {
        name: Name,
        outcome: Option<Outcome>,
    },
    Control(Control),
    /// To an object.
    Edit(rows::Edit),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query {
    /// How an invocation stands.
    Look,
    /// Who has an object.
    Object,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// It will be done. `new` `false`: it was there already. `due`: when it begins, milliseconds; 0: at once.
    Accepted {
        new: bool,
        due: u64,
    },
    Over(Box<Over>),
    /// What user code said is stored.
    Taken,
    /// That attempt is over: what it said is not stored.
    Stale,
    Changed(Change),
    /// An object's state is edited, or will be when its turn has come.
    Edited,
    /// To signals: nobody is told what came of them.
    Sent,
    Look(Box<(Head, Origin)>),
    Object(rows::Object),
}

/// How an invocation ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Over {
    pub outcome: Outcome,
    /// It was over before it was asked for.
    pub replayed: bool,
    /// Until when the result is kept, milliseconds.
    pub kept_until: Option<u64>,
}

/// What the one who talks for an invocation hears.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A notification is in the journal.
    Came { index: u32, notification: Notification },
}

/// What a conversation is about.
#[derive(Clone, PartialEq, prost::Message)]
pub struct About {
    #[prost(uint64, tag = "1")]
    pub attempt: u64,
    /// Entries of the journal when it began.
    #[prost(uint32, tag = "2")]
    pub entries: u32,
}

impl Stored for About {}

/// An invocation as a host has it in memory.
#[derive(Debug)]
pub struct Known {
    pub head: Head,
    pub origin: Origin,
    pub journal: Vec<Entry>,
    /// All of its object's state, in the order of the keys; `None`: some of it is not in memory, or it is too much.
    pub state: Option<Vec<(Bytes, Bytes)>>,
}

impl Known {
    /// `None`: some of it is not in memory, or it is not an invocation, or its journal is long.
    pub fn of(rows: &dyn Rows, address: &Address) -> Option<Known> {
        let id = address.invocation_id()?;
        let head: Head = known(rows, &Key::head(address))?;
        if head.entries > limits::KNOWN_JOURNAL_ENTRIES_MAX {
            return None;
        }
        let entry = |index| known(rows, &rows::entry(address, index));
        let origin: Origin = known(rows, &rows::origin(address))?;
        Some(Known {
            state: known_state(rows, &id, &origin),
            origin,
            journal: (0..head.entries).map(entry).collect::<Option<_>>()?,
            head,
        })
    }
}

fn known_state(rows: &dyn Rows, id: &Id, origin: &Origin) -> Option<Vec<(Bytes, Bytes)>> {
    let address = origin.target.object(id)?;
    let object: Object = known(rows, &Key::head(&address))?;
    let (mut state, mut bytes) = (vec![], 0);
    for key in object.state_keys?.keys {
        let value: Value = known(rows, &rows::state(&address, object.state_generation, &key))?;
        bytes += key.len() + value.value.len();
        state.push((key, value.value));
    }
    (bytes <= limits::RESTATE_EAGER_STATE_BYTES_MAX).then_some(state)
}

fn known<T: Stored>(rows: &dyn Rows, key: &Key) -> Option<T> {
    match rows.get(key) {
        Found::Row(row) => T::from_row(&row).ok(),
        Found::Absent | Found::NotLoaded => None,
    }
}

/// What one invocation or object is told by another one, or by a timer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Message {
    #[prost(oneof = "Body", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11")]
    pub body: Option<Body>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Body {
    #[prost(message, boxed, tag = "1")]
    Invoke(Box<Invoke>),
    #[prost(message, tag = "2")]
    Completed(Completed),
    #[prost(message, tag = "3")]
    Signal(Signal),
    /// It has its object now.
    #[prost(bool, tag = "4")]
    Turn(bool),
    /// Tell that one when you are over.
    #[prost(message, tag = "5")]
    Attach(ReplyTo),
    /// Tell that one how you stand.
    #[prost(message, tag = "6")]
    Output(ReplyTo),
    /// Its time has come.
    #[prost(bool, tag = "7")]
    Due(bool),
    /// That attempt failed long enough ago.
    #[prost(uint64, tag = "8")]
    Retry(u64),
    #[prost(bool, tag = "9")]
    Kill(bool),
    /// Rows are to be removed.
    #[prost(message, tag = "10")]
    Forget(Forget),
    /// An object's next one has its turn.
    #[prost(bool, tag = "11")]
    Free(bool),
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Invoke {
    #[prost(message, required, tag = "1")]
    pub origin: Origin,
    #[prost(message, required, tag = "2")]
    pub input: Input,
    #[prost(message, optional, tag = "3")]
    pub reply_to: Option<ReplyTo>,
}

/// No outcome: it is over with nothing to tell, or not over and somebody wanted to know.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Completed {
    #[prost(uint32, tag = "1")]
    pub completion: u32,
    #[prost(message, optional, tag = "2")]
    pub outcome: Option<Outcome>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Signal {
    #[prost(oneof = "SignalName", tags = "1, 2, 4")]
    pub name: Option<SignalName>,
    #[prost(message, optional, tag = "3")]
    pub outcome: Option<Outcome>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum SignalName {
    #[prost(uint32, tag = "1")]
    Number(u32),
    #[prost(string, tag = "2")]
    Text(String),
    /// An entry of a journal whose results are filled in.
    #[prost(uint32, tag = "4")]
    Entry(u32),
}

/// What is removed: the journal alone, or all; or state of an object that was cleared.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Forget {
    #[prost(bool, tag = "1")]
    pub journal_only: bool,
    /// Of an object: rows of that generation of that part.
    #[prost(uint64, tag = "2")]
    pub generation: u64,
    #[prost(uint32, tag = "4")]
    pub part: u32,
    /// When it was completed, milliseconds: an invocation that began again later is another one.
    #[prost(uint64, tag = "3")]
    pub completed_at: u64,
}

impl From<Body> for crate::Message {
    fn from(body: Body) -> crate::Message {
        crate::message::Body::Invocation(Box::new(Message { body: Some(body) })).into()
    }
}

/// One step's work on an invocation that is there.
struct Work<'w, 'v> {
    view: &'w mut View<'v>,
    at: At,
    address: &'w Address,
    id: Id,
    head: Head,
}

impl<'w, 'v> Work<'w, 'v> {
    /// `None`: there is none.
    fn open(view: &'w mut View<'v>, at: At, address: &'w Address) -> Result<Option<Work<'w, 'v>>, Stop> {
        let Some(id) = address.invocation_id() else {
            return Ok(None);
        };
        let head = view.load(&Key::head(address))?;
        Ok(head.map(|head| Work {
            view,
            at,
            address,
            id,
            head,
        }))
    }

    fn close(mut self) {
        self.head.modified_at = self.at.now.0;
        self.view.store(Key::head(self.address), &self.head);
    }

    fn origin(&self) -> Result<Origin, Stop> {
        Ok(self.view.load(&rows::origin(self.address))?.unwrap_or_default())
    }

    fn append(&mut self, line: Line) -> u32 {
        let index = self.head.entries;
        self.head.entries += 1;
        self.head.commands += u32::from(!matches!(line, Line::Notification(_)));
        let entry = Entry {
            at: self.at.now.0,
            line: Some(line),
        };
        self.view.store(rows::entry(self.address, index), &entry);
        index
    }

    /// A further attempt, from now on.
    fn run(&mut self) {
        self.head.attempt += 1;
        self.head.heard = 0;
        self.head.attempt_at = self.at.now.0;
        if self.head.running_at == 0 {
            self.head.running_at = self.at.now.0;
        }
        self.head.set_status(Status::Running);
        self.head.awaited = None;
        if let Some(retry) = &mut self.head.retry {
            retry.next_at = 0;
        }
        let about = About {
            attempt: self.head.attempt,
            entries: self.head.entries,
        };
        self.view.converse(self.address, &about);
    }
}

pub(crate) fn apply(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    command: &Command,
) -> Result<Answer, Stop> {
    match command {
        Command::Start(start) => start::start(view, at, address, start),
        Command::Said(words) => said::said(view, at, address, words).map(now),
        Command::Attach => finish::attach(view, at, address),
        Command::Signal { name, outcome } => {
            came::signal(view, at, address, (name.clone(), outcome.clone()))?;
            Ok(now(Reply::Sent))
        }
        Command::Control(control) => {
            control::apply(view, at, address, control).map(|change| now(Reply::Changed(change)))
        }
        Command::Edit(edit) => object::edit(view, at, address, edit).map(|_| now(Reply::Edited)),
    }
}

pub(crate) fn receive(view: &mut View<'_>, at: At, address: &Address, message: &Message) -> Result<(), Stop> {
    match &message.body {
        Some(Body::Invoke(invoke)) => start::invoke(view, at, address, invoke),
        Some(Body::Completed(completed)) => came::completed(view, at, address, completed),
        Some(Body::Signal(signal)) => came::received(view, at, address, signal),
        Some(Body::Turn(_)) => start::turn(view, at, address),
        Some(Body::Due(_)) => start::due(view, at, address),
        Some(Body::Attach(reply_to)) => finish::attach_from(view, at, address, reply_to),
        Some(Body::Output(reply_to)) => finish::output_to(view, at, address, reply_to),
        Some(Body::Retry(attempt)) => said::retry(view, at, address, *attempt),
        Some(Body::Kill(_)) => control::apply(view, at, address, &Control::Kill).map(drop),
        Some(Body::Forget(forget)) => finish::forget(view, at, address, forget),
        Some(Body::Free(_)) => object::free(view, at, address),
        // Of a later Belay, or damaged: nobody here can do it.
        None => Ok(()),
    }
}

pub(crate) fn read(view: &View<'_>, address: &Address, query: Query) -> Result<Reply, Stop> {
    match query {
        Query::Look => {
            let head = view.load(&Key::head(address))?.ok_or_else(not_found)?;
            let origin = view.load(&rows::origin(address))?.unwrap_or_default();
            Ok(Reply::Look(Box::new((head, origin))))
        }
        Query::Object => Ok(Reply::Object(view.load(&Key::head(address))?.unwrap_or_default())),
    }
}

fn now(reply: Reply) -> Answer {
    Answer::Now(step::Reply::Invocation(reply))
}

fn not_found() -> base::Error {
    base::Error::new(base::codes::INVOCATION_NOT_FOUND, "there is no such invocation")
}

fn said_line(kind: u32, body: &bytes::Bytes) -> Line {
    Line::Command(Said {
        kind,
        body: body.clone(),
    })
}

fn completion(kind: Kind, id: u32, came: impl Into<rows::Came>) -> Notification {
    Notification {
        source: kind.into(),
        name: Some(Name::Completion(id)),
        came: Some(came.into()),
    }
}

impl Command {
    /// What it holds beyond its own size, bytes.
    pub(crate) fn held_bytes(&self) -> usize {
        let outcome = |outcome: &Outcome| prost::Message::encoded_len(outcome);
        match self {
            Command::Start(start) => {
                let copied = start.copied.iter().map(Line::held_bytes).sum::<usize>();
                prost::Message::encoded_len(&start.origin)
                    + prost::Message::encoded_len(&start.input)
                    + copied
            }
            Command::Said(words) => words.held_bytes(),
            Command::Signal { outcome: came, .. } => came.as_ref().map_or(0, outcome),
            Command::Edit(edit) => prost::Message::encoded_len(edit),
            Command::Attach | Command::Control(_) => 0,
        }
    }
}

impl From<Command> for step::Command {
    fn from(command: Command) -> step::Command {
        step::Command::Invocation(command)
    }
}

impl From<Query> for step::Query {
    fn from(query: Query) -> step::Query {
        step::Query::Invocation(query)
    }
}

impl From<Event> for step::Event {
    fn from(event: Event) -> step::Event {
        step::Event::Invocation(event)
    }
}

impl TryFrom<step::Reply> for Reply {
    type Error = step::Reply;

    fn try_from(reply: step::Reply) -> Result<Reply, step::Reply> {
        match reply {
            step::Reply::Invocation(reply) => Ok(reply),
            other => Err(other),
        }
    }
}

impl step::Call for Command {
    type Reply = Reply;
}

impl step::Question for Query {
    type Reply = Reply;
}
