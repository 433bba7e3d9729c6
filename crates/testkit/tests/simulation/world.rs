//! Processes that come and go over one store.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Kind, Result, Timestamp};
use bytes::Bytes;
use fastrand::Rng;
use host::{Host, Options};
use parking_lot::Mutex;
use ports::kv::{Keyspace, Kv, Reads, Scan};
use testkit::{Memory, Ownership};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::storm::{Storm, Weather};
use crate::subjects::relays::Rough;

const PARTITIONS: u16 = 2;
/// How long what a session holds stays taken when its process is over.
pub(crate) const RESTART_GRACE: Duration = Duration::from_millis(100);
/// Attempts to open a host in bad weather.
const OPENINGS_MAX: usize = 100;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct World(Arc<Inner>);

struct Inner {
    memory: Arc<Memory>,
    state: Mutex<State>,
}

struct State {
    random: Rng,
    weather: Weather,
    /// The owner, and those who were and do not know that they are not any more.
    owner: Option<Arc<Process>>,
    stale: Vec<Arc<Process>>,
    faults: Vec<String>,
    /// Everything that anybody was told, and when.
    trace: DefaultHasher,
}

/// A host and what it sees of the store.
pub(crate) struct Process {
    pub(crate) host: Host,
    pub(crate) storm: Arc<Storm>,
    /// Since when it is closed or has crashed, or another one takes its partitions.
    over: Mutex<Option<Timestamp>>,
    /// Commands that were refused one after the other: for want of room, not by their machines.
    refused: Mutex<usize>,
}

impl Process {
    /// Whether every call should be served, or refused for a reason of its own.
    pub(crate) fn is_well(&self) -> bool {
        self.over_since().is_none() && !self.storm.dead.is_cancelled() && !self.storm.has_stopped()
    }

    pub(crate) fn over_since(&self) -> Option<Timestamp> {
        *self.over.lock()
    }

    /// How many commands in a row were refused, with this one.
    pub(crate) fn note<R>(&self, answer: &Result<R>) -> usize {
        let mut refused = self.refused.lock();
        let is_refused = answer
            .as_ref()
            .is_err_and(|error| error.kind() == Kind::ResourceExhausted);
        *refused = if is_refused { *refused + 1 } else { 0 };
        *refused
    }
}

/// Tokio's paused clock: timers and rows go by the same time.
struct Virtual(Instant);

impl Clock for Virtual {
    fn now(&self) -> Timestamp {
        Timestamp(1_000_000).plus(self.0.elapsed())
    }
}

impl World {
    pub(crate) fn new(mut random: Rng) -> World {
        let weather = Weather {
            commit_ms: random.u64(0..8),
            read_ms: random.u64(0..3),
            refused: *random.choice(&[0, 10, 100]).expect("there are some"),
            stopped: *random.choice(&[0, 0, 10]).expect("there are some"),
            lost: *random.choice(&[0, 30, 300]).expect("there are some"),
            doubled: *random.choice(&[0, 30, 300]).expect("there are some"),
            late: *random.choice(&[0, 30, 300]).expect("there are some"),
        };
        World(Arc::new(Inner {
            memory: Arc::new(Memory::new(Arc::new(Virtual(Instant::now())))),
            state: Mutex::new(State {
                random,
                weather,
                owner: None,
                stale: vec![],
                faults: vec![],
                trace: DefaultHasher::new(),
            }),
        }))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.memory.now()
    }

    pub(crate) async fn pause(&self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    /// Something that should not have been.
    pub(crate) fn fault(&self, fault: String) {
        self.0.state.lock().faults.push(fault);
    }

    /// Somebody was told something.
    pub(crate) fn note(&self, told: impl Hash) {
        let now = self.now();
        (now.0, told).hash(&mut self.0.state.lock().trace);
    }

    /// What a run was like: the same number for the same run.
    pub(crate) fn trace(&self) -> u64 {
        self.0.state.lock().trace.finish()
    }

    pub(crate) fn check(&self) -> std::result::Result<(), String> {
        let faults = &self.0.state.lock().faults;
        if faults.is_empty() {
            Ok(())
        } else {
            Err(faults.join("\n"))
        }
    }

    /// Who a client talks to: the owner, or one that was it.
    pub(crate) fn process(&self, random: &mut Rng) -> Option<Arc<Process>> {
        let state = self.0.state.lock();
        if random.u32(..10) == 0
            && let Some(stale) = random.choice(&state.stale)
        {
            return Some(stale.clone());
        }
        state.owner.clone()
    }

    /// Opens a host; in bad weather it takes more than one attempt.
    pub(crate) async fn start(&self) {
        for _ in 0..OPENINGS_MAX {
            let (storm, options) = {
                let mut state = self.0.state.lock();
                let (weather, random) = (state.weather, state.random.fork());
                let storm = Storm::over(self.0.memory.clone(), weather, random);
                let cache_bytes = *state.random.choice(&[500, 1 << 20]).expect("there are some");
                let rough = Rough::new(weather, state.random.fork());
                let options = Options {
                    carrier: rough.clone(),
                    callee: Some(rough),
                    partitions: PARTITIONS,
                    lease: base::limits::OWNERSHIP_LEASE_MIN,
                    restart_grace: RESTART_GRACE,
                    cache_bytes,
                    ..Options::default()
                };
                (storm, options)
            };
            let ownership = Arc::new(Ownership::over(storm.clone()));
            let here = [Handle::current()];
            match Host::open(storm.clone(), ownership, options, &here).await {
                Ok(host) => {
                    let over = Mutex::new(None);
                    let process = Process {
                        host,
                        storm,
                        over,
                        refused: Mutex::new(0),
                    };
                    self.0.state.lock().owner = Some(Arc::new(process));
                    return;
                }
                Err(_) => storm.dead.cancel(),
            }
        }
        self.fault(format!("{OPENINGS_MAX} attempts to open a host have failed"));
    }

    /// Something happens to the owner, and there is a new one.
    pub(crate) async fn strike(&self) {
        let (owner, chance) = {
            let mut state = self.0.state.lock();
            (state.owner.clone(), state.random.u32(..4))
        };
        if let Some(owner) = owner {
            owner.over.lock().get_or_insert(self.now());
            match chance {
                0 => owner.host.close(),
                // It goes on while another one takes over.
                1 => self.0.state.lock().stale.push(owner),
                _ => self.crash(&owner),
            }
        }
        self.start().await;
    }

    /// The process is gone: what it had not written never was.
    fn crash(&self, process: &Arc<Process>) {
        process.over.lock().get_or_insert(self.now());
        process.storm.dead.cancel();
        let mut state = self.0.state.lock();
        state.stale.retain(|stale| !Arc::ptr_eq(stale, process));
        state.owner = None;
    }

    /// Everybody crashes, and the last owner has good weather.
    pub(crate) async fn calm_down(&self) {
        let (owner, stale) = {
            let mut state = self.0.state.lock();
            state.weather = Weather::default();
            (state.owner.take(), std::mem::take(&mut state.stale))
        };
        for process in owner.iter().chain(&stale) {
            self.crash(process);
        }
        self.start().await;
    }

    /// Timers in the store: of all partitions.
    pub(crate) async fn timers(&self) -> usize {
        let rows = self
            .0
            .memory
            .scan(Scan::prefix(Keyspace::State, Bytes::from_static(b"m/")));
        let rows = rows.await.expect("memory does not fail").rows;
        // `m/`, the partition's two bytes, then the table.
        rows.iter().filter(|(key, _)| key.get(4) == Some(&b't')).count()
    }
}
