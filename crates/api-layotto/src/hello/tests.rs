use tonic::Code;
use wire::layotto as pb;

use crate::components::Components;
use crate::testing::{Fakes, STORE, assert_refused, run};

fn hello(service: &str, name: &str) -> pb::SayHelloRequest {
    pb::SayHelloRequest {
        service_name: service.into(),
        name: name.into(),
        data: None,
    }
}

#[tokio::test]
async fn a_greeting_names_who_asks() {
    let mut client = Fakes::default().run().await.client;
    for (name, expected) in [("eva", "greeting, eva"), ("", "greeting")] {
        let answer = client.say_hello(hello(STORE, name)).await.expect("it greets");
        assert_eq!(answer.into_inner().hello, expected);
    }
}

#[tokio::test]
async fn data_comes_back_as_it_came() {
    let mut client = Fakes::default().run().await.client;
    let data = prost_types::Any {
        type_url: "type/x".into(),
        value: vec![1, 2],
    };
    let mut request = hello(STORE, "");
    request.data = Some(data.clone());
    let answer = client.say_hello(request).await.expect("it greets");
    assert_eq!(answer.into_inner().data, Some(data));
}

#[tokio::test]
async fn no_greeting_is_unknown_whether_there_are_others_or_not() {
    let mut client = Fakes::default().run().await.client;
    assert_refused(
        client.say_hello(hello("other", "eva")).await,
        Code::Unknown,
        "no instance found",
    );
    let mut client = run(Components::default()).await.client;
    assert_refused(
        client.say_hello(hello(STORE, "eva")).await,
        Code::Unknown,
        "no instance found",
    );
}
