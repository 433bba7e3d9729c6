//! One topic in memory: how much it keeps, which groups it has, and who reads.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

use base::{Error, Result, Timestamp, codes};
use bytes::Bytes;
use parking_lot::Mutex;
use ports::kv::{Keyspace, Kv, Position, Scan};
use tokio::sync::watch;

use super::counts::{Counts, Place, Places, Tally, TopicCounts};
use super::retention::Floor;
use super::rows::{self, Cursor};

pub(super) struct Topic {
    pub(super) name: String,
    pub(super) log: Bytes,
    groups: Mutex<HashMap<String, Group>>,
    group_count: AtomicUsize,
    /// Bytes of events that were ever added and removed, as far as this process has counted them.
    added: AtomicU64,
    removed: AtomicU64,
    /// Something has changed that may let rows go.
    changed: AtomicBool,
    published: AtomicU64,
    lost: AtomicU64,
    places: Places,
    shown: Option<Place>,
    claims: AtomicU64,
    /// Sent when a group is given up by its reader.
    released: watch::Sender<()>,
    /// What the sweeper knows. Whoever holds it sweeps.
    pub(super) floor: tokio::sync::Mutex<Floor>,
}

struct Group {
    /// Everything up to here is settled, durably.
    settled: Position,
    seen_at: Timestamp,
    reader: Reader,
    /// Its row is stored.
    stored: bool,
    tally: Arc<Tally>,
    shown: Option<Place>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    None,
    /// With the number of its claim.
    Active(u64),
    /// The last subscription was dropped, its settlements are being written.
    Leaving,
}

/// What groups there are, as far as removing events is concerned.
pub(super) enum Readers {
    None,
    /// The slowest has everything settled up to here.
    Settled(Position),
}

impl Topic {
    /// Reads which groups there are and how far the log goes. Nothing may publish to the topic in this process meanwhile.
    pub(super) async fn open(kv: &dyn Kv, component: &str, name: &str, places: Places) -> Result<Topic> {
        let log = rows::log(component, name);
        let last = Scan::prefix(Keyspace::Journal, log.clone()).descending().limit(1);
        let last = kv.scan(last).await?;
        let last = last.rows.first().and_then(|(key, _)| Position::decode(key));
        let groups = read_groups(kv, &log, &places).await?;
        Ok(Topic {
            name: name.to_owned(),
            log,
            group_count: AtomicUsize::new(groups.len()),
            groups: Mutex::new(groups),
            added: AtomicU64::new(0),
            removed: AtomicU64::new(0),
            changed: AtomicBool::new(true),
            published: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            shown: places.topic(name),
            places,
            claims: AtomicU64::new(0),
            released: watch::Sender::new(()),
            floor: tokio::sync::Mutex::new(Floor::uncounted(last.unwrap_or(Position::START))),
        })
    }

    /// Bytes of kept events.
    pub(super) fn kept(&self) -> u64 {
        let removed = self.removed.load(Relaxed);
        self.added.load(Relaxed).saturating_sub(removed)
    }

    pub(super) fn added(&self) -> u64 {
        self.added.load(Relaxed)
    }

    pub(super) fn add(&self, bytes: u64) {
        self.added.fetch_add(bytes, Relaxed);
        self.changed.store(true, Relaxed);
    }

    pub(super) fn remove(&self, bytes: u64) {
        self.removed.fetch_add(bytes, Relaxed);
    }

    /// Nothing is kept, whatever was counted: batches that were staged and never committed.
    pub(super) fn empty(&self, added: u64) {
        self.removed.store(added, Relaxed);
    }

    /// So many events were stored.
    pub(super) fn published(&self, events: u64) {
        self.published.fetch_add(events, Relaxed);
    }

    /// So many events were removed that some group had not settled.
    pub(super) fn lost(&self, events: u64) {
        self.lost.fetch_add(events, Relaxed);
    }

    pub(super) fn count_into(&self, counts: &mut Counts) {
        match self.shown {
            Some(_) => counts.topics.push(TopicCounts {
                topic: self.name.clone(),
                published: self.published.load(Relaxed),
                lost: self.lost.load(Relaxed),
                kept_bytes: self.kept(),
            }),
            None => counts.topics_hidden += 1,
        }
        for (name, group) in self.groups.lock().iter() {
            match group.shown {
                Some(_) => counts.groups.push(group.tally.read(&self.name, name)),
                None => counts.groups_hidden += 1,
            }
        }
    }

    /// Whether these bytes may be added. Groups hold events until they have settled them, so only groups can fill a topic;
    /// without any the oldest events make room.
    pub(super) fn has_room(&self, bytes: u64, bytes_max: u64) -> bool {
        let kept = self.kept();
        kept == 0 || kept.saturating_add(bytes) <= bytes_max || self.group_count.load(Relaxed) == 0
    }

    pub(super) fn has_groups(&self) -> bool {
        self.group_count.load(Relaxed) > 0
    }

    pub(super) fn take_changed(&self) -> bool {
        self.changed.swap(false, Relaxed)
    }

    pub(super) fn set_changed(&self) {
        self.changed.store(true, Relaxed);
    }

    pub(super) fn readers(&self) -> Readers {
        let settled = self.groups.lock().values().map(|group| group.settled).min();
        settled.map_or(Readers::None, Readers::Settled)
    }

    /// A group has come this far, and that is stored.
    pub(super) fn settled(&self, group: &str, cursor: &Cursor) {
        if let Some(group) = self.groups.lock().get_mut(group) {
            group.settled = cursor.settled();
            group.seen_at = cursor.seen_at;
            group.stored = true;
        }
        self.changed.store(true, Relaxed);
    }

    /// Groups without a reader that were last seen before `before`.
    pub(super) fn idle_groups(&self, before: Timestamp) -> Vec<String> {
        let groups = self.groups.lock();
        let idle = groups
            .iter()
            .filter(|(_, group)| group.reader == Reader::None && group.seen_at < before);
        idle.map(|(name, _)| name.clone()).collect()
    }

    /// Becomes the reader of a group, and makes it known: from here on nothing is removed that it has not settled. Waits
    /// for a reader that is about to leave.
    ///
    /// Errors: `SUBSCRIPTION_EXISTS`.
    pub(super) async fn claim(self: &Arc<Topic>, group: &str) -> Result<Claim> {
        let mut released = self.released.subscribe();
        let number = self.claims.fetch_add(1, Relaxed);
        loop {
            let (reader, tally) = self.try_claim(group, number);
            match reader {
                Reader::None => {
                    return Ok(Claim {
                        topic: self.clone(),
                        group: group.to_owned(),
                        number,
                        tally,
                    });
                }
                Reader::Active(_) => {
                    let message = format!("group {group} reads topic {} already", self.name);
                    return Err(Error::new(codes::SUBSCRIPTION_EXISTS, message));
                }
                Reader::Leaving => released.changed().await.expect("the topic holds the sender"),
            }
        }
    }

    /// The reader that the group had.
    fn try_claim(&self, name: &str, number: u64) -> (Reader, Arc<Tally>) {
        let mut groups = self.groups.lock();
        let group = groups.entry(name.to_owned()).or_insert_with(|| Group {
            settled: Position::START,
            seen_at: Timestamp(0),
            reader: Reader::None,
            stored: false,
            tally: Arc::default(),
            shown: self.places.group(name),
        });
        let reader = group.reader;
        if reader == Reader::None {
            group.reader = Reader::Active(number);
        }
        let tally = group.tally.clone();
        self.group_count.store(groups.len(), Relaxed);
        (reader, tally)
    }

    /// The subscription of that claim was dropped: the next one may wait for it.
    fn leave(&self, group: &str, number: u64) {
        if let Some(group) = self.groups.lock().get_mut(group)
            && group.reader == Reader::Active(number)
        {
            group.reader = Reader::Leaving;
        }
    }
}

/// The right to read a topic with a group. Dropping it lets the next one in.
pub(super) struct Claim {
    topic: Arc<Topic>,
    group: String,
    number: u64,
    tally: Arc<Tally>,
}

/// Dropping it says that the claim will be given up soon.
pub(super) struct Leave {
    topic: Arc<Topic>,
    group: String,
    number: u64,
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.topic.leave(&self.group, self.number);
    }
}

impl Claim {
    pub(super) fn leave(&self) -> Leave {
        Leave {
            topic: self.topic.clone(),
            group: self.group.clone(),
            number: self.number,
        }
    }

    pub(super) fn topic(&self) -> &Arc<Topic> {
        &self.topic
    }

    /// The group's numbers.
    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The group's rows are gone.
    pub(super) fn forget(self) {
        if let Some(group) = self.topic.groups.lock().get_mut(&self.group) {
            group.stored = false;
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut groups = self.topic.groups.lock();
        match groups.get_mut(&self.group) {
            Some(group) if group.stored => group.reader = Reader::None,
            _ => drop(groups.remove(&self.group)),
        }
        self.topic.group_count.store(groups.len(), Relaxed);
        drop(groups);
        self.topic.set_changed();
        self.topic.released.send_replace(());
    }
}

async fn read_groups(kv: &dyn Kv, log: &Bytes, places: &Places) -> Result<HashMap<String, Group>> {
    let mut groups = HashMap::new();
    let mut scan = Scan::prefix(Keyspace::State, log.clone());
    loop {
        let page = kv.scan(scan.clone()).await?;
        for (key, entry) in &page.rows {
            let cursor = Cursor::decode(&entry.value)?;
            let name = String::from_utf8_lossy(&key[log.len()..]).into_owned();
            let group = Group {
                settled: cursor.settled(),
                seen_at: cursor.seen_at,
                reader: Reader::None,
                stored: true,
                tally: Arc::default(),
                shown: places.group(&name),
            };
            groups.insert(name, group);
        }
        match page.rows.last() {
            Some((last, _)) if page.more => scan = scan.after(last),
            _ => return Ok(groups),
        }
    }
}
