//! What clients do, a file per type of primitive. Adding one: its file with a [`Subject`], and its line in [`Subjects::new`].

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{Code, Kind, Result, Timestamp};
use fastrand::Rng;
use futures::FutureExt;
use machines::{Address, Call, Question};
use testkit::linear::Ended;

use crate::world::{Process, World};

mod counters;
mod elections;
mod invocations;
mod leases;
mod locks;
mod maps;
pub(crate) mod relays;
mod sessions;
mod values;
mod watches;

/// An answer that takes longer, by the run's own clock, never comes.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Weather that refuses one commit of ten refuses that many in a row once in a very long time.
const REFUSED_MAX: usize = 24;

/// One type of primitive.
#[async_trait]
pub(crate) trait Subject: Send + Sync {
    /// One client does one thing.
    async fn act(&self, client: &mut Client);
    /// At the end, in good weather: what is there?
    async fn end(&self, client: &mut Client);
    fn answered(&self) -> usize;
    fn check(&self) -> Result<(), String>;
}

pub(crate) struct Subjects(Vec<Box<dyn Subject>>);

impl Subjects {
    /// Some of all, so that clients meet often.
    pub(crate) fn new(world: &World, random: &mut Rng) -> Subjects {
        let mut subjects: Vec<Box<dyn Subject>> = vec![
            Box::new(counters::Counters::default()),
            Box::new(values::Values::default()),
            Box::new(maps::Maps::default()),
            Box::new(locks::Locks::new(world.clone())),
            Box::new(elections::Elections::new(world.clone())),
            Box::new(relays::Relays::new(world.clone())),
            Box::new(invocations::Invocations::new(world.clone())),
            Box::new(watches::Watches::new(world.clone(), random.fork())),
        ];
        subjects.retain(|_| random.bool());
        // The last one, and always: it looks for timers that are left behind.
        subjects.push(Box::new(leases::Leases::new(world.clone())));
        Subjects(subjects)
    }

    pub(crate) async fn end(&self, client: &mut Client) {
        for subject in &self.0 {
            subject.end(client).await;
        }
    }

    pub(crate) fn answered(&self) -> usize {
        self.0.iter().map(|subject| subject.answered()).sum()
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        self.0.iter().try_for_each(|subject| subject.check())
    }
}

pub(crate) struct Client {
    pub(crate) number: u64,
    pub(crate) random: Rng,
    world: World,
}

impl Client {
    pub(crate) fn new(number: u64, world: World, random: Rng) -> Client {
        Client {
            number,
            random,
            world,
        }
    }

    pub(crate) async fn live(mut self, subjects: Arc<Subjects>) {
        for _ in 0..self.random.u32(5..30) {
            let subject = self.random.usize(..subjects.0.len());
            subjects.0[subject].act(&mut self).await;
            match self.random.u64(..4) {
                0 => self.world.pause(self.random.u64(1..40)).await,
                1 => tokio::task::yield_now().await,
                _ => {}
            }
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.world.now()
    }

    pub(crate) async fn pause(&self, ms: u64) {
        self.world.pause(ms).await;
    }

    /// `None`: the process has crashed, or there is none.
    pub(crate) async fn call<C: Call>(&mut self, name: &str, command: C) -> Option<Result<C::Reply>> {
        self.call_at(&address(name), command).await
    }

    pub(crate) async fn call_at<C: Call>(
        &mut self,
        address: &Address,
        command: C,
    ) -> Option<Result<C::Reply>> {
        let process = self.process()?;
        let call = command.call(&process.host, address);
        self.told(&process, call).await
    }

    /// Who this client talks to next.
    fn process(&mut self) -> Option<Arc<Process>> {
        self.world.process(&mut self.random)
    }

    /// The answer to a command.
    async fn told<R>(&self, process: &Process, call: impl Future<Output = Result<R>>) -> Option<Result<R>> {
        let answer = self.answer(process, call).await;
        if let Some(answer) = &answer
            && process.note(answer) > REFUSED_MAX
        {
            self.world
                .fault(format!("{REFUSED_MAX} commands in a row were refused"));
        }
        answer
    }

    pub(crate) async fn ask<Q: Question>(&mut self, name: &str, query: Q) -> Option<Result<Q::Reply>> {
        self.ask_at(&address(name), query).await
    }

    pub(crate) async fn ask_at<Q: Question>(
        &mut self,
        address: &Address,
        query: Q,
    ) -> Option<Result<Q::Reply>> {
        let process = self.process()?;
        let ask = query.ask(&process.host, address);
        self.answer(&process, ask).await
    }

    async fn answer<R>(&self, process: &Process, call: impl Future<Output = Result<R>>) -> Option<Result<R>> {
        let mut call = std::pin::pin!(call.fuse());
        let mut dead = std::pin::pin!(process.storm.dead.cancelled().fuse());
        let answer = async {
            futures::select_biased! {
                () = dead => None,
                answer = call => Some(answer),
            }
        };
        let Ok(answer) = tokio::time::timeout(ANSWER_MAX, answer).await else {
            self.world.fault(format!("no answer within {ANSWER_MAX:?}"));
            return None;
        };
        let code = answer
            .as_ref()
            .map(|answer| answer.as_ref().err().map(|error| error.code().id));
        self.world.note((self.number, code));
        if let Some(Err(error)) = &answer
            && matches!(error.kind(), Kind::Unavailable | Kind::Internal)
            && process.is_well()
        {
            self.world
                .fault(format!("a host that is well has answered: {error}"));
        }
        answer
    }
}

fn address(name: &str) -> Address {
    Address::primitive("store", name)
}

/// What a history says of an answer. `outcome` gives `None` for what is no answer of the machine.
fn ended<R, O>(answer: Option<Result<R>>, outcome: impl FnOnce(Result<R, Code>) -> Option<O>) -> Ended<O> {
    let (kind, outcome) = match answer {
        None => (None, None),
        Some(Ok(reply)) => (None, outcome(Ok(reply))),
        Some(Err(error)) => (Some(error.kind()), outcome(Err(error.code()))),
    };
    match outcome {
        Some(outcome) => Ended::With(outcome),
        // The contract: nothing was done.
        None if kind == Some(Kind::ResourceExhausted) => Ended::NotDone,
        None => Ended::Unknown,
    }
}
