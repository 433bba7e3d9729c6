//! The loop that owns a partition.
//!
//! 1. Take what waits: timers that are due, then commands.
//! 2. Apply them one after the other to the rows in memory; load what is missing. A step that nobody hears of waits with its changes
//!    for the next one that looks at them (`held`).
//! 3. Commit all their changes as one batch, and go on with 1 while it is on its way.
//! 4. When it is durable, and in order: give events to watchers, then answers to callers, letters to other partitions, and
//!    conversations to the callee.
//!
//! **Turns.** Batches are built on each other, so if one was not written, none of those behind it may be. Each batch expects the
//! row of its turn and replaces it by that of the next one; there is one more turn than batches on their way. A batch that is
//! refused leaves its turn in place, and those behind it find theirs missing. The loop then forgets what it had in memory,
//! and begins again with what is stored. A batch of answers only, to commands that changed nothing, takes no turn: it proves
//! that this loop still owns what the answers are about.
//!
//! **Refusals.** A store that is nearly full refuses what needs room. For a while after a refusal each step is a batch of its own,
//! so that one that needs room takes no other along.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base::answers::{Answers, Reply as Waiting};
use base::{Code, Error, Kind, Result, codes, limits};
use bytes::Bytes;
use futures::future::BoxFuture;
use machines::engine::Talk;
use machines::{Address, Callee, Reply, Request};
use ports::kv::{Batch, Durability, Expect, Fence, Kv, Outcome};
use ports::ownership::{Ownership, Renewal};
use tokio::time::{Instant, Sleep};

use crate::carrier::{Carrier, Content, Parcel};
use crate::hub::Told;
use crate::inbox::{Mail, Queued, Sender};
use crate::{Gate, Host, Options, keys};

mod apply;
mod held;
mod meta;
mod post;
mod rows;
mod timers;

pub(crate) use meta::count;

use apply::Applied;
use held::Held;
use meta::Meta;
use post::Post;
use rows::Cache;
use timers::Timers;

/// Batches of one partition that are on their way at once.
const IN_FLIGHT_MAX: usize = 2;
/// One more than batches on their way.
const TURNS: u8 = 3;

pub(crate) struct Partition {
    host: Host,
    gate: Arc<Gate>,
    kv: Arc<dyn Kv>,
    ownership: Arc<dyn Ownership>,
    fence: Fence,
    lease: Duration,
    rows: Cache,
    held: Held,
    timers: Timers,
    post: Post,
    meta: Meta,
    in_flight: VecDeque<InFlight>,
    /// Callers whose commands are answered by later steps.
    parked: BTreeMap<Request, Waiting<Result<Reply>>>,
    restart_grace: Duration,
    carrier: Arc<dyn Carrier>,
    callee: Option<Arc<dyn Callee>>,
    /// To begin with.
    open_talks: Vec<(Address, Bytes)>,
    /// After a refused batch timers wait for a while: they would be refused again and again.
    timers_from: Instant,
    /// What frees something and was refused with its batch: nobody else will say it again.
    owed: VecDeque<Queued>,
    /// Until then each step is a batch of its own.
    careful_until: Instant,
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
    Mail(Mail),
    Due,
    Renew,
    Closed,
}

impl Partition {
    pub(crate) async fn open(
        host: Host,
        ownership: Arc<dyn Ownership>,
        fence: Fence,
        options: &Options,
    ) -> Result<Partition> {
        let gate = host.0.gates[fence.partition as usize].clone();
        let kv = host.0.kv.clone();
        let meta = meta::begin(&*kv, gate.number, fence).await?;
        gate.hub.begin(meta.index);
        let mut partition = Partition {
            post: Post::load(&*kv, gate.number, host.partitions()).await?,
            gate,
            host,
            kv,
            ownership,
            fence,
            lease: options.lease,
            rows: Cache::new(options.cache_bytes),
            held: Held::default(),
            timers: Timers::default(),
            meta,
            in_flight: VecDeque::new(),
            parked: BTreeMap::new(),
            restart_grace: options.restart_grace,
            carrier: options.carrier.clone(),
            callee: options.callee.clone(),
            open_talks: vec![],
            timers_from: Instant::now(),
            owed: VecDeque::new(),
            careful_until: Instant::now(),
        };
        partition
            .timers
            .load(&*partition.kv, partition.gate.number)
            .await?;
        partition.call_sessions_lost().await?;
        partition.open_talks = partition.open_talks().await?;
        Ok(partition)
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
            if let Sender::Caller(caller) = queued.sender {
                caller.waiting.send(Err(Error::new(code, code.title)));
            }
        }
        self.fail_waiting(code);
        self.gate.hub.close(code);
    }

    async fn work(&mut self) -> Result<()> {
        let mut renewal = Box::pin(tokio::time::sleep(self.lease / 3));
        for (address, about) in std::mem::take(&mut self.open_talks) {
            self.talk(&address, Some(Talk { about, known: None }));
        }
        loop {
            if self.in_flight.is_empty() && self.rows.is_full() {
                self.store_all_held();
            }
            if self.in_flight.is_empty() {
                self.rows.settle();
                if self.timers.wants_load() {
                    self.timers.load(&*self.kv, self.gate.number).await?;
                }
            }
            self.hand_over_waiting().await?;
            self.gate.tally.holds(self.timers.len(), self.post.not_received());
            match self.wake(&mut renewal).await {
                Wake::Committed(Ok(Outcome::Committed { .. })) => self.release(),
                Wake::Committed(refused) => self.begin_again(refused).await?,
                Wake::Mail(mail) => {
                    for (from, number) in mail.receipts {
                        self.post.receipt(from, number);
                    }
                    if !mail.commands.is_empty() {
                        self.step(mail.commands).await?;
                    }
                }
                Wake::Due => self.step(VecDeque::new()).await?,
                Wake::Renew => {
                    renewal.as_mut().reset(Instant::now() + self.lease / 3);
                    self.renew().await?;
                }
                Wake::Closed => {
                    self.store_all_held();
                    return self.drain().await;
                }
            }
        }
    }

    async fn wake(&mut self, renewal: &mut std::pin::Pin<Box<Sleep>>) -> Wake {
        let (in_flight_max, commands_max) = self.pace();
        let takes = self.in_flight.len() < in_flight_max && !self.rows.is_full() && !self.timers.wants_load();
        let mut sleep = self
            .due_at()
            .filter(|_| takes)
            .map(|due| Box::pin(tokio::time::sleep_until(due)));
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
            if let Poll::Ready(mail) = self.gate.inbox.poll_take(cx, commands_max) {
                return Poll::Ready(mail.map_or(Wake::Closed, Wake::Mail));
            }
            match &mut sleep {
                Some(sleep) => sleep.as_mut().poll(cx).map(|()| Wake::Due),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// How many batches may be on their way, and how many steps one has.
    fn pace(&self) -> (usize, usize) {
        if self.is_careful() {
            (1, 1)
        } else {
            (IN_FLIGHT_MAX, limits::PARTITION_BATCH_COMMANDS)
        }
    }

    fn is_careful(&self) -> bool {
        Instant::now() < self.careful_until
    }

    /// When there is something to do, whoever sends commands or not.
    fn due_at(&self) -> Option<Instant> {
        let now = Instant::now();
        // A clock that stands still while this one runs is looked at again.
        let timer = self
            .timers
            .next()
            .map(|due| now + due.since(self.kv.now()).min(limits::TIMER_SLEEP_MAX));
        let owed = (!self.owed.is_empty()).then_some(now);
        let steps = timer.into_iter().chain(owed).map(|at| at.max(self.timers_from));
        steps.chain(self.post.again_at()).chain(self.held.due()).min()
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
        self.hand_in(batch, applied);
        Ok(())
    }

    fn store_all_held(&mut self) {
        if !self.held.is_empty() {
            let (batch, applied) = self.held_batch();
            self.hand_in(batch, applied);
        }
    }

    fn hand_in(&mut self, batch: Batch, mut applied: Applied) {
        if !batch.writes.is_empty() {
            let batch = self.in_turn(batch);
            return self.on_its_way(Some(batch), Carries::Changes, applied);
        }
        if applied.tells() {
            // Steps that are held are not concerned when answers are refused.
            let begun = applied.split_begun();
            let proof = self.proof();
            self.on_its_way(Some(proof), Carries::Proof, applied);
            applied = begun;
        }
        match self.in_flight.back_mut() {
            Some(last) if last.carries == Carries::Changes => last.applied.append(applied),
            _ => self.on_its_way(None, Carries::Proof, applied),
        }
    }

    fn on_its_way(&mut self, batch: Option<Batch>, carries: Carries, applied: Applied) {
        self.in_flight.push_back(InFlight {
            commit: batch.map(|batch| self.kv.commit(batch)),
            carries,
            applied,
        });
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
        self.gate.tally.committed(applied.steps);
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
        for (from, number) in applied.receipts {
            self.carry(from, Content::Receipt { number });
        }
        for (to, number, letter) in applied.letters {
            if self.post.goes_out(to, number) {
                self.carry(to, Content::Letter { number, letter });
            }
        }
        for (address, talk) in applied.talks {
            self.talk(&address, talk);
        }
    }

    fn carry(&self, to: u16, content: Content) {
        let from = self.gate.number;
        self.carrier.carry(&self.host, Parcel { from, to, content });
    }

    fn talk(&self, address: &Address, talk: Option<Talk>) {
        match (&self.callee, talk) {
            (Some(callee), Some(talk)) => callee.talk(Arc::new(self.host.clone()), address, talk),
            (Some(callee), None) => callee.hang_up(address),
            (None, _) => tracing::error!("a machine wants to talk to user code, and no family does that"),
        }
    }

    /// Letters that were not received in time, or did not fit into the window before.
    async fn hand_over_waiting(&mut self) -> Result<()> {
        for waiting in self.post.take_waiting() {
            for (number, letter) in post::read(&*self.kv, self.gate.number, waiting).await? {
                self.carry(waiting.0, Content::Letter { number, letter });
            }
        }
        Ok(())
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
        self.gate.tally.refused();
        self.careful_until = Instant::now() + limits::PARTITION_CAREFUL;
        if let Some(first) = self.in_flight.pop_front() {
            self.refuse(first.applied, &error);
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
            self.refuse(applied, &error);
        }
        self.rows.clear();
        for step in self.held.take(self.held.all()) {
            self.end(&step.address, step.request, &error);
        }
        self.timers_from = Instant::now() + limits::TIMER_SLEEP_MAX;
        self.timers = Timers::default();
        self.meta = meta::read(&*self.kv, self.gate.number).await?;
        self.post = Post::load(&*self.kv, self.gate.number, self.host.partitions()).await?;
        self.timers.load(&*self.kv, self.gate.number).await
    }

    fn refuse(&mut self, mut applied: Applied, error: &Error) {
        for (address, request) in std::mem::take(&mut applied.begun) {
            self.end(&address, request, error);
        }
        self.owed.extend(applied.refuse(error));
    }

    /// What was begun on rows that are not stored and will not be.
    fn end(&mut self, address: &Address, request: Request, error: &Error) {
        if let Some(waiting) = self.parked.remove(&request) {
            waiting.send(Err(again(error)));
        }
        self.talk(address, None);
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
            drop(applied.refuse(&error));
        }
        for (_, waiting) in std::mem::take(&mut self.parked) {
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
