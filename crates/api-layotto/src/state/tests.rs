use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base::{codes, limits};
use tonic::{Code, Status};
use wire::layotto as pb;
use wire::layotto::runtime_client::RuntimeClient;
use wire::layotto::state_options::StateConcurrency;

use crate::components::{Components, Prefix};
use crate::testing::{Fakes, STORE, assert_refused, run, texts};

mod refusals;

type Client = RuntimeClient<tonic::transport::Channel>;

fn item(key: &str, value: &str) -> pb::StateItem {
    pb::StateItem {
        key: key.into(),
        value: value.to_owned().into(),
        ..Default::default()
    }
}

impl Etagged for pb::StateItem {
    fn etag(mut self, etag: &str) -> Self {
        self.etag = Some(pb::Etag { value: etag.into() });
        self
    }

    fn concurrency(mut self, concurrency: StateConcurrency) -> Self {
        self.options = Some(options(concurrency));
        self
    }

    fn ttl(mut self, setting: &str) -> Self {
        self.metadata = texts([("ttlInSeconds", setting)]);
        self
    }
}

trait Etagged {
    fn etag(self, etag: &str) -> Self;
    fn concurrency(self, concurrency: StateConcurrency) -> Self;
    fn ttl(self, setting: &str) -> Self;
}

fn options(concurrency: StateConcurrency) -> pb::StateOptions {
    pb::StateOptions {
        concurrency: concurrency.into(),
        consistency: 0,
    }
}

fn save(store: &str, states: Vec<pb::StateItem>) -> pb::SaveStateRequest {
    pb::SaveStateRequest {
        store_name: store.into(),
        states,
    }
}

fn get(store: &str, key: &str) -> pb::GetStateRequest {
    pb::GetStateRequest {
        store_name: store.into(),
        key: key.into(),
        ..Default::default()
    }
}

fn get_bulk(store: &str, keys: &[&str]) -> pb::GetBulkStateRequest {
    pb::GetBulkStateRequest {
        store_name: store.into(),
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        ..Default::default()
    }
}

fn delete(store: &str, key: &str, etag: Option<&str>) -> pb::DeleteStateRequest {
    pb::DeleteStateRequest {
        store_name: store.into(),
        key: key.into(),
        etag: etag.map(|value| pb::Etag { value: value.into() }),
        ..Default::default()
    }
}

fn delete_bulk(store: &str, states: Vec<pb::StateItem>) -> pb::DeleteBulkStateRequest {
    pb::DeleteBulkStateRequest {
        store_name: store.into(),
        states,
    }
}

fn transaction(
    store: &str,
    operations: Vec<(&str, Option<pb::StateItem>)>,
) -> pb::ExecuteStateTransactionRequest {
    let operations = operations.into_iter();
    pb::ExecuteStateTransactionRequest {
        store_name: store.into(),
        operations: operations
            .map(|(operation_type, request)| pb::TransactionalStateOperation {
                operation_type: operation_type.into(),
                request,
            })
            .collect(),
        metadata: HashMap::new(),
    }
}

/// Saves one item and says with what code it was answered.
async fn saved(client: &mut Client, item: pb::StateItem) -> Code {
    let answer = client.save_state(save(STORE, vec![item])).await;
    answer.map_or_else(|status| status.code(), |_| Code::Ok)
}

#[tokio::test]
async fn what_was_saved_is_read_with_its_etag() {
    let mut client = Fakes::default().run().await.client;
    assert_eq!(saved(&mut client, item("k", "hello")).await, Code::Ok);
    let found = client
        .get_state(get(STORE, "k"))
        .await
        .expect("it is there")
        .into_inner();
    assert_eq!((found.data.as_ref(), found.etag.as_str()), (&b"hello"[..], "1"));
    assert!(found.metadata.is_empty());
}

#[tokio::test]
async fn a_missing_key_is_an_empty_answer() {
    let mut client = Fakes::default().run().await.client;
    let found = client.get_state(get(STORE, "k")).await.expect("it is no error");
    assert_eq!(found.into_inner(), pb::GetStateResponse::default());
}

#[tokio::test]
async fn the_prefix_of_the_component_is_in_every_stored_key() {
    let fakes = Fakes::default();
    let mut components = fakes.components();
    let state = components.states.get_mut(STORE).expect("the store is there");
    state.prefix = Prefix::AppId;
    let mut client = run(components).await.client;
    let write = vec![item("a", "1"), item("b", "2")];
    client.save_state(save(STORE, write)).await.expect("it saves");
    let more = vec![("upsert", Some(item("c", "3"))), ("delete", Some(item("b", "")))];
    client
        .execute_state_transaction(transaction(STORE, more))
        .await
        .expect("it commits");
    assert_eq!(fakes.states.keys(), ["app||a", "app||c"]);
    let found = client.get_state(get(STORE, "a")).await.expect("it is there");
    assert_eq!(found.into_inner().data, "1");
    let found = client
        .get_bulk_state(get_bulk(STORE, &["c", "x"]))
        .await
        .expect("it reads");
    let found = found.into_inner().items;
    assert_eq!((found[0].key.as_str(), found[0].data.as_ref()), ("c", &b"3"[..]));
    assert_eq!(found[1].key, "x");
    client
        .delete_state(delete(STORE, "a", None))
        .await
        .expect("it deletes");
    client
        .delete_bulk_state(delete_bulk(STORE, vec![item("c", "")]))
        .await
        .expect("it deletes");
    assert!(fakes.states.keys().is_empty());
}

#[tokio::test]
async fn etags_that_say_nothing_expect_nothing() {
    let mut client = Fakes::default().run().await.client;
    for etag in [None, Some(""), Some("0")] {
        let written = item("k", "v");
        let written = etag.map_or(written.clone(), |etag| written.etag(etag));
        assert_eq!(saved(&mut client, written.clone()).await, Code::Ok, "{etag:?}");
        let upsert = transaction(STORE, vec![("upsert", Some(written.clone()))]);
        client
            .execute_state_transaction(upsert)
            .await
            .expect("it expects nothing");
        let dropped = transaction(STORE, vec![("delete", Some(written.clone()))]);
        client
            .execute_state_transaction(dropped)
            .await
            .expect("it expects nothing");
        assert_eq!(saved(&mut client, written.clone()).await, Code::Ok, "{etag:?}");
        client
            .delete_bulk_state(delete_bulk(STORE, vec![written]))
            .await
            .expect("it expects nothing");
        assert_eq!(saved(&mut client, item("k", "v")).await, Code::Ok);
        client
            .delete_state(delete(STORE, "k", etag))
            .await
            .expect("it expects nothing");
    }
}

#[tokio::test]
async fn last_write_does_not_look_at_etags() {
    let mut client = Fakes::default().run().await.client;
    for key in ["new", "new"] {
        let written = item(key, "v")
            .etag("77")
            .concurrency(StateConcurrency::ConcurrencyLastWrite);
        assert_eq!(saved(&mut client, written).await, Code::Ok);
    }
    let mut request = delete(STORE, "new", Some("77"));
    request.options = Some(options(StateConcurrency::ConcurrencyLastWrite));
    client
        .delete_state(request)
        .await
        .expect("it does not look at the etag");
}

#[tokio::test]
async fn an_etag_must_match_under_first_write_and_by_default() {
    let mut client = Fakes::default().run().await.client;
    assert_eq!(saved(&mut client, item("k", "1")).await, Code::Ok);
    for (etag, concurrency, code) in [
        ("9", StateConcurrency::ConcurrencyUnspecified, Code::Aborted),
        ("9", StateConcurrency::ConcurrencyFirstWrite, Code::Aborted),
        (
            "x",
            StateConcurrency::ConcurrencyUnspecified,
            Code::InvalidArgument,
        ),
        ("1", StateConcurrency::ConcurrencyFirstWrite, Code::Ok),
        ("2", StateConcurrency::ConcurrencyUnspecified, Code::Ok),
        ("2", StateConcurrency::ConcurrencyUnspecified, Code::Aborted),
    ] {
        let written = item("k", "2").etag(etag).concurrency(concurrency);
        assert_eq!(saved(&mut client, written).await, code, "{etag} {concurrency:?}");
    }
}

/// Case C31.
#[tokio::test]
async fn of_fifty_first_writers_exactly_one_wins() {
    let fakes = Fakes::default();
    let client = fakes.run().await.client;
    for (round, etag) in (0..20).zip([None, Some(""), Some("0")].iter().cycle()) {
        let key = format!("key {round}");
        let write = |value: usize| {
            let written = item(&key, &value.to_string()).concurrency(StateConcurrency::ConcurrencyFirstWrite);
            let written = etag.map_or(written.clone(), |etag| written.etag(etag));
            let mut client = client.clone();
            async move { (value, saved(&mut client, written).await) }
        };
        let answers = futures::future::join_all((0..50).map(write)).await;
        let winners: Vec<usize> = answers
            .iter()
            .filter(|(_, code)| *code == Code::Ok)
            .map(|(value, _)| *value)
            .collect();
        let losers = answers.iter().filter(|(_, code)| *code == Code::Aborted).count();
        assert_eq!((winners.len(), losers), (1, 49));
        assert_eq!(
            fakes.states.data(&key).expect("someone won"),
            winners[0].to_string()
        );
    }
}

/// Case C33.
#[tokio::test]
async fn what_was_refused_was_not_done() {
    let fakes = Fakes::default();
    let mut client = fakes.run().await.client;
    assert_eq!(saved(&mut client, item("k", "old").ttl("60")).await, Code::Ok);
    assert_eq!(saved(&mut client, item("j", "old")).await, Code::Ok);
    let before = client
        .get_state(get(STORE, "k"))
        .await
        .expect("it is there")
        .into_inner();
    let mut request = delete(STORE, "k", Some("9"));
    request.options = Some(options(StateConcurrency::ConcurrencyFirstWrite));
    let wrong = item("k", "new").etag("9").ttl("5");
    let answers = [
        client.delete_state(request).await,
        client
            .save_state(save(STORE, vec![item("j", "new"), wrong.clone()]))
            .await,
        client
            .execute_state_transaction(transaction(
                STORE,
                vec![("delete", Some(item("j", ""))), ("upsert", Some(wrong))],
            ))
            .await,
        client
            .delete_bulk_state(delete_bulk(STORE, vec![item("j", ""), item("k", "").etag("9")]))
            .await,
    ];
    let found: Vec<Code> = answers
        .into_iter()
        .map(|answer| answer.expect_err("the etag is wrong").code())
        .collect();
    assert_eq!(
        found,
        [Code::Aborted, Code::Aborted, Code::Internal, Code::Unknown]
    );
    let after = client
        .get_state(get(STORE, "k"))
        .await
        .expect("it is there")
        .into_inner();
    assert_eq!(after, before);
    assert_eq!(fakes.states.data("j").expect("it is there"), "old");
}

#[tokio::test]
async fn a_store_without_transactions_saves_up_to_the_first_failure() {
    let fakes = Fakes::default();
    fakes.states.no_transactions.store(true, Ordering::SeqCst);
    let mut client = fakes.run().await.client;
    let items = vec![item("a", "1"), item("b", "2").etag("9"), item("c", "3")];
    let answer = client.save_state(save(STORE, items)).await;
    assert_eq!(answer.expect_err("the etag is wrong").code(), Code::Aborted);
    assert_eq!(fakes.states.keys(), ["a"]);
}

/// Case C35.
#[tokio::test]
async fn operations_of_a_transaction_happen_in_their_order() {
    for key3_first in [false, true] {
        let fakes = Fakes::default();
        let mut client = fakes.run().await.client;
        if key3_first {
            assert_eq!(saved(&mut client, item("key3", "old")).await, Code::Ok);
        }
        let operations = vec![
            ("upsert", Some(item("key1", "1"))),
            ("delete", Some(item("key1", ""))),
            ("upsert", Some(item("key2", "2"))),
            ("delete", Some(item("key3", ""))),
            ("upsert", Some(item("key3", "3"))),
        ];
        client
            .execute_state_transaction(transaction(STORE, operations))
            .await
            .expect("it commits");
        assert_eq!(fakes.states.keys(), ["key2", "key3"]);
        assert_eq!(fakes.states.data("key3").expect("it is there"), "3");
    }
}

#[tokio::test]
async fn an_operation_without_request_is_passed_over_and_none_at_all_is_fine() {
    let fakes = Fakes::default();
    let mut client = fakes.run().await.client;
    let operations = vec![("nonsense", None), ("upsert", Some(item("k", "v")))];
    client
        .execute_state_transaction(transaction(STORE, operations))
        .await
        .expect("it commits");
    client
        .execute_state_transaction(transaction(STORE, vec![]))
        .await
        .expect("there is nothing to do");
    assert_eq!(fakes.states.keys(), ["k"]);
}

/// Case C37, as far as this crate decides it: the store reads all keys at once.
#[tokio::test]
async fn a_bulk_read_answers_each_key_in_order_at_any_parallelism() {
    let mut client = Fakes::default().run().await.client;
    let value = |index: usize| "x".repeat(1 + index * 500);
    let items: Vec<pb::StateItem> = (0..150)
        .map(|index| item(&index.to_string(), &value(index)))
        .collect();
    for chunk in items.chunks(50) {
        client
            .save_state(save(STORE, chunk.to_vec()))
            .await
            .expect("it saves");
    }
    let mut keys: Vec<String> = (0..50).rev().map(|index| index.to_string()).collect();
    keys.extend(["7".to_owned(), "missing".to_owned()]);
    for parallelism in [0, 1, 10, 1000, -1] {
        let mut request = get_bulk(STORE, &[]);
        request.keys = keys.clone();
        request.parallelism = parallelism;
        let items = client
            .get_bulk_state(request)
            .await
            .expect("it reads")
            .into_inner()
            .items;
        let found: Vec<&str> = items.iter().map(|item| item.key.as_str()).collect();
        assert_eq!(found, keys);
        for item in &items[..51] {
            let index: usize = item.key.parse().expect("keys are numbers");
            assert_eq!(item.data, value(index));
            assert_eq!(item.etag, (index + 1).to_string());
        }
        assert_eq!(
            items[51].data.len() + items[51].etag.len() + items[51].error.len(),
            0
        );
    }
}

#[tokio::test]
async fn a_key_that_fails_fails_alone() {
    let fakes = Fakes::default();
    let mut client = fakes.run().await.client;
    assert_eq!(saved(&mut client, item("a", "1")).await, Code::Ok);
    *fakes.states.broken_key.lock() = Some(("b".into(), codes::STORED_ROW_UNREADABLE));
    let items = client
        .get_bulk_state(get_bulk(STORE, &["b", "a"]))
        .await
        .expect("it reads");
    let items = items.into_inner().items;
    assert_eq!(
        (items[0].error.as_str(), items[0].data.len()),
        ("the key is broken", 0)
    );
    assert_eq!((items[1].error.as_str(), items[1].data.as_ref()), ("", &b"1"[..]));
}

#[tokio::test]
async fn nothing_to_do_is_done() {
    let mut client = Fakes::default().run().await.client;
    let found = client
        .get_bulk_state(get_bulk(STORE, &[]))
        .await
        .expect("it reads");
    assert!(found.into_inner().items.is_empty());
    client.save_state(save(STORE, vec![])).await.expect("it saves");
    client
        .delete_bulk_state(delete_bulk(STORE, vec![]))
        .await
        .expect("it deletes");
    client
        .delete_state(delete(STORE, "missing", Some("5")))
        .await
        .expect("it is gone already");
}

/// Case C39.
#[tokio::test]
async fn a_time_to_live_is_the_items_own_or_the_components() {
    for (default, setting, expected) in [
        (None, Some("10"), Some(10)),
        (None, None, None),
        (None, Some("-1"), None),
        (Some(60), Some("10"), Some(10)),
        (Some(60), None, Some(60)),
        (Some(60), Some("-1"), None),
    ] {
        let fakes = Fakes::default();
        let mut components = fakes.components();
        let state = components.states.get_mut(STORE).expect("the store is there");
        state.ttl = default.map(Duration::from_secs);
        let mut client = run(components).await.client;
        let expected = expected.map(Duration::from_secs);
        let written = item("k", "v");
        let written = setting.map_or(written.clone(), |setting| written.ttl(setting));
        assert_eq!(saved(&mut client, item("k", "v").ttl("99")).await, Code::Ok);
        assert_eq!(saved(&mut client, written.clone()).await, Code::Ok);
        assert_eq!(fakes.states.ttl("k"), expected, "{setting:?} over {default:?}");
        let upsert = transaction(STORE, vec![("upsert", Some(written))]);
        client
            .execute_state_transaction(upsert)
            .await
            .expect("it commits");
        assert_eq!(fakes.states.ttl("k"), expected, "{setting:?} over {default:?}");
    }
}

#[tokio::test]
async fn what_is_left_of_a_time_to_live_is_told() {
    let mut client = Fakes::default().run().await.client;
    assert_eq!(saved(&mut client, item("k", "v").ttl("10")).await, Code::Ok);
    let found = client
        .get_state(get(STORE, "k"))
        .await
        .expect("it is there")
        .into_inner();
    assert_eq!(found.metadata, texts([("ttlInSeconds", "10")]));
}
