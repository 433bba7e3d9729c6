use base::codes;
use tonic::Code;
use wire::layotto as pb;

use crate::components::Components;
use crate::testing::{Fakes, STORE, assert_refused, texts};

fn change(kind: &str, name: &str, metadata: &[(&str, &str)]) -> pb::DynamicConfiguration {
    let metadata = metadata
        .iter()
        .map(|(name, text)| ((*name).into(), (*text).into()));
    pb::DynamicConfiguration {
        component_config: Some(pb::ComponentConfig {
            kind: kind.into(),
            name: name.into(),
            metadata: metadata.collect(),
        }),
    }
}

#[tokio::test]
async fn a_new_greeting_is_in_force_when_the_call_returns() {
    let mut running = Fakes::default().run().await;
    let goodbye = change("hellos", STORE, &[("hello", "goodbye")]);
    running
        .lifecycle
        .apply_configuration(goodbye)
        .await
        .expect("it applies");
    let other = change("hellos", STORE, &[("color", "blue")]);
    running
        .lifecycle
        .apply_configuration(other)
        .await
        .expect("unknown settings change nothing");
    let hello = pb::SayHelloRequest {
        service_name: STORE.into(),
        name: "eva".into(),
        data: None,
    };
    let answer = running.client.say_hello(hello).await.expect("it greets");
    assert_eq!(answer.into_inner().hello, "goodbye, eva");
}

#[tokio::test]
async fn fields_are_checked_in_the_order_of_the_reference() {
    let mut client = Fakes::default().run().await.lifecycle;
    let some = [("hello", "x")];
    let rows = [
        (
            pb::DynamicConfiguration::default(),
            "field kind is not configured",
        ),
        (change("", "", &[]), "field kind is not configured"),
        (change("hellos", "", &[]), "field name is not configured"),
        (change("hellos", "other", &[]), "field metadata is not configured"),
        (
            change("hellos", "other", &some),
            "component not found. kind: hellos , name: other",
        ),
        (
            change("state", STORE, &some),
            "component not found. kind: state , name: demo",
        ),
    ];
    for (request, message) in rows {
        let answer = client.apply_configuration(request).await;
        assert_refused(answer, Code::InvalidArgument, message);
    }
}

#[tokio::test]
async fn a_component_that_refuses_answers_raw_and_stays_as_it_was() {
    let mut running = Fakes::default().run().await;
    running
        .reconfigure
        .fault
        .set(codes::CONFIG_INVALID, "hello is too long");
    let goodbye = change("hellos", STORE, &[("hello", "goodbye")]);
    let answer = running.lifecycle.apply_configuration(goodbye).await;
    assert_refused(answer, Code::Unknown, "hello is too long");
    assert_eq!(running.live.load().hellos[STORE].greeting, "greeting");
}

#[tokio::test]
async fn a_change_made_elsewhere_meanwhile_is_not_undone() {
    let mut running = Fakes::default().run().await;
    let elsewhere = (running.live.clone(), Components::default());
    *running.reconfigure.meanwhile.lock() = Some(elsewhere);
    let goodbye = change("hellos", STORE, &[("hello", "goodbye")]);
    let answer = running.lifecycle.apply_configuration(goodbye).await;
    let message = "the configuration was changed elsewhere at the same time, apply again";
    assert_refused(answer, Code::Aborted, message);
    assert!(running.live.load().hellos.is_empty());
}

#[tokio::test]
async fn changes_at_the_same_time_are_made_one_after_another() {
    let running = Fakes::default().run().await;
    let mut calls = Vec::new();
    for number in 0..20 {
        let mut client = running.lifecycle.clone();
        let mut request = change("hellos", STORE, &[]);
        let metadata = texts([("hello", number.to_string().as_str())]);
        if let Some(config) = &mut request.component_config {
            config.metadata = metadata;
        }
        calls.push(async move { client.apply_configuration(request).await });
    }
    for answer in futures::future::join_all(calls).await {
        answer.expect("no change gets in another's way");
    }
}
