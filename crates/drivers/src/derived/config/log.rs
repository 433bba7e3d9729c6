//! The log of changes: written with each change, read by watches, trimmed in the background.

use std::collections::VecDeque;
use std::sync::Arc;

use base::{Error, Result, Timestamp, codes, limits};
use futures::stream::{self, BoxStream, StreamExt};
use ports::config::{Changes, Filter, Item};
use ports::kv::{
    Batch, Durability, Entry, Expect, Key, Keyspace, Kv, Outcome, Position, Reads, Scan, Version, Write,
};
use tokio::sync::watch;

use super::rows::{self, Mark, Record};
use crate::derived::keys::{self, Prefix};
use crate::derived::{Progress, unreadable};

#[derive(Clone)]
pub(super) struct Log {
    rows: Prefix,
    /// Counts every row ever appended, so that the length is known without reading the log.
    count: Key,
    mark: Key,
}

impl Log {
    pub(super) fn of(component: &str) -> Log {
        Log {
            rows: Prefix::of(keys::CONFIG, component),
            count: Prefix::of(keys::CONFIG_ROWS, component).fixed("rows"),
            mark: Prefix::of(keys::CONFIG_MARK, component).fixed("mark"),
        }
    }

    pub(super) fn stage(&self, mut batch: Batch, now: Timestamp, app: &str, items: &[Item]) -> Batch {
        batch.writes.push(Write::Append {
            keyspace: Keyspace::Journal,
            prefix: self.rows.bytes().clone(),
            value: rows::encode_record(now, app, items),
            expires_at: None,
        });
        batch.writes.push(Write::Add {
            key: self.count.clone(),
            delta: 1,
            floor: 0,
        });
        batch
    }

    /// Every change from now on. The signal is taken before the place to begin at is read, so no change is between them.
    pub(super) async fn watch(
        &self,
        kv: Arc<dyn Kv>,
        filter: Filter,
    ) -> Result<BoxStream<'static, Result<Changes>>> {
        let signal = kv.appended(Keyspace::Journal, self.rows.bytes());
        let cursor = self.end(&*kv.snapshot()?).await?;
        let watch = Watch {
            log: self.clone(),
            kv,
            filter,
            cursor,
            signal,
            ready: VecDeque::new(),
        };
        Ok(stream::unfold(Some(watch), Watch::step).boxed())
    }

    /// Where the next row will be behind. A log that is trimmed bare ends at its mark.
    async fn end(&self, reads: &dyn Reads) -> Result<Position> {
        let (mark, _) = self.mark(reads).await?;
        let last = self.range().descending().limit(1);
        match reads.scan(last).await?.rows.first() {
            Some((key, _)) => Ok(position(key)?.max(mark.through)),
            None => Ok(mark.through),
        }
    }

    fn range(&self) -> Scan {
        Scan::prefix(Keyspace::Journal, self.rows.bytes().clone())
    }

    fn page_after(&self, cursor: Position) -> Scan {
        let key = [&self.rows.bytes()[..], &cursor.encode()].concat();
        self.range().after(&key).limit(limits::CONFIG_LOG_PAGE_ROWS)
    }

    /// The mark, and the version of its row.
    async fn mark(&self, reads: &dyn Reads) -> Result<(Mark, Option<Version>)> {
        match reads.get(&self.mark).await? {
            Some(entry) => Ok((Mark::decode(&entry.value)?, Some(entry.version))),
            None => Ok((Mark::NONE, None)),
        }
    }

    async fn count(&self, reads: &dyn Reads) -> Result<u64> {
        let Some(entry) = reads.get(&self.count).await? else {
            return Ok(0);
        };
        let bytes = entry.value[..]
            .try_into()
            .map_err(|_| unreadable("counter", "it has not 8 bytes"))?;
        Ok(u64::from_le_bytes(bytes))
    }

    pub(super) async fn trim(&self, kv: &dyn Kv) -> Result<Progress> {
        let snapshot = kv.snapshot()?;
        let (mark, version) = self.mark(&*snapshot).await?;
        let kept = self.count(&*snapshot).await?.saturating_sub(mark.rows);
        let page = snapshot.scan(self.page_after(mark.through)).await?;
        let old = doomed(&page.rows, kept, kv.now())?;
        let Some((last, _)) = old.last() else {
            return Ok(Progress::Done);
        };
        let trimmed = Mark {
            through: position(last)?,
            rows: mark.rows + old.len() as u64,
        };
        let expect = version.map_or(Expect::Absent, Expect::Version);
        let mut batch = Batch::default()
            .put(self.mark.clone(), trimmed.encode())
            .expect(self.mark.clone(), expect)
            .durability(Durability::Buffered);
        for (key, _) in old {
            batch = batch.delete(Key::journal(key.clone()));
        }
        let all = old.len() == page.rows.len() && !page.more;
        match kv.commit(batch).await? {
            Outcome::Committed { .. } if all || old.len() < page.rows.len() => Ok(Progress::Done),
            Outcome::Committed { .. } | Outcome::Conflict { .. } => Ok(Progress::More),
        }
    }
}

type Row = (bytes::Bytes, Entry);

/// The rows at the beginning that are too many or too old, of a log that keeps `kept` rows now.
fn doomed(rows: &[Row], kept: u64, now: Timestamp) -> Result<&[Row]> {
    let surplus = kept.saturating_sub(limits::CONFIG_LOG_ROWS_MAX);
    for (index, (_, entry)) in rows.iter().enumerate() {
        let old = now.since(rows::record_time(&entry.value)?) > limits::CONFIG_LOG_AGE_MAX;
        if index as u64 >= surplus && !old {
            return Ok(&rows[..index]);
        }
    }
    Ok(rows)
}

fn position(key: &[u8]) -> Result<Position> {
    Position::decode(key).ok_or_else(|| unreadable("configuration change", "its key has no position"))
}

/// A cursor over the log. It reads when it is polled and holds one page: a watch that nobody polls costs nothing.
struct Watch {
    log: Log,
    kv: Arc<dyn Kv>,
    filter: Filter,
    /// The last row that was read.
    cursor: Position,
    signal: watch::Receiver<Version>,
    ready: VecDeque<Changes>,
}

impl Watch {
    /// An error is the last thing that a watch says.
    async fn step(watch: Option<Watch>) -> Option<(Result<Changes>, Option<Watch>)> {
        let mut watch = watch?;
        match watch.next().await {
            Ok(changes) => Some((Ok(changes), Some(watch))),
            Err(error) => Some((Err(error), None)),
        }
    }

    async fn next(&mut self) -> Result<Changes> {
        loop {
            if let Some(changes) = self.ready.pop_front() {
                return Ok(changes);
            }
            // Before the read: what is appended during it wakes us again.
            self.signal.borrow_and_update();
            let read = self.read_page().await?;
            if read == 0 {
                self.signal.changed().await.map_err(closed)?;
            } else if self.ready.is_empty() {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Reads on, and answers how many rows there were. Mark and rows are of one view: rows that the mark does not tell of are
    /// all there.
    async fn read_page(&mut self) -> Result<usize> {
        let snapshot = self.kv.snapshot()?;
        let (mark, _) = self.log.mark(&*snapshot).await?;
        if mark.through > self.cursor {
            let message = "this watch was read too slowly: changes that it has not seen are no longer kept; \
                           read the items again and watch anew";
            return Err(Error::new(codes::WATCH_BEHIND, message));
        }
        let page = snapshot.scan(self.log.page_after(self.cursor)).await?;
        for (key, entry) in &page.rows {
            self.take(rows::decode_record(&entry.value)?);
            self.cursor = position(key)?;
        }
        Ok(page.rows.len())
    }

    fn take(&mut self, record: Record) {
        if record.app != self.filter.app {
            return;
        }
        let mut items = record.items;
        items.retain(|item| self.filter.takes(&item.group, &item.label, &item.key));
        if !items.is_empty() {
            self.ready.push_back(Changes { items });
        }
    }
}

fn closed(cause: watch::error::RecvError) -> Error {
    Error::new(codes::ENGINE_STOPPED, "the store was closed under a watch").because(cause)
}
