//! Entries page by page, from snapshots: those that are there, or those that a clear has removed.
//!
//! A listing that takes long goes on with a new snapshot where it was, so that a slow reader does not hold an old one for
//! ever: then each entry is as it was at some moment of the listing, and no entry comes twice.

use base::{Error, Result, Timestamp, codes, limits};
use bytes::Bytes;

use super::{ENTRIES, Head, Row, split, suffix};
use crate::engine::{Engine, PartScan, Snapshot};
use crate::key::Address;
use crate::primitive::ttl;
use crate::row::Stored;

/// An entry as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub key: String,
    pub value: Bytes,
    pub version: u64,
}

/// Where a listing is.
pub struct Listing {
    snapshot: Option<Box<dyn Snapshot>>,
    begun: Timestamp,
    which: Which,
    generation: Option<u64>,
    after: Option<Bytes>,
    over: bool,
}

enum Which {
    /// What is there, unless its time is over.
    Live,
    /// What a clear has removed; of one key only, if that is all that is asked for.
    Cleared { key: Option<String> },
}

impl Listing {
    pub fn live() -> Listing {
        Listing::of(None, Which::Live)
    }

    /// What the clear of that generation has removed. Its rows stay for a while after it.
    pub fn cleared(generation: u64, key: Option<String>) -> Listing {
        Listing::of(Some(generation), Which::Cleared { key })
    }

    fn of(generation: Option<u64>, which: Which) -> Listing {
        Listing {
            snapshot: None,
            begun: Timestamp(0),
            which,
            generation,
            after: None,
            over: false,
        }
    }

    /// The next entries, in order of their keys; `None` after the last ones.
    ///
    /// Errors: `WATCH_BEHIND` when the reader was so slow that cleared rows are being removed already.
    pub async fn next(&mut self, engine: &dyn Engine, address: &Address) -> Result<Option<Vec<Listed>>> {
        if self.over {
            return Ok(None);
        }
        let now = engine.now();
        let snapshot = match self.snapshot.take() {
            Some(snapshot) if now.since(self.begun) < limits::LISTING_SNAPSHOT_MAX => snapshot,
            _ => {
                self.begun = now;
                let snapshot = engine.snapshot(address)?;
                self.find(&*snapshot).await?;
                snapshot
            }
        };
        let rows = self.page(&*snapshot, now).await?;
        if !self.over {
            self.snapshot = Some(snapshot);
        }
        Ok(Some(rows))
    }

    /// Checks that the rows are still there.
    async fn find(&mut self, snapshot: &dyn Snapshot) -> Result<()> {
        let head = snapshot.scan(PartScan {
            part: 0,
            prefix: Bytes::new(),
            after: None,
            limit: 1,
            descending: false,
        });
        let head = match head.await?.rows.first() {
            Some((_, row)) => Head::from_row(row)?,
            None => Head::default(),
        };
        let generation = *self.generation.get_or_insert(head.generation);
        if generation < head.swept {
            let message = "what was cleared is being removed already: watch again, and read everything anew";
            return Err(Error::new(codes::WATCH_BEHIND, message));
        }
        Ok(())
    }

    async fn page(&mut self, snapshot: &dyn Snapshot, now: Timestamp) -> Result<Vec<Listed>> {
        let only = match &self.which {
            Which::Cleared { key } => key.as_deref(),
            Which::Live => None,
        };
        let prefix = suffix(
            self.generation.unwrap_or_default(),
            only.unwrap_or_default().as_bytes(),
        );
        let page = snapshot.scan(PartScan {
            part: ENTRIES,
            prefix: prefix.clone(),
            after: self.after.take(),
            // The key itself is the first one of all that begin with it.
            limit: if only.is_some() { 1 } else { limits::LISTING_ROWS },
            descending: false,
        });
        let page = page.await?;
        self.over = !page.more || only.is_some();
        self.after = page.rows.last().map(|(suffix, _)| suffix.clone());
        let mut listed = Vec::with_capacity(page.rows.len());
        for (suffix, row) in page.rows {
            let row = Row::from_row(&row)?;
            let over = matches!(self.which, Which::Live) && ttl::is_over(row.end(), now);
            if over || (only.is_some() && suffix != prefix) {
                continue;
            }
            let key = split(&suffix).map_or(&[][..], |(_, key)| key);
            listed.push(Listed {
                key: String::from_utf8_lossy(key).into_owned(),
                value: row.value,
                version: row.version,
            });
        }
        Ok(listed)
    }
}
