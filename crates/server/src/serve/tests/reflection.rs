//! Reflection, in the version that tools speak today and the one before.

use tonic_reflection::pb::{v1, v1alpha};

use super::harness::Server;

const LISTED: [&str; 4] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    "test.Echo",
];

#[tokio::test]
async fn reflection_lists_what_is_served_and_describes_it() {
    use v1::server_reflection_client::ServerReflectionClient;
    use v1::server_reflection_request::MessageRequest;
    use v1::server_reflection_response::MessageResponse;
    let mut client = ServerReflectionClient::new(Server::start().client().await.channel());
    let ask = |request| v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(request),
    };
    let questions = [
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol("test.Echo.Call".to_owned())),
    ];
    let answers = client
        .server_reflection_info(futures::stream::iter(questions))
        .await;
    let mut answers = answers.expect("served").into_inner();
    let list = answers
        .message()
        .await
        .expect("open")
        .expect("an answer")
        .message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = list else {
        panic!("no list: {list:?}")
    };
    let mut names: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
    names.sort();
    assert_eq!(names, LISTED);
    let file = answers
        .message()
        .await
        .expect("open")
        .expect("an answer")
        .message_response;
    assert!(
        matches!(file, Some(MessageResponse::FileDescriptorResponse(_))),
        "{file:?}"
    );
}

#[tokio::test]
async fn older_tools_are_answered_too() {
    use v1alpha::server_reflection_client::ServerReflectionClient;
    use v1alpha::server_reflection_request::MessageRequest;
    use v1alpha::server_reflection_response::MessageResponse;
    let mut client = ServerReflectionClient::new(Server::start().client().await.channel());
    let question = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answers = client
        .server_reflection_info(futures::stream::iter([question]))
        .await;
    let answer = answers
        .expect("served")
        .into_inner()
        .message()
        .await
        .expect("open");
    let list = answer.expect("an answer").message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = list else {
        panic!("no list: {list:?}")
    };
    assert_eq!(list.service.len(), LISTED.len());
}
