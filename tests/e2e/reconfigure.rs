//! `ApplyConfiguration` on components that live: all of a change, or nothing of it.

use std::collections::HashMap;

use tests::app::App;
use tests::{Belay, Layotto};
use tonic::Code;
use wire::layotto::lifecycle_client::LifecycleClient;
use wire::layotto::topic_event_response::TopicEventResponseStatus as Answer;
use wire::layotto::{
    ComponentConfig, DynamicConfiguration, GetStateRequest, PublishEventRequest, SaveStateRequest, StateItem,
};

async fn apply(belay: &Belay, kind: &str, name: &str, metadata: &[(&str, &str)]) -> Result<(), Code> {
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", belay.layotto))
        .expect("an address")
        .connect()
        .await
        .expect("it listens");
    let metadata = metadata
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let config = ComponentConfig {
        kind: kind.into(),
        name: name.into(),
        metadata: metadata.collect::<HashMap<_, _>>(),
    };
    let request = DynamicConfiguration {
        component_config: Some(config),
    };
    let answer = LifecycleClient::new(channel).apply_configuration(request).await;
    answer.map(drop).map_err(|status| status.code())
}

async fn get(client: &mut Layotto, key: &str) -> String {
    let request = GetStateRequest {
        store_name: "state_demo".into(),
        key: key.into(),
        ..Default::default()
    };
    let found = client
        .get_state(request)
        .await
        .expect("reading works")
        .into_inner();
    String::from_utf8_lossy(&found.data).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stores_options_change_while_it_serves() {
    let belay = Belay::run("components: [{ name: state_demo, driver: embedded }]\n").await;
    let mut client = belay.client().await;
    let states = vec![StateItem {
        key: "k".into(),
        value: "v".into(),
        ..StateItem::default()
    }];
    let save = SaveStateRequest {
        store_name: "state_demo".into(),
        states,
    };
    client.save_state(save).await.expect("it is saved");
    for bad in [
        [("keyPrefix", "a||b")],
        [("ttlInSeconds", "soon")],
        [("colour", "red")],
    ] {
        assert!(
            apply(&belay, "state", "state_demo", &bad).await.is_err(),
            "{bad:?}"
        );
        assert_eq!(get(&mut client, "k").await, "v", "nothing has changed");
    }
    apply(&belay, "state", "state_demo", &[("keyPrefix", "other")])
        .await
        .expect("it is changed");
    assert_eq!(get(&mut client, "k").await, "", "the key is another one now");
    apply(&belay, "state", "state_demo", &[("keyPrefix", "none")])
        .await
        .expect("it is changed back");
    assert_eq!(get(&mut client, "k").await, "v");
    let unknown = apply(&belay, "state", "nothing", &[("a", "b")]).await;
    assert_eq!(unknown, Err(Code::InvalidArgument));
}

/// Changed topics must not be read twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_bus_delivers_every_event_once() {
    let mut app = App::serve(&[("pub_subs_demo", "topic")], |_| Ok(Answer::Success)).await;
    let belay = Belay::dev(app.port).await;
    let mut client = belay.client().await;
    let mut seen = vec![];
    for n in 0..20 {
        let request = PublishEventRequest {
            pubsub_name: "pub_subs_demo".into(),
            topic: "topic".into(),
            data: n.to_string().into(),
            ..Default::default()
        };
        client.publish_event(request).await.expect("it is published");
        if n % 5 == 0 {
            let changed = apply(&belay, "pub_subs", "pub_subs_demo", &[("consumerID", "dev")]).await;
            changed.expect("options of the family can change");
        }
        seen.push(String::from_utf8_lossy(&app.next().await.data).into_owned());
    }
    let refused = apply(&belay, "pub_subs", "pub_subs_demo", &[("retentionSeconds", "60")]).await;
    assert!(refused.is_err(), "topics themselves are changed by a restart");
    assert_eq!(seen, (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(app.events.try_recv().is_err(), "nothing came twice");
}
