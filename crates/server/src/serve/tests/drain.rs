//! Stopping in order.

use std::time::Duration;

use tokio::sync::oneshot::error::TryRecvError;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::echo::NAME;
use super::harness::{Server, Setup, closes};
use crate::admin::readiness::Weight;
use crate::serve::Limits;

#[tokio::test]
async fn a_call_in_flight_is_answered_and_nothing_new_is_taken() {
    let server = Server::start();
    let mut client = server.client().await;
    let in_flight = base::task::spawn("call", async move { client.call("wait").await });
    server.strings.begun.take().await;
    let (hook, mut hooked) = tokio::sync::oneshot::channel();
    server
        .shutdown
        .hook("engine", || async { hook.send(()).expect("the test waits") });
    server.shutdown.begin();
    closes(&server.address).await;
    let (status, body) = server.get("/ready").await;
    assert_eq!(status, 503);
    assert!(body.contains("stopping"), "{body}");
    let waiting = Err(TryRecvError::Empty);
    assert_eq!(hooked.try_recv(), waiting, "hooks wait for calls in flight");
    server.strings.release.give();
    let answered = in_flight.await.expect("no panic").expect("a stop waits for it");
    assert_eq!(answered, "released");
    let admin = server.admin.clone();
    server.stopped().await;
    hooked.await.expect("the hook ran");
    // Administration has stopped too.
    closes(&admin).await;
}

#[tokio::test]
async fn a_stream_that_waits_for_news_is_told_to_come_back() {
    let server = Server::start();
    let mut client = server.client().await;
    let mut news = client.stream("news").await.expect("served");
    news.message().await.expect("the first message");
    server.shutdown.begin();
    let ended = news.message().await.expect_err("ended by the drain");
    assert_eq!(ended.code(), Code::Unavailable);
    server.stopped().await;
}

#[tokio::test]
async fn a_call_that_never_ends_is_cut_at_the_drains_deadline() {
    let setup = Setup {
        limits: Limits {
            drain_deadline: Duration::from_millis(50),
            ..Limits::default()
        },
        ..Setup::default()
    };
    let server = setup.start();
    let mut client = server.client().await;
    let stuck = base::task::spawn("call", async move { client.call("wait").await });
    server.strings.begun.take().await;
    server.shutdown.begin();
    server.stopped().await;
    stuck.await.expect("no panic").expect_err("cut");
}

#[tokio::test]
async fn health_follows_the_engine_and_the_drain() {
    let server = Server::start();
    let engine = server.readiness.part("engine", Weight::Essential);
    engine.ready();
    let mut health = HealthClient::new(server.client().await.channel());
    let ask = || HealthCheckRequest {
        service: NAME.to_owned(),
    };
    let mut watch = health.watch(ask()).await.expect("known").into_inner();
    let mut next = async || {
        let answer = watch.message().await.expect("open").expect("a status");
        answer.status()
    };
    // The engine was not ready for a moment, which the watch may have seen or not.
    while next().await != ServingStatus::Serving {}
    engine.failed("a write failed");
    assert_eq!(next().await, ServingStatus::NotServing);
    engine.ready();
    assert_eq!(next().await, ServingStatus::Serving);
    let whole = health
        .check(HealthCheckRequest::default())
        .await
        .expect("the process as a whole");
    assert_eq!(whole.into_inner().status(), ServingStatus::Serving);
    let unknown = HealthCheckRequest {
        service: "no.Such".to_owned(),
    };
    assert_eq!(
        health.check(unknown).await.expect_err("unknown").code(),
        Code::NotFound
    );
    server.shutdown.begin();
    assert_eq!(next().await, ServingStatus::NotServing);
    server.stopped().await;
}
