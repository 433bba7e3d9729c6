//! `kill -9` while clients use primitives. What they saw, before and after each crash, must be linearizable: so no acknowledged
//! write is missing, no version goes back, nothing that somebody has read is taken back, and what a session holds is nobody
//! else's before that session may be over.
//!
//! Adding a type: its file with a [`Load`], and its line in [`loads`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use testkit::linear::Ended;
use tests::{Belay, PATIENCE, long};
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint, Error};
use tonic::{Code, Response, Status};
use wire::atomix::runtime::PrimitiveId;

mod counters;
mod elections;
mod locks;
mod maps;
mod sessions;
mod values;

const CLIENTS: usize = 4;
/// Crashes that the same primitives live through. Then there are new ones, so that histories stay short enough to be judged.
const GENERATION_ROUNDS: usize = 5;

/// Clients of one type of primitive, and what they saw.
#[tonic::async_trait]
trait Load: Send + Sync {
    async fn create(&self, channel: &Channel, name: &str);
    /// One client does one thing. Says whether it was answered: otherwise the server is gone.
    async fn act(&self, client: &mut Client) -> bool;
    /// The server is about to be started again: what was not done is not done, and all connections so far are gone.
    fn restarts(&self, at: Instant);
    /// Reads what is there after a crash.
    async fn look(&self, client: &mut Client);
    /// After the last crash of these primitives: what nobody holds any more becomes free.
    async fn settle(&self, _client: &mut Client) {}
    /// How much was answered, or what is wrong. Forgets it.
    fn check(&self) -> Result<usize, String>;
}

/// One connection to one primitive, and so a session.
struct Client {
    address: String,
    channel: Channel,
    name: String,
    /// In the history; the server names it otherwise.
    session: u64,
    random: Rng,
}

impl Client {
    async fn new(belay: &Belay, name: String, mut random: Rng) -> Client {
        let address = belay.primitives.clone();
        let channel = connect(&address).await.expect("it listens");
        Client {
            address,
            channel,
            name,
            session: random.u64(..),
            random,
        }
    }

    /// As another session. Says whether somebody listens.
    async fn reconnect(&mut self) -> bool {
        let Ok(channel) = connect(&self.address).await else {
            return false;
        };
        self.channel = channel;
        self.session = self.random.u64(..);
        true
    }
}

/// Without the long graces of the defaults.
fn config() -> String {
    let (grace_ms, restart_grace_ms) = (sessions::GRACE.as_millis(), sessions::RESTART_GRACE.as_millis());
    format!("limits: {{ session_grace_ms: {grace_ms}, session_restart_grace_ms: {restart_grace_ms} }}\n")
}

fn loads() -> Vec<Arc<dyn Load>> {
    vec![
        Arc::new(counters::Counters::default()),
        Arc::new(values::Values::default()),
        Arc::new(maps::Maps::default()),
        Arc::new(locks::Locks::default()),
        Arc::new(elections::Elections::default()),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_clients_of_primitives_saw_is_true_after_crashes() {
    let rounds = if long() { 300 } else { 20 };
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = Rng::with_seed(seed);
    let loads = loads();
    let mut belay = Belay::run(&config()).await;
    for round in 0..rounds {
        let generation = round / GENERATION_ROUNDS;
        if round % GENERATION_ROUNDS == 0 {
            for (load, client) in all(&belay, &loads, generation, &mut random).await {
                load.create(&client.channel, &client.name).await;
            }
        }
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            for (load, mut client) in all(&belay, &loads, generation, &mut random).await {
                clients.spawn(async move { while load.act(&mut client).await {} });
            }
        }
        tokio::time::sleep(Duration::from_millis(random.u64(20..300))).await;
        belay.kill().await;
        finish(clients).await;
        let at = Instant::now();
        loads.iter().for_each(|load| load.restarts(at));
        belay = belay.restart().await;
        for (load, mut client) in all(&belay, &loads, generation, &mut random).await {
            load.look(&mut client).await;
        }
        if (round + 1) % GENERATION_ROUNDS == 0 {
            for (load, mut client) in all(&belay, &loads, generation, &mut random).await {
                load.settle(&mut client).await;
                let answered = load.check();
                let answered = answered.unwrap_or_else(|fault| panic!("round {round}, seed {seed}: {fault}"));
                let name = client.name;
                assert!(answered > GENERATION_ROUNDS, "{name}: only {answered} answers");
            }
        }
    }
}

/// A new client of each.
async fn all(
    belay: &Belay,
    loads: &[Arc<dyn Load>],
    generation: usize,
    random: &mut Rng,
) -> Vec<(Arc<dyn Load>, Client)> {
    let mut all = vec![];
    for (number, load) in loads.iter().enumerate() {
        let name = format!("crash-{number}-{generation}");
        let client = Client::new(belay, name, random.fork()).await;
        all.push((load.clone(), client));
    }
    all
}

async fn finish(mut clients: JoinSet<()>) {
    while let Some(ended) = clients.join_next().await {
        ended.expect("a client does not panic");
    }
}

async fn connect(address: &str) -> Result<Channel, Error> {
    Endpoint::from_shared(format!("http://{address}"))?
        .connect_timeout(PATIENCE)
        .connect()
        .await
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
