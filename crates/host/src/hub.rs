//! Who watches what. A watched machine has a ring of its latest events; whoever falls behind its far end is told so, and
//! nobody who writes ever waits for one who reads.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use base::{Code, Error, Result, codes, limits};
use futures::stream;
use machines::engine::{Happened, Watch};
use machines::{Address, Event};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::Gate;

#[derive(Default)]
pub(crate) struct Hub(Mutex<Watched>);

#[derive(Default)]
struct Watched {
    /// Events up to this index have been given to the rings.
    released: u64,
    rings: HashMap<Address, Arc<Ring>>,
}

struct Ring {
    events: Mutex<Events>,
    /// Where the next event will be; tells watchers that there is one.
    next: watch::Sender<u64>,
}

#[derive(Default)]
struct Events {
    /// Place of the oldest event that is kept.
    first: u64,
    bytes: usize,
    kept: VecDeque<(usize, Happened)>,
    ended: Option<Code>,
}

/// An event of a step, and about how large it is.
pub(crate) struct Told {
    pub(crate) address: Address,
    pub(crate) index: u64,
    pub(crate) bytes: usize,
    pub(crate) event: Event,
}

/// One who watches. The last one to go takes the ring along.
struct Watcher {
    gate: Arc<Gate>,
    address: Address,
    ring: Arc<Ring>,
    next: watch::Receiver<u64>,
    place: u64,
    over: bool,
}

impl Hub {
    pub(crate) fn watch(gate: &Arc<Gate>, address: &Address) -> Result<Watch> {
        let mut watched = gate.hub.0.lock();
        if let Some(code) = gate.inbox.closed() {
            return Err(Error::new(code, code.title));
        }
        if watched.rings.len() >= limits::WATCHED_MACHINES_MAX && !watched.rings.contains_key(address) {
            let message = format!("{} machines are watched already", watched.rings.len());
            return Err(Error::new(codes::TOO_MANY_REQUESTS, message));
        }
        let ring = watched
            .rings
            .entry(address.clone())
            .or_insert_with(Ring::new)
            .clone();
        let next = ring.next.subscribe();
        let place = *next.borrow();
        let watcher = Watcher {
            gate: gate.clone(),
            address: address.clone(),
            ring,
            next,
            place,
            over: false,
        };
        Ok(Watch {
            since: watched.released,
            events: Box::pin(stream::unfold(watcher, Watcher::next)),
        })
    }

    /// Gives a batch's events out. `index` is that of its last step.
    pub(crate) fn release(&self, events: Vec<Told>, index: u64) {
        let mut watched = self.0.lock();
        watched.released = index;
        for told in events {
            if let Some(ring) = watched.rings.get(&told.address) {
                ring.push(told);
            }
        }
    }

    /// How many machines are watched.
    pub(crate) fn watched(&self) -> usize {
        self.0.lock().rings.len()
    }

    /// What the store knew when its owner began.
    pub(crate) fn begin(&self, index: u64) {
        self.0.lock().released = index;
    }

    pub(crate) fn close(&self, code: Code) {
        let watched = self.0.lock();
        let mut rings: Vec<_> = watched.rings.iter().collect();
        // In an order of their own, or no run could be repeated.
        rings.sort_unstable_by_key(|(address, _)| *address);
        for (_, ring) in rings {
            ring.events.lock().ended = Some(code);
            ring.next.send_modify(|_| {});
        }
    }
}

impl Ring {
    fn new() -> Arc<Ring> {
        Arc::new(Ring {
            events: Mutex::default(),
            next: watch::Sender::new(0),
        })
    }

    fn push(&self, told: Told) {
        let happened = Happened {
            index: told.index,
            event: Arc::new(told.event),
        };
        let mut events = self.events.lock();
        events.bytes += told.bytes;
        events.kept.push_back((told.bytes, happened));
        while events.kept.len() > limits::WATCH_EVENTS_MAX
            || (events.bytes > limits::WATCH_BYTES_MAX && events.kept.len() > 1)
        {
            let dropped = events.kept.pop_front().map_or(0, |(bytes, _)| bytes);
            events.bytes -= dropped;
            events.first += 1;
        }
        let next = events.first + events.kept.len() as u64;
        drop(events);
        self.next.send_replace(next);
    }

    /// `None`: nothing there yet.
    fn at(&self, place: u64) -> Option<Result<Happened>> {
        let events = self.events.lock();
        let Some(offset) = place.checked_sub(events.first) else {
            let message = "this watch fell behind what is kept: watch again, and read everything anew";
            return Some(Err(Error::new(codes::WATCH_BEHIND, message)));
        };
        match events.kept.get(usize::try_from(offset).unwrap_or(usize::MAX)) {
            Some((_, happened)) => Some(Ok(happened.clone())),
            None => events.ended.map(|code| Err(Error::new(code, code.title))),
        }
    }
}

impl Watcher {
    async fn next(mut self) -> Option<(Result<Happened>, Watcher)> {
        if self.over {
            return None;
        }
        loop {
            self.next.borrow_and_update();
            if let Some(found) = self.ring.at(self.place) {
                self.place += 1;
                self.over = found.is_err();
                return Some((found, self));
            }
            // The sender lives in the ring that this watcher holds.
            self.next.changed().await.ok()?;
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut watched = self.gate.hub.0.lock();
        // The map's and this one's own.
        if Arc::strong_count(&self.ring) == 2 {
            watched.rings.remove(&self.address);
        }
    }
}
