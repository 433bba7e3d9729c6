use std::collections::BTreeSet;
use std::sync::Arc;

use base::{codes, limits};
use futures::future::join_all;
use tokio::time::{Duration, Instant};
use tonic::{Code, Status};
use wire::layotto as pb;

use super::Segments;
use crate::components::{Components, Prefix, Sequence};
use crate::service::Service;
use crate::testing::{Fakes, STORE, Sequences, assert_refused, run, service, until};

const WEAK: i32 = 0;
const STRONG: i32 = 1;

fn next_id(store: &str, key: &str, increment: i32) -> pb::GetNextIdRequest {
    pb::GetNextIdRequest {
        store_name: store.into(),
        key: key.into(),
        options: Some(pb::SequencerOptions { increment }),
        ..Default::default()
    }
}

/// Ids without a connection: there are many of them in these tests.
async fn id(service: &Service, key: &str, increment: i32) -> i64 {
    let request = next_id(STORE, key, increment);
    let answer = super::next_id(service, request).await;
    answer.expect("the store answers").next_id
}

async fn skip(service: &Service, key: &str, count: usize) {
    for _ in 0..count {
        id(service, key, WEAK).await;
    }
}

#[tokio::test]
async fn checks_come_in_the_order_of_the_reference() {
    let mut client = Fakes::default().run().await.client;
    let invalid = Code::InvalidArgument;
    let separator = "input key/keyPrefix 'a||b' can't contain '||'";
    let rows = [
        ("other", "", 7, invalid, "Key is empty in sequencer store other"),
        ("other", "a||b", 7, Code::Unknown, "options.Increment is illegal"),
        ("other", "a||b", -1, Code::Unknown, "options.Increment is illegal"),
        ("other", "a||b", STRONG, Code::Unknown, separator),
        ("other", "k", STRONG, invalid, "Sequencer store other not found"),
    ];
    for (store, key, increment, code, message) in rows {
        let answer = client.get_next_id(next_id(store, key, increment)).await;
        assert_refused(answer, code, message);
    }
    let mut client = run(Components::default()).await.client;
    let answer = client.get_next_id(next_id(STORE, "", 7)).await;
    assert_refused(
        answer,
        Code::FailedPrecondition,
        "Sequencer store is not configured",
    );
}

#[tokio::test]
async fn a_stores_failure_comes_raw_and_overload_keeps_its_code() {
    let fakes = Fakes::default();
    let mut client = fakes.run().await.client;
    for increment in [WEAK, STRONG] {
        for (fault, code) in [
            (codes::ENGINE_STOPPED, Code::Unknown),
            (codes::ENGINE_QUEUE_FULL, Code::ResourceExhausted),
        ] {
            fakes.sequences.fault.set(fault, "no way");
            let answer = client.get_next_id(next_id(STORE, "k", increment)).await;
            assert_refused(answer, code, "no way");
        }
    }
}

#[tokio::test]
async fn a_fresh_sequence_counts_from_one_without_options() {
    let mut client = Fakes::default().run().await.client;
    for expected in 1..=9 {
        let mut request = next_id(STORE, "k", WEAK);
        request.options = None;
        let answer = client.get_next_id(request).await.expect("it counts");
        assert_eq!(answer.into_inner().next_id, expected);
    }
}

#[tokio::test]
async fn mixed_on_one_key_no_id_comes_twice() {
    let fakes = Fakes::default();
    let service = service(fakes.components());
    let mut ids = Vec::new();
    for increment in [WEAK, WEAK, STRONG, WEAK, STRONG] {
        ids.push(id(&service, "k", increment).await);
    }
    assert_eq!(ids, [1, 2, 10_001, 3, 10_002]);
    assert_eq!(fakes.sequences.calls(), 3);
    assert_eq!(fakes.sequences.last.lock()["sequencer|||app||k"], 10_002);
}

#[tokio::test]
async fn the_next_segment_is_there_before_the_last_one_ends() {
    let fakes = Fakes::default();
    let service = service(fakes.components());
    let ahead = limits::SEQUENCE_SEGMENT - limits::SEQUENCE_IDS_LEFT;
    skip(&service, "k", ahead as usize - 1).await;
    tokio::task::yield_now().await;
    assert_eq!(fakes.sequences.calls(), 1);
    skip(&service, "k", 1).await;
    until(|| fakes.sequences.calls() == 2).await;
    fakes
        .sequences
        .fault
        .set(codes::ENGINE_STOPPED, "it is not needed");
    for expected in ahead + 1..=limits::SEQUENCE_SEGMENT + 10 {
        assert_eq!(id(&service, "k", WEAK).await, expected as i64);
    }
}

#[tokio::test]
async fn many_callers_in_any_mix_never_share_an_id() {
    let fakes = Fakes::default();
    let service = service(fakes.components());
    let calls = (0..300).map(|caller| {
        let service = &service;
        async move {
            let mut ids = Vec::new();
            for call in 0..100 {
                let increment = if (caller + call) % 17 == 0 { STRONG } else { WEAK };
                ids.push(id(service, "k", increment).await);
                tokio::task::yield_now().await;
            }
            ids
        }
    });
    let ids: Vec<i64> = join_all(calls).await.into_iter().flatten().collect();
    let distinct: BTreeSet<&i64> = ids.iter().collect();
    assert_eq!((ids.len(), distinct.len()), (30_000, 30_000));
}

#[tokio::test]
async fn a_strong_id_is_larger_than_every_id_before_it() {
    let service = service(Fakes::default().components());
    let mut largest = 0;
    for round in 0..2_000 {
        largest = largest.max(id(&service, "k", WEAK).await);
        if round % 50 == 0 {
            let strong = id(&service, "k", STRONG).await;
            assert!(strong > largest);
            largest = strong;
        }
    }
}

#[tokio::test]
async fn two_stores_do_not_share_a_segment() {
    let fakes = Fakes::default();
    let other = Arc::new(Sequences::default());
    let mut components = fakes.components();
    let sequence = Sequence {
        store: other.clone(),
        prefix: Prefix::AppId,
    };
    components.sequencers.insert("other".into(), sequence);
    let service = service(components);
    for expected in 1..=3 {
        assert_eq!(id(&service, "k", WEAK).await, expected);
        let answer = super::next_id(&service, next_id("other", "k", WEAK)).await;
        assert_eq!(answer.expect("it counts").next_id, expected);
    }
    assert_eq!((fakes.sequences.calls(), other.calls()), (1, 1));
}

#[tokio::test]
async fn a_component_opened_anew_does_not_go_on_with_old_ids() {
    let fakes = Fakes::default();
    let service = service(fakes.components());
    skip(&service, "k", 5).await;
    let anew = Fakes::default();
    anew.sequences
        .last
        .lock()
        .insert("sequencer|||app||k".into(), 500);
    service.live.store(Arc::new(anew.components()));
    assert_eq!(id(&service, "k", WEAK).await, 501);
}

#[tokio::test]
async fn callers_that_give_up_leave_gaps_and_no_repetitions() {
    let fakes = Fakes::default();
    let service = service(fakes.components());
    fakes.sequences.open.send_replace(false);
    for _ in 0..3 {
        let gone = tokio::time::timeout(Duration::from_millis(1), id(&service, "k", WEAK)).await;
        gone.expect_err("the store does not answer");
    }
    fakes.sequences.open.send_replace(true);
    let first = id(&service, "k", WEAK).await;
    assert_eq!(id(&service, "k", WEAK).await, first + 1);
    assert_eq!(first % 10_000, 1);
}

#[tokio::test(start_paused = true)]
async fn a_segment_that_does_not_come_in_time_is_a_swap_error() {
    let fakes = Fakes::default();
    let service = service(fakes.components());
    let left = limits::SEQUENCE_SEGMENT as usize;
    skip(&service, "k", 1).await;
    fakes.sequences.open.send_replace(false);
    skip(&service, "k", left - 1).await;
    let asked = Instant::now();
    let answer: Result<_, Status> = super::next_id(&service, next_id(STORE, "k", WEAK)).await;
    let refused = answer.expect_err("the store does not answer");
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::Unknown, "[DoubleBuffer] swap error")
    );
    assert_eq!(asked.elapsed().as_secs(), limits::SEQUENCE_WAIT_MAX.as_secs());
    fakes.sequences.open.send_replace(true);
    assert_eq!(id(&service, "k", WEAK).await, 10_001);
}

#[tokio::test(start_paused = true)]
async fn fetching_ahead_rests_after_some_failures_and_then_goes_on() {
    let fakes = Fakes::default();
    let service = service(fakes.components());
    skip(&service, "k", 1).await;
    fakes.sequences.fault.set(codes::ENGINE_STOPPED, "down");
    skip(&service, "k", 8_999).await;
    until(|| fakes.sequences.calls() == 1 + limits::SEQUENCE_FETCHES_MAX).await;
    skip(&service, "k", 10).await;
    fakes.sequences.fault.clear();
    assert_eq!(fakes.sequences.calls(), 1 + limits::SEQUENCE_FETCHES_MAX);
    tokio::time::sleep(limits::SEQUENCE_FETCH_PAUSE * 2).await;
    skip(&service, "k", 1).await;
    until(|| fakes.sequences.calls() == 2 + limits::SEQUENCE_FETCHES_MAX).await;
    skip(&service, "k", 988).await;
    assert_eq!(id(&service, "k", WEAK).await, 10_000);
    assert_eq!(id(&service, "k", WEAK).await, 10_001);
}

#[tokio::test]
async fn keys_used_long_ago_give_way_and_lose_their_rest() {
    let segments = Segments::new(160);
    let sequences = Arc::new(Sequences::default());
    let take = async |key: &str| {
        let segment = segments.find(STORE, key.to_owned(), sequences.clone());
        segment.next_id().await.expect("the store answers")
    };
    assert_eq!(take("busy").await, 1);
    assert_eq!(take("idle").await, 1);
    let mut busy = 1;
    for key in 0..2_000 {
        assert_eq!(take(&key.to_string()).await, 1);
        busy += 1;
        assert_eq!(take("busy").await, busy);
        assert!(segments.count() <= 160);
    }
    assert_eq!(take("idle").await, 10_001);
}
