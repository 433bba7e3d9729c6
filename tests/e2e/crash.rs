//! `kill -9` and power cuts at random moments, and what was acknowledged before, checked from outside.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tests::app::App;
use tests::belay::dev_config;
use tests::volume::Volume;
use tests::{Belay, Layotto, long};
use tokio::task::JoinSet;
use wire::layotto::topic_event_response::TopicEventResponseStatus as Answer;
use wire::layotto::{
    ExecuteStateTransactionRequest, GetBulkStateRequest, GetNextIdRequest, PublishEventRequest,
    SequencerOptions, StateItem, TransactionalStateOperation, TryLockRequest, UnlockRequest,
};

const WRITERS: usize = 8;
const PUBLISHERS: usize = 4;
const COUNTERS: usize = 4;
/// Keys that one transaction writes, all with one value.
const KEYS: [&str; 4] = ["a", "b", "c", "d"];

/// What the outside knows.
#[derive(Default)]
struct Record {
    /// Of each writer: the last value that was acknowledged, and the last that was sent.
    written: Vec<(u64, u64)>,
    published: BTreeSet<String>,
    ids: Vec<i64>,
    tokens: Vec<u64>,
    faults: Vec<String>,
}

type Shared = Arc<Mutex<Record>>;

fn with<T>(record: &Shared, change: impl FnOnce(&mut Record) -> T) -> T {
    change(&mut record.lock().expect("no task panics with it"))
}

#[derive(Clone, Copy)]
enum End {
    Kill,
    PowerCut,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_no_half_batch_is_seen() {
    let rounds = if long() { 200 } else { 20 };
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    live_through(End::Kill, rounds, seed).await;
}

/// The same when the machine goes, and with it what was written and not synced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_power_is_cut() {
    let rounds = if long() { 60 } else { 6 };
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    live_through(End::PowerCut, rounds, seed).await;
}

async fn live_through(end: End, rounds: usize, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut app = App::serve(&[("pub_subs_demo", "crash")], |_| Ok(Answer::Success)).await;
    let record: Shared = Arc::default();
    with(&record, |record| record.written = vec![(0, 0); WRITERS]);
    let mut belay = match end {
        End::Kill => Belay::dev(app.port).await,
        End::PowerCut => {
            let volume = Arc::new(Volume::mount_disk(512).await);
            Belay::run_on(&dev_config(app.port), volume).await
        }
    };
    for round in 0..rounds {
        // Ids and fencing tokens sync in every mode, and so take others' changes along: every second time they stay away.
        let load = load(&belay, &record, round % 2 == 0).await;
        tokio::time::sleep(Duration::from_millis(random.u64(20..400))).await;
        belay = match end {
            End::Kill => {
                belay.kill().await;
                belay.restart().await
            }
            End::PowerCut => belay.cut_power().await,
        };
        finish(load).await;
        check(&mut belay.client().await, &record, round).await;
    }
    everything_published_arrives(&mut app, &record).await;
    let ids = with(&record, |record| std::mem::take(&mut record.ids));
    let distinct: BTreeSet<_> = ids.iter().collect();
    assert_eq!(
        distinct.len(),
        ids.len(),
        "an id was handed out twice (seed {seed})"
    );
    let tokens = with(&record, |record| std::mem::take(&mut record.tokens));
    assert!(
        tokens.windows(2).all(|pair| pair[0] < pair[1]),
        "a fencing token did not grow (seed {seed})"
    );
    let faults = with(&record, |record| std::mem::take(&mut record.faults));
    assert!(faults.is_empty(), "seed {seed}: {faults:#?}");
    let written: u64 = with(&record, |record| {
        record.written.iter().map(|(acknowledged, _)| acknowledged).sum()
    });
    assert!(
        written > rounds as u64 && !ids.is_empty() && !tokens.is_empty(),
        "there was load"
    );
}

async fn load(belay: &Belay, record: &Shared, with_tokens: bool) -> JoinSet<()> {
    let mut load = JoinSet::new();
    for writer in 0..WRITERS {
        load.spawn(write(belay.client().await, record.clone(), writer));
    }
    for publisher in 0..PUBLISHERS {
        load.spawn(publish(belay.client().await, record.clone(), publisher));
    }
    if with_tokens {
        for _ in 0..COUNTERS {
            load.spawn(count(belay.client().await, record.clone()));
        }
        load.spawn(lock(belay.client().await, record.clone()));
    }
    load
}

/// Each ends with the first call that fails: the server is gone.
async fn finish(mut load: JoinSet<()>) {
    while let Some(ended) = load.join_next().await {
        ended.expect("a load task does not panic");
    }
}

async fn write(mut client: Layotto, record: Shared, writer: usize) {
    loop {
        let value = with(&record, |record| {
            record.written[writer].1 += 1;
            record.written[writer].1
        });
        let operation = |key: &&str| TransactionalStateOperation {
            operation_type: "upsert".into(),
            request: Some(StateItem {
                key: format!("crash-{writer}-{key}"),
                value: value.to_string().into(),
                ..StateItem::default()
            }),
        };
        let request = ExecuteStateTransactionRequest {
            store_name: "state_demo".into(),
            operations: KEYS.iter().map(operation).collect(),
            ..Default::default()
        };
        if client.execute_state_transaction(request).await.is_err() {
            return;
        }
        with(&record, |record| record.written[writer].0 = value);
    }
}

async fn publish(mut client: Layotto, record: Shared, publisher: usize) {
    for n in 0u64.. {
        let data = format!("{publisher}-{n}-{}", fastrand::u64(..));
        let request = PublishEventRequest {
            pubsub_name: "pub_subs_demo".into(),
            topic: "crash".into(),
            data: data.clone().into(),
            ..Default::default()
        };
        if client.publish_event(request).await.is_err() {
            return;
        }
        with(&record, |record| record.published.insert(data));
    }
}

async fn count(mut client: Layotto, record: Shared) {
    loop {
        let options = Some(SequencerOptions { increment: 1 });
        let request = GetNextIdRequest {
            store_name: "sequencer_demo".into(),
            key: "crash".into(),
            options,
            ..Default::default()
        };
        let Ok(answer) = client.get_next_id(request).await else {
            return;
        };
        with(&record, |record| record.ids.push(answer.into_inner().next_id));
    }
}

async fn lock(mut client: Layotto, record: Shared) {
    loop {
        // A name of its own each time: a lock that its holder could not release stays held, as it must.
        let resource_id = "crash".to_owned() + &fastrand::u64(..).to_string();
        let lock = TryLockRequest {
            store_name: "lock_demo".into(),
            resource_id: resource_id.clone(),
            lock_owner: "me".into(),
            expire: 30,
        };
        let Ok(answer) = client.try_lock(lock).await else {
            return;
        };
        let token = answer
            .metadata()
            .get("belay-fencing-token")
            .and_then(|token| token.to_str().ok());
        let token = token.and_then(|token| token.parse().ok());
        with(&record, |record| match token {
            Some(token) if answer.get_ref().success => record.tokens.push(token),
            _ => record
                .faults
                .push(format!("a free lock was refused, or has no token: {answer:?}")),
        });
        let unlock = UnlockRequest {
            store_name: "lock_demo".into(),
            resource_id,
            lock_owner: "me".into(),
        };
        if client.unlock(unlock).await.is_err() {
            return;
        }
    }
}

/// The store as a client sees it after a restart, against the record.
async fn check(client: &mut Layotto, record: &Shared, round: usize) {
    for writer in 0..WRITERS {
        let request = GetBulkStateRequest {
            store_name: "state_demo".into(),
            keys: KEYS.iter().map(|key| format!("crash-{writer}-{key}")).collect(),
            ..Default::default()
        };
        let items = client
            .get_bulk_state(request)
            .await
            .expect("it is up")
            .into_inner()
            .items;
        let values: Vec<u64> = items
            .iter()
            .map(|item| String::from_utf8_lossy(&item.data).parse().unwrap_or(0))
            .collect();
        with(record, |record| {
            let (acknowledged, sent) = record.written[writer];
            if values.iter().any(|value| *value != values[0]) {
                record
                    .faults
                    .push(format!("round {round}: half a batch: {values:?}"));
            }
            if values[0] < acknowledged || values[0] > sent {
                let fault = format!(
                    "round {round}: {} is there, {acknowledged} was acknowledged",
                    values[0]
                );
                record.faults.push(fault);
            }
        });
    }
}

async fn everything_published_arrives(app: &mut App, record: &Shared) {
    let mut missing = with(record, |record| record.published.clone());
    assert!(!missing.is_empty(), "events were published");
    let total = missing.len();
    let until = tokio::time::Instant::now() + Duration::from_secs(60);
    while !missing.is_empty() {
        let left = missing.len();
        let event = tokio::time::timeout_at(until, app.events.recv()).await;
        let event = event.unwrap_or_else(|_| panic!("{left} of {total} acknowledged events did not arrive"));
        missing.remove(&*String::from_utf8_lossy(&event.expect("the app serves").data));
    }
}

/// An event that the application always refuses is still there after both kinds of end, and the others do not come again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_in_retry_survives_restarts_of_both_kinds() {
    let mended = Arc::new(AtomicBool::new(false));
    let works = mended.clone();
    let app = App::serve(&[("pub_subs_demo", "retry")], move |event| {
        let refused = &event.data[..] == b"7" && !works.load(Ordering::SeqCst);
        Ok(if refused { Answer::Retry } else { Answer::Success })
    });
    let mut app = app.await;
    let mut belay = Belay::dev(app.port).await;
    let mut client = belay.client().await;
    for n in 1..=10 {
        let request = PublishEventRequest {
            pubsub_name: "pub_subs_demo".into(),
            topic: "retry".into(),
            data: n.to_string().into(),
            ..Default::default()
        };
        client.publish_event(request).await.expect("it is published");
    }
    let (mut others, mut attempts) = (BTreeSet::new(), 0);
    while others.len() < 9 || attempts < 3 {
        match String::from_utf8_lossy(&app.next().await.data).into_owned() {
            data if data == "7" => attempts += 1,
            data => assert!(others.insert(data), "delivered once"),
        }
    }
    drop(client);
    assert!(belay.terminate().await.success(), "SIGTERM is a clean end");
    for kind in ["SIGTERM", "SIGKILL"] {
        while app.events.try_recv().is_ok() {}
        belay = belay.restart().await;
        for _ in 0..2 {
            let again = app.next().await;
            assert_eq!(
                &again.data[..],
                b"7",
                "after {kind} only the refused one comes again"
            );
        }
        belay.kill().await;
    }
    while app.events.try_recv().is_ok() {}
    mended.store(true, Ordering::SeqCst);
    let _belay = belay.restart().await;
    assert_eq!(&app.next().await.data[..], b"7", "the mended application gets it");
}
