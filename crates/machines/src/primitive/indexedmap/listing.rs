//! Entries in order of their indexes, from snapshots: those that are there, or those that a clear has removed.
//!
//! A listing that takes long goes on with a new snapshot where it was, so that a slow reader does not hold an old one for
//! ever: then each entry is as it was at some moment of the listing, and no entry comes twice.

use base::{Error, Result, Timestamp, codes, limits};
use bytes::Bytes;

use super::{ENTRIES, Entry, EntryRow, Query, Reply, entry_name, missing, removed_already};
use crate::engine::{Engine, PartScan, Snapshot};
use crate::key::Address;
use crate::primitive::ttl;
use crate::row::Stored;

/// From where, and in which direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Behind that index; 0: from the first one.
    After(u64),
    /// Before that index, backwards; `None`: from the last one.
    Before(Option<u64>),
}

/// The next entry in that direction. The index it begins with need not be there.
///
/// Errors: `ENTRY_NOT_FOUND` when there is none.
pub async fn nearest(engine: &dyn Engine, address: &Address, mut order: Order) -> Result<Entry> {
    let now = engine.now();
    let snapshot = engine.snapshot(address)?;
    let (generation, _) = overview(&*snapshot).await?;
    // Nearly always the first row is it; those whose time is over are removed soon.
    let mut limit = 1;
    loop {
        let page = snapshot.scan(scan(generation, order, limit)).await?;
        let Some((last, _)) = page.rows.last() else {
            return Err(missing());
        };
        order = match order {
            Order::After(_) => Order::After(index(last)?),
            Order::Before(_) => Order::Before(Some(index(last)?)),
        };
        for (name, row) in page.rows {
            let row = EntryRow::from_row(&row)?;
            if !ttl::is_over(row.end(), now) {
                return Ok(row.entry(index(&name)?));
            }
        }
        limit = limits::LISTING_ROWS;
    }
}

/// Where a listing is.
pub struct Listing {
    snapshot: Option<Box<dyn Snapshot>>,
    begun: Timestamp,
    /// `None`: that of the first snapshot, whose entries are hidden when their time is over.
    cleared: Option<u64>,
    generation: u64,
    after: u64,
    over: bool,
}

impl Listing {
    pub fn live() -> Listing {
        Listing::of(None)
    }

    /// What the clear of that generation has removed.
    pub fn cleared(generation: u64) -> Listing {
        Listing::of(Some(generation))
    }

    fn of(cleared: Option<u64>) -> Listing {
        Listing {
            snapshot: None,
            begun: Timestamp(0),
            cleared,
            generation: cleared.unwrap_or_default(),
            after: 0,
            over: false,
        }
    }

    /// The next entries; `None` after the last ones.
    pub async fn next(&mut self, engine: &dyn Engine, address: &Address) -> Result<Option<Vec<Entry>>> {
        if self.over {
            return Ok(None);
        }
        let now = engine.now();
        let snapshot = match self.snapshot.take() {
            Some(snapshot) if now.since(self.begun) < limits::LISTING_SNAPSHOT_MAX => snapshot,
            _ => {
                self.begun = now;
                engine.snapshot(address)?
            }
        };
        let overview = overview(&*snapshot).await?;
        if self.cleared.is_none() && self.after == 0 {
            self.generation = overview.0;
        }
        if self.generation < overview.1 {
            return Err(removed_already());
        }
        let order = Order::After(self.after);
        let page = snapshot.scan(scan(self.generation, order, limits::LISTING_ROWS));
        let page = page.await?;
        if let Some((last, _)) = page.rows.last() {
            self.after = index(last)?;
        }
        self.over = !page.more;
        self.snapshot = page.more.then_some(snapshot);
        let mut entries = Vec::with_capacity(page.rows.len());
        for (name, row) in page.rows {
            let row = EntryRow::from_row(&row)?;
            if self.cleared.is_some() || !ttl::is_over(row.end(), now) {
                entries.push(row.entry(index(&name)?));
            }
        }
        Ok(Some(entries))
    }
}

/// The generation that is there, and the first one whose rows are all kept.
async fn overview(snapshot: &dyn Snapshot) -> Result<(u64, u64)> {
    match snapshot.read(Query::Overview.into()).await?.try_into() {
        Ok(Reply::Overview {
            generation, swept, ..
        }) => Ok((generation, swept)),
        _ => {
            let message = "a machine has given another one's answer";
            Err(Error::new(codes::INTERNAL, message))
        }
    }
}

fn scan(generation: u64, order: Order, limit: usize) -> PartScan {
    let after = match order {
        Order::After(index) => Some(index),
        Order::Before(index) => index,
    };
    PartScan {
        part: ENTRIES,
        prefix: Bytes::copy_from_slice(&generation.to_be_bytes()),
        after: after.map(|index| entry_name(generation, index)),
        limit,
        descending: matches!(order, Order::Before(_)),
    }
}

/// The index in an entry's name.
fn index(name: &Bytes) -> Result<u64> {
    let index = name.get(8..).and_then(|index| index.try_into().ok());
    index.map(u64::from_be_bytes).ok_or_else(|| {
        let message = "an indexed map's row has a damaged name";
        Error::new(codes::STORED_ROW_UNREADABLE, message)
    })
}
