//! SIGKILL of Belay, of the user function, of both, under commands to carts: what was acknowledged is there, and once.

#![allow(
    clippy::print_stdout,
    reason = "a failed test shows its seed, and a good one how much it has seen"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::sync::RwLock;
use tokio::task::JoinSet;

use super::carts::{ADD, cart, item};
use super::function::{GO, JAVASCRIPT, Sdk};
use super::world::World;

const ADD_VALUE: &str = "/com.example.valueentity.shoppingcart.ShoppingCart/AddItem";
const CARTS: usize = 16;
const ROUNDS: u64 = 20;
const ROUNDS_LONG: u64 = 300;

/// Killed and started again while clients have calls on their way.
pub(crate) type Shared = Arc<RwLock<Option<World>>>;

/// Every add is of a product of its own, so that each can be found, and found twice. By cart: what was tried, and whether it was
/// acknowledged.
pub(crate) type Record = Arc<Mutex<BTreeMap<String, Vec<(String, bool)>>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_go() {
    rounds(&GO, if tests::long() { ROUNDS_LONG } else { ROUNDS }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_javascript() {
    rounds(&JAVASCRIPT, if tests::long() { ROUNDS_LONG } else { ROUNDS / 2 }).await;
}

/// Nothing of the answer can leave, so Belay dies between its journal and that answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn between_the_journal_and_the_answer() {
    for sdk in [&GO, &JAVASCRIPT] {
        let world = World::start(sdk).await;
        let events = "SELECT * FROM entity_events WHERE entity_id = 'ann'";
        let world = dies_unanswered(world, ADD, events).await;
        assert_eq!(world.sql(events).await.len(), 1, "{}", sdk.name);
        let mut grpc = world.grpc().await;
        assert_eq!(cart(&mut grpc, "ann").await.lines(), [("tea", 3)], "{}", sdk.name);
        // Who hears nothing asks again, and that is another command.
        let again: Result<(), _> = grpc.call(ADD, item("ann", "tea", 3)).await;
        again.expect("it is served again");
        assert_eq!(world.sql(events).await.len(), 2, "{}", sdk.name);
        assert_eq!(cart(&mut grpc, "ann").await.lines(), [("tea", 6)], "{}", sdk.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn between_the_value_and_the_answer() {
    let values = "SELECT * FROM entity_values WHERE entity_id = 'ann'";
    let world = dies_unanswered(World::start(&GO).await, ADD_VALUE, values).await;
    assert_eq!(world.sql(values).await.len(), 1);
    let kept = world.json("/ve/carts/ann").await;
    assert_eq!(
        kept["items"],
        json!([{"productId": "tea", "name": "A tea", "quantity": 3}])
    );
}

/// Adds to ann's cart, and kills Belay when the rows are there and the answer is not.
async fn dies_unanswered(world: World, path: &'static str, rows: &str) -> World {
    let mut deaf = world.deaf().await;
    let mut asked = JoinSet::new();
    asked.spawn(async move { deaf.call::<_, ()>(path, item("ann", "tea", 3)).await });
    tests::eventually("what the command changes to be stored", || async {
        (!world.sql(rows).await.is_empty()).then_some(())
    })
    .await;
    assert!(asked.try_join_next().is_none(), "the answer has not left");
    let world = world.restart_belay().await;
    let heard = asked.join_next().await.expect("one").expect("a client");
    heard.expect_err("the connection is gone, and the answer with it");
    world
}

async fn rounds(sdk: &'static Sdk, rounds: u64) {
    let world: Shared = Arc::new(RwLock::new(Some(World::start(sdk).await)));
    let (over, mut clients) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
    let record = fill(&mut clients, &world, &over);
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for round in 0..rounds {
        tokio::time::sleep(Duration::from_millis(random.u64(50..300))).await;
        strike(&world, sdk, Struck::ALL[round as usize % 3]).await;
    }
    over.store(true, Ordering::Relaxed);
    while let Some(ended) = clients.join_next().await {
        ended.expect("a client");
    }
    let world = world.write().await.take().expect("a world");
    judge(&world, &record).await;
}

/// Starts clients that fill carts until it is over.
pub(crate) fn fill(clients: &mut JoinSet<()>, world: &Shared, over: &Arc<AtomicBool>) -> Record {
    let record = Record::default();
    for cart in 0..CARTS {
        clients.spawn(adds(
            format!("c{cart}"),
            world.clone(),
            record.clone(),
            over.clone(),
        ));
    }
    record
}

/// Who dies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Struck {
    Belay,
    Function,
    Both,
}

impl Struck {
    pub(crate) const ALL: [Struck; 3] = [Struck::Belay, Struck::Function, Struck::Both];
}

/// Clients that have a call on its way see it fail; others wait.
pub(crate) async fn strike(world: &Shared, sdk: &Sdk, struck: Struck) {
    // The processes die while calls are on their way; only the replacement is waited for.
    let pids: Vec<u32> = {
        let world = world.read().await;
        let world = world.as_ref().expect("a world");
        match struck {
            Struck::Belay => vec![world.belay.pid()],
            Struck::Function => vec![world.function.pid()],
            Struck::Both => vec![world.belay.pid(), world.function.pid()],
        }
    };
    for pid in pids {
        let pid = Pid::from_raw(pid as i32).expect("a pid is not zero");
        kill_process(pid, Signal::KILL).expect("it can be killed");
    }
    let mut slot = world.write().await;
    let mut now = slot.take().expect("a world");
    if struck != Struck::Belay {
        now.start_function(sdk).await;
    }
    if struck != Struck::Function {
        now = now.restart_belay().await;
    }
    now.ready().await;
    *slot = Some(now);
}

async fn adds(cart: String, world: Shared, record: Record, over: Arc<AtomicBool>) {
    let path = format!("/cart/{cart}/items/add");
    let mut number = 0;
    while !over.load(Ordering::Relaxed) {
        let product = format!("p{number:06}");
        number += 1;
        record
            .lock()
            .entry(cart.clone())
            .or_default()
            .push((product.clone(), false));
        let body = json!({"productId": product, "name": "x", "quantity": 1}).to_string();
        let answer = {
            let world = world.read().await;
            let world = world.as_ref().expect("a world");
            world.try_call("POST", &path, &body).await
        };
        if answer.is_some_and(|(status, _)| status == 200)
            && let Some(tried) = record.lock().get_mut(&cart).and_then(|all| all.last_mut())
        {
            tried.1 = true;
        }
    }
}

pub(crate) async fn judge(world: &World, record: &Record) {
    let record = record.lock().clone();
    let mut acknowledged = 0;
    for (cart, tried) in &record {
        let seen = world.json(&format!("/carts/{cart}")).await;
        let items = seen["items"].as_array().cloned().unwrap_or_default();
        let counts: BTreeMap<&str, i64> = items
            .iter()
            .map(|item| {
                (
                    item["productId"].as_str().unwrap_or_default(),
                    item["quantity"].as_i64().unwrap_or_default(),
                )
            })
            .collect();
        assert_eq!(counts.len(), items.len(), "{cart}: a product is there twice");
        assert!(
            counts.values().all(|count| *count == 1),
            "{cart}: something was added twice: {counts:?}"
        );
        for (product, was_acknowledged) in tried {
            assert!(
                !was_acknowledged || counts.contains_key(product.as_str()),
                "{cart}: {product} is lost"
            );
        }
        let known = |product: &&str| tried.iter().any(|(name, _)| name == product);
        assert!(counts.keys().all(known), "{cart}: {counts:?}");
        // The journal has no gaps, and one event for each product.
        let question = format!(
            "SELECT sequence FROM entity_events WHERE persistence_id = 'shopping-cart' AND entity_id = '{cart}' ORDER BY sequence"
        );
        let events = world.sql(&question).await;
        let events: Vec<u64> = events.iter().filter_map(|row| row["sequence"].as_u64()).collect();
        assert_eq!(events, (1..=counts.len() as u64).collect::<Vec<_>>(), "{cart}");
        acknowledged += tried.iter().filter(|(_, acknowledged)| *acknowledged).count();
    }
    println!("{acknowledged} adds were acknowledged");
    assert!(
        acknowledged > record.len() * 10,
        "{acknowledged} adds are too few to tell\n{}",
        world.said()
    );
}
