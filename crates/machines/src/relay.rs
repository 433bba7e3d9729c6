//! A machine for tests of hosts: it passes tokens on to others, wherever they live, and asks user code until it is answered.
//! None is ever lost or made, and each question is answered once: that is what a host has to hold.
//!
//! | command | answer | changes |
//! |---|---|---|
//! | `Pass`, with as many tokens as it has (it begins with [`TOKENS`]) | how it stands | tokens; a letter to the first on the way |
//! | `Pass`, with more | `Aborted` | nothing |
//! | `Ask`, no question is open | how it stands | a conversation, and a timer that asks again |
//! | `Ask`, one is open | `Aborted` | nothing |
//! | `Said`, about the open question's last attempt | how it stands | the question is closed |
//! | `Said`, about another one | how it stands | nothing |
//! | a letter, the way ends here | | tokens |
//! | a letter, the way goes on | | a letter to the next |
//! | the timer, about the open question's last attempt | | another attempt |

use base::{Error, codes};
use bytes::Bytes;

use crate::key::{Address, Key};
use crate::message::Body;
use crate::row::Stored;
use crate::step::{Answer, At, Call, Question};
use crate::view::{Stop, View};
use crate::{Query, step};

/// What each one begins with.
pub const TOKENS: u64 = 100;
/// How long user code may take to answer, milliseconds.
const PATIENCE_MS: u64 = 50;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Pass { tokens: u64, way: Vec<Address> },
    Ask,
    Said { question: u64, attempt: u64 },
}

/// How a relay stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    pub tokens: u64,
    /// Questions that were asked, and answered.
    pub asked: u64,
    pub answered: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Message {
    /// Tokens that are passed on; 0: a timer.
    #[prost(uint64, tag = "1")]
    tokens: u64,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    way: Vec<Bytes>,
    #[prost(uint64, tag = "3")]
    question: u64,
    #[prost(uint64, tag = "4")]
    attempt: u64,
}

/// What a conversation is about.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct About {
    #[prost(uint64, tag = "1")]
    pub question: u64,
    #[prost(uint64, tag = "2")]
    pub attempt: u64,
}

impl Stored for About {}

#[derive(Clone, PartialEq, prost::Message)]
struct Relay {
    #[prost(uint64, tag = "1")]
    tokens: u64,
    #[prost(uint64, tag = "2")]
    asked: u64,
    #[prost(uint64, tag = "3")]
    answered: u64,
    #[prost(message, optional, tag = "4")]
    open: Option<About>,
}

impl Stored for Relay {}

impl Address {
    pub fn relay(name: &str) -> Address {
        Address::of([b"r", name.as_bytes()].concat().into())
    }
}

fn load(view: &View<'_>, address: &Address) -> Result<Relay, Stop> {
    let begin = || Relay {
        tokens: TOKENS,
        ..Relay::default()
    };
    Ok(view.load(&Key::head(address))?.unwrap_or_else(begin))
}

pub(crate) fn apply(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    command: &Command,
) -> Result<Answer, Stop> {
    let mut relay = load(view, address)?;
    match command {
        Command::Pass { tokens, way } => {
            relay.tokens = relay.tokens.checked_sub(*tokens).ok_or_else(refused)?;
            forward(
                view,
                address,
                *tokens,
                way.iter().map(Address::bytes).cloned().collect(),
            );
        }
        Command::Ask if relay.open.is_some() => return Err(refused().into()),
        Command::Ask => {
            relay.asked += 1;
            let question = relay.asked;
            relay.open = Some(ask(view, at, address, About { question, attempt: 1 }));
        }
        Command::Said { question, attempt } => {
            let said = About {
                question: *question,
                attempt: *attempt,
            };
            if relay.open != Some(said) {
                return Ok(Answer::Now(step::Reply::Relay(Reply::of(&relay))));
            }
            relay.open = None;
            relay.answered += 1;
            view.hang_up(address);
        }
    }
    view.store(Key::head(address), &relay);
    Ok(Answer::Now(step::Reply::Relay(Reply::of(&relay))))
}

pub(crate) fn receive(view: &mut View<'_>, at: At, address: &Address, message: &Message) -> Result<(), Stop> {
    let mut relay = load(view, address)?;
    let about = About {
        question: message.question,
        attempt: message.attempt,
    };
    if message.tokens > 0 && !message.way.is_empty() {
        forward(view, address, message.tokens, message.way.clone());
        return Ok(());
    } else if message.tokens > 0 {
        relay.tokens += message.tokens;
    } else if relay.open == Some(about) {
        let attempt = about.attempt + 1;
        relay.open = Some(ask(view, at, address, About { attempt, ..about }));
    } else {
        return Ok(());
    }
    view.store(Key::head(address), &relay);
    Ok(())
}

/// To the first on the way, or back home when there is nobody.
fn forward(view: &mut View<'_>, home: &Address, tokens: u64, mut way: Vec<Bytes>) {
    let next = if way.is_empty() {
        home.clone()
    } else {
        Address::of(way.remove(0))
    };
    let message = Message {
        tokens,
        way,
        ..Message::default()
    };
    view.send(&next, Body::Relay(message));
}

fn ask(view: &mut View<'_>, at: At, address: &Address, about: About) -> About {
    let again = Message {
        question: about.question,
        attempt: about.attempt,
        ..Message::default()
    };
    let due = base::Timestamp(at.now.0 + PATIENCE_MS);
    view.set_timer(due, address, b"", &Body::Relay(again).into());
    view.converse(address, &about);
    about
}

pub(crate) fn read(view: &View<'_>, address: &Address) -> Result<Reply, Stop> {
    Ok(Reply::of(&load(view, address)?))
}

fn refused() -> Error {
    Error::new(codes::VALUE_CHANGED, "a relay has not got that")
}

impl Reply {
    fn of(relay: &Relay) -> Reply {
        Reply {
            tokens: relay.tokens,
            asked: relay.asked,
            answered: relay.answered,
        }
    }
}

impl From<Command> for step::Command {
    fn from(command: Command) -> step::Command {
        step::Command::Relay(command)
    }
}

/// The one question that a relay answers.
#[derive(Clone, Copy, Debug)]
pub struct Get;

impl From<Get> for Query {
    fn from(_: Get) -> Query {
        Query::Relay
    }
}

impl TryFrom<step::Reply> for Reply {
    type Error = step::Reply;

    fn try_from(reply: step::Reply) -> Result<Reply, step::Reply> {
        match reply {
            step::Reply::Relay(reply) => Ok(reply),
            other => Err(other),
        }
    }
}

impl Call for Command {
    type Reply = Reply;
}

impl Question for Get {
    type Reply = Reply;
}
