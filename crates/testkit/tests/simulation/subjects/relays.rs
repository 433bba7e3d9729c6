//! Relays in all partitions: they pass tokens on to each other, of which none may be lost or made, and ask user code, whose
//! answer each question gets once. See [`machines::relay`].

use std::sync::Arc;

use async_trait::async_trait;
use base::{Result, task};
use bytes::Bytes;
use fastrand::Rng;
use host::{Carrier, Host, Parcel};
use machines::engine::Talk;
use machines::relay::{About, Command, Get, Reply, TOKENS};
use machines::{Address, Call, Callee, Engine, Stored};
use parking_lot::Mutex;
use tokio::time::{Duration, sleep};

use super::invocations::UserCode;
use super::{Client, Subject};
use crate::storm::Weather;
use crate::world::World;

const RELAYS: usize = 5;
/// The longest that a parcel, and an answer of user code, is held back.
const LATE_MS: u64 = 100;
/// How often the end is looked for, and how long in between.
const LOOKS_MAX: usize = 200;
const LOOK_MS: u64 = 100;

pub(super) struct Relays {
    world: World,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    answered: usize,
    /// Questions that were taken.
    asked: u64,
}

impl Relays {
    pub(super) fn new(world: World) -> Relays {
        let state = Mutex::default();
        Relays { world, state }
    }

    async fn call(&self, client: &mut Client, number: usize, command: Command) -> Option<Result<Reply>> {
        let answer = client.call_at(&relay(number), command).await;
        if let Some(Ok(_)) = &answer {
            self.state.lock().answered += 1;
        }
        answer
    }

    /// `None` as long as something is on its way.
    async fn settled(&self, client: &mut Client) -> Option<Result<(), String>> {
        let mut sum = Reply::default();
        for number in 0..RELAYS {
            let reply = client.ask_at(&relay(number), Get).await?.ok()?;
            sum.tokens += reply.tokens;
            sum.asked += reply.asked;
            sum.answered += reply.answered;
        }
        let taken = self.state.lock().asked;
        if sum.tokens > TOKENS * RELAYS as u64 || sum.answered > sum.asked || sum.asked < taken {
            return Some(Err(format!(
                "{taken} questions were taken, and there are {sum:?}"
            )));
        }
        (sum.tokens == TOKENS * RELAYS as u64 && sum.answered == sum.asked).then_some(Ok(()))
    }
}

#[async_trait]
impl Subject for Relays {
    async fn act(&self, client: &mut Client) {
        let number = client.random.usize(..RELAYS);
        if client.random.u32(..3) > 0 {
            let stations = client.random.usize(1..5);
            let way = (0..stations).map(|_| relay(client.random.usize(..RELAYS)));
            let way = way.collect();
            let tokens = client.random.u64(1..20);
            self.call(client, number, Command::Pass { tokens, way }).await;
        } else if let Some(Ok(_)) = self.call(client, number, Command::Ask).await {
            self.state.lock().asked += 1;
        }
    }

    async fn end(&self, client: &mut Client) {
        for _ in 0..LOOKS_MAX {
            match self.settled(client).await {
                Some(Ok(())) => return,
                Some(Err(fault)) => return self.world.fault(fault),
                None => client.pause(LOOK_MS).await,
            }
        }
        self.world
            .fault("tokens were lost, or a question was never answered".into());
    }

    fn answered(&self) -> usize {
        self.state.lock().answered
    }

    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

fn relay(number: usize) -> Address {
    Address::relay(&format!("relay {number}"))
}

/// A carrier and user code in bad weather.
pub(crate) struct Rough {
    weather: Weather,
    random: Mutex<Rng>,
}

impl Rough {
    pub(crate) fn new(weather: Weather, random: Rng) -> Arc<Rough> {
        let random = Mutex::new(random);
        Arc::new(Rough { weather, random })
    }

    /// How many times something happens, and how much later each time.
    fn times(&self) -> Vec<Duration> {
        let mut random = self.random.lock();
        let mut late = || match random.u32(..1_000) {
            chance if chance < self.weather.late => Duration::from_millis(random.u64(1..LATE_MS)),
            _ => Duration::ZERO,
        };
        let (one, two) = (late(), late());
        match random.u32(..1_000) {
            chance if chance < self.weather.lost => vec![],
            chance if chance < self.weather.lost + self.weather.doubled => vec![one, two],
            _ => vec![one],
        }
    }
}

impl Rough {
    fn user_code(&self, engine: Arc<dyn Engine>, address: &Address, about: &Bytes) {
        let code = UserCode {
            engine,
            address: address.clone(),
            about: Stored::from_row(about).expect("what the machine gave"),
            random: self.random.lock().fork(),
        };
        code.begin();
    }
}

impl Carrier for Rough {
    fn carry(&self, host: &Host, parcel: Parcel) {
        for late in self.times() {
            let (host, parcel) = (host.clone(), parcel.clone());
            if late.is_zero() {
                host.deliver(parcel);
                continue;
            }
            drop(task::spawn("carrier", async move {
                sleep(late).await;
                host.deliver(parcel);
            }));
        }
    }
}

impl Callee for Rough {
    fn talk(&self, engine: Arc<dyn Engine>, address: &Address, talk: Talk) {
        if address.invocation_id().is_some() {
            return self.user_code(engine, address, &talk.about);
        }
        let about = About::from_row(&talk.about).expect("what the machine gave");
        for late in self.times() {
            let (engine, address) = (engine.clone(), address.clone());
            drop(task::spawn("user code", async move {
                sleep(late).await;
                let said = Command::Said {
                    question: about.question,
                    attempt: about.attempt,
                };
                drop(said.call(&*engine, &address).await);
            }));
        }
    }

    fn hang_up(&self, _address: &Address) {}
}
