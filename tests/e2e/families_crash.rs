//! All four families at once: SIGKILL of Belay, of the user function, of the deployment's attempts, while clients of building blocks,
//! primitives, invocations and entities work. Nothing acknowledged is missing, nothing has happened twice in effect, and no
//! key and no lock stays held.

#![allow(
    clippy::disallowed_methods,
    reason = "clients and user code are somebody else's programs"
)]
#![allow(
    clippy::print_stdout,
    reason = "a failed test shows its seed, and a good one how much it has seen"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tests::deployment::Deployment;
use tests::{eventually, long};
use tokio::sync::RwLock;
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};
use wire::atomix::counter as counters;
use wire::atomix::counter::counter_client::CounterClient;
use wire::atomix::counter::counters_client::CountersClient;
use wire::atomix::lock as locks;
use wire::atomix::lock::lock_client::LockClient;
use wire::atomix::lock::locks_client::LocksClient;
use wire::atomix::runtime::PrimitiveId;
use wire::layotto::{GetStateRequest, SaveStateRequest, StateItem, TryLockRequest, UnlockRequest};

use super::cloudstate::crashes::{Shared, Struck, fill, judge, strike};
use super::cloudstate::function::GO;
use super::cloudstate::world::World;
use super::invocations_crash::{self as invocations, Load};

const CLIENTS: usize = 4;
const INVOKERS: usize = 4;
/// How long a lock of a client that was killed with it stays, seconds.
const LOCK_SECONDS: i32 = 2;

const CONFIG: &str = r"
components:
  - { name: state, driver: embedded, ports: [state] }
  - { name: lock, driver: embedded, ports: [lock] }
limits: { session_grace_ms: 100, session_restart_grace_ms: 200 }
restate:
  inactivity_timeout_ms: 100
  retry: { initial_interval_ms: 20, max_interval_ms: 100, max_attempts: 0 }
";

/// Of each client: what was acknowledged, and what was sent.
#[derive(Clone, Copy, Default)]
struct Count {
    acknowledged: u64,
    /// Which of them was acknowledged last.
    last: u64,
    sent: u64,
}

type Counts = Arc<Mutex<BTreeMap<String, Count>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_any_family_acknowledged_stays() {
    let rounds = if long() { 300 } else { 20 };
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let deployment = Deployment::start(invocations::SERVICES, invocations::handlers()).await;
    let world = World::start_with(&GO, CONFIG).await;
    invocations::register(&world.belay, &deployment.uri).await;
    create(&world).await;
    let load = Arc::new(Load::new(&world.belay));
    let world: Shared = Arc::new(RwLock::new(Some(world)));
    let (over, counts, mut clients) = (
        Arc::new(AtomicBool::new(false)),
        Counts::default(),
        JoinSet::new(),
    );
    let carts = fill(&mut clients, &world, &over);
    for client in 0..CLIENTS {
        clients.spawn(saves(client, world.clone(), counts.clone(), over.clone()));
        clients.spawn(adds(client, world.clone(), counts.clone(), over.clone()));
    }
    let invokers: Vec<_> = (0..INVOKERS)
        .map(|client| tokio::spawn(load.clone().call_on(client)))
        .collect();
    for _ in 0..rounds {
        tokio::time::sleep(Duration::from_millis(random.u64(100..500))).await;
        match random.usize(..4) {
            3 => deployment.crash(),
            struck => strike(&world, &GO, Struck::ALL[struck]).await,
        }
        load.moved(&world.read().await.as_ref().expect("a world").belay);
    }
    over.store(true, Ordering::SeqCst);
    load.over.store(true, Ordering::SeqCst);
    while let Some(ended) = clients.join_next().await {
        ended.expect("a client");
    }
    for invoker in invokers {
        invoker.await.expect("a client");
    }
    let world = world.write().await.take().expect("a world");
    load.check(&deployment).await;
    judge(&world, &carts).await;
    judge_counts(&world, &counts).await;
    nothing_is_held(&world).await;
}

async fn channel(address: &str) -> Option<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    endpoint.connect().await.ok()
}

fn id(name: &str) -> Option<PrimitiveId> {
    Some(PrimitiveId { name: name.into() })
}

async fn create(world: &World) {
    let channel = channel(&world.belay.primitives).await.expect("it listens");
    for client in 0..CLIENTS {
        let counter = counters::CreateRequest {
            id: id(&format!("count-{client}")),
            tags: vec![],
        };
        let created = CountersClient::new(channel.clone()).create(counter).await;
        created.expect("a new counter");
    }
    let lock = locks::CreateRequest {
        id: id("shared"),
        tags: vec![],
    };
    let created = LocksClient::new(channel).create(lock).await;
    created.expect("a new lock");
}

/// One thing that a client does and what comes of it; the world stands still meanwhile but for what is killed in it.
async fn count<F: Future<Output = Option<()>>>(counts: &Counts, name: &str, act: impl FnOnce(u64) -> F) {
    let sent = {
        let mut counts = counts.lock();
        let count = counts.entry(name.to_owned()).or_default();
        count.sent += 1;
        count.sent
    };
    if act(sent).await.is_some()
        && let Some(count) = counts.lock().get_mut(name)
    {
        count.acknowledged += 1;
        count.last = sent;
    }
}

/// A value that grows, under a lock of its own.
async fn saves(client: usize, world: Shared, counts: Counts, over: Arc<AtomicBool>) {
    let name = format!("state-{client}");
    while !over.load(Ordering::SeqCst) {
        let world = world.read().await;
        let belay = &world.as_ref().expect("a world").belay;
        let Some(channel) = channel(&belay.layotto).await else {
            continue;
        };
        let mut layotto = tests::Layotto::new(channel);
        let lock = TryLockRequest {
            store_name: "lock".into(),
            resource_id: name.clone(),
            lock_owner: name.clone(),
            expire: LOCK_SECONDS,
        };
        if !layotto
            .try_lock(lock)
            .await
            .is_ok_and(|answer| answer.get_ref().success)
        {
            continue;
        }
        count(&counts, &name, |value| {
            let item = StateItem {
                key: name.clone(),
                value: value.to_string().into(),
                ..StateItem::default()
            };
            let save = SaveStateRequest {
                store_name: "state".into(),
                states: vec![item],
            };
            let mut layotto = layotto.clone();
            async move { layotto.save_state(save).await.ok().map(drop) }
        })
        .await;
        let unlock = UnlockRequest {
            store_name: "lock".into(),
            resource_id: name.clone(),
            lock_owner: name.clone(),
        };
        drop(layotto.unlock(unlock).await);
    }
}

/// A counter that grows, now and then under the lock that all of them share.
async fn adds(client: usize, world: Shared, counts: Counts, over: Arc<AtomicBool>) {
    let name = format!("count-{client}");
    while !over.load(Ordering::SeqCst) {
        let world = world.read().await;
        let belay = &world.as_ref().expect("a world").belay;
        let Some(channel) = channel(&belay.primitives).await else {
            continue;
        };
        let is_locked = fastrand::bool() && lock(&channel, Duration::from_millis(20)).await;
        count(&counts, &name, |_| async {
            let add = counters::IncrementRequest {
                id: id(&name),
                delta: 1,
            };
            CounterClient::new(channel.clone())
                .increment(add)
                .await
                .ok()
                .map(drop)
        })
        .await;
        if is_locked {
            let unlock = locks::UnlockRequest { id: id("shared") };
            drop(LockClient::new(channel).unlock(unlock).await);
        }
    }
}

async fn lock(channel: &Channel, wait: Duration) -> bool {
    let mut request = locks::LockRequest {
        id: id("shared"),
        ..locks::LockRequest::default()
    };
    let timeout = request.timeout.get_or_insert_default();
    timeout.seconds = wait.as_secs().cast_signed();
    timeout.nanos = wait.subsec_nanos().cast_signed();
    LockClient::new(channel.clone()).lock(request).await.is_ok()
}

/// What was sent last may be there without having been answered; a counter may have all that was sent.
async fn judge_counts(world: &World, counts: &Counts) {
    let (mut total, counts) = (0, counts.lock().clone());
    let mut layotto = world.belay.client().await;
    let channel = channel(&world.belay.primitives).await.expect("it listens");
    for (name, count) in counts {
        let Count {
            acknowledged, sent, ..
        } = count;
        let (least, found) = if name.starts_with("state-") {
            let get = GetStateRequest {
                store_name: "state".into(),
                key: name.clone(),
                ..GetStateRequest::default()
            };
            let answer = layotto.get_state(get).await.expect("a state").into_inner();
            let value = String::from_utf8_lossy(&answer.data).parse().unwrap_or(0);
            (count.last, value)
        } else {
            let get = counters::GetRequest { id: id(&name) };
            let answer = CounterClient::new(channel.clone())
                .get(get)
                .await
                .expect("a counter");
            (acknowledged, answer.into_inner().value.cast_unsigned())
        };
        assert!(
            (least..=sent).contains(&found),
            "{name}: {found} is there, {least} was acknowledged of {sent}"
        );
        println!("{name}: {acknowledged} of {sent}");
        total += acknowledged;
    }
    assert!(total > 50, "{total} are too few to tell");
}

async fn nothing_is_held(world: &World) {
    let layotto = world.belay.client().await;
    for client in 0..CLIENTS {
        let lock = TryLockRequest {
            store_name: "lock".into(),
            resource_id: format!("state-{client}"),
            lock_owner: "judge".into(),
            expire: LOCK_SECONDS,
        };
        eventually("a lock to be free", || {
            let (mut layotto, lock) = (layotto.clone(), lock.clone());
            async move { layotto.try_lock(lock).await.ok()?.get_ref().success.then_some(()) }
        })
        .await;
    }
    let channel = channel(&world.belay.primitives).await.expect("it listens");
    assert!(
        lock(&channel, tests::PATIENCE).await,
        "the shared lock stays held"
    );
}
