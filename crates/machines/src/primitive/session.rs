//! What sessions hold: locks, places in queues, candidacies.
//!
//! A machine keeps a row for each session that holds something of it, for exactly as long ([`keep`]). The row says which type
//! of machine it is, so that the end of a session finds the right one, and the host finds all of them at a start.
//!
//! | a session | its row | then |
//! |---|---|---|
//! | is lost, over later | is missing | nothing: it holds nothing here |
//! | | has no end, or a later one | takes this end, by a durable timer |
//! | | ends earlier | nothing |
//! | is lost, over by now | | as when it is over |
//! | is over | is there | the machine frees what this session holds, and nothing else |
//!
//! A session that was called lost never comes back: a client that connects anew has a new one.

use std::collections::BTreeSet;

use base::Timestamp;
use bytes::{BufMut, Bytes, BytesMut};

use super::Type;
use crate::key::{Address, Key, Session};
use crate::message::Body;
use crate::row::Stored;
use crate::step::At;
use crate::view::{Stop, View};

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Row {
    /// [`Type::number`] of the machine.
    #[prost(uint32, tag = "1")]
    primitive: u32,
    /// Milliseconds since the Unix epoch.
    #[prost(uint64, optional, tag = "2")]
    over_at: Option<u64>,
}

impl Stored for Row {}

/// In front of a session in its timer's id. No type of primitive has this number.
const TIMER: u8 = 0;

/// Brings the rows from those who held something before a step to those who do after it.
pub(super) fn keep(
    view: &mut View<'_>,
    address: &Address,
    primitive: Type,
    (before, after): (&BTreeSet<Session>, &BTreeSet<Session>),
) -> Result<(), Stop> {
    let changed: Vec<_> = before.symmetric_difference(after).copied().collect();
    let keys: Vec<_> = changed
        .iter()
        .map(|session| Key::session(address, *session))
        .collect();
    view.want(&keys)?;
    for (session, key) in changed.into_iter().zip(keys) {
        let row: Option<Row> = view.load(&key)?;
        if after.contains(&session) {
            let primitive = primitive.number();
            let over_at = row.and_then(|row| row.over_at);
            view.store(key, &Row { primitive, over_at });
        } else {
            if let Some(over_at) = row.and_then(|row| row.over_at) {
                view.cancel_timer(Timestamp(over_at), address, &timer_id(session));
            }
            view.delete(key);
        }
    }
    Ok(())
}

pub(super) fn lost(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    (session, over_at): (Session, Timestamp),
) -> Result<(), Stop> {
    if over_at <= at.now {
        return over(view, at, address, session);
    }
    let key = Key::session(address, session);
    let Some(row) = view.load::<Row>(&key)? else {
        return Ok(());
    };
    let id = timer_id(session);
    match row.over_at.map(Timestamp) {
        Some(end) if end <= over_at => return Ok(()),
        Some(later) => view.cancel_timer(later, address, &id),
        None => {}
    }
    view.set_timer(over_at, address, &id, &Body::SessionOver(session.into()).into());
    let over_at = Some(over_at.0);
    view.store(key, &Row { over_at, ..row });
    Ok(())
}

pub(super) fn over(view: &mut View<'_>, at: At, address: &Address, session: Session) -> Result<(), Stop> {
    match view.load::<Row>(&Key::session(address, session))? {
        Some(row) => super::free(view, at, address, (Type::of_number(row.primitive), session)),
        None => Ok(()),
    }
}

fn timer_id(session: Session) -> Bytes {
    let mut id = BytesMut::with_capacity(17);
    id.put_u8(TIMER);
    id.put_u128(session.0);
    id.freeze()
}
