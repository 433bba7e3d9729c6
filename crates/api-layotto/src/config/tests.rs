use base::codes;
use ports::config::Item;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use wire::layotto::runtime_client::RuntimeClient;

use super::*;
use crate::testing::{Fakes, STORE, assert_refused, texts};

mod watches;

type Client = RuntimeClient<tonic::transport::Channel>;

fn item(group: &str, label: &str, key: &str, content: &str) -> pb::ConfigurationItem {
    pb::ConfigurationItem {
        key: key.into(),
        content: content.into(),
        group: group.into(),
        label: label.into(),
        tags: texts([("env", "test")]),
        metadata: texts([("by", "me")]),
    }
}

fn save_items(store: &str, app: &str, items: Vec<pb::ConfigurationItem>) -> pb::SaveConfigurationRequest {
    pb::SaveConfigurationRequest {
        store_name: store.into(),
        app_id: app.into(),
        items,
        metadata: texts([("dropped", "yes")]),
    }
}

fn get_items(store: &str, group: &str, label: &str, keys: &[&str]) -> pb::GetConfigurationRequest {
    pb::GetConfigurationRequest {
        store_name: store.into(),
        app_id: "app".into(),
        group: group.into(),
        label: label.into(),
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        subscribe_update: true,
        ..Default::default()
    }
}

fn delete_items(store: &str, keys: &[&str]) -> pb::DeleteConfigurationRequest {
    pb::DeleteConfigurationRequest {
        store_name: store.into(),
        app_id: "app".into(),
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        ..Default::default()
    }
}

async fn keys(client: &mut Client, group: &str, label: &str, keys: &[&str]) -> Vec<String> {
    let answer = client
        .get_configuration(get_items(STORE, group, label, keys))
        .await;
    let items = answer.expect("it reads").into_inner().items;
    items.into_iter().map(|item| item.key).collect()
}

#[tokio::test]
async fn items_come_back_as_they_were_saved() {
    let mut client = Fakes::default().run().await.client;
    let items = vec![item("g", "l", "b", "2"), item("g", "l", "a", "1")];
    client
        .save_configuration(save_items(STORE, "app", items.clone()))
        .await
        .expect("it saves");
    let answer = client
        .get_configuration(get_items(STORE, "g", "l", &["b", "x", "a"]))
        .await;
    assert_eq!(answer.expect("it reads").into_inner().items, items);
    assert_eq!(keys(&mut client, "g", "l", &[]).await, ["a", "b"]);
}

#[tokio::test]
async fn group_and_label_of_spaces_alone_are_the_stores_own() {
    let mut client = Fakes::default().run().await.client;
    let items = vec![
        item("", "  ", "a", "1"),
        item(" ", "", "b", "2"),
        item("de fault", "plain", "c", "3"),
        item("\t", "plain", "d", "4"),
    ];
    client
        .save_configuration(save_items(STORE, "app", items))
        .await
        .expect("it saves");
    assert_eq!(keys(&mut client, "default", "plain", &[]).await, ["a", "b"]);
    assert_eq!(keys(&mut client, "   ", "", &[]).await, ["a", "b"]);
    assert_eq!(keys(&mut client, "de fault", " ", &[]).await, ["c"]);
    assert_eq!(keys(&mut client, "\t", " ", &[]).await, ["d"]);
}

#[tokio::test]
async fn deleting_no_key_deletes_nothing_and_an_unknown_one_is_fine() {
    let mut client = Fakes::default().run().await.client;
    let items = vec![item("", "", "a", "1"), item("", "", "b", "2")];
    client
        .save_configuration(save_items(STORE, "app", items))
        .await
        .expect("it saves");
    client
        .delete_configuration(delete_items(STORE, &[]))
        .await
        .expect("it is fine");
    client
        .delete_configuration(delete_items(STORE, &["x"]))
        .await
        .expect("it is fine");
    assert_eq!(keys(&mut client, "", "", &[]).await, ["a", "b"]);
    client
        .delete_configuration(delete_items(STORE, &["a"]))
        .await
        .expect("it deletes");
    assert_eq!(keys(&mut client, "", "", &[]).await, ["b"]);
}

#[tokio::test]
async fn every_refusal_is_unknown() {
    let fakes = Fakes::default();
    let mut client = fakes.run().await.client;
    let message = "configure store [etcd] don't support now";
    let read = get_items("etcd", "", "", &["a"]);
    assert_refused(
        client.get_configuration(read.clone()).await,
        Code::Unknown,
        message,
    );
    let saved = save_items("etcd", "app", vec![]);
    assert_refused(client.save_configuration(saved).await, Code::Unknown, message);
    let deleted = delete_items("etcd", &[]);
    assert_refused(client.delete_configuration(deleted).await, Code::Unknown, message);
    let mut nothing = crate::testing::run(Components::default()).await.client;
    assert_refused(nothing.get_configuration(read).await, Code::Unknown, message);
}

#[tokio::test]
async fn a_stores_failure_is_unknown_and_only_reading_says_what_failed() {
    let fakes = Fakes::default();
    let mut client = fakes.run().await.client;
    for (fault, code) in [
        (codes::ENGINE_STOPPED, Code::Unknown),
        (codes::KEY_INVALID, Code::Unknown),
        (codes::ENGINE_QUEUE_FULL, Code::ResourceExhausted),
    ] {
        fakes.configs.fault.set(fault, "no way");
        let answer = client.get_configuration(get_items(STORE, "", "", &[])).await;
        assert_refused(answer, code, "get configuration failed with error: no way");
        let answer = client.save_configuration(save_items(STORE, "app", vec![])).await;
        assert_refused(answer, code, "no way");
        let answer = client.delete_configuration(delete_items(STORE, &["a"])).await;
        assert_refused(answer, code, "no way");
    }
}
