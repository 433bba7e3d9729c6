//! Who shares the events of a group, and who gets the next one. No clock and no I/O.
//!
//! The next event goes to the consumer that has the fewest, of those that have room; among equals to the one that has waited
//! longest. So a slow one fills up to what it asked for and then gets none, and the others go on. What it holds takes no
//! memory from them: a group may hold more in memory with every consumer.

use std::collections::BTreeMap;

use base::limits;

/// Numbers that are not given twice while the group is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ConsumerId(u64);

#[derive(Default)]
pub(super) struct Consumers {
    all: BTreeMap<ConsumerId, Share>,
    joined: u64,
    handed: u64,
}

/// What one consumer has.
struct Share {
    /// 0: it takes no more.
    in_flight_max: usize,
    in_flight: usize,
    bytes: usize,
    /// How many events had been handed to all of them when it got its last one.
    handed: u64,
}

impl Share {
    fn has_room(&self) -> bool {
        self.in_flight < self.in_flight_max && self.bytes < limits::EVENTS_IN_MEMORY_BYTES_MAX
    }
}

impl Consumers {
    pub(super) fn join(&mut self, in_flight_max: usize) -> ConsumerId {
        let id = ConsumerId(self.joined);
        self.joined += 1;
        let share = Share {
            in_flight_max,
            in_flight: 0,
            bytes: 0,
            handed: 0,
        };
        self.all.insert(id, share);
        id
    }

    /// It gets no more.
    pub(super) fn close(&mut self, id: ConsumerId) {
        if let Some(share) = self.all.get_mut(&id) {
            share.in_flight_max = 0;
        }
    }

    pub(super) fn leave(&mut self, id: ConsumerId) {
        self.all.remove(&id);
    }

    /// Who gets the next event; `None` while nobody has room.
    pub(super) fn next(&self) -> Option<ConsumerId> {
        let with_room = self.all.iter().filter(|(_, share)| share.has_room());
        let next = with_room.min_by_key(|(_, share)| (share.in_flight, share.handed));
        next.map(|(id, _)| *id)
    }

    pub(super) fn give(&mut self, id: ConsumerId, bytes: usize) {
        self.handed += 1;
        if let Some(share) = self.all.get_mut(&id) {
            share.in_flight += 1;
            share.bytes += bytes;
            share.handed = self.handed;
        }
    }

    pub(super) fn take(&mut self, id: ConsumerId, bytes: usize) {
        if let Some(share) = self.all.get_mut(&id) {
            share.in_flight -= 1;
            share.bytes -= bytes;
        }
    }

    /// Events that the group may hold in memory.
    pub(super) fn rows_max(&self) -> usize {
        self.all.len() * limits::EVENTS_IN_MEMORY_MAX
    }

    /// The same in bytes.
    pub(super) fn bytes_max(&self) -> usize {
        self.all.len() * limits::EVENTS_IN_MEMORY_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out events of a byte as long as somebody has room, and says who got them.
    fn hand_out(consumers: &mut Consumers) -> Vec<u64> {
        let mut handed = vec![];
        while let Some(id) = consumers.next() {
            consumers.give(id, 1);
            handed.push(id.0);
        }
        handed
    }

    #[test]
    fn equals_take_turns() {
        let mut consumers = Consumers::default();
        for _ in 0..3 {
            consumers.join(2);
        }
        assert_eq!(hand_out(&mut consumers), [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn the_one_with_the_fewest_is_next() {
        let mut consumers = Consumers::default();
        let slow = consumers.join(3);
        let quick = consumers.join(3);
        hand_out(&mut consumers);
        consumers.take(quick, 1);
        consumers.take(quick, 1);
        consumers.take(slow, 1);
        assert_eq!(hand_out(&mut consumers), [1, 0, 1]);
    }

    #[test]
    fn idle_ones_get_single_events_in_turn() {
        let mut consumers = Consumers::default();
        consumers.join(8);
        consumers.join(8);
        let mut handed = vec![];
        for _ in 0..4 {
            let id = consumers.next().expect("both have room");
            consumers.give(id, 1);
            consumers.take(id, 1);
            handed.push(id.0);
        }
        assert_eq!(handed, [0, 1, 0, 1]);
    }

    #[test]
    fn one_that_is_closed_or_gone_gets_none() {
        let mut consumers = Consumers::default();
        let (closed, gone) = (consumers.join(8), consumers.join(8));
        consumers.give(closed, 1);
        consumers.close(closed);
        consumers.leave(gone);
        assert_eq!(consumers.next(), None);
        consumers.take(closed, 1);
        assert_eq!(consumers.next(), None);
    }

    #[test]
    fn large_events_fill_a_consumer_too() {
        let mut consumers = Consumers::default();
        let id = consumers.join(8);
        consumers.give(id, limits::EVENTS_IN_MEMORY_BYTES_MAX);
        assert_eq!(consumers.next(), None);
    }

    #[test]
    fn memory_grows_with_consumers() {
        let mut consumers = Consumers::default();
        assert_eq!(consumers.rows_max(), 0);
        consumers.join(1);
        consumers.join(1);
        assert_eq!(consumers.rows_max(), 2 * limits::EVENTS_IN_MEMORY_MAX);
        assert_eq!(consumers.bytes_max(), 2 * limits::EVENTS_IN_MEMORY_BYTES_MAX);
    }
}
