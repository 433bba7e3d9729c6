//! Each named limit, met.

use tests::Belay;
use tonic::Code;
use wire::layotto::{GetStateRequest, SaveStateRequest, StateItem};

const CONFIG: &str = r"
components: [{ name: state_demo, driver: embedded }]
limits: { message_bytes: 65536, streams_per_connection: 8, header_bytes: 8192 }
";

fn save(bytes: usize) -> SaveStateRequest {
    let value = vec![b'v'; bytes].into();
    let states = vec![StateItem {
        key: "k".into(),
        value,
        ..StateItem::default()
    }];
    SaveStateRequest {
        store_name: "state_demo".into(),
        states,
    }
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_and_the_connection_goes_on() {
    let belay = Belay::run(CONFIG).await;
    let mut client = belay.client().await;
    client.save_state(save(65_000)).await.expect("below the limit");
    let refused = client.save_state(save(70_000)).await.expect_err("over the limit");
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    client
        .save_state(save(10))
        .await
        .expect("the connection is unharmed");
}

#[tokio::test]
async fn the_reference_limit_is_the_default() {
    let belay = Belay::run("components: [{ name: state_demo, driver: embedded }]\n").await;
    let mut client = belay.client().await;
    client
        .save_state(save((4 << 20) - 100))
        .await
        .expect("below 4 MiB");
    let refused = client.save_state(save(5 << 20)).await.expect_err("over 4 MiB");
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
}

#[tokio::test]
async fn a_header_flood_is_refused_and_others_are_served() {
    let belay = Belay::run(CONFIG).await;
    let mut client = belay.client().await;
    let mut request = tonic::Request::new(GetStateRequest {
        store_name: "state_demo".into(),
        key: "k".into(),
        ..Default::default()
    });
    for n in 0..200 {
        let name: tonic::metadata::MetadataKey<_> = format!("x-flood-{n}").parse().expect("a name");
        request
            .metadata_mut()
            .insert(name, "y".repeat(100).parse().expect("a value"));
    }
    client
        .get_state(request)
        .await
        .expect_err("20 KB of headers are too many");
    let request = GetStateRequest {
        store_name: "state_demo".into(),
        key: "k".into(),
        ..Default::default()
    };
    belay
        .client()
        .await
        .get_state(request)
        .await
        .expect("others are served");
}

#[tokio::test]
async fn more_calls_than_streams_wait_their_turn() {
    let belay = Belay::run(CONFIG).await;
    let mut client = belay.client().await;
    client
        .save_state(save(1))
        .await
        .expect("the client has seen the server's settings");
    let calls = (0..200).map(|n| {
        let mut client = client.clone();
        async move { client.save_state(save(n)).await }
    });
    for answer in futures::future::join_all(calls).await {
        answer.expect("each gets its turn");
    }
}
