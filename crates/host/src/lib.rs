//! The partition host: runs machines, one owner per partition, over any store that offers `Kv`.
//!
//! ```text
//! submit ──► inbox ──► partition: apply many ──► one commit ──► when durable: events to watchers, answers to callers,
//!              ▲         (the next batch is applied                letters to other partitions, conversations to callees
//!              │          while the last one syncs)                    │
//!              └────────────────────────── carrier ◄───────────────────┘
//! read ──► the store itself, on the caller's thread
//! ```
//!
//! | file | what |
//! |---|---|
//! | `lib` | opening, and the [`machines::Engine`] that families see |
//! | `partition` | the loop that owns a partition: apply, commit, release, in order |
//! | `partition/rows` | rows in memory, with write-through |
//! | `partition/held` | steps that nobody hears of: stored with the next one on the same rows |
//! | `partition/timers` | what is due, and when |
//! | `partition/post` | letters to and from other partitions, each once in effect |
//! | `carrier` | how letters travel |
//! | `inbox` | commands that wait for the loop |
//! | `hub` | who watches what |
//! | `counts` | what partitions do, in numbers |
//! | `keys` | where the rows are in the store |

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{Error, Result, Timestamp, codes, limits};
use bytes::Bytes;
use futures::future::BoxFuture;
use machines::engine::{PartPage, PartScan, Snapshot, Span, SpanPage, Survey, Watch};
use machines::{Address, Callee, Command, Engine, Key, Query, Reply, Request};
use ports::kv::{Fence, Kv, Reads};
use ports::ownership::{Claim, Owner, Ownership};
use tokio::runtime::Handle;

mod carrier;
mod counts;
mod hub;
mod inbox;
mod keys;
mod partition;
mod reading;
mod submitting;

#[cfg(test)]
mod tests;

pub use carrier::{Carrier, Direct, Parcel};
pub use counts::Counts;
use counts::Tally;
use hub::Hub;
use inbox::Inbox;
use partition::Partition;

/// How a host is opened.
#[derive(Clone)]
pub struct Options {
    /// How many partitions a new store gets. An old one keeps what it has: addresses are spread over them for good.
    pub partitions: u16,
    /// Who owns the partitions. A store that only one process can open names the store, so that a new start does not wait
    /// for the lease of the one that crashed.
    pub owner: Owner,
    pub lease: Duration,
    /// Bytes of rows that each partition keeps in memory.
    pub cache_bytes: usize,
    /// How long sessions that were there before a restart have to come back.
    pub restart_grace: Duration,
    pub carrier: Arc<dyn Carrier>,
    /// Who talks to user code; `None` as long as no machine wants that.
    pub callee: Option<Arc<dyn Callee>>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            partitions: 4,
            owner: Owner("local".into()),
            lease: limits::OWNERSHIP_LEASE_MAX,
            cache_bytes: limits::PARTITION_CACHE_BYTES,
            restart_grace: limits::SESSION_RESTART_GRACE,
            carrier: Arc::new(Direct),
            callee: None,
        }
    }
}

/// The host over one store. Cheap to clone.
#[derive(Clone)]
pub struct Host(Arc<Shared>);

struct Shared {
    kv: Arc<dyn Kv>,
    gates: Vec<Arc<Gate>>,
}

/// What the callers of a partition share with its loop.
pub(crate) struct Gate {
    number: u16,
    /// Of the owner's claim: what tells requests of this owner from those of earlier ones.
    epoch: u64,
    inbox: Inbox,
    hub: Hub,
    tally: Tally,
}

impl Gate {
    fn new(fence: &Fence) -> Arc<Gate> {
        Arc::new(Gate {
            number: u16::try_from(fence.partition).expect("partitions are numbered with 16 bits"),
            epoch: fence.epoch,
            inbox: Inbox::default(),
            hub: Hub::default(),
            tally: Tally::default(),
        })
    }

    fn request(&self, number: u64) -> Request {
        Request {
            epoch: self.epoch,
            number,
        }
    }
}

impl Host {
    /// Takes all partitions and starts a loop for each, in turn on the given runtimes.
    ///
    /// Errors: `FENCED` when another process holds one; what the store says.
    pub async fn open(
        kv: Arc<dyn Kv>,
        ownership: Arc<dyn Ownership>,
        options: Options,
        runtimes: &[Handle],
    ) -> Result<Host> {
        let count = partition::count(&*kv, options.partitions).await?;
        let claims = (0..count).map(|number| claim(&*ownership, &options, number));
        let fences = futures::future::try_join_all(claims).await?;
        let gates = fences.iter().map(Gate::new).collect();
        let host = Host(Arc::new(Shared { kv, gates }));
        let opening = fences
            .into_iter()
            .map(|fence| Partition::open(host.clone(), ownership.clone(), fence, &options));
        let partitions = futures::future::try_join_all(opening).await?;
        for (partition, runtime) in partitions.into_iter().zip(runtimes.iter().cycle()) {
            let _inside = runtime.enter();
            drop(base::task::spawn("partition", partition.run()));
        }
        Ok(host)
    }

    /// Stops the loops: what is applied is committed and answered, what waits is refused.
    pub fn close(&self) {
        for gate in &self.0.gates {
            gate.inbox.close(codes::HOST_STOPPED);
        }
    }

    fn gate(&self, address: &Address) -> &Arc<Gate> {
        &self.0.gates[usize::from(self.partition(address))]
    }

    /// Where the machine lives.
    fn partition(&self, address: &Address) -> u16 {
        (address.hash() % self.0.gates.len() as u64) as u16
    }

    fn partitions(&self) -> u16 {
        self.0.gates.len() as u16
    }
}

async fn claim(ownership: &dyn Ownership, options: &Options, number: u16) -> Result<Fence> {
    let claim = ownership
        .claim(u32::from(number), &options.owner, options.lease)
        .await?;
    match claim {
        Claim::Granted(fence) => Ok(fence),
        Claim::Held { by } => {
            let message = format!("partition {number} belongs to {}", by.0);
            Err(Error::new(codes::FENCED, message))
        }
    }
}

#[async_trait]
impl Engine for Host {
    fn submit(&self, address: &Address, command: Command) -> BoxFuture<'static, Result<Reply>> {
        submitting::submit(self.gate(address).clone(), address.clone(), command)
    }

    async fn read(&self, address: &Address, query: Query) -> Result<Reply> {
        let kv = &self.0.kv;
        let place = (self.gate(address).number, address);
        // Most queries are about one row. One that wants more, with what it has learned, gets all from one snapshot.
        if let Some(reply) = reading::read(&**kv, kv.now(), place, &query, 1).await? {
            return Ok(reply);
        }
        let snapshot = kv.snapshot()?;
        let reply = reading::read(&*snapshot, kv.now(), place, &query, limits::STEP_LOADS_MAX).await?;
        reply.ok_or_else(reading::endless)
    }

    fn snapshot(&self, address: &Address) -> Result<Box<dyn Snapshot>> {
        Ok(Box::new(View {
            reads: self.0.kv.snapshot()?,
            now: self.0.kv.now(),
            partition: self.gate(address).number,
            address: address.clone(),
        }))
    }

    fn survey(&self) -> Result<Box<dyn Survey>> {
        Ok(Box::new(Everything {
            reads: self.0.kv.snapshot()?,
            host: self.clone(),
        }))
    }

    fn watch(&self, address: &Address) -> Result<Watch> {
        Hub::watch(self.gate(address), address)
    }

    fn now(&self) -> Timestamp {
        self.0.kv.now()
    }
}

/// A machine's rows in a snapshot of the store.
struct View {
    reads: Box<dyn Reads>,
    now: Timestamp,
    partition: u16,
    address: Address,
}

#[async_trait]
impl Snapshot for View {
    async fn read(&self, query: Query) -> Result<Reply> {
        let place = (self.partition, &self.address);
        let reply = reading::read(&*self.reads, self.now, place, &query, limits::STEP_LOADS_MAX).await?;
        reply.ok_or_else(reading::endless)
    }

    async fn scan(&self, scan: PartScan) -> Result<PartPage> {
        reading::scan(&*self.reads, (self.partition, &self.address), &scan).await
    }
}

/// All machines' rows in a snapshot of the store.
struct Everything {
    reads: Box<dyn Reads>,
    host: Host,
}

#[async_trait]
impl Survey for Everything {
    fn partitions(&self) -> u16 {
        self.host.partitions()
    }

    fn partition(&self, address: &Address) -> u16 {
        self.host.partition(address)
    }

    async fn scan(&self, partition: u16, scan: Span) -> Result<SpanPage> {
        reading::span(&*self.reads, partition, scan).await
    }

    async fn get(&self, keys: &[(Address, Key)]) -> Result<Vec<Option<Bytes>>> {
        let stored = |(address, key): &(Address, Key)| keys::row(self.host.partition(address), key);
        let stored: Vec<_> = keys.iter().map(stored).collect();
        let rows = self.reads.get_many(&stored).await?;
        Ok(rows
            .into_iter()
            .map(|entry| entry.map(|entry| entry.value))
            .collect())
    }
}
