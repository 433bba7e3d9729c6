//! The loop that owns a partition.
//!
//! 1. Take what waits: timers that are due, then commands.
//! 2. Apply them one after the other to the rows in memory; load what is missing.
//! 3. Commit all their changes as one batch, and go on with 1 while it is on its way.
//! 4. When it is durable, and in order: give events to watchers, then answers to callers.
//!
//! **Turns.** Batches are built on each other, so if one was not written, none of those behind it may be. Each batch expects the
//! row of its turn and replaces it by that of the next one; there is one more turn than batches on their way. A batch that is
//! refused leaves its turn in place, and those behind it find theirs missing. The loop then forgets what it had in memory,
//! and begins again with what is stored. A batch of answers only, to commands that changed nothing, takes no turn: it proves
//! that this loop still owns what the answers are about.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base::answers::{Answers, Reply as Waiting};
use base::{Code, Error, Kind, Result, Timestamp, codes, limits};
use futures::future::BoxFuture;
use machines::{Reply, Request};
use ports::kv::{Batch, Durability, Expect, Fence, Kv, Outcome};
use ports::ownership::{Ownership, Renewal};
use tokio::time::{Instant, Sleep};

use crate::hub::{Hub, Told};
use crate::inbox::{Inbox, Queued};
use crate::{Gate, Options, keys};

mod apply;
mod meta;
mod rows;
mod timers;

pub(crate) use meta::count;

use apply::Applied;
use meta::Meta;
use rows::Cache;
use timers::Timers;

/// Batches of one partition that are on their way at once.
const IN_FLIGHT_MAX: usize = 2;
/// One more than batches on their way.
const TURNS: u8 = 3;

pub(crate) struct Partition {
    gate: Arc<Gate>,
    kv: Arc<dyn Kv>,
    ownership: Arc<dyn Ownership>,
    fence: Fence,
    lease: Duration,
    rows: Cache,
    timers: Timers,
    meta: Meta,
    in_flight: VecDeque<InFlight>,
    /// Callers whose commands are answered by later steps.
    parked: HashMap<Request, Waiting<Result<Reply>>>,
    restart_grace: Duration,
    /// After a refused batch timers wait for a while: they would be refused again and again.
    timers_from: Instant,
}

/// A batch on its way, and what is to be told once it is durable.
struct InFlight {
    /// `None`: it changes nothing, and tells nobody of it.
    commit: Option<BoxFuture<'static, Result<Outcome>>>,
    carries: Carries,
    applied: Applied,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Carries {
    Changes,
    /// Answers only, see [`Partition::proof`].
    Proof,
}

/// Why the loop wakes up.
enum Wake {
    Committed(Result<Outcome>),
    Commands(VecDeque<Queued>),
    Due,
    Renew,
    Closed,
}

impl Partition {
    pub(crate) async fn open(
        kv: Arc<dyn Kv>,
        ownership: Arc<dyn Ownership>,
        fence: Fence,
        options: &Options,
    ) -> Result<Partition> {
        let number = u16::try_from(fence.partition).expect("partitions are numbered with 16 bits");
        let meta = meta::begin(&*kv, number, fence).await?;
        let gate = Gate {
            number,
            epoch: fence.epoch,
            inbox: Inbox::default(),
            hub: Hub::default(),
        };
        gate.hub.begin(meta.index);
        let mut partition = Partition {
            gate: Arc::new(gate),
            kv,
            ownership,
            fence,
            lease: options.lease,
            rows: Cache::new(options.cache_bytes),
            timers: Timers::default(),
            meta,
            in_flight: VecDeque::new(),
            parked: HashMap::new(),
            restart_grace: options.restart_grace,
            timers_from: Instant::now(),
        };
        partition.timers.load(&*partition.kv, number).await?;
        partition.call_sessions_lost().await?;
        Ok(partition)
    }

    pub(crate) fn gate(&self) -> Arc<Gate> {
        self.gate.clone()
    }

    /// Until the inbox is closed, or the partition is lost.
    pub(crate) async fn run(mut self) {
        let code = match self.work().await {
            Ok(()) => codes::HOST_STOPPED,
            Err(error) => {
                tracing::error!(partition = self.gate.number, code = error.code().id, %error, "a partition stops");
                error.code()
            }
        };
        for queued in self.gate.inbox.close(code) {
            if let Some(caller) = queued.caller {
                caller.waiting.send(Err(Error::new(code, code.title)));
            }
        }
        self.fail_waiting(code);
        self.gate.hub.close(code);
    }

    async fn work(&mut self) -> Result<()> {
        let mut renewal = Box::pin(tokio::time::sleep(self.lease / 3));
        loop {
            if self.in_flight.is_empty() {
                self.rows.settle();
                if self.timers.wants_load() {
                    self.timers.load(&*self.kv, self.gate.number).await?;
                }
            }
            match self.wake(&mut renewal).await {
                Wake::Committed(Ok(Outcome::Committed { .. })) => self.release(),
                Wake::Committed(refused) => self.begin_again(refused).await?,
                Wake::Commands(commands) => self.step(commands).await?,
                Wake::Due => self.step(VecDeque::new()).await?,
                Wake::Renew => {
                    renewal.as_mut().reset(Instant::now() + self.lease / 3);
                    self.renew().await?;
                }
                Wake::Closed => return self.drain().await,
            }
        }
    }

    async fn wake(&mut self, renewal: &mut std::pin::Pin<Box<Sleep>>) -> Wake {
        let takes = self.in_flight.len() < IN_FLIGHT_MAX && !self.rows.is_full() && !self.timers.wants_load();
        let due = self.timers.next().filter(|_| takes);
        let mut sleep = due.map(|due| Box::pin(self.sleep_until(due)));
        poll_fn(|cx| {
            if let Poll::Ready(outcome) = self.poll_first(cx) {
                return Poll::Ready(Wake::Committed(outcome));
            }
            if renewal.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Wake::Renew);
            }
            if !takes {
                return Poll::Pending;
            }
            // Commands first: applying them begins with what is due.
            let commands = self.gate.inbox.poll_take(cx, limits::PARTITION_BATCH_COMMANDS);
            if let Poll::Ready(commands) = commands {
                return Poll::Ready(commands.map_or(Wake::Closed, Wake::Commands));
            }
            match &mut sleep {
                Some(sleep) => sleep.as_mut().poll(cx).map(|()| Wake::Due),
                None => Poll::Pending,
            }
        })
        .await
    }

    fn sleep_until(&self, due: Timestamp) -> Sleep {
        // A clock that stands still while this one runs is looked at again.
        let until = Instant::now() + due.since(self.kv.now()).min(limits::TIMER_SLEEP_MAX);
        tokio::time::sleep_until(until.max(self.timers_from))
    }

    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<Result<Outcome>> {
        let Some(first) = self.in_flight.front_mut() else {
            return Poll::Pending;
        };
        match &mut first.commit {
            Some(commit) => commit.as_mut().poll(cx),
            None => Poll::Ready(Ok(Outcome::Committed {
                version: ports::kv::Version(0),
                sums: vec![],
            })),
        }
    }

    async fn step(&mut self, commands: VecDeque<Queued>) -> Result<()> {
        let (batch, applied) = self.apply(commands).await?;
        let (batch, carries) = if batch.writes.is_empty() {
            (applied.tells().then(|| self.proof()), Carries::Proof)
        } else {
            (Some(self.in_turn(batch)), Carries::Changes)
        };
        self.in_flight.push_back(InFlight {
            commit: batch.map(|batch| self.kv.commit(batch)),
            carries,
            applied,
        });
        Ok(())
    }

    /// Holds if nobody else has written since the batches before it. Without it one whose partition was taken over would go on
    /// refusing by rows of long ago. It writes nothing, and so costs no sync.
    fn proof(&self) -> Batch {
        Batch::default()
            .expect(keys::turn(self.gate.number, self.meta.turn), Expect::Present)
            .fenced(self.fence)
            .durability(Durability::Buffered)
    }

    /// The batch takes its turn, writes down how far it came, and leaves the turn to the next one.
    fn in_turn(&mut self, batch: Batch) -> Batch {
        let number = self.gate.number;
        let own = keys::turn(number, self.meta.turn);
        self.meta.turn = (self.meta.turn + 1) % TURNS;
        batch
            .expect(own.clone(), Expect::Present)
            .delete(own)
            .put(keys::turn(number, self.meta.turn), self.meta.to_row())
            .fenced(self.fence)
    }

    /// The first batch is durable: watchers hear of it before callers do.
    fn release(&mut self) {
        let Some(InFlight { applied, .. }) = self.in_flight.pop_front() else {
            return;
        };
        self.gate.hub.release(applied.events, applied.index);
        self.parked.extend(applied.parked);
        let mut answers = Answers::default();
        for (waiting, reply) in applied.answers {
            answers.add(waiting, reply);
        }
        for (request, reply) in applied.released {
            if let Some(waiting) = self.parked.remove(&request) {
                answers.add(waiting, reply);
            }
        }
        answers.send();
    }

    /// The first batch was not written. Those behind it have not been either, see the head of this file.
    async fn begin_again(&mut self, refused: Result<Outcome>) -> Result<()> {
        let error = match refused {
            Err(error) if nothing_was_written(&error) => error,
            Err(error) => return Err(error),
            Ok(_) => {
                let message = "another writer has taken this partition's turn";
                return Err(Error::new(codes::FENCED, message));
            }
        };
        tracing::warn!(partition = self.gate.number, code = error.code().id, %error, "a batch was refused");
        if let Some(first) = self.in_flight.pop_front() {
            first.applied.refuse(&error);
            // Nothing is built on what changes nothing.
            if first.carries == Carries::Proof {
                return Ok(());
            }
        }
        for InFlight { commit, applied, .. } in std::mem::take(&mut self.in_flight) {
            if let Some(commit) = commit {
                let outcome = commit.await;
                if matches!(outcome, Ok(Outcome::Committed { .. })) {
                    return Err(Error::new(codes::INTERNAL, "a batch was written out of turn"));
                }
            }
            applied.refuse(&error);
        }
        self.rows.clear();
        self.timers_from = Instant::now() + limits::TIMER_SLEEP_MAX;
        self.timers = Timers::default();
        self.meta = meta::read(&*self.kv, self.gate.number).await?;
        self.timers.load(&*self.kv, self.gate.number).await
    }

    async fn renew(&mut self) -> Result<()> {
        match self.ownership.renew(self.fence, self.lease).await {
            Ok(Renewal::Renewed) => Ok(()),
            Ok(Renewal::Lost) => Err(Error::new(codes::FENCED, codes::FENCED.title)),
            // There are two more before the lease ends, and until somebody claims the partition nothing is lost.
            Err(error) if nothing_was_written(&error) => {
                tracing::warn!(partition = self.gate.number, code = error.code().id, %error, "a renewal was refused");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Waits for what is on its way.
    async fn drain(&mut self) -> Result<()> {
        while !self.in_flight.is_empty() {
            match poll_fn(|cx| self.poll_first(cx)).await {
                Ok(Outcome::Committed { .. }) => self.release(),
                Ok(Outcome::Conflict { .. }) => return Err(Error::new(codes::FENCED, codes::FENCED.title)),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Everybody who still waits.
    fn fail_waiting(&mut self, code: Code) {
        let error = Error::new(
            code,
            "the partition has stopped: the command may or may not be stored",
        );
        for InFlight { applied, .. } in self.in_flight.drain(..) {
            applied.refuse(&error);
        }
        for (_, waiting) in self.parked.drain() {
            waiting.send(Err(again(&error)));
        }
    }
}

/// What the contract of `Kv::commit` says of an error.
fn nothing_was_written(error: &Error) -> bool {
    matches!(error.kind(), Kind::ResourceExhausted | Kind::InvalidArgument)
}

/// The same error for one more who waits.
fn again(error: &Error) -> Error {
    Error::new(error.code(), error.message())
}
