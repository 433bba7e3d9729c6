//! What one machine is told later, or by another one: stored, unlike a command, and so never renumbered.

use crate::key::Session;
use crate::row::Stored;
use crate::step::Request;

#[derive(Clone, PartialEq, prost::Message)]
pub struct Message {
    #[cfg_attr(
        not(any(test, feature = "relay")),
        prost(oneof = "Body", tags = "1, 2, 3, 4, 5")
    )]
    #[cfg_attr(
        any(test, feature = "relay"),
        prost(oneof = "Body", tags = "1, 2, 3, 4, 5, 1000")
    )]
    pub body: Option<Body>,
}

impl Stored for Message {}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Body {
    /// A time to live is over.
    #[prost(message, tag = "1")]
    Expire(Expire),
    /// A request has waited as long as it wanted to.
    #[prost(message, tag = "2")]
    WaitOver(WaitOver),
    /// A session is over for good.
    #[prost(message, tag = "3")]
    SessionOver(StoredSession),
    /// What was cleared from a collection can be removed.
    #[prost(message, tag = "4")]
    Sweep(Sweep),
    /// To an invocation, or an object.
    #[prost(message, boxed, tag = "5")]
    Invocation(Box<crate::invocation::Message>),
    /// See [`crate::relay`].
    #[cfg(any(test, feature = "relay"))]
    #[prost(message, tag = "1000")]
    Relay(crate::relay::Message),
}

/// A message on its way to another machine.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Letter {
    /// The bytes of the receiver's [`Address`](crate::Address).
    #[prost(bytes = "bytes", tag = "1")]
    pub to: bytes::Bytes,
    #[prost(message, optional, tag = "2")]
    pub message: Option<Message>,
}

impl Stored for Letter {}

impl From<Body> for Message {
    fn from(body: Body) -> Message {
        Message { body: Some(body) }
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Expire {
    /// Which type of primitive: [`crate::primitive::Type::number`].
    #[prost(uint32, tag = "1")]
    pub primitive: u32,
    /// Which of its entries.
    #[prost(bytes = "bytes", tag = "2")]
    pub entry: bytes::Bytes,
    /// The version it had: a later write has a time to live of its own.
    #[prost(uint64, tag = "3")]
    pub version: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Sweep {
    /// Which type of primitive: [`crate::primitive::Type::number`].
    #[prost(uint32, tag = "1")]
    pub primitive: u32,
    /// Whose rows.
    #[prost(uint64, tag = "2")]
    pub generation: u64,
    /// Rows up to this suffix are removed already.
    #[prost(bytes = "bytes", tag = "3")]
    pub after: bytes::Bytes,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct WaitOver {
    /// Which type of primitive: [`crate::primitive::Type::number`].
    #[prost(uint32, tag = "1")]
    pub primitive: u32,
    #[prost(message, required, tag = "2")]
    pub request: StoredRequest,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct StoredRequest {
    #[prost(uint64, tag = "1")]
    pub epoch: u64,
    #[prost(uint64, tag = "2")]
    pub number: u64,
}

impl From<Request> for StoredRequest {
    fn from(request: Request) -> StoredRequest {
        StoredRequest {
            epoch: request.epoch,
            number: request.number,
        }
    }
}

impl From<StoredRequest> for Request {
    fn from(stored: StoredRequest) -> Request {
        Request {
            epoch: stored.epoch,
            number: stored.number,
        }
    }
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct StoredSession {
    #[prost(fixed64, tag = "1")]
    pub high: u64,
    #[prost(fixed64, tag = "2")]
    pub low: u64,
}

impl From<Session> for StoredSession {
    fn from(session: Session) -> StoredSession {
        StoredSession {
            high: (session.0 >> 64) as u64,
            low: session.0 as u64,
        }
    }
}

impl From<StoredSession> for Session {
    fn from(stored: StoredSession) -> Session {
        Session(u128::from(stored.high) << 64 | u128::from(stored.low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_survive_their_storing() {
        let session = Session(u128::MAX - 5);
        assert_eq!(Session::from(StoredSession::from(session)), session);
    }

    #[test]
    fn a_message_is_read_back_from_its_row() {
        let message = Message::from(Body::WaitOver(WaitOver {
            primitive: 9,
            request: StoredRequest { epoch: 3, number: 4 },
        }));
        assert_eq!(Message::from_row(&message.to_row()).ok(), Some(message));
    }
}
