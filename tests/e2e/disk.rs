//! C82: a data directory on a volume that is really full.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tests::volume::Volume;
use tests::{Belay, Layotto, eventually};
use tonic::{Code, Status};
use wire::layotto::{DeleteStateRequest, GetStateRequest, PublishEventRequest, SaveStateRequest, StateItem};

use super::cloudstate::carts::{ADD, cart, item};
use super::cloudstate::function::GO;
use super::cloudstate::world::World;

const STORE: &str = "state_demo";
const VALUE_BYTES: usize = 64 << 10;
const MIB: u64 = 1 << 20;

/// Refuses writes below 32 MiB and what merges need.
const CAREFUL: &str = r"
engine: { reserve_mib: 32 }
components: [{ name: state_demo, driver: embedded }]
";

/// Never looks at the free space, as if somebody else filled the disk faster than that.
const CARELESS: &str = r"
engine: { reserve_mib: 0 }
components: [{ name: state_demo, driver: embedded }]
";

/// Bytes that no compression makes smaller, the same ones for the same key.
fn value(key: usize) -> Vec<u8> {
    let mut bytes = vec![0; VALUE_BYTES];
    fastrand::Rng::with_seed(key as u64).fill(&mut bytes);
    bytes
}

async fn save(client: &mut Layotto, key: usize) -> Result<(), Status> {
    save_value(client, key.to_string(), value(key)).await
}

async fn save_value(client: &mut Layotto, key: String, value: Vec<u8>) -> Result<(), Status> {
    let state = StateItem {
        key,
        value: value.into(),
        ..StateItem::default()
    };
    let request = SaveStateRequest {
        store_name: STORE.into(),
        states: vec![state],
    };
    client.save_state(request).await.map(drop)
}

async fn get(client: &mut Layotto, key: usize) -> Vec<u8> {
    let request = GetStateRequest {
        store_name: STORE.into(),
        key: key.to_string(),
        ..Default::default()
    };
    let answer = client.get_state(request).await.expect("reading goes on");
    answer.into_inner().data.to_vec()
}

async fn delete(client: &mut Layotto, key: usize) {
    try_delete(client, key).await.expect("deletes are taken");
}

async fn try_delete(client: &mut Layotto, key: usize) -> Result<(), Status> {
    let request = DeleteStateRequest {
        store_name: STORE.into(),
        key: key.to_string(),
        ..Default::default()
    };
    client.delete_state(request).await.map(drop)
}

fn code(status: &Status) -> &str {
    let code = status.metadata().get("belay-error-code");
    code.and_then(|code| code.to_str().ok()).unwrap_or_default()
}

#[track_caller]
fn check_refused(status: &Status) {
    assert_eq!(
        (status.code(), code(status)),
        (Code::ResourceExhausted, "BLY0036"),
        "{status:?}"
    );
}

/// The front door of user functions says the code in the text.
#[track_caller]
fn no_room(refusal: &Status) {
    assert!(
        refusal.code() == Code::ResourceExhausted && refusal.message().starts_with("BLY0036: "),
        "{refusal:?}"
    );
}

/// Saves one byte again and again until that is refused, which is when the server looks at the disk.
async fn refused(client: &mut Layotto) -> Status {
    eventually("a refusal for want of space", || {
        let mut client = client.clone();
        async move { save_value(&mut client, "probe".into(), vec![1]).await.err() }
    })
    .await
}

async fn taken_again(client: &mut Layotto, key: usize) {
    eventually("writes to be taken again", || {
        let mut client = client.clone();
        async move { save(&mut client, key).await.ok() }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nearly_full_disk_takes_deletes_only_until_there_is_room() {
    let volume = Arc::new(Volume::mount(160).await);
    let belay = Belay::run_on(CAREFUL, volume.clone()).await;
    let mut client = belay.client().await;
    for key in 0..40 {
        save(&mut client, key).await.expect("there is room");
    }
    volume.fill(16 * MIB);
    check_refused(&refused(&mut client).await);
    let event = PublishEventRequest {
        pubsub_name: STORE.into(),
        topic: "t".into(),
        data: value(0).into(),
        ..Default::default()
    };
    check_refused(
        &client
            .publish_event(event)
            .await
            .expect_err("events take room too"),
    );
    for key in 0..10 {
        delete(&mut client, key).await;
    }

    // The same after a crash: it starts on the full volume, and knows it from the first call on.
    let belay = belay.restart().await;
    let mut client = belay.client().await;
    check_refused(
        &save(&mut client, 1_001)
            .await
            .expect_err("there is still no room"),
    );
    for key in 10..20 {
        delete(&mut client, key).await;
    }
    for key in 0..40 {
        let expected = if key < 20 { vec![] } else { value(key) };
        assert!(get(&mut client, key).await == expected, "key {key}");
    }
    assert!(
        get(&mut client, 1_001).await.is_empty(),
        "what was refused is not there"
    );

    volume.make_room();
    taken_again(&mut client, 1_000).await;
    assert!(get(&mut client, 1_000).await == value(1_000));
}

/// A cart of the Go SDK, which believes an event before it is stored: what was refused must not be seen later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entities_on_a_full_disk_keep_what_was_acknowledged_and_no_more() {
    let volume = Arc::new(Volume::mount(160).await);
    let world = World::start_on(&GO, "engine: { reserve_mib: 32 }", volume.clone()).await;
    let mut taken = 0;
    let mut add = async |world: &World, quantity| -> Result<i32, Status> {
        let asked = world
            .grpc()
            .await
            .call::<_, ()>(ADD, item("ann", "tea", quantity))
            .await;
        asked.map(|()| {
            taken += quantity;
            taken
        })
    };
    let kept = async |world: &World| {
        let cart = cart(&mut world.grpc().await, "ann").await;
        cart.lines().first().map_or(0, |(_, quantity)| *quantity)
    };
    add(&world, 5).await.expect("there is room");
    volume.fill(16 * MIB);
    let mut before = kept(&world).await;
    let refusal = loop {
        match add(&world, 7).await {
            Ok(taken) => before = taken,
            Err(refusal) => break refusal,
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    no_room(&refusal);
    assert_eq!(
        kept(&world).await,
        before,
        "the function has forgotten what was refused"
    );

    let world = world.restart_belay().await;
    no_room(&add(&world, 7).await.expect_err("there is still no room"));
    assert_eq!(kept(&world).await, before);

    volume.make_room();
    let until = tokio::time::Instant::now() + tests::PATIENCE;
    let after = loop {
        match add(&world, 1).await {
            Ok(taken) => break taken,
            Err(refusal) => assert!(tokio::time::Instant::now() < until, "{refusal:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!((after, kept(&world).await), (before + 1, before + 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_full_of_own_data_is_emptied_by_deletes_alone() {
    let volume = Arc::new(Volume::mount(160).await);
    let belay = Belay::run_on(CAREFUL, volume).await;
    let mut client = belay.client().await;
    let mut count = 0;
    let refusal = loop {
        match save(&mut client, count).await {
            Ok(()) => count += 1,
            Err(status) => break status,
        }
        assert!(count < 10_000, "160 MiB hold no {count} values");
    };
    check_refused(&refusal);
    for key in 0..count {
        let deleted = try_delete(&mut client, key).await;
        deleted.unwrap_or_else(|status| panic!("key {key} of {count}: {status:?}\n{}", belay.log()));
    }
    taken_again(&mut client, 0).await;
    assert!(get(&mut client, 0).await == value(0));
    assert!(get(&mut client, count - 1).await.is_empty());
}

/// What was acknowledged, and the first refusal.
async fn save_until_refused(
    mut client: Layotto,
    keys: impl Iterator<Item = usize>,
    saved: &AtomicUsize,
) -> (Vec<usize>, Status) {
    let mut acknowledged = vec![];
    for key in keys {
        match save(&mut client, key).await {
            Ok(()) => acknowledged.push(key),
            Err(status) => return (acknowledged, status),
        }
        saved.fetch_add(1, Ordering::Relaxed);
    }
    panic!("the disk is never full")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_filled_to_the_last_byte_loses_nothing_that_was_acknowledged() {
    let volume = Arc::new(Volume::mount(256).await);
    let mut belay = Belay::run_on(CARELESS, volume.clone()).await;
    let client = belay.client().await;
    let saved = AtomicUsize::new(0);
    let writers = (0..4).map(|writer| save_until_refused(client.clone(), (writer..4_000).step_by(4), &saved));
    let somebody_else = async {
        eventually("some values", || async {
            (saved.load(Ordering::Relaxed) > 100).then_some(())
        })
        .await;
        let volume = volume.clone();
        tokio::task::spawn_blocking(move || volume.fill(0))
            .await
            .expect("it is filled");
    };
    let (writers, ()) = futures::future::join(futures::future::join_all(writers), somebody_else).await;
    // The reference answers any failed save with INTERNAL; the header tells it from others. The process ends at once, so
    // that some only find their connection closed.
    let heard = |status: &Status| (status.code(), code(status)) == (Code::Internal, "BLY0034");
    assert!(writers.iter().any(|(_, status)| heard(status)), "{writers:?}");
    let others = writers.iter().filter(|(_, status)| !heard(status));
    for (_, status) in others {
        assert!(status.source().is_some(), "not of a lost connection: {status:?}");
    }
    let acknowledged: Vec<usize> = writers.into_iter().flat_map(|(keys, _)| keys).collect();
    let status = belay.ended().await;
    assert_eq!(status.code(), Some(4), "{}", belay.log());

    // Not one block is left: it starts all the same, and everything can be read.
    volume.fill(0);
    assert!(volume.is_full());
    let belay = belay.restart().await;
    check_saved(&belay, &acknowledged).await;

    volume.make_room();
    let belay = belay.restart().await;
    check_saved(&belay, &acknowledged).await;
    save(&mut belay.client().await, 5_000)
        .await
        .expect("there is room again");
}

async fn check_saved(belay: &Belay, keys: &[usize]) {
    let mut client = belay.client().await;
    for key in keys {
        assert!(
            get(&mut client, *key).await == value(*key),
            "key {key} was acknowledged"
        );
    }
}
