//! Letters to and from other partitions: stored with the step that sent them, each taken once in effect, and between two
//! partitions in order.
//!
//! A sender numbers its letters to each partition from 1, without a gap, and stores them. It hands those that are durable to
//! the carrier, a window at a time, and hands them over again when no receipt comes. A receiver takes a letter if its number is
//! the next one, and stores that number with what came of it; so one that comes twice, or after a lost one, changes nothing.
//! Its receipt, given when that is durable, lets the sender delete what was received: with the next batch, no commit is made
//! for it. The last letter to a partition stays: it says how far the numbers came.

use std::collections::BTreeMap;

use base::{Error, Result, codes, limits};
use bytes::Bytes;
use machines::message::Letter;
use machines::{Key, Stored, Table};
use ports::kv::{Keyspace, Kv, Scan};
use tokio::time::Instant;

use crate::keys;

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Received {
    #[prost(uint64, tag = "1")]
    number: u64,
}

impl Stored for Received {}

#[derive(Default)]
pub(super) struct Post {
    /// By receiver.
    lines: BTreeMap<u16, Line>,
    /// Number of the last letter that was taken, commits on their way included, by sender.
    taken: BTreeMap<u16, u64>,
}

/// How far the letters to one partition came; each number is at most the one before.
#[derive(Clone, Copy, Default)]
struct Line {
    written: u64,
    durable: u64,
    handed: u64,
    received: u64,
    deleted: u64,
    /// When those that were handed over and not received are handed over again.
    again_at: Option<Instant>,
}

impl Post {
    /// What is stored: everything that may not have been received is handed over again.
    pub(super) async fn load(kv: &dyn Kv, partition: u16, partitions: u16) -> Result<Post> {
        let mut post = Post::default();
        for to in 0..partitions {
            let ends = (
                end(kv, partition, to, false).await?,
                end(kv, partition, to, true).await?,
            );
            if let (Some(first), Some(last)) = ends {
                let line = Line {
                    written: last,
                    durable: last,
                    handed: first - 1,
                    received: first - 1,
                    deleted: first - 1,
                    again_at: None,
                };
                post.lines.insert(to, line);
            }
        }
        let senders = (0..partitions).map(|from| keys::row(partition, &Key::received(from)));
        let rows = kv.get_many(&senders.collect::<Vec<_>>()).await?;
        for (from, row) in (0..).zip(rows) {
            if let Some(row) = row {
                post.taken.insert(from, Received::from_row(&row.value)?.number);
            }
        }
        Ok(post)
    }

    /// Numbers a letter: to be stored under that key.
    pub(super) fn write(&mut self, to: u16) -> (u64, Key) {
        let line = self.lines.entry(to).or_default();
        line.written += 1;
        (line.written, Key::letter(to, line.written))
    }

    /// Whether everything that was sent there has arrived.
    pub(super) fn is_idle(&self, to: u16) -> bool {
        self.lines
            .get(&to)
            .is_none_or(|line| line.received == line.written)
    }

    /// Letters that were sent, and no receipt has come.
    pub(super) fn not_received(&self) -> u64 {
        self.lines.values().map(|line| line.written - line.received).sum()
    }

    /// A letter is durable. Whether it goes out now: it waits if others do, or too many are on their way.
    pub(super) fn goes_out(&mut self, to: u16, number: u64) -> bool {
        let line = self.lines.entry(to).or_default();
        line.durable = number;
        let goes = line.handed + 1 == number && number <= line.window();
        if goes {
            line.hand_over(number);
        }
        goes
    }

    pub(super) fn receipt(&mut self, from: u16, number: u64) {
        let Some(line) = self.lines.get_mut(&from) else {
            return;
        };
        let number = number.min(line.durable);
        if number <= line.received {
            return;
        }
        line.received = number;
        line.handed = line.handed.max(line.received);
        line.again_at = (line.received < line.handed).then(again);
    }

    /// Rows that are not needed any more.
    pub(super) fn take_deleted(&mut self) -> Vec<Key> {
        let mut keys = vec![];
        for (to, line) in &mut self.lines {
            let until = line.received.min(line.written.saturating_sub(1));
            let until = until.min(line.deleted + limits::PARTITION_BATCH_CHANGES as u64);
            keys.extend((line.deleted + 1..=until).map(|number| Key::letter(*to, number)));
            line.deleted = line.deleted.max(until);
        }
        keys
    }

    /// When letters have to be handed over again.
    pub(super) fn again_at(&self) -> Option<Instant> {
        self.lines.values().filter_map(|line| line.again_at).min()
    }

    /// Letters to hand over that are not at hand: receiver, and numbers from and to.
    pub(super) fn take_waiting(&mut self) -> Vec<(u16, u64, u64)> {
        let now = Instant::now();
        let mut waiting = vec![];
        for (to, line) in &mut self.lines {
            if line.again_at.is_some_and(|again_at| again_at <= now) {
                line.handed = line.received;
                line.again_at = None;
            }
            let until = line.durable.min(line.window());
            if line.handed < until {
                waiting.push((*to, line.handed + 1, until));
                line.hand_over(until);
            }
        }
        waiting
    }

    /// Whether the letter is the next one of that sender. `Err`: the last one that was taken.
    pub(super) fn take(&mut self, from: u16, number: u64) -> std::result::Result<(Key, Bytes), u64> {
        let taken = self.taken.entry(from).or_default();
        if number != *taken + 1 {
            return Err(*taken);
        }
        *taken = number;
        Ok((Key::received(from), Received { number }.to_row()))
    }
}

impl Line {
    /// The last one that may be on its way.
    fn window(&self) -> u64 {
        self.received + limits::LETTERS_IN_FLIGHT_MAX
    }

    fn hand_over(&mut self, number: u64) {
        self.handed = number;
        self.again_at.get_or_insert_with(again);
    }
}

fn again() -> Instant {
    Instant::now() + limits::LETTERS_AGAIN_AFTER
}

/// Letters that are stored, in order.
pub(super) async fn read(
    kv: &dyn Kv,
    partition: u16,
    waiting: (u16, u64, u64),
) -> Result<Vec<(u64, Letter)>> {
    let (to, first, last) = waiting;
    let stored: Vec<_> = (first..=last)
        .map(|number| keys::row(partition, &Key::letter(to, number)))
        .collect();
    let mut letters = vec![];
    for (number, entry) in (first..).zip(kv.get_many(&stored).await?) {
        // Nobody but an owner deletes them.
        let missing = || {
            Error::new(
                codes::FENCED,
                format!("letter {number} to partition {to} is gone"),
            )
        };
        letters.push((number, Letter::from_row(&entry.ok_or_else(missing)?.value)?));
    }
    Ok(letters)
}

/// The first or last number that is stored.
async fn end(kv: &dyn Kv, partition: u16, to: u16, last: bool) -> Result<Option<u64>> {
    let prefix = keys::row(partition, &Key::letter(to, 0)).bytes;
    let prefix = prefix.slice(..prefix.len() - size_of::<u64>());
    let mut scan = Scan::prefix(Keyspace::State, prefix).limit(1);
    if last {
        scan = scan.descending();
    }
    let page = kv.scan(scan).await?;
    let number = page.rows.first().and_then(|(key, _)| {
        let key = keys::machine_key(Table::Letter, key);
        Key::decode_letter(&key.bytes)
    });
    Ok(number.map(|(_, number)| number))
}
