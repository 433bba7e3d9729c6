//! What is stored of an invocation and of the object it works on.
//!
//! | machine | part | suffix | row |
//! |---|---|---|---|
//! | invocation | 0 | | [`Head`]: how it stands; written with every step |
//! | invocation | 1 | | [`Origin`]: what was asked for; written once |
//! | invocation | 2 | index (4 bytes, big endian) | [`Entry`]: the journal, append-only |
//! | invocation | 3 | completion id (4 bytes, big endian) | [`Pending`]: what comes from elsewhere and has not come yet |
//! | object | 0 | | [`Object`]: who has it, how long the queue is |
//! | object | 1 | place in the queue (8 bytes, big endian) | [`Place`] |
//! | object | 2 | generation of the state (8 bytes, big endian), key | [`Value`]: state |
//! | object | 3 | generation, name | [`Promise`] |

use bytes::{BufMut, Bytes, BytesMut};

use super::awaiting::Awaited;
use super::id::Id;
use crate::key::{Address, Key};
use crate::message::StoredRequest;
use crate::row::Stored;

pub const ORIGIN: u8 = 1;
pub const JOURNAL: u8 = 2;
pub const PENDING: u8 = 3;
pub const QUEUE: u8 = 1;
pub const STATE: u8 = 2;
pub const PROMISE: u8 = 3;

/// Numbers are stored and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Status {
    /// There is none; only in rows of a later Belay.
    Unknown = 0,
    /// Its time has not come.
    Scheduled = 1,
    /// It waits for its object.
    Inboxed = 2,
    /// User code works on it, or failed and will be called again.
    Running = 3,
    /// It waits for something, and user code has let go of it.
    Suspended = 4,
    /// It waits for somebody to resume it.
    Paused = 5,
    Completed = 6,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Head {
    #[prost(enumeration = "Status", tag = "1")]
    pub status: i32,
    /// Grows with every attempt: what user code says in an earlier one is not heard.
    #[prost(uint64, tag = "2")]
    pub attempt: u64,
    /// Entries of the journal; and how many of them are commands.
    #[prost(uint32, tag = "3")]
    pub entries: u32,
    #[prost(uint32, tag = "4")]
    pub commands: u32,
    /// Where it goes on: set with the first entry that user code makes.
    #[prost(message, optional, tag = "5")]
    pub pin: Option<Pin>,
    /// What user code has put out; the result once it is completed.
    #[prost(message, optional, tag = "6")]
    pub outcome: Option<Outcome>,
    #[prost(message, repeated, tag = "7")]
    pub waiting: Vec<Waiting>,
    #[prost(message, optional, tag = "8")]
    pub retry: Option<Retry>,
    /// What a suspended one waits for.
    #[prost(message, optional, tag = "9")]
    pub awaited: Option<Awaited>,
    /// Its place in the object's queue.
    #[prost(uint64, optional, tag = "10")]
    pub place: Option<u64>,
    /// Milliseconds since the Unix epoch.
    #[prost(uint64, tag = "11")]
    pub modified_at: u64,
    #[prost(uint64, optional, tag = "12")]
    pub completed_at: Option<u64>,
    /// Rows of [`Pending`] that there are; all their ids are from `pending_min` to `pending_max`.
    #[prost(uint32, tag = "13")]
    pub pending: u32,
    #[prost(uint32, tag = "17")]
    pub pending_min: u32,
    #[prost(uint32, tag = "14")]
    pub pending_max: u32,
    /// How many times user code was heard in this attempt.
    #[prost(uint64, tag = "16")]
    pub heard: u64,
    /// Whether the journal was removed already.
    #[prost(bool, tag = "15")]
    pub journal_gone: bool,
    /// It was cancelled, and user code has not heard of it: its protocol, if that is known, has no signals, and it waited for nothing.
    #[prost(bool, tag = "18")]
    pub cancelled: bool,
    /// When its first attempt began, and its last one, milliseconds.
    #[prost(uint64, tag = "19")]
    pub running_at: u64,
    #[prost(uint64, tag = "20")]
    pub attempt_at: u64,
}

impl Stored for Head {}

/// What has gone wrong since it last ran well.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Retry {
    /// Failures that count for the policy.
    #[prost(uint32, tag = "1")]
    pub failures: u32,
    /// Failures since an entry was stored: user code is told.
    #[prost(uint32, tag = "2")]
    pub since_entry: u32,
    /// When it is called again, milliseconds; 0: it is being called.
    #[prost(uint64, tag = "3")]
    pub next_at: u64,
    #[prost(message, optional, tag = "4")]
    pub last: Option<Trouble>,
}

/// An attempt that failed.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Trouble {
    #[prost(uint32, tag = "1")]
    pub code: u32,
    #[prost(string, tag = "2")]
    pub message: String,
    #[prost(string, tag = "3")]
    pub details: String,
    /// Which command it is about: its index among the commands, its name and its kind.
    #[prost(uint32, optional, tag = "4")]
    pub command: Option<u32>,
    #[prost(string, tag = "5")]
    pub command_name: String,
    #[prost(uint32, tag = "6")]
    pub command_kind: u32,
    /// A documented code of the family, or nothing.
    #[prost(string, tag = "7")]
    pub family_code: String,
    #[prost(uint64, tag = "8")]
    pub at: u64,
}

/// Which deployment, and what is spoken with it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Pin {
    #[prost(string, tag = "1")]
    pub deployment: String,
    #[prost(uint32, tag = "2")]
    pub protocol: u32,
}

/// Numbers are stored and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum TargetKind {
    /// No key, no state, no queue.
    Service = 0,
    /// One at a time for each key, and may write its state.
    Exclusive = 1,
    /// Beside all others, and may read the state of its key.
    Shared = 2,
    /// A workflow's only run for each key. Its shared handlers are [`TargetKind::Shared`].
    Workflow = 3,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Target {
    #[prost(string, tag = "1")]
    pub service: String,
    #[prost(string, tag = "2")]
    pub handler: String,
    /// Empty without one.
    #[prost(string, tag = "3")]
    pub key: String,
    #[prost(enumeration = "TargetKind", tag = "4")]
    pub kind: i32,
}

/// What was asked for.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Origin {
    #[prost(message, required, tag = "1")]
    pub target: Target,
    /// Milliseconds since the Unix epoch.
    #[prost(uint64, tag = "2")]
    pub created_at: u64,
    /// When it may begin, milliseconds; 0: at once.
    #[prost(uint64, tag = "3")]
    pub due: u64,
    #[prost(message, optional, tag = "4")]
    pub source: Option<Source>,
    #[prost(string, tag = "5")]
    pub idempotency_key: String,
    #[prost(uint64, tag = "6")]
    pub random_seed: u64,
    #[prost(message, required, tag = "7")]
    pub rules: Rules,
}

impl Stored for Origin {}

/// Who asked for it. Nobody of these: an ingress.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Source {
    /// An invocation's raw id.
    #[prost(bytes = "bytes", tag = "1")]
    pub invocation: Bytes,
    #[prost(string, tag = "2")]
    pub target: String,
    #[prost(string, tag = "3")]
    pub service: String,
    /// Begun again as a new one, of this one.
    #[prost(bytes = "bytes", tag = "4")]
    pub restarted_from: Bytes,
}

/// What holds for it, by the deployment that was the newest when it was asked for. Times in milliseconds.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Rules {
    /// How long the result, and how long the journal is kept.
    #[prost(uint64, tag = "1")]
    pub result_ms: u64,
    #[prost(uint64, tag = "2")]
    pub journal_ms: u64,
    #[prost(uint64, tag = "3")]
    pub retry_first_ms: u64,
    #[prost(uint64, tag = "4")]
    pub retry_max_ms: u64,
    /// In thousandths: 2000 doubles.
    #[prost(uint32, tag = "5")]
    pub retry_factor_milli: u32,
    /// Attempts, the first included; 0: without end.
    #[prost(uint32, tag = "6")]
    pub attempts_max: u32,
    /// Whether it ends with the last error when attempts are used up; otherwise it is paused.
    #[prost(bool, tag = "7")]
    pub kill_after_attempts: bool,
}

/// How it ended.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Outcome {
    #[prost(oneof = "Ended", tags = "1, 2")]
    pub ended: Option<Ended>,
}

impl Outcome {
    pub fn value(value: impl Into<Bytes>) -> Outcome {
        let ended = Some(Ended::Value(value.into()));
        Outcome { ended }
    }

    pub fn failure(code: u32, message: impl Into<String>) -> Outcome {
        let ended = Some(Ended::Failure(Failure {
            code,
            message: message.into(),
            metadata: vec![],
        }));
        Outcome { ended }
    }

    pub fn is_failure(&self) -> bool {
        matches!(self.ended, Some(Ended::Failure(_)))
    }
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Ended {
    #[prost(bytes = "bytes", tag = "1")]
    Value(Bytes),
    #[prost(message, tag = "2")]
    Failure(Failure),
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Failure {
    #[prost(uint32, tag = "1")]
    pub code: u32,
    #[prost(string, tag = "2")]
    pub message: String,
    #[prost(message, repeated, tag = "3")]
    pub metadata: Vec<Pair>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Pair {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

/// Who is told how it ended.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Waiting {
    #[prost(oneof = "Waiter", tags = "1, 2")]
    pub waiter: Option<Waiter>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Waiter {
    /// A caller who waits here.
    #[prost(message, tag = "1")]
    Request(StoredRequest),
    #[prost(message, tag = "2")]
    Invocation(ReplyTo),
}

/// An invocation, and the completion that it waits for.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ReplyTo {
    #[prost(bytes = "bytes", tag = "1")]
    pub invocation: Bytes,
    #[prost(uint32, tag = "2")]
    pub completion: u32,
}

/// A line of the journal.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Entry {
    /// Milliseconds since the Unix epoch.
    #[prost(uint64, tag = "1")]
    pub at: u64,
    #[prost(oneof = "Line", tags = "2, 3, 4")]
    pub line: Option<Line>,
}

impl Stored for Entry {}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Line {
    /// What it began with. Always the first.
    #[prost(message, tag = "2")]
    Input(Input),
    /// What user code has said, byte for byte as it came: user code compares it when it is said again.
    #[prost(message, tag = "3")]
    Command(Said),
    #[prost(message, tag = "4")]
    Notification(Notification),
}

impl Line {
    pub(super) fn held_bytes(&self) -> usize {
        match self {
            Line::Input(input) => prost::Message::encoded_len(input),
            Line::Command(said) => said.body.len(),
            Line::Notification(notification) => prost::Message::encoded_len(notification),
        }
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Input {
    #[prost(message, repeated, tag = "1")]
    pub headers: Vec<Pair>,
    #[prost(bytes = "bytes", tag = "2")]
    pub body: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Said {
    /// What the protocol that was spoken calls this type of message.
    #[prost(uint32, tag = "1")]
    pub kind: u32,
    #[prost(bytes = "bytes", tag = "2")]
    pub body: Bytes,
}

/// Something that has come for user code.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Notification {
    #[prost(enumeration = "Kind", tag = "1")]
    pub source: i32,
    #[prost(oneof = "Name", tags = "2, 3, 4")]
    pub name: Option<Name>,
    #[prost(oneof = "Came", tags = "5, 6, 7, 8, 9")]
    pub came: Option<Came>,
}

/// What a notification completes. Numbers are stored and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Kind {
    Signal = 0,
    State = 1,
    StateKeys = 2,
    Promise = 3,
    PromisePeek = 4,
    PromiseComplete = 5,
    Sleep = 6,
    Call = 7,
    CallId = 8,
    Run = 9,
    Attach = 10,
    Output = 11,
}

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Oneof)]
pub enum Name {
    #[prost(uint32, tag = "2")]
    Completion(u32),
    #[prost(uint32, tag = "3")]
    Signal(u32),
    #[prost(string, tag = "4")]
    NamedSignal(String),
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Came {
    #[prost(bool, tag = "5")]
    Void(bool),
    #[prost(bytes = "bytes", tag = "6")]
    Value(Bytes),
    #[prost(message, tag = "7")]
    Failure(Failure),
    #[prost(bytes = "bytes", tag = "8")]
    Invocation(Bytes),
    #[prost(message, tag = "9")]
    Keys(Keys),
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Keys {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub keys: Vec<Bytes>,
}

impl From<Option<Outcome>> for Came {
    fn from(outcome: Option<Outcome>) -> Came {
        match outcome.and_then(|outcome| outcome.ended) {
            Some(Ended::Value(value)) => Came::Value(value),
            Some(Ended::Failure(failure)) => Came::Failure(failure),
            None => Came::Void(true),
        }
    }
}

/// What comes from elsewhere.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Pending {
    #[prost(enumeration = "Kind", tag = "1")]
    pub source: i32,
    /// Of a sleep: when it is over, milliseconds.
    #[prost(uint64, tag = "2")]
    pub due: u64,
    /// Of a call: whom it called, raw.
    #[prost(bytes = "bytes", tag = "3")]
    pub callee: Bytes,
    /// It has come, and before the entry that it completes: an awakeable of versions 1 and 2.
    #[prost(message, optional, tag = "4")]
    pub early: Option<Outcome>,
}

impl Stored for Pending {}

impl Pending {
    /// Whom it called.
    pub fn called(&self) -> Option<Id> {
        Id::of(&self.callee)
    }
}

/// Who has an object, and who waits for it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Object {
    /// The invocation that works on it, raw; empty: nobody.
    #[prost(bytes = "bytes", tag = "1")]
    pub holder: Bytes,
    /// Places in the queue: the first that is taken, and the next one that is free.
    #[prost(uint64, tag = "2")]
    pub first: u64,
    #[prost(uint64, tag = "3")]
    pub next: u64,
    /// Of its state, and of its promises. Clearing all begins another one.
    #[prost(uint64, tag = "4")]
    pub state_generation: u64,
    #[prost(uint64, tag = "5")]
    pub promise_generation: u64,
    /// All keys of its state, in their order, if they are known and few: then nobody has to look for them.
    #[prost(message, optional, tag = "6")]
    pub state_keys: Option<Keys>,
}

impl Stored for Object {}

/// Who waits for an object, raw; empty: nobody (any more).
#[derive(Clone, PartialEq, prost::Message)]
pub struct Place {
    #[prost(bytes = "bytes", tag = "1")]
    pub invocation: Bytes,
    /// Or its state is to be changed then.
    #[prost(message, optional, tag = "2")]
    pub edit: Option<Edit>,
}

impl Stored for Place {}

/// What an object's state is to be, all of it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Edit {
    /// What it has to be before, see [`state_version`](super::edit::state_version); empty: anything.
    #[prost(string, tag = "1")]
    pub version: String,
    #[prost(message, repeated, tag = "2")]
    pub state: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct KeyValue {
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Value {
    #[prost(bytes = "bytes", tag = "1")]
    pub value: Bytes,
}

impl Stored for Value {}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Promise {
    #[prost(message, optional, tag = "1")]
    pub outcome: Option<Outcome>,
    #[prost(message, repeated, tag = "2")]
    pub waiting: Vec<ReplyTo>,
}

impl Stored for Promise {}

impl Target {
    /// Where its object is; `None`: it has none.
    pub fn object(&self, id: &Id) -> Option<Address> {
        (self.kind() != TargetKind::Service)
            .then(|| Address::object(id.partition_key(), &self.service, &self.key))
    }
}

impl Status {
    pub fn is_over(self) -> bool {
        self == Status::Completed
    }
}

pub fn origin(address: &Address) -> Key {
    Key::part(address, ORIGIN, &[])
}

pub fn entry(address: &Address, index: u32) -> Key {
    Key::part(address, JOURNAL, &index.to_be_bytes())
}

pub fn pending(address: &Address, completion: u32) -> Key {
    Key::part(address, PENDING, &completion.to_be_bytes())
}

pub fn place(object: &Address, number: u64) -> Key {
    Key::part(object, QUEUE, &number.to_be_bytes())
}

pub fn state(object: &Address, generation: u64, key: &[u8]) -> Key {
    Key::part(object, STATE, &state_suffix(generation, key))
}

/// What stands before a state's key in its row's name.
pub fn state_suffix(generation: u64, key: &[u8]) -> Bytes {
    let mut suffix = BytesMut::with_capacity(8 + key.len());
    suffix.put_u64(generation);
    suffix.put_slice(key);
    suffix.freeze()
}

pub fn promise(object: &Address, generation: u64, name: &str) -> Key {
    Key::part(object, PROMISE, &state_suffix(generation, name.as_bytes()))
}
