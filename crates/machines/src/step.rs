//! The two functions that the host calls: [`apply`] changes, [`read`] looks.

use std::future::Future;

use base::{Error, Result, Timestamp, codes};

use crate::engine::Engine;
use crate::key::{Address, Session};
use crate::message::{Body, Message};
use crate::view::{Stop, View};
use crate::{entity, invocation, primitive};

/// What comes in with a command: a step has no other source of time, order or identity.
#[derive(Clone, Copy, Debug)]
pub struct At {
    pub now: Timestamp,
    /// The partition's number of this step. Grows with every step that changes something, restarts included: it serves as
    /// version, term of a lock and fencing token.
    pub index: u64,
    pub request: Request,
}

impl At {
    /// Whether somebody still waits for that request here: one from before a restart has nobody.
    pub fn may_wait(&self, request: Request) -> bool {
        request.epoch == self.request.epoch
    }
}

/// One call of one caller. Never used twice: the epoch is that of the partition's owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Request {
    pub epoch: u64,
    pub number: u64,
}

/// When a command is answered.
#[derive(Debug)]
pub enum Answer {
    /// Once the step is durable.
    Now(Reply),
    /// By an [`Effect::Answer`](crate::Effect::Answer) of a later step.
    Later,
}

/// What a machine is told.
#[derive(Clone, Debug)]
pub enum Command {
    Primitive(primitive::Command),
    Invocation(invocation::Command),
    Entity(entity::Command),
    /// A timer is due, or another machine has sent something.
    Message(Message),
    /// Whoever sent that request does not wait for its answer any more, or did not get it. Made by [`Command::abandoned`].
    Abandoned {
        primitive: primitive::Type,
        request: Request,
    },
    /// A session will be over at that time, unless it is over already.
    SessionLost {
        session: Session,
        over_at: Timestamp,
    },
    #[cfg(any(test, feature = "relay"))]
    Relay(crate::relay::Command),
}

impl Command {
    /// What tells the machine that nobody has taken the answer to this command, sent as that request. `None`: it does not
    /// matter.
    pub fn abandoned(&self, request: Request) -> Option<Command> {
        let Command::Primitive(command) = self else {
            return None;
        };
        let primitive = command.must_be_taken()?;
        Some(Command::Abandoned { primitive, request })
    }

    /// What it holds beyond its own size, bytes: a host bounds what waits for it. Messages come from timers and letters, which
    /// have limits of their own.
    pub fn held_bytes(&self) -> usize {
        match self {
            Command::Primitive(command) => command.held_bytes(),
            Command::Invocation(command) => command.held_bytes(),
            Command::Entity(command) => command.held_bytes(),
            _ => 0,
        }
    }

    /// Whether it does nothing but free what somebody has held: it is taken also where there is no room for others.
    pub fn frees(&self) -> bool {
        matches!(self, Command::Abandoned { .. } | Command::SessionLost { .. })
    }
}

/// Answers to commands and queries, by machine.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Primitive(primitive::Reply),
    Invocation(invocation::Reply),
    Entity(entity::Reply),
    /// To what nobody waits for.
    Done,
    #[cfg(any(test, feature = "relay"))]
    Relay(crate::relay::Reply),
}

/// What those who watch a machine are told.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Primitive(primitive::Event),
    Invocation(invocation::Event),
}

impl Event {
    /// What it holds beyond the rows that its step has written, bytes: a host bounds what it keeps for watchers.
    pub fn held_bytes(&self) -> usize {
        match self {
            Event::Primitive(event) => event.held_bytes(),
            // It is a row of the journal.
            Event::Invocation(_) => 0,
        }
    }
}

/// A question to a machine's rows as they are stored. It never waits for a command.
#[derive(Clone, Debug)]
pub enum Query {
    Primitive(primitive::Query),
    Invocation(invocation::Query),
    Entity(entity::Query),
    #[cfg(any(test, feature = "relay"))]
    Relay,
}

/// One step of one machine. The same command on the same rows gives the same step, and a step that was stopped may be
/// tried again.
pub fn apply(view: &mut View<'_>, at: At, address: &Address, command: &Command) -> Result<Answer, Stop> {
    match command {
        Command::Primitive(command) => primitive::apply(view, at, address, command),
        Command::Invocation(command) => invocation::apply(view, at, address, command),
        Command::Entity(command) => entity::apply(view, at, address, command),
        Command::Message(message) => {
            match &message.body {
                Some(Body::Expire(expire)) => primitive::expire(view, at, address, expire)?,
                Some(Body::WaitOver(over)) => primitive::wait_over(view, at, address, over)?,
                Some(Body::SessionOver(session)) => {
                    primitive::session_over(view, at, address, (*session).into())?;
                }
                Some(Body::Sweep(sweep)) => primitive::sweep(view, at, address, sweep)?,
                Some(Body::Invocation(message)) => invocation::receive(view, at, address, message)?,
                #[cfg(any(test, feature = "relay"))]
                Some(Body::Relay(message)) => crate::relay::receive(view, at, address, message)?,
                // Of a later Belay, or damaged: nobody here can do it.
                None => {}
            }
            Ok(Answer::Now(Reply::Done))
        }
        Command::Abandoned { primitive, request } => {
            primitive::abandoned(view, at, address, (*primitive, *request))?;
            Ok(Answer::Now(Reply::Done))
        }
        Command::SessionLost { session, over_at } => {
            primitive::session_lost(view, at, address, (*session, *over_at))?;
            Ok(Answer::Now(Reply::Done))
        }
        #[cfg(any(test, feature = "relay"))]
        Command::Relay(command) => crate::relay::apply(view, at, address, command),
    }
}

/// Answers a query; `view` is left unchanged.
pub fn read(view: &View<'_>, now: Timestamp, address: &Address, query: &Query) -> Result<Reply, Stop> {
    match query {
        Query::Primitive(query) => primitive::read(view, now, address, query).map(Reply::Primitive),
        Query::Invocation(query) => invocation::read(view, address, *query).map(Reply::Invocation),
        Query::Entity(query) => entity::read(view, address, *query).map(Reply::Entity),
        #[cfg(any(test, feature = "relay"))]
        Query::Relay => crate::relay::read(view, address).map(Reply::Relay),
    }
}

/// A command of one machine, and what answers it.
pub trait Call: Into<Command> {
    type Reply: TryFrom<Reply>;

    fn call(
        self,
        engine: &dyn Engine,
        address: &Address,
    ) -> impl Future<Output = Result<Self::Reply>> + Send + 'static
    where
        Self: Sized,
    {
        let reply = engine.submit(address, self.into());
        async move { own(reply.await?) }
    }
}

/// A query of one machine, and what answers it.
pub trait Question: Into<Query> + Send {
    type Reply: TryFrom<Reply>;

    fn ask(self, engine: &dyn Engine, address: &Address) -> impl Future<Output = Result<Self::Reply>> + Send
    where
        Self: Sized,
    {
        let query = self.into();
        async move { own(engine.read(address, query).await?) }
    }
}

fn own<R: TryFrom<Reply>>(reply: Reply) -> Result<R> {
    R::try_from(reply).map_err(|_| Error::new(codes::INTERNAL, "a machine has given another one's answer"))
}
