//! One topic in memory: how much it keeps, which groups it has, and who reads.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

use base::{Error, Result, Timestamp, codes, limits};
use bytes::Bytes;
use parking_lot::Mutex;
use ports::kv::{Keyspace, Kv, Position, Scan};
use tokio::sync::{mpsc, watch};

use super::counts::{Counts, Place, Places, Tally, TopicCounts};
use super::desk::Member;
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
    /// Sent when the reader of a group has begun or ended.
    turned: watch::Sender<()>,
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

enum Reader {
    None,
    /// One begins, or writes down what was settled before it ends: whoever wants to join waits.
    Turning,
    Active {
        joins: mpsc::Sender<Member>,
        /// With those that it has not welcomed yet.
        consumers: usize,
    },
}

/// How a consumer came to its group.
pub(super) enum Entered {
    Joined,
    /// Nobody reads: the caller is to, for this consumer.
    First(Claim, Member),
}

/// Where events go that are given up, and how full it may become.
pub(super) struct DeadLetters {
    pub(super) topic: Arc<Topic>,
    pub(super) bytes_max: u64,
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
            turned: watch::Sender::new(()),
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
            .filter(|(_, group)| matches!(group.reader, Reader::None) && group.seen_at < before);
        idle.map(|(name, _)| name.clone()).collect()
    }

    /// Brings a consumer to a group, and makes the group known: from here on nothing is removed that it has not settled.
    /// Waits while its reader begins or ends.
    ///
    /// Errors: `GROUP_FULL`.
    pub(super) async fn enter(self: &Arc<Topic>, group: &str, member: Member) -> Result<Entered> {
        let mut turned = self.turned.subscribe();
        let mut waiting = member;
        loop {
            waiting = match self.try_enter(group, waiting)? {
                Ok(entered) => return Ok(entered),
                Err(member) => member,
            };
            turned.changed().await.expect("the topic holds the sender");
        }
    }

    /// Gives the consumer back if it has to wait.
    fn try_enter(self: &Arc<Topic>, name: &str, member: Member) -> Result<Result<Entered, Member>> {
        let mut groups = self.groups.lock();
        let group = groups.entry(name.to_owned()).or_insert_with(|| Group {
            settled: Position::START,
            seen_at: Timestamp(0),
            reader: Reader::None,
            stored: false,
            tally: Arc::default(),
            shown: self.places.group(name),
        });
        let entered = match &mut group.reader {
            Reader::Turning => Err(member),
            Reader::Active { joins, consumers } => {
                if *consumers >= limits::CONSUMERS_PER_GROUP_MAX || joins.try_send(member).is_err() {
                    return Err(self.full(name));
                }
                *consumers += 1;
                Ok(Entered::Joined)
            }
            Reader::None => Ok(Entered::First(self.claimed(name, group), member)),
        };
        self.group_count.store(groups.len(), Relaxed);
        Ok(entered)
    }

    fn full(&self, group: &str) -> Error {
        let (topic, max) = (&self.name, limits::CONSUMERS_PER_GROUP_MAX);
        let message =
            format!("group {group} has {max} consumers of topic {topic}, end one or name another group");
        Error::new(codes::GROUP_FULL, message)
    }

    /// Becomes the reader of a group that has none.
    pub(super) fn claim(self: &Arc<Topic>, name: &str) -> Option<Claim> {
        let mut groups = self.groups.lock();
        let group = groups.get_mut(name)?;
        matches!(group.reader, Reader::None).then(|| self.claimed(name, group))
    }

    fn claimed(self: &Arc<Topic>, name: &str, group: &mut Group) -> Claim {
        group.reader = Reader::Turning;
        Claim {
            topic: self.clone(),
            group: name.to_owned(),
            tally: group.tally.clone(),
        }
    }
}

/// The right to read a topic with a group, which keeps others waiting until it is opened. Dropping it lets the next one in.
pub(super) struct Claim {
    topic: Arc<Topic>,
    group: String,
    tally: Arc<Tally>,
}

impl Claim {
    /// Lets consumers join the one that the reader has. They come here.
    pub(super) fn open(&self) -> mpsc::Receiver<Member> {
        let (joins, joining) = mpsc::channel(limits::CONSUMERS_PER_GROUP_MAX);
        self.turn(Reader::Active { joins, consumers: 1 });
        joining
    }

    /// One consumer fewer. `true`: it was the last, and others wait from here on until the claim is dropped.
    pub(super) fn part(&self) -> bool {
        let mut groups = self.topic.groups.lock();
        let Some(group) = groups.get_mut(&self.group) else {
            return true;
        };
        match &mut group.reader {
            Reader::Active { consumers, .. } if *consumers > 1 => {
                *consumers -= 1;
                false
            }
            reader => {
                *reader = Reader::Turning;
                true
            }
        }
    }

    fn turn(&self, to: Reader) {
        if let Some(group) = self.topic.groups.lock().get_mut(&self.group) {
            group.reader = to;
        }
        self.topic.turned.send_replace(());
    }

    pub(super) fn topic(&self) -> &Arc<Topic> {
        &self.topic
    }

    pub(super) fn group(&self) -> &str {
        &self.group
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
        self.topic.turned.send_replace(());
    }
}

impl DeadLetters {
    pub(super) fn has_room(&self) -> bool {
        self.topic.has_room(0, self.bytes_max)
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
