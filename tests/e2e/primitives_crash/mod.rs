//! `kill -9` while clients use primitives. What they saw, before and after each crash, must be linearizable: so no acknowledged
//! write is missing, no version goes back, and nothing that somebody has read is taken back.
//!
//! Adding a type: its file with a [`Load`], and its line in [`loads`].

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use testkit::linear::Ended;
use tests::{Belay, PATIENCE, long};
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status};
use wire::atomix::runtime::PrimitiveId;

mod counters;
mod values;

const CLIENTS: usize = 4;
/// Crashes that the same primitives live through. Then there are new ones, so that histories stay short enough to be judged.
const GENERATION_ROUNDS: usize = 5;

const CONFIG: &str = "components: [{ name: state_demo, driver: embedded }]\n";

/// Clients of one type of primitive, and what they saw.
#[tonic::async_trait]
trait Load: Send + Sync {
    async fn create(&self, channel: &Channel, name: &str);
    /// One client does one thing. Says whether it was answered: otherwise the server is gone.
    async fn act(&self, channel: &Channel, name: &str, random: &mut Rng) -> bool;
    /// Reads what is there.
    async fn look(&self, channel: &Channel, name: &str);
    /// How much was answered, or what is wrong. Forgets it.
    fn check(&self) -> Result<usize, String>;
}

fn loads() -> Vec<Arc<dyn Load>> {
    vec![
        Arc::new(counters::Counters::default()),
        Arc::new(values::Values::default()),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_clients_of_primitives_saw_is_true_after_crashes() {
    let rounds = if long() { 300 } else { 20 };
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = Rng::with_seed(seed);
    let loads = loads();
    let mut belay = Belay::run(CONFIG).await;
    for round in 0..rounds {
        let generation = round / GENERATION_ROUNDS;
        if round % GENERATION_ROUNDS == 0 {
            let channel = connect(&belay).await;
            for (number, load) in loads.iter().enumerate() {
                load.create(&channel, &name(number, generation)).await;
            }
        }
        let clients = start(&belay, &loads, generation, &mut random).await;
        tokio::time::sleep(Duration::from_millis(random.u64(20..300))).await;
        belay.kill().await;
        finish(clients).await;
        belay = belay.restart().await;
        let channel = connect(&belay).await;
        for (number, load) in loads.iter().enumerate() {
            load.look(&channel, &name(number, generation)).await;
        }
        if (round + 1) % GENERATION_ROUNDS == 0 {
            for (number, load) in loads.iter().enumerate() {
                let answered = load.check();
                let answered = answered.unwrap_or_else(|fault| panic!("round {round}, seed {seed}: {fault}"));
                let name = name(number, generation);
                assert!(answered > GENERATION_ROUNDS, "{name}: only {answered} answers");
            }
        }
    }
}

fn name(load: usize, generation: usize) -> String {
    format!("crash-{load}-{generation}")
}

async fn start(belay: &Belay, loads: &[Arc<dyn Load>], generation: usize, random: &mut Rng) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    for (number, load) in loads.iter().enumerate() {
        for _ in 0..CLIENTS {
            let (load, name) = (load.clone(), name(number, generation));
            let (channel, mut random) = (connect(belay).await, random.fork());
            clients.spawn(async move { while load.act(&channel, &name, &mut random).await {} });
        }
    }
    clients
}

async fn finish(mut clients: JoinSet<()>) {
    while let Some(ended) = clients.join_next().await {
        ended.expect("a client does not panic");
    }
}

async fn connect(belay: &Belay) -> Channel {
    Endpoint::from_shared(format!("http://{}", belay.primitives))
        .expect("an address")
        .connect_timeout(PATIENCE)
        .connect()
        .await
        .expect("it listens")
}

fn id(name: &str) -> Option<PrimitiveId> {
    Some(PrimitiveId { name: name.into() })
}

/// What a history says of an answer. `outcome` gives `None` for what is no answer of the primitive.
fn ended<R, O>(
    answer: Result<Response<R>, Status>,
    outcome: impl FnOnce(Result<R, Code>) -> Option<O>,
) -> Ended<O> {
    let answer = answer.map(Response::into_inner).map_err(|status| status.code());
    let refused = matches!(answer, Err(Code::ResourceExhausted));
    match outcome(answer) {
        Some(outcome) => Ended::With(outcome),
        None if refused => Ended::NotDone,
        None => Ended::Unknown,
    }
}
