//! A whole world from one seed: clients, hosts that crash, stop and take over, a store with bad weather, and a clock that
//! jumps. What the clients saw must be linearizable, and what is due must come.
//!
//! | what happens | how |
//! |---|---|
//! | commits take their time, are refused, or are done and answered with an error | [`storm`] |
//! | a host crashes, is closed, or loses its partitions to another one while it runs | [`world`] |
//! | letters between partitions, and answers of user code, are lost, come twice and come late | [`subjects::relays`] |
//! | user code of invocations fails, suspends, and is called again | [`subjects::invocations`] |
//! | clients change and read primitives, and write down what they saw | a file per type, see [`subjects`] |
//!
//! One thread, tokio's paused clock and one seeded source: the same seed gives the same run.

mod storm;
mod subjects;
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base::task;
use fastrand::Rng;
use subjects::{Client, Subjects};
use world::World;

/// Replays one seed.
const SEED: &str = "BELAY_SIMULATION_SEED";

const CLIENTS: u64 = 4;
/// A run that takes longer, by its own clock, hangs.
const RUN_MAX: Duration = Duration::from_secs(3_600);

#[test]
fn what_clients_see_is_linearizable_whatever_happens() {
    if let Ok(seed) = std::env::var(SEED) {
        let seed = seed.parse().expect("a seed is a number");
        return run(seed).unwrap_or_else(|fault| panic!("{fault}"));
    }
    let seeds = if std::env::var_os("BELAY_LONG").is_some() {
        10_000
    } else {
        1_000
    };
    // Other ones each time, so that every run tries something new.
    let base = fastrand::u64(..) >> 32;
    let next = AtomicU64::new(base);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= base + seeds {
                return;
            }
            if let Err(fault) = run(seed) {
                let replay = format!("{SEED}={seed} cargo test -p testkit --test simulation");
                panic!("replay with: {replay}\n{fault}");
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
}

/// The same seed must give the same run, or no fault could be replayed.
#[test]
fn a_seed_can_be_replayed() {
    for seed in 0..20 {
        assert_eq!(trace(seed), trace(seed), "seed {seed}");
    }
}

fn run(seed: u64) -> Result<(), String> {
    trace(seed).map(drop)
}

/// What a run comes to: how much was answered, when it ended, and a number that stands for all that was told.
fn trace(seed: u64) -> Result<(usize, u64, u64), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let run = tokio::time::timeout(RUN_MAX, live(seed));
        run.await.unwrap_or_else(|_| Err("the run hangs".into()))
    })
}

async fn live(seed: u64) -> Result<(usize, u64, u64), String> {
    let mut random = Rng::with_seed(seed);
    let world = World::new(random.fork());
    world.start().await;
    let subjects = Arc::new(Subjects::new(&world, &mut random));
    let mut clients = vec![];
    for number in 0..CLIENTS {
        let client = Client::new(number, world.clone(), random.fork());
        clients.push(task::spawn("client", client.live(subjects.clone())));
    }
    for _ in 0..random.u32(2..8) {
        // Some live long enough to renew their claims.
        let longest = *random.choice(&[80, 80, 1_000]).expect("there are some");
        world.pause(random.u64(1..longest)).await;
        world.strike().await;
    }
    for client in clients {
        client.await.map_err(|fault| format!("a client: {fault}"))?;
    }
    world.calm_down().await;
    let mut last = Client::new(CLIENTS, world.clone(), random.fork());
    subjects.end(&mut last).await;
    world.check()?;
    let answered = subjects.answered();
    if answered == 0 {
        return Err("nothing was answered".into());
    }
    subjects.check()?;
    Ok((answered, world.now().0, world.trace()))
}
