//! State through the front door: what a validation table cannot show.

use std::collections::HashMap;

use tests::{Belay, Layotto};
use tonic::Code;
use wire::layotto::state_options::StateConcurrency;
use wire::layotto::{
    DeleteStateRequest, Etag, GetBulkStateRequest, GetStateRequest, GetStateResponse, SaveStateRequest,
    StateItem, StateOptions,
};

const CONFIG: &str = r"
components:
  - { name: durable, driver: embedded }
  - { name: volatile, driver: memory }
";

async fn get(client: &mut Layotto, store: &str, key: &str) -> GetStateResponse {
    let request = GetStateRequest {
        store_name: store.into(),
        key: key.into(),
        ..Default::default()
    };
    client
        .get_state(request)
        .await
        .expect("reading works")
        .into_inner()
}

fn item(key: &str, value: &str) -> StateItem {
    StateItem {
        key: key.into(),
        value: value.to_owned().into(),
        ..StateItem::default()
    }
}

fn first_write(item: StateItem) -> StateItem {
    let concurrency = StateConcurrency::ConcurrencyFirstWrite.into();
    StateItem {
        options: Some(StateOptions {
            concurrency,
            consistency: 0,
        }),
        ..item
    }
}

async fn save(client: &mut Layotto, store: &str, states: Vec<StateItem>) -> Result<(), Code> {
    let request = SaveStateRequest {
        store_name: store.into(),
        states,
    };
    client
        .save_state(request)
        .await
        .map(drop)
        .map_err(|status| status.code())
}

/// C31.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_first_writers_exactly_one_wins() {
    let belay = Belay::run(CONFIG).await;
    for store in ["durable", "volatile"] {
        for round in 0..40 {
            let key = format!("round-{round}");
            let racers = (0..50).map(|n| {
                let (address, key) = (belay.layotto.clone(), key.clone());
                let _ = address;
                (n, key)
            });
            let mut client = belay.client().await;
            let attempts = racers.map(|(n, key)| {
                let mut client = client.clone();
                async move {
                    let states = vec![first_write(item(&key, &n.to_string()))];
                    (n, save(&mut client, store, states).await)
                }
            });
            let ended = futures::future::join_all(attempts).await;
            let won: Vec<_> = ended.iter().filter(|(_, result)| result.is_ok()).collect();
            assert_eq!(won.len(), 1, "{store} {key}");
            assert!(
                ended
                    .iter()
                    .all(|(_, result)| matches!(result, Ok(()) | Err(Code::Aborted)))
            );
            assert_eq!(get(&mut client, store, &key).await.data, won[0].0.to_string());
        }
    }
}

/// C33.
#[tokio::test]
async fn what_is_refused_changes_nothing() {
    let belay = Belay::run(CONFIG).await;
    let mut client = belay.client().await;
    for store in ["durable", "volatile"] {
        save(&mut client, store, vec![item("k", "v")])
            .await
            .expect("it is saved");
        let before = get(&mut client, store, "k").await;
        let wrong = Some(Etag {
            value: "999999999".into(),
        });
        let request = DeleteStateRequest {
            store_name: store.into(),
            key: "k".into(),
            etag: wrong.clone(),
            options: first_write(item("k", "")).options,
            ..Default::default()
        };
        assert_eq!(
            client
                .delete_state(request)
                .await
                .expect_err("a wrong etag")
                .code(),
            Code::Aborted
        );
        let mismatch = StateItem {
            etag: wrong,
            ..item("k", "w")
        };
        let states = vec![item("other", "w"), mismatch];
        assert_eq!(save(&mut client, store, states).await, Err(Code::Aborted));
        assert_eq!(get(&mut client, store, "k").await, before);
        assert!(
            get(&mut client, store, "other").await.data.is_empty(),
            "one commit, all or nothing"
        );
    }
}

/// C37.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bulk_reads_give_every_item_every_time() {
    let belay = Belay::run(CONFIG).await;
    let mut client = belay.client().await;
    let value = |n: usize| "x".repeat(1 + n * 690);
    let names: Vec<String> = (0..150).map(|n| format!("bulk-{n}")).collect();
    for chunk in names.iter().enumerate().collect::<Vec<_>>().chunks(30) {
        let items = chunk.iter().map(|(n, name)| item(name, &value(*n))).collect();
        save(&mut client, "durable", items).await.expect("it is saved");
    }
    for round in 0..100 {
        save(
            &mut client,
            "durable",
            vec![item("unrelated", &round.to_string())],
        )
        .await
        .expect("it is saved");
        let parallelism = [0, 1, 10, 1000][round % 4];
        // In two halves: one answer of all would be over the clients' 4 MiB.
        for half in names.chunks(75) {
            let request = GetBulkStateRequest {
                store_name: "durable".into(),
                keys: half.to_vec(),
                parallelism,
                ..Default::default()
            };
            let items = client
                .get_bulk_state(request)
                .await
                .expect("it works")
                .into_inner()
                .items;
            assert_eq!(
                items.iter().map(|item| &item.key).collect::<Vec<_>>(),
                half.iter().collect::<Vec<_>>()
            );
            for item in items {
                let n: usize = item.key[5..].parse().expect("a number");
                assert_eq!(item.data.len(), value(n).len());
                assert!(!item.etag.is_empty() && item.error.is_empty());
            }
        }
    }
}

/// C39.
#[tokio::test]
async fn times_to_live_follow_one_rule_on_every_driver() {
    let belay = Belay::run(CONFIG).await;
    let mut client = belay.client().await;
    let with_ttl = |key: &str, ttl: &str| StateItem {
        metadata: HashMap::from([("ttlInSeconds".to_owned(), ttl.to_owned())]),
        ..item(key, "v")
    };
    for store in ["durable", "volatile"] {
        for bad in ["0", "-2", "abc", "", "9223372036854775808"] {
            let saved = save(&mut client, store, vec![with_ttl("bad", bad)]).await;
            assert_eq!(saved, Err(Code::InvalidArgument), "{store} '{bad}'");
        }
        let items = vec![
            with_ttl("short", "1"),
            with_ttl("renewed", "1"),
            with_ttl("always", "-1"),
        ];
        save(&mut client, store, items).await.expect("it is saved");
        save(&mut client, store, vec![item("renewed", "v")])
            .await
            .expect("it is saved");
        assert_eq!(get(&mut client, store, "short").await.data, "v");
        tests::eventually("the expiry", || {
            let mut client = client.clone();
            async move {
                get(&mut client, store, "short")
                    .await
                    .data
                    .is_empty()
                    .then_some(())
            }
        })
        .await;
        assert_eq!(
            get(&mut client, store, "renewed").await.data,
            "v",
            "a write without one makes it permanent"
        );
        assert_eq!(get(&mut client, store, "always").await.data, "v");
    }
}
