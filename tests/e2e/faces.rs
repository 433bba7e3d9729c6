//! One value, several faces: what one family writes another one reads, with the same version.

use tests::Belay;
use tonic::transport::Channel;
use wire::atomix::counter::counter_client::CounterClient;
use wire::atomix::counter::counters_client::CountersClient;
use wire::atomix::counter::{self, IncrementRequest};
use wire::atomix::map::map_client::MapClient;
use wire::atomix::map::maps_client::MapsClient;
use wire::atomix::map::{self, PutRequest, UpdateRequest};
use wire::atomix::runtime::PrimitiveId;
use wire::layotto::{Etag, GetStateRequest, GetStateResponse, SaveStateRequest, StateItem, StateOptions};

const CONFIG: &str = "components: [{name: shared, driver: primitives}]\n";

fn id(name: &str) -> Option<PrimitiveId> {
    Some(PrimitiveId { name: name.into() })
}

async fn channel(belay: &Belay) -> Channel {
    let endpoint = Channel::from_shared(format!("http://{}", belay.primitives)).expect("an address");
    endpoint.connect().await.expect("it listens")
}

async fn get(belay: &Belay, key: &str) -> GetStateResponse {
    let request = GetStateRequest {
        store_name: "shared".into(),
        key: key.into(),
        ..GetStateRequest::default()
    };
    let answer = tests::belay::client(&belay.layotto)
        .await
        .get_state(request)
        .await;
    answer.expect("a read").into_inner()
}

/// First write wins: only over that version.
async fn save(belay: &Belay, key: &str, value: &'static str, etag: &str) -> Result<(), tonic::Status> {
    let item = StateItem {
        key: key.into(),
        value: value.into(),
        etag: Some(Etag { value: etag.into() }),
        options: Some(StateOptions {
            concurrency: 1,
            ..StateOptions::default()
        }),
        ..StateItem::default()
    };
    let request = SaveStateRequest {
        store_name: "shared".into(),
        states: vec![item],
    };
    tests::belay::client(&belay.layotto)
        .await
        .save_state(request)
        .await
        .map(drop)
}

#[tokio::test]
async fn a_counter_is_read_and_set_as_state() {
    let belay = Belay::run(CONFIG).await;
    let channel = channel(&belay).await;
    let create = counter::CreateRequest {
        id: id("hits"),
        tags: vec![],
    };
    CountersClient::new(channel.clone())
        .create(create)
        .await
        .expect("a counter");
    let mut hits = CounterClient::new(channel);
    let increment = |delta| IncrementRequest {
        id: id("hits"),
        delta,
    };
    hits.increment(increment(41)).await.expect("an increment");
    let read = get(&belay, "hits").await;
    assert_eq!(&read.data[..], b"41");

    hits.increment(increment(1)).await.expect("an increment");
    save(&belay, "hits", "7", &read.etag)
        .await
        .expect_err("it has another version by now");
    let read = get(&belay, "hits").await;
    save(&belay, "hits", "7", &read.etag)
        .await
        .expect("it has that version");
    let sum = hits.increment(increment(1)).await.expect("an increment");
    assert_eq!(sum.into_inner().value, 8);
}

#[tokio::test]
async fn an_entry_of_a_map_has_one_version_for_both() {
    let belay = Belay::run(CONFIG).await;
    let channel = channel(&belay).await;
    let create = map::CreateRequest {
        id: id("users"),
        tags: vec![],
    };
    MapsClient::new(channel.clone())
        .create(create)
        .await
        .expect("a map");
    let mut users = MapClient::new(channel);
    let put = PutRequest {
        id: id("users"),
        key: "ann".into(),
        value: "new".into(),
        ..PutRequest::default()
    };
    let put = users.put(put).await.expect("a put").into_inner();
    let read = get(&belay, "users/ann").await;
    assert_eq!(
        (&read.data[..], read.etag),
        (&b"new"[..], put.version.to_string())
    );

    save(&belay, "users/ann", "renamed", &put.version.to_string())
        .await
        .expect("it has that version");
    let update = |prev_version| UpdateRequest {
        id: id("users"),
        key: "ann".into(),
        value: "again".into(),
        prev_version,
        ..UpdateRequest::default()
    };
    let stale = users
        .update(update(put.version))
        .await
        .expect_err("state has changed it");
    assert_eq!(stale.code(), tonic::Code::Aborted);
    let now: u64 = get(&belay, "users/ann").await.etag.parse().expect("a version");
    users.update(update(now)).await.expect("that is its version");
}
