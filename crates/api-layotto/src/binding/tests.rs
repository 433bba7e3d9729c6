use base::codes;
use tonic::Code;
use wire::layotto as pb;

use crate::components::Components;
use crate::testing::{Fakes, STORE, assert_refused, run, texts};

fn invocation(name: &str, operation: &str) -> pb::InvokeBindingRequest {
    pb::InvokeBindingRequest {
        name: name.into(),
        operation: operation.into(),
        data: "body".into(),
        metadata: texts([("path", "/x")]),
    }
}

#[tokio::test]
async fn what_a_binding_answers_comes_back() {
    let mut client = Fakes::default().run().await.client;
    let reply = client.invoke_binding(invocation(STORE, "create")).await;
    let reply = reply.expect("the binding answers").into_inner();
    assert_eq!(reply.data, "body");
    assert_eq!(reply.metadata, texts([("path", "/x"), ("operation", "create")]));
}

#[tokio::test]
async fn every_refusal_is_internal_in_the_order_of_the_reference() {
    let mut client = Fakes::default().run().await.client;
    let rows = [
        (
            "other",
            "",
            "error when invoke output binding other: operation field is missing from request",
        ),
        (
            "other",
            "get",
            "error when invoke output binding other: couldn't find output binding other",
        ),
        (
            STORE,
            "GET",
            "error when invoke output binding demo: binding demo does not support operation GET. supported operations:create get",
        ),
    ];
    for (name, operation, message) in rows {
        let answer = client.invoke_binding(invocation(name, operation)).await;
        assert_refused(answer, Code::Internal, message);
    }
    let mut client = run(Components::default()).await.client;
    let message = "error when invoke output binding demo: couldn't find output binding demo";
    assert_refused(
        client.invoke_binding(invocation(STORE, "get")).await,
        Code::Internal,
        message,
    );
}

#[tokio::test]
async fn a_bindings_failure_is_internal_whatever_it_is() {
    let fakes = Fakes::default();
    let mut client = fakes.run().await.client;
    for code in [
        codes::BINDING_FAILED,
        codes::DEADLINE_EXCEEDED,
        codes::INVALID_ARGUMENT,
    ] {
        fakes.outside.fault.set(code, "received status code 404");
        let answer = client.invoke_binding(invocation(STORE, "get")).await;
        let message = "error when invoke output binding demo: received status code 404";
        assert_refused(answer, Code::Internal, message);
    }
}
