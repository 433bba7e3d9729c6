//! Requests that wait for what another session holds: their place in a row, and the timer of those that do not wait for ever.

use std::time::Duration;

use base::{Error, Timestamp, codes};
use bytes::{BufMut, Bytes, BytesMut};

use super::{Type, ttl};
use crate::key::{Address, Session};
use crate::message::{Body, StoredRequest, StoredSession, WaitOver};
use crate::step::{At, Request};
use crate::view::View;

/// In front of a request in its timer's id. No type of primitive has this number, which is in front of an entry's.
const TIMER: u8 = u8::MAX;

/// Why somebody who waited does not any more.
pub(super) const TIME_IS_OVER: &str = "the lock stayed taken for all of the timeout";
pub(super) const CALLER_HAS_GONE: &str = "the caller has gone";
pub(super) const SESSION_HAS_ENDED: &str = "the session ended while it waited";

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Waiter {
    #[prost(message, required, tag = "1")]
    pub(super) session: StoredSession,
    #[prost(message, required, tag = "2")]
    pub(super) request: StoredRequest,
    /// Milliseconds since the Unix epoch.
    #[prost(uint64, optional, tag = "3")]
    pub(super) ends: Option<u64>,
}

impl Waiter {
    /// `timeout` `None`: waits for ever.
    pub(super) fn new(at: At, session: Session, timeout: Option<Duration>) -> Waiter {
        Waiter {
            session: session.into(),
            request: at.request.into(),
            ends: ttl::end(at, timeout).map(|ends| ends.0),
        }
    }

    pub(super) fn is_of(&self, session: Session) -> bool {
        self.session == session.into()
    }

    pub(super) fn is(&self, request: Request) -> bool {
        self.request == request.into()
    }

    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        ttl::is_over(self.ends.map(Timestamp), now)
    }

    /// Whether somebody still waits for its answer: a request from before a restart has nobody.
    pub(super) fn is_there(&self, at: At) -> bool {
        at.may_wait(self.request.into())
    }

    pub(super) fn set_timer(&self, view: &mut View<'_>, address: &Address, primitive: Type) {
        if let Some(ends) = self.ends {
            let over = WaitOver {
                primitive: primitive.number(),
                request: self.request,
            };
            let id = self.timer_id();
            view.set_timer(Timestamp(ends), address, &id, &Body::WaitOver(over).into());
        }
    }

    pub(super) fn cancel_timer(&self, view: &mut View<'_>, address: &Address) {
        if let Some(ends) = self.ends {
            view.cancel_timer(Timestamp(ends), address, &self.timer_id());
        }
    }

    /// It has left the queue without what it waited for.
    pub(super) fn refuse(&self, view: &mut View<'_>, address: &Address, why: &'static str) {
        self.cancel_timer(view, address);
        // Answered too, though nobody may listen: the host keeps who waits until then.
        view.answer(self.request.into(), Err(Error::new(codes::LOCK_HELD, why)));
    }

    fn timer_id(&self) -> Bytes {
        let mut id = BytesMut::with_capacity(17);
        id.put_u8(TIMER);
        id.put_u64(self.request.epoch);
        id.put_u64(self.request.number);
        id.freeze()
    }
}
