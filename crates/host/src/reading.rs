//! Queries, on the caller's thread: nothing waits for the loop, and what is read is what is durable.

use std::collections::BTreeMap;

use base::{Error, Result, Timestamp, codes, limits};
use bytes::Bytes;
use machines::engine::{PartPage, PartScan, Span, SpanPage};
use machines::{Address, Found, Key, Query, Reply, Rows, Stop, Table, View};
use ports::kv::{Keyspace, Reads, Scan};

use crate::keys;

#[derive(Default)]
struct Loaded(BTreeMap<Key, Option<Bytes>>);

impl Rows for Loaded {
    fn get(&self, key: &Key) -> Found {
        match self.0.get(key) {
            Some(Some(row)) => Found::Row(row.clone()),
            Some(None) => Found::Absent,
            None => Found::NotLoaded,
        }
    }

    /// Queries read rows by name; who lists them scans a snapshot.
    fn range(&self, _scan: &PartScan) -> Option<PartPage> {
        None
    }
}

/// Rows of a part.
pub(crate) async fn scan(reads: &dyn Reads, place: (u16, &Address), scan: &PartScan) -> Result<PartPage> {
    let (partition, address) = place;
    let prefix = keys::part(partition, address, scan.part, &scan.prefix);
    let mut range = Scan::prefix(prefix.keyspace, prefix.bytes.clone()).limit(scan.limit);
    let end = |suffix: &Bytes| keys::part(partition, address, scan.part, suffix).bytes;
    if scan.descending {
        range = range.descending();
        if let Some(before) = &scan.after {
            range.end = Some(end(before));
        }
    } else if let Some(after) = &scan.after {
        range = range.after(&end(after));
    }
    let page = reads.scan(range).await?;
    let skip = prefix.bytes.len() - scan.prefix.len();
    let row = |(key, entry): (Bytes, ports::kv::Entry)| (key.slice(skip..), entry.value);
    Ok(PartPage {
        rows: page.rows.into_iter().map(row).collect(),
        more: page.more,
    })
}

/// Rows of machines of a partition.
pub(crate) async fn span(reads: &dyn Reads, partition: u16, span: Span) -> Result<SpanPage> {
    let table = keys::table(partition, Table::Machine);
    let prefix = [&table[..], &span.prefix[..]].concat();
    let mut range = Scan::prefix(Keyspace::State, prefix)
        .limit(span.limit)
        .bytes(span.bytes);
    if span.from > span.prefix {
        range.start = [&table[..], &span.from[..]].concat().into();
    }
    let page = reads.scan(range).await?;
    let row =
        |(key, entry): (Bytes, ports::kv::Entry)| (keys::machine_key(Table::Machine, &key), entry.value);
    Ok(SpanPage {
        rows: page.rows.into_iter().map(row).collect(),
        more: page.more,
    })
}

/// Loads what the query asks for, so many times. `None`: it wants to know still more, and should do so on one snapshot.
pub(crate) async fn read(
    reads: &dyn Reads,
    now: Timestamp,
    place: (u16, &Address),
    query: &Query,
    loads: usize,
) -> Result<Option<Reply>> {
    let (partition, address) = place;
    let mut loaded = Loaded::default();
    for load in 0..=loads {
        match machines::read(&View::new(&loaded), now, address, query) {
            Ok(reply) => return Ok(Some(reply)),
            Err(Stop::Refused(error)) => return Err(error),
            Err(Stop::Missing(_)) if load == loads => {}
            Err(Stop::MissingRange(_)) => return Err(endless()),
            Err(Stop::Missing(missing)) => {
                let stored: Vec<_> = missing.iter().map(|key| keys::row(partition, key)).collect();
                let rows = reads.get_many(&stored).await?;
                let rows = rows.into_iter().map(|entry| entry.map(|entry| entry.value));
                loaded.0.extend(missing.into_iter().zip(rows));
            }
        }
    }
    Ok(None)
}

/// A query that asks again and again is a fault of ours.
pub(crate) fn endless() -> Error {
    let message = format!(
        "a query asked for rows more than {} times",
        limits::STEP_LOADS_MAX
    );
    Error::new(codes::INTERNAL, message)
}
