//! Times to live: an entry ends at its time, by a durable timer; whoever comes after that time and before the timer finds it
//! gone all the same.

use std::time::Duration;

use base::Timestamp;
use bytes::{BufMut, Bytes, BytesMut};

use super::Type;
use crate::key::Address;
use crate::message::{Body, Expire};
use crate::step::At;
use crate::view::View;

/// When an entry that is written now ends. A time to live of zero ends at once.
pub(super) fn end(at: At, ttl: Option<Duration>) -> Option<Timestamp> {
    ttl.map(|ttl| at.now.plus(ttl))
}

pub(super) fn is_over(end: Option<Timestamp>, now: Timestamp) -> bool {
    end.is_some_and(|end| end <= now)
}

/// An entry whose life changes.
pub(super) struct Life<'a> {
    pub(super) address: &'a Address,
    pub(super) primitive: Type,
    /// Tells the entries of a primitive apart; empty where there is one only.
    pub(super) entry: &'a [u8],
}

impl Life<'_> {
    /// From the end it had to the one it gets, with the version that is being written.
    pub(super) fn change(
        self,
        view: &mut View<'_>,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
        version: u64,
    ) {
        let id = self.timer_id();
        if let Some(from) = from.filter(|from| Some(*from) != to) {
            view.cancel_timer(from, self.address, &id);
        }
        if let Some(to) = to {
            let expire = Expire {
                primitive: self.primitive.number(),
                entry: Bytes::copy_from_slice(self.entry),
                version,
            };
            view.set_timer(to, self.address, &id, &Body::Expire(expire).into());
        }
    }

    fn timer_id(&self) -> Bytes {
        let mut id = BytesMut::with_capacity(1 + self.entry.len());
        id.put_u8(u8::try_from(self.primitive.number()).unwrap_or(u8::MAX));
        id.put_slice(self.entry);
        id.freeze()
    }
}
