//! What a family has of the host.

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use base::{Result, Timestamp};
use bytes::Bytes;
use futures::Stream;
use futures::future::BoxFuture;

use crate::invocation::Known;
use crate::key::{Address, Key};
use crate::step::{Command, Event, Query, Reply};

/// Runs machines: the way in for families.
///
/// What MUST hold:
/// - commands of one caller to one machine are applied in the order of the calls to [`Engine::submit`], each exactly once;
/// - an answer comes after everything its step has changed is durable, and after its events have been given to all who
///   watch; so an answer implies all earlier steps of that machine;
/// - a [`Engine::read`] that begins after an answer sees that answer's step;
/// - dropping the future of [`Engine::submit`] does not take the command back. The machine hears of it
///   ([`Command::Abandoned`]) when the answer is one that somebody must take.
///
/// Errors: what the machine refuses with; `Unavailable` when the store cannot be reached or has stopped (the step may or may
/// not be there); `ResourceExhausted` when too much waits (nothing was done).
#[async_trait]
pub trait Engine: Send + Sync {
    fn submit(&self, address: &Address, command: Command) -> BoxFuture<'static, Result<Reply>>;

    async fn read(&self, address: &Address, query: Query) -> Result<Reply>;

    /// One view of the machine's rows that later steps do not change. Hold it briefly.
    fn snapshot(&self, address: &Address) -> Result<Box<dyn Snapshot>>;

    /// One view of the rows of all machines, for those who do not know their names. Hold it briefly.
    fn survey(&self) -> Result<Box<dyn Survey>>;

    /// Everything that happens to the machine from now on, in order and without a gap.
    fn watch(&self, address: &Address) -> Result<Watch>;

    fn now(&self) -> Timestamp;
}

/// Holds conversations with user code: the way out for machines of one family.
///
/// What MUST hold of a host:
/// - [`Callee::talk`] comes after the step that wanted it is durable ([`View::converse`](crate::View::converse)), and again at
///   every start until the machine has hung up; it may come more than once about the same. A machine's first step may be stored
///   with its next one instead, or in a moment, if nobody else has heard of it: all steps before it are durable then, and the
///   talk brings along what the store does not have yet;
/// - [`Callee::hang_up`] comes after the step that hung up is durable. After a crash it does not come: nobody talks then.
///
/// What MUST hold of a callee: both return at once, and never wait for the engine. What user code says goes to the machine as
/// commands; what the machine says comes as their answers, or through [`Engine::watch`]. Whether a command belongs to a talk
/// that is over already is for the machine to tell, by what it has written into `about`.
pub trait Callee: Send + Sync {
    fn talk(&self, engine: Arc<dyn Engine>, address: &Address, talk: Talk);

    fn hang_up(&self, address: &Address);
}

/// What a conversation begins with.
#[derive(Debug)]
pub struct Talk {
    /// The row that the machine gave.
    pub about: Bytes,
    /// The machine as it is, or will be, stored with that row, if the host has all of it in memory. Events of later steps come to those who
    /// watch before [`Callee::talk`] has returned.
    pub known: Option<Known>,
}

/// A machine's rows at one moment.
#[async_trait]
pub trait Snapshot: Send + Sync {
    async fn read(&self, query: Query) -> Result<Reply>;

    /// Rows of one part behind `after` (a suffix), in order of their suffixes.
    async fn scan(&self, scan: PartScan) -> Result<PartPage>;
}

/// Which rows of a part: behind (or, descending, before) a suffix, at most so many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartScan {
    pub part: u8,
    /// All rows of the part whose suffix begins with this.
    pub prefix: Bytes,
    pub after: Option<Bytes>,
    pub limit: usize,
    pub descending: bool,
}

/// The rows of all machines at one moment.
#[async_trait]
pub trait Survey: Send + Sync {
    /// How many partitions there are. They are numbered from 0.
    fn partitions(&self) -> u16;

    /// Where the machine lives.
    fn partition(&self, address: &Address) -> u16;

    /// Rows of one partition's machines, in the order of their names.
    async fn scan(&self, partition: u16, scan: Span) -> Result<SpanPage>;

    /// Machines' rows by name, wherever they are, in the order of `keys`.
    async fn get(&self, keys: &[(Address, Key)]) -> Result<Vec<Option<Bytes>>>;
}

/// Which rows of a partition: names that begin with `prefix`, from `from` on, as many as `limit` says and `bytes` hold (one at
/// least).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub prefix: Bytes,
    pub from: Bytes,
    pub limit: usize,
    pub bytes: usize,
}

/// Names and rows. `more` says whether others follow.
#[derive(Clone, Debug, Default)]
pub struct SpanPage {
    pub rows: Vec<(Key, Bytes)>,
    pub more: bool,
}

/// Suffixes and rows. `more` says whether others follow.
#[derive(Clone, Debug, Default)]
pub struct PartPage {
    pub rows: Vec<(Bytes, Bytes)>,
    pub more: bool,
}

/// A watch that has begun. Every event of an index up to `since` is in the rows that are read from now on; every later one
/// comes, once.
pub struct Watch {
    pub since: u64,
    pub events: Happenings,
}

/// Ends with an error when the watcher falls too far behind (`WATCH_BEHIND`) or the host stops.
pub type Happenings = Pin<Box<dyn Stream<Item = Result<Happened>> + Send>>;

#[derive(Clone, Debug)]
pub struct Happened {
    pub index: u64,
    pub event: Arc<Event>,
}
