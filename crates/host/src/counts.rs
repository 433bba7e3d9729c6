//! What partitions do, in numbers, for whoever draws curves of them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::{Gate, Host};

/// One partition. What is counted is counted since it was opened; all else is how it is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub partition: u16,
    /// Commands that wait for the partition's loop, and their bytes.
    pub waiting_commands: u64,
    pub waiting_bytes: u64,
    /// Batches that are durable, counted. Those that only answer are among them.
    pub batches: u64,
    /// Steps in these batches, counted: commands and timers, those that were refused by their machine included.
    pub steps: u64,
    /// Batches that the store refused, counted. Those behind a refused one are not counted by themselves.
    pub batches_refused: u64,
    /// Timers in memory; there may be more in the store.
    pub timers_in_memory: u64,
    /// Letters to other partitions that were sent, and no receipt has come.
    pub letters_not_received: u64,
    pub machines_watched: u64,
}

/// What the loop writes down.
#[derive(Default)]
pub(crate) struct Tally {
    batches: AtomicU64,
    steps: AtomicU64,
    batches_refused: AtomicU64,
    timers_in_memory: AtomicU64,
    letters_not_received: AtomicU64,
}

impl Tally {
    pub(crate) fn committed(&self, steps: usize) {
        self.batches.fetch_add(1, Relaxed);
        self.steps.fetch_add(steps as u64, Relaxed);
    }

    pub(crate) fn refused(&self) {
        self.batches_refused.fetch_add(1, Relaxed);
    }

    pub(crate) fn holds(&self, timers: usize, letters: u64) {
        self.timers_in_memory.store(timers as u64, Relaxed);
        self.letters_not_received.store(letters, Relaxed);
    }
}

impl Host {
    /// Of each partition, in the order of their numbers.
    pub fn counts(&self) -> Vec<Counts> {
        self.0.gates.iter().map(|gate| gate.counts()).collect()
    }
}

impl Gate {
    fn counts(&self) -> Counts {
        let (waiting_commands, waiting_bytes) = self.inbox.waiting();
        let tally = &self.tally;
        Counts {
            partition: self.number,
            waiting_commands: waiting_commands as u64,
            waiting_bytes: waiting_bytes as u64,
            batches: tally.batches.load(Relaxed),
            steps: tally.steps.load(Relaxed),
            batches_refused: tally.batches_refused.load(Relaxed),
            timers_in_memory: tally.timers_in_memory.load(Relaxed),
            letters_not_received: tally.letters_not_received.load(Relaxed),
            machines_watched: self.hub.watched() as u64,
        }
    }
}
